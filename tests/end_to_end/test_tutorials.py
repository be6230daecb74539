"""Every page of docs/tutorials, from its first block to its last: the Python blocks, and the commands between them.

What a page shows as output is printed, up to the digits, and its pictures are drawn by its blocks. ``DISTIL_PICTURES=docs`` writes
the pictures there, with few colors.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from distil.cli import main
from distil.strategies import registry
from distil.system.imports import import_torchvision

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "index.md")
QUICK = {"own-strategy", "team", "instruction-data"}
NEEDS = {"own-model": ("timm", "transformers"), "images": ("matplotlib",), "choosing": ("matplotlib",)}


def run(language, code, page, space):
    if language == "python":
        exec(compile(code, str(page), "exec"), space)
        return
    for line in code.splitlines():
        words = shlex.split(line, comments=True)
        assert words[0] == "distil"
        assert main(words[1:]) == 0, line


def without_digits(text):
    """The lines of a text; numbers may differ in their last digits between machines."""
    return [re.sub(r"\d+", "0", " ".join(line.split())) for line in text.splitlines()]


def keep(picture):
    """Copy a picture that a page has drawn next to the page."""
    where = FOLDER.parents[1] / os.environ["DISTIL_PICTURES"] / "tutorials" / picture
    drawn = Image.open(picture).convert("RGB")
    drawn.quantize(256, dither=Image.Dither.NONE).save(where, optimize=True)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in; what a page registers, and the modules that it writes, go again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    yield
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=[] if p.stem in QUICK else pytest.mark.slow, id=p.stem) for p in PAGES]
)
@pytest.mark.usefixtures("here")
def test_a_page(page, capsys):
    missing = [name for name in NEEDS.get(page.stem, ()) if find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    if "timm" in NEEDS.get(page.stem, ()):
        import_torchvision()  # timm imports it, and it may have been built for another torch
    text = page.read_text(encoding="utf-8")
    space = {"__name__": "page"}
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for language, code in blocks:
        if language in ("python", "sh"):
            run(language, code, page, space)

    printed = without_digits(capsys.readouterr().out)
    shown = [line for language, code in blocks if language == "text" for line in without_digits(code)]
    assert [line for line in shown if line not in printed] == []
    pictures = re.findall(r"^!\[[^]]+\]\(([\w-]+\.png)\)$", text, re.MULTILINE)
    assert [picture for picture in pictures if not Path(picture).exists()] == []
    for picture in pictures if os.environ.get("DISTIL_PICTURES") else []:
        keep(picture)


def test_the_index_names_every_page():
    text = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert {page.name for page in PAGES} <= set(re.findall(r"\]\(([\w-]+\.md)\)", text))
    assert QUICK | set(NEEDS) <= {page.stem for page in PAGES}

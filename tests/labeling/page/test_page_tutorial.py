"""docs/labeling-tutorial.md, block by block, with people who answer on the page; its pictures are made here.

``DISTIL_PICTURES=docs`` writes the pictures there, with few colors.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from distil.cli import main
from distil.labeling.project import Project

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[3] / "docs" / "labeling-tutorial.md"
TEXT = PAGE.read_text(encoding="utf-8")
ITEM = ".caption .id"
GOOD = ("very well", "better than", "is great", "after a year", "easy to set up")


def blocks(heading):
    """(language, code) of the blocks of a walk."""
    (walk,) = (part for part in TEXT.split("\n## ") if part.startswith(heading))
    return re.findall(r"^```(python|sh)\n(.*?)^```", walk, re.MULTILINE | re.DOTALL)


def digit(page):
    return str(load_digits().target[int(page.locator(ITEM).get_attribute("title")[:4])])


def opinion(page):
    return "1" if any(words in page.locator(".stage .text").inner_text() for words in GOOD) else "2"


def answer(page, n, key):
    """Answer n items with the key that ``key(page)`` names."""
    for _ in range(n):
        item = page.locator(ITEM).get_attribute("title")
        page.keyboard.press(key(page))
        page.wait_for_function("item => document.querySelector('.caption .id')?.title !== item", arg=item)
    page.wait_for_selector("#saved[data-state=saved]")


def picture(page, name):
    """Save a picture of the page, if the tutorial shows it."""
    assert f"({name})" in TEXT
    where = os.environ.get("DISTIL_PICTURES")
    seen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    if where:
        seen.quantize(64, dither=Image.Dither.NONE).save(PAGE.parents[1] / where / name, optimize=True)


@pytest.fixture
def walk(tmp_path, monkeypatch, serve, visit, capsys):
    """``walk(heading, label)``: run the blocks of a walk; ``label(page)`` answers wherever the page is started."""

    def run(command, label):
        words = shlex.split(command)
        if words[1] == "label":
            label(visit(serve(*words[2:])))
            serve.stop()
        else:
            assert main(words[1:]) == 0, command

    def walk_(heading, label):
        monkeypatch.chdir(tmp_path)
        for language, code in space["blocks"](heading):
            if language == "python":
                exec(compile(code, str(PAGE), "exec"), space)
            else:
                for command in code.splitlines():
                    run(command, label)
        return capsys.readouterr().out

    space = {"__name__": "page", "blocks": blocks}
    return walk_


def test_images(walk):
    def label(page):
        answer(page, 60, digit)
        page.wait_for_function("() => document.querySelector('.answers > .hint').textContent.includes('60 labels')")
        picture(page, "labeling-tutorial-image.png")
        page.keyboard.press("m")
        page.locator("#map .hint", has_text="t-SNE").wait_for(timeout=60_000)
        page.wait_for_function("() => document.querySelectorAll('.map-classes li').length > 10")
        picture(page, "labeling-tutorial-map.png")

    said = walk("Images", label)
    right, rest = re.search(r"(\d+)% of (\d+) images are right", said).groups()
    assert int(rest) == 540
    assert int(right) > 70
    assert {path.name for path in Path("digits-data").iterdir()}
    with Project.open("digits-labels") as project:
        assert all(str(load_digits().target[int(item[:4])]) == said for item, said in project.labels().items())


def test_texts(walk):
    def label(page):
        answer(page, 40, opinion)
        page.wait_for_function("() => document.querySelector('.answers > .hint').textContent.includes('40 labels')")
        picture(page, "labeling-tutorial-text.png")

    assert "['good' 'bad']" in walk("Texts", label)

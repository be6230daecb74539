"""The site: every public name is in its reference, and no page asks another machine for anything."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import distil
from distil.strategies import STRATEGIES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site():
    """The names in the script that builds the site."""
    return runpy.run_path(str(ROOT / "scripts" / "site.py"))


def test_the_reference_has_every_public_name_once(site):
    names = [name for _, described, _ in site["API"].values() for name in described.split()]
    assert len(names) == len(set(names))
    errors = {name for name in distil.__all__ if hasattr(distil.errors, name)}
    assert {n for n in names if not n.startswith("distil.")} == {*distil.__all__} - errors
    assert {n for n in names if n.startswith("distil.")} == {f"distil.{name}" for name in distil._MODULES}
    assert set(site["modules"]("distil.functional")) == {f"distil.functional.{n}" for n in distil.functional.__all__}
    assert {"distil.utils.models", "distil.utils.train_helper"} <= set(site["modules"]("distil.utils"))


def test_a_page_of_the_reference(site):
    text = site["reference"]("Errors", ["Learner", "STRATEGIES", "distil.errors"], "What goes wrong.")
    assert text.startswith("Errors\n======\n\nWhat goes wrong.\n")
    directives = re.findall(r"^\.\. (\w+):: (\S+)$", text, re.MULTILINE)
    assert directives == [
        ("autoclass", "distil.Learner"),
        ("autodata", "distil.STRATEGIES"),
        ("automodule", "distil.errors"),
    ]


def test_the_table_has_every_strategy(site):
    rows = re.findall(r"^\| `(\w+)` \|.*\| `?\w.*\|.*classification|^\| `(\w+)` \|", site["table"](), re.MULTILINE)
    assert [a or b for a, b in rows] == [*STRATEGIES]
    (row,) = re.findall(r"^\| `badge` \|.*$", site["table"](), re.MULTILINE)
    assert "`probs`, `embeddings` | classification, multilabel, regression |" in row


def test_every_page_is_in_the_contents(site, tmp_path):
    site["stage"](tmp_path / "source")
    pages = {p.relative_to(ROOT).with_suffix("").as_posix() for p in (ROOT / "docs").glob("*.md")}
    pages |= {"docs/tutorials/index"}
    contents = (tmp_path / "source" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^(?:docs|api|benchmarks)/[\w/-]+$", contents, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert pages <= {*listed}
    assert {f"api/{name}" for name in site["API"]} <= {*listed}
    assert "\nindex\n" not in contents
    tutorials = (tmp_path / "source" / "docs" / "tutorials" / "index.md").read_text(encoding="utf-8")
    assert tutorials.endswith("```{toctree}\n:hidden:\n:glob:\n\n*\n```\n")
    assert (tmp_path / "source" / "examples" / "satimage.json").is_file()  # a page links to it


def test_requests_to_other_machines_and_dead_links_are_found(site, tmp_path):
    (tmp_path / "a.html").write_text(
        '<link rel="stylesheet" href="//x.org/a.css"><a href="https://fine.org">a</a><img src="b.png">'
        '<script src="https://x.org/c.js"></script><img src="data:image/png;base64,AAAA">'
        '<a id="here" href="#here">b</a><a href="#there">c</a><a href="c d/e.html#f%C3%BC">d</a><a href="c%20d/e.html#g">e</a>'
    )
    (tmp_path / "b.png").touch()
    (tmp_path / "c d").mkdir()
    (tmp_path / "c d" / "e.html").write_text('<p id="fü"><a href="../a.html">a</a><a href="a.html">b</a><a>c</a><p id>')
    (tmp_path / "a.css").write_text(
        '@import "https://x.org/d.css"; p { background: url(e.png) } q { src: url(//x.org/f) }'
    )
    assert site["faults"](tmp_path) == [
        "a.html loads //x.org/a.css",
        "a.html loads https://x.org/c.js",
        "a.css loads https://x.org/d.css",
        "a.css loads //x.org/f",
        "a.html links to #there",
        "a.html links to c%20d/e.html#g",
        "c d/e.html links to a.html",
    ]


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(find_spec, ("sphinx", "myst_parser", "furo", "sphinx_copybutton"))), reason="needs the extra docs"
)
def test_the_site_builds_without_warnings():
    done = subprocess.run([sys.executable, "scripts/site.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    page = (ROOT / "build" / "site" / "api" / "learner.html").read_text(encoding="utf-8")
    assert 'id="distil.Learner.query"' in page

"""The site: every public name is in its reference, and no page asks another machine for anything."""

from __future__ import annotations

import json
import os
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
    (row,) = re.findall(r"^\| `adversarial_bim` \|.*$", site["table"](), re.MULTILINE)
    assert "| the model | classification |" in row


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


def test_a_page_as_a_notebook(tmp_path):
    page = "# Title\n\nSee [x](y.md#z), [w](https://w.org), ![p](p.png).\n```python\na = 1\n```\n"
    page += "```sh\ndistil a\n```\n```text\n1\n```\n"
    (tmp_path / "a.md").write_text(page, encoding="utf-8")
    runpy.run_path(str(ROOT / "scripts" / "notebook.py"))["main"](tmp_path / "a.md", tmp_path / "a.ipynb")
    made = json.loads((tmp_path / "a.ipynb").read_text(encoding="utf-8"))
    assert [(cell["cell_type"], cell["source"]) for cell in made["cells"]] == [
        ("markdown", "# Title\n\nSee x, [w](https://w.org), ![p](p.png)."),
        ("code", "a = 1"),
        ("code", "%%sh\ndistil a"),
        ("markdown", "```text\n1\n```"),
    ]


RUN = "import nbclient, nbformat; nbclient.NotebookClient(nbformat.read('page.ipynb', 4)).execute()"


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, ("nbclient", "ipykernel"))), reason="needs the extra docs")
def test_a_notebook_runs(tmp_path, monkeypatch):
    page = ROOT / "docs" / "tutorials" / "own-strategy.md"
    runpy.run_path(str(ROOT / "scripts" / "notebook.py"))["main"](page, tmp_path / "page.ipynb")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # its cells call `distil`
    done = subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "own-strategy.png").is_file()


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


# One page of each kind: the first, with pictures, raw HTML, wide tables, docstrings, made from the code. Later the search.
KINDS = [
    "index.html",
    "docs/tutorials/images.html",
    "docs/gallery.html",
    "benchmarks/results/D.html",
    "api/learner.html",
    "api/all-strategies.html",
]
FILES = {"preload": False}  # axe would fetch the styles, which pages that are opened as files may not


def check_access(page, axe):
    """axe finds nothing serious, light on a desktop and dark on a phone, and no page scrolls sideways as a whole."""
    for width, scheme in ((1280, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)
        violations = axe.run(page, options=FILES).response["violations"]
        found = [each for each in violations if each["impact"] in ("serious", "critical")]
        assert [(each["id"], each["nodes"][0]["html"], width, scheme) for each in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(find_spec, ("sphinx", "myst_parser", "furo", "sphinx_copybutton"))), reason="needs the extra docs"
)
def test_the_site(request, case):
    """It builds without warnings; then, where there is a browser, its pages are opened as files, without a server."""
    done = subprocess.run([sys.executable, "scripts/site.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    built = ROOT / "build" / "site"
    assert 'id="distil.Learner.query"' in (built / "api" / "learner.html").read_text(encoding="utf-8")

    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    opened = request.getfixturevalue("opened")
    desktop = {"width": 1280, "height": 844}
    for name in KINDS:
        with case(name):
            check_access(opened(built / name, desktop, "light", "footer"), axe)
    page = opened(built / "search.html", desktop, "light", "footer")
    page.goto((built / "search.html").as_uri() + "?q=uherding")
    page.wait_for_selector('#search-results ul.search li a[href*="docs/strategies.html"]')
    check_access(page, axe)

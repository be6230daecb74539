"""Every Python block of the README and the docs runs, in order, page by page, and passes mypy --strict."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import distil
from distil import cli
from distil.experiment.config.experiment_config import parse_config
from distil.strategies import STRATEGIES, registry

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Others run the blocks of these with their commands: tests/labeling/page/test_page_tutorial.py, and test_tutorials.py.
WALKED = {ROOT / "docs" / "labeling-tutorial.md", *(ROOT / "docs" / "tutorials").glob("*.md")}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python") and p not in WALKED], ids=lambda p: p.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))  # what a page registers goes again
    space: dict[str, object] = {"__name__": "page"}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), space)


def command_lines(page: Path) -> list[list[str]]:
    """The arguments of every command of distil on a page, also where another program starts it."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [each[each.index("distil") + 1 :] for each in words if "distil" in each]


def test_every_command_line_is_one_of_the_command(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options and values are read; the commands do nothing, because most lines name files that only a reader has."""
    for entries in (cli._COMMANDS, *(commands for _, commands in cli._GROUPS.values())):
        for name, (function, _) in entries.items():
            monkeypatch.setitem(entries, name, (function, lambda _: 0))
    found = [(page, words) for page in PAGES for words in command_lines(page)]
    assert len(found) > 90
    for page, words in found:
        with case(page.name, " ".join(words)):
            assert cli.main(words) == 0
    assert cli.main(["select", "--strateg", "badge", "--n", "3"]) == 2


def test_every_configuration_is_accepted(case: Any) -> None:
    """Whole documents, and sections of one, which are put into a small document."""
    small = {
        "active_learning": {"strategy": "badge", "budget": 1, "rounds": 2},
        "dataset": {"embeddings": "emb.npy", "labels": "labels.csv"},
    }
    found = [(page, code) for page in PAGES for code in blocks(page, "json")]
    assert len(found) > 5
    for page, code in found:
        with case(page.name, code):
            document = json.loads(code if code.startswith("{") else f"{{{code}}}")
            parse_config({**small, **document}, looking=True)


# Functions in examples have no annotations, and scikit-learn has no types.
UNTYPED = {"no-untyped-def", "no-untyped-call", "import-untyped"}
# What else pages may fail: names and weights are None without a reason to have them, DISTIL's trainer returns one of two types,
# transformers types no keyword of its configurations that it does not list, blocks of a page define a function again, and one page
# writes a module that it imports.
BEYOND = {
    "images.md": {"arg-type", "union-attr"},
    "own-model.md": {"arg-type", "call-arg"},
    "own-strategy.md": {"arg-type", "import-not-found"},
    "coming-from-distil.md": {"arg-type", "union-attr"},
    "coming-from-deepal.md": {"type-arg"},
    "models.md": {"arg-type", "call-arg", "no-redef"},
    "your-data.md": {"arg-type", "union-attr"},
}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mypy") is None, reason="needs mypy")
def test_python_blocks_pass_strict_type_checks(tmp_path: Path) -> None:
    pages = {f"{re.sub('[^a-z]', '_', p.stem.lower())}_page.py": p for p in PAGES if blocks(p, "python")}
    for name, page in pages.items():
        (tmp_path / name).write_text("\n".join(blocks(page, "python")), encoding="utf-8")
    # Most of the time would go to the types of packages that pages only pass on to distil.
    passed_on = ",".join(
        f"mypy-{name}.*" for name in ("transformers", "timm", "torchvision", "skorch", "polars", "matplotlib")
    )
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nmypy_path = {ROOT / 'src'}\n[{passed_on}]\nfollow_imports = skip\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--allow-redefinition", "--cache-dir", tmp_path / "cache", *pages],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    found = re.findall(r"^(\w+\.py):(\d+): error: (.*)  \[([\w-]+)\]$", done.stdout, re.MULTILINE)
    assert len(found) > 10, done.stdout + done.stderr  # at least what is untyped
    wrong = [e for e in found if e[3] not in UNTYPED | BEYOND.get(pages[e[0]].name, set())]
    assert wrong == []


def private_imports(code: str) -> list[str]:
    """Imports of modules or names that begin with an underscore."""
    found = []
    for node in ast.walk(ast.parse(code.replace(", ...)", ")"))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [f"{getattr(node, 'module', '')}.{alias.name}" for alias in node.names]
            found += [n for n in names if any(re.match("_(?!_future__)", part) for part in n.split("."))]
    return found


def test_no_page_imports_what_is_private(case):
    for page in [p for p in PAGES if blocks(p, "python")]:
        with case(page):
            assert [name for code in blocks(page, "python") for name in private_imports(code)] == []


def test_private_imports_are_found() -> None:
    code = "from __future__ import annotations\nimport torch, distil._x\nfrom distil.data._y import z\nfrom distil import _w"
    assert private_imports(code) == [".distil._x", "distil.data._y.z", "distil._w"]


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def places(page: Path) -> set[str]:
    """The names by which links reach the headings of a page, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """The links of a page to files that do not exist, and to headings that their page does not have."""
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        name, _, place = link.partition("#")
        target = page.parent / name if name else page
        if "://" not in link and (not target.exists() or (place and place not in places(target))):
            dead.append(link)
    return dead


def test_links_lead_somewhere(case):
    own = [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
    for page in [*PAGES, *own, *(ROOT / "benchmarks").rglob("*.md")]:
        with case(page):
            assert dead_links(page) == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    (tmp_path / "b.md").write_text("# In `rounds`: 1, 2\n```sh\n# no heading\n```\n")
    page.write_text(
        "## Here\n[a](#here) [b](b.md#in-rounds-1-2) [c](https://x.org/#y) [d](#there) [e](b.md#no-heading) [f](c.md)"
    )
    assert dead_links(page) == ["#there", "b.md#no-heading", "c.md"]


# Functions whose arguments docs/moving.md names, and its words for what a reader has, or a parameter of a strategy.
TAKERS = (distil.select, distil.select_from, distil.Learner)
KNOWN = {*distil.__all__, *vars(distil.Learner), "clf", "pool", "form"}


def equivalents() -> list[str]:
    """The code in the last column of the tables of docs/moving.md: what to write here."""
    page = (ROOT / "docs" / "moving.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `.*\| (.*) \|$", page, re.MULTILINE)
    return [code for cell in rows for code in re.findall(r"`([^`]+)`", cell)]


def unknown(code: str) -> list[str]:
    """The names and arguments in a piece of code that this library does not have."""
    keywords = {name for f in TAKERS for name in inspect.signature(f).parameters}
    if code.endswith("="):
        return [code] if code[:-1] not in keywords else []
    found = []
    for node in ast.walk(ast.parse(code.replace(", ...)", ")"))):
        if isinstance(node, ast.Call):
            given = [keyword.arg for keyword in node.keywords]
            taken = inspect.signature(named(ast.unparse(node.func))).parameters
            found += [name for name in given if name not in taken]
            found += [a.value for a in node.args if isinstance(a, ast.Constant) and a.value not in (*STRATEGIES, 5, 20)]
        elif isinstance(node, ast.Attribute):
            named(ast.unparse(node))
    if code.isidentifier() and code not in {*STRATEGIES, *KNOWN, *keywords}:
        found.append(code)
    return found


def named(path: str) -> Any:
    """What ``distil.x``, ``learner.x``, ``selection.x``, or a function of distil alone means; AttributeError where nothing."""
    first, *rest = path.split(".")
    found = {"distil": distil, "learner": distil.Learner, "selection": distil.Selection}.get(first)
    if found is None:
        found = getattr(distil, first, None) or getattr(distil.Learner, first)
    for name in rest:
        found = getattr(found, name)
    return found


def test_what_to_write_here_exists(case: Any) -> None:
    codes = equivalents()
    assert len(codes) > 80
    for code in codes:
        with case(code):
            assert unknown(code) == []


def test_what_does_not_exist_is_found() -> None:
    assert unknown("margin_samplig") == ["margin_samplig"]
    assert unknown("labelled=") == ["labelled="]
    assert unknown('distil.select("badg", net, pool, n, lbl=ids)') == ["lbl", "badg"]
    with pytest.raises(AttributeError):
        unknown("learner.teach(ids)")


def test_every_strategy_is_described() -> None:
    page = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    assert [name for name in STRATEGIES if f"`{name}`" not in page] == []

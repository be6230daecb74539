"""Every Python block of the README and the docs runs, in order, page by page, and passes mypy --strict."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from distil.strategies import STRATEGIES, registry

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WALKED = "labeling-tutorial.md"  # tests/labeling/page/test_page_tutorial.py runs its blocks with its commands


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python") and p.name != WALKED], ids=lambda p: p.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))  # what a page registers goes again
    space: dict[str, object] = {"__name__": "page"}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), space)


# Functions in examples have no annotations, and scikit-learn has no types.
UNTYPED = {"no-untyped-def", "no-untyped-call", "import-untyped"}
# What else pages may fail: names and weights are None without a reason to have them, DISTIL's trainer returns one of two types,
# transformers types no keyword of its configurations that it does not list, and blocks of a page define a function again.
BEYOND = {
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
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nmypy_path = {ROOT / 'src'}\n")
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
    for node in ast.walk(ast.parse(code)):
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


def test_links_lead_somewhere(case):
    for page in PAGES:
        with case(page):
            text = page.read_text(encoding="utf-8")
            targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)]+)\)", text) if "://" not in t]
            missing = [t for t in targets if t and not (page.parent / t).exists()]
            assert not missing


def test_every_strategy_is_described() -> None:
    page = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    assert [name for name in STRATEGIES if f"`{name}`" not in page] == []

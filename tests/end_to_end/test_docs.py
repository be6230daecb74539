"""Every Python block of the README and the docs runs, in order, page by page."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from distil.strategies import STRATEGIES, registry

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))  # what a page registers goes again
    space: dict[str, object] = {"__name__": "page"}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), space)


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

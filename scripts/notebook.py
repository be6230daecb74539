"""Make a notebook of a tutorial: ``python scripts/notebook.py docs/tutorials/own-strategy.md own-strategy.ipynb``.

The page is the only source: its text becomes cells of text, its Python blocks and its commands become cells that run. The site
offers a notebook with each tutorial.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)]+\)")  # to another page, which a notebook does not have


def notebook(page: str) -> dict[str, Any]:
    """The notebook of a page, in the format of Jupyter (nbformat 4.5)."""
    cells: list[dict[str, Any]] = []
    text, *blocks = _BLOCK.split(page)
    kinds = ["text", *(kind for language in blocks[::3] for kind in (language, "text"))]
    texts = [text, *(part for pair in zip(blocks[1::3], blocks[2::3], strict=True) for part in pair)]
    for kind, source in zip(kinds, texts, strict=True):
        if source.strip():
            cells.append(_cell(f"cell-{len(cells)}", kind, source.strip("\n")))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _cell(name: str, kind: str, source: str) -> dict[str, Any]:
    if kind == "text":
        return {"cell_type": "markdown", "id": name, "metadata": {}, "source": _LINK.sub(r"\1", source)}
    source = f"%%sh\n{source}" if kind == "sh" else source
    return {
        "cell_type": "code",
        "id": name,
        "metadata": {},
        "source": source,
        "execution_count": None,
        "outputs": [],
    }


def main(page: str, out: str) -> None:
    """Write the notebook of a page."""
    made = notebook(Path(page).read_text(encoding="utf-8"))
    Path(out).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Cells of csv files that spreadsheets open: texts that would be formulas stay texts."""

from __future__ import annotations

import re
from typing import Final

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")


def cell(text: str) -> str:
    """A text as a cell: with a ``'`` before it if a spreadsheet would take it for a formula.

    >>> cell("=1+1"), cell("fine")
    ("'=1+1", 'fine')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def text_of_cell(cell: str) -> str:
    """The text of which :func:`cell` made this cell.

    >>> text_of_cell(cell("=1+1"))
    '=1+1'
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell

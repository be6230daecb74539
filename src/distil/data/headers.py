"""What the cells of a table say: whether its first row is a header, what columns are usually called, what is missing."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any, Final

from distil.data.images import IMAGES
from distil.errors import InvalidInput

ID: Final = "id"
LABELS: Final = ("label", "labels", "class", "target")
"""What a column of labels is called."""

TEXTS: Final = (
    "text", "sentence", "content", "document", "body", "message", "review", "tweet", "headline", "comment", "post",
    "abstract", "article", "utterance", "description", "summary", "question", "title",
)  # fmt: skip
"""What a column of texts is called, what is preferred first."""

IMAGE_PATHS: Final = ("image", "img", "image_path", "file_name", "filename", "file", "path")
"""What a column of paths of images is called."""

_NAMES: Final = frozenset({ID, *LABELS, *TEXTS, *IMAGE_PATHS, "name"})
_MISSING: Final = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})  # a number that is missing, in small letters


def is_number(cell: object) -> bool:
    """Whether a cell is one."""
    if isinstance(cell, (int, float)):
        return not isinstance(cell, bool)
    try:
        float(str(cell))
    except ValueError:
        return False
    return "_" not in str(cell)  # to Python 1_000 is a number too


def is_missing(cell: object) -> bool:
    """Whether a cell that may be a number holds none."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in _MISSING)


def is_no_text(cell: object) -> bool:
    """Whether a cell of texts holds none: null, NaN, or nothing but blanks."""
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or (isinstance(cell, str) and not cell.strip())
    )


def is_header(first: Sequence[str], rows: Sequence[Sequence[str]], asked: Iterable[str | None], origin: str) -> bool:
    """Whether the first row of a table says what the columns are called.

    It does where one of its cells is a usual name, or one that the user gave; where a cell is no number over a column of numbers;
    where its numbers only count the columns, 0, 1, 2, ..., as pandas writes it; or where short names are over free text.

    Args:
        first: The first row.
        rows: The next ones.
        asked: Names that the user gave to columns.
        origin: The file, for the message.

    Raises:
        InvalidInput: A first row 0, 1 over two columns of whole numbers, which may be a header or the first example.
    """
    cells = [cell.strip() for cell in first]
    rows = [row for row in rows if len(row) == len(cells)]
    numbers = [cell for cell in cells if is_number(cell)]
    if {*cells} & {*asked} or any(_is_usual(cell, [row[place] for row in rows]) for place, cell in enumerate(cells)):
        return True
    if any(_names_numbers(cell, [row[place] for row in rows]) for place, cell in enumerate(cells)):
        return True
    if numbers:
        return _counts_columns(numbers, cells, rows, origin)
    return any(_names_texts(cell, [row[place] for row in rows]) for place, cell in enumerate(cells))


def _is_usual(cell: str, below: Sequence[str]) -> bool:
    """Whether a cell is what columns are usually called; one that is there again below is a value, as a class called "title"."""
    return cell.lower() in _NAMES and cell not in below


def _names_numbers(cell: str, below: Sequence[str]) -> bool:
    present = [value for value in below if not is_missing(value)]
    return not is_number(cell) and not is_missing(cell) and bool(present) and all(map(is_number, present))


def _names_texts(cell: str, below: Sequence[str]) -> bool:
    """Whether a cell is a name by what is below it: free text below one word, or digits in all cells but this one."""
    present = [value.strip() for value in below if value.strip()]
    if not cell or not present or cell in present or PurePath(cell).suffix.lower() in IMAGES:
        return False
    digits = not _has_digit(cell) and all(map(_has_digit, present))
    return digits or (len(cell.split()) == 1 and len(cell) <= 40 and is_free_text(present))


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _counts_columns(numbers: Sequence[str], cells: Sequence[str], rows: Sequence[Sequence[str]], origin: str) -> bool:
    start = numbers[0]
    if start not in ("0", "1") or [*numbers] != [str(int(start) + place) for place in range(len(numbers))] or not rows:
        return False
    places = [place for place, cell in enumerate(cells) if is_number(cell)]
    if not all(is_number(row[place]) or is_missing(row[place]) for row in rows for place in places):
        return False
    if cells[0] == "" or not all(_is_whole(row[place]) for row in rows for place in places):
        return True
    if len(numbers) > 2:
        return start == "0" or len(numbers) < len(cells)
    if len(cells) != 2 or start != "0" or len(numbers) < 2 or rows[0][0].strip() == "1":
        return False  # ids, or the rows 0, 1, 2, ... with labels
    raise InvalidInput(
        f"{origin}: the first row, {', '.join(cells)}, may be the names of the columns or the first example; "
        "write names there, such as id,label or e0,e1"
    )


def _is_whole(cell: str) -> bool:
    return re.fullmatch(r"\s*[-+]?\d+\s*", cell) is not None


def is_free_text(cells: Iterable[Any]) -> bool:
    """Whether a column holds sentences rather than names: most cells of several words, or long, and few that repeat."""
    present = [cell for cell in cells if not is_no_text(cell)]
    if not present or not all(isinstance(cell, str) for cell in present):
        return False
    long = sum(len(cell.split()) > 1 or len(cell) > 30 for cell in present)
    return 2 * long >= len(present) and 2 * len(set(present)) > len(present)


def distinct_names(names: Sequence[str]) -> list[str]:
    """Names of columns, each once: ``Unnamed: 3`` for an empty one, ``a.1`` for a second ``a``, as in pandas."""
    found: dict[str, None] = {}
    counts: Counter[str] = Counter()
    for place, given in enumerate(names):
        name = first = given or f"Unnamed: {place}"
        while name in found:
            counts[first] += 1
            name = f"{first}.{counts[first]}"
        found[name] = None
    return list(found)

"""Reading the cells of a table: is the first row a header, which names do columns usually have, which cells are missing."""

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
"""Usual names of a column of labels."""

LIKE_LABELS: Final = ("y", "category", "answer", "annotation", "gold")
"""Names of columns that may hold labels; a list of ids says that it does not read them."""

TEXTS: Final = (
    "text", "sentence", "content", "document", "body", "message", "review", "tweet", "headline", "comment", "post",
    "abstract", "article", "utterance", "description", "summary", "question", "title",
)  # fmt: skip
"""Usual names of a column of texts, in order of preference."""

IMAGE_PATHS: Final = ("image", "img", "image_path", "file_name", "filename", "file", "path")
"""Usual names of a column of image paths."""

_NAMES: Final = frozenset({ID, *LABELS, *TEXTS, *IMAGE_PATHS, "name"})
_MISSING: Final = frozenset(
    {"", "?", "na", "n/a", "nan", "null", "none"}
)  # spellings of a missing number, in lower case


def is_number(cell: object) -> bool:
    """Whether a cell holds a number or the text of one."""
    if isinstance(cell, (int, float)):
        return not isinstance(cell, bool)
    try:
        float(str(cell))
    except ValueError:
        return False
    return "_" not in str(cell)  # float() accepts 1_000


def is_decimal_comma(cell: str) -> bool:
    """Whether a cell holds a number with a decimal comma, such as ``1,5``."""
    return re.fullmatch(r"\s*[-+]?\d*,\d+(e[-+]?\d+)?\s*", cell, re.IGNORECASE) is not None


def is_like_number(cell: object) -> bool:
    """Whether a cell is a number, or would be one without separators of thousands, percent and currency signs."""
    return is_number(cell) or (
        isinstance(cell, str) and any(map(str.isdigit, cell)) and is_number(re.sub(r"[,.%$€£'\s]", "", cell))
    )


def is_missing(cell: object) -> bool:
    """Whether a cell of a column of numbers is missing: null, NaN, empty or a word such as ``n/a``."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in _MISSING)


def is_no_text(cell: object) -> bool:
    """Whether a cell of a column of texts is missing: null, NaN, or nothing but blanks."""
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or (isinstance(cell, str) and not cell.strip())
    )


def is_header(first: Sequence[str], rows: Sequence[Sequence[str]], asked: Iterable[str | None], origin: str) -> bool:
    """Whether the first row of a table holds the names of the columns.

    It does if a cell is a usual column name or one that the user gave; if a cell that is not a number heads a column of numbers;
    if its numbers merely count the columns (0, 1, 2, ..., as pandas writes them, also above texts); or if a short name heads a
    column of free text.

    Args:
        first: The cells of the first row.
        rows: The cells of some rows after it.
        asked: Column names that the user gave; None entries are ignored.
        origin: The file, for the message.

    Raises:
        InvalidInput: The first row is 0, 1 and both columns hold whole numbers, so that it may be a header or an example.
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
    """Whether a cell is a usual column name; if it occurs again below, it is a value, such as a class called "title"."""
    return cell.lower() in _NAMES and cell not in below


def _names_numbers(cell: str, below: Sequence[str]) -> bool:
    present = [value for value in below if not is_missing(value)]
    return not is_number(cell) and not is_missing(cell) and bool(present) and all(map(is_number, present))


def _names_texts(cell: str, below: Sequence[str]) -> bool:
    """Whether a cell names the texts below it: one word above free text, or no digit where every cell below has one."""
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
        return start == "0" and all(
            is_number(cell) for cell in cells[cells[0] == "" :]
        )  # pandas' names of columns of texts
    if cells[0] == "" or not all(_is_whole(row[place]) for row in rows for place in places):
        return True
    if len(numbers) > 2:
        return start == "0" or len(numbers) < len(cells)
    if len(cells) != 2 or start != "0" or len(numbers) < 2 or rows[0][0].strip() == "1":
        return False  # a column of ids, or of row numbers 0, 1, 2, ... next to labels
    raise InvalidInput(
        f"{origin}: the first row, {', '.join(cells)}, may be the names of the columns or the first example; "
        "begin the file with a row of names, such as id,label or e0,e1"
    )


def _is_whole(cell: str) -> bool:
    return re.fullmatch(r"\s*[-+]?\d+\s*", cell) is not None


def is_free_text(cells: Iterable[Any]) -> bool:
    """Whether a column holds sentences, not names: at least half of its cells are long or have several words, and few repeat."""
    present = [cell for cell in cells if not is_no_text(cell)]
    if not present or not all(isinstance(cell, str) for cell in present):
        return False
    long = sum(len(cell.split()) > 1 or len(cell) > 30 for cell in present)
    return 2 * long >= len(present) and 2 * len(set(present)) > len(present)


def distinct_names(names: Sequence[str]) -> list[str]:
    """Column names made distinct as pandas does: ``Unnamed: 3`` for an empty one, ``a.1`` for a second ``a``."""
    unique: dict[str, None] = {}
    counts: Counter[str] = Counter()
    for place, original in enumerate(names):
        name = first = original or f"Unnamed: {place}"
        while name in unique:
            counts[first] += 1
            name = f"{first}.{counts[first]}"
        unique[name] = None
    return list(unique)

"""The user's own ids: lists of them in files, and the text, tables and lines that they are read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distil.data.file_readers import (
    HEADERS,
    ID,
    LABEL,
    csv_rows,
    existing,
    json_lines,
    mapped_npy,
    text_lines,
)
from distil.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Ids:
    """A list of ids out of a file.

    Attributes:
        names: As they stand in the file, distinct.
        labels: As many, where the file has them.
        origin: The file, for messages.
        positions: Whether they are row numbers whatever the rows are called, as an array of whole numbers holds them.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...] | None
    origin: str
    positions: bool = False

    def rows(self, index: Mapping[str, int] | None, size: int) -> NDArray[np.int64]:
        """The row of each id in a pool.

        Args:
            index: Name -> row of a pool whose rows have names; None: ids are row numbers.
            size: Rows of the pool.

        Raises:
            InvalidInput: Ids that the pool does not have.
        """
        if index is None or self.positions:
            found = [
                int(name) if name.isascii() and name.isdecimal() and int(name) < size else -1 for name in self.names
            ]
        else:
            found = [index.get(name, -1) for name in self.names]
        lost = [name for name, row in zip(self.names, found, strict=True) if row < 0]
        if lost:
            raise InvalidInput(self._lost(lost, index if not self.positions else None, size))
        return np.array(found, dtype=np.int64)

    def _lost(self, lost: Sequence[str], index: Mapping[str, int] | None, size: int) -> str:
        told = ", ".join(map(repr, lost[:3])) + (", ..." if len(lost) > 3 else "")
        have = f"a pool without names has the ids 0 to {size - 1}"
        if index is not None:
            have = f"the ids there begin with {', '.join(map(repr, list(index)[:3]))}"
        return f"{self.origin}: {len(lost)} of {len(self.names)} ids are not in the pool: {told}; {have}"


def index_of(names: Sequence[str] | None) -> dict[str, int] | None:
    """Name -> row; None for rows without names."""
    return None if names is None else {name: row for row, name in enumerate(names)}


def read_ids(path: str | Path) -> Ids:
    """Read a list of ids: those labeled, those that may be chosen, those that may not.

    Args:
        path: ``.txt``, an id a line; ``.csv`` or ``.tsv`` with the columns ``id`` and, if you like, ``label`` (without ``id``, the
            first column serves; without a header the first two do); ``.jsonl`` of objects with ``id`` and ``label``, or of ids
            alone; ``.npy`` of text, or of whole numbers: row numbers of the pool.

    Raises:
        DataNotFound: No such file.
        InvalidInput: Another kind of file, an id that is there twice, a label that is missing.
    """
    path = existing(Path(path).expanduser())
    reader = _ID_READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{path}: ids are read from {', '.join(_ID_READERS)}; got {path.suffix or 'no ending'}")
    found = reader(path)
    distinct(found.names, found.origin)
    return found


def distinct(names: Sequence[str], origin: str) -> list[str]:
    """``names``; InvalidInput names the first that is there twice."""
    if len(set(names)) < len(names):
        name = next(name for name, count in Counter(names).items() if count > 1)
        raise InvalidInput(f"{origin}: the id {name!r} is there more than once")
    return list(names)


def as_name(value: object) -> str:
    """The text that an id is known by: 7 and 7.0 are ``"7"``."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _txt_ids(path: Path) -> Ids:
    return Ids(tuple(text_lines(path)), None, str(path))


def _csv_ids(path: Path) -> Ids:
    rows = list(csv_rows(path))
    first = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    header = bool(set(first) & HEADERS)
    place = first.index(ID) if header and ID in first else 0
    label = first.index(LABEL) if header and LABEL in first else (1 if not header and len(first) == 2 else None)
    body = rows[1:] if header else rows
    for line, cells in body:
        if len(cells) != len(first):
            raise InvalidInput(f"{path}, line {line}: expected {len(first)} columns, got {len(cells)}")
        if not cells[place].strip() or (label is not None and not cells[label].strip()):
            raise InvalidInput(f"{path}, line {line}: the id or its label is missing; fill it in or take the line out")
    labels = None if label is None else tuple(as_name(cells[label].strip()) for _, cells in body)
    return Ids(tuple(cells[place].strip() for _, cells in body), labels, str(path))


def _jsonl_ids(path: Path) -> Ids:
    names, labels = [], []
    for line, value in json_lines(path):
        entry = value if isinstance(value, dict) else {ID: value}
        if entry.get(ID) is None:
            raise InvalidInput(
                f"{path}, line {line}: there is no `id`; expected an object with id and, if you like, label"
            )
        names.append(as_name(entry[ID]))
        if entry.get(LABEL) is not None:
            labels.append(as_name(entry[LABEL]))
    if labels and len(labels) < len(names):
        raise InvalidInput(f"{path}: {len(labels)} of {len(names)} lines have a label; give all of them one, or none")
    return Ids(tuple(names), tuple(labels) or None, str(path))


def _npy_ids(path: Path) -> Ids:
    found = mapped_npy(path)
    if found.ndim != 1 or found.dtype.kind not in "iuU":
        raise InvalidInput(f"{path} must hold row numbers or text, (M,); got {found.dtype} {found.shape}")
    return Ids(tuple(map(str, found.tolist())), None, str(path), found.dtype.kind != "U")


_ID_READERS: Final[dict[str, Callable[[Path], Ids]]] = {
    ".txt": _txt_ids,
    ".csv": _csv_ids,
    ".tsv": _csv_ids,
    ".jsonl": _jsonl_ids,
    ".npy": _npy_ids,
}

ID_FILES: Final = tuple(_ID_READERS)
"""Endings of the files that :func:`read_ids` reads."""

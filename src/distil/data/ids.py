"""The user's own ids: lists of them in files, how they are compared, and the rows that they name."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distil.data.array_formats import listed, mapped_npy
from distil.data.file_readers import ending, existing, text_lines
from distil.data.headers import ID, LABELS, is_free_text, is_missing, is_no_text
from distil.data.table_files import JsonTable, Rows, Table, open_table
from distil.errors import InvalidInput
from distil.system.runtime import Runtime


@dataclass(frozen=True, eq=False)
class ListedIds:
    """A list of ids out of a file.

    Attributes:
        names: As they stand in the file, blanks around them included, distinct.
        labels: As many, where the file has them.
        origin: The file, for messages.
        positions: Whether they are row numbers whatever the rows are called, as an array of whole numbers holds them.
        note: What was taken for the ids, where the file does not name them; else empty.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...] | None
    origin: str
    positions: bool = False
    note: str = ""

    def rows(self, index: Mapping[str, int] | None, size: int) -> NDArray[np.int64]:
        """The row of each id in a pool.

        An id is the row of that very name, else of the one name that differs in blanks around it, in how accents are encoded or
        in a decimal ``.0`` only: file systems, spreadsheets and pandas change these.

        Args:
            index: Name -> row of a pool whose rows have names; None: ids are row numbers.
            size: Rows of the pool.

        Raises:
            InvalidInput: ListedIds that the pool does not have, or two that are one row's.
        """
        numbers = index is None or self.positions
        found = [_position(name, size) for name in self.names] if numbers else matched(self.names, index or {})
        lost = [name for name, row in zip(self.names, found, strict=True) if row < 0]
        if lost:
            raise InvalidInput(self._lost(lost, None if numbers else index, size))
        if len(set(found)) < len(found):
            row = Counter(found).most_common(1)[0][0]
            twice = [name for name, place in zip(self.names, found, strict=True) if place == row]
            raise InvalidInput(f"{self.origin}: {twice[0]!r} and {twice[1]!r} are one id of the pool; keep one of them")
        return np.array(found, dtype=np.int64)

    def _lost(self, lost: Sequence[str], index: Mapping[str, int] | None, size: int) -> str:
        told = ", ".join(map(repr, lost[:3])) + (", ..." if len(lost) > 3 else "")
        have = f"a pool without names has the ids 0 to {size - 1}"
        if index is not None:
            have = f"the ids there begin with {', '.join(map(repr, list(index)[:3]))}"
        if any(name != name.encode("utf-8", "ignore").decode() for name in lost):
            have += "; the file is not UTF-8 text, save it as UTF-8"
        return f"{self.origin}: {len(lost)} of {len(self.names)} ids are not in the pool: {told}; {have}"


def _position(name: str, size: int) -> int:
    """The row that a number names; -1 where there is none."""
    text = normal(name)
    row = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else size
    return row if row < size else -1


def matched(names: Sequence[str], index: Mapping[str, int]) -> list[int]:
    """The row of each name, -1 where there is none, as :meth:`ListedIds.rows` finds it."""
    found = [index.get(name, -1) for name in names]
    if -1 in found:
        alike: dict[str, int] = {}
        for name, row in index.items():
            key = normal(name)
            alike[key] = -1 if key in alike else row  # of two names that are alike, neither is meant
        found = [alike.get(normal(name), -1) if row < 0 else row for name, row in zip(names, found, strict=True)]
    return found


def normal(name: str) -> str:
    """The form in which ids are compared that are not equal: no blanks around them, accents composed (NFC), 7 for 7.0."""
    text = unicodedata.normalize("NFC", name.strip())
    return text[:-2] if text.endswith(".0") and text[:-2].isdecimal() else text


def index_of(names: Sequence[str] | None) -> dict[str, int] | None:
    """Name -> row; None for rows without names."""
    return None if names is None else {name: row for row, name in enumerate(names)}


def read_ids(path: str | Path) -> ListedIds:
    """Read a list of ids: those labeled, those that may be chosen, those that may not.

    Args:
        path: ``.txt``, an id a line; ``.csv``, ``.tsv`` or ``.parquet`` with the columns ``id`` and optionally ``label``
            (without ``id``, the first column serves; without a header the first two do); ``.jsonl`` of objects with ``id`` and
            ``label``, or of ids alone; ``.npy`` of text, or of whole numbers: row numbers of the pool.

    Raises:
        DataNotFound: No such file.
        InvalidInput: Another kind of file, a damaged one, an id that is there twice, a label that is missing.
    """
    path = existing(Path(path).expanduser())
    reader = _ID_READERS.get(ending(path))
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
    """The text that an id is known by: 7 and 7.0 are ``"7"``, bytes are UTF-8."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _txt_ids(path: Path) -> ListedIds:
    # names of files may be other bytes than UTF-8, which are carried through, here and in tables
    return ListedIds(tuple(line for _, line in text_lines(path, "surrogateescape")), None, str(path))


def _table_ids(path: Path) -> ListedIds:
    table = open_table(path, errors="surrogateescape")
    own, label = _id_columns(table)
    found = table.read([], [own] if label is None else [own, label], Runtime())
    labels = found.cells[1] if label is not None else []
    for place, *cells in zip(found.places, *found.cells, strict=True):
        if any(map(is_no_text, cells)):
            told = f"{sum(not is_no_text(cell) for cell in labels)} of {len(labels)} {table.unit}s have a label"
            raise InvalidInput(
                f"{table.where(place)}: the id or its label is missing; fill it in or take the {table.unit} out"
                + (f" ({told}; give all of them one, or none)" if label is not None else "")
            )
    names = tuple(map(as_name, found.cells[0]))
    return ListedIds(
        names, tuple(as_name(cell).strip() for cell in labels) or None, str(path), note=_note(path, own, label)
    )


def _id_columns(table: Table) -> tuple[str, str | None]:
    """The column of ids, and that of labels, if there is one."""
    if not table.columns:
        raise InvalidInput(f"{table.path} is empty; expected ids, with the header id or id,label")
    label = table.named(*LABELS)
    own = table.named(ID)
    if own is None and isinstance(table, JsonTable) and table.header:
        raise InvalidInput(f"{table.where(1)}: there is no `id`; expected an object with id and optionally label")
    if own is None and not table.header and len(table.columns) == 2:
        own, label = table.columns
    own = own or _likely_ids(table, label)
    if own is None:
        raise InvalidInput(f"{table.path} has labels and no ids; expected the columns id and label")
    return own, label


def _likely_ids(table: Table, label: str | None) -> str | None:
    """The column of ids where none is called so: an index of text, or the first column that may be one; else the index."""
    free = [name for name in table.columns if name not in table.left_out and name != label]
    if table.index is not None and table.index not in table.left_out:
        return table.index
    likely = [name for name in free if _may_be_ids(table.kinds[name], table.sample[name])]
    return next(iter(likely if table.index is not None else free), table.index)


def _may_be_ids(kind: str, cells: Sequence[object]) -> bool:
    """Whether a column of a table with an index holds names, or whole numbers that differ, rather than features or sentences."""
    if kind == "number":
        whole = (not is_missing(cell) and float(str(cell)).is_integer() for cell in cells)
        return len(set(cells)) == len(cells) and all(whole)
    return kind == "text" and not is_free_text(cells)


def ids_in(table: Table, own: str, rows: Rows, cells: Sequence[object], *, asked: bool) -> tuple[list[str] | None, str]:
    """The ids in a column, distinct; or None, and why the index of a frame is left out: positions then serve.

    Args:
        table: The table.
        own: The column.
        rows: What was read.
        cells: The column's.
        asked: Whether the user says that these are the ids.

    Raises:
        InvalidInput: An id that is missing, or there twice.
    """
    missing = next((place for place, cell in zip(rows.places, cells, strict=True) if is_no_text(cell)), None)
    if missing is not None:
        raise InvalidInput(f"{table.where(missing)}: the id is missing")
    names = [as_name(cell) for cell in cells]
    if not asked and own == table.index:
        if names == [str(row) for row in range(len(names))]:
            return None, "counts rows"
        if len(set(names)) < len(names):
            return None, "has repeats, so it names no row,"
    return distinct(names, str(table.path)), ""


def _note(path: Path, own: str, label: str | None) -> str:
    if own.lower() == ID:
        return ""
    return f"read `{own}` of {path.name} as ids" + (f" and `{label}` as labels" if label is not None else "")


def _npy_ids(path: Path) -> ListedIds:
    found = mapped_npy(path)
    if found.ndim != 1 or found.dtype.kind not in "iuUS":
        raise InvalidInput(f"{path} must hold row numbers or text, (M,); got {found.dtype} {found.shape}")
    return ListedIds(tuple(map(as_name, listed(found, str(path)))), None, str(path), found.dtype.kind in "iu")


_ID_READERS: Final[dict[str, Callable[[Path], ListedIds]]] = {
    ".txt": _txt_ids,
    ".csv": _table_ids,
    ".tsv": _table_ids,
    ".jsonl": _table_ids,
    ".parquet": _table_ids,
    ".npy": _npy_ids,
}

ID_FILES: Final = tuple(_ID_READERS)
"""Endings of the files that :func:`read_ids` reads."""


def names_column(ids: object) -> str | None:
    """The column that a user's ``ids`` name; None where they are a file, by its ending, or ids themselves."""
    return ids if isinstance(ids, str) and ending(Path(ids)) not in ID_FILES else None

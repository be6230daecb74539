"""The user's ids: reading lists of them from files, comparing them, and finding the rows that they name."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from distil.data.array_formats import listed, mapped_npy
from distil.data.cells import unescaped
from distil.data.columns import HOLDS_IDS, Rows, Table, as_float
from distil.data.file_readers import ending, existing, text_lines
from distil.data.headers import ID, LABELS, LIKE_LABELS, is_free_text, is_missing, is_no_text
from distil.data.images import images_below
from distil.data.table_files import JsonTable, Quoting, open_table
from distil.errors import InvalidInput
from distil.system.runtime import Runtime


@dataclass(frozen=True, eq=False)
class ListedIds:
    """A list of ids read from a file.

    Attributes:
        names: The ids, distinct, as the file has them, including surrounding blanks.
        labels: One label per id in the form of :func:`normal`, so ``1`` and ``1.0`` are one class; None where the file has no
            labels.
        origin: The file, for messages.
        positions: True where the ids are row numbers even if the pool's rows have names, as in an array of whole numbers.
        note: The column that was read as ids, where no column is called ``id``; else empty.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...] | None
    origin: str
    positions: bool = False
    note: str = ""

    def rows(self, index: Mapping[str, int] | None, size: int) -> NDArray[np.int64]:
        """The row of each id in a pool.

        An id matches the row with exactly that name. If there is none, it matches the only row whose name differs just in
        surrounding blanks, in the encoding of accents or in a decimal ``.0``: file systems, spreadsheets and pandas change these.

        Args:
            index: Name -> row, for a pool whose rows have names; None: ids are row numbers.
            size: Number of rows in the pool.

        Raises:
            InvalidInput: An id is not in the pool, or two ids match the same row.
        """
        numbers = index is None or self.positions
        rows = [_position(name, size) for name in self.names] if numbers else matched(self.names, index or {})
        missing = [name for name, row in zip(self.names, rows, strict=True) if row < 0]
        if missing:
            raise InvalidInput(self._not_in_pool(missing, None if numbers else index, size))
        if len(set(rows)) < len(rows):
            repeated = Counter(rows).most_common(1)[0][0]
            same = [name for name, row in zip(self.names, rows, strict=True) if row == repeated]
            raise InvalidInput(f"{self.origin}: {same[0]!r} and {same[1]!r} are one id of the pool; keep one of them")
        return np.array(rows, dtype=np.int64)

    def _not_in_pool(self, missing: Sequence[str], index: Mapping[str, int] | None, size: int) -> str:
        listing = ", ".join(map(repr, missing[:3])) + (", ..." if len(missing) > 3 else "")
        expected = f"a pool without names has the ids 0 to {size - 1}"
        if index is not None:
            expected = f"the pool's ids begin with {', '.join(map(repr, list(index)[:3]))}"
        if any(name != name.encode("utf-8", "ignore").decode() for name in missing):
            expected += "; the file is not UTF-8 text, save it as UTF-8"
        return f"{self.origin}: {len(missing)} of {len(self.names)} ids are not in the pool: {listing}; {expected}"


def merged(lists: Sequence[ListedIds], index: Mapping[str, int] | None, size: int) -> ListedIds:
    """Several lists of ids of one pool as one list; an id that is in two of them counts once.

    Args:
        lists: At least one.
        index: Name -> row of the pool, as for :meth:`ListedIds.rows`.
        size: Rows of the pool.

    Raises:
        InvalidInput: An id has different labels in two lists, or only some of the lists have labels.
    """
    if len(lists) == 1:
        return lists[0]
    labeled = [each for each in lists if each.labels is not None]
    bare = next((each for each in lists if each.labels is None), None)
    if labeled and bare is not None:
        raise InvalidInput(
            f"{labeled[0].origin} has labels and {bare.origin} has none; give labels in both, or in neither"
        )
    first: dict[int, tuple[str, str, str]] = {}
    for each in lists:
        for row, name, label in zip(
            each.rows(index, size).tolist(), each.names, each.labels or each.names, strict=True
        ):
            _, known, origin = first.setdefault(row, (name, label, each.origin))
            if labeled and normal(known) != normal(label):
                raise InvalidInput(
                    f"{name!r} has the label {known!r} in {origin} and {label!r} in {each.origin}; keep one of them"
                )
    by_row = len({each.positions for each in lists}) > 1
    names = tuple(map(str, first)) if by_row else tuple(name for name, _, _ in first.values())
    labels = tuple(label for _, label, _ in first.values()) if labeled else None
    return ListedIds(names, labels, " and ".join(each.origin for each in lists), by_row or lists[0].positions)


def _position(name: str, size: int) -> int:
    """The row that a number names; -1 for a name that is not a row number of the pool."""
    text = normal(name)
    row = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else size
    return row if row < size else -1


def matched(names: Sequence[str], index: Mapping[str, int]) -> list[int]:
    """The row of each name by the rules of :meth:`ListedIds.rows`; -1 for a name that matches none."""
    rows = [index.get(name, -1) for name in names]
    if -1 in rows:
        alike: dict[str, int] = {}
        for name, row in index.items():
            key = normal(name)
            alike[key] = -1 if key in alike else row  # a form that two names share matches neither
        rows = [alike.get(normal(name), -1) if row < 0 else row for name, row in zip(names, rows, strict=True)]
    return rows


def normal(name: str) -> str:
    """The form in which unequal ids are compared: without surrounding blanks, accents composed (NFC), 7 for 7.0."""
    text = unicodedata.normalize("NFC", name.strip())
    return text[:-2] if text.endswith(".0") and text[:-2].removeprefix("-").isdecimal() else text


def index_of(names: Sequence[str] | None) -> dict[str, int] | None:
    """Name -> row; None for rows without names."""
    return None if names is None else {name: row for row, name in enumerate(names)}


def read_ids(path: str | Path, quoting: Quoting | None = None) -> ListedIds:
    """Read a list of ids, with labels or without: of labeled examples, of candidates, of examples to leave out.

    Args:
        path: A file in one of these formats: ``.txt`` with one id per line; ``.csv``, ``.tsv`` or ``.parquet`` with the columns
            ``id`` and optionally ``label`` (without a column ``id``, the first column holds the ids; in a file of two columns
            without a header, the second holds the labels); ``.json`` or ``.jsonl`` of objects with ``id`` and optionally
            ``label``, or of bare ids; ``.npy`` of text, or of whole numbers, which are row numbers of the pool. Or a folder with a
            folder of images for each class: the ids are the paths of the images below it, the labels are the names of the folders.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.

    Raises:
        DataNotFound: There is no such file.
        InvalidInput: The file is of another kind or damaged, an id occurs twice, or a label is missing.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _class_folders(path)
    path = existing(path)
    reader = _ID_READERS.get(ending(path))
    if reader is None:
        raise InvalidInput(f"{path}: ids are read from {', '.join(_ID_READERS)}; got {path.suffix or 'no ending'}")
    ids = reader(path, quoting)
    distinct(ids.names, ids.origin)
    return ids


def distinct(names: Sequence[str], origin: str) -> list[str]:
    """``names`` as a list; InvalidInput with the first name that occurs twice."""
    if len(set(names)) < len(names):
        name = next(name for name, count in Counter(names).items() if count > 1)
        raise InvalidInput(f"{origin}: the id {name!r} occurs more than once; list each id once")
    return list(names)


def as_name(value: object) -> str:
    """An id as text: 7 and 7.0 are ``"7"``, bytes are decoded as UTF-8."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def text_in(table: Table, cell: object) -> str:
    """An id or a label of a table as text."""
    return unescaped(as_name(cell)) if table.escaped else as_name(cell)


def _txt_ids(path: Path, _: Quoting | None) -> ListedIds:
    # file names may hold bytes that are not UTF-8; these are kept unchanged, here and in tables
    return ListedIds(tuple(line for _, line in text_lines(path, "surrogateescape")), None, str(path))


def _class_folders(folder: Path) -> ListedIds:
    """The images below a folder; the label of each is the folder, directly below ``folder``, that it is in."""
    names = tuple(sorted(name for name, _ in images_below(folder)))
    loose = next((name for name in names if "/" not in name), None)
    if loose is not None or not names:
        raise InvalidInput(
            f"{folder}: expected one folder for each class, with its images in it, such as {folder / 'cat' / '1.png'}; got "
            + ("no image" if loose is None else f"{loose!r}, which is in none")
            + "; or pass a table with the columns id and label"
        )
    labels = tuple(name.partition("/")[0] for name in names)
    classes = list(dict.fromkeys(labels))
    listing = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
    return ListedIds(names, labels, str(folder), note=f"read the folders in {folder.name} as labels: {listing}")


def _table_ids(path: Path, quoting: Quoting | None) -> ListedIds:
    table = open_table(path, errors="surrogateescape", quoting=quoting)
    own, label = _id_columns(table)
    rows = table.read([], [own] if label is None else [own, label], Runtime())
    labels = rows.cells[1] if label is not None else []
    for place, *cells in zip(rows.places, *rows.cells, strict=True):
        if any(map(is_no_text, cells)):
            n_labels = f"{sum(not is_no_text(cell) for cell in labels)} of {len(labels)} {table.unit}s have a label"
            raise InvalidInput(
                f"{table.where(place)}: the id or its label is missing; fill it in or take the {table.unit} out"
                + (f" ({n_labels}; give all of them one, or none)" if label is not None else "")
            )
        wrong = next((cell for cell in cells if isinstance(cell, (list, dict))), None)
        if wrong is not None:
            raise InvalidInput(
                f"{table.where(place)}: expected a text or a number as id and as label, one class for each id; got "
                f"{wrong!r:.60}"
            )
    names = tuple(text_in(table, cell) for cell in rows.cells[0])
    note = "; ".join(filter(None, (_note(path, own, label), _unread(table, label))))
    return ListedIds(names, tuple(normal(text_in(table, cell)) for cell in labels) or None, str(path), note=note)


def _unread(table: Table, label: str | None) -> str:
    """A sentence on a column that may hold labels and is not read, in a table without a column of labels; else empty."""
    like = next((name for name in table.columns if name.lower() in LIKE_LABELS), None)
    if label is not None or like is None:
        return ""
    return f"`{like}` of {table.path.name} is not read; if it holds labels, call it label"


def _id_columns(table: Table) -> tuple[str, str | None]:
    """The names of the columns of ids and of labels; None for a table without labels."""
    if not table.columns:
        raise InvalidInput(f"{table.path} is empty; expected ids, with the header id or id,label")
    label = table.named(*LABELS)
    own = table.named(ID)
    if own is None and isinstance(table, JsonTable) and table.header and table.index is None:
        raise InvalidInput(f"{table.where(1)}: there is no `id`; expected an object with id and optionally label")
    if own is None and len(table.columns) == 2 and _are_ids_and_labels(table):
        own, label = table.columns
    own = own or _likely_ids(table, label)
    if own is None:
        raise InvalidInput(f"{table.path} has labels and no ids; expected the columns id and label")
    return own, label


def _are_ids_and_labels(table: Table) -> bool:
    """Whether two columns without names, or with the numbers that pandas writes as names, are ids and labels by their order."""
    first, second = table.columns
    named = not first.isdecimal() and table.left_out.get(first) == "counts rows"
    return not table.header or (second.isdecimal() and not named)


def _likely_ids(table: Table, label: str | None) -> str | None:
    """The column of ids of a table without a column ``id``: an index of names or ids, else a likely column, else the index."""
    free = [name for name in table.columns if name not in table.left_out and name != label]
    if table.index is not None and table.left_out.get(table.index) in (None, HOLDS_IDS):
        return table.index
    likely = [name for name in free if _may_be_ids(table.kinds[name], table.sample[name])]
    return next(iter(likely if table.index is not None else free), table.index)


def _may_be_ids(kind: str, cells: Sequence[Any]) -> bool:
    """Whether a column of a table with an index holds names or distinct whole numbers, not features or sentences."""
    if kind == "number":
        whole = (not is_missing(cell) and as_float(cell).is_integer() for cell in cells)
        return len(set(cells)) == len(cells) and all(whole)
    return kind == "text" and not is_free_text(cells)


def ids_in(table: Table, own: str, rows: Rows, cells: Sequence[object], *, asked: bool) -> tuple[list[str] | None, str]:
    """The distinct ids of a column, and an empty text; or None (positions are the ids), and why a frame's index is left out.

    Args:
        table: The table.
        own: The name of the column.
        rows: The rows that were read, with their places in the file.
        cells: The cells of the column, one per row.
        asked: Whether the user named this column as the ids.

    Raises:
        InvalidInput: An id is missing or occurs twice.
    """
    missing = next((place for place, cell in zip(rows.places, cells, strict=True) if is_no_text(cell)), None)
    if missing is not None:
        raise InvalidInput(f"{table.where(missing)}: the id is missing; fill it in or take the {table.unit} out")
    names = [text_in(table, cell) for cell in cells]
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


def _npy_ids(path: Path, _: Quoting | None) -> ListedIds:
    values = mapped_npy(path)
    if values.ndim != 1 or values.dtype.kind not in "iuUS":
        raise InvalidInput(f"{path} must hold row numbers or text, (M,); got {values.dtype} {values.shape}")
    return ListedIds(tuple(map(as_name, listed(values, str(path)))), None, str(path), values.dtype.kind in "iu")


_ID_READERS: Final[dict[str, Callable[[Path, Quoting | None], ListedIds]]] = {
    ".txt": _txt_ids,
    ".csv": _table_ids,
    ".tsv": _table_ids,
    ".json": _table_ids,
    ".jsonl": _table_ids,
    ".parquet": _table_ids,
    ".npy": _npy_ids,
}

ID_FILES: Final = tuple(_ID_READERS)
"""File endings that :func:`read_ids` reads."""


def names_column(ids: object) -> str | None:
    """``ids`` if it is the name of a column; None if it is a file, by its ending, or a list of ids."""
    return ids if isinstance(ids, str) and ending(Path(ids)) not in ID_FILES else None

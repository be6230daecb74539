"""The user's ids: reading lists of them from files, comparing them, and finding the rows that they name."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from distil.data.array_formats import listed, mapped_npy
from distil.data.cells import unescaped, with_control
from distil.data.columns import HOLDS_IDS, Rows, Table, as_float
from distil.data.file_readers import ending, existing, text_lines
from distil.data.headers import ID, LABELS, LIKE_LABELS, is_free_text, is_missing, is_no_text
from distil.data.images import endings, images_below
from distil.data.table_files import JsonTable, Quoting, open_table
from distil.errors import InvalidInput
from distil.system.runtime import Runtime

_SHOWN: Final = 3
_WHOLE: Final = re.compile(r"(-?\d+)\.0+|(\d{4}-\d\d-\d\d)[ T]00:00:00(?:\.0+)?")  # with digits that add nothing


@dataclass(frozen=True, eq=False)
class ListedIds:
    """A list of ids read from a file.

    Attributes:
        names: The ids, distinct, as the file has them, including surrounding blanks.
        labels: One label per id in the form of :func:`normal`, so ``1`` and ``1.0`` are one class; empty for an id that has none
            yet; None where the file has no labels.
        origin: The file, for messages.
        positions: True where the ids are row numbers even if the pool's rows have names, as in an array of whole numbers.
        note: What was read in another way than it was written, as sentences: the column of ids, where none is called ``id``, the
            labels of a file that is not UTF-8, and labels that differ only in case; else empty.
        places: For messages, the line or row of each id in its file; empty if unknown.
        unit: What ``places`` count: ``"line"`` or ``"row"``.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...] | None
    origin: str
    positions: bool = False
    note: str = ""
    places: Sequence[int] = ()
    unit: str = "line"

    def answered(self) -> ListedIds:
        """The ids that have a label, with a note on how many these are; all ids where the file has no labels.

        Raises:
            InvalidInput: The file has labels, and they are all empty.
        """
        kept = [place for place, label in enumerate(self.labels or self.names) if label]
        if self.labels is None or len(kept) == len(self.names):
            return self
        if not kept:
            raise InvalidInput(
                f"{self.origin}: none of its {len(self.names):,} rows has a label; fill in the labels, or take their column out if "
                "all of these ids are labeled"
            )
        note = f"{len(kept)} of {len(self.names)} rows labeled in {Path(self.origin).name}"
        return self._only(kept, "; ".join(filter(None, (self.note, note))))

    def once(self) -> ListedIds:
        """Each id once, with its label.

        Raises:
            InvalidInput: An id has two labels.
        """
        first: dict[str, int] = {}
        for place, name in enumerate(self.names):
            _, first[name] = _labeled(self, first.get(name, place), self, place)
        return self if len(first) == len(self.names) else self._only(list(first.values()), self.note)

    def where(self, place: int) -> str:
        """The file, and the line or row of an id in it, for messages."""
        return f"{self.origin}, {self.unit} {self.places[place]}" if self.places else self.origin

    def _only(self, kept: Sequence[int], note: str) -> ListedIds:
        names = tuple(self.names[place] for place in kept)
        labels = None if self.labels is None else tuple(self.labels[place] for place in kept)
        places = [self.places[place] for place in kept] if self.places else ()
        return replace(self, names=names, labels=labels, note=note, places=places)

    def rows(self, index: Mapping[str, int] | None, size: int) -> NDArray[np.int64]:
        """The row of each id in a pool.

        An id matches the row with exactly that name. If there is none, it matches the only row whose name differs just in
        surrounding blanks, in the encoding of accents, in a decimal ``.0`` or ``.00``, or in a time ``00:00:00``: file systems,
        spreadsheets and pandas change these.

        Args:
            index: Name -> row, for a pool whose rows have names; None: ids are row numbers.
            size: Number of rows in the pool.

        Raises:
            InvalidInput: An id is not in the pool, or two ids match the same row.
        """
        numbers = index is None or self.positions
        rows = [position_of(name, size) for name in self.names] if numbers else matched(self.names, index or {})
        missing = [name for name, row in zip(self.names, rows, strict=True) if row < 0]
        if missing:
            raise InvalidInput(self._not_in_pool(missing, None if numbers else index, size))
        if len(set(rows)) < len(rows):
            repeated = Counter(rows).most_common(1)[0][0]
            same = [name for name, row in zip(self.names, rows, strict=True) if row == repeated]
            raise InvalidInput(f"{self.origin}: {same[0]!r} and {same[1]!r} are one id of the pool; keep one of them")
        return np.array(rows, dtype=np.int64)

    def _not_in_pool(self, missing: Sequence[str], index: Mapping[str, int] | None, size: int) -> str:
        listing = ", ".join(map(repr, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
        expected = f"a pool without names has the ids 0 to {size - 1}"
        if index is not None:
            expected = f"the pool's ids begin with {', '.join(map(repr, list(index)[:_SHOWN]))}"
            expected += _spreadsheet_hint(missing, index)
        if not all(map(is_utf8, missing)):
            expected += "; the file is not UTF-8 text, save it as UTF-8"
        if self.note.startswith("read `"):
            expected += f"; {self.note}, because it has no column id"
        return f"{self.origin}: {len(missing):,} of {len(self.names):,} ids are not in the pool: {listing}; {expected}"


def _spreadsheet_hint(missing: Sequence[str], index: Mapping[str, int]) -> str:
    """The end of a message about ids that a spreadsheet has taken for numbers; else empty."""
    padded = {name.lstrip("0") or "0": name for name in index if name.startswith("0") and name.isdecimal()}
    cut = next((name for name in missing if normal(name) in padded), None)
    long = next((name for name in missing if re.fullmatch(r"-?\d([.,]\d+)?[eE]\+\d+", name.strip())), None)
    if cut is not None:
        change = f"made {cut!r} of {padded[normal(cut)]!r}"
    elif long is not None:
        change = f"rounded a long number to {long!r}"
    else:
        return ""
    return f"; a spreadsheet has {change}: import the column of ids as text there, and enter the labels again"


def _labeled(one: ListedIds, place: int, other: ListedIds, other_place: int) -> tuple[ListedIds, int]:
    """The first of two places of an id, or the one that has a label; InvalidInput if they have different labels."""
    if one.labels is None or other.labels is None:
        return one, place
    label, second = one.labels[place], other.labels[other_place]
    if label and second and normal(label) != normal(second):
        raise InvalidInput(
            f"{other.names[other_place]!r} has the label {label!r} in {one.where(place)} and {second!r} in "
            f"{other.where(other_place)}; keep one of them"
        )
    return (one, place) if label or not second else (other, other_place)


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
    by_row = len({each.positions for each in lists}) > 1
    return _joined(lists, [each.rows(index, size).tolist() for each in lists], by_row)


def united(lists: Sequence[ListedIds]) -> ListedIds:
    """Several lists of ids as one, as :func:`merged`, where no pool has all of them."""
    return lists[0] if len(lists) == 1 else _joined(lists, [list(map(normal, each.names)) for each in lists], False)


def _joined(lists: Sequence[ListedIds], keys: Sequence[Sequence[Hashable]], by_key: bool) -> ListedIds:
    """The lists as one; ids with equal ``keys`` are one id. With ``by_key``, the keys are row numbers and the ids of the result."""
    labeled = [each for each in lists if each.labels is not None]
    bare = next((each for each in lists if each.labels is None), None)
    if labeled and bare is not None:
        raise InvalidInput(
            f"{labeled[0].origin} has labels and {bare.origin} has none; give labels in both, or in neither"
        )
    first: dict[Hashable, tuple[ListedIds, int]] = {}
    for each, own in zip(lists, keys, strict=True):
        for place, key in enumerate(own):
            first[key] = _labeled(*first.get(key, (each, place)), each, place)
    names = tuple(map(str, first)) if by_key else tuple(each.names[place] for each, place in first.values())
    labels = tuple((each.labels or each.names)[place] for each, place in first.values()) if labeled else None
    return ListedIds(names, labels, " and ".join(each.origin for each in lists), by_key or lists[0].positions)


def position_of(name: str, size: int) -> int:
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


def meant(names: Set[str], index: Mapping[str, int]) -> dict[str, int]:
    """The part of an index that lists of ids need, with all that may match them by the rules of :meth:`ListedIds.rows`.

    Args:
        names: The names of all lists, in the form of :func:`normal`.
        index: Name -> row.

    Returns:
        Its first names and those that a spreadsheet may have changed, which messages tell of, and those that the lists may mean.
    """
    if not names:
        return {}
    begin = dict(islice(index.items(), _SHOWN))
    padded = (name for name in index if name.startswith("0") and (name.lstrip("0") or "0") in names)
    return begin | {name: index[name] for name in chain(padded, (name for name in index if normal(name) in names))}


def note_on_case(labels: Iterable[str]) -> str:
    """A note on the first two labels that differ only in case, and are two classes; empty if there are none.

    >>> note_on_case(["cat", "dog", "Cat", "cat"])
    "the labels 'cat' and 'Cat' differ only in case, and are two classes"
    """
    known: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        first = known.setdefault(label.casefold(), label)
        if first != label:
            return f"the labels {first!r} and {label!r} differ only in case, and are two classes"
    return ""


def normal(name: str) -> str:
    """The form in which unequal ids are compared: as :func:`composed`, and 7 for 7.0 and 7.00.

    A time at midnight is its date: pandas writes no times into csv where all of them are midnight.
    """
    text = composed(name)
    if not text.endswith("0"):
        return text
    whole = _WHOLE.fullmatch(text)
    return text if whole is None else whole[1] or whole[2]


def composed(name: str) -> str:
    """A name without surrounding blanks, accents composed (NFC).

    Bytes that are not UTF-8 are read as Windows-1252, in which spreadsheets write csv.
    """
    return unicodedata.normalize("NFC", (name if name.isascii() else _decoded(name)).strip())


def _decoded(name: str) -> str:
    try:
        return name if is_utf8(name) else name.encode(errors="surrogateescape").decode("cp1252")
    except UnicodeError:
        return name


def is_utf8(text: str) -> bool:
    """Whether a text can be written as UTF-8; names of files and cells may hold bytes that are not."""
    return text == text.encode(errors="ignore").decode()


def index_of(names: Sequence[str] | None) -> dict[str, int] | None:
    """Name -> row; None for rows without names."""
    return None if names is None else {name: row for row, name in enumerate(names)}


def read_ids(path: str | Path, quoting: Quoting | None = None) -> ListedIds:
    """Read a list of ids, with labels or without: of labeled examples, of candidates, of examples to leave out.

    Args:
        path: A file in one of these formats: ``.txt`` with one id per line; ``.csv``, ``.tsv``, ``.xlsx`` or ``.parquet`` with the
            columns ``id`` and optionally ``label`` (without a column ``id``, the first column holds the ids; in a file of two
            columns without a header, the second holds the labels); ``.json`` or ``.jsonl`` of objects with ``id`` and optionally
            ``label``, or of bare ids; ``.npy`` of text, or of whole numbers, which are row numbers of the pool. Or a folder with a
            folder of images for each class: the ids are the paths of the images below it, the labels are the names of the folders.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.

    Raises:
        DataNotFound: There is no such file.
        InvalidInput: The file is of another kind or damaged, an id is missing, or an id has two labels.

    An id that occurs again counts once; a row number in ``.npy`` may not, as it may be a class. A label may be empty, as in a sheet
    that is filled in only in part.
    """
    return _read(path, quoting).once()


def read_row_ids(path: str | Path, quoting: Quoting | None = None) -> list[str]:
    """The ids of the rows of an array or the items of a pool, one for each, from a file that :func:`read_ids` reads.

    Raises:
        DataNotFound: There is no such file.
        InvalidInput: An id occurs twice, or the file cannot be read.
    """
    found = _read(path, quoting)
    return distinct(found.names, found.origin)


def _read(path: str | Path, quoting: Quoting | None) -> ListedIds:
    path = Path(path).expanduser()
    if path.is_dir():
        return _checked(_class_folders(path))
    path = existing(path)
    reader = _ID_READERS.get(ending(path))
    if reader is None:
        raise InvalidInput(f"{path}: ids are read from {', '.join(_ID_READERS)}; got {path.suffix or 'no ending'}")
    return _checked(reader(path, quoting))


def _checked(found: ListedIds) -> ListedIds:
    """``found``, with a note on its labels; InvalidInput if an id or a label holds a control character."""
    for what, texts in (("id", found.names), ("label", found.labels or ())):
        wrong = with_control(texts)
        if wrong is not None:
            raise InvalidInput(f"{found.where(texts.index(wrong))}: the {what} {_has_control(wrong)}")
    return replace(found, note="; ".join(filter(None, (found.note, note_on_case(found.labels or ())))))


def _has_control(text: str) -> str:
    return f"{text!r} holds a control character; take it out"


def distinct(names: Sequence[str], origin: str) -> list[str]:
    """``names`` as a list; InvalidInput if one is empty, holds a control character or occurs twice."""
    if not all(map(str.strip, names)):
        raise InvalidInput(
            f"{origin}: the id of row {[*map(str.strip, names)].index('')} is empty; give each row an id"
        )
    wrong = with_control(names)
    if wrong is not None:
        raise InvalidInput(f"{origin}: the id {_has_control(wrong)}")
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
    others = Counter[str]()
    names = tuple(sorted(name for name, _ in images_below(folder, others)))
    loose = next((name for name in names if "/" not in name), None)
    if loose is not None or not names:
        got = "no image" + (f", but {endings(others)}" if others else "")
        raise InvalidInput(
            f"{folder}: expected one folder for each class, with its images in it, such as {folder / 'cat' / '1.png'}; got "
            f"{got if loose is None else f'{loose!r}, which is in none'}; or pass a table with the columns id and label"
        )
    labels = tuple(name.partition("/")[0] for name in names)
    classes = list(dict.fromkeys(labels))
    listing = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
    return ListedIds(names, labels, str(folder), note=f"read the folders in {folder.name} as labels: {listing}")


def _table_ids(path: Path, quoting: Quoting | None) -> ListedIds:
    table = open_table(path, errors="surrogateescape", quoting=quoting)
    own, label = _id_columns(table)
    rows = table.read([], [own] if label is None else [own, label], Runtime())
    rows = without_blank_rows(table, rows, rows.cells[0])
    ids = rows.cells[0]
    labels: Sequence[Any] = rows.cells[1] if label is not None else [None] * len(ids)
    for place in range(len(ids)):
        if is_no_text(ids[place]):
            raise InvalidInput(
                f"{table.where(rows.places[place])}: the id is missing; fill it in or take the {table.unit} out"
            )
        wrong = next((cell for cell in (ids[place], labels[place]) if isinstance(cell, (list, dict))), None)
        if wrong is not None:
            raise InvalidInput(
                f"{table.where(rows.places[place])}: expected a text or a number as id and as label, one class for each id; got "
                f"{wrong!r:.60}"
            )
    texts = ["" if is_no_text(label_cell) else text_in(table, label_cell) for label_cell in labels]
    note = [_note(path, own, label), _unread(table, label), rows.note(path)]
    if not all(map(is_utf8, texts)):
        note.append(f"{path.name} is not UTF-8 text, so its labels were read as Windows-1252")
    return ListedIds(
        tuple(text_in(table, cell) for cell in ids),
        None if label is None else tuple(map(normal, texts)),
        str(path),
        note="; ".join(filter(None, note)),
        places=rows.places,
        unit=table.unit,
    )


def _unread(table: Table, label: str | None) -> str:
    """A sentence on a column that may hold labels and is not read, in a table without a column of labels; else empty."""
    like = next((name for name in table.columns if name.lower() in LIKE_LABELS), None)
    if label is not None or like is None:
        return ""
    known = f"{', '.join(LABELS[:-1])} or {LABELS[-1]}"
    return f"`{like}` of {table.path.name} is not read; a column of labels is called {known}"


def without_blank_rows(table: Table, rows: Rows, ids: Sequence[Any]) -> Rows:
    """The rows without those that hold nothing in any column of the table, which spreadsheets write below it.

    Args:
        table: The table.
        rows: The rows of some of its columns.
        ids: The cells of its column of ids, one per row.
    """
    if not any(map(is_no_text, ids)):
        return rows
    everything = table.read([], table.columns, Runtime())
    kept = [place for place, cells in enumerate(zip(*everything.cells, strict=True)) if not all(map(is_no_text, cells))]
    cells = [[column[place] for place in kept] for column in rows.cells]
    n_empty = rows.n_empty + len(ids) - len(kept)
    return Rows(rows.values[kept], cells, [rows.places[place] for place in kept], n_empty, rows.remark)


def _id_columns(table: Table) -> tuple[str, str | None]:
    """The names of the columns of ids and of labels; None for a table without labels."""
    if not table.columns:
        raise InvalidInput(f"{table.path} is empty; expected ids, with the header id or id,label")
    label = table.named(*LABELS)
    own = table.named(ID)
    if own is None and isinstance(table, JsonTable) and table.header and table.index is None:
        raise InvalidInput(_no_ids(table, label))
    if own is None and len(table.columns) == 2 and _are_ids_and_labels(table):
        own, label = table.columns
    own = own or _likely_ids(table, label)
    if own is None:
        raise InvalidInput(_no_ids(table, label))
    return own, label


def _no_ids(table: Table, label: str | None) -> str:
    listing = ", ".join(table.columns[:20])
    known = "which examples these are" if label is None else "which example each label belongs to"
    return (
        f"{table.path} has the columns {listing} and no column `id`, so it is unknown {known}; add the column id, with ids of the "
        "pool; in a pool without ids, the rows count from 0"
    )


def _are_ids_and_labels(table: Table) -> bool:
    """Whether two columns without names, or with the numbers that pandas writes as names, are ids and labels by their order."""
    first, second = table.columns
    named = not first.isdecimal() and table.left_out.get(first) == "counts rows"
    return not table.header or (second.isdecimal() and not named)


def _likely_ids(table: Table, label: str | None) -> str | None:
    """The column of ids of a table without a column ``id``: an index of names or ids, else a likely column, else the index."""
    out = {label, *table.left_out, *(name for name in table.columns if _are_fractions(table, name))}
    free = [name for name in table.columns if name not in out]
    if table.index is not None and table.left_out.get(table.index) in (None, HOLDS_IDS):
        return table.index
    likely = [name for name in free if _may_be_ids(table.kinds[name], table.sample[name])]
    return next(iter(likely if table.index is not None else free), table.index)


def _are_fractions(table: Table, name: str) -> bool:
    """Whether a column holds numbers that are not whole, such as scores, which are no ids."""
    cells = [as_float(cell) for cell in table.sample[name] if table.kinds[name] == "number" and not is_missing(cell)]
    return not all(map(float.is_integer, cells))


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
        InvalidInput: An id is missing, is a list or a dict, or occurs twice.
    """
    missing = next((place for place, cell in zip(rows.places, cells, strict=True) if is_no_text(cell)), None)
    if missing is not None:
        raise InvalidInput(f"{table.where(missing)}: the id is missing; fill it in or take the {table.unit} out")
    nested = next((place for place, cell in enumerate(cells) if isinstance(cell, (list, dict))), None)
    if nested is not None:
        raise InvalidInput(
            f"{table.where(rows.places[nested])}: expected a text or a number as id, got {cells[nested]!r:.60}"
        )
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
    positions = values.dtype.kind in "iu"
    different = len(np.unique(values)) if positions else len(values)
    if different < len(values):
        raise InvalidInput(
            f"{path} must hold row numbers, each once; got {len(values)} numbers, of which {different} are different. If they are "
            "the classes of the rows, write a table with the columns id and label"
        )
    return ListedIds(tuple(map(as_name, listed(values, str(path)))), None, str(path), positions)


_ID_READERS: Final[dict[str, Callable[[Path, Quoting | None], ListedIds]]] = {
    ".txt": _txt_ids,
    ".csv": _table_ids,
    ".tsv": _table_ids,
    ".xlsx": _table_ids,
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

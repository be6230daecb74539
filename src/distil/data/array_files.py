"""Reading arrays with the user's ids from files.

``.npy``, uncompressed members of ``.npz`` and ``.safetensors`` are memory-mapped. Parquet and compressed ``.npz`` are decoded block
by block; blocks beyond ``Runtime.memory`` go to a file without a name, and so do the joined rows of several shards. csv, tsv and
JSON lines are read into memory.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from distil.data.array_formats import NpzFile, SafetensorsFile, listed, mapped_npy
from distil.data.arrays import from_numpy
from distil.data.columns import Table
from distil.data.embedded_files import check_as_embedded, check_one_model
from distil.data.file_readers import ending, existing
from distil.data.headers import ID, LABELS, is_like_number
from distil.data.ids import as_name, distinct, ids_in, names_column, read_row_ids
from distil.data.shards import Manifest, read_manifest
from distil.data.table_files import Quoting, open_table
from distil.errors import InvalidInput, counted, nearest
from distil.system.runtime import CHUNK_ROWS, Runtime, as_runtime
from distil.system.scratch import Space

_IDS_SUFFIX: Final = ".ids.txt"
_SHOWN: Final = 5


@dataclass(frozen=True, eq=False)
class Column:
    """An array with one row for every example of a pool.

    Attributes:
        values: (N, ...), memory-mapped if the file allows it.
        names: The user's ids, one per row, distinct; None if the file has none: positions are then the ids.
        origin: The file, for messages.
        note: Which columns of a table were read and which were left out, as a sentence; empty for files of arrays.
        header: The names of the columns of a table that were read, in their order; empty for files of arrays.
    """

    values: NDArray[Any]
    names: list[str] | None
    origin: str
    note: str = ""
    header: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.values)


def read_column(
    path: str | Path,
    *,
    column: str | None = None,
    ids: str | Path | None = None,
    quoting: Quoting | None = None,
    runtime: Runtime | None = None,
    verified: bool = False,
) -> Column:
    """Read an array with one row for every example, and the ids of the rows.

    Args:
        path: A file that ends in ``.npy``, ``.npz``, ``.safetensors``, ``.parquet``, ``.csv``, ``.tsv``, ``.xlsx``,
            ``.json`` or ``.jsonl``, or a folder of shards (:mod:`distil.data.shards`); ``FILE#COLUMN`` names the column too.
        column: The array to read: a key of ``.npz`` and ``.safetensors``; in tables a column of lists, or a column or pattern
            (``"e*"``) of columns of numbers. Default: the only array, or the only column of lists; in a table without one, all
            columns of numbers except ``id``, ``label`` and the index that pandas writes; columns of text are left out.
        ids: The ids of the rows: a column of the table, or a file with one id for each row, in a format of :func:`read_ids`.
            Default: the column ``id`` of a table, the array ``ids`` of an ``.npz`` file, or the file ``NAME.ids.txt`` next to
            ``NAME.npy``; without any of these, positions are the ids.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.
        runtime: The memory for decoded values, the folder for the rest, and whether to show a progress bar.
        verified: Whether the caller knows that a file of ``distil embed`` is as it was written.

    Returns:
        The array, (N, ...) with N > 0, with its ids.

    Raises:
        DataNotFound: There is no such file.
        InvalidInput: The file is of another kind or damaged, there is no such column, several columns may be meant, rows differ
            in length, the number of ids is not the number of rows, an id occurs twice, or a file that ``distil embed`` wrote was
            edited.
        MissingPackage: The file is Parquet and pyarrow is not installed.
    """
    path, column = _split(path, column)
    if path.is_dir():
        return _of_shards(path, column, ids, quoting, runtime)
    reader = _READERS.get(ending(path))
    if reader is None:
        raise InvalidInput(f"{path}: arrays are read from {', '.join(_READERS)}; got {path.suffix or 'no ending'}")
    own_ids = names_column(ids)
    values, names, note, header = reader(path, column, own_ids, quoting, as_runtime(runtime))
    if values.ndim == 0 or len(values) == 0:
        raise InvalidInput(f"{path} has no rows: its shape is {values.shape}")
    listing = None
    if ids is not None and own_ids is None:
        names = read_row_ids(ids, quoting)
    elif names is None and path.with_suffix(_IDS_SUFFIX).exists():
        listing = path.with_suffix(_IDS_SUFFIX)
        names = read_row_ids(listing)
    if not verified:
        check_as_embedded(path, listing)
    if names is not None and len(names) != len(values):
        raise InvalidInput(f"{listing or ids or path} has {len(names):,} ids, and {path} has {len(values):,} rows")
    return Column(values, None if names is None else distinct(names, str(path)), str(path), note, header)


def _split(path: str | Path, column: str | None) -> tuple[Path, str | None]:
    whole = Path(path).expanduser()
    if column is None and not whole.exists() and "#" in whole.name:
        name, _, column = whole.name.rpartition("#")
        whole = whole.with_name(name)
    return whole if whole.is_dir() else existing(whole), column


def _of_shards(
    folder: Path, array: str | None, ids: str | Path | None, quoting: Quoting | None, runtime: Runtime | None
) -> Column:
    """The rows of all shards of a folder, in the order of its manifest; those of one shard as its file has them."""
    manifest = read_manifest(folder)
    array = _key(folder, array, list(manifest.files))
    check_one_model(manifest.paths(array))
    own_ids = ids if ids is not None and names_column(ids) is not None else None
    joined = read_rows(manifest, array, 0, manifest.starts[-1], ids=own_ids, quoting=quoting, runtime=runtime)
    if own_ids is not None or ids is None:
        return joined
    names = distinct(read_row_ids(ids, quoting), str(ids))
    if len(names) != len(joined):
        raise InvalidInput(f"{ids} has {len(names):,} ids, and {folder} has {len(joined):,} rows")
    return replace(joined, names=names)


def read_shard(
    manifest: Manifest,
    number: int,
    array: str,
    *,
    ids: str | Path | None = None,
    quoting: Quoting | None = None,
    runtime: Runtime | None = None,
) -> Column:
    """An array of one shard; InvalidInput if it has another number of rows than the manifest says. Arguments as ``read_column``."""
    column = read_column(manifest.paths(array)[number], ids=ids, quoting=quoting, runtime=runtime)
    if len(column) != manifest.rows[number]:
        raise InvalidInput(
            f"{column.origin} has {len(column):,} rows, and the manifest of {manifest.folder} says {manifest.rows[number]:,}; "
            "write that shard again"
        )
    return column


def read_rows(
    manifest: Manifest,
    array: str,
    start: int,
    stop: int,
    *,
    ids: str | Path | None = None,
    quoting: Quoting | None = None,
    runtime: Runtime | None = None,
) -> Column:
    """Rows of the whole pool, from ``start`` to ``stop``.

    Those of one file are as it has them. Those of several are joined: in memory up to ``Runtime.memory``, else in a file without
    a name. Further arguments as for ``read_column``.

    Raises:
        InvalidInput: A file is damaged, the files do not agree, or an id occurs twice.
    """
    runtime, first, filling, names = as_runtime(runtime), None, None, list[list[str] | None]()
    ends = enumerate(pairwise(manifest.starts))
    inside = [(number, *rows) for number, rows in ends if max(start, rows[0]) < min(stop, rows[1])]
    for number, begin, end in runtime.bar(inside, f"reading {manifest.folder.name}"):
        whole = read_shard(manifest, number, array, ids=ids, quoting=quoting, runtime=runtime)
        own = slice(max(start - begin, 0), min(stop, end) - begin)
        part = replace(whole, values=whole.values[own], names=whole.names and whole.names[own])
        if len(inside) == 1:
            return part
        first = first or part
        _check_agree(first, part)
        for at in range(0, len(part), CHUNK_ROWS):
            rows = from_numpy(part.values[at : at + CHUNK_ROWS])
            if filling is None:
                filling = Space(runtime, stop - start).filling(stop - start, *rows.shape[1:], dtype=rows.dtype)
            filling.add(rows)
        names.append(part.names)
    assert first is not None
    assert filling is not None
    folder = str(manifest.folder)
    manifest.check_ids(each is not None for each in names)
    joined = None if first.names is None else distinct([*chain.from_iterable(each or () for each in names)], folder)
    return Column(filling.column().numpy(), joined, folder, first.note)


def _check_agree(first: Column, part: Column) -> None:
    """Refuse rows of shards that are not of one array."""
    if part.values.shape[1:] != first.values.shape[1:] or part.values.dtype != first.values.dtype:
        raise InvalidInput(
            f"{part.origin} holds rows of shape {part.values.shape[1:]} and type {part.values.dtype}, and {first.origin} rows "
            f"of shape {first.values.shape[1:]} and type {first.values.dtype}; the shards of a pool must agree"
        )


Values = tuple[
    NDArray[Any], list[str] | None, str, Sequence[str]
]  # the array, its ids, a note on the columns read, and their names


# ---------------------------------------------------------------------------------------- arrays of NumPy and safetensors


def _npy(path: Path, column: str | None, ids: str | None, _: Quoting | None, __: Runtime) -> Values:
    for value in (column, ids):
        if value is not None:
            raise InvalidInput(f"{path} holds one array; there is no column {value!r} in it")
    return _numbers(path, mapped_npy(path)), None, "", ()


def _numbers(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "fiub":
        raise InvalidInput(f"{path} must hold numbers, got an array of {values.dtype}")
    return values


def _npz(path: Path, column: str | None, ids: str | None, _: Quoting | None, runtime: Runtime) -> Values:
    file = NpzFile(path, runtime)
    own = ids if ids is not None else next((key for key in ("ids", "names", ID) if key in file.names), None)
    key = _key(path, column, [name for name in file.names if name != own and name not in LABELS])
    names = None if own is None else listed(file.array(_key(path, own, file.names)), f"{path}: {own}")
    return _numbers(path, file.array(key)), None if names is None else [as_name(name) for name in names], "", ()


def _safetensors(path: Path, column: str | None, ids: str | None, _: Quoting | None, __: Runtime) -> Values:
    if ids is not None:
        raise InvalidInput(f"{path} holds numbers only; pass the ids in a separate file")
    file = SafetensorsFile(path)
    return file.array(_key(path, column, file.names)), None, "", ()


def _key(path: Path, key: str | None, keys: Sequence[str]) -> str:
    """``key``, or the only one of ``keys`` for None; InvalidInput if there is no such key, or several to choose from."""
    if key is None and len(keys) == 1:
        return keys[0]
    if key is None:
        raise InvalidInput(
            f"{path} holds {', '.join(keys[:20]) or 'nothing'}; say which, as in {path.name}#{(*keys, 'KEY')[0]}"
        )
    if key not in keys:
        raise InvalidInput(f"{path} has no {key!r}{nearest(key, keys)}; it has {', '.join(keys[:20])}")
    return key


# ---------------------------------------------------------------------------------------------------------------- tables


def _table(path: Path, column: str | None, ids: str | None, quoting: Quoting | None, runtime: Runtime) -> Values:
    return table_values(open_table(path, (ids, column), quoting=quoting), column, ids, runtime)


def table_values(table: Table, column: str | None, ids: str | None, runtime: Runtime) -> Values:
    """The numbers in a table, their ids, a note on the columns read, and the names of these columns.

    Args:
        table: The table.
        column: The column or pattern of columns to read; None: find them.
        ids: The column of ids that the user named; None: find it.
        runtime: The memory for decoded values, and whether to show a progress bar.

    Raises:
        InvalidInput: There is no such column, or several may be meant, or a cell is not a number.
    """
    own = table.known(ids) if ids is not None else table.named(ID) or table.index
    chosen = _value_columns(table, column, own)
    hint = "; if these are the ids, say so with ids='{column}' (--ids {column})"
    rows = table.read(chosen, [] if own is None else [own], runtime, hint=hint)
    names, why = None, ""
    if own is not None:
        names, why = ids_in(table, own, rows, rows.cells[0], asked=ids is not None)
    note = _note(table, chosen, own, why, asked=column is not None)
    return rows.values, names, "; ".join(filter(None, (note, rows.note(table.path)))), chosen if table.header else ()


def _value_columns(table: Table, column: str | None, own: str | None) -> list[str]:
    """The names of the columns to read: one column of lists, or columns of numbers."""
    kinds, free = table.kinds, list[str]()
    if column is not None:
        chosen = [name for name in kinds if fnmatch.fnmatchcase(name, column)] or [table.known(column)]
    else:
        out = {own, table.index, table.named(*LABELS), *table.left_out}  # `named` refuses two columns of labels
        free = [name for name in table.columns if name not in out and name.lower() not in LABELS]
        lists = [name for name in free if kinds[name] == "list"]
        if len(lists) > 1:
            raise InvalidInput(f"{table.path} holds {', '.join(lists)}; say which, as in {table.path.name}#{lists[0]}")
        chosen = lists or [name for name in free if _may_be_numbers(table, name)]
    lists = [name for name in chosen if kinds[name] == "list"]
    if not chosen and not table.header and any(len(cells) == 1 for cells in table.sample.values()):
        raise InvalidInput(f"{table.path}: there is no row below the header")
    if not chosen or any(kinds[name] == "other" for name in chosen) or (lists and len(chosen) > 1):
        expected = "columns of numbers, or one column of lists of numbers of one length"
        got = ", ".join(f"{name} ({kinds[name]})" for name in (chosen or table.columns)[:20]) or "no column"
        texts = any(kinds[name] == "text" for name in free)
        hint = "; texts, and images that a column names, are embedded first: distil embed" if texts else ""
        raise InvalidInput(f"{table.path}: expected {expected}; got {got}{hint}")
    return chosen


def _may_be_numbers(table: Table, name: str) -> bool:
    """Whether a column is read as numbers: cells that are damaged or missing are refused then, not left out."""
    kind = table.kinds[name]
    return kind in ("number", "empty") or (kind == "text" and any(map(is_like_number, table.sample[name])))


def _note(table: Table, chosen: Sequence[str], own: str | None, why: str, *, asked: bool) -> str:
    """A sentence on which columns were read and which were left out; ``why`` the column of ids was, if it was."""
    kind = "lists of numbers" if table.kinds[chosen[0]] == "list" else "numbers"
    listing = [f"`{name}`" for name in (chosen if len(chosen) <= _SHOWN else [*chosen[:2], "...", chosen[-1]])]
    named = f" ({', '.join(listing)})".replace("`...`", "...") if table.header else ""
    parts = [f"read {counted(len(chosen), 'column')} of {kind} in {table.path.name}{named}"]
    if not table.header:
        parts.append("it has no header")
    if why:
        parts.append(f"`{own}` {why} and is left out")
    elif own is not None and own.lower() != ID:
        parts.append(f"`{own}` holds the ids")
    read = {own, *chosen}
    left = [name for name in table.columns if name not in read and name.lower() not in LABELS]
    for name in left[:_SHOWN]:
        why_left = {"text": "holds text", "number": "is not in the lists"}.get(table.kinds[name], "holds no numbers")
        why_left = "is an index" if name == table.index else why_left
        reason = table.left_out.get(name, "was not asked for" if asked else why_left)
        parts.append(f"`{name}` {reason} and is left out")
    texts = {name: table.sample[name] for name in left if table.kinds[name] == "text"}
    names = next((name for name, cells in texts.items() if len(set(cells)) == len(cells)), None)
    if names is not None and own is None:
        parts.append(f"if `{names}` holds the ids, say so with ids={names!r} (--ids {names})")
    return "; ".join(parts) + (f"; {len(left) - _SHOWN} more columns are left out" if len(left) > _SHOWN else "")


_READERS: Final[dict[str, Callable[[Path, str | None, str | None, Quoting | None, Runtime], Values]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".parquet": _table,
    ".csv": _table,
    ".tsv": _table,
    ".xlsx": _table,
    ".json": _table,
    ".jsonl": _table,
}

ARRAY_FILES: Final = tuple(_READERS)
"""File endings that :func:`read_column` reads."""

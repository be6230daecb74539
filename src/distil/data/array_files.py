"""Arrays with the user's own ids, from files.

What the file allows is memory-mapped: ``.npy``, members of ``.npz`` that are not compressed, ``.safetensors``. Parquet is decoded
block by block, beyond ``Runtime.memory`` into a file without a name. csv is text: it is read into memory.
"""

from __future__ import annotations

import fnmatch
import json
import math
import struct
import zipfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import numpy as np
import torch
from numpy.typing import NDArray

from distil.data.file_readers import ID, LABEL, csv_rows, existing, is_header, is_number, mapped_npy
from distil.data.ids import ID_FILES, as_name, distinct, read_ids
from distil.errors import InvalidInput, nearest
from distil.system.imports import optional
from distil.system.runtime import Runtime
from distil.system.scratch import Space

_BATCH_ROWS: Final = 8192
_IDS_SUFFIX: Final = ".ids.txt"

# The types of safetensors that NumPy has too.
_SAFE_TYPES: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Column:
    """An array with a row for every example of a pool.

    Attributes:
        values: (N, ...), memory-mapped where the file allows it.
        names: The user's ids, one a row, distinct; None where the file has none: positions then serve as ids.
        origin: The file, for messages.
    """

    values: NDArray[Any]
    names: list[str] | None
    origin: str

    def __len__(self) -> int:
        return len(self.values)


def read_column(
    path: str | Path, *, column: str | None = None, ids: str | Path | None = None, runtime: Runtime | None = None
) -> Column:
    """Read an array with a row for every example, and what the rows are called.

    Args:
        path: ``.npy``, ``.npz``, ``.safetensors``, ``.parquet``, ``.csv`` or ``.tsv``; ``FILE#COLUMN`` names the column too.
        column: Which array of the file: the key in ``.npz`` and ``.safetensors``; in tables the column of lists, or a column or
            a pattern (``"e*"``) of columns of numbers. Default: the only one there is; in tables without a column of lists all
            columns of numbers but ``id`` and ``label``.
        ids: What the rows are called: a column of the table, or a file of ids, one for each row, as :func:`read_ids` reads it.
            Default: the column ``id`` of a table, the array ``ids`` of an ``.npz`` file, or the file ``NAME.ids.txt`` beside
            ``NAME.npy``, where there is one.
        runtime: How much memory may hold what has to be decoded, where the rest goes, and whether to show a bar.

    Returns:
        The array, (N, ...), N > 0.

    Raises:
        DataNotFound: No such file.
        InvalidInput: Another kind of file, a damaged one, no such column, several where one is meant, rows of different
            lengths, as many ids as there are not rows, or an id that is there twice.
        MissingPackage: Parquet without pyarrow.
    """
    path, column = _split(path, column)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{path}: arrays are read from {', '.join(_READERS)}; got {path.suffix or 'no ending'}")
    own_ids = None if ids is None or _is_ids_file(ids) else str(ids)
    values, names = reader(path, column, own_ids, runtime or Runtime())
    if values.ndim == 0 or len(values) == 0:
        raise InvalidInput(f"{path} has no rows: its shape is {values.shape}")
    if ids is not None and own_ids is None:
        names = list(read_ids(ids).names)
    elif names is None and (beside := path.with_suffix(_IDS_SUFFIX)).exists():
        ids, names = beside, list(read_ids(beside).names)
    if names is not None and len(names) != len(values):
        raise InvalidInput(f"{ids or path} has {len(names)} ids, and {path} has {len(values)} rows")
    return Column(values, None if names is None else distinct(names, str(path)), str(path))


def _split(path: str | Path, column: str | None) -> tuple[Path, str | None]:
    whole = Path(path).expanduser()
    if column is None and not whole.exists() and "#" in whole.name:
        name, _, column = whole.name.rpartition("#")
        whole = whole.with_name(name)
    return existing(whole), column


def _is_ids_file(ids: str | Path) -> bool:
    return Path(ids).suffix.lower() in ID_FILES or Path(ids).is_file()


# ---------------------------------------------------------------------------------------- arrays of NumPy and safetensors

_Read = tuple[NDArray[Any], list[str] | None]


def _npy(path: Path, column: str | None, ids: str | None, _: Runtime) -> _Read:
    _no_columns(path, column, ids)
    return _numbers(path, mapped_npy(path)), None


def _no_columns(path: Path, column: str | None, ids: str | None) -> None:
    for value in (column, ids):
        if value is not None:
            raise InvalidInput(f"{path} holds one array; there is no column {value!r} in it")


def _numbers(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "fiub":
        raise InvalidInput(f"{path} must hold numbers, got an array of {values.dtype}")
    return values


def _npz(path: Path, column: str | None, ids: str | None, _: Runtime) -> _Read:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            given = ids if ids is not None else next((key for key in ("ids", "names", ID) if key in members), None)
            key = _key(path, column, [name for name in members if name not in (given, LABEL, "labels")])
            names = None if given is None else _npz_member(path, archive, members[_key(path, given, list(members))])
            values = _npz_member(path, archive, members[key])
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{path} cannot be read as an npz file without pickle: {error}") from error
    return _numbers(path, values), None if names is None else [as_name(name) for name in names.ravel().tolist()]


def _npz_member(path: Path, archive: zipfile.ZipFile, member: str) -> NDArray[Any]:
    """One array of an npz file: mapped where it is stored as it is, else decompressed."""
    info = archive.getinfo(member)
    with archive.open(info) as file:
        if info.compress_type != zipfile.ZIP_STORED:
            return np.lib.format.read_array(file, allow_pickle=False)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        header = file.tell()
    if dtype.hasobject:
        raise InvalidInput(f"{path}: {member} holds Python objects; store plain arrays of numbers or text")
    with path.open("rb") as raw:
        raw.seek(info.header_offset + 26)  # where the local header has the lengths of its two last parts
        start = info.header_offset + 30 + sum(struct.unpack("<HH", raw.read(4))) + header
    return _mapped(path, dtype, start, shape, "F" if fortran else "C")


def _mapped(path: Path, dtype: Any, start: int, shape: tuple[int, ...], order: str = "C") -> NDArray[Any]:  # noqa: ANN401
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", start, shape, cast(Any, order))


def _safetensors(path: Path, column: str | None, ids: str | None, _: Runtime) -> _Read:
    try:
        with path.open("rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(size if size < 100 << 20 else 0))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        if ids is not None:
            raise InvalidInput(f"{path} holds numbers only; give the ids in a file of their own")
        key = _key(path, column, list(tensors))
        entry = tensors[key]
        if entry["dtype"] not in _SAFE_TYPES:
            return _through_torch(path, key), None
        begin, end = entry["data_offsets"]
        dtype, shape = np.dtype(_SAFE_TYPES[entry["dtype"]]), tuple(entry["shape"])
        if math.prod(shape) * dtype.itemsize != end - begin or path.stat().st_size < 8 + size + end:
            raise InvalidInput(f"{path} is cut off, or its header is wrong; write it again")
    except (struct.error, KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidInput(f"{path} is not a safetensors file: {error}") from error
    return _mapped(path, dtype, 8 + size + begin, shape), None


def _through_torch(path: Path, key: str) -> NDArray[Any]:
    """A tensor of a type that NumPy does not have, bfloat16 say, as float32."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        tensor = file.get_tensor(key)
    return cast(NDArray[Any], tensor.to(torch.float32).numpy())


def _key(path: Path, key: str | None, keys: Sequence[str]) -> str:
    """The key asked for, or the only one."""
    if key is None and len(keys) == 1:
        return keys[0]
    if key is None:
        raise InvalidInput(
            f"{path} holds {', '.join(keys[:20]) or 'nothing'}; say which, as in {path.name}#{(*keys, 'KEY')[0]}"
        )
    return _known(path, key, keys)


def _known(path: Path, name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise InvalidInput(f"{path} has no {name!r}{nearest(name, names)}; it has {', '.join(names[:20])}")
    return name


# ---------------------------------------------------------------------------------------------------------------- tables


def _parquet(path: Path, column: str | None, ids: str | None, runtime: Runtime) -> _Read:
    with parquet_file(path) as file:
        kinds = {field.name: _arrow_kind(field.type) for field in file.schema_arrow}
        own = _id_column(path, list(kinds), ids)
        chosen = _value_columns(path, kinds, column, own)
        wide = any("double" in str(file.schema_arrow.field(name).type) for name in chosen)
        dtype = torch.float64 if wide else torch.float32
        names: list[str] = []
        values: torch.Tensor | None = None
        start, space = 0, Space(runtime)
        batches = file.iter_batches(_BATCH_ROWS, columns=[*chosen, *([own] if own else [])])
        for batch in runtime.bar(batches, f"reading {path.name}", -(-file.metadata.num_rows // _BATCH_ROWS)):
            rows = _arrow_rows(path, batch, chosen, start)
            if values is None:
                values = space.column(file.metadata.num_rows, rows.shape[1], dtype=dtype)
            if rows.shape[1] != values.shape[1]:
                raise InvalidInput(
                    f"{path}, row {start}: expected {values.shape[1]} numbers as before, got {rows.shape[1]}"
                )
            values[start : start + len(rows)] = torch.from_numpy(rows.astype(np.float64 if wide else np.float32))
            names += _arrow_names(path, batch, own, start)
            start += len(rows)
    return np.empty((0, 0)) if values is None else values.numpy(), names if own else None


@contextmanager
def parquet_file(path: Path) -> Iterator[Any]:
    """An open Parquet file of pyarrow; what it finds wrong is an InvalidInput, also while it is read."""
    arrow, parquet = (optional(name, f"reading {path.name}") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        with parquet.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            yield file
    except (arrow.ArrowException, OSError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{path} cannot be read as Parquet: {error}") from error


def _arrow_kind(kind: Any) -> str:  # noqa: ANN401 - a type of pyarrow
    types = optional("pyarrow", "reading Parquet").types
    if types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind):
        return "list" if _arrow_kind(kind.value_type) == "number" else "other"
    return "number" if types.is_floating(kind) or types.is_integer(kind) else "other"


def _id_column(path: Path, columns: Sequence[str], ids: str | None) -> str | None:
    if ids is not None:
        return _known(path, ids, columns)
    return next((name for name in columns if name.lower() == ID), None)


def _value_columns(path: Path, kinds: Mapping[str, str], column: str | None, own: str | None) -> list[str]:
    """The column of lists, or the columns of numbers."""
    if column is not None:
        chosen = [name for name in kinds if fnmatch.fnmatchcase(name, column)] or [_known(path, column, list(kinds))]
    else:
        free = {name: kind for name, kind in kinds.items() if name != own and name.lower() != LABEL}
        lists = [name for name, kind in free.items() if kind == "list"]
        if len(lists) > 1:
            raise InvalidInput(f"{path} holds {', '.join(lists)}; say which, as in {path.name}#{lists[0]}")
        chosen = lists or [name for name, kind in free.items() if kind == "number"]
    lists = [name for name in chosen if kinds[name] == "list"]
    if not chosen or any(kinds[name] == "other" for name in chosen) or (lists and len(chosen) > 1):
        asked = "columns of numbers, or one column of lists of numbers of one length"
        raise InvalidInput(
            f"{path}: expected {asked}; got {', '.join(f'{name} ({kinds[name]})' for name in chosen or kinds)}"
        )
    return chosen


def _arrow_rows(path: Path, batch: Any, chosen: Sequence[str], start: int) -> NDArray[Any]:  # noqa: ANN401
    """Rows (B, D) of a record batch."""
    types = optional("pyarrow", "reading Parquet").types
    first = batch.column(chosen[0])
    if _arrow_kind(first.type) == "number":
        columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in chosen]
        return np.stack(columns, 1)
    if first.null_count:
        row = int(np.flatnonzero(first.is_null().to_numpy(zero_copy_only=False))[0])
        raise InvalidInput(f"{path}, row {start + row}: there is no {chosen[0]}")
    if types.is_fixed_size_list(first.type):
        width = first.type.list_size
    else:
        lengths = first.value_lengths().to_numpy(zero_copy_only=False)
        width = int(lengths[0]) if len(lengths) else 0
        if (lengths != width).any():
            row = int(np.flatnonzero(lengths != width)[0])
            raise InvalidInput(
                f"{path}, row {start + row}: expected {width} numbers as before, got {int(lengths[row])}"
            )
    return cast(NDArray[Any], first.flatten().to_numpy(zero_copy_only=False).reshape(-1, width))


def _arrow_names(path: Path, batch: Any, own: str | None, start: int) -> list[str]:  # noqa: ANN401
    if own is None:
        return []
    given = batch.column(own).to_pylist()
    if None in given:
        raise InvalidInput(f"{path}, row {start + given.index(None)}: the id is missing")
    return [as_name(value) for value in given]


def _csv(path: Path, column: str | None, ids: str | None, _: Runtime) -> _Read:
    rows = csv_rows(path)
    line, first = next(rows, (0, []))
    header = [cell.strip() for cell in first] if is_header(first, (ids, column)) else []
    columns = header or [str(place) for place in range(len(first))]
    own = _id_column(path, columns, ids)
    free = [name for name in columns if name != own and name.lower() != LABEL]
    chosen = free if column is None else [name for name in columns if fnmatch.fnmatchcase(name, column)]
    if not chosen:
        raise InvalidInput(f"{path}: no column {column or 'of numbers'} among {', '.join(columns[:20])}")
    places = [columns.index(name) for name in chosen]
    own_place = None if own is None else columns.index(own)
    values, names = array("f"), []
    body = rows if header else _with(line, first, rows)
    for number, cells in body:
        if len(cells) != len(columns):
            raise InvalidInput(f"{path}, line {number}: expected {len(columns)} columns, got {len(cells)}")
        try:
            values.extend([float(cells[place]) for place in places])
        except ValueError:
            _bad_cell(path, number, cells, places, columns)
        if own_place is not None:
            names.append(as_name(cells[own_place].strip()))
    return np.frombuffer(values, np.float32).reshape(-1, len(places)), names if own is not None else None


def _bad_cell(path: Path, line: int, cells: Sequence[str], places: Sequence[int], columns: Sequence[str]) -> NoReturn:
    place = next(place for place in places if not is_number(cells[place]))
    raise InvalidInput(
        f"{path}, line {line}, column {columns[place]!r}: {cells[place].strip()!r} is not a number; if these are the ids, "
        f"say so with ids={columns[place]!r} (--ids {columns[place]})"
    )


def _with(line: int, first: list[str], rest: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    if first:
        yield line, first
    yield from rest


_READERS: Final[dict[str, Callable[[Path, str | None, str | None, Runtime], _Read]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".parquet": _parquet,
    ".csv": _csv,
    ".tsv": _csv,
}

ARRAY_FILES: Final = tuple(_READERS)
"""Endings of the files that :func:`read_column` reads."""

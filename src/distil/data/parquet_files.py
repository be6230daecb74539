"""The reader of Parquet files as named columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from distil.data.columns import SAMPLE_ROWS, Kind, Rows, Table
from distil.errors import DistilError, InvalidInput
from distil.system.imports import optional
from distil.system.runtime import Runtime
from distil.system.scratch import Space

_BATCH_ROWS: Final = 8192


class ParquetTable(Table):
    """A Parquet file, decoded block by block.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        with _parquet_file(path) as file:
            columns = [field.name for field in file.schema_arrow]
            if len(set(columns)) < len(columns):
                raise InvalidInput(f"{path} has two columns of one name: {', '.join(columns[:20])}; rename one")
            kinds = {field.name: _arrow_kind(field.type) for field in file.schema_arrow}
            sampled = [name for name in columns if kinds[name] in ("text", "number")]
            first = next(file.iter_batches(SAMPLE_ROWS, columns=sampled), None)
            sample = {name: [] if first is None else first.column(name).to_pylist() for name in sampled}
            indices = (file.schema_arrow.pandas_metadata or {}).get("index_columns", [])
            size = file.metadata.num_rows
            self._n_empty = _empty_end(file)
        stored = [name for name in indices if isinstance(name, str) and name in kinds]
        self._range = next(filter(None, (_counting(each, size, kinds) for each in indices)), None)
        if self._range is not None:
            self._n_empty = 0
            name, numbers = self._range
            columns, stored = [name, *columns], [name]
            kinds, sample = {name: "number", **kinds}, {name: list(numbers[:SAMPLE_ROWS]), **sample}
        super().__init__(path, columns, {name: sample.get(name, []) for name in columns}, kinds)
        if stored:
            self.left_out |= {name: self.left_out.get(name, "is an index") for name in stored}
            self.index = stored[0] if len(stored) == 1 else None

    def read(
        self, numbers: Sequence[str], others: Sequence[str], runtime: Runtime, *, wide: bool = False, hint: str = ""
    ) -> Rows:
        """See :meth:`Table.read`."""
        counted = None if self._range is None else self._range[0]
        kept = [name for name in others if name != counted]
        cells: dict[str, list[Any]] = {name: [] for name in kept}
        with _parquet_file(self.path) as file:
            size = file.metadata.num_rows - self._n_empty
            wide = wide or any("double" in str(file.schema_arrow.field(name).type) for name in numbers)
            blocks = _Blocks(Space(runtime, size), size, torch.float64 if wide else torch.float32)
            batches = file.iter_batches(_BATCH_ROWS, columns=list(dict.fromkeys([*numbers, *kept])))
            start = 0
            for whole in runtime.bar(batches, f"reading {self.path.name}", -(-size // _BATCH_ROWS)):
                batch = whole.slice(0, size - start)
                if numbers and len(batch):
                    blocks.add(self._floats(batch, numbers, start, hint), self.where(start))
                for name in kept:
                    cells[name] += _cells(batch.column(name))
                start += len(batch)
        if start != size:
            raise InvalidInput(f"{self.path} is damaged: expected {size:,} rows, got {start:,}; write it again")
        if self._range is not None:
            cells[self._range[0]] = list(self._range[1])
        return Rows(blocks.values(), [cells[name] for name in others], range(size), self._n_empty)

    def _floats(self, batch: Any, numbers: Sequence[str], start: int, hint: str) -> NDArray[Any]:  # noqa: ANN401
        """The columns of numbers of a record batch, (B, D)."""
        columns = [_decoded(batch.column(name)) for name in numbers]
        for name, column in zip(numbers, columns, strict=True):
            if _arrow_kind(column.type) not in ("number", "list"):
                raise InvalidInput(
                    f"{self.path}, column {name!r}: {column.type} is not a number{hint.replace('{column}', name)}"
                )
        if _arrow_kind(columns[0].type) == "number":
            return np.stack([column.to_numpy(zero_copy_only=False) for column in columns], 1)
        return self._lists(columns[0], numbers[0], start)

    def _lists(self, column: Any, name: str, start: int) -> NDArray[Any]:  # noqa: ANN401
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise InvalidInput(f"{self.where(start + row)}: {name!r} is missing; fill it in or drop the row")
        if optional("pyarrow", "reading Parquet").types.is_fixed_size_list(column.type):
            width = column.type.list_size
        else:
            lengths = column.value_lengths().to_numpy(zero_copy_only=False)
            width = int(lengths[0]) if len(lengths) else 0
            if (lengths != width).any():
                row = int(np.flatnonzero(lengths != width)[0])
                raise InvalidInput(
                    f"{self.where(start + row)}: expected {width} numbers as before, got {int(lengths[row])}"
                )
        return cast(NDArray[Any], column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width))


class _Blocks:
    """A column (N, D) that is filled block by block; the first block decides D."""

    def __init__(self, space: Space, size: int, dtype: torch.dtype) -> None:
        self._space, self._size, self._dtype = space, size, dtype
        self._filled = 0
        self._values: torch.Tensor | None = None

    def add(self, rows: NDArray[Any], where: str) -> None:
        """Add the next rows, (B, D)."""
        if self._values is None:
            self._values = self._space.column(self._size, rows.shape[1], dtype=self._dtype)
        if rows.shape[1] != self._values.shape[1]:
            raise InvalidInput(f"{where}: expected {self._values.shape[1]} numbers as before, got {rows.shape[1]}")
        end = self._filled + len(rows)
        self._values[self._filled : end] = torch.from_numpy(rows.astype(np.float64)).type(self._dtype)
        self._filled = end

    def values(self) -> NDArray[Any]:
        """The filled column, (N, D)."""
        return np.empty((self._size, 0), np.float32) if self._values is None else self._values.numpy()


@contextmanager
def _parquet_file(path: Path) -> Iterator[Any]:
    """Open a Parquet file with pyarrow; errors of pyarrow become InvalidInput, also while the caller reads."""
    arrow, parquet = (optional(name, f"reading {path.name}") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        with parquet.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            yield file
    except (arrow.ArrowException, OSError, ValueError, LookupError, OverflowError, MemoryError) as error:
        if isinstance(error, DistilError):
            raise
        raise InvalidInput(f"{path} cannot be read as Parquet: {error}") from error


def _empty_end(file: Any) -> int:  # noqa: ANN401 - a file of pyarrow
    """The number of rows below the last that holds something, in a file of several columns."""
    empty, metadata = 0, file.metadata
    for group in reversed(range(metadata.num_row_groups if metadata.num_columns > 1 else 0)):
        columns = (metadata.row_group(group).column(place).statistics for place in range(metadata.num_columns))
        if any(column is not None and column.null_count == 0 for column in columns):  # every row holds something
            break
        size = filled = 0
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group]):
            nulls = [column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False) for column in batch.columns]
            present = np.flatnonzero(~np.all(nulls, 0))
            filled = size + int(present[-1]) + 1 if len(present) else filled
            size += len(batch)
        empty += size - filled
        if filled:
            break
    return empty


def _counting(index: Any, size: int, columns: Collection[str]) -> tuple[str, range] | None:  # noqa: ANN401 - any metadata
    """The name and numbers of an index of pandas that the file does not hold, because it counts; None for 0, 1, 2, ...."""
    match index:
        case {"kind": "range", "start": int(start), "stop": int(stop), "step": int(step)} if step:
            numbers, name = range(start, stop, step), str(index.get("name") or "__index_level_0__")
            if numbers != range(size) and len(numbers) == size and name not in columns:
                return name, numbers
    return None


def _cells(column: Any) -> list[Any]:  # noqa: ANN401 - an array of pyarrow
    """The values of a column; numbers of less than double precision are those of their text, as a csv file would hold them."""
    types = optional("pyarrow", "reading Parquet").types
    if not (types.is_float32(column.type) or types.is_float16(column.type)):
        return cast(list[Any], column.to_pylist())
    kind = column.type.to_pandas_dtype()
    return [None if value is None else float(str(kind(value))) for value in column.to_pylist()]


def _decoded(column: Any) -> Any:  # noqa: ANN401 - an array of pyarrow
    """A column with categories decoded from their dictionary, booleans as 0 and 1, and decimals as floating-point numbers."""
    types = optional("pyarrow", "reading Parquet").types
    if types.is_boolean(column.type):
        return column.cast("uint8")
    if types.is_decimal(column.type):
        return column.cast("double")
    return column.dictionary_decode() if types.is_dictionary(column.type) else column


def _arrow_kind(kind: Any) -> Kind:  # noqa: ANN401 - a type of pyarrow
    types = optional("pyarrow", "reading Parquet").types
    if types.is_dictionary(kind):
        return _arrow_kind(kind.value_type)
    if types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind):
        return "list" if _arrow_kind(kind.value_type) == "number" else "other"
    if types.is_string(kind) or types.is_large_string(kind) or str(kind) == "string_view":
        return "text"
    if types.is_null(kind):
        return "empty"
    numbers = (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)
    return "number" if any(is_of(kind) for is_of in numbers) else "other"

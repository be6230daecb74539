"""Readers of tables (csv, tsv, JSON lines, Parquet) as named columns, whose kind is decided by their content.

:func:`open_table` reads the first rows only; :meth:`Table.read` reads the file once, in time linear in its cells.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from distil.data.file_readers import checked_lines, ending, json_lines, reading_text
from distil.data.headers import ID, LABELS, distinct_names, is_header, is_missing, is_number
from distil.errors import DistilError, InvalidInput, nearest
from distil.system.imports import optional
from distil.system.runtime import Runtime
from distil.system.scratch import Space

Kind = Literal["number", "text", "list", "empty", "other"]

_BATCH_ROWS: Final = 8192
_SAMPLE_ROWS, _SAMPLE_CELLS = 100, 200_000
_INDEX: Final = re.compile(r"Unnamed: \d+(\.\d+)*|__index_level_\d+__")
_DELIMITER_LINE: Final = re.compile('"?sep=([,;\t])"?\\s*', re.IGNORECASE)  # a first line that Excel reads and writes
_PARQUET_INDEX: Final = "__index_level_0__"


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of some columns of a table.

    Attributes:
        values: The columns of numbers, (N, D) float32, or float64 if that was asked for or is stored.
        cells: The other columns, (N,) each, with their cells as the file has them.
        places: The number of each row, (N,): its line from 1 in a text file, else its row from 0.
    """

    values: NDArray[Any]
    cells: list[list[Any]]
    places: Sequence[int]


class Table(ABC):
    """A file of named columns.

    Args:
        path: The file.
        columns: The names of its columns, distinct.
        sample: Column -> its first cells.
        kinds: Column -> the kind of its content.
        repeated: Name -> number of occurrences, for names that the header has more than once.

    Attributes:
        path: The file.
        columns: The names of its columns: ``"0"``, ``"1"``, ... without a header; ``"Unnamed: 0"`` for an empty cell of the
            header, as in pandas.
        kinds: Column -> the kind of its content, decided by its first cells.
        sample: Column -> its first cells.
        header: Whether the file names its columns.
        left_out: Column -> the reason why it is not a feature: it counts rows, is an index that pandas or R wrote, or holds
            nothing.
        index: The column that pandas or R wrote for the index; its cells are ids unless they count rows from 0 (see
            :func:`distil.data.ids.ids_in`). None if there is no such column.
    """

    unit: str = "row"
    header: bool = True

    def __init__(
        self,
        path: Path,
        columns: list[str],
        sample: Mapping[str, list[Any]],
        kinds: Mapping[str, Kind],
        repeated: Mapping[str, int] | None = None,
    ) -> None:
        self.path, self.columns, self.sample, self.kinds, self.repeated = path, columns, sample, kinds, repeated or {}
        self.left_out = {
            name: why for name in columns if (why := _left_out(name, sample[name], kinds[name])) is not None
        }
        if not self.header and len(columns) > 1 and kinds["0"] == "number" and _counts(sample["0"], 3):
            self.left_out["0"] = "counts rows"
        self.index = next((name for name in columns if self._is_index(name)), None)

    def _is_index(self, name: str) -> bool:
        """Whether a column is the index of a data frame: the first column without a name, or the one that Parquet names so."""
        if name not in (self.columns[0], _PARQUET_INDEX):
            return False
        if self.kinds[name] == "text":
            return _INDEX.fullmatch(name) is not None
        return self.kinds[name] == "number" and name in self.left_out

    def known(self, name: str) -> str:
        """``name``, checked: InvalidInput unless it is the name of a column."""
        if name not in self.kinds:
            listing = ", ".join(self.columns[:20])
            raise InvalidInput(f"{self.path} has no column {name!r}{nearest(name, self.columns)}; it has {listing}")
        return name

    def named(self, *names: str) -> str | None:
        """The first column in the order of ``names`` that the table has, upper or lower case; None if it has none of them.

        Raises:
            InvalidInput: Two columns have that name.
        """
        lower = [column.lower() for column in (*self.columns, *self.repeated)]
        first = next((name for name in names if name in lower), None)
        if first is None:
            return None
        if lower.count(first) > 1:
            raise InvalidInput(f"{self.path} has more than one column called {first!r}; rename or remove all but one")
        return self.columns[lower.index(first)]

    def where(self, place: int) -> str:
        """The file and the number of a row in it, for messages."""
        return f"{self.path}, {self.unit} {place}"

    @abstractmethod
    def read(
        self, numbers: Sequence[str], others: Sequence[str], runtime: Runtime, *, wide: bool = False, hint: str = ""
    ) -> Rows:
        """Read some columns, in one pass.

        Args:
            numbers: Names of columns of numbers, or of one column of lists of numbers.
            others: Names of columns whose cells are returned unchanged.
            runtime: The memory for decoded values, and whether to show a progress bar.
            wide: Whether to keep numbers in float64.
            hint: End of the message about a cell that is not a number; ``{column}`` stands for its column.

        Raises:
            InvalidInput: A cell is not a number, or rows differ in length; the message gives the line or row.
        """


def open_table(path: Path, asked: Sequence[str | None] = (), errors: str = "strict") -> Table:
    """Open a table and read its header and first rows.

    Args:
        path: A file that ends in ``.csv``, ``.tsv`` or ``.jsonl``, plain or compressed, or in ``.parquet``. Any other file is read
            as csv.
        asked: Column names that the user gave; a first row that holds one of them is the header.
        errors: How to treat bytes of csv and tsv that are not UTF-8; see :func:`distil.data.file_readers.reading_text`.

    Raises:
        InvalidInput: The file is damaged.
        MissingPackage: The file is Parquet and pyarrow is not installed.
    """
    kind = ending(path)
    if kind == ".parquet":
        return ParquetTable(path)
    return JsonTable(path) if kind == ".jsonl" else DelimitedTable(path, asked, errors)


def _left_out(name: str, cells: Sequence[Any], kind: Kind) -> str | None:
    """The reason why a column is not a feature; None if it may be one."""
    if kind == "empty" and name.startswith("Unnamed: "):
        return "holds nothing"
    numbers = [_float(cell) for cell in cells if not is_missing(cell)] if kind == "number" else []
    if not numbers or not all(number.is_integer() for number in numbers):
        return None
    if not _INDEX.fullmatch(name) and (name.lower() != "index" or len(set(numbers)) < len(cells) or len(cells) < 2):
        return None
    return "counts rows" if _counts(cells, 1) else "is an index"


def _counts(cells: Sequence[Any], least: int) -> bool:
    """Whether there are at least ``least`` cells, and they are 0, 1, 2, ... or 1, 2, 3, ..."""
    numbers = [_float(cell) for cell in cells if not is_missing(cell)]
    return len(cells) >= least and numbers in (list(range(len(cells))), list(range(1, len(cells) + 1)))


def _kind(cells: Sequence[str]) -> Kind:
    """The kind of a column of csv or tsv."""
    present = [cell for cell in cells if not is_missing(cell)]
    if not present:
        return "empty"
    return "number" if all(map(is_number, present)) else "text"


def _json_kind(cells: Sequence[Any]) -> Kind:
    """The kind of a column of JSON lines; a number in quotes is text."""
    present = [cell for cell in cells if cell is not None]
    if not present:
        return "empty"
    if all(isinstance(cell, list) for cell in present):
        return "list"
    if all(isinstance(cell, (bool, int, float)) for cell in present):
        return "number"
    return "text" if all(isinstance(cell, (str, int, float)) for cell in present) else "other"


# ------------------------------------------------------------------------------------------------------------ csv and tsv


class DelimitedTable(Table):
    """A csv or tsv file.

    In csv, cells may be quoted, and the delimiter is the comma, semicolon or tab that the first line has most of, or the one that a
    first line such as ``sep=;`` names. In tsv, the delimiter is the tab, and quotes are text.

    Args:
        path: The file.
        asked: Column names that the user gave; None entries are ignored.
        errors: How to treat bytes that are not UTF-8; see :func:`distil.data.file_readers.reading_text`.
    """

    unit = "line"

    def __init__(self, path: Path, asked: Sequence[str | None] = (), errors: str = "strict") -> None:
        self._errors = errors
        with closing(_delimited(path, errors)) as rows:
            lines, sample = _sampled(rows)
        first = sample[0] if sample else []
        if len(sample) > 1 and all(len(row) != len(first) for row in sample[1:]):
            raise InvalidInput(
                f"{path}, line {lines[1]}: expected {len(first)} columns as in line {lines[0]}, got {len(sample[1])}; remove any "
                "title or comment above the names of the columns"
            )
        self.header = is_header(first, sample[1:], asked, str(path))
        names = [cell.strip() for cell in first] if self.header else []
        repeated = {name: count for name, count in Counter(filter(None, names)).items() if count > 1}
        columns = distinct_names(names) if self.header else [str(place) for place in range(len(first))]
        body = [row for row in sample[self.header :] if len(row) == len(columns)]
        cells = {name: [row[place] for row in body] for place, name in enumerate(columns)}
        super().__init__(path, columns, cells, {name: _kind(column) for name, column in cells.items()}, repeated)

    def _rows(self, runtime: Runtime) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows below the header, each with its line; InvalidInput for one with more cells than columns, or fewer."""
        width = len(self.columns)
        rows = runtime.bar(_delimited(self.path, self._errors), f"reading {self.path.name}")
        for line, cells in itertools.islice(rows, int(self.header), None):
            if len(cells) != width:
                raise InvalidInput(f"{self.where(line)}: expected {width} columns, got {len(cells)}")
            yield line, cells

    def read(
        self, numbers: Sequence[str], others: Sequence[str], runtime: Runtime, *, wide: bool = False, hint: str = ""
    ) -> Rows:
        """See :meth:`Table.read`."""
        place_of = {name: place for place, name in enumerate(self.columns)}
        chosen, kept = ([place_of[name] for name in names] for names in (numbers, others))
        values, lines = array("d" if wide else "f"), array("q")
        cells: list[list[Any]] = [[] for _ in kept]
        for line, row in self._rows(runtime):
            values.extend(self._floats(line, row, chosen, hint))
            for column, place in zip(cells, kept, strict=True):
                column.append(row[place])
            lines.append(line)
        matrix = np.frombuffer(values, np.float64 if wide else np.float32) if values else np.empty(0, np.float32)
        return Rows(matrix.reshape(len(lines), len(chosen)), cells, lines)

    def _floats(self, line: int, row: Sequence[str], chosen: Sequence[int], hint: str) -> list[float]:
        cells = [row[place] for place in chosen]
        try:
            if "_" not in "".join(cells):  # float() accepts 1_000, but a table holds text there
                return [float(cell) for cell in cells]
        except ValueError:
            pass
        values = [_number(cell) for cell in cells]
        if None not in values:
            return cast(list[float], values)
        if line == 1 and len(self.sample[self.columns[0]]) == 1 and not any(map(is_number, row)):
            raise InvalidInput(f"{self.path}: there is no row below the header")
        place = chosen[values.index(None)]
        raise InvalidInput(
            f"{self.where(line)}, {self.column_title(place)}: {_no_number(row[place], hint, self.columns[place])}"
        )

    def column_title(self, place: int) -> str:
        """The number, from 1, and the name of a column, for messages."""
        return f"column {place + 1}" + (f" ({self.columns[place]!r})" if self.header else "")


def _number(cell: str) -> float | None:
    """The number in a cell of csv or tsv, 1 or 0 for a boolean as pandas and R write it; None for any other cell."""
    text = cell.strip().lower()
    if text in ("true", "false"):
        return float(text == "true")
    return float(cell) if is_number(cell) else None


def _no_number(cell: str, hint: str, column: str) -> str:
    if is_missing(cell):
        return "the value is missing; fill it in or drop the row"
    if cell.count(",") == 1 and is_number(cell.replace(",", ".")):
        return f"{cell.strip()!r} is not a number; write numbers with a decimal point and without commas"
    return f"{cell.strip()!r} is not a number{hint.replace('{column}', column)}"


def _sampled(rows: Iterator[tuple[int, list[str]]]) -> tuple[list[int], list[list[str]]]:
    """The line numbers of the first rows, and these rows; fewer rows of a wide table, but at least a few."""
    lines: list[int] = []
    sample: list[list[str]] = []
    for line, cells in rows:
        lines.append(line)
        sample.append(cells)
        if len(sample) > max(3, min(_SAMPLE_ROWS, _SAMPLE_CELLS // max(1, len(cells)))):
            break
    return lines, sample


def _delimited(path: Path, errors: str) -> Generator[tuple[int, list[str]]]:
    """Yield the rows of a csv or tsv file, each with the line in which it begins; blank lines are skipped."""
    with reading_text(path, errors) as text:
        head = [text.readline()]
        while head[-1].isspace():
            head.append(text.readline())
        declared = _DELIMITER_LINE.fullmatch(head[-1])
        if declared:
            head[-1] = "\n"  # the line is not a row
        lines = checked_lines(path, itertools.chain(head, text))
        if ending(path) == ".tsv":
            reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        else:
            reader = csv.reader(lines, delimiter=declared[1] if declared else _delimiter(head[-1]), strict=True)
        width, begin = 0, 1
        try:
            for cells in reader:
                width = width or len(cells)
                if cells and (len(cells) > 1 or cells[0].strip() or (width == 1 and not cells[0])):
                    yield begin, cells
                begin = reader.line_num + 1
        except csv.Error as error:
            most = f"{csv.field_size_limit():,} characters"
            raise InvalidInput(
                f"{path}, line {begin}: a quoted cell does not end correctly, or has more than {most} ({error}); close the quote, "
                "write quotes inside a cell twice, or store longer texts in .jsonl or .parquet"
            ) from error


def _delimiter(line: str) -> str:
    """The delimiter of a line: the comma, semicolon or tab that is most frequent outside quotes and decimal numbers."""
    plain = re.sub('"[^"]*"', "", line)
    if ";" in plain:
        plain = re.sub(r"(?<=\d),(?=\d)", "", plain)
    return max(",;\t", key=plain.count)


# ------------------------------------------------------------------------------------------------------------- JSON lines


class JsonTable(Table):
    """A file of JSON lines with one object per line, or with one value per line, which is then the column ``"0"``.

    Args:
        path: The file.
    """

    unit = "line"

    def __init__(self, path: Path) -> None:
        with closing(json_lines(path)) as lines:
            first = list(itertools.islice(lines, _SAMPLE_ROWS))
        self.header = any(isinstance(value, dict) for _, value in first)
        entries = [self._entry(line, value) for line, value in first] if first else []
        columns = list(dict.fromkeys(str(key) for entry in entries for key in entry))
        cells = {name: [entry.get(name) for entry in entries] for name in columns}
        super().__init__(path, columns, cells, {name: _json_kind(column) for name, column in cells.items()})

    def read(
        self, numbers: Sequence[str], others: Sequence[str], runtime: Runtime, *, wide: bool = False, hint: str = ""
    ) -> Rows:
        """See :meth:`Table.read`."""
        values, lines = array("d" if wide else "f"), array("q")
        cells: list[list[Any]] = [[] for _ in others]
        width = None
        for line, value in runtime.bar(json_lines(self.path), f"reading {self.path.name}"):
            entry = self._entry(line, value)
            self._check_names(line, entry)
            row = self._floats(line, entry, numbers, hint)
            width = len(row) if width is None else width
            if len(row) != width:
                raise InvalidInput(f"{self.where(line)}: expected {width} numbers as before, got {len(row)}")
            values.extend(row)
            for column, name in zip(cells, others, strict=True):
                column.append(entry.get(name))
            lines.append(line)
        matrix = np.frombuffer(values, np.float64 if wide else np.float32) if values else np.empty(0, np.float32)
        return Rows(matrix.reshape(len(lines), width or 0), cells, lines)

    def _entry(self, line: int, value: Any) -> dict[str, Any]:  # noqa: ANN401 - any value of JSON
        if isinstance(value, dict) != self.header:
            raise InvalidInput(
                f"{self.where(line)}: expected an object in every line, or a value in every line; got {value!r:.60}"
            )
        return value if isinstance(value, dict) else {"0": value}

    def _check_names(self, line: int, entry: Mapping[str, Any]) -> None:
        """InvalidInput if ids or labels first occur after the sampled lines, which define the columns: they would be ignored."""
        late = next((name for name in entry.keys() - self.kinds.keys() if name.lower() in (ID, *LABELS)), None)
        if late is not None:
            raise InvalidInput(f"{self.where(line)} is the first with {late!r}; give every line one, or none")

    def _floats(self, line: int, entry: Mapping[str, Any], numbers: Sequence[str], hint: str) -> list[float]:
        row: list[float] = []
        for name in numbers:
            cell = entry.get(name)
            cells: list[Any] = cell if isinstance(cell, list) else [cell]
            if isinstance(cell, list) and len(numbers) > 1:
                raise InvalidInput(
                    f"{self.where(line)}: {name!r} is a list; expected a number, as in the other columns"
                )
            for value in cells:
                if not isinstance(value, (int, float)):  # booleans are whole numbers
                    fault = _no_number("" if value is None else str(value), hint, name)
                    fault = f"a number in quotes, {value!r}, is text" if is_number(value) else fault
                    raise InvalidInput(f"{self.where(line)}, column {name!r}: {fault}")
            row += [_float(value) for value in cells]
        return row


def _float(value: float | str) -> float:
    """The float of a cell; an integer of JSON beyond the largest float is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if int(value) > 0 else -math.inf


# ---------------------------------------------------------------------------------------------------------------- Parquet


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
            first = next(file.iter_batches(_SAMPLE_ROWS, columns=sampled), None)
            sample = {name: [] if first is None else first.column(name).to_pylist() for name in sampled}
        super().__init__(path, columns, {name: sample.get(name, []) for name in columns}, kinds)

    def read(
        self, numbers: Sequence[str], others: Sequence[str], runtime: Runtime, *, wide: bool = False, hint: str = ""
    ) -> Rows:
        """See :meth:`Table.read`."""
        cells: list[list[Any]] = [[] for _ in others]
        with _parquet_file(self.path) as file:
            size = file.metadata.num_rows
            wide = wide or any("double" in str(file.schema_arrow.field(name).type) for name in numbers)
            blocks = _Blocks(Space(runtime), size, torch.float64 if wide else torch.float32)
            batches = file.iter_batches(_BATCH_ROWS, columns=[*numbers, *others])
            start = 0
            for batch in runtime.bar(batches, f"reading {self.path.name}", -(-size // _BATCH_ROWS)):
                if numbers:
                    blocks.add(self._floats(batch, numbers, start, hint), self.where(start))
                for column, name in zip(cells, others, strict=True):
                    column += batch.column(name).to_pylist()
                start += len(batch)
        if start != size:
            raise InvalidInput(f"{self.path} is damaged: expected {size} rows, got {start}; write it again")
        return Rows(blocks.values(), cells, range(size))

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


def _decoded(column: Any) -> Any:  # noqa: ANN401 - an array of pyarrow
    """A column with categories decoded from their dictionary, and booleans as 0 and 1."""
    types = optional("pyarrow", "reading Parquet").types
    if types.is_boolean(column.type):
        return column.cast("uint8")
    return column.dictionary_decode() if types.is_dictionary(column.type) else column


def _arrow_kind(kind: Any) -> Kind:  # noqa: ANN401 - a type of pyarrow
    types = optional("pyarrow", "reading Parquet").types
    if types.is_dictionary(kind):
        return _arrow_kind(kind.value_type)
    if types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind):
        return "list" if _arrow_kind(kind.value_type) == "number" else "other"
    if types.is_string(kind) or types.is_large_string(kind) or str(kind) == "string_view":
        return "text"
    return "number" if types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind) else "other"

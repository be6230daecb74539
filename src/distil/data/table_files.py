"""Readers of tables (csv, tsv, workbooks, JSON, JSON lines, Parquet) as named columns, whose kind is decided by their content.

:func:`open_table` reads the first rows only; ``Table.read`` reads the file once, in time linear in its cells.
"""

from __future__ import annotations

import csv
import itertools
import re
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TextIO, cast, get_args

import numpy as np

from distil.data.columns import SAMPLE_ROWS, Kind, Rows, Table, UpToLast, as_float, kind_of_values
from distil.data.file_readers import checked_lines, ending, json_lines, json_records, line_of, reading_text
from distil.data.headers import (
    ID,
    LABELS,
    distinct_names,
    is_decimal_comma,
    is_header,
    is_like_number,
    is_missing,
    is_no_text,
    is_number,
)
from distil.data.parquet_files import ParquetTable
from distil.data.workbooks import read_sheet
from distil.errors import InvalidInput
from distil.system.runtime import Runtime

Quoting = Literal["minimal", "none"]
"""Whether cells of csv and tsv may be quoted (``"minimal"``) or quotes are part of the text (``"none"``)."""

TABLE_FILES: Final = (".csv", ".tsv", ".xlsx", ".json", ".jsonl", ".parquet")
"""File endings that :func:`open_table` reads."""

_SAMPLE_CELLS: Final = 200_000
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 20, 200_000
_DELIMITERS: Final = ",;\t|"
_DELIMITER_LINE: Final = re.compile('"?sep=([,;\t|])"?\\s*', re.IGNORECASE)  # a first line that Excel reads and writes


def open_table(
    path: Path, asked: Sequence[str | None] = (), errors: str = "strict", quoting: Quoting | None = None
) -> Table:
    """Open a table and read its header and first rows.

    Args:
        path: A file that ends in ``.csv``, ``.tsv``, ``.json`` or ``.jsonl``, plain or compressed, or in ``.parquet`` or
            ``.xlsx``. Any other file is read as csv.
        asked: Column names that the user gave; a first row that holds one of them is the header.
        errors: How to treat bytes of csv and tsv that are not UTF-8; see :func:`distil.data.file_readers.reading_text`.
        quoting: Whether cells of csv and tsv may be quoted; default: ``"minimal"`` for csv, and for tsv if
            its whole first line is quoted, else ``"none"``.

    Raises:
        InvalidInput: The file is damaged.
        MissingPackage: The file is Parquet and pyarrow is not installed, or a workbook and openpyxl is not.
    """
    if quoting not in (None, *get_args(Quoting)):
        raise InvalidInput(f"quoting must be one of {', '.join(get_args(Quoting))}; got {quoting!r}")
    kind = ending(path)
    if kind == ".parquet":
        return ParquetTable(path)
    if path.suffix.lower() == ".xlsx":
        sheet = read_sheet(path)
        return TextTable(path, sheet.cells, asked, unit="row", escaped=False, remark=sheet.note, numeric=sheet.numeric)
    if kind in (".json", ".jsonl"):
        return JsonTable(path)
    return TextTable(path, lambda _: _delimited(path, errors, quoting), asked, unit="line", escaped=True)


# ------------------------------------------------------------------------------------------------- csv, tsv and workbooks


@dataclass(frozen=True)
class _Dialect:
    """How a csv or tsv file separates its cells.

    Attributes:
        delimiter: The character between cells.
        quoting: Whether cells may be quoted.
    """

    delimiter: str
    quoting: Quoting

    def rows(self, lines: Iterator[str], *, strict: bool) -> Any:  # noqa: ANN401 - a reader of csv, which has no public name
        """A reader of ``lines``; ``strict`` refuses quotes that do not end correctly."""
        if self.quoting == "none":
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE)
        return csv.reader(lines, delimiter=self.delimiter, strict=strict, skipinitialspace=self.delimiter == " ")


class TextTable(Table):
    """A table whose cells are texts: a csv or tsv file, or a sheet of a workbook.

    In csv, cells may be quoted, and the delimiter is the comma, semicolon, tab or bar that cuts the first lines into rows of one
    length, or the one that a first line such as ``sep=;`` names; columns of numbers may be separated by blanks too. In tsv, the
    delimiter is the tab, and quotes are text, unless the whole first line is quoted. Numbers may have decimal commas if none has a
    decimal point.

    Args:
        path: The file.
        rows: Begins to read, given the columns whose cells are used, and yields the rows, each with its line or row from 1.
        asked: Column names that the user gave; None entries are ignored.
        unit: What messages call a row.
        escaped: See :class:`~distil.data.columns.Table`.
        remark: See :class:`~distil.data.columns.Table`.
        numeric: The columns, from 0, of a workbook in which a cell is no text.
    """

    def __init__(
        self,
        path: Path,
        rows: Callable[[Collection[int]], Generator[tuple[int, list[str]]]],
        asked: Sequence[str | None] = (),
        *,
        unit: str,
        escaped: bool,
        remark: str = "",
        numeric: Collection[int] = (),
    ) -> None:
        self._rows, self.unit, self.escaped, self.remark = rows, unit, escaped, remark
        with closing(rows(())) as found:
            lines, sample = _sampled(UpToLast(found, _is_empty_row))
        first, body = _named_index(sample, asked, path)
        if body and all(len(row) != len(first) for row in body):
            raise InvalidInput(
                f"{path}, {unit} {lines[1]}: expected {len(first)} columns as in {unit} {lines[0]}, got {len(body[0])}; remove any "
                "title or comment above the names of the columns"
            )
        self.header = len(first) > len((sample or [first])[0]) or is_header(first, body, asked, str(path))
        names = [cell.strip() for cell in first] if self.header else []
        repeated = {name: count for name, count in Counter(filter(None, names)).items() if count > 1}
        columns = distinct_names(names) if self.header else [str(place) for place in range(len(first))]
        self.retyped = columns if escaped else {name for place, name in enumerate(columns) if place in numeric}
        body = [row for row in (body if self.header else sample) if len(row) == len(columns)]
        self._commas = _has_decimal_commas(body)
        decided = {name: self._decided([row[place] for row in body]) for place, name in enumerate(columns)}
        cells = {name: column for name, (_, column) in decided.items()}
        super().__init__(path, columns, cells, {name: kind for name, (kind, _) in decided.items()}, repeated)

    def _decided(self, cells: list[str]) -> tuple[Kind, list[Any]]:
        """The kind of a column, and its cells, as numbers if it holds numbers."""
        present = [cell for cell in cells if not is_missing(cell)]
        if not present:
            return "empty", cells
        numbers = [self._number(cell) for cell in present]
        if None in numbers:
            return "text", cells
        left = iter(numbers)
        return "number", [None if is_missing(cell) else next(left) for cell in cells]

    def _below_header(self, rows: UpToLast, runtime: Runtime) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows below the header, each with its line; InvalidInput for one with more cells than columns, or fewer."""
        width = len(self.columns)
        shown = runtime.bar(rows, f"reading {self.path.name}")
        for line, cells in itertools.islice(shown, int(self.header), None):
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
        rows = UpToLast(self._rows({*chosen, *kept}), _is_empty_row)
        for line, row in self._below_header(rows, runtime):
            values.extend(self._floats(line, row, chosen, hint))
            for column, place in zip(cells, kept, strict=True):
                column.append(row[place])
            lines.append(line)
        matrix = np.frombuffer(values, np.float64 if wide else np.float32) if values else np.empty(0, np.float32)
        return Rows(matrix.reshape(len(lines), len(chosen)), cells, lines, rows.n_empty, self.remark)

    def _floats(self, line: int, row: Sequence[str], chosen: Sequence[int], hint: str) -> list[float]:
        cells = [row[place] for place in chosen]
        try:
            if "_" not in "".join(cells):  # float() accepts 1_000, but a table holds text there
                return [float(cell) for cell in cells]
        except ValueError:
            pass
        values = [self._number(cell) for cell in cells]
        if None not in values:
            return cast(list[float], values)
        if line == 1 and len(self.sample[self.columns[0]]) == 1 and not any(map(is_number, row)):
            raise InvalidInput(f"{self.path}: there is no row below the header")
        place = chosen[values.index(None)]
        raise InvalidInput(
            f"{self.where(line)}, {self.column_title(place)}: {_no_number(row[place], hint, self.columns[place])}"
        )

    def _number(self, cell: str) -> float | None:
        """The number in a cell, 1 or 0 for a boolean as pandas and R write it; None for any other cell."""
        if is_number(cell):
            return float(cell)
        text = cell.strip().lower()
        if text in ("true", "false"):
            return float(text == "true")
        return float(text.replace(",", ".")) if self._commas and is_decimal_comma(text) else None


def _no_number(cell: str, hint: str, column: str) -> str:
    if is_missing(cell):
        return "the value is missing; fill it in or drop the row"
    if is_like_number(cell):
        return (
            f"{cell.strip()!r} is not a number; write numbers with a decimal point and without commas, blanks or units"
        )
    return f"{cell.strip()!r} is not a number{hint.replace('{column}', column)}"


def _named_index(sample: list[list[str]], asked: Sequence[str | None], path: Path) -> tuple[list[str], list[list[str]]]:
    """The first row and the rows below it; a header that lacks a name for the index, as R writes it, gets an empty one."""
    if not sample:
        return [], []
    first, body = sample[0], sample[1:]
    if not body or any(len(row) != len(first) + 1 for row in body) or any(map(is_number, first)):
        return first, body
    if all(not row[-1].strip() for row in body):  # the rows end with a delimiter, and the header does not
        return [*first, ""], body
    if is_header(body[0], body[1:], asked, str(path)):  # the first row is a title
        return first, body
    return ["", *first], body


def _has_decimal_commas(body: Sequence[Sequence[str]]) -> bool:
    """Whether numbers have decimal commas: some cells do, not all of which may separate thousands, and none has a point."""
    commas = [cell.strip() for row in body for cell in row if "," in cell and is_decimal_comma(cell)]
    if all(re.fullmatch(r"[-+]?[1-9]\d{0,2},\d{3}", cell) for cell in commas):
        return False
    return not any("." in cell and is_number(cell) for row in body for cell in row)


def _is_empty_row(cells: Sequence[str]) -> bool:
    """Whether all of several cells are blank; in a file of one column, an empty cell is a missing text or number."""
    return len(cells) > 1 and not any(map(str.strip, cells))


def _sampled(rows: Iterable[tuple[int, list[str]]]) -> tuple[list[int], list[list[str]]]:
    """The line numbers of the first rows, and these rows; fewer rows of a wide table, but at least a few."""
    lines: list[int] = []
    sample: list[list[str]] = []
    for line, cells in rows:
        lines.append(line)
        sample.append(cells)
        if len(sample) > max(3, min(SAMPLE_ROWS, _SAMPLE_CELLS // max(1, len(cells)))):
            break
    return lines, sample


def _delimited(path: Path, errors: str, quoting: Quoting | None) -> Generator[tuple[int, list[str]]]:
    """Yield the rows of a csv or tsv file, each with the line in which it begins; blank lines are skipped."""
    with reading_text(path, errors) as text:
        head, first = _head(text, path)
        declared = _DELIMITER_LINE.fullmatch(head[first])
        if declared:
            head[first] = "\n"  # the line is not a row
        if ending(path) == ".tsv":
            dialect = _Dialect("\t", quoting or ("minimal" if _are_quoted(head[first:]) else "none"))
        else:
            delimiter = declared[1] if declared else _delimiter(head[first:], quoting or "minimal")
            dialect = _Dialect(delimiter, quoting or "minimal")
        reader = dialect.rows(checked_lines(path, text, head), strict=True)
        width, begin = 0, 1
        try:
            for cells in reader:
                width = width or len(cells)
                if cells and (len(cells) > 1 or cells[0].strip() or (width == 1 and not cells[0])):
                    yield begin, cells
                begin = reader.line_num + 1
        except csv.Error as error:
            most = f"{csv.field_size_limit():,} characters"
            advice = "close the quote, write quotes inside a cell twice, or store longer texts in .jsonl or .parquet"
            if dialect.quoting == "minimal":
                advice += "; if quotes are part of the text: quoting='none' (--quoting none)"
            raise InvalidInput(
                f"{path}, line {begin}: a quoted cell does not end correctly, or has more than {most} ({error}); {advice}"
            ) from error


def _head(text: TextIO, path: Path) -> tuple[list[str], int]:
    """The first lines of a file, and the place of the first that is not blank."""
    head: list[str] = [line_of(text, path)]
    while head[-1].isspace():
        head.append(line_of(text, path))
    first, size = len(head) - 1, len(head[-1])
    while head[-1] and len(head) - first < _SAMPLE_LINES and (size < _SAMPLE_CHARACTERS or len(head) - first < 2):
        head.append(line_of(text, path))
        size += len(head[-1])
    return [line for line in head if line] or [""], min(first, max(0, len(head) - 1))


def _are_quoted(lines: list[str]) -> bool:
    """Whether the cells of a tsv file are quoted, as R writes them: all of the first line, and no cell only begins with a quote."""
    rows = [line.rstrip("\r\n").split("\t") for line in lines]
    return len(rows[0]) > 1 and all(
        re.fullmatch('"([^"]|"")*"', cell) for row in rows for cell in row if row is rows[0] or cell.startswith('"')
    )


def _delimiter(lines: list[str], quoting: Quoting) -> str:
    """The delimiter that cuts the lines into rows of one length; in doubt the one that is most frequent in the first line.

    Quoted cells and decimal commas do not count.
    """
    plain = re.sub('"[^"]*"', "", lines[0]) if quoting == "minimal" else lines[0]
    if ";" in plain:
        plain = re.sub(r"(?<=\d),(?=\d)", "", plain)
    found = sorted((each for each in _DELIMITERS if each in plain), key=plain.count, reverse=True)
    even = (each for each in found if _widths(lines, _Dialect(each, quoting)))
    if (best := next(even, None)) is None and _are_blanks(lines, quoting):
        return " "
    return best or (found or ",")[0]


def _widths(lines: list[str], dialect: _Dialect) -> int:
    """The number of cells in every row, the first of which may have one less; 0 if the rows differ."""
    try:
        rows = [row for row in dialect.rows(iter(lines), strict=False) if row]
    except csv.Error:
        return 0
    if not rows:
        return 0
    first = len(rows[0])
    widths = {len(row) for row in (rows[1:-1] if len(rows) > 3 else rows[1:])} or {first}  # the last row may be cut off
    width = max(widths)
    return width if len(widths) == 1 and first in (width, width - 1) else 0


def _are_blanks(lines: list[str], quoting: Quoting) -> bool:
    """Whether blanks separate columns of numbers, as in files of R and NumPy; the first column may be names of rows."""
    blanks, lines = _Dialect(" ", quoting), [line.strip() for line in lines]
    if _widths(lines, blanks) < 2:  # also if a cell is too long
        return False
    rows = [row for row in blanks.rows(iter(lines), strict=False) if row]
    return len(rows) > 1 and all(is_number(cell) for row in rows[1:] for cell in row[1:])


# ------------------------------------------------------------------------------------------------------------- JSON lines


class JsonTable(Table):
    """A file of JSON lines, or one JSON document: objects, or values, which are then the column ``"0"``.

    Args:
        path: The file; one that ends in ``.json`` is read completely, and so is one of JSON lines whose only line is a list of
            objects or lists, which are then the values.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._records = path, None
        if ending(path) == ".json":
            self.unit, self._records = json_records(path)
        else:
            self.unit = "line"
        with closing(self._values()) as values:
            first = list(itertools.islice(UpToLast(values, _is_empty_record), SAMPLE_ROWS))
        if self._records is None and len(first) == 1 and _is_list_of_records(first[0][1]):
            self.unit, self._records = "row", list(enumerate(first[0][1]))
            first = self._records[:SAMPLE_ROWS]
        self.header = any(isinstance(value, dict) for _, value in first)
        entries = [self._entry(line, value) for line, value in first] if first else []
        columns = list(dict.fromkeys(str(key) for entry in entries for key in entry))
        cells = {name: [entry.get(name) for entry in entries] for name in columns}
        super().__init__(path, columns, cells, {name: kind_of_values(column) for name, column in cells.items()})

    def read(
        self, numbers: Sequence[str], others: Sequence[str], runtime: Runtime, *, wide: bool = False, hint: str = ""
    ) -> Rows:
        """See :meth:`Table.read`."""
        values, lines = array("d" if wide else "f"), array("q")
        cells: list[list[Any]] = [[] for _ in others]
        width = None
        found = UpToLast(self._values(), _is_empty_record)
        for line, value in runtime.bar(found, f"reading {self.path.name}"):
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
        return Rows(matrix.reshape(len(lines), width or 0), cells, lines, found.n_empty)

    def _values(self) -> Generator[tuple[int, Any]]:
        """Yield the values, each with its line or row."""
        yield from json_lines(self.path) if self._records is None else self._records

    def _entry(self, line: int, value: Any) -> dict[str, Any]:  # noqa: ANN401 - any value of JSON
        if isinstance(value, dict) != self.header:
            raise InvalidInput(
                f"{self.where(line)}: expected an object in every {self.unit}, or a value in every {self.unit}; got {value!r:.60}"
            )
        return value if isinstance(value, dict) else {"0": value}

    def _check_names(self, line: int, entry: Mapping[str, Any]) -> None:
        """InvalidInput if ids or labels first occur after the sampled lines, which define the columns: they would be ignored."""
        late = next((name for name in entry.keys() - self.kinds.keys() if name.lower() in (ID, *LABELS)), None)
        if late is not None:
            raise InvalidInput(f"{self.where(line)} is the first with {late!r}; give every {self.unit} one, or none")

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
            row += [as_float(value) for value in cells]
        return row


def _is_empty_record(value: Any) -> bool:  # noqa: ANN401 - any value of JSON
    """Whether none of several values of an object holds anything; the only value may be a missing text or number."""
    return isinstance(value, dict) and len(value) != 1 and all(map(is_no_text, value.values()))


def _is_list_of_records(value: Any) -> bool:  # noqa: ANN401 - any value of JSON
    return isinstance(value, list) and bool(value) and all(isinstance(record, (dict, list)) for record in value)

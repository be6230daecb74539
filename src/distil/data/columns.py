"""Named columns, whose kind is decided by their content: what every reader of tables gives."""

from __future__ import annotations

import itertools
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from numpy.typing import NDArray

from distil.data.headers import ID, LABELS, is_missing
from distil.errors import InvalidInput, counted, nearest
from distil.system.runtime import Runtime

Kind = Literal["number", "text", "list", "empty", "other"]

SAMPLE_ROWS: Final = 100
"""The number of rows that decide the kind of a column."""

HOLDS_IDS: Final = "holds ids"
"""Why a column of distinct whole numbers with a name such as ``image_id`` is not a feature."""

_COUNTED: Final = 10  # rows; a named first column that counts as many is no feature
_NUMBERS: Final = (bool, int, float, Decimal)
_INDEX: Final = re.compile(r"Unnamed: \d+(\.\d+)*|__index_level_\d+__")
_IDS: Final = re.compile(r"(?i:index|idx|uid|.+[-_. ]id)|.*[a-z]I[dD]")  # names of columns of ids, such as image_id
_PARQUET_INDEX: Final = "__index_level_0__"


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of some columns of a table.

    Attributes:
        values: The columns of numbers, (N, D) float32, or float64 if that was asked for or is stored.
        cells: The other columns, (N,) each, with their cells as the file has them.
        places: The number of each row, (N,): its line from 1 in a text file, its row from 1 in a workbook, else its row from 0.
        n_empty: Number of rows that were left out because they hold nothing.
        remark: The remark of the table.
    """

    values: NDArray[Any]
    cells: list[list[Any]]
    places: Sequence[int]
    n_empty: int = 0
    remark: str = ""

    def note(self, path: Path) -> str:
        """Sentences on the sheets and the rows that were left out; empty if there are none."""
        empty = f"left out {counted(self.n_empty, 'empty row')} of {path.name}" if self.n_empty else ""
        return "; ".join(filter(None, (self.remark, empty)))


class UpToLast:
    """Iterates over the rows of a table up to the last that holds something: spreadsheets write empty ones below.

    Args:
        rows: The rows, each with its line or row number.
        is_empty: Whether a row holds nothing.

    Attributes:
        n_empty: Number of empty rows below the others, after the iteration.
    """

    def __init__(self, rows: Iterable[tuple[int, Any]], is_empty: Callable[[Any], bool]) -> None:
        self._rows, self._is_empty = rows, is_empty
        self.n_empty = 0

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        empty: list[tuple[int, Any]] = []
        for place, row in self._rows:
            if self._is_empty(row):
                empty.append((place, row))
            else:
                yield from empty
                empty.clear()
                yield place, row
        self.n_empty = len(empty)


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
        escaped: Whether texts that begin like a formula may have a leading ``'``; see :mod:`distil.data.cells`.
        remark: A sentence on what of the file is not read, such as further sheets; else empty.
        retyped: The columns that a spreadsheet program may have changed, 1 for 01: all of a csv file, and those of a workbook in
            which a cell is no text.
        left_out: Column -> the reason why it is not a feature: it is the first and counts rows, is an index that pandas or R
            wrote (or a level of one: several first columns without a name, or called level_0, level_1, ...), or holds ids or
            nothing.
        index: The column that pandas or R wrote for the index, or that counts rows; its cells are ids unless they
            count rows from 0 (see :func:`distil.data.ids.ids_in`). None if there is no such column.
    """

    unit: str = "row"
    header: bool = True
    escaped: bool = False
    remark: str = ""
    retyped: Collection[str] = ()

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
        if len(columns) > 1 and self._counts_rows(columns[0]):
            self.left_out[columns[0]] = "counts rows"
        self.left_out |= {name: "is an index" for name in _levels(columns) if kinds[name] != "text"}
        self.index = next((name for name in columns if self._is_index(name)), None)

    def _counts_rows(self, name: str) -> bool:
        """Whether a column, of any name but that of ids or labels, counts rows."""
        least = _COUNTED if self.header else 3
        return name.lower() not in (ID, *LABELS) and self.kinds[name] == "number" and _counts(self.sample[name], least)

    def _is_index(self, name: str) -> bool:
        """Whether a column is the index of a data frame: the first column without a name, or the one that Parquet names so."""
        if name not in (self.columns[0], _PARQUET_INDEX):
            return False
        if self.kinds[name] == "text":
            return _INDEX.fullmatch(name) is not None or (name == "index" and _are_distinct(self.sample[name]))
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

    def column_title(self, place: int) -> str:
        """The number, from 1, and the name of a column, for messages."""
        return f"column {place + 1}" + (f" ({self.columns[place]!r})" if self.header else "")

    def where(self, place: int) -> str:
        """The file and the number of a row in it, for messages."""
        return f"{self.path}, {self.unit} {place}"

    @abstractmethod
    def read(
        self, numbers: Sequence[str], others: Sequence[str], runtime: Runtime, *, wide: bool = False, hint: str = ""
    ) -> Rows:
        """Read some columns, in one pass, without the empty rows below all others.

        Args:
            numbers: Names of columns of numbers, or of one column of lists of numbers.
            others: Names of columns whose cells are returned unchanged.
            runtime: The memory for decoded values, and whether to show a progress bar.
            wide: Whether to keep numbers in float64.
            hint: End of the message about a cell that is not a number; ``{column}`` stands for its column.

        Raises:
            InvalidInput: A cell is not a number, or rows differ in length; the message gives the line or row.
        """


def _left_out(name: str, cells: Sequence[Any], kind: Kind) -> str | None:
    """The reason why a column is not a feature; None if it may be one."""
    if kind == "empty" and name.startswith("Unnamed: "):
        return "holds nothing"
    if kind != "number" or not (_INDEX.fullmatch(name) or _IDS.fullmatch(name)):
        return None
    numbers = [as_float(cell) for cell in cells if not is_missing(cell)]
    if not numbers or not all(number.is_integer() for number in numbers):
        return None
    if not _INDEX.fullmatch(name) and (len(set(numbers)) < len(cells) or len(cells) < 2):
        return None
    if _counts(cells, 1):
        return "counts rows"
    return "is an index" if _INDEX.fullmatch(name) else HOLDS_IDS


def _levels(columns: Sequence[str]) -> list[str]:
    """The first columns if they are the levels of an index of pandas, which have no names or are numbered; [] for one column."""
    unnamed = list(itertools.takewhile(re.compile(r"Unnamed: \d+").fullmatch, columns))
    counted = itertools.takewhile(lambda entry: entry[1] == f"level_{entry[0]}", enumerate(columns))
    numbered = [name for _, name in counted]
    return next((levels for levels in (unnamed, numbered) if len(levels) > 1), [])


def _are_distinct(cells: Sequence[Any]) -> bool:
    return len(set(cells)) == len(cells)


def _counts(cells: Sequence[Any], least: int) -> bool:
    """Whether there are at least ``least`` cells, and they are 0, 1, 2, ... or 1, 2, 3, ..."""
    numbers = [as_float(cell) for cell in cells if not is_missing(cell)]
    return len(cells) >= least and numbers in (list(range(len(cells))), list(range(1, len(cells) + 1)))


def as_float(value: float | str) -> float:
    """The float of a cell; an integer of JSON beyond the largest float is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if int(value) > 0 else -math.inf


def kind_of_values(cells: Sequence[Any]) -> Kind:
    """The kind of a column of JSON or of a frame; a number in quotes is text, and a list without numbers is of no use."""
    present = [cell for cell in cells if cell is not None]
    if not present:
        return "empty"
    if all(isinstance(cell, list) for cell in present):
        values = list(itertools.chain.from_iterable(present))
        return "list" if not values or any(isinstance(value, _NUMBERS) for value in values) else "other"
    if all(isinstance(cell, _NUMBERS) for cell in present):
        return "number"
    return "text" if all(isinstance(cell, (str, int, float)) for cell in present) else "other"

"""Data frames and columns of pandas and polars in memory, read as the tables in files are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from distil.data.arrays import Series
from distil.data.columns import SAMPLE_ROWS, Kind, Rows, Table, kind_of_values
from distil.data.ids import as_name
from distil.errors import InvalidInput
from distil.system.runtime import Runtime

_FRAME: Final = Path("the data frame")  # what messages call it
_INDEX: Final = "__index_level_0__"  # as pandas calls an index without a name in Parquet
_SHOWN: Final = 3  # ids in a message
_MISSING: Final = ("NAType", "NaTType")  # missing values of pandas, which is not imported here


@runtime_checkable
class Frame(Series, Protocol):
    """A data frame of pandas or polars."""

    @property
    def columns(self) -> Any:  # noqa: ANN401
        """The names of the columns."""
        ...

    def __getitem__(self, name: Any) -> Any: ...  # noqa: ANN401


@runtime_checkable
class _Indexed(Protocol):
    """A data frame of pandas, or a column of one."""

    @property
    def index(self) -> Any: ...  # noqa: ANN401


@runtime_checkable
class _Index(Protocol):
    """An index of pandas."""

    def get_indexer(self, target: Any) -> Any: ...  # noqa: ANN401


def is_index(value: object) -> bool:
    """Whether a value is an index of pandas, which holds names of rows."""
    return isinstance(value, _Index)


def values_of(column: Any) -> list[Any]:  # noqa: ANN401 - a column of pandas or polars
    """The values of a column as Python objects; missing ones are None or NaN."""
    array = column.to_numpy()
    values = (
        array.astype(f"{array.dtype.kind}8[us]") if array.dtype.kind in "mM" else array
    ).tolist()  # not whole numbers
    return [None if type(value).__name__ in _MISSING else value for value in values]


def names_in_index(value: object, *, counted: bool = False) -> list[str] | None:
    """The index of a frame or column of pandas as ids; None without one, or if it has repeats, or counts rows from 0.

    With ``counted``, row numbers are ids too.
    """
    if not (isinstance(value, Series) and isinstance(value, _Indexed)):
        return None
    names = [as_name(name) for name in values_of(value.index)]
    counts = not counted and names == [str(row) for row in range(len(names))]
    return None if counts or len(set(names)) < len(names) else names


def own_index(column: object) -> list[Any] | None:
    """The index of a column of pandas as Python objects; None without one, or if it counts rows from 0."""
    index = values_of(column.index) if isinstance(column, Series) and isinstance(column, _Indexed) else None
    return None if index == list(range(len(index or ()))) else index


def row_names(value: object) -> list[Any] | None:
    """The index of a frame or column of pandas as names of its rows; None without one that names each row, or if it counts them."""
    index = own_index(value)
    named = index is not None and names_in_index(value) is not None and all(name == name for name in index)
    return index if named and None not in (index or ()) else None


def check_same_order(value: object, names: Sequence[str], what: str, others: str, *, counted: bool = False) -> None:
    """Refuse a frame or column of pandas whose index has the names of other rows in another order: rows are matched by place.

    Args:
        value: Any argument of a caller.
        names: The names of the other rows.
        what: The caller's name for the value.
        others: The caller's name for the other rows.
        counted: Whether an index that counts rows from 0 has names too.
    """
    own = names_in_index(value, counted=counted)
    if own is not None and own != [*names] and sorted(own) == sorted(names):
        raise InvalidInput(
            f"{what}: the index has the ids of {others} in another order: it begins with {own[0]!r}, not {names[0]!r}; reorder it "
            "with .loc[...], or pass .to_numpy() if the order is right and the index is not"
        )


def check_same_ids(value: object, ids: Sequence[Any], what: str, others: str) -> None:
    """Refuse a frame or column of pandas whose index has other ids than the rows that it goes with, or has them in another order.

    An index without any of the ids, and of another type, is no list of ids: numbers of rows, for example, where ids are texts.

    Args:
        value: Any argument of a caller.
        ids: The ids of the other rows.
        what: The caller's name for the value.
        others: The caller's name for the other rows.
    """
    if own_index(value) is None:
        return
    names = list(map(as_name, ids))
    check_same_order(value, names, what, others)
    own, known = row_names(value) or [], {*names}
    strange = [name for name in own if as_name(name) not in known]
    comparable = len(strange) < len(own) or not {*map(_type_of, own)}.isdisjoint(map(_type_of, ids))
    if strange and comparable:
        shown = ", ".join(map(repr, ids[:_SHOWN])) + (", ..." if len(ids) > _SHOWN else "")
        raise InvalidInput(
            f"{what}: the index has {strange[0]!r}, which is not among {others} ({shown}); select their rows with .loc[...], or "
            "pass .to_numpy() if the order is right and the index is not"
        )


def _type_of(name: object) -> type:
    """The type of an id; numbers have one."""
    return float if isinstance(name, int) else type(name)


def without_index(value: Any) -> Any:  # noqa: ANN401 - any argument of a caller
    """The array of a frame or column of pandas; any other value unchanged."""
    return value.to_numpy() if isinstance(value, Series) and isinstance(value, _Indexed) else value


def in_pairs(ids: object, labels: Any, what: str) -> Any:  # noqa: ANN401 - any arguments of a caller
    """Labels without their index if it is that of the column of ids, from the same frame; else unchanged.

    Raises:
        InvalidInput: Both indexes have the same names, in another order.
    """
    index = names_in_index(ids, counted=True)
    if index is None:
        return labels
    check_same_order(labels, index, what, "the examples")
    return without_index(labels) if names_in_index(labels) == index else labels


class FrameTable(Table):
    """A data frame of pandas or polars. The index of pandas is a column.

    Args:
        frame: The frame.
    """

    def __init__(self, frame: Frame) -> None:
        columns = {str(name): frame[name] for name in frame.columns}
        if len(columns) < len(frame.columns):
            raise InvalidInput("the data frame has two columns of one name; rename one of them")
        if isinstance(frame, _Indexed):
            columns = {str(frame.index.name or _INDEX): frame.index, **columns}
        self._columns, self._size = columns, int(frame.shape[0])
        sample = {name: values_of(column[:SAMPLE_ROWS]) for name, column in columns.items()}
        super().__init__(_FRAME, list(columns), sample, {name: _kind(cells) for name, cells in sample.items()})
        if isinstance(frame, _Indexed):
            self.index = self.columns[0]
            self.left_out.setdefault(self.index, "is an index")

    def read(
        self, numbers: Sequence[str], others: Sequence[str], _: Runtime, *, wide: bool = False, hint: str = ""
    ) -> Rows:
        """See :meth:`Table.read`."""
        arrays = [self._numbers(name, hint) for name in numbers]
        double = wide or any(array.dtype == np.float64 for array in arrays)
        values = np.concatenate(arrays, 1) if arrays else np.empty((self._size, 0))
        cells = [values_of(self._columns[name]) for name in others]
        return Rows(values.astype(np.float64 if double else np.float32, copy=False), cells, range(self._size))

    def _numbers(self, name: str, hint: str) -> NDArray[Any]:
        """A column of numbers, (N, 1), or of lists of numbers, (N, D)."""
        values = np.asarray(self._columns[name].to_numpy())
        try:
            if self.kinds[name] == "list":
                return np.stack([np.asarray(row, np.float64) for row in values])
            return (values if values.dtype.kind in "fiub" else values.astype(np.float64)).reshape(-1, 1)
        except (ValueError, TypeError) as error:
            raise InvalidInput(
                f"{self.path}, column {name!r}: expected numbers, or lists of numbers of one length ({error})"
                f"{hint.replace('{column}', name)}"
            ) from error


def _kind(cells: Sequence[Any]) -> Kind:
    """The kind of a column of a frame, whose lists may be arrays."""
    return kind_of_values([cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in cells])

"""Examples as callers give them: arrays, data sets, data frames and sparse matrices; and some of them with labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torch import Tensor
from torch.utils.data import Dataset

if TYPE_CHECKING:
    pass
from distil.data.arrays import Array, is_array, take


@runtime_checkable
class Batched(Protocol):
    """A data set that can give many examples at once, at the speed of arrays."""

    def __len__(self) -> int: ...

    def batch(self, rows: Tensor) -> Tensor:
        """The inputs of these rows, (B, ...)."""
        ...


Data = Array | Dataset[Any] | Batched
"""Examples: an array whose rows they are, a map-style data set, or one that gives many at once."""


class LabeledSet(Dataset[tuple[Any, int]]):
    """Some examples of a data set with their labels, itself a map-style data set of (x, y).

    Args:
        data: An array, or a map-style Dataset (of inputs, or of tuples that begin with one).
        ids: Positions in ``data``, (M,) int64.
        y: Labels, (M,) int64.
    """

    def __init__(self, data: Data, ids: Tensor, y: Tensor) -> None:
        self.data = data
        self.ids = ids
        self.y = y

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        item = self.data[int(self.ids[row])]  # type: ignore[index]
        x = item[0] if isinstance(item, (tuple, list)) and not is_row(item) else item
        return x, int(self.y[row])

    @property
    def x(self) -> Tensor | None:
        """All inputs in one tensor, (M, ...), where the data is an array; None where it is not."""
        return take(self.data, self.ids) if is_array(self.data) else None


def is_row(value: object) -> bool:
    """Whether an item, or a part of one, is a list of plain numbers: one row, and no pair of input and label."""
    return isinstance(value, list) and len(value) > 0 and all(isinstance(number, (int, float)) for number in value)


@runtime_checkable
class _Frame(Protocol):
    @property
    def iloc(self) -> Any: ...  # noqa: ANN401

    def to_numpy(self) -> Any: ...  # noqa: ANN401


@runtime_checkable
class _Sparse(Protocol):
    def tocsr(self) -> Any: ...  # noqa: ANN401

    def toarray(self) -> Any: ...  # noqa: ANN401


class Rows(Dataset[Any]):
    """The rows of a data frame (of pandas, or whatever has ``iloc``) or of a sparse matrix of SciPy, many at once.

    Args:
        table: The frame or matrix.
    """

    def __init__(self, table: Any) -> None:  # noqa: ANN401 - neither package is imported here
        self.table = table.tocsr() if isinstance(table, _Sparse) else table
        self._rows = table.iloc if isinstance(table, _Frame) else self.table

    def __len__(self) -> int:
        return int(self.table.shape[0])

    def __getitem__(self, row: int) -> Any:  # noqa: ANN401
        return self._rows[row : row + 1]

    def batch(self, rows: Tensor) -> Any:  # noqa: ANN401
        """These rows, as a frame or matrix."""
        return self._rows[rows.numpy()]


def as_data(data: Any) -> Any:  # noqa: ANN401 - whatever a caller gives
    """``data`` itself; of a data frame or sparse matrix, its ``Rows``."""
    return Rows(data) if isinstance(data, (_Frame, _Sparse)) else data

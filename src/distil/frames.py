"""Data frames and sparse matrices as data: their rows are examples."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor
from torch.utils.data import Dataset


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

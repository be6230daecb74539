"""The data that callers pass (arrays, data sets, data frames, sparse matrices), and labeled subsets of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from distil.data.arrays import Array, Series, check_plain, is_array, one_axis, scalar, take
from distil.data.frames import row_names, values_of
from distil.data.headers import is_no_text
from distil.data.labels import labels_of
from distil.errors import InvalidInput
from distil.tasks import Task


@runtime_checkable
class Batched(Protocol):
    """A data set that returns many examples at once, at the speed of arrays."""

    def __len__(self) -> int: ...

    def batch(self, rows: Tensor) -> Tensor:
        """The inputs of the examples at positions ``rows`` (B,): (B, ...)."""
        ...


Data = Array | Dataset[Any] | Batched
"""Examples: an array with one row per example, a map-style data set, or one with ``batch``."""

GivenData = Data | Sequence[Any] | Series
"""Examples as callers pass them: lists and data frames too (which have the attributes of a ``Series``); ``as_data`` reads them."""


class LabeledSet(Dataset[tuple[Any, Any]]):
    """Some examples of a data set with their labels: a map-style data set of pairs (x, y).

    Args:
        data: An array, or a map-style Dataset of inputs or of tuples whose first element is the input.
        ids: Positions in ``data``, (M,) whole numbers.
        y: Labels, (M,) whole numbers; for other tasks rows of 0 and 1, (M, L), or targets, (M,) or (M, T).
        task: The task, which says what labels are.

    Raises:
        InvalidInput: Ids or labels are not whole numbers, or there are more labels than ids or fewer.
    """

    def __init__(self, data: Data, ids: Tensor, y: Tensor, task: Task = "classification") -> None:
        self.data = data
        positions = one_axis(ids, "ids")
        if len(positions) and positions.dtype.kind not in "iu":
            raise InvalidInput(
                f"ids of a LabeledSet must be whole numbers, positions in its data; got {positions.dtype}"
            )
        self.ids = torch.from_numpy(positions.astype(np.int64))
        self.y = labels_of(task, y, "y", self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        y = self.y[row]
        return input_of(self.data[int(self.ids[row])]), int(y) if y.ndim == 0 else y  # type: ignore[index]

    @property
    def x(self) -> Tensor | None:
        """All inputs in one tensor, (M, ...); None where the data are not an array."""
        return take(self.data, self.ids) if is_array(self.data) else None


def is_row(value: object) -> bool:
    """Whether a value is one row of numbers: a list of numbers, or a tuple of three or more (two may be input and label)."""
    row = (isinstance(value, list) and len(value) > 0) or (isinstance(value, tuple) and len(value) > 2)
    return row and all(isinstance(number, (int, float)) for number in value)  # type: ignore[attr-defined]


def input_of(item: Any) -> Any:  # noqa: ANN401 - an item of any data set
    """The input in an item of a data set: the first element of a tuple or list that is not a row; else the item itself."""
    return item[0] if isinstance(item, (tuple, list)) and len(item) > 0 and not is_row(item) else item


@runtime_checkable
class _Frame(Series, Protocol):
    """A data frame of pandas, or a column of one."""

    @property
    def iloc(self) -> Any: ...  # noqa: ANN401


@runtime_checkable
class _Sparse(Protocol):
    def tocsr(self) -> Any: ...  # noqa: ANN401

    def toarray(self) -> Any: ...  # noqa: ANN401


@runtime_checkable
class _ByColumn(Protocol):
    """A table of Arrow, which is indexed by column."""

    def to_pandas(self) -> Any: ...  # noqa: ANN401

    def to_pylist(self) -> Any: ...  # noqa: ANN401


@runtime_checkable
class _MapStyle(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Any: ...  # noqa: ANN401


class Rows(Dataset[Any]):
    """A data set of the rows of a data frame (pandas, polars), a column of texts or a SciPy sparse matrix.

    Args:
        table: The frame, column or matrix.

    Attributes:
        original: ``table`` as it was passed.
        table: The frame, column or matrix; a sparse matrix in CSR form.
    """

    def __init__(self, table: Any) -> None:  # noqa: ANN401 - none of these packages is imported here
        self.original = table
        self.table = table.tocsr() if isinstance(table, _Sparse) else table
        self._rows = table.iloc if isinstance(table, _Frame) else self.table

    def __len__(self) -> int:
        return int(self.table.shape[0])

    @property
    def names(self) -> list[Any] | None:
        """The index of pandas, which names the rows unless it counts them."""
        return row_names(self.original)

    def __getitem__(self, row: int) -> Any:  # noqa: ANN401
        return self._rows[row : row + 1]

    def batch(self, rows: Tensor) -> Any:  # noqa: ANN401
        """The rows at positions ``rows`` (B,), as a frame or matrix."""
        return self._rows[rows.numpy()]


def as_data(data: Any, name: str = "data") -> Any:  # noqa: ANN401 - any argument of a caller
    """``data``, checked; for a data frame or sparse matrix, its ``Rows``.

    Args:
        data: Examples that can be read by position: a map-style Dataset or list, an array, a data frame or a sparse matrix.
        name: The argument's name, for messages.

    Raises:
        InvalidInput: The data are empty or of another kind; the message says what to pass.
    """
    check_plain(data, name)
    if isinstance(data, (Tensor, np.ndarray)):
        _check_array(data, name)
    elif isinstance(data, _Sparse) or (isinstance(data, Series) and not isinstance(data, Dataset)):
        data = Rows(data)
        _check_table(data.table, name)
    else:
        _check_map_style(data, name)
    if len(data) == 0:
        raise InvalidInput(f"{name} is empty")
    return data


def texts_in(data: object) -> Sequence[Any]:
    """The texts of a list or a column of texts, of which some may be missing; nothing for other data."""
    values: object = values_of(data.table) if isinstance(data, Rows) and len(data.table.shape) == 1 else data
    if not isinstance(values, (list, tuple)):
        return ()
    return values if isinstance(next((text for text in values if not is_no_text(text)), None), str) else ()


def same_data(a: object, b: object) -> bool:
    """Whether both are the same object, or rows of the same object."""
    return (a.original if isinstance(a, Rows) else a) is (b.original if isinstance(b, Rows) else b)


@dataclass(frozen=True)
class Form:
    """Shape and kind of number of an example.

    Attributes:
        shape: The shape of its input; () for a single number.
        whole: Whether it holds whole numbers, such as tokens.
    """

    shape: tuple[int, ...]
    whole: bool

    def is_like(self, other: Form | None) -> bool:
        """Whether one model may read both: vectors must have the same length, unless both may be tokens.

        Single numbers and vectors of one whole number are most likely ids, so they are not like examples of unknown form (None).
        """
        if other is None:
            return self.shape != () and not (self.whole and self.shape == (1,))
        axes = len(self.shape)
        tokens = self.whole and other.whole and axes == 1 and self.shape != (1,)
        return axes == len(other.shape) and (axes > 1 or self.shape == other.shape or tokens)


def form_of(data: Data) -> Form | None:
    """The form of the first example; None if it does not hold numbers, or if a data set would have to be read to see it."""
    if isinstance(data, Rows):
        return Form((int(data.table.shape[1]),), whole=False) if len(data.table.shape) == 2 else None
    if type(data) is TensorDataset:
        data = data.tensors[0]
    if not (is_array(data) or isinstance(data, Sequence)):
        return None
    x = data[0] if is_array(data) else input_of(data[0])
    if is_array(x):
        return Form(tuple(x.shape), not (x.is_floating_point() if isinstance(x, Tensor) else x.dtype.kind in "fc"))
    numbers = x if is_row(x) else [scalar(x)]
    if not all(isinstance(number, (int, float, complex)) for number in numbers):
        return None
    return Form((len(x),) if is_row(x) else (), all(isinstance(number, int) for number in numbers))


def _check_array(array: Array, name: str) -> None:
    if array.ndim < 2:
        raise InvalidInput(
            f"{name} must have one row per example, got shape {tuple(array.shape)}; pass {name}.reshape(-1, 1) if each number is "
            f"an example, {name}.tolist() if each text is one, numpy.stack({name}) if it holds arrays"
        )
    if 0 in array.shape[1:]:
        raise InvalidInput(f"{name} has examples without numbers: its shape is {tuple(array.shape)}")
    if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.dtype.itemsize > 8:
        raise InvalidInput(
            f"{name} is an array of {array.dtype}, which PyTorch does not have; pass {name}.astype('float64')"
        )
    if isinstance(array, np.ndarray) and array.dtype.kind not in "fiubc":
        raise InvalidInput(
            f"{name} must hold numbers, got an array of {array.dtype}; pass a data frame, or a list of examples"
        )


def _check_table(table: Any, name: str) -> None:  # noqa: ANN401
    """Refuse a column of numbers: its examples may be numbers or vectors of one number."""
    if len(table.shape) == 1 and len(table) and isinstance(scalar(table.to_numpy()[0]), (int, float)):
        raise InvalidInput(f"{name} is a column of numbers; pass a data frame, {name}.to_frame()")


@runtime_checkable
class _Fitted(Protocol):
    """An estimator of scikit-learn, fitted or not."""

    def fit(self, X: Any, y: Any) -> Any: ...  # noqa: ANN401, N803

    def predict(self, X: Any) -> Any: ...  # noqa: ANN401, N803


def _check_map_style(data: Any, name: str) -> None:  # noqa: ANN401
    """Refuse data that cannot be read by position, or whose items are not the examples that the caller means."""
    what = None
    if isinstance(data, Mapping):
        columns = len(data) > 0 and all(isinstance(value, (Tensor, np.ndarray, list)) for value in data.values())
        what = "a dict of columns; pass torch.utils.data.StackDataset(**columns), whose examples are dicts"
        if not columns:
            what = f"a dict; pass one of its values: {', '.join(f'{name}[{key!r}]' for key in data)}"
    elif isinstance(data, (str, bytes, bytearray, memoryview)):
        what = f"{type(data).__name__}; pass a list of examples, or distil.open_pool(path) for a file or folder"
    elif isinstance(data, (nn.Module, _Fitted)):  # a Sequential and an ensemble have a length and items
        what = f"{type(data).__name__}, which is a model; check the order of the arguments"
    elif isinstance(data, DataLoader):
        what = f"a DataLoader; pass its data set, {name}.dataset"
    elif isinstance(data, Iterator):
        what = f"{type(data).__name__}, which can be read only once; pass a list, list({name})"
    elif isinstance(data, _ByColumn):
        what = f"{type(data).__name__}, whose items are columns; pass {name}.to_pandas()"
    elif isinstance(data, tuple) and len(data) == 2 and is_array(data[0]) and data[0].ndim > 1:
        what = f"a pair of arrays; pass the inputs alone, {name}[0]"
    elif isinstance(data, IterableDataset) or not isinstance(data, (Batched, _MapStyle)):
        what = type(data).__name__
    if what is not None:
        raise InvalidInput(
            f"{name} must be a map-style Dataset (with __len__ and __getitem__), an array, a tensor or a data frame, got {what}"
        )

"""The door for arrays: what they may hold, how their rows are read, and which precision they are computed with."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from distil.errors import InvalidInput

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Array = Tensor | np.ndarray[Any, Any]


def take(array: Array, ids: Tensor) -> Tensor:
    """Rows of an array as a tensor: a view where they are consecutive, a copy otherwise."""
    n = len(ids)
    consecutive = n > 0 and are_consecutive(ids)
    first = int(ids[0]) if consecutive else 0
    if isinstance(array, Tensor):
        return array[first : first + n] if consecutive else array[ids]
    return from_numpy(array[first : first + n] if consecutive else array[ids.numpy()])


def are_consecutive(ids: Tensor) -> bool:
    """Whether each id is one more than the one before."""
    return len(ids) < 2 or (int(ids[-1] - ids[0]) == len(ids) - 1 and bool((ids[1:] > ids[:-1]).all()))


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor over the same memory where torch allows it: read-only memory (a memory-mapped file) is copied."""
    array = np.asarray(array)
    if array.dtype.byteorder == ">" or not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.astype(array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(np.ascontiguousarray(array))


class _Readable:
    """The memory of a read-only array, told to NumPy as if it could be written; it lives as long as what is made of it."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def readable(array: Array) -> Array:
    """``array`` such that tensors over its memory can be made also where that is read-only, as a file mapped for reading is.

    Nothing may write to such a tensor: the array of the caller would change, and memory that the system protects ends the process.

    Why: PyTorch has no read-only tensors, and ``torch.from_numpy`` warns of read-only memory; the way around it is a copy.
    What it won: ``select_from("core_set", 10)`` of 200,000 x 256 numbers in a mapped file took 0.37 s in place of 0.79 s, without
    a copy of 205 MB; strategies that read blocks gain nothing (medians of 3 and 7 alternating calls, one thread of a Xeon, torch
    2.13).
    Delete it when PyTorch has read-only tensors.
    """
    if isinstance(array, Tensor) or array.flags.writeable:
        return array
    return np.asarray(_Readable(array))


def is_array(data: object) -> TypeIs[Array]:
    """Whether data is a tensor or NumPy array, whose rows are examples."""
    return isinstance(data, (Tensor, np.ndarray))


def checked_array(array: object, name: str, n_dims: int) -> Array:
    """``array`` as a tensor or NumPy array of numbers with that many axes and at least one column.

    Rows are read where they lie; what is not float32 or float64 is converted as it is read, and numbers are checked then.

    Args:
        array: A tensor, or whatever NumPy makes an array of: lists, data frames, memory-mapped files.
        name: The argument's name, for messages.
        n_dims: 2 or 3.
    """
    array = _dense(array, name)
    kind = _kind(array)
    if kind not in "fiub":
        raise InvalidInput(f"{name} must hold numbers, got an array of {array.dtype}")
    if isinstance(array, Tensor):
        array = array.detach().cpu()
    elif kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)  # PyTorch has nothing wider
    if array.ndim != n_dims or 0 in array.shape[1:]:
        axes = {2: "two axes, (examples, columns)", 3: "three axes, (examples, samples, classes)"}[n_dims]
        raise InvalidInput(f"{name} must have {axes}, got shape {tuple(array.shape)}")
    return array


def checked_probs(probs: object, name: str, n_dims: int) -> Array:
    """``probs`` as an array of that many axes whose last runs over classes. Its numbers are checked where they are read.

    Args:
        probs: (N, C) or (N, K, C).
        name: The argument's name, for messages.
        n_dims: 2 or 3.
    """
    checked = checked_array(probs, name, n_dims)
    if checked.shape[-1] < 2:
        raise InvalidInput(
            f"{name} must have a column for each of at least two classes, got shape {tuple(checked.shape)}"
        )
    return checked


def _dense(array: Any, name: str) -> Array:  # noqa: ANN401 - whatever a caller gives
    """``array`` as a plain tensor or NumPy array."""
    check_plain(array, name)
    if is_array(array):
        return array
    if isinstance(array, _Sparse):
        raise InvalidInput(f"{name} is a sparse matrix; pass {name}.toarray()")
    if isinstance(array, Iterator):
        raise InvalidInput(f"{name} can only be gone through once; make an array of it")
    try:
        return np.asarray(array)
    except ValueError as error:
        raise InvalidInput(f"{name} must be rows of one length: {error}") from None


@runtime_checkable
class _Sparse(Protocol):
    def toarray(self) -> Any: ...  # noqa: ANN401


def check_plain(array: object, name: str) -> None:
    """Refuse arrays whose rows are not simply there: sparse and nested tensors, and NumPy's arrays with masked entries."""
    if isinstance(array, Tensor) and array.is_nested:
        raise InvalidInput(f"{name} is a nested tensor; pad its rows to one length, {name}.to_padded_tensor(0.0)")
    if isinstance(array, Tensor) and array.layout != torch.strided:
        raise InvalidInput(f"{name} is a sparse tensor; pass {name}.to_dense()")
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise InvalidInput(f"{name} has masked entries; fill them first, {name}.filled(...)")


def _kind(array: Array) -> str:
    """The kind of number as NumPy calls it: f, i, b, c for a tensor; of an array also u, and others for what is no number."""
    if isinstance(array, np.ndarray):
        return str(array.dtype.kind)
    if array.dtype == torch.bool:
        return "b"
    return "f" if array.is_floating_point() else "c" if array.is_complex() else "i"


def precision_of(arrays: Iterable[Array]) -> torch.dtype:
    """The type that these arrays are computed with together: float64 where one of them is, else float32."""
    wide = any(_kind(array) == "f" and array.dtype.itemsize >= 8 for array in arrays)
    return torch.float64 if wide else torch.float32


def serves(array: Array, precision: torch.dtype) -> bool:
    """Whether the rows of an array can be used where they lie: of that type, in the machine's order, contiguous."""
    if isinstance(array, Tensor):
        return array.dtype == precision
    own = np.float64 if precision == torch.float64 else np.float32
    return array.dtype == own and array.dtype.isnative and array.flags.c_contiguous


def one_axis(value: Any, name: str) -> np.ndarray[Any, Any]:  # noqa: ANN401 - whatever a caller gives
    """A flat list of values in an array: whole numbers, booleans or floating-point ones where all are that, else objects.

    Args:
        value: A list, tuple, set or range; an array, tensor or Series. Their elements may be arrays without axes.
        name: The argument's name, for messages.
    """
    check_plain(value, name)
    if isinstance(value, Tensor):
        found = value.detach().cpu()
        array = (found.double() if found.is_floating_point() else found).numpy()
    elif isinstance(value, (range, np.ndarray)):
        array = np.asarray(value)
    elif isinstance(value, Series):
        array = np.asarray(value.to_numpy())
    elif isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes)):
        array = _objects(value)
    else:
        array = np.asarray(value)
    if array.ndim != 1:
        raise InvalidInput(f"{name} must be a flat list, got shape {tuple(array.shape)}")
    if array.dtype.kind in "iubf":
        return array
    return _narrowed(
        array if array.dtype.kind == "O" else _objects(array.tolist() if array.dtype.kind in "US" else array)
    )


@runtime_checkable
class Series(Protocol):
    """A column of a table, of pandas or polars, or an index of one; frames are called so too, and have two axes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N,); of a frame, (N, columns)."""
        ...

    def to_numpy(self) -> Any:  # noqa: ANN401
        """The values in an array of NumPy."""
        ...


def _objects(values: Collection[Any]) -> np.ndarray[Any, Any]:
    return np.fromiter(values, dtype=object, count=len(values))


def _narrowed(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Objects as numbers of one kind, where they are."""
    plain = _objects([scalar(value) for value in values])
    kinds = {type(value) for value in plain}
    for kind, dtype in ((bool, np.bool_), (int, np.int64), (float, np.float64)):
        if kinds == {kind} and (kind is not int or all(abs(value) < 2**63 for value in plain)):
            return plain.astype(dtype)
    return plain


def scalar(value: Any) -> Any:  # noqa: ANN401 - an element of whatever a caller gives
    """The Python number of an array, tensor or NumPy scalar without axes; all else, times too, as it is."""
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "Mm":
        return value  # NumPy's own numbers of times in nanoseconds are whole numbers
    return value.item() if isinstance(value, (Tensor, np.ndarray, np.generic)) and value.ndim == 0 else value


def called(ids: Tensor, names: Sequence[Any] | None) -> list[Any]:
    """What the caller calls these positions: their names, where there are any."""
    return ids.tolist() if names is None else [scalar(names[row]) for row in ids.tolist()]


def check_distributions(ids: Tensor, rows: Tensor, name: str, slack: float, names: Sequence[Any] | None = None) -> None:
    """Raise InvalidInput, naming the first id, unless every row is a probability distribution, or several.

    Args:
        ids: (N,).
        rows: (N, ..., C), float32 or float64.
        name: The argument's name, for the message.
        slack: How much the sum may differ from 1, and a probability be below 0, by rounding.
        names: What the caller calls the ids.
    """
    sums = rows.sum(-1)
    # A row without negative numbers that sums to 1 has no NaN and no infinity: comparisons with them fail.
    if len(ids) == 0 or bool(((sums - 1).abs() <= slack).all() & (rows.amin() >= -slack)):
        return
    right = ((sums - 1).abs() <= slack) & (rows >= -slack).all(-1)
    wrong = called(ids[~right.reshape(len(ids), -1).all(1)][:1], names)[0]
    raise InvalidInput(
        f"{name}[{wrong!r}] is not a probability distribution: its values must be finite, not negative and sum to 1; "
        "if these are logits, pass their softmax"
    )


def check_rows(ids: Tensor, rows: Tensor, what: str, names: Sequence[Any] | None = None) -> None:
    """Raise InvalidInput, naming ids, unless all numbers in ``rows`` are finite.

    Args:
        ids: (N,).
        rows: (N, ...).
        what: What is in them, for the message.
        names: What the caller calls the ids.
    """
    if rows.numel() == 0 or not rows.is_floating_point():
        return
    if not all(math.isfinite(end) for end in torch.aminmax(rows)):
        bad = ids[~rows.reshape(len(rows), -1).isfinite().all(1).cpu()]
        named = ", ".join(map(repr, called(bad[:5], names))) + (", ..." if len(bad) > 5 else "")
        raise InvalidInput(f"{what} is NaN or infinite for {len(bad)} of {len(ids)} examples: ids {named}")

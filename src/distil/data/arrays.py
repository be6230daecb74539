"""The door for arrays: checking them, reading their rows, and choosing the precision to compute with."""

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
    """Rows of an array as a tensor: a view if they are consecutive, else a copy."""
    n = len(ids)
    consecutive = n > 0 and are_consecutive(ids)
    first = int(ids[0]) if consecutive else 0
    if isinstance(array, Tensor):
        return array[first : first + n] if consecutive else array[ids]
    return from_numpy(array[first : first + n] if consecutive else array[ids.numpy()])


def fingerprints(array: Array, ids: Tensor) -> Tensor:
    """A number for each row of an array that depends on its content, (M,) float64 on the CPU."""
    rows = take(array, ids).flatten(1).real.double().cpu()
    return rows @ torch.arange(1, rows.shape[1] + 1).double().cos()


def are_consecutive(ids: Tensor) -> bool:
    """Whether each id is one more than the previous one."""
    return len(ids) < 2 or (int(ids[-1] - ids[0]) == len(ids) - 1 and bool((ids[1:] > ids[:-1]).all()))


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """An array as a tensor, without copying where torch allows it; read-only memory, such as a mapped file, is copied."""
    array = np.asarray(array)
    if array.dtype.byteorder == ">" or not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.astype(array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(np.ascontiguousarray(array))


class _Readable:
    """The memory of a read-only array, declared writable to NumPy; arrays made from it keep it alive."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def readable(array: Array) -> Array:
    """``array`` in a form from which torch makes tensors without copying, even if it is read-only, such as a mapped file.

    No code may write to these tensors: the caller's array would change, or the system would end the process.

    Why: PyTorch has no read-only tensors, and ``torch.from_numpy`` warns about read-only memory; the alternative is a copy.
    What it won: ``select_from("core_set", 10)`` on 200,000 x 256 numbers in a mapped file took 0.37 s instead of 0.79 s, without
    a copy of 205 MB; strategies that read blocks gain nothing (medians of 3 and 7 alternating calls, one thread of a Xeon, torch
    2.13).
    Delete it when PyTorch has read-only tensors.
    """
    if isinstance(array, Tensor) or array.flags.writeable:
        return array
    return np.asarray(_Readable(array))


def is_array(data: object) -> TypeIs[Array]:
    """Whether ``data`` is a tensor or a NumPy array."""
    return isinstance(data, (Tensor, np.ndarray))


def checked_array(array: object, name: str, n_dims: int) -> Array:
    """``array`` as a tensor or NumPy array of numbers with ``n_dims`` axes and at least one column.

    The values are not read here: they are checked, and converted to float32 if they are of another type, when rows are read.

    Args:
        array: A tensor, or anything that NumPy turns into an array: lists, data frames, memory-mapped files.
        name: The argument's name, for messages.
        n_dims: Number of axes, 2 or 3.

    Raises:
        InvalidInput: The array holds something other than numbers, or its shape is wrong.
    """
    array = _dense(array, name)
    kind = _kind(array)
    if kind == "O" and array.ndim == 1 and len(array) and np.ndim(array[0]) > 0:
        raise InvalidInput(f"{name} is a column of lists or arrays; pass one array, numpy.stack({name})")
    if kind not in "fiub":
        raise InvalidInput(f"{name} must hold numbers, got an array of {array.dtype}")
    if isinstance(array, Tensor):
        array = array.detach().cpu()
    elif kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)  # PyTorch has nothing wider
    if array.ndim != n_dims or 0 in array.shape[1:]:
        axes = {2: "two axes, (examples, columns)", 3: "three axes, (examples, samples, columns)"}[n_dims]
        raise InvalidInput(f"{name} must have {axes}, got shape {tuple(array.shape)}")
    return array


def as_columns(array: object, name: str, n_dims: int = 2) -> Array:
    """Numbers as an array with ``n_dims`` axes, the last of one column where it is missing: one number for each example.

    The arguments and errors are those of :func:`checked_array`.
    """
    dense = _dense(array, name)
    return checked_array(dense[..., None] if dense.ndim == n_dims - 1 else dense, name, n_dims)


def checked_probs(probs: object, name: str, n_dims: int) -> Array:
    """``probs`` as an array with ``n_dims`` axes whose last axis has at least two classes; values are checked when read.

    Args:
        probs: (N, C) or (N, K, C).
        name: The argument's name, for messages.
        n_dims: Number of axes, 2 or 3.

    Raises:
        InvalidInput: The array holds something other than numbers, or its shape is wrong.
    """
    checked = checked_array(probs, name, n_dims)
    if checked.shape[-1] < 2:
        raise InvalidInput(
            f"{name} must have a column for each of at least two classes, got shape {tuple(checked.shape)}"
        )
    return checked


def _dense(array: Any, name: str) -> Array:  # noqa: ANN401 - any argument of a caller
    """``array`` as a plain tensor or NumPy array."""
    check_plain(array, name)
    if is_array(array):
        return array
    if isinstance(array, _Sparse):
        raise InvalidInput(f"{name} is a sparse matrix; pass {name}.toarray()")
    if isinstance(array, Iterator):
        raise InvalidInput(f"{name} can be read only once; pass an array, numpy.array(list({name}))")
    try:
        return np.asarray(array)
    except ValueError as error:
        raise InvalidInput(f"{name} must have rows of one length: {error}") from None


@runtime_checkable
class _Sparse(Protocol):
    def toarray(self) -> Any: ...  # noqa: ANN401


@runtime_checkable
class _Lazy(Protocol):
    """A frame of polars whose rows are not computed yet."""

    def collect(self) -> Any: ...  # noqa: ANN401

    def collect_schema(self) -> Any: ...  # noqa: ANN401


def check_plain(array: object, name: str) -> None:
    """Refuse sparse tensors, nested tensors, lazy frames of polars, and NumPy arrays with masked entries."""
    if isinstance(array, _Lazy):
        raise InvalidInput(f"{name} is a LazyFrame, whose rows are not computed yet; pass the result of its collect()")
    if isinstance(array, Tensor) and array.is_nested:
        raise InvalidInput(f"{name} is a nested tensor; pad its rows to one length, {name}.to_padded_tensor(0.0)")
    if isinstance(array, Tensor) and array.layout != torch.strided:
        raise InvalidInput(f"{name} is a sparse tensor; pass {name}.to_dense()")
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise InvalidInput(f"{name} has masked entries; fill them first, {name}.filled(...)")


def _kind(array: Array) -> str:
    """NumPy's letter for the type of the values: f, i, b or c for a tensor; for an array also u, and others for non-numbers."""
    if isinstance(array, np.ndarray):
        return str(array.dtype.kind)
    if array.dtype == torch.bool:
        return "b"
    return "f" if array.is_floating_point() else "c" if array.is_complex() else "i"


def precision_of(arrays: Iterable[Array]) -> torch.dtype:
    """The type in which to compute with these arrays: float64 if one of them has it, else float32."""
    wide = any(_kind(array) == "f" and array.dtype.itemsize >= 8 for array in arrays)
    return torch.float64 if wide else torch.float32


def serves(array: Array, precision: torch.dtype) -> bool:
    """Whether an array can be used without copying: it has the type ``precision``, the machine's byte order and is contiguous."""
    if isinstance(array, Tensor):
        return array.dtype == precision
    own = np.float64 if precision == torch.float64 else np.float32
    return array.dtype == own and array.dtype.isnative and array.flags.c_contiguous


def one_axis(value: Any, name: str) -> np.ndarray[Any, Any]:  # noqa: ANN401 - any argument of a caller
    """A flat list as an array (M,): int, bool or float if all values are of that type, else objects.

    Args:
        value: A list, tuple, set or range; an array, tensor or Series. Its elements may be arrays without axes.
        name: The argument's name, for messages.

    Raises:
        InvalidInput: The value has more axes than one, or none.
    """
    check_plain(value, name)
    if isinstance(value, Tensor):
        tensor = value.detach().cpu()
        array = (tensor.double() if tensor.is_floating_point() else tensor).numpy()
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
    """A column or index of pandas or polars; data frames match this protocol too, and have two axes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N,); for a frame, (N, columns)."""
        ...

    def to_numpy(self) -> Any:  # noqa: ANN401
        """The values as a NumPy array."""
        ...


def _objects(values: Collection[Any]) -> np.ndarray[Any, Any]:
    return np.fromiter(values, dtype=object, count=len(values))


def _narrowed(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Objects as bool, int64 or float64 if all are of one of these types; else unchanged."""
    plain = _objects([scalar(value) for value in values])
    kinds = {type(value) for value in plain}
    for kind, dtype in ((bool, np.bool_), (int, np.int64), (float, np.float64)):
        if kinds == {kind} and (kind is not int or all(abs(value) < 2**63 for value in plain)):
            return plain.astype(dtype)
    return plain


def scalar(value: Any) -> Any:  # noqa: ANN401 - an element of any argument
    """The Python value of an array, tensor or NumPy scalar without axes; everything else, times with nanoseconds too, unchanged."""
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "Mm":
        coarse = value.astype(f"{value.dtype.kind}8[us]")  # item() would turn nanoseconds into a whole number
        return coarse.item() if coarse == value else value
    return value.item() if isinstance(value, (Tensor, np.ndarray, np.generic)) and value.ndim == 0 else value


def called(ids: Tensor, names: Sequence[Any] | None) -> list[Any]:
    """The caller's names of these positions; the positions themselves if there are no names."""
    return ids.tolist() if names is None else [scalar(names[row]) for row in ids.tolist()]


def check_distributions(ids: Tensor, rows: Tensor, name: str, slack: float, names: Sequence[Any] | None = None) -> None:
    """Raise InvalidInput with the first wrong id unless every row consists of probability distributions.

    Args:
        ids: (N,).
        rows: (N, ..., C), float32 or float64.
        name: The argument's name, for the message.
        slack: How far rounding may move a sum from 1, or a probability below 0.
        names: The caller's names of all positions; None: positions are the names.
    """
    sums = rows.sum(-1)
    # Comparisons with NaN are false, so a row that passes has neither NaN nor infinity.
    if len(ids) == 0 or bool(((sums - 1).abs() <= slack).all() & (rows.amin() >= -slack)):
        return
    right = ((sums - 1).abs() <= slack) & (rows >= -slack).all(-1)
    row, sample = torch.nonzero(~right.reshape(len(ids), -1))[0].tolist()
    values = rows.reshape(len(ids), -1, rows.shape[-1])[row, sample]
    raise InvalidInput(
        f"{name}[{called(ids[[row]], names)[0]!r}] is not a probability distribution: values must be finite, not negative and "
        f"sum to 1; got the sum {values.sum():.4g} and the minimum {values.min():.4g}; if these are logits, pass their softmax"
    )


def check_shares(ids: Tensor, rows: Tensor, name: str, slack: float, names: Sequence[Any] | None = None) -> None:
    """Raise InvalidInput with the first wrong id unless all numbers are from 0 to 1, up to ``slack``.

    The other arguments are those of :func:`check_distributions`; ``rows`` is (N, L), a probability for each label.
    """
    right = ((rows >= -slack) & (rows <= 1 + slack)).all(1)  # comparisons with NaN are false
    if not bool(right.all()):
        row = int(torch.nonzero(~right)[0, 0])
        raise InvalidInput(
            f"{name}[{called(ids[[row]], names)[0]!r}] must be probabilities of labels, numbers from 0 to 1; got the minimum "
            f"{rows[row].min():.4g} and the maximum {rows[row].max():.4g}; if these are logits, pass their sigmoid"
        )


def check_rows(ids: Tensor, rows: Tensor, what: str, names: Sequence[Any] | None = None) -> None:
    """Raise InvalidInput with the first wrong ids unless all numbers in ``rows`` are finite.

    Args:
        ids: (N,).
        rows: (N, ...).
        what: The name of the quantity, for the message.
        names: The caller's names of all positions; None: positions are the names.
    """
    if rows.numel() == 0 or not rows.is_floating_point():
        return
    if not all(math.isfinite(end) for end in torch.aminmax(rows)):
        bad = ids[~rows.reshape(len(rows), -1).isfinite().all(1).cpu()]
        named = ", ".join(map(repr, called(bad[:5], names))) + (", ..." if len(bad) > 5 else "")
        raise InvalidInput(f"{what} has NaN or infinite values in {len(bad):,} of {len(ids):,} examples: ids {named}")


def check_not_negative(ids: Tensor, rows: Tensor, what: str, names: Sequence[Any] | None = None) -> None:
    """Raise InvalidInput with the first wrong ids unless all numbers in ``rows`` are at least 0; arguments as ``check_rows``."""
    if rows.numel() and float(rows.amin()) < 0:
        bad = ids[(rows.reshape(len(rows), -1) < 0).any(1).cpu()]
        named = ", ".join(map(repr, called(bad[:5], names))) + (", ..." if len(bad) > 5 else "")
        raise InvalidInput(
            f"{what} must be at least 0, got {float(rows.amin()):.3g} as the smallest number: ids {named}"
        )


def check_logits(ids: Tensor, rows: Tensor, what: str, names: Sequence[Any] | None = None) -> None:
    """Raise InvalidInput with the first wrong ids unless all rows are logits.

    A class whose logit is minus infinity has probability 0: it is masked. Each row must have a class that is not.

    Args:
        ids: (N,).
        rows: (N, C).
        what: The name of the quantity, for the message.
        names: The caller's names of all positions; None: positions are the names.
    """
    if rows.numel() == 0 or all(math.isfinite(end) for end in torch.aminmax(rows)):
        return
    masked = rows.isneginf()
    check_rows(ids, rows.masked_fill(masked, 0), what, names)
    if bool(masked.all(1).any()):
        named = ", ".join(map(repr, called(ids[masked.all(1).cpu()][:5], names)))
        raise InvalidInput(
            f"{what} is minus infinity for all classes of an example; at least one must be finite: ids {named}"
        )

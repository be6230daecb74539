"""Arrays as data, and arrays of measured quantities as a source of signals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

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


def checked_probs(probs: Array, name: str, n_dims: int) -> Array:
    """``probs`` as an array of that many axes whose last runs over classes. Its numbers are checked where they are read.

    Args:
        probs: (N, C) or (N, K, C).
        name: The argument's name, for messages.
        n_dims: 2 or 3.
    """
    probs = checked_array(probs, name, n_dims)
    if probs.shape[-1] < 2:
        raise InvalidInput(
            f"{name} must have a column for each of at least two classes, got shape {tuple(probs.shape)}"
        )
    return probs


def check_distributions(ids: Tensor, rows: Tensor, name: str, slack: float) -> None:
    """Raise InvalidInput, naming the first id, unless every row is a probability distribution, or several.

    Args:
        ids: (N,).
        rows: (N, ..., C), float32 or float64.
        name: The argument's name, for the message.
        slack: How much the sum may differ from 1, and a probability be below 0, by rounding.
    """
    sums = rows.sum(-1)
    # A row without negative numbers that sums to 1 has no NaN and no infinity: comparisons with them fail.
    if len(ids) == 0 or bool(((sums - 1).abs() <= slack).all() & (rows.amin() >= -slack)):
        return
    right = ((sums - 1).abs() <= slack) & (rows >= -slack).all(-1)
    wrong = ids[~right.reshape(len(ids), -1).all(1)]
    raise InvalidInput(
        f"{name}[{int(wrong[0])}] is not a probability distribution: its values must be finite, not negative and sum to 1; "
        "if these are logits, pass their softmax"
    )


def checked_array(array: object, name: str, n_dims: int) -> Array:
    """``array`` as a tensor or NumPy array of that many axes with at least one row and column."""
    if not is_array(array):
        try:
            array = np.asarray(array)
        except ValueError as error:
            raise InvalidInput(f"{name} must be rows of one length: {error}") from None
    if isinstance(array, np.ndarray) and array.dtype.kind not in "fiub":
        raise InvalidInput(f"{name} must hold numbers, got an array of {array.dtype}")
    if isinstance(array, Tensor):
        array = array.detach().cpu()
    if array.ndim != n_dims or 0 in array.shape[1:]:
        axes = {2: "two axes, (examples, columns)", 3: "three axes, (examples, samples, classes)"}[n_dims]
        raise InvalidInput(f"{name} must have {axes}, got shape {tuple(array.shape)}")
    return array


def check_rows(ids: Tensor, rows: Tensor, what: str) -> None:
    """Raise InvalidInput, naming ids, unless all numbers in ``rows`` are finite."""
    if rows.numel() == 0 or not rows.is_floating_point():
        return
    if not all(math.isfinite(end) for end in torch.aminmax(rows)):
        bad = ids[~rows.reshape(len(rows), -1).isfinite().all(1).cpu()].tolist()
        named = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise InvalidInput(f"{what} is NaN or infinite for {len(bad)} of {len(ids)} examples: ids {named}")

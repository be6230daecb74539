"""Arrays as data, and arrays of measured quantities as a source of signals."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from distil.errors import InvalidInput, MissingSignal
from distil.rng import Rng
from distil.signals import Embedding, Labels, Logits, MCProbs, Probs, Signal, Signals, measured_by
from distil.system.runtime import Runtime
from distil.system.scratch import Filling, Space

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Array = Tensor | np.ndarray[Any, Any]

# Rows of an array that are read, checked and scored at a time: few enough to stay in a processor's cache meanwhile.
CHUNK_ROWS = 4096

# Which argument holds a signal.
_ARGUMENTS: dict[type[Signal[Any]], str] = {
    Probs: "probs",
    Logits: "probs",
    Embedding: "embeddings",
    MCProbs: "mc_probs",
    Labels: "labels",
}


class Source(ABC):
    """Something that can tell the signals of a fixed list of examples, and has checked them: a NaN is an InvalidInput with its ids.

    Attributes:
        ids: Positions of the examples in the data set, (N,) int64.
    """

    ids: Tensor

    @abstractmethod
    def measured(self, needs: tuple[Signal[Any], ...]) -> tuple[Signal[Any], ...]:
        """The columns that must be stored to read ``needs``; raises MissingSignal before any work where that cannot be."""

    @abstractmethod
    def chunks(self, signals: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Iterator[Signals]:
        """Tables of consecutive examples."""

    @abstractmethod
    def table(self, signals: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Signals:
        """All examples in one table."""


class ArraySource(Source):
    """Signals that somebody has measured already.

    Arrays that serve as they are (float32 or float64, rows in order) are looked at where they lie, memory-mapped ones too;
    all others are converted block by block. What is read is checked in the same walk.

    Args:
        ids: Rows of the arrays, (N,) int64.
        arrays: By argument name (``probs``, ``embeddings``, ``mc_probs``, ``labels``); each has a row for every example of the
            data set.
        role: Prefix of the argument names in messages, such as ``"labeled_"``.
        caller: Who asks, for messages.
    """

    def __init__(self, ids: Tensor, arrays: Mapping[str, Array], role: str = "", caller: str = "this strategy") -> None:
        self.ids = ids
        self._arrays = {name: readable(array) for name, array in arrays.items()}
        self._role = role
        self._caller = caller

    def measured(self, needs: tuple[Signal[Any], ...]) -> tuple[Signal[Any], ...]:
        """The columns to store: those given as arrays where they serve."""
        given = [Probs()] if "probs" in self._arrays else []
        signals = measured_by(needs, given)
        for signal in signals:
            self._argument(signal)
        return signals

    def chunks(self, signals: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Iterator[Signals]:  # noqa: ARG002
        """Tables of at most CHUNK_ROWS rows, converted as they come: memory-mapped arrays are read once, in order."""
        parts = self.ids.split(CHUNK_ROWS)
        for ids in runtime.bar(parts, "reading", len(parts)):
            yield Signals(ids, {signal: self._rows(signal, ids) for signal in signals})

    def table(self, signals: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Signals:
        """All rows in one table; views of the arrays where their rows and types serve as they are."""
        space = Space(runtime)
        columns: dict[Signal[Any], Tensor] = {}
        fillings: dict[Signal[Any], Filling] = {}
        for signal in signals:
            given = self._argument(signal)
            if _serves(given, signal) and _consecutive(self.ids):
                columns[signal] = take(given, self.ids)
            else:
                like = self._rows(signal, self.ids[:1])
                fillings[signal] = space.filling(len(self.ids), *like.shape[1:], dtype=like.dtype)
        for chunk in self.chunks(signals, runtime, rng):
            for signal, filling in fillings.items():
                filling.add(chunk.values[signal])
        columns |= {signal: filling.column() for signal, filling in fillings.items()}
        return Signals(self.ids, columns, space)

    def _argument(self, signal: Signal[Any]) -> Array:
        name = _ARGUMENTS.get(type(signal))
        if name is None:
            raise MissingSignal(f"{self._caller} needs {signal!r}, which only a model can tell; use distil.select")
        if name not in self._arrays:
            have = " and ".join(f"`{self._role}{n}`" for n in self._arrays) or "nothing"
            shape = {"probs": "(N, C)", "embeddings": "(N, D)", "mc_probs": "(N, K, C)", "labels": "(N,)"}[name]
            raise MissingSignal(
                f"{self._caller} needs `{self._role}{name}` {shape}, and {have} was given; pass {self._role}{name}=..."
            )
        return self._arrays[name]

    def _rows(self, signal: Signal[Any], ids: Tensor) -> Tensor:
        rows = take(self._argument(signal), ids)
        if isinstance(signal, Labels):
            return rows.long()
        coarse = rows.dtype in (torch.float16, torch.bfloat16)
        rows = rows if rows.dtype in _PRECISE else rows.float()
        if isinstance(signal, Embedding):
            check_rows(ids, rows, repr(signal))
            return rows
        check_distributions(ids, rows, self._role + _ARGUMENTS[type(signal)], 1e-2 if coarse else 1e-3)
        # Log-probabilities are logits: softmax takes them back to the probabilities.
        return rows.clamp_min(torch.finfo(rows.dtype).tiny).log() if isinstance(signal, Logits) else rows


_PRECISE = (torch.float32, torch.float64)


def _serves(array: Array, signal: Signal[Any]) -> bool:
    """Whether rows of the array are rows of the signal as they are."""
    if isinstance(signal, (Logits, Labels)):
        return False
    if isinstance(array, Tensor):
        return array.dtype in _PRECISE
    return array.dtype in (np.float32, np.float64) and array.dtype.isnative and array.flags.c_contiguous


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
        x = item[0] if isinstance(item, (tuple, list)) else item
        return x, int(self.y[row])

    @property
    def x(self) -> Tensor | None:
        """All inputs in one tensor, (M, ...), where the data is an array; None where it is not."""
        return take(self.data, self.ids) if is_array(self.data) else None


def take(array: Array, ids: Tensor) -> Tensor:
    """Rows of an array as a tensor: a view where they are consecutive, a copy otherwise."""
    n = len(ids)
    consecutive = n > 0 and _consecutive(ids)
    first = int(ids[0]) if consecutive else 0
    if isinstance(array, Tensor):
        return array[first : first + n] if consecutive else array[ids]
    return from_numpy(array[first : first + n] if consecutive else array[ids.numpy()])


def _consecutive(ids: Tensor) -> bool:
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

    PyTorch has no read-only tensors. Whoever gets one of these must not write to it: the array of the caller would change, and
    memory that the system protects ends the process.
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


def check_finite(table: Signals) -> Signals:
    """``table`` if its columns are finite; InvalidInput names the ids that are not."""
    for signal, column in table.values.items():
        check_rows(table.ids, column, repr(signal))
    return table


def check_rows(ids: Tensor, rows: Tensor, what: str) -> None:
    """Raise InvalidInput, naming ids, unless all numbers in ``rows`` are finite."""
    if rows.numel() == 0 or not rows.is_floating_point():
        return
    if not all(math.isfinite(end) for end in torch.aminmax(rows)):
        bad = ids[~rows.reshape(len(rows), -1).isfinite().all(1).cpu()].tolist()
        named = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise InvalidInput(f"{what} is NaN or infinite for {len(bad)} of {len(ids)} examples: ids {named}")

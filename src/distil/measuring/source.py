"""Sources of signals, and the one that reads arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.data.arrays import Array, are_consecutive, check_distributions, check_rows, readable, take
from distil.errors import MissingSignal
from distil.rng import Rng
from distil.signals import Embedding, Labels, Logits, MCProbs, Probs, Signal, Signals, measured_by
from distil.system.runtime import CHUNK_ROWS, Runtime
from distil.system.scratch import Filling, Space

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

    @abstractmethod
    def of(self, rows: Tensor) -> Source:
        """The examples of these rows of ``ids`` alone."""

    @abstractmethod
    def can_score_in_bfloat16(self, signals: tuple[Signal[Any], ...]) -> bool:
        """Whether measuring these signals in bfloat16 saves time, and leaves them near enough to rank by them roughly."""


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
            if _serves(given, signal) and are_consecutive(self.ids):
                columns[signal] = take(given, self.ids)
            else:
                like = self._rows(signal, self.ids[:1])
                fillings[signal] = space.filling(len(self.ids), *like.shape[1:], dtype=like.dtype)
        for chunk in self.chunks(signals, runtime, rng):
            for signal, filling in fillings.items():
                filling.add(chunk.values[signal])
        columns |= {signal: filling.column() for signal, filling in fillings.items()}
        return Signals(self.ids, columns, space)

    def of(self, rows: Tensor) -> ArraySource:
        """The examples of these rows of ``ids`` alone."""
        return ArraySource(self.ids[rows], self._arrays, self._role, self._caller)

    def can_score_in_bfloat16(self, signals: tuple[Signal[Any], ...]) -> bool:  # noqa: ARG002
        """No: nothing is computed here."""
        return False

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


def check_finite(table: Signals) -> Signals:
    """``table`` if its columns are finite; InvalidInput names the ids that are not."""
    for signal, column in table.values.items():
        check_rows(table.ids, column, repr(signal))
    return table

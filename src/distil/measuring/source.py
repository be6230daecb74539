"""Sources of signals, and the one that reads arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from distil.data.arrays import (
    Array,
    are_consecutive,
    check_distributions,
    check_rows,
    precision_of,
    readable,
    serves,
    take,
)
from distil.errors import MissingSignal
from distil.rng import Rng
from distil.signals import Embedding, Labels, Logits, MCProbs, Probs, Signal, Signals, measured_by
from distil.system.runtime import CHUNK_ROWS, Runtime
from distil.system.scratch import Filling, Space

# How far the sum of probabilities may be from 1 where they were computed in half precision.
_HALF_SLACK = 1e-2


def arguments_of(signals: Iterable[Signal[Any]]) -> list[str]:
    """The names of the arrays that hold these signals, each once."""
    return list(dict.fromkeys(signal.argument for signal in measured_by(signals) if signal.argument))


class Source(ABC):
    """Something that can tell the signals of a fixed list of examples, and has checked them: a NaN is an InvalidInput with its ids.

    Attributes:
        ids: Positions of the examples in the data set, (N,) int64.
        names: What the caller calls the examples of the data set, for errors; None: positions serve.
    """

    ids: Tensor
    names: Sequence[Any] | None

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

    Contiguous arrays in the precision of the selection are used without copying, memory-mapped
    ones too; all others are converted block by block. What is read is checked in the same walk.

    Args:
        ids: Rows of the arrays, (N,) int64.
        arrays: By argument name (``probs``, ``embeddings``, ``mc_probs``, ``labels``); each has a row for every example of the
            data set.
        role: Prefix of the argument names in messages, such as ``"labeled_"``.
        caller: Who asks, for messages.
        names: What the caller calls the rows of the arrays.
        precision: What columns are computed with: float64 where one set of the selection has a column of it. Default: by array.
    """

    def __init__(
        self,
        ids: Tensor,
        arrays: Mapping[str, Array],
        role: str = "",
        caller: str = "this strategy",
        *,
        names: Sequence[Any] | None = None,
        precision: torch.dtype | None = None,
    ) -> None:
        self.ids = ids
        self.names = names
        self._arrays = {name: readable(array) for name, array in arrays.items()}
        self._role = role
        self._caller = caller
        self._precision = precision

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
            in_place = not isinstance(signal, (Logits, Labels)) and serves(given, self._precision_of(given))
            if in_place and are_consecutive(self.ids):
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
        return ArraySource(
            self.ids[rows], self._arrays, self._role, self._caller, names=self.names, precision=self._precision
        )

    def can_score_in_bfloat16(self, signals: tuple[Signal[Any], ...]) -> bool:  # noqa: ARG002
        """No: nothing is computed here."""
        return False

    def _argument(self, signal: Signal[Any]) -> Array:
        name = signal.argument
        if not name:
            raise MissingSignal(f"{self._caller} needs {signal!r}, which only a model can tell; use distil.select")
        if name not in self._arrays:
            have = " and ".join(f"`{self._role}{n}`" for n in self._arrays) or "nothing"
            shape = ", ".join(("N", *signal.axes[1:])) + "," * (len(signal.axes) == 1)
            own_rows = self._role and name != "embeddings"  # of labeled examples without a row in the arrays
            advice = "labeled=..., rows of the arrays" if own_rows else f"{self._role}{name}=..."
            raise MissingSignal(
                f"{self._caller} needs `{self._role}{name}` ({shape}), and {have} was given; pass {advice}"
            )
        return self._arrays[name]

    def _precision_of(self, array: Array) -> torch.dtype:
        return self._precision or precision_of([array])

    def _rows(self, signal: Signal[Any], ids: Tensor) -> Tensor:
        array, name = self._argument(signal), self._role + signal.argument
        rows = take(array, ids)
        if isinstance(signal, Labels):
            return rows.long()
        slack = _HALF_SLACK if rows.dtype in (torch.float16, torch.bfloat16) else 1e-3
        rows = rows.to(self._precision_of(array))
        if isinstance(signal, Embedding):
            check_rows(ids, rows, name, self.names)
            return rows
        check_distributions(ids, rows, name, slack, self.names)
        # Log-probabilities are logits: softmax takes them back to the probabilities.
        return rows.clamp_min(torch.finfo(rows.dtype).tiny).log() if isinstance(signal, Logits) else rows


def check_finite(table: Signals, names: Sequence[Any] | None = None) -> Signals:
    """``table`` if its columns are finite, and samples are probabilities; InvalidInput names the ids that are not."""
    for signal, column in table.values.items():
        check_rows(table.ids, column, repr(signal), names)
        if isinstance(signal, MCProbs):
            check_distributions(table.ids, column, "samples", _HALF_SLACK, names)
    return table

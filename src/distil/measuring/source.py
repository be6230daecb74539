"""Sources of signals, and the source that reads arrays."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from distil.data.arrays import (
    Array,
    are_consecutive,
    check_distributions,
    check_logits,
    check_not_negative,
    check_rows,
    check_shares,
    precision_of,
    readable,
    serves,
    take,
)
from distil.data.tokens import token_blocks
from distil.errors import MissingSignal
from distil.rng import Rng
from distil.signals import (
    Deviations,
    LabelProbs,
    Labels,
    Logits,
    MCProbs,
    OfTokens,
    Probs,
    Signal,
    Signals,
    measured_by,
)
from distil.system.runtime import Runtime
from distil.system.scratch import Space

# Largest difference from 1 of the sum of probabilities that were computed in half precision.
_HALF_SLACK = 1e-2


def arguments_of(signals: Iterable[Signal[Any]]) -> list[str]:
    """Argument names of the arrays that hold these signals, each once."""
    return list(dict.fromkeys(signal.argument for signal in measured_by(signals) if signal.argument))


class Source(ABC):
    """A source of the signals of a fixed list of examples; a NaN in them raises InvalidInput with the ids of its examples.

    Attributes:
        ids: Positions of the examples in the data set, (N,) int64.
        names: The caller's names of the examples of the data set, for messages; None: messages use positions.
    """

    ids: Tensor
    names: Sequence[Any] | None

    @abstractmethod
    def measured(self, needs: tuple[Signal[Any], ...]) -> tuple[Signal[Any], ...]:
        """The columns to store so that ``needs`` can be read.

        Raises:
            MissingSignal: They cannot be measured or read; raised before any work starts.
        """

    @abstractmethod
    def chunks(self, signals: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Iterator[Signals]:
        """Tables of consecutive examples, one after the other, that together hold all of them."""

    @abstractmethod
    def table(
        self,
        signals: tuple[Signal[Any], ...],
        runtime: Runtime,
        rng: Rng,
        order: Tensor | None = None,
        *,
        copied: bool = True,
    ) -> Signals:
        """One table of all examples.

        Args:
            signals: Its columns.
            runtime: Memory and scratch of the columns.
            rng: Randomness of what is measured.
            order: The rows of ``ids`` in the order of the table, a permutation; default: the order of ``ids``.
            copied: Whether the table has columns. Otherwise it may have a reader, if the columns would exceed ``Runtime.memory``.
        """

    @abstractmethod
    def of(self, rows: Tensor) -> Source:
        """The source of only the examples at these rows of ``ids``."""

    @abstractmethod
    def can_score_in_bfloat16(self, signals: tuple[Signal[Any], ...]) -> bool:
        """Whether bfloat16 makes measuring these signals faster and keeps them accurate enough for a rough ranking."""


def tabulated(
    chunks: Iterable[Signals],
    ids: Tensor,
    order: Tensor | None,
    runtime: Runtime,
    in_place: Mapping[Signal[Any], Tensor] = {},
) -> Signals:
    """One table of all chunks: every chunk's rows are written to their places, so chunks may be read in the order of ``ids``.

    Args:
        chunks: Tables that together hold the examples ``ids``, in this order.
        ids: Positions of the examples, (N,).
        order: The rows of ``ids`` in the order of the table, a permutation (N,); None: the order of ``ids``.
        runtime: Memory and scratch of the columns.
        in_place: Columns that exist already; the chunks are then only read, which checks them.
    """
    space, columns, start = Space(runtime, len(ids)), dict(in_place), 0
    places = torch.arange(len(ids)) if order is None else order.argsort()
    for chunk in chunks:
        at = places[start : start + len(chunk)]
        start += len(chunk)
        for signal, part in chunk.values.items():
            if signal not in columns:
                columns[signal] = space.column(len(ids), *part.shape[1:], dtype=part.dtype)
            if signal not in in_place:
                columns[signal][at] = part
    return Signals(ids if order is None else ids[order], columns, space)


class ArraySource(Source):
    """Signals in arrays that were computed before.

    Contiguous arrays in the precision of the selection are used without copying, memory-mapped arrays too, where rows are read
    in order; otherwise rows are copied block by block. The rows are checked while they are read.

    Args:
        ids: Rows of the arrays, (N,) int64.
        arrays: Arrays by argument name (``probs``, ``embeddings``, ``labels``, ...), each with a row for every example of the data
            set; for ``offsets``, also ``tokens`` (see ``distil.data.tokens``).
        role: Prefix of the argument names in messages, for example ``"labeled_"``.
        caller: Name of the strategy, for messages.
        names: The caller's names of the rows of the arrays, for messages; None: messages use positions.
        precision: Precision of the columns: float64 if one set of the selection has a float64 array. Default: each array's own.
        copies: Whether columns are copies of the arrays, for strategies that may write to them.
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
        copies: bool = False,
    ) -> None:
        self.ids = ids
        self.names = names
        self._arrays = {name: readable(array) for name, array in arrays.items()}
        self._role = role
        self._caller = caller
        self._precision = precision
        self._copies = copies

    def measured(self, needs: tuple[Signal[Any], ...]) -> tuple[Signal[Any], ...]:
        """The columns to store: arrays that hold a needed signal itself, else those from which it is derived."""
        known = [Probs()] if "probs" in self._arrays else []
        signals = measured_by(needs, known)
        for signal in signals:
            self._argument(signal)
        return signals

    def chunks(self, signals: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Iterator[Signals]:  # noqa: ARG002
        """Tables of some rows, each converted when it is reached: memory-mapped arrays are read once, in order."""
        parts = self.ids.split(runtime.chunk(self._row_bytes(signals)))
        for ids in runtime.bar(parts, "reading", len(parts)):
            yield Signals(ids, {signal: self._rows(signal, ids) for signal in signals})

    def table(
        self,
        signals: tuple[Signal[Any], ...],
        runtime: Runtime,
        rng: Rng,
        order: Tensor | None = None,
        *,
        copied: bool = True,
    ) -> Signals:
        """One table of all rows; its columns are views of the arrays where order and types need no conversion."""
        in_place = {}
        if order is None and are_consecutive(self.ids):
            in_place = {signal: take(self._argument(signal), self.ids) for signal in signals if self._serves(signal)}
        chunks = self.chunks(signals, runtime, rng)
        own = self._row_bytes([signal for signal in signals if signal not in in_place]) * len(self.ids)
        space = Space(runtime, len(self.ids))
        if copied or order is not None or not own or space.fits(own):
            return tabulated(chunks, self.ids, order, runtime, in_place)
        for _ in chunks:  # checks all rows
            pass
        return Signals(self.ids, {}, space, reader=lambda rows: self._read(signals, self.ids[rows]))

    def _row_bytes(self, signals: Sequence[Signal[Any]]) -> int:
        """Bytes of one row of the columns, in the precision of the selection."""
        arrays = map(self._argument, signals)
        return sum(math.prod(array.shape[1:]) * self._precision_of(array).itemsize for array in arrays)

    def _serves(self, signal: Signal[Any]) -> bool:
        """Whether the array of a signal can be its column."""
        array = self._argument(signal)
        own = self._copies or isinstance(signal, (Logits, Labels, OfTokens))
        return not own and serves(array, self._precision_of(array))

    def of(self, rows: Tensor) -> ArraySource:
        """The source of only the examples at these rows of ``ids``."""
        return ArraySource(
            self.ids[rows],
            self._arrays,
            self._role,
            self._caller,
            names=self.names,
            precision=self._precision,
            copies=self._copies,
        )

    def can_score_in_bfloat16(self, signals: tuple[Signal[Any], ...]) -> bool:  # noqa: ARG002
        """False: reading arrays computes nothing."""
        return False

    def _argument(self, signal: Signal[Any]) -> Array:
        name = signal.argument
        if not name:
            raise MissingSignal(f"{self._caller} needs {signal!r}, which only a model can measure; use distil.select")
        if name not in self._arrays and isinstance(signal, OfTokens):
            raise MissingSignal(
                f"{self._caller} needs `offsets` (N + 1,), which say which rows of `probs` are the tokens of each example; pass "
                "offsets=..."
            )
        if name not in self._arrays:
            have = " and ".join(f"`{self._role}{n}`" for n in self._arrays)
            got = f"got {f'only {have}' if have else 'nothing'}"
            shape = ", ".join(("N", *signal.axes[1:])) + "," * (len(signal.axes) == 1)
            if self._role and name != "embeddings":  # only embeddings may be of examples outside the arrays
                role = self._role.rstrip("_")
                raise MissingSignal(
                    f"{self._caller} needs the {name} of the {role} set ({shape}) too, {got}; in place of these, pass {role}=..., "
                    "rows of the arrays"
                )
            raise MissingSignal(
                f"{self._caller} needs `{self._role}{name}` ({shape}), {got}; pass {self._role}{name}=..."
            )
        return self._arrays[name]

    def _precision_of(self, array: Array) -> torch.dtype:
        return self._precision or precision_of([array])

    def _rows(self, signal: Signal[Any], ids: Tensor) -> Tensor:
        array, name = self._argument(signal), self._role + signal.argument
        rows = take(array, ids)
        if isinstance(signal, OfTokens):
            return self._reduced(signal, ids, rows)
        if self._copies:
            rows = rows.clone()
        if isinstance(signal, Labels):
            return rows.long()
        slack = _HALF_SLACK if _in_half_precision(rows) else 1e-3
        rows = rows.to(self._precision_of(array))
        if isinstance(signal, LabelProbs):
            check_shares(ids, rows, name, slack, self.names)
        elif isinstance(signal, (Logits, Probs, MCProbs)):
            check_distributions(ids, rows, name, slack, self.names)
        else:
            check_rows(ids, rows, name, self.names)
            if isinstance(signal, Deviations):
                check_not_negative(ids, rows, name, self.names)
        return _as_column(signal, rows)

    def _read(self, signals: Sequence[Signal[Any]], ids: Tensor) -> Signals:
        """Rows that were checked before."""
        return Signals(ids, {signal: self._checked_before(signal, ids) for signal in signals})

    def _checked_before(self, signal: Signal[Any], ids: Tensor) -> Tensor:
        if isinstance(signal, (Labels, OfTokens)):
            return self._rows(signal, ids)
        array = self._argument(signal)
        return _as_column(signal, take(array, ids).to(self._precision_of(array)))

    def _reduced(self, signal: OfTokens, ids: Tensor, bounds: Tensor) -> Tensor:
        """The column of a signal that is reduced from the tokens of each example, which begin and end at ``bounds`` (B, 2)."""
        tokens, parts = self._arrays["tokens"], []
        for examples, rows, offsets in token_blocks(tokens, bounds):
            slack = _HALF_SLACK if len(rows) and _in_half_precision(rows) else 1e-3
            rows = rows.to(precision_of([tokens]))
            check_distributions(ids[examples].repeat_interleave(offsets.diff()), rows, "probs", slack, self.names)
            parts.append(signal.reduce(rows, offsets))
        return torch.cat(parts)


def _as_column(signal: Signal[Any], rows: Tensor) -> Tensor:
    """Rows of the array of a signal as rows of its column."""
    if isinstance(signal, LabelProbs):
        return rows.clamp(0, 1)
    # Log-probabilities are logits: softmax takes them back to the probabilities.
    return rows.clamp_min(torch.finfo(rows.dtype).tiny).log() if isinstance(signal, Logits) else rows


def _in_half_precision(rows: Tensor) -> bool:
    """Whether the numbers come from float16 or bfloat16; files and NumPy give bfloat16 in float32."""
    halves = (torch.bfloat16, torch.float16)
    return rows.dtype in halves or any(
        torch.equal(rows[:1].to(half).to(rows.dtype), rows[:1]) and torch.equal(rows.to(half).to(rows.dtype), rows)
        for half in halves
    )


def check_finite(table: Signals, names: Sequence[Any] | None = None) -> Signals:
    """Return ``table`` after checking that its columns are finite and its MC samples are probabilities.

    Logits may be minus infinity, as those of masked classes are, but not for all classes of an example.

    Raises:
        InvalidInput: They are not; the message names the ids.
    """
    for signal, column in table.values.items():
        if isinstance(signal, Logits):
            check_logits(table.ids, column, repr(signal), names)
        else:
            check_rows(table.ids, column, signal.argument or repr(signal), names)
        if isinstance(signal, MCProbs):
            check_distributions(table.ids, column, "samples", _HALF_SLACK, names)
    return table

"""What a signal is, and the table that holds signals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from distil.errors import MissingSignal
from distil.functional.adversarial import Attack, Attacker
from distil.functional.features import Dense, Features, Outer
from distil.functional.streamed import Streamed
from distil.system.runtime import CHUNK_ROWS
from distil.system.scratch import Space
from distil.tasks import TASKS, Task

V = TypeVar("V")


class Forward(ABC):
    """The quantities of one minibatch under a network; each is computed on first use, once."""

    @abstractmethod
    def logits(self) -> Tensor:
        """Outputs before softmax or sigmoid, (B, C); the predictions of a regression model, (B, T)."""

    @abstractmethod
    def embedding(self) -> Tensor:
        """Inputs of the last layer, (B, D)."""

    @abstractmethod
    def costs(self) -> Tensor:
        """Costs of a label, (B,), as the caller gave them for the pool."""

    @abstractmethod
    def samples(self, n_samples: int, shared: bool) -> Tensor:
        """Probabilities or predictions under K samples of the network, (B, K, C); one draw for all rows if ``shared``."""

    @abstractmethod
    def augmented(self, transform: Callable[[Tensor], Tensor], n_samples: int) -> Tensor:
        """Class probabilities averaged over ``n_samples`` random changes of each input, (B, C)."""

    @abstractmethod
    def inputs(self) -> Tensor:
        """The tensor that the network is called with, (B, ...)."""

    @abstractmethod
    def attack(self, attack: Attacker) -> Attack:
        """The result of an attack on the inputs; equal attacks are computed once."""

    @abstractmethod
    def labels(self) -> Tensor:
        """Labels, (B,) int64, or targets, (B, T); not available for a pool, whose labels are never read."""


class Signal(ABC, Generic[V]):
    """One quantity per example: ``Measured``, ``Given`` or ``Derived``. ``V`` is the type of the column that holds it.

    Attributes:
        noun: The name of its column in messages; empty: messages show the signal itself.
        argument: The argument of ``select_from`` that may hold it; empty: only a model can supply it.
        axes: A letter for each axis of its column: B examples, C classes, L labels, T predicted numbers, D numbers, K samples,
            R responses; empty: any axes.
        grad: Whether measuring it takes gradients by the inputs, so that arrays cannot replace the model.
    """

    noun: ClassVar[str] = ""
    argument: ClassVar[str] = ""
    axes: ClassVar[str] = ""
    grad: ClassVar[bool] = False

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks in which it exists. A strategy knows the tasks in which all of its signals exist."""
        return TASKS


class Measured(Signal[Tensor]):
    """A signal that is measured on a forward pass."""

    @abstractmethod
    def measure(self, forward: Forward) -> Tensor:
        """The values of one minibatch, (B, ...)."""


class Given(Signal[Tensor]):
    """A signal that only arrays can hold; no model measures it."""

    tasks = ("classification",)


class OfTokens(Given):
    """A signal that is reduced from the probabilities of each example's tokens (words, pixels, boxes), read through ``offsets``."""

    argument: ClassVar[str] = "offsets"

    @abstractmethod
    def reduce(self, probs: Tensor, offsets: Tensor) -> Tensor:
        """The values of some examples, (B, ...): their tokens' probabilities (R, C), and the rows of each example, (B + 1,)."""


class Derived(Signal[V]):
    """A signal that is computed from other signals."""

    @property
    @abstractmethod
    def needs(self) -> tuple[Signal[Any], ...]:
        """The signals that this one is derived from."""

    @abstractmethod
    def derive(self, signals: Signals) -> V:
        """The values of a whole table, computed from the signals in ``needs``."""


@dataclass(frozen=True, eq=False)
class Signals:
    """A table: ids, and a column of values for each stored signal.

    Attributes:
        ids: Positions in the data set, (N,) int64. ``ids[rows]`` is the only way from rows to ids.
        values: Signal -> its stored column, with N rows. Do not write to columns: they may be the caller's arrays, or mapped
            from a read-only file.
        space: Storage for derived columns of many rows; None: memory.
        reader: Reads the table of some rows, by their numbers or a slice, where no columns are stored; None: they are.
    """

    ids: Tensor
    values: Mapping[Signal[Any], Tensor]
    space: Space | None = None
    reader: Callable[[Tensor | slice], Signals] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, signal: Signal[V]) -> V:
        if signal in self.values:
            stored: Any = self.values[signal]
            return stored  # type: ignore[no-any-return]
        if isinstance(signal, Derived):
            return signal.derive(self)  # type: ignore[no-any-return]
        measured = ", ".join(map(repr, self.values)) or "nothing"
        raise MissingSignal(
            f"{signal!r} was not measured for these examples; measured: {measured}; add it to the strategy's needs"
        )

    def features(self, signal: Signal[Any]) -> Features:
        """A signal with rows of numbers, or of gradients, as features; they are read block by block where they are not stored."""
        if self.reader is None:
            values = self[signal]
            return values if isinstance(values, Features) else Dense(values)
        reader = self.reader
        return Streamed(lambda rows: _written(reader(rows).features(signal)), len(self))

    def rows(self, rows: Tensor | slice) -> Signals:
        """The table of some rows in the order of ``rows``; a copy, except for a slice of stored columns."""
        if self.reader is not None:
            return self.reader(rows)
        return Signals(self.ids[rows], {signal: column[rows] for signal, column in self.values.items()})

    def excerpt(self, rows: Tensor, signals: tuple[Signal[Any], ...]) -> Signals:
        """The table of some rows with the columns ``signals`` only, which are copied, or derived for these rows."""
        some = self.rows(rows) if signals else Signals(self.ids[rows], {})
        return Signals(some.ids, {signal: some[signal] for signal in signals})

    def row_by_row(self, rule: Callable[[Signals], Tensor]) -> Tensor:
        """A column derived row by row, (N, ...); computed in blocks, so that temporary values stay small.

        Args:
            rule: A function from a table of consecutive rows to their values; the values of a row depend on that row alone.
        """
        if self.space is None or len(self) <= CHUNK_ROWS:
            return rule(self)
        like = rule(self.rows(slice(0, 1)))
        column = self.space.column(len(self), *like.shape[1:], dtype=like.dtype)
        for start in range(0, len(self), CHUNK_ROWS):
            block = slice(start, start + CHUNK_ROWS)
            column[block] = rule(self.rows(block))
        return column


def _written(rows: Features) -> Dense | Outer:
    assert isinstance(rows, (Dense, Outer))  # no signal is of any other class
    return rows


def measured_by(needs: Iterable[Signal[Any]], given: Iterable[Signal[Any]] = ()) -> tuple[Signal[Any], ...]:
    """The signals that must be stored so that all of ``needs`` can be read.

    Args:
        needs: The signals that a strategy reads.
        given: Derived signals that are available as they are, such as probabilities in an array.

    Returns:
        Distinct signals: the needed ones among ``given``, and the measured signals from which the others are derived.
    """
    given = tuple(given)
    stored: dict[Signal[Any], None] = {}
    for signal in needs:
        if isinstance(signal, Derived) and signal not in given:
            stored.update(dict.fromkeys(measured_by(signal.needs, given)))
        else:
            stored[signal] = None
    return tuple(stored)


EMPTY = Signals(torch.empty(0, dtype=torch.long), {})

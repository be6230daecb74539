"""Signals: the quantities that strategies ask for, and the table they come in.

A signal is frozen and hashable, so two strategies that ask for equal signals share one pass over the pool. *Measured* signals come
from a forward pass; *derived* signals are computed from stored ones when a strategy reads them, and are never stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from distil.errors import MissingSignal
from distil.features import Outer

V = TypeVar("V")


class Forward(ABC):
    """One minibatch seen through a network; each quantity is computed when first asked for, and once."""

    @abstractmethod
    def logits(self) -> Tensor:
        """(B, C)."""

    @abstractmethod
    def embedding(self) -> Tensor:
        """(B, D)."""

    @abstractmethod
    def samples(self, n_samples: int, shared: bool) -> Tensor:
        """Sampled probabilities, (B, K, C)."""


class Signal(ABC, Generic[V]):
    """One quantity per example. ``V`` is the type of the column that holds it."""

    @property
    @abstractmethod
    def needs(self) -> tuple[Signal[Any], ...]:
        """The signals this one is derived from; empty when it is measured."""

    @abstractmethod
    def measure(self, forward: Forward) -> Tensor:
        """This quantity for one minibatch, (B, ...)."""

    @abstractmethod
    def derive(self, signals: Signals) -> V:
        """This quantity for a whole table, from the signals in ``needs``."""


class Measured(Signal[Tensor]):
    """A signal that a forward pass gives."""

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """Nothing: a forward pass gives it."""
        return ()

    def derive(self, signals: Signals) -> Tensor:
        """Raise: this was not measured."""
        have = ", ".join(map(repr, signals.values)) or "nothing"
        raise MissingSignal(f"{self!r} was not measured for these examples; measured: {have}")


class Derived(Signal[V]):
    """A signal computed from others."""

    def measure(self, forward: Forward) -> Tensor:
        """Raise: ``measured_by`` never asks a forward pass for a derived signal."""
        raise MissingSignal(f"{self!r} is derived from {self.needs}, not measured on {type(forward).__name__}")


@dataclass(frozen=True)
class Logits(Measured):
    """The network's outputs before softmax: (N, C)."""

    def measure(self, forward: Forward) -> Tensor:
        """(B, C)."""
        return forward.logits()


@dataclass(frozen=True)
class Embedding(Measured):
    """What the network's last layer sees: (N, D)."""

    def measure(self, forward: Forward) -> Tensor:
        """(B, D)."""
        return forward.embedding()


@dataclass(frozen=True)
class MCProbs(Measured):
    """Probabilities under K samples of the network (dropout masks, ensemble members): (N, K, C).

    Attributes:
        n_samples: K.
        shared: One draw for all examples, as joint entropies require; otherwise every example has its own.
    """

    n_samples: int = 10
    shared: bool = False

    def measure(self, forward: Forward) -> Tensor:
        """(B, K, C)."""
        return forward.samples(self.n_samples, self.shared)


@dataclass(frozen=True)
class Probs(Derived[Tensor]):
    """Class probabilities, the softmax of the logits: (N, C)."""

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """The logits."""
        return (Logits(),)

    def derive(self, signals: Signals) -> Tensor:
        """(N, C)."""
        return signals[Logits()].softmax(-1)


@dataclass(frozen=True)
class MCMean(Derived[Tensor]):
    """Class probabilities averaged over K samples of the network: (N, C).

    Attributes:
        n_samples: K.
    """

    n_samples: int = 10

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """The samples."""
        return (MCProbs(self.n_samples),)

    def derive(self, signals: Signals) -> Tensor:
        """(N, C)."""
        return signals[MCProbs(self.n_samples)].mean(1)


@dataclass(frozen=True)
class Gradient(Derived[Outer]):
    """Gradient of the cross entropy by the last layer's weights, were the predicted label the true one: N rows (p - e_y) h^T.

    Ash et al. 2020, section 3, eq. 1, kept as its factors. The layer's bias is left out, as in the published code.
    """

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """Probabilities and embedding."""
        return (Probs(), Embedding())

    def derive(self, signals: Signals) -> Outer:
        """N rows of C x D."""
        probs = signals[Probs()]
        residual = probs - nn.functional.one_hot(probs.argmax(-1), probs.shape[-1])
        return Outer(residual, signals[Embedding()])


@dataclass(frozen=True, eq=False)
class Signals:
    """A table: ids, and a column of values for each stored signal.

    Attributes:
        ids: Positions in the data set, (N,) int64. ``ids[rows]`` is the only crossing from rows to ids.
        values: The stored columns, each with N rows.
    """

    ids: Tensor
    values: Mapping[Signal[Any], Tensor]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, signal: Signal[V]) -> V:
        if signal in self.values:
            stored: Any = self.values[signal]
            return stored  # type: ignore[no-any-return]
        return signal.derive(self)

    def rows(self, rows: Tensor) -> Signals:
        """The table of these rows, in this order."""
        return Signals(self.ids[rows], {signal: column[rows] for signal, column in self.values.items()})


def measured_by(needs: Iterable[Signal[Any]], given: Iterable[Signal[Any]] = ()) -> tuple[Signal[Any], ...]:
    """The signals that must be stored so that all of ``needs`` can be read.

    Args:
        needs: What a strategy asks for.
        given: Signals that are at hand although they could be derived (probabilities given as an array).

    Returns:
        Each once: those given that are needed, and the measured signals that the rest derives from.
    """
    given = tuple(given)
    found: dict[Signal[Any], None] = {}
    for signal in needs:
        if signal in given or not signal.needs:
            found[signal] = None
        else:
            found.update(dict.fromkeys(measured_by(signal.needs, given)))
    return tuple(found)


EMPTY = Signals(torch.empty(0, dtype=torch.long), {})

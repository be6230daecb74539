"""Signals: the quantities that strategies ask for, and the table they come in.

A signal is frozen and hashable, so two strategies that ask for equal signals share one pass over the pool. *Measured* signals come
from a forward pass; *derived* signals are computed from stored ones when a strategy reads them, and are never stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor

from distil.errors import MissingSignal
from distil.functional.adversarial import Attack, Attacker
from distil.functional.features import Dense, Features, Outer
from distil.functional.gradients import cross_entropy_residual, residual
from distil.system.runtime import CHUNK_ROWS
from distil.system.scratch import Space

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

    @abstractmethod
    def inputs(self) -> Tensor:
        """What the network is called with, (B, ...)."""

    @abstractmethod
    def attack(self, attack: Attacker) -> Attack:
        """What this attack on the inputs finds; equal attacks are made once."""

    @abstractmethod
    def labels(self) -> Tensor:
        """(B,) int64; of labeled sets only: those of a pool are never read."""


class Signal(ABC, Generic[V]):
    """One quantity per example: ``Measured`` or ``Derived``. ``V`` is the type of the column that holds it.

    Attributes:
        noun: What messages call a column of it; empty: they show the signal.
        argument: The array of ``select_from`` that may hold it; empty: only a model gives it.
        axes: A letter for each axis of its column: B examples, C classes, D numbers, K samples; empty: any.
        grad: Whether measuring it takes gradients by the inputs, so that no array can stand for the model.
    """

    noun: ClassVar[str] = ""
    argument: ClassVar[str] = ""
    axes: ClassVar[str] = ""
    grad: ClassVar[bool] = False


class Measured(Signal[Tensor]):
    """A signal that a forward pass gives."""

    @abstractmethod
    def measure(self, forward: Forward) -> Tensor:
        """This quantity for one minibatch, (B, ...)."""


class Derived(Signal[V]):
    """A signal computed from others."""

    @property
    @abstractmethod
    def needs(self) -> tuple[Signal[Any], ...]:
        """The signals this one is derived from."""

    @abstractmethod
    def derive(self, signals: Signals) -> V:
        """This quantity for a whole table, from the signals in ``needs``."""


@dataclass(frozen=True)
class Logits(Measured):
    """The network's outputs before softmax: (N, C)."""

    noun: ClassVar[str] = "logits"
    argument: ClassVar[str] = "probs"
    axes: ClassVar[str] = "BC"

    def measure(self, forward: Forward) -> Tensor:
        """(B, C)."""
        return forward.logits()


@dataclass(frozen=True)
class Embedding(Measured):
    """What the network's last layer sees: (N, D)."""

    noun: ClassVar[str] = "embeddings"
    argument: ClassVar[str] = "embeddings"
    axes: ClassVar[str] = "BD"

    def measure(self, forward: Forward) -> Tensor:
        """(B, D)."""
        return forward.embedding()


@dataclass(frozen=True)
class Inputs(Measured):
    """The inputs themselves, as the network sees them, flattened: (N, D)."""

    noun: ClassVar[str] = "inputs"

    def measure(self, forward: Forward) -> Tensor:
        """(B, D)."""
        return forward.inputs().flatten(1)


@dataclass(frozen=True)
class Labels(Measured):
    """The labels of a labeled, validation, query or private set, (N,) int64. Those of a pool are never read."""

    noun: ClassVar[str] = "labels"
    argument: ClassVar[str] = "labels"
    axes: ClassVar[str] = "B"

    def measure(self, forward: Forward) -> Tensor:
        """(B,)."""
        return forward.labels()


@dataclass(frozen=True)
class MCProbs(Measured):
    """Probabilities under K samples of the network (dropout masks, ensemble members): (N, K, C).

    Attributes:
        n_samples: K.
        shared: One draw for all examples, as joint entropies require; otherwise every example has its own.
    """

    noun: ClassVar[str] = "sampled probabilities"
    argument: ClassVar[str] = "mc_probs"
    axes: ClassVar[str] = "BKC"
    n_samples: int = 10
    shared: bool = False

    def measure(self, forward: Forward) -> Tensor:
        """(B, K, C)."""
        return forward.samples(self.n_samples, self.shared)


@dataclass(frozen=True)
class Attacked(Measured):
    """How an attack on the inputs ended: (N, 2), the L2 norm of its perturbation and the logit gap that is left.

    All signals of one attack come from attacking once.

    Attributes:
        attack: ``DeepFool()``, ``BIM()`` or any other frozen, hashable ``Attacker``.
    """

    grad: ClassVar[bool] = True
    attack: Attacker

    def measure(self, forward: Forward) -> Tensor:
        """(B, 2)."""
        found = forward.attack(self.attack)
        return torch.stack([found.distance, found.gap], 1)


@dataclass(frozen=True)
class Perturbation(Measured):
    """The change of the input that an attack found, in the shape of the input as the network sees it: (N, ...).

    Attributes:
        attack: The attack.
    """

    grad: ClassVar[bool] = True
    attack: Attacker

    def measure(self, forward: Forward) -> Tensor:
        """(B, ...)."""
        return forward.attack(self.attack).perturbation


@dataclass(frozen=True)
class Probs(Derived[Tensor]):
    """Class probabilities, the softmax of the logits: (N, C)."""

    argument: ClassVar[str] = "probs"
    axes: ClassVar[str] = "BC"

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """The logits."""
        return (Logits(),)

    def derive(self, signals: Signals) -> Tensor:
        """(N, C)."""
        return signals.row_by_row(lambda part: part[Logits()].softmax(-1))


@dataclass(frozen=True)
class TopClasses(Derived[Tensor]):
    """The two most probable classes, the most probable first: (N, 2) int64; (N, 1) where there is one class only."""

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """The probabilities."""
        return (Probs(),)

    def derive(self, signals: Signals) -> Tensor:
        """(N, 2)."""
        return signals.row_by_row(lambda part: part[Probs()].topk(min(2, part[Probs()].shape[1])).indices)


@dataclass(frozen=True)
class AdversarialDistance(Derived[Tensor]):
    """L2 norm of the smallest change of the input that an attack found to change the prediction: (N,).

    Where it found none, as ``AdversarialGap`` of the same attack tells, the norm of what it tried.

    Attributes:
        attack: The attack.
    """

    attack: Attacker

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """How the attack ended."""
        return (Attacked(self.attack),)

    def derive(self, signals: Signals) -> Tensor:
        """(N,)."""
        return signals[Attacked(self.attack)][:, 0]


@dataclass(frozen=True)
class AdversarialGap(Derived[Tensor]):
    """Logit gap from the predicted class to the largest other after an attack: (N,), at most 0 where the prediction changed.

    Attributes:
        attack: The attack.
    """

    attack: Attacker

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """How the attack ended."""
        return (Attacked(self.attack),)

    def derive(self, signals: Signals) -> Tensor:
        """(N,)."""
        return signals[Attacked(self.attack)][:, 1]


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
        return signals.row_by_row(lambda part: part[MCProbs(self.n_samples)].mean(1))


@dataclass(frozen=True)
class Gradient(Derived[Features]):
    """Gradient of each example's loss by the last layer: N rows a_i h_i^T, kept as their factors.

    For the cross entropy a = softmax(z) - e_y (Ash et al. 2020, section 3, eq. 1), h the embedding.

    Attributes:
        part: The layer's ``"weights"`` (BADGE's choice); its ``"bias"``, which makes the rows just a; or ``"all"``.
        labels: y is the ``"predicted"`` class, or the ``"true"`` one (of labeled sets).
        loss: ``loss(logits (1, C), labels (1,))`` in place of the cross entropy; its residual is taken by autograd.
    """

    part: Literal["weights", "bias", "all"] = "weights"
    labels: Literal["predicted", "true"] = "predicted"
    loss: Callable[[Tensor, Tensor], Tensor] | None = None

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """Logits or probabilities, the embedding unless for the bias alone, the labels where they are the true ones."""
        outputs: Signal[Any] = Probs() if self.loss is None else Logits()
        embedding = () if self.part == "bias" else (Embedding(),)
        return (outputs, *embedding, *((Labels(),) if self.labels == "true" else ()))

    def derive(self, signals: Signals) -> Features:
        """N rows of C x D, or of C numbers for the bias alone."""
        a = signals.row_by_row(self._residuals)
        return Dense(a) if self.part == "bias" else Outer(a, signals[Embedding()], bias=self.part == "all")

    def _residuals(self, signals: Signals) -> Tensor:
        outputs = signals[Probs()] if self.loss is None else signals[Logits()]
        y = signals[Labels()] if self.labels == "true" else outputs.argmax(-1)
        return cross_entropy_residual(outputs, y) if self.loss is None else residual(outputs, y, self.loss)


@dataclass(frozen=True, eq=False)
class Signals:
    """A table: ids, and a column of values for each stored signal.

    Attributes:
        ids: Positions in the data set, (N,) int64. ``ids[rows]`` is the only crossing from rows to ids.
        values: The stored columns, each with N rows. They may be the caller's arrays, or the content of a file that cannot be
            written: do not write to them.
        space: Where derived columns of many rows are written; default: in memory.
    """

    ids: Tensor
    values: Mapping[Signal[Any], Tensor]
    space: Space | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, signal: Signal[V]) -> V:
        if signal in self.values:
            stored: Any = self.values[signal]
            return stored  # type: ignore[no-any-return]
        if isinstance(signal, Derived):
            return signal.derive(self)  # type: ignore[no-any-return]
        have = ", ".join(map(repr, self.values)) or "nothing"
        raise MissingSignal(f"{signal!r} was not measured for these examples; measured: {have}")

    def rows(self, rows: Tensor | slice) -> Signals:
        """The table of these rows, in this order: copied, unless they are a slice."""
        return Signals(self.ids[rows], {signal: column[rows] for signal, column in self.values.items()})

    def excerpt(self, rows: Tensor, signals: tuple[Signal[Any], ...]) -> Signals:
        """The table of these rows with these columns alone: copied, or derived for these rows."""
        some = self.rows(rows) if signals else Signals(self.ids[rows], {})
        return Signals(some.ids, {signal: some[signal] for signal in signals})

    def row_by_row(self, rule: Callable[[Signals], Tensor]) -> Tensor:
        """A column that ``rule`` derives for each row from that row alone, (N, ...): block by block, so that no second one is made.

        Args:
            rule: Consecutive rows of this table -> their values.
        """
        if self.space is None or len(self) <= CHUNK_ROWS:
            return rule(self)
        like = rule(self.rows(slice(0, 1)))
        column = self.space.column(len(self), *like.shape[1:], dtype=like.dtype)
        for start in range(0, len(self), CHUNK_ROWS):
            block = slice(start, start + CHUNK_ROWS)
            column[block] = rule(self.rows(block))
        return column


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
        if isinstance(signal, Derived) and signal not in given:
            found.update(dict.fromkeys(measured_by(signal.needs, given)))
        else:
            found[signal] = None
    return tuple(found)


def measure(signals: Iterable[Signal[Any]], forward: Forward) -> dict[Signal[Any], Tensor]:
    """The columns of one minibatch.

    Raises:
        MissingSignal: One of the signals is derived: no forward pass gives it.
    """
    columns: dict[Signal[Any], Tensor] = {}
    for signal in signals:
        if not isinstance(signal, Measured):
            raise MissingSignal(f"{signal!r} is derived from other signals, not measured; ask for measured_by(...)")
        columns[signal] = signal.measure(forward)
    return columns


EMPTY = Signals(torch.empty(0, dtype=torch.long), {})

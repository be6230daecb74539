"""Signals, the quantities that strategies read, and the table that holds them.

Signals are frozen and hashable, so strategies that need equal signals share one pass over the pool. *Measured* signals come
from a forward pass or an array, *given* signals from an array only; *derived* signals are computed from stored ones when a
strategy reads them, and are not stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from distil.errors import MissingSignal
from distil.functional.adversarial import Attack, Attacker
from distil.functional.features import Dense, Features, Outer
from distil.functional.gradients import cross_entropy_residual, residual, sigmoid_residual
from distil.functional.preferences import delta_ucb
from distil.functional.reductions import entropies_by_class, reduced_uncertainty
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


@dataclass(frozen=True)
class Logits(Measured):
    """Outputs of the network before softmax: (N, C)."""

    noun: ClassVar[str] = "logits"
    argument: ClassVar[str] = "probs"
    axes: ClassVar[str] = "BC"
    tasks = ("classification",)

    def measure(self, forward: Forward) -> Tensor:
        """Outputs before softmax, (B, C)."""
        return forward.logits()


@dataclass(frozen=True)
class Embedding(Measured):
    """Inputs of the network's last layer: (N, D)."""

    noun: ClassVar[str] = "embeddings"
    argument: ClassVar[str] = "embeddings"
    axes: ClassVar[str] = "BD"

    def measure(self, forward: Forward) -> Tensor:
        """Inputs of the last layer, (B, D)."""
        return forward.embedding()


@dataclass(frozen=True)
class Inputs(Measured):
    """The tensors that the network is called with, flattened: (N, D)."""

    noun: ClassVar[str] = "inputs"

    def measure(self, forward: Forward) -> Tensor:
        """Flattened inputs, (B, D)."""
        return forward.inputs().flatten(1)


@dataclass(frozen=True)
class Labels(Measured):
    """Labels of a labeled, validation, query or private set: (N,) int64. The labels of a pool are never read."""

    noun: ClassVar[str] = "labels"
    argument: ClassVar[str] = "labels"
    axes: ClassVar[str] = "B"
    tasks = ("classification",)

    def measure(self, forward: Forward) -> Tensor:
        """Labels, (B,) int64."""
        return forward.labels()


@dataclass(frozen=True)
class Costs(Measured):
    """What the label of each example costs, in any unit: (N,), above 0. The caller knows it, not the network."""

    noun: ClassVar[str] = "costs"
    argument: ClassVar[str] = "costs"
    axes: ClassVar[str] = "B"

    def measure(self, forward: Forward) -> Tensor:
        """Costs, (B,)."""
        return forward.costs()


@dataclass(frozen=True)
class MCProbs(Measured):
    """Class probabilities under K samples of the network (dropout masks, ensemble members): (N, K, C).

    Attributes:
        n_samples: Number of samples, K.
        shared: Whether all examples see the same samples, as joint entropies require; else each example has its own.
    """

    noun: ClassVar[str] = "sampled probabilities"
    argument: ClassVar[str] = "mc_probs"
    axes: ClassVar[str] = "BKC"
    tasks = ("classification",)
    n_samples: int = 10
    shared: bool = False

    def measure(self, forward: Forward) -> Tensor:
        """Sampled class probabilities, (B, K, C)."""
        return forward.samples(self.n_samples, self.shared)


@dataclass(frozen=True)
class AugmentedProbs(Measured):
    """Class probabilities averaged over random changes of the inputs, test-time augmentation: (N, C).

    Attributes:
        transform: A function from the input of one example, a tensor without the axis of examples, to a changed one of the same
            shape. The global generators of torch, NumPy and ``random`` are seeded for each call.
        n_samples: Number of changes of each input.
    """

    noun: ClassVar[str] = "probabilities under the transform"
    axes: ClassVar[str] = "BC"
    tasks = ("classification",)
    transform: Callable[[Tensor], Tensor]
    n_samples: int = 10

    def measure(self, forward: Forward) -> Tensor:
        """Mean class probabilities, (B, C)."""
        return forward.augmented(self.transform, self.n_samples)


@dataclass(frozen=True)
class Attacked(Measured):
    """Result of an attack on the inputs: (N, 2), the L2 norm of the perturbation and the remaining logit gap.

    All signals of one attack are computed from one run of it.

    Attributes:
        attack: ``DeepFool()``, ``BIM()`` or any other frozen, hashable ``Attacker``.
    """

    grad: ClassVar[bool] = True
    tasks = ("classification",)
    attack: Attacker

    def measure(self, forward: Forward) -> Tensor:
        """Norms and gaps, (B, 2)."""
        result = forward.attack(self.attack)
        return torch.stack([result.distance, result.gap], 1)


@dataclass(frozen=True)
class Perturbation(Measured):
    """Change of the input that an attack found: (N, ...), in the shape of the tensor that the network is called with.

    Attributes:
        attack: The attack.
    """

    grad: ClassVar[bool] = True
    tasks = ("classification",)
    attack: Attacker

    def measure(self, forward: Forward) -> Tensor:
        """Changes of the inputs, (B, ...)."""
        return forward.attack(self.attack).perturbation


@dataclass(frozen=True)
class LabelProbs(Measured):
    """Probability of each label of a multi-label model, the sigmoid of its logit: (N, L)."""

    noun: ClassVar[str] = "probabilities of labels"
    argument: ClassVar[str] = "probs"
    axes: ClassVar[str] = "BL"
    tasks = ("multilabel",)

    def measure(self, forward: Forward) -> Tensor:
        """Probabilities, (B, L)."""
        return forward.logits().sigmoid()


@dataclass(frozen=True)
class Predictions(Measured):
    """What a regression model predicts: (N, T), T numbers for each example."""

    noun: ClassVar[str] = "predictions"
    argument: ClassVar[str] = "predictions"
    axes: ClassVar[str] = "BT"
    tasks = ("regression",)

    def measure(self, forward: Forward) -> Tensor:
        """Predictions, (B, T)."""
        return forward.logits()


@dataclass(frozen=True)
class MCPredictions(Measured):
    """Predictions of a regression model under K samples of it (dropout masks, ensemble members): (N, K, T).

    Attributes:
        n_samples: Number of samples, K.
    """

    noun: ClassVar[str] = "sampled predictions"
    argument: ClassVar[str] = "mc_predictions"
    axes: ClassVar[str] = "BKT"
    tasks = ("regression",)
    n_samples: int = 10

    def measure(self, forward: Forward) -> Tensor:
        """Sampled predictions, (B, K, T)."""
        return forward.samples(self.n_samples, False)


@dataclass(frozen=True)
class Targets(Measured):
    """True numbers of a labeled set in regression: (N, T). Those of a pool are never read."""

    noun: ClassVar[str] = "targets"
    argument: ClassVar[str] = "labels"
    axes: ClassVar[str] = "BT"
    tasks = ("regression",)

    def measure(self, forward: Forward) -> Tensor:
        """Targets, (B, T)."""
        return forward.labels()


@dataclass(frozen=True)
class Probs(Derived[Tensor]):
    """Class probabilities, the softmax of the logits: (N, C)."""

    argument: ClassVar[str] = "probs"
    axes: ClassVar[str] = "BC"
    tasks = ("classification",)

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """The logits."""
        return (Logits(),)

    def derive(self, signals: Signals) -> Tensor:
        """Class probabilities, (N, C)."""
        return signals.row_by_row(lambda part: part[Logits()].softmax(-1))


@dataclass(frozen=True)
class TopClasses(Derived[Tensor]):
    """The two most probable classes, most probable first: (N, 2) int64; (N, 1) if there is only one class."""

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """The probabilities."""
        return (Probs(),)

    def derive(self, signals: Signals) -> Tensor:
        """Columns of the probabilities, (N, 2) int64."""
        return signals.row_by_row(lambda part: part[Probs()].topk(min(2, part[Probs()].shape[1])).indices)


@dataclass(frozen=True)
class AdversarialDistance(Derived[Tensor]):
    """L2 norm of the smallest change of the input with which an attack changed the prediction: (N,).

    If the attack failed (``AdversarialGap`` of the same attack is then positive), it is the norm of its last perturbation.

    Attributes:
        attack: The attack.
    """

    attack: Attacker

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """The result of the attack."""
        return (Attacked(self.attack),)

    def derive(self, signals: Signals) -> Tensor:
        """Norms, (N,)."""
        return signals[Attacked(self.attack)][:, 0]


@dataclass(frozen=True)
class AdversarialGap(Derived[Tensor]):
    """Logit of the predicted class minus the largest other logit, after an attack: (N,); at most 0 if the prediction changed.

    Attributes:
        attack: The attack.
    """

    attack: Attacker

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """The result of the attack."""
        return (Attacked(self.attack),)

    def derive(self, signals: Signals) -> Tensor:
        """Logit gaps, (N,)."""
        return signals[Attacked(self.attack)][:, 1]


@dataclass(frozen=True)
class MCMean(Derived[Tensor]):
    """Class probabilities averaged over K samples of the network: (N, C).

    Attributes:
        n_samples: Number of samples, K.
    """

    n_samples: int = 10

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """The sampled probabilities."""
        return (MCProbs(self.n_samples),)

    def derive(self, signals: Signals) -> Tensor:
        """Mean class probabilities, (N, C)."""
        return signals.row_by_row(lambda part: part[MCProbs(self.n_samples)].mean(1))


@dataclass(frozen=True)
class Gradient(Derived[Features]):
    """Gradient of each example's loss by the last layer: N rows a_i h_i^T, stored as the factors a_i and h_i.

    h is the embedding; for the cross entropy, a = softmax(z) - e_y (Ash et al. 2020, section 3, eq. 1). For ``task="multilabel"``
    the loss is the sum of the binary cross entropies of the labels, so a = sigmoid(z) - y. For ``task="regression"`` the rows
    are gradients of the prediction itself, by weights and bias: (h, 1), as at the predicted label that of the squared loss is 0
    (Holzmueller et al. 2023, section 3).

    Attributes:
        part: The parameters of the layer: ``"weights"`` (BADGE's choice); ``"bias"``, for which the rows are a_i; or ``"all"``.
        labels: The label y: the ``"predicted"`` class, or the ``"true"`` label (in labeled sets).
        loss: A function ``loss(logits (1, C), labels (1,))`` instead of the cross entropy; a is then computed by autograd.
        task: The task; the other parameters are those of classification.
    """

    part: Literal["weights", "bias", "all"] = "weights"
    labels: Literal["predicted", "true"] = "predicted"
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    task: Task = "classification"

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The task of the loss."""
        return (self.task,)

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """Logits or probabilities; the embedding, except for ``part="bias"``; the labels for ``labels="true"``."""
        if self.task != "classification":
            return (LabelProbs(), Embedding()) if self.task == "multilabel" else (Embedding(),)
        outputs: Signal[Any] = Probs() if self.loss is None else Logits()
        embedding = () if self.part == "bias" else (Embedding(),)
        return (outputs, *embedding, *((Labels(),) if self.labels == "true" else ()))

    def derive(self, signals: Signals) -> Features:
        """N rows of length C D for the weights, C for the bias, C (D + 1) for both; L D for labels, D + 1 in regression."""
        if self.task == "multilabel":
            return Outer(signals.row_by_row(lambda part: sigmoid_residual(part[LabelProbs()])), signals[Embedding()])
        if self.task == "regression":
            return Dense(signals.row_by_row(lambda part: pad(part[Embedding()], (0, 1), value=1.0)))
        a = signals.row_by_row(self._residuals)
        return Dense(a) if self.part == "bias" else Outer(a, signals[Embedding()], bias=self.part == "all")

    def _residuals(self, signals: Signals) -> Tensor:
        outputs = signals[Probs()] if self.loss is None else signals[Logits()]
        y = signals[Labels()] if self.labels == "true" else outputs.argmax(-1)
        return cross_entropy_residual(outputs, y) if self.loss is None else residual(outputs, y, self.loss)


@dataclass(frozen=True)
class TokenUncertainties(OfTokens):
    """The uncertainties of each example's tokens, reduced to one number: (N,); see ``functional.reductions``.

    Attributes:
        measure: The uncertainty of a token: ``"entropy"``, ``"margin"``, ``"least_confidence"`` or ``"log_confidence"``.
        reduction: ``"mean"``, ``"sum"``, ``"max"`` or ``"top_mean"``.
        top: Number of the largest uncertainties of ``"top_mean"``.
    """

    noun: ClassVar[str] = "probabilities of tokens"
    measure: str = "entropy"
    reduction: str = "mean"
    top: int = 10

    def reduce(self, probs: Tensor, offsets: Tensor) -> Tensor:
        """One number for each example, (B,)."""
        return reduced_uncertainty(probs, offsets, self.measure, self.reduction, self.top)


@dataclass(frozen=True)
class TokenEntropies(OfTokens):
    """Means over each example's tokens of p_c H for each class c, then of the entropy H of a token: (N, C + 1)."""

    noun: ClassVar[str] = "probabilities of tokens"

    def reduce(self, probs: Tensor, offsets: Tensor) -> Tensor:
        """A row for each example, (B, C + 1)."""
        return entropies_by_class(probs, offsets)


@dataclass(frozen=True)
class Rewards(Given):
    """Mean rewards of each prompt's responses under a reward model: (N, R)."""

    noun: ClassVar[str] = "rewards"
    argument: ClassVar[str] = "rewards"
    axes: ClassVar[str] = "BR"


@dataclass(frozen=True)
class Deviations(Given):
    """Standard deviations of these rewards: (N, R), at least 0."""

    noun: ClassVar[str] = "standard deviations of rewards"
    argument: ClassVar[str] = "deviations"
    axes: ClassVar[str] = "BR"


@dataclass(frozen=True)
class ResponsePairs(Derived[Tensor]):
    """The pair of each prompt's responses whose rewards may differ most, and by how much: (N, 3); see ``delta_ucb``.

    Attributes:
        beta: Width of the bounds in standard deviations.
    """

    beta: float = 1.0

    @property
    def needs(self) -> tuple[Signal[Any], ...]:
        """The rewards and their deviations."""
        return (Rewards(), Deviations())

    def derive(self, signals: Signals) -> Tensor:
        """Two columns of the rewards and their possible difference, (N, 3)."""
        found = delta_ucb(signals[Rewards()], signals[Deviations()], self.beta)
        return torch.cat([found.pairs.type(found.gaps.dtype), found.gaps[:, None]], 1)


@dataclass(frozen=True, eq=False)
class Signals:
    """A table: ids, and a column of values for each stored signal.

    Attributes:
        ids: Positions in the data set, (N,) int64. ``ids[rows]`` is the only way from rows to ids.
        values: Signal -> its stored column, with N rows. Do not write to columns: they may be the caller's arrays, or mapped
            from a read-only file.
        space: Storage for derived columns of many rows; None: memory.
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
        measured = ", ".join(map(repr, self.values)) or "nothing"
        raise MissingSignal(
            f"{signal!r} was not measured for these examples; measured: {measured}; add it to the strategy's needs"
        )

    def rows(self, rows: Tensor | slice) -> Signals:
        """The table of some rows in the order of ``rows``; a copy, except for a slice."""
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

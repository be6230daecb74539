"""Signals that are computed from stored ones when a strategy reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from distil.functional.adversarial import Attacker
from distil.functional.features import Dense, Features, Outer
from distil.functional.gradients import cross_entropy_residual, residual, sigmoid_residual
from distil.functional.preferences import delta_ucb
from distil.signals.base import Derived, Signal, Signals
from distil.signals.given import Deviations, Rewards
from distil.signals.measured import (
    Attacked,
    Embedding,
    LabelProbs,
    Labels,
    Logits,
    MCProbs,
)
from distil.tasks import Task


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

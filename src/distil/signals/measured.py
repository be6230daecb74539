"""Signals that are measured on a forward pass, or read from arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from distil.functional.adversarial import Attacker
from distil.signals.base import Forward, Measured


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

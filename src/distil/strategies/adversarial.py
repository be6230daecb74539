"""Query the examples nearest to the decision boundary: those whose prediction the smallest perturbation changes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from distil.functional.adversarial import BIM, Attacker, DeepFool, closeness
from distil.signals import AdversarialDistance, AdversarialGap, Signal, Signals
from distil.strategies.base import Needs, ScoreStrategy, Sets
from distil.strategies.parameters import at_least, count, positive
from distil.strategies.registry import register


@dataclass(frozen=True)
class _SmallestDistance(ScoreStrategy):
    """Base of the strategies that score the distance to the decision boundary, as an attack measures it."""

    quantity: ClassVar[str] = "closeness to the decision boundary"

    @property
    @abstractmethod
    def attack(self) -> Attacker:
        """The attack that looks for the boundary."""

    @property
    def needs(self) -> Needs:
        """The distance and the remaining logit gap of one attack on the pool."""
        return Needs(pool=self.evidence)

    @property
    def evidence(self) -> tuple[Signal[Any], ...]:
        """The distance and the remaining logit gap of the same attack."""
        return (AdversarialDistance(self.attack), AdversarialGap(self.attack))

    def reasons(self, chosen: Signals, scores: Tensor) -> tuple[str, ...]:  # noqa: ARG002 - distances are clearer
        """The distance to the boundary, or the remaining logit gap where the attack did not reach it."""
        return tuple(
            f"the attack did not change the prediction: a logit gap of {gap:.3g} remains"
            if gap > 0
            else f"distance {distance:.3g} to the decision boundary"
            for distance, gap in zip(*(chosen[signal].tolist() for signal in self.evidence), strict=True)
        )

    def score(self, sets: Sets) -> Tensor:
        """1 / distance where the prediction changed, minus the remaining logit gap (below 0) where it did not, (N,)."""
        return closeness(sets.pool[AdversarialDistance(self.attack)], sets.pool[AdversarialGap(self.attack)])


@register("adversarial_bim")
@dataclass(frozen=True)
class AdversarialBIM(_SmallestDistance):
    """Query the examples whose prediction changes after the fewest small steps of the basic iterative method.

    The attack of Kurakin, Goodfellow and Bengio 2017, section 2.2, without clipping (``functional.adversarial.bim`` says why); the
    distance is the L2 norm of the sum of all steps. Every feature moves by ``eps`` in a step, so distances are multiples of
    about eps sqrt(D) and many are equal; among equal ones, the example that ended further beyond the boundary comes first.
    Steps along the sign of the gradient move all features alike. DeepFool takes the shortest way, needs no step size, and is
    usually better. Examples whose prediction never changes come last, those of smallest remaining logit gap first; on them the
    published code did not terminate.

    Attributes:
        eps: Change of each input feature in one step, in the units of the network's inputs.
        max_steps: Most steps for one example.

    Cost: one forward and one backward pass per step. Inputs must be floating-point. ``Perturbation(strategy.attack)`` measures
    the perturbations, as the docstring of ``AdversarialDeepFool`` shows.
    """

    paper: ClassVar[str] = "Kurakin, Goodfellow and Bengio 2017, Adversarial examples in the physical world"
    eps: float = positive(0.05)
    max_steps: int = count(1000)

    @property
    def attack(self) -> BIM:
        """BIM with the settings of this strategy."""
        return BIM(self.eps, self.max_steps)


@register("adversarial_deepfool")
@dataclass(frozen=True)
class AdversarialDeepFool(_SmallestDistance):
    """Query the examples nearest to the decision boundary, by the length of the perturbation that DeepFool finds.

    Ducoffe and Precioso 2018, section 3, with the attack of Moosavi-Dezfooli et al. 2016, algorithm 2: a margin in input space,
    exact for linear classifiers, where margin sampling measures a margin in output space. Worth its cost where distances between
    inputs are meaningful (images, standardized tables); like every margin it may select near duplicates. The published strategy
    stepped to the last boundary examined instead of the nearest one. Examples that do not cross a boundary in ``max_iter`` steps
    come last, those of smallest remaining logit gap first.

    The paper also labels the perturbed twin of each queried example like the example, and trains on both. To get the twins::

        strategy = AdversarialDeepFool()
        ids = select(strategy, model, data, n).ids
        signal = Perturbation(strategy.attack)
        source = NetworkSource(wrap(model), data, ids)
        perturbation = gather(source, (signal,), Runtime(), Rng(0))[signal]  # (n, ...)
        twins = data[ids] + (1 + strategy.overshoot) * perturbation

    Attributes:
        max_iter: Most steps for one example.
        overshoot: Relative length added to a perturbation when it is tried, at least 0; not part of the distance.

    Cost: two forward passes and C backward passes, vectorized, per step; 1 to 4 steps are usual. Inputs must be floating-point.
    """

    paper: ClassVar[str] = (
        "Ducoffe and Precioso 2018, Adversarial active learning for deep networks: a margin based approach"
    )
    max_iter: int = count(50)
    overshoot: float = at_least(0.02, 0)

    @property
    def attack(self) -> DeepFool:
        """DeepFool with the settings of this strategy."""
        return DeepFool(self.max_iter, self.overshoot)

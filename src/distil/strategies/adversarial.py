"""Query what is nearest to the decision boundary, as measured by how little must change for the prediction to change."""

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
    """Scores the closeness of the boundary that an attack finds."""

    quantity: ClassVar[str] = "closeness to the decision boundary"

    @property
    @abstractmethod
    def attack(self) -> Attacker:
        """How the boundary is looked for."""

    @property
    def needs(self) -> Needs:
        """Distance and remaining gap of one attack."""
        return Needs(pool=self.evidence)

    @property
    def evidence(self) -> tuple[Signal[Any], ...]:
        """The same."""
        return (AdversarialDistance(self.attack), AdversarialGap(self.attack))

    def reasons(self, chosen: Signals, scores: Tensor) -> tuple[str, ...]:  # noqa: ARG002 - distances say it plainer
        """The distance to the boundary, or the gap that is left where the attack did not reach it."""
        return tuple(
            f"the prediction held, a logit gap of {gap:.3g} is left"
            if gap > 0
            else f"distance {distance:.3g} to the decision boundary"
            for distance, gap in zip(*(chosen[signal].tolist() for signal in self.evidence), strict=True)
        )

    def score(self, sets: Sets) -> Tensor:
        """(N,): 1 / distance where the prediction changed; below 0, minus the logit gap that is left, where it did not."""
        return closeness(sets.pool[AdversarialDistance(self.attack)], sets.pool[AdversarialGap(self.attack)])


@register("adversarial_bim")
@dataclass(frozen=True)
class AdversarialBIM(_SmallestDistance):
    """Query the examples whose prediction the fewest small steps of the basic iterative method change.

    The attack of Kurakin, Goodfellow and Bengio 2017, section 2.2, without clipping (``functional.adversarial.bim`` says why); the
    distance is the L2 norm of all its steps together. As every feature moves by ``eps`` a step, distances are multiples of
    about eps sqrt(D) and many are equal: among those, the example that ended further beyond the boundary comes first.
    Steps along the sign of the gradient measure a margin of all features together; DeepFool measures the shortest way,
    without a step size to choose, and is usually the better of the two. Examples whose prediction never changes come last, those
    of smallest remaining logit gap first; the published code searched them for ever.

    Attributes:
        eps: Change of each input feature in one step, in the units of the inputs as the network sees them.
        max_steps: Most steps for one example.

    Cost: a forward and a backward pass a step. Inputs must be floating-point. ``Perturbation(strategy.attack)`` measures
    the perturbations themselves, as shown at ``AdversarialDeepFool``.
    """

    paper: ClassVar[str] = "Kurakin, Goodfellow and Bengio 2017, Adversarial examples in the physical world"
    eps: float = positive(0.05)
    max_steps: int = count(1000)

    @property
    def attack(self) -> BIM:
        """BIM with these settings."""
        return BIM(self.eps, self.max_steps)


@register("adversarial_deepfool")
@dataclass(frozen=True)
class AdversarialDeepFool(_SmallestDistance):
    """Query the examples nearest to the decision boundary, by the length of the perturbation that DeepFool finds.

    Ducoffe and Precioso 2018, section 3, with the attack of Moosavi-Dezfooli et al. 2016, algorithm 2: a margin in input space,
    exact for linear classifiers, where margin sampling measures one in output space. Worth its cost where differences between
    inputs mean something (images, standardized tables); like every margin it is drawn to near duplicates. The published
    strategy stepped to the last boundary looked at instead of the nearest one. Examples that ``max_iter`` steps do not
    bring across come last, those of smallest remaining logit gap first.

    The paper also gives each queried example's perturbed twin the same label and trains on both; perturbations are a signal::

        strategy = AdversarialDeepFool()
        ids = select(strategy, model, data, n).ids
        signal = Perturbation(strategy.attack)
        source = NetworkSource(wrap(model), data, ids)
        perturbation = gather(source, (signal,), Runtime(), Rng(0))[signal]  # (n, ...)
        twins = data[ids] + (1 + strategy.overshoot) * perturbation

    Attributes:
        max_iter: Most steps for one example.
        overshoot: Relative length added to a perturbation when it is tried; not part of the distance.

    Cost: per step two forward passes and C backward passes, vectorized; 1 to 4 steps are usual. Inputs must be floating-point.
    """

    paper: ClassVar[str] = (
        "Ducoffe and Precioso 2018, Adversarial active learning for deep networks: a margin based approach"
    )
    max_iter: int = count(50)
    overshoot: float = at_least(0.02, 0)

    @property
    def attack(self) -> DeepFool:
        """DeepFool with these settings."""
        return DeepFool(self.max_iter, self.overshoot)

"""Uncertainty sampling, and random sampling as the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from distil.functional.uncertainty import confidence, entropy, margin, ratio_of_confidence
from distil.rng import Rng
from distil.signals import Probs, Signals, TopClasses
from distil.strategies.base import Needs, ScoreStrategy, Selection, Sets, Strategy, picked
from distil.strategies.reasons import sentences
from distil.strategies.registry import register


@register("random_sampling")
@dataclass(frozen=True)
class RandomSampling(Strategy):
    """Query a uniform random subset, without replacement.

    The baseline of every comparison: a strategy that does not beat it is not worth its cost. It reads no data.
    """

    paper: ClassVar[str] = "the baseline"

    @property
    def needs(self) -> Needs:
        """No signals."""
        return Needs()

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The first ``n`` rows of a random permutation."""
        rows = torch.randperm(len(sets.pool), generator=rng.child("permutation").torch())[:n]
        return picked(sets.pool, rows, ("drawn at random",) * n)


@register("least_confidence")
@dataclass(frozen=True)
class LeastConfidence(ScoreStrategy):
    """Query the examples whose most probable class is least probable; the score is 1 - max_c p_c.

    Lewis and Gale 1994. Cheap and strong once the model is decent. At very low budgets and in pools with many near duplicates, a
    strategy that also spreads its picks does better.
    """

    paper: ClassVar[str] = "Lewis and Gale 1994, A sequential algorithm for training text classifiers"
    quantity: ClassVar[str] = "confidence"
    smallest_first: ClassVar[bool] = True

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool."""
        return Needs(pool=(Probs(),))

    @property
    def evidence(self) -> tuple[TopClasses]:
        """The two most probable classes."""
        return (TopClasses(),)

    def reasons(self, chosen: Signals, scores: Tensor) -> tuple[str, ...]:
        """The largest probability of each example, and its class."""
        return sentences("confidence {:.3g} in class {}", 1 - scores, chosen[TopClasses()][:, 0])

    def score(self, sets: Sets) -> Tensor:
        """1 - max_c p_c, (N,), between 0 and 1 - 1/C."""
        return 1 - confidence(sets.pool[Probs()])


@register("margin_sampling")
@dataclass(frozen=True)
class MarginSampling(ScoreStrategy):
    """Query the examples whose two most probable classes are closest; the score is -(p_1 - p_2).

    Scheffer, Decomain and Wrobel 2001. The best default for tables, texts and end-to-end trained networks with enough labels; for
    big selections from redundant pools take ``BADGE``.
    """

    paper: ClassVar[str] = "Scheffer et al. 2001, Active hidden Markov models for information extraction"
    quantity: ClassVar[str] = "margin"
    smallest_first: ClassVar[bool] = True
    least: ClassVar[float] = -1.0

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool."""
        return Needs(pool=(Probs(),))

    @property
    def evidence(self) -> tuple[TopClasses]:
        """The two most probable classes."""
        return (TopClasses(),)

    def reasons(self, chosen: Signals, scores: Tensor) -> tuple[str, ...]:
        """The margin of each example, and the two classes."""
        return sentences("margin {:.3g} between class {} and class {}", -scores, *chosen[TopClasses()].T)

    def score(self, sets: Sets) -> Tensor:
        """-(p_1 - p_2), (N,), between -1 and 0."""
        return -margin(sets.pool[Probs()])


@register("ratio_of_confidence")
@dataclass(frozen=True)
class RatioOfConfidence(ScoreStrategy):
    """Query the examples whose second most probable class comes closest to the most probable one; the score is p_2 / p_1.

    Monarch 2021, section 3.2.3. With two classes its order is that of ``MarginSampling`` and ``LeastConfidence``. With more, it
    asks only for the odds between the two classes: of two examples with equal margins, the one whose classes are less probable
    comes later. It equals exp(-gap) of the two largest logits, so no temperature changes its order. Weaknesses are those of margin
    sampling.
    """

    paper: ClassVar[str] = "Monarch 2021, Human-in-the-loop machine learning, section 3.2.3"
    quantity: ClassVar[str] = "ratio of confidence"

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool."""
        return Needs(pool=(Probs(),))

    @property
    def evidence(self) -> tuple[TopClasses]:
        """The two most probable classes."""
        return (TopClasses(),)

    def reasons(self, chosen: Signals, scores: Tensor) -> tuple[str, ...]:
        """The ratio of each example, and the two classes."""
        return sentences("ratio {:.3g} of confidence, class {} to class {}", scores, *chosen[TopClasses()].flip(1).T)

    def score(self, sets: Sets) -> Tensor:
        """p_2 / p_1, (N,), between 0 and 1."""
        return ratio_of_confidence(sets.pool[Probs()])


@register("entropy_sampling")
@dataclass(frozen=True)
class EntropySampling(ScoreStrategy):
    """Query the examples whose predicted distribution has the largest entropy, in nats.

    Settles 2009, section 3.1. With many classes it favors examples whose uncertainty is about unlikely classes; margin sampling is
    usually better. 0 ln 0 counts as 0 (in the published code it was NaN, so that saturated examples came last).
    """

    paper: ClassVar[str] = "Settles 2009, Active learning literature survey"
    quantity: ClassVar[str] = "entropy"
    unit: ClassVar[str] = "nats"

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool."""
        return Needs(pool=(Probs(),))

    def score(self, sets: Sets) -> Tensor:
        """The entropy in nats, (N,), between 0 and ln C."""
        return entropy(sets.pool[Probs()])

"""Query by what samples of the network (dropout masks) think together."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from distil.functional.batchbald import batchbald
from distil.functional.uncertainty import bald, confidence, entropy, margin
from distil.rng import Rng
from distil.signals import MCMean, MCProbs
from distil.strategies.base import Needs, ScoreStrategy, Selection, Sets, Strategy
from distil.strategies.parameters import count
from distil.strategies.reasons import sentences
from distil.strategies.registry import register

_GAL = "Gal, Islam and Ghahramani 2017, Deep Bayesian active learning with image data"


@dataclass(frozen=True)
class _OfSampledMean(ScoreStrategy):
    """Scores the probabilities averaged over samples of the network."""

    n_samples: int = count(10)

    @property
    def needs(self) -> Needs:
        """Averaged probabilities."""
        return Needs(pool=(MCMean(self.n_samples),))

    def score(self, sets: Sets) -> Tensor:
        """(N,), from the averaged probabilities."""
        return self.certainty(sets.pool[MCMean(self.n_samples)]).neg_()

    @abstractmethod
    def certainty(self, probs: Tensor) -> Tensor:
        """(N, C) -> a new (N,); smaller is queried first."""


@register("least_confidence_dropout")
@dataclass(frozen=True)
class LeastConfidenceDropout(_OfSampledMean):
    """Least confidence of the probabilities averaged over dropout masks; the score is -max_c mean_k p_kc.

    Attributes:
        n_samples: Dropout masks per example; the cost is as many forward passes.
    """

    paper: ClassVar[str] = _GAL
    quantity: ClassVar[str] = "confidence of the mean prediction"
    smallest_first: ClassVar[bool] = True

    def certainty(self, probs: Tensor) -> Tensor:
        """The largest probability."""
        return confidence(probs)


@register("margin_sampling_dropout")
@dataclass(frozen=True)
class MarginSamplingDropout(_OfSampledMean):
    """Smallest margin of the probabilities averaged over dropout masks.

    Attributes:
        n_samples: Dropout masks per example; the cost is as many forward passes.
    """

    paper: ClassVar[str] = _GAL
    quantity: ClassVar[str] = "margin of the mean prediction"
    smallest_first: ClassVar[bool] = True

    def certainty(self, probs: Tensor) -> Tensor:
        """The margin."""
        return margin(probs)


@register("entropy_sampling_dropout")
@dataclass(frozen=True)
class EntropySamplingDropout(_OfSampledMean):
    """Largest entropy of the probabilities averaged over dropout masks (Gal et al. 2017, eq. 4), in nats.

    Attributes:
        n_samples: Dropout masks per example; the cost is as many forward passes.
    """

    paper: ClassVar[str] = _GAL
    quantity: ClassVar[str] = "entropy of the mean prediction"
    unit: ClassVar[str] = "nats"

    def certainty(self, probs: Tensor) -> Tensor:
        """The negative entropy."""
        return -entropy(probs)


@register("bald_dropout")
@dataclass(frozen=True)
class BALD(ScoreStrategy):
    """Query what the samples of the network disagree on: the mutual information between label and weights, in nats.

    Houlsby et al. 2011, eq. 2; Gal et al. 2017, eq. 5, for dropout. Unlike entropy it ignores examples that every sample finds
    vague. Scores are per example: a big selection may ask the same question many times.

    Attributes:
        n_samples: Dropout masks per example; the cost is as many forward passes.
    """

    paper: ClassVar[str] = "Houlsby et al. 2011; Gal et al. 2017, Deep Bayesian active learning with image data"
    quantity: ClassVar[str] = "mutual information"
    unit: ClassVar[str] = "nats"
    n_samples: int = count(10)

    @property
    def needs(self) -> Needs:
        """Probabilities of every sample."""
        return Needs(pool=(MCProbs(self.n_samples),))

    def score(self, sets: Sets) -> Tensor:
        """(N,), between 0 and ln C."""
        return bald(sets.pool[MCProbs(self.n_samples)])


@register("batchbald")
@dataclass(frozen=True)
class BatchBALD(Strategy):
    """Query examples whose labels, taken together, say most about the model: BALD that does not ask the same question twice.

    Kirsch et al. 2019, algorithm 1: greedy for the mutual information between all labels asked for and the weights. Joint
    entropies need the same dropout masks for all examples. Exact while the labels of the examples picked have at most
    ``n_configurations`` configurations (with 10 classes the first five picks); what comes after is picked by estimates from as
    many sampled configurations, and beyond a few dozen picks K samples have little left to say: for small selections. Scores
    are what each pick adds, in nats. Cost: N K C once, then up to N K C ``n_configurations`` a pick.

    Attributes:
        n_samples: Dropout masks; the cost is as many forward passes.
        n_configurations: How many configurations of labels are gone through, or sampled.
    """

    paper: ClassVar[str] = "Kirsch et al. 2019, BatchBALD: efficient and diverse batch acquisition"
    n_samples: int = count(10)
    n_configurations: int = count(10_000)

    @property
    def needs(self) -> Needs:
        """Probabilities of every sample, the same ones for all examples."""
        return Needs(pool=(self._samples,))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """Greedy picks and the information each adds."""
        probs = sets.pool[self._samples]
        found = batchbald(probs, n, rng.child("configurations").torch(), max_configurations=self.n_configurations)
        reasons = sentences("joint information +{:.3g} nats", found.gains)
        return Selection(sets.pool.ids[found.rows], found.gains, reasons=reasons)

    @property
    def _samples(self) -> MCProbs:
        return MCProbs(self.n_samples, shared=True)

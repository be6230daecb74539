"""Query by the predictions of several samples of the network, such as dropout masks."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from distil.functional.batchbald import batchbald
from distil.functional.uncertainty import bald, confidence, entropy, margin, mean_std, variation_ratio
from distil.rng import Rng
from distil.signals import MCMean, MCProbs
from distil.strategies.base import RANDOM_SAMPLE, Needs, ScoreStrategy, Selection, Sets, Strategy, best_rows
from distil.strategies.parameters import count
from distil.strategies.reasons import sentences
from distil.strategies.registry import register

_ROUNDING = 1e-12  # nats: gains of equal samples are not larger

# What all picks may cost: their number, times that of candidates, of configurations, of classes and of samples, where 20 more stand
# for the logarithms. This is about 50 s on two cores.
_WORK = 1_500_000_000_000
_GAL = "Gal, Islam and Ghahramani 2017, Deep Bayesian active learning with image data"


@dataclass(frozen=True)
class _MeanPrediction(ScoreStrategy):
    """Base of the strategies that score the probabilities averaged over samples of the network."""

    n_samples: int = count(10)

    @property
    def needs(self) -> Needs:
        """Averaged class probabilities of the pool."""
        return Needs(pool=(MCMean(self.n_samples),))

    def score(self, sets: Sets) -> Tensor:
        """Minus the certainty of the averaged probabilities, (N,)."""
        return self.certainty(sets.pool[MCMean(self.n_samples)]).neg_()

    @abstractmethod
    def certainty(self, probs: Tensor) -> Tensor:
        """(N, C) probabilities to a new tensor (N,); the smallest is queried first."""


@register("least_confidence_dropout")
@dataclass(frozen=True)
class LeastConfidenceDropout(_MeanPrediction):
    """Query by least confidence of the probabilities averaged over dropout masks; the score is -max_c mean_k p_kc.

    Attributes:
        n_samples: Number K of dropout masks per example; the cost is K forward passes.
    """

    paper: ClassVar[str] = _GAL
    quantity: ClassVar[str] = "confidence of the mean prediction"
    smallest_first: ClassVar[bool] = True
    least: ClassVar[float] = -1.0

    def certainty(self, probs: Tensor) -> Tensor:
        """The largest probability, (N,)."""
        return confidence(probs)


@register("margin_sampling_dropout")
@dataclass(frozen=True)
class MarginSamplingDropout(_MeanPrediction):
    """Query by smallest margin of the probabilities averaged over dropout masks.

    Attributes:
        n_samples: Number K of dropout masks per example; the cost is K forward passes.
    """

    paper: ClassVar[str] = _GAL
    quantity: ClassVar[str] = "margin of the mean prediction"
    smallest_first: ClassVar[bool] = True
    least: ClassVar[float] = -1.0

    def certainty(self, probs: Tensor) -> Tensor:
        """The difference of the two largest probabilities, (N,)."""
        return margin(probs)


@register("entropy_sampling_dropout")
@dataclass(frozen=True)
class EntropySamplingDropout(_MeanPrediction):
    """Query by largest entropy of the probabilities averaged over dropout masks (Gal et al. 2017), in nats.

    Attributes:
        n_samples: Number K of dropout masks per example; the cost is K forward passes.
    """

    paper: ClassVar[str] = _GAL
    quantity: ClassVar[str] = "entropy of the mean prediction"
    unit: ClassVar[str] = "nats"

    def certainty(self, probs: Tensor) -> Tensor:
        """Minus the entropy, (N,), in nats."""
        return -entropy(probs)


@dataclass(frozen=True)
class _Disagreement(ScoreStrategy):
    """Base of the strategies that score how much samples of the network disagree about an example."""

    when_tied: ClassVar[str] = "the samples of the network agree on every example, as they do without dropout"
    n_samples: int = count(10)

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool under every sample."""
        return Needs(pool=(MCProbs(self.n_samples),))


@register("bald_dropout")
@dataclass(frozen=True)
class BALD(_Disagreement):
    """Query the examples on which samples of the network disagree: the mutual information between label and weights, in nats.

    Houlsby et al. 2011, eq. 2; Gal et al. 2017 for dropout. Unlike entropy it ignores examples about which every sample is
    equally uncertain. Each example is scored by itself, so a big selection may hold many near duplicates; see ``BatchBALD``.

    Attributes:
        n_samples: Number K of dropout masks per example; the cost is K forward passes.
    """

    paper: ClassVar[str] = "Houlsby et al. 2011; Gal et al. 2017, Deep Bayesian active learning with image data"
    quantity: ClassVar[str] = "mutual information"
    unit: ClassVar[str] = "nats"

    def score(self, sets: Sets) -> Tensor:
        """The mutual information, (N,), between 0 and ln C."""
        return bald(sets.pool[MCProbs(self.n_samples)])


@register("variation_ratio")
@dataclass(frozen=True)
class VariationRatio(_Disagreement):
    """Query the examples for which the largest share of samples does not predict the most frequent class; 1 - f_mode / K.

    Freeman 1965; Gal 2016; used by Gal et al. 2017 and Beluch et al. 2018. Use it with an ensemble or with
    dropout where only the predicted class counts. It takes at most K values, so many examples tie with few samples; these are
    ordered at random. ``BALD`` reads the probabilities too.

    Attributes:
        n_samples: Number K of samples of the network, such as dropout masks; the cost is K forward passes.
    """

    paper: ClassVar[str] = "Freeman 1965, Elementary applied statistics; Gal 2016, Uncertainty in deep learning"
    quantity: ClassVar[str] = "variation ratio"

    def score(self, sets: Sets) -> Tensor:
        """The share of samples outside the most frequent class, (N,), between 0 and 1 - 1/min(K, C)."""
        return variation_ratio(sets.pool[MCProbs(self.n_samples)])


@register("mean_std")
@dataclass(frozen=True)
class MeanStd(_Disagreement):
    """Query the examples whose probabilities vary most over the samples: by their standard deviation, averaged over the classes.

    Kampffmeyer et al. 2016; Gal et al. 2017. Much as ``BALD``, on the scale of probabilities instead of nats: changes
    of small probabilities count less. In the experiments of Gal et al. it did worse than ``BALD`` and ``VariationRatio``; it is
    here for comparison.

    Attributes:
        n_samples: Number K of samples of the network, such as dropout masks; the cost is K forward passes.
    """

    paper: ClassVar[str] = "Kampffmeyer et al. 2016; Gal et al. 2017, Deep Bayesian active learning with image data"
    quantity: ClassVar[str] = "mean standard deviation"

    def score(self, sets: Sets) -> Tensor:
        """The mean standard deviation, (N,), between 0 and 1/2."""
        return mean_std(sets.pool[MCProbs(self.n_samples)])


@register("batchbald")
@dataclass(frozen=True)
class BatchBALD(Strategy):
    """Query examples whose labels are most informative together: BALD for selections without redundancy.

    Kirsch et al. 2019, algorithm 1: greedy maximization of the mutual information between the labels of the selection and the
    weights. Joint entropies need the same dropout masks for all examples. Gains are exact while the labels of the picks so far
    have at most ``n_configurations`` configurations (the first five picks with 10 classes); later gains are estimated from as
    many sampled configurations. Use it for small selections: K samples hardly distinguish examples beyond a few dozen picks.
    The score of a pick is its gain in nats. Cost: O(N K C) once, then up to O(R K C ``n_configurations``) per pick, for R
    candidates.

    Every example of the pool is a candidate up to a fixed amount of work, about a minute on two cores: with 10 classes and samples,
    50 picks from 10,000 examples. Beyond it, the candidates are the examples whose own labels are most informative (BALD), at least
    two for each pick, and a note says so. That score is an upper bound of what an example adds, so little is lost: two candidates
    for each of 10 and 30 picks gained 99 to 100 % of what all of 2,000 examples did, also where 200 of them occurred five times.

    Attributes:
        n_samples: Number K of dropout masks; the cost is K forward passes.
        n_configurations: Most configurations of labels that are enumerated; also the number that is sampled beyond.
        candidates: Number of examples that may be picked; default: see above.
    """

    paper: ClassVar[str] = "Kirsch et al. 2019, BatchBALD: efficient and diverse batch acquisition"
    n_samples: int = count(10)
    n_configurations: int = count(10_000)
    candidates: int | None = count(None)

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool under every sample, with the same samples for all examples."""
        return Needs(pool=(self._samples,))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """Greedy picks, scored by the information that each adds."""
        probs = sets.pool[self._samples]
        most, notes = self._most(n, *probs.shape[1:]), []
        rows = torch.arange(len(probs), device=probs.device)
        if most < len(probs):
            rows = best_rows(rows, bald(probs), most).sort().values
            notes.append(f"picked among the {most:,} of {len(probs):,} examples whose own labels are most informative")
        found = batchbald(probs[rows], n, rng.child("configurations").torch(), max_configurations=self.n_configurations)
        if found.gains.max() <= _ROUNDING:
            notes.append(f"no example of {len(probs):,} adds information: {RANDOM_SAMPLE} ({BALD.when_tied})")
        reasons = sentences("joint information +{:.3g} nats", found.gains)
        return Selection(sets.pool.ids[rows[found.rows]], found.gains, reasons=reasons, notes=tuple(notes))

    def _most(self, n: int, n_samples: int, n_classes: int) -> int:
        """The largest number of candidates for ``n`` picks."""
        if self.candidates is not None:
            return max(n, self.candidates)
        return max(2 * n, _WORK // (n * self.n_configurations * n_classes * (n_samples + 20)))

    @property
    def _samples(self) -> MCProbs:
        return MCProbs(self.n_samples, shared=True)

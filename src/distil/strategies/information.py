"""Query by what a label is expected to tell: about other labels, about a committee's quarrel, or about the last layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from distil.functional.epig import epig
from distil.functional.gradients import expected_gradient_length
from distil.functional.uncertainty import bald, vote_entropy
from distil.rng import Rng
from distil.signals import Embedding, MCProbs, Probs
from distil.strategies.base import (
    RANDOM_SAMPLE,
    Needs,
    ScoreStrategy,
    Selection,
    Sets,
    Strategy,
    best_rows,
    tie_keys,
)
from distil.strategies.bayesian import BALD
from distil.strategies.parameters import choice, count
from distil.strategies.reasons import sentences
from distil.strategies.registry import register


@register("epig")
@dataclass(frozen=True)
class EPIG(Strategy):
    """Query the examples whose labels tell most about the labels of the examples that matter, in nats.

    Expected predictive information gain (Bickford Smith et al. 2023, eq. 8). ``BALD`` values what a label tells about the weights
    of the network, also where no prediction depends on them, so it likes odd examples. EPIG values what a label tells about
    predictions at the targets: the set ``query`` if there is one, such as examples of the field of use, else a random sample of the
    pool. Use it where the pool holds more than what matters. It needs samples of the network, like ``BALD``, and each example is
    scored by itself, so a big selection may hold near duplicates.

    Cost: K forward passes and O(N M C^2 K) for M targets; take fewer targets for many classes.

    Attributes:
        n_samples: Number K of samples of the network, such as dropout masks, the same for all examples.
        n_targets: Number of targets, drawn at random where the set ``query``, or else the pool, holds more.
    """

    paper: ClassVar[str] = "Bickford Smith et al. 2023, Prediction-oriented Bayesian active learning"
    n_samples: int = count(10)
    n_targets: int = count(100)

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool and of the query set under every sample, the same samples for all examples."""
        return Needs(pool=(self._samples,), query=(self._samples,))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The examples of largest expected gain."""
        probs = sets.pool[self._samples]
        among = sets.query[self._samples] if len(sets.query) else probs
        drawn = torch.randperm(len(among), generator=rng.child("targets").torch())[: self.n_targets]
        gains = epig(probs, among[drawn])
        rows = best_rows(tie_keys(sets.pool.ids, rng), gains, n)
        note = (
            f"no label of {len(probs):,} examples tells anything about the targets: {RANDOM_SAMPLE} ({BALD.when_tied})"
        )
        return Selection(
            sets.pool.ids[rows],
            gains[rows],
            reasons=sentences("tells {:.3g} nats about the label of a target", gains[rows]),
            notes=() if bool(gains.any()) else (note,),
        )

    @property
    def _samples(self) -> MCProbs:
        return MCProbs(self.n_samples, shared=True)


@register("query_by_committee")
@dataclass(frozen=True)
class QueryByCommittee(ScoreStrategy):
    """Query the examples about which a committee disagrees; its members are samples of the network, or an ensemble.

    Seung, Opper and Sompolinsky 1992. ``"vote_entropy"`` is the entropy of the members' votes (Dagan and Engelson 1995): cheap,
    and the classic choice for members that give no probabilities. ``"kl"`` is the mean Kullback-Leibler divergence of the members
    from their mean (McCallum and Nigam 1998), which equals the mutual information of ``BALD``. Votes take few values, so many
    examples tie with a small committee; these are ordered at random.

    Attributes:
        n_samples: Number K of members; the cost is K forward passes.
        disagreement: ``"vote_entropy"`` or ``"kl"``.
    """

    paper: ClassVar[str] = "Seung et al. 1992; Dagan and Engelson 1995; McCallum and Nigam 1998"
    quantity: ClassVar[str] = "disagreement of the committee"
    unit: ClassVar[str] = "nats"
    when_tied: ClassVar[str] = BALD.when_tied
    n_samples: int = count(10)
    disagreement: str = choice("vote_entropy", ["vote_entropy", "kl"])

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool under every member."""
        return Needs(pool=(MCProbs(self.n_samples),))

    def score(self, sets: Sets) -> Tensor:
        """The disagreement, (N,), between 0 and ln min(K, C)."""
        probs = sets.pool[MCProbs(self.n_samples)]
        return vote_entropy(probs) if self.disagreement == "vote_entropy" else bald(probs)


@register("expected_gradient_length")
@dataclass(frozen=True)
class ExpectedGradientLength(ScoreStrategy):
    """Query the examples whose label would change the last layer most: by the expected length of its gradient.

    Settles and Craven 2008, eq. 7, for the weights of the last layer, in closed form: |h| sum_c p_c |p - e_c|, with the embedding
    h. An uncertainty score in which long embeddings count more; use it where the length of an embedding means something. Each
    example is scored by itself; ``BADGE`` also spreads its picks.
    """

    paper: ClassVar[str] = (
        "Settles and Craven 2008, An analysis of active learning strategies for sequence labeling tasks"
    )
    quantity: ClassVar[str] = "expected gradient length"
    when_tied: ClassVar[str] = "the model is certain of every example"

    @property
    def needs(self) -> Needs:
        """Class probabilities and embeddings of the pool."""
        return Needs(pool=(Probs(), Embedding()))

    def score(self, sets: Sets) -> Tensor:
        """The expected length, (N,), at least 0."""
        return expected_gradient_length(sets.pool[Probs()], sets.pool[Embedding()])

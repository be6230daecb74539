"""Query uncertain examples of different clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from distil.functional.cluster_margin import average_linkage, small_clusters_first
from distil.functional.clustering import k_means
from distil.functional.last_layer import class_means, dropout_flips, mixed_candidates, mixing_levels
from distil.functional.scale import unit_rows
from distil.functional.uncertainty import entropy, margin
from distil.rng import Rng
from distil.signals import Embedding, Labels, Logits, Probs
from distil.strategies.base import Needs, Selection, Sets, Shortlist, Strategy, best_rows, picked
from distil.strategies.cold_start import centroid_start
from distil.strategies.diversity import representing
from distil.strategies.parameters import at_least, count, positive
from distil.strategies.reasons import sentences
from distil.strategies.registry import register
from distil.strategies.uncertainty import MarginSampling


def _one_a_cluster(sets: Sets, x: Tensor, rows: Tensor, n: int, rng: Rng, notes: tuple[str, ...]) -> Selection:
    """The row nearest to each of n centers, among some rows of the pool, whose embeddings ``x`` have unit length."""
    candidates = x[rows]
    clustering = k_means(candidates, n, rng.child("k_means").torch())
    return representing(sets.pool.excerpt(rows, ()), candidates, clustering, n, "center").with_notes(notes)


@register("dropquery")
@dataclass(frozen=True)
class DropQuery(Strategy):
    """Query, from different clusters, examples whose predicted class changes when most of the embedding is dropped.

    Gupte et al. 2024, algorithm 1. Candidates are the examples whose prediction differs under most of ``n_masks`` dropout masks on
    the inputs of the last layer; k-means on unit-length embeddings divides them into n clusters, and the candidate nearest to each
    center is queried. Without labels, the whole pool is divided (``CentroidStart``). Use it on frozen embeddings of a foundation
    model with a linear head, from the first label on. Elsewhere ``BADGE`` needs no such assumption.

    The last layer is computed from the network's outputs, exactly where it is linear in the embeddings; so arrays are enough.
    Where fewer than n examples change under most masks, one change is enough, then none. The published code lowers the threshold
    until there are 25 n candidates, which with three masks is one change; it fills up with random examples.

    Cost: O(N C D) a mask, and O(N n D) per iteration of k-means at most.

    Attributes:
        n_masks: Number of masks for each example.
        rate: Share of each embedding that a mask drops, above 0 and at most 0.99.
    """

    paper: ClassVar[str] = "Gupte et al. 2024, Revisiting active learning in the era of vision foundation models"
    n_masks: int = count(3)
    rate: float = positive(0.75, most=0.99)

    @property
    def needs(self) -> Needs:
        """Logits and embeddings of the pool, embeddings of the labeled set."""
        return Needs(pool=(Logits(), Embedding()), labeled=(Embedding(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """One candidate for each cluster, larger clusters first."""
        x, logits = sets.pool[Embedding()], sets.pool[Logits()]
        if not len(sets.labeled[Embedding()]):
            return centroid_start(sets, n, rng)
        flips = dropout_flips(x, logits, self.n_masks, self.rate, rng.child("masks").torch())
        least = next(k for k in (self.n_masks // 2 + 1, 1, 0) if int((flips >= k).sum()) >= n)
        rows = torch.nonzero(flips >= least)[:, 0]
        note = f"{len(rows):,} of {len(x):,} examples change class under at least {least} of {self.n_masks} masks"
        return _one_a_cluster(sets, unit_rows(x), rows, n, rng, (note,))


@register("alfa_mix")
@dataclass(frozen=True)
class ALFAMix(Strategy):
    """Query, from different clusters, examples whose predicted class changes when features of labeled examples are mixed in.

    Parvaneh et al. 2022, in the closed form of equation 5. Each embedding is mixed with the mean embedding of each labeled class,
    as little as is needed to change the prediction; the examples that change first are candidates, k-means on unit-length
    embeddings divides them into n clusters, and the candidate nearest to each center is queried. Use it with few labels, where
    margins are not calibrated yet; without labels it is ``CentroidStart``. It needs the labels of the labeled set.

    Differences: see ``distil.functional.last_layer.mixing_levels`` and ``mixed_candidates``; the last layer is computed from the
    network's outputs, exactly where it is linear in the embeddings.

    Cost: O(N (A + C) D) for A labeled classes, and O(N n D) per iteration of k-means at most.
    """

    paper: ClassVar[str] = "Parvaneh et al. 2022, Active learning by feature mixing"

    @property
    def needs(self) -> Needs:
        """Logits and embeddings of the pool, embeddings and labels of the labeled set."""
        return Needs(pool=(Logits(), Embedding()), labeled=(Embedding(), Labels()))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """One candidate for each cluster, larger clusters first."""
        x, logits = sets.pool[Embedding()], sets.pool[Logits()]
        labeled = sets.labeled[Embedding()]
        if not len(labeled):  # an empty set has no labels either
            return centroid_start(sets, n, rng)
        levels = mixing_levels(x, logits, class_means(labeled, sets.labeled[Labels()]))
        rows = mixed_candidates(levels, n)
        note = f"{len(rows):,} of {len(x):,} examples are candidates, which change class by mixing up to {levels[rows].max():.3g}"
        return _one_a_cluster(sets, unit_rows(x), rows, n, rng, (note,))


@register("cluster_margin")
@dataclass(frozen=True)
class ClusterMargin(Strategy):
    """Query examples of small margin from many clusters, small clusters first.

    Citovsky et al. 2021, algorithm 2: the ``factor`` n examples of smallest margin are clustered by their embeddings, and the
    clusters take turns, from the smallest to the largest, with one random example each. Made for selections of thousands from
    pools of millions: it costs little more than margin sampling. It does not read the labeled set; ``BADGE`` and ``UHerding`` are
    the alternatives where their cost does not matter.

    Differences: the paper clusters the whole pool once, before the first round; this clusters the shortlist in each round, by the
    embeddings of the current model, into as many clusters as average ten examples. See ``average_linkage`` for large shortlists.

    Cost: that of margin sampling, and O(R^2 D) for R = factor n, at most 6,000.

    Attributes:
        factor: Examples of smallest margin for each example to select, at least 1.
    """

    paper: ClassVar[str] = "Citovsky et al. 2021, Batch active learning at scale"
    factor: float = at_least(10, 1)

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool, and embeddings of the shortlist."""
        return Needs(pool=(Probs(), Embedding()), shortlist=self._shortlist)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """One example of each cluster in turn."""
        margins, x = margin(sets.pool[Probs()]), sets.pool[Embedding()]
        near = best_rows(torch.arange(len(x)), -margins, self._shortlist.rows(n, len(x))).sort().values
        clusters = average_linkage(x[near], -(-len(near) // _CLUSTER_SIZE))
        rows = small_clusters_first(clusters, n, rng.child("turns").torch())
        sizes = torch.bincount(clusters)[clusters[rows]]
        reasons = sentences("margin {:.3g}, in a cluster of {:,}", margins[near[rows]], sizes)
        return picked(sets.pool, near[rows], reasons, notes=self._shortlist.notes(n, len(x)))

    @property
    def _shortlist(self) -> Shortlist:
        return Shortlist(MarginSampling(), self.factor)


_CLUSTER_SIZE = 10  # on average, as in the paper's experiments


@register("clue")
@dataclass(frozen=True)
class CLUE(Strategy):
    """Cluster the embeddings into n clusters, weighted by uncertainty, and query the example nearest to each center.

    Clustering uncertainty-weighted embeddings (Prabhu et al. 2021, equation 3): k-means in which an example counts by the entropy
    of its prediction. Made for a model that moves to another domain, where it is uncertain about whole regions; the centers follow
    these. It ignores the labeled set, except through the model. A model that is certain of every example is ``KMeansSampling``.

    Differences: the published code may pick one example for two centers and then returns fewer; here each cluster gives its own
    nearest example.

    Cost: O(N n D) per iteration.

    Attributes:
        temperature: Temperature of the probabilities, above 0. The paper takes 1, and 0.1 with many classes, so that weights differ
            more.
    """

    paper: ClassVar[str] = "Prabhu et al. 2021, Active domain adaptation via clustering uncertainty-weighted embeddings"
    temperature: float = positive(1.0)

    @property
    def needs(self) -> Needs:
        """Logits and embeddings of the pool."""
        return Needs(pool=(Logits(), Embedding()))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """One example for each cluster, larger clusters first."""
        x = sets.pool[Embedding()]
        weights = entropy((sets.pool[Logits()] / self.temperature).softmax(1)).clamp_min(0)
        clustering = k_means(x, n, rng.child("k_means").torch(), weights=weights)
        return representing(sets.pool, x, clustering, n, "uncertainty-weighted center")

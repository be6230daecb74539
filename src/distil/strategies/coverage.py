"""Query examples from the dense regions of the pool: for the first labels, when no model can be trusted yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from distil.functional.clustering import k_means
from distil.functional.coverage import max_coverage_with_gains, pure_radius, typical_with_gains
from distil.rng import Rng
from distil.signals import Embedding
from distil.strategies.base import Needs, Selection, Sets, Strategy, picked
from distil.strategies.parameters import count, positive
from distil.strategies.reasons import sentences
from distil.strategies.registry import register

_MOST_CLUSTERS = 500  # as in the paper: with more, clusters become too small to tell what is typical

# Typicality needs clusters, not their last digit.
_ROUGH = 1e-3


@register("typiclust")
@dataclass(frozen=True)
class TypiClust(Strategy):
    """Query the most typical example of each of the largest clusters that have no labeled example.

    Hacohen, Dekel and Weinshall 2022, algorithm 1: the pool and the labeled set together are clustered into as many
    clusters as there will be labels, at most 500; typicality is the inverse of the mean distance to the 20 nearest
    examples of the cluster. For very few labels (up to about ten a class) and embeddings that are good without labels, those of
    a self-supervised or a foundation model; there it beats strategies that rely on uncertainty. With more labels margin or
    BADGE do better: it does not know what the model is uncertain of.

    Differences: Lloyd's k-means, stopped early, also above 50 clusters, where the published code takes the minibatch form;
    embeddings are taken as they are, so give them unit length if you want the paper's. Cost: O(N k D) an iteration for k
    clusters, and the distances inside clusters.
    """

    paper: ClassVar[str] = "Hacohen, Dekel and Weinshall 2022, Active learning on a budget"

    @property
    def needs(self) -> Needs:
        """Embeddings of the pool and of the labeled set."""
        return Needs(pool=(Embedding(),), labeled=(Embedding(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The fewest labels first, then the largest cluster."""
        x, labeled = sets.pool[Embedding()], sets.labeled[Embedding()]
        both = torch.cat([x, labeled.to(x.dtype)]) if len(labeled) else x
        k = min(len(labeled) + n, _MOST_CLUSTERS, len(both))
        clusters = k_means(both, k, rng.child("k_means").torch(), tol=_ROUGH).clusters
        n_labeled = torch.bincount(clusters[len(x) :], minlength=k)
        found = typical_with_gains(x, clusters[: len(x)], n_labeled, n)
        own = clusters[found.rows]
        sizes = torch.bincount(clusters, minlength=k)
        labels = ["without labels" if labels == 0 else f"with {labels} labeled" for labels in n_labeled[own].tolist()]
        typical = [
            "alone" if typicality != typicality else f"typicality {typicality:.3g}"
            for typicality in found.gains.tolist()
        ]
        return picked(sets.pool, found.rows, sentences("{} in a cluster of {} {}", typical, sizes[own], labels))


@register("probcover")
@dataclass(frozen=True)
class ProbCover(Strategy):
    """Query, one by one, the example whose ball holds the most examples that no labeled or picked example covers.

    Yehuda, Dekel, Hacohen and Weinshall 2022, algorithm 1: greedy maximum coverage with balls of one radius. For very few
    labels and embeddings that are good without labels, like ``TypiClust``. Everything depends on the radius, for which the
    paper has a heuristic only: it is the largest at which 95 % of the balls hold one cluster of k-means, with as many
    clusters as classes. With budgets that cover everything the rest is picked farthest first.

    Embeddings are taken as they are, so give them unit length if you want the paper's. Cost: at most O(1.5 N^2 D) however
    many are picked, memory of O(N) beyond the embeddings.

    Attributes:
        radius: Of the balls; default: by the heuristic.
        n_classes: How many clusters the heuristic takes.
        purity: The share of balls that must hold one cluster only.
    """

    paper: ClassVar[str] = "Yehuda, Dekel, Hacohen and Weinshall 2022, Active learning through a covering lens"
    radius: float | None = positive(None)
    n_classes: int = count(10)
    purity: float = positive(0.95, most=1)

    @property
    def needs(self) -> Needs:
        """Embeddings of the pool and of the labeled set."""
        return Needs(pool=(Embedding(),), labeled=(Embedding(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The ball of most uncovered examples first."""
        x, labeled = sets.pool[Embedding()], sets.labeled[Embedding()]
        radius = self.radius
        if radius is None:
            clusters = k_means(x, min(self.n_classes, len(x)), rng.child("k_means").torch()).clusters
            radius = pure_radius(x, clusters, rng.child("radius").torch(), self.purity)
        found = max_coverage_with_gains(x, n, radius, labeled.to(x.dtype))
        n_covering = int((found.gains > 0).sum())
        covering = sentences("covers {:.0f} more examples", found.gains[:n_covering])
        rest = ("far from all others chosen, after every example was covered",) * (n - n_covering)
        note = f"the selection covers {found.gains.sum():,.0f} of {len(x):,} examples with balls of radius {radius:.3g}"
        return picked(sets.pool, found.rows, covering + rest, notes=(note,))

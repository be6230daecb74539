"""Query examples that cover the pool, by distances between embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from distil.errors import counted
from distil.functional.centers import k_center_with_gains
from distil.functional.clustering import KMeans, KMedians, k_means, k_medians, representatives
from distil.functional.features import Dense
from distil.rng import Rng
from distil.signals import Embedding, Signals
from distil.strategies.base import Needs, Selection, Sets, Strategy, picked
from distil.strategies.reasons import sentences
from distil.strategies.registry import register


@register("core_set")
@dataclass(frozen=True)
class CoreSet(Strategy):
    """Query, one by one, the example farthest from everything labeled or picked: greedy k-center on embeddings.

    Sener and Savarese 2018, algorithm 1 (without the mixed-integer refinement of algorithm 2). Good for redundant pools; it
    favors outliers and ignores the model's uncertainty. Without labels the first pick is random. Cost: O(N (M + n) D)
    time, O(N) memory beyond the embeddings.
    """

    paper: ClassVar[str] = "Sener and Savarese 2018, Active learning for CNNs: a core-set approach"

    @property
    def needs(self) -> Needs:
        """Embeddings of the pool and of the labeled set."""
        return Needs(pool=(Embedding(),), labeled=(Embedding(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:  # noqa: ARG002 - nothing random here
        """The farthest example first."""
        x, centers = Dense(sets.pool[Embedding()]), Dense(sets.labeled[Embedding()])
        found = k_center_with_gains(x, n, centers)
        reasons = sentences("distance {:.3g} to the nearest example labeled or chosen before", found.gains.sqrt())
        if not len(centers):
            reasons = ("the first pick, as no example is labeled", *reasons[1:])
        return picked(sets.pool, found.rows, reasons)


@register("kmeans_sampling")
@dataclass(frozen=True)
class KMeansSampling(Strategy):
    """Cluster the embeddings into n clusters and query the example nearest to each center, larger clusters first.

    The strategy of that name in DISTIL and DeepAL. A good first selection, before there are labels; later it loses to strategies
    that read the labeled set, which it ignores. If some clusters are empty (fewer distinct examples than n), the next nearest
    examples of the largest clusters fill the selection. Cost: O(N n D) per iteration.
    """

    paper: ClassVar[str] = "Arthur and Vassilvitskii 2007, k-means++; Lloyd 1982"

    @property
    def needs(self) -> Needs:
        """Embeddings of the pool."""
        return Needs(pool=(Embedding(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """One example per cluster."""
        x = sets.pool[Embedding()]
        return _representatives(sets.pool, x, k_means(x, n, rng.child("k_means").torch()), n, "center")


@register("kmedians_sampling")
@dataclass(frozen=True)
class KMediansSampling(Strategy):
    """Cluster the embeddings into n clusters by L1 distances and query the example nearest to each median, larger clusters first.

    The k-medians form of core-set selection that the DeepAL paper lists (the published code lacks it). Medians follow the bulk of
    a cluster where means follow its outliers; otherwise ``KMeansSampling`` applies, its drawbacks included.
    Cost: O(N n D) per iteration, without a matrix product: several times the cost of k-means.
    """

    paper: ClassVar[str] = "Bradley, Mangasarian and Street 1997, Clustering via concave minimization"

    @property
    def needs(self) -> Needs:
        """Embeddings of the pool."""
        return Needs(pool=(Embedding(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """One example per cluster."""
        x = sets.pool[Embedding()]
        return _representatives(sets.pool, x, k_medians(x, n, rng.child("k_medians").torch()), n, "median")


def _representatives(pool: Signals, x: Tensor, clustering: KMeans | KMedians, n: int, middle: str) -> Selection:
    """The rows nearest to the middles of their clusters; the reasons give the clusters' sizes."""
    rows = representatives(x, clustering, n)
    sizes = torch.bincount(clustering.clusters)
    n_found = int((sizes > 0).sum())
    one_each = sentences(f"nearest to the {middle} of a cluster of {{}}", sizes[clustering.clusters[rows[:n_found]]])
    fill = sentences(
        f"among the next nearest to the {middle} of a cluster of {{}}", sizes[clustering.clusters[rows[n_found:]]]
    )
    source = "larger ones" if n_found > 1 else "it"
    note = f"the examples form {counted(n_found, 'cluster')}, not {n:,}: {source} gave several examples"
    return picked(pool, rows, one_each + fill, notes=(note,) if n_found < n else ())

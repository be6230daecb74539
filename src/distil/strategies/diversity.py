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
from distil.functional.outliers import k_center_without_outliers
from distil.rng import Rng
from distil.signals import Embedding, Signals
from distil.strategies.base import Needs, Selection, Sets, Strategy, picked, tie_keys
from distil.strategies.parameters import positive
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
    in_order_of_ids: ClassVar[bool] = True
    reads_features: ClassVar[bool] = True

    @property
    def needs(self) -> Needs:
        """Embeddings of the pool and of the labeled set."""
        return Needs(pool=(Embedding(),), labeled=(Embedding(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The farthest example first."""
        x, centers = sets.pool.features(Embedding()), Dense(sets.labeled[Embedding()])
        found = k_center_with_gains(x, n, centers, tie_keys(sets.pool.ids, rng))
        return picked(sets.pool, found.rows, farthest_first(found.gains))


@register("robust_core_set")
@dataclass(frozen=True)
class RobustCoreSet(Strategy):
    """Query, one by one, the example farthest from everything labeled or picked, among those that are not outliers.

    ``CoreSet`` after the most isolated examples are dropped: those whose tenth nearest example is farthest. Use it in place of
    ``CoreSet`` where the pool holds junk, which k-center picks first; not where a rare class may be as isolated as junk.

    The paper drops outliers in a mixed-integer program (Sener and Savarese 2018, section 4.2), which needs a solver and hours for
    pools of this size. Dropping them beforehand keeps the guarantee of greedy k-center (a factor of 2) for the rest of the pool,
    but the choice of what to drop has none.

    Cost: O(min(N, 4096) N D), then that of ``CoreSet``.

    Attributes:
        outliers: Share of the pool that is not picked, above 0 and at most 0.5.
    """

    paper: ClassVar[str] = (
        "Sener and Savarese 2018, a core-set approach; Ramaswamy, Rastogi and Shim 2000, mining outliers"
    )
    outliers: float = positive(0.05, most=0.5)

    @property
    def needs(self) -> Needs:
        """Embeddings of the pool and of the labeled set."""
        return Needs(pool=(Embedding(),), labeled=(Embedding(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The farthest example first."""
        x, labeled = sets.pool[Embedding()], sets.labeled[Embedding()]
        draws = rng.child("neighbors").torch()
        found = k_center_without_outliers(x, n, self.outliers, draws, centers=labeled)
        return picked(sets.pool, found.rows, farthest_first(found.gains))


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
        return representing(sets.pool, x, k_means(x, n, rng.child("k_means").torch()), n, "center")


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
        return representing(sets.pool, x, k_medians(x, n, rng.child("k_medians").torch()), n, "median")


def representing(pool: Signals, x: Tensor, clustering: KMeans | KMedians, n: int, middle: str) -> Selection:
    """The rows nearest to the middles of their clusters; the reasons give the clusters' sizes.

    Args:
        pool: The N examples.
        x: Their rows, (N, D).
        clustering: A clustering of these rows.
        n: Number of examples to select.
        middle: The name of the middle of a cluster, in reasons.
    """
    rows = representatives(x, clustering, n)
    sizes = torch.bincount(clustering.clusters)
    n_found = int((sizes > 0).sum())
    one_each = sentences(f"nearest to the {middle} of a cluster of {{:,}}", sizes[clustering.clusters[rows[:n_found]]])
    fill = sentences(
        f"among the next nearest to the {middle} of a cluster of {{:,}}", sizes[clustering.clusters[rows[n_found:]]]
    )
    source = "larger ones" if n_found > 1 else "it"
    note = f"the examples form {counted(n_found, 'cluster')}, not {n:,}: {source} gave several examples"
    return picked(pool, rows, one_each + fill, notes=(note,) if n_found < n else ())


def farthest_first(sq_dists: Tensor) -> tuple[str, ...]:
    """The reasons of farthest-first picks, at these squared distances; infinite for a first pick without labels."""
    reasons = sentences("distance {:.3g} to the nearest example labeled or chosen before", sq_dists.sqrt())
    return ("the first pick, as no example is labeled", *reasons[1:]) if sq_dists[0].isinf() else reasons

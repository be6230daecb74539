"""k-means and k-medians clustering, and the rows that represent the clusters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.centers import draw
from distil.functional.features import BLOCK_BYTES, Dense
from distil.functional.nearest import nearest_center, pair_sq_dists
from distil.functional.scale import floating, times_two_to, to_unit
from distil.functional.weighted_rows import CANONICAL_BLOCK

# Rows are centered where their mean is longer than this many times the largest distance from it in a sample of this size.
_FAR, _SAMPLE = 64, 1024

# Smallest weight of a row, as a share of the largest weight.
_LEAST_WEIGHT = 1e-6

# Rows among which the start is drawn: at least this many, and this many for each center.
_START_ROWS, _ROWS_PER_CENTER = 4096, 16


@dataclass(frozen=True)
class KMeans:
    """A clustering by squared Euclidean distances.

    Attributes:
        centers: Cluster centers, (k, D).
        clusters: The cluster of each row, (N,) int64.
        sq_dists: Squared distance of each row to its center, (N,) float64.
    """

    centers: Tensor
    clusters: Tensor
    sq_dists: Tensor

    @property
    def inertia(self) -> float:
        """Sum of squared distances of the rows to their centers."""
        return float(self.sq_dists.sum())

    def scaled(self, e: int) -> KMeans:
        """The clustering of the rows times 2^e."""
        return KMeans(times_two_to(self.centers, e), self.clusters, times_two_to(self.sq_dists, 2 * e)) if e else self

    def exact_dists(self, x: Tensor) -> Tensor:
        """Squared distance of each of the rows ``x`` to its center, summed in float64: (N,)."""
        x = floating(x)
        return _own_sq_dists(x, self.centers, self.clusters)


@dataclass(frozen=True)
class KMedians:
    """A clustering by L1 distances.

    Attributes:
        centers: Cluster centers, (k, D).
        clusters: The cluster of each row, (N,) int64.
        dists: L1 distance of each row to its center, (N,) float64.
    """

    centers: Tensor
    clusters: Tensor
    dists: Tensor

    @property
    def cost(self) -> float:
        """Sum of L1 distances of the rows to their centers."""
        return float(self.dists.sum())

    def scaled(self, e: int) -> KMedians:
        """The clustering of the rows times 2^e."""
        return KMedians(times_two_to(self.centers, e), self.clusters, times_two_to(self.dists, e)) if e else self

    def exact_dists(self, x: Tensor) -> Tensor:
        """L1 distance of each of the rows ``x`` to its center, summed in float64: (N,)."""
        x = floating(x)
        step = max(1, BLOCK_BYTES // (8 * x.shape[1]))
        parts = zip(x.split(step), self.clusters.split(step), strict=True)
        return torch.cat([(rows.double() - self.centers[own].double()).abs().sum(1) for rows, own in parts])


def k_means(
    x: Tensor,
    k: int,
    generator: torch.Generator,
    *,
    weights: Tensor | None = None,
    max_iter: int = 100,
    tol: float = 1e-4,
) -> KMeans:
    """Lloyd's k-means from a greedy k-means++ start (Lloyd 1982; Arthur and Vassilvitskii 2007).

    Each row is assigned to its exact nearest center (see ``nearest_center``), ties to the smaller center, and means are summed in
    float64, so the result does not depend on blocks or threads. A cluster that loses all its rows gets the row farthest from its
    own center. An iteration first adds up only the rows that changed clusters, then computes one matrix product with all rows,
    most of it in bfloat16 where that is faster.

    Iterations stop when they gain little, because most of them usually do: on 50,000 rows around 100 centers, with k = 500,
    the 17th lowers the inertia by less than 1e-4 of itself, and the other 38 until no row moves lower it by 0.05 % together.
    At so large a k, the rule of scikit-learn (all centers together move by less than 1e-4 of the variance of a coordinate) runs
    nearly all of them. ``tol=0`` continues until no row changes clusters.

    The start is greedy, as scikit-learn's: each center is the best of 2 + ln k draws of k-means++. From one draw, the inertia on
    eight round clusters was 24 % larger on average. The start is made from max(4096, 16 k) random rows in a larger pool, where
    comparing every draw with every row would take longer than all iterations.

    Args:
        x: Rows, (N, D). They are copied only where they have to be scaled or centered, so they may be mapped from a file.
        k: Number of clusters, at most N.
        generator: CPU generator.
        weights: How much each row counts, (N,), finite and not negative, in any unit: centers are weighted means. Weights below
            1e-6 of the largest count as that, so that every cluster has a center. Default: each the same.
        max_iter: Largest number of iterations.
        tol: Stop once the (weighted) inertia falls by less than this share of itself.

    Returns:
        The clustering; each row belongs to the nearest of the returned centers. The centers are float64 where the rows are so far
        from 0 and so near each other that float32 would round away their differences.

    Raises:
        InvalidInput: ``weights`` holds a number that is negative, infinite or NaN.

    Cost: O(N k D) an iteration; memory of O(N + k D) and a block.

    >>> x = torch.tensor([[0.0], [1.0], [8.0], [9.0]])
    >>> k_means(x, 2, torch.Generator().manual_seed(0)).centers.sort(0).values.tolist()
    [[0.5], [8.5]]
    """
    (x,), e = to_unit(x)
    origin = _far_origin(x)
    if origin is not None:
        x = (x.double() - origin).to(x.dtype)
    counts = _counts(x, weights)
    centers = x[_greedy_start(x, k, _sq_dists_of, generator, counts)]
    clusters = nearest_center(x, centers)
    sums = _Sums(x, clusters, k, counts)
    for _ in range(max_iter):
        centers = sums.means(x, clusters, centers)
        before, clusters = clusters, nearest_center(x, centers, clusters)
        inertia = sums.inertia()
        moved = torch.nonzero(clusters != before)[:, 0]
        sums.move(x, moved, before[moved], clusters[moved])
        if not len(moved) or inertia - sums.inertia() < tol * inertia:
            break
    sq_dists = _own_sq_dists(x, centers, clusters)
    if origin is not None:
        centers = centers.double() + origin
    return KMeans(centers, clusters, sq_dists).scaled(e)


def k_medians(x: Tensor, k: int, generator: torch.Generator, *, max_iter: int = 100, tol: float = 1e-4) -> KMedians:
    """Cluster rows around coordinate-wise medians, by L1 distances (Bradley, Mangasarian and Street 1997).

    Two steps alternate, and neither ever raises the cost: each row is assigned to its nearest center, and each center moves to the
    median of its rows (the lower of two). The start is that of ``k_means`` with L1 distances, the terms of this cost (Arthur and
    Vassilvitskii 2007, section 5). A cluster that loses all its rows gets the row
    farthest from its own center. Outliers attract the centers less than in k-means.

    Args:
        x: Rows, (N, D).
        k: Number of clusters, at most N.
        generator: CPU generator.
        max_iter: Largest number of iterations.
        tol: Stop once the cost falls by less than this share of itself.

    Returns:
        The clustering; each row belongs to the nearest of the returned centers.

    Cost: O(N k D) an iteration; memory of O(N + k D) and a block.
    """
    (x,), e = to_unit(x)
    centers = x[_greedy_start(x, k, _l1_dists_of, generator)]
    clustering = KMedians(centers, *_assign_l1(x, centers))
    for _ in range(max_iter):
        before, centers = clustering, _medians(x, clustering)
        clustering = KMedians(centers, *_assign_l1(x, centers))
        if torch.equal(clustering.clusters, before.clusters) or before.cost - clustering.cost < tol * before.cost:
            break
    return KMedians(clustering.centers, clustering.clusters, clustering.dists.double()).scaled(e)


def representatives(x: Tensor, clustering: KMeans | KMedians, n: int) -> Tensor:
    """The row nearest to each center, then, where clusters are empty, the next nearest rows of the largest clusters.

    Args:
        x: Rows, (N, D).
        clustering: A clustering of these rows.
        n: Number of rows to return, at least the number of clusters that have rows.

    Returns:
        (n,) distinct rows: every cluster's nearest, then every cluster's second, and so on, larger clusters first; ties go to the
        smaller row. Distances tie if they agree to 16 bits: rounding must not decide between the two rows of a cluster of two,
        which are equally far from their mean.
    """
    (x,), e = to_unit(x)
    clustering = clustering.scaled(-e)
    sizes = torch.bincount(clustering.clusters, minlength=len(clustering.centers))
    mantissas, exponents = torch.frexp(clustering.exact_dists(x))
    order = torch.ldexp((mantissas * 2**16).round(), exponents).argsort(stable=True)
    order = order[clustering.clusters[order].argsort(stable=True)]  # by cluster, then by distance, then by row
    starts = sizes.cumsum(0) - sizes
    rank = torch.empty_like(order)
    rank[order] = (
        torch.arange(len(order), device=x.device) - starts[clustering.clusters[order]]
    )  # 0: the nearest of its cluster
    turn = (-sizes[clustering.clusters]).argsort(stable=True)
    return turn[rank[turn].argsort(stable=True)][:n]


def _far_origin(x: Tensor) -> Tensor | None:
    """The mean of a sample, (D,) float64, where rows are so far from 0 and so close together that float32 is too coarse."""
    sample = x[:: -(-len(x) // _SAMPLE)].double()
    origin = sample.mean(0)
    far = float(origin.norm()) > _FAR * float((sample - origin).norm(dim=1).max())
    return origin if far and x.dtype != torch.float64 else None


def _own_sq_dists(x: Tensor, centers: Tensor, clusters: Tensor) -> Tensor:
    return pair_sq_dists(x, torch.arange(len(x), device=x.device), centers, clusters)


class _Sums:
    """Weighted sums, masses and sizes of clusters, kept up to date while rows move; in float64, over canonical blocks."""

    def __init__(self, x: Tensor, clusters: Tensor, k: int, weights: Tensor) -> None:
        self.origin, self.weights = x[0].double(), weights
        self.sums = torch.zeros((k, x.shape[1]), dtype=torch.float64, device=x.device)  # of x - origin
        self.masses = weights.new_zeros(k).index_add_(0, clusters, weights)
        self.sizes = torch.bincount(clusters, minlength=k)
        self.total = 0.0
        for rows, own, w in zip(*(t.split(CANONICAL_BLOCK) for t in (x, clusters, weights)), strict=True):
            shifted = rows.double() - self.origin
            self.sums.index_add_(0, own, shifted * w[:, None])
            self.total += float((shifted.square_() * w[:, None]).sum())

    def move(self, x: Tensor, moved: Tensor, before: Tensor, after: Tensor) -> None:
        """Move some rows (M,) from the clusters ``before`` to the clusters ``after``, (M,) each."""
        for rows, old, new in zip(*(t.split(CANONICAL_BLOCK) for t in (moved, before, after)), strict=True):
            shifted = x.index_select(0, rows).double().sub_(self.origin).mul_(self.weights[rows, None])
            self.sums.index_add_(0, new, shifted).index_add_(0, old, shifted, alpha=-1)
        k, w = len(self.sizes), self.weights[moved]
        self.masses.index_add_(0, after, w).index_add_(0, before, w, alpha=-1)
        self.sizes += torch.bincount(after, minlength=k) - torch.bincount(before, minlength=k)

    def means(self, x: Tensor, clusters: Tensor, centers: Tensor) -> Tensor:
        """Mean of each cluster, (k, D); empty clusters move to the rows farthest from their centers, one row each."""
        means = (self.sums / self._divisors()[:, None] + self.origin).to(x.dtype)
        empty = torch.nonzero(self.sizes == 0)[:, 0]
        if len(empty):
            far = _own_sq_dists(x, centers, clusters).argsort(descending=True, stable=True)
            means[empty] = x[far[: len(empty)]]
        return means

    def inertia(self) -> float:
        """Weighted sum of the squared distances of all rows to their means: that of |x|^2 minus mass |mean|^2 of each cluster."""
        return self.total - float(((self.sums**2).sum(1) / self._divisors()).sum())

    def _divisors(self) -> Tensor:
        """The masses, and 1 for clusters without rows, (k,)."""
        return self.masses.masked_fill(self.sizes == 0, 1)


def _counts(x: Tensor, weights: Tensor | None = None) -> Tensor:
    """The weight of each row as a share of the largest, at least ``_LEAST_WEIGHT``; 1 for each where none is above 0: (N,)."""
    if weights is None:
        return x.new_ones(len(x), dtype=torch.float64)
    low, high = float(weights.min()), float(weights.max())
    if not (low >= 0 and high < math.inf):
        raise InvalidInput(f"weights must be finite and at least 0, got numbers from {low} to {high}")
    return (
        (weights.double() / high).clamp_min_(_LEAST_WEIGHT)
        if high > 0
        else torch.ones_like(weights, dtype=torch.float64)
    )


def _sq_dists_of(rows: Tensor) -> Callable[[Tensor], Tensor]:
    """The function from other rows to their squared distances to these; the norms of these are computed once."""
    x = Dense(rows).with_norms()
    return lambda some: x.sq_dists(Dense(some))


def _l1_dists_of(rows: Tensor) -> Callable[[Tensor], Tensor]:
    """The function from other rows to their L1 distances to these."""
    return lambda some: torch.cdist(rows, some, p=1)


def _greedy_start(
    x: Tensor,
    k: int,
    dists_of: Callable[[Tensor], Callable[[Tensor], Tensor]],
    generator: torch.Generator,
    counts: Tensor | None = None,
) -> Tensor:
    """Distinct rows (k,) among max(4096, 16 k) random ones: each the best of 2 + ln k rows drawn by their distances.

    Rows are drawn with probability proportional to their distance to the rows picked before, times their weight in ``counts``, as
    in k-means++; the pick is the one that lowers the weighted sum of these distances most. ``dists_of`` takes rows (N, D), and
    returns a function from rows (M, D) to the distances (N, M) between both.
    """
    size = max(_START_ROWS, _ROWS_PER_CENTER * k)
    among = torch.randperm(len(x), generator=generator)[:size].to(x.device) if len(x) > size else None
    counts = _counts(x) if counts is None else counts
    rows, counts = (x, counts) if among is None else (x[among], counts[among])
    picks = [int(torch.randint(len(rows), (1,), generator=generator))]
    dists = dists_of(rows)
    nearest = dists(rows[picks])[:, 0].double()
    while len(picks) < k:
        weights = nearest * counts
        if not bool((weights > 0).any()):  # every row left coincides with a picked one
            weights = counts.clone()
            weights[picks] = 0
        shares = torch.rand(2 + int(math.log(k)), generator=generator, dtype=torch.float64).tolist()
        drawn = torch.tensor([draw(weights, share) for share in shares], device=x.device)
        closer = torch.minimum(nearest[:, None], dists(rows[drawn]))
        best = int((closer * counts[:, None]).sum(0).argmin())
        nearest = closer[:, best].contiguous()
        picks.append(int(drawn[best]))
    found = torch.tensor(picks, device=x.device)
    return found if among is None else among[found]


def _assign_l1(x: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest center of each row (N,) and the L1 distance to it (N,)."""
    step = max(1, BLOCK_BYTES // (len(centers) * x.element_size()))
    nearest = [torch.cdist(rows, centers, p=1).min(1) for rows in x.split(step)]
    return torch.cat([block.indices for block in nearest]), torch.cat([block.values for block in nearest])


def _medians(x: Tensor, clustering: KMedians) -> Tensor:
    """Coordinate-wise median of each cluster, (k, D); empty clusters move to the rows farthest from their centers, one row each."""
    sizes = torch.bincount(clustering.clusters, minlength=len(clustering.centers))
    medians = clustering.centers.clone()
    for cluster, rows in enumerate(clustering.clusters.argsort(stable=True).split(sizes.tolist())):
        step = max(1, BLOCK_BYTES // (max(1, len(rows)) * x.element_size()))
        for start in range(0, x.shape[1] if len(rows) else 0, step):
            columns = slice(start, start + step)
            medians[cluster, columns] = x[:, columns][rows].median(0).values
    empty = torch.nonzero(sizes == 0)[:, 0]
    if len(empty):
        medians[empty] = x[clustering.dists.argsort(descending=True, stable=True)[: len(empty)]]
    return medians

"""Rows in clusters: k-means and k-medians, and the rows that stand for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.features import BLOCK_BYTES, Dense
from distil.functional.centers import CANONICAL_BLOCK, draw, finite_norms, k_means_plus_plus


@dataclass(frozen=True)
class KMeans:
    """A clustering: centers (k, D), the cluster of each row (N,), sq_dists (N,) of each row to its center."""

    centers: Tensor
    clusters: Tensor
    sq_dists: Tensor

    @property
    def inertia(self) -> float:
        """Sum of squared distances of the rows to their centers."""
        return float(self.sq_dists.double().sum())

    def exact_dists(self, x: Tensor) -> Tensor:
        """Squared distance of each of the rows ``x`` to its center, summed in float64: (N,)."""
        return Dense(x).pairwise_sq_dists(Dense(self.centers[self.clusters]))


@dataclass(frozen=True)
class KMedians:
    """A clustering by L1 distances: centers (k, D), the cluster of each row (N,), dists (N,) of each row to its center."""

    centers: Tensor
    clusters: Tensor
    dists: Tensor

    @property
    def cost(self) -> float:
        """Sum of L1 distances of the rows to their centers."""
        return float(self.dists.double().sum())

    def exact_dists(self, x: Tensor) -> Tensor:
        """L1 distance of each of the rows ``x`` to its center, summed in float64: (N,)."""
        step = max(1, BLOCK_BYTES // (8 * x.shape[1]))
        parts = zip(x.split(step), self.clusters.split(step), strict=True)
        return torch.cat([(rows.double() - self.centers[own].double()).abs().sum(1) for rows, own in parts])


def k_means(x: Tensor, k: int, generator: torch.Generator, *, max_iter: int = 100, tol: float = 1e-4) -> KMeans:
    """Lloyd's k-means from a k-means++ start (Lloyd 1982; Arthur and Vassilvitskii 2007).

    A cluster that loses all its rows gets the row farthest from its own center.

    Args:
        x: (N, D) rows.
        k: Number of clusters, at most N.
        generator: A CPU generator.
        max_iter: Most iterations.
        tol: Stop once the centers move by less than this share of the variance of ``x`` (summed squares).

    Returns:
        The clustering; the clusters are those of the returned centers.

    Cost: O(N k D) an iteration, memory of O(N + k D) and a block.
    """
    finite_norms(Dense(x))
    first = int(torch.randint(len(x), (1,), generator=generator))
    centers = x[k_means_plus_plus(Dense(x), k, first, generator)]
    least = tol * float(x.var(0, correction=0).mean()) if len(x) > 1 else 0.0
    clusters, sq_dists = _assign(x, centers)
    for _ in range(max_iter):
        moved = _means(x, clusters, sq_dists, centers)
        shift = float(((moved - centers) ** 2).sum())
        centers, before = moved, clusters
        clusters, sq_dists = _assign(x, centers)
        if shift <= least or torch.equal(before, clusters):
            break
    return KMeans(centers, clusters, sq_dists)


def k_medians(x: Tensor, k: int, generator: torch.Generator, *, max_iter: int = 100, tol: float = 1e-4) -> KMedians:
    """Cluster rows around coordinate-wise medians, by L1 distances (Bradley, Mangasarian and Street 1997).

    Rows go to their nearest center, centers to the median of their rows (the lower one of two), in turn: neither ever
    raises the cost. The start is drawn like that of k-means++, with probability proportional to the L1 distance itself, which
    is what this cost adds up (Arthur and Vassilvitskii 2007, section 5). A cluster that loses all its rows gets the row
    farthest from its own center. Less drawn to outliers than k-means.

    Args:
        x: (N, D) rows.
        k: Number of clusters, at most N.
        generator: A CPU generator.
        max_iter: Most iterations.
        tol: Stop once the cost falls by less than this share of itself.

    Returns:
        The clustering; the clusters are those of the returned centers.

    Cost: O(N k D) an iteration, memory of O(N + k D) and a block.
    """
    if not bool(torch.linalg.vector_norm(x, 1, dim=1).isfinite().all()):
        raise InvalidInput(f"L1 lengths of the rows overflow {x.dtype}; scale the rows down, or give float64")
    centers = x[_drawn_by_l1(x, k, generator)]
    found = KMedians(centers, *_assign_l1(x, centers))
    for _ in range(max_iter):
        moved = _medians(x, found)
        after = KMedians(moved, *_assign_l1(x, moved))
        settled = torch.equal(after.clusters, found.clusters) or found.cost - after.cost < tol * found.cost
        found = after
        if settled:
            break
    return found


def representatives(x: Tensor, clustering: KMeans | KMedians, n: int) -> Tensor:
    """The row nearest to each center, then, should clusters be empty, the next nearest rows of the largest clusters.

    Args:
        x: (N, D) rows.
        clustering: Of those rows.
        n: How many rows, at least the number of clusters that have any.

    Returns:
        (n,) distinct rows, larger clusters first within a turn; ties go to the smaller row.
    """
    sizes = torch.bincount(clustering.clusters, minlength=len(clustering.centers))
    order = clustering.exact_dists(x).argsort(stable=True)
    order = order[clustering.clusters[order].argsort(stable=True)]  # by cluster, then by distance, then by row
    starts = sizes.cumsum(0) - sizes
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order)) - starts[clustering.clusters[order]]  # 0: the nearest of its cluster
    turn = (-sizes[clustering.clusters]).argsort(stable=True)
    return turn[rank[turn].argsort(stable=True)][:n]


def _assign(x: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest center of each row (N,) and the squared distance to it (N,)."""
    half = (centers * centers).sum(1) / 2
    clusters = torch.empty(len(x), dtype=torch.long)
    sq_dists = torch.empty(len(x), dtype=x.dtype)
    step = max(1, BLOCK_BYTES // (len(centers) * x.element_size()))
    for start in range(0, len(x), step):
        block = slice(start, start + step)
        best, clusters[block] = torch.addmm(half, x[block], centers.T, alpha=-1).min(1)
        sq_dists[block] = ((x[block] * x[block]).sum(1) + 2 * best).clamp_min(0)
    return clusters, sq_dists


def _means(x: Tensor, clusters: Tensor, sq_dists: Tensor, centers: Tensor) -> Tensor:
    """Mean of each cluster; an empty one moves to a row far from its center, a different row each."""
    sums = torch.zeros(centers.shape, dtype=torch.float64)
    for start in range(0, len(x), CANONICAL_BLOCK):
        block = slice(start, start + CANONICAL_BLOCK)
        sums.index_add_(0, clusters[block], x[block].double())
    sizes = torch.bincount(clusters, minlength=len(centers))
    means = (sums / sizes.clamp_min(1)[:, None]).to(x.dtype)
    empty = torch.nonzero(sizes == 0)[:, 0]
    if len(empty):
        means[empty] = x[sq_dists.argsort(descending=True, stable=True)[: len(empty)]]
    return means


def _drawn_by_l1(x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Distinct rows (k,), each drawn with probability proportional to its L1 distance to those drawn before."""
    picks = [int(torch.randint(len(x), (1,), generator=generator))]
    uniform = torch.rand(k, generator=generator, dtype=torch.float64)
    nearest = torch.full((len(x),), torch.inf, dtype=x.dtype)
    while len(picks) < k:
        torch.minimum(nearest, _assign_l1(x, x[picks[-1:]])[1], out=nearest)
        weights = nearest.double()
        if not bool((weights > 0).any()):  # every row left coincides with a drawn one
            weights = torch.ones_like(weights)
            weights[picks] = 0
        picks.append(draw(weights, float(uniform[len(picks)])))
    return torch.tensor(picks)


def _assign_l1(x: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest center of each row (N,) and the L1 distance to it (N,)."""
    step = max(1, BLOCK_BYTES // (len(centers) * x.element_size()))
    nearest = [torch.cdist(rows, centers, p=1).min(1) for rows in x.split(step)]
    return torch.cat([block.indices for block in nearest]), torch.cat([block.values for block in nearest])


def _medians(x: Tensor, found: KMedians) -> Tensor:
    """Coordinate-wise median of each cluster; an empty one moves to a row far from its center, a different row each."""
    sizes = torch.bincount(found.clusters, minlength=len(found.centers))
    medians = found.centers.clone()
    for cluster, rows in enumerate(found.clusters.argsort(stable=True).split(sizes.tolist())):
        step = max(1, BLOCK_BYTES // (max(1, len(rows)) * x.element_size()))
        for start in range(0, x.shape[1] if len(rows) else 0, step):
            columns = slice(start, start + step)
            medians[cluster, columns] = x[:, columns][rows].median(0).values
    empty = torch.nonzero(sizes == 0)[:, 0]
    if len(empty):
        medians[empty] = x[found.dists.argsort(descending=True, stable=True)[: len(empty)]]
    return medians

"""Rows in clusters: k-means and k-medians, and the rows that stand for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.centers import CANONICAL_BLOCK, draw, finite_norms, k_means_plus_plus
from distil.functional.features import BLOCK_BYTES, Dense
from distil.functional.nearest import nearest_center, pair_sq_dists


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
        return _own_sq_dists(x, self.centers, self.clusters)


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

    Rows go to their nearest center exactly (see ``nearest_center``), ties to the smaller one, and means are summed in float64, so
    the result depends on neither blocks nor threads. A cluster that loses all its rows gets the row farthest from its own
    center. An iteration first adds up only the rows that changed clusters, then makes one product with all rows, most of it
    in bfloat16 where the machine is good at that.

    Iterations stop by what they gain. The bulk of them usually gains next to nothing: on 50,000 rows around 100 centers,
    with k = 500, the 17th lowers the inertia by less than 1e-4 of itself, the other 38 until nothing moves by 0.05 %
    together. The rule of scikit-learn (centers move by less than 1e-4 of the variance of a coordinate, all together) makes nearly
    all of them at such k. ``tol=0`` goes on until no row changes.

    Args:
        x: (N, D) rows; never copied, so it may be mapped from a file.
        k: Number of clusters, at most N.
        generator: A CPU generator.
        max_iter: Most iterations.
        tol: Stop once the inertia falls by less than this share of itself.

    Returns:
        The clustering; the clusters are those of the returned centers.

    Cost: O(N k D) an iteration, memory of O(N + k D) and a block.
    """
    finite_norms(Dense(x))
    first = int(torch.randint(len(x), (1,), generator=generator))
    centers = x[k_means_plus_plus(Dense(x), k, first, generator)]
    clusters = nearest_center(x, centers)
    sums = _Sums(x, clusters, k)
    for _ in range(max_iter):
        centers = sums.means(x, clusters, centers)
        before, clusters = clusters, nearest_center(x, centers, clusters)
        inertia = sums.inertia()
        moved = torch.nonzero(clusters != before)[:, 0]
        sums.move(x, moved, before[moved], clusters[moved])
        if not len(moved) or inertia - sums.inertia() < tol * inertia:
            break
    return KMeans(centers, clusters, _own_sq_dists(x, centers, clusters).to(x.dtype))


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
    rank[order] = (
        torch.arange(len(order), device=x.device) - starts[clustering.clusters[order]]
    )  # 0: the nearest of its cluster
    turn = (-sizes[clustering.clusters]).argsort(stable=True)
    return turn[rank[turn].argsort(stable=True)][:n]


def _own_sq_dists(x: Tensor, centers: Tensor, clusters: Tensor) -> Tensor:
    return pair_sq_dists(x, torch.arange(len(x), device=x.device), centers, clusters)


class _Sums:
    """Sums and sizes of clusters, kept up to date while rows change clusters; in float64, over canonical blocks."""

    def __init__(self, x: Tensor, clusters: Tensor, k: int) -> None:
        self.origin = x[0].double()
        self.sums = torch.zeros((k, x.shape[1]), dtype=torch.float64, device=x.device)  # of x - origin
        self.sizes = torch.bincount(clusters, minlength=k)
        self.total = 0.0
        for rows, own in zip(x.split(CANONICAL_BLOCK), clusters.split(CANONICAL_BLOCK), strict=True):
            shifted = rows.double() - self.origin
            self.sums.index_add_(0, own, shifted)
            self.total += float((shifted**2).sum())

    def move(self, x: Tensor, moved: Tensor, before: Tensor, after: Tensor) -> None:
        """Some rows (M,) change clusters."""
        for rows, old, new in zip(*(t.split(CANONICAL_BLOCK) for t in (moved, before, after)), strict=True):
            shifted = x.index_select(0, rows).double().sub_(self.origin)
            self.sums.index_add_(0, new, shifted).index_add_(0, old, shifted, alpha=-1)
        k = len(self.sizes)
        self.sizes += torch.bincount(after, minlength=k) - torch.bincount(before, minlength=k)

    def means(self, x: Tensor, clusters: Tensor, centers: Tensor) -> Tensor:
        """Mean of each cluster; an empty one moves to a row far from its center, a different row each."""
        means = (self.sums / self.sizes.clamp_min(1)[:, None] + self.origin).to(x.dtype)
        empty = torch.nonzero(self.sizes == 0)[:, 0]
        if len(empty):
            far = _own_sq_dists(x, centers, clusters).argsort(descending=True, stable=True)
            means[empty] = x[far[: len(empty)]]
        return means

    def inertia(self) -> float:
        """Squared distances of all rows to the means of their clusters: |x|^2 summed, less n |mean|^2 of each cluster."""
        return self.total - float(((self.sums**2).sum(1) / self.sizes.clamp_min(1)).sum())


def _drawn_by_l1(x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Distinct rows (k,), each drawn with probability proportional to its L1 distance to those drawn before."""
    picks = [int(torch.randint(len(x), (1,), generator=generator))]
    uniform = torch.rand(k, generator=generator, dtype=torch.float64)
    nearest = x.new_full((len(x),), torch.inf)
    while len(picks) < k:
        torch.minimum(nearest, _assign_l1(x, x[picks[-1:]])[1], out=nearest)
        weights = nearest.double()
        if not bool((weights > 0).any()):  # every row left coincides with a drawn one
            weights = torch.ones_like(weights)
            weights[picks] = 0
        picks.append(draw(weights, float(uniform[len(picks)])))
    return torch.tensor(picks, device=x.device)


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

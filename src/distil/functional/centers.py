"""Rows that stand for the others: k-center, k-means++, k-means and k-medians."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.features import BLOCK_BYTES, Dense, Features

# Sums and draws run over blocks of this many rows, whatever the minibatch or the number of shards was.
CANONICAL_BLOCK = 4096

# Relative differences below these count as equal: in the precision of the data, and after a float64 re-check.
_NEAR_TIE = 1e-6
_EXACT_TIE = 1e-9


def k_center_greedy(x: Features, n: int, centers: Features | None = None) -> Tensor:
    """Pick rows one by one, each the farthest from the centers and the rows picked before it.

    Gonzalez' farthest-first traversal (1985), within a factor 2 of the best n further centers; Sener and Savarese (2018,
    algorithm 1) use it with the labeled set as the given centers. Near-ties are settled in float64, then by the
    smaller row; without centers the first pick is row 0, by the same rule.

    Args:
        x: N rows.
        n: How many to pick, at most N.
        centers: M rows that are centers already; none by default.

    Returns:
        (n,) distinct rows, in pick order.

    Cost: O(N (M + n)) inner products, memory of O(N).
    """
    if not 1 <= n <= len(x):
        raise InvalidInput(f"n must be between 1 and the {len(x)} rows, got {n}")
    nearest = _Nearest(x, centers)
    picks: list[int] = []
    while len(picks) < n:
        row = nearest.farthest() if picks or nearest.n_given else 0
        if row is None:  # every row left coincides with a center
            picks += _first_left(len(x), picks, n - len(picks))
            break
        picks.append(row)
        nearest.add(row)
    return torch.tensor(picks, dtype=torch.long)


def k_means_plus_plus(x: Features, n: int, first: int, generator: torch.Generator) -> Tensor:
    """Draw rows one by one, each with probability proportional to its squared distance to those drawn before.

    Arthur and Vassilvitskii 2007, section 2.2, given the first row. Draws are made by inversion of the cumulated float64
    weights, one uniform number each. Once every row left coincides with a drawn one, the rest is drawn uniformly.

    Args:
        x: N rows.
        n: How many to draw, at most N.
        first: The row drawn first.
        generator: A CPU generator.

    Returns:
        (n,) distinct rows, in the order drawn.

    Cost: O(N n) inner products, memory of O(N).
    """
    nearest = _Nearest(x, None)
    picks = [first]
    nearest.add(first)
    uniform = torch.rand(n, generator=generator, dtype=torch.float64)
    while len(picks) < n:
        weights = nearest.sq_dists.clamp_min(0).double()
        total = float(weights.sum())
        if total == 0:
            weights = torch.ones(len(x), dtype=torch.float64)
            weights[picks] = 0
        row = draw(weights, float(uniform[len(picks)]))
        picks.append(row)
        nearest.add(row)
    return torch.tensor(picks, dtype=torch.long)


def draw(weights: Tensor, u: float) -> int:
    """The row at which the cumulated weights first exceed ``u`` times their sum.

    Args:
        weights: (N,) float64, none negative, not all 0.
        u: A number in [0, 1).

    Returns:
        A row of positive weight. Sums run over canonical blocks, so that shards of whole blocks agree.
    """
    blocks = torch.stack([w.sum() for w in weights.split(CANONICAL_BLOCK)]).cumsum(0)
    target = u * float(blocks[-1])
    block = min(int(torch.searchsorted(blocks, target, right=True)), len(blocks) - 1)
    start = block * CANONICAL_BLOCK
    inside = weights[start : start + CANONICAL_BLOCK].cumsum(0)
    before = float(blocks[block - 1]) if block else 0.0
    row = int(torch.searchsorted(inside, target - before, right=True))
    # Rounding may carry the target past the end; the last row of positive weight is then the one meant.
    positive = torch.nonzero(weights[start : start + CANONICAL_BLOCK] > 0)[:, 0]
    return start + min(row, int(positive[-1]))


def largest_norm(x: Features) -> int:
    """The row of largest norm; near-ties are settled in float64, then by the smaller row."""
    norms = _finite_norms(x)
    rows = torch.nonzero(norms >= norms.max() * (1 - _NEAR_TIE))[:, 0]
    exact = x[rows].exact_sq_norms()
    return int(rows[exact >= exact.max() * (1 - _EXACT_TIE)][0])


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
    _finite_norms(Dense(x))
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


class _Nearest:
    """Each row's squared distance to its nearest center, kept up to date while centers are added.

    Rows that are centers themselves are at -1. Values are those of ``Features.sq_dists``; ``farthest`` re-checks
    candidates in float64, remembering for each row how many centers its float64 distance has seen.
    """

    def __init__(self, x: Features, given: Features | None) -> None:
        self.x = x.with_norms()
        self.norms = _finite_norms(self.x)
        self.given = given if given is not None and len(given) else None
        self.n_given = len(self.given) if self.given is not None else 0
        self.sq_dists = torch.full_like(self.norms, torch.inf)
        self.picks: list[int] = []
        self._exact = torch.full((len(x),), torch.inf, dtype=torch.float64)
        self._seen = torch.zeros(len(x), dtype=torch.long)
        self._scale = float(self.norms.max())
        if self.given is not None:
            self._scale = max(self._scale, float(self.given.sq_norms().max()))
            for block in self.given.blocks(64 * self.given.row_bytes()):
                self._lower(self.given[block])

    def add(self, row: int) -> None:
        """Make a row a center."""
        self.picks.append(row)
        self._lower(self.x[torch.tensor([row])])
        self.sq_dists[row] = -1  # and stays so: distances are never below 0

    def farthest(self) -> int | None:
        """The row farthest from all centers, or None when every row left coincides with one."""
        top = float(self.sq_dists.max())
        # What |x|^2 + |y|^2 - 2 x.y may be off by: the rounding of as many terms as a row is wide.
        width = self.x.row_bytes() / self.norms.element_size()
        rounding = (8 + 2 * width**0.5) * torch.finfo(self.norms.dtype).eps * self._scale
        rows = torch.nonzero(self.sq_dists >= max(top * (1 - _NEAR_TIE) - rounding, 0))[:, 0]
        if len(rows) == 1:
            return int(rows[0])
        exact = self._recheck(rows)
        best = float(exact.max())
        if best == 0 and len(rows) == len(self.x) - len(self.picks):
            return None
        return int(rows[exact >= best * (1 - _EXACT_TIE)][0])

    def _lower(self, centers: Features) -> None:
        for block in self.x.blocks():
            dists = self.x[block].sq_dists(centers).amin(1)
            torch.minimum(self.sq_dists[block], dists, out=self.sq_dists[block])

    def _recheck(self, rows: Tensor) -> Tensor:
        start = int(self._seen[rows].min())
        step = max(1, BLOCK_BYTES // (2 * self.x.row_bytes()))
        for part in rows.split(step):
            for centers in self._centers_from(start):
                dists = self.x[part].exact_sq_dists(centers).amin(1)
                self._exact[part] = torch.minimum(self._exact[part], dists)
        self._seen[rows] = self.n_given + len(self.picks)
        return self._exact[rows]

    def _centers_from(self, start: int) -> list[Features]:
        found: list[Features] = []
        if self.given is not None and start < self.n_given:
            found.append(self.given[slice(start, None)])
        picks = self.picks[max(0, start - self.n_given) :]
        return [*found, self.x[torch.tensor(picks)]] if picks else found


def _finite_norms(x: Features) -> Tensor:
    norms = x.sq_norms()
    if not bool(norms.isfinite().all()):
        raise InvalidInput(f"squared lengths of the rows overflow {norms.dtype}; scale the rows down, or give float64")
    return norms


def _first_left(n_rows: int, picks: list[int], n: int) -> list[int]:
    taken = set(picks)
    return [row for row in range(n_rows) if row not in taken][:n]


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

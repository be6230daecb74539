"""The nearest center of every row, exactly, by matrix products in low precision; and again while the centers move.

A product rounds. Wherever that could decide, the pairs in question are computed again, in the end in float64 and difference by
difference, and what is then equal within 1e-9 goes to the smaller center: neither the blocks, nor the threads, nor the
precision of the products is part of the answer.
"""

from __future__ import annotations

import functools
import time

import torch
from torch import Tensor

from distil.features import BLOCK_BYTES

# What differs by less, relatively, is equal.
EXACT_TIE = 1e-9

# A bfloat16 keeps 8 bits: each factor of a product, and the product itself, is off by at most this share.
_BFLOAT16_ROUNDING = 3 * 2.0**-9

# More pairs in question than this, for each row of a block, and a more precise product is cheaper than settling them.
_FEW = 2

# Bounds pay while fewer than this share of the pairs is left to compute; they take k x k numbers, up to so many.
_WORTH = 0.25
_MOST_BOUNDS = 1 << 24

# Clusters are looked at together until they have so many rows: enough for a fast product.
_ROWS_A_GROUP = 1024


def nearest_center(x: Tensor, centers: Tensor, guess: Tensor | None = None) -> Tensor:
    """The nearest of the centers to each row: ties within 1e-9 go to the smaller center.

    Products are made in bfloat16 where the machine is faster at that (and the rows are float32). A center whose score is
    within the rigorous bound of the rounding (Cauchy and Schwarz on both rounded factors) of the best stays in question, and
    those few pairs are computed in the precision of the rows, then, if still in question, in float64.

    Args:
        x: (N, D) rows, finite.
        centers: (k, D).
        guess: (N,) centers, right for most rows if that is known; saves time, changes nothing.

    Returns:
        (N,) centers.

    Cost: O(N k D), one reading of ``x``, memory of a block.
    """
    found = torch.zeros(len(x), dtype=torch.long, device=x.device) if guess is None else guess.clone()
    nearest = _Nearest(centers, mean_row(centers).to(x.dtype), _Room(x, len(centers)))
    for start in range(0, len(x), nearest.room.step):
        block = slice(start, start + nearest.room.step)
        found[block] = nearest.of(x[block], found[block])
    return found


def pair_sq_dists(x: Tensor, rows: Tensor, other: Tensor, columns: Tensor) -> Tensor:
    """Squared distances of ``x[rows[i]]`` and ``other[columns[i]]``, summed in float64: (P,), in blocks."""
    step = max(1, BLOCK_BYTES // (16 * max(1, x.shape[1])))
    parts = zip(rows.split(step), columns.split(step), strict=True)
    return torch.cat([((x[i].double() - other[j].double()) ** 2).sum(1) for i, j in parts])


def rounding(x: Tensor) -> float:
    """What an inner product of two rows may be off by, and still be called equal, as a share of the product of their lengths."""
    return float((8 + 2 * x.shape[1] ** 0.5) * torch.finfo(x.dtype).eps) + EXACT_TIE


def sq_norms(x: Tensor) -> Tensor:
    """Squared norms of the rows: (N,)."""
    norms: Tensor = torch.linalg.vecdot(x, x)
    return norms


def mean_row(x: Tensor) -> Tensor:
    """The mean row in float64, (D,), block by block."""
    step = max(1, BLOCK_BYTES // (8 * max(1, x.shape[1])))
    return torch.stack([rows.double().sum(0) for rows in x.split(step)]).sum(0) / len(x)


class MovingCenters:
    """The nearest center of each row, found again and again while the centers move: the assignments of Lloyd's iteration.

    As ``nearest_center`` finds them, but for pairs of a cluster and a center that cannot have changed anything. For a cluster a and
    a center j, a bound on d(x, j) - d(x, a) is kept that holds for all rows x of a. It is measured whenever rows of a are compared
    with j, and falls by what a and j move (triangle inequality). While it is positive, no row of a can go to j. These are
    the bounds of Elkan (2003), one for a cluster instead of one for a row: k x k numbers, and few enough decisions that the
    rows of some clusters and the centers that matter to any of them make one matrix product. Where clusters have few
    neighbors almost nothing is left to compute after a few iterations; where all are neighbors of all, the bounds are
    given up, and looked at again after 2, 4, 8 ... iterations.

    Args:
        x: (N, D) rows, finite; never copied.
        centers: (k, D).

    Attributes:
        clusters: (N,) the nearest center of each row.

    Cost: O(N k D) an iteration at most, memory of O(N + k^2) (without bounds, O(N), for k above 4,096) and a block.
    """

    def __init__(self, x: Tensor, centers: Tensor) -> None:
        self.x, self.centers = x, centers
        self._room = _Room(x, len(centers))
        self._origin = mean_row(centers).to(x.dtype)
        near_each_other = nearest_center(centers, centers[: max(1, int(len(centers) ** 0.5))])
        self._order = near_each_other.argsort(stable=True)  # of centers: neighbors side by side
        self._place = torch.empty_like(self._order)
        self._place[self._order] = torch.arange(len(centers), device=x.device)
        self._paths = torch.zeros(len(centers), dtype=torch.float64, device=x.device)  # how far each has moved in all
        self._bounds: Tensor | None = None  # from d(x, j) - d(x, a) and the paths of a and j then; less those now, it is a bound
        self._n_whole = 0
        self.clusters = torch.zeros(len(x), dtype=torch.long, device=x.device)
        self._compare_all()

    def move(self, centers: Tensor) -> Tensor:
        """The centers are these now, (k, D). Returns the nearest of each row, (N,), a new tensor."""
        self._paths += torch.linalg.vector_norm(centers.double() - self.centers.double(), dim=1)
        self.centers = centers
        self.clusters = self.clusters.clone()
        if self._bounds is None:
            self._compare_all()
        else:
            self._compare_close(self._bounds)
        return self.clusters

    def _compare_all(self) -> None:
        self._n_whole += 1
        k = len(self.centers)
        self._bounds = None
        every = torch.arange(k, device=self.x.device)
        nearest = _Nearest(self.centers, self._origin, self._room)
        pays = self._n_whole & (self._n_whole - 1) == 0 and self._n_whole > 1 and k * k <= _MOST_BOUNDS
        if not pays or not bool(nearest.half.isfinite().all()):  # of equal centers only the first is compared with
            for rows in torch.arange(len(self.x), device=self.x.device).split(self._room.step):
                self.clusters[rows] = nearest.of(self.x[rows[0] : rows[-1] + 1], self.clusters[rows])
            return
        self._bounds = torch.full((k, k), torch.inf, dtype=torch.float64, device=self.x.device)
        before = self.clusters.clone()
        for rows in self._sorted(every)[0].split(self._room.step):
            self._compare(rows, every, nearest, self._bounds)
        self._inherit(before, self._bounds)

    def _compare_close(self, bounds: Tensor) -> None:
        slack = 1e-5 * float(torch.linalg.vector_norm(self.centers - self._origin, dim=1).max())
        open_ = bounds <= self._paths[:, None] + self._paths + slack
        open_.fill_diagonal_(False)
        active = self._order[open_.any(1)[self._order]]
        order, sizes = self._sorted(active)
        groups = (sizes.cumsum(0) - sizes) // _ROWS_A_GROUP
        _, lengths = groups.unique_consecutive(return_counts=True)
        work, jobs, at = 0, [], 0
        for some in active.split(lengths.tolist()):
            n_rows = int(sizes[len(torch.cat([j[2] for j in jobs])) if jobs else 0 :][: len(some)].sum())
            close = open_[some].any(0).index_fill_(0, some, True)
            jobs.append((order[at : at + n_rows], torch.nonzero(close)[:, 0], some))
            at += n_rows
            work += n_rows * len(jobs[-1][1])
        if work > _WORTH * len(self.x) * len(self.centers):
            self._compare_all()
            return
        before = self.clusters.clone()
        for rows, close, some in jobs:
            bounds[some[:, None], close] = torch.inf
            nearest = _Nearest(self.centers[close], self._origin, self._room, quick=False)
            for part in rows.split(self._room.step):
                self._compare(part, close, nearest, bounds)
        self._inherit(before, bounds)

    def _sorted(self, some: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of these clusters, cluster after cluster, and the sizes of the clusters."""
        k = len(self.centers)
        place = torch.full((k,), k, device=self.x.device)
        place[some] = torch.arange(len(some), device=self.x.device)
        own = place[self.clusters]
        sizes = torch.bincount(own, minlength=k + 1)[: len(some)]
        return own.argsort(stable=True)[: int(sizes.sum())], sizes

    def _compare(self, rows: Tensor, close: Tensor, nearest: _Nearest, bounds: Tensor) -> None:
        """Find the nearest of the ``close`` centers for rows that are sorted by cluster, and lower the bounds by what is seen."""
        local = torch.zeros(len(self.centers), dtype=torch.long, device=rows.device)
        local[close] = torch.arange(len(close), device=rows.device)
        own = self.clusters[rows]
        self.clusters[rows] = close[nearest.of(self.x[rows], local[own])]
        gaps = nearest.gaps(local[own])
        clusters, sizes = own.unique_consecutive(return_counts=True)
        for cluster, part in zip(clusters.tolist(), gaps.split(sizes.tolist()), strict=True):
            seen = part.amin(0).double() + self._paths[cluster] + self._paths[close]
            bounds[cluster, close] = torch.minimum(bounds[cluster, close], seen)

    def _inherit(self, before: Tensor, bounds: Tensor) -> None:
        """Bounds of clusters that rows came to: what held where they came from, for they are no farther from their center now."""
        moved = torch.nonzero(before != self.clusters)[:, 0]
        k = len(self.centers)
        pairs = torch.unique(before[moved] * k + self.clusters[moved])
        for part in pairs.split(max(1, BLOCK_BYTES // (8 * k))):
            old, new = part // k, part % k
            theirs = bounds[old] + (self._paths[new] - self._paths[old])[:, None]
            bounds.index_reduce_(0, new, theirs, "amin")


class _Room:
    """Working memory for blocks of rows, kept from block to block."""

    def __init__(self, x: Tensor, k: int) -> None:
        self.step = max(1, BLOCK_BYTES // (x.element_size() * max(k, x.shape[1])))
        self.shifted = x.new_empty(self.step * x.shape[1])
        self.scores = x.new_empty(self.step * k)
        self.low = torch.empty_like(self.shifted, dtype=torch.bfloat16)
        self.low_scores = torch.empty_like(self.scores, dtype=torch.bfloat16)


def _shaped(room: Tensor, n_rows: int, width: int) -> Tensor:
    return room[: n_rows * width].view(n_rows, width)


class _Nearest:
    """The nearest of some centers for blocks of rows."""

    def __init__(self, centers: Tensor, origin: Tensor, room: _Room, *, quick: bool = True) -> None:
        self.centers, self.origin, self.room = centers, origin, room
        self.z = centers - origin
        half = sq_norms(self.z) / 2
        self.lengths = (2 * half).sqrt()
        self.longest = float(self.lengths.max())
        self.half = half.masked_fill(~_first_of_equals(centers, half), torch.inf)
        quick = quick and centers.dtype == torch.float32 and _bfloat16_pays(centers.device.type)
        self.factors = [self.z.to(torch.bfloat16), self.z] if quick else [self.z]  # the first one is tried first

    def of(self, rows: Tensor, guess: Tensor) -> Tensor:
        """The nearest center of each row, (B,)."""
        y = torch.sub(rows, self.origin, out=_shaped(self.room.shifted, *rows.shape))
        best, i, j = self._screen(y, guess, self.factors[0])
        if self.factors[0].dtype != y.dtype:
            if len(i) > _FEW * len(y):  # too coarse for this data
                del self.factors[0]
                return self.of(rows, guess)
            best, i, j = self._rescreen(y, best, i, j)
        return self._settled(rows, best, i, j) if len(i) else best

    def gaps(self, own: Tensor) -> Tensor:
        """At most d(x, j) - d(x, own) for the rows x asked for last and all centers j: (B, k)."""
        scores = self.scores.scatter_(1, self.best, self.top)
        up = (self.sizes + 2 * self.error - 2 * scores.gather(1, own[:, None])).clamp_min_(0).sqrt_()
        return scores.mul_(-2).add_(self.sizes - 2 * self.error).clamp_min_(0).sqrt_().sub_(up)

    def _screen(self, y: Tensor, guess: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The centers of best score (B,), and the pairs (row, center) among which rounding leaves the best in question."""
        self.scores = scores = self._scores(y, z)
        self.top = top = scores.amax(1, keepdim=True)
        self.best = best = guess[:, None].clone()
        other = torch.nonzero(scores.gather(1, best) < top)[:, 0]
        best[other, 0] = scores[other].argmax(1)
        scores.scatter_(1, best, -torch.inf)
        # A score is off by slack |z| + rest; what is called equal may differ by 1e-9 of |y|^2 besides.
        self.sizes = sq_norms(y)[:, None]
        slack = (rounding(y) + (_BFLOAT16_ROUNDING if z.dtype != y.dtype else 0)) * self.sizes.sqrt()
        rest = rounding(y) * self.longest**2 + EXACT_TIE * self.sizes
        self.error = slack * self.longest + rest
        least = torch.addcmul(top - 2 * rest, slack, self.lengths[best], value=-1)
        unsure = torch.nonzero(~(scores.amax(1, keepdim=True) + slack * self.longest < least))[:, 0]
        rivals = torch.addcmul(scores[unsure], slack[unsure], self.lengths) >= least[unsure]
        i, j = torch.nonzero(rivals, as_tuple=True)
        doubted = unsure[rivals.any(1)]
        return best[:, 0].clone(), torch.cat([unsure[i], doubted]), torch.cat([j, best[doubted, 0]])

    def _scores(self, y: Tensor, z: Tensor) -> Tensor:
        """y.z - |z|^2 / 2, which is largest for the nearest center: (B, k)."""
        scores = _shaped(self.room.scores, len(y), len(z))
        if z.dtype == y.dtype:
            torch.mm(y, z.T, out=scores)
        else:
            low = _shaped(self.room.low, *y.shape).copy_(y)
            scores.copy_(torch.mm(low, z.T, out=_shaped(self.room.low_scores, len(y), len(z))))
        return scores.sub_(self.half)

    def _rescreen(self, y: Tensor, best: Tensor, i: Tensor, j: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same from pairs in question, which are computed in the precision of the rows."""
        some = y[i]
        scores = torch.linalg.vecdot(some, self.z[j]) - self.half[j]
        error = rounding(y) * (self.sizes[i, 0].sqrt() * self.longest + self.longest**2) + EXACT_TIE * self.sizes[i, 0]
        top = scores.new_full((len(y),), -torch.inf).scatter_reduce_(0, i, scores, "amax")
        best[i[scores == top[i]]] = j[scores == top[i]]
        close = scores >= top[i] - 2 * error
        doubted = (torch.bincount(i[close], minlength=len(y)) > 1)[i] & close
        return best, i[doubted], j[doubted]

    def _settled(self, rows: Tensor, best: Tensor, i: Tensor, j: Tensor) -> Tensor:
        """``best``, put right where pairs are in question: the nearest in float64, then the smaller center."""
        sq_dists = pair_sq_dists(rows, i, self.centers, j)
        least = sq_dists.new_full((len(rows),), torch.inf).scatter_reduce_(0, i, sq_dists, "amin")
        tied = sq_dists <= least[i] * (1 + EXACT_TIE)
        nobody = len(self.centers)
        settled = torch.full_like(best, nobody).scatter_reduce_(0, i[tied], j[tied], "amin")
        return torch.where(settled < nobody, settled, best)


def _first_of_equals(centers: Tensor, half: Tensor) -> Tensor:
    """Whether a center is the first of those that equal it, (k,)."""
    rows = torch.arange(len(centers), device=centers.device)
    if len(torch.unique(half)) == len(half):
        return torch.ones_like(rows, dtype=torch.bool)
    _, same = torch.unique(centers, dim=0, return_inverse=True)
    first = torch.full_like(rows, len(rows)).scatter_reduce_(0, same, rows, "amin")
    return first[same] == rows


@functools.cache
def _bfloat16_pays(device_type: str) -> bool:
    """Whether products are made faster in bfloat16, which on processors is a matter of their make; the answers are the same."""
    if device_type != "cpu":
        return True
    pair = [torch.ones(512, 512, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)]
    seconds = [[_seconds(a) for a in pair] for _ in range(6)]  # in turns; the first products prepare
    single, half = (min(times) for times in zip(*seconds[1:], strict=True))
    return bool(half < single)


def _seconds(a: Tensor) -> float:
    start = time.perf_counter()
    a @ a
    return time.perf_counter() - start

"""Which rows are near which: nearest centers, nearest neighbors, balls. Exact, in blocks, N x N numbers never stored.

Distances come from matrix products, which round. Wherever that could decide, the pairs in question are computed again in float64,
difference by difference, and what is then equal within 1e-9 goes to the smaller row: neither the blocks, nor the threads, nor
the precision of the products is part of the answer.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.features import BLOCK_BYTES

_EXACT_TIE = 1e-9

# A bfloat16 keeps 8 bits: each factor of a product, and the product itself, is off by at most this share.
_BFLOAT16_ROUNDING = 3 * 2.0**-9

# More pairs in question than this, for each row of a block, and a more precise product is cheaper than settling them.
_FEW = 2

# Smallest of groups of this many columns are looked at before single columns are.
_GROUP = 32

# Distances below this share of |x|^2 + |y|^2 have lost too much to cancellation.
_CANCELLATION = 2.0**-5


@dataclass(frozen=True)
class Neighbors:
    """The nearest other rows of each row, nearest first: ids (N, k), sq_dists (N, k)."""

    ids: Tensor
    sq_dists: Tensor


def nearest_center(x: Tensor, centers: Tensor, guess: Tensor | None = None) -> Tensor:
    """The nearest of the centers to each row, exactly: ties within 1e-9 go to the smaller center.

    Products are made in bfloat16 where the machine is faster at that (and the rows are float32). A center whose score is
    within the rigorous bound of the rounding (Cauchy and Schwarz on both rounded factors) of the best stays in question, and
    those few pairs are computed in float64.

    Args:
        x: (N, D) rows, finite.
        centers: (k, D).
        guess: (N,) centers, right for most rows if that is known; saves time, changes nothing.

    Returns:
        (N,) centers.

    Cost: O(N k D), one reading of ``x``, memory of a block.
    """
    found = torch.zeros(len(x), dtype=torch.long, device=x.device) if guess is None else guess.clone()
    nearest = _NearestCenter(centers)
    for start in range(0, len(x), nearest.step):
        block = slice(start, start + nearest.step)
        found[block] = nearest.of(x[block], found[block])
    return found


def nearest_neighbors(x: Tensor, k: int, rows: Tensor | None = None) -> Neighbors:
    """The k nearest other rows of each row, exactly; ties go to the smaller row.

    Rows whose k + 1 nearest are not all clearly apart in the precision of ``x`` are done again in float64.

    Args:
        x: (N, D) rows, finite.
        k: How many, from 1 to N - 1.
        rows: (M,) those whose neighbors are wanted; default: all.

    Returns:
        Ids and squared distances (M, k), the distances in the precision of ``x``, right to about 1e-5 of themselves in float32.

    Cost: O(M N D), memory of O(M k) and two blocks.
    """
    _check_k(k, x)
    rows = torch.arange(len(x), device=x.device) if rows is None else rows
    origin = _mean(x)
    ids = torch.empty((len(rows), k), dtype=torch.long, device=x.device)
    sq_dists = x.new_empty((len(rows), k))
    for block in _slices(len(rows), _side(x)):
        sq_dists[block], ids[block], right, apart = _quick_neighbors(x, rows[block], k, origin)
        for again in _parts(block.start + torch.nonzero(~(right & apart))[:, 0], _side(x) // 4):
            values, ids[again] = _sure_neighbors(x, rows[again], k, origin)
            sq_dists[again] = values.to(x.dtype)
    return Neighbors(ids, sq_dists)


def mean_dists(x: Tensor, k: int) -> Tensor:
    """The mean distance (not squared) of each row to its k nearest other rows: (N,).

    Its inverse is the typicality of Hacohen, Dekel and Weinshall 2022, equation 1. Right to about 1e-5 of itself in float32.

    Args:
        x: (N, D) rows, finite.
        k: How many, from 1 to N - 1.

    Cost: O(N^2 D), memory of O(N) and two blocks.
    """
    _check_k(k, x)
    rows, origin = torch.arange(len(x), device=x.device), _mean(x)
    means = []
    for block in rows.split(_side(x)):
        sq_dists, _, right, _ = _quick_neighbors(x, block, k, origin)
        means.append(sq_dists.sqrt().mean(1))
        for again in _parts(torch.nonzero(~right)[:, 0], _side(x) // 4):
            means[-1][again] = _sure_neighbors(x, block[again], k, origin)[0].sqrt().mean(1).to(x.dtype)
    return torch.cat(means)


def pair_sq_dists(x: Tensor, rows: Tensor, other: Tensor, columns: Tensor) -> Tensor:
    """Squared distances of ``x[rows[i]]`` and ``other[columns[i]]``, summed in float64: (P,), in blocks."""
    step = max(1, BLOCK_BYTES // (16 * max(1, x.shape[1])))
    parts = zip(rows.split(step), columns.split(step), strict=True)
    return torch.cat([((x[i].double() - other[j].double()) ** 2).sum(1) for i, j in parts])


class Balls:
    """Which rows are closer to each other than a radius, exactly: near the edge in float64; within 1e-9 of it is not closer.

    The matrix of all pairs is never stored: it is made in blocks, by one product each, and added up.
    """

    def __init__(self, x: Tensor, radius: float) -> None:
        self.x, self.sq_radius = x, radius**2
        self._origin = _mean(x).to(x.dtype)
        self._side = _side(x)
        wide = max(1, BLOCK_BYTES // (x.element_size() * max(1, x.shape[1])))
        self._sq_norms = torch.cat([_sq_norms(rows - self._origin) for rows in x.split(wide)])
        self._buffers = x.new_empty((2, self._side * max(self._side, wide)))

    def pairs(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """All pairs in blocks, each pair once: rows, rows at or after them, and 1 where they are closer than the radius, else 0.

        Blocks start at multiples of 8. The numbers are written over by the next block. Cost: O(N^2 D / 2).
        """
        blocks = _slices(len(self.x), self._side)
        for n, block in enumerate(blocks):
            for other in blocks[n:]:
                yield block, other, self._near(block, self.x[other])

    def sizes(self) -> Tensor:
        """How many rows are in the ball around each row, itself among them: (N,) int64. Cost: that of ``pairs``."""
        found = torch.zeros(len(self.x), dtype=torch.long, device=self.x.device)
        for block, other, near in self.pairs():
            found[block] += near.sum(1).long()
            if other != block:
                found[other] += near.sum(0).long()
        return found

    def counts(self, points: Tensor) -> Tensor:
        """How many of the ``points`` (M, D) are in the ball around each row: (N,) int64. Cost: O(N M D)."""
        found = torch.zeros(len(self.x), dtype=torch.long, device=self.x.device)
        for part in _parts(points, self._side):
            for block in _slices(len(self.x), self._buffers.shape[1] // max(len(part), self.x.shape[1])):
                found[block] += self._near(block, part).sum(1).long()
        return found

    def _near(self, block: slice, points: Tensor) -> Tensor:
        """1 where a row of the block and a point are closer than the radius, else 0: (B, M), until the next call."""
        a, b, norms = self.x[block] - self._origin, points - self._origin, self._sq_norms[block, None]
        others = _sq_norms(b)
        error = 2 * _rounding(a) * float(norms.max() + others.max())
        rest: Tensor = self._buffers[0, : len(a) * len(b)].view(len(a), len(b))
        near: Tensor = self._buffers[1, : len(a) * len(b)].view(len(a), len(b))
        torch.addmm(others, a, b.T, alpha=-2, out=rest)  # |y|^2 - 2 x.y, to compare with r^2 - |x|^2
        sure = torch.lt(rest, self.sq_radius - norms - error, out=near).sum(1)
        if torch.equal(torch.lt(rest, self.sq_radius - norms + error, out=near).sum(1), sure):
            return near
        i, j = torch.nonzero((rest >= self.sq_radius - norms - error) & (near > 0), as_tuple=True)
        inside = pair_sq_dists(self.x[block], i, points, j) < self.sq_radius * (1 - _EXACT_TIE)
        return near.index_put_((i, j), inside.to(near.dtype))


class _NearestCenter:
    """The nearest of some centers, for rows in blocks of at most ``step``; working memory is kept from block to block."""

    def __init__(self, centers: Tensor) -> None:
        self.centers = centers
        self.origin = centers.double().mean(0).to(centers.dtype)
        self.z = z = centers - self.origin
        half = _sq_norms(z) / 2
        self.lengths = (2 * half).sqrt()
        self.longest = float(self.lengths.max())
        self.half = half.masked_fill(~_first_of_equals(centers, half), torch.inf)
        quick = [z.to(torch.bfloat16)] if z.dtype == torch.float32 and _bfloat16_pays(z.device.type) else []
        self.products = [factor.T for factor in [*quick, z]]  # the right factor, first the one that is tried first
        self.step = max(1, BLOCK_BYTES // (z.element_size() * max(z.shape)))
        self.shifted = z.new_empty(self.step, z.shape[1])
        self.scores = z.new_empty(self.step, len(z))
        self.low = torch.empty_like(self.shifted, dtype=torch.bfloat16)
        self.low_scores = torch.empty_like(self.scores, dtype=torch.bfloat16)

    def of(self, rows: Tensor, guess: Tensor) -> Tensor:
        """The nearest center of each row, (B,)."""
        y = torch.sub(rows, self.origin, out=self.shifted[: len(rows)])
        best, i, j = self._screen(y, guess, self.products[0])
        if self.products[0].dtype != y.dtype:
            if len(i) > _FEW * len(y):  # too coarse for this data
                del self.products[0]
                return self.of(rows, guess)
            best, i, j = self._rescreen(y, best, i, j)
        return self._settled(rows, best, i, j) if len(i) else best

    def _screen(self, y: Tensor, guess: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The centers of best score (B,), and the pairs (row, center) among which rounding leaves the best in question."""
        scores = self._scores(y, z)
        top = scores.amax(1, keepdim=True)
        best = guess[:, None].clone()
        other = torch.nonzero(scores.gather(1, best) < top)[:, 0]
        best[other, 0] = scores[other].argmax(1)
        scores.scatter_(1, best, -torch.inf)
        rounding = _rounding(y)
        lost = rounding if z.dtype == y.dtype else rounding + _BFLOAT16_ROUNDING
        # A score is off by slack |z| and |z|^2 rounding; what is called equal may differ by |y|^2 1e-9 besides.
        sq_norms = _sq_norms(y)[:, None]
        slack = lost * sq_norms.sqrt()
        least = torch.addcmul(top, slack, self.lengths[best], value=-1) - 2 * rounding * self.longest**2
        least.sub_(sq_norms, alpha=_EXACT_TIE)
        unsure = torch.nonzero(~(scores.amax(1, keepdim=True) + slack * self.longest < least))[:, 0]
        rivals = torch.addcmul(scores[unsure], slack[unsure], self.lengths) >= least[unsure]
        i, j = torch.nonzero(rivals, as_tuple=True)
        doubted = unsure[rivals.any(1)]
        return best[:, 0], torch.cat([unsure[i], doubted]), torch.cat([j, best[doubted, 0]])

    def _scores(self, y: Tensor, z: Tensor) -> Tensor:
        """y.z - |z|^2 / 2, which is largest for the nearest center: (B, k)."""
        scores = self.scores[: len(y)]
        if z.dtype == y.dtype:
            torch.mm(y, z, out=scores)
        else:
            low = self.low[: len(y)].copy_(y)
            scores.copy_(torch.mm(low, z, out=self.low_scores[: len(y)]))
        return scores.sub_(self.half)

    def _rescreen(self, y: Tensor, best: Tensor, i: Tensor, j: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same from pairs in question, which are computed in the precision of the rows."""
        scores = torch.linalg.vecdot(y[i], self.z[j]) - self.half[j]
        error = _rounding(y) * (torch.linalg.vector_norm(y[i], dim=1) * self.longest + self.longest**2)
        top = scores.new_full((len(y),), -torch.inf).scatter_reduce_(0, i, scores, "amax")
        best[i[scores == top[i]]] = j[scores == top[i]]
        close = scores >= top[i] - 2 * error
        doubted = (torch.bincount(i[close], minlength=len(y)) > 1)[i] & close
        return best, i[doubted], j[doubted]

    def _settled(self, rows: Tensor, best: Tensor, i: Tensor, j: Tensor) -> Tensor:
        """``best``, put right where pairs are in question: the nearest in float64, then the smaller center."""
        sq_dists = pair_sq_dists(rows, i, self.centers, j)
        least = sq_dists.new_full((len(rows),), torch.inf).scatter_reduce_(0, i, sq_dists, "amin")
        tied = sq_dists <= least[i] * (1 + _EXACT_TIE)
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


def _rounding(x: Tensor) -> float:
    """What an inner product of two rows may be off by, and still be called equal, as a share of the product of their lengths."""
    return float((8 + 2 * x.shape[1] ** 0.5) * torch.finfo(x.dtype).eps) + _EXACT_TIE


def _side(x: Tensor) -> int:
    """The side of square blocks of pairs, a multiple of 8 or all rows."""
    return min(max(1, math.isqrt(BLOCK_BYTES // x.element_size()) // 8) * 8, len(x))


def _sq_norms(x: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vecdot(x, x)
    return norms


def _slices(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, max(1, step))]


def _parts(rows: Tensor, step: int) -> list[Tensor]:
    """Parts of at most ``step`` rows; none of no rows, of which ``split`` makes one."""
    return [rows[part] for part in _slices(len(rows), step)]


def _mean(x: Tensor) -> Tensor:
    """The mean row in float64, (D,), block by block."""
    step = max(1, BLOCK_BYTES // (8 * max(1, x.shape[1])))
    return torch.stack([rows.double().sum(0) for rows in x.split(step)]).sum(0) / len(x)


def _check_k(k: int, x: Tensor) -> None:
    if not 1 <= k < len(x):
        raise InvalidInput(f"k must be between 1 and {len(x) - 1}, one less than there are rows; got {k}")


def _quick_neighbors(x: Tensor, rows: Tensor, k: int, origin: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Squared distances and ids (B, k) of the nearest, and whether all are right and farther apart than rounding (B,)."""
    origin = origin.to(x.dtype)
    a = x[rows] - origin
    norms = _sq_norms(a)[:, None]
    values = x.new_full((len(rows), k + 1), torch.inf)
    ids = torch.zeros_like(values, dtype=torch.long)
    longest = norms
    for tile, b in _tiles(x, origin):
        others = _sq_norms(b)
        longest = torch.maximum(longest, others.max())
        sq_dists = torch.addmm(others, a, b.T, alpha=-2).add_(norms)
        _leave_out(sq_dists, rows, tile)
        near, columns = _smallest(sq_dists, k + 1)
        values, order = torch.cat([values, near], 1).topk(k + 1, largest=False)
        ids = torch.cat([ids, columns + tile.start], 1).gather(1, order)
    size = norms + longest  # at least half of (|x| + |y|)^2
    right = values[:, 0] > _CANCELLATION * size[:, 0]
    apart = (values.diff(dim=1) > 4 * _rounding(x) * size).all(1)
    return values[:, :k].clamp_min(0), ids[:, :k], right, apart


def _sure_neighbors(x: Tensor, rows: Tensor, k: int, origin: Tensor) -> tuple[Tensor, Tensor]:
    """The same in float64: squared distances and ids (B, k); those equal within 1e-9 in the order of their ids."""
    a = x[rows].double() - origin
    norms = _sq_norms(a)[:, None]
    values = a.new_full((len(rows), k), torch.inf)
    ids = torch.full_like(values, len(x), dtype=torch.long)
    for tile, b in _tiles(x, origin):
        sq_dists = torch.addmm(_sq_norms(b), a, b.T, alpha=-2).add_(norms).clamp_min_(0)
        _leave_out(sq_dists, rows, tile)
        columns = torch.arange(tile.start, tile.stop, device=x.device).expand_as(sq_dists)
        values, ids = _first_smallest(torch.cat([values, sq_dists], 1), torch.cat([ids, columns], 1), k, norms)
    values = pair_sq_dists(x, rows.repeat_interleave(k), x, ids.flatten()).view_as(ids)
    values, order = values.sort(dim=1, stable=True)
    ids = ids.gather(1, order)
    step = values.diff(dim=1) > _EXACT_TIE * values[:, 1:]
    group = torch.nn.functional.pad(step.long().cumsum(1), (1, 0))
    order = (group * (len(x) + 1) + ids).argsort(1)
    return values, ids.gather(1, order)


def _first_smallest(values: Tensor, ids: Tensor, k: int, norms: Tensor) -> tuple[Tensor, Tensor]:
    """The k smallest of each row; of those that tie for the last places, the ones of smallest id."""
    last = values.kthvalue(k, keepdim=True).values
    tie = _EXACT_TIE * last + 1e-14 * norms
    rank = torch.where(values <= last + tie, ids, torch.iinfo(torch.long).max).masked_fill_(values < last - tie, -1)
    kept = rank.topk(k, largest=False).indices
    return values.gather(1, kept), ids.gather(1, kept)


def _tiles(x: Tensor, origin: Tensor) -> Iterator[tuple[slice, Tensor]]:
    for tile in _slices(len(x), _side(x)):
        yield tile, x[tile].to(origin.dtype) - origin


def _leave_out(sq_dists: Tensor, rows: Tensor, tile: slice) -> None:
    """A row is not its own neighbor."""
    inside = torch.nonzero((rows >= tile.start) & (rows < tile.stop))[:, 0]
    sq_dists[inside, rows[inside] - tile.start] = torch.inf


def _smallest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of each row and their columns, or all where there are fewer: ``topk``, looking at groups first."""
    n_rows, width = values.shape
    if width % _GROUP or width < 2 * k * _GROUP:
        found = values.topk(min(k, width), largest=False)
        return found.values, found.indices
    groups = values.view(n_rows, -1, _GROUP)
    first = groups.amin(2).topk(k, largest=False).indices  # any of the k smallest is in one of the k best groups
    found = groups.gather(1, first[:, :, None].expand(-1, -1, _GROUP)).flatten(1).topk(k, largest=False)
    return found.values, first.gather(1, found.indices // _GROUP) * _GROUP + found.indices % _GROUP

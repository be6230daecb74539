"""Which rows are near which: nearest neighbors and balls. Exact, in blocks, N x N numbers never stored.

Distances come from matrix products, which round. Wherever that could decide, the pairs in question are computed again in float64,
difference by difference, and what is then equal within 1e-9 goes to the smaller row: neither the blocks, nor the threads, nor
the precision of the products is part of the answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES, EXACT_TIE
from distil.functional.nearest import mean_row, pair_sq_dists, rounding, sq_norms

# Smallest of groups of this many columns are looked at before single columns are.
_GROUP = 32

# Distances below this share of |x|^2 + |y|^2 have lost too much to cancellation.
_CANCELLATION = 2.0**-5


@dataclass(frozen=True)
class Neighbors:
    """The nearest other rows of each row, nearest first: ids (N, k), sq_dists (N, k)."""

    ids: Tensor
    sq_dists: Tensor


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
    origin = mean_row(x)
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
    rows, origin = torch.arange(len(x), device=x.device), mean_row(x)
    means = []
    for block in rows.split(_side(x)):
        sq_dists, _, right, _ = _quick_neighbors(x, block, k, origin)
        means.append(sq_dists.sqrt().mean(1))
        for again in _parts(torch.nonzero(~right)[:, 0], _side(x) // 4):
            means[-1][again] = _sure_neighbors(x, block[again], k, origin)[0].sqrt().mean(1).to(x.dtype)
    return torch.cat(means)


class Balls:
    """Which rows are closer to each other than a radius, exactly: near the edge in float64; within 1e-9 of it is not closer.

    The matrix of all pairs is never stored: it is made in blocks, by one product each, and added up.
    """

    def __init__(self, x: Tensor, radius: float) -> None:
        self.x, self.sq_radius = x, radius**2
        self._origin = mean_row(x).to(x.dtype)
        self._side = _side(x)
        wide = max(1, BLOCK_BYTES // (x.element_size() * max(1, x.shape[1])))
        self._sq_norms = torch.cat([sq_norms(rows - self._origin) for rows in x.split(wide)])
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
        others = sq_norms(b)
        error = 2 * rounding(a) * float(norms.max() + others.max())
        rest: Tensor = self._buffers[0, : len(a) * len(b)].view(len(a), len(b))
        near: Tensor = self._buffers[1, : len(a) * len(b)].view(len(a), len(b))
        torch.addmm(others, a, b.T, alpha=-2, out=rest)  # |y|^2 - 2 x.y, to compare with r^2 - |x|^2
        sure = torch.lt(rest, self.sq_radius - norms - error, out=near).sum(1)
        if torch.equal(torch.lt(rest, self.sq_radius - norms + error, out=near).sum(1), sure):
            return near
        i, j = torch.nonzero((rest >= self.sq_radius - norms - error) & (near > 0), as_tuple=True)
        inside = pair_sq_dists(self.x[block], i, points, j) < self.sq_radius * (1 - EXACT_TIE)
        return near.index_put_((i, j), inside.to(near.dtype))


def _side(x: Tensor) -> int:
    """The side of square blocks of pairs, a multiple of 8 or all rows."""
    return min(max(1, math.isqrt(BLOCK_BYTES // x.element_size()) // 8) * 8, len(x))


def _slices(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, max(1, step))]


def _parts(rows: Tensor, step: int) -> list[Tensor]:
    """Parts of at most ``step`` rows; none of no rows, of which ``split`` makes one."""
    return [rows[part] for part in _slices(len(rows), step)]


def _check_k(k: int, x: Tensor) -> None:
    if not 1 <= k < len(x):
        raise InvalidInput(f"k must be between 1 and {len(x) - 1}, one less than there are rows; got {k}")


def _quick_neighbors(x: Tensor, rows: Tensor, k: int, origin: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Squared distances and ids (B, k) of the nearest, and whether all are right and farther apart than rounding (B,)."""
    origin = origin.to(x.dtype)
    a = x[rows] - origin
    norms = sq_norms(a)[:, None]
    values = x.new_full((len(rows), k + 1), torch.inf)
    ids = torch.zeros_like(values, dtype=torch.long)
    longest = norms
    for tile, b in _tiles(x, origin):
        others = sq_norms(b)
        longest = torch.maximum(longest, others.max())
        sq_dists = torch.addmm(others, a, b.T, alpha=-2).add_(norms)
        _leave_out(sq_dists, rows, tile)
        near, columns = _smallest(sq_dists, k + 1)
        values, order = torch.cat([values, near], 1).topk(k + 1, largest=False)
        ids = torch.cat([ids, columns + tile.start], 1).gather(1, order)
    size = norms + longest  # at least half of (|x| + |y|)^2
    right = values[:, 0] > _CANCELLATION * size[:, 0]
    apart = (values.diff(dim=1) > 4 * rounding(x) * size).all(1)
    return values[:, :k].clamp_min(0), ids[:, :k], right, apart


def _sure_neighbors(x: Tensor, rows: Tensor, k: int, origin: Tensor) -> tuple[Tensor, Tensor]:
    """The same in float64: squared distances and ids (B, k); those equal within 1e-9 in the order of their ids."""
    a = x[rows].double() - origin
    norms = sq_norms(a)[:, None]
    values = a.new_full((len(rows), k), torch.inf)
    ids = torch.full_like(values, len(x), dtype=torch.long)
    for tile, b in _tiles(x, origin):
        sq_dists = torch.addmm(sq_norms(b), a, b.T, alpha=-2).add_(norms).clamp_min_(0)
        _leave_out(sq_dists, rows, tile)
        columns = torch.arange(tile.start, tile.stop, device=x.device).expand_as(sq_dists)
        values, ids = _first_smallest(torch.cat([values, sq_dists], 1), torch.cat([ids, columns], 1), k, norms)
    values = pair_sq_dists(x, rows.repeat_interleave(k), x, ids.flatten()).view_as(ids)
    values, order = values.sort(dim=1, stable=True)
    ids = ids.gather(1, order)
    step = values.diff(dim=1) > EXACT_TIE * values[:, 1:]
    group = torch.nn.functional.pad(step.long().cumsum(1), (1, 0))
    order = (group * (len(x) + 1) + ids).argsort(1)
    return values, ids.gather(1, order)


def _first_smallest(values: Tensor, ids: Tensor, k: int, norms: Tensor) -> tuple[Tensor, Tensor]:
    """The k smallest of each row; of those that tie for the last places, the ones of smallest id."""
    last = values.kthvalue(k, keepdim=True).values
    tie = EXACT_TIE * last + 1e-14 * norms
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

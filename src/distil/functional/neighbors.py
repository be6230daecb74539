"""Exact nearest neighbors and balls, computed in blocks without storing N x N numbers.

Distances come from matrix products, which round. Where rounding could change the answer, the pairs in question are computed again
in float64, difference by difference; distances that are then equal within 1e-9 go to the smaller row. So the answer does not
depend on blocks, threads or the precision of the products.
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
from distil.functional.scale import number_times_two_to, times_two_to, to_unit

# The minima of groups of this many columns are searched before single columns.
_GROUP = 32

# Distances below this share of |x|^2 + |y|^2 have lost too many digits to cancellation.
_CANCELLATION = 2.0**-5


@dataclass(frozen=True)
class Neighbors:
    """The k nearest other rows of each row, nearest first.

    Attributes:
        ids: Rows, (N, k) int64.
        sq_dists: Squared distances to them, (N, k).
    """

    ids: Tensor
    sq_dists: Tensor


def nearest_neighbors(x: Tensor, k: int, rows: Tensor | None = None) -> Neighbors:
    """The k nearest other rows of each row; ties go to the smaller row.

    Rows whose k + 1 nearest are not clearly apart in the precision of ``x`` are computed again in float64.

    Args:
        x: Rows, (N, D), finite.
        k: Number of neighbors, from 1 to N - 1.
        rows: Rows whose neighbors are returned, (M,); default: all.

    Returns:
        Ids and squared distances (M, k). The distances are in the precision of ``x``, with a relative error of about 1e-5 in
        float32, and in float64 where their squares do not fit into it.

    Raises:
        InvalidInput: ``k`` is out of range.

    Cost: O(M N D); memory of O(M k) and two blocks.

    >>> nearest_neighbors(torch.tensor([[0.0], [1.0], [3.0]]), 1).ids.tolist()
    [[1], [0], [1]]
    """
    _check_k(k, x)
    (x,), e = to_unit(x)
    rows = torch.arange(len(x), device=x.device) if rows is None else rows
    origin = mean_row(x)
    ids = torch.empty((len(rows), k), dtype=torch.long, device=x.device)
    sq_dists = x.new_empty((len(rows), k))
    for block in _slices(len(rows), _side(x)):
        sq_dists[block], ids[block], right, apart = _quick_neighbors(x, rows[block], k, origin)
        for again in _parts(block.start + torch.nonzero(~(right & apart))[:, 0], _side(x) // 4):
            values, ids[again] = _sure_neighbors(x, rows[again], k, origin)
            sq_dists[again] = values.to(x.dtype)
    return Neighbors(ids, times_two_to(sq_dists.double(), 2 * e) if e else sq_dists)


def nearest_points(x: Tensor, points: Tensor, k: int) -> Neighbors:
    """The k nearest of some other rows for each row, in float64; ties go to the smaller of these.

    Args:
        x: Rows, (N, D), finite.
        points: Rows to search, (M, D), finite.
        k: Number of neighbors, from 1 to M.

    Returns:
        Rows of ``points`` and squared distances, (N, k), in no order.

    Raises:
        InvalidInput: ``k`` is out of range.

    Cost: O(N M D); memory of O(N k + M D) and a block.

    >>> nearest_points(torch.tensor([[0.0], [5.0]]), torch.tensor([[1.0], [4.0]]), 1).ids.tolist()
    [[0], [1]]
    """
    if not 1 <= k <= len(points):
        raise InvalidInput(f"k must be between 1 and {len(points):,}, the number of points; got {k}")
    (x, points), e = to_unit(x, points)
    origin = mean_row(points)
    b = points.double() - origin
    columns, norms = torch.arange(len(b), device=x.device), sq_norms(b)
    ids = torch.empty((len(x), k), dtype=torch.long, device=x.device)
    sq_dists = torch.empty_like(ids, dtype=torch.float64)
    for block in _slices(len(x), BLOCK_BYTES // (8 * max(b.shape))):
        a = x[block].double() - origin
        own = sq_norms(a)[:, None]
        found = torch.addmm(norms, a, b.T, alpha=-2).add_(own).clamp_min_(0)
        sq_dists[block], ids[block] = _first_smallest(found, columns.expand_as(found), k, own + norms.max())
    return Neighbors(ids, times_two_to(sq_dists, 2 * e))


def mean_dists(x: Tensor, k: int) -> Tensor:
    """The mean distance (not squared) of each row to its k nearest other rows, (N,).

    Its inverse is the typicality of Hacohen, Dekel and Weinshall 2022, equation 1. The relative error is about 1e-5 in float32.
    The result is float64 where the squares of the rows do not fit into float32.

    Args:
        x: Rows, (N, D), finite.
        k: Number of neighbors, from 1 to N - 1.

    Raises:
        InvalidInput: ``k`` is out of range.

    Cost: O(N^2 D); memory of O(N) and two blocks.
    """
    _check_k(k, x)
    (x,), e = to_unit(x)
    rows, origin = torch.arange(len(x), device=x.device), mean_row(x)
    means = []
    for block in rows.split(_side(x)):
        sq_dists, _, right, _ = _quick_neighbors(x, block, k, origin)
        means.append(sq_dists.sqrt().mean(1))
        for again in _parts(torch.nonzero(~right)[:, 0], _side(x) // 4):
            means[-1][again] = _sure_neighbors(x, block[again], k, origin)[0].sqrt().mean(1).to(x.dtype)
    return times_two_to(torch.cat(means).double(), e) if e else torch.cat(means)


class Balls:
    """The pairs of rows that are closer than a radius, decided in float64 near it; within 1e-9 of the radius is not closer.

    The matrix of all pairs is never stored: each block is computed by one product and summed.

    Args:
        x: Rows, (N, D), finite.
        radius: The radius, in the unit of the rows.
    """

    def __init__(self, x: Tensor, radius: float) -> None:
        (x,), self._exponent = to_unit(x)
        radius = number_times_two_to(radius, -self._exponent)
        self.x = x
        self.sq_radius = max(radius * radius, 5e-324)  # not 0: every row is in its own ball
        self._origin = mean_row(x).to(x.dtype)
        self._side = _side(x)
        wide = max(1, BLOCK_BYTES // (x.element_size() * max(1, x.shape[1])))
        self._sq_norms = torch.cat([sq_norms(rows - self._origin) for rows in x.split(wide)])
        self._buffers = x.new_empty((2, self._side * max(self._side, wide)))

    def pairs(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """All pairs in blocks, each pair once: rows, rows at or after them, and 1 where they are closer than the radius, else 0.

        Blocks start at multiples of 8. Each block's numbers are overwritten by the next block. Cost: O(N^2 D / 2).
        """
        blocks = _slices(len(self.x), self._side)
        for n, block in enumerate(blocks):
            for other in blocks[n:]:
                yield block, other, self._near(block, self.x[other])

    def sizes(self) -> Tensor:
        """Number of rows in the ball around each row, itself included, (N,) int64. Cost: as ``pairs``."""
        sizes = torch.zeros(len(self.x), dtype=torch.long, device=self.x.device)
        for block, other, near in self.pairs():
            sizes[block] += near.sum(1).long()
            if other != block:
                sizes[other] += near.sum(0).long()
        return sizes

    def counts(self, points: Tensor) -> Tensor:
        """Number of the ``points`` (M, D) in the ball around each row, (N,) int64. Cost: O(N M D)."""
        return self.counts_of(times_two_to(points.to(self.x.dtype), -self._exponent))

    def counts_of(self, points: Tensor) -> Tensor:
        """The same for points at the scale of ``self.x``."""
        counts = torch.zeros(len(self.x), dtype=torch.long, device=self.x.device)
        for part in _parts(points, self._side):
            for block in _slices(len(self.x), self._buffers.shape[1] // max(len(part), self.x.shape[1])):
                counts[block] += self._near(block, part).sum(1).long()
        return counts

    def _near(self, block: slice, points: Tensor) -> Tensor:
        """1 where a row of the block and a point are closer than the radius, else 0, (B, M); overwritten by the next call."""
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
    """The side of square blocks of pairs: a multiple of 8, or N."""
    return min(max(1, math.isqrt(BLOCK_BYTES // x.element_size()) // 8) * 8, len(x))


def _slices(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, max(1, step))]


def _parts(rows: Tensor, step: int) -> list[Tensor]:
    """Parts of at most ``step`` rows; no part for no rows, where ``split`` returns one."""
    return [rows[part] for part in _slices(len(rows), step)]


def _check_k(k: int, x: Tensor) -> None:
    if not 1 <= k < len(x):
        raise InvalidInput(f"k must be between 1 and {len(x) - 1}, one less than the number of rows; got {k}")


def _quick_neighbors(x: Tensor, rows: Tensor, k: int, origin: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Squared distances and ids (B, k) of the nearest, and whether all are accurate, and apart beyond rounding, (B,) each."""
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
    """Squared distances and ids (B, k) of the nearest, in float64; distances equal within 1e-9 are in the order of their ids."""
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
    """The k smallest values of each row and their ids; ties for the last places go to the smallest ids."""
    last = values.kthvalue(k, keepdim=True).values
    tie = EXACT_TIE * last + 1e-14 * norms
    rank = torch.where(values <= last + tie, ids, torch.iinfo(torch.long).max).masked_fill_(values < last - tie, -1)
    kept = rank.topk(k, largest=False).indices
    return values.gather(1, kept), ids.gather(1, kept)


def _tiles(x: Tensor, origin: Tensor) -> Iterator[tuple[slice, Tensor]]:
    for tile in _slices(len(x), _side(x)):
        yield tile, x[tile].to(origin.dtype) - origin


def _leave_out(sq_dists: Tensor, rows: Tensor, tile: slice) -> None:
    """Make the distance of each row to itself infinite: a row is not its own neighbor."""
    inside = torch.nonzero((rows >= tile.start) & (rows < tile.stop))[:, 0]
    sq_dists[inside, rows[inside] - tile.start] = torch.inf


def _smallest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest values of each row (or all, if fewer) and their columns: ``topk``, of groups of columns first."""
    n_rows, width = values.shape
    if width % _GROUP or width < 2 * k * _GROUP:
        smallest = values.topk(min(k, width), largest=False)
        return smallest.values, smallest.indices
    groups = values.view(n_rows, -1, _GROUP)
    first = groups.amin(2).topk(k, largest=False).indices  # any of the k smallest is in one of the k best groups
    smallest = groups.gather(1, first[:, :, None].expand(-1, -1, _GROUP)).flatten(1).topk(k, largest=False)
    return smallest.values, first.gather(1, smallest.indices // _GROUP) * _GROUP + smallest.indices % _GROUP

"""The exact nearest center of every row, by matrix products in low precision.

Products round. Where rounding could change the answer, the pairs in question are computed again, at last in float64 and difference
by difference; distances that are then equal within 1e-9 go to the smaller center. So the answer does not depend on blocks,
threads or the precision of the products.

Why: k-means spends most of its time here, and processors with bfloat16 units multiply matrices several times faster in bfloat16.
What it won: 50,000 rows of 512 numbers near one of 500 centers took 0.16 s, against 0.41 s with float32 products alone and 0.38 s
with ``torch.cdist``; rows of 256 numbers 0.21 s against 0.26 s and 0.30 s (medians of 3 alternating calls, one thread of a Xeon
with AMX, torch 2.13). On isotropic noise, where bfloat16 decides little, it lost to ``torch.cdist``: 0.43 s against 0.32 s.
Delete it when float32 products are as fast on common machines.
"""

from __future__ import annotations

import functools
import time

import torch
from torch import Tensor

from distil.functional.features import BLOCK_BYTES, EXACT_TIE
from distil.functional.scale import floating, to_unit

# A bfloat16 keeps 8 bits: its relative rounding error is at most this.
_BFLOAT16_ROUNDING = 2.0**-8

# Bytes of a block of rows, small enough that operations on its scores stay in the cache.
_STEP_BYTES = 4 << 20

# A pair that is computed again by itself costs about as much as this many pairs in a product.
_PAIR = 100


def nearest_center(x: Tensor, centers: Tensor, guess: Tensor | None = None) -> Tensor:
    """The nearest center of each row; ties within 1e-9 go to the smaller center.

    Products of float32 rows are computed in bfloat16 where that is faster. A center stays in question if its score is within a
    rigorous bound of the rounding error (by Cauchy and Schwarz, from the losses of both factors) of the best score. These few
    pairs are computed in the precision of the rows, and if they are still in question, in float64.

    Args:
        x: Rows, (N, D), finite.
        centers: Centers, (k, D), finite.
        guess: Centers that are probably the nearest, (N,); they save time and do not change the answer.

    Returns:
        Positions of the nearest centers, (N,) int64.

    Cost: O(N k D), one pass over ``x``, memory of a block.

    >>> nearest_center(torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0], [9.0], [5.0]])).tolist()
    [0, 2]
    """
    (x, centers), _ = to_unit(x, centers)
    answer = torch.zeros(len(x), dtype=torch.long, device=x.device) if guess is None else guess.clone()
    nearest = _Nearest(centers)
    for start in range(0, len(x), nearest.step):
        block = slice(start, start + nearest.step)
        answer[block] = nearest.of(x[block], answer[block])
    return answer


def pair_sq_dists(x: Tensor, rows: Tensor, other: Tensor, columns: Tensor) -> Tensor:
    """Squared distances between ``x[rows[i]]`` and ``other[columns[i]]``, (P,) float64, computed in blocks."""
    step = max(1, BLOCK_BYTES // (16 * max(1, x.shape[1])))
    parts = zip(rows.split(step), columns.split(step), strict=True)
    return torch.cat(
        [
            x.index_select(0, i)
            .double()
            .sub_(other.index_select(0, j))
            .square_()
            .sum(1)  # several times faster than x[i]
            for i, j in parts
        ]
    )


def rounding(x: Tensor) -> float:
    """Largest error of an inner product of two rows that still counts as equal, relative to the product of their lengths."""
    return float((8 + 2 * x.shape[1] ** 0.5) * torch.finfo(x.dtype).eps) + EXACT_TIE


def sq_norms(x: Tensor) -> Tensor:
    """Squared norms of the rows: (N,)."""
    x = floating(x)
    norms: Tensor = torch.linalg.vecdot(x, x)
    return norms


def mean_row(x: Tensor) -> Tensor:
    """The mean row in float64, (D,), block by block."""
    step = max(1, BLOCK_BYTES // (8 * max(1, x.shape[1])))
    return torch.stack([rows.double().sum(0) for rows in x.split(step)]).sum(0) / len(x)


class _Nearest:
    """The nearest of some centers for blocks of at most ``step`` rows; working memory is reused from block to block."""

    def __init__(self, centers: Tensor) -> None:
        self.centers = centers
        self.origin = mean_row(centers).to(centers.dtype)
        self.z = z = centers - self.origin
        half = sq_norms(z) / 2
        self.lengths = (2 * half).sqrt()
        self.longest = float(self.lengths.max())
        self.half = half.masked_fill(~_first_of_equals(centers, half), torch.inf)
        quick = z.dtype == torch.float32 and _bfloat16_pays(z.device.type)
        # The rounding error of the centers relative to their lengths, computed exactly: smaller than the worst case.
        self.lost = float(((z - z.to(torch.bfloat16)).norm(dim=1) / self.lengths.clamp_min(1e-30)).max())
        self.factors = [z.to(torch.bfloat16), z] if quick else [z]
        self.step = max(1, _STEP_BYTES // (z.element_size() * max(z.shape)))
        self.shifted = z.new_empty(self.step, z.shape[1])
        self.scores = z.new_empty(self.step, len(z))
        self.low = torch.empty_like(self.shifted, dtype=torch.bfloat16)
        self.low_scores = torch.empty_like(self.scores, dtype=torch.bfloat16)

    def of(self, rows: Tensor, guess: Tensor) -> Tensor:
        """The nearest center of each row, (B,)."""
        y = torch.sub(rows, self.origin, out=self.shifted[: len(rows)])
        norms = sq_norms(y)[:, None].sqrt()
        best, i, j = self._screen(*self._scores(y, norms), norms, guess)
        if len(self.factors) > 1:
            if _PAIR * len(i) > len(y) * len(self.z):  # bfloat16 is too coarse for this data
                del self.factors[0]
                return self.of(rows, guess)
            best, i, j = self._rescreen(y, norms[:, 0], best, i, j)
        return self._settled(rows, best, i, j) if len(i) else best

    def _scores(self, y: Tensor, norms: Tensor) -> tuple[Tensor, Tensor]:
        """Scores y.z - |z|^2 / 2 (B, k), largest for the nearest center, and their error bounds divided by |z|, (B, 1)."""
        scores, z = self.scores[: len(y)], self.factors[0]
        if z.dtype == y.dtype:
            return torch.mm(y, z.T, out=scores).sub_(self.half), rounding(y) * norms
        low = self.low[: len(y)].copy_(y)
        scores.copy_(torch.mm(low, z.T, out=self.low_scores[: len(y)]))
        # With y', z' the rounded factors, y.z - y'.z' = (y - y').z + y'.(z - z'); the product is then rounded once more.
        return scores.sub_(self.half), (2 * _BFLOAT16_ROUNDING + self.lost + rounding(y)) * norms

    def _screen(self, scores: Tensor, off: Tensor, norms: Tensor, guess: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The centers of best score (B,), and the pairs (row, center) that could be the best within rounding."""
        top = scores.amax(1, keepdim=True)
        best = guess[:, None].clone()
        other = torch.nonzero(scores.gather(1, best) < top)[:, 0]
        best[other, 0] = scores.index_select(0, other).argmax(1)
        scores.scatter_(1, best, -torch.inf).addcmul_(off, self.lengths)
        # A score also contains the rounding error of |z|^2, and equal distances may differ by 1e-9 of |y|^2.
        rest = 2 * rounding(self.z) * self.longest**2 + EXACT_TIE * norms**2
        least = torch.addcmul(top - rest, off, self.lengths[best], value=-1)
        unsure = torch.nonzero(~(scores.amax(1, keepdim=True) < least))[:, 0]
        i, j = torch.nonzero(scores.index_select(0, unsure) >= least[unsure], as_tuple=True)
        return best[:, 0], torch.cat([unsure[i], unsure]), torch.cat([j, best[unsure, 0]])

    def _rescreen(self, y: Tensor, norms: Tensor, best: Tensor, i: Tensor, j: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same as ``_screen``, for the pairs in question, computed in the precision of the rows."""
        pairs = zip(i.split(self.step), j.split(self.step), strict=True)
        products = [y.index_select(0, a).mul_(self.z.index_select(0, b)).sum(1) for a, b in pairs]
        scores = torch.cat(products) - self.half[j]
        top = scores.new_full((len(y),), -torch.inf).scatter_reduce_(0, i, scores, "amax")
        best[i[scores == top[i]]] = j[scores == top[i]]
        rest = rounding(y) * (norms * self.longest + self.longest**2) + EXACT_TIE * norms**2
        close = scores >= (top - 2 * rest)[i]
        doubted = (torch.bincount(i[close], minlength=len(y)) > 1)[i] & close
        return best, i[doubted], j[doubted]

    def _settled(self, rows: Tensor, best: Tensor, i: Tensor, j: Tensor) -> Tensor:
        """``best``, corrected where pairs are in question: the nearest in float64, then the smaller center."""
        sq_dists = pair_sq_dists(rows, i, self.centers, j)
        least = sq_dists.new_full((len(rows),), torch.inf).scatter_reduce_(0, i, sq_dists, "amin")
        tied = sq_dists <= least[i] * (1 + EXACT_TIE)
        n_centers = len(self.centers)
        settled = torch.full_like(best, n_centers).scatter_reduce_(0, i[tied], j[tied], "amin")
        return torch.where(settled < n_centers, settled, best)


def _first_of_equals(centers: Tensor, half: Tensor) -> Tensor:
    """Whether each center is the first among its equals, (k,) bool."""
    rows = torch.arange(len(centers), device=centers.device)
    if len(torch.unique(half)) == len(half):
        return torch.ones_like(rows, dtype=torch.bool)
    _, same = torch.unique(centers, dim=0, return_inverse=True)
    first = torch.full_like(rows, len(rows)).scatter_reduce_(0, same, rows, "amin")
    return first[same] == rows


@functools.cache
def _bfloat16_pays(device_type: str) -> bool:
    """Whether bfloat16 products are faster, measured on CPUs because it depends on the model; answers do not depend on it."""
    if device_type != "cpu":
        return True
    pair = [torch.ones(512, 512, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)]
    seconds = [[_seconds(a) for a in pair] for _ in range(6)]  # alternating; the first round is a warm-up
    single, half = (min(times) for times in zip(*seconds[1:], strict=True))
    return bool(half < single)


def _seconds(a: Tensor) -> float:
    start = time.perf_counter()
    a @ a
    return time.perf_counter() - start

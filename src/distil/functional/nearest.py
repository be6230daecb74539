"""The nearest center of every row, exactly, by matrix products in low precision.

A product rounds. Wherever that could decide, the pairs in question are computed again, in the end in float64 and difference by
difference, and what is then equal within 1e-9 goes to the smaller center: neither the blocks, nor the threads, nor the
precision of the products is part of the answer.

Why: k-means is mostly this, and processors with bfloat16 units multiply matrices several times faster in it.
What it won: of 50,000 rows of 512 numbers near one of 500 centers 0.16 s in place of 0.41 s by float32 products alone and of 0.38 s
by ``torch.cdist``; of 256 numbers 0.21 s in place of 0.26 s and 0.30 s (medians of 3 alternating calls, one thread of a Xeon with
AMX, torch 2.13). On isotropic noise, where bfloat16 decides little, it lost to ``torch.cdist``: 0.43 s in place of 0.32 s.
Delete it when float32 products are as fast on the machines that people use.
"""

from __future__ import annotations

import functools
import time

import torch
from torch import Tensor

from distil.functional.features import BLOCK_BYTES, EXACT_TIE

# A bfloat16 keeps 8 bits: rounding is off by at most this share.
_BFLOAT16_ROUNDING = 2.0**-8

# Blocks of rows are of this many bytes, so that what is done to their scores stays in the cache.
_STEP_BYTES = 4 << 20

# A pair that is computed again by itself costs as much as about this many in a product.
_PAIR = 100


def nearest_center(x: Tensor, centers: Tensor, guess: Tensor | None = None) -> Tensor:
    """The nearest of the centers to each row: ties within 1e-9 go to the smaller center.

    Products are made in bfloat16 where the machine is faster at that (and the rows are float32). Centers stay in question whose
    score is within a rigorous bound of the rounding (Cauchy and Schwarz on what both factors lost) of the best; those
    few pairs are computed in the precision of the rows, then, if still in question, in float64.

    Args:
        x: (N, D) rows, finite.
        centers: (k, D).
        guess: (N,) centers, right for most rows if that is known; saves time, changes nothing.

    Returns:
        (N,) centers.

    Cost: O(N k D), one reading of ``x``, memory of a block.
    """
    found = torch.zeros(len(x), dtype=torch.long, device=x.device) if guess is None else guess.clone()
    nearest = _Nearest(centers)
    for start in range(0, len(x), nearest.step):
        block = slice(start, start + nearest.step)
        found[block] = nearest.of(x[block], found[block])
    return found


def pair_sq_dists(x: Tensor, rows: Tensor, other: Tensor, columns: Tensor) -> Tensor:
    """Squared distances of ``x[rows[i]]`` and ``other[columns[i]]``, summed in float64: (P,), in blocks."""
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


class _Nearest:
    """The nearest of some centers, for blocks of at most ``step`` rows; working memory is kept from block to block."""

    def __init__(self, centers: Tensor) -> None:
        self.centers = centers
        self.origin = mean_row(centers).to(centers.dtype)
        self.z = z = centers - self.origin
        half = sq_norms(z) / 2
        self.lengths = (2 * half).sqrt()
        self.longest = float(self.lengths.max())
        self.half = half.masked_fill(~_first_of_equals(centers, half), torch.inf)
        quick = z.dtype == torch.float32 and _bfloat16_pays(z.device.type)
        # What rounding took off a center, as a share of its length: less than the worst case, and exact.
        self.lost = float(((z - z.to(torch.bfloat16)).norm(dim=1) / self.lengths.clamp_min(1e-30)).max())
        self.factors = [z.to(torch.bfloat16), z] if quick else [z]  # the first one is tried first
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
            if _PAIR * len(i) > len(y) * len(self.z):  # too coarse for this data
                del self.factors[0]
                return self.of(rows, guess)
            best, i, j = self._rescreen(y, norms[:, 0], best, i, j)
        return self._settled(rows, best, i, j) if len(i) else best

    def _scores(self, y: Tensor, norms: Tensor) -> tuple[Tensor, Tensor]:
        """y.z - |z|^2 / 2, which is largest for the nearest center: (B, k); and what it may be off by, less |z| times: (B, 1)."""
        scores, z = self.scores[: len(y)], self.factors[0]
        if z.dtype == y.dtype:
            return torch.mm(y, z.T, out=scores).sub_(self.half), rounding(y) * norms
        low = self.low[: len(y)].copy_(y)
        scores.copy_(torch.mm(low, z.T, out=self.low_scores[: len(y)]))
        # y.z - y'.z' = (y - y').z + y'.(z - z'), and the product is rounded once more.
        return scores.sub_(self.half), (2 * _BFLOAT16_ROUNDING + self.lost + rounding(y)) * norms

    def _screen(self, scores: Tensor, off: Tensor, norms: Tensor, guess: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The centers of best score (B,), and the pairs (row, center) among which rounding leaves the best in question."""
        top = scores.amax(1, keepdim=True)
        best = guess[:, None].clone()
        other = torch.nonzero(scores.gather(1, best) < top)[:, 0]
        best[other, 0] = scores.index_select(0, other).argmax(1)
        scores.scatter_(1, best, -torch.inf).addcmul_(off, self.lengths)
        # Besides, a score is off by the rounding of |z|^2, and what is called equal may differ by 1e-9 of |y|^2.
        rest = 2 * rounding(self.z) * self.longest**2 + EXACT_TIE * norms**2
        least = torch.addcmul(top - rest, off, self.lengths[best], value=-1)
        unsure = torch.nonzero(~(scores.amax(1, keepdim=True) < least))[:, 0]
        i, j = torch.nonzero(scores.index_select(0, unsure) >= least[unsure], as_tuple=True)
        return best[:, 0], torch.cat([unsure[i], unsure]), torch.cat([j, best[unsure, 0]])

    def _rescreen(self, y: Tensor, norms: Tensor, best: Tensor, i: Tensor, j: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same from pairs in question, which are computed in the precision of the rows."""
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

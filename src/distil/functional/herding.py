"""Herding: pick the rows whose neighborhoods hold most of what is not yet represented."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES, Dense
from distil.functional.gains import RowsWithGains
from distil.functional.greedy import lazy_greedy
from distil.functional.scale import number_times_two_to, to_unit
from distil.functional.similarity import Similarity, rbf
from distil.functional.submodular import FacilityLocation


def herding(
    x: Tensor,
    n: int,
    width: float,
    *,
    weights: Tensor | None = None,
    labeled: Tensor | None = None,
    candidates: Tensor | None = None,
) -> RowsWithGains:
    """Pick rows one by one, each the one that raises the generalized coverage of all rows most.

    The coverage of a set A is sum_v w_v max_{a in A} k(v, a) with k(v, a) = exp(-|v - a|^2 / width^2), where A starts with the
    labeled rows. It is the objective of MaxHerding (Bae, Noh and Sutherland 2024, equation 4) and, with uncertainties as weights,
    of uncertainty herding (Bae, Oliveira and Sutherland 2025, equation 2), here as a sum over the rows rather than their mean. It
    is monotone submodular, so greedy reaches at least 1 - 1/e of the best; lazy evaluation gives the same rows.

    Args:
        x: Rows to represent, (N, D), finite.
        n: Number of rows to pick.
        width: Width of the kernel, above 0, in the unit of the rows.
        weights: How much it counts that a row is represented, (N,), finite and not negative, in any unit; default: the same for
            each. Weights that are all 0 count as equal.
        labeled: Rows that are labeled already, (M, D); default: none.
        candidates: Distinct rows that may be picked, (R,), in ascending order; default: all.

    Returns:
        ``n`` rows in pick order and what each added to the coverage, in units of the largest weight. When every row is
        represented, the picks start again as if there were no labels, with gains of 0.

    Raises:
        InvalidInput: ``n``, ``width`` or ``weights`` is out of range.

    Cost: O(N (R + M) D) time, then O(N) for some tens of candidates a pick; N R similarities in memory if they fit into 400 MB,
    otherwise blocks.

    >>> herding(torch.tensor([[0.0], [0.1], [0.2], [5.0]]), 2, 1.0).rows.tolist()
    [1, 3]
    """
    if not width > 0:
        raise InvalidInput(f"width must be above 0, got {width}")
    (x, labeled), e = to_unit(x, x[:0] if labeled is None else labeled)
    kernel = rbf(Dense(x), _gamma(width, e))
    similarity = Similarity(Dense(x), kernel, rows=candidates)
    covered = _covered(similarity, labeled) if len(labeled) else None
    found = lazy_greedy(FacilityLocation(similarity, weights=_relative(weights), covered=covered), n)
    return found if candidates is None else RowsWithGains(candidates[found.rows], found.gains)


def coverage(
    x: Tensor, sets: Sequence[Tensor], width: float, *, weights: Tensor | None = None, labeled: Tensor | None = None
) -> Tensor:
    """The generalized coverage of rows by each of several sets together with the labeled rows, as in ``herding``.

    It is a sum over the rows, so the coverage of a pool is the sum of those of its parts.

    Args:
        x: Rows to represent, (N, D), finite.
        sets: The rows of each set, (n, D).
        width: Width of the kernel, above 0, in the unit of the rows.
        weights: How much it counts that a row is represented, (N,); default: 1 for each. Here they are not divided by the largest.
        labeled: Rows that are labeled already, (M, D); default: none.

    Returns:
        (S,) float64, one number for each set.

    Cost: O(N (n S + M) D) time, memory of a block.

    >>> coverage(torch.tensor([[0.0], [1.0]]), [torch.tensor([[0.0]])], 1.0)
    tensor([1.3679], dtype=torch.float64)
    """
    (x, labeled, *sets), e = to_unit(x, x[:0] if labeled is None else labeled, *sets)
    kernel = rbf(Dense(x), _gamma(width, e))
    known, points = kernel.prepare(Dense(labeled)), [kernel.prepare(Dense(each)) for each in sets]
    total = torch.zeros(len(sets), dtype=torch.float64, device=x.device)
    largest = max([len(labeled), 1, *map(len, sets)])
    for part in torch.arange(len(x), device=x.device).split(max(1, BLOCK_BYTES // (8 * largest))):
        rows = kernel.prepare(Dense(x[part]))
        first = kernel.sq_dists(rows, known).min(1).values if len(labeled) else torch.inf
        nearest = torch.stack([kernel.sq_dists(rows, each).min(1).values.clamp_max(first) for each in points])
        covered = kernel.similarity(nearest)
        total += covered.sum(1) if weights is None else covered @ weights[part].double()
    return total


def neighbor_width(x: Tensor, k: int, rows: Tensor | None = None) -> float:
    """The median distance to the k-th nearest row among rows that differ: a width for ``herding``.

    Duplicates do not count as neighbors, because a pool in which every row occurs five times would have the width 0.

    Args:
        x: Rows, (N, D), finite.
        k: Number of neighbors, from 1. Rows with fewer neighbors count with their farthest one.
        rows: The rows whose distances decide, (B,); default: all.

    Returns:
        The width, in the unit of the rows; 1 if all rows are equal.

    Cost: O(B N D) time, memory of a block.
    """
    (x,), e = to_unit(x)
    kernel = rbf(Dense(x), 1.0)
    rows = torch.arange(len(x), device=x.device) if rows is None else rows
    points = kernel.prepare(Dense(x))
    found = [
        _kth_positive(kernel.sq_dists(points[part], points), min(k, len(x)))
        for part in rows.split(max(1, BLOCK_BYTES // (8 * len(x))))
    ]
    kth = torch.cat(found)
    kth = kth[kth > 0]
    return number_times_two_to(float(kth.median()) ** 0.5, e) if len(kth) else 1.0


def least_distance(x: Tensor) -> float:
    """The smallest distance between rows that differ, in the unit of the rows; 1 where all rows are equal or there are none.

    Cost: O(N^2 D) time, memory of a block.

    >>> least_distance(torch.tensor([[0.0], [0.0], [3.0], [5.0]]))
    2.0
    """
    if not len(x):
        return 1.0
    (x,), e = to_unit(x)
    kernel = rbf(Dense(x), 1.0)
    points = kernel.prepare(Dense(x))
    parts = torch.arange(len(x), device=x.device).split(max(1, BLOCK_BYTES // (8 * len(x))))
    nearest = torch.cat([_kth_positive(kernel.sq_dists(points[part], points), 1) for part in parts])
    nearest = nearest[nearest > 0]
    return number_times_two_to(float(nearest.min()) ** 0.5, e) if len(nearest) else 1.0


def _gamma(width: float, e: int) -> float:
    """The gamma of the kernel of this width for rows times 2^-e; never 0."""
    return max(number_times_two_to(width, -e) ** -2, 5e-324)


def _kth_positive(sq_dists: Tensor, k: int) -> Tensor:
    """The k-th smallest number above 0 of each row (B, M), else the largest, (B,)."""
    positive = sq_dists.masked_fill(sq_dists == 0, torch.inf)
    kth = positive.kthvalue(k, dim=1).values
    return torch.where(kth.isinf(), sq_dists.max(1).values, kth)


def _relative(weights: Tensor | None) -> Tensor | None:
    """The weights over the largest one; None where all are equal."""
    if weights is None or not len(weights):
        return None
    low, high = float(weights.min()), float(weights.max())
    if not (low >= 0 and high < float("inf")):
        raise InvalidInput(f"weights must be finite and at least 0, got numbers from {low} to {high}")
    return None if low == high else weights.double() / high


def _covered(similarity: Similarity, labeled: Tensor) -> Tensor:
    """The similarity of each row to its most similar labeled row, (N,)."""
    parts = labeled.split(max(1, BLOCK_BYTES // (8 * max(similarity.width, labeled.shape[1]))))
    return torch.stack([similarity.of(Dense(part)).max(0).values for part in parts]).max(0).values

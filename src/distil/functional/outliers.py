"""k-center without the rows that are far from everything."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.centers import k_center_with_gains
from distil.functional.features import Dense
from distil.functional.gains import RowsWithGains
from distil.functional.neighbors import nearest_points
from distil.functional.scale import times_two_to, to_unit

# Rows among which neighbors are searched.
_SAMPLE = 4096


def k_center_without_outliers(
    x: Tensor, n: int, share: float, generator: torch.Generator, *, centers: Tensor | None = None, n_neighbors: int = 10
) -> RowsWithGains:
    """``k_center_with_gains`` among the rows that are left when the most isolated ones are dropped.

    A row is the more isolated, the farther its ``n_neighbors``-th nearest other row is (Ramaswamy, Rastogi and Shim 2000). The
    picks are within a factor 2 of the best further centers for the rows that are left (Gonzalez 1985). For the k-center problem
    with outliers, where the rows to drop are unknown too, this is a heuristic: the greedy algorithm of known factor (3; Charikar,
    Khuller, Mount and Narasimhan 2001) compares all pairs of rows for each radius that it tries.

    Args:
        x: Rows, (N, D), finite.
        n: Number of rows to pick, from 1 to N.
        share: Share of the rows to drop, from 0 to below 1, rounded down; fewer are dropped where n rows would not be left.
        generator: CPU generator; in pools of more than 4,096 rows, neighbors are searched among 4,096 random rows.
        centers: Rows that are centers already, (M, D); default: none.
        n_neighbors: Number of neighbors, from 1. Groups of at most as many rows count as outliers.

    Returns:
        Rows in pick order and squared distances, as ``k_center_with_gains``; without centers the first pick is the first row left.

    Raises:
        InvalidInput: ``n`` or ``share`` is out of range.

    Cost: O(min(N, 4096) N D), then that of ``k_center_greedy``; a copy of the rows that are left.

    >>> x = torch.tensor([[0.0], [0.1], [0.2], [0.3], [99.0]])
    >>> k_center_without_outliers(x, 2, 0.2, torch.Generator(), n_neighbors=1).rows.tolist()
    [0, 3]
    """
    if not 1 <= n <= len(x):
        raise InvalidInput(f"n must be between 1 and {len(x):,}, the number of rows; got {n:,}")
    if not 0 <= share < 1:
        raise InvalidInput(f"share must be at least 0 and below 1, got {share}")
    dropped = min(int(share * len(x) + 1e-9), len(x) - n)
    left = torch.arange(len(x), device=x.device)
    if dropped:
        left = isolation(x, n_neighbors, generator).argsort(descending=True, stable=True)[dropped:].sort().values
    given = Dense(x[:0] if centers is None else centers.to(x.dtype))
    found = k_center_with_gains(Dense(x[left]), n, given)
    return RowsWithGains(left[found.rows], found.gains)


def isolation(x: Tensor, n_neighbors: int, generator: torch.Generator) -> Tensor:
    """Distance of each row to its ``n_neighbors``-th nearest other row, (N,) float64; arguments as above.

    The farthest other row where there are fewer; 0 for a single row.
    """
    (x,), e = to_unit(x)
    sample = torch.randperm(len(x), generator=generator)[:_SAMPLE].sort().values.to(x.device)
    k = min(n_neighbors + 1, len(sample))
    nearest = nearest_points(x, x[sample], k).sq_dists.sort(1).values
    kth = nearest[:, max(0, k - 2)].clone()
    kth[sample] = nearest[sample, k - 1]  # a row of the sample is the nearest of itself
    return times_two_to(kth.sqrt_(), e)

"""Greedy sampling for regression: rows far from the labeled ones, in what goes into a model, what comes out of it, or both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES, EXACT_TIE, Dense
from distil.functional.gains import RowsWithGains
from distil.functional.scale import exponent, largest, times_two_to

# Labeled rows that are compared at a time, and the width up to which their distances are computed difference by difference.
_LABELED, _NARROW = 64, 4


def greedy_sampling(spaces: Sequence[Tensor], n: int, labeled: Sequence[Tensor] | None = None) -> RowsWithGains:
    """Pick rows one by one, each the one whose distance to the nearest labeled or picked row is largest.

    Wu, Lin and Huang 2019, with the distance between inputs (GSx), that between predictions and labels (GSy), or the product of
    both (iGS), all with the formulas of the published code. The published methods label each pick before they choose the next one;
    here the prediction of a pick counts as its label.

    Args:
        spaces: One or more arrays of the same N rows, (N, D) each, whose distances are multiplied; predictions first.
        n: Number of rows to pick, from 1 to N.
        labeled: The same arrays for M labeled rows, with their labels in place of predictions, (M, D) each; default: none.

    Returns:
        Rows in pick order, the smaller row among equals within 1e-9. Their gains are these products when they were picked, infinite
        for a first pick without labels, which is the row nearest to the mean in the last space.

    Raises:
        InvalidInput: ``n`` is out of range, or the arrays of one set have different numbers of rows.

    Cost: O(N (M + n) D) time, O(N) memory beyond a float64 copy of the arrays.

    >>> predicted, labels = torch.tensor([[0.2], [0.9], [2.0]]), torch.tensor([[0.0], [1.0]])
    >>> greedy_sampling([predicted], 2, [labels]).rows.tolist()
    [2, 0]
    """
    labeled = [x[:0] for x in spaces] if labeled is None else labeled
    if len({len(x) for x in spaces}) != 1 or len({len(x) for x in labeled}) != 1:
        sizes = [len(x) for x in spaces], [len(x) for x in labeled]
        raise InvalidInput(f"expected as many rows in every array of a set, got {sizes[0]}, labeled {sizes[1]}")
    if not 1 <= n <= len(spaces[0]):
        raise InvalidInput(f"n must be between 1 and {len(spaces[0])}, the number of rows; got {n}")
    scaled = [_Space(x, known) for x, known in zip(spaces, labeled, strict=True)]
    dists = torch.full((len(spaces[0]),), torch.inf, dtype=torch.float64)
    for start in range(0, len(labeled[0]), _LABELED):
        part = slice(start, start + _LABELED)
        dists = torch.minimum(dists, _nearest(scaled, [space.labeled[part] for space in scaled]))
    rows: list[int] = []
    gains: list[float] = []
    while len(rows) < n:
        row = scaled[-1].central() if bool(dists[0].isposinf()) else _first_largest(dists)
        rows.append(row)
        gains.append(float(dists[row]))
        dists = torch.minimum(dists, _nearest(scaled, [space.x[slice(row, row + 1)] for space in scaled]))
        dists[row] = -1
    unit = sum(space.exponent for space in scaled)
    return RowsWithGains(torch.tensor(rows), times_two_to(torch.tensor(gains, dtype=torch.float64), unit))


class _Space:
    """Rows and labeled rows in float64, scaled by one power of two to numbers below 1."""

    def __init__(self, x: Tensor, labeled: Tensor) -> None:
        self.exponent = exponent(max(largest(x), largest(labeled)))
        self.x, self.labeled = (
            Dense(times_two_to(rows.double(), -self.exponent)).with_norms() for rows in (x, labeled)
        )

    def central(self) -> int:
        """The row nearest to the mean."""
        return _first_largest(-self.x.sq_dists(Dense(self.x.x.mean(0, keepdim=True)))[:, 0])


def _nearest(spaces: list[_Space], centers: list[Dense]) -> Tensor:
    """The smallest product of the distances of each row to the same center, (N,); ``centers``: m rows for each space."""
    step = max(1, BLOCK_BYTES // (8 * _NARROW * len(centers[0])))
    parts = []
    for start in range(0, len(spaces[0].x), step):
        product = torch.ones((), dtype=torch.float64)
        for space, to in zip(spaces, centers, strict=True):
            product = product * _dists(space.x[slice(start, start + step)], to)
        parts.append(product.amin(1))
    return torch.cat(parts)


def _dists(x: Dense, to: Dense) -> Tensor:
    """Distances, (B, m)."""
    narrow = x.x.shape[1] <= _NARROW
    dists: Tensor = torch.linalg.vector_norm(x.x[:, None] - to.x, dim=2) if narrow else x.sq_dists(to).sqrt_()
    return dists


def _first_largest(values: Tensor) -> int:
    """The first of the largest values, (N,), within rounding."""
    top = float(values.max())
    return int(torch.nonzero(values >= top - EXACT_TIE * abs(top))[0, 0])

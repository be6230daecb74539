"""Principal components: rows as fewer numbers that keep most of their distances."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distil.functional.features import BLOCK_BYTES
from distil.functional.nearest import mean_row
from distil.functional.scale import floating, times_two_to, to_unit


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of rows.

    Of all projections to k numbers, the one to these keeps most of the sum of squared distances between the rows.

    Attributes:
        origin: The mean of the rows times 2^-e, (D,) float64.
        axes: The components, one a column, (D, k) float64.
        e: Rows are projected at 2^-e times their scale.
        share: The share of the variance of the rows that they hold, from 0 to 1.
    """

    origin: Tensor
    axes: Tensor
    e: int
    share: float

    def of(self, rows: Tensor) -> Tensor:
        """Rows (B, D) as k numbers each, (B, k); cost: O(B D k), memory of a block besides.

        They are in the precision of the rows, or in float64 where rows are scaled: components of float32 may be beyond its range.
        """
        step = max(1, BLOCK_BYTES // (8 * max(1, rows.shape[1])))
        parts = [
            times_two_to((times_two_to(part.double(), -self.e) - self.origin) @ self.axes, self.e)
            for part in floating(rows).split(step)
        ]
        return torch.cat(parts) if self.e else torch.cat(parts).to(floating(rows[:0]).dtype)


def principal_components(x: Tensor, k: int) -> Components:
    """The first ``k`` principal components of rows.

    Args:
        x: The rows, (N, D), finite.
        k: Number of components, at most D.

    Cost: O(N D^2 + D^3); memory of D^2 numbers and a block.

    >>> found = principal_components(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), 1)
    >>> rows = found.of(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    >>> round(float((rows[1] - rows[0]).abs()), 4), found.share
    (5.0, 1.0)
    """
    (x,), e = to_unit(x)
    origin = mean_row(x)
    step = max(1, BLOCK_BYTES // (8 * max(1, x.shape[1])))
    moments = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
    for block in x.split(step):
        centered = block.double() - origin
        moments.addmm_(centered.T, centered)
    values, vectors = torch.linalg.eigh(moments)
    total = float(values.sum())
    share = min(1.0, float(values[-k:].sum()) / total) if total > 0 else 1.0
    return Components(origin.double(), vectors[:, -k:], e, share)

"""Rows that an algorithm picked one by one, with the gain of each."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class RowsWithGains:
    """Rows that were picked one by one, with the gain of each.

    Attributes:
        rows: Distinct rows in pick order, (n,) int64.
        gains: The gain of each row when it was picked, (n,) float64: the amount that it added to the value that a greedy maximizer
            raises, or the quantity that the docstring of another algorithm names.
    """

    rows: Tensor
    gains: Tensor

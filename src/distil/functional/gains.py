"""Rows that an algorithm chose one by one, and what each gained."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class RowsWithGains:
    """Rows that were picked one by one, and the number by which each was picked.

    Attributes:
        rows: (n,) int64, distinct, in the order picked.
        gains: (n,) float64, what each was worth when it was picked: what it added to the value that a greedy maximizer raises, or
            what else the function that picked it says.
    """

    rows: Tensor
    gains: Tensor

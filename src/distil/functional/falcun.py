"""FALCUN: uncertain rows whose predictions differ from those of the rows picked before."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.centers import draw
from distil.functional.gains import RowsWithGains
from distil.functional.scale import floating
from distil.functional.uncertainty import margin


def falcun(probs: Tensor, n: int, generator: torch.Generator, *, gamma: float = 10.0) -> RowsWithGains:
    """Draw rows one by one, with probability proportional to (uncertainty + distance)^gamma.

    Gilhuber, Beer, Ma and Seidl 2024, algorithm 1. The uncertainty of a row is 1 minus the margin of its probabilities. Its
    distance is the L1 distance of its probabilities to those of the nearest row picked before, at most its uncertainty, and scaled
    to [0, 1] over the rows that are left. Only probabilities are compared. (The published code leaves the uncertainty out of the
    sum unless it is called with another setting.)

    Args:
        probs: Class probabilities, (N, C), C >= 2.
        n: Number of rows to draw, from 1 to N.
        generator: CPU generator.
        gamma: Exponent, at least 0: 0 draws uniformly, a large one picks the largest.

    Returns:
        Rows in the order of the draw; their gains are uncertainty + distance when they were drawn, between 0 and 2.

    Raises:
        InvalidInput: ``n`` or ``gamma`` is out of range, or there are fewer than two classes.

    Cost: O(N C) a pick; memory of O(N).

    >>> probs = torch.tensor([[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]])
    >>> falcun(probs, 2, torch.Generator().manual_seed(0)).rows.tolist()
    [0, 1]
    """
    if not 1 <= n <= len(probs):
        raise InvalidInput(f"n must be between 1 and {len(probs):,}, the number of rows; got {n:,}")
    if not 0 <= gamma < float("inf"):
        raise InvalidInput(f"gamma must be a finite number from 0, got {gamma}")
    uncertainty = (1 - margin(probs).double()).clamp_min_(0)
    probs = floating(probs)
    nearest, left = uncertainty.clone(), torch.ones_like(uncertainty, dtype=torch.bool)
    rows: list[int] = []
    gains: list[float] = []
    for share in torch.rand(n, generator=generator, dtype=torch.float64).tolist():
        relevance = (uncertainty + _scaled(nearest, left)).masked_fill_(~left, 0)
        row = _drawn(relevance, left, gamma, share)
        rows.append(row)
        gains.append(float(relevance[row]))
        left[row] = False
        nearest = torch.minimum(nearest, torch.cdist(probs, probs[row : row + 1], p=1)[:, 0].double())
    return RowsWithGains(torch.tensor(rows), torch.tensor(gains, dtype=torch.float64))


def _scaled(values: Tensor, among: Tensor) -> Tensor:
    """Values (N,) scaled so that those ``among`` fill [0, 1]; 0 where these are all equal."""
    low = torch.where(among, values, torch.inf).min()
    high = torch.where(among, values, -torch.inf).max()
    return (values - low) / (high - low) if high > low else torch.zeros_like(values)


def _drawn(relevance: Tensor, left: Tensor, gamma: float, share: float) -> int:
    """A row that is left, drawn in proportion to relevance^gamma; uniformly where no relevance is above 0."""
    top = relevance.max()
    weights = (relevance / top) ** gamma if top > 0 else left.double()
    return draw(weights * left, share)

"""Several scores as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distil.errors import InvalidInput

MIXTURES = ("rank", "linear", "power")


def mixed(scores: Tensor, how: str, weights: Sequence[float] | None = None) -> Tensor:
    """One score from several, each brought to the range from 0 to 1 first.

    ``"rank"``: the mean of the ranks over N - 1, where equal scores share the mean of their ranks; the scales of the scores do not
    count. ``"linear"``: the mean of the scores, each minus its smallest over its range. ``"power"``: the product of these, each to
    the power of its weight; the smallest of any score then has 0. A score that is equal for all rows has no effect.

    Args:
        scores: The scores, (S, N), without NaN. Infinite ones count as the largest or smallest finite score.
        how: ``"rank"``, ``"linear"`` or ``"power"``.
        weights: The weight of each score, (S,), above 0; only their ratios count. Default: equal weights.

    Returns:
        A number from 0 to 1 for each row, (N,) float64; larger is better.

    Raises:
        InvalidInput: ``how`` is unknown, or the weights do not fit.

    Cost: O(S N log N) for ranks, else O(S N).

    >>> mixed(torch.tensor([[0.0, 1.0, 4.0], [2.0, 2.0, 1.0]]), "linear", [3, 1])
    tensor([0.2500, 0.4375, 0.7500], dtype=torch.float64)
    """
    if how not in MIXTURES:
        raise InvalidInput(f"how must be one of {', '.join(map(repr, MIXTURES))}, got {how!r}")
    shares = torch.ones(len(scores)) if weights is None else torch.as_tensor(weights)
    shares = shares.double()
    if len(shares) != len(scores) or not bool(((shares > 0) & shares.isfinite()).all()):
        raise InvalidInput(f"weights must be {len(scores)} numbers above 0, one for each score, got {weights}")
    shares = (shares / shares.sum())[:, None]
    unit = torch.stack([(_ranks if how == "rank" else _of_range)(row) for row in scores.double()])
    return unit.pow(shares).prod(0) if how == "power" else (unit * shares).sum(0)


def _of_range(scores: Tensor) -> Tensor:
    """The scores minus the smallest finite one, over their range; 1 where all are equal."""
    finite = scores[scores.isfinite()]
    if not len(finite):
        return (scores > 0).double()
    scores = scores.clamp(finite.min(), finite.max())
    scores = scores / scores.abs().max().clamp_min(torch.finfo(scores.dtype).tiny)  # so that the range is finite
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else torch.ones_like(scores)


def _ranks(scores: Tensor) -> Tensor:
    """The rank of each score from 0, over the largest rank."""
    _, places, counts = scores.unique(return_inverse=True, return_counts=True)
    ranks: Tensor = counts.cumsum(0) - counts + (counts - 1) / 2
    return ranks[places].double() / max(1, len(scores) - 1)

"""Stochastic acquisition: random noise on scores, so that a large selection of the best scores is less redundant.

Kirsch et al. 2023, Stochastic batch acquisition, section 3. Gumbel noise of scale 1/beta is added to a function of the scores.
The n largest sums are then a sample without replacement in which the next pick is, with probabilities proportional to

- ``power``: s^beta, for scores s from 0;
- ``softmax``: exp(beta s), for any scores, in their unit;
- ``softrank``: r^-beta, for any scores, with the rank r of a score, 1 for the largest.

A larger beta means less noise: at 0 the sample would be uniform, and towards infinity it becomes the largest scores.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from distil.errors import InvalidInput

_ROUNDING = 1e-6  # scores that are 0 may be below it by rounding


def gumbel(keys: Tensor) -> Tensor:
    """A draw from the standard Gumbel distribution for each key, (N,) float64: -ln(-ln u), with a u in (0, 1) for each key.

    Args:
        keys: Pseudorandom whole numbers, uniform over all of int64, (N,), as ``Rng.keys`` gives for ids. So the draw of an example
            depends on no other example.
    """
    uniform = (keys.numpy().view(np.uint64) >> np.uint64(12)).astype(np.float64)  # 52 bits; u is never 0 or 1
    return torch.from_numpy(-np.log(-np.log((uniform + 0.5) / 2.0**52)))


def power(scores: Tensor, beta: float, noise: Tensor) -> Tensor:
    """Ln s + noise / beta, (N,) float64; minus infinity where s is 0. Any positive factor of the scores changes no order.

    Args:
        scores: Scores of at least 0, (N,).
        beta: Concentration on large scores, above 0.
        noise: Standard Gumbel noise, (N,).

    Raises:
        InvalidInput: A score is negative, or NaN.
    """
    exact = _numbers(scores)
    if bool((exact < -_ROUNDING).any()):
        raise InvalidInput(
            f"power noise needs scores of at least 0, got {float(exact.min()):.3g}; use softmax or softrank"
        )
    return exact.clamp_min(0).log() + noise / beta


def softmax(scores: Tensor, beta: float, noise: Tensor) -> Tensor:
    """S + noise / beta, (N,) float64; the arguments are those of ``power``, without a bound on the scores."""
    return _numbers(scores) + noise / beta


def softrank(scores: Tensor, beta: float, noise: Tensor) -> Tensor:
    """-ln r + noise / beta, (N,) float64, with the rank r of each score; of equal scores, the smaller row has the smaller rank."""
    order = _numbers(scores).argsort(descending=True, stable=True)
    ranks = torch.empty(len(scores), dtype=torch.float64)
    ranks[order] = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    return noise / beta - ranks.log()


def _numbers(scores: Tensor) -> Tensor:
    exact = scores.double()
    if bool(exact.isnan().any()):
        raise InvalidInput(f"scores must be numbers, got NaN in {int(exact.isnan().sum())} of {len(exact)} rows")
    return exact

"""The share of a ceiling's gain over a baseline that a strategy reaches, with an interval over paired seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from distil.errors import InvalidInput
from distil.evaluation.resamples import reached_level, resamples, tail
from distil.evaluation.statistics import LEVEL, Floats, finite_array


@dataclass(frozen=True)
class GainShare:
    """(strategy - baseline) / (ceiling - baseline), of means over seeds.

    Attributes:
        share: The share; None where the ceiling is not above the baseline, so that there is no gain to share.
        low: Lower end of the interval, minus infinity if it has none; NaN with one seed.
        high: Upper end of the interval, infinity if it has none; NaN with one seed.
        level: Level of the interval; see ``distil.evaluation.resamples.reached_level``.
    """

    share: float | None
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Ceiling:
    """A ceiling and what strategies reach of it.

    Attributes:
        area: Its mean area under the curve.
        shares: Strategy -> the share of the ceiling's gain over the baseline that it reaches.
    """

    area: float
    shares: Mapping[str, GainShare]


def gain_share(values: ArrayLike, baseline: ArrayLike, ceiling: ArrayLike, level: float = LEVEL) -> GainShare:
    """The share of the gain with a bootstrap interval over paired seeds.

    Each resample draws the same seeds for all three. One in which the ceiling is not above the baseline says nothing, so it counts
    as unbounded on both sides, and the interval is open where too many resamples do.

    Args:
        values: The strategy's number for each seed, such as its area under the curve, (S,).
        baseline: The baseline's, for the same seeds, (S,).
        ceiling: The ceiling's, for the same seeds, (S,).
        level: Confidence level, in (0, 1).

    Raises:
        InvalidInput: The lengths differ or are 0, or a number is NaN or infinite.

    >>> gain_share([0.7, 0.8], [0.6, 0.7], [0.8, 0.9]).share
    0.5
    """
    named = {"values": values, "baseline": baseline, "ceiling": ceiling}
    own, other, top = (finite_array(name, given) for name, given in named.items())
    if own.ndim != 1 or not len(own) or not own.shape == other.shape == top.shape:
        raise InvalidInput(
            f"values, baseline and ceiling must have one number a seed, got shapes {own.shape}, {other.shape} and {top.shape}"
        )
    seeds = len(own)
    gained, most = own - other, top - other
    share = float(gained.mean() / most.mean()) if most.mean() > 0 else None
    if seeds == 1:
        return GainShare(share, math.nan, math.nan, reached_level(seeds, level))
    weights = resamples(seeds)
    lows, highs = _ratios(weights @ gained, weights @ most)
    out = tail(seeds, level)
    low, high = np.quantile(lows, out, method="lower"), np.quantile(highs, 1 - out, method="higher")
    return GainShare(share, float(low), float(high), reached_level(seeds, level))


def _ratios(gained: Floats, most: Floats) -> tuple[Floats, Floats]:
    """The smallest and the largest share that each resample allows; they are equal where it has a gain."""
    known = most > 0
    ratio = np.divide(gained, most, out=np.zeros_like(gained), where=known)
    return np.where(known, ratio, -math.inf), np.where(known, ratio, math.inf)

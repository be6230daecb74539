"""Bootstrap resamples of paired seeds, and the widened quantiles of their intervals."""

from __future__ import annotations

import functools
import math

import numpy as np

from distil.evaluation.statistics import Floats

_RESAMPLES = 4_000


@functools.cache
def resamples(seeds: int) -> Floats:
    """The share of each of S seeds in each of 4,000 resamples, which draw S seeds with replacement, (B, S); always the same."""
    return np.random.default_rng(0).multinomial(seeds, np.full(seeds, 1 / seeds), _RESAMPLES) / seeds


def tail(seeds: int, level: float) -> float:
    """The share of resamples to leave out on each side of an interval of this level.

    Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, section 5.3: the percentile interval is widened as much as
    Student's t widens the normal one, because with few seeds resamples vary too little.
    """
    from scipy.special import ndtr, stdtrit

    return float(ndtr(-math.sqrt(seeds / (seeds - 1)) * stdtrit(seeds - 1, (1 + level) / 2)))


def reached_level(seeds: int, level: float) -> float:
    """The level that an interval over so few seeds can have at most: no resample reaches beyond the seeds.

    It is 1 - 2^(1 - S), about the share of experiments whose S seeds are not all on one side of the truth.
    """
    return min(level, 1 - 2.0 ** (1 - seeds))

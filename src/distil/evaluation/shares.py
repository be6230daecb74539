"""Shares of successes: the exact interval of one, and the interval of a difference, both without SciPy."""

from __future__ import annotations

import math

import numpy as np

from distil.evaluation.statistics import LEVEL, Share, wilson_interval


def difference_of_shares(a: tuple[int, int], b: tuple[int, int], level: float = LEVEL) -> Share:
    """The difference of two independent shares, a minus b, and Newcombe's hybrid interval of it.

    Newcombe, "Interval estimation for the difference between independent proportions", 1998, method 10: the distances from the
    difference to the ends are the roots of the sums of squares of those of the two Wilson intervals.

    Args:
        a: Number of successes and of trials.
        b: The same of the other share.
        level: Confidence level, in (0, 1).
    """
    first, second = wilson_interval(*a, level), wilson_interval(*b, level)
    difference = first.share - second.share
    below = math.hypot(first.share - first.low, second.high - second.share)
    above = math.hypot(first.high - first.share, second.share - second.low)
    return Share(difference, difference - below, difference + above)


def exact_interval(successes: float, count: float, level: float = LEVEL) -> Share:
    """A share with its Clopper-Pearson interval, which holds the true share in at least ``level`` of cases, whatever that is.

    Its ends are quantiles of beta distributions, computed here by adding up their densities, to some 0.0001: the server of the
    labeling page imports no SciPy. Trials that are not independent may count as fewer, so the numbers need not be whole.

    Args:
        successes: Number of successes.
        count: Number of trials, above 0.
        level: Confidence level, in (0, 1).
    """
    tail, failures = (1 - level) / 2, count - successes
    low = _beta_quantile(successes, failures + 1, tail) if successes > 0 else 0.0
    high = _beta_quantile(successes + 1, failures, 1 - tail) if failures > 0 else 1.0
    return Share(successes / count, low, high)


def _beta_quantile(a: float, b: float, level: float) -> float:
    """The quantile of a beta distribution, whose density over the log odds t is proportional to e^(a t) / (1 + e^t)^(a + b)."""
    t = math.log(a / b) + 12 * math.sqrt(1 / a + 1 / b) * np.linspace(-1, 1, 4001)
    density = a * t - (a + b) * np.logaddexp(0, t)
    mass = np.exp(density - density.max())
    below = (mass.cumsum() - mass / 2) / mass.sum()
    return float(1 / (1 + np.exp(-np.interp(level, below, t))))

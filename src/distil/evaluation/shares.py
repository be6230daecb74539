"""Differences of shares of successes, with an interval in closed form."""

from __future__ import annotations

import math

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

"""How many times fewer labels than a baseline a strategy needs for a target, with an interval over paired seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from distil.errors import InvalidInput
from distil.evaluation.curves import Bound, first_reached, label_grid, starts_above
from distil.evaluation.resamples import reached_level, resamples, tail
from distil.evaluation.statistics import LEVEL, Floats, finite_array


@dataclass(frozen=True)
class Saving:
    """The labels that a baseline needs for a target divided by those that a strategy needs, of the mean curves.

    Attributes:
        ratio: The ratio, or its bound; None where nothing is known, because neither curve reaches the target.
        bound: ``""`` where the ratio is known; ``"at least"`` where only the strategy reaches the target, or starts above it;
            ``"at most"`` where only the baseline does.
        low: Lower end of the interval, 0 if it has none; NaN with one seed.
        high: Upper end of the interval, infinity if it has none; NaN with one seed.
        level: Level of the interval, lower with fewer than six seeds; see ``distil.evaluation.resamples.reached_level``.
    """

    ratio: float | None
    bound: Bound
    low: float
    high: float
    level: float


def labels_saved(
    labels: ArrayLike, values: ArrayLike, baseline_values: ArrayLike, target: float, level: float = LEVEL
) -> Saving:
    """The label efficiency for a target (Beck et al. 2021), with a bootstrap interval over paired seeds.

    Each of 4,000 resamples draws S seeds with replacement, the same for both strategies, and averages their curves. A resample in
    which the baseline does not reach the target gives a lower bound only, and one in which the strategy does not an upper bound
    only; the interval is open on a side where too many resamples have no bound. Where both curves start above the target, both
    have reached it before any selection, and the ratio is 1.

    The quantiles are those of ``distil.evaluation.resamples.tail``. The same curves give the same interval.

    Args:
        labels: Number of labels at each point, increasing, (P,).
        values: The strategy's metric, one row for each seed, (S, P).
        baseline_values: The baseline's metric on the same points and seeds, (S, P).
        target: The target, in the unit of the metric.
        level: Confidence level, in (0, 1).

    Raises:
        InvalidInput: The shapes do not match, labels do not increase, there is a NaN or an infinity, or ``level`` is out of range.
    """
    grid, goal = label_grid(labels), float(finite_array("target", target))
    own, other = finite_array("values", values), finite_array("baseline_values", baseline_values)
    if own.ndim != 2 or own.shape != other.shape or own.shape[1] != len(grid) or not len(own):
        raise InvalidInput(
            f"values and baseline_values must be (seeds, {len(grid)}), got shapes {own.shape} and {other.shape}"
        )
    if not 0 < level < 1:
        raise InvalidInput(f"level must be between 0 and 1, got {level}")
    seeds = len(own)
    least, most = (float(end[0]) for end in _ratios(grid, own.mean(axis=0)[None], other.mean(axis=0)[None], goal))
    ratio, bound = _known(least, most)
    reached = reached_level(seeds, level)
    if seeds == 1:
        return Saving(ratio, bound, math.nan, math.nan, reached)
    share = resamples(seeds)
    lows, highs = _ratios(grid, share @ own, share @ other, goal)
    out = tail(seeds, level)
    low, high = np.quantile(lows, out, method="lower"), np.quantile(highs, 1 - out, method="higher")
    return Saving(ratio, bound, float(low), float(high), reached)


def _ratios(grid: Floats, own: Floats, other: Floats, goal: float) -> tuple[Floats, Floats]:
    """The smallest and the largest ratio that mean curves (B, P) allow, (B,) each; they are equal where it is known."""
    at_once = starts_above(own, goal) & starts_above(other, goal)
    (mine_low, mine_high), (their_low, their_high) = (_needed(grid, curves, goal) for curves in (own, other))
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = their_low / mine_high, their_high / mine_low
    return np.where(at_once, 1, low), np.where(at_once, 1, high)


def _needed(grid: Floats, curves: Floats, goal: float) -> tuple[Floats, Floats]:
    """The smallest and the largest number of labels that mean curves (B, P) may need, (B,) each."""
    most = first_reached(grid, curves, goal)
    return np.where(np.isinf(most), grid[-1], np.where(starts_above(curves, goal), 0, most)), most


def _known(least: float, most: float) -> tuple[float | None, Bound]:
    if least == most:
        return least, ""
    if least > 0:
        return least, "at least"
    return (most, "at most") if most < math.inf else (None, "")

"""What further labels will bring: learning curves are fitted to the scores so far, and read further on.

Three families are fitted, see ``distil.evaluation.learning_curves``: no single one is right for all curves. The interval comes from
resamples of the curve. Each draws the seeds with replacement, and changes the signs of the residuals of the mean curve at random
(the wild bootstrap: early points, whose residuals are larger, keep theirs). What all families say of all resamples is the
distribution of the gain. With the noise of a single point added, it is that of the score that will be measured. The ends of the
intervals are quantiles.

Early on, no fit is reliable: on real curves, all families were worse than the last score until some 15 % of the horizon had been
seen. There, and where the families disagree, the answer is that the forecast cannot tell yet. The same holds where the scores fall,
as losses do: the families rise, and the best of them would be flat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from distil.errors import InvalidInput, as_share, counted, whole_number
from distil.evaluation.curves import label_grid
from distil.evaluation.learning_curves import FAMILIES, Family, fitted
from distil.evaluation.statistics import Floats, finite_array

LEVEL: Final = 0.8
"""Default level of the interval of a forecast."""
FEWEST: Final = 5
"""Number of points from which a curve is fitted: one more than the parameters of the largest family."""
SEEN: Final = 0.15
"""Share of the labels at the horizon that must have been given."""
DISAGREE: Final = 0.05
"""Difference of the families' scores at the horizon from which the forecast cannot tell."""
FALLING: Final = 5.0
"""Standard errors by which the slope of the scores is below 0 from which the forecast cannot tell: no family falls."""

_RESAMPLES: Final = 200  # for each family


@dataclass(frozen=True)
class Forecast:
    """A forecast of the score with more labels.

    Attributes:
        labels: Number of labels so far.
        more: Number of further labels.
        score: The score so far: the mean of the fitted curves at ``labels``, over the families.
        then: The same with ``more`` labels.
        low: Lower end of the interval of the score that will be measured then, which has noise.
        high: Upper end.
        gain: What the labels are worth: ``then`` minus ``score``.
        gain_low: Lower end of its interval.
        gain_high: Upper end.
        level: Level of the intervals.
        unknown: Why the forecast cannot tell yet, as the end of a sentence; None where it can.
    """

    labels: int
    more: int
    score: float
    then: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    level: float
    unknown: str | None

    def __str__(self) -> str:
        """A sentence.

        >>> print(Forecast(200, 50, 0.81, 0.822, 0.81, 0.834, 0.012, 0.005, 0.019, 0.8, None))
        the next 50 labels are worth +1.2 points (+0.5 to +1.9, 80 % interval)
        """
        if self.unknown is not None:
            return f"cannot tell yet what {counted(self.more, 'more label')} would bring: {self.unknown}"
        gain, low, high = (f"{100 * end:+.1f}" for end in (self.gain, self.gain_low, self.gain_high))
        return (
            f"the next {counted(self.more, 'label')} {'is' if self.more == 1 else 'are'} worth {gain} points "
            f"({low} to {high}, {100 * self.level:.0f} % interval)"
        )


def forecast(labels: ArrayLike, scores: ArrayLike, more: int, level: float = LEVEL) -> Forecast:
    """The score with ``more`` labels than a learning curve has.

    Args:
        labels: Number of labels at each point, increasing, (P,).
        scores: The scores, fractions in [0, 1], one row for each seed or fold, (S, P); larger is better.
        more: Number of further labels.
        level: Level of the interval, in (0, 1).

    Returns:
        The forecast. ``unknown`` says so if it cannot tell yet: with fewer than 5 points, before 15 % of the horizon, or where the
        families disagree by more than 5 points. Its numbers are then those of the last point.

    Raises:
        InvalidInput: The shapes do not match, labels are no whole numbers or do not increase, a score is not in [0, 1], or ``more``
            or ``level`` is out of range.
    """
    grid, rows = label_grid(labels), finite_array("scores", scores)
    if (grid % 1).any():
        raise InvalidInput(f"labels must be whole numbers, got {grid[grid % 1 > 0][0]:g}")
    if rows.ndim != 2 or rows.shape[1:] != grid.shape or not len(rows):
        raise InvalidInput(f"scores must be (seeds, {len(grid)}), one column for each point, got shape {rows.shape}")
    if rows.min() < 0 or rows.max() > 1:
        raise InvalidInput(
            f"scores must be fractions in [0, 1], got {rows.min():g} to {rows.max():g}; divide percentages by 100"
        )
    if whole_number(more, 1) is None:
        raise InvalidInput(f"more must be a whole number from 1, got {more!r}")
    level = as_share("level", level)
    last, now = int(grid[-1]), float(rows[:, -1].mean())
    unknown = _too_early(grid, more) or _falling(grid, rows.mean(axis=0))
    if unknown is None:
        found = _resampled(grid, rows, more)
        spread = 100 * float(np.ptp(found.then))
        if spread <= 100 * DISAGREE:
            ends = [(1 - level) / 2, (1 + level) / 2]
            (low, high), (least, most) = (np.quantile(own, ends).tolist() for own in (found.scores, found.gains))
            score, then = float(found.now.mean()), float(found.then.mean())
            return Forecast(last, more, score, then, low, high, then - score, least, most, level, None)
        unknown = f"the fitted curves differ by {spread:.0f} points there"
    return Forecast(last, more, now, now, 0.0, 1.0, 0.0, -now, 1 - now, level, unknown)


def _too_early(grid: Floats, more: int) -> str | None:
    if len(grid) < FEWEST:
        return f"it takes {FEWEST} points, and there {'is' if len(grid) == 1 else 'are'} {len(grid)}"
    if grid[-1] < SEEN * (grid[-1] + more):
        return f"{grid[-1]:,.0f} labels are less than {SEEN:.0%} of {grid[-1] + more:,.0f}"
    return None


def _falling(grid: Floats, mean: Floats) -> str | None:
    """Why a curve that falls, as losses do, has no forecast; by the line through the scores over the logarithm of the labels."""
    x, y = np.log(grid) - np.log(grid).mean(), mean - mean.mean()
    slope = (x @ y) / (x @ x)
    residual = y - slope * x
    error = np.sqrt(residual @ residual / (len(grid) - 2) / (x @ x))
    if slope >= 0 or -slope <= FALLING * error:
        return None
    return (
        f"the scores fall, from {mean[0]:.3f} to {mean[-1]:.3f}, and no learning curve does; of a loss or an error rate, forecast "
        "1 minus its value"
    )


class _Resampled(NamedTuple):
    """The scores of the fitted families now and then, (F,) each; draws of the score that is measured then, and of the gain."""

    now: Floats
    then: Floats
    scores: Floats
    gains: Floats


def _resampled(grid: Floats, rows: Floats, more: int) -> _Resampled:
    rng = np.random.default_rng(0)
    seeds = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), _RESAMPLES) / len(rows)
    ends = np.array([grid[-1], grid[-1] + more])
    parts = [_of_family(family, grid, rows, ends, seeds, rng) for family in FAMILIES.values()]
    return _Resampled(*(np.stack(part) for part in zip(*parts, strict=True)))


def _of_family(
    family: Family, grid: Floats, rows: Floats, ends: Floats, seeds: Floats, rng: np.random.Generator
) -> tuple[float, float, Floats, Floats]:
    """The scores of the family now and then, and R draws of the score that is measured then, and of the gain."""
    mean, points = rows.mean(axis=0), len(grid)
    best = fitted(family, grid, mean[None])
    curve = best(grid)[0]
    # least squares leaves residuals that are too small by the number of parameters
    residuals = (mean - curve) * np.sqrt(points / (points - min(len(family.axes) + 2, points - 1)))
    signs = rng.choice([-1.0, 1.0], (len(seeds), points))
    resamples = curve + signs * residuals + (seeds @ rows - mean)
    again = fitted(family, grid, np.concatenate([curve[None], resamples]), refined=False)(ends)
    now, then = best(ends)[0]
    thens, gains = again[:, 1], again[:, 1] - again[:, 0]
    noise = rng.choice(residuals[points // 2 :], len(seeds)) * rng.choice([-1.0, 1.0], len(seeds))
    # the first row is what the grid alone says of the curve itself, which is off by little
    scores = np.clip(thens[1:] + (then - thens[0]) + noise, 0, 1)
    return float(now), float(then), scores, gains[1:] + (then - now - gains[0])

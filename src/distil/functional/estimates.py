"""Means over a pool from the labels of few of its items: which items to draw, the estimate, and an interval that holds.

The pool has N items with values v_i in [0, 1], such as whether a model is right. The mean of all v_i is estimated from some of
them. The designs:

- *uniform*: items drawn at random without replacement. For values 0 and 1, the exact interval of a finite pool.
- *stratified*: the pool, in the order of an uncertainty, is cut into as many parts of equal size as there are draws, and one item
  is drawn from each. Every item is drawn with the same probability, but the draws spread over all degrees of uncertainty.
- *active*: draws with replacement, item i with probability q_i, larger where the model is less sure. A guess f_i of v_i takes the
  place of the values that are not known, and the draws correct it::

      mean(f) + mean over draws of (v_i - f_i) / (N q_i)

  Each term has the mean over the pool as its mean, whatever the guesses are: the estimate is unbiased, and good guesses only
  make it vary less (prediction-powered inference: Angelopoulos et al. 2023; with active draws, Zrnic and Candes, "Active
  statistical inference", 2024). With guesses of 0 it is the importance-weighted (Horvitz-Thompson) estimate. These papers draw each
  item at most once and use a normal interval; draws with replacement make the terms independent and equally distributed, so that
  betting bounds hold at every number of labels.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distil.errors import InvalidInput
from distil.functional.bounds import betting_bounds, binomial_bounds, finite_bounds

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

UNIFORM_PART: Final = 0.7
"""The part of the active draws that is uniform, which caps the weights of the draws at 1.43."""


class Estimate(NamedTuple):
    """A mean over a pool and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


# ---------------------------------------------------------------------------------------------------------------- designs


def active_chances(spread: Floats, uniform_part: float = UNIFORM_PART) -> Floats:
    """The probability of each item in an active draw, (N,): in proportion to ``spread``, mixed with the uniform distribution.

    With q_i in proportion to the standard deviation that v_i is expected to have, the estimate varies least. The uniform part
    bounds the weight 1 / (N q_i) of an item of which the model is wrongly sure.

    Args:
        spread: Numbers from 0 on, (N,): for a probability p of being right, sqrt(p (1 - p)).
        uniform_part: The part of the draws that is uniform, in (0, 1].

    >>> active_chances(np.array([0.0, 0.5, 0.5])).round(3).tolist()
    [0.233, 0.383, 0.383]
    """
    total, size = spread.sum(), len(spread)
    if not 0 < uniform_part <= 1 or not np.isfinite(total) or (spread < 0).any():
        raise InvalidInput("spread must be finite numbers from 0 on, and uniform_part a number above 0 and at most 1")
    uniform = np.full(size, 1 / size)
    return uniform if total == 0 else uniform_part * uniform + (1 - uniform_part) * spread / total


def active_draws(chances: Floats, points: Floats) -> Rows:
    """The rows of independent draws with these probabilities, (n,), in order; ``points`` are uniform random numbers in [0, 1)."""
    ends = chances.cumsum()
    return np.minimum(np.searchsorted(ends / ends[-1], points, side="right"), len(chances) - 1)


def stratified_draws(uncertainty: Floats, points: Floats) -> Rows:
    """The rows of a stratified sample, (n,), the surest item first: one draw from each of n equal parts of the pool.

    A part may begin or end within an item, which then belongs to two parts and may be drawn twice. So each draw has the same
    weight, and the mean of the draws has the mean over the pool as its mean.

    Args:
        uncertainty: What orders the pool, (N,).
        points: Uniform random numbers in [0, 1), one for each draw, (n,).

    >>> stratified_draws(np.array([0.3, 0.1, 0.2, 0.4]), np.array([0.0, 0.9])).tolist()
    [1, 3]
    """
    places = (np.arange(len(points)) + points) * (len(uncertainty) / len(points))
    order = np.argsort(uncertainty, kind="stable")
    return order[np.minimum(places.astype(np.int64), len(order) - 1)]


# -------------------------------------------------------------------------------------------------------------- estimates


def uniform_estimate(values: Floats, size: int, level: float = 0.95, *, sides: int = 2) -> Estimate:
    """The mean over a pool from items drawn at random without replacement.

    Args:
        values: The values of the items drawn, (n,), in [0, 1], in the order of the draws.
        size: Number of items in the pool.
        level: Confidence level, in (0, 1).
        sides: See :func:`distil.functional.bounds.betting_bounds`.

    Returns:
        The mean with the exact interval for values 0 and 1, else with betting bounds.
    """
    if _are_counts(values):
        bounds = finite_bounds(int(values.sum()), len(values), size, level, sides=sides)
    else:
        bounds = betting_bounds(values, level, size=size, sides=sides)
    return Estimate(float(values.mean()), *bounds)


def stratified_estimate(values: Floats, level: float = 0.95, *, sides: int = 2) -> Estimate:
    """The mean over a pool from stratified samples, as :func:`stratified_draws` makes them.

    The estimate varies less than that of uniform draws, and the interval is that of independent trials, which holds but does not
    show the gain; see :func:`distil.functional.bounds.binomial_bounds`.

    Args:
        values: The values of the items drawn, (n,), in [0, 1]; an item that was drawn twice counts twice.
        level: Confidence level, in (0, 1).
        sides: See :func:`distil.functional.bounds.betting_bounds`.
    """
    if _are_counts(values):
        bounds = binomial_bounds(int(values.sum()), len(values), level, sides=sides)
    else:
        bounds = betting_bounds(values, level, same_mean=False, sides=sides)
    return Estimate(float(values.mean()), *bounds)


def active_estimate(
    values: Floats, rows: Rows, guesses: Floats, chances: Floats, level: float = 0.95, *, sides: int = 2
) -> Estimate:
    """The mean over a pool from active draws and guesses of all values, with betting bounds; see the module.

    The terms of the estimate lie between their extremes over the whole pool, which the guesses and probabilities of all items
    give, so the bounds hold whatever the values of the items that were not drawn are. The guesses also give the spread that the
    terms would have if they were calibrated; where they are not, the interval is wider.

    Args:
        values: The values of the items drawn, (n,), in [0, 1]; an item that was drawn twice counts twice.
        rows: Their rows in the pool, (n,).
        guesses: A guess of the value of every item, (N,), in [0, 1], made without the labels of the draws; 0: no guesses.
        chances: The probability of each item in a draw, (N,), all above 0; they sum to 1.
        level: Confidence level, in (0, 1).
        sides: See :func:`distil.functional.bounds.betting_bounds`.

    Returns:
        The estimate and its interval, both cut off at 0 and 1.

    >>> chances = active_chances(np.array([0.1, 0.1, 0.4, 0.4]))
    >>> found = active_estimate(np.array([1.0, 0, 1]), np.array([0, 2, 3]), np.array([0.9, 0.9, 0.5, 0.5]), chances)
    >>> round(found.mean, 3), found.low < 0.6 < found.high
    (0.741, True)
    """
    if (chances <= 0).any() or abs(chances.sum() - 1) > 1e-6 or (guesses < 0).any() or (guesses > 1).any():
        raise InvalidInput("chances must be above 0 and sum to 1, and guesses lie in [0, 1]")
    weights, mean = 1 / (len(chances) * chances), guesses.mean()
    low = float((mean - guesses * weights).min())
    high = float((mean + (1 - guesses) * weights).max())
    terms = mean + (values - guesses[rows]) * weights[rows]
    spread = float(np.sqrt((weights * guesses * (1 - guesses)).mean()))
    bounds = betting_bounds(terms, level, low=low, high=high, spread=spread or None, sides=sides)
    found = np.clip([terms.mean(), *bounds], 0, 1).tolist()
    return Estimate(*found)


def _are_counts(values: Floats) -> bool:
    return bool(((values == 0) | (values == 1)).all())

"""Numbers about learning curves: intervals over seeds, areas, labels needed, and differences to a baseline.

Everything here is paired: row s of every strategy's curves comes from the same seed, hence from the same
split, initial pool, initial weights and minibatch order. Differences between strategies are then far less
noisy than the strategies themselves, and are what is tested.

Metrics are fractions in [0, 1]; a report turns them into percent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distil.errors import InvalidInput, nearest

Floats: TypeAlias = NDArray[np.float64]

LEVEL = 0.95
"""The level of every interval in a summary; the tests are at 1 - LEVEL."""

_REACHED = 1e-9  # a mean of seeds that is the target but for rounding has reached it


@dataclass(frozen=True, eq=False)
class Curves:
    """The learning curves of one strategy.

    Attributes:
        labels: The number of labels at each of the P points, increasing, (P,).
        values: The metric, in [0, 1], one row a seed, (S, P). Row s belongs to the same seed in every
            strategy that is compared.
    """

    labels: np.ndarray
    values: np.ndarray


class Interval(NamedTuple):
    """A mean over seeds and the ends of its confidence interval."""

    mean: Floats
    low: Floats
    high: Floats


class Difference(NamedTuple):
    """The mean of paired differences, the ends of its confidence interval, and its p-value."""

    mean: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, eq=False)
class Summary:
    """What the curves of one strategy say, alone and beside the baseline's.

    Attributes:
        name: The strategy.
        baseline: The strategy it is compared to; the baseline's own summary names itself.
        seeds: Number of seeds S.
        labels: The number of labels at each point, (P,).
        mean: The metric averaged over seeds, (P,).
        low: Lower end of its 95 % interval, (P,); NaN with one seed.
        high: Upper end, (P,).
        area: Mean over seeds of the area under the curve, see ``area_under_curve``.
        area_low: Lower end of its 95 % interval; NaN with one seed.
        area_high: Upper end.
        target: The value of the metric that ``labels_needed`` is about; None when none was asked for.
        labels_needed: See ``labels_to_reach``; None without a target.
        times_fewer: How many times fewer labels than the baseline, see ``label_efficiency``; None without a
            target.
        difference: This area minus the baseline's, paired by seed; None for the baseline itself.
    """

    name: str
    baseline: str
    seeds: int
    labels: Floats
    mean: Floats
    low: Floats
    high: Floats
    area: float
    area_low: float
    area_high: float
    target: float | None
    labels_needed: float | None
    times_fewer: float | None
    difference: Difference | None


def mean_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """The mean over seeds and its two-sided Student t interval, mean +- t(S - 1) s / sqrt(S).

    The interval is about the mean, not about a further run, and is pointwise: it does not hold for all points
    at once. It is not clipped to [0, 1].

    Args:
        values: One row a seed, (S, ...).
        level: Confidence level, in (0, 1).

    Returns:
        mean, low and high, each (...). With one seed low and high are NaN: one run says nothing about spread.

    Raises:
        InvalidInput: No seeds, a NaN or an infinity, or a level outside (0, 1).
    """
    rows = _finite("values", values)
    if rows.ndim == 0 or len(rows) == 0:
        raise InvalidInput(f"values needs at least one seed along its first axis, got shape {rows.shape}")
    if not 0 < level < 1:
        raise InvalidInput(f"level must be between 0 and 1, got {level}")
    count = len(rows)
    mean = np.asarray(rows.mean(axis=0))
    if count == 1:
        nothing = np.full_like(mean, np.nan)
        return Interval(mean, nothing, nothing)
    from scipy.special import stdtrit  # lazily: no other part of an experiment needs it

    error = np.asarray(rows.std(axis=0, ddof=1)) / np.sqrt(count)
    half = error * float(stdtrit(count - 1, (1 + level) / 2))
    return Interval(mean, mean - half, mean + half)


def area_under_curve(labels: ArrayLike, values: ArrayLike) -> Floats:
    """The mean of the metric over the points, one number a seed.

    Every point counts the same, the first and the last included. This differs from the trapezoid over the
    number of labels, scaled to [0, 1], which counts the two end points half and every gap by its width: with
    equal gaps the trapezoid is (mean - (first + last) / 2) / (P - 1) higher. Compare areas only between
    curves on the same points.

    Args:
        labels: The number of labels at each point, increasing, (P,).
        values: One row a seed, (S, P).

    Returns:
        (S,), in the unit of the metric.

    Raises:
        InvalidInput: Shapes that do not fit, labels that do not increase, a NaN or an infinity.
    """
    grid, rows = _grid(labels), _finite("values", values)
    if rows.ndim != 2 or rows.shape[1] != len(grid):
        raise InvalidInput(f"values must be (seeds, {len(grid)}), a column a point, got shape {rows.shape}")
    area: Floats = rows.mean(axis=1)
    return area


def labels_to_reach(labels: ArrayLike, mean_curve: ArrayLike, target: float) -> float:
    """The number of labels at which a curve first reaches a target, interpolated linearly between points.

    A curve that falls below the target again later has reached it all the same.

    Args:
        labels: The number of labels at each point, increasing, (P,).
        mean_curve: The metric, averaged over seeds, (P,).
        target: In the unit of the metric.

    Returns:
        A number of labels, not rounded; the first point's when the curve begins at or above the target, and
        infinity when it never gets there.

    Raises:
        InvalidInput: Shapes that do not fit, labels that do not increase, a NaN or an infinity.
    """
    grid, curve, goal = _grid(labels), _finite("mean_curve", mean_curve), float(_finite("target", target))
    if curve.shape != grid.shape:
        raise InvalidInput(f"mean_curve must have a value a point, {grid.shape}, got shape {curve.shape}")
    reached = np.flatnonzero(curve >= goal - _REACHED)
    if len(reached) == 0:
        return float("inf")
    at = int(reached[0])
    if at == 0:
        return float(grid[0])
    part = min((goal - curve[at - 1]) / (curve[at] - curve[at - 1]), 1.0)
    return float(grid[at - 1] + part * (grid[at] - grid[at - 1]))


def label_efficiency(baseline: float, strategy: float) -> float:
    """How many times fewer labels a strategy needs than the baseline: their ratio.

    The label efficiency of Beck et al., "Effective Evaluation of Deep Active Learning on Image Classification
    Tasks", 2021, arXiv:2106.15324.

    Args:
        baseline: Labels the baseline needs for the target, infinity when it never reaches it.
        strategy: Labels the strategy needs, likewise.

    Returns:
        Above 1 when the strategy needs fewer. Infinity when only the strategy gets there, 0 when only the
        baseline does, NaN when neither does: the ratio is then unknown, not 1.

    Raises:
        InvalidInput: A number of labels that is NaN, or not above 0.
    """
    for who, labels in (("baseline", baseline), ("strategy", strategy)):
        if not labels > 0:
            raise InvalidInput(f"labels needed by the {who} must be above 0, got {labels}")
    if np.isinf(baseline) and np.isinf(strategy):
        return float("nan")
    return float(baseline / strategy)


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = LEVEL) -> Difference:
    """The mean of a - b over seeds, its Student t interval, and the p-value of the paired t test.

    The test is two-sided, against a mean difference of 0; its p-value is below 1 - level exactly when the
    interval leaves 0 out. Nothing is corrected for testing several strategies.

    Args:
        a: One number a seed, (S,).
        b: One number a seed, (S,), in the same order of seeds.
        level: Confidence level, in (0, 1).

    Returns:
        mean, low, high and p. With one seed low, high and p are NaN. When all differences are equal, p is 1
        where they are 0 and 0 otherwise.

    Raises:
        InvalidInput: Different numbers of seeds, no seeds, a NaN or an infinity, or a level outside (0, 1).
    """
    left, right = _finite("a", a), _finite("b", b)
    if left.ndim != 1 or left.shape != right.shape:
        raise InvalidInput(
            f"a and b must have one number a seed, for the same seeds, got shapes {left.shape}, {right.shape}"
        )
    difference = left - right
    # What only rounding left over would be tested as if it were measured.
    difference[np.abs(difference) <= 1e-12 * np.maximum(np.abs(left), np.abs(right))] = 0.0
    mean, low, high = (float(x) for x in mean_interval(difference, level))
    return Difference(mean, low, high, _p_value(difference))


def summarize(
    curves: Mapping[str, Curves], *, baseline: str = "random_sampling", target: float | None
) -> list[Summary]:
    """Sum up the curves of several strategies, each beside the baseline.

    Args:
        curves: Each strategy's curves, all on the same points and from the same seeds in the same order.
        baseline: The strategy that the others are compared to.
        target: The value of the metric, in (0, 1], for which the labels needed are counted; None to leave
            that out.

    Returns:
        One summary a strategy: the baseline's first, the others' in the order of ``curves``.

    Raises:
        InvalidInput: The baseline is not among the curves, the target is not in (0, 1], or a strategy's
            curves are not finite, not in [0, 1], on other points or from another number of seeds than the
            baseline's.
    """
    if baseline not in curves:
        hint = nearest(baseline, curves)
        known = ", ".join(map(repr, curves)) or "none"
        raise InvalidInput(f"the baseline {baseline!r} is not among the curves{hint}; there are: {known}")
    if target is not None and not 0 < target <= 1:
        raise InvalidInput(f"target must be a fraction in (0, 1], such as 0.94 for 94 %, got {target}")
    order = [baseline, *(name for name in curves if name != baseline)]
    checked = {name: _checked(name, curves[name]) for name in order}
    first = checked[baseline]
    for name in order[1:]:
        _check_pairing(name, checked[name], baseline, first)
    return [_summary(name, checked[name], baseline, first, target) for name in order]


def _summary(name: str, own: Curves, baseline: str, other: Curves, target: float | None) -> Summary:
    curve = mean_interval(own.values)
    areas = area_under_curve(own.labels, own.values)
    area = mean_interval(areas)
    difference = None
    if name != baseline:
        difference = paired_difference(areas, area_under_curve(other.labels, other.values))
    needed = times = None
    if target is not None:
        needed = labels_to_reach(own.labels, curve.mean, target)
        times = label_efficiency(labels_to_reach(other.labels, other.values.mean(axis=0), target), needed)
    return Summary(
        name=name,
        baseline=baseline,
        seeds=len(own.values),
        labels=own.labels,
        mean=curve.mean,
        low=curve.low,
        high=curve.high,
        area=float(area.mean),
        area_low=float(area.low),
        area_high=float(area.high),
        target=target,
        labels_needed=needed,
        times_fewer=times,
        difference=difference,
    )


def _p_value(difference: Floats) -> float:
    """The p-value of Student's one-sample t test against 0, two-sided."""
    count = len(difference)
    if count < 2:
        return float("nan")
    mean, spread = difference.mean(), difference.std(ddof=1)
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    from scipy.special import stdtr

    return float(2 * stdtr(count - 1, -abs(mean) * np.sqrt(count) / spread))


def _finite(what: str, values: ArrayLike) -> Floats:
    """``values`` as float64, refused when they are not numbers or not finite."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{what} must be numbers in rows of equal length: {error}") from error
    if not np.isfinite(array).all():
        raise InvalidInput(f"{what} must be finite, got {np.count_nonzero(~np.isfinite(array))} NaN or infinite")
    return array


def _grid(labels: ArrayLike, what: str = "labels") -> Floats:
    """The numbers of labels as float64, (P,), refused unless there are some, all above 0 and increasing."""
    grid = _finite(what, labels)
    if grid.ndim != 1 or len(grid) == 0:
        raise InvalidInput(f"{what} must be one number a point, (points,), got shape {grid.shape}")
    if grid[0] <= 0 or (np.diff(grid) <= 0).any():
        raise InvalidInput(f"{what} must be above 0 and increase from point to point, got {grid.tolist()}")
    return grid


def _checked(name: str, curves: Curves) -> Curves:
    """The same curves in float64, refused with the strategy's name when they cannot be right."""
    grid = _grid(curves.labels, f"{name}: labels")
    values = _finite(f"{name}: values", curves.values)
    if values.ndim != 2 or len(values) == 0 or values.shape[1] != len(grid):
        raise InvalidInput(f"{name}: values must be (seeds, {len(grid)}), a row a seed, got shape {values.shape}")
    if values.min() < 0 or values.max() > 1:
        raise InvalidInput(
            f"{name}: values must be fractions in [0, 1], got {values.min():g} to {values.max():g}; "
            "divide percentages by 100"
        )
    return Curves(grid, values)


def _check_pairing(name: str, own: Curves, baseline: str, other: Curves) -> None:
    """Refuse curves that cannot be compared point by point and seed by seed."""
    if not np.array_equal(own.labels, other.labels):
        raise InvalidInput(
            f"{name}: measured at {own.labels.tolist()} labels, but {baseline} at {other.labels.tolist()}; "
            "keep the points that all strategies share"
        )
    if len(own.values) != len(other.values):
        raise InvalidInput(
            f"{name}: {len(own.values)} seeds, but {baseline} has {len(other.values)}; "
            "strategies are compared seed by seed, keep the seeds that all of them share"
        )

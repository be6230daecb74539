"""Numbers about learning curves: areas, labels needed, and how many labels they save against another curve.

Metrics are fractions in [0, 1]; a report turns them into percent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from distil.errors import InvalidInput
from distil.evaluation.statistics import Floats, finite_array

Budget = Literal["points", "linear", "log"]
"""What an area is over: see ``area_under_curve``."""

SHARES = (0.9, 0.95, 0.99)
"""Shares of the full-data accuracy that are worth counting labels for."""

_REACHED = 1e-9  # a mean of seeds that is the target but for rounding has reached it


@dataclass(frozen=True, eq=False)
class Curves:
    """The learning curves of one strategy.

    Attributes:
        labels: The number of labels at each of the P points, increasing, (P,).
        values: The metric, in [0, 1], one row a seed, (S, P). Row s belongs to the same seed in every
            strategy that is compared.
        seeds: The seeds of the rows, (S,), so that a comparison can see that they are the same; None where they are not known.
    """

    labels: np.ndarray
    values: np.ndarray
    seeds: Sequence[int] | None = None


@dataclass(frozen=True)
class Bounds:
    """Reference lines for learning curves, means over seeds, in the unit of the metric.

    Attributes:
        full: The model trained on the whole labeled pool; None where it was not.
        majority: Always the class that is most frequent in the pool; see ``metrics.majority_accuracy``.
    """

    full: float | None
    majority: float

    def __post_init__(self) -> None:
        for name, value in (("full", self.full), ("majority", self.majority)):
            if value is not None and not 0 <= value <= 1:
                raise InvalidInput(f"{name} must be a fraction in [0, 1], got {value}")


@dataclass(frozen=True)
class Reach:
    """The labels that a curve needs for a share of the full-data accuracy.

    Attributes:
        share: Of the full-data accuracy.
        target: That share, in the unit of the metric.
        labels: Labels needed, interpolated; infinity when the curve never gets there.
        last: Labels at the end of the curve.
    """

    share: float
    target: float
    labels: float
    last: float

    @property
    def reached(self) -> bool:
        """Whether the curve gets there."""
        return self.labels < np.inf

    def __str__(self) -> str:
        """In words.

        >>> print(Reach(0.95, 0.9025, float("inf"), 420.0))
        95 % of the full-data accuracy (90.2 %): not reached with 420 labels
        """
        needed = f"{np.ceil(np.round(self.labels, 6)):.0f} labels" if self.reached else "not reached with "
        needed += "" if self.reached else f"{self.last:g} labels"
        return f"{100 * self.share:g} % of the full-data accuracy ({100 * self.target:.1f} %): {needed}"


@dataclass(frozen=True, eq=False)
class Efficiency:
    """How many labels a strategy saves against a baseline, at each of its points.

    Attributes:
        labels: The strategy's points, (P,).
        value: The best mean that it has reached by then, (P,).
        baseline_labels: Labels with which the baseline's mean first reaches that; infinity where it never does, (P,).
        ratio: ``baseline_labels`` / labels with which the strategy first reached it: above 1 where it needs fewer, infinity
            where the baseline never gets there, (P,).
        at_least: The same, but where the baseline never gets there the largest ratio that is known: it needs more than its
            last number of labels, (P,).
    """

    labels: Floats
    value: Floats
    baseline_labels: Floats
    ratio: Floats
    at_least: Floats


def area_under_curve(labels: ArrayLike, values: ArrayLike, budget: Budget = "points") -> Floats:
    """The mean of the metric over the budget, one number a seed.

    - ``points``: every point counts the same, the first and the last included.
    - ``linear``: the trapezoid over the number of labels, divided by its range: the area under the budget curve (Zhan et al.,
      "A Comparative Survey: Benchmarking for Pool-based Active Learning", 2021). End points count half and every gap by its
      width: with equal gaps it is (mean - (first + last) / 2) / (P - 1) above ``points``.
    - ``log``: the trapezoid over the logarithm of the number of labels, divided by its range: each doubling counts the
      same, so that small budgets are not drowned by large ones.

    Compare areas only between curves on the same points.

    Args:
        labels: The number of labels at each point, increasing, (P,). With one point every area is its value.
        values: One row a seed, (S, P).
        budget: Which of the three.

    Returns:
        (S,), in the unit of the metric.

    Raises:
        InvalidInput: Shapes that do not fit, labels that do not increase, a NaN or an infinity (a missing round is one), or
            another budget.
    """
    grid, rows = label_grid(labels), finite_array("values", values)
    if rows.ndim != 2 or rows.shape[1] != len(grid):
        raise InvalidInput(f"values must be (seeds, {len(grid)}), a column a point, got shape {rows.shape}")
    if budget not in ("points", "linear", "log"):
        raise InvalidInput(f"budget must be 'points', 'linear' or 'log', got {budget!r}")
    if budget == "points" or len(grid) == 1:
        area: Floats = rows.mean(axis=1)
        return area
    x = np.log(grid) if budget == "log" else grid
    gaps = np.diff(x) / (x[-1] - x[0])
    return np.asarray((rows[:, 1:] + rows[:, :-1]) / 2 @ gaps)


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
    grid, goal = label_grid(labels), float(finite_array("target", target))
    curve = _mean_curve("mean_curve", mean_curve, grid)
    reached = np.flatnonzero(curve >= goal - _REACHED)
    if len(reached) == 0:
        return float("inf")
    at = int(reached[0])
    if at == 0:
        return float(grid[0])
    part = min((goal - curve[at - 1]) / (curve[at] - curve[at - 1]), 1.0)
    return float(grid[at - 1] + part * (grid[at] - grid[at - 1]))


def labels_for_shares(
    labels: ArrayLike, mean_curve: ArrayLike, full: float, shares: Sequence[float] = SHARES
) -> tuple[Reach, ...]:
    """The labels needed for shares of the accuracy that the whole labeled pool gives.

    Args:
        labels: The number of labels at each point, increasing, (P,).
        mean_curve: The metric, averaged over seeds, (P,).
        full: The metric of a model trained on the whole pool, averaged over seeds, in (0, 1].
        shares: Each above 0; one above 1 asks for more than the whole pool gave.

    Returns:
        One for each share; printed, it says in words what was not reached.

    Raises:
        InvalidInput: As ``labels_to_reach``, or a full-data accuracy or share out of range.
    """
    if not 0 < full <= 1:
        raise InvalidInput(f"full must be a fraction in (0, 1], got {full}")
    if not all(share > 0 for share in shares):
        raise InvalidInput(f"shares must be above 0, got {list(shares)}")
    last = float(label_grid(labels)[-1])
    return tuple(Reach(s, s * full, labels_to_reach(labels, mean_curve, s * full), last) for s in shares)


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


def efficiency_curve(labels: ArrayLike, mean_curve: ArrayLike, baseline_curve: ArrayLike) -> Efficiency:
    """The label efficiency (Beck et al. 2021) at each point of a strategy's mean curve.

    At every point the question is how many labels the baseline needs for the best mean that the strategy has reached by
    then, and how many the strategy needed; both by ``labels_to_reach``, so the baseline beside itself has a ratio of 1
    everywhere, however bumpy. Where the strategy is below the baseline's first point the ratio is too large, as the
    baseline would have got there with fewer labels than were tried.

    Args:
        labels: The number of labels at each point, increasing, (P,).
        mean_curve: The strategy's metric, averaged over seeds, (P,).
        baseline_curve: The baseline's, on the same points, (P,).

    Raises:
        InvalidInput: Shapes that do not fit, labels that do not increase, a NaN or an infinity.
    """
    grid = label_grid(labels)
    own, other = _mean_curve("mean_curve", mean_curve, grid), _mean_curve("baseline_curve", baseline_curve, grid)
    best = np.maximum.accumulate(own)
    mine = np.array([labels_to_reach(grid, own, value) for value in best])
    theirs = np.array([labels_to_reach(grid, other, value) for value in best])
    return Efficiency(grid, best, theirs, theirs / mine, np.minimum(theirs, grid[-1]) / mine)


def areas(curves: Mapping[str, Curves], budget: Budget = "points") -> dict[str, Floats]:
    """Each strategy's area under the curve, one number a seed, refused unless they are paired: what ``compare`` takes.

    Args:
        curves: Each strategy's curves, all on the same points and from the same seeds in the same order.
        budget: See ``area_under_curve``.

    Raises:
        InvalidInput: As ``paired``.
    """
    return {name: area_under_curve(own.labels, own.values, budget) for name, own in paired(curves).items()}


def paired(curves: Mapping[str, Curves]) -> dict[str, Curves]:
    """The same curves in float64, seen to be comparable point by point and seed by seed.

    Raises:
        InvalidInput: No curves, or a strategy's are not finite, not in [0, 1], on other points or from other seeds than the
            first strategy's.
    """
    if not curves:
        raise InvalidInput("there are no curves to compare")
    checked = {name: _checked(name, own) for name, own in curves.items()}
    first = next(iter(checked))
    for name, own in checked.items():
        _check_pairing(name, own, first, checked[first])
    return checked


def label_grid(labels: ArrayLike, what: str = "labels") -> Floats:
    """The numbers of labels as float64, (P,).

    Raises:
        InvalidInput: There are none, or they are not all above 0 and increasing; ``what`` names them.
    """
    grid = finite_array(what, labels)
    if grid.ndim != 1 or len(grid) == 0:
        raise InvalidInput(f"{what} must be one number a point, (points,), got shape {grid.shape}")
    if grid[0] <= 0 or (np.diff(grid) <= 0).any():
        raise InvalidInput(f"{what} must be above 0 and increase from point to point, got {grid.tolist()}")
    return grid


def _mean_curve(what: str, values: ArrayLike, grid: Floats) -> Floats:
    curve = finite_array(what, values)
    if curve.shape != grid.shape:
        raise InvalidInput(f"{what} must have a value a point, {grid.shape}, got shape {curve.shape}")
    return curve


def _checked(name: str, curves: Curves) -> Curves:
    """The same curves in float64, refused with the strategy's name when they cannot be right."""
    grid = label_grid(curves.labels, f"{name}: labels")
    values = finite_array(f"{name}: values", curves.values)
    if values.ndim != 2 or len(values) == 0 or values.shape[1] != len(grid):
        raise InvalidInput(f"{name}: values must be (seeds, {len(grid)}), a row a seed, got shape {values.shape}")
    if values.min() < 0 or values.max() > 1:
        raise InvalidInput(
            f"{name}: values must be fractions in [0, 1], got {values.min():g} to {values.max():g}; "
            "divide percentages by 100"
        )
    if curves.seeds is not None and len(curves.seeds) != len(values):
        raise InvalidInput(f"{name}: {len(curves.seeds)} seeds are named for {len(values)} rows of values")
    return Curves(grid, values, curves.seeds)


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
    if own.seeds is not None and other.seeds is not None and list(own.seeds) != list(other.seeds):
        raise InvalidInput(
            f"{name}: seeds {list(own.seeds)}, but {baseline} has {list(other.seeds)}; "
            "strategies are compared seed by seed, in the same order"
        )

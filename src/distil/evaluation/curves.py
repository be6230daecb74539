"""Learning curves in numbers: areas, labels needed to reach a target, and label efficiency against another curve.

Accuracies and other fractions are in [0, 1]; a report turns them into percent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distil.errors import InvalidInput
from distil.evaluation.statistics import Floats, finite_array
from distil.evaluation.units import FRACTION, Unit

Budget = Literal["points", "linear", "log"]
"""The axis of an area: see ``area_under_curve``."""

Bound = Literal["", "at least", "at most"]
"""What a number is where the exact value is not known: a lower or an upper bound. ``""``: it is exact."""

SHARES = (0.9, 0.95, 0.99)
"""Default shares of the full-data accuracy for which the labels needed are counted."""

_REACHED = 1e-9  # a mean over seeds that is below the target only by rounding has reached it


@dataclass(frozen=True, eq=False)
class Curves:
    """The learning curves of one strategy.

    Attributes:
        labels: Number of labels at each of the P points, increasing, (P,).
        values: The metric, in [0, 1] if it is a fraction, one row for each seed, (S, P). Row s belongs to the same seed in every
            strategy that is compared.
        seeds: The seeds of the rows, (S,), so that a comparison can check that they agree; None if they are unknown.
        unit: The unit of the metric.
    """

    labels: np.ndarray
    values: np.ndarray
    seeds: Sequence[int] | None = None
    unit: Unit = FRACTION


@dataclass(frozen=True)
class Bounds:
    """Reference lines for learning curves: means over seeds, in the unit of the metric.

    Attributes:
        full: The metric of a model trained on the whole labeled pool; None if there is no such model.
        majority: The metric of always predicting the most frequent class of the pool; see ``metrics.majority_accuracy``. None where
            there are no classes.
        unit: The unit of the metric.
    """

    full: float | None
    majority: float | None
    unit: Unit = FRACTION

    def __post_init__(self) -> None:
        for name, value in (("full", self.full), ("majority", self.majority)):
            if value is not None and self.unit.fraction and not 0 <= value <= 1:
                raise InvalidInput(f"{name} must be a fraction in [0, 1], got {value}")


@dataclass(frozen=True)
class Reach:
    """The labels that a curve needs to reach a share of the full-data accuracy.

    Attributes:
        share: The share of the full-data accuracy.
        target: The share times the full-data accuracy, in the unit of the metric.
        labels: Number of labels needed, interpolated; infinity if the curve never reaches the target.
        last: Number of labels at the end of the curve.
        at_once: Whether the curve starts above the target, so that ``labels`` is only an upper bound.
        unit: The unit of the metric.
        metric: The name of the metric.
    """

    share: float
    target: float
    labels: float
    last: float
    at_once: bool = False
    unit: Unit = FRACTION
    metric: str = "accuracy"

    @property
    def reached(self) -> bool:
        """Whether the curve reaches the target."""
        return self.labels < np.inf

    def __str__(self) -> str:
        """A line of text with the share, the target and the labels needed.

        >>> print(Reach(0.95, 0.9025, float("inf"), 420.0))
        95 % of the full-data accuracy (90.2 %): not reached with 420 labels
        """
        needed = f"not reached with {self.last:g} labels"
        if self.reached:
            needed = f"{'at most ' * self.at_once}{np.ceil(np.round(self.labels, 6)):.0f} labels"
        target = f"{self.unit.text(self.target)}{self.unit.mark}"
        return f"{100 * self.share:g} % of the full-data {self.metric} ({target}): {needed}"


@dataclass(frozen=True, eq=False)
class Efficiency:
    """Label efficiency of a strategy against a baseline at each point of its curve.

    Attributes:
        labels: Number of labels at each point, (P,).
        value: The best mean that the strategy has reached up to each point, (P,).
        baseline_labels: Labels with which the baseline's mean first reaches ``value``; infinity where it never does, (P,).
        ratio: ``baseline_labels`` divided by the labels with which the strategy first reached ``value``, (P,): above 1 where the
            strategy needs fewer, infinity where the baseline never reaches ``value``.
        at_least: The same as ``ratio``, (P,), but finite where the baseline never reaches ``value``: the bound that follows from
            its last number of labels.
        bound: What ``at_least`` is at each point, (P,): ``"at least"`` where the baseline never reaches ``value``, ``"at most"``
            where ``value`` is below the baseline's first point, and ``""`` where the ratio is known.
    """

    labels: Floats
    value: Floats
    baseline_labels: Floats
    ratio: Floats
    at_least: Floats
    bound: tuple[Bound, ...]


def area_under_curve(labels: ArrayLike, values: ArrayLike, budget: Budget = "points") -> Floats:
    """The mean of the metric over the budget for each seed, (S,).

    - ``points``: the mean over points; all points count the same, the first and the last included.
    - ``linear``: the trapezoid over the number of labels, divided by its range: the area under the budget curve (Zhan et al.,
      "A Comparative Survey: Benchmarking for Pool-based Active Learning", 2021). End points count half, and every gap counts by
      its width; with equal gaps, the area exceeds ``points`` by (mean - (first + last) / 2) / (P - 1).
    - ``log``: the trapezoid over the logarithm of the number of labels, divided by its range: each doubling counts the
      same, so large budgets do not outweigh small ones.

    Compare only areas of curves on the same points.

    Args:
        labels: Number of labels at each point, increasing, (P,). With one point, every area is the value there.
        values: The metric, one row for each seed, (S, P).
        budget: ``"points"``, ``"linear"`` or ``"log"``.

    Returns:
        Areas, (S,), in the unit of the metric.

    Raises:
        InvalidInput: The shapes do not match, labels do not increase, there is a NaN or an infinity (a missing round is NaN), or
            ``budget`` is none of the three.
    """
    grid, rows = label_grid(labels), finite_array("values", values)
    if rows.ndim != 2 or rows.shape[1] != len(grid):
        raise InvalidInput(f"values must be (seeds, {len(grid)}), one column for each point, got shape {rows.shape}")
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

    The curve may fall below the target again later.

    Args:
        labels: Number of labels at each point, increasing, (P,).
        mean_curve: The metric, averaged over seeds, (P,).
        target: The target, in the unit of the metric.

    Returns:
        A number of labels, not rounded: that of the first point if the curve starts at or above the target, and
        infinity if it never reaches the target.

    Raises:
        InvalidInput: The shapes do not match, labels do not increase, or there is a NaN or an infinity.
    """
    grid, goal = label_grid(labels), float(finite_array("target", target))
    return float(first_reached(grid, _mean_curve("mean_curve", mean_curve, grid)[None], goal)[0])


def first_reached(grid: Floats, curves: Floats, target: float) -> Floats:
    """``labels_to_reach`` of many curves (B, P) on the same points, (B,); the arguments are not checked."""
    reached = curves >= target - _REACHED
    after = reached.argmax(axis=1)
    before, rows = np.maximum(after - 1, 0), np.arange(len(curves))
    start, rise = curves[rows, before], curves[rows, after] - curves[rows, before]
    part = np.clip((target - start) / np.where(after > 0, rise, 1), 0, 1) * (after > 0)
    crossing = grid[before] + part * (grid[after] - grid[before])
    return np.where(reached.any(axis=1), crossing, np.inf)


def starts_above(curves: Floats, target: float) -> NDArray[np.bool_]:
    """Whether curves (..., P) are above a target at their first point, so that they may have reached it with fewer labels."""
    return np.asarray(curves[..., 0] > target + _REACHED)


def labels_for_shares(
    labels: ArrayLike,
    mean_curve: ArrayLike,
    full: float,
    shares: Sequence[float] = SHARES,
    *,
    unit: Unit = FRACTION,
    metric: str = "accuracy",
) -> tuple[Reach, ...]:
    """The labels needed to reach shares of the accuracy of a model trained on the whole pool.

    Args:
        labels: Number of labels at each point, increasing, (P,).
        mean_curve: The metric, averaged over seeds, (P,).
        full: The metric of a model trained on the whole pool, averaged over seeds, in (0, 1].
        shares: Shares of ``full``, each above 0; a share above 1 is a target above ``full``.
        unit: The unit of the metric, for texts; larger values are better.
        metric: The name of the metric, for texts.

    Returns:
        The labels needed for each share.

    Raises:
        InvalidInput: As ``labels_to_reach``, or ``full`` or a share is out of range.
    """
    if not 0 < full <= 1:
        raise InvalidInput(f"full must be a fraction in (0, 1], got {full}")
    if not all(share > 0 for share in shares):
        raise InvalidInput(f"shares must be above 0, got {list(shares)}")
    last = float(label_grid(labels)[-1])
    needed = [labels_to_reach(labels, mean_curve, s * full) for s in shares]
    curve = np.asarray(mean_curve)
    return tuple(
        Reach(s, s * full, own, last, bool(starts_above(curve, s * full)), unit, metric)
        for s, own in zip(shares, needed, strict=True)
    )


def label_efficiency(baseline: float, strategy: float) -> float:
    """Label efficiency: the baseline's labels needed divided by the strategy's.

    Beck et al., "Effective Evaluation of Deep Active Learning on Image Classification Tasks", 2021, arXiv:2106.15324.

    Args:
        baseline: Labels that the baseline needs to reach the target; infinity if it never does.
        strategy: Labels that the strategy needs to reach the target; infinity if it never does.

    Returns:
        A ratio, above 1 if the strategy needs fewer labels. Infinity if only the strategy reaches the target, 0 if only the
        baseline does, and NaN if neither does: the ratio is then unknown, not 1.

    Raises:
        InvalidInput: A number of labels is NaN or not above 0.
    """
    for who, labels in (("baseline", baseline), ("strategy", strategy)):
        if not labels > 0:
            raise InvalidInput(f"labels needed by the {who} must be above 0, got {labels}")
    if np.isinf(baseline) and np.isinf(strategy):
        return float("nan")
    return float(baseline / strategy)


def efficiency_curve(labels: ArrayLike, mean_curve: ArrayLike, baseline_curve: ArrayLike) -> Efficiency:
    """The label efficiency (Beck et al. 2021) at each point of a strategy's mean curve.

    At every point, the target is the best mean that the strategy has reached so far. The labels that the baseline and the
    strategy need are those of ``labels_to_reach``, so the baseline against itself has a ratio of 1 everywhere, however bumpy its
    curve is. Where the baseline never reaches the target, the ratio is only known to be at least that of its last number of
    labels. Where the target is below the baseline's first point, the ratio is at most that of its first number of labels: the
    baseline would have reached the target with fewer.

    Args:
        labels: Number of labels at each point, increasing, (P,).
        mean_curve: The strategy's metric, averaged over seeds, (P,).
        baseline_curve: The baseline's metric on the same points, averaged over seeds, (P,).

    Raises:
        InvalidInput: The shapes do not match, labels do not increase, or there is a NaN or an infinity.
    """
    grid = label_grid(labels)
    own, other = _mean_curve("mean_curve", mean_curve, grid), _mean_curve("baseline_curve", baseline_curve, grid)
    best = np.maximum.accumulate(own)
    mine = np.array([labels_to_reach(grid, own, value) for value in best])
    theirs = np.array([labels_to_reach(grid, other, value) for value in best])
    bounds: list[Bound] = [
        "at least" if never else "at most" if below else ""
        for never, below in zip(np.isinf(theirs), best < other[0] - _REACHED, strict=True)
    ]
    return Efficiency(grid, best, theirs, theirs / mine, np.minimum(theirs, grid[-1]) / mine, tuple(bounds))


def areas(curves: Mapping[str, Curves], budget: Budget = "points") -> dict[str, Floats]:
    """Each strategy's area under the curve for each seed, (S,), as scores for ``compare``.

    Args:
        curves: Each strategy's curves, all on the same points and from the same seeds in the same order.
        budget: The axis of the area, see ``area_under_curve``.

    Raises:
        InvalidInput: The curves are not comparable, see ``paired``.
    """
    return {name: area_under_curve(own.labels, own.values, budget) for name, own in paired(curves).items()}


def paired(curves: Mapping[str, Curves]) -> dict[str, Curves]:
    """The same curves in float64, after checking that they are comparable point by point and seed by seed.

    Raises:
        InvalidInput: There are no curves, or a strategy's curves are not finite, not in [0, 1], on other points or from other
            seeds than the first strategy's.
    """
    if not curves:
        raise InvalidInput("curves must hold at least one strategy, got none")
    checked = {name: _checked(name, own) for name, own in curves.items()}
    first = next(iter(checked))
    for name, own in checked.items():
        _check_pairing(name, own, first, checked[first])
    return checked


def label_grid(labels: ArrayLike, what: str = "labels") -> Floats:
    """The numbers of labels as float64, (P,).

    Raises:
        InvalidInput: There are none, or they are not above 0 and increasing; ``what`` names them in the message.
    """
    grid = finite_array(what, labels)
    if grid.ndim != 1 or len(grid) == 0:
        raise InvalidInput(f"{what} must hold one number for each point, (points,), got shape {grid.shape}")
    if grid[0] <= 0 or (np.diff(grid) <= 0).any():
        raise InvalidInput(f"{what} must be above 0 and increase from point to point, got {grid.tolist()}")
    return grid


def _mean_curve(what: str, values: ArrayLike, grid: Floats) -> Floats:
    curve = finite_array(what, values)
    if curve.shape != grid.shape:
        raise InvalidInput(f"{what} must hold one value for each point, {grid.shape}, got shape {curve.shape}")
    return curve


def _checked(name: str, curves: Curves) -> Curves:
    """The same curves in float64, after checking them alone; errors name the strategy."""
    grid = label_grid(curves.labels, f"{name}: labels")
    values = finite_array(f"{name}: values", curves.values)
    if values.ndim != 2 or len(values) == 0 or values.shape[1] != len(grid):
        raise InvalidInput(
            f"{name}: values must be (seeds, {len(grid)}), one row for each seed, got shape {values.shape}"
        )
    if curves.unit.fraction and (values.min() < 0 or values.max() > 1):
        raise InvalidInput(
            f"{name}: values must be fractions in [0, 1], got {values.min():g} to {values.max():g}; "
            "divide percentages by 100"
        )
    if curves.seeds is not None and len(curves.seeds) != len(values):
        raise InvalidInput(
            f"{name}: seeds must hold one seed for each of the {len(values)} rows, got {len(curves.seeds)}"
        )
    return Curves(grid, values, curves.seeds, curves.unit)


def _check_pairing(name: str, own: Curves, baseline: str, other: Curves) -> None:
    """Check that two strategies can be compared point by point and seed by seed."""
    if not np.array_equal(own.labels, other.labels):
        raise InvalidInput(
            f"{name}: measured at {own.labels.tolist()} labels, but {baseline} at {other.labels.tolist()}; "
            "keep the points that all strategies share"
        )
    if len(own.values) != len(other.values):
        raise InvalidInput(
            f"{name}: {len(own.values)} seeds, but {baseline} has {len(other.values)}; "
            "strategies are compared seed by seed; keep the seeds that all of them share"
        )
    if own.seeds is not None and other.seeds is not None and list(own.seeds) != list(other.seeds):
        raise InvalidInput(
            f"{name}: seeds {list(own.seeds)}, but {baseline} has {list(other.seeds)}; "
            "strategies are compared seed by seed; pass the same seeds in the same order"
        )

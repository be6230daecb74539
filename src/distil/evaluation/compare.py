"""Comparisons of strategies over paired seeds: each against a baseline, all pairs, and over several data sets.

::

    scores = areas(curves)                                  one score for each strategy and seed
    compare(scores, baseline="random_sampling")             tests, effect sizes, wins; p-values corrected for their number
    print(verdict(comparison))                              a comparison in a sentence
    penalty_matrix([curves, ...], baseline=...)             which strategy beats which, over rounds and data sets
    rank_test({strategy: a score for each data set})        ranks over five data sets or more

Accuracies and other fractions are in [0, 1]; a report turns them into percent. Of errors, smaller numbers are better.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from distil.errors import InvalidInput, nearest
from distil.evaluation.curves import Curves, area_under_curve, label_efficiency, labels_to_reach, paired
from distil.evaluation.labels_saved import Saving, labels_saved
from distil.evaluation.statistics import (
    ALPHA,
    LEVEL,
    Difference,
    Effect,
    Floats,
    Share,
    differences,
    effect_size,
    holm,
    mean_interval,
    paired_difference,
    paired_power,
    seeds_needed,
    share_interval,
    spread_interval,
    spread_of,
    t_test,
    wilcoxon,
)
from distil.evaluation.units import FRACTION, Unit

_NEARLY = 99.5  # percent; what would round to 100 is no certainty
_SEEDS_FOR_SPREAD = 3  # of two seeds, the interval of the number of seeds needed spans a factor of thousands

__all__ = [
    "LEVEL",
    "Comparison",
    "Curves",
    "Difference",
    "Floats",
    "PenaltyMatrix",
    "Summary",
    "compare",
    "p_text",
    "penalty_matrix",
    "plain",
    "summarize",
    "verdict",
]


@dataclass(frozen=True, eq=False)
class Summary:
    """Summary of one strategy's curves, alone and against the baseline.

    Attributes:
        name: The strategy.
        baseline: The strategy that it is compared with; a baseline's own summary names itself.
        seeds: Number of seeds S.
        labels: Number of labels at each point, (P,).
        mean: The metric averaged over seeds, (P,).
        low: Lower end of the mean's 95 % interval, (P,); NaN with one seed.
        high: Upper end of the mean's 95 % interval, (P,); NaN with one seed.
        area: Mean over seeds of the area under the curve, over points; see ``area_under_curve``.
        area_low: Lower end of the area's 95 % interval; NaN with one seed.
        area_high: Upper end of the area's 95 % interval; NaN with one seed.
        target: Value of the metric that ``labels_needed`` refers to; None without a target.
        labels_needed: Labels with which the mean curve reaches the target, see ``labels_to_reach``; None without a target.
        times_fewer: The baseline's labels needed divided by the strategy's, see ``label_efficiency``; None without a target.
        saving: The same with its bounds and interval, see ``labels_saved``; None without a target.
        difference: The area minus the baseline's, paired by seed; None for a baseline itself.
        unit: The unit of the metric.
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
    saving: Saving | None
    difference: Difference | None
    unit: Unit = FRACTION


@dataclass(frozen=True)
class Comparison:
    """Two strategies over paired seeds, as one of a family of comparisons that are corrected for their number.

    Attributes:
        strategy: The strategy.
        other: The strategy that it is compared with.
        seeds: Number of seeds S, at least 2.
        family: Number of comparisons made together.
        difference: The strategy's score minus the other's: mean, interval (95 % by default) and p-value of the paired t test,
            all uncorrected; without spread, no interval and the p-value of the sign test.
        spread: Standard deviation of the paired differences.
        p_holm: P-value of the paired t test, corrected by Holm's method.
        wilcoxon_p: P-value of Wilcoxon's signed-rank test, uncorrected.
        wilcoxon_holm: P-value of Wilcoxon's signed-rank test, corrected by Holm's method.
        effect: Cohen's d_z and its unbiased form.
        wins: Number of seeds with which the strategy scored better.
        ties: Number of seeds with which both scored the same.
        losses: Number of seeds with which the strategy scored worse.
        better: Share of seeds with which the strategy scored better, ties counting half, and its Jeffreys interval: an estimate
            of the chance that it beats the other with one more seed.
        unit: The unit of the scores.
    """

    strategy: str
    other: str
    seeds: int
    family: int
    difference: Difference
    spread: float
    p_holm: float
    wilcoxon_p: float
    wilcoxon_holm: float
    effect: Effect
    wins: int
    ties: int
    losses: int
    better: Share
    unit: Unit = FRACTION

    def outcome(self, alpha: float = ALPHA) -> Literal["win", "tie", "loss"]:
        """``"win"`` or ``"loss"`` of the strategy if the corrected t test finds a difference at this level, else ``"tie"``."""
        if not self.p_holm < alpha:
            return "tie"
        return "win" if self.unit.sign * self.difference.mean > 0 else "loss"


@dataclass(frozen=True, eq=False)
class PenaltyMatrix:
    """Pairwise wins: entry (row, column) counts the settings in which the row's strategy beats the column's.

    Attributes:
        strategies: Names of the k rows and columns.
        beats: Wins, (k, k), each between 0 and ``settings``: each setting adds the share of its rounds at which the row's strategy
            is significantly better.
        settings: Number of settings, for example data sets.
        alpha: Level of the tests, which are not corrected for their number.
    """

    strategies: tuple[str, ...]
    beats: Floats
    settings: int
    alpha: float

    @property
    def penalties(self) -> Floats:
        """Mean wins of the other strategies against each strategy, the mean of its column, (k,); lower is better."""
        return np.asarray(self.beats.sum(axis=0) / (len(self.strategies) - 1))

    def __str__(self) -> str:
        """The matrix as a table, with a note on how to read it."""
        numbers = [f"({i})" for i in range(1, len(self.strategies) + 1)]
        rows = [["row beats column", *numbers]]
        for i, (number, name) in enumerate(zip(numbers, self.strategies, strict=True)):
            rows.append([f"{number} {name}", *("-" if i == j else f"{x:.2f}" for j, x in enumerate(self.beats[i]))])
        rows.append(["mean of column", *(f"{x:.2f}" for x in self.penalties)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([f"{row[0]:<{widths[0]}}", *map(str.rjust, row[1:], widths[1:])]) for row in rows]
        plural = "s" * (self.settings > 1)
        note = (
            f"Row beats column: the share of rounds, summed over {self.settings} setting{plural}, at which the row's strategy is "
            f"better (paired t test, two-sided, level {self.alpha:g}, not corrected). A lower mean of a column is better."
        )
        return "\n".join([*lines, note])


def compare(
    scores: Mapping[str, ArrayLike],
    *,
    baseline: str | Mapping[str, str] | None = None,
    level: float = LEVEL,
    unit: Unit = FRACTION,
) -> tuple[Comparison, ...]:
    """Test strategies against each other by one score for each seed, corrected for the number of comparisons.

    Args:
        scores: Each strategy's score with each seed, (S,), in the same order of seeds, for example from ``areas``.
        baseline: The strategy that all others are compared with, or for each strategy the one that it is compared with; a strategy
            that is compared with nothing is its own. None compares all pairs.
        level: Confidence level of the intervals, in (0, 1).
        unit: The unit of the scores, which says whether larger or smaller ones are better.

    Returns:
        With a baseline, one comparison for each other strategy in the order of ``scores``; without, the pairs (first, second),
        (first, third), ...

    Raises:
        InvalidInput: Fewer than two strategies or two seeds, different numbers of seeds, a NaN or an infinity, or a baseline
            that is not in ``scores``.
    """
    others = None if baseline is None else _baselines(baseline, scores)
    if len(scores) < 2:
        raise InvalidInput(f"a comparison needs at least two strategies, got {len(scores)}")
    pairs = list(itertools.combinations(scores, 2))
    if others is not None:
        pairs = [(name, other) for name, other in others.items() if name != other]
    alone = [_alone(a, b, scores, level, unit) for a, b in pairs]
    corrected = zip(holm([c.p_holm for c in alone]), holm([c.wilcoxon_holm for c in alone]), strict=True)
    return tuple(
        replace(c, family=len(alone), p_holm=float(t), wilcoxon_holm=float(w))
        for c, (t, w) in zip(alone, corrected, strict=True)
    )


def verdict(comparison: Comparison, *, alpha: float = ALPHA, difference: float = 0.01, power: float = 0.8) -> str:
    """State the result of a comparison in a sentence.

    The t test, corrected for the number of comparisons, decides whether there is a difference; the sentence mentions it if the
    corrected Wilcoxon test disagrees. If there is no difference, the sentence gives the number of seeds that would find one
    of size ``difference`` at the level alpha / the number of comparisons, which is no less strict than the correction. Its 95 %
    interval is that of the spread, see ``spread_interval``. Two seeds, or differences that are all equal, do not show it. Of scores
    that are no fractions, no size is known that would matter, and the sentence gives no number of seeds.

    Args:
        comparison: A comparison that ``compare`` returned.
        alpha: Level of the tests.
        difference: A difference that would matter, as a fraction: 0.01 is one point.
        power: Chance of finding this difference, in [0.5, 1).

    Returns:
        A sentence without a period, for example "badge: no significant difference from random at 0.05 with 20 seeds (-0.12 points
        [-1.06, +0.82], p = 0.79); to see a difference of 1 point you need about 34 seeds (95 % interval 21 to 69)".

    Raises:
        InvalidInput: ``alpha``, ``difference`` or ``power`` is out of range.
    """
    other, seeds = plain(comparison.other), f"{comparison.seeds} seeds"
    if comparison.ties == comparison.seeds:
        return f"{plain(comparison.strategy)}: the same as {other} with all {seeds}"
    outcome = comparison.outcome(alpha)
    unit = comparison.unit
    mean, low, high = (unit.text(x, 2, signed=True, like=comparison.difference.mean) for x in comparison.difference[:3])
    points = " points" if unit.fraction else ""
    measured = f"({mean}{points} [{low}, {high}], {_p_values(comparison)})"
    if not comparison.spread:
        measured = f"({mean}{points} with each seed, {_p_values(comparison)}, by the sign test)"
    doubt = _doubt(comparison, alpha)
    if outcome != "tie":
        word = "better" if outcome == "win" else "worse"
        return f"{plain(comparison.strategy)}: significantly {word} than {other} at {alpha:g} with {seeds} {measured}{doubt}"
    needed = f"; {_needed(comparison, alpha, difference, power)}" if unit.fraction else ""
    return (
        f"{plain(comparison.strategy)}: no significant difference from {other} at {alpha:g} with {seeds} "
        f"{measured}{doubt}{needed}"
    )


def penalty_matrix(
    settings: Sequence[Mapping[str, Curves]], *, baseline: str | None = None, alpha: float = ALPHA
) -> PenaltyMatrix:
    """The pairwise penalty matrix over rounds and settings (data sets, budgets, models).

    Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds", 2020, section 5 and appendix E: in a
    setting with n rounds, 1 / n is added to (row, column) for each round at which a two-sided paired t test finds the row's
    strategy better. The paper's 2.776 is the critical value for 5 seeds; here it is the value for the number of seeds in the
    curves. Differences without spread are tested by their signs, see ``t_test``.

    Args:
        settings: Curves of the same strategies for each setting; within a setting, they must be comparable (see ``paired``).
        baseline: With a baseline, the rounds are those of the paper: after the 1st, 2nd, 4th, 8th, ... selection, up to the round
            at which the baseline's mean first reaches 99 % of its last value, because all curves are alike after it; the first
            selection always counts. Without a baseline, every round counts. Round 0, before any selection, never counts.
        alpha: Level of the tests, not corrected for their number.

    Raises:
        InvalidInput: There are no settings, a setting has other strategies than the first, there are fewer than two strategies,
            seeds or points, or curves are not comparable.
    """
    if not settings:
        raise InvalidInput("a penalty matrix needs at least one setting, got none")
    names = tuple(settings[0])
    beats = np.zeros((len(names), len(names)))
    for number, curves in enumerate(settings):
        if set(curves) != set(names):
            raise InvalidInput(f"setting {number} has strategies {sorted(curves)}, but setting 0 has {sorted(names)}")
        beats += _beats(paired({name: curves[name] for name in names}), baseline, alpha)
    return PenaltyMatrix(names, beats, len(settings), alpha)


def plain(strategy: str) -> str:
    """A strategy's name as sentences use it: "random" for ``random_sampling``."""
    return "random" if strategy == "random_sampling" else strategy


def p_text(p: float) -> str:
    """A p-value as tables print it: "0.012", "< 0.0001"."""
    return f"{p:.2g}" if p >= 0.0001 else "< 0.0001"


def summarize(
    curves: Mapping[str, Curves], *, baseline: str | Mapping[str, str] = "random_sampling", target: float | None
) -> list[Summary]:
    """Summarize the curves of several strategies, each against its baseline.

    Args:
        curves: Each strategy's curves, all on the same points and from the same seeds in the same order.
        baseline: The strategy that the others are compared with, or for each strategy the one that it is compared with; a strategy
            that is compared with nothing is its own.
        target: Value of the metric, in (0, 1], for which the labels needed are counted; None counts none.

    Returns:
        One summary for each strategy: the baseline's first (the first one's, if there are several), the others in the order of
        ``curves``.

    Raises:
        InvalidInput: The baseline is not among the curves, the target is not in (0, 1] or smaller values of the metric are better,
            or a strategy's curves are not finite, are fractions and not in [0, 1], or are on other points or from other seeds than
            the baseline's.
    """
    baselines = _baselines(baseline, curves)
    if target is not None and not 0 < target <= 1:
        raise InvalidInput(f"target must be a fraction in (0, 1], for example 0.94 for 94 %, got {target}")
    first = next(iter(baselines.values()))
    checked = paired({name: curves[name] for name in (first, *(name for name in curves if name != first))})
    if target is not None and not checked[first].unit.higher_is_better:
        raise InvalidInput("a target needs a metric whose larger values are better; pass target=None")
    return [_summary(name, own, baselines[name], checked[baselines[name]], target) for name, own in checked.items()]


def _baselines(baseline: str | Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """The strategy that each is compared with, in the order of ``names``."""
    given = dict.fromkeys(names, baseline) if isinstance(baseline, str) else {n: baseline.get(n, n) for n in names}
    for other in [baseline] if isinstance(baseline, str) else given.values():
        _check_known(other, names)
    return given


def _summary(name: str, own: Curves, baseline: str, other: Curves, target: float | None) -> Summary:
    curve = mean_interval(own.values)
    area = area_under_curve(own.labels, own.values)
    mean, low, high = (float(x) for x in mean_interval(area))
    difference = None
    if name != baseline:
        difference = paired_difference(area, area_under_curve(other.labels, other.values))
    needed = times = saving = None
    if target is not None:
        needed = labels_to_reach(own.labels, curve.mean, target)
        times = label_efficiency(labels_to_reach(other.labels, other.values.mean(axis=0), target), needed)
        saving = labels_saved(own.labels, own.values, other.values, target)
    return Summary(
        name=name,
        baseline=baseline,
        seeds=len(own.values),
        labels=own.labels,
        mean=curve.mean,
        low=curve.low,
        high=curve.high,
        area=mean,
        area_low=low,
        area_high=high,
        target=target,
        labels_needed=needed,
        times_fewer=times,
        saving=saving,
        difference=difference,
        unit=own.unit,
    )


def _alone(a: str, b: str, scores: Mapping[str, ArrayLike], level: float, unit: Unit) -> Comparison:
    """The comparison of ``a`` with ``b``, without correction."""
    try:
        difference = differences(scores[a], scores[b])
        effect = effect_size(scores[a], scores[b])
    except InvalidInput as error:
        raise InvalidInput(f"{a} and {b} cannot be compared: {error}") from error
    test, signed = paired_difference(scores[a], scores[b], level), wilcoxon(scores[a], scores[b])
    ahead, seeds = unit.sign * difference, len(difference)
    wins, losses = int((ahead > 0).sum()), int((ahead < 0).sum())
    ties = seeds - wins - losses
    return Comparison(
        strategy=a,
        other=b,
        seeds=seeds,
        family=1,
        difference=test,
        spread=spread_of(difference),
        p_holm=test.p,
        wilcoxon_p=signed,
        wilcoxon_holm=signed,
        effect=effect,
        wins=wins,
        ties=ties,
        losses=losses,
        better=share_interval(wins + ties / 2, seeds, level),
        unit=unit,
    )


def _p_values(c: Comparison) -> str:
    if c.family == 1:
        return f"p {_p(c.difference.p)}"
    return f"p {_p(c.difference.p)}, corrected for {c.family} comparisons p {_p(c.p_holm)}"


def _p(p: float) -> str:
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"


def _doubt(c: Comparison, alpha: float) -> str:
    """The part of a verdict on a Wilcoxon test that disagrees with the t test; empty if they agree."""
    if (c.p_holm < alpha) == (c.wilcoxon_holm < alpha):
        return ""
    if c.p_holm >= alpha:
        return f"; the Wilcoxon test finds one (p {_p(c.wilcoxon_holm)})"
    if c.family * 2.0 ** (1 - c.seeds) >= alpha:
        return "; too few seeds for the Wilcoxon test to confirm it"
    return f"; the Wilcoxon test does not confirm it (p {_p(c.wilcoxon_holm)})"


def _needed(c: Comparison, alpha: float, difference: float, power: float) -> str:
    points = f"{100 * difference:g} point{'s' * (difference != 0.01)}"
    each = alpha / c.family
    if not c.spread or c.seeds < _SEEDS_FOR_SPREAD:
        few = f"{c.seeds} seeds" if c.spread else "differences that are all equal"
        return f"{few} do not show how many seeds a difference of {points} takes"
    needed = seeds_needed(difference, c.spread, power=power, alpha=each)
    ends = spread_interval(c.spread, c.seeds)
    if needed > c.seeds:
        fewest, most = (seeds_needed(difference, end, power=power, alpha=each) for end in ends)
        return f"to see a difference of {points} you need about {needed:,} seeds (95 % interval {fewest:,} to {most:,})"
    low, chance, high = (
        100 * paired_power(difference / spread, c.seeds, each) for spread in (ends[1], c.spread, ends[0])
    )
    range_ = f"{low:.0f} to {_at_most_99(high)} %" if low < _NEARLY else "more than 99 %"
    return f"a difference of {points} would have been seen with a chance of {_at_most_99(chance)} % (95 % interval {range_})"


def _at_most_99(percent: float) -> str:
    return f"{percent:.0f}" if percent < _NEARLY else "> 99"


def _beats(curves: Mapping[str, Curves], baseline: str | None, alpha: float) -> Floats:
    """The share of rounds at which each strategy beats each other one in a setting, (k, k)."""
    values = np.stack([own.unit.sign * own.values for own in curves.values()])  # (k, S, P)
    if len(values) < 2 or values.shape[1] < 2 or values.shape[2] < 2:
        k, seeds, points = values.shape
        raise InvalidInput(
            f"a penalty matrix needs at least two strategies, two seeds and two points (the first before any selection), "
            f"got {k}, {seeds} and {points}"
        )
    rounds = np.arange(1, values.shape[2])
    if baseline is not None:
        _check_known(baseline, curves)
        rounds = _rounds_of_growth(curves[baseline].unit.sign * curves[baseline].values.mean(axis=0))
    beats = np.zeros((len(values), len(values)))
    for i, j in itertools.combinations(range(len(values)), 2):
        difference = differences(values[i][:, rounds], values[j][:, rounds])
        significant, ahead = t_test(difference) < alpha, difference.mean(axis=0) > 0
        beats[i, j], beats[j, i] = (significant & ahead).mean(), (significant & ~ahead).mean()
    return beats


def _rounds_of_growth(mean_curve: Floats) -> np.ndarray:
    """Rounds 1, 2, 4, 8, ... up to the round at which the curve first reaches 99 % of its last value; below 0, 1 % less."""
    near = (0.99 if mean_curve[-1] >= 0 else 1.01) * mean_curve[-1]
    last = max(int(np.flatnonzero(mean_curve >= near)[0]), 1)
    return 2 ** np.arange(last.bit_length())


def _check_known(baseline: str, names: Collection[str]) -> None:
    if baseline not in names:
        hint = nearest(baseline, names)
        known = ", ".join(map(repr, names)) or "none"
        raise InvalidInput(f"the baseline {baseline!r} is not among the strategies{hint}; there are: {known}")

"""Comparisons of strategies over paired seeds: each against a baseline, all pairs, and over several data sets.

::

    scores = areas(curves)                                  one number a seed for every strategy
    compare(scores, baseline="random_sampling")             tests, effect sizes, wins: corrected for their number
    print(verdict(comparison))                              the same in words
    penalty_matrix([curves, ...], baseline=...)             who beats whom, over rounds and data sets
    rank_test({strategy: a score for each data set})        five data sets or more

Metrics are fractions in [0, 1]; a report turns them into percent.
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
    spread_of,
    t_test,
    wilcoxon,
)

__all__ = [
    "LEVEL",
    "Comparison",
    "Curves",
    "Difference",
    "Floats",
    "PenaltyMatrix",
    "Summary",
    "compare",
    "penalty_matrix",
    "plain",
    "summarize",
    "verdict",
]


@dataclass(frozen=True, eq=False)
class Summary:
    """What the curves of one strategy say, alone and against the baseline's.

    Attributes:
        name: The strategy.
        baseline: The strategy it is compared to; the baseline's own summary names itself.
        seeds: Number of seeds S.
        labels: The number of labels at each point, (P,).
        mean: The metric averaged over seeds, (P,).
        low: Lower end of its 95 % interval, (P,); NaN with one seed.
        high: Upper end, (P,).
        area: Mean over seeds of the area under the curve, over points; see ``area_under_curve``.
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


@dataclass(frozen=True)
class Comparison:
    """Two strategies over paired seeds, as one of a family of comparisons that are corrected for their number.

    Attributes:
        strategy: The one that is looked at.
        other: The one that it is compared to.
        seeds: Number of seeds S, at least 2.
        family: Number of comparisons made together.
        difference: The strategy's score minus the other's: mean, 95 % interval and p-value of the paired t test, none of them
            corrected.
        spread: Standard deviation of the paired differences.
        p_holm: The p-value corrected by Holm's method.
        wilcoxon_p: Of Wilcoxon's signed-rank test, not corrected.
        wilcoxon_holm: That, corrected.
        effect: Cohen's d_z and its unbiased form.
        wins: Seeds with which the strategy scored higher.
        ties: Seeds with which both scored the same.
        losses: Seeds with which it scored lower.
        better: The share of seeds with which it scored higher, ties counting half, and its Jeffreys interval: the chance
            that it beats the other with one more seed.
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

    def outcome(self, alpha: float = ALPHA) -> Literal["win", "tie", "loss"]:
        """Whether the corrected t test finds a difference at this level, and to whose good."""
        if not self.p_holm < alpha:
            return "tie"
        return "win" if self.difference.mean > 0 else "loss"


@dataclass(frozen=True, eq=False)
class PenaltyMatrix:
    """Who beats whom: entry (row, column) counts the settings in which the row's strategy beats the column's.

    Attributes:
        strategies: Names of the k rows and columns.
        beats: (k, k), each entry between 0 and ``settings``: settings are counted by the share of their rounds at which the
            row is significantly better.
        settings: Number of settings, such as data sets.
        alpha: Level of the tests, which are not corrected for their number.
    """

    strategies: tuple[str, ...]
    beats: Floats
    settings: int
    alpha: float

    @property
    def penalties(self) -> Floats:
        """How much each strategy is beaten: the mean of its column over the other strategies, (k,); lower is better."""
        return np.asarray(self.beats.sum(axis=0) / (len(self.strategies) - 1))

    def __str__(self) -> str:
        """A table that says which way to read it."""
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
            f"better (paired t test, two-sided, {self.alpha:g}, not corrected). A lower mean of a column is better."
        )
        return "\n".join([*lines, note])


def compare(
    scores: Mapping[str, ArrayLike], *, baseline: str | None = None, level: float = LEVEL
) -> tuple[Comparison, ...]:
    """Test strategies against each other by one score a seed, corrected for the number of comparisons.

    Args:
        scores: Each strategy's score with each seed, (S,), in the same order of seeds: such as ``areas`` returns.
        baseline: The strategy that all others are compared to; None compares all pairs.
        level: Of the intervals.

    Returns:
        With a baseline the others in the order of ``scores``; without, the pairs (first, second), (first, third), ...

    Raises:
        InvalidInput: Fewer than two strategies or two seeds, different numbers of seeds, a NaN or an infinity, or a baseline
            that is not there.
    """
    if baseline is not None:
        _check_known(baseline, scores)
    if len(scores) < 2:
        raise InvalidInput(f"a comparison needs two strategies, got {len(scores)}")
    pairs = list(itertools.combinations(scores, 2))
    if baseline is not None:
        pairs = [(name, baseline) for name in scores if name != baseline]
    alone = [_alone(a, b, scores, level) for a, b in pairs]
    corrected = zip(holm([c.p_holm for c in alone]), holm([c.wilcoxon_holm for c in alone]), strict=True)
    return tuple(
        replace(c, family=len(alone), p_holm=float(t), wilcoxon_holm=float(w))
        for c, (t, w) in zip(alone, corrected, strict=True)
    )


def verdict(comparison: Comparison, *, alpha: float = ALPHA, difference: float = 0.01, power: float = 0.8) -> str:
    """What a comparison allows to be said, in a sentence.

    Whether there is a difference goes by the t test, corrected for the number of comparisons; where the corrected Wilcoxon
    test says otherwise, that is added. Where no difference is found, the sentence goes on with how many seeds would find one
    of ``difference``, at alpha / the number of comparisons, to be on the safe side of the correction.

    Args:
        comparison: What ``compare`` returned.
        alpha: Level of the tests.
        difference: A difference that would matter, as a fraction: 0.01 is a point.
        power: The chance with which it should be found.

    Returns:
        Such as "badge: no significant difference from random at 0.05 with 20 seeds (-0.12 points [-0.51, +0.27], p = 0.53); to
        see a difference of 1 point you need about 9 seeds".

    Raises:
        InvalidInput: A number out of range.
    """
    other, seeds = plain(comparison.other), f"{comparison.seeds} seeds"
    if comparison.ties == comparison.seeds:
        return f"{plain(comparison.strategy)}: the same as {other} with all {seeds}"
    outcome = comparison.outcome(alpha)
    mean, low, high = (f"{100 * x:+.2f}" for x in comparison.difference[:3])
    measured = f"({mean} points [{low}, {high}], {_p_values(comparison)})"
    doubt = _doubt(comparison, alpha)
    if outcome != "tie":
        word = "better" if outcome == "win" else "worse"
        return f"{plain(comparison.strategy)}: significantly {word} than {other} at {alpha:g} with {seeds} {measured}{doubt}"
    needed = _needed(comparison, alpha, difference, power)
    return (
        f"{plain(comparison.strategy)}: no significant difference from {other} at {alpha:g} with {seeds} "
        f"{measured}{doubt}; {needed}"
    )


def penalty_matrix(
    settings: Sequence[Mapping[str, Curves]], *, baseline: str | None = None, alpha: float = ALPHA
) -> PenaltyMatrix:
    """The pairwise penalty matrix over rounds and settings (data sets, budgets, models).

    Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds", 2020, section 5 and appendix E: in a
    setting with n rounds, 1 / n is added to (row, column) for each round at which a two-sided paired t test finds the row's
    strategy better. Their 2.776 is the critical value for 5 seeds; here it is that of the number of seeds there are. Differences
    without any spread count as significant unless they are 0.

    Args:
        settings: Each setting's curves, of the same strategies; see ``paired`` for what they must have in common.
        baseline: With a baseline the rounds are those of the paper, after the 1st, 2nd, 4th, 8th, ... selection, and no later
            than the baseline's mean first reaches 99 % of where it ends: beyond, everything is alike (the first selection
            counts in any case). Without, every round counts. Round 0, before any selection, never does.
        alpha: Level of the tests, not corrected for their number.

    Raises:
        InvalidInput: No settings, other strategies in one than in the first, fewer than two strategies, seeds or points, or
            curves that are not comparable.
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
    """A strategy's name in a sentence."""
    return "random" if strategy == "random_sampling" else strategy


def summarize(
    curves: Mapping[str, Curves], *, baseline: str = "random_sampling", target: float | None
) -> list[Summary]:
    """Sum up the curves of several strategies, each against the baseline.

    Args:
        curves: Each strategy's curves, all on the same points and from the same seeds in the same order.
        baseline: The strategy that the others are compared to.
        target: The value of the metric, in (0, 1], for which the labels needed are counted; None to leave
            that out.

    Returns:
        One summary a strategy: the baseline's first, the others' in the order of ``curves``.

    Raises:
        InvalidInput: The baseline is not among the curves, the target is not in (0, 1], or a strategy's
            curves are not finite, not in [0, 1], on other points or from other seeds than the baseline's.
    """
    _check_known(baseline, curves)
    if target is not None and not 0 < target <= 1:
        raise InvalidInput(f"target must be a fraction in (0, 1], such as 0.94 for 94 %, got {target}")
    order = [baseline, *(name for name in curves if name != baseline)]
    checked = paired({name: curves[name] for name in order})
    return [_summary(name, own, baseline, checked[baseline], target) for name, own in checked.items()]


def _summary(name: str, own: Curves, baseline: str, other: Curves, target: float | None) -> Summary:
    curve = mean_interval(own.values)
    area = area_under_curve(own.labels, own.values)
    mean, low, high = (float(x) for x in mean_interval(area))
    difference = None
    if name != baseline:
        difference = paired_difference(area, area_under_curve(other.labels, other.values))
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
        area=mean,
        area_low=low,
        area_high=high,
        target=target,
        labels_needed=needed,
        times_fewer=times,
        difference=difference,
    )


def _alone(a: str, b: str, scores: Mapping[str, ArrayLike], level: float) -> Comparison:
    """A comparison as if it were the only one."""
    try:
        difference = differences(scores[a], scores[b])
        effect = effect_size(scores[a], scores[b])
    except InvalidInput as error:
        raise InvalidInput(f"{a} and {b} cannot be compared: {error}") from error
    test, signed = paired_difference(scores[a], scores[b], level), wilcoxon(scores[a], scores[b])
    wins, losses, seeds = int((difference > 0).sum()), int((difference < 0).sum()), len(difference)
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
    )


def _p_values(c: Comparison) -> str:
    if c.family == 1:
        return f"p {_p(c.difference.p)}"
    return f"p {_p(c.difference.p)}, corrected for {c.family} comparisons p {_p(c.p_holm)}"


def _p(p: float) -> str:
    return f"= {p:.2g}" if p >= 0.0001 else "< 0.0001"


def _doubt(c: Comparison, alpha: float) -> str:
    """What there is to add where the two tests disagree, or where one of them cannot say anything."""
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
    needed = seeds_needed(difference, c.spread, power=power, alpha=each)
    if needed > c.seeds:
        return f"to see a difference of {points} you need about {needed} seeds"
    chance = paired_power(difference / c.spread, c.seeds, each) if c.spread else 1.0
    return f"a difference of {points} would have been seen with a chance of {100 * chance:.0f} %"


def _beats(curves: Mapping[str, Curves], baseline: str | None, alpha: float) -> Floats:
    """One setting's share of the matrix, (k, k)."""
    values = np.stack([own.values for own in curves.values()])  # (k, S, P)
    if len(values) < 2 or values.shape[1] < 2 or values.shape[2] < 2:
        k, seeds, points = values.shape
        raise InvalidInput(
            f"a penalty matrix needs two strategies, two seeds and two points (one before any selection), "
            f"got {k}, {seeds} and {points}"
        )
    rounds = np.arange(1, values.shape[2])
    if baseline is not None:
        _check_known(baseline, curves)
        rounds = _telling_rounds(curves[baseline].values.mean(axis=0))
    beats = np.zeros((len(values), len(values)))
    for i, j in itertools.combinations(range(len(values)), 2):
        difference = differences(values[i][:, rounds], values[j][:, rounds])
        found, ahead = t_test(difference) < alpha, difference.mean(axis=0) > 0
        beats[i, j], beats[j, i] = (found & ahead).mean(), (found & ~ahead).mean()
    return beats


def _telling_rounds(mean_curve: Floats) -> np.ndarray:
    """Rounds 1, 2, 4, 8, ... up to where the curve first reaches 99 % of its end."""
    last = max(int(np.flatnonzero(mean_curve >= 0.99 * mean_curve[-1])[0]), 1)
    return 2 ** np.arange(last.bit_length())


def _check_known(baseline: str, names: Collection[str]) -> None:
    if baseline not in names:
        hint = nearest(baseline, names)
        known = ", ".join(map(repr, names)) or "none"
        raise InvalidInput(f"the baseline {baseline!r} is not among the curves{hint}; there are: {known}")

"""Statistics of few paired seeds: intervals, tests, effect sizes, power, and ranks over data sets.

Number s of every strategy comes from the same seed, hence from the same split, initial pool, initial weights and minibatch
order. Differences between strategies are then far less noisy than the strategies themselves, so the tests use differences.

Results are in the units of the arguments. Every test is two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distil.errors import InvalidInput

Floats: TypeAlias = NDArray[np.float64]

LEVEL = 0.95
"""Default level of confidence intervals."""

ALPHA = 0.05
"""Default level of tests."""

MIN_DATA_SETS = 5
"""Smallest number of data sets for ``rank_test``."""

_STEPS = 20_000  # steps of the integral over the spread
_DIGITS = 12  # digits of numbers of order 1 that are kept; further digits are rounding errors


class Interval(NamedTuple):
    """A mean over seeds and the ends of its confidence interval, (...) each."""

    mean: Floats
    low: Floats
    high: Floats


class Difference(NamedTuple):
    """The mean of paired differences, the ends of its confidence interval, and its p-value."""

    mean: float
    low: float
    high: float
    p: float


class Effect(NamedTuple):
    """A mean paired difference in standard deviations of the differences: Cohen's d_z and, from three seeds on, unbiased."""

    d_z: float
    g_z: float | None


class Share(NamedTuple):
    """A share and the ends of its confidence interval."""

    share: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class RankTest:
    """Friedman's test of strategies over data sets, and the strategies that Nemenyi's test distinguishes.

    Attributes:
        strategies: Names of the k strategies, best mean rank first.
        ranks: Mean ranks of the strategies, ascending, (k,); 1 is best.
        data_sets: Number of data sets N.
        chi2: Friedman's statistic, corrected for ties.
        p: P-value of ``chi2`` by the chi-square distribution with k - 1 degrees of freedom.
        f: Iman and Davenport's statistic, which is less conservative; infinite if all data sets give the same ranks.
        f_p: P-value of ``f`` by the F distribution with k - 1 and (k - 1)(N - 1) degrees of freedom; where ``f`` is infinite, the
            exact chance that N random orders are all equal.
        critical_difference: Smallest significant difference of mean ranks (Nemenyi).
        groups: Largest sets of strategies without a significant difference, best first: the bars of a critical difference diagram.
    """

    strategies: tuple[str, ...]
    ranks: Floats
    data_sets: int
    chi2: float
    p: float
    f: float
    f_p: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]


def finite_array(what: str, values: ArrayLike) -> Floats:
    """``values`` as float64.

    Raises:
        InvalidInput: They are not numbers, not in rows of equal length, or not finite; ``what`` names them in the message.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{what} must be numbers in rows of equal length: {error}") from error
    if not np.isfinite(array).all():
        raise InvalidInput(f"{what} must be finite, got {np.count_nonzero(~np.isfinite(array))} NaN or infinite")
    return array


def mean_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """The mean over seeds and its two-sided Student t interval, mean +- t(S - 1) s / sqrt(S).

    The interval is for the mean, not for a further run, and it is pointwise: it does not hold for all points
    at once. It is not clipped to [0, 1].

    Args:
        values: One row for each seed, (S, ...).
        level: Confidence level, in (0, 1).

    Returns:
        Mean, low and high, (...) each. With one seed, low and high are NaN, because one run has no spread.

    Raises:
        InvalidInput: There are no seeds, a NaN or an infinity, or ``level`` is out of range.
    """
    rows = _seeds(values)
    _check_fraction("level", level)
    count = len(rows)
    mean = np.asarray(rows.mean(axis=0))
    if count == 1:
        return _unknown(mean)
    from scipy.special import stdtrit  # lazily: no other part of an experiment needs it

    error = np.asarray(rows.std(axis=0, ddof=1)) / np.sqrt(count)
    half = error * float(stdtrit(count - 1, (1 + level) / 2))
    return Interval(mean, mean - half, mean + half)


def differences(a: ArrayLike, b: ArrayLike) -> Floats:
    """The paired differences a - b, (S, ...), rounded to 12 digits of the largest number.

    After rounding, equal differences are equal to the bit, so ties and a spread of zero are exact and rounding errors are not
    tested as if they were measured.

    Args:
        a: One row for each seed, (S, ...).
        b: One row for each seed, (S, ...), in the same order of seeds.

    Raises:
        InvalidInput: The shapes differ, there are no seeds, or there is a NaN or an infinity.
    """
    left, right = finite_array("a", a), finite_array("b", b)
    if left.ndim == 0 or left.shape != right.shape or len(left) == 0:
        raise InvalidInput(
            f"a and b must have one number for each seed, for the same seeds, got shapes {left.shape} and {right.shape}"
        )
    return _rounded(left - right, max(np.abs(left).max(initial=0), np.abs(right).max(initial=0)))


def spread_of(difference: Floats) -> float:
    """Standard deviation of paired differences (S,), with S - 1 in the denominator; exactly 0 if all are equal."""
    return float(difference.std(ddof=1)) if np.ptp(difference) else 0.0


def t_test(difference: ArrayLike) -> Floats:
    """P-values of Student's two-sided one-sample t test of a mean of 0, along the first axis.

    Args:
        difference: One row for each seed, (S, ...), for example from ``differences``.

    Returns:
        P-values, (...); NaN with one seed. Where all differences are equal, t is undefined: the p-value is 1 if they are 0, and
        otherwise that of the sign test, 2^(1 - S).

    Raises:
        InvalidInput: There are no seeds, or there is a NaN or an infinity.
    """
    rows = _seeds(difference)
    count = len(rows)
    mean = np.asarray(rows.mean(axis=0))
    if count == 1:
        return np.full_like(mean, np.nan)
    from scipy.special import stdtr

    flat = np.ptp(rows, axis=0) == 0
    t = mean * np.sqrt(count) / np.where(flat, 1, rows.std(axis=0, ddof=1))
    signs = np.where(mean == 0, 1, 2.0 ** (1 - count))
    return np.asarray(np.where(flat, signs, 2 * stdtr(count - 1, -np.abs(t))), dtype=np.float64)


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = LEVEL) -> Difference:
    """The mean of a - b over seeds, its Student t interval, and the p-value of the paired t test.

    The test is two-sided, against a mean difference of 0; its p-value is below 1 - level exactly if there is an
    interval and it excludes 0. The p-value is not corrected for testing several strategies; see ``holm``.

    Args:
        a: One number for each seed, (S,).
        b: One number for each seed, (S,), in the same order of seeds.
        level: Confidence level, in (0, 1).

    Returns:
        Mean, low, high and p. With one seed, low, high and p are NaN. If all differences are equal, they show no spread: low
        and high are NaN, and p is that of ``t_test``.

    Raises:
        InvalidInput: The numbers of seeds differ, there are no seeds, a NaN or an infinity, or ``level`` is out of range.
    """
    difference = _one_number_a_seed(a, b)
    mean, low, high = (float(x) for x in mean_interval(difference, level))
    if not np.ptp(difference):
        low = high = math.nan
    return Difference(mean, low, high, float(t_test(difference)))


def wilcoxon(a: ArrayLike, b: ArrayLike) -> float:
    """The p-value of Wilcoxon's signed-rank test of a - b, two-sided and exact for any number of seeds.

    Wilcoxon, "Individual Comparisons by Ranking Methods", 1945. As in the paper, differences of 0 are dropped and equal
    differences share their mean rank. The distribution is that of all sign changes of these ranks, so it is exact with ties too
    (published tables and large-sample formulas are not). With S differences, the smallest p-value is 2^(1 - S), which is below
    0.05 only from six seeds on. Cost: O(S^3).

    Args:
        a: One number for each seed, (S,).
        b: One number for each seed, (S,), in the same order of seeds.

    Returns:
        The p-value; 1 if all differences are 0.

    Raises:
        InvalidInput: The numbers of seeds differ, there are no seeds, or there is a NaN or an infinity.
    """
    difference = _one_number_a_seed(a, b)
    difference = difference[difference != 0]
    doubled = (
        (2 * _mean_ranks(np.abs(difference))).round().astype(np.int64)
    )  # doubled ranks are whole numbers, also with ties
    total, positive = int(doubled.sum()), int(doubled[difference > 0].sum())
    chance = np.zeros(total + 1)  # probability of each sum of positive ranks over all signs
    chance[0] = 1
    for rank in doubled:
        with_it = chance[:-rank] / 2
        chance /= 2
        chance[rank:] += with_it
    return min(1.0, 2 * float(chance[: min(positive, total - positive) + 1].sum()))


def holm(p: ArrayLike) -> Floats:
    """P-values corrected for testing all of them, by Holm's step-down method.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979: with p_(1) <= ... <= p_(m), the k-th becomes
    max over j <= k of (m - j + 1) p_(j), at most 1. The chance of any false finding is then at most the level, also for dependent
    tests. The method is never less powerful than Bonferroni's m p.

    Args:
        p: P-values of one family of tests, (m,).

    Returns:
        Corrected p-values, (m,), in the same order.

    Raises:
        InvalidInput: ``p`` is not (m,), or a p-value is NaN or outside [0, 1].
    """
    values = finite_array("p", p)
    if values.ndim != 1 or (values < 0).any() or (values > 1).any():
        raise InvalidInput(f"p must hold one number in [0, 1] for each test, got {values.tolist()}")
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def effect_size(a: ArrayLike, b: ArrayLike) -> Effect:
    """Cohen's d_z of a - b, the mean difference in standard deviations of the differences, and its unbiased form g_z.

    Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, section 2.3.5; g_z = J d_z with Hedges' exact
    factor, J = Gamma(v / 2) / (sqrt(v / 2) Gamma((v - 1) / 2)) with v = S - 1 (Hedges, "Distribution Theory for Glass's
    Estimator of Effect Size and Related Estimators", 1981). Paired differences vary less than the groups do, so d_z is larger
    than the d of unpaired groups.

    Args:
        a: One number for each seed, (S,), S >= 2.
        b: One number for each seed, (S,), in the same order of seeds.

    Returns:
        d_z and g_z. If all differences are equal, both are 0 if they are 0, and infinite otherwise. With two seeds, g_z
        is None, because there is no unbiased form.

    Raises:
        InvalidInput: The numbers of seeds differ, there are fewer than two seeds, or there is a NaN or an infinity.
    """
    difference = _one_number_a_seed(a, b)
    _check_seeds("an effect size", len(difference))
    mean, noise = float(difference.mean()), spread_of(difference)
    d_z = mean / noise if noise else mean and math.copysign(math.inf, mean)
    v = len(difference) - 1
    if v == 1:
        return Effect(d_z, None)
    factor = math.exp(math.lgamma(v / 2) - math.lgamma((v - 1) / 2)) / math.sqrt(v / 2)
    return Effect(d_z, factor * d_z)


def share_interval(successes: float, count: int, level: float = LEVEL) -> Share:
    """A share and its Jeffreys interval: quantiles of Beta(x + 1/2, n - x + 1/2).

    Brown, Cai and DasGupta, "Interval Estimation for a Binomial Proportion", 2001: the lower end is 0 if x = 0, and the upper
    end is 1 if x = n.

    Args:
        successes: Number of successes x, in [0, count]; a tie may count half.
        count: Number of trials n, at least 1.
        level: Confidence level, in (0, 1).

    Raises:
        InvalidInput: An argument is out of range.
    """
    _check_successes(successes, count, level)
    from scipy.special import betaincinv

    a, b = successes + 0.5, count - successes + 0.5
    low = float(betaincinv(a, b, (1 - level) / 2)) if successes > 0 else 0.0
    high = float(betaincinv(a, b, (1 + level) / 2)) if successes < count else 1.0
    return Share(successes / count, low, high)


def wilson_interval(successes: float, count: int, level: float = LEVEL) -> Share:
    """A share and its Wilson score interval (1927), in closed form: for processes that load no SciPy.

    Close to ``share_interval``, whose arguments and errors it has; where none or all succeed, one end is 0 or 1 as there.

    >>> [round(end, 3) for end in wilson_interval(8, 10)]
    [0.8, 0.49, 0.943]
    """
    _check_successes(successes, count, level)
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    share = successes / count
    center = (successes + z2 / 2) / (count + z2)
    half = math.sqrt(z2 * (count * share * (1 - share) + z2 / 4)) / (count + z2)
    low = center - half if successes > 0 else 0.0
    return Share(share, low, center + half if successes < count else 1.0)


def paired_power(effect: float, seeds: int, alpha: float = ALPHA) -> float:
    """The power of a two-sided paired t test: the chance that it finds an effect with a given number of seeds.

    With S seeds and effect d_z, the statistic has a noncentral t distribution with S - 1 degrees of freedom and noncentrality
    d_z sqrt(S) (Cohen 1988, section 2.3.5).

    Args:
        effect: The true d_z; its sign does not matter.
        seeds: Number of seeds S, at least 2.
        alpha: Level of the test, in (0, 1).

    Raises:
        InvalidInput: An argument is out of range.
    """
    size = abs(float(finite_array("effect", effect)))
    _check_seeds("a paired test", seeds)
    _check_fraction("alpha", alpha)
    from scipy.special import ndtr, stdtrit

    v, shift = seeds - 1, size * math.sqrt(seeds)
    # s = 1 + e is the estimated spread divided by the true one. The integral over it replaces SciPy's noncentral t, which
    # is NaN for some arguments.
    reach = 8.5 / math.sqrt(2 * v)
    low = max(-1.0, -reach)
    e = low + (np.arange(_STEPS) + 0.5) * (reach - low) / _STEPS
    density = np.exp((v - 1) * np.log1p(e) - v * (e + e * e / 2))  # of s, up to a factor
    bar = float(stdtrit(v, 1 - alpha / 2)) * (1 + e)
    return float(density @ (ndtr(shift - bar) + ndtr(-shift - bar)) / density.sum())


def seeds_needed(difference: float, spread: float, *, power: float = 0.8, alpha: float = ALPHA) -> int:
    """The number of seeds with which a paired t test finds a difference with a given power.

    The search starts from the normal approximation, which is never too large, and adds seeds until ``paired_power`` is reached.
    A spread estimated from few seeds makes this number uncertain: compute it for both ends of ``spread_interval`` too.

    Args:
        difference: The true mean difference, not 0.
        spread: Standard deviation of the differences between paired seeds, in the unit of ``difference``.
        power: Chance of finding the difference, in [0.5, 1).
        alpha: Level of the test, in (0, 1).

    Returns:
        A number of seeds, at least 2; 2 if ``spread`` is 0.

    Raises:
        InvalidInput: An argument is out of range.
    """
    size, noise = abs(float(finite_array("difference", difference))), float(finite_array("spread", spread))
    _check_fraction("alpha", alpha)
    if size == 0 or noise < 0 or not 0.5 <= power < 1:
        raise InvalidInput(
            "difference must not be 0, spread must not be negative, and power must be in [0.5, 1), "
            f"got {difference}, {spread} and {power}"
        )
    if noise == 0:
        return 2
    from scipy.special import ndtri

    seeds = max(2, math.ceil((float(ndtri(1 - alpha / 2) + ndtri(power)) * noise / size) ** 2))
    while paired_power(size / noise, seeds, alpha) < power:
        seeds += 1
    return seeds


def spread_interval(spread: float, seeds: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a standard deviation, from the estimate of S normal differences.

    (S - 1) s^2 / sigma^2 has a chi-square distribution with S - 1 degrees of freedom. The interval is wide with few seeds: at 95 %
    from 0.52 s to 6.3 s with three, and from 0.69 s to 1.8 s with ten.

    Args:
        spread: The estimate s, with S - 1 in the denominator, above 0.
        seeds: Number of seeds S, at least 2.
        level: Confidence level, in (0, 1).

    Raises:
        InvalidInput: An argument is out of range.
    """
    size = float(finite_array("spread", spread))
    _check_seeds("a standard deviation", seeds)
    _check_fraction("level", level)
    if size <= 0:
        raise InvalidInput(f"spread must be above 0, got {spread}; equal differences do not show their spread")
    from scipy.special import chdtri

    v = seeds - 1
    low, high = (size * math.sqrt(v / float(chdtri(v, (1 + side * level) / 2))) for side in (-1, 1))
    return low, high


def critical_difference(strategies: int, data_sets: int, alpha: float = ALPHA) -> float:
    """Nemenyi's critical difference of mean ranks: q sqrt(k (k + 1) / (6 N)).

    Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", 2006, section 3.2.2; q is the studentized
    range quantile for k groups and infinitely many degrees of freedom, divided by sqrt(2) (his table 5a).

    Args:
        strategies: Number of strategies k, at least 2.
        data_sets: Number of data sets N, at least 1.
        alpha: Level of the test, in (0, 1).

    Raises:
        InvalidInput: An argument is out of range.
    """
    _check_fraction("alpha", alpha)
    if strategies < 2 or data_sets < 1:
        raise InvalidInput(f"expected at least two strategies and one data set, got {strategies} and {data_sets}")
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - alpha, strategies, np.inf)) / math.sqrt(2)
    return q * math.sqrt(strategies * (strategies + 1) / (6 * data_sets))


def ranks(scores: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    """Each strategy's rank on every data set: 1 for the largest score, ties share their mean rank.

    Args:
        scores: Each strategy's score on each data set, (N,), for example mean areas; larger is better.

    Returns:
        Each strategy's ranks, (N,), in the order of ``scores``.

    Raises:
        InvalidInput: There are no strategies, the numbers of data sets differ, or there is a NaN or an infinity.
    """
    table = _score_table(scores)
    return dict(zip(scores, _mean_ranks(-table).T, strict=True))


def rank_test(scores: Mapping[str, ArrayLike], alpha: float = ALPHA) -> RankTest:
    """Friedman's test of whether strategies differ over data sets, and Nemenyi's test of which strategies differ.

    Demsar 2006, section 3.2; with Iman and Davenport's F (1980). Chi-square is corrected for ties as in SciPy (Conover, "Practical
    Nonparametric Statistics", 1999, section 5.8); Demsar's formula is not, and equals it without ties. Nemenyi's test is valid
    only if Friedman's test rejects.

    Args:
        scores: Each strategy's score on each data set, (N,), for example mean areas; larger is better.
        alpha: Level of Nemenyi's test, in (0, 1).

    Raises:
        InvalidInput: There are fewer than three strategies or five data sets, the numbers of data sets differ, or there is a NaN
            or an infinity.
    """
    table = _score_table(scores)
    count, k = table.shape
    if count < MIN_DATA_SETS:
        raise InvalidInput(
            f"Friedman's and Nemenyi's tests need at least {MIN_DATA_SETS} data sets, got {count}; with fewer, their "
            "distributions do not hold, and seeds of one data set do not count as data sets: test paired seeds "
            "within each data set, and show ranks without a test"
        )
    if k < 3:
        raise InvalidInput(f"Friedman's test needs at least three strategies, got {k}; compare two with a paired test")
    each = _mean_ranks(-table)  # (N, k)
    chi2, p, f, f_p = _friedman(each)
    mean = each.mean(axis=0)
    order = np.argsort(mean, kind="stable")
    names, far = tuple(list(scores)[i] for i in order), critical_difference(k, count, alpha)
    return RankTest(names, mean[order], count, chi2, p, f, f_p, far, _groups(names, mean[order], far))


def _friedman(each: Floats) -> tuple[float, float, float, float]:
    """Chi-square with its p-value, and F with its p-value, for ranks (N, k)."""
    from scipy.special import chdtrc, fdtrc

    count, k = each.shape
    spread = float(np.square(each - (k + 1) / 2).sum())
    if spread == 0:  # all strategies tie on every data set
        return 0.0, 1.0, 0.0, 1.0
    between = float(np.square(each.sum(axis=0) - count * (k + 1) / 2).sum())
    chi2 = (k - 1) * between / spread
    rest = count * (k - 1) - chi2
    if rest <= 1e-9 * chi2:  # all data sets give the same ranks
        return chi2, float(chdtrc(k - 1, chi2)), math.inf, _chance_of_agreement(each[0], count)
    f = (count - 1) * chi2 / rest
    return chi2, float(chdtrc(k - 1, chi2)), f, float(fdtrc(k - 1, (k - 1) * (count - 1), f))


def _chance_of_agreement(ranks_: Floats, data_sets: int) -> float:
    """The chance that random orders with these ranks (k,), ties included, are equal on all data sets."""
    ties = np.unique(ranks_, return_counts=True)[1]
    log_orders = math.lgamma(len(ranks_) + 1) - sum(math.lgamma(int(n) + 1) for n in ties)
    return math.exp(-(data_sets - 1) * log_orders)


def _groups(names: tuple[str, ...], mean: Floats, far: float) -> tuple[tuple[str, ...], ...]:
    """The largest runs of at least two strategies whose ascending mean ranks span less than ``far``."""
    ends = [int(np.searchsorted(mean, rank + far, side="left")) for rank in mean]
    starts = [i for i in range(len(mean)) if ends[i] - i > 1 and (i == 0 or ends[i] > ends[i - 1])]
    return tuple(names[i : ends[i]] for i in starts)


def _score_table(scores: Mapping[str, ArrayLike]) -> Floats:
    """Scores as (N, k), rounded so that ties are exact."""
    table = finite_array("scores", [np.asarray(own) for own in scores.values()])
    if table.ndim != 2 or table.size == 0:
        raise InvalidInput(f"scores must hold one number for each strategy and data set, got shape {table.shape}")
    return _rounded(table, np.abs(table).max()).T


def _mean_ranks(values: Floats) -> Floats:
    """Ranks along the last axis, 1 for the smallest; equal values share their mean rank."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=-1), dtype=np.float64)


def _rounded(values: Floats, largest: float) -> Floats:
    """``values`` rounded to 12 digits of ``largest``."""
    if largest == 0:
        return values
    return np.round(values, min(_DIGITS - math.ceil(math.log10(largest)), 300))  # 10^300 is finite


def _one_number_a_seed(a: ArrayLike, b: ArrayLike) -> Floats:
    difference = differences(a, b)
    if difference.ndim != 1:
        raise InvalidInput(f"a and b must have one number for each seed, (S,), got shape {difference.shape}")
    return difference


def _seeds(values: ArrayLike) -> Floats:
    rows = finite_array("values", values)
    if rows.ndim == 0 or len(rows) == 0:
        raise InvalidInput(f"values must have at least one seed along the first axis, got shape {rows.shape}")
    return rows


def _unknown(mean: Floats) -> Interval:
    nothing = np.full_like(mean, np.nan)
    return Interval(mean, nothing, nothing)


def _check_fraction(what: str, value: float) -> None:
    if not 0 < value < 1:
        raise InvalidInput(f"{what} must be between 0 and 1, got {value}")


def _check_successes(successes: float, count: int, level: float) -> None:
    _check_fraction("level", level)
    if count < 1 or not 0 <= successes <= count:
        raise InvalidInput(f"count must be at least 1 and successes from 0 to count, got {successes} of {count}")


def _check_seeds(what: str, count: int) -> None:
    if count < 2:
        raise InvalidInput(f"{what} needs at least two seeds, got {count}; one seed has no spread")

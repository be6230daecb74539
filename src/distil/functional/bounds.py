"""Confidence bounds of shares and means that hold at every sample size, without a normal approximation.

Exact bounds of a share, from independent trials (Clopper-Pearson) and from draws without replacement out of a finite pool
(hypergeometric), and bounds of a mean of numbers in a known range, by betting. Bounds that hold are wider than those of the
normal approximation, which breaks its promise where errors are rare: with 100 labels and 2 % errors, one sample in seven shows no
error at all, and the normal interval is then the point 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distil.errors import InvalidInput, as_share, whole_number

Floats = NDArray[np.float64]

_STEPS: Final = 40  # halvings of the range, to 1e-12 of it
_EXPECTED: Final = 0.8  # the share of the capital on the bet that is best for the expected spread


class Bounds(NamedTuple):
    """The ends of a confidence interval."""

    low: float
    high: float


def binomial_bounds(successes: int, count: int, level: float = 0.95, *, sides: int = 2) -> Bounds:
    """The exact (Clopper-Pearson) interval of the probability of success of independent trials.

    The interval holds the probability in at least ``level`` of all samples, whatever that is. The trials may have different
    probabilities, as in a stratified sample: the number of successes then varies less than for trials with their mean (Hoeffding,
    "On the distribution of the number of successes in independent trials", 1956).

    Args:
        successes: Number of successes.
        count: Number of trials, at least 1.
        level: Confidence level, in (0, 1).
        sides: 2 for an interval; 1 for two one-sided bounds, each of which holds with ``level``.

    >>> [round(end, 4) for end in binomial_bounds(2, 100)]
    [0.0024, 0.0704]
    """
    tail = _tail(level, sides)
    _check_counts(successes, count)
    from scipy.special import betaincinv  # lazily: a load of SciPy takes a while

    failures = count - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures else 1.0
    return Bounds(low, high)


def finite_bounds(successes: int, count: int, size: int, level: float = 0.95, *, sides: int = 2) -> Bounds:
    """The exact interval of the share of successes in a finite pool, from draws without replacement.

    The ends are the least and the largest share for which so many, or so few, successes among the draws are no rarer than the
    level allows, by the hypergeometric distribution. The larger the drawn part of the pool, the narrower is the interval; its
    length is 0 where the whole pool was drawn. Cost: O(count log size).

    Args:
        successes: Number of successes among the draws.
        count: Number of draws, at least 1.
        size: Number of items in the pool, at least ``count``.
        level: Confidence level, in (0, 1).
        sides: 2 for an interval; 1 for two one-sided bounds, each of which holds with ``level``.

    >>> finite_bounds(2, 100, 100)
    Bounds(low=0.02, high=0.02)
    >>> [round(end, 3) for end in finite_bounds(2, 100, 1000)]
    [0.003, 0.067]
    """
    tail = _tail(level, sides)
    _check_counts(successes, count)
    if size < count:
        raise InvalidInput(f"size must be at least count, the number of draws; got {size} and {count}")
    least = size - _most(count - successes, count, size, tail)  # few failures bound the successes from below
    return Bounds(least / size, _most(successes, count, size, tail) / size)


def _most(successes: int, count: int, size: int, tail: float) -> int:
    """The largest number of successes in a pool for which so few among the draws have a probability above ``tail``."""
    from scipy.stats import hypergeom

    low, high = successes, size - (count - successes)
    while low < high:
        middle = (low + high + 1) // 2
        if hypergeom.cdf(successes, size, middle, count) > tail:
            low = middle
        else:
            high = middle - 1
    return low


def errors_allowed(count: int, size: int, limit: int, alpha: float = 0.05) -> int:
    """The largest number of errors among random draws that shows that the pool has at most ``limit`` errors; -1 if none does.

    The test is exact: if the pool has more than ``limit`` errors, the draws have so few with probability at most ``alpha``.

    Args:
        count: Number of draws, without replacement.
        size: Number of items in the pool.
        limit: Number of errors that the pool may have.
        alpha: Probability of a wrong conclusion, in (0, 1).

    >>> errors_allowed(300, 10_000, 500), errors_allowed(58, 1_000_000, 50_000), errors_allowed(59, 1_000_000, 50_000)
    (8, -1, 0)
    """
    alpha = as_share("alpha", alpha)
    if limit >= size:
        return count
    from scipy.stats import hypergeom

    chances = hypergeom.cdf(np.arange(count + 1), size, limit + 1, count)
    return int(np.searchsorted(chances, alpha, side="right")) - 1


def draws_needed(size: int, limit: int, alpha: float = 0.05) -> int:
    """The least number of draws that, without an error among them, show that a pool has at most ``limit`` errors.

    Where the pool is large and p is the share of ``limit``, it is log(alpha) / log(1 - p).

    Args:
        size: Number of items in the pool.
        limit: Number of errors that the pool may have.
        alpha: Probability of a wrong conclusion, in (0, 1).

    >>> draws_needed(1_000_000, 50_000), draws_needed(1_000_000, 20_000), draws_needed(100, 5)
    (59, 149, 39)
    """
    alpha = as_share("alpha", alpha)
    if limit >= size - 1:  # there is nothing to show, or one right item shows it
        return max(size - limit, 0)
    from scipy.special import gammaln

    most = math.ceil(math.log(alpha) / math.log1p(-(limit + 1) / size)) + 1  # with replacement, it takes more
    counts = np.arange(min(most + 1, size - limit))  # the log of C(size - limit - 1, count) / C(size, count)
    rest = size - limit - 1
    logs = gammaln(rest + 1) - gammaln(rest - counts + 1) - gammaln(size + 1) + gammaln(size - counts + 1)
    return int(np.searchsorted(-logs, -math.log(alpha) - 1e-9))


def betting_bounds(
    values: ArrayLike,
    level: float = 0.95,
    *,
    low: float = 0.0,
    high: float = 1.0,
    size: int | None = None,
    spread: float | None = None,
    same_mean: bool = True,
    sides: int = 2,
) -> Bounds:
    """Bounds of the mean of numbers in a known range, by betting.

    Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", 2024: the hedged capital of a mixture of
    constant bets. If m is the mean, no bet against it is expected to win, so capital ever reaches 1 / alpha with probability at
    most alpha (Ville's inequality); the bounds are the means against which the capital stays below. A bet b in (0, 1 / (m - low)]
    multiplies the capital by 1 + b (x - m) for each x, so the capital falls with m and bisection finds the bound. Here b is 1, 1/2,
    1/4, ... of its largest value, down to half of n^(-1/2), each with the same share of the capital: the bounds adapt to the
    variance without an estimate of it.

    Args:
        values: Independent numbers, (n,); or draws without replacement from ``size`` numbers, in the order of the draws.
        level: Confidence level, in (0, 1).
        low: The least value that is possible.
        high: The largest value that is possible.
        size: Number of items in the pool, for draws without replacement; None: the numbers are independent.
        spread: The standard deviation that the values are expected to have, known without the values; most of the capital then
            goes to the bet that is best for it. A wrong one makes the bounds wider, and no less certain.
        same_mean: Whether all numbers have the same mean. If not, the bounds hold the mean of their means, and only the capital
            after the last number counts (by the inequality of arithmetic and geometric means it is not expected to grow).
        sides: 2 for an interval; 1 for two one-sided bounds, each of which holds with ``level``.

    Cost: O(n log n).

    >>> [round(end, 2) for end in betting_bounds([0.5] * 100)]
    [0.47, 0.53]
    """
    x = _in_range(values, low, high)
    if size is not None and size < len(x):
        raise InvalidInput(f"size must be at least the number of values, got {size} and {len(x)}")
    if spread is not None and not spread > 0:
        raise InvalidInput(f"spread must be a number above 0, got {spread!r}")
    tail, scaled = _tail(level, sides), (x - low) / (high - low)
    bet = None if spread is None else math.sqrt(-2 * math.log(tail) / len(x)) * (high - low) / spread
    least = _least_mean(scaled, tail, size, bet, same_mean)
    most = 1 - _least_mean(1 - scaled, tail, size, bet, same_mean)
    return Bounds(low + (high - low) * least, low + (high - low) * most)


def _least_mean(x: Floats, tail: float, size: int | None, bet: float | None, same_mean: bool) -> float:
    """The lower bound of the mean of numbers in [0, 1], given the bet that is expected to be best."""
    parts = 0.5 ** np.arange(2 + math.ceil(math.log2(len(x)) / 2))
    expected = 0.0 if bet is None else _EXPECTED
    shares = np.log([*([expected] if bet is not None else []), *[(1 - expected) / len(parts)] * len(parts)])
    drawn, before = np.arange(len(x)), np.concatenate([[0.0], x.cumsum()[:-1]])

    def refused(mean: float) -> bool:
        """Whether the capital that is won against a mean reaches 1 / tail, or the pool cannot have that mean."""
        if size is not None and size * mean < x.sum() - 1e-9:
            return True
        means = np.full(len(x), mean) if size is None else (size * mean - before) / (size - drawn)
        if (means <= 0).any():  # the sum of the values is that of the whole pool
            return False
        bets = parts[:, None] / means
        if bet is not None:
            bets = np.concatenate([np.minimum(bet, 1 / means)[None], bets])
        with np.errstate(divide="ignore"):
            won = np.log1p(bets * (x - means)).cumsum(1)  # (bets, n)
        capital = np.logaddexp.reduce(won + shares[:, None])
        return bool((capital.max() if same_mean else capital[-1]) >= -math.log(tail))

    return _bisected(refused)


def _bisected(refused: Callable[[float], bool]) -> float:
    """The largest number in [0, 1], to rounding, up to which all numbers are refused; 0 if none is."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if refused(middle) else (low, middle)
    return low


def _in_range(values: ArrayLike, low: float, high: float) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise InvalidInput(f"values must have one number for each draw, (n,), got shape {x.shape}")
    slack = 1e-9 * (high - low)
    wrong = ~((x >= low - slack) & (x <= high + slack))
    if wrong.any():
        raise InvalidInput(f"values must be numbers from low, {low:g}, to high, {high:g}; got {x[wrong][0]:g}")
    return np.clip(x, low, high)


def _tail(level: float, sides: int) -> float:
    """The probability of each tail."""
    if sides not in (1, 2):
        raise InvalidInput(f"sides must be 1 or 2, got {sides!r}")
    return (1 - as_share("level", level)) / sides


def _check_counts(successes: int, count: int) -> None:
    if whole_number(count, 1) is None or whole_number(successes, 0, count) is None:
        raise InvalidInput(
            f"successes must be a whole number from 0 to count, the number of draws from 1 on; got {successes!r} of {count!r}"
        )

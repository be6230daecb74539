"""Bounds against SciPy, brute force, published numbers, and their coverage by exact sums."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from distil.errors import InvalidInput
from distil.functional.bounds import (
    betting_bounds,
    binomial_bounds,
    draws_needed,
    errors_allowed,
    finite_bounds,
)


def test_the_interval_of_independent_trials_is_scipys():
    for successes, count, level in product((0, 1, 7, 30), (30, 31, 400), (0.8, 0.95)):
        expected = stats.binomtest(successes, count).proportion_ci(level, method="exact")
        assert binomial_bounds(successes, count, level) == pytest.approx((expected.low, expected.high), abs=1e-9)
        one = stats.binomtest(successes, count, alternative="less").proportion_ci(level, method="exact")
        assert binomial_bounds(successes, count, level, sides=1).high == pytest.approx(one.high, abs=1e-9)


def finite_by_hand(successes, count, size, tail):
    """The shares of all pools for which neither tail of the draws is rare, by counting samples."""

    def chance(total, drawn):
        return math.comb(total, drawn) * math.comb(size - total, count - drawn) / math.comb(size, count)

    kept = [
        total
        for total in range(size + 1)
        if sum(chance(total, k) for k in range(successes + 1)) > tail
        and sum(chance(total, k) for k in range(successes, count + 1)) > tail
    ]
    return min(kept) / size, max(kept) / size


def test_the_interval_of_a_finite_pool_by_counting():
    for size, count in ((12, 5), (30, 29), (40, 10), (7, 7), (5, 1)):
        for successes in range(count + 1):
            assert finite_bounds(successes, count, size, 0.9) == finite_by_hand(successes, count, size, 0.05)
            assert finite_bounds(successes, count, size, 0.95, sides=1) == finite_by_hand(successes, count, size, 0.05)


def test_a_large_pool_is_like_independent_trials():
    assert finite_bounds(3, 50, 10**7) == pytest.approx(binomial_bounds(3, 50), abs=1e-5)


def test_exact_intervals_hold_every_share():
    """The probability that the interval holds the share, summed over all samples; the normal interval fails."""
    count, size = 60, 500
    finite = [finite_bounds(k, count, size) for k in range(count + 1)]
    exact = [binomial_bounds(k, count) for k in range(count + 1)]
    shares = np.arange(count + 1) / count
    half = 1.96 * np.sqrt(shares * (1 - shares) / count)
    normal = list(zip(shares - half, shares + half, strict=True))
    least = {}
    for total in range(1, size):
        share = total / size
        for name, bounds, chances in (
            ("finite", finite, stats.hypergeom.pmf(np.arange(count + 1), size, total, count)),
            ("exact", exact, stats.binom.pmf(np.arange(count + 1), count, share)),
            ("normal", normal, stats.binom.pmf(np.arange(count + 1), count, share)),
        ):
            held = sum(p for (low, high), p in zip(bounds, chances, strict=True) if low <= share <= high)
            least[name] = min(least.get(name, 1), held)
    assert least["finite"] >= 0.95 - 1e-9
    assert least["exact"] >= 0.95 - 1e-9
    assert least["normal"] < 0.2


def test_errors_allowed_by_counting():
    for count, size, limit in ((10, 20, 4), (6, 9, 2), (3, 9, 1)):
        worst = [1] * (limit + 1) + [0] * (size - limit - 1)
        samples = [sum(worst[i] for i in chosen) for chosen in combinations(range(size), count)] if size < 15 else None
        chance = stats.hypergeom(size, limit + 1, count).cdf
        if samples is not None:
            chance = lambda k, samples=samples: np.mean(np.array(samples) <= k)  # noqa: E731
        for alpha in (0.05, 0.2, 0.4):
            expected = max([k for k in range(count + 1) if chance(k) <= alpha], default=-1)
            assert errors_allowed(count, size, limit, alpha) == expected
    assert errors_allowed(5, 10, 10) == 5  # a pool of 10 cannot have more errors than that


def test_the_number_of_draws_that_is_needed():
    cases = ((1000, 20, 0.05), (200, 0, 0.1), (50, 25, 0.01), (10_000, 100, 0.05), (10, 8, 0.05), (10, 9, 0.05))
    for size, limit, alpha in cases:
        needed = draws_needed(size, limit, alpha)
        assert errors_allowed(needed, size, limit, alpha) >= 0
        assert errors_allowed(needed - 1, size, limit, alpha) == -1
    assert draws_needed(10, 10) == 0
    for eps in (0.02, 0.05, 0.1):  # 1 - alpha^(1 / m) <= eps
        assert draws_needed(10**7, int(eps * 10**7)) == math.ceil(math.log(0.05) / math.log(1 - eps))


def capital_by_hand(values, mean, expected, size):
    """The largest capital that the bets win against a mean of numbers in [0, 1], in a loop."""
    parts = [0.5**j for j in range(2 + math.ceil(math.log2(len(values)) / 2))]
    shares = [1 / len(parts)] * len(parts) if expected is None else [0.8, *[0.2 / len(parts)] * len(parts)]
    wealth, best, before = list(shares), 0.0, 0.0
    for place, x in enumerate(values):
        now = mean if size is None else (size * mean - before) / (size - place)
        bets = [*([] if expected is None else [min(expected, 1 / now)]), *[part / now for part in parts]]
        wealth = [w * (1 + bet * (x - now)) for w, bet in zip(wealth, bets, strict=True)]
        best, before = max(best, sum(wealth)), before + x
    return best


def test_betting_bounds_are_where_the_capital_reaches_its_limit():
    rng = np.random.default_rng(0)
    for size, spread in ((None, None), (60, None), (None, 0.2)):
        x = rng.beta(2, 5, 40)
        low, high = betting_bounds(x, 0.9, size=size, spread=spread)
        expected = None if spread is None else math.sqrt(2 * math.log(20) / 40) / spread
        assert capital_by_hand(x, low, expected, size) == pytest.approx(20, rel=1e-6)
        assert capital_by_hand(1 - x, 1 - high, expected, size) == pytest.approx(20, rel=1e-6)
        assert low < x.mean() < high


def test_a_betting_bound_is_where_the_capital_of_the_published_package_reaches_its_limit():
    """Numbers of confseq 0.0.11: bisection of the mean of its ``betting_mart`` over the same constant bets, capital 20."""
    x = [0.9, 0.2, 1, 0.7, 0.8, 0.95, 0.4, 1, 0.6, 0.85, 0.3, 0.99]
    for size, expected in ((None, 0.4629092488472138), (30, 0.5158494117941492)):
        assert betting_bounds(x, 0.95, size=size, sides=1).low == pytest.approx(expected, abs=1e-11)


def test_betting_bounds_move_with_the_range():
    x = np.random.default_rng(1).random(30)
    low, high = betting_bounds(x, spread=0.3)
    moved = betting_bounds(4 * x - 3, low=-3, high=1, spread=1.2)
    assert moved == pytest.approx((4 * low - 3, 4 * high - 3))
    low, high = betting_bounds(1 - x, spread=0.3)
    assert betting_bounds(x, spread=0.3) == pytest.approx((1 - high, 1 - low))


def test_a_pool_that_was_drawn_whole_is_known():
    x = np.random.default_rng(2).random(20)
    low, high = betting_bounds(x, size=20)
    assert low == pytest.approx(x.mean(), abs=0.06)
    assert low <= x.mean() <= high
    assert betting_bounds([0.0] * 5, size=5) == pytest.approx((0, 0), abs=1e-9)
    assert betting_bounds([1.0] * 5, size=5) == pytest.approx((1, 1), abs=1e-9)


def misses(draw, mean, repeats=1000, **options):
    """How many intervals miss the mean."""
    found = (betting_bounds(draw(), 0.9, **options) for _ in range(repeats))
    return sum(not low <= mean <= high for low, high in found)


def test_betting_bounds_hold():
    """Rare errors, where the normal interval fails; draws from a pool; and a wrong spread."""
    rng = np.random.default_rng(3)
    most = stats.binom.ppf(0.9999, 200, 0.1)
    pool = rng.random(30) ** 8
    assert misses(lambda: rng.random(40) < 0.02, 0.02, 200) <= most
    assert misses(lambda: rng.permutation(pool)[:15], pool.mean(), 200, size=30) <= most
    assert misses(lambda: rng.random(20), 0.5, 200, spread=0.01) <= most
    parts = np.linspace(0, 1, 20)
    assert misses(lambda: rng.random(20) < parts, 0.5, 200, same_mean=False) <= most


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: binomial_bounds(3, 2), "successes must be a whole number from 0 to count"),
        (lambda: binomial_bounds(0, 0), "got 0 of 0"),
        (lambda: binomial_bounds(1, 2, 1), "level must be a number between 0 and 1, got 1"),
        (lambda: binomial_bounds(1, 2, sides=3), "sides must be 1 or 2, got 3"),
        (lambda: finite_bounds(1, 5, 4), "size must be at least count"),
        (lambda: errors_allowed(1, 5, 4, 0), "alpha must be a number between 0 and 1, got 0"),
        (lambda: betting_bounds([]), "values must have one number for each draw"),
        (lambda: betting_bounds([0.5, 1.5]), "got 1.5"),
        (lambda: betting_bounds([math.nan]), "got nan"),
        (lambda: betting_bounds([0.5], low=1, high=0), "from low, 1, to high, 0"),
        (lambda: betting_bounds([0.5, 0.5], size=1), "size must be at least the number of values, got 1 and 2"),
        (lambda: betting_bounds([0.5], spread=0), "spread must be a number above 0, got 0"),
    ],
)
def test_wrong_arguments(call, said):
    with pytest.raises(InvalidInput, match=said):
        call()

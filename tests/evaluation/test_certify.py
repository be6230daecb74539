"""Certified parts of a pool, against plain loops over all hypotheses, and how often their promise is broken."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from distil.evaluation.certify import STARTS, Routes, certified, routed, sequences


def by_testing_each(errors_before, count, size, limit, alpha):
    """The last item before the first hypothesis that is not rejected, given the number of errors among the first j items."""
    last = -1
    for j in range(size + 1):
        if stats.hypergeom.cdf(errors_before(j), size, limit + 1, count) > alpha:
            return last
        last = j
    return last


def test_each_hypothesis_in_turn():
    rng = np.random.default_rng(0)
    for alpha, limit in ((0.05, 9), (0.3, 4), (0.2, 25)):
        for _ in range(10):
            places, wrong = rng.permutation(60)[:25], rng.random(25) < 0.2
            expected = by_testing_each(lambda j: (wrong & (places < j)).sum(), 25, 60, limit, alpha)  # noqa: B023
            assert certified(places, wrong, 60, limit, alpha) == max(expected, 0)


def test_each_route_in_turn():
    rng = np.random.default_rng(1)
    size, limit, alpha = 80, 16, 0.9
    splits = set()
    for cost in (0.3, 0.3, 0.3, 0.95, 0.95, 0.95):
        places = rng.permutation(size)[:40]
        wrong = rng.random(40) < places / size
        second_wrong = rng.random(40) < (0.1 if cost < 0.5 else 0.9)
        model = by_testing_each(lambda j: (wrong & (places < j)).sum(), 40, size, limit, alpha / 9)  # noqa: B023
        best = [(size - max(model, 0), max(model, 0), max(model, 0))]
        for step in range(STARTS):
            start = size * step // STARTS
            held = {
                end: (np.where(places < start, wrong, second_wrong) & (places < end)).sum()
                for end in range(start, size + 1)
            }
            end = start - 1
            while end < size and stats.hypergeom.cdf(held[end + 1], size, limit + 1, 40) <= alpha / 9:
                end += 1
            if end >= start:
                best.append((cost * (end - start) + size - end, start, end))
        found = routed(places, wrong, second_wrong, size, limit, alpha, cost)
        assert cost * (found.second - found.model) + size - found.second == pytest.approx(min(best)[0])
        assert (found.model, found.second) in [each[1:] for each in best]
        splits.add(found.model < found.second)
    assert splits == {True, False}


def test_a_sample_that_is_too_small_certifies_nothing():
    places = np.arange(58) * 100
    right = np.zeros(58, dtype=bool)
    assert certified(places, right, 100_000, 5_000, 0.05) == 0
    assert routed(places, right, right, 100_000, 5_000, 0.05, 0.1) == Routes(0, 0)
    assert sequences(True) == 9
    assert sequences(False) == 1


def broken(draws, size, wrong, second_wrong, limit, *, two):
    """How often more labels than the limit are wrong."""
    rng, count = np.random.default_rng(2), 0
    for _ in range(draws):
        places = rng.permutation(size)[:120]
        if two:
            found = routed(places, wrong[places], second_wrong[places], size, limit, 0.05, 0.1)
        else:
            found = Routes(*[certified(places, wrong[places], size, limit, 0.05)] * 2)
        count += wrong[: found.model].sum() + second_wrong[found.model : found.second].sum() > limit
    return count


def test_the_promise_is_kept():
    """A model that errs more and more, a second labeler that errs seldom: at most 5 % of the samples break the promise."""
    size, rng = 2000, np.random.default_rng(3)
    wrong, second_wrong = rng.random(size) < np.linspace(0, 0.4, size), rng.random(size) < 0.03
    most = stats.binom.ppf(0.999, 200, 0.05)
    for limit in (100, 200):
        assert broken(200, size, wrong, second_wrong, limit, two=False) <= most
        assert broken(200, size, wrong, second_wrong, limit, two=True) <= most

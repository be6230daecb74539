"""Estimates from few labels: expectations by enumeration, weights by hand, and the coverage of the intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from distil.errors import InvalidInput
from distil.functional.bounds import binomial_bounds, finite_bounds
from distil.functional.estimates import (
    active_chances,
    active_draws,
    active_estimate,
    stratified_draws,
    stratified_estimate,
    uniform_estimate,
)

RNG = np.random.default_rng(0)
GUESSES = np.array([0.95, 0.6, 0.8, 0.99, 0.5])
VALUES = np.array([1.0, 0, 1, 0, 1])


def pool(size, sure=0.8):
    """A calibrated and mostly sure model: the probability of being right, and whether it is."""
    p = np.where(RNG.random(size) < sure, 0.99, 0.7)
    return p, (RNG.random(size) < p).astype(float)


def test_the_active_estimate_has_the_mean_over_the_pool_as_its_expectation():
    for uniform_part in (0.2, 1.0):
        chances = active_chances(np.sqrt(GUESSES * (1 - GUESSES)), uniform_part)
        assert chances.sum() == pytest.approx(1)
        assert chances.min() >= uniform_part / 5 - 1e-12
        each = [
            active_estimate(VALUES[[row]], np.array([row]), GUESSES, chances, 0.5).mean for row in range(5)
        ]  # cut off at 0 and 1, so the terms are computed by hand
        terms = GUESSES.mean() + (VALUES - GUESSES) / (5 * chances)
        assert each == pytest.approx(np.clip(terms, 0, 1))
        assert (chances * terms).sum() == pytest.approx(VALUES.mean())


def test_without_guesses_it_is_the_importance_weighted_mean():
    chances = active_chances(np.array([1.0, 2, 3, 4, 5]))
    rows = np.array([1, 4, 4, 2])
    found = active_estimate(VALUES[rows], rows, np.zeros(5), chances)
    assert found.mean == pytest.approx((VALUES[rows] / (5 * chances[rows])).mean())


def test_the_estimates_are_those_of_published_packages_on_the_same_draws():
    """Numbers of glide-py 0.11.0 (ASIMeanEstimator, no power tuning; IPWClassicalMeanEstimator) and ppi-python 0.2.3 (lam=1)."""
    guesses = np.array([0.95, 0.6, 0.8, 0.99, 0.5, 0.7, 0.9, 0.85])
    values = np.array([1.0, 0, 1, 0, 1, 1, 1, 0])
    chances = np.array([0.1, 0.15, 0.1, 0.1, 0.2, 0.15, 0.1, 0.1])
    rows = np.array([1, 4, 7])
    uniform = np.full(8, 1 / 8)
    for q, f, expected in (
        (chances, guesses, 0.3695833333333333),
        (chances, np.zeros(8), 0.2083333333333333),
        (uniform, guesses, 0.4695833333333333),
    ):
        assert active_estimate(values[rows], rows, f, q).mean == pytest.approx(expected, abs=1e-14)


def test_equal_spreads_are_uniform_draws():
    assert active_chances(np.zeros(4)).tolist() == active_chances(np.full(4, 3.0)).tolist() == [0.25] * 4


def test_draws_have_their_probabilities():
    chances = active_chances(np.array([0.0, 1, 7, 2]), 0.3)
    found = np.bincount(active_draws(chances, (np.arange(100_000) + 0.5) / 100_000), minlength=4)
    assert found / 100_000 == pytest.approx(chances, abs=2e-5)
    assert active_draws(np.array([0.5, 0.5]), np.array([0.0, 0.49999, 0.5, 1 - 1e-16])).tolist() == [0, 0, 1, 1]


def test_stratified_draws_take_every_item_with_the_same_probability():
    """7 items in 3 parts: an item on a border belongs to both."""
    uncertainty = np.array([0.3, 0.1, 0.9, 0.2, 0.7, 0.5, 0.4])
    grid = (np.arange(7000) + 0.5) / 7000
    rows = np.stack([stratified_draws(uncertainty, np.full(3, point)) for point in grid])
    assert np.bincount(rows.ravel(), minlength=7) / 7000 == pytest.approx(np.full(7, 3 / 7), abs=1e-3)
    order = np.argsort(uncertainty)
    for part in range(3):
        assert set(rows[:, part]) == set(order[int(part * 7 / 3) : int(np.ceil((part + 1) * 7 / 3))])


def test_intervals_of_values_0_and_1_are_exact():
    values = np.array([1.0, 1, 0, 1])
    assert uniform_estimate(values, 9) == (0.75, *finite_bounds(3, 4, 9))
    assert stratified_estimate(values, 0.8) == (0.75, *binomial_bounds(3, 4, 0.8))


def covered(estimate, mean, repeats):
    """Whether the number of intervals that miss the mean is that of a 90 % interval or less; and the mean width."""
    found = [estimate() for _ in range(repeats)]
    missed = sum(not each.low <= mean <= each.high for each in found)
    assert missed <= stats.binom.ppf(0.9999, repeats, 0.1)
    return np.mean([each.high - each.low for each in found]), np.std([each.mean for each in found])


def test_intervals_hold_and_estimates_are_sharper():
    p, right = pool(2000)
    chances, n, mean = active_chances(np.sqrt(p * (1 - p))), 200, right.mean()

    def active(guesses=p):
        rows = active_draws(chances, RNG.random(n))
        return active_estimate(right[rows], rows, guesses, chances, 0.9)

    def stratified(values=right):
        return stratified_estimate(values[stratified_draws(1 - p, RNG.random(n))], 0.9)

    uniform = covered(lambda: uniform_estimate(right[RNG.permutation(2000)[:n]], 2000, 0.9), mean, 120)
    assert covered(active, mean, 120)[1] < 0.9 * uniform[1]
    assert covered(stratified, mean, 120)[1] < uniform[1]
    covered(lambda: active(np.full(2000, 0.5)), mean, 50)
    covered(lambda: stratified(right / 2), mean / 2, 50)
    covered(lambda: uniform_estimate(right[RNG.permutation(2000)[:n]] / 2, 2000, 0.9), mean / 2, 50)


def test_wrong_arguments():
    chances = np.full(5, 0.2)
    for call in (
        lambda: active_chances(np.array([1.0, -1])),
        lambda: active_chances(np.ones(3), 0),
        lambda: active_estimate(np.ones(1), np.zeros(1, int), np.full(5, 1.2), chances),
        lambda: active_estimate(np.ones(1), np.zeros(1, int), GUESSES, np.full(5, 0.3)),
    ):
        with pytest.raises(InvalidInput):
            call()

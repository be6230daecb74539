"""The knapsack against dynamic programming, which is exact for small whole costs."""

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional.knapsack import knapsack


def best_value(gains, costs, budget):
    """The largest sum of gains within the budget, by dynamic programming over budgets."""
    best = np.zeros(budget + 1)
    for gain, cost in zip(gains, costs, strict=True):
        if cost <= budget:
            best[cost:] = np.maximum(best[cost:], best[: budget + 1 - cost] + gain)
    return best[budget]


def test_at_least_half_of_the_best_value_within_the_budget():
    rng, shares = np.random.default_rng(0), []
    for _ in range(300):
        n, budget = rng.integers(1, 25), rng.integers(1, 60)
        gains, costs = rng.exponential(size=n) ** 2, rng.integers(1, 30, size=n)
        costs[0] = min(costs[0], budget)
        rows = knapsack(torch.tensor(gains), torch.tensor(costs), n, float(budget)).tolist()
        assert len(set(rows)) == len(rows) > 0
        assert costs[rows].sum() <= budget
        shares.append(gains[rows].sum() / best_value(gains, costs, budget))
    assert 0.5 <= min(shares) < 1
    assert max(shares) <= 1 + 1e-12
    assert np.mean(shares) > 0.95


def test_a_large_row_alone_beats_small_ones():
    rows = knapsack(torch.tensor([2.0, 10.0]), torch.tensor([1.0, 10.0]), 2, 10.0)
    assert rows.tolist() == [1]


def test_the_order_is_that_of_gain_per_cost():
    gains, costs = torch.tensor([4.0, 9.0, 1.0, 6.0, 8.0]), torch.tensor([2.0, 3.0, 1.0, 2.0, 4.0])
    assert knapsack(gains, costs, 5).tolist() == [1, 3, 0, 4, 2]
    assert knapsack(gains, costs, 3).tolist() == [1, 3, 0]
    assert knapsack(gains, costs, 5, 8.0).tolist() == [1, 3, 0, 2], "row 4 does not fit"
    assert knapsack(gains, costs, 2, 8.0).tolist() == [1, 3]
    assert knapsack(2.0**-90 * gains, 2.0**90 * costs, 5, 2.0**93).tolist() == [1, 3, 0, 2]


def test_a_budget_below_every_cost_is_refused():
    with pytest.raises(InvalidInput, match=r"the budget of 1\.5 is below the smallest cost, 2; raise it"):
        knapsack(torch.ones(3), torch.tensor([2.0, 3.0, 4.0]), 3, 1.5)


def test_a_budget_buys_what_it_pays_for_exactly():
    costs = torch.full((20,), 0.1)  # three of them are above 0.3 by rounding
    assert len(knapsack(torch.ones(20), costs, 20, 0.3)) == 3
    assert len(knapsack(torch.ones(20), costs, 20, 0.1)) == 1
    assert len(knapsack(torch.ones(20), costs, 20, 0.299)) == 2


def test_negative_gains_are_refused():
    with pytest.raises(
        InvalidInput, match="gains per cost need gains of at least 0, got -2; take a strategy whose scores"
    ):
        knapsack(torch.tensor([1.0, -2.0]), torch.ones(2), 1)
    assert knapsack(torch.tensor([1.0, -1e-8]), torch.ones(2), 2).tolist() == [0, 1]  # rounding

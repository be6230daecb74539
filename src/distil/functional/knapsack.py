"""Knapsack: pick rows of large gain within a budget of cost."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.errors import InvalidInput

_ROUNDING = 1e-6  # gains may be below 0, and sums of costs above a budget by this share of it, by rounding


def knapsack(gains: Tensor, costs: Tensor, n: int, budget: float | None = None) -> Tensor:
    """Pick rows in the order of gain per cost; with a budget, those that still fit into it.

    Dantzig 1957. With a budget, rows that do not fit are passed over, and where a single row that fits has a larger gain than all
    picks together, it is picked alone: the sum of gains is then at least half of the largest possible one, unless ``n`` ends the
    picks before the budget does.

    Args:
        gains: The gain of each row, (N,), at least 0.
        costs: The cost of each row, (N,), finite and above 0.
        n: Largest number of rows to pick, from 1 to N; without a budget, exactly this many.
        budget: Largest sum of costs; None: no bound.

    Returns:
        Rows in pick order; of equal gains per cost, the smaller row comes first.

    Raises:
        InvalidInput: Even the cheapest row costs more than the budget, or a gain is negative.

    Cost: O(N log N).

    >>> knapsack(torch.tensor([6.0, 10.0, 12.0]), torch.tensor([1.0, 2.0, 3.0]), 3, 5.0).tolist()
    [0, 1]
    """
    gains, costs = gains.double(), costs.double()
    if bool((gains < -_ROUNDING).any()):
        raise InvalidInput(
            f"gains per cost need gains of at least 0, got {float(gains.min()):.3g}; take a strategy whose scores are at least 0, "
            "such as entropy_sampling"
        )
    gains = gains.clamp_min(0)
    order = (gains / costs).argsort(descending=True, stable=True)
    if budget is None:
        return order[:n]
    cheapest = float(costs.min())
    left = budget * (1 + _ROUNDING)
    if cheapest > left:
        raise InvalidInput(f"the budget of {budget:g} is below the smallest cost, {cheapest:g}; raise it")
    picks: list[int] = []
    for row, cost in zip(order.tolist(), costs[order].tolist(), strict=True):
        if len(picks) == n or left < cheapest:
            break
        if cost <= left:
            picks.append(row)
            left -= cost
    best = int(gains.masked_fill(costs > budget * (1 + _ROUNDING), -1).argmax())
    return torch.tensor([best] if gains[best] > gains[picks].sum() else picks)

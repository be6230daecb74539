"""How many to pick of each class."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.errors import InvalidInput


def class_budgets(labels: Tensor, n: int, num_classes: int) -> Tensor:
    """Divide ``n`` picks among the classes in proportion to their populations, by largest remainder (Hamilton's rule).

    A class of share q gets floor(q n) or one more, never more than it has; fewer picks than classes are no difficulty.
    DISTIL 0.1 gave every class the same and the whole remainder to the largest, or one to each and could exceed the budget or a
    population.

    Args:
        labels: The class of each row, (N,) int64, below ``num_classes``.
        n: How many picks, from 0 to N.
        num_classes: C.

    Returns:
        (C,) int64 that sum to ``n``; equal remainders go to the smaller class.

    Raises:
        InvalidInput: A label out of range, or ``n`` beyond the rows there are.

    >>> class_budgets(torch.tensor([0] * 6 + [1] * 3 + [3]), 5, 4)
    tensor([3, 2, 0, 0])
    """
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= num_classes):
        raise InvalidInput(f"labels must be 0 to {num_classes - 1}, got {int(labels.min())} to {int(labels.max())}")
    if not 0 <= n <= len(labels):
        raise InvalidInput(f"n must be between 0 and the {len(labels)} rows there are, got {n}")
    populations = torch.bincount(labels, minlength=num_classes)
    shares = populations * n
    total = max(1, len(labels))
    budgets = shares // total
    rest = n - int(budgets.sum())
    order = (shares % total).argsort(descending=True, stable=True)
    budgets[order[:rest]] += 1
    return budgets

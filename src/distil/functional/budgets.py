"""Budgets of classes."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.errors import InvalidInput


def class_budgets(labels: Tensor, n: int, num_classes: int) -> Tensor:
    """Divide ``n`` picks among the classes in proportion to their populations, by largest remainder (Hamilton's rule).

    A class with share q of the rows gets floor(q n) picks or one more, and never more than it has rows; ``n`` may be below the
    number of classes. DISTIL 0.1 gave every class the same number and the remainder to the largest class, or one pick to each
    class, and could exceed the budget or a population.

    Args:
        labels: The class of each row, (N,) int64, below ``num_classes``.
        n: Number of picks, from 0 to N.
        num_classes: Number of classes C.

    Returns:
        Picks of each class, (C,) int64, with sum ``n``; equal remainders go to the smaller class.

    Raises:
        InvalidInput: A label is out of range, or ``n`` is not between 0 and N.

    >>> class_budgets(torch.tensor([0] * 6 + [1] * 3 + [3]), 5, 4)
    tensor([3, 2, 0, 0])
    """
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= num_classes):
        raise InvalidInput(f"labels must be 0 to {num_classes - 1}, got {int(labels.min())} to {int(labels.max())}")
    if not 0 <= n <= len(labels):
        raise InvalidInput(f"n must be between 0 and {len(labels):,}, the number of rows; got {n:,}")
    populations = torch.bincount(labels, minlength=num_classes)
    shares = populations * n
    total = max(1, len(labels))
    budgets = shares // total
    rest = n - int(budgets.sum())
    order = (shares % total).argsort(descending=True, stable=True)
    budgets[order[:rest]] += 1
    return budgets


def even_budgets(populations: Tensor, n: int) -> Tensor:
    """Divide ``n`` picks as evenly among classes as their populations allow.

    Every class gets the same number, or one more, unless it has fewer rows; it then gives all of them.

    Args:
        populations: Rows of each class, (C,) int64, with a sum of at least ``n``.
        n: Number of picks, from 0.

    Returns:
        Picks of each class, (C,) int64, with sum ``n``. Those that do not divide go to the classes with most rows, of equal ones to
        the smaller class.

    >>> even_budgets(torch.tensor([1, 0, 9, 5]), 8)
    tensor([1, 0, 4, 3])
    """
    if not 0 <= n <= int(populations.sum()):
        raise InvalidInput(f"n must be between 0 and {int(populations.sum()):,}, the number of rows; got {n:,}")
    order = populations.argsort(descending=True, stable=True)
    budgets = torch.zeros_like(populations)
    left = n
    for place in reversed(range(len(order))):  # the smallest class first: what it lacks is shared by the others
        c = order[place]
        budgets[c] = min(int(populations[c]), left // (place + 1))
        left -= int(budgets[c])
    return budgets

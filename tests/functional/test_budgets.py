"""Budgets of classes: Hamilton's rule, by its properties and by hand."""

import itertools
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distil.errors import InvalidInput
from distil.functional.budgets import class_budgets, even_budgets


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.data())
def test_properties(labels, data):
    n = data.draw(st.integers(0, len(labels)))
    budgets = class_budgets(torch.tensor(labels), n, 8).tolist()
    quotas = [Fraction(labels.count(c) * n, len(labels)) for c in range(8)]
    assert sum(budgets) == n
    assert all(budget <= labels.count(c) for c, budget in enumerate(budgets))
    assert all(int(quota) <= budget <= -(-quota // 1) for quota, budget in zip(quotas, budgets, strict=True))
    rest = [quota - int(quota) for quota in quotas]
    raised = [rest[c] for c in range(8) if budgets[c] > int(quotas[c])]
    assert not raised or min(raised) >= max(rest[c] for c in range(8) if budgets[c] == int(quotas[c]))


def test_by_hand():
    for populations, n, expected in [
        ((60, 30, 20, 10), 15, [8, 4, 2, 1]),  # 7.5, 3.75, 2.5, 1.25: the smaller class of 7.5 and 2.5
        ((5, 5, 5, 5), 2, [1, 1, 0, 0]),
        ((1, 0, 99), 1, [0, 0, 1]),
        ((3, 0, 2), 5, [3, 0, 2]),
        ((3, 1), 0, [0, 0]),
        ((98, 1, 1), 50, [49, 1, 0]),
    ]:
        labels = torch.cat([torch.full((size,), c) for c, size in enumerate(populations)])
        assert class_budgets(labels.flip(0), n, len(populations)).tolist() == expected, (populations, n, expected)


def test_refusals(subtests):
    for labels, n, match in [
        ([0, 3], 1, "labels must be"),
        ([-1, 0], 1, "labels must be"),
        ([0, 1], 3, "n must"),
        ([0], -1, "n must"),
    ]:
        with subtests.test(labels=labels, n=n, match=match), pytest.raises(InvalidInput, match=match):
            class_budgets(torch.tensor(labels), n, 3)


def test_even_budgets_are_the_most_even_of_all():
    """By enumeration: the smallest sum of squares among all budgets within the populations."""
    for populations in ([3, 0, 5], [1, 1, 1], [4, 2, 2], [0, 0, 6]):
        for n in range(sum(populations) + 1):
            found = even_budgets(torch.tensor(populations), n).tolist()
            every = [b for b in itertools.product(*(range(p + 1) for p in populations)) if sum(b) == n]
            assert tuple(found) in every
            assert sum(b * b for b in found) == min(sum(b * b for b in each) for each in every)
    with pytest.raises(InvalidInput, match="between 0 and 3"):
        even_budgets(torch.tensor([1, 2]), 4)

"""Selections without near-duplicates, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from distil.data.distances import ruler
from distil.errors import InvalidInput
from distil.rng import Rng
from distil.selection import near_duplicates as near
from distil.selection.near_duplicates import without_near_duplicates
from distil.strategies.base import Selection
from distil.system.runtime import Runtime


def top(x, scores, n, pool):
    def choose(excluded):
        free = pool[~torch.isin(pool, excluded)]
        if len(free) < n:
            raise InvalidInput("n must be smaller")
        return Selection(free[scores[free].argsort(descending=True, stable=True)][:n])

    return choose


def test_without_near_duplicates_of_a_score_are_the_best_that_differ(case, monkeypatch):
    """The definition: go down the ranking and leave out every row that is near an earlier one."""
    for seed in range(6):
        for copies in [1, 3, 10]:
            with case(seed, copies):
                monkeypatch.setattr(near, "_PICKS", 3)
                generator = Rng(seed).torch()
                centers = torch.randn(40, 4, generator=generator) * 10
                x = (centers.repeat(copies, 1) + torch.rand(40 * copies, 4, generator=generator) * 0.01)[
                    torch.randperm(40 * copies, generator=generator)
                ]
                scores = torch.rand(len(x), generator=generator)
                every = torch.arange(len(x))
                labeled, pool = every[:5], every[5:]
                found = without_near_duplicates(
                    top(x, scores, 12, pool), x, pool, labeled, 0.1, ruler(x, pool), Runtime()
                )
                expected = []
                for row in pool[scores[pool].argsort(descending=True, stable=True)].tolist():
                    if np.min(cdist(x[[row]], x[labeled.tolist() + expected])) > 0.1:
                        expected.append(row)
                assert found.tolist() == expected[:12]


def test_too_few_that_differ():
    x = torch.tensor([[0.0], [0.0], [0.0], [7.0]])
    pool = torch.arange(4)
    with pytest.raises(InvalidInput, match="n must be smaller"):
        without_near_duplicates(top(x, torch.ones(4), 3, pool), x, pool, pool[:0], 0.1, ruler(x, pool), Runtime())


def test_chains_of_near_rows_keep_every_other():
    x = torch.tensor([[0.0], [0.8], [1.6], [2.4], [100.0]])
    pool = torch.arange(5)
    found = without_near_duplicates(top(x, -pool.float(), 3, pool), x, pool, pool[:0], 1.0, ruler(x, pool), Runtime())
    assert found.tolist() == [0, 2, 4]

"""Strategies of users may write to the columns that they read; the caller's arrays do not change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from distil.selection.select import select, select_from
from distil.signals import Embedding, Probs
from distil.strategies.base import Needs, ScoreStrategy, Selection, Strategy
from distil.system.runtime import Runtime

N = 12


@dataclass(frozen=True)
class WritingScore(ScoreStrategy):
    needs = Needs(pool=(Embedding(),))

    def score(self, sets):
        column = sets.pool[Embedding()]
        column *= -1
        return column.sum(1)


@dataclass(frozen=True)
class WritingSelect(Strategy):
    needs = Needs(pool=(Embedding(), Probs()), labeled=(Embedding(),))

    def select(self, sets, n, rng):
        for column in (sets.pool[Embedding()], sets.pool[Probs()], sets.labeled[Embedding()]):
            column.zero_()
        return Selection(sets.pool.ids[:n])


def arrays():
    x = np.random.default_rng(0).random((N, 4))
    writable, locked = x.astype(np.float32), x.copy()
    locked.flags.writeable = False
    return [writable, locked, torch.from_numpy(x).float(), torch.from_numpy(x), x.astype(np.float32)[:, ::-1]]


def test_the_arrays_of_the_caller_do_not_change(case):
    probs = torch.full((N, 2), 0.5)
    for strategy in (WritingScore(), WritingSelect()):
        for x in arrays():
            with case(strategy, type(x), x.dtype):
                before = np.asarray(x).copy()
                select_from(strategy, 3, embeddings=x, probs=probs, labeled=[0, 1])
                assert np.array_equal(np.asarray(x), before)
                assert bool((probs == 0.5).all())


def test_the_pool_of_the_caller_does_not_change_if_a_model_returns_its_inputs(case):
    x = torch.rand(N, 3)
    before = x.clone()
    for strategy in (WritingScore(), WritingSelect()):
        for batch_size in (2, 100):
            with case(strategy, batch_size):
                select(strategy, lambda x: (x, x), x, 3, labeled=[0], runtime=Runtime(batch_size=batch_size))
                assert torch.equal(x, before)

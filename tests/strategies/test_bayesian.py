"""BatchBALD among the examples whose own labels are most informative."""

from __future__ import annotations

import torch

from distil.functional.batchbald import batchbald
from distil.rng import Rng
from distil.signals import MCProbs, Signals
from distil.strategies import bayesian as module
from distil.strategies.base import Sets
from distil.strategies.bayesian import BatchBALD


def test_big_pools_are_picked_among_the_most_informative(monkeypatch):
    probs = torch.randn(60, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).softmax(2)
    pool = Sets(pool=Signals(torch.arange(60) + 100, {MCProbs(10, shared=True): probs}))
    exact = batchbald(probs, 5)
    whole = BatchBALD().select(pool, 5, Rng(0))
    assert (whole.tolist(), whole.notes) == ((exact.rows + 100).tolist(), ())
    mean = probs.mean(1)
    own = -(mean * mean.log()).sum(1) + (probs * probs.log()).sum(2).mean(1)
    note = "picked among the {} of 60 examples whose own labels are most informative"
    monkeypatch.setattr(module, "_WORK", 20 * 5 * 10_000 * 3 * (4 + 20))  # 20 candidates for 5 picks
    for strategy, most in ((BatchBALD(), 20), (BatchBALD(candidates=9), 9), (BatchBALD(candidates=2), 5)):
        found = strategy.select(pool, 5, Rng(0))
        best = own.topk(most).indices.sort().values
        assert found.tolist() == (best[batchbald(probs[best], 5).rows] + 100).tolist()
        assert found.notes == (note.format(most),)
    assert BatchBALD().select(pool, 11, Rng(0)).notes == (note.format(22),)  # two for each pick at least

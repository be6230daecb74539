"""BAIT as a strategy: the signals that it reads, its errors and its selections."""

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional.bait import bait
from distil.rng import Rng
from distil.signals import Embedding, Logits, Signals
from distil.strategies import BAIT
from distil.strategies import fisher as module
from distil.strategies.base import Sets


def table(n, seed, first_id=0):
    g = torch.Generator().manual_seed(seed)
    h = torch.randn(n, 5, generator=g)
    logits = h @ torch.randn(5, 3, generator=torch.Generator().manual_seed(9))
    return Signals(torch.arange(n) + first_id, {Logits(): logits, Embedding(): h})


def arrays(signals):
    return signals.values[Logits()].softmax(-1), signals.values[Embedding()]


def test_picks_are_those_of_the_kernel():
    pool, labeled = table(60, 0, first_id=100), table(8, 1)
    rows = bait(*arrays(pool), 6, labeled=arrays(labeled), ridge=0.5, oversample=3)
    found = BAIT(ridge=0.5, oversample=3).select(Sets(pool=pool, labeled=labeled), 6, Rng(0))
    assert found.tolist() == (rows + 100).tolist()


def test_the_labeled_set_counts_and_is_optional():
    pool, labeled = table(60, 0), table(40, 1)
    without = BAIT().select(Sets(pool=pool), 6, Rng(0)).tolist()
    assert without == bait(*arrays(pool), 6).tolist()
    assert BAIT().select(Sets(pool=pool, labeled=labeled), 6, Rng(0)).tolist() != without


def test_big_pools_are_picked_among_random_candidates(monkeypatch):
    pool = table(60, 0, first_id=100)
    monkeypatch.setattr(module, "_WORK", 30 * 6 * (2**2 + 8) * (5 + 400))  # 30 candidates for 6 picks, of 3 classes
    found = BAIT().select(Sets(pool=pool), 3, Rng(0))
    assert found.notes == ("picked among 30 random candidates of the 60 examples",)
    assert found.tolist() == BAIT(candidates=30).select(Sets(pool=pool), 3, Rng(0)).tolist()
    assert {tuple(BAIT().select(Sets(pool=pool), 3, Rng(seed))) for seed in range(5)} != {tuple(found)}
    assert BAIT().select(Sets(pool=pool), 5, Rng(0)).notes == ("picked among 20 random candidates of the 60 examples",)
    exact = (bait(*arrays(pool), 3) + 100).tolist()
    for strategy in (BAIT(candidates=60), BAIT(candidates=1000)):
        found = strategy.select(Sets(pool=pool), 3, Rng(0))
        assert (found.tolist(), found.notes) == (exact, ())
    assert len(set(BAIT(candidates=2).select(Sets(pool=pool), 3, Rng(0)))) == 3
    assert BAIT(likelihood="binary").select(Sets(pool=pool), 3, Rng(0)).notes == (
        "picked among 40 random candidates of the 60 examples",
    )


def test_invalid_parameters():
    for ridge in (0, -1.0, float("inf"), float("nan"), True, "1"):
        with pytest.raises(InvalidInput, match="ridge must be a number above 0"):
            BAIT(ridge=ridge)
    for oversample in (0, 1.5, True):
        with pytest.raises(InvalidInput, match="oversample must be a whole number from 1"):
            BAIT(oversample=oversample)


def test_binary_likelihood_is_the_information_of_a_logistic_regression():
    """The greedy picks of tr(A F) with p (1 - p) h h^T, in NumPy."""
    pool, labeled = table(40, 0), table(6, 1)
    (p, h), (q, k) = arrays(pool), arrays(labeled)
    p, q = (each.max(1).values.double().numpy() for each in (p, q))
    h, k = h.double().numpy(), k.double().numpy()
    each = np.einsum("i,ij,ik->ijk", p * (1 - p), h, h)
    known = np.einsum("i,ij,ik->jk", q * (1 - q), k, k)
    fisher = (each.sum(0) + known) / (len(h) + len(k))
    n, picks = 5, []
    information = 0.7 * np.eye(5) + known / (len(k) + n)  # mean over the labeled, times M / (M + n)
    for _ in range(n):
        traces = [
            np.inf if i in picks else np.trace(np.linalg.inv(information + each[i] / (len(k) + n) * n) @ fisher)
            for i in range(len(h))
        ]
        picks.append(int(np.argmin(traces)))
        information = information + each[picks[-1]] / (len(k) + n) * n
    found = BAIT(likelihood="binary", ridge=0.7, oversample=1).select(Sets(pool=pool, labeled=labeled), n, Rng(0))
    assert found.tolist() == picks

"""LCMD and MaxDet as strategies: which rows they read, of the pool and of the labeled set."""

import torch

from distil.functional.features import Dense
from distil.functional.lcmd import lcmd
from distil.functional.max_det import max_det
from distil.rng import Rng
from distil.signals import Embedding, Gradient, Logits, Signals
from distil.strategies import LCMD, MaxDet
from distil.strategies.base import Sets


def table(n, seed, first_id=0):
    g = torch.Generator().manual_seed(seed)
    h = torch.randn(n, 5, generator=g)
    return Signals(torch.arange(n) + first_id, {Logits(): h @ torch.ones(5, 3).tril(), Embedding(): h})


def test_rows_are_gradients_or_embeddings():
    pool, labeled = table(60, 0, first_id=100), table(8, 1)
    both = Sets(pool=pool, labeled=labeled)
    by_gradient = lcmd(pool[Gradient()], 9, labeled[Gradient()]).rows + 100
    by_embedding = lcmd(Dense(pool[Embedding()]), 9, Dense(labeled[Embedding()])).rows + 100
    assert LCMD().select(both, 9, Rng(0)).tolist() == by_gradient.tolist()
    assert LCMD(kernel="embedding").select(both, 9, Rng(0)).tolist() == by_embedding.tolist()
    assert by_gradient.tolist() != by_embedding.tolist()
    expected = max_det(pool[Gradient()], 9, torch.Generator(), labeled=labeled[Gradient()]).rows + 100
    assert MaxDet().select(both, 9, Rng(0)).tolist() == expected.tolist()


def test_the_labeled_set_is_optional_and_reasons_say_so():
    pool = table(60, 0)
    found = LCMD().select(Sets(pool=pool), 4, Rng(0))
    assert found.reasons[0] == "the longest, because nothing is labeled"
    assert all("from its center" in reason for reason in found.reasons[1:])
    assert len(set(MaxDet(ridge=0.1).select(Sets(pool=pool), 4, Rng(0)).tolist())) == 4

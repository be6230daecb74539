"""EPIG, committees and expected gradient lengths as strategies."""

import torch

from distil.functional.epig import epig
from distil.functional.uncertainty import bald, vote_entropy
from distil.rng import Rng
from distil.signals import MCProbs, Signals
from distil.strategies import EPIG, QueryByCommittee
from distil.strategies.base import Sets


def table(n, seed, shared=True, k=10):
    probs = torch.randn(n, k, 3, generator=torch.Generator().manual_seed(seed)).softmax(-1)
    return Signals(torch.arange(n) + 100, {MCProbs(k, shared=shared): probs})


def test_epig_asks_about_the_query_set_or_the_pool():
    pool, query = table(50, 0), table(8, 1)
    samples = MCProbs(10, shared=True)
    about_query = epig(pool[samples], query[samples]).argsort(descending=True)[:5] + 100
    found = EPIG().select(Sets(pool=pool, query=query), 5, Rng(0))
    assert found.tolist() == about_query.tolist()
    about_pool = epig(pool[samples], pool[samples]).argsort(descending=True)[:5] + 100
    assert EPIG().select(Sets(pool=pool), 5, Rng(0)).tolist() == about_pool.tolist()  # 100 targets are all of 50
    few = EPIG(n_targets=3)
    assert few.select(Sets(pool=pool), 5, Rng(0)).tolist() == few.select(Sets(pool=pool), 5, Rng(0)).tolist()
    assert few.select(Sets(pool=pool), 5, Rng(1)).tolist() != few.select(Sets(pool=pool), 5, Rng(0)).tolist()


def test_epig_without_information_is_a_random_sample():
    same = Signals(torch.arange(30), {MCProbs(10, shared=True): torch.full((30, 10, 3), 1 / 3)})
    found = EPIG().select(Sets(pool=same), 5, Rng(0))
    assert "this is a random sample" in found.notes[0]
    assert found.tolist() != EPIG().select(Sets(pool=same), 5, Rng(1)).tolist()


def test_committees_disagree_by_votes_or_divergence():
    pool = table(60, 2, shared=False)
    probs = pool[MCProbs(10)]
    for how, score in (("vote_entropy", vote_entropy), ("kl", bald)):
        found = QueryByCommittee(disagreement=how).select(Sets(pool=pool), 6, Rng(0))
        assert found.scores.tolist() == score(probs).sort(descending=True).values[:6].tolist()

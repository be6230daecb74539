"""BatchBALD and BAIT: selections by what they tell about the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import distil as library
from benchmarks.speed import data
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Size, Way
from distil.functional import batchbald as functional


def batchbald(given: Given) -> Prepared:
    """The library's."""
    mc_probs = given.tensor("mc_probs")
    return lambda k: Found(functional.batchbald(mc_probs, k, torch.Generator().manual_seed(0)).rows.numpy())


def batchbald_naive(given: Given) -> Prepared:
    """Joint entropies of all examples with the picks so far anew for every pick, over all C^i configurations."""
    probs = given.tensor("mc_probs").double()
    _n, t, c = probs.shape

    def run(k: int) -> Found:
        conditional = -_plogp(probs).sum(2).mean(1)
        joint = torch.ones(1, t, dtype=torch.float64, device=probs.device)  # (configurations, K)
        picks: list[int] = []
        for _ in range(k):
            step = max(1, 20_000_000 // (len(joint) * c))
            score = torch.cat(
                [-_plogp(torch.einsum("sk,nkc->nsc", joint, part) / t).sum((1, 2)) for part in probs.split(step)]
            )
            score -= conditional
            score[picks] = -torch.inf
            picks.append(int(score.argmax()))
            joint = (joint[:, None] * probs[picks[-1]].T[None]).flatten(0, 1)
        return Found(np.array(picks))

    return run


def sampled(size: Size, folder: Path) -> None:
    """``mc_probs`` (N, K, C): a logit of the example, and noise of the sample."""
    rng = np.random.default_rng(0)
    n, t, c = size["n"], size["t"], size["c"]
    logits = 2 * rng.standard_normal((n, 1, c), dtype=np.float32)
    logits = logits + rng.standard_normal((n, t, c), dtype=np.float32) * rng.random((n, 1, 1), dtype=np.float32)
    weights = np.exp(logits)
    data.save(folder, {"mc_probs": weights / weights.sum(2, keepdims=True)})


def bait(given: Given) -> Prepared:
    """The library's."""
    x, probs = given.tensor("x").cpu(), given.tensor("probs").cpu()
    return lambda k: Found(np.asarray(library.select_from("bait", k, probs=probs, embeddings=x)))


def _plogp(p: Tensor) -> Tensor:
    return torch.special.xlogy(p, p)


_DISTIL = Way("distil", "distil", f"{__name__}:batchbald")
_NAIVE = Way("all configurations a pick, torch", "naive", f"{__name__}:batchbald_naive")
_REDUX = Way("batchbald_redux", "peer", "benchmarks.speed.peers.batchbald_redux:batchbald", package="batchbald-redux")


def _batchbald(name: str, n: int, k: int, ways: tuple[Way, ...], bars: tuple[Bar, ...]) -> Row:
    size = {"n": n, "t": 50, "c": 10, "k": k}
    return Row(name, "BatchBALD", size, sampled, (_DISTIL, *ways), lambda _: bars)


def _bait(name: str, size: Size, bars: tuple[Bar, ...]) -> Row:
    return Row(name, "BAIT", size, data.mixture, (Way("distil", "distil", f"{__name__}:bait"),), lambda _: bars)


ROWS = (
    _batchbald("batchbald", 1000, 5, (_NAIVE, _REDUX), (Bar("ratio", 350, "peer"), Bar("seconds", 0.012))),
    _batchbald("batchbald_sampled", 1000, 8, (_REDUX,), (Bar("ratio", 10, "peer"), Bar("seconds", 0.75))),
    _batchbald("batchbald_large", 20_000, 5, (), (Bar("seconds", 0.15),)),
    _batchbald("batchbald_large_sampled", 20_000, 10, (), (Bar("seconds", 47),)),
    _bait("bait", {"n": 1000, "d": 32, "c": 10, "k": 3}, (Bar("seconds", 0.0243),)),
    _bait("bait_large", {"n": 10_000, "d": 64, "c": 10, "k": 100}, (Bar("seconds", 7.5),)),
)

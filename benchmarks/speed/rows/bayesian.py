"""BatchBALD and BAIT: selections by their information about the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed import data
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Size, Way
from distil.functional import bait as fisher
from distil.functional import batchbald as joint_entropy


def batchbald(given: Given) -> Prepared:
    """The library's implementation."""
    mc_probs = given.tensor("mc_probs")
    return lambda k: Found(joint_entropy.batchbald(mc_probs, k, torch.Generator().manual_seed(0)).rows.numpy())


def batchbald_naive(given: Given) -> Prepared:
    """The joint entropies of all examples with the picks so far, computed anew for every pick, over all C^i configurations."""
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
    """The library's implementation."""
    x, probs = given.tensor("x"), given.tensor("probs")
    return lambda k: Found(fisher.bait(probs, x, k).numpy())


def bait_naive(given: Given) -> Prepared:
    """Every example's V written out, (N, C, C D), and multiplied by the inverse anew for every pick; in float64, as the library."""
    probs, x = given.tensor("probs").double(), given.tensor("x").double()
    c = probs.shape[1]
    root = torch.diag_embed(probs.sqrt()) @ (torch.eye(c, dtype=probs.dtype, device=probs.device) - probs[:, None, :])
    v = torch.einsum("nij,nd->nijd", root, x).flatten(2)
    information = v.flatten(0, 1).T @ v.flatten(0, 1) / len(v)

    def run(k: int) -> Found:
        inverse = torch.eye(v.shape[2], dtype=v.dtype, device=v.device)
        picks: list[int] = []
        while len(picks) < min(2 * k, len(v)):
            falls = _trace_change(v, inverse, information, 1)
            falls[picks] = -torch.inf
            picks.append(int(falls.argmax()))
            inverse = _changed(inverse, v[picks[-1]], 1)
        while len(picks) > k:
            rises = _trace_change(v[picks], inverse, information, -1)
            inverse = _changed(inverse, v[picks.pop(int(rises.argmax()))], -1)
        return Found(np.array(picks))

    return run


def _trace_change(v: Tensor, inverse: Tensor, information: Tensor, sign: int) -> Tensor:
    """The decrease of tr(A F) when each row is added (1), or its negative increase when the row is removed (-1)."""
    changes = []
    for part in v.split(256):
        seen = part @ inverse
        g = seen @ part.mT
        g.diagonal(dim1=1, dim2=2).add_(sign)
        changes.append(torch.linalg.solve(g, seen @ information @ seen.mT).diagonal(dim1=1, dim2=2).sum(1))
    return torch.cat(changes)


def _changed(inverse: Tensor, v: Tensor, sign: int) -> Tensor:
    u = inverse @ v.T
    return inverse - u @ torch.linalg.solve(sign * torch.eye(len(v), dtype=v.dtype, device=v.device) + v @ u, u.T)


def _plogp(p: Tensor) -> Tensor:
    return torch.special.xlogy(p, p)


_DISTIL = Way("distil", "distil", f"{__name__}:batchbald")
_NAIVE = Way("all configurations a pick, torch", "naive", f"{__name__}:batchbald_naive")
_REDUX = Way("batchbald_redux", "peer", "benchmarks.speed.peers.batchbald_redux:batchbald", package="batchbald-redux")


def _batchbald(name: str, n: int, k: int, ways: tuple[Way, ...], bars: tuple[Bar, ...]) -> Row:
    size = {"n": n, "t": 50, "c": 10, "k": k}
    return Row(name, "BatchBALD", size, sampled, (_DISTIL, *ways), lambda _: bars)


def _bait(name: str, size: Size, seconds: float) -> Row:
    ways = (
        Way("distil", "distil", f"{__name__}:bait"),
        Way("V written out, torch", "naive", f"{__name__}:bait_naive", short=(1, 3), prefix=False),
    )
    return Row(name, "BAIT", size, data.mixture, ways, lambda _: (Bar("seconds", seconds),))


ROWS = (
    _batchbald("batchbald", 1000, 5, (_NAIVE, _REDUX), (Bar("ratio", 350, "peer"), Bar("seconds", 0.012))),
    _batchbald("batchbald_sampled", 1000, 8, (_REDUX,), (Bar("ratio", 10, "peer"), Bar("seconds", 0.75))),
    _batchbald("batchbald_large", 20_000, 5, (), (Bar("seconds", 0.15),)),
    _batchbald("batchbald_large_sampled", 20_000, 10, (), (Bar("seconds", 47),)),
    _bait("bait", {"n": 1000, "d": 32, "c": 10, "k": 3}, 0.0243),
    _bait("bait_large", {"n": 10_000, "d": 64, "c": 10, "k": 100}, 7.5),
)

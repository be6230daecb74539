"""BADGE: k-means++ on gradients that are outer products."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed import data
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Size, Way
from distil.functional.centers import k_means_plus_plus, largest_norm
from distil.functional.features import Outer


def residuals(given: Given) -> Tensor:
    """Probabilities minus the one-hot code of the predicted labels, (N, C)."""
    a = given.tensor("probs").clone()
    rows = torch.arange(len(a), device=a.device)
    a[rows, a.argmax(1)] -= 1
    return a


def distil(given: Given) -> Prepared:
    """The library's implementation."""
    a, h = residuals(given), given.tensor("x")

    def run(k: int) -> Found:
        x = Outer(a, h)
        return Found(k_means_plus_plus(x, k, largest_norm(x), torch.Generator().manual_seed(0)).numpy())

    return run


def naive(given: Given) -> Prepared:
    """On the factors: two matrix-vector products, a minimum and a draw from all rows for every pick."""
    a, h = residuals(given), given.tensor("x")
    draws = np.random.default_rng(0)

    def run(k: int) -> Found:
        norms = (a * a).sum(1) * (h * h).sum(1)
        row = int(norms.argmax())
        picks, nearest = [row], torch.full_like(norms, torch.inf)
        while len(picks) < k:
            dists = (a @ a[row]).mul_(h @ h[row]).mul_(-2).add_(norms).add_(norms[row]).clamp_min_(0)
            torch.minimum(nearest, dists, out=nearest)
            nearest[row] = 0
            row = _drawn(nearest, draws.random())
            picks.append(row)
        return Found(np.array(picks))

    return run


def materialized(given: Given) -> Prepared:
    """As DISTIL 0.1: the (N, C D) gradients written out, distances compared row by row in Python for every pick."""
    a, h = residuals(given), given.tensor("x")
    draws = np.random.default_rng(0)
    gradients = torch.einsum("nc,nd->ncd", a, h).flatten(1)

    def run(k: int) -> Found:
        row = int(gradients.norm(dim=1).argmax())
        picks, nearest = [row], torch.full((len(gradients),), torch.inf, device=gradients.device)
        while len(picks) < k:
            dists = torch.nn.functional.pairwise_distance(gradients, gradients[row])
            for i in range(len(gradients)):
                if nearest[i] > dists[i]:
                    nearest[i] = dists[i]
            nearest[row] = 0
            row = _drawn(nearest.square(), draws.random())
            picks.append(row)
        return Found(np.array(picks))

    return run


def potential(given: Given, picks: np.ndarray) -> float:
    """The sum of the squared distances of all gradients to their nearest pick."""
    a, h = residuals(given), given.tensor("x")
    rows = torch.as_tensor(picks)
    norms = (a * a).sum(1) * (h * h).sum(1)
    total = 0.0
    for block in torch.arange(len(a)).split(4096):
        products = (a[block] @ a[rows].T).mul_(h[block] @ h[rows].T)
        dists = norms[block][:, None] + norms[rows] - 2 * products
        total += float(dists.amin(1).clamp_min(0).double().sum())
    return total


def _drawn(weights: Tensor, u: float) -> int:
    sums = weights.double().cumsum(0)
    return min(int(torch.searchsorted(sums, u * float(sums[-1]), right=True)), len(sums) - 1)


def written_out(size: Size) -> float:
    """Bytes of the (N, C D) gradients and of one copy of them, in float32."""
    return 2 * 4.0 * size["n"] * size["c"] * size["d"]


_DISTIL = Way("distil", "distil", f"{__name__}:distil")
_NAIVE = Way("one pass a pick, torch", "naive", f"{__name__}:naive")
_MATERIALIZED = Way("as DISTIL 0.1", "materialized", f"{__name__}:materialized", short=(5, 25), needs=written_out)
_SKACTIVEML = Way(
    "scikit-activeml",
    "peer",
    "benchmarks.speed.peers.scikit_activeml:badge",
    short=(10, 60),
    needs=lambda size: 2 * written_out(size),  # float64
    package="scikit-activeml",
)
_SKLEARN = Way(
    "scikit-learn kmeans_plusplus",
    "peer",
    "benchmarks.speed.peers.sklearn:badge",
    short=(10, 60),
    needs=written_out,
    package="scikit-learn",
)

ROWS = (
    Row(
        "badge",
        "BADGE",
        {"n": 10_000, "d": 256, "c": 10, "k": 500},
        data.mixture,
        (_DISTIL, _NAIVE, _MATERIALIZED, _SKACTIVEML, _SKLEARN),
        lambda _: (
            Bar("ratio", 15, "naive"),
            Bar("ratio", 4000, "materialized"),
            Bar("ratio", 150, "peer"),
            Bar("seconds", 0.007),
        ),
        value=potential,
        value_name="potential",
    ),
    Row(
        "badge_large",
        "BADGE, 100 classes",
        {"n": 50_000, "d": 512, "c": 100, "k": 1000},
        data.mixture,
        (_DISTIL, _NAIVE, _MATERIALIZED, _SKACTIVEML),
        lambda size: (
            Bar("ratio", 80, "naive"),
            Bar("seconds", 0.10),
            Bar("memory", 1.3 * 4 * size["n"] * (size["c"] + size["d"])),
        ),
        value=potential,
        value_name="potential",
    ),
)

"""k-means, as KMeans sampling uses it."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.speed import data
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Way
from distil.functional.clustering import k_means

MOST = 100


def distil(given: Given) -> Prepared:
    """The library's implementation."""
    x = given.tensor("x")
    return lambda k: Found(value=k_means(x, k, torch.Generator().manual_seed(0)).inertia)


def naive(given: Given) -> Prepared:
    """k-means++ with one pass per center, then Lloyd's iterations in torch until the centers move no more, as in scikit-learn."""
    x = given.tensor("x")

    def run(k: int) -> Found:
        centers = _seeded(x, k)
        least = 1e-4 * float(x.var(0, correction=0).mean())
        for _ in range(MOST):
            nearest, _ = _assigned(x, centers)
            sums = torch.zeros_like(centers).index_add_(0, nearest, x)
            counts = torch.bincount(nearest, minlength=k)
            moved = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], centers)
            shift = float((moved - centers).square().sum())
            centers = moved
            if shift <= least:
                break
        return Found(value=float(_assigned(x, centers)[1].double().sum()))

    return run


def _seeded(x: Tensor, k: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    picks = [int(torch.randint(len(x), (1,), generator=generator))]
    norms = (x * x).sum(1)
    nearest = torch.full_like(norms, torch.inf)
    while len(picks) < k:
        row = picks[-1]
        dists = torch.addmv(norms, x, x[row], alpha=-2).add_(norms[row]).clamp_min_(0)
        torch.minimum(nearest, dists, out=nearest)
        sums = nearest.double().cumsum(0)
        u = float(torch.rand(1, generator=generator, dtype=torch.float64)) * float(sums[-1])
        picks.append(min(int(torch.searchsorted(sums, u, right=True)), len(x) - 1))
    return x[picks]


def _assigned(x: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest center of each row and its squared distance."""
    norms = (centers * centers).sum(1)
    found = [torch.addmm(norms, rows, centers.T, alpha=-2).min(1) for rows in x.split(8192)]
    dists = torch.cat([f.values for f in found]) + (x * x).sum(1)
    return torch.cat([f.indices for f in found]), dists


ROWS = (
    Row(
        "k_means",
        "k-means",
        {"n": 50_000, "d": 512, "k": 500},
        data.mixture,
        (
            Way("distil", "distil", f"{__name__}:distil"),
            Way("Lloyd, torch", "naive", f"{__name__}:naive"),
            Way("scikit-learn", "peer", "benchmarks.speed.peers.sklearn:k_means", package="scikit-learn"),
            Way("faiss, 20 iterations", "peer", "benchmarks.speed.peers.faiss:k_means", package="faiss-cpu"),
        ),
        lambda _: (
            Bar("ratio", 15, "scikit-learn"),
            Bar("ratio", 2, "faiss, 20 iterations"),
            Bar("value", 1.0, "faiss, 20 iterations", smaller=True),
            Bar("seconds", 1.5),
        ),
        value_name="inertia",
    ),
)

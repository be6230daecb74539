"""k-medians against brute force in float64, the law of its draws, and what it keeps in memory."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch

from distil.functional import clustering
from distil.functional.clustering import KMedians, k_medians, representatives
from distil.rng import Rng
from distil.signals import Embedding, Signals
from distil.strategies.base import Sets
from distil.strategies.registry import strategy_named


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def l1(a, b):
    """(N, M) float64, difference by difference."""
    return np.abs(np.float64(a)[:, None] - np.float64(b)[None]).sum(2)


def lower_median(rows):
    return np.sort(rows, axis=0)[(len(rows) - 1) // 2]


def brute(x, k, seed, max_iter=1000):
    """The same draws and the same iteration, written plainly; clusters must not become empty."""
    stream = generator(seed)
    picks = [int(torch.randint(len(x), (1,), generator=stream))]
    while len(picks) < k:
        weights = l1(x, x[picks]).min(1)
        uniform = torch.rand(2 + int(np.log(k)), generator=stream, dtype=torch.float64).numpy()
        drawn = np.searchsorted(np.cumsum(weights), uniform * weights.sum(), side="right")
        picks.append(int(min(drawn, key=lambda row: np.minimum(weights, l1(x, x[[row]])[:, 0]).sum())))
    middles, clusters = x[picks], l1(x, x[picks]).argmin(1)
    for _ in range(max_iter):
        middles = np.stack([lower_median(x[clusters == j]) for j in range(k)])
        before, clusters = clusters, l1(x, middles).argmin(1)
        if (before == clusters).all():
            break
    return middles, clusters


def blobs(seed, n=300, k=5, dim=4, spread=1.5):
    rng = np.random.default_rng(seed)
    return (rng.uniform(-8, 8, (k, dim))[rng.integers(k, size=n)] + rng.normal(0, spread, (n, dim))).astype(np.float32)


def test_it_is_the_brute_force():
    for seed in range(8):
        x = blobs(seed)
        middles, clusters = brute(x, 6, seed)
        found = k_medians(torch.from_numpy(x), 6, generator(seed), max_iter=1000, tol=0)
        np.testing.assert_array_equal(found.clusters.numpy(), clusters, err_msg=str(seed))
        np.testing.assert_array_equal(found.centers.numpy(), middles, err_msg=str(seed))
        np.testing.assert_allclose(found.dists.numpy(), l1(x, middles).min(1), rtol=1e-5, err_msg=str(seed))
        assert found.cost == pytest.approx(l1(x, middles).min(1).sum(), rel=1e-5), seed


def test_the_best_of_several_starts_is_the_optimum():
    x = blobs(3, n=9, k=3, dim=2, spread=3)
    optimum = min(
        sum(np.abs(x[np.array(labels) == j] - lower_median(x[np.array(labels) == j])).sum() for j in set(labels))
        for labels in itertools.product(range(2), repeat=9)
    )
    best = min(k_medians(torch.from_numpy(x), 2, generator(seed), tol=0).cost for seed in range(30))
    assert best == pytest.approx(float(optimum), rel=1e-5)


def test_iterations_never_raise_the_cost():
    x = torch.from_numpy(blobs(0, n=500, spread=4))
    costs = [k_medians(x, 12, generator(), max_iter=m, tol=0).cost for m in (0, 1, 2, 4, 8, 100)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]


def test_one_cluster_is_the_lower_median():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    found = k_medians(torch.from_numpy(x), 1, generator())
    np.testing.assert_array_equal(found.centers[0].numpy(), lower_median(x))


def test_an_outlier_does_not_move_a_median():
    x = torch.cat([torch.zeros(9, 2), torch.full((1, 2), 1e4)])
    assert k_medians(x, 1, generator()).centers.tolist() == [[0, 0]]


def test_fewer_distinct_rows_than_clusters():
    for k in [1, 4, 5, 9, 30]:
        x = torch.from_numpy(np.tile(np.random.default_rng(1).normal(size=(5, 3)), (6, 1)).astype(np.float32))
        found = k_medians(x, k, generator())
        assert (found.cost == 0) == (k >= 5), k
        rows = representatives(x, found, k).tolist()
        assert len(set(rows)) == k, k
        assert {r % 5 for r in rows} == set(range(5)) if k >= 5 else len({r % 5 for r in rows}) == k, k


@pytest.mark.slow
def test_the_second_center_is_the_better_of_two_drawn_by_l1_distances():
    x = np.random.default_rng(3).normal(size=(7, 2)).astype(np.float32)
    counts, stream = np.zeros((7, 7)), generator(5)
    for _ in range(20_000):
        first, second = clustering._greedy_start(
            torch.from_numpy(x), 2, lambda a: lambda b: torch.cdist(a, b, p=1), stream
        ).tolist()
        counts[first, second] += 1
    dists = l1(x, x)
    law = np.zeros((7, 7))
    for first, one, other in np.ndindex(7, 7, 7):
        left = {row: np.minimum(dists[first], dists[row]).sum() for row in (one, other)}
        law[first, min(left, key=left.get)] += dists[first, one] * dists[first, other] / dists[first].sum() ** 2
    law *= counts.sum(1, keepdims=True)
    possible = law > 0
    assert counts[~possible].sum() == 0
    assert scipy.stats.chisquare(counts[possible], law[possible] * counts.sum() / law.sum()).pvalue > 1e-3


def test_representatives_are_nearest_in_l1_larger_clusters_first():
    x = torch.from_numpy(blobs(2, n=200))
    found = k_medians(x, 7, generator(1))
    rows = representatives(x, found, 7).tolist()
    dists, clusters = l1(x, found.centers), found.clusters.numpy()
    sizes = np.bincount(clusters, minlength=7)
    assert [sizes[clusters[r]] for r in rows] == sorted(sizes, reverse=True)
    for row in rows:
        own = np.flatnonzero(clusters == clusters[row])
        assert row == own[dists[own, clusters[row]].argmin()]


def test_nearest_in_l1_is_not_nearest_in_l2():
    x = torch.tensor([[3.0, 0.0], [2.0, 2.0], [9.0, 9.0]])
    clustering = KMedians(torch.zeros(1, 2), torch.zeros(3, dtype=torch.long), x.abs().sum(1))
    assert representatives(x, clustering, 3).tolist() == [0, 1, 2]
    assert float((x[1] ** 2).sum()) < float((x[0] ** 2).sum())


def test_blocks_do_not_matter(monkeypatch):
    x = torch.from_numpy(blobs(4))
    whole = k_medians(x, 8, generator())
    rows = representatives(x, whole, 8)
    for n_bytes in (1, 100, 5000):
        monkeypatch.setattr(clustering, "BLOCK_BYTES", n_bytes)
        parts = k_medians(x, 8, generator())
        assert torch.equal(parts.centers, whole.centers)
        assert torch.equal(parts.clusters, whole.clusters)
        assert torch.equal(representatives(x, parts, 8), rows)


def test_lengths_beyond_float32_are_no_hindrance():
    found = k_medians(torch.tensor([[3e38, 3e38], [3e38, 3e38], [-3e38, -3e38]]), 2, generator())
    assert found.clusters.tolist() in ([0, 0, 1], [1, 1, 0])
    assert found.cost == 0


def test_the_strategy_is_the_kernel():
    x = torch.from_numpy(blobs(6))
    ids = torch.arange(len(x)) * 3 + 1
    found = strategy_named("kmedians_sampling").select(Sets(Signals(ids, {Embedding(): x})), 9, Rng(4))
    clustering = k_medians(x, 9, Rng(4).child("k_medians").torch())
    assert found.tolist() == ids[representatives(x, clustering, 9)].tolist()


@pytest.mark.slow
def test_memory_is_bounded(held_at_once):
    """100,000 x 200 distances would be 80 MB."""
    setup = """
import torch
from distil.functional.clustering import k_medians, representatives
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
x = torch.randn(100_000, 8, generator=generator)
representatives(x[:500], k_medians(x[:500], 5, generator), 5)
"""
    assert held_at_once(setup, "representatives(x, k_medians(x, 200, generator, max_iter=2), 200)") < 50

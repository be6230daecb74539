"""k-means against scikit-learn and what a clustering is."""

import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.datasets import load_digits, make_blobs

from distil.errors import InvalidInput
from distil.functional import clustering as module
from distil.functional import nearest
from distil.functional.clustering import KMeans, _greedy_start, k_means, representatives
from distil.functional.features import Dense


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(n=400, k=6, std=1.0, seed=0, dim=5):
    x, y, centers = make_blobs(
        n, dim, centers=k, cluster_std=std, center_box=(-8, 8), random_state=seed, return_centers=True
    )
    return x.astype(np.float32), y, centers


def greedy_start(x, k, stream):
    return _greedy_start(x, k, lambda rows: lambda some: Dense(rows).sq_dists(Dense(some)), stream)


def same_partition(one, other):
    """Whether two labelings differ only in the names of the clusters."""
    pairs = set(zip(np.asarray(one).tolist(), np.asarray(other).tolist(), strict=True))
    return len(pairs) == len({p[0] for p in pairs}) == len({p[1] for p in pairs})


def test_converged_k_means_is_a_fixed_point():
    for seed in range(4):
        x, _, _ = blobs(std=3.0, seed=seed)
        found = k_means(torch.from_numpy(x), 9, generator(seed), max_iter=1000, tol=0)
        dists = cdist(np.float64(x), np.float64(found.centers.numpy()), "sqeuclidean")
        clusters = found.clusters.numpy()
        np.testing.assert_allclose(
            dists[np.arange(len(x)), clusters], dists.min(1), rtol=1e-4, atol=1e-4, err_msg=str(seed)
        )
        for j in range(9):
            np.testing.assert_allclose(
                found.centers[j], x[clusters == j].mean(0, dtype=np.float64), rtol=1e-4, atol=1e-4, err_msg=str(seed)
            )


def test_distances_and_inertia_are_those_of_the_clusters():
    x, _, _ = blobs(std=2.0)
    found = k_means(torch.from_numpy(x), 7, generator())
    own = ((np.float64(x) - np.float64(found.centers.numpy())[found.clusters.numpy()]) ** 2).sum(1)
    np.testing.assert_allclose(found.sq_dists.numpy(), own, rtol=1e-3, atol=1e-3)
    assert found.inertia == pytest.approx(own.sum(), rel=1e-5)


def test_k_means_is_scikit_learns_from_the_same_start():
    for seed in range(5):
        x, _, _ = blobs(std=3.0, seed=seed)
        stream = generator(seed)
        start = x[greedy_start(torch.from_numpy(x), 8, stream)]
        theirs = SklearnKMeans(8, init=start, n_init=1, max_iter=1000, tol=0, algorithm="lloyd").fit(x)
        ours = k_means(torch.from_numpy(x), 8, generator(seed), max_iter=1000, tol=0)
        np.testing.assert_array_equal(ours.clusters.numpy(), theirs.labels_, err_msg=str(seed))
        np.testing.assert_allclose(
            ours.centers.numpy(), theirs.cluster_centers_, rtol=1e-4, atol=1e-4, err_msg=str(seed)
        )


def test_well_separated_blobs_are_recovered():
    for seed in range(5):
        x, y, centers = blobs(std=1e-3, seed=seed)
        found = k_means(torch.from_numpy(x), 6, generator(seed))
        assert same_partition(found.clusters, y), seed
        assert cdist(centers, np.float64(found.centers.numpy()), "sqeuclidean").min(1).max() < 1e-5, seed


def test_k_equal_to_the_number_of_distinct_rows_leaves_no_error():
    for offset in [0.0, 1e3]:
        distinct = np.random.default_rng(0).normal(size=(7, 4)) + offset
        x = torch.from_numpy(np.tile(distinct, (5, 1)).astype(np.float32))
        found = k_means(x, 7, generator())
        assert same_partition(found.clusters, np.tile(np.arange(7), 5)), offset
        own = (x.double() - found.centers[found.clusters].double()) ** 2
        assert float(own.sum()) <= 35 * 4 * (offset * 2.0**-22 + 1e-9) ** 2, offset


def test_more_clusters_than_distinct_rows():
    for k in [1, 3, 4, 9, 20]:
        x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0], [-3.0, 2.0]]).repeat(5, 1)
        found = k_means(x, k, generator())
        assert found.centers.shape == (k, 2), k
        assert bool(found.centers.isfinite().all()), k
        if k >= 4:
            assert found.inertia == 0, k
            assert same_partition(found.clusters, np.tile(np.arange(4), 5)), k


def test_one_cluster_is_the_mean():
    x, _, _ = blobs(100)
    found = k_means(torch.from_numpy(x), 1, generator())
    np.testing.assert_allclose(found.centers[0], x.mean(0, dtype=np.float64), rtol=1e-5)
    assert found.inertia == pytest.approx(((x - x.mean(0, dtype=np.float64)) ** 2).sum(), rel=1e-5)


def test_more_iterations_never_cost():
    x, _, _ = blobs(std=4.0)
    inertias = [k_means(torch.from_numpy(x), 10, generator(), max_iter=m, tol=0).inertia for m in (0, 1, 2, 5, 20, 200)]
    assert all(later <= before * (1 + 1e-6) for before, later in itertools.pairwise(inertias))
    assert inertias[-1] < inertias[0]


def lloyd(x, centers, max_iter=1000):
    """Written plainly in float64; clusters must not become empty."""
    x = np.float64(x)
    for _ in range(max_iter):
        clusters = cdist(x, np.float64(centers), "sqeuclidean").argmin(1)
        before, centers = centers, np.stack([x[clusters == j].mean(0) for j in range(len(centers))]).astype(np.float32)
        if (before == centers).all():
            break
    return clusters, centers


@pytest.mark.parametrize("low_precision", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_lloyds_iteration_whatever_the_precision_of_the_products(low_precision, seed, monkeypatch):
    monkeypatch.setattr(nearest, "_bfloat16_pays", lambda device: low_precision)
    monkeypatch.setattr(nearest, "_PAIR", 0)  # never given up
    x, _, _ = blobs(2000, 30, 4.0, seed, dim=20)
    stream = generator(seed)
    start = x[greedy_start(torch.from_numpy(x), 40, stream)]
    clusters, centers = lloyd(x, start)
    found = k_means(torch.from_numpy(x), 40, generator(seed), max_iter=1000, tol=0)
    np.testing.assert_array_equal(found.clusters.numpy(), clusters)
    np.testing.assert_allclose(found.centers.numpy(), centers, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("low_precision", [True, False])
def test_on_a_grid_ties_go_to_the_smaller_center(low_precision, monkeypatch):
    """Rows halfway between centers, in plenty: the mean of a cluster depends on where they go."""
    monkeypatch.setattr(nearest, "_bfloat16_pays", lambda device: low_precision)
    monkeypatch.setattr(nearest, "_PAIR", 0)  # never given up
    x = np.array(list(itertools.product(range(4), repeat=4)), dtype=np.float32)
    x = x[np.random.default_rng(0).permutation(len(x))]
    stream = generator(2)
    start = x[greedy_start(torch.from_numpy(x), 8, stream)]
    dists = cdist(x, start, "sqeuclidean")
    assert ((dists == dists.min(1, keepdims=True)).sum(1) > 1).mean() > 0.1
    found = k_means(torch.from_numpy(x), 8, generator(2), max_iter=0)
    np.testing.assert_array_equal(found.clusters.numpy(), dists.argmin(1))


def test_blocks_do_not_matter(monkeypatch):
    for n_bytes in [1, 700, 30_000]:
        with monkeypatch.context() as patch:
            x = torch.from_numpy(blobs(500, std=4.0)[0])
            whole = k_means(x, 12, generator())
            patch.setattr(nearest, "BLOCK_BYTES", n_bytes)
            parts = k_means(x, 12, generator())
            assert torch.equal(parts.centers, whole.centers), n_bytes
            assert torch.equal(parts.clusters, whole.clusters), n_bytes
            assert torch.equal(parts.sq_dists, whole.sq_dists), n_bytes


def test_it_stops_once_little_is_gained():
    x = torch.from_numpy(blobs(3000, 40, 6.0)[0])
    to_the_end = k_means(x, 40, generator(), tol=0, max_iter=1000).inertia
    roughly = [k_means(x, 40, generator(), tol=tol).inertia for tol in (1e-1, 1e-2, 1e-4)]
    assert roughly[0] > roughly[1] > roughly[2] >= to_the_end
    assert roughly[2] < to_the_end * 1.01


@pytest.mark.slow
def test_memory_is_bounded(held_at_once):
    """The rows are 51 MB; all distances would be 80 MB."""
    setup = """
import torch
from distil.functional.clustering import k_means, representatives
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
x = torch.randn(100_000, 128, generator=generator)
representatives(x[:5000], k_means(x[:5000], 50, generator), 50)
"""
    assert held_at_once(setup, "representatives(x, k_means(x, 200, generator, max_iter=2), 200)") < 45


# --- representatives ------------------------------------------------------------------------------------------------


def test_representatives_are_nearest_to_their_centers_larger_clusters_first():
    for seed in range(4):
        x, _, _ = blobs(300, 6, 2.0, seed)
        found = k_means(torch.from_numpy(x), 6, generator(seed))
        rows = representatives(torch.from_numpy(x), found, 6).tolist()
        clusters, centers = found.clusters.numpy(), np.float64(found.centers.numpy())
        sizes = np.bincount(clusters, minlength=6)
        chosen = clusters[rows]
        assert sorted(chosen) == list(range(6)), seed
        assert sizes[chosen].tolist() == sorted(sizes, reverse=True), seed
        for row, j in zip(rows, chosen, strict=True):
            inside = np.flatnonzero(clusters == j)
            own = ((np.float64(x[inside]) - centers[j]) ** 2).sum(1)
            assert row == inside[own.argmin()], seed


def test_representatives_of_empty_clusters_are_the_next_nearest_of_the_largest():
    x = torch.tensor([[0.0], [0.1], [0.3], [10.0], [10.2], [0.6], [20.0]])
    clusters = torch.tensor([0, 0, 0, 1, 1, 0, 3])
    clustering = KMeans(torch.tensor([[0.0], [10.0], [99.0], [20.0]]), clusters, torch.zeros(7))
    assert representatives(x, clustering, 3).tolist() == [0, 3, 6]
    assert representatives(x, clustering, 4).tolist() == [0, 3, 6, 1]
    assert representatives(x, clustering, 7).tolist() == [0, 3, 6, 1, 4, 2, 5]


def test_ties_between_representatives_go_to_the_smaller_row():
    x = torch.tensor([[1.0], [-1.0], [1.0], [5.0], [5.0]])
    clustering = KMeans(torch.tensor([[5.0], [0.0]]), torch.tensor([1, 1, 1, 0, 0]), torch.zeros(5))
    assert representatives(x, clustering, 5).tolist() == [0, 3, 1, 4, 2]


def test_representatives_are_distinct_with_fewer_distinct_rows_than_n():
    for n in [1, 5, 12, 60]:
        x = torch.from_numpy(np.tile(np.random.default_rng(0).normal(size=(5, 3)), (12, 1)).astype(np.float32))
        rows = representatives(x, k_means(x, n, generator()), n).tolist()
        assert len(set(rows)) == n, n
        if n >= 5:
            assert {row % 5 for row in rows[:5]} == set(range(5)), n


def test_inertia_is_within_two_percent_of_scikit_learns():
    """On average over seeds; one plain draw of k-means++ is 24 % above on the blobs."""
    digits = load_digits().data.astype(np.float32)
    round_ = [make_blobs(1000, 5, centers=8, random_state=seed)[0].astype(np.float32) for seed in range(6)]
    for pools, k in ((round_, 8), ([digits] * 3, 10)):
        ours = [k_means(torch.from_numpy(x), k, generator(seed)).inertia for seed, x in enumerate(pools)]
        theirs = [SklearnKMeans(k, n_init=1, random_state=seed).fit(x).inertia_ for seed, x in enumerate(pools)]
        assert np.mean(ours) <= 1.02 * np.mean(theirs), k


def test_the_start_in_a_large_pool_is_made_of_a_sample_and_loses_nothing():
    x = torch.from_numpy(make_blobs(9000, 3, centers=8, random_state=0)[0])
    ours, theirs = k_means(x, 8, generator(0)), SklearnKMeans(8, n_init=3, random_state=0).fit(x.numpy())
    assert ours.inertia <= 1.01 * theirs.inertia_
    copies = torch.arange(3.0)[:, None].repeat(3000, 1)  # fewer distinct rows than centers
    assert k_means(copies, 5, generator(0)).inertia == 0


def weighted_inertia(x, weights, clusters):
    means = np.stack([np.average(x[clusters == c], axis=0, weights=weights[clusters == c]) for c in clusters])
    return float((weights * ((x - means) ** 2).sum(1)).sum())


def test_weights_find_the_best_weighted_clustering():
    g = torch.Generator().manual_seed(0)
    x, weights = torch.randn(9, 2, generator=g), torch.rand(9, generator=g) * 7
    every = (np.array(split) for split in itertools.product((0, 1), repeat=9))
    best = min(weighted_inertia(x.numpy(), weights.numpy(), split) for split in every)
    found = [k_means(x, 2, torch.Generator().manual_seed(seed), weights=weights, tol=0) for seed in range(5)]
    reached = [weighted_inertia(x.numpy(), weights.numpy(), c.clusters.numpy()) for c in found]
    assert min(reached) == pytest.approx(best)
    for clustering in found:
        for c, center in enumerate(clustering.centers.numpy()):
            own = clustering.clusters.numpy() == c
            np.testing.assert_allclose(center, np.average(x[own], axis=0, weights=weights[own]), rtol=1e-5, atol=1e-6)


def test_equal_weights_change_nothing_and_rows_of_weight_zero_still_have_clusters():
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    plain = k_means(x, 4, torch.Generator().manual_seed(1))
    for weights in (torch.full((50,), 0.25), torch.zeros(50)):
        again = k_means(x, 4, torch.Generator().manual_seed(1), weights=weights)
        assert torch.equal(again.centers, plain.centers)
    some = torch.zeros(50)
    some[:3] = 1
    assert len(k_means(x, 5, torch.Generator().manual_seed(1), weights=some).clusters.unique()) == 5
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match="weights must be"):
            k_means(x, 2, torch.Generator(), weights=some + bad)


def test_a_cluster_without_rows_moves_to_the_row_farthest_from_its_center():
    x, centers = torch.tensor([[0.0], [1.0], [2.0], [10.0]]), torch.tensor([[1.0], [50.0]])
    clusters = torch.zeros(4, dtype=torch.long)
    sums = module._Sums(x, clusters, 2, torch.ones(4, dtype=torch.float64))
    assert sums.means(x, clusters, centers).tolist() == [[3.25], [10.0]]

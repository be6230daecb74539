"""k-means against scikit-learn and what a clustering is."""

import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.datasets import make_blobs

from distil.features import Dense
from distil.functional.centers import k_means_plus_plus
from distil.functional.clustering import KMeans, k_means, representatives


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(n=400, k=6, std=1.0, seed=0, dim=5):
    x, y, centers = make_blobs(
        n, dim, centers=k, cluster_std=std, center_box=(-8, 8), random_state=seed, return_centers=True
    )
    return x.astype(np.float32), y, centers


def same_partition(one, other):
    """Whether two labelings differ only in the names of the clusters."""
    pairs = set(zip(np.asarray(one).tolist(), np.asarray(other).tolist(), strict=True))
    return len(pairs) == len({p[0] for p in pairs}) == len({p[1] for p in pairs})


@pytest.mark.parametrize("seed", range(4))
def test_converged_k_means_is_a_fixed_point(seed):
    x, _, _ = blobs(std=3.0, seed=seed)
    found = k_means(torch.from_numpy(x), 9, generator(seed), max_iter=1000, tol=0)
    dists = cdist(np.float64(x), np.float64(found.centers.numpy()), "sqeuclidean")
    clusters = found.clusters.numpy()
    np.testing.assert_allclose(dists[np.arange(len(x)), clusters], dists.min(1), rtol=1e-4, atol=1e-4)
    for j in range(9):
        np.testing.assert_allclose(found.centers[j], x[clusters == j].mean(0, dtype=np.float64), rtol=1e-4, atol=1e-4)


def test_distances_and_inertia_are_those_of_the_clusters():
    x, _, _ = blobs(std=2.0)
    found = k_means(torch.from_numpy(x), 7, generator())
    own = ((np.float64(x) - np.float64(found.centers.numpy())[found.clusters.numpy()]) ** 2).sum(1)
    np.testing.assert_allclose(found.sq_dists.numpy(), own, rtol=1e-3, atol=1e-3)
    assert found.inertia == pytest.approx(own.sum(), rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_k_means_is_scikit_learns_from_the_same_start(seed):
    x, _, _ = blobs(std=3.0, seed=seed)
    stream = generator(seed)
    first = int(torch.randint(len(x), (1,), generator=stream))
    start = x[k_means_plus_plus(Dense(torch.from_numpy(x)), 8, first, stream)]
    theirs = SklearnKMeans(8, init=start, n_init=1, max_iter=1000, tol=0, algorithm="lloyd").fit(x)
    ours = k_means(torch.from_numpy(x), 8, generator(seed), max_iter=1000, tol=0)
    np.testing.assert_array_equal(ours.clusters.numpy(), theirs.labels_)
    np.testing.assert_allclose(ours.centers.numpy(), theirs.cluster_centers_, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("std", [2.0, 4.0])
def test_inertia_is_close_to_scikit_learns(std):
    x, _, _ = blobs(600, 8, std)
    ours = np.mean([k_means(torch.from_numpy(x), 8, generator(seed)).inertia for seed in range(12)])
    theirs = np.mean([SklearnKMeans(8, n_init=1, random_state=seed).fit(x).inertia_ for seed in range(12)])
    assert ours <= 1.05 * theirs


@pytest.mark.parametrize("seed", range(5))
def test_well_separated_blobs_are_recovered(seed):
    x, y, centers = blobs(std=1e-3, seed=seed)
    found = k_means(torch.from_numpy(x), 6, generator(seed))
    assert same_partition(found.clusters, y)
    assert cdist(centers, np.float64(found.centers.numpy()), "sqeuclidean").min(1).max() < 1e-5


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_k_equal_to_the_number_of_distinct_rows_leaves_no_error(offset):
    distinct = np.random.default_rng(0).normal(size=(7, 4)) + offset
    x = torch.from_numpy(np.tile(distinct, (5, 1)).astype(np.float32))
    found = k_means(x, 7, generator())
    assert same_partition(found.clusters, np.tile(np.arange(7), 5))
    own = (x.double() - found.centers[found.clusters].double()) ** 2
    assert float(own.sum()) <= 35 * 4 * (offset * 2.0**-22 + 1e-9) ** 2


@pytest.mark.parametrize("k", [1, 3, 4, 9, 20])
def test_more_clusters_than_distinct_rows(k):
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0], [-3.0, 2.0]]).repeat(5, 1)
    found = k_means(x, k, generator())
    assert found.centers.shape == (k, 2)
    assert bool(found.centers.isfinite().all())
    if k >= 4:
        assert found.inertia == 0
        assert same_partition(found.clusters, np.tile(np.arange(4), 5))


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


# --- representatives ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_representatives_are_nearest_to_their_centers_larger_clusters_first(seed):
    x, _, _ = blobs(300, 6, 2.0, seed)
    found = k_means(torch.from_numpy(x), 6, generator(seed))
    rows = representatives(torch.from_numpy(x), found, 6).tolist()
    clusters, centers = found.clusters.numpy(), np.float64(found.centers.numpy())
    sizes = np.bincount(clusters, minlength=6)
    chosen = clusters[rows]
    assert sorted(chosen) == list(range(6))
    assert sizes[chosen].tolist() == sorted(sizes, reverse=True)
    for row, j in zip(rows, chosen, strict=True):
        inside = np.flatnonzero(clusters == j)
        own = ((np.float64(x[inside]) - centers[j]) ** 2).sum(1)
        assert row == inside[own.argmin()]


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


@pytest.mark.parametrize("n", [1, 5, 12, 60])
def test_representatives_are_distinct_with_fewer_distinct_rows_than_n(n):
    x = torch.from_numpy(np.tile(np.random.default_rng(0).normal(size=(5, 3)), (12, 1)).astype(np.float32))
    rows = representatives(x, k_means(x, n, generator()), n).tolist()
    assert len(set(rows)) == n
    if n >= 5:
        assert {row % 5 for row in rows[:5]} == set(range(5))

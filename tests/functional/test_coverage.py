"""Typical rows, greedy coverage and the pure radius against plain forms in float64."""

import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from distil.errors import InvalidInput
from distil.functional import coverage
from distil.functional.centers import k_center_greedy
from distil.functional.coverage import max_coverage, pure_radius, typical_rows
from distil.functional.features import Dense


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, dim=3, seed=0):
    return torch.randn(n, dim, generator=generator(seed))


def data(kind, n=240, seed=0):
    return {
        "normal": lambda: normal(n, seed=seed),
        "plane": lambda: normal(n, 2, seed),
        "duplicated": lambda: normal(n // 6, seed=seed).repeat(6, 1),
        "grid": lambda: torch.randint(4, (n, 3), generator=generator(seed)).float(),
        "clustered": lambda: normal(5, 8, seed).repeat(n // 5, 1) * 9 + 0.1 * normal(n // 5 * 5, 8, seed),
    }[kind]()


KINDS = ["normal", "plane", "duplicated", "grid", "clustered"]


# --- typical rows ---------------------------------------------------------------------------------------------------


def brute_typical(x, clusters, n_labeled, n, n_neighbors):
    """Cluster by cluster and turn by turn, written plainly."""
    x, clusters, n_labeled = np.float64(x), np.asarray(clusters), np.asarray(n_labeled)
    ranked = {}
    for j in range(len(n_labeled)):
        rows = np.flatnonzero(clusters == j)
        k = min(n_neighbors, len(rows) // 2)
        dists = cdist(x[rows], x[rows])
        np.fill_diagonal(dists, np.inf)
        means = np.sort(dists, 1)[:, :k].mean(1) if k else np.zeros(len(rows))
        left = list(range(len(rows)))
        ranked[j] = []
        while left:
            best = next(i for i in left if means[i] <= min(means[left]) * (1 + 1e-9))
            ranked[j].append(rows[best])
            left.remove(best)
    sizes = np.bincount(clusters, minlength=len(n_labeled)) + n_labeled
    big_first = [[j for j in ranked if (sizes[j] <= 5) == small] for small in (False, True)]
    picks = []
    for group in big_first:
        for turn in range(len(x)):
            for j in sorted(group, key=lambda j: (n_labeled[j], -sizes[j], j)):
                picks += ranked[j][turn : turn + 1]
    return picks[:n]


def test_typical_rows_are_brute_force():
    for kind, (seed, n_neighbors) in itertools.product(KINDS, enumerate([1, 5, 20])):
        x = data(kind, seed=seed)
        clusters = torch.randint(9, (len(x),), generator=generator(seed)) ** 2 // 9  # sizes differ; some may be empty
        n_labeled = torch.randint(3, (9,), generator=generator(seed + 1))
        expected = brute_typical(x, clusters, n_labeled, len(x), n_neighbors)
        for n in (6, len(x)):
            assert typical_rows(x, clusters, n_labeled, n, n_neighbors).tolist() == expected[:n], (
                kind,
                n_neighbors,
                seed,
            )


def test_typical_rows_do_not_depend_on_the_scale():
    x, one = normal(60), torch.zeros(60, dtype=torch.long)
    for scale in (2.0**-20, 2.0**20):
        found = typical_rows(x * scale, one, torch.zeros(1, dtype=torch.long), 60)
        assert found.tolist() == brute_typical(x, one, [0], 60, 20), scale


def test_the_middle_of_a_cluster_is_typical():
    x = torch.tensor([[0.0], [1.0], [2.0], [2.1], [1.9], [4.0], [9.0]])
    assert typical_rows(x, torch.zeros(7, dtype=torch.long), torch.zeros(1, dtype=torch.long), 1).tolist() == [2]


def test_clusters_without_labels_come_first_then_large_ones_then_small_ones():
    clusters = torch.tensor([0] * 9 + [1] * 7 + [2] * 20 + [3] * 5 + [4] * 6)
    found = typical_rows(normal(47), clusters, torch.tensor([0, 0, 1, 0, 0]), 10)
    assert clusters[found].tolist() == [0, 1, 4, 2, 0, 1, 4, 2, 0, 1]
    everything = clusters[typical_rows(normal(47), clusters, torch.tensor([0, 0, 1, 0, 0]), 47)].tolist()
    assert everything[-5:] == [3] * 5


def test_labels_count_in_the_size_of_a_cluster():
    clusters = torch.tensor([0] * 4 + [1] * 8)
    assert clusters[typical_rows(normal(12), clusters, torch.tensor([2, 2]), 2)].tolist() == [1, 0]
    assert clusters[typical_rows(normal(12), clusters, torch.tensor([1, 1]), 2)].tolist() == [1, 1]


# --- coverage -------------------------------------------------------------------------------------------------------


def brute_cover(x, n, radius, labeled=None):
    """Greedy over a matrix of all pairs; stops when all is covered."""
    x = np.float64(x)
    near = cdist(x, x, "sqeuclidean") < radius**2 * (1 - 1e-9)
    free = np.ones(len(x), dtype=bool)
    if labeled is not None and len(labeled):
        free &= ~(cdist(x, np.float64(labeled), "sqeuclidean") < radius**2 * (1 - 1e-9)).any(1)
    picks = []
    while len(picks) < n and free.any():
        picks.append(int((near & free).sum(1).argmax()))
        free &= ~near[picks[-1]]
    return picks


@pytest.fixture(params=[0, 128 << 20], ids=["recounted", "kept"])
def graph_bytes(request, monkeypatch):
    monkeypatch.setattr(coverage, "_GRAPH_BYTES", request.param)


def test_picks_are_those_of_naive_greedy(graph_bytes):
    cases = [(0.05, 0), (0.7, 12), (1.0, 0), (2.0, 12), (40.0, 0)]
    for kind, (radius, n_labeled) in itertools.product(KINDS, cases):
        x = data(kind)
        labeled = x[100 : 100 + n_labeled] + 0.01
        expected = brute_cover(x, len(x), radius, labeled)
        for n in {1, min(9, len(x)), min(len(expected) + 3, len(x))}:
            found = max_coverage(x, n, radius, labeled).tolist()
            assert len(set(found)) == n, (kind, radius, n_labeled)
            assert found[: len(expected)] == expected[:n], (kind, radius, n_labeled)


def test_blocks_do_not_matter(graph_bytes, monkeypatch):
    for n_bytes in [1, 2000]:
        with monkeypatch.context() as patch:
            x = data("grid", 150)
            whole = max_coverage(x, 30, 1.5).tolist()
            patch.setattr(coverage, "BLOCK_BYTES", n_bytes)
            patch.setattr("distil.functional.neighbors.BLOCK_BYTES", n_bytes)
            assert max_coverage(x, 30, 1.5).tolist() == whole, n_bytes


def test_the_rest_is_farthest_first(graph_bytes):
    x, labeled = data("normal", 90), normal(4, seed=3)
    covering = brute_cover(x, 90, 1.5, labeled)
    found = max_coverage(x, 90, 1.5, labeled).tolist()
    assert found[: len(covering)] == covering
    rest = [i for i in range(90) if i not in covering]
    centers = Dense(torch.cat([labeled, x[covering]]))
    assert found[len(covering) :] == [rest[i] for i in k_center_greedy(Dense(x[rest]), len(rest), centers)]


def test_impossible_n(subtests):
    for n in [0, 11]:
        with subtests.test(n=n):
            with pytest.raises(InvalidInput, match="n must be between 1 and 10, the number of rows; got"):
                max_coverage(normal(10), n, 1.0)
            with pytest.raises(InvalidInput, match="n must be between 1 and 10, the number of rows; got"):
                typical_rows(normal(10), torch.zeros(10, dtype=torch.long), torch.zeros(1, dtype=torch.long), n)


# --- the pure radius ------------------------------------------------------------------------------------------------


def purity(x, labels, radius):
    near = cdist(np.float64(x), np.float64(x)) < radius
    labels = np.asarray(labels)
    return np.mean([(labels[row] == label).all() for row, label in zip(near, labels, strict=True)])


def test_it_is_the_largest_radius_of_that_purity():
    for share, seed in itertools.product([0.5, 0.8, 0.95, 1.0], range(3)):
        x = normal(200, 2, seed)
        labels = (x[:, 0] > 0.3).long() + (x[:, 1] > 0).long()
        radius = pure_radius(x, labels, generator(), share)
        assert purity(x, labels, radius) >= share, (share, seed)
        assert purity(x, labels, radius * 1.0002) < share, (share, seed)


def test_one_label_has_no_radius():
    assert pure_radius(normal(20), torch.zeros(20, dtype=torch.long), generator()) == float("inf")


def test_a_sample_of_a_large_pool_is_about_right(monkeypatch):
    x = normal(3000, 2)
    labels = (x[:, 0] > 0).long()
    whole = pure_radius(x, labels, generator(), 0.8)
    monkeypatch.setattr(coverage, "_SAMPLE", 500)
    assert pure_radius(x, labels, generator(), 0.8) == pytest.approx(whole, rel=0.2)
    assert pure_radius(x, labels, generator(1), 0.8) != whole

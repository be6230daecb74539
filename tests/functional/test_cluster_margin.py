"""Average linkage against the plain algorithm, and turns of clusters against a plain loop."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from distil.errors import InvalidInput
from distil.functional import cluster_margin
from distil.functional.cluster_margin import average_linkage, small_clusters_first


def joined(x, k):
    clusters = [[i] for i in range(len(x))]
    dists = cdist(x, x)
    while len(clusters) > k:
        pairs = [(a, b) for a in range(len(clusters)) for b in range(a)]
        a, b = min(pairs, key=lambda pair: dists[np.ix_(clusters[pair[0]], clusters[pair[1]])].mean())
        clusters[b] += clusters.pop(a)
    return {frozenset(cluster) for cluster in clusters}


def groups(clusters):
    return {frozenset(np.flatnonzero(clusters.numpy() == c).tolist()) for c in clusters.unique().tolist()}


def test_the_two_nearest_clusters_are_joined_until_k_are_left():
    for seed in range(3):
        x = torch.randn(25, 3, generator=torch.Generator().manual_seed(seed))
        for k in (1, 4, 24, 25, 30):
            found = average_linkage(x * 2.0**90, k)
            assert groups(found) == joined(x.double().numpy(), k)
            assert found[0] == 0, "numbered in the order of their first rows"


def test_further_rows_join_the_nearest_mean(monkeypatch):
    monkeypatch.setattr(cluster_margin, "_MOST_ROWS", 8)
    x = torch.tensor([0.0, 10, 20]).repeat(8)[:, None] + torch.rand(24, 1, generator=torch.Generator().manual_seed(0))
    assert average_linkage(x, 3).tolist() == [0, 1, 2] * 8


def test_clusters_take_turns_from_the_smallest():
    clusters = torch.tensor([0, 0, 0, 0, 1, 2, 2, 1, 0])
    for seed in range(5):
        rows = small_clusters_first(clusters, 9, torch.Generator().manual_seed(seed))
        assert sorted(rows.tolist()) == list(range(9))
        assert clusters[rows].tolist() == [1, 2, 0, 1, 2, 0, 0, 0, 0]
        assert small_clusters_first(clusters, 4, torch.Generator().manual_seed(seed)).tolist() == rows[:4].tolist()
    first = {int(small_clusters_first(clusters, 3, torch.Generator().manual_seed(s))[2]) for s in range(60)}
    assert first == {0, 1, 2, 3, 8}, "any row of a cluster may be its first"


def test_arguments_out_of_range_are_refused():
    with pytest.raises(InvalidInput, match="k must be"):
        average_linkage(torch.zeros(3, 1), 0)
    for n in (0, 4):
        with pytest.raises(InvalidInput, match="n must be"):
            small_clusters_first(torch.zeros(3, dtype=torch.long), n, torch.Generator())

"""Cluster-Margin: small clusters first, one row of each cluster in turn."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.nearest import nearest_center
from distil.functional.scale import to_unit

# Rows that are clustered by all of their pairs, 144 MB of distances; further rows join the nearest mean.
_MOST_ROWS = 6000


def average_linkage(x: Tensor, k: int) -> Tensor:
    """Cluster rows by joining, again and again, the two clusters of smallest mean distance between their rows.

    Hierarchical agglomerative clustering with average linkage (Sokal and Michener 1958), cut at k clusters. Of more than 6,000
    rows, the first 6,000 are clustered, so shuffle them; the others join the cluster whose mean is nearest.

    Args:
        x: Rows, (N, D), finite.
        k: Largest number of clusters, at least 1.

    Returns:
        The cluster of each row, (N,) int64, from 0; there are fewer than k where the k-th and later distances tie.

    Cost: O(min(N, 6000)^2 D + N k D) time; 300 MB of memory at most.

    >>> average_linkage(torch.tensor([[0.0], [9.0], [1.0]]), 2).tolist()
    [0, 1, 0]
    """
    from scipy.cluster.hierarchy import fcluster, linkage  # lazily: no other strategy needs it
    from scipy.spatial.distance import pdist

    if k < 1:
        raise InvalidInput(f"k must be at least 1, got {k}")
    (x,), _ = to_unit(x)
    some = x[:_MOST_ROWS].double()
    if len(some) <= k:
        clusters = torch.arange(len(some))
    else:
        on_host = torch.empty(some.shape, dtype=some.dtype).copy_(some)
        tree = linkage(pdist(on_host.numpy()), "average")
        clusters = torch.from_numpy(fcluster(tree, k, "maxclust")).long()
        clusters = clusters.unique(return_inverse=True)[1]
    clusters = clusters.to(x.device)
    if len(x) <= _MOST_ROWS:
        return _by_first_row(clusters)
    sizes = torch.bincount(clusters)
    means = some.new_zeros(len(sizes), x.shape[1]).index_add_(0, clusters, some) / sizes[:, None]
    return _by_first_row(torch.cat([clusters, nearest_center(x[_MOST_ROWS:], means)]))


def small_clusters_first(clusters: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Take one random row of each cluster in turn, from the smallest cluster to the largest, until there are n.

    Citovsky, DeSalvo, Gentile, Karydas, Rajagopalan, Rostamizadeh and Kumar 2021, algorithm 2: after the largest cluster, the turn
    goes back to the smallest one that has rows left.

    Args:
        clusters: The cluster of each row, (N,) int64.
        n: Number of rows to take, from 1 to N.
        generator: CPU generator.

    Returns:
        (n,) distinct rows; clusters of equal size take turns in the order of their numbers.

    Raises:
        InvalidInput: ``n`` is out of range.

    >>> small_clusters_first(torch.tensor([0, 0, 0, 1]), 4, torch.Generator()).tolist()[0]
    3
    """
    if not 1 <= n <= len(clusters):
        raise InvalidInput(f"n must be between 1 and {len(clusters):,}, the number of rows; got {n:,}")
    order = torch.randperm(len(clusters), generator=generator).to(clusters.device)
    order = order[clusters[order].argsort(stable=True)]  # by cluster, at random within it
    sizes = torch.bincount(clusters)
    turns = torch.arange(len(order), device=order.device) - (sizes.cumsum(0) - sizes)[clusters[order]]
    by_size = sizes[clusters[order]].argsort(stable=True)
    return order[by_size[turns[by_size].argsort(stable=True)]][:n]


def _by_first_row(clusters: Tensor) -> Tensor:
    """The same clusters, numbered in the order of their first rows."""
    names, own = clusters.unique(return_inverse=True)
    rows = torch.arange(len(clusters), device=clusters.device)
    first = torch.full_like(names, len(clusters)).scatter_reduce_(0, own, rows, "amin")
    return first.argsort().argsort()[own]

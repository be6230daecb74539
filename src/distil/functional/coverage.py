"""Rows that are typical of their clusters, and rows whose balls cover the most rows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.centers import k_center_greedy
from distil.functional.features import BLOCK_BYTES, EXACT_TIE, Dense, at_one_scale
from distil.functional.gains import RowsWithGains
from distil.functional.nearest import pair_sq_dists
from distil.functional.neighbors import Balls, mean_dists, nearest_neighbors
from distil.functional.scale import number_times_two_to, times_two_to, to_unit

# Clusters of fewer rows than this come last: their densest row is dense by chance (the published code drops them).
_SMALL = 6

# Number of rows whose distance to the nearest row of another label is measured to choose a radius.
_SAMPLE = 4096

# Up to this size, the membership of rows in balls is stored.
_GRAPH_BYTES = 128 << 20

# Mean distances have a relative error of about 1e-5.
_NEAR_TIE = 3e-5


def typical_rows(x: Tensor, clusters: Tensor, n_labeled: Tensor, n: int, n_neighbors: int = 20) -> Tensor:
    """The most typical row of each cluster; clusters with the fewest labeled rows come first, then the largest.

    Hacohen, Dekel and Weinshall 2022, algorithm 1. When n exceeds the number of clusters, each cluster then gives its next most
    typical row. The published code measures typicality again without the picked rows; this changes little, because one row less
    is one neighbor less. As in the paper, typicality is measured over the min(n_neighbors, size / 2) nearest unlabeled rows of
    the same cluster. Clusters of at most 5 rows, labeled ones included, come after all others.

    Args:
        x: Unlabeled rows, (N, D).
        clusters: The cluster of each row, (N,) int64.
        n_labeled: Number of labeled rows in each cluster, (k,); they are not in ``x``.
        n: Number of rows to pick, at most N.
        n_neighbors: K of the paper.

    Returns:
        (n,) distinct rows in pick order; ties between clusters go to the smaller cluster, ties of typicality (1e-9) to the
        smaller row.

    Cost: O(D sum of squared cluster sizes); memory of O(N) and two blocks.

    >>> x = torch.tensor([[0.0], [1.0], [2.0], [9.0]])
    >>> typical_rows(x, torch.zeros(4, dtype=torch.long), torch.zeros(1, dtype=torch.long), 1).tolist()
    [1]
    """
    return typical_with_gains(x, clusters, n_labeled, n, n_neighbors).rows


def typical_with_gains(x: Tensor, clusters: Tensor, n_labeled: Tensor, n: int, n_neighbors: int = 20) -> RowsWithGains:
    """The rows of ``typical_rows`` and how typical each is of its cluster; arguments and cost as ``typical_rows``.

    Returns:
        Rows in pick order. Their gains are typicalities, 1 / the mean distance to the neighbors: infinite for a row that equals all
        its neighbors, NaN for the only row of a cluster.
    """
    if not 1 <= n <= len(x):
        raise InvalidInput(f"n must be between 1 and {len(x):,}, the number of rows; got {n:,}")
    (whole,), e = at_one_scale(Dense(x))
    x = whole.x
    sizes = torch.bincount(clusters, minlength=len(n_labeled))
    turn = torch.zeros_like(clusters)  # 0: the most typical of its cluster
    means = x.new_zeros(len(x), dtype=torch.float64)
    for rows in clusters.argsort(stable=True).split(sizes.tolist()):
        means[rows] = _mean_dists_inside(x, rows, n_neighbors)
        turn[_by_typicality(means, rows)] = torch.arange(len(rows), device=x.device)
    order = torch.arange(len(x), device=x.device)
    sizes = sizes + n_labeled
    for key in (clusters, -sizes[clusters], n_labeled[clusters], turn, (sizes < _SMALL)[clusters].long()):
        order = order[key[order].argsort(stable=True)]
    return RowsWithGains(order[:n], 1 / times_two_to(means[order[:n]], e))


def max_coverage(x: Tensor, n: int, radius: float, labeled: Tensor | None = None) -> Tensor:
    """Pick rows one by one, each the center of the ball that contains the most uncovered rows.

    Greedy maximum coverage (within 1 - 1/e of the best), as in Yehuda, Dekel, Hacohen and Weinshall 2022 (algorithm 1, without
    their graph): a row is covered once it is closer than ``radius`` to a picked or labeled row. When all rows are covered, the
    remaining picks are made farthest first; the published code takes the first rows of the pool instead, and ignores the last
    N mod 500 rows.

    Args:
        x: Rows, (N, D).
        n: Number of rows to pick, at most N.
        radius: Radius of the balls, above 0, in the unit of the rows.
        labeled: Labeled rows, which cover the rows near them, (M, D); default: none.

    Returns:
        (n,) distinct rows in pick order; ties go to the smaller row.

    Cost: O(N^2 D / 2). The membership of rows in balls is stored, one bit a pair, up to 128 MB (N = 32,768). Above that, memory is
    O(N) and a block, and the distances of each newly covered row are computed again, once: O(1.5 N^2 D).

    >>> max_coverage(torch.tensor([[0.0], [1.0], [2.0], [9.0]]), 2, radius=1.5).tolist()
    [1, 3]
    """
    return max_coverage_with_gains(x, n, radius, labeled).rows


def max_coverage_with_gains(x: Tensor, n: int, radius: float, labeled: Tensor | None = None) -> RowsWithGains:
    """The rows that ``max_coverage`` picks, and the number of rows that each covers first; arguments and cost as ``max_coverage``.

    Returns:
        Rows in pick order. Their gains are numbers of newly covered rows, 0 for rows picked after all rows were covered.
    """
    if not 1 <= n <= len(x):
        raise InvalidInput(f"n must be between 1 and {len(x):,}, the number of rows; got {n:,}")
    sets, e = at_one_scale(Dense(x), Dense(x[:0] if labeled is None else labeled))
    x, labeled = (part.x for part in sets)
    balls = Balls(x, number_times_two_to(radius, -e))
    graph = _Graph(balls) if len(x) ** 2 <= 8 * _GRAPH_BYTES else _Recounted(balls)
    uncovered = balls.counts(labeled) == 0
    inside = graph.sizes - graph.counts(torch.nonzero(~uncovered)[:, 0])  # uncovered rows in each ball
    picks: list[int] = []
    gains = torch.zeros(n, dtype=torch.float64)
    while len(picks) < n and bool(uncovered.any()):
        pick = torch.nonzero(inside == inside.max())[:1, 0]
        covered = torch.nonzero(uncovered & (graph.counts(pick) > 0))[:, 0]
        uncovered[covered] = False
        inside -= graph.counts(covered)
        gains[len(picks)] = len(covered)
        picks.append(int(pick))
    return RowsWithGains(_filled(x, picks, n, labeled), gains)


def pure_radius(x: Tensor, labels: Tensor, generator: torch.Generator, purity: float = 0.95) -> float:
    """The largest radius at which a share ``purity`` of the balls around rows contains rows of one label only.

    The rule of Yehuda et al. 2022, section 3.3, who take the clusters of k-means as labels. A ball is pure exactly up to the
    distance of the nearest row of another label, so the radius is a quantile of those distances and no radius has to be tried.
    In pools of more than 4,096 rows, the balls around 4,096 random rows decide.

    Args:
        x: Rows, (N, D).
        labels: The label of each row, (N,) int64.
        generator: CPU generator.
        purity: Share of the balls that must be pure, from 0 to 1.

    Returns:
        The radius, reduced by 3e-5 of itself so that no rounding puts the two rows that decide it into each other's
        ball; infinite if there is only one label.

    Cost: O(min(N, 4096) N D); memory of two blocks.
    """
    (whole,), e = at_one_scale(Dense(x))
    x = whole.x
    rows = torch.randperm(len(x), generator=generator)[:_SAMPLE].sort().values.to(x.device)
    others = _nearest_of_another_label(x, labels, rows).sort().values
    edge = others[min(math.floor((1 - purity) * len(rows) + 1e-9), len(rows) - 1)]
    return number_times_two_to(math.sqrt(edge) * (1 - _NEAR_TIE), e)


def neighbor_radius(x: Tensor, k: int, generator: torch.Generator) -> float:
    """The median distance to the k-th nearest other row: at this radius, half of the balls hold k other rows.

    Args:
        x: Rows, (N, D).
        k: Number of neighbors, from 1 to N - 1.
        generator: CPU generator; in pools of more than 4,096 rows, 4,096 random rows decide.

    Cost: O(min(N, 4096) N D); memory of two blocks.
    """
    (x,), e = to_unit(x)
    rows = torch.randperm(len(x), generator=generator)[:_SAMPLE].sort().values.to(x.device)
    return number_times_two_to(math.sqrt(float(nearest_neighbors(x, k, rows).sq_dists[:, -1].median())), e)


class _Graph:
    """The stored membership of rows in balls, one bit a pair."""

    def __init__(self, balls: Balls) -> None:
        n = len(balls.x)
        self.sizes = torch.zeros(n, dtype=torch.long, device=balls.x.device)
        self.bits = torch.zeros((n, -(-n // 8)), dtype=torch.uint8, device=balls.x.device)
        powers = (2 ** torch.arange(8, device=balls.x.device)).to(balls.x.dtype)
        for block, other, near in balls.pairs():
            self.sizes[block] += near.sum(1).long()
            eights = torch.nn.functional.pad(near, (0, -near.shape[1] % 8)).unflatten(1, (-1, 8))
            self._put(block, other, eights @ powers)
            if other != block:
                self.sizes[other] += near.sum(0).long()
                self._put(other, block, (powers @ near.unflatten(0, (-1, 8))).T)

    def _put(self, rows: slice, columns: slice, bits: Tensor) -> None:
        self.bits[rows, columns.start // 8 : -(-columns.stop // 8)] = bits.to(torch.uint8)

    def counts(self, rows: Tensor) -> Tensor:
        """How many of these rows (M,) are in the ball around each row: (N,) int64."""
        counts = torch.zeros((self.bits.shape[1], 8), dtype=torch.long, device=self.bits.device)
        for part in rows.split(max(1, BLOCK_BYTES // self.bits.shape[1])):
            bits = self.bits[part]
            for place in range(8):
                counts[:, place] += ((bits >> place) & 1).sum(0, dtype=torch.int32)
        return counts.flatten()[: len(self.bits)]


class _Recounted:
    """The membership of rows in balls, computed again from distances at each call."""

    def __init__(self, balls: Balls) -> None:
        self.balls, self.sizes = balls, balls.sizes()

    def counts(self, rows: Tensor) -> Tensor:
        """How many of these rows (M,) are in the ball around each row: (N,) int64."""
        return self.balls.counts_of(self.balls.x[rows])


def _mean_dists_inside(x: Tensor, rows: Tensor, n_neighbors: int) -> Tensor:
    """Mean distance of each row of one cluster to its nearest neighbors in it, (B,) float64; near-ties are exact."""
    k = min(n_neighbors, len(rows) // 2)
    if k == 0:  # one row, or none
        return x.new_full((len(rows),), torch.nan, dtype=torch.float64)
    inside = x[rows]
    means = mean_dists(inside, k).double()
    values, order = means.sort()
    tied = values.diff() <= _NEAR_TIE * values[1:]
    doubted = order[torch.cat([tied, tied.new_zeros(1)]) | torch.cat([tied.new_zeros(1), tied])]
    if len(doubted):
        ids = nearest_neighbors(inside, k, doubted).ids
        sq_dists = pair_sq_dists(inside, doubted.repeat_interleave(k), inside, ids.flatten())
        means[doubted] = sq_dists.view_as(ids).sqrt().mean(1)
    return means


def _by_typicality(means: Tensor, rows: Tensor) -> Tensor:
    """The rows of one cluster, most typical first; ties go to the smaller row."""
    values, order = means[rows].sort()
    group = torch.zeros_like(order)
    group[order[1:]] = (values.diff() > EXACT_TIE * values[1:]).long().cumsum(0)
    return rows[group.argsort(stable=True)]


def _nearest_of_another_label(x: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
    """Squared distance of each of the ``rows`` to the nearest row of another label, (B,); infinite if there is none."""
    found = x.new_full((len(rows),), torch.inf)
    step = max(1, math.isqrt(BLOCK_BYTES // x.element_size()))
    some = Dense(x[rows])
    for start in range(0, len(x), step):
        others = Dense(x[start : start + step])
        for block in (slice(at, at + step) for at in range(0, len(rows), step)):
            same = labels[rows[block], None] == labels[start : start + step]
            dists = some[block].sq_dists(others).masked_fill_(same, torch.inf)
            found[block] = torch.minimum(found[block], dists.amin(1))
    return found


def _filled(x: Tensor, picks: list[int], n: int, labeled: Tensor) -> Tensor:
    """``picks``, followed up to n by rows that are each the farthest from the labeled rows and all earlier picks."""
    chosen = torch.tensor(picks, dtype=torch.long, device=x.device)
    if len(picks) == n:
        return chosen
    left = torch.ones(len(x), dtype=torch.bool, device=x.device)
    left[chosen] = False
    rows = torch.nonzero(left)[:, 0]
    more = k_center_greedy(Dense(x[rows]), n - len(picks), Dense(torch.cat([labeled, x[chosen]])))
    return torch.cat([chosen, rows[more]])

"""Rows that are typical of their clusters, and rows whose balls cover the most."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.features import BLOCK_BYTES, Dense
from distil.functional.centers import k_center_greedy
from distil.functional.neighbors import Balls, nearest_neighbors, pair_sq_dists, typicality

# Clusters of fewer rows than this are left for last: their densest row is dense by chance (the published code drops them).
_SMALL = 6

# Rows whose distance to the nearest of another label is measured, to choose a radius.
_SAMPLE = 4096

# Balls whose uncovered rows are counted again at once.
_AT_ONCE = 32

_NEAR_TIE = 1e-4
_EXACT_TIE = 1e-9


def typical_rows(x: Tensor, clusters: Tensor, n_labeled: Tensor, n: int, n_neighbors: int = 20) -> Tensor:
    """The most typical row of each cluster: clusters with the fewest labeled rows first, then the largest.

    Hacohen, Dekel and Weinshall 2022, algorithm 1. A cluster that is asked again (n larger than the number of clusters) gives its
    next most typical row; the published code measures typicality again without the rows picked, which changes little, since
    one row less is one neighbor less. Typicality is taken among the given rows of the cluster, over the min(n_neighbors, size / 2)
    nearest, as there. Clusters of at most 5 rows, labeled ones counted, come after all others.

    Args:
        x: (N, D) unlabeled rows.
        clusters: (N,) the cluster of each.
        n_labeled: (k,) how many labeled rows each cluster has besides.
        n: How many rows, at most N.
        n_neighbors: K of the paper.

    Returns:
        (n,) distinct rows, in pick order; ties go to the larger typicality (1e-9), then to the smaller row.

    Cost: O(D sum of squared cluster sizes), memory of O(N) and two blocks.
    """
    if not 1 <= n <= len(x):
        raise InvalidInput(f"n must be between 1 and the {len(x)} rows, got {n}")
    sizes = torch.bincount(clusters, minlength=len(n_labeled))
    turn = torch.zeros_like(clusters)  # 0: the most typical of its cluster
    for rows in clusters.argsort(stable=True).split(sizes.tolist()):
        turn[_by_typicality(x, rows, n_neighbors)] = torch.arange(len(rows), device=x.device)
    order = torch.arange(len(x), device=x.device)
    sizes = sizes + n_labeled
    for key in (clusters, -sizes[clusters], n_labeled[clusters], turn, (sizes < _SMALL)[clusters].long()):
        order = order[key[order].argsort(stable=True)]
    return order[:n]


def max_coverage(x: Tensor, n: int, radius: float, labeled: Tensor | None = None) -> Tensor:
    """Pick rows one by one, each the center of the ball that holds the most rows not covered yet.

    Greedy maximum coverage (within 1 - 1/e of the best), as Yehuda, Dekel, Hacohen and Weinshall 2022 use it (algorithm 1, without
    their graph): a row is covered once it is closer than ``radius`` to a picked or labeled one. When all rows are covered, the
    rest is picked farthest first; the published code goes on with the first rows of the pool, and never looks at the last
    N mod 500.

    Args:
        x: (N, D) rows.
        n: How many to pick, at most N.
        radius: Of the balls, positive.
        labeled: (M, D) rows that cover already.

    Returns:
        (n,) distinct rows, in pick order; ties go to the smaller row.

    Cost: O(N^2 D) at most, half of it to begin with and the rest only in so far as balls overlap; memory of O(N) and two blocks.
    """
    if not 1 <= n <= len(x):
        raise InvalidInput(f"n must be between 1 and the {len(x)} rows, got {n}")
    labeled = x[:0] if labeled is None else labeled
    cover = _Cover(x, radius, labeled)
    picks: list[int] = []
    while len(picks) < n and (row := cover.fullest()) is not None:
        picks.append(row)
        cover.add(x[row : row + 1])
    return _filled(x, picks, n, labeled)


def pure_radius(x: Tensor, labels: Tensor, generator: torch.Generator, purity: float = 0.95) -> float:
    """The largest radius at which a share ``purity`` of the balls around rows holds rows of one label only.

    The rule by which Yehuda et al. 2022, section 3.3, choose their radius, from the clusters of k-means as labels. A ball is pure
    exactly up to the distance of the nearest row of another label, so the radius is a quantile of those distances: no radius
    needs to be tried. In pools of more than 4,096 rows the balls of so many random ones are looked at.

    Args:
        x: (N, D) rows.
        labels: (N,) int64.
        generator: A CPU generator.
        purity: The share, from 0 to 1.

    Returns:
        The radius, less 1e-4 of it, so that no rounding puts the two rows that decide it into each other's ball; infinite if
        there is one label only.

    Cost: O(min(N, 4096) N D), memory of two blocks.
    """
    rows = torch.randperm(len(x), generator=generator)[:_SAMPLE].sort().values.to(x.device)
    others = _nearest_of_another_label(x, labels, rows).sort().values
    edge = others[min(int((1 - purity) * len(rows)), len(rows) - 1)]
    return math.sqrt(edge) * (1 - _NEAR_TIE)


class _Cover:
    """Which rows are covered, and how many uncovered ones each ball holds.

    Those numbers only fall, so old ones are bounds: balls are counted again, some at a time, until the one that holds the most is
    among them. Once as many balls were counted as rows became covered since all numbers were right, it is cheaper to take
    those rows off the numbers of all balls, which no row makes necessary twice.
    """

    def __init__(self, x: Tensor, radius: float, labeled: Tensor) -> None:
        self.x, self.balls = x, Balls(x, radius)
        self.numbers = self.balls.sizes()  # when ``covered`` was empty
        self.bounds = self.numbers.clone()
        self.sure = torch.ones_like(self.bounds, dtype=torch.bool)
        self.uncovered = self.sure.clone()
        self.covered: list[Tensor] = []
        if len(labeled):
            self.add(labeled)

    def add(self, points: Tensor) -> None:
        """Cover the rows near these points (M, D)."""
        covered = self.uncovered & (self.balls.counts(points) > 0)
        self.uncovered &= ~covered
        self.covered.append(torch.nonzero(covered)[:, 0])
        self.sure.fill_(False)

    def fullest(self) -> int | None:
        """The smallest row of those whose ball holds the most uncovered rows; None when all rows are covered."""
        left = sum(map(len, self.covered))
        while True:
            row = int(torch.nonzero(self.bounds == self.bounds.max())[0])
            if bool(self.sure[row]):
                return row if int(self.bounds[row]) else None
            if left <= 0:
                self._take_off()
            else:
                self._count_again()
            left -= _AT_ONCE

    def _count_again(self) -> None:
        rows = self.bounds.masked_fill(self.sure, -1).topk(min(_AT_ONCE, len(self.bounds))).indices
        self.bounds[rows] = self.balls.held(self.x[rows], self.uncovered)
        self.sure[rows] = True

    def _take_off(self) -> None:
        self.numbers -= self.balls.counts(self.x[torch.cat(self.covered)])
        self.covered = []
        self.bounds = self.numbers.clone()
        self.sure.fill_(True)


def _by_typicality(x: Tensor, rows: Tensor, n_neighbors: int) -> Tensor:
    """The rows of one cluster, the most typical first; near-ties are settled in float64, then by the smaller row."""
    k = min(n_neighbors, len(rows) // 2)
    if k == 0:  # one row, or none
        return rows
    inside = x[rows]
    near = nearest_neighbors(inside, k)
    spread = 1 / typicality(near.sq_dists).double()
    values, order = spread.sort()
    tied = values.diff() <= _NEAR_TIE * values[1:]
    doubted = order[torch.cat([tied, tied.new_zeros(1)]) | torch.cat([tied.new_zeros(1), tied])]
    sq_dists = pair_sq_dists(inside, doubted.repeat_interleave(k), inside, near.ids[doubted].flatten())
    spread[doubted] = 1 / typicality(sq_dists.view(-1, k))
    values, order = spread.sort()
    group = torch.zeros_like(order)
    group[order[1:]] = (values.diff() > _EXACT_TIE * values[1:]).long().cumsum(0)
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
    """``picks`` and, up to n, further rows: each the farthest from the labeled rows and all picks before it."""
    chosen = torch.tensor(picks, dtype=torch.long, device=x.device)
    if len(picks) == n:
        return chosen
    left = torch.ones(len(x), dtype=torch.bool, device=x.device)
    left[chosen] = False
    rows = torch.nonzero(left)[:, 0]
    more = k_center_greedy(Dense(x[rows]), n - len(picks), Dense(torch.cat([labeled, x[chosen]])))
    return torch.cat([chosen, rows[more]])

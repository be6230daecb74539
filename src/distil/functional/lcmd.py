"""LCMD: pick the farthest row of the largest cluster, where clusters grow around labeled and picked rows."""

from __future__ import annotations

import torch

from distil.errors import InvalidInput
from distil.functional.centers import largest_norm
from distil.functional.features import BLOCK_BYTES, EXACT_TIE, Features, at_one_scale
from distil.functional.gains import RowsWithGains
from distil.functional.scale import times_two_to


def lcmd(x: Features, n: int, centers: Features | None = None) -> RowsWithGains:
    """Pick rows one by one: the farthest row from its center in the largest cluster; it becomes a center itself.

    Holzmueller, Zaverkin, Kaestner and Steinwart 2023, section 4.2.7 (largest cluster maximum distance, in the form that starts
    from the labeled rows). Each row belongs to its nearest center; the size of a cluster is the sum of the squared distances to
    its center. Unlike ``k_center_greedy`` it takes the density of the pool into account: one outlier is no large cluster. Ties,
    within 1e-9, go to the center that was there first and to the smaller row.

    Args:
        x: N rows.
        n: Number of rows to pick, from 1 to N.
        centers: M labeled rows; default: none, and the first pick is the longest row.

    Returns:
        Rows in pick order; their gains are squared distances to the nearest center when they were picked, infinite for a first
        pick without centers.

    Raises:
        InvalidInput: ``n`` is out of range.

    Cost: O(N (M + n)) inner products in float64, memory of a block and of one distance per row.

    >>> from distil.functional.features import Dense
    >>> x = Dense(torch.tensor([[0.0], [1.0], [1.2], [1.4], [-1.5]]))
    >>> lcmd(x, 2, Dense(torch.tensor([[0.0]]))).rows.tolist()
    [4, 3]
    """
    if not 1 <= n <= len(x):
        raise InvalidInput(f"n must be between 1 and {len(x):,}, the number of rows; got {n:,}")
    (x, *given), e = at_one_scale(x, *([] if centers is None else [centers]))
    clusters = _Clusters(x.double().with_norms())
    for part in given:
        clusters.add(part.double().with_norms())
    rows: list[int] = []
    gains: list[float] = []
    for _ in range(n):
        row = clusters.farthest() if clusters.count else largest_norm(x)
        gains.append(float(clusters.sq_dists[row]))
        rows.append(row)
        clusters.pick(row)
    return RowsWithGains(torch.tensor(rows), times_two_to(torch.tensor(gains, dtype=torch.float64), 2 * e))


class _Clusters:
    """The nearest center of every row.

    Attributes:
        sq_dists: Squared distances to the nearest center, (N,); infinite without centers.
        own: The number of the nearest center, (N,); the first of equals.
        count: The number of centers.
    """

    def __init__(self, x: Features) -> None:
        self.x = x
        norms = x.sq_norms()
        self.sq_dists = torch.full_like(norms, torch.inf)
        self.own = torch.zeros(len(x), dtype=torch.long, device=norms.device)
        self.left = torch.ones(len(x), dtype=torch.bool, device=norms.device)
        self.count = 0

    def add(self, centers: Features) -> None:
        """Make rows centers."""
        step = max(1, BLOCK_BYTES // (8 * max(1, len(centers))))
        for start in range(0, len(self.x), step):
            block = slice(start, start + step)
            nearest = self.x[block].sq_dists(centers).min(1)
            closer = nearest.values < self.sq_dists[block] * (1 - EXACT_TIE)
            self.sq_dists[block] = torch.where(closer, nearest.values, self.sq_dists[block])
            self.own[block] = torch.where(closer, nearest.indices + self.count, self.own[block])
        self.count += len(centers)

    def pick(self, row: int) -> None:
        """Make a row of the pool a center, and pick it no more."""
        self.left[row] = False
        self.add(self.x[slice(row, row + 1)])

    def farthest(self) -> int:
        """The row that is farthest from its center in the largest cluster; the first that is left where all distances are 0."""
        dists = self.sq_dists.masked_fill(~self.left, -1)
        sizes = dists.new_zeros(self.count).index_add_(0, self.own, dists.clamp_min(0))
        largest = torch.nonzero(sizes >= float(sizes.max()) * (1 - EXACT_TIE))[0, 0]
        if float(sizes[largest]) > 0:
            dists = torch.where(self.own == largest, dists, -1)
        return int(torch.nonzero(dists >= float(dists.max()) * (1 - EXACT_TIE))[0, 0])

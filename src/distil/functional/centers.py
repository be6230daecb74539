"""Rows that stand for the others: k-center and k-means++."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.features import BLOCK_BYTES, Features

# Sums and draws run over blocks of this many rows, whatever the minibatch or the number of shards was.
CANONICAL_BLOCK = 4096

# Relative differences below these count as equal: in the precision of the data, and after a float64 re-check.
_NEAR_TIE = 1e-6
_EXACT_TIE = 1e-9


def k_center_greedy(x: Features, n: int, centers: Features | None = None) -> Tensor:
    """Pick rows one by one, each the farthest from the centers and the rows picked before it.

    Gonzalez' farthest-first traversal (1985), within a factor 2 of the best n further centers; Sener and Savarese (2018,
    algorithm 1) use it with the labeled set as the given centers. Near-ties are settled in float64, then by the
    smaller row; without centers the first pick is row 0, by the same rule.

    Args:
        x: N rows.
        n: How many to pick, at most N.
        centers: M rows that are centers already; none by default.

    Returns:
        (n,) distinct rows, in pick order.

    Cost: O(N (M + n)) inner products, memory of O(N).
    """
    if not 1 <= n <= len(x):
        raise InvalidInput(f"n must be between 1 and the {len(x)} rows, got {n}")
    nearest = _Nearest(x, centers)
    picks: list[int] = []
    while len(picks) < n:
        row = nearest.farthest() if picks or nearest.n_given else 0
        if row is None:  # every row left coincides with a center
            picks += _first_left(len(x), picks, n - len(picks))
            break
        picks.append(row)
        nearest.add(row)
    return torch.tensor(picks, dtype=torch.long)


def k_means_plus_plus(x: Features, n: int, first: int, generator: torch.Generator) -> Tensor:
    """Draw rows one by one, each with probability proportional to its squared distance to those drawn before.

    Arthur and Vassilvitskii 2007, section 2.2, given the first row. Draws are made by inversion of the cumulated float64
    weights, one uniform number each. Once every row left coincides with a drawn one, the rest is drawn uniformly.

    Args:
        x: N rows.
        n: How many to draw, at most N.
        first: The row drawn first.
        generator: A CPU generator.

    Returns:
        (n,) distinct rows, in the order drawn.

    Cost: O(N n) inner products, memory of O(N).
    """
    nearest = _Nearest(x, None)
    picks = [first]
    nearest.add(first)
    uniform = torch.rand(n, generator=generator, dtype=torch.float64)
    while len(picks) < n:
        weights = nearest.sq_dists.clamp_min(0).double()
        total = float(weights.sum())
        if total == 0:
            weights = torch.ones(len(x), dtype=torch.float64)
            weights[picks] = 0
        row = draw(weights, float(uniform[len(picks)]))
        picks.append(row)
        nearest.add(row)
    return torch.tensor(picks, dtype=torch.long)


def draw(weights: Tensor, u: float) -> int:
    """The row at which the cumulated weights first exceed ``u`` times their sum.

    Args:
        weights: (N,) float64, none negative, not all 0.
        u: A number in [0, 1).

    Returns:
        A row of positive weight. Sums run over canonical blocks, so that shards of whole blocks agree.
    """
    blocks = torch.stack([w.sum() for w in weights.split(CANONICAL_BLOCK)]).cumsum(0)
    target = u * float(blocks[-1])
    block = min(int(torch.searchsorted(blocks, target, right=True)), len(blocks) - 1)
    start = block * CANONICAL_BLOCK
    inside = weights[start : start + CANONICAL_BLOCK].cumsum(0)
    before = float(blocks[block - 1]) if block else 0.0
    row = int(torch.searchsorted(inside, target - before, right=True))
    # Rounding may carry the target past the end; the last row of positive weight is then the one meant.
    positive = torch.nonzero(weights[start : start + CANONICAL_BLOCK] > 0)[:, 0]
    return start + min(row, int(positive[-1]))


def largest_norm(x: Features) -> int:
    """The row of largest norm; near-ties are settled in float64, then by the smaller row."""
    norms = finite_norms(x)
    rows = torch.nonzero(norms >= norms.max() * (1 - _NEAR_TIE))[:, 0]
    exact = x[rows].exact_sq_norms()
    return int(rows[exact >= exact.max() * (1 - _EXACT_TIE)][0])


class _Nearest:
    """Each row's squared distance to its nearest center, kept up to date while centers are added.

    Rows that are centers themselves are at -1. Values are those of ``Features.sq_dists``; ``farthest`` re-checks
    candidates in float64, remembering for each row how many centers its float64 distance has seen.
    """

    def __init__(self, x: Features, given: Features | None) -> None:
        self.x = x.with_norms()
        self.norms = finite_norms(self.x)
        self.given = given if given is not None and len(given) else None
        self.n_given = len(self.given) if self.given is not None else 0
        self.sq_dists = torch.full_like(self.norms, torch.inf)
        self.picks: list[int] = []
        self._exact = torch.full((len(x),), torch.inf, dtype=torch.float64)
        self._seen = torch.zeros(len(x), dtype=torch.long)
        self._scale = float(self.norms.max())
        if self.given is not None:
            self._scale = max(self._scale, float(self.given.sq_norms().max()))
            for block in self.given.blocks(64 * self.given.row_bytes()):
                self._lower(self.given[block])

    def add(self, row: int) -> None:
        """Make a row a center."""
        self.picks.append(row)
        self._lower(self.x[torch.tensor([row])])
        self.sq_dists[row] = -1  # and stays so: distances are never below 0

    def farthest(self) -> int | None:
        """The row farthest from all centers, or None when every row left coincides with one."""
        top = float(self.sq_dists.max())
        # What |x|^2 + |y|^2 - 2 x.y may be off by: the rounding of as many terms as a row is wide.
        width = self.x.row_bytes() / self.norms.element_size()
        rounding = (8 + 2 * width**0.5) * torch.finfo(self.norms.dtype).eps * self._scale
        rows = torch.nonzero(self.sq_dists >= max(top * (1 - _NEAR_TIE) - rounding, 0))[:, 0]
        if len(rows) == 1:
            return int(rows[0])
        exact = self._recheck(rows)
        best = float(exact.max())
        if best == 0 and len(rows) == len(self.x) - len(self.picks):
            return None
        return int(rows[exact >= best * (1 - _EXACT_TIE)][0])

    def _lower(self, centers: Features) -> None:
        for block in self.x.blocks():
            dists = self.x[block].sq_dists(centers).amin(1)
            torch.minimum(self.sq_dists[block], dists, out=self.sq_dists[block])

    def _recheck(self, rows: Tensor) -> Tensor:
        start = int(self._seen[rows].min())
        step = max(1, BLOCK_BYTES // (2 * self.x.row_bytes()))
        for part in rows.split(step):
            for centers in self._centers_from(start):
                dists = self.x[part].exact_sq_dists(centers).amin(1)
                self._exact[part] = torch.minimum(self._exact[part], dists)
        self._seen[rows] = self.n_given + len(self.picks)
        return self._exact[rows]

    def _centers_from(self, start: int) -> list[Features]:
        found: list[Features] = []
        if self.given is not None and start < self.n_given:
            found.append(self.given[slice(start, None)])
        picks = self.picks[max(0, start - self.n_given) :]
        return [*found, self.x[torch.tensor(picks)]] if picks else found


def finite_norms(x: Features) -> Tensor:
    """Squared norms (N,), or an InvalidInput where they overflow the precision of the rows."""
    norms = x.sq_norms()
    if not bool(norms.isfinite().all()):
        raise InvalidInput(f"squared lengths of the rows overflow {norms.dtype}; scale the rows down, or give float64")
    return norms


def _first_left(n_rows: int, picks: list[int], n: int) -> list[int]:
    taken = set(picks)
    return [row for row in range(n_rows) if row not in taken][:n]

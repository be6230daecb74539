"""Rows that represent the others: k-center and k-means++.

Why both are lazy: the plain algorithms read all rows once for every pick, and most of the distances decide nothing.
What it won: against one pass a pick in torch, k-center was 51 times as fast with labeled rows and 35 times without, at worst 1.05
times (rows in a plane); k-means++ on gradients 16 times on 10,000 rows and 122 times on 50,000 (2 threads of an EPYC, measured by
``python -m benchmarks speed``).
Delete it when pools are so small, or memory is so fast, that one pass a pick costs little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES, EXACT_TIE, Features, at_one_scale
from distil.functional.gains import RowsWithGains
from distil.functional.scale import times_two_to
from distil.functional.weighted_rows import CANONICAL_BLOCK, Weighted, WeightedRows, places, shares_of, sums_inside

# Values whose relative difference is below this are compared again in float64.
_NEAR_TIE = 1e-6

# k-center: rows updated in the first round, largest number of rows that a round picks from, and intended picks of a round.
_FIRST_ROUND = 512
_LARGEST_ROUND = 2048
_PICKS_A_ROUND = 64
# Centers that rows are compared with at a time; between pieces, rows that can no longer be the farthest are dropped.
_PIECE = 64
# Size of the sample that estimates how far the picks will be, and the number of rows, for each pick and at least, that the
# estimate leaves above it in the pool and in the sample.
_SAMPLE = 4096
_ABOVE = 8
_ABOVE_SAMPLED = 32
# Largest number of likely picks whose distances to the rows of a round are computed together with those of the next pick.
_AHEAD = 16
# Smallest number of likely picks that are compared again together in float64.
_SETTLED = 16
# Distances below this many times their rounding error are computed in a higher precision.
_ROUGH = 1000

# k-means++: proposals drawn together, and the cost of comparing one with a center relative to that of a row of the pool.
_PROPOSALS = 128
_PROPOSAL_COST = 4
# Approximate share of proposals that is accepted when the weights are fresh.
_ACCEPTED = 0.7


def k_center_greedy(x: Features, n: int, centers: Features | None = None) -> Tensor:
    """Pick rows one by one, each the farthest from the centers and from the rows picked before it.

    Gonzalez' farthest-first traversal (1985), within a factor 2 of the best n further centers; Sener and Savarese (2018,
    algorithm 1) use it with the labeled set as the first centers. Near-ties are decided in float64, then by the smaller row;
    without centers, the first pick is row 0 by the same rule.

    Distances to the nearest center only fall while centers are added, so old distances are upper bounds, and only rows that could
    be the farthest are updated (lazy evaluation, Minoux 1978), many rows and picks at a time. The picks are those of the plain
    algorithm.

    Args:
        x: N rows.
        n: Number of rows to pick, from 1 to N.
        centers: M rows that are already centers; default: none.

    Returns:
        (n,) distinct rows in pick order.

    Raises:
        InvalidInput: ``n`` is out of range, or squared norms overflow.

    Cost: at most O(N (M + n)) inner products, and a tenth of them on clustered rows; memory of O(N).

    >>> from distil.functional.features import Dense
    >>> x = Dense(torch.tensor([[0.0], [1.0], [5.0], [9.0]]))
    >>> k_center_greedy(x, 2, centers=Dense(torch.tensor([[0.0]]))).tolist()
    [3, 2]
    """
    return k_center_with_gains(x, n, centers).rows


def k_center_with_gains(
    x: Features, n: int, centers: Features | None = None, keys: Tensor | None = None
) -> RowsWithGains:
    """The rows that ``k_center_greedy`` picks, and how far each was from the nearest center; arguments and cost as there.

    Args:
        x: N rows.
        n: Number of rows to pick.
        centers: M rows that are already centers; default: none.
        keys: Distinct keys of the rows, (N,): near-ties go to the row of smaller key, so the same rows are picked in whatever order
            they come. Default: to the smaller row.

    Returns:
        Rows in pick order. Their gains are squared distances when the row was picked, with a relative error of about 1e-3;
        infinite for a first pick without centers.
    """
    if not 1 <= n <= len(x):
        raise InvalidInput(f"n must be between 1 and {len(x):,}, the number of rows; got {n:,}")
    (x, *given), e = at_one_scale(x, *([] if centers is None else [centers]))
    search = FarthestFirst(x, given[0] if given else None, keys=keys)
    rows = torch.tensor(search.pick(n))
    return RowsWithGains(rows, times_two_to(torch.tensor(search.sq_dists, dtype=torch.float64), 2 * e))


class _Centers:
    """All centers: the first ones, then the picks, numbered in this order. A picked row is gathered O(log n) times."""

    def __init__(self, x: Features, first: Features | None) -> None:
        self.x = x
        self.first = [first.with_norms()] if first is not None and len(first) else []
        self.picks: list[int] = []
        self.gathered: list[Features] = []  # all picks, most of them in the first part
        self.precise = False

    def __len__(self) -> int:
        return sum(map(len, self.first)) + len(self.picks)

    def add(self, picks: list[int]) -> None:
        """Make rows centers."""
        if not picks:
            return
        self.picks += picks
        self.gathered = self.gathered[:1]
        if self.gathered and 2 * len(self.gathered[0]) < len(self.picks):
            self.gathered = []
        n_old = sum(map(len, self.gathered))
        device = self.x.sq_norms().device
        self.gathered.append(self.x[torch.tensor(self.picks[n_old:], device=device)])

    def pieces(self, start: int, size: int) -> Iterator[tuple[int, Features]]:
        """The centers from number ``start`` on, in pieces of at most ``size``, each with the number at which it ends."""
        n_before = 0
        for part in [*self.first, *self.gathered]:
            for at in range(max(0, start - n_before), len(part), size):
                piece = part[slice(at, at + size)]
                yield n_before + at + len(piece), _precise(piece) if self.precise else piece
            n_before += len(part)


class FarthestFirst:
    """Farthest-first picks of rows in one place, by upper bounds of distances; ``pick`` makes them.

    Distances are computed roughly (by matrix products, in the precision of the rows) while they are large against their
    rounding error, then roughly in float64, then exactly (difference by difference) where float64 products still leave ties.

    Attributes:
        bounds: Squared distances to the nearest of the centers that each row was compared with, (N,); -1 for the picks.
        seen: Number of centers that each row was compared with, (N,).
        rounding: Largest difference of two distances that may come from rounding.
        least: Distances below this are lost in rounding.
        sq_dists: The squared distance of each pick when it was picked.
        taken: Rows that are no longer picked: the picks.

    Args:
        x: The rows.
        first: The first centers.
        scale: The largest squared norm of all rows and centers; default: that of these.
        keys: Keys of the rows, (N,), the smaller of which wins ties; default: the numbers of the rows.
    """

    def __init__(
        self, x: Features, first: Features | None = None, scale: float | None = None, keys: Tensor | None = None
    ) -> None:
        self.x, norms = x, x.sq_norms()
        self.keys = None if keys is None else keys.to(norms.device)
        self.centers = _Centers(self.x, first)
        self.taken = self.centers.picks
        if scale is None:
            scale = max(float(part.sq_norms().max()) for part in [self.x, *self.centers.first])
        self.scale = scale
        self.bounds = torch.full_like(norms, torch.inf)
        self.seen = torch.zeros(len(x), dtype=torch.int32, device=norms.device)
        self.rounding = self.x.rounding() * self.scale
        self.least = _ROUGH * self.rounding
        self.exact = False
        self.sq_dists: list[float] = []
        self.n_updated = _FIRST_ROUND
        self.n_rows = max(1, BLOCK_BYTES // (4 * max(self.x.row_bytes(), 4 * _PIECE)))

    def pick(self, n: int) -> list[int]:
        """The first n picks."""
        if not len(self.centers):
            self.centers.add([0 if self.keys is None else int(self.keys.argmin())])
            self.sq_dists.append(torch.inf)
        self.begin(n)
        while len(self.centers.picks) < n:
            self._round(n - len(self.centers.picks))
        return self.centers.picks

    def begin(self, n: int) -> None:
        """Compare all rows with some of the first centers, before n picks."""
        self._update_all(1)
        if len(self.centers) > 2 * _PIECE and len(self.x) > _LARGEST_ROUND:
            self._descend(n)

    def _descend(self, n: int) -> None:
        """Compare rows with the first centers until it is clear that they are not among the farthest.

        A sample estimates how far those are. The estimate does not change the answer: the bounds of the other rows stay valid.
        """
        sample = torch.arange(0, len(self.x), -(-len(self.x) // _SAMPLE), device=self.bounds.device)
        self._update(sample, -1)
        n_above = max(_ABOVE * n * len(sample) // len(self.x), _ABOVE_SAMPLED)
        level = float(self.bounds[sample].topk(min(n_above, len(sample))).values.min())
        above = torch.nonzero(self.bounds > level)[:, 0]
        if len(above):
            self._update(above, level)

    def _round(self, n: int) -> None:
        """Update the rows of largest bounds and make at most n picks from them, while no other row could be farther."""
        rows, outside, everything = self.candidates(_LARGEST_ROUND)
        if len(rows) and float(self.bounds[rows].max()) < self.least:
            self.sharpen()
            return
        picks = self.picks_among(rows, outside, n) if len(rows) else []
        if not picks and everything:
            picks = self._pick_of_many(n)
        self.centers.add(picks)
        self.adapt(len(picks))

    def candidates(self, limit: int) -> tuple[Tensor, float, bool]:
        """At most ``limit`` rows compared with all centers, a bound of all others, and whether these were all compared too."""
        everything = 2 * self.n_updated > len(self.x) or len(self.x) <= _LARGEST_ROUND
        if everything:
            self._update_all()
            rows, outside = _largest(self.bounds, limit)
        else:
            rows, outside = _largest(self.bounds, self.n_updated)
            self._update(rows, outside)
            inside, below = _largest(self.bounds[rows], limit)
            rows, outside = rows[inside], max(outside, below)
        return rows[self.bounds[rows] > outside], outside, everything

    def adapt(self, n_picks: int) -> None:
        """Choose the number of rows to update in the next round, after one of ``n_picks``."""
        change = _PICKS_A_ROUND / max(1, n_picks)
        if not 0.5 <= change <= 2:
            self.n_updated = int(min(max(self.n_updated * min(2, change), _FIRST_ROUND / 4), len(self.x)))

    def picks_among(self, rows: Tensor, outside: float, n: int) -> list[int]:
        """Make at most n picks among these rows, in order, while they are farther than ``outside``; update their bounds."""
        block = _Block(self, rows)
        while len(block.picks) < n and (best := block.farthest(outside)) is not None:
            block.pick(best)
        self.bounds[rows] = torch.from_numpy(block.nearest).to(rows.device)
        self.seen[rows] = len(self.centers) + len(block.picks)
        self.sq_dists += block.sq_dists
        return rows[block.on_device(block.picks)].tolist()

    def _pick_of_many(self, n: int) -> list[int]:
        """The next pick when more rows are equally far than fit in a block; all picks when every row left is at distance 0."""
        if not self.exact:
            self.sharpen()
            return []
        top = float(self.bounds.max())
        rows = self.farthest(top)
        if self.keys is not None:
            rows = rows[self.keys[rows].argsort()]
        rows = rows[: n if top == 0 else 1]
        self.bounds[rows] = -1
        self.sq_dists += [top] * len(rows)
        return rows.tolist()

    def farthest(self, top: float) -> Tensor:
        """The rows at the largest distance, which is ``top``."""
        return torch.nonzero(self.bounds >= top * (1 - EXACT_TIE))[:, 0]

    def sharpen(self) -> None:
        """Continue with distances of the next higher precision."""
        self.bounds = self.bounds.double().clamp_min_(0).add_(self.rounding)
        self.bounds[self.taken] = -1
        self.seen.zero_()
        self.n_updated = _FIRST_ROUND
        if self.centers.precise or self.x.sq_norms().dtype == torch.float64:
            self.exact, self.least = True, 0.0
        else:
            self.rounding *= torch.finfo(torch.float64).eps / torch.finfo(self.x.sq_norms().dtype).eps
            self.least = _ROUGH * self.rounding
        self.centers.precise = True

    def rows(self, rows: Tensor | slice) -> Features:
        """Rows in the precision in which distances are computed."""
        return _precise(self.x[rows]) if self.centers.precise else self.x[rows]

    def _update_all(self, n_pieces: int | None = None) -> None:
        """Compare every row with all centers, or with their first ``n_pieces`` pieces."""
        size = (
            4 * _PIECE if n_pieces is None else _PIECE
        )  # no row is dropped between pieces, so larger products are faster
        pieces = list(islice(self.centers.pieces(int(self.seen.min()), size), n_pieces))
        for start in range(0, len(self.x) if pieces else 0, self.n_rows):
            block = slice(start, start + self.n_rows)
            rows, bounds = self.rows(block), self.bounds[block]
            for _, piece in pieces:
                torch.minimum(bounds, self._dists(rows, bounds, piece), out=bounds)
        self.seen.clamp_min_(max((end for end, _ in pieces), default=0))
        self.bounds[self.taken] = -1

    def _update(self, rows: Tensor, outside: float) -> None:
        """Compare these rows with all centers, except rows whose bounds fall to ``outside`` on the way."""
        for part in rows.split(4 * self.n_rows):
            block, bounds, seen = self.rows(part), self.bounds[part], self.seen[part]
            for end, piece in self.centers.pieces(int(seen.min()), 2 * _PIECE):
                live = torch.nonzero((bounds > outside) & (seen < end))[:, 0]
                if len(live):
                    some = block if len(live) == len(part) else block[live]
                    bounds[live] = torch.minimum(bounds[live], self._dists(some, bounds[live], piece))
                    seen[live] = end
            self.bounds[part], self.seen[part] = bounds, seen

    def _dists(self, rows: Features, bounds: Tensor, centers: Features) -> Tensor:
        """Squared distances of rows to the nearest of some centers; in exact mode, inf where they cannot lower the bounds."""
        return self.exact_nearest(rows, bounds, [centers]) if self.exact else rows.rough_nearest(centers)

    def exact_nearest(self, rows: Features, bounds: Tensor, pieces: Iterable[Features]) -> Tensor:
        """Float64 squared distances of rows to the nearest center, inf where they are clearly above the bounds."""
        nearest = torch.full((len(rows),), torch.inf, dtype=torch.float64, device=bounds.device)
        for centers in pieces:
            dists = rows.rough_sq_dists(centers)
            least = torch.minimum(bounds, dists.amin(1)) + self.rounding
            i, j = torch.nonzero(dists <= least[:, None], as_tuple=True)
            nearest.scatter_reduce_(0, i, rows.exact_sq_dists_of(centers, i, j), "amin")
        return nearest


class _Block:
    """Rows that a round picks from, with their distances on the host, where choosing among a few takes microseconds.

    Attributes:
        nearest: Squared distances to the nearest center, (B,); -1 for the picks.
        settled: Exact values of ``nearest``, (B,); NaN where they are unknown.
        picks: Positions of the picks in the block.
        sq_dists: The squared distance of each pick when it was picked.
    """

    def __init__(self, search: FarthestFirst, rows: Tensor) -> None:
        self.search = search
        self.rows = rows
        self.features = search.rows(rows)
        self.nearest = _numpy(search.bounds[rows])
        self.settled = np.full(len(rows), np.nan)
        self.picks: list[int] = []
        self.sq_dists: list[float] = []
        self.ahead: dict[int, NDArray[np.floating]] = {}
        self.n_used = 0  # of the distances computed ahead

    def on_device(self, positions: list[int] | NDArray[np.intp]) -> Tensor:
        """Positions as an index tensor on the device of the rows."""
        return torch.as_tensor(positions, dtype=torch.long, device=self.rows.device)

    def farthest(self, outside: float) -> int | None:
        """Position of the farthest row; None if it may not be farther than ``outside``, or its distance is lost in rounding."""
        best = int(self.nearest.argmax())
        top = self.nearest[best]
        least = top * (1 - _NEAR_TIE) - (0 if self.search.exact else self.search.rounding)
        if least <= outside or top < self.search.least:
            return None
        near = np.flatnonzero(self.nearest >= least)
        return best if len(near) == 1 else self._farthest_of(near)

    def pick(self, best: int) -> None:
        """Make a row a center."""
        if best not in self.ahead:
            self._look_ahead(best)
        self.n_used += 1
        dists = self.ahead[best]
        self.sq_dists.append(float(self.nearest[best]))
        self.settled[dists <= self.nearest + self.search.rounding] = np.nan
        np.minimum(self.nearest, dists, out=self.nearest)
        self.nearest[best] = -1
        self.picks.append(best)

    def _farthest_of(self, near: NDArray[np.intp]) -> int:
        """Position of the farthest among rows that are about equally far; exact ties go to the smaller row."""
        if np.isnan(self.settled[near]).any():
            some = np.union1d(near, _largest_of(self.nearest, _SETTLED))
            self._settle(some[np.isnan(self.settled[some])])
        exact = self.settled[near]
        farthest = near[exact >= exact.max() * (1 - EXACT_TIE)]
        rows, keys = self.rows[self.on_device(farthest)], self.search.keys
        return int(farthest[int((rows if keys is None else keys[rows]).argmin())])

    def _settle(self, positions: NDArray[np.intp]) -> None:
        where = self.on_device(positions)
        bounds = torch.from_numpy(self.nearest[positions]).to(where.device)
        centers = [piece for _, piece in self.search.centers.pieces(0, CANONICAL_BLOCK)]
        if self.picks:
            centers.append(self.features[self.on_device(self.picks)])
        self.settled[positions] = _numpy(self.search.exact_nearest(self.features[where], bounds, centers))

    def _look_ahead(self, best: int) -> None:
        """Compute distances from ``best`` and from likely next picks: more of them if more were used last time."""
        n = min(2 * self.n_used, _AHEAD)
        chosen = list({best, *_largest_of(self.nearest, n).tolist()})
        some = self.features[self.on_device(chosen)]
        dists = some.exact_sq_dists(self.features) if self.search.exact else some.rough_sq_dists(self.features)
        self.ahead, self.n_used = dict(zip(chosen, _numpy(dists), strict=True)), 0


def k_means_plus_plus(x: Features, n: int, first: int, generator: torch.Generator) -> Tensor:
    """Draw rows one by one, each with probability proportional to its squared distance to the rows drawn before.

    Arthur and Vassilvitskii 2007, section 2.2, with ``first`` as the first row. Squared distances only fall while rows are drawn,
    so rows are proposed by their old distances, many at a time, and accepted with probability new / old (von Neumann 1951); the
    distribution is exactly the same. The distances of the pool are updated only when that costs less than more proposals, which
    invert the cumulative float64 weights. Once every row left equals a drawn row, the rest are drawn uniformly.

    Args:
        x: N rows.
        n: Number of rows to draw, at most N.
        first: The row drawn first.
        generator: CPU generator.

    Returns:
        (n,) distinct rows in the order drawn.

    Raises:
        InvalidInput: Squared norms overflow.

    Cost: at most O(N n) inner products, and a tenth of them on clustered rows; memory of O(N).

    >>> from distil.functional.features import Dense
    >>> x = Dense(torch.tensor([[0.0], [0.0], [7.0]]))
    >>> k_means_plus_plus(x, 2, first=0, generator=torch.Generator().manual_seed(0)).tolist()
    [0, 2]
    """
    return k_means_plus_plus_with_gains(x, n, first, generator).rows


def k_means_plus_plus_with_gains(
    x: Features, n: int, first: int, generator: torch.Generator, ids: Tensor | None = None
) -> RowsWithGains:
    """The rows that ``k_means_plus_plus`` draws, and how far each was from the rows drawn before; arguments and cost as there.

    Args:
        x: N rows.
        n: Number of rows to draw.
        first: The row drawn first.
        generator: CPU generator.
        ids: Distinct ids of the rows, (N,): the same rows are drawn in whatever order they come. Default: the order of the rows.

    Returns:
        Rows in the order drawn. Their gains are squared distances to the nearest row drawn before, infinite for the first.
    """
    (x,), e = at_one_scale(x)
    pool = WeightedRows(x, ids)
    found = seeded(pool, n, pool.number(first), generator)
    return RowsWithGains(pool.given(found.rows), times_two_to(found.gains, 2 * e))


def seeded(pool: Weighted, n: int, first: int, generator: torch.Generator) -> RowsWithGains:
    """The rows, by their numbers in ``pool``, that k-means++ draws after ``first``, with squared distances as gains."""
    seeding = _Seeding(pool, first)
    picks = seeding.picks
    while len(picks) < n:
        if seeding.total == 0:
            left = (
                torch.ones(len(pool), dtype=torch.bool).index_fill_(0, torch.tensor(picks), value=False).nonzero()[:, 0]
            )
            picks += left[torch.randperm(len(left), generator=generator)[: n - len(picks)]].tolist()
            seeding.sq_dists += [0.0] * (n - len(seeding.sq_dists))
        else:
            seeding.draw(torch.rand(2, _PROPOSALS, generator=generator, dtype=torch.float64), n - len(picks))
    return RowsWithGains(torch.tensor(picks), torch.tensor(seeding.sq_dists, dtype=torch.float64))


class _Seeding:
    """Rows drawn by k-means++ from a pool whose weights propose further rows.

    Attributes:
        picks: The rows drawn.
        sq_dists: Squared distance of each pick to the nearest earlier pick.
        total: Sum of the weights.
    """

    def __init__(self, pool: Weighted, first: int) -> None:
        self.pool = pool
        self.picks = [first]
        self.sq_dists = [torch.inf]
        self._new = [pool.rows(torch.tensor([first]))]  # picks that the weights do not contain yet
        pool.take(torch.tensor([first]))
        self._update()

    def draw(self, uniform: Tensor, n: int) -> None:
        """Add at most n accepted proposals; ``uniform`` (2, P) holds random numbers for the proposals and their acceptance."""
        found = self.pool.find(shares_of(self._ends, uniform[0].to(self._ends.device)))
        alive = _numpy(found.weights) > 0  # rows drawn since the last update have weight 0
        rows, weights = _numpy(found.rows)[alive], _numpy(found.weights)[alive]
        at = np.unique(rows, return_inverse=True)[1]  # in small pools, a row is proposed many times
        nearest = np.minimum(weights, _numpy(self._nearest(found.distinct))[at])
        # All pairs of proposals at once: one product is cheaper than a row of it for each accepted proposal.
        between = _numpy(found.distinct.sq_dists(found.distinct))
        least = weights * uniform[1].numpy()[alive]
        accepted: list[int] = []
        for i in range(len(rows)):
            if nearest[i] > least[i]:
                accepted.append(i)
                self.sq_dists.append(float(nearest[i]))
                np.minimum(nearest, between[at[i], at], out=nearest)
            if len(accepted) == n:
                break
        if accepted:
            some = torch.from_numpy(at[accepted]).to(found.rows.device)
            self._add(torch.from_numpy(rows[accepted]), found.distinct[some])
        if len(accepted) < n and self._is_update_due(len(accepted) / uniform.shape[1], n - len(accepted)):
            self._update()

    def _add(self, rows: Tensor, features: Features) -> None:
        self.pool.take(rows)
        self.picks += rows.tolist()
        self._new.append(features)

    def _is_update_due(self, accepted: float, n: int) -> bool:
        """Whether an update saves more comparisons in n more draws than it costs, from the share ``accepted`` last."""
        if accepted == 0:
            return True
        n_new = sum(map(len, self._new))
        ahead = n / 2 + _PROPOSALS  # rows that a proposal will be compared with, apart from the new picks
        return len(self.pool) * n_new < _PROPOSAL_COST * n * ((n_new + ahead) / accepted - ahead / _ACCEPTED)

    def _update(self) -> None:
        """Update the weights by the picks that they do not contain yet."""
        self._ends = self.pool.update(self._new).cumsum(0)
        self.total = float(self._ends[-1])
        self._new = []

    def _nearest(self, rows: Features) -> Tensor:
        """Squared distances of rows to the nearest of the picks that the weights do not contain yet."""
        nearest = torch.full_like(rows.sq_norms(), torch.inf)
        for picks in self._new:
            torch.minimum(nearest, rows.nearest_sq_dists(picks), out=nearest)
        return nearest


def draw(weights: Tensor, u: float) -> int:
    """The row at which the cumulative weights first exceed ``u`` times their sum.

    Sums run over canonical blocks, so shards of whole blocks give the same row.

    Args:
        weights: Weights, (N,) float64, none negative, not all 0.
        u: A number in [0, 1).

    Returns:
        A row of positive weight.
    """
    inside = sums_inside(weights)
    share = shares_of(inside[:, -1].cumsum(0), torch.tensor([u], dtype=torch.float64, device=weights.device))
    return int(share.blocks * CANONICAL_BLOCK + places(inside, share))


def largest_norm(x: Features, keys: Tensor | None = None) -> int:
    """The row of largest norm; near-ties are decided in float64, then by the smaller of ``keys`` (N,); default: the smaller row."""
    (x,), _ = at_one_scale(x)
    rows, exact = near_largest_norms(x, float(x.sq_norms().max()))
    rows = rows[exact >= exact.max() * (1 - EXACT_TIE)]
    return int(rows[0] if keys is None else rows[keys[rows].argmin()])


def near_largest_norms(x: Features, top: float) -> tuple[Tensor, Tensor]:
    """The rows whose squared norm may be the largest if that is about ``top``, and their squared norms in float64."""
    rows = torch.nonzero(x.sq_norms() >= top * (1 - _NEAR_TIE))[:, 0]
    return rows, x[rows].exact_sq_norms()


def _largest(values: Tensor, n: int) -> tuple[Tensor, float]:
    """Positions of the n largest values, in any order, and a bound of all others; all positions and -1 if n is larger."""
    if n >= len(values):
        return torch.arange(len(values), device=values.device), -1.0
    top = values.topk(n, sorted=False)
    return top.indices, float(top.values.min())


def _largest_of(values: NDArray[np.floating], n: int) -> NDArray[np.intp]:
    """Positions of the n largest values, in any order."""
    return np.argpartition(values, -n)[len(values) - n :] if n < len(values) else np.arange(len(values))


def _precise(rows: Features) -> Features:
    return rows if rows.sq_norms().dtype == torch.float64 else rows.double().with_norms()


def _numpy(values: Tensor) -> NDArray[np.floating]:
    """A copy on the host, where choosing among a few rows takes microseconds."""
    return torch.empty(values.shape, dtype=values.dtype).copy_(values).numpy()

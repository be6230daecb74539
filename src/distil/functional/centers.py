"""Rows that stand for the others: k-center and k-means++.

Why both are lazy: the plain forms read all rows once for every pick, and most of what they compute decides nothing.
What it won: against one pass a pick in torch, k-center was 51 times as fast with labeled rows and 35 times without, at worst 1.05
times (rows in a plane); k-means++ on gradients 16 times on 10,000 rows and 122 times on 50,000 (2 threads of an EPYC, measured by
``python -m benchmarks speed``).
Delete it when pools are so small, or memory so fast, that one pass a pick does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES, EXACT_TIE, Features
from distil.functional.gains import RowsWithGains

# Sums and draws run over blocks of this many rows, whatever the minibatch or the number of shards was.
CANONICAL_BLOCK = 4096

# Relative differences below this count as equal in the precision of the data, and are looked at again in float64.
_NEAR_TIE = 1e-6

# k-center: the rows updated in the first round and picked from in any, and the picks that a round should make.
_FIRST_ROUND = 512
_LARGEST_ROUND = 2048
_PICKS_A_ROUND = 64
# Centers that rows are compared with at a time; a row that falls below the bounds of the others in between is left alone.
_PIECE = 64
# Rows by which it is guessed how far the picks will be, and how many rows, for each pick, and of the sample are to be farther.
_SAMPLE = 4096
_ABOVE = 8
_ABOVE_SAMPLED = 32
# Likely picks whose distances to the rows of a round are computed beside those of the next one, at most.
_AHEAD = 16
# Likely picks that are re-checked together, at least.
_SETTLED = 16
# Distances below this many times their rounding are computed more precisely.
_ROUGH = 1000

# k-means++: proposals drawn together, and what comparing one of them with a center costs, as against a row of the whole pool.
_PROPOSALS = 128
_PROPOSAL_COST = 4
# The share of proposals that is accepted when the weights are fresh, about.
_ACCEPTED = 0.7


def k_center_greedy(x: Features, n: int, centers: Features | None = None) -> Tensor:
    """Pick rows one by one, each the farthest from the centers and the rows picked before it.

    Gonzalez' farthest-first traversal (1985), within a factor 2 of the best n further centers; Sener and Savarese (2018,
    algorithm 1) use it with the labeled set as the given centers. Near-ties are settled in float64, then by the
    smaller row; without centers the first pick is row 0, by the same rule.

    Distances to the nearest center only fall while centers are added, so old ones are upper bounds, and only rows that could
    be the farthest are brought up to date (lazy evaluation, Minoux 1978), many rows and picks at a time. The picks are
    those of the plain algorithm.

    Args:
        x: N rows.
        n: How many to pick, at most N.
        centers: M rows that are centers already; none by default.

    Returns:
        (n,) distinct rows, in pick order.

    Cost: O(N (M + n)) inner products at most, on clustered rows a tenth of them; memory of O(N).
    """
    return k_center_with_gains(x, n, centers).rows


def k_center_with_gains(x: Features, n: int, centers: Features | None = None) -> RowsWithGains:
    """The rows that ``k_center_greedy`` picks, and how far each was from the nearest center when it was picked.

    Args:
        x: N rows.
        n: How many to pick, at most N.
        centers: M rows that are centers already; none by default.

    Returns:
        Rows in pick order; their gains are squared distances, right to about 1e-3 of themselves, infinite for a first pick without
        centers.

    Cost: as ``k_center_greedy``.
    """
    if not 1 <= n <= len(x):
        raise InvalidInput(f"n must be between 1 and the {len(x)} rows, got {n}")
    search = _FarthestFirst(x, centers)
    return RowsWithGains(torch.tensor(search.pick(n)), torch.tensor(search.sq_dists, dtype=torch.float64))


class _Centers:
    """The centers: given rows, then picks, numbered in that order. A picked row is gathered O(log n) times."""

    def __init__(self, x: Features, given: Features | None) -> None:
        self.x = x
        self.given = [given.with_norms()] if given is not None and len(given) else []
        self.picks: list[int] = []
        self.gathered: list[Features] = []  # all picks, most of them in the first part
        self.precise = False

    def __len__(self) -> int:
        return sum(map(len, self.given)) + len(self.picks)

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
        """The centers from that number on, in pieces of at most ``size``, each with the number at which it ends."""
        first = 0
        for part in [*self.given, *self.gathered]:
            for at in range(max(0, start - first), len(part), size):
                piece = part[slice(at, at + size)]
                yield first + at + len(piece), _precise(piece) if self.precise else piece
            first += len(part)


class _FarthestFirst:
    """Farthest-first picks, by bounds.

    Distances are computed roughly (by matrix products, in the precision of the rows) while they are large against their
    rounding, then roughly in float64, then exactly (difference by difference) where even that is not enough to tell rows apart.

    Attributes:
        bounds: (N,) squared distances to the nearest of the centers that a row has seen; -1 for the picks.
        seen: (N,) how many centers that is.
        rounding: What two distances may differ by without being different.
        least: Smaller distances are lost in rounding.
        sq_dists: Those of the picks when they were picked.
    """

    def __init__(self, x: Features, given: Features | None) -> None:
        self.x = x.with_norms()
        norms = finite_norms(self.x)
        self.centers = _Centers(self.x, given)
        self.scale = max(float(part.sq_norms().max()) for part in [self.x, *self.centers.given])
        self.bounds = torch.full_like(norms, torch.inf)
        self.seen = torch.zeros(len(x), dtype=torch.long, device=norms.device)
        self.rounding = self.x.rounding() * self.scale
        self.least = _ROUGH * self.rounding
        self.exact = False
        self.sq_dists: list[float] = []
        self.n_updated = _FIRST_ROUND
        self.n_rows = max(1, BLOCK_BYTES // (4 * max(self.x.row_bytes(), 4 * _PIECE)))

    def pick(self, n: int) -> list[int]:
        """The first n picks."""
        if not len(self.centers):
            self.centers.add([0])
            self.sq_dists.append(torch.inf)
        self._update_all(1)
        if len(self.centers) > 2 * _PIECE and len(self.x) > _LARGEST_ROUND:
            self._descend(n)
        while len(self.centers.picks) < n:
            self._round(n - len(self.centers.picks))
        return self.centers.picks

    def _descend(self, n: int) -> None:
        """Compare rows with the given centers until it is clear that they are not among the farthest.

        How far those are is guessed by a sample. The guess is not part of the answer: what is left behind is still bounded.
        """
        sample = torch.arange(0, len(self.x), -(-len(self.x) // _SAMPLE), device=self.bounds.device)
        self._update(sample, -1)
        n_above = max(_ABOVE * n * len(sample) // len(self.x), _ABOVE_SAMPLED)
        level = float(self.bounds[sample].topk(min(n_above, len(sample))).values.min())
        above = torch.nonzero(self.bounds > level)[:, 0]
        if len(above):
            self._update(above, level)

    def _round(self, n: int) -> None:
        """Bring the rows of largest bounds up to date and make at most n picks from them, as long as no other could win."""
        everything = 2 * self.n_updated > len(self.x) or len(self.x) <= _LARGEST_ROUND
        if everything:
            self._update_all()
            rows, outside = _largest(self.bounds, _LARGEST_ROUND)
        else:
            rows, outside = _largest(self.bounds, self.n_updated)
            self._update(rows, outside)
            inside, below = _largest(self.bounds[rows], _LARGEST_ROUND)
            rows, outside = rows[inside], max(outside, below)
        rows = rows[self.bounds[rows] > outside]
        if len(rows) and float(self.bounds[rows].max()) < self.least:
            self._sharpen()
            return
        picks = self._picks_among(rows, outside, n) if len(rows) else []
        if not picks and everything:
            picks = self._pick_of_many(n)
        self.centers.add(picks)
        change = _PICKS_A_ROUND / max(1, len(picks))
        if not 0.5 <= change <= 2:
            self.n_updated = int(min(max(self.n_updated * min(2, change), _FIRST_ROUND / 4), len(self.x)))

    def _picks_among(self, rows: Tensor, outside: float, n: int) -> list[int]:
        """At most n picks among these rows, in order, while they are farther than ``outside``; their bounds are updated."""
        block = _Block(self, rows)
        while len(block.picks) < n and (best := block.farthest(outside)) is not None:
            block.pick(best)
        self.bounds[rows] = torch.from_numpy(block.nearest).to(rows.device)
        self.seen[rows] = len(self.centers) + len(block.picks)
        self.sq_dists += block.sq_dists
        return rows[block.on_device(block.picks)].tolist()

    def _pick_of_many(self, n: int) -> list[int]:
        """The next pick when more rows are equally far than a block holds; all picks when every row left is at distance 0."""
        if not self.exact:
            self._sharpen()
            return []
        top = float(self.bounds.max())
        rows = torch.nonzero(self.bounds >= top * (1 - EXACT_TIE))[: n if top == 0 else 1, 0]
        self.bounds[rows] = -1
        self.sq_dists += [top] * len(rows)
        return rows.tolist()

    def _sharpen(self) -> None:
        """Go on with distances of the next higher precision."""
        self.bounds = self.bounds.double().clamp_min_(0).add_(self.rounding)
        self.bounds[self.centers.picks] = -1
        self.seen.zero_()
        self.n_updated = _FIRST_ROUND
        if self.centers.precise or self.x.sq_norms().dtype == torch.float64:
            self.exact, self.least = True, 0.0
        else:
            self.rounding *= torch.finfo(torch.float64).eps / torch.finfo(self.x.sq_norms().dtype).eps
            self.least = _ROUGH * self.rounding
        self.centers.precise = True

    def rows(self, rows: Tensor | slice) -> Features:
        """Rows in the precision that distances are computed in."""
        return _precise(self.x[rows]) if self.centers.precise else self.x[rows]

    def _update_all(self, n_pieces: int | None = None) -> None:
        """Let every row see all centers, or the first pieces of them only."""
        size = 4 * _PIECE if n_pieces is None else _PIECE  # all of the rows, so that larger products are only faster
        pieces = list(islice(self.centers.pieces(int(self.seen.min()), size), n_pieces))
        for start in range(0, len(self.x) if pieces else 0, self.n_rows):
            block = slice(start, start + self.n_rows)
            rows, bounds = self.rows(block), self.bounds[block]
            for _, piece in pieces:
                torch.minimum(bounds, self._dists(rows, bounds, piece), out=bounds)
        self.seen.clamp_min_(max((end for end, _ in pieces), default=0))
        self.bounds[self.centers.picks] = -1

    def _update(self, rows: Tensor, outside: float) -> None:
        """Let these rows see all centers, except those whose bounds fall to ``outside`` on the way."""
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
        """Squared distances of rows to the nearest of some centers; where exact, of those that lower the bounds only."""
        return self.exact_nearest(rows, bounds, [centers]) if self.exact else rows.rough_nearest(centers)

    def exact_nearest(self, rows: Features, bounds: Tensor, pieces: Iterable[Features]) -> Tensor:
        """Float64 squared distances of rows to the nearest center, inf where that is clearly beyond the bounds."""
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
        nearest: (B,) squared distances to the nearest center; -1 for the picks.
        settled: (B,) the same, computed exactly; NaN where they are not known.
        picks: Positions in the block.
        sq_dists: Those of the picks when they were picked.
    """

    def __init__(self, search: _FarthestFirst, rows: Tensor) -> None:
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
        """As an index of what is on the device."""
        return torch.as_tensor(positions, dtype=torch.long, device=self.rows.device)

    def farthest(self, outside: float) -> int | None:
        """The farthest row, if it is farther than ``outside`` for certain and far enough for its distance to be known."""
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
        """Of positions that are about equally far, the smallest row of those that are the farthest."""
        if np.isnan(self.settled[near]).any():
            some = np.union1d(near, _largest_of(self.nearest, _SETTLED))
            self._settle(some[np.isnan(self.settled[some])])
        exact = self.settled[near]
        farthest = near[exact >= exact.max() * (1 - EXACT_TIE)]
        return int(farthest[int(self.rows[self.on_device(farthest)].argmin())])

    def _settle(self, positions: NDArray[np.intp]) -> None:
        where = self.on_device(positions)
        bounds = torch.from_numpy(self.nearest[positions]).to(where.device)
        centers = [piece for _, piece in self.search.centers.pieces(0, CANONICAL_BLOCK)]
        if self.picks:
            centers.append(self.features[self.on_device(self.picks)])
        self.settled[positions] = _numpy(self.search.exact_nearest(self.features[where], bounds, centers))

    def _look_ahead(self, best: int) -> None:
        """Compute distances from ``best`` and from likely next picks, more of them the more turned out to be right."""
        n = min(2 * self.n_used, _AHEAD)
        chosen = list({best, *_largest_of(self.nearest, n).tolist()})
        some = self.features[self.on_device(chosen)]
        dists = some.exact_sq_dists(self.features) if self.search.exact else some.rough_sq_dists(self.features)
        self.ahead, self.n_used = dict(zip(chosen, _numpy(dists), strict=True)), 0


def k_means_plus_plus(x: Features, n: int, first: int, generator: torch.Generator) -> Tensor:
    """Draw rows one by one, each with probability proportional to its squared distance to those drawn before.

    Arthur and Vassilvitskii 2007, section 2.2, given the first row. Squared distances only fall while rows are drawn, so rows
    are proposed by old ones, many at a time, and accepted with probability new / old (von Neumann 1951): exactly the
    same law. The pool is brought up to date only when that is cheaper than more proposals, which are made by inversion of the
    cumulated float64 weights. Once every row left coincides with a drawn one, the rest is drawn uniformly.

    Args:
        x: N rows.
        n: How many to draw, at most N.
        first: The row drawn first.
        generator: A CPU generator.

    Returns:
        (n,) distinct rows, in the order drawn.

    Cost: O(N n) inner products at most, on clustered rows a tenth of them; memory of O(N).
    """
    return k_means_plus_plus_with_gains(x, n, first, generator).rows


def k_means_plus_plus_with_gains(x: Features, n: int, first: int, generator: torch.Generator) -> RowsWithGains:
    """The rows that ``k_means_plus_plus`` draws, and how far each was from the nearest of those drawn before.

    Args:
        x: N rows.
        n: How many to draw, at most N.
        first: The row drawn first.
        generator: A CPU generator.

    Returns:
        Rows in the order drawn; their gains are squared distances, infinite for the first.

    Cost: as ``k_means_plus_plus``.
    """
    seeding = _Seeding(x, first)
    picks = seeding.picks
    while len(picks) < n:
        if seeding.total == 0:
            left = torch.ones(len(x), dtype=torch.bool).index_fill_(0, torch.tensor(picks), value=False).nonzero()[:, 0]
            picks += left[torch.randperm(len(left), generator=generator)[: n - len(picks)]].tolist()
            seeding.sq_dists += [0.0] * (n - len(seeding.sq_dists))
        else:
            seeding.draw(torch.rand(2, _PROPOSALS, generator=generator, dtype=torch.float64), n - len(picks))
    return RowsWithGains(torch.tensor(picks), torch.tensor(seeding.sq_dists, dtype=torch.float64))


class _Seeding:
    """Rows drawn by k-means++ and the weights by which others are proposed.

    Attributes:
        weights: (N,) squared distances to the nearest of the first ``n_seen`` picks.
        total: Their sum.
        sq_dists: Squared distances of the picks to the nearest pick before.
    """

    def __init__(self, x: Features, first: int) -> None:
        self.x = x.with_norms()
        self.weights = torch.full_like(finite_norms(self.x), torch.inf)
        self.picks = [first]
        self.sq_dists = [torch.inf]
        self.n_seen = 0
        self._update()

    def draw(self, uniform: Tensor, n: int) -> None:
        """Add the proposals that are accepted, at most n, given (2, P) uniform numbers: what to propose and to accept."""
        rows = _rows_at(self.cumulated, uniform[0].to(self.weights.device))
        alive = torch.nonzero(self.weights[rows] > 0)[:, 0]  # others have been drawn by now
        rows, weights = rows[alive], self.weights[rows[alive]]
        distinct, at = np.unique(_numpy(rows), return_inverse=True)  # of few rows, each is proposed many times
        proposed = self.x[torch.from_numpy(distinct).to(rows.device)]
        nearest = np.minimum(_numpy(weights), _numpy(self._nearest(proposed))[at])
        # Compared with one another at once, though a row's distances are needed only if it is accepted.
        between = _numpy(proposed.sq_dists(proposed))
        least = _numpy(weights) * uniform[1].numpy()[_numpy(alive)]
        accepted: list[int] = []
        for i in range(len(rows)):
            if nearest[i] > least[i]:
                accepted.append(i)
                self.sq_dists.append(float(nearest[i]))
                np.minimum(nearest, between[at[i], at], out=nearest)
            if len(accepted) == n:
                break
        picks = rows[torch.tensor(accepted, dtype=torch.long, device=rows.device)]
        self.weights[picks] = 0
        self.picks += picks.tolist()
        if len(accepted) < n and self._is_update_due(len(accepted) / uniform.shape[1], n - len(accepted)):
            self._update()

    def _is_update_due(self, accepted: float, n: int) -> bool:
        """Whether fresh weights save more comparisons in n more draws than they cost, by the share accepted last."""
        if accepted == 0:
            return True
        n_new = len(self.picks) - self.n_seen
        ahead = n / 2 + _PROPOSALS  # what a proposal will be compared with, apart from the new picks
        return len(self.x) * n_new < _PROPOSAL_COST * n * ((n_new + ahead) / accepted - ahead / _ACCEPTED)

    def _update(self) -> None:
        """Bring the weights up to date."""
        torch.minimum(self.weights, self._nearest(self.x), out=self.weights)
        self.weights[self.picks] = 0
        self.n_seen = len(self.picks)
        self.cumulated = _cumulated(self.weights)
        self.total = float(self.cumulated[-1])

    def _nearest(self, rows: Features) -> Tensor:
        """Squared distances of rows to the nearest of the picks that the weights do not know of."""
        nearest = torch.full_like(rows.sq_norms(), torch.inf)
        for picks in torch.tensor(self.picks[self.n_seen :], device=nearest.device).split(4 * _PIECE):
            if len(picks):
                torch.minimum(nearest, rows.nearest_sq_dists(self.x[picks]), out=nearest)
        return nearest


def draw(weights: Tensor, u: float) -> int:
    """The row at which the cumulated weights first exceed ``u`` times their sum.

    Args:
        weights: (N,) float64, none negative, not all 0.
        u: A number in [0, 1).

    Returns:
        A row of positive weight. Sums run over canonical blocks, so that shards of whole blocks agree.
    """
    return int(_rows_at(_cumulated(weights), torch.tensor(u, dtype=torch.float64, device=weights.device)))


def _cumulated(weights: Tensor) -> Tensor:
    """Cumulated float64 weights, (N,) and the end repeated: within canonical blocks, then over them."""
    padded = torch.nn.functional.pad(weights.double(), (0, -len(weights) % CANONICAL_BLOCK))
    inside = padded.view(-1, CANONICAL_BLOCK).cumsum(1)
    ends = inside[:, -1].cumsum(0)
    inside[1:] += ends[:-1, None]
    return inside.flatten()


def _rows_at(cumulated: Tensor, u: Tensor) -> Tensor:
    """The rows at which cumulated weights first exceed shares of their total; always rows of positive weight."""
    rows = torch.searchsorted(cumulated, u * cumulated[-1], right=True)
    # Rounding may carry a share past the end; the last row of positive weight is then the one meant.
    return rows.clamp_max(torch.searchsorted(cumulated, cumulated[-1]))


def largest_norm(x: Features) -> int:
    """The row of largest norm; near-ties are settled in float64, then by the smaller row."""
    norms = finite_norms(x)
    rows = torch.nonzero(norms >= norms.max() * (1 - _NEAR_TIE))[:, 0]
    exact = x[rows].exact_sq_norms()
    return int(rows[exact >= exact.max() * (1 - EXACT_TIE)][0])


def finite_norms(x: Features) -> Tensor:
    """Squared norms (N,), or an InvalidInput where they overflow the precision of the rows."""
    norms = x.sq_norms()
    if not bool(norms.isfinite().all()):
        raise InvalidInput(f"squared lengths of the rows overflow {norms.dtype}; scale the rows down, or give float64")
    return norms


def _largest(values: Tensor, n: int) -> tuple[Tensor, float]:
    """Where the n largest values are, in any order, and what no other value exceeds; all and -1 where there are no more."""
    if n >= len(values):
        return torch.arange(len(values), device=values.device), -1.0
    top = values.topk(n, sorted=False)
    return top.indices, float(top.values.min())


def _largest_of(values: NDArray[np.floating], n: int) -> NDArray[np.intp]:
    """Where the n largest values are, in any order."""
    return np.argpartition(values, -n)[len(values) - n :] if n < len(values) else np.arange(len(values))


def _precise(rows: Features) -> Features:
    return rows if rows.sq_norms().dtype == torch.float64 else rows.double().with_norms()


def _numpy(values: Tensor) -> NDArray[np.floating]:
    """A copy on the host, where choosing among a few rows takes microseconds."""
    return torch.empty(values.shape, dtype=values.dtype).copy_(values).numpy()

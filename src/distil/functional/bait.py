"""BAIT: selections whose Fisher information is near that of the whole pool."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES, EXACT_ROUNDING, EXACT_TIE
from distil.functional.gains import RowsWithGains
from distil.functional.scale import exponent, largest, number_times_two_to, times_two_to

# Bytes that the two matrices over the layer's weights and the two small matrices of every row may take together.
MEMORY = 2 << 30

# The prior counts as at least this share of the squared embeddings, because float64 would lose a smaller one. Directions without
# information outweigh all others long before.
_LEAST_RIDGE = 2.0**-46

# Below this the prior would lose digits where the information of labeled rows is added to it.
_SMALL_RIDGE = 2.0**-20

# Where a pick leaves less than this share of the trace, because it opens the last directions without information, all rows that
# open them lower the trace alike but for rounding. The trace that they leave is compared then, to the second of these shares.
_SMALL_REMAINDER, _REMAINDER_TIE = 1e-3, 1e-7

# Rows in doubt that are compared one by one; with more of them everything is made anew.
_FEW = 64

# Singular values below this share of the largest count as 0.
_RANK = 1e-14

# Rows of the labeled set that are written out at a time.
_LABELED_BLOCK = 256


def bait(
    probs: Tensor,
    embeddings: Tensor,
    n: int,
    *,
    labeled: tuple[Tensor, Tensor] | None = None,
    ridge: float = 1.0,
    oversample: int = 2,
    candidates: Tensor | None = None,
) -> Tensor:
    """Pick rows whose Fisher information makes tr(A F) small: pick too many greedily, then drop the least useful.

    Ash et al. 2021, algorithm 1, for the last layer: V_x = diag(sqrt p) (I - 1 p^T) (x) h, rank C - 1, has the Fisher information
    V_x^T V_x = (diag p - p p^T) (x) h h^T. Let F be its mean over all unlabeled and labeled rows, and A the inverse of

        ridge I + M / (M + n) mean_{labeled} V^T V + n / (M + n) sum_{picked} V^T V.

    Picking x lowers tr(A F) by tr(V A F A V^T (I + V A V^T)^-1), V scaled as in the sum (Woodbury). First ``oversample`` n rows
    (at most all) are picked by this rule; then the row whose removal raises the trace least is removed until n rows are left.

    V is never written out. The matrices V A V^T and V A F A V^T, C - 1 square for every row, are stored, and a pick s updates them
    through the columns A V_s^T. Where rounding leaves the best row in doubt, a few rows are compared by a new factor of the
    information, or all matrices are computed anew, so embeddings may have any scale. As in the published code, the layer's bias is
    left out and the scales are those above. All arithmetic is in float64.

    Args:
        probs: Class probabilities, (N, C).
        embeddings: Inputs of the last layer, (N, D).
        n: Number of rows to pick, at most N.
        labeled: Probabilities (M, C) and embeddings (M, D) of the labeled set; default: no labeled set.
        ridge: Scale of the prior, above 0.
        oversample: Number of rows picked before any is dropped, as a multiple of n; at least 1.
        candidates: Distinct rows that may be picked, (R,), R at least n, in ascending order; default: all. F is that of all rows.

    Returns:
        (n,) distinct rows in pick order; ties go to the smaller row, which is picked first and dropped last.

    Raises:
        InvalidInput: The matrices, 16 ((C D)^2 + R C^2) bytes for R candidates, take more than ``MEMORY``.

    Cost: O(N (C D)^2 + (C D)^3) once, then O(R C^2 (C + D) + C (C D)^2) for each of the ``oversample`` n picks, and the same with n
    in place of R for each row that is dropped. Memory: little more than 16 ((C D)^2 + R C^2 + N D) bytes.

    >>> probs = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]])
    >>> bait(probs, torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), 2).tolist()
    [0, 2]
    """
    return bait_with_gains(
        probs, embeddings, n, labeled=labeled, ridge=ridge, oversample=oversample, candidates=candidates
    ).rows


def bait_with_gains(
    probs: Tensor,
    embeddings: Tensor,
    n: int,
    *,
    labeled: tuple[Tensor, Tensor] | None = None,
    ridge: float = 1.0,
    oversample: int = 2,
    candidates: Tensor | None = None,
) -> RowsWithGains:
    """The rows that ``bait`` picks, and how much each lowered tr(A F) when it was picked; arguments and cost as ``bait``."""
    rows = torch.arange(len(probs), device=probs.device) if candidates is None else candidates
    _check_memory(len(rows), probs.shape[1], embeddings.shape[1])
    h = embeddings.double()
    known, known_h = (probs[:0], h[:0]) if labeled is None else (labeled[0], labeled[1].double())
    e = exponent(max(largest(h), largest(known_h)))
    h, known_h = times_two_to(h, -e), times_two_to(known_h, -e)
    fisher, sum_known = _information(probs, h), _information(known, known_h)
    fisher.add_(sum_known).div_(len(h) + len(known_h))
    # Only the ratio of the prior to the information of rows matters. The larger of the two is kept near 1.
    prior = max(number_times_two_to(ridge, -2 * e), _LEAST_RIDGE)
    unit = 1 / max(1.0, prior)
    scale = math.sqrt(unit / (len(known_h) + n))
    start = _factor(_residual_factors(known), known_h * scale, sum_known * scale**2, min(1.0, prior))
    trace = _Trace(_residual_factors(probs[rows]), h[rows] * (scale * math.sqrt(n)), start, fisher)
    picks: list[int] = []
    gains: list[float] = []
    while len(picks) < min(len(rows), oversample * n):
        pick, gain = trace.best(picks)
        picks.append(pick)
        gains.append(gain * unit)
        trace.add(pick)
    trace.keep(torch.tensor(picks))
    while len(picks) > n:
        at = _drop_one(trace, picks)
        del picks[at], gains[at]
    picked = torch.tensor(picks, dtype=torch.long)
    return RowsWithGains(picked if candidates is None else candidates[picked], torch.tensor(gains, dtype=torch.float64))


def _drop_one(trace: _Trace, picks: list[int]) -> int:
    """Drop the pick whose removal raises the trace least, and return its position; the larger row among equals."""
    at = trace.least(torch.tensor(picks).argsort(descending=True))
    trace.remove(at)
    trace.keep(torch.tensor([i for i in range(len(picks)) if i != at]))
    return at


class _Trace:
    """tr(A F), A the inverse of the information, while the information of rows is added and removed.

    Here V = W (x) h with a square W of C - 1 rows for each row (see ``_residual_factors``).

    V A V^T and V A F A V^T of all rows are updated, which loses digits where they fall by orders of magnitude. The loss is bounded
    by the size that they had; rows that it leaves in doubt are compared by what a factor of the information, made anew, gives.

    Attributes:
        start: Upper triangular R with R^T R the information before any row is added, ((C - 1) D, (C - 1) D).
    """

    _seen: Tensor
    _traced: Tensor

    def __init__(self, w: Tensor, h: Tensor, start: Tensor, fisher: Tensor) -> None:
        self._w, self._h = w, h
        self._start = start
        self._fisher = fisher  # F
        self._added: list[int] = []
        self._renew()

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only and number them 0, 1, ...; all that were added are among them."""
        where = {row: at for at, row in enumerate(rows.tolist())}
        self._added = [where[row] for row in self._added]
        self._w, self._h, self._seen, self._traced = (t[rows] for t in (self._w, self._h, self._seen, self._traced))

    def best(self, taken: list[int]) -> tuple[int, float]:
        """The row whose information lowers the trace most, the first of several, and by how much."""
        gains, unsure = self._falls()
        gains[taken] = -torch.inf
        rows = _doubted(gains, unsure)
        if len(rows) > _FEW and self._updated:
            self._renew()
            return self.best(taken)
        exact = len(rows) > 1 and float(unsure[gains.argmax()]) > EXACT_TIE * float(gains.max())
        falls = self._exact_falls(rows) if exact else gains[rows]
        tied = rows[falls >= falls.max() - EXACT_TIE * falls.max().abs()]
        if len(tied) > 1 and float(falls.max()) > (1 - _SMALL_REMAINDER) * float((self._inverse * self._fisher).sum()):
            left = self._remainders(tied)
            tied = tied[left <= (1 + _REMAINDER_TIE) * left.min()]
        return int(tied[0]), float(falls.max())

    def least(self, order: Tensor) -> int:
        """The added row whose removal raises the trace least, the first of several in this order; all rows are added."""
        rises, unsure = self._rises()
        rows = order[torch.isin(order, _doubted(-rises, unsure))]
        if len(rows) > 1 and not float(unsure[rises.argmin()]) <= EXACT_TIE * float(rises.min()):
            if self._updated:
                self._renew()
                return self.least(order)
            rises = self._exact_rises()
        return _first_of_largest(rows, -rises[rows])[0]

    def add(self, row: int) -> None:
        """Add the information of a row."""
        self._update(row, 1)
        self._added.append(row)

    def remove(self, row: int) -> None:
        """Remove the information of a row that was added."""
        self._update(row, -1)
        self._added.remove(row)

    def _falls(self) -> tuple[Tensor, Tensor]:
        """tr(V A F A V^T (I + V A V^T)^-1), (N,), and how far rounding may have moved each."""
        eye = torch.eye(self._seen.shape[1], dtype=torch.float64, device=self._h.device)
        parts = [
            (torch.linalg.inv_ex(self._seen[part] + eye).inverse * self._traced[part]).sum((1, 2))
            for part in self._parts()
        ]
        falls = torch.cat(parts)
        return falls, self._lost_traced + self._lost_seen * falls.abs()

    def _rises(self) -> tuple[Tensor, Tensor]:
        """tr(V A F A V^T (I - V A V^T)^-1), (N,), and how far rounding may have moved each."""
        eye = torch.eye(self._seen.shape[1], dtype=torch.float64, device=self._h.device)
        inverses = torch.linalg.inv_ex(eye - self._seen).inverse
        rises = (inverses * self._traced).sum((1, 2))
        sizes = inverses.flatten(1).norm(dim=1)
        unsure = sizes * (self._lost_traced + self._lost_seen * rises.abs())
        known = rises.isfinite() & unsure.isfinite()  # else the matrix that is inverted is singular but for rounding
        return torch.where(known, rises, 0), torch.where(known, unsure, torch.inf)

    def _renew(self) -> None:
        """Make everything anew from the rows added, and note how many digits updates may lose from here on."""
        factor = self._current_factor()
        self._inverse = torch.cholesky_inverse(factor, upper=True).contiguous()  # A
        both = self._inverse @ self._fisher @ self._inverse
        self._seen = self._through(self._inverse)  # V A V^T, (N, C - 1, C - 1)
        self._traced = self._through(both)  # V A F A V^T
        longest = float(torch.linalg.vecdot(self._h, self._h).max()) if len(self._h) else 0.0
        self._lost_seen = EXACT_ROUNDING * longest * float(self._inverse.diagonal().max())
        self._lost_traced = EXACT_ROUNDING * longest * float(both.diagonal().max())
        self._updated = False

    def _current_factor(self) -> Tensor:
        if not self._added:
            return self._start
        rows = self._written(torch.tensor(self._added, device=self._h.device)).flatten(0, 1)
        return _upper(torch.cat([self._start, rows]))

    def _exact_falls(self, rows: Tensor) -> Tensor:
        """``_falls`` of these rows from a new factor of the information, without differences of large numbers."""
        factor = self._current_factor()
        eye = torch.eye(self._seen.shape[1], dtype=torch.float64, device=self._h.device)
        falls = []
        for some in rows.split(max(1, BLOCK_BYTES // (8 * self._seen.shape[1] * len(factor)))):
            v = self._written(some).mT  # (m, (C - 1) D, C - 1)
            z = torch.linalg.solve_triangular(factor.T, v, upper=False)
            y = torch.linalg.solve_triangular(factor, z, upper=True)
            traced = y.mT @ (self._fisher @ y)
            falls.append(torch.linalg.solve(z.mT @ z + eye, traced).diagonal(dim1=1, dim2=2).sum(1))
        return torch.cat(falls)

    def _remainders(self, rows: Tensor) -> Tensor:
        """The trace after adding each of these rows alone, (m,), also where it is many orders of magnitude below the trace before.

        With R^T R the information, F = B B^T, L = R^-T B and R^-T V^T = Q S W^T, it is |L - Q Q^T L|^2 + |(I + S^2)^-1/2 Q^T L|^2.
        """
        factor = self._current_factor()
        values, vectors = torch.linalg.eigh(self._fisher)
        left = torch.linalg.solve_triangular(factor.T, vectors * values.clamp_min(0).sqrt(), upper=False)  # L
        found = []
        for some in rows.split(max(1, BLOCK_BYTES // (16 * len(factor) ** 2))):
            z = torch.linalg.solve_triangular(factor.T, self._written(some).mT, upper=False)  # (m, (C - 1) D, C - 1)
            q, s, _ = torch.linalg.svd(z, full_matrices=False)
            along = q.mT @ left
            rest = (left - q @ along).square().sum((1, 2))
            found.append(rest + (along.square().sum(2) / (1 + s.square())).sum(1))
        return torch.cat(found)

    def _exact_rises(self) -> Tensor:
        """``_rises`` from a singular value decomposition U S X^T of the rows, as the prior and the labeled set see them.

        I - V A V^T = U_x (I + S^2)^-1 U_x^T and A V^T = R^-1 X S (I + S^2)^-1 U_x^T: sums without cancellation.
        """
        rows = self._written(torch.arange(len(self._h), device=self._h.device))  # (m, C - 1, (C - 1) D)
        seen = torch.linalg.solve_triangular(self._start.T, rows.flatten(0, 1).T, upper=False).T
        u, values, basis = torch.linalg.svd(seen, full_matrices=True)
        values = torch.where(values > _RANK * values.max(), values, 0)
        squares = torch.nn.functional.pad(values**2, (0, u.shape[1] - len(values)))
        u = u.unflatten(0, rows.shape[:2])
        left = (u / (1 + squares)) @ u.mT  # (m, C - 1, C - 1)
        shrunk = (u[:, :, : len(values)] * (values / (1 + values**2))) @ basis[: len(values)]
        columns = torch.linalg.solve_triangular(self._start, shrunk.mT, upper=True)  # A V^T, (m, (C - 1) D, C - 1)
        traced = columns.mT @ (self._fisher @ columns)
        rises: Tensor = torch.linalg.solve(left, traced).diagonal(dim1=1, dim2=2).sum(1)
        return rises

    def _update(self, row: int, sign: int) -> None:
        """Woodbury: A falls by U M U^T, U = A V^T and M = (sign I + V A V^T)^-1 of the added (1) or removed (-1) row."""
        self._updated = True
        traced, shifted = self._traced[row].clone(), self._seen[row].clone()
        shifted.diagonal().add_(sign)
        m = torch.linalg.inv(shifted)  # (C - 1, C - 1)
        u = self._columns(row)  # (C D, C - 1)
        w = self._inverse @ (self._fisher @ u)  # A F U
        for part in self._parts():
            g = self._times(part, u)  # V U
            gm = g @ m
            rest = self._times(part, w).sub_(gm @ traced, alpha=0.5)
            # not baddbmm_, which took ten times as long for matrices of 9 x 9
            self._seen[part].sub_(gm @ g.mT)
            self._traced[part].sub_(torch.cat([gm, rest], 2) @ torch.cat([rest, gm], 2).mT)
        self._inverse.addmm_(u @ m, u.T, alpha=-1)

    def _written(self, rows: Tensor) -> Tensor:
        """V of some rows, (m, C - 1, (C - 1) D)."""
        return (self._w[rows][:, :, :, None] * self._h[rows][:, None, None, :]).flatten(2)

    def _columns(self, row: int) -> Tensor:
        """A V^T of a row, ((C - 1) D, C - 1)."""
        w, h = self._w[row], self._h[row]
        return (self._inverse.view(-1, len(w), len(h)) @ h) @ w.T

    def _times(self, rows: slice, u: Tensor) -> Tensor:
        """V U for rows, (m, C - 1, width), for a matrix U ((C - 1) D, width)."""
        w, h = self._w[rows], self._h[rows]
        stacked = u.view(w.shape[1], h.shape[1], -1).transpose(0, 1).flatten(1)  # (D, (C - 1) width)
        return w @ (h @ stacked).view(len(w), w.shape[1], -1)

    def _through(self, matrix: Tensor) -> Tensor:
        """V X V^T of every row for a symmetric matrix X, (N, C - 1, C - 1)."""
        n_rows, width = self._w.shape[1], self._h.shape[1]
        blocks = matrix.view(n_rows, width, n_rows, width)
        found = torch.empty_like(self._w)
        for part in self._parts():
            w, h = self._w[part], self._h[part]
            for c, d in itertools.combinations_with_replacement(range(n_rows), 2):
                found[part, c, d] = found[part, d, c] = torch.linalg.vecdot(h @ blocks[c, :, d], h)
            found[part] = w @ found[part] @ w.mT
        return found

    def _parts(self) -> Iterator[slice]:
        n_rows, width = self._w.shape[1], self._h.shape[1]
        step = max(1, BLOCK_BYTES // (8 * n_rows * max(n_rows, width)))
        for start in range(0, len(self._w), step):
            yield slice(start, start + step)


def _doubted(values: Tensor, unsure: Tensor) -> Tensor:
    """The rows that may have the largest value, ties within ``EXACT_TIE`` included, in rising order."""
    top = int(values.argmax())
    tie = EXACT_TIE * float(values[top].abs())
    return torch.nonzero(values + unsure >= values[top] - unsure[top] - tie)[:, 0]


def _first_of_largest(rows: Tensor, values: Tensor) -> tuple[int, float]:
    """The first of the largest values, given rows in order of preference: the row and that value."""
    top = float(values.max())
    at = int(torch.nonzero(values >= top - EXACT_TIE * abs(top))[0, 0])
    return int(rows[at]), float(values[at])


def _residual_factors(probs: Tensor) -> Tensor:
    """W of every row, (N, C - 1, C - 1) float64, with W^T W = E^T (diag p - p p^T) E, E an orthonormal basis of the sums of 0.

    Adding a number to all logits changes no probability, so weights outside of E have no information; they are left out, and so
    is the direction sqrt p, in which diag(sqrt p) (I - 1 p^T) is 0. What is left has no zeros but those of the data, which
    sums with the identity or a small prior would turn into rounding errors.
    """
    p = probs.double()
    s = (p / p.sum(1, keepdim=True)).sqrt()
    even = torch.full((1, p.shape[1]), p.shape[1] ** -0.5, dtype=torch.float64, device=p.device)
    basis = _orthogonal(even, torch.eye(p.shape[1], dtype=torch.float64, device=p.device)[None])[0].T  # E, (C, C - 1)
    return _orthogonal(s, s[:, :, None] * basis)


def _orthogonal(s: Tensor, x: Tensor) -> Tensor:
    """H X for unit rows s (m, C) without negative numbers and matrices X (m, C, width): (m, C - 1, width).

    H has the last C - 1 rows of the Householder reflection I - v v^T / (1 + s_0), v = s + e_0, which takes s to -e_0: an
    orthonormal basis of what is orthogonal to s.
    """
    total = (s[:, :, None] * x).sum(1).add_(x[:, 0]).div_(1 + s[:, :1])
    return x[:, 1:] - s[:, 1:, None] * total[:, None]


def _information(probs: Tensor, h: Tensor) -> Tensor:
    """The sum of W^T W (x) h h^T over rows, ((C - 1) D, (C - 1) D)."""
    n_rows, width = probs.shape[1] - 1, h.shape[1]
    total = h.new_zeros(n_rows, width, n_rows, width)
    step = max(1, BLOCK_BYTES // (8 * n_rows * max(n_rows, width)))
    for ps, hs in zip(probs.split(step), h.split(step), strict=True):
        ws = _residual_factors(ps)
        squares = ws.mT @ ws
        for c in range(n_rows):  # the blocks above the diagonal
            weighted = squares[:, c, c:, None] * hs[:, None, :]  # (m, C - 1 - c, D)
            total[c, :, c:] += (hs.T @ weighted.flatten(1)).view(width, -1, width)
    for c, d in itertools.combinations(range(n_rows), 2):
        total[d, :, c] = total[c, :, d].mT
    return total.view(n_rows * width, n_rows * width)


def _factor(w: Tensor, h: Tensor, information: Tensor, ridge: float) -> Tensor:
    """Upper triangular R with R^T R = ridge I + V^T V; ``information`` is V^T V, whose small digits a small ridge would lose."""
    eye = torch.eye(len(information), dtype=torch.float64, device=h.device)
    if len(h) and ridge >= _SMALL_RIDGE:
        whole: Tensor = torch.linalg.cholesky(information + ridge * eye, upper=True)
        return whole
    factor = eye * math.sqrt(ridge)
    for ws, hs in zip(w.split(_LABELED_BLOCK), h.split(_LABELED_BLOCK), strict=True):
        if len(hs):
            factor = _upper(torch.cat([factor, (ws[:, :, :, None] * hs[:, None, None, :]).flatten(2).flatten(0, 1)]))
    return factor


def _upper(rows: Tensor) -> Tensor:
    """The triangular factor of the rows, with a positive diagonal."""
    factor: Tensor = torch.linalg.qr(rows, mode="r").R
    signs = torch.where(factor.diagonal() < 0, -1.0, 1.0)
    return signs[:, None] * factor


def _check_memory(n: int, n_classes: int, width: int) -> None:
    needed = 16 * ((n_classes * width) ** 2 + n * n_classes**2)
    if needed > MEMORY:
        layer, limit = n_classes * width, MEMORY / 2**30
        raise InvalidInput(
            f"BAIT with {n} rows, {n_classes} classes and embeddings of width {width} stores two matrices of {layer} x {layer} and "
            f"two of {n_classes} x {n_classes} for every row: {needed / 2**30:.1f} GiB, more than {limit:.1f}; "
            "pass fewer rows or narrower embeddings"
        )

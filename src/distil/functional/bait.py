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

# Bytes that the two matrices over the layer's weights and the two small matrices of every row may take together.
MEMORY = 2 << 30


def bait(
    probs: Tensor,
    embeddings: Tensor,
    n: int,
    *,
    labeled: tuple[Tensor, Tensor] | None = None,
    ridge: float = 1.0,
    oversample: int = 2,
) -> Tensor:
    """Pick rows whose Fisher information makes tr(A F) small: pick too many greedily, then drop the least useful.

    Ash et al. 2021, algorithm 1, for the last layer: V_x = diag(sqrt p) (I - 1 p^T) (x) h, rank C - 1, has the Fisher information
    V_x^T V_x = (diag p - p p^T) (x) h h^T. Let F be its mean over all unlabeled and labeled rows, and A the inverse of

        ridge I + M / (M + n) mean_{labeled} V^T V + n / (M + n) sum_{picked} V^T V.

    Picking x lowers tr(A F) by tr(V A F A V^T (I + V A V^T)^-1), V scaled as in the sum (Woodbury). First ``oversample`` n rows
    (at most all) are picked by this rule; then the row whose removal raises the trace least is removed until n rows are left.

    V is never written out. The matrices V A V^T and V A F A V^T, C x C for every row, are stored, and a pick s updates them through
    the C columns A V_s^T. As in the published code, the layer's bias is left out and the scales are those above. All arithmetic
    is in float64.

    Args:
        probs: Class probabilities, (N, C).
        embeddings: Inputs of the last layer, (N, D).
        n: Number of rows to pick, at most N.
        labeled: Probabilities (M, C) and embeddings (M, D) of the labeled set; default: no labeled set.
        ridge: Scale of the prior, above 0.
        oversample: Number of rows picked before any is dropped, as a multiple of n; at least 1.

    Returns:
        (n,) distinct rows in pick order; ties go to the smaller row, which is picked first and dropped last.

    Raises:
        InvalidInput: The matrices, 16 ((C D)^2 + N C^2) bytes, take more than ``MEMORY``.

    Cost: O(N (C D)^2 + (C D)^3) once, then O(N C^2 (C + D) + C (C D)^2) for each of the ``oversample`` n picks, and the same with n
    in place of N for each row that is dropped. Memory: little more than 16 ((C D)^2 + N C^2) bytes.

    >>> probs = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]])
    >>> bait(probs, torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), 2).tolist()
    [0, 2]
    """
    return bait_with_gains(probs, embeddings, n, labeled=labeled, ridge=ridge, oversample=oversample).rows


def bait_with_gains(
    probs: Tensor,
    embeddings: Tensor,
    n: int,
    *,
    labeled: tuple[Tensor, Tensor] | None = None,
    ridge: float = 1.0,
    oversample: int = 2,
) -> RowsWithGains:
    """The rows that ``bait`` picks, and how much each lowered tr(A F) when it was picked; arguments and cost as ``bait``."""
    _check_memory(len(probs), probs.shape[1], embeddings.shape[1])
    p, h = probs.double(), embeddings.double()
    known_p, known_h = (p[:0], h[:0]) if labeled is None else (labeled[0].double(), labeled[1].double())
    fisher, sum_known = _information(p, h), _information(known_p, known_h)
    fisher.add_(sum_known).div_(len(p) + len(known_p))
    start = sum_known.div_(len(known_p) + n)  # M / (M + n) of the mean
    start.diagonal().add_(ridge)
    trace = _Trace(p, h * math.sqrt(n / (len(known_p) + n)), start, fisher)
    picks: list[int] = []
    gains: list[float] = []
    while len(picks) < min(len(p), oversample * n):
        falls = trace.changes(1)
        falls[picks] = -torch.inf
        picks.append(trace.largest(falls))
        gains.append(float(falls[picks[-1]]))
        trace.update(picks[-1], 1)
    trace.keep(torch.tensor(picks))
    while len(picks) > n:
        at = _drop_one(trace, picks)
        del picks[at], gains[at]
    return RowsWithGains(torch.tensor(picks, dtype=torch.long), torch.tensor(gains, dtype=torch.float64))


def _drop_one(trace: _Trace, picks: list[int]) -> int:
    """Drop the pick without which the trace is least and return its position in ``picks``; the larger row among equals."""
    from_last = torch.tensor(picks).argsort(descending=True)
    at = int(from_last[trace.largest(trace.changes(-1)[from_last])])
    trace.update(at, -1)
    trace.keep(torch.tensor([i for i in range(len(picks)) if i != at]))
    return at


class _Trace:
    """tr(A F), with A the inverse of the current information, while the information of rows is added and removed."""

    def __init__(self, p: Tensor, h: Tensor, information: Tensor, fisher: Tensor) -> None:
        self._p, self._h = p, h
        self._fisher = fisher  # F, (C D, C D)
        self._inverse = torch.cholesky_inverse(torch.linalg.cholesky(information))  # A
        self._rounding = EXACT_ROUNDING * float((self._inverse * fisher).sum())
        self._seen = self._through(self._inverse)  # V A V^T, (N, C, C)
        self._traced = self._through(self._inverse @ fisher @ self._inverse)  # V A F A V^T

    def keep(self, rows: Tensor) -> None:
        """Keep only these rows and renumber them 0, 1, ..."""
        self._p, self._h, self._seen, self._traced = (t[rows] for t in (self._p, self._h, self._seen, self._traced))

    def changes(self, sign: int) -> Tensor:
        """Fall of the trace if a row is added (1) or removed (-1): tr(V A F A V^T (sign I + V A V^T)^-1), (N,)."""
        eye = torch.eye(self._p.shape[1], dtype=torch.float64, device=self._p.device)
        inverses = (torch.linalg.inv_ex(self._seen[part] + sign * eye).inverse for part in self._parts())
        products = [
            (inverse * self._traced[part]).sum((1, 2)) for inverse, part in zip(inverses, self._parts(), strict=True)
        ]
        return torch.cat(products)

    def largest(self, changes: Tensor) -> int:
        """Position of the first of the largest changes."""
        best = float(changes.max())
        return int(torch.nonzero(changes >= best - EXACT_TIE * abs(best) - self._rounding)[0, 0])

    def update(self, row: int, sign: int) -> None:
        """Lower A by U M U^T, with U = A V^T and M = (sign I + V A V^T)^-1 of the row added (1) or removed (-1): Woodbury."""
        traced, shifted = self._traced[row].clone(), self._seen[row].clone()
        shifted.diagonal().add_(sign)
        m = torch.linalg.inv(shifted)  # (C, C)
        u = self._columns(row)  # (C D, C)
        w = self._inverse @ (self._fisher @ u)  # A F U
        for part in self._parts():
            g = self._times(part, u)  # V U, (m, C, C)
            gm = g @ m
            rest = self._times(part, w).sub_(gm @ traced, alpha=0.5)
            self._seen[part].baddbmm_(gm, g.mT, alpha=-1)
            self._traced[part].baddbmm_(gm, rest.mT, alpha=-1).baddbmm_(rest, gm.mT, alpha=-1)
        self._inverse.addmm_(u @ m, u.T, alpha=-1)

    def _columns(self, row: int) -> Tensor:
        """The matrix A V^T of one row, (C D, C)."""
        p, h = self._p[row], self._h[row]
        columns = self._inverse.view(-1, len(p), len(h)) @ h  # (C D, C)
        return (columns - columns @ p[:, None]) * p.sqrt()

    def _times(self, rows: slice, u: Tensor) -> Tensor:
        """The products V U of some rows with a matrix U (C D, width), (m, C, width)."""
        p, h = self._p[rows], self._h[rows]
        stacked = u.view(p.shape[1], h.shape[1], -1).transpose(0, 1).flatten(1)  # (D, C width)
        return _tilted(p, (h @ stacked).view(len(p), p.shape[1], -1))

    def _through(self, matrix: Tensor) -> Tensor:
        """The products V X V^T of every row with a symmetric matrix X (C D, C D), (N, C, C)."""
        n_classes, width = self._p.shape[1], self._h.shape[1]
        blocks = matrix.view(n_classes, width, n_classes, width)
        found = self._p.new_empty(len(self._p), n_classes, n_classes)
        for part in self._parts():
            p, h = self._p[part], self._h[part]
            for c, d in itertools.combinations_with_replacement(range(n_classes), 2):
                found[part, c, d] = found[part, d, c] = torch.linalg.vecdot(h @ blocks[c, :, d], h)
            found[part] = _tilted(p, _tilted(p, found[part]).mT)
        return found

    def _parts(self) -> Iterator[slice]:
        n_classes, width = self._p.shape[1], self._h.shape[1]
        step = max(1, BLOCK_BYTES // (8 * n_classes * max(n_classes, width)))
        for start in range(0, len(self._p), step):
            yield slice(start, start + step)


def _tilted(p: Tensor, x: Tensor) -> Tensor:
    """diag(sqrt p) (I - 1 p^T) X: for rows p (m, C) and matrices X (m, C, width)."""
    return p.sqrt()[:, :, None] * (x - p[:, None, :] @ x)


def _information(p: Tensor, h: Tensor) -> Tensor:
    """The sum of (diag p - p p^T) (x) h h^T over rows, (C D, C D)."""
    n_classes, width = p.shape[1], h.shape[1]
    total = p.new_zeros(n_classes * width, n_classes * width)
    step = max(1, BLOCK_BYTES // (8 * n_classes * width))
    for ps, hs in zip(p.split(step), h.split(step), strict=True):
        weighted = ps[:, :, None] * hs[:, None, :]  # (m, C, D)
        total.addmm_(weighted.flatten(1).T, weighted.flatten(1), alpha=-1)
        for c in range(n_classes):
            total.view(n_classes, width, n_classes, width)[c, :, c] += hs.T @ weighted[:, c]
    return total


def _check_memory(n: int, n_classes: int, width: int) -> None:
    needed = 16 * ((n_classes * width) ** 2 + n * n_classes**2)
    if needed > MEMORY:
        layer, limit = n_classes * width, MEMORY / 2**30
        raise InvalidInput(
            f"BAIT with {n} rows, {n_classes} classes and embeddings of width {width} stores two matrices of {layer} x {layer} and "
            f"two of {n_classes} x {n_classes} for every row: {needed / 2**30:.1f} GiB, more than {limit:.1f}; "
            "pass fewer rows or narrower embeddings"
        )

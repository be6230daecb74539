"""Determinantal point processes: sets of rows likely in proportion to the squared volume that they span."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.centers import draw
from distil.functional.features import BLOCK_BYTES, Features, Grouped, Outer
from distil.functional.greedy import naive_greedy
from distil.functional.similarity import MEMORY, Similarity
from distil.functional.submodular import LogDeterminant

# The side of the largest matrix that is decomposed exactly; its eigenvalues take some seconds.
EXACT_SIDE = 2048

# Eigenvalues below this share of the largest count as 0.
_RANK = 1e-10


def greedy_map(similarity: Similarity, n: int, ridge: float = 1e-6) -> Tensor:
    """The likely set of ``n`` rows, greedily: each pick adds most to log det(K + ridge I) (Chen, Zhang and Zhou 2018, algorithm 1).

    Args:
        similarity: Of N rows, by a positive semidefinite kernel.
        n: How many, at most N.
        ridge: See ``LogDeterminant``.

    Returns:
        (n,) distinct rows, in pick order.
    """
    return naive_greedy(LogDeterminant(similarity, ridge), n).rows


def k_dpp(x: Features, n: int, generator: torch.Generator, *, memory: int = MEMORY) -> Tensor:
    """Draw ``n`` rows, every set of them with probability proportional to the determinant of their inner products.

    The k-DPP of Kulesza and Taskar 2011, with the linear kernel L = X X^T: long rows that point in different directions. Drawn
    exactly, from the eigenvectors of L (Kulesza and Taskar 2012, algorithms 1 and 8), which those of X^T X give as well: the
    smaller of the two matrices is decomposed, and it may have up to 2,048 rows. Beyond that the law is an approximation:

    * More rows and wider: the inner products are those of random projections of the rows to max(1,024, 2 n) numbers, of factored
      rows by projections of both factors, without bias in expectation (Kar and Karnick 2012). Rows keep their identity.
    * So many rows that the n chosen eigenvectors would take more than ``memory`` bytes: the draw is restricted to as many as do
      not, themselves drawn without replacement with probability proportional to their squared norms.

    If the rows span fewer than n dimensions (r of them) every set of n has determinant 0. Then r rows are drawn from the r-DPP,
    and the draw starts over on the rows left, until there are n; rows that are all zero come last, uniformly.

    Args:
        x: N rows; factored rows stay factored.
        n: How many, at most N.
        generator: A CPU generator.
        memory: Bytes that the eigenvectors may take.

    Returns:
        (n,) distinct rows, in the order drawn; the order says nothing, all orders of a set are equally likely.

    Cost: O(N s^2 + s^3 + N n^2) for a matrix of side s; memory of O(s^2 + N n).
    """
    if not 0 <= n <= len(x):
        raise InvalidInput(f"n must be between 0 and the {len(x)} rows there are, got {n}")
    left = torch.arange(len(x), device=x.sq_norms().device)
    found: list[Tensor] = []
    while n > 0:
        rows = left[_long_rows(x[left], max(n, memory // (8 * n)), generator)]
        drawn = _draw(_eigen(x[rows], n, generator), n, generator)
        if not len(drawn):  # only zeros are left
            drawn, rows = torch.randperm(len(left), generator=generator)[:n].to(left.device), left
        found.append(rows[drawn])
        n -= len(drawn)
        left = left[~torch.isin(left, rows[drawn])]
    return torch.cat(found) if found else left[:0]


@dataclass(frozen=True, eq=False)
class _Eigen:
    """The eigenvalues of X X^T that are not 0, (r,), and where its eigenvectors come from.

    Attributes:
        values: (r,) float64, rising.
        blocks: Gives blocks of consecutive rows, (B, width) float64, again each time it is called.
        basis: What takes these rows to the rows of the eigenvectors, (width, r).
    """

    values: Tensor
    blocks: Callable[[], Iterator[Tensor]]
    basis: Tensor

    def vectors(self, which: Tensor) -> Tensor:
        """Orthonormal columns, (N, len(which))."""
        chosen = self.basis[:, which]
        return torch.cat([block @ chosen for block in self.blocks()])


def _eigen(x: Features, n: int, generator: torch.Generator) -> _Eigen:
    width = x[slice(0, 1)].dense().shape[1]
    if len(x) <= min(width, EXACT_SIDE):
        return _Eigen(*_of_gram(x))
    if width <= EXACT_SIDE:
        return _Eigen(*_of_blocks(partial(_written, x, width, lambda rows: rows.dense().double()), width))
    width = max(EXACT_SIDE // 2, 2 * n)
    return _Eigen(*_of_blocks(partial(_written, x, width, _projection(x, width, generator)), width))


def _of_gram(x: Features) -> tuple[Tensor, Callable[[], Iterator[Tensor]], Tensor]:
    rows = x.double()
    values, vectors = torch.linalg.eigh(rows.inner(rows))
    kept = _kept(values)
    return (
        values[kept],
        lambda: iter([vectors[:, kept]]),
        torch.eye(int(kept.sum()), dtype=torch.float64, device=values.device),
    )


def _of_blocks(
    blocks: Callable[[], Iterator[Tensor]], width: int
) -> tuple[Tensor, Callable[[], Iterator[Tensor]], Tensor]:
    dual = next(blocks()).new_zeros(width, width)
    for block in blocks():
        dual.addmm_(block.T, block)
    values, vectors = torch.linalg.eigh(dual)
    kept = _kept(values)
    return values[kept], blocks, vectors[:, kept] / values[kept].sqrt()


def _kept(values: Tensor) -> Tensor:
    return values > _RANK * values[-1].clamp_min(0)


def _written(x: Features, width: int, write: Callable[[Features], Tensor]) -> Iterator[Tensor]:
    """The rows written out, block by block: (B, width)."""
    step = max(1, BLOCK_BYTES // (8 * width))
    for start in range(0, len(x), step):
        yield write(x[slice(start, start + step)])


@dataclass(frozen=True, eq=False)
class _Projection:
    """Takes rows to numbers whose inner products are the rows' own in expectation; drawn once, the same for every block.

    Attributes:
        a: For dense rows, (D, width); for factored ones, for the first factor, (C, width).
        b: For the second factor, (D, width), or (1 + D, width) with a bias.
    """

    a: Tensor
    b: Tensor

    def __call__(self, rows: Features) -> Tensor:
        """(B, width) float64."""
        if isinstance(rows, Grouped):
            shares = self(rows.base) / rows.counts()[rows.groups, None]
            return shares.new_zeros(len(rows), shares.shape[1]).index_add_(0, rows.groups, shares)
        if isinstance(rows, Outer):
            second = rows.b.double() @ self.b[int(rows.bias) :]
            return (rows.a.double() @ self.a) * (second + self.b[0] if rows.bias else second)
        return rows.dense().double() @ self.a


def _projection(x: Features, width: int, generator: torch.Generator) -> _Projection:
    while isinstance(x, Grouped):
        x = x.base
    columns = (x.a.shape[1], x.b.shape[1] + x.bias) if isinstance(x, Outer) else (x[slice(0, 1)].dense().shape[1], 0)
    drawn = (torch.randn(n, width, generator=generator, dtype=torch.float64) for n in columns)
    a, b = (numbers.to(x.sq_norms().device) for numbers in drawn)
    return _Projection(a / width**0.5, b)


def _draw(eigen: _Eigen, n: int, generator: torch.Generator) -> Tensor:
    """Rows (min(n, r),) of the k-DPP: which eigenvectors, then rows in proportion to what is left of their squared lengths.

    Nothing but the lengths is updated: ``directions`` are the chosen rows, made orthonormal, in the space of the eigenvectors.
    """
    rank = len(eigen.values)
    which = _eigenvectors(eigen.values, n, generator) if rank > n else torch.arange(rank, device=eigen.values.device)
    v = eigen.vectors(which)  # (N, k)
    weights = torch.linalg.vecdot(v, v)
    directions = v.new_zeros(len(which), len(which))
    picks: list[int] = []
    for t, u in enumerate(torch.rand(len(which), generator=generator, dtype=torch.float64).tolist()):
        row = draw(weights, u)
        direction = v[row]
        for _ in range(2):  # the second time for what rounding left
            direction = direction - directions[:t].T @ (directions[:t] @ direction)
        directions[t] = direction / direction.norm()
        picks.append(row)
        weights = (weights - (v @ directions[t]) ** 2).clamp_min_(0)
        weights[picks] = 0
    return torch.tensor(picks, dtype=torch.long, device=v.device)


def _eigenvectors(values: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw n of the eigenvectors, sets in proportion to the products of their values (2012, algorithm 8), in logarithms.

    ``table[m, k]`` is the logarithm of the elementary symmetric polynomial e_k of the first m values.
    """
    logs = (values / values.max()).log()
    table = torch.full((len(values) + 1, n + 1), -torch.inf, dtype=torch.float64, device=values.device)
    table[:, 0] = 0
    for m, log in enumerate(logs, 1):
        table[m, 1:] = torch.logaddexp(table[m - 1, 1:], table[m - 1, :-1] + log)
    uniform = torch.rand(len(values), generator=generator, dtype=torch.float64).log().tolist()
    chosen: list[int] = []
    for m in range(len(values), 0, -1):
        k = n - len(chosen)
        if k == 0:
            break
        if k == m or uniform[m - 1] < float(logs[m - 1] + table[m - 1, k - 1] - table[m, k]):
            chosen.append(m - 1)
    return torch.tensor(chosen, dtype=torch.long, device=values.device)


def _long_rows(x: Features, most: int, generator: torch.Generator) -> Tensor:
    """All rows, or ``most`` drawn without replacement in proportion to their squared norms (Efraimidis and Spirakis 2006)."""
    if len(x) <= most:
        return torch.arange(len(x), device=x.sq_norms().device)
    clocks = torch.empty(len(x), dtype=torch.float64).exponential_(generator=generator)
    norms = x.exact_sq_norms()
    return (clocks.to(norms.device) / norms).topk(most, largest=False).indices.sort().values

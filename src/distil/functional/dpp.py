"""Determinantal point processes: sets of rows with probability proportional to the squared volume that they span."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.centers import draw
from distil.functional.features import Features, at_one_scale
from distil.functional.greedy import naive_greedy
from distil.functional.projection import WIDEST, Written
from distil.functional.similarity import MEMORY, Similarity
from distil.functional.submodular import LogDeterminant

# Eigenvalues below this share of the largest count as 0.
_RANK = 1e-10


def greedy_map(similarity: Similarity, n: int, ridge: float = 1e-6) -> Tensor:
    """A likely set of ``n`` rows: each pick adds most to log det(K + ridge I) (Chen, Zhang and Zhou 2018, algorithm 1).

    Args:
        similarity: Similarities of N rows, from a positive semidefinite kernel.
        n: Number of rows, at most N.
        ridge: The ridge of ``LogDeterminant``.

    Returns:
        (n,) distinct rows in pick order.
    """
    return naive_greedy(LogDeterminant(similarity, ridge), n).rows


def k_dpp(x: Features, n: int, generator: torch.Generator, *, memory: int = MEMORY) -> Tensor:
    """Draw ``n`` rows; the probability of a set is proportional to the determinant of the inner products of its rows.

    The k-DPP of Kulesza and Taskar 2011, with the linear kernel L = X X^T, favors long rows that point in different directions.
    The draw is exact, from the eigenvectors of L (Kulesza and Taskar 2012, algorithms 1 and 8), which follow from those of
    X^T X as well; the smaller of the two matrices is decomposed. It may have up to 2,048 rows. Above that, the draw is approximate:

    * With more rows than that and wider ones, the rows are replaced by random projections to max(1,024, 2 n) numbers (of both
      factors for factored rows), whose inner products are unbiased (Kar and Karnick 2012). Rows keep their identity.
    * If the n chosen eigenvectors would take more than ``memory`` bytes, the draw is restricted to as many rows as fit, which
      are drawn without replacement with probability proportional to their squared norms.

    If the rows span only r < n dimensions, every set of n rows has determinant 0. Then r rows are drawn from the r-DPP, and the
    draw starts again on the rows left until there are n rows; rows of zeros come last, in uniformly random order.

    Args:
        x: N rows; factored rows stay factored.
        n: Number of rows, from 0 to N.
        generator: CPU generator.
        memory: Bytes that the eigenvectors may take.

    Returns:
        (n,) distinct rows in the order drawn; all orders of a set are equally likely.

    Raises:
        InvalidInput: ``n`` is not between 0 and N.

    Cost: O(N s^2 + s^3 + N n^2) for a matrix of side s; memory of O(s^2 + N n).

    >>> from distil.functional.features import Dense
    >>> x = Dense(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    >>> 2 in k_dpp(x, 2, torch.Generator().manual_seed(0))  # two equal rows are never drawn together
    True
    """
    if not 0 <= n <= len(x):
        raise InvalidInput(f"n must be between 0 and {len(x):,}, the number of rows; got {n:,}")
    (x,), _ = at_one_scale(x)
    left = torch.arange(len(x), device=x.sq_norms().device)
    draws: list[Tensor] = []
    while n > 0:
        rows = left[_long_rows(x[left], max(n, memory // (8 * n)), generator)]
        drawn = _draw(_eigen(x[rows], n, generator), n, generator)
        if not len(drawn):  # all rows left are zero
            drawn, rows = torch.randperm(len(left), generator=generator)[:n].to(left.device), left
        draws.append(rows[drawn])
        n -= len(drawn)
        left = left[~torch.isin(left, rows[drawn])]
    return torch.cat(draws) if draws else left[:0]


@dataclass(frozen=True, eq=False)
class _Eigen:
    """The r nonzero eigenvalues of X X^T, and its eigenvectors in factored form.

    Attributes:
        values: Ascending eigenvalues, (r,) float64.
        blocks: Function that iterates over blocks of consecutive rows, (B, width) float64, anew at each call.
        basis: Matrix whose product with these rows is the matrix of the eigenvectors, (width, r) float64.
    """

    values: Tensor
    blocks: Callable[[], Iterator[Tensor]]
    basis: Tensor

    def vectors(self, which: Tensor) -> Tensor:
        """The eigenvectors at the positions ``which``, as orthonormal columns (N, len(which))."""
        chosen = self.basis[:, which]
        return torch.cat([block @ chosen for block in self.blocks()])


def _eigen(x: Features, n: int, generator: torch.Generator) -> _Eigen:
    width = x[slice(0, 1)].dense().shape[1]
    if len(x) <= min(width, WIDEST):
        return _Eigen(*_of_gram(x))
    rows = Written.of(x, max(WIDEST // 2, 2 * n), generator)
    return _Eigen(*_of_blocks(rows.blocks, rows.width))


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


def _draw(eigen: _Eigen, n: int, generator: torch.Generator) -> Tensor:
    """Draw rows (min(n, r),) of the k-DPP: first eigenvectors, then rows in proportion to their remaining squared lengths.

    Only the lengths are updated. ``directions`` are the drawn rows, orthonormalized, in the space of the eigenvectors.
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
        for _ in range(2):  # the second pass removes the rounding error of the first
            direction = direction - directions[:t].T @ (directions[:t] @ direction)
        directions[t] = direction / direction.norm()
        picks.append(row)
        weights = (weights - (v @ directions[t]) ** 2).clamp_min_(0)
        weights[picks] = 0
    return torch.tensor(picks, dtype=torch.long, device=v.device)


def _eigenvectors(values: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw n eigenvectors; a set's probability is proportional to the product of its values (2012, algorithm 8).

    Computed in logarithms: ``table[m, k]`` is that of the elementary symmetric polynomial e_k of the first m values.
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

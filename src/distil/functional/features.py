"""Row vectors represented by their norms, inner products and distances, and written out only where they must be."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.scale import distant, floating, largest, of_one_precision, times_two_to

F = TypeVar("F", bound="Features")

# Working memory of one block, in bytes: large enough for a fast matrix product, small enough for the cache.
BLOCK_BYTES = 8 << 20

# Rounding error that remains after a float64 re-check, relative to its operands, and the relative difference below which values
# then count as equal, so that the smaller row is picked.
EXACT_ROUNDING = 2.0**-46
EXACT_TIE = 1e-9

# Squared norms above this have lost nothing to underflow in float32, once the largest is near 1.
_TINY = 2.0**-96

# Rows whose largest squared norm is in this range are used at their own scale.
_LEAST_NORM, _MOST_NORM = 2.0**-32, 2.0**32

# Below this share of |x|^2 + |y|^2, a distance |x|^2 + |y|^2 - 2 x.y is mostly rounding error and is computed again.
_CANCELLATION = {torch.float32: 2.0**-16, torch.float64: 2.0**-32}


class Features(ABC):
    """N row vectors represented by norms and inner products; the rows need not be stored densely.

    Distances are squared. ``other`` is always of the same class and width.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, rows: Tensor | slice) -> Features: ...

    @abstractmethod
    def row_bytes(self) -> int:
        """Bytes of one stored row."""

    @abstractmethod
    def double(self) -> Features:
        """The same rows in float64."""

    @abstractmethod
    def dense(self) -> Tensor:
        """The rows in full, flattened, (N, width): large for factored rows."""

    @abstractmethod
    def exponents(self) -> tuple[int, ...]:
        """For each factor of the rows, the power of two that its largest number is near; 0 where that is near 1."""

    @abstractmethod
    def scaled(self, exponents: tuple[int, ...]) -> Features:
        """The rows whose factors are 2^-e times these, without norms; exact."""

    @abstractmethod
    def sq_norms(self) -> Tensor:
        """Squared norms, (N,)."""

    @abstractmethod
    def with_norms(self) -> Features:
        """The same rows with stored squared norms."""

    @abstractmethod
    def exact_sq_norms(self) -> Tensor:
        """Squared norms in float64, (N,)."""

    @abstractmethod
    def inner(self, other: Features) -> Tensor:
        """Inner products with the M rows of ``other``, (N, M)."""

    @abstractmethod
    def exact_sq_dists(self, other: Features) -> Tensor:
        """Float64 squared distances to the M rows of ``other``, (N, M), for decisions between near-ties.

        Computed without a matrix product: slow, independent of blocks, and exactly 0 between equal rows.
        """

    @abstractmethod
    def combine(self, weights: Tensor) -> Tensor:
        """The weighted sum of the rows, sum_i w_i row_i, for weights (N,), in the shape of one row."""

    @abstractmethod
    def project(self, point: Tensor) -> Tensor:
        """Inner products with one point in the shape of one row, (N,)."""

    def rough_sq_dists(self, other: Features) -> Tensor:
        """Squared distances to the M rows of ``other`` by the formula |x|^2 + |y|^2 - 2 x.y, (N, M).

        In the precision of the rows, with rounding errors of up to ``rounding`` times the larger squared norm; some are below 0.
        """
        products = self.inner(other)
        return torch.sub(other.sq_norms(), products, alpha=2, out=products).add_(self.sq_norms()[:, None])

    def rough_nearest(self, other: Features) -> Tensor:
        """The smallest of each row's ``rough_sq_dists``, (N,)."""
        products = other.inner(self)  # (M, N): a minimum of few numbers is much faster along the first dimension
        dists = torch.sub(other.sq_norms()[:, None], products, alpha=2, out=products)
        return dists.amin(0).add_(self.sq_norms())

    def rounding(self) -> float:
        """Bound of the rounding error between two rough distances, relative to the largest squared norm.

        The rounding error of a sum grows with the root of the number of terms, here the width of a row.
        """
        dtype = self.sq_norms().dtype
        return (8 + 2 * math.sqrt(self.row_bytes() / dtype.itemsize)) * torch.finfo(dtype).eps

    def sq_dists(self, other: Features) -> Tensor:
        """Squared distances to the M rows of ``other``, (N, M), never below 0.

        These are ``rough_sq_dists``. Where they cancel to rounding error (near duplicates), the pair is computed again in float64,
        so equal rows are at distance exactly 0.
        """
        dists = self.rough_sq_dists(other)
        size = self.sq_norms()[:, None] + other.sq_norms()[None, :]  # (N, M)
        rows, columns = torch.nonzero(dists <= _cancellation(dists) * size, as_tuple=True)
        unsure = size[rows, columns] > 0  # the distance of two zero rows is exactly 0
        rows, columns = rows[unsure], columns[unsure]
        dists[rows, columns] = self.exact_sq_dists_of(other, rows, columns).to(dists.dtype)
        return dists.clamp_min_(0)

    def nearest_sq_dists(self, other: Features) -> Tensor:
        """Squared distance of each row to the nearest of M >= 1 rows, (N,), never below 0, computed in blocks of bounded bytes.

        The smallest of ``sq_dists``; near duplicates are computed again only among these N distances.
        """
        parts = [self[block]._nearest(other) for block in self.blocks(BLOCK_BYTES // 2)]
        return torch.cat(parts) if parts else self.sq_norms()[:0]

    def _nearest(self, other: Features) -> Tensor:
        dists = self.rough_nearest(other)
        # The norms of near duplicates are almost equal, so 3 times that of the row bounds their sum.
        unsure = torch.nonzero(dists <= 3 * _cancellation(dists) * self.sq_norms())[:, 0]
        if len(unsure):
            dists[unsure] = self[unsure].double().sq_dists(other.double()).amin(1).to(dists.dtype)
        return dists.clamp_min_(0)

    def exact_sq_dists_of(self, other: Features, rows: Tensor, columns: Tensor) -> Tensor:
        """Float64 squared distances between ``self[rows[i]]`` and ``other[columns[i]]``, (P,), in blocks of bounded bytes."""
        step = max(1, BLOCK_BYTES // (8 * self.row_bytes()))
        pairs = zip(rows.split(step), columns.split(step), strict=True)
        return torch.cat([self[i].pairwise_sq_dists(other[j]) for i, j in pairs])

    @abstractmethod
    def pairwise_sq_dists(self, other: Features) -> Tensor:
        """Float64 squared distances between row i of ``self`` and row i of ``other``, (N,)."""

    def blocks(self, n_bytes: int = BLOCK_BYTES) -> Iterator[slice]:
        """Slices of consecutive rows, each of at most ``n_bytes`` bytes but at least one row."""
        step = max(1, n_bytes // self.row_bytes())
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))


@dataclass(frozen=True)
class Dense(Features):
    """Rows stored as one matrix.

    Attributes:
        x: The rows, (N, D); what is neither float32 nor float64 is converted to float32.
        norms: Their squared norms, (N,); None if they are not stored.

    >>> Dense(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).sq_norms()
    tensor([25.,  0.])
    """

    x: Tensor
    norms: Tensor | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", floating(self.x))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Tensor | slice) -> Dense:
        return Dense(_taken(self.x, rows), None if self.norms is None else _taken(self.norms, rows))

    def row_bytes(self) -> int:
        """Bytes of one stored row."""
        return self.x.shape[1] * self.x.element_size()

    def double(self) -> Dense:
        """The same rows in float64."""
        return Dense(self.x.double())

    def dense(self) -> Tensor:
        """The rows, (N, D)."""
        return self.x

    def exponents(self) -> tuple[int, ...]:
        """That of the rows; their norms tell where it is near 0, without another look at them."""
        return (0 if _near_one(self.norms) else distant(largest(self.x)),)

    def scaled(self, exponents: tuple[int, ...]) -> Dense:
        """The rows times 2^-e."""
        return Dense(times_two_to(self.x, -exponents[0]))

    def sq_norms(self) -> Tensor:
        """Squared norms, (N,)."""
        return _sq_norms(self.x) if self.norms is None else self.norms

    def with_norms(self) -> Dense:
        """The same rows with stored squared norms."""
        return Dense(self.x, self.sq_norms())

    def exact_sq_norms(self) -> Tensor:
        """Squared norms in float64, (N,)."""
        return (self.x.double() ** 2).sum(1)

    def inner(self, other: Features) -> Tensor:
        """Inner products, (N, M): one matrix product."""
        return self.x @ _same(self, other).x.T

    def exact_sq_dists(self, other: Features) -> Tensor:
        """Float64 squared distances (N, M), difference by difference, one row of the shorter side at a time."""
        rows, centers = self.x.double(), _same(self, other).x.double()
        if len(rows) < len(centers):
            return other.exact_sq_dists(self).T
        dists = [((rows - c) ** 2).sum(1) for c in centers]
        return torch.stack(dists, 1) if dists else rows.new_zeros(len(rows), 0)

    def pairwise_sq_dists(self, other: Features) -> Tensor:
        """Float64 squared distances between rows at the same position, (N,)."""
        return ((self.x.double() - _same(self, other).x.double()) ** 2).sum(1)

    def combine(self, weights: Tensor) -> Tensor:
        """The weighted sum sum_i w_i x_i, (D,)."""
        return weights @ self.x

    def project(self, point: Tensor) -> Tensor:
        """Inner products x_i . point with a point (D,), (N,)."""
        return self.x @ point


@dataclass(frozen=True)
class Outer(Features):
    """Rows that are outer products a_i b_i^T, stored as their two factors: N (C + D) numbers, not N C D.

    The inner product of two rows is (a_i . a_j)(b_i . b_j); distances need only inner products.

    Attributes:
        a: First factors, (N, C).
        b: Second factors, (N, D).
        bias: 1 (or True): each b_i stands for (1, b_i), as in the gradient of a layer with a bias; the 1 is not stored. Another
            number replaces the 1 where the factors were scaled. 0 (or False): no bias.
        norms: Squared norms of the rows, (N,); None if they are not stored.

    >>> Outer(torch.tensor([[1.0, -1.0]]), torch.tensor([[2.0, 3.0]])).dense()
    tensor([[ 2.,  3., -2., -3.]])
    """

    a: Tensor
    b: Tensor
    bias: float = 0.0
    norms: Tensor | None = None

    def __post_init__(self) -> None:
        a, b = of_one_precision(self.a, self.b)
        object.__setattr__(self, "a", a)
        object.__setattr__(self, "b", b)

    def __len__(self) -> int:
        return len(self.a)

    def __getitem__(self, rows: Tensor | slice) -> Outer:
        norms = None if self.norms is None else _taken(self.norms, rows)
        return Outer(_taken(self.a, rows), _taken(self.b, rows), self.bias, norms)

    def row_bytes(self) -> int:
        """Bytes of one stored row."""
        return (self.a.shape[1] + self.b.shape[1]) * self.a.element_size()

    def double(self) -> Outer:
        """The same rows with float64 factors."""
        return Outer(self.a.double(), self.b.double(), self.bias)

    def dense(self) -> Tensor:
        """The rows in full, (N, C D), or (N, C + C D) with a bias, whose C columns come first. Large."""
        rows = torch.einsum("nc,nd->ncd", self.a, self.b).flatten(1)
        return torch.cat([self.a * self.bias, rows], 1) if self.bias else rows

    def exponents(self) -> tuple[int, ...]:
        """Those of the two factors; norms of the rows near 1 tell that neither's squares overflow."""
        if _near_one(self.norms):
            return 0, 0
        return distant(largest(self.a)), distant(max(largest(self.b), abs(self.bias)))

    def scaled(self, exponents: tuple[int, ...]) -> Outer:
        """The factors times 2^-e, the number of the bias too."""
        a, b = (times_two_to(x, -e) for x, e in zip((self.a, self.b), exponents, strict=True))
        return Outer(a, b, math.ldexp(self.bias, -exponents[1]))

    def sq_norms(self) -> Tensor:
        """Squared norms |a|^2 |b|^2, (N,)."""
        return _sq_norms(self.a) * (_sq_norms(self.b) + self.bias**2) if self.norms is None else self.norms

    def with_norms(self) -> Outer:
        """The same rows with stored squared norms."""
        return Outer(self.a, self.b, self.bias, self.sq_norms())

    def exact_sq_norms(self) -> Tensor:
        """Squared norms in float64, (N,)."""
        return (self.a.double() ** 2).sum(1) * ((self.b.double() ** 2).sum(1) + self.bias**2)

    def inner(self, other: Features) -> Tensor:
        """Inner products, (N, M): two matrix products."""
        factors = _same(self, other)
        products = self.b @ factors.b.T
        return (products.add_(self.bias**2) if self.bias else products).mul_(self.a @ factors.a.T)

    def exact_sq_dists(self, other: Features) -> Tensor:
        """Float64 squared distances (N, M), from the factors, one row of ``other`` at a time."""
        mine, factors = self.double(), _same(self, other).double()
        rows = [mine._dists_to(factors[slice(j, j + 1)]) for j in range(len(factors))]
        return torch.stack(rows, 1) if rows else self.a.new_zeros(len(self), 0).double()

    def pairwise_sq_dists(self, other: Features) -> Tensor:
        """Float64 squared distances between rows at the same position, (N,)."""
        return self.double()._dists_to(_same(self, other).double())

    def _dists_to(self, other: Outer) -> Tensor:
        """|a b^T - a' b'^T|^2 of rows (or of one row, broadcast), (N,), without cancellation; exactly 0 between equal rows.

        a b^T - a' b'^T = a (b - b')^T + (a - a') b'^T.
        """
        da, db = self.a - other.a, self.b - other.b
        first = (self.a**2).sum(1) * (db**2).sum(1)
        second = (da**2).sum(1) * ((other.b**2).sum(1) + self.bias**2)
        return (first + second + 2 * (self.a * da).sum(1) * (db * other.b).sum(1)).clamp_min_(0)

    def combine(self, weights: Tensor) -> Tensor:
        """The weighted sum sum_i w_i a_i b_i^T, (C, D), or (C, 1 + D) with a bias, whose column comes first."""
        weighted = weights[:, None] * self.a
        blocks = weighted.T @ self.b
        return torch.cat([weighted.sum(0)[:, None] * self.bias, blocks], 1) if self.bias else blocks

    def project(self, point: Tensor) -> Tensor:
        """Inner products a_i^T P b_i with a matrix P, (C, D), or (C, 1 + D) with a bias: (N,)."""
        images = (
            self.b @ point[:, 1:].T + point[:, 0] * self.bias if self.bias else self.b @ point.T
        )  # (N, C), not (N, D)
        projected: Tensor = torch.linalg.vecdot(images, self.a)
        return projected


@dataclass(frozen=True)
class Grouped(Features):
    """Rows that are means over groups of other rows: the atoms of per-batch strategies.

    Only the groups are stored. Means are written out, in blocks of bounded bytes, where this makes products cheaper than averaging
    the products of the members. The mean of factored rows is a full (C, D) matrix, so it is written out only where groups are
    large, and never for all groups at once.

    Attributes:
        base: The N rows that are averaged.
        groups: The group of each row, (N,) int64, from 0, in any order.
        n_groups: Number of groups; each must have at least one row.
        norms: Squared norms of the means, (n_groups,); None if they are not stored.
    """

    base: Features
    groups: Tensor
    n_groups: int
    norms: Tensor | None = None

    def __post_init__(self) -> None:
        if self.groups.shape != (len(self.base),):
            raise InvalidInput(
                f"groups must hold one group for each of the {len(self.base)} rows, got shape {tuple(self.groups.shape)}"
            )
        used = torch.unique(self.groups)
        if len(used) != self.n_groups or (len(used) and (int(used[0]) < 0 or int(used[-1]) >= self.n_groups)):
            raise InvalidInput(f"groups must be 0 to {self.n_groups - 1}, each with a row; got {used.tolist()[:10]}")

    def __len__(self) -> int:
        return self.n_groups

    def __getitem__(self, rows: Tensor | slice) -> Grouped:
        order, ends = self._order
        chosen = torch.arange(self.n_groups, device=order.device)[rows]
        sizes = ends.diff(prepend=ends.new_zeros(1))[chosen]
        groups = torch.arange(len(chosen), device=order.device).repeat_interleave(sizes)
        behind = (sizes.cumsum(0) - ends[chosen])[groups]  # positions in the result minus positions in the order
        members = order[torch.arange(len(groups), device=order.device) - behind]
        return Grouped(self.base[members], groups, len(chosen), None if self.norms is None else self.norms[rows])

    @cached_property
    def _order(self) -> tuple[Tensor, Tensor]:
        """Rows of the base sorted by group, (N,), and the end of each group in that order, (n_groups,)."""
        return self.groups.argsort(stable=True), self.counts().cumsum(0)

    def counts(self) -> Tensor:
        """Number of rows in each group, (n_groups,)."""
        return torch.bincount(self.groups, minlength=self.n_groups)

    def row_bytes(self) -> int:
        """Average bytes of the members of one group."""
        return max(self.base.row_bytes(), -(-len(self.base) * self.base.row_bytes() // max(1, self.n_groups)))

    def double(self) -> Grouped:
        """The means of the float64 base rows."""
        return Grouped(self.base.double(), self.groups, self.n_groups)

    def dense(self) -> Tensor:
        """The means in full, flattened, (n_groups, width)."""
        order, _ = self._order
        means = [self.base[rows] for rows in order.split(self.counts().tolist())]
        ones = self.base.sq_norms()[:0]
        flat = [rows.combine(ones.new_full((len(rows),), 1 / len(rows))).flatten() for rows in means]
        return torch.stack(flat) if flat else ones.new_zeros(0, self._width())

    def exponents(self) -> tuple[int, ...]:
        """Those of the rows that are averaged."""
        return self.base.exponents()

    def scaled(self, exponents: tuple[int, ...]) -> Grouped:
        """Means of the scaled rows."""
        return Grouped(self.base.scaled(exponents), self.groups, self.n_groups)

    def sq_norms(self) -> Tensor:
        """Squared norms, (n_groups,), from the written out means. Cost: O(N width)."""
        if self.norms is not None:
            return self.norms
        parts = [_sq_norms(means) for _, means in self._written()]
        return torch.cat(parts) if parts else self.base.sq_norms()[:0]

    def with_norms(self) -> Grouped:
        """The same rows with stored squared norms."""
        return Grouped(self.base, self.groups, self.n_groups, self.sq_norms())

    def exact_sq_norms(self) -> Tensor:
        """Squared norms in float64, (n_groups,)."""
        return self.double().sq_norms()

    def inner(self, other: Features) -> Tensor:
        """Inner products, (n_groups, M): of the written out means, or averaged over their members, whichever is cheaper."""
        theirs = _same(self, other)
        pairs = len(self.base) * len(theirs.base) / max(1, self.n_groups * theirs.n_groups)
        stored = self.base.row_bytes() // self.base.sq_norms()[:0].element_size()
        if self._width() > pairs * stored:
            return self._inner_of_members(theirs)
        products = self.base.sq_norms().new_zeros(self.n_groups, theirs.n_groups)
        for columns, other_means in theirs._written():
            for rows, means in self._written():
                products[rows, columns] = means @ other_means.T
        return products

    def exact_sq_dists(self, other: Features) -> Tensor:
        """Float64 squared distances (n_groups, M) of the written out means, difference by difference."""
        mine, theirs = self.double(), _same(self, other).double()
        dists = torch.zeros(self.n_groups, theirs.n_groups, dtype=torch.float64)
        for columns, other_means in theirs._written():
            for rows, means in mine._written():
                dists[rows, columns] = Dense(means).exact_sq_dists(Dense(other_means))
        return dists

    def pairwise_sq_dists(self, other: Features) -> Tensor:
        """Float64 squared distances between means at the same position, (n_groups,)."""
        pairs = zip(self.double()._written(), _same(self, other).double()._written(), strict=True)
        dists = [Dense(mine).pairwise_sq_dists(Dense(theirs)) for (_, mine), (_, theirs) in pairs]
        return torch.cat(dists) if dists else torch.zeros(0, dtype=torch.float64)

    def combine(self, weights: Tensor) -> Tensor:
        """The weighted sum sum_g w_g mean_g, in the shape of a row of the base."""
        return self.base.combine((weights / self.counts())[self.groups])

    def project(self, point: Tensor) -> Tensor:
        """Inner products of the means with a point in the shape of a row of the base, (n_groups,)."""
        return self._averaged(self.base.project(point), 0)

    def _width(self) -> int:
        nothing = self.base[slice(0, 0)]
        return nothing.combine(nothing.sq_norms()).numel()

    def _written(self) -> Iterator[tuple[slice, Tensor]]:
        """Blocks of means written out, (B, width), each with its slice."""
        step = max(1, BLOCK_BYTES // max(1, 4 * self._width()))
        for start in range(0, self.n_groups, step):
            block = slice(start, min(start + step, self.n_groups))
            yield block, self[block].dense()

    def _inner_of_members(self, other: Grouped) -> Tensor:
        products = self.base.sq_norms().new_zeros(self.n_groups, other.n_groups)
        step = max(1, BLOCK_BYTES // (4 * max(1, len(other.base))))
        for start in range(0, len(self.base), step):
            block = slice(start, start + step)
            averaged = other._averaged(self.base[block].inner(other.base), 1)
            products.index_add_(0, self.groups[block], averaged)
        return products.div_(self.counts()[:, None])

    def _averaged(self, values: Tensor, dim: int) -> Tensor:
        """Means over the members of each group along dimension ``dim``, whose length is that of the base."""
        shape = [*values.shape[:dim], self.n_groups, *values.shape[dim + 1 :]]
        sums = values.new_zeros(shape).index_add_(dim, self.groups, values)
        return sums.div_(self.counts())  # the groups are the last dimension


def at_one_scale(x: F, *others: F) -> tuple[list[F], int]:
    """Sets of rows of one class in one precision and at one scale, with their norms, and the e of it: times 2^-e.

    Rows that are so much shorter than the longest that their squares vanish in float32 bring all to float64.

    Raises:
        InvalidInput: A number is NaN or infinite.
    """
    sets = [part.with_norms() for part in (x, *others)]
    if len({part.sq_norms().dtype for part in sets}) > 1:
        sets = [part.double().with_norms() for part in sets]
    exponents = tuple(max(found) for found in zip(*(part.exponents() for part in sets if len(part)), strict=True))
    if any(exponents):
        sets = [part.scaled(exponents).with_norms() for part in sets]
    if any(vanish(part) for part in sets):
        sets = [part.double().with_norms() for part in sets]
    return sets, sum(exponents)  # type: ignore[return-value]  # each is of the class that it was


def lengths(x: Features) -> Tensor:
    """The norms of the rows in float64, (N,), whatever their scale."""
    (x,), e = at_one_scale(x)
    return times_two_to(x.exact_sq_norms().sqrt(), e)


def _near_one(norms: Tensor | None) -> bool:
    """Whether the largest of the squared norms is known, and such that rows are used at their own scale."""
    return norms is not None and len(norms) > 0 and _LEAST_NORM <= float(norms.max()) <= _MOST_NORM


def vanish(x: Features) -> bool:
    """Whether squares of some rows are lost in the precision of the rows, though the rows are not 0."""
    norms = x.sq_norms()
    if norms.dtype == torch.float64:
        return False
    rows = torch.nonzero(norms < _TINY)[:, 0]
    return len(rows) > 0 and bool(x[rows].double().sq_norms().any())


def _same(mine: F, other: Features) -> F:
    if not isinstance(other, type(mine)):
        raise TypeError(f"{type(mine).__name__} rows cannot be compared with {type(other).__name__} rows")
    return other


def _cancellation(dists: Tensor) -> float:
    return _CANCELLATION.get(dists.dtype, 2.0**-8)


def _taken(x: Tensor, rows: Tensor | slice) -> Tensor:
    """``x[rows]``; uses ``index_select`` for row numbers, which is several times faster."""
    return x.index_select(0, rows) if isinstance(rows, Tensor) and rows.dtype == torch.long else x[rows]


def _sq_norms(x: Tensor) -> Tensor:
    # In blocks that stay in the cache: x * x would be a copy of the rows, and vecdot is several times slower on wide ones.
    norms = x.new_empty(len(x))
    squares = x[: max(1, BLOCK_BYTES // (4 * max(1, x.shape[1]) * x.element_size()))].clone()
    for start in range(0, len(x), max(1, len(squares))):
        block = x[start : start + len(squares)]
        torch.sum(torch.mul(block, block, out=squares[: len(block)]), 1, out=norms[start : start + len(block)])
    return norms

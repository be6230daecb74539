"""Similarities of rows: kernels, and the matrix of all pairs, which is stored only while it is small."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import threshold

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES, Dense, Features, at_one_scale
from distil.functional.scale import number_times_two_to, times_two_to

# A matrix of all pairs is stored only while it takes no more bytes than this.
MEMORY = 400 << 20

# The scale of a kernel is estimated from the pairs of at most this many rows.
REFERENCE_ROWS = 1000

# Rows whose squared distance is below this share of |x|^2 + |y|^2 count as equal: float64 products are no more accurate than this.
_EQUAL = 1e-13


class Kernel(ABC):
    """A similarity of two rows: never negative, larger for rows that are more alike, largest between equal rows.

    Each value is a function of one float64 squared distance, so that near-ties differ from ties.
    """

    @abstractmethod
    def prepare(self, x: Features) -> Features:
        """The rows in the form that ``sq_dists`` needs: float64, with stored norms."""

    @abstractmethod
    def sq_dists(self, x: Features, y: Features) -> Tensor:
        """Squared distances of prepared rows, (B, M) float64; exactly 0 between equal rows."""

    @abstractmethod
    def similarity(self, sq_dists: Tensor) -> Tensor:
        """Similarities at these squared distances, which may be overwritten."""

    @abstractmethod
    def disparity(self, sq_dists: Tensor) -> Tensor:
        """The metric (not squared) that belongs to the kernel, at these squared distances, which may be overwritten."""


@dataclass(frozen=True, eq=False)
class RBF(Kernel):
    """exp(-gamma |x - y|^2).

    Attributes:
        gamma: 1 / (2 s^2) for the length scale s of prepared rows; with 0, all similarities are 1.
        center: Point subtracted from dense rows, (D,); distances do not change, but lose fewer digits to cancellation.
        exponents: Prepared factors are 2^-e times the given ones; empty: they are not scaled.
    """

    gamma: float
    center: Tensor | None = None
    exponents: tuple[int, ...] = ()

    def prepare(self, x: Features) -> Features:
        """Centered and scaled rows."""
        return _prepared(x, self.center, self.exponents)

    def sq_dists(self, x: Features, y: Features) -> Tensor:
        """|x - y|^2."""
        return _sq_dists(x, y)

    def similarity(self, sq_dists: Tensor) -> Tensor:
        """exp(-gamma |x - y|^2), between 0 and 1."""
        return sq_dists.mul_(-self.gamma).exp_()

    def disparity(self, sq_dists: Tensor) -> Tensor:
        """The distance in the kernel's space, sqrt(2 - 2 k), between 0 and sqrt(2); exact for near rows."""
        return sq_dists.mul_(-self.gamma).expm1_().mul_(-2).sqrt_()


@dataclass(frozen=True, eq=False)
class Cosine(Kernel):
    """(1 + cos(x, y)) / 2, between 0 (opposite rows) and 1; for a zero row, 1 with zero rows and 1/2 with all others.

    The cosine is mapped to [0, 1] and not clipped at 0: clipping would make opposite rows as alike as unrelated ones, and the
    matrix indefinite.
    """

    def prepare(self, x: Features) -> Features:
        """Float64 rows with stored norms, scaled by a power of two, which does not change the kernel."""
        return at_one_scale(x.double())[0][0]

    def sq_dists(self, x: Features, y: Features) -> Tensor:
        """|x/|x| - y/|y||^2 = 2 - 2 cos, between 0 and 4."""
        norms, others = x.sq_norms().sqrt()[:, None], y.sq_norms().sqrt()[None, :]
        least = torch.finfo(torch.float64).tiny
        dists = x.inner(y).mul_(-2 / norms.clamp_min(least)).mul_(1 / others.clamp_min(least)).add_(2).clamp_max_(4)
        threshold(dists, 2 * _EQUAL, 0, inplace=True)
        return dists if bool(norms.all()) else dists.masked_fill_((norms == 0) & (others == 0), 0)

    def similarity(self, sq_dists: Tensor) -> Tensor:
        """(1 + cos(x, y)) / 2, between 0 and 1."""
        return sq_dists.mul_(-1 / 4).add_(1)

    def disparity(self, sq_dists: Tensor) -> Tensor:
        """The distance in the kernel's space, sqrt(1 - cos), between 0 and sqrt(2)."""
        return sq_dists.div_(2).sqrt_()


@dataclass(frozen=True, eq=False)
class Closeness(Kernel):
    """The similarity top - |x - y| (Mirzasoleiman et al. 2020).

    Attributes:
        top: An upper bound of the distances of prepared rows.
        center: Point subtracted from dense rows, (D,); distances do not change, but lose fewer digits to cancellation.
        exponents: Prepared factors are 2^-e times the given ones, as are their distances; empty: they are not scaled.
    """

    top: float
    center: Tensor | None = None
    exponents: tuple[int, ...] = ()

    def prepare(self, x: Features) -> Features:
        """Centered and scaled rows."""
        return _prepared(x, self.center, self.exponents)

    def sq_dists(self, x: Features, y: Features) -> Tensor:
        """|x - y|^2."""
        return _sq_dists(x, y)

    def similarity(self, sq_dists: Tensor) -> Tensor:
        """The similarity top - |x - y|, between 0 and ``top``."""
        return sq_dists.sqrt_().neg_().add_(self.top).clamp_min_(0)

    def disparity(self, sq_dists: Tensor) -> Tensor:
        """The Euclidean distance |x - y|."""
        return sq_dists.sqrt_()


def rbf(x: Features, gamma: float | None = None) -> RBF:
    """The Gaussian kernel for a set of rows, with one scale for all of them.

    By default gamma = 1 / (2 m), with m the median of the positive squared distances between at most 1,000 evenly spaced rows. Two
    rows at the median distance then have similarity exp(-1/2) in any unit of the data. If these rows are all equal, m is the
    median of all rows' positive squared distances to the first row; if all rows are equal, gamma is 0. (A fixed gamma of 1
    underflows at large distances, and each row is then similar only to itself.)

    Args:
        x: N rows.
        gamma: The gamma of exp(-gamma |x - y|^2), above 0; default: estimated from the rows. DISTIL 0.1 used 1.

    Raises:
        InvalidInput: ``gamma`` is not above 0.

    Cost: at most 1,000^2 distances.
    """
    center, exponents = center_of(x), _exponents(x)
    if gamma is not None:
        if not (math.isfinite(gamma) and gamma > 0):
            raise InvalidInput(f"gamma must be above 0, got {gamma!r}; omit it to estimate the scale from the data")
        return RBF(number_times_two_to(float(gamma), 2 * sum(exponents)), center, exponents)
    rows = _prepared(x[reference(len(x))], center, exponents)
    dists = _sq_dists(rows, rows)[tuple(torch.triu_indices(len(rows), len(rows), 1))]
    if not bool(dists.any()):
        dists = _sq_dists(_prepared(x, center, exponents), rows[slice(0, 1)])[:, 0]
    positive = dists[dists > 0]
    return RBF(1 / (2 * float(positive.median())) if len(positive) else 0.0, center, exponents)


def cosine() -> Cosine:
    """The cosine kernel (1 + cos(x, y)) / 2, which has no scale."""
    return Cosine()


def closeness(x: Features, top: float | None = None) -> Closeness:
    """The kernel ``top`` - |x - y|, the similarity of CRAIG.

    The picks of facility location do not depend on ``top``, unless similarities between classes are 0.

    Args:
        x: N rows.
        top: An upper bound of the distances; default: twice the largest distance to the first row, at most twice the diameter.
    """
    exponents = _exponents(x)
    kernel = Closeness(number_times_two_to(top or 0.0, -sum(exponents)), center_of(x), exponents)
    if top is not None or not len(x):
        return kernel
    rows = kernel.prepare(x)
    return Closeness(2 * float(_sq_dists(rows, rows[slice(0, 1)]).max()) ** 0.5, kernel.center, exponents)


def diameter(x: Features) -> float:
    """The largest distance between two rows. Cost: N^2 / 2 distances, in blocks."""
    exponents = _exponents(x)
    rows = _prepared(x, center_of(x), exponents)
    tops = [_sq_dists(rows[block], rows[slice(block.start, None)]).max() for block in _cut(len(x), len(x))]
    return number_times_two_to(float(torch.stack(tops).max()) ** 0.5, sum(exponents)) if tops else 0.0


def reference(n_rows: int) -> Tensor:
    """At most 1,000 row numbers, evenly spaced from the first to the last, that represent all rows in estimates."""
    n = min(n_rows, REFERENCE_ROWS)
    return torch.linspace(0, max(0, n_rows - 1), n, dtype=torch.float64).round().long()


class Similarity:
    """The matrix of similarities between N rows, or between some and some of them, computed block by block.

    Similarities are computed in float64 from the rows, so that equal rows have equal similarities, and returned in float32. An
    objective that reads the matrix repeatedly calls ``store``, which keeps the matrix if it fits the bound on memory, and else the
    rows that were read last. Other rows are computed again, with the same values.

    Args:
        x: N rows; factored rows stay factored. A float64 copy of them is kept.
        kernel: Similarity of two rows.
        classes: The class of each row, (N,) int64; similarities between classes are then 0. Default: one class.
        rows: Rows of ``x`` that are the rows of the matrix, (R,): those that may be picked; default: all.
        columns: Rows of ``x`` that are the columns of the matrix, (M,): those to be represented; default: all.
        memory: Bytes that the stored matrix may take; it takes 4 R M.

    Raises:
        InvalidInput: ``classes`` does not hold one class for each row.

    >>> from distil.functional.features import Dense
    >>> Similarity(Dense(torch.tensor([[1.0, 0.0], [3.0, 4.0]])), cosine()).rows(slice(0, 2))
    tensor([[1.0000, 0.8000],
            [0.8000, 1.0000]])
    """

    def __init__(
        self,
        x: Features,
        kernel: Kernel,
        *,
        classes: Tensor | None = None,
        rows: Tensor | None = None,
        columns: Tensor | None = None,
        memory: int = MEMORY,
    ) -> None:
        if classes is not None and classes.shape != (len(x),):
            raise InvalidInput(
                f"classes must hold one class for each of the {len(x)} rows, got shape {tuple(classes.shape)}"
            )
        self.kernel = kernel
        self.memory = memory
        self._x = _Classed(kernel.prepare(x), classes)
        self._rows = self._x if rows is None else self._x[rows]
        self._columns = self._x if columns is None else self._x[columns]
        self._stored: Tensor | None = None
        self._kept: _Kept | None = None
        self._sums: Tensor | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def width(self) -> int:
        """The number of columns M."""
        return len(self._columns)

    @property
    def device(self) -> torch.device:
        """The device of the rows."""
        return self._x.features.sq_norms().device

    def rows(self, rows: Tensor | slice) -> Tensor:
        """Similarities of these rows to all columns, (B, M) float32; do not modify the result if ``rows`` is a slice."""
        if self._stored is not None:
            return self._stored[rows]
        if self._kept is None:
            return self.exact(rows).float()
        places = torch.arange(len(self), device=self.device)[rows] if isinstance(rows, slice) else rows
        return self._kept.rows(places, self.exact)

    def exact(self, rows: Tensor | slice) -> Tensor:
        """Similarities of these rows to all columns, (B, M) float64, never from the stored matrix."""
        return self._compute(self._rows[rows], self._columns)

    def of(self, points: Features) -> Tensor:
        """Similarities of points that are no rows of the matrix to all columns, (B, M) float64; they have no classes."""
        return self._compute(_Classed(self.kernel.prepare(points), None), self._columns)

    def disparities(self, rows: Tensor | slice, columns: Tensor | slice = slice(None)) -> Tensor:
        """The kernel's distances between these rows and columns, (B, M) float64; sqrt(2) between rows of different classes."""
        ours, theirs = self._rows[rows], self._columns[columns]
        distances = self.kernel.disparity(self.kernel.sq_dists(ours.features, theirs.features))
        alike = ours.alike(theirs)
        return distances if alike is None else distances.masked_fill_(~alike, 2**0.5)

    def diagonal(self) -> Tensor:
        """The similarity of each row to itself, (R,) float64."""
        return self.kernel.similarity(torch.zeros(len(self), dtype=torch.float64, device=self.device))

    def sums(self) -> Tensor:
        """The sum of each row of the matrix, (R,) float64, computed once; do not modify the result."""
        if self._sums is None:
            self._sums = self._filled(None)
        return self._sums

    def totals(self) -> Tensor:
        """The sum of each column's similarities to all N rows, also to rows that are not in the matrix, (M,) float64."""
        if self._rows is self._columns:
            return self.sums()
        parts = _cut(self.width, len(self._x))
        return torch.cat([self._compute(self._columns[part], self._x).sum(1) for part in parts])

    def blocks(self, rows: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Consecutive slices of ``rows``, each with its similarities (B, M) float32, which may be modified."""
        n_bytes = (
            BLOCK_BYTES if self._stored is None else BLOCK_BYTES // 8
        )  # small enough for the cache nearest to the core
        for part in _cut(len(rows), self.width, n_bytes):
            yield part, self.rows(rows[part]) if self._stored is None else self._stored.index_select(0, rows[part])

    def store(self) -> None:
        """Compute and keep the matrix and its row sums, if it fits into ``memory``; else keep the rows that are read last."""
        if self._stored is not None or self._kept is not None:
            return
        if 4 * len(self) * self.width > self.memory:
            self._kept = _Kept(len(self), self.width, self.memory, self.device)
            return
        matrix = torch.empty(len(self), self.width, device=self.device)
        self._sums = self._filled(matrix)
        self._stored = matrix

    def _filled(self, matrix: Tensor | None) -> Tensor:
        """Compute the row sums and fill ``matrix``, unless it is None; half of a symmetric matrix is computed."""
        sums = torch.zeros(len(self), dtype=torch.float64, device=self.device)
        symmetric = self._rows is self._columns
        for block in _cut(len(self), self.width):
            rest = slice(block.stop, None)
            part = self._compute(self._rows[block], self._columns[slice(block.start if symmetric else 0, None)])
            sums[block] += part.sum(1)
            if symmetric:
                sums[rest] += part[:, len(part) :].sum(0)
            if matrix is not None:
                matrix[block, -part.shape[1] :] = part
                if symmetric:
                    matrix[rest, block] = matrix[block, rest].T.contiguous()  # faster than a copy between strides
        return sums

    def _compute(self, rows: _Classed, columns: _Classed) -> Tensor:
        similar = self.kernel.similarity(self.kernel.sq_dists(rows.features, columns.features))
        alike = rows.alike(columns)
        return similar if alike is None else similar.mul_(alike)


class _Kept:
    """The latest rows that were read of a matrix, as many as fit into some memory.

    Why: lazy greedy reads the rows of the best candidates again and again, and a row of a wide matrix costs a pass over all
    columns. What it won: 300 picks of 3,000 among 50,000 rows of 64 numbers took 16.0 in place of 19.1 seconds of one
    processor. Delete it where the whole matrix always fits.

    Args:
        n_rows: Rows of the matrix.
        width: Its columns M.
        memory: Bytes that the rows may take.
        device: Where they are.
    """

    def __init__(self, n_rows: int, width: int, memory: int, device: torch.device) -> None:
        self._values = torch.empty(max(1, memory // (4 * width)), width, device=device)
        self._places = torch.full((n_rows,), -1, device=device)  # of each row in the values
        self._owners = torch.full((len(self._values),), -1, device=device)  # the row in each place
        self._next = 0

    def rows(self, rows: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """These distinct rows (B, M) float32, which may be modified; ``compute`` returns those that are not kept."""
        places = self._places[rows]
        lacking = places < 0
        if not bool(lacking.any()):
            return self._values.index_select(0, places)
        fresh = compute(rows[lacking]).float()
        found = fresh
        if len(fresh) < len(rows):
            found = fresh.new_empty(len(rows), fresh.shape[1])
            found[lacking], found[~lacking] = fresh, self._values.index_select(0, places[~lacking])
        self._keep(rows[lacking][-len(self._values) :], fresh[-len(self._values) :])
        return found

    def _keep(self, rows: Tensor, values: Tensor) -> None:
        """Keep these rows, which replace those that were kept first."""
        at = (torch.arange(len(rows), device=rows.device) + self._next) % len(self._values)
        old = self._owners[at]
        self._places[old[old >= 0]] = -1
        self._values[at], self._owners[at], self._places[rows] = values, rows, at
        self._next = (self._next + len(rows)) % len(self._values)


@dataclass(frozen=True, eq=False)
class _Classed:
    """Prepared rows and their classes; None for one class."""

    features: Features
    classes: Tensor | None

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Tensor | slice) -> _Classed:
        return _Classed(self.features[rows], None if self.classes is None else self.classes[rows])

    def alike(self, other: _Classed) -> Tensor | None:
        """Whether two rows have the same class, (N, M) bool; None if there is one class."""
        return None if self.classes is None or other.classes is None else self.classes[:, None] == other.classes


def cluster_sizes(x: Features, picks: Tensor, *, classes: Tensor | None = None, counts: Tensor | None = None) -> Tensor:
    """Number of rows that each pick represents, (n,): every row counts for its nearest pick, and a pick counts for itself.

    The weights of CRAIG (Mirzasoleiman et al. 2020, algorithm 1). With them, the weighted sum of the picks differs from the sum of
    all rows by at most the sum of the rows' distances to their picks.

    Args:
        x: N rows.
        picks: Distinct rows, (n,).
        classes: The class of each row, (N,) int64: a row then counts for the nearest pick of its class, if there is one.
        counts: Weight of each row, (N,); default: 1.

    Returns:
        Weights of the picks, (n,) float64, with the sum N or the sum of ``counts``; ties go to the first pick.

    Cost: N n distances, in blocks.
    """
    kernel = Closeness(0.0, center_of(x), _exponents(x))
    rows = kernel.prepare(x)
    chosen = rows[picks]
    nearest = torch.empty(len(x), dtype=torch.long, device=picks.device)
    for block in _cut(len(x), len(picks)):
        dists = _sq_dists(rows[block], chosen)
        if classes is not None:
            apart = classes[block][:, None] != classes[picks][None, :]
            dists.masked_fill_(apart & ~apart.all(1, keepdim=True), torch.inf)
        nearest[block] = dists.argmin(1)
    nearest[picks] = torch.arange(len(picks), device=picks.device)
    weights = torch.ones_like(nearest, dtype=torch.float64) if counts is None else counts.double()
    return torch.zeros_like(picks, dtype=torch.float64).index_add_(0, nearest, weights)


def _cut(n_rows: int, n_columns: int, n_bytes: int | None = None) -> Iterator[slice]:
    """Slices of rows whose float64 similarities to the columns take about ``n_bytes``, or up to four times that if rows are wide.

    Each slice has at least 16 rows: products of fewer rows are slow, and those of 64 rows are faster than those of 16.
    """
    step = (n_bytes or BLOCK_BYTES) // (8 * max(1, n_columns))
    step = max(16, step, min(64, 4 * step))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def _sq_dists(x: Features, y: Features) -> Tensor:
    """Squared distances of prepared rows, (B, M) float64, 0 where they are lost in rounding."""
    norms = x.sq_norms()[:, None]
    dists, lost = x.inner(y).mul_(-2).add_(norms).add_(y.sq_norms()), norms * (2 * _EQUAL)
    # Most blocks have no such pair, and one minimum is much faster than a mask.
    if dists.numel() and not float(dists.amin()) > float(lost.amax()):
        dists.masked_fill_(dists <= lost, 0)
    return dists


def center_of(x: Features) -> Tensor | None:
    """The mean of dense rows, (D,) float64, exactly the first row if all are equal; None for factored rows."""
    if not isinstance(x, Dense) or not len(x):
        return None
    part = 0.5 ** (len(x).bit_length() + 1)  # of each number: sums of the largest ones are finite too
    first = x.x[0].double() * part
    total = torch.zeros_like(first)
    for block in x.blocks():
        total += (x.x[block].double() * part - first).sum(0)
    return x.x[0].double() + total / len(x) / part


def _exponents(x: Features) -> tuple[int, ...]:
    """The scale at which rows are compared."""
    return x.exponents() if len(x) else ()


def _prepared(x: Features, center: Tensor | None, exponents: tuple[int, ...]) -> Features:
    """Centered and scaled rows in float64, with their norms."""
    rows = x.double()
    if not isinstance(rows, Dense) or center is None:
        return (rows.scaled(exponents) if any(exponents) else rows).with_norms()
    if any(exponents):  # first: differences of the largest numbers are infinite
        rows, center = rows.scaled(exponents), times_two_to(center, -exponents[0])
    centered = torch.sub(rows.x, center, out=torch.empty_like(rows.x) if rows.x is x.dense() else rows.x)
    return Dense(
        centered, torch.linalg.vector_norm(centered, dim=1).square_()
    )  # several times faster than ``with_norms``

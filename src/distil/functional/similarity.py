"""How alike two rows are: kernels, and the matrix of all pairs, which is stored only while it is small."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import threshold

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES, Dense, Features

# A matrix of all pairs is stored only while it takes no more bytes than this.
MEMORY = 400 << 20

# The scale of a kernel is taken from at most this many rows, and the pairs among them.
REFERENCE_ROWS = 1000

# Rows whose squared distance is below this share of |x|^2 + |y|^2 coincide: float64 products say no more of float32 data.
_EQUAL = 1e-13


class Kernel(ABC):
    """A similarity of two rows: never negative, larger is more alike, 1 (or the largest there is) between equal rows.

    Everything is a function of one squared distance in float64, so that near-ties differ from ties.
    """

    @abstractmethod
    def prepare(self, x: Features) -> Features:
        """The rows as ``sq_dists`` wants them: in float64, with their norms."""

    @abstractmethod
    def sq_dists(self, x: Features, y: Features) -> Tensor:
        """Squared distances of prepared rows, (B, M) float64; exactly 0 between equal rows."""

    @abstractmethod
    def similarity(self, sq_dists: Tensor) -> Tensor:
        """The similarity at these squared distances, which it may overwrite."""

    @abstractmethod
    def disparity(self, sq_dists: Tensor) -> Tensor:
        """The distance that belongs to the kernel, unsquared, a metric; it may overwrite the squared ones."""


@dataclass(frozen=True, eq=False)
class RBF(Kernel):
    """exp(-gamma |x - y|^2).

    Attributes:
        gamma: 1 / (2 s^2) for the length scale s; 0 makes all rows alike.
        center: Subtracted from dense rows, (D,): distances do not change, and cancel less.
    """

    gamma: float
    center: Tensor | None = None

    def prepare(self, x: Features) -> Features:
        """Centered rows."""
        return _centered(x, self.center)

    def sq_dists(self, x: Features, y: Features) -> Tensor:
        """|x - y|^2."""
        return _sq_dists(x, y)

    def similarity(self, sq_dists: Tensor) -> Tensor:
        """Between 0 and 1."""
        return sq_dists.mul_(-self.gamma).exp_()

    def disparity(self, sq_dists: Tensor) -> Tensor:
        """The distance in the kernel's space, sqrt(2 - 2 k), between 0 and sqrt(2); exact for near rows."""
        return sq_dists.mul_(-self.gamma).expm1_().mul_(-2).sqrt_()


@dataclass(frozen=True, eq=False)
class Cosine(Kernel):
    """(1 + cos(x, y)) / 2, between 0 (opposite) and 1; a zero row is alike to zero rows only, and at a right angle to the rest.

    Mapped, not cut at 0: cutting would make opposite rows no less alike than unrelated ones, and the matrix indefinite.
    """

    def prepare(self, x: Features) -> Features:
        """Rows with their norms."""
        return x.double().with_norms()

    def sq_dists(self, x: Features, y: Features) -> Tensor:
        """|x/|x| - y/|y||^2 = 2 - 2 cos, between 0 and 4."""
        norms, others = x.sq_norms().sqrt()[:, None], y.sq_norms().sqrt()[None, :]
        least = torch.finfo(torch.float64).tiny
        dists = x.inner(y).mul_(-2 / norms.clamp_min(least)).mul_(1 / others.clamp_min(least)).add_(2).clamp_max_(4)
        threshold(dists, 2 * _EQUAL, 0, inplace=True)
        return dists if bool(norms.all()) else dists.masked_fill_((norms == 0) & (others == 0), 0)

    def similarity(self, sq_dists: Tensor) -> Tensor:
        """Between 0 and 1."""
        return sq_dists.mul_(-1 / 4).add_(1)

    def disparity(self, sq_dists: Tensor) -> Tensor:
        """The distance in the kernel's space, sqrt(1 - cos), between 0 and sqrt(2)."""
        return sq_dists.div_(2).sqrt_()


@dataclass(frozen=True, eq=False)
class Closeness(Kernel):
    """top - |x - y|, the distance not squared (Mirzasoleiman et al. 2020).

    Attributes:
        top: The largest distance there is.
        center: Subtracted from dense rows, (D,).
    """

    top: float
    center: Tensor | None = None

    def prepare(self, x: Features) -> Features:
        """Centered rows."""
        return _centered(x, self.center)

    def sq_dists(self, x: Features, y: Features) -> Tensor:
        """|x - y|^2."""
        return _sq_dists(x, y)

    def similarity(self, sq_dists: Tensor) -> Tensor:
        """Between 0 and ``top``."""
        return sq_dists.sqrt_().neg_().add_(self.top).clamp_min_(0)

    def disparity(self, sq_dists: Tensor) -> Tensor:
        """|x - y|."""
        return sq_dists.sqrt_()


def rbf(x: Features, gamma: float | None = None) -> RBF:
    """The Gaussian kernel of a set of rows, one scale for all of them.

    By default gamma = 1 / (2 m) with m the median of the positive squared distances between pairs of at most 1,000 rows, evenly
    spaced (all of them up to 1,000): two rows at the median distance then have similarity exp(-1/2), whatever the unit
    of the data. Should these rows all be equal, m is the median of all rows' positive squared distances to the first; should all
    rows be equal, gamma is 0 and everything is alike. (A fixed gamma of 1 underflows as soon as distances are large, and every row
    is then similar to itself alone.)

    Args:
        x: N rows.
        gamma: Above 0; exp(-gamma |x - y|^2) exactly. 1 is the kernel of DISTIL 0.1.

    Raises:
        InvalidInput: A gamma that is not above 0.

    Cost: at most 1,000^2 distances.
    """
    center = _center(x)
    if gamma is not None:
        if not (math.isfinite(gamma) and gamma > 0):
            raise InvalidInput(f"gamma must be above 0, got {gamma!r}; leave it out for a scale from the data")
        return RBF(float(gamma), center)
    rows = _centered(x[reference(len(x))], center)
    dists = _sq_dists(rows, rows)[tuple(torch.triu_indices(len(rows), len(rows), 1))]
    if not bool(dists.any()):
        dists = _sq_dists(_centered(x, center), rows[slice(0, 1)])[:, 0]
    positive = dists[dists > 0]
    return RBF(1 / (2 * float(positive.median())) if len(positive) else 0.0, center)


def cosine() -> Cosine:
    """The cosine kernel; it has no scale."""
    return Cosine()


def closeness(x: Features, top: float | None = None) -> Closeness:
    """A number that no distance exceeds, less the distance: the similarity of CRAIG.

    Which rows facility location picks does not depend on the number, unless rows of some classes have nothing in common.

    Args:
        x: N rows.
        top: The number; default: twice the largest distance to the first row, which is at most twice the diameter.
    """
    kernel = Closeness(0.0 if top is None else top, _center(x))
    if top is not None or not len(x):
        return kernel
    rows = kernel.prepare(x)
    return Closeness(2 * float(_sq_dists(rows, rows[slice(0, 1)]).max()) ** 0.5, kernel.center)


def diameter(x: Features) -> float:
    """The largest distance between two rows. Cost: all N^2 / 2 distances, in blocks."""
    rows = _centered(x, _center(x))
    tops = [_sq_dists(rows[block], rows[slice(block.start, None)]).max() for block in _cut(len(x), len(x))]
    return float(torch.stack(tops).max()) ** 0.5 if tops else 0.0


def reference(n_rows: int) -> Tensor:
    """At most 1,000 rows, evenly spaced from the first to the last: who stands for all where pairs would be too many."""
    n = min(n_rows, REFERENCE_ROWS)
    return torch.linspace(0, max(0, n_rows - 1), n, dtype=torch.float64).round().long()


class Similarity:
    """The similarities of N rows to one another, or of some of them to some of them, block by block.

    They are computed in float64 from the rows, so that equal rows have equal similarities, and handed out in float32. An
    objective that reads the matrix again and again calls ``store``, which keeps it if it fits the bound on memory;
    otherwise every call computes its block anew, and the answers are the same.

    Args:
        x: N rows; factored rows stay factored. A float64 copy of them is kept.
        kernel: What alike means.
        classes: The class of each row, (N,); similarities between classes are then 0.
        rows: Which of the N are the rows of the matrix, (R,): those that may be picked; default: all.
        columns: Which of the N are its columns, (M,): those that are to be stood for; default: all.
        memory: Bytes that the stored matrix may take; it takes 4 R M.
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
            raise InvalidInput(f"classes must be one for each of the {len(x)} rows, got {tuple(classes.shape)}")
        self.kernel = kernel
        self.memory = memory
        self._x = _Classed(kernel.prepare(x), classes)
        self._rows = self._x if rows is None else self._x[rows]
        self._columns = self._x if columns is None else self._x[columns]
        self._stored: Tensor | None = None
        self._sums: Tensor | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def width(self) -> int:
        """M, the number of columns."""
        return len(self._columns)

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self._x.features.sq_norms().device

    def rows(self, rows: Tensor | slice) -> Tensor:
        """Similarities of these rows to all, (B, M) float32, not to be changed if ``rows`` is a slice."""
        return self.exact(rows).float() if self._stored is None else self._stored[rows]

    def exact(self, rows: Tensor | slice) -> Tensor:
        """Similarities of these rows to all, (B, M) float64, never from the store."""
        return self._compute(self._rows[rows], self._columns)

    def disparities(self, rows: Tensor | slice, columns: Tensor | slice = slice(None)) -> Tensor:
        """The kernel's distances between these rows and those, (B, M) float64; rows of other classes are as far as strangers."""
        ours, theirs = self._rows[rows], self._columns[columns]
        distances = self.kernel.disparity(self.kernel.sq_dists(ours.features, theirs.features))
        alike = ours.alike(theirs)
        return distances if alike is None else distances.masked_fill_(~alike, 2**0.5)

    def diagonal(self) -> Tensor:
        """The similarity of each row to itself, (R,) float64: the largest there is."""
        return self.kernel.similarity(torch.zeros(len(self), dtype=torch.float64, device=self.device))

    def sums(self) -> Tensor:
        """The sum of each row of the matrix, (R,) float64, kept; not to be changed."""
        if self._sums is None:
            self._sums = self._filled(None)
        return self._sums

    def totals(self) -> Tensor:
        """The sum of each column's similarities to all N rows, whichever are the matrix's: (M,) float64."""
        if self._rows is self._columns:
            return self.sums()
        parts = _cut(self.width, len(self._x))
        return torch.cat([self._compute(self._columns[part], self._x).sum(1) for part in parts])

    def blocks(self, rows: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Consecutive parts of ``rows``, as slices of it, each with its similarities (B, M) float32, free to be changed."""
        n_bytes = BLOCK_BYTES if self._stored is None else BLOCK_BYTES // 8  # to stay in the cache nearest to the core
        for part in _cut(len(rows), self.width, n_bytes):
            yield part, self.rows(rows[part]) if self._stored is None else self._stored.index_select(0, rows[part])

    def store(self) -> None:
        """Keep the whole matrix from here on, if it fits; its sums come with it."""
        if self._stored is None and 4 * len(self) * self.width <= self.memory:
            matrix = torch.empty(len(self), self.width, device=self.device)
            self._sums = self._filled(matrix)
            self._stored = matrix

    def _filled(self, matrix: Tensor | None) -> Tensor:
        """The sums; on the way the matrix is written, if there is one. Of a symmetric one only half is computed."""
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
                    matrix[rest, block] = matrix[block, rest].T.contiguous()  # fast, unlike a copy between strides
        return sums

    def _compute(self, rows: _Classed, columns: _Classed) -> Tensor:
        similar = self.kernel.similarity(self.kernel.sq_dists(rows.features, columns.features))
        alike = rows.alike(columns)
        return similar if alike is None else similar.mul_(alike)


@dataclass(frozen=True, eq=False)
class _Classed:
    """Prepared rows, and the class of each if they have one."""

    features: Features
    classes: Tensor | None

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Tensor | slice) -> _Classed:
        return _Classed(self.features[rows], None if self.classes is None else self.classes[rows])

    def alike(self, other: _Classed) -> Tensor | None:
        """Whether classes are the same, (N, M)."""
        return None if self.classes is None or other.classes is None else self.classes[:, None] == other.classes


def cluster_sizes(x: Features, picks: Tensor, *, classes: Tensor | None = None, counts: Tensor | None = None) -> Tensor:
    """How many rows each pick stands for: every row counts for the pick nearest to it, and a pick for itself.

    The weights of CRAIG (Mirzasoleiman et al. 2020, algorithm 1): with them the sum over the picks differs from the sum over all
    rows by no more than the sum of the rows' distances to their picks.

    Args:
        x: N rows.
        picks: n distinct rows.
        classes: The class of each row, (N,): a row then counts for the nearest pick of its class, if there is one.
        counts: How much each row counts, (N,); default: 1.

    Returns:
        (n,) float64 that sum to N, or to the counts; rows equally near to several picks count for the first of them.

    Cost: N n distances, in blocks.
    """
    kernel = Closeness(0.0, _center(x))
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
    """Blocks of rows whose float64 matrix against the columns is about a block's bytes; of wide ones up to four times that.

    At least 16 rows: products of fewer are slow, and of 64 still faster than of 16.
    """
    step = (n_bytes or BLOCK_BYTES) // (8 * max(1, n_columns))
    step = max(16, step, min(64, 4 * step))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def _sq_dists(x: Features, y: Features) -> Tensor:
    """Squared distances of prepared rows, (B, M) float64, 0 where they vanish in rounding."""
    norms = x.sq_norms()[:, None]
    dists = x.inner(y).mul_(-2).add_(norms).add_(y.sq_norms())
    return dists.masked_fill_(dists <= norms * (2 * _EQUAL), 0)


def _center(x: Features) -> Tensor | None:
    """The mean of dense rows, (D,) float64; exactly the row when all are equal. Factored rows have none."""
    if not isinstance(x, Dense) or not len(x):
        return None
    first = x.x[0].double()
    total = torch.zeros_like(first)
    for block in x.blocks():
        total += (x.x[block].double() - first).sum(0)
    return first + total / len(x)


def _centered(x: Features, center: Tensor | None) -> Features:
    rows = x.double()
    if isinstance(rows, Dense) and center is not None:
        rows = Dense(rows.x - center)
    return rows.with_norms()

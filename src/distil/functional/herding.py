"""Herding: pick the rows whose neighborhoods hold most of what is not yet represented."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.components import Components
from distil.functional.features import BLOCK_BYTES, Dense, Features
from distil.functional.gains import RowsWithGains
from distil.functional.greedy import lazy_greedy
from distil.functional.scale import number_times_two_to, to_unit, unit_rows
from distil.functional.similarity import MEMORY, RBF, center_of, rbf
from distil.functional.submodular import ROUNDING, Objective
from distil.functional.weighted_rows import canonical_blocks

# Candidates that are compared with a block of rows at once.
_AT_ONCE = 256


def herding(
    x: Tensor,
    n: int,
    width: float,
    *,
    weights: Tensor | None = None,
    labeled: Tensor | None = None,
    candidates: Tensor | None = None,
) -> RowsWithGains:
    """Pick rows one by one, each the one that raises the generalized coverage of all rows most.

    The coverage of a set A is sum_v w_v max_{a in A} k(v, a) with k(v, a) = exp(-|v - a|^2 / width^2), where A starts with the
    labeled rows. It is the objective of MaxHerding (Bae, Noh and Sutherland 2024, equation 4) and, with uncertainties as weights,
    of uncertainty herding (Bae, Oliveira and Sutherland 2025, equation 2), here as a sum over the rows rather than their mean. It
    is monotone submodular, so greedy reaches at least 1 - 1/e of the best; lazy evaluation gives the same rows.

    Args:
        x: Rows to represent, (N, D), finite.
        n: Number of rows to pick.
        width: Width of the kernel, above 0, in the unit of the rows.
        weights: How much it counts that a row is represented, (N,), finite and not negative, in any unit; default: the same for
            each. Weights that are all 0 count as equal.
        labeled: Rows that are labeled already, (M, D); default: none.
        candidates: Distinct rows that may be picked, (R,), the first of equals first; default: all.

    Returns:
        ``n`` rows in pick order and what each added to the coverage, in units of the largest weight. When every row is
        represented, the picks start again as if there were no labels, with gains of 0.

    Raises:
        InvalidInput: ``n``, ``width`` or ``weights`` is out of range.

    Cost: O(N (R + M) D) time, then O(N) for some tens of candidates a pick; N R similarities in memory if they fit into 400 MB,
    otherwise blocks, and the rows are compared with candidates again.

    >>> herding(torch.tensor([[0.0], [0.1], [0.2], [5.0]]), 2, 1.0).rows.tolist()
    [1, 3]
    """
    candidates = torch.arange(len(x), device=x.device) if candidates is None else candidates
    rows = RepresentedRows(Dense(x), weights=weights, memory=MEMORY)
    labeled = x[:0] if labeled is None else labeled
    e = max(rows.exponent(), *Dense(labeled).exponents()) if len(labeled) else rows.exponent()
    low, high = rows.weight_range()
    rows.begin(Comparison(gaussian(x, width, e)), x[candidates], labeled, high if low < high else None)
    found = lazy_greedy(Coverage(rows, len(candidates), x.device), n)
    return RowsWithGains(candidates[found.rows], found.gains)


def gaussian(rows: Tensor, width: float, e: int) -> RBF:
    """The kernel exp(-d^2 / width^2) for a pool.

    Args:
        rows: Some rows of the pool, (S, D), near whose mean distances lose few digits.
        width: Its width, above 0, in the unit of the rows.
        e: Rows are compared at 2^-e times their scale.

    Raises:
        InvalidInput: ``width`` is out of range.
    """
    if not width > 0:
        raise InvalidInput(f"width must be above 0, got {width}")
    return RBF(_gamma(width, e), center_of(Dense(rows)), (e,) if e else ())


@dataclass(frozen=True, eq=False)
class Comparison:
    """How rows are compared.

    Attributes:
        kernel: The kernel, of the rows, or of their components.
        components: Principal components that take the place of the rows; None: they are compared as they are.
    """

    kernel: RBF
    components: Components | None = None

    def prepare(self, rows: Tensor) -> Features:
        """Rows (B, D) in the form that the kernel compares."""
        return self.kernel.prepare(Dense(rows if self.components is None else self.components.of(rows)))


class Represented(ABC):
    """N rows, in one place or in several, each with its similarity to the most similar of the rows that represent it.

    Rows have keys, by which the first of equal candidates is picked.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def first(self, n: int) -> Tensor:
        """The rows of the n smallest keys in the order of these, (n, D)."""

    @abstractmethod
    def exponent(self) -> int:
        """The power of two that the largest number of the rows is near; 0 where that is near 1."""

    @abstractmethod
    def weight_range(self) -> tuple[float, float]:
        """The smallest and the largest weight of a row; equal where there are no weights."""

    @abstractmethod
    def begin(self, comparison: Comparison, candidates: Tensor, labeled: Tensor, unit: float | None) -> Tensor:
        """Begin with the labeled rows; the sums of the weights of each block, (blocks,) float64.

        Args:
            comparison: How rows are compared.
            candidates: The rows that may be picked, (R, D).
            labeled: The rows that represent others from the start, (M, D).
            unit: The unit of the weights; None: each row counts as 1.
        """

    @abstractmethod
    def gains(self, candidates: Tensor) -> Tensor:
        """What each of these candidates (B,) would add to the coverage of each block, (blocks, B) float64."""

    @abstractmethod
    def include(self, candidate: int) -> None:
        """Let a candidate represent rows."""

    @abstractmethod
    def forget(self) -> None:
        """Let nothing represent the rows."""


@dataclass(eq=False)
class _Block:
    """Rows of one canonical block.

    Attributes:
        rows: The rows, ascending by id.
        best: The similarity of each to the most similar row that represents it, (B,) float32.
        weights: Their weights, (B,) float32; None: 1 each.
        prepared: The rows as the kernel compares them; None: they are read and prepared whenever they are used.
        similar: Their similarities to all candidates, (R, B) float32; None: they are computed whenever they are used.
    """

    rows: Tensor | slice
    best: Tensor
    weights: Tensor | None = None
    prepared: Features | None = None
    similar: Tensor | None = None


class RepresentedRows(Represented):
    """Rows in one place.

    Similarities are computed in float64 for the rows of one block of 4,096 ids at a time, and stored in float32; sums run over the
    rows of a block in the order of their ids. So neither depends on where the rows are.

    Args:
        x: The rows.
        ids: Their ids, (N,); None: 0, 1, ..., N - 1.
        keys: Their keys, (N,), distinct; None: their ids.
        weights: How much it counts that a row is represented, (N,), finite and not negative; None: 1 each.
        unit_length: Whether rows are scaled to length 1 first.
        memory: Bytes of similarities, or else of prepared rows, that may be kept.
        column: Makes the array that principal components are kept in, from its shape and ``dtype``.

    Attributes:
        keys: The keys.

    Raises:
        InvalidInput: ``weights`` are out of range.
    """

    def __init__(
        self,
        x: Features,
        *,
        ids: Tensor | None = None,
        keys: Tensor | None = None,
        weights: Tensor | None = None,
        unit_length: bool = False,
        memory: int = MEMORY,
        column: Callable[..., Tensor] = torch.empty,
    ) -> None:
        if weights is not None and len(weights):
            low, high = float(weights.min()), float(weights.max())
            if not (low >= 0 and high < float("inf")):
                raise InvalidInput(f"weights must be finite and at least 0, got numbers from {low} to {high}")
        self._x = x
        self._ids = torch.arange(len(x)) if ids is None else ids
        self.keys = self._ids if keys is None else keys
        self._weights = weights
        self._unit_length = unit_length
        self._memory = memory
        self._column = column

    def __len__(self) -> int:
        return len(self._x)

    def first_rows(self, n: int) -> Tensor:
        """The numbers of the rows of the n smallest keys, in the order of these."""
        return self.keys.topk(n, largest=False).indices

    def first(self, n: int) -> Tensor:
        """See ``Represented.first``."""
        return self.read(self.first_rows(n))

    def read(self, rows: Tensor | slice) -> Tensor:
        """Rows as they are given, or of unit length."""
        found = self._x[rows].dense()
        return unit_rows(found) if self._unit_length else found

    def exponent(self) -> int:
        """See ``Represented.exponent``."""
        return 0 if self._unit_length or not len(self) else self._x.exponents()[0]

    def weight_range(self) -> tuple[float, float]:
        """See ``Represented.weight_range``."""
        if self._weights is None or not len(self):
            return 1.0, 1.0
        return float(self._weights.min()), float(self._weights.max())

    def begin(self, comparison: Comparison, candidates: Tensor, labeled: Tensor, unit: float | None) -> Tensor:
        """See ``Represented.begin``."""
        self._comparison, self._points = comparison, comparison.prepare(candidates)
        self._blocks = [
            _Block(rows, candidates.new_zeros(_size(rows), dtype=torch.float32)) for rows in self._divided()
        ]
        if self._weights is not None and unit is not None:
            for block in self._blocks:
                block.weights = (self._weights[block.rows].double() / unit).float()
        self._fresh: list[int] = []
        self._keep()
        if len(labeled):
            known = comparison.prepare(labeled)
            for block in self._blocks:
                block.best = self._nearest(block, known)
        sums = [
            torch.tensor(float(len(block.best))) if block.weights is None else block.weights.double().sum()
            for block in self._blocks
        ]
        return torch.tensor([float(each) for each in sums], dtype=torch.float64)

    def gains(self, candidates: Tensor) -> Tensor:
        """See ``Represented.gains``."""
        found = torch.empty(len(self._blocks), len(candidates), dtype=torch.float64, device=candidates.device)
        fresh = len(self._fresh)
        asked = torch.cat([candidates.new_tensor(self._fresh), candidates])  # together: rows of a block are read once
        for sums, block in zip(found, self._blocks, strict=True):
            similar = self._similarities(block)
            for start in range(0, len(asked), _AT_ONCE):
                terms = similar(asked[start : start + _AT_ONCE])
                new = max(0, fresh - start)
                if new:
                    torch.maximum(block.best, terms[:new].amax(0), out=block.best)
                terms = terms[new:].sub_(block.best).clamp_min_(0)
                if block.weights is not None:
                    terms.mul_(block.weights)
                first = start + new - fresh
                sums[first : first + len(terms)] = terms.double().sum(1)
        self._fresh = []
        return found

    def include(self, candidate: int) -> None:
        """See ``Represented.include``. It is compared with the rows when gains are asked for: then rows are read anyway."""
        self._fresh.append(candidate)

    def forget(self) -> None:
        """See ``Represented.forget``."""
        self._fresh = []
        for block in self._blocks:
            block.best.zero_()

    def _divided(self) -> Iterator[Tensor | slice]:
        """The rows of each canonical block."""
        ascending = bool((self._ids.diff() > 0).all())
        order = None if ascending else self._ids.argsort()
        start = 0
        for block in canonical_blocks(self._ids if order is None else self._ids[order]):
            end = start + len(block)
            yield slice(start, end) if order is None else order[start:end]
            start = end

    def _keep(self) -> None:
        """Keep what is read again and again, and fits: all similarities, or else prepared rows; components in any case."""
        components = self._comparison.components
        if components is not None:
            kind = components.of(self.read(slice(0, 0))).dtype
            short = self._column(len(self), components.axes.shape[1], dtype=kind)
            for block in self._blocks:
                short[block.rows] = components.of(self.read(block.rows))
            self._x, self._unit_length = Dense(short), False
            self._comparison = Comparison(self._comparison.kernel)
        whole = 4 * len(self._points) * len(self) <= self._memory
        left = self._memory // self._points.row_bytes()
        for block in self._blocks:
            left -= len(block.best)
            if whole:
                block.similar = block.best.new_empty(len(self._points), len(block.best))
                similarities = self._similarities(replace(block, similar=None))
                for part in torch.arange(len(self._points), device=block.best.device).split(_AT_ONCE):
                    block.similar[part] = similarities(part)
            elif left >= 0:
                block.prepared = self._prepared(block)

    def _prepared(self, block: _Block) -> Features:
        """The rows of a block as the kernel compares them."""
        return self._comparison.prepare(self.read(block.rows)) if block.prepared is None else block.prepared

    def _similarities(self, block: _Block) -> Callable[[Tensor], Tensor]:
        """A function from candidates (C,) to their similarities to the rows of a block, (C, B) float32."""
        if block.similar is not None:
            return partial(block.similar.index_select, 0)
        kernel, rows = self._comparison.kernel, self._prepared(block)
        return lambda candidates: kernel.similarity(kernel.sq_dists(self._points[candidates], rows)).float()

    def _nearest(self, block: _Block, known: Features) -> Tensor:
        """The similarity of each row of a block to the most similar of some prepared rows, (B,) float32."""
        kernel, rows = self._comparison.kernel, self._prepared(block)
        parts = torch.arange(len(known), device=block.best.device).split(_AT_ONCE)
        nearest = torch.stack([kernel.sq_dists(known[part], rows).amin(0) for part in parts]).amin(0)
        return kernel.similarity(nearest).float()


class Coverage(Objective):
    """The generalized coverage of rows by candidates, see ``herding``.

    Args:
        rows: The rows, which have begun with their labels.
        n_candidates: Number of candidates.
        device: Their device.
    """

    submodular = True

    def __init__(self, rows: Represented, n_candidates: int, device: torch.device | None = None) -> None:
        super().__init__(device or torch.device("cpu"))
        self._rows = rows
        self._size = n_candidates

    def __len__(self) -> int:
        return self._size

    def gain(self, rows: Tensor) -> Tensor:
        """Gains of candidates, (B,) float64; sums over blocks are added in the order of their ids."""
        return self._rows.gains(rows).sum(0)

    def exhausted(self, best: float) -> bool:
        """True once every row equals a pick, up to rounding."""
        return best <= ROUNDING

    def include(self, row: int) -> None:
        """Let a candidate represent rows."""
        self._rows.include(row)

    def forget(self) -> None:
        """Let nothing represent the rows, not even those that did from the start."""
        self._rows.forget()


def coverage(
    x: Tensor, sets: Sequence[Tensor], width: float, *, weights: Tensor | None = None, labeled: Tensor | None = None
) -> Tensor:
    """The generalized coverage of rows by each of several sets together with the labeled rows, as in ``herding``.

    It is a sum over the rows, so the coverage of a pool is the sum of those of its parts.

    Args:
        x: Rows to represent, (N, D), finite.
        sets: The rows of each set, (n, D).
        width: Width of the kernel, above 0, in the unit of the rows.
        weights: How much it counts that a row is represented, (N,); default: 1 for each. Here they are not divided by the largest.
        labeled: Rows that are labeled already, (M, D); default: none.

    Returns:
        (S,) float64, one number for each set.

    Cost: O(N (n S + M) D) time, memory of a block.

    >>> coverage(torch.tensor([[0.0], [1.0]]), [torch.tensor([[0.0]])], 1.0)
    tensor([1.3679], dtype=torch.float64)
    """
    (x, labeled, *sets), e = to_unit(x, x[:0] if labeled is None else labeled, *sets)
    kernel = rbf(Dense(x), _gamma(width, e))
    known, points = kernel.prepare(Dense(labeled)), [kernel.prepare(Dense(each)) for each in sets]
    total = torch.zeros(len(sets), dtype=torch.float64, device=x.device)
    largest = max([len(labeled), 1, *map(len, sets)])
    for part in torch.arange(len(x), device=x.device).split(max(1, BLOCK_BYTES // (8 * largest))):
        rows = kernel.prepare(Dense(x[part]))
        first = kernel.sq_dists(rows, known).min(1).values if len(labeled) else torch.inf
        nearest = torch.stack([kernel.sq_dists(rows, each).min(1).values.clamp_max(first) for each in points])
        covered = kernel.similarity(nearest)
        total += covered.sum(1) if weights is None else covered @ weights[part].double()
    return total


def neighbor_width(x: Tensor, k: int, rows: Tensor | None = None) -> float:
    """The median distance to the k-th nearest row among rows that differ: a width for ``herding``.

    Duplicates do not count as neighbors, because a pool in which every row occurs five times would have the width 0.

    Args:
        x: Rows, (N, D), finite.
        k: Number of neighbors, from 1. Rows with fewer neighbors count with their farthest one.
        rows: The rows whose distances decide, (B,); default: all.

    Returns:
        The width, in the unit of the rows; 1 if all rows are equal.

    Cost: O(B N D) time, memory of a block.
    """
    (x,), e = to_unit(x)
    kernel = rbf(Dense(x), 1.0)
    rows = torch.arange(len(x), device=x.device) if rows is None else rows
    points = kernel.prepare(Dense(x))
    found = [
        _kth_positive(kernel.sq_dists(points[part], points), min(k, len(x)))
        for part in rows.split(max(1, BLOCK_BYTES // (8 * len(x))))
    ]
    kth = torch.cat(found)
    kth = kth[kth > 0]
    return number_times_two_to(float(kth.median()) ** 0.5, e) if len(kth) else 1.0


def least_distance(x: Tensor) -> float:
    """The smallest distance between rows that differ, in the unit of the rows; 1 where all rows are equal or there are none.

    Cost: O(N^2 D) time, memory of a block.

    >>> least_distance(torch.tensor([[0.0], [0.0], [3.0], [5.0]]))
    2.0
    """
    if not len(x):
        return 1.0
    (x,), e = to_unit(x)
    kernel = rbf(Dense(x), 1.0)
    points = kernel.prepare(Dense(x))
    parts = torch.arange(len(x), device=x.device).split(max(1, BLOCK_BYTES // (8 * len(x))))
    nearest = torch.cat([_kth_positive(kernel.sq_dists(points[part], points), 1) for part in parts])
    nearest = nearest[nearest > 0]
    return number_times_two_to(float(nearest.min()) ** 0.5, e) if len(nearest) else 1.0


def _gamma(width: float, e: int) -> float:
    """The gamma of the kernel of this width for rows times 2^-e; never 0."""
    return max(number_times_two_to(width, -e) ** -2, 5e-324)


def _kth_positive(sq_dists: Tensor, k: int) -> Tensor:
    """The k-th smallest number above 0 of each row (B, M), else the largest, (B,)."""
    positive = sq_dists.masked_fill(sq_dists == 0, torch.inf)
    kth = positive.kthvalue(k, dim=1).values
    return torch.where(kth.isinf(), sq_dists.max(1).values, kth)


def _size(rows: Tensor | slice) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)

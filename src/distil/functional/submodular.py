"""Set functions that reward rows for covering the others or for differing from one another, computed one row at a time.

The greedy maximizers of ``distil.functional.greedy`` maximize them. Functions of similarities accept the kernels ``rbf`` and
``cosine``; facility location, graph cut and saturated coverage accept any similarities that are not negative.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from distil.errors import InvalidInput, UnknownName, nearest
from distil.functional.features import BLOCK_BYTES, Features
from distil.functional.similarity import REFERENCE_ROWS, Kernel, Similarity, reference

# Similarities whose difference is below this share of the largest one are equal in float32.
ROUNDING = 2.0**-22


class Objective(ABC):
    """A function f of sets A of rows, with f(empty) = 0, and the current set A.

    Attributes:
        submodular: Whether a row's gain never rises while other rows are added; lazy greedy relies on this.
        first: The row to pick first where all single rows have the same value; None: the row of largest gain.
        device: The device of the rows and the gains.
        picks: The rows of A in the order in which they were added.
        value: The value f(A).
    """

    submodular: ClassVar[bool]
    first: int | None = None

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.picks: list[int] = []
        self.value = 0.0

    def add(self, row: int, gain: float | None = None) -> None:
        """Add a row to A; it must not be in A yet. ``gain`` is its gain, if that is known."""
        self.value += float(self.gain(torch.tensor([row], device=self.device))[0]) if gain is None else gain
        self.include(row)
        self.picks.append(row)

    def clear(self) -> None:
        """Remove all rows from A."""
        self.picks, self.value = [], 0.0
        self.forget()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def gain(self, rows: Tensor) -> Tensor:
        """Gains f(A + x) - f(A) of the rows x in ``rows``, none of them in A, (B,) float64."""

    @abstractmethod
    def exhausted(self, best: float) -> bool:
        """Whether A, which is not empty, already covers every row left, where ``best`` is the largest gain."""

    @abstractmethod
    def include(self, row: int) -> None:
        """Update the state that ``gain`` reads by a new row; called by ``add``."""

    @abstractmethod
    def forget(self) -> None:
        """Reset the state that ``gain`` reads to the empty set; called by ``clear``."""


class FacilityLocation(Objective):
    """f(A) = sum_v max_{a in A} s(v, a): how well A represents every row.

    Wei, Iyer and Bilmes 2015, who derive it from the nearest-neighbor likelihood. Monotone submodular: greedy is within 1 - 1/e
    of the best (Nemhauser, Wolsey and Fisher 1978). Outliers do not attract it: no row is similar to them. Use it for a first
    impression of a pool.

    Args:
        similarity: Similarities of the N rows, not negative; stored if the matrix fits.

    Cost: O(N) a gain from the stored matrix, O(N D) without it.
    """

    submodular = True
    _best: Tensor

    def __init__(self, similarity: Similarity) -> None:
        super().__init__(similarity.device)
        similarity.store()
        self.similarity = similarity
        self._least = float(similarity.diagonal().max()) * ROUNDING if len(similarity) else 0.0
        self.forget()

    def __len__(self) -> int:
        return len(self.similarity)

    def gain(self, rows: Tensor) -> Tensor:
        """Gains sum_v max(0, s(v, x) - best_v), (B,) float64."""
        if self._untouched:
            return self.similarity.sums()[rows]
        return _sums(self.similarity, rows, self._terms)

    def exhausted(self, best: float) -> bool:
        """True once every row equals a pick, up to rounding."""
        return best <= self._least

    def include(self, row: int) -> None:
        """Raise each row's similarity to its most similar pick."""
        self._best = torch.maximum(self._best, self.similarity.rows(slice(row, row + 1))[0])
        self._untouched = False

    def forget(self) -> None:
        """Reset each row's similarity to its most similar pick to 0."""
        self._best = torch.zeros(self.similarity.width, device=self.device)  # (M,): s(v, a) of the most similar a
        self._untouched = True

    def _terms(self, block: Tensor) -> Tensor:
        return block.sub_(self._best).clamp_min_(0)


class SaturatedCoverage(Objective):
    """f(A) = sum_v min(sum_{a in A} s(v, a), alpha sum_u s(v, u)): every row is covered up to a cap.

    Lin and Bilmes 2011, section 4.1: the cap is a share alpha of each row's sum of similarities, not a constant. Monotone
    submodular. More than about alpha N picks saturate every row; the greedy maximizers then start again.

    Args:
        similarity: Similarities of the N rows, not negative; stored if the matrix fits.
        alpha: Share of its sum of similarities at which a row is saturated, above 0 and at most 1.

    Raises:
        InvalidInput: ``alpha`` is out of range.

    Cost: as facility location, plus one pass for the row sums.
    """

    submodular = True
    _lacking: Tensor

    def __init__(self, similarity: Similarity, alpha: float = 0.1) -> None:
        super().__init__(similarity.device)
        if not 0 < alpha <= 1:
            raise InvalidInput(f"alpha must be above 0 and at most 1, got {alpha}")
        similarity.store()
        self.similarity = similarity
        self._caps = similarity.totals() * alpha
        self._total = float(self._caps.sum())
        self.forget()

    def __len__(self) -> int:
        return len(self.similarity)

    def gain(self, rows: Tensor) -> Tensor:
        """Gains sum_v min(s(v, x), lacking_v), (B,) float64, with lacking_v the rest up to the cap of v."""
        lacking = self._lacking.float()
        return _sums(self.similarity, rows, lambda block: torch.minimum(block, lacking, out=block))

    def exhausted(self, best: float) -> bool:
        """True once every row is saturated, up to rounding."""
        return best <= 1e-12 * self._total

    def include(self, row: int) -> None:
        """Lower the rest that each row lacks up to its cap."""
        self._lacking.sub_(self.similarity.rows(slice(row, row + 1))[0]).clamp_min_(0)

    def forget(self) -> None:
        """Reset the rest that each row lacks to its cap."""
        self._lacking = self._caps.clone()  # (M,) float64


class _OfPairs(Objective):
    """Objectives whose gains follow from sum_{a in A} s(a, x), stored for every x: O(1) a gain, O(N D) a pick."""

    submodular = True

    def __init__(self, similarity: Similarity) -> None:
        super().__init__(similarity.device)
        self.similarity = similarity
        self._diagonal = similarity.diagonal()
        self.forget()

    def __len__(self) -> int:
        return len(self.similarity)

    def exhausted(self, best: float) -> bool:  # noqa: ARG002
        """False: further rows still change the value."""
        return False

    def include(self, row: int) -> None:
        """Add the similarities to the new row."""
        self._to_picks += self.similarity.rows(slice(row, row + 1))[0]

    def forget(self) -> None:
        """Reset the sums of similarities to 0."""
        self._to_picks = torch.zeros(len(self), dtype=torch.float64, device=self.device)


class GraphCut(_OfPairs):
    """f(A) = sum_{v, a in A} s(v, a) - lam sum_{a, b in A} s(a, b): rows similar to the pool but not to one another.

    Lin and Bilmes 2010, with the pairs within A counted in both orders. Submodular for every lam >= 0, and monotone for lam up to
    1/2. With lam = 1, as in DISTIL 0.1, f(A) is the weight of the cut between A and the rest.

    Args:
        similarity: Similarities of the N rows, not negative.
        lam: Weight of the redundancy within A, at least 0.

    Raises:
        InvalidInput: ``lam`` is out of range.

    Cost: one pass over all pairs, then O(N D) a pick; the matrix is not stored.
    """

    def __init__(self, similarity: Similarity, lam: float = 1.0) -> None:
        super().__init__(similarity)
        if not 0 <= lam < float("inf"):
            raise InvalidInput(f"lam must be a finite number of at least 0, got {lam}")
        self.lam = lam
        self._totals = similarity.sums()

    def gain(self, rows: Tensor) -> Tensor:
        """Gains sum_v s(v, x) - lam (2 sum_{a in A} s(a, x) + s(x, x)), (B,) float64."""
        return self._totals[rows] - self.lam * (2 * self._to_picks[rows] + self._diagonal[rows])


class SumRedundancy(_OfPairs):
    """f(A) = -sum_{a, b in A} s(a, b): the redundancy within A, negated because larger is better everywhere in this library.

    Submodular, never above 0, and decreasing, so only sets of the same size can be compared. All single rows have the same value;
    the first pick is the row least similar to the others.

    Args:
        similarity: Similarities of the N rows, not negative.

    Cost: O(N D) a pick; the matrix is not stored.
    """

    def __init__(self, similarity: Similarity) -> None:
        super().__init__(similarity)
        self.first = _outermost(similarity)

    def gain(self, rows: Tensor) -> Tensor:
        """Gains -(2 sum_{a in A} s(a, x) + s(x, x)), (B,) float64."""
        return -(2 * self._to_picks[rows] + self._diagonal[rows])


class FeatureBased(Objective):
    """f(A) = sum_d sqrt(sum_{a in A} x_ad): some of every feature, with diminishing returns.

    Kirchhoff and Bilmes 2014; Wei, Iyer and Bilmes 2015, from the naive Bayes likelihood. Monotone submodular. It needs no pairs of
    rows: use it for the largest pools. Features must not be negative, so a column with negative numbers is shifted to start at 0
    (the published code refused them).

    Args:
        x: N rows; factored rows are written out block by block.
        low: Number subtracted from each column, (width,); default: the column's minimum if that is negative, else 0.
        classes: The class of each row, (N,) int64: each class then has features of its own. Default: one class.

    Cost: O(width) a gain; memory of a block.
    """

    submodular = True

    def __init__(self, x: Features, *, low: Tensor | None = None, classes: Tensor | None = None) -> None:
        super().__init__(x.sq_norms().device)
        self._x = x
        self._low = shifts(x) if low is None else low
        self._group = torch.zeros(len(x), dtype=torch.long, device=self.device) if classes is None else classes
        self._n_groups = int(self._group.max()) + 1 if len(x) else 0
        self.forget()

    def __len__(self) -> int:
        return len(self._x)

    def gain(self, rows: Tensor) -> Tensor:
        """Gains sum_d (sqrt(S_d + x_d) - sqrt(S_d)), (B,) float64, with S the sum of the picks."""
        gains = [torch.empty(0, dtype=torch.float64, device=self.device)]
        for part in rows.split(max(1, BLOCK_BYTES // max(1, 8 * len(self._low)))):
            sums = self._sums[self._group[part]]
            gains.append((sums + self._written(part)).sqrt_().sub_(sums.sqrt()).sum(1))
        return torch.cat(gains)

    def exhausted(self, best: float) -> bool:
        """True once all rows left are zero."""
        return best <= 0

    def include(self, row: int) -> None:
        """Add the features of the new row."""
        self._sums[self._group[row]] += self._written(slice(row, row + 1))[0]

    def forget(self) -> None:
        """Reset the sums of features to 0."""
        self._sums = torch.zeros(self._n_groups, len(self._low), dtype=torch.float64, device=self.device)

    def _written(self, rows: Tensor | slice) -> Tensor:
        return (self._x[rows].dense().double() - self._low).clamp_min_(0)


class DisparityMin(Objective):
    """f(A) = min_{a, b in A} d(a, b): the smallest distance between two picks; 0 for a single row.

    Dasgupta, Kumar and Ravi 2013; greedy is farthest-first, within 1/2 of the best (Ravi, Rosenkrantz and Tayi 1994). Not
    submodular. Outliers attract it. d is the distance in the space of the kernel, sqrt(2 - 2 s), a metric that grows with the
    distance of the rows; DISTIL 0.1 used similarities instead, and always started with row 0.

    Args:
        similarity: Similarities of the N rows, from the kernel ``rbf`` or ``cosine``.

    Cost: O(N D) a pick; the matrix is not stored.
    """

    submodular = False

    def __init__(self, similarity: Similarity) -> None:
        super().__init__(similarity.device)
        self.similarity = similarity
        self.first = _outermost(similarity)
        self.forget()

    def __len__(self) -> int:
        return len(self.similarity)

    def gain(self, rows: Tensor) -> Tensor:
        """Gains min(f(A), min_{a in A} d(a, x)) - f(A), (B,) float64; d(a, x) if A has one row."""
        if not self.picks:
            return torch.zeros(len(rows), dtype=torch.float64, device=self.device)
        nearest = self._nearest[rows]
        return nearest if len(self.picks) == 1 else nearest.clamp_max(self.value) - self.value

    def exhausted(self, best: float) -> bool:
        """True once every row left equals a pick."""
        return self.value + best <= 0

    def include(self, row: int) -> None:
        """Lower each row's distance to its nearest pick."""
        torch.minimum(self._nearest, self.similarity.disparities(slice(row, row + 1))[0], out=self._nearest)

    def forget(self) -> None:
        """Reset each row's distance to its nearest pick to infinity."""
        self._nearest = torch.full((len(self),), torch.inf, dtype=torch.float64, device=self.device)


class DisparitySum(Objective):
    """f(A) = sum_{a, b in A} d(a, b), the sum of the distances between picks, each pair once; 0 for a single row.

    Dasgupta, Kumar and Ravi 2013; greedy is within 1/2 of the best for a metric (Birnbaum and Goldman 2009). Not
    submodular. d is the distance of ``DisparityMin``. Two distant clusters can satisfy it, and it then picks similar rows in both.

    Args:
        similarity: Similarities of the N rows, from the kernel ``rbf`` or ``cosine``.

    Cost: O(N D) a pick; the matrix is not stored.
    """

    submodular = False

    def __init__(self, similarity: Similarity) -> None:
        super().__init__(similarity.device)
        self.similarity = similarity
        self.first = _outermost(similarity)
        self.forget()

    def __len__(self) -> int:
        return len(self.similarity)

    def gain(self, rows: Tensor) -> Tensor:
        """Gains sum_{a in A} d(a, x), (B,) float64."""
        return self._to_picks[rows]

    def exhausted(self, best: float) -> bool:  # noqa: ARG002
        """False: equal rows still have distances to all other picks."""
        return False

    def include(self, row: int) -> None:
        """Add the distances to the new row."""
        self._to_picks += self.similarity.disparities(slice(row, row + 1))[0]

    def forget(self) -> None:
        """Reset the sums of distances to 0."""
        self._to_picks = torch.zeros(len(self), dtype=torch.float64, device=self.device)


class LogDeterminant(Objective):
    """f(A) = log det(K_A + ridge I): the volume that the rows span in the space of the kernel, for the MAP set of a DPP.

    Chen, Zhang and Zhou 2018, algorithm 1: each pick adds a row to the Cholesky factor, and exp(gain) is the squared norm of the
    row's component orthogonal to the picks. Submodular. The ridge keeps f finite where rows repeat, and then prefers the row with
    the fewest copies in A (the published code stopped there, with fewer picks than requested).

    Args:
        similarity: Similarities of the N rows, from a positive semidefinite kernel: ``rbf`` or ``cosine``.
        ridge: Number added to the diagonal, above 0.
        given: Rows of a Cholesky factor of points that are known before the first pick, (M, N) float64; f is then the gain over
            them. Default: none.

    Raises:
        InvalidInput: ``ridge`` is out of range.

    Cost: O(N (D + M + n)) a pick; memory of (M + n) N numbers for n picks.
    """

    submodular = True
    _factor: Tensor
    _rest: Tensor

    def __init__(self, similarity: Similarity, ridge: float = 1e-6, *, given: Tensor | None = None) -> None:
        super().__init__(similarity.device)
        if not ridge > 0:
            raise InvalidInput(f"ridge must be above 0, got {ridge}")
        self.similarity = similarity
        self.ridge = ridge
        self.first = _outermost(similarity) if given is None else None
        self._given = torch.empty(0, len(self), dtype=torch.float64, device=self.device) if given is None else given
        self.forget()

    def __len__(self) -> int:
        return len(self.similarity)

    def gain(self, rows: Tensor) -> Tensor:
        """Logarithms of the remaining diagonal, (B,) float64."""
        return torch.log(self._rest[rows])

    def exhausted(self, best: float) -> bool:  # noqa: ARG002
        """False: with the ridge, every row still has a finite gain."""
        return False

    def include(self, row: int) -> None:
        """Add a row to the Cholesky factor."""
        t = len(self._given) + len(self.picks)
        if t == len(self._factor):
            self._factor = torch.cat([self._factor, self._factor.new_empty(max(16, t // 2), len(self))])
        before = self._factor[:t]  # (t, N)
        covariance = self.similarity.exact(slice(row, row + 1))[0] - before[:, row] @ before
        self._factor[t] = covariance / self._rest[row].sqrt()
        self._rest.sub_(self._factor[t] ** 2).clamp_min_(self.ridge)

    def forget(self) -> None:
        """Reset the remaining diagonal to that of the kernel plus the ridge, less what the known points explain."""
        self._rest = self.similarity.diagonal() + self.ridge
        self._rest.sub_(self._given.square().sum(0)).clamp_min_(self.ridge)
        self._factor = self._given


def shifts(x: Features) -> Tensor:
    """The minimum of each column with a negative number, 0 for other columns, (width,) float64."""
    low = torch.zeros_like(x[slice(0, 1)].dense()[0], dtype=torch.float64)
    step = max(1, BLOCK_BYTES // max(1, 8 * len(low)))
    for start in range(0, len(x), step):
        torch.minimum(low, x[slice(start, start + step)].dense().amin(0).double(), out=low)
    return low


COVERS: Mapping[str, Callable[[Similarity], Objective]] = MappingProxyType(
    {"facility_location": FacilityLocation, "saturated_coverage": SaturatedCoverage}
)
"""Objectives by name that read all pairs repeatedly and accept any rows and columns of the matrix."""

_OF_SIMILARITY: dict[str, Callable[[Similarity], Objective]] = {
    **COVERS,
    "graph_cut": GraphCut,
    "sum_redundancy": SumRedundancy,
    "disparity_min": DisparityMin,
    "disparity_sum": DisparitySum,
    "dpp": LogDeterminant,
}

FUNCTIONS: Mapping[str, type[Objective] | Callable[[Similarity], Objective]] = MappingProxyType(
    {**_OF_SIMILARITY, "feature_based": FeatureBased}
)
"""All objectives by name."""


def objective_named(
    name: str, x: Features, kernel: Kernel, *, low: Tensor | None = None, classes: Tensor | None = None
) -> Objective:
    """The objective of that name over the rows of ``x``.

    Args:
        name: A name in ``FUNCTIONS``.
        x: N rows.
        kernel: Similarity of two rows; ``feature_based`` does not use it.
        low: The ``low`` of ``FeatureBased``.
        classes: The class of each row, (N,) int64: rows of different classes then have similarity 0, or features of their own.
            Default: one class.

    Raises:
        UnknownName: There is no objective of that name.
    """
    if name == "feature_based":
        return FeatureBased(x, low=low, classes=classes)
    if name not in _OF_SIMILARITY:
        raise UnknownName(
            f"there is no function {name!r}{nearest(name, FUNCTIONS)} (known: {', '.join(sorted(FUNCTIONS))})"
        )
    return _OF_SIMILARITY[name](Similarity(x, kernel, classes=classes))


def _sums(similarity: Similarity, rows: Tensor, terms: Callable[[Tensor], Tensor]) -> Tensor:
    """Row sums (B,), in float64, of ``terms`` of each block of similarities (B, M), which may be overwritten."""
    sums = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    size = max(1, (1 << 20) // max(1, similarity.width))  # rows in double precision that stay in the cache
    for part, block in similarity.blocks(rows):
        sums[part] = torch.cat([some.double().sum(1) for some in terms(block).split(size)])
    return sums


def _outermost(similarity: Similarity) -> int | None:
    """The row of largest total distance to at most 1,000 evenly spaced rows; ties go to the smaller row."""
    if not len(similarity):
        return None
    columns, step = reference(len(similarity)), max(16, BLOCK_BYTES // (8 * REFERENCE_ROWS))
    starts = range(0, len(similarity), step)
    totals = torch.cat([similarity.disparities(slice(i, i + step), columns).sum(1) for i in starts])
    return int(torch.nonzero(totals >= totals.max() * (1 - 1e-9))[0, 0])

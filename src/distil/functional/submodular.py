"""Functions of a set of rows that reward covering the others or differing from one another, told one row at a time.

All are for the greedy maximizers of ``distil.functional.greedy``. Those that read similarities accept the kernels ``rbf`` and
``cosine``; facility location, graph cut and saturated coverage any that are not negative.
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

# Two similarities that differ by less than this share of the largest one are the same to float32.
_ROUNDING = 2.0**-22


class Objective(ABC):
    """A function f of a set A of rows, f(empty) = 0, with the set it has come to.

    Attributes:
        submodular: Whether a row's gain never rises while others are added, which is what lazy greedy relies on.
        first: The row to start from where every single row is worth the same; None: the one of largest gain.
        device: Where the rows are, and the gains.
        picks: A, in the order of adding.
        value: f(A).
    """

    submodular: ClassVar[bool]
    first: int | None = None

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.picks: list[int] = []
        self.value = 0.0

    def add(self, row: int) -> None:
        """Put a row, which is not in it yet, into A."""
        self.value += float(self.gain(torch.tensor([row], device=self.device))[0])
        self.include(row)
        self.picks.append(row)

    def clear(self) -> None:
        """Make A empty."""
        self.picks, self.value = [], 0.0
        self.forget()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def gain(self, rows: Tensor) -> Tensor:
        """f(A + x) - f(A) for each row x of ``rows``, none of them in A: (B,) float64."""

    @abstractmethod
    def exhausted(self, best: float) -> bool:
        """Whether A, which is not empty, says all there is to say: given the largest gain, no row left has anything of its own."""

    @abstractmethod
    def include(self, row: int) -> None:
        """Bring what ``gain`` reads up to date; part of ``add``."""

    @abstractmethod
    def forget(self) -> None:
        """Bring what ``gain`` reads back to the empty set; part of ``clear``."""


class FacilityLocation(Objective):
    """f(A) = sum_v max_{a in A} s(v, a): how well A stands for every row.

    Wei, Iyer and Bilmes 2015, who derive it from the nearest-neighbor likelihood. Monotone submodular: greedy is within 1 - 1/e
    of the best (Nemhauser, Wolsey and Fisher 1978). Outliers do not attract it, as no row is similar to them; good for a first
    impression of a pool.

    Args:
        similarity: Of the N rows, not negative; stored if it fits.

    Cost: O(N) a gain from the stored matrix, O(N D) without.
    """

    submodular = True

    def __init__(self, similarity: Similarity) -> None:
        super().__init__(similarity.device)
        similarity.store()
        self.similarity = similarity
        self._least = float(similarity.diagonal().max()) * _ROUNDING if len(similarity) else 0.0
        self.forget()

    def __len__(self) -> int:
        return len(self.similarity)

    def gain(self, rows: Tensor) -> Tensor:
        """sum_v (s(v, x) - best_v)+."""
        if not self.picks:
            return self.similarity.sums()[rows]
        return _sums(self.similarity, rows, lambda block: block.sub_(self._best).clamp_min_(0))

    def exhausted(self, best: float) -> bool:
        """When every row has one as similar as can be, but for rounding: all distinct rows are picked."""
        return best <= self._least

    def include(self, row: int) -> None:
        """Raise what each row has."""
        torch.maximum(self._best, self.similarity.rows(slice(row, row + 1))[0], out=self._best)

    def forget(self) -> None:
        """No row has anything."""
        self._best = torch.zeros(self.similarity.width, device=self.device)  # (M,): s(v, a) of the most similar a


class SaturatedCoverage(Objective):
    """f(A) = sum_v min(sum_{a in A} s(v, a), alpha sum_u s(v, u)): every row wants some of its likes, and then has enough.

    Lin and Bilmes 2011, section 4.1: alpha is a share of each row's sum, not a number that the sum is cut at. Monotone
    submodular. A selection of more than about alpha N rows has saturated everything; the greedy maximizers then start afresh.

    Args:
        similarity: Of the N rows, not negative; stored if it fits.
        alpha: Share at which a row is saturated, above 0 and at most 1.

    Cost: as facility location, and a pass for the row sums.
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
        """sum_v min(s(v, x), what v still lacks)."""
        lacking = self._lacking.float()
        return _sums(self.similarity, rows, lambda block: torch.minimum(block, lacking, out=block))

    def exhausted(self, best: float) -> bool:
        """When every row is saturated, but for rounding."""
        return best <= 1e-12 * self._total

    def include(self, row: int) -> None:
        """Fill up."""
        self._lacking.sub_(self.similarity.rows(slice(row, row + 1))[0]).clamp_min_(0)

    def forget(self) -> None:
        """Every row lacks all of its share."""
        self._lacking = self._caps.clone()  # (M,) float64


class _OfPairs(Objective):
    """Objectives whose gains are simple in sum_{a in A} s(a, x), which is kept for every x: O(1) a gain, O(N D) a pick."""

    submodular = True

    def __init__(self, similarity: Similarity) -> None:
        super().__init__(similarity.device)
        self.similarity = similarity
        self._diagonal = similarity.diagonal()
        self.forget()

    def __len__(self) -> int:
        return len(self.similarity)

    def exhausted(self, best: float) -> bool:  # noqa: ARG002
        """Never: another row always has its price."""
        return False

    def include(self, row: int) -> None:
        """Add its similarities."""
        self._to_picks += self.similarity.rows(slice(row, row + 1))[0]

    def forget(self) -> None:
        """No row is similar to an empty set."""
        self._to_picks = torch.zeros(len(self), dtype=torch.float64, device=self.device)


class GraphCut(_OfPairs):
    """f(A) = sum_{v, a in A} s(v, a) - lam sum_{a, b in A} s(a, b): alike to the pool, unlike one another.

    Lin and Bilmes 2010, with the pairs within A counted in both orders. Submodular for every lam >= 0, monotone up to
    1/2; at 1, that of DISTIL 0.1, it is the weight of the cut between A and the rest.

    Args:
        similarity: Of the N rows, not negative.
        lam: Price of redundancy.

    Cost: one pass over all pairs, then O(N D) a pick; the matrix is not stored.
    """

    def __init__(self, similarity: Similarity, lam: float = 1.0) -> None:
        super().__init__(similarity)
        if not 0 <= lam < float("inf"):
            raise InvalidInput(f"lam must be 0 or more, got {lam}")
        self.lam = lam
        self._totals = similarity.sums()

    def gain(self, rows: Tensor) -> Tensor:
        """sum_v s(v, x) - lam (2 sum_{a in A} s(a, x) + s(x, x))."""
        return self._totals[rows] - self.lam * (2 * self._to_picks[rows] + self._diagonal[rows])


class SumRedundancy(_OfPairs):
    """f(A) = -sum_{a, b in A} s(a, b): the redundancy within A, with a minus because more is better everywhere in this library.

    Submodular, never above 0, and falling: only comparisons between sets of one size mean something. All single rows are worth
    the same; it starts from the one that is least like the others.

    Args:
        similarity: Of the N rows, not negative.

    Cost: O(N D) a pick; the matrix is not stored.
    """

    def __init__(self, similarity: Similarity) -> None:
        super().__init__(similarity)
        self.first = _outermost(similarity)

    def gain(self, rows: Tensor) -> Tensor:
        """-(2 sum_{a in A} s(a, x) + s(x, x))."""
        return -(2 * self._to_picks[rows] + self._diagonal[rows])


class FeatureBased(Objective):
    """f(A) = sum_d sqrt(sum_{a in A} x_ad): some of every feature, and less and less pleasure in more of it.

    Kirchhoff and Bilmes 2014; Wei, Iyer and Bilmes 2015, from the naive Bayes likelihood. Needs no pairs, so it is the one for the
    largest pools. Monotone submodular. Features must not be negative: a column that has negative numbers is shifted to start
    at 0 (the published code refused them).

    Args:
        x: N rows; factored ones are written out block by block.
        low: What to subtract from each column, (width,); default: its minimum, where that is negative.
        classes: The class of each row, (N,): features of different classes are then different features.

    Cost: O(width) a gain, memory of a block.
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
        """sum_d (sqrt(S_d + x_d) - sqrt(S_d))."""
        gains = [torch.empty(0, dtype=torch.float64, device=self.device)]
        for part in rows.split(max(1, BLOCK_BYTES // max(1, 8 * len(self._low)))):
            sums = self._sums[self._group[part]]
            gains.append((sums + self._written(part)).sqrt_().sub_(sums.sqrt()).sum(1))
        return torch.cat(gains)

    def exhausted(self, best: float) -> bool:
        """When all that is left are rows of zeros."""
        return best <= 0

    def include(self, row: int) -> None:
        """Add its features."""
        self._sums[self._group[row]] += self._written(slice(row, row + 1))[0]

    def forget(self) -> None:
        """Nothing of any feature."""
        self._sums = torch.zeros(self._n_groups, len(self._low), dtype=torch.float64, device=self.device)

    def _written(self, rows: Tensor | slice) -> Tensor:
        return (self._x[rows].dense().double() - self._low).clamp_min_(0)


class DisparityMin(Objective):
    """f(A) = min_{a, b in A} d(a, b): the two that are nearest are to be far apart. A single row counts 0.

    Dasgupta, Kumar and Ravi 2013; greedy is farthest-first, within 1/2 of the best (Ravi, Rosenkrantz and Tayi 1994). Not
    submodular. d is the distance in the space of the kernel, sqrt(2 - 2 s), a metric that grows with the distance of the rows;
    DISTIL 0.1 put similarities in its place, and always began with row 0. Drawn to outliers.

    Args:
        similarity: Of the N rows, by ``rbf`` or ``cosine``.

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
        """min(f(A), min_{a in A} d(a, x)) - f(A)."""
        if not self.picks:
            return torch.zeros(len(rows), dtype=torch.float64, device=self.device)
        nearest = self._nearest[rows]
        return nearest if len(self.picks) == 1 else nearest.clamp_max(self.value) - self.value

    def exhausted(self, best: float) -> bool:
        """When every row left coincides with one that is picked."""
        return self.value + best <= 0

    def include(self, row: int) -> None:
        """Lower the distances."""
        torch.minimum(self._nearest, self.similarity.disparities(slice(row, row + 1))[0], out=self._nearest)

    def forget(self) -> None:
        """No row is near an empty set."""
        self._nearest = torch.full((len(self),), torch.inf, dtype=torch.float64, device=self.device)


class DisparitySum(Objective):
    """f(A) = sum_{a, b in A} d(a, b), each pair once: all far from one another, in sum. A single row counts 0.

    Dasgupta, Kumar and Ravi 2013; greedy is within 1/2 of the best for a metric (Birnbaum and Goldman 2009). Not
    submodular. d as for ``DisparityMin``. Content with two far clusters, within which it repeats itself.

    Args:
        similarity: Of the N rows, by ``rbf`` or ``cosine``.

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
        """sum_{a in A} d(a, x)."""
        return self._to_picks[rows]

    def exhausted(self, best: float) -> bool:  # noqa: ARG002
        """Never: what adds nothing still adds up."""
        return False

    def include(self, row: int) -> None:
        """Add its distances."""
        self._to_picks += self.similarity.disparities(slice(row, row + 1))[0]

    def forget(self) -> None:
        """No distance to an empty set."""
        self._to_picks = torch.zeros(len(self), dtype=torch.float64, device=self.device)


class LogDeterminant(Objective):
    """f(A) = log det(K_A + ridge I): the volume that the rows span in the space of the kernel; greedy MAP for a DPP.

    Chen, Zhang and Zhou 2018, algorithm 1: a row of the Cholesky factor is added a pick, and exp(gain) is what remains of a row's
    squared norm beside those picked. Submodular. The ridge keeps it finite where rows repeat, and of equals takes the one
    with the fewest copies in A (the published code stopped there, with fewer picks than asked for).

    Args:
        similarity: Of the N rows, by a positive semidefinite kernel: ``rbf`` or ``cosine``.
        ridge: Above 0.

    Cost: O(N (D + n)) a pick, n N numbers of memory for n picks.
    """

    submodular = True
    _factor: Tensor
    _rest: Tensor

    def __init__(self, similarity: Similarity, ridge: float = 1e-6) -> None:
        super().__init__(similarity.device)
        if not ridge > 0:
            raise InvalidInput(f"ridge must be above 0, got {ridge}")
        self.similarity = similarity
        self.ridge = ridge
        self.first = _outermost(similarity)
        self.forget()

    def __len__(self) -> int:
        return len(self.similarity)

    def gain(self, rows: Tensor) -> Tensor:
        """Log of what remains of the diagonal."""
        return torch.log(self._rest[rows])

    def exhausted(self, best: float) -> bool:  # noqa: ARG002
        """Never, thanks to the ridge."""
        return False

    def include(self, row: int) -> None:
        """Another row of the Cholesky factor."""
        t = len(self.picks)
        if t == len(self._factor):
            self._factor = torch.cat([self._factor, self._factor.new_empty(max(16, t // 2), len(self))])
        before = self._factor[:t]  # (t, N)
        covariance = self.similarity.exact(slice(row, row + 1))[0] - before[:, row] @ before
        self._factor[t] = covariance / self._rest[row].sqrt()
        self._rest.sub_(self._factor[t] ** 2).clamp_min_(self.ridge)

    def forget(self) -> None:
        """All of the diagonal remains."""
        self._rest = self.similarity.diagonal() + self.ridge
        self._factor = torch.empty(0, len(self), dtype=torch.float64, device=self.device)


def shifts(x: Features) -> Tensor:
    """The minimum of each column that has a negative number, 0 for the others: (width,) float64, block by block."""
    low = torch.zeros_like(x[slice(0, 1)].dense()[0], dtype=torch.float64)
    step = max(1, BLOCK_BYTES // max(1, 8 * len(low)))
    for start in range(0, len(x), step):
        torch.minimum(low, x[slice(start, start + step)].dense().amin(0).double(), out=low)
    return low


COVERS: Mapping[str, Callable[[Similarity], Objective]] = MappingProxyType(
    {"facility_location": FacilityLocation, "saturated_coverage": SaturatedCoverage}
)
"""The objectives that read all pairs again and again, and take any rows and columns of the matrix."""

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
"""Every objective by its name."""


def objective_named(
    name: str, x: Features, kernel: Kernel, *, low: Tensor | None = None, classes: Tensor | None = None
) -> Objective:
    """The objective of that name over the rows of ``x``.

    Args:
        name: One of ``FUNCTIONS``.
        x: N rows.
        kernel: Their similarity, for all but ``feature_based``.
        low: What ``feature_based`` subtracts; default: as it says.
        classes: The class of each row, (N,): rows of different classes then have nothing in common.

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
    """Row sums (B,) in float64 of the terms (B, M) made of each block of similarities, which they may overwrite."""
    sums = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    for part, block in similarity.blocks(rows):
        sums[part] = terms(block).double().sum(1)
    return sums


def _outermost(similarity: Similarity) -> int | None:
    """The row of largest total distance to (at most 1,000 evenly spaced) rows of the set; ties go to the smaller row."""
    if not len(similarity):
        return None
    columns, step = reference(len(similarity)), max(16, BLOCK_BYTES // (8 * REFERENCE_ROWS))
    starts = range(0, len(similarity), step)
    totals = torch.cat([similarity.disparities(slice(i, i + step), columns).sum(1) for i in starts])
    return int(torch.nonzero(totals >= totals.max() * (1 - 1e-9))[0, 0])

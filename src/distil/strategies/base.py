"""What a strategy is, what it reads, and what it returns."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.rng import Rng
from distil.signals import EMPTY, Signal, Signals
from distil.strategies.parameters import check_fields
from distil.strategies.reasons import sentences


@dataclass(frozen=True)
class Shortlist:
    """The examples of the pool that a strategy looks at: those of largest score, some times as many as it shall choose.

    They are found, and what is measured of them is kept, while the pool is streamed; so a pool may be larger than memory.

    Attributes:
        by: What scores them.
        factor: How many for each one to choose, at least 1.
    """

    by: ScoreStrategy
    factor: float

    def __post_init__(self) -> None:
        if not isinstance(self.by, ScoreStrategy):
            raise InvalidInput(f"Shortlist: by must be a ScoreStrategy, such as MarginSampling(), got {self.by!r}")
        if not isinstance(self.factor, (int, float)) or not 1 <= self.factor < math.inf:
            raise InvalidInput(f"Shortlist: factor must be a number from 1, got {self.factor!r}")

    def rows(self, n: int, available: int) -> int:
        """How many pass for a selection of ``n``: factor n, rounded up, at most those available."""
        return min(math.ceil(self.factor * n - 1e-9), available)  # 1.1 * 100 is above 110 in floating point

    def notes(self, n: int, available: int) -> tuple[str, ...]:
        """What a selection of ``n`` says about it: nothing where all pass."""
        kept = self.rows(n, available)
        if kept == available:
            return ()
        end = "smallest" if self.by.smallest_first else "largest"
        return (f"a shortlist kept the {kept:,} of {available:,} examples with the {end} {self.by.quantity}",)


@dataclass(frozen=True)
class Needs:
    """The signals that a strategy reads, for each set of examples. None at all: the data is not touched.

    With ``shortlist``, the strategy may be shown those examples of the pool alone that pass it, in the order of the pool, and must
    choose from them what it would choose from all.
    """

    pool: tuple[Signal[Any], ...] = ()
    labeled: tuple[Signal[Any], ...] = ()
    validation: tuple[Signal[Any], ...] = ()
    query: tuple[Signal[Any], ...] = ()
    private: tuple[Signal[Any], ...] = ()
    shortlist: Shortlist | None = None


@dataclass(frozen=True, eq=False)
class Sets:
    """The tables that a strategy sees.

    Attributes:
        pool: The unlabeled candidates.
        labeled: The labeled examples.
        validation: Labeled examples held out from training.
        query: Examples like those that are looked for.
        private: Examples like those to stay away from.

    A set that was not given is a table of zero rows.
    """

    pool: Signals
    labeled: Signals = EMPTY
    validation: Signals = EMPTY
    query: Signals = EMPTY
    private: Signals = EMPTY


ROLES = tuple(field.name for field in dataclasses.fields(Sets))


@dataclass(frozen=True, eq=False)
class Selection:
    """What to label next.

    Attributes:
        ids: Positions in the data set, (n,) int64, distinct, in pick order: the best first.
        scores: The acquisition score of each, (n,), larger was better; None where the strategy has none.
        weights: The weight that the strategy gives to each, (n,); None where it gives none.
        names: The caller's names of the ids, where they were given.
        reasons: Why each was selected, one short sentence each, in pick order; None where the strategy says nothing.
        notes: What there is to say about the selection as a whole; often nothing.

    Works as a sequence of plain ints and as an index array.
    """

    ids: Tensor
    scores: Tensor | None = None
    weights: Tensor | None = None
    names: tuple[Any, ...] | None = None
    reasons: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:  # noqa: ANN401
        return np.array(self.ids.numpy(), dtype=dtype, copy=bool(copy) or dtype is not None)

    def tolist(self) -> list[int]:
        """The ids as plain ints."""
        return [int(i) for i in self.ids]


class Strategy(ABC):
    """Chooses examples from signals. Subclasses are frozen dataclasses whose fields are the hyper-parameters.

    What ``select`` and ``score`` return is checked where it is used: n distinct ids of the pool (a Selection, or the ids alone in a
    list, array or tensor), finite weights, a score for each row that is no NaN. The columns of ``sets`` may be the caller's own
    arrays: make new tensors of them, and never write to them.

    Attributes:
        paper: Where the strategy comes from, one line.
    """

    paper: ClassVar[str]

    def __post_init__(self) -> None:
        """Hold every field to what it declares, then to the rules that join fields."""
        check_fields(self)  # type: ignore[arg-type]  # only dataclasses call this
        self.check()

    def check(self) -> None:  # noqa: B027 - most strategies have no such rule
        """Rules that join several hyper-parameters, which raise InvalidInput; by default none."""

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """The signals read by ``select``."""

    @abstractmethod
    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """Choose ``n`` distinct ids of ``sets.pool``, 1 <= n <= len(sets.pool), in order of preference."""


class ScoreStrategy(Strategy):
    """A strategy whose score for an example depends on that example alone (and on given sets).

    The pool is then streamed through, keeping the best n; ``select`` is the same on a whole table.

    Attributes:
        quantity: What the strategy ranks by, as the reasons call it.
        unit: What it is measured in, such as ``"nats"``; empty: it is a plain number.
        smallest_first: Whether its smallest values are queried first: the score is then minus the quantity.
    """

    quantity: ClassVar[str] = "score"
    unit: ClassVar[str] = ""
    smallest_first: ClassVar[bool] = False

    @property
    def evidence(self) -> tuple[Signal[Any], ...]:
        """Signals of the pool that ``reasons`` reads, derived from those in ``needs``; by default none.

        They are kept for the best examples while the pool is streamed, so they should be a few numbers an example.
        """
        return ()

    @abstractmethod
    def score(self, sets: Sets) -> Tensor:
        """(N,) for the N rows of ``sets.pool``; larger is queried first."""

    def reasons(self, chosen: Signals, scores: Tensor) -> tuple[str, ...]:  # noqa: ARG002 - for strategies with evidence
        """Why each example was selected; by default the quantity that its score is.

        Args:
            chosen: The examples selected, in pick order, with the columns of ``evidence``.
            scores: Theirs, (n,).
        """
        return sentences(f"{self.quantity} {{:.3g}} {self.unit}".rstrip(), -scores if self.smallest_first else scores)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:  # noqa: ARG002 - scores are not random
        """The ``n`` rows of largest score; ties go to the smaller id."""
        scores = self.score(sets)
        rows = best_rows(sets.pool.ids, scores, n)
        return self.explained(sets.pool.excerpt(rows, self.evidence), scores[rows])

    def explained(self, chosen: Signals, scores: Tensor) -> Selection:
        """The selection of examples that are known to be the best, with the reasons; arguments as for ``reasons``."""
        return Selection(chosen.ids, scores, reasons=self.reasons(chosen, scores))


def best(ids: Tensor, scores: Tensor, n: int) -> Selection:
    """The ``n`` ids of largest score, largest first; ties go to the smaller id. Cost: O(N + n log n)."""
    order = best_rows(ids, scores, n)
    return Selection(ids[order], scores[order])


def best_rows(ids: Tensor, scores: Tensor, n: int) -> Tensor:
    """The ``n`` rows of largest score, largest first; ties go to the smaller id."""
    rows = torch.arange(len(scores))
    if n < len(scores):
        rows = rows[~(scores < scores.topk(n).values[-1])]  # with all that tie for the last place
    rows = rows[ids[rows].argsort()]
    return rows[scores[rows].argsort(descending=True, stable=True)][:n]


def picked(
    pool: Signals,
    rows: Tensor | Sequence[int],
    reasons: tuple[str, ...],
    *,
    weights: Tensor | None = None,
    notes: tuple[str, ...] = (),
) -> Selection:
    """The selection of these rows of the pool, in this order."""
    return Selection(pool.ids[torch.as_tensor(rows)], weights=weights, reasons=reasons, notes=notes)

"""The base classes of strategies, the tables that they read and the selection that they return."""

from __future__ import annotations

import dataclasses
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, overload

import numpy as np
import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.rng import Rng
from distil.signals import EMPTY, Signal, Signals
from distil.strategies.parameters import check_fields, check_names
from distil.strategies.reasons import sentences

_SHOWN = 10  # ids in the printed form of a selection


@dataclass(frozen=True)
class Shortlist:
    """The part of the pool that a strategy chooses from: the ``factor`` n examples of largest score for a selection of n.

    Only these examples and their signals are kept while the pool is streamed, so the pool may be larger than memory.

    Attributes:
        by: The strategy that scores the pool.
        factor: Shortlisted examples per example to select, a number of at least 1.
    """

    by: ScoreStrategy
    factor: float

    def __post_init__(self) -> None:
        if not isinstance(self.by, ScoreStrategy):
            raise InvalidInput(f"Shortlist: by must be a ScoreStrategy, such as MarginSampling(), got {self.by!r}")
        if not isinstance(self.factor, (int, float)) or not 1 <= self.factor < math.inf:
            raise InvalidInput(f"Shortlist: factor must be a number from 1, got {self.factor!r}")

    def rows(self, n: int, available: int) -> int:
        """The length of the shortlist for a selection of ``n``: factor n, rounded up, and at most ``available``."""
        return min(math.ceil(self.factor * n - 1e-9), available)  # 1.1 * 100 is above 110 in floating point

    def notes(self, n: int, available: int) -> tuple[str, ...]:
        """The note that goes with a selection of ``n``; none where all available examples are on the shortlist."""
        kept = self.rows(n, available)
        if kept == available:
            return ()
        end = "smallest" if self.by.smallest_first else "largest"
        return (f"a shortlist kept the {kept:,} of {available:,} examples with the {end} {self.by.quantity}",)


@dataclass(frozen=True)
class Needs:
    """The signals that a strategy reads, for each set of examples. A strategy without any reads no data.

    With ``shortlist``, the pool that the strategy receives may hold the shortlisted examples only, in the same order. From these it
    must choose the same examples as from the whole pool.
    """

    pool: tuple[Signal[Any], ...] = ()
    labeled: tuple[Signal[Any], ...] = ()
    validation: tuple[Signal[Any], ...] = ()
    query: tuple[Signal[Any], ...] = ()
    private: tuple[Signal[Any], ...] = ()
    shortlist: Shortlist | None = None

    @property
    def signals(self) -> frozenset[Signal[Any]]:
        """All signals that the strategy reads, of any set."""
        return frozenset(signal for role in ROLES for signal in getattr(self, role))


@dataclass(frozen=True, eq=False)
class Sets:
    """The tables that a strategy receives; a set that the caller did not pass is a table of zero rows.

    Attributes:
        pool: The unlabeled candidates.
        labeled: The labeled examples.
        validation: Labeled examples held out from training.
        query: Examples of the kind to select.
        private: Examples of the kind to avoid.
        elapsed: The share of a run that has passed: 0 at its first selection, 1 at its last; None where that is not known.
    """

    pool: Signals
    labeled: Signals = EMPTY
    validation: Signals = EMPTY
    query: Signals = EMPTY
    private: Signals = EMPTY
    elapsed: float | None = None


RANDOM_SAMPLE = "this is a random sample"
"""Part of the note of every selection whose strategy could not rank any example."""

ROLES = tuple(field.name for field in dataclasses.fields(Sets) if field.name != "elapsed")


@dataclass(frozen=True, eq=False)
class Selection(Sequence[int]):
    """The examples to label next; a sequence of plain ints that also works as an index of arrays and tensors.

    A slice is a Selection with the scores, weights, names and reasons of its ids.

    Attributes:
        ids: Positions in the data set, (n,) int64, distinct, in pick order: the best first.
        scores: The acquisition score of each example, (n,), larger is better; None where the strategy has no scores.
        weights: The weight of each example, (n,); None where the strategy has no weights.
        names: The caller's names of the ids; None where the caller passed no names.
        reasons: Why each example was selected, one short phrase each, in pick order; None where the strategy gives no reasons.
        notes: Sentences about the selection as a whole; often none.
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

    @overload
    def __getitem__(self, place: int) -> int: ...

    @overload
    def __getitem__(self, place: slice) -> Selection: ...

    def __getitem__(self, place: int | slice) -> int | Selection:
        if not isinstance(place, slice):
            return int(self.ids[range(len(self))[place]])
        rows = list(range(len(self))[place])  # tensors take no negative steps
        return Selection(
            self.ids[rows],
            scores=None if self.scores is None else self.scores[rows],
            weights=None if self.weights is None else self.weights[rows],
            names=None if self.names is None else self.names[place],
            reasons=None if self.reasons is None else self.reasons[place],
            notes=self.notes,
        )

    def __repr__(self) -> str:
        """The first ids, or their names, and what else there is; notebooks show it."""
        called = self.ids if self.names is None else self.names
        shown = ", ".join(f"{each}" for each in called[:_SHOWN])
        more = ", ..." if len(self) > _SHOWN else ""
        there = [name for name in ("scores", "weights", "reasons") if getattr(self, name) is not None]
        return "; ".join([f"<Selection of {len(self):,}: {shown}{more}", *there, *self.notes]) + ">"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:  # noqa: ANN401
        return np.array(self.ids.numpy(), dtype=dtype, copy=bool(copy) or dtype is not None)

    def tolist(self) -> list[int]:
        """The ids as plain ints."""
        return [int(i) for i in np.asarray(self.ids).tolist()]

    def with_notes(self, first: tuple[str, ...]) -> Selection:
        """This selection with the notes ``first``, followed by its own."""
        return dataclasses.replace(self, notes=(*first, *self.notes)) if first else self


class Strategy(ABC):
    """Base of all strategies. Subclasses are frozen dataclasses whose fields are the hyper-parameters.

    The caller checks the results: ``select`` must return n distinct ids of the pool (a Selection, or the ids alone in a list,
    array or tensor), or fewer if ``may_choose_fewer``, and finite weights; ``score`` a number other than NaN for each row. The
    columns of ``sets`` may be the user's own arrays, so never write to them.

    The caller shuffles the rows of the pool by a seeded order of the ids (``tie_keys``). A strategy that breaks ties by the smaller
    row therefore breaks them at random, whatever the order of the user's data, and reproducibly.

    Attributes:
        paper: The publication that the strategy comes from, one line.
        in_order_of_ids: Whether ``select`` makes the same selection from a pool in any order, as it breaks ties by ``tie_keys``
            itself; the rows then come in the order of their ids, which needs no copy of arrays that are in that order.
        reads_features: Whether ``select`` reads the pool through ``Signals.features`` only, so that columns beyond
            ``Runtime.memory`` are read where they are, block by block, in place of a copy in a file. It needs ``in_order_of_ids``.
    """

    paper: ClassVar[str]
    in_order_of_ids: ClassVar[bool] = False
    reads_features: ClassVar[bool] = False

    def __new__(cls, *args: Any, **given: Any) -> Self:  # noqa: ANN401, ARG004 - each strategy has its own
        """Refuse hyper-parameters that the strategy does not have; Python's own error would not name the nearest."""
        own = {} if cls.__init__ is object.__init__ else dict(inspect.signature(cls.__init__).parameters)
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in own.values()):
            check_names(cls.__name__, given, list(own)[1:])
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Check every field against its declaration, then the rules that join fields."""
        check_fields(self)  # type: ignore[arg-type]  # only dataclasses call this
        self.check()

    def check(self) -> None:  # noqa: B027 - most strategies have no such rule
        """Raise InvalidInput where hyper-parameters do not fit together; by default any combination is valid."""

    @property
    def may_choose_fewer(self) -> bool:
        """Whether ``select`` may return fewer than n ids, as within a budget of cost; by default it returns exactly n."""
        return False

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """The signals that ``select`` reads."""

    @abstractmethod
    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """Choose ``n`` distinct ids of ``sets.pool`` in order of preference; 1 <= n <= len(sets.pool)."""


class Valued(Strategy):
    """Base of the strategies that pick greedily by a monotone submodular value of sets, which is a sum over the pool."""

    @abstractmethod
    def fixed(self, sets: Sets, n: int, rng: Rng) -> Valued:
        """The strategy with the hyper-parameters that ``select`` would take from the same arguments."""

    @abstractmethod
    def values(self, sets: Sets, picks: Sequence[Signals]) -> Tensor:
        """The value of several sets of picks, (S,) float64; of a part of the pool, their shares of the values.

        Values of parts are comparable only with the same hyper-parameters, see ``fixed``.
        """


class ScoreStrategy(Strategy):
    """A strategy that scores each example of the pool by itself (other sets may enter the score).

    The pool is therefore streamed and only the best n examples are kept; ``select`` makes the same selection from a whole table.

    Attributes:
        quantity: The name, in reasons, of the quantity that the strategy ranks by.
        unit: The unit of the quantity, for example ``"nats"``; empty for a plain number.
        smallest_first: Whether the smallest values of the quantity are queried first; the score is then minus the quantity.
        least: The smallest possible score, above which noise in proportion to the score is measured.
        when_tied: What it usually means that all scores of a pool are equal, a clause; empty where that is not known.
    """

    quantity: ClassVar[str] = "score"
    unit: ClassVar[str] = ""
    smallest_first: ClassVar[bool] = False
    least: ClassVar[float] = 0.0
    when_tied: ClassVar[str] = ""

    @property
    def evidence(self) -> tuple[Signal[Any], ...]:
        """Signals of the pool that ``reasons`` reads, derived from the signals in ``needs``; by default none.

        They are kept for the best examples while the pool is streamed, so they should be a few numbers per example.
        """
        return ()

    @abstractmethod
    def score(self, sets: Sets) -> Tensor:
        """Scores of the N rows of ``sets.pool``, (N,); the largest is queried first."""

    def reasons(self, chosen: Signals, scores: Tensor) -> tuple[str, ...]:  # noqa: ARG002 - for strategies with evidence
        """Why each example was selected; by default the value of ``quantity``.

        Args:
            chosen: The selected examples, in pick order, with the columns of ``evidence``.
            scores: The scores of the selected examples, (n,).
        """
        return sentences(f"{self.quantity} {{:.3g}} {self.unit}".rstrip(), -scores if self.smallest_first else scores)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The ``n`` rows of largest score; equal scores are ordered by ``tie_keys``."""
        scores = self.score(sets)
        rows = best_rows(tie_keys(sets.pool.ids, rng), scores, n)
        found = self.explained(sets.pool.excerpt(rows, self.evidence), scores[rows])
        tied = len(scores) > 1 and bool((scores == scores[0]).all())
        return found.with_notes(self.tied_notes(len(scores)) if tied else ())

    def tied_notes(self, n_scored: int, consequence: str = RANDOM_SAMPLE) -> tuple[str, ...]:
        """The note that goes with a selection from a pool whose ``n_scored`` scores are all equal."""
        reason = f" ({self.when_tied})" if self.when_tied else ""
        return (f"all {n_scored:,} scores are equal: {consequence}{reason}",)

    def explained(self, chosen: Signals, scores: Tensor) -> Selection:
        """The selection of these examples, with reasons; the arguments are those of ``reasons``."""
        return Selection(chosen.ids, scores, reasons=self.reasons(chosen, scores))


def tie_keys(ids: Tensor, rng: Rng) -> Tensor:
    """Keys of ids, (N,): of examples that a selection with ``rng`` cannot rank, the one of smaller key comes first."""
    return rng.child("ties").keys(ids)


def best_rows(keys: Tensor, scores: Tensor, n: int) -> Tensor:
    """The ``n`` rows of largest score, largest first; ties go to the smaller of the distinct ``keys``. Cost: O(N + n log n)."""
    rows = torch.arange(len(scores))
    if n < len(scores):
        rows = rows[~(scores < scores.topk(n).values[-1])]  # includes every row that ties for the last place
    rows = rows[keys[rows].argsort()]
    return rows[scores[rows].argsort(descending=True, stable=True)][:n]


def picked(
    pool: Signals,
    rows: Tensor | Sequence[int],
    reasons: tuple[str, ...],
    *,
    weights: Tensor | None = None,
    notes: tuple[str, ...] = (),
) -> Selection:
    """The selection of ``rows`` of the pool, in the order of ``rows``."""
    return Selection(pool.ids[torch.as_tensor(rows)], weights=weights, reasons=reasons, notes=notes)

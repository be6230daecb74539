"""What a strategy is, and the register that knows all of them by name."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from distil.errors import InvalidInput, UnknownName, nearest
from distil.rng import Rng
from distil.signals import EMPTY, Signal, Signals


@dataclass(frozen=True)
class Needs:
    """The signals that a strategy reads, for each set of examples. None at all: the data is not touched."""

    pool: tuple[Signal[Any], ...] = ()
    labeled: tuple[Signal[Any], ...] = ()
    validation: tuple[Signal[Any], ...] = ()
    query: tuple[Signal[Any], ...] = ()
    private: tuple[Signal[Any], ...] = ()


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


ROLES = tuple(field.name for field in dataclasses.fields(Needs))


@dataclass(frozen=True, eq=False)
class Selection:
    """What to label next.

    Attributes:
        ids: Positions in the data set, (n,) int64, distinct, in pick order: the best first.
        scores: The acquisition score of each, (n,), larger was better; None where the strategy has none.
        weights: The weight that the strategy gives to each, (n,); None where it gives none.
        names: The caller's names of the ids, where they were given.

    Works as a sequence of plain ints and as an index array.
    """

    ids: Tensor
    scores: Tensor | None = None
    weights: Tensor | None = None
    names: tuple[Any, ...] | None = None

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

    Attributes:
        paper: Where the strategy comes from, one line.
    """

    paper: ClassVar[str]

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
    """

    @abstractmethod
    def score(self, sets: Sets) -> Tensor:
        """(N,) for the N rows of ``sets.pool``; larger is queried first."""

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:  # noqa: ARG002 - scores are not random
        """The ``n`` rows of largest score; ties go to the smaller id."""
        return best(sets.pool.ids, self.score(sets), n)


def best(ids: Tensor, scores: Tensor, n: int) -> Selection:
    """The ``n`` ids of largest score, largest first; ties go to the smaller id."""
    by_id = ids.argsort()
    order = by_id[scores[by_id].argsort(descending=True, stable=True)][:n]
    return Selection(ids[order], scores[order])


S = TypeVar("S", bound=type[Strategy])
_REGISTRY: dict[str, type[Strategy]] = {}

STRATEGIES: Mapping[str, type[Strategy]] = MappingProxyType(_REGISTRY)
"""Every registered strategy by its name."""


def register(name: str) -> Callable[[S], S]:
    """Make a strategy known under ``name``: in the command line, the configuration file, the docs and the contract tests."""

    def add(cls: S) -> S:
        if name in _REGISTRY:
            raise InvalidInput(f"a strategy called {name!r} is registered already: {_REGISTRY[name].__name__}")
        _REGISTRY[name] = cls
        return cls

    return add


def strategy_named(name: str, **parameters: Any) -> Strategy:  # noqa: ANN401 - each strategy has its own
    """The registered strategy of that name with these hyper-parameters.

    Raises:
        UnknownName: No strategy is called that; the message offers the nearest name.
        InvalidInput: It has no such hyper-parameter.
    """
    if name not in _REGISTRY:
        raise UnknownName(
            f"there is no strategy called {name!r}{nearest(name, _REGISTRY)} (known: {', '.join(sorted(_REGISTRY))})"
        )
    cls = _REGISTRY[name]
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    unknown = [p for p in parameters if p not in known]
    if unknown:
        offer = f"it takes {', '.join(known)}" if known else "it takes none"
        raise InvalidInput(f"{name} has no parameter {', '.join(map(repr, unknown))}; {offer}")
    return cls(**parameters)


def as_strategy(strategy: Strategy | str) -> Strategy:
    """``strategy`` itself, or the registered one of that name with its defaults."""
    if isinstance(strategy, str):
        return strategy_named(strategy)
    if not isinstance(strategy, Strategy):
        raise InvalidInput(f"expected a strategy or the name of one, got {type(strategy).__name__}")
    return strategy


def check_count(value: object, name: str, least: int = 1) -> None:
    """Raise InvalidInput unless ``value`` is a whole number of at least ``least``: for hyper-parameters."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InvalidInput(f"{name} must be a whole number from {least}, got {value!r}")


def picked(pool: Signals, rows: Tensor | Sequence[int]) -> Selection:
    """The selection of these rows of the pool, in this order."""
    return Selection(pool.ids[torch.as_tensor(rows)])

"""Who answers: a query goes in, answers come out, perhaps later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Query:
    """What is asked.

    Attributes:
        round: The round whose training waits for the answers.
        ids: Everything pending, best first: this round's selection, then what earlier rounds still wait for.
    """

    round: int
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Answers:
    """What came back; ids of the query that are in neither list stay pending.

    Attributes:
        ids: The ids that got a label.
        labels: Their labels, as many.
        skipped: The ids that will get none.
    """

    ids: Sequence[int]
    labels: Sequence[int]
    skipped: Sequence[int] = ()


class Pending:
    """No answer yet: the run rests, and asks again when it is resumed."""


class Oracle(Protocol):
    """Anyone who answers queries. A run that was interrupted asks the same query again."""

    def ask(self, query: Query) -> Answers | Pending:
        """The answers to hand."""
        ...


@dataclass(frozen=True, eq=False)
class TrueLabels:
    """Answers everything at once with the data set's own labels.

    Attributes:
        labels: (N,) int64, by id.
    """

    labels: Tensor

    def ask(self, query: Query) -> Answers:
        """All labels."""
        return Answers(query.ids, self.labels[list(query.ids)].tolist())

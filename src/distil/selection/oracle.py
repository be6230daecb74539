"""Oracles: they take a query and return answers, now or later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Query:
    """The examples whose labels a run waits for.

    Attributes:
        round: The round whose training waits for the answers.
        ids: All pending ids, best first: this round's selection, then those still pending from earlier rounds.
        names: The user's own ids of these examples; empty if the data has none.
    """

    round: int
    ids: tuple[int, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """The answers to a query; ids of the query that are neither labeled nor skipped stay pending.

    Attributes:
        ids: The ids that got a label.
        labels: The labels, one for each of ``ids``: columns of the model, or names of classes where the data has them. In other
            tasks than classification what ``Learner.label`` takes: targets; or rows of 0 and 1, or lists of names.
        skipped: The ids that will get no label.
    """

    ids: Sequence[int]
    labels: Sequence[Any]
    skipped: Sequence[int] = ()


class Pending:
    """There is no answer yet: the run pauses, and asks again when it is resumed."""


class Oracle(Protocol):
    """The interface of everything that answers queries. An interrupted run asks the same query again."""

    def ask(self, query: Query) -> Answers | Pending:
        """Return the answers available now, or ``Pending()``."""
        ...


@dataclass(frozen=True, eq=False)
class TrueLabels:
    """Answers every query at once with the true labels of the data set.

    Attributes:
        labels: The labels of all examples, (N,) int64; or a row for each, of 0 and 1 or of targets.
    """

    labels: Tensor

    def ask(self, query: Query) -> Answers:
        """Return the labels of all ids of the query."""
        return Answers(query.ids, self.labels[list(query.ids)].tolist())

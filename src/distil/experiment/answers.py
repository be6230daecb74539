"""The door for answers of an oracle: what it returns becomes the events of a round, or an error in the caller's ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from distil.data.arrays import scalar
from distil.data.labels import as_labels, labels_of
from distil.errors import InvalidInput, whole_number
from distil.experiment.chain import Event
from distil.selection.oracle import Answers, Query
from distil.tasks import Task


def answered(
    answers: object,
    query: Query,
    *,
    num_classes: int,
    classes: Sequence[str] = (),
    names: Sequence[str] = (),
    task: Task = "classification",
) -> list[Event]:
    """The ``skipped`` event, if any id is skipped, and the ``labeled`` event of an answer.

    Args:
        answers: What the oracle returned.
        query: What it was asked.
        num_classes: Number of classes, C; or of labels, or of targets.
        classes: Names of the classes, which labels may be too; empty if they have none.
        names: The user's ids, one per row of the pool; empty if the data has none.
        task: What labels are; the event then has a row of 0 and 1, or of targets, for each id.

    Raises:
        InvalidInput: An id was not asked, or is answered twice; a label is not a whole number from 0 to C - 1 or the name of a
            class; or the answer is something else. Nothing of it is then recorded.
    """
    if not isinstance(answers, Answers):
        raise InvalidInput(f"expected Answers or Pending() from the oracle, got {_shown(answers)}")
    ids = [_asked(i, query, names) for i in _listed(answers.ids, "ids")]
    skipped = [_asked(i, query, names) for i in _listed(answers.skipped, "skipped")]
    seen: set[int] = set()
    for row in (*ids, *skipped):
        if row in seen:
            raise InvalidInput(f"the oracle answered id {_called(row, names)!r} twice; answer each id once")
        seen.add(row)
    if task == "classification":
        columns = _columns(answers.labels, ids, num_classes, classes, names)
    else:
        rows = torch.tensor(ids, dtype=torch.long)
        known: dict[str, Any] = {"classes": classes or None, "columns": num_classes}
        columns = labels_of(task, answers.labels, "the oracle's labels", rows, names or None, **known).tolist()
    events: list[Event] = [{"event": "skipped", "round": query.round, "ids": skipped}] if skipped else []
    return [*events, {"event": "labeled", "round": query.round, "ids": ids, "labels": columns}]


def _columns(
    labels: object, ids: Sequence[int], num_classes: int, classes: Sequence[str], names: Sequence[str]
) -> list[int]:
    """The class of each label."""
    listed = _listed(labels, "labels")
    if len(listed) != len(ids):
        raise InvalidInput(
            f"expected one label for each of the {len(ids)} ids that the oracle answered, got {len(listed)}"
        )
    return [_column(y, _called(row, names), num_classes, classes) for row, y in zip(ids, listed, strict=True)]


def _listed(values: object, key: str) -> list[Any]:
    if isinstance(values, (str, bytes, dict, set)) or not isinstance(values, Iterable):
        raise InvalidInput(f"expected a list under `{key}` of the oracle's answer, got {_shown(values)}")
    return [scalar(value) for value in values]


def _asked(value: object, query: Query, names: Sequence[str]) -> int:
    row = whole_number(value)
    if row is None:
        raise InvalidInput(f"expected ids of the query, whole numbers, in the oracle's answer, got {_shown(value)}")
    if row not in query.ids:
        known = names and 0 <= row < len(names)
        raise InvalidInput(f"the oracle answered id {_called(row, names) if known else row!r}, which was not asked")
    return row


def _column(label: object, called: object, num_classes: int, classes: Sequence[str]) -> int:
    """The class of one label."""
    what = f"the oracle's label of id {called!r}"
    if isinstance(label, str) and classes:
        return int(as_labels([label], what, classes=classes)[0])
    column = whole_number(label, 0, num_classes - 1)
    if column is None:
        named = ", or the name of a class" if classes else ""
        raise InvalidInput(f"{what} must be a whole number from 0 to {num_classes - 1}{named}, got {_shown(label)}")
    return column


def _called(row: int, names: Sequence[str]) -> str | int:
    return names[row] if names else row


def _shown(value: object) -> str:
    """A value with its type, shortened."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"

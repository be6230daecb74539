"""The pool: the state and label of every example of a data set. The only mutable object of the core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from distil.data.labels import labels_of, no_labels
from distil.errors import InvalidInput, nearest, whole_number
from distil.selection.ids import IdReader, Ids
from distil.strategies.base import Selection
from distil.tasks import Task, least_outputs

UNLABELED, ASKED, LABELED, SKIPPED, HELD_OUT = range(5)
_STATES = {
    "asked": ASKED,
    "labeled": LABELED,
    "skipped": SKIPPED,
    "held_out": HELD_OUT,
    "released": UNLABELED,
    "unlabeled": UNLABELED,
}
_TAKEN = {
    ASKED: "is asked already and cannot be {event}",
    LABELED: "is labeled already and cannot be {event}",
    SKIPPED: "is skipped already and cannot be {event}",
}
# Event -> the states in which an example refuses it, and why; held-out examples refuse every event.
_REFUSALS = {
    "asked": _TAKEN,
    "held_out": _TAKEN,
    "labeled": {},
    "skipped": {LABELED: "has a label and cannot be skipped"},
    "released": {
        UNLABELED: "is neither pending nor skipped and cannot be released",
        LABELED: "has a label and cannot be released; withdraw the label with unlabel",
    },
    "unlabeled": dict.fromkeys((UNLABELED, ASKED, SKIPPED), "has no label to withdraw"),
}

POOL_EVENTS = tuple(_STATES)
"""The names of the events that change a pool."""

_NEW_CLASS = (
    "; correct the label, or make a Learner with classes=[...] that has this class too, and give it the labels so far, "
    "new.label(old.labels)"
)
_NUMBERED = "; to label by name, make the Learner with classes=[...]"


class Pool:
    """The state of every example: unlabeled, asked (an answer is pending), labeled, skipped, or held out (e.g. for testing).

    Only recorded events change it.

    Args:
        size: Number of examples; ids are 0..size-1.
        num_classes: Number of classes; labels are 0..num_classes-1. For other tasks, the number of labels or of targets.
        names: The caller's names of the examples; events may then contain names instead of ids.
        classes: The caller's names of the classes, one per class; labels in events are then these names.
        column_labels: Whether labels may also be the numbers of the classes where ``classes`` are given.
        task: The task, which says what labels are.

    >>> pool = Pool(4, num_classes=2)
    >>> pool.record({"event": "asked", "ids": [1, 3]})
    >>> pool.record({"event": "labeled", "ids": [3], "labels": [1]})
    >>> pool.unlabeled.tolist(), pool.asked.tolist(), pool.labeled.tolist(), pool.labels([3]).tolist()
    ([0, 2], [1], [3], [1])
    """

    def __init__(
        self,
        size: int,
        num_classes: int,
        *,
        names: Sequence[Any] | None = None,
        classes: Sequence[Any] | None = None,
        column_labels: bool = False,
        task: Task = "classification",
    ) -> None:
        count = whole_number(num_classes)
        if count is None:
            raise InvalidInput(f"num_classes must be a whole number, got {num_classes!r}")
        least = least_outputs(task)
        if size < 1 or count < least:
            what = "two classes" if least == 2 else "one output"
            raise InvalidInput(
                f"a pool needs at least one example and {what}, got size={size}, num_classes={num_classes}"
            )
        self.num_classes = count
        self._reader = IdReader(size, names)
        self.task = task
        self._classes = range(count) if classes is None and task == "classification" else classes
        self._column_labels = column_labels
        self._states = torch.full((size,), UNLABELED, dtype=torch.int8)
        self._labels = no_labels(task, size, count)

    def __len__(self) -> int:
        return len(self._states)

    @property
    def unlabeled(self) -> Tensor:
        """Ids in no other state, which may be queried, ascending."""
        return self._in(UNLABELED)

    @property
    def asked(self) -> Tensor:
        """Ids whose answer is pending, ascending."""
        return self._in(ASKED)

    @property
    def labeled(self) -> Tensor:
        """Ids that have a label, ascending."""
        return self._in(LABELED)

    @property
    def held_out(self) -> Tensor:
        """Ids that are never queried, ascending."""
        return self._in(HELD_OUT)

    @property
    def skipped(self) -> Tensor:
        """Ids that will get no label and are never queried again, ascending."""
        return self._in(SKIPPED)

    def labels(self, ids: Ids) -> Tensor:
        """The labels of labeled ids, (M,) int64, or a row for each of other tasks; InvalidInput if one of them has no label."""
        rows = self._reader.positions(ids, "ids")
        if not bool((self._states[rows] == LABELED).all()):
            raise InvalidInput(f"id {self._reader.name(rows[self._states[rows] != LABELED][0])!r} has no label")
        return self._labels[rows]

    def record(self, event: Mapping[str, Any]) -> None:
        """Apply an event completely, or refuse it and change nothing.

        Args:
            event: A dict with ``event``; ``ids``: distinct ids in any form that ``distil.select`` takes; and, for ``labeled``,
                ``labels``: one per id. The events are ``asked``, ``labeled``, ``skipped`` and ``held_out``; ``released``, of an
                example that is asked or skipped, and ``unlabeled``, of one whose label is withdrawn, after both of which it may
                be asked again. Skipped examples may be labeled later, and labeled ones again: the last label counts. Held-out
                examples stay held out.

        Raises:
            InvalidInput: The event, an id or a label is unknown, or the state of an example does not allow the event.
        """
        kind = event.get("event")
        if kind not in _STATES:
            hint = nearest(str(kind), _STATES)
            raise InvalidInput(f"expected one of the events {', '.join(_STATES)}, got {kind!r}{hint}")
        rows = self._reader.positions(event["ids"], "ids", ordered=kind == "labeled")
        for state, why in {HELD_OUT: "is held out and cannot be {event}", **_REFUSALS[kind]}.items():
            self._refuse(rows, state, why.format(event=kind))
        if kind == "unlabeled":
            self._labels[rows] = no_labels(self.task, len(rows), self.num_classes)
        if kind == "labeled":
            self._labels[rows] = self._read(event.get("labels", ()), rows)
        self._states[rows] = _STATES[kind]

    def _read(self, labels: Any, rows: Tensor) -> Tensor:  # noqa: ANN401 - any argument of a caller
        """The labels of some examples, checked."""
        return labels_of(
            self.task,
            labels,
            "labels",
            rows,
            self._reader.names,
            classes=self._classes,
            column_labels=self._column_labels,
            columns=self.num_classes,
            advice=_NUMBERED if isinstance(self._classes, range) else _NEW_CLASS,
        )

    def _refuse(self, rows: Tensor, state: int, why: str) -> None:
        wrong = rows[self._states[rows] == state]
        if len(wrong):
            raise InvalidInput(f"id {self._reader.name(wrong[0])!r} {why}")

    def hold_out_all_but(self, ids: Ids) -> None:
        """Record every example except ``ids`` as held out."""
        others = torch.ones(len(self), dtype=torch.bool)
        others[self._reader.positions(ids, "candidates")] = False
        self.record({"event": "held_out", "ids": Selection(torch.nonzero(others)[:, 0])})

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the states (size,) and of the labels, a number or a row for each example."""
        return {"states": self._states.clone(), "labels": self._labels.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state that ``state_dict`` returned."""
        if state["states"].shape != self._states.shape or len(state["labels"]) != len(self):
            raise InvalidInput(
                f"the state belongs to a pool of {len(state['states']):,} examples, and this pool has {len(self):,}; "
                "load the state of the same data"
            )
        if state["labels"].shape[1:] != self._labels.shape[1:]:
            raise InvalidInput(
                f"the labels of the state are {tuple(state['labels'].shape)}, and those of this pool {tuple(self._labels.shape)}; "
                "load the state of a pool of the same task, with as many outputs"
            )
        if self._labels.ndim == 1 and int(state["labels"].max()) >= self.num_classes:
            raise InvalidInput(
                f"the state has the label {int(state['labels'].max())}, and this pool has {self.num_classes} classes"
            )
        self._states = state["states"].clone()
        self._labels = state["labels"].clone()

    def _in(self, state: int) -> Tensor:
        return torch.nonzero(self._states == state)[:, 0]

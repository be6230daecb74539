"""The pool: the state and label of every example of a data set. The only mutable object of the core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from distil.data.labels import as_labels
from distil.errors import InvalidInput, nearest, whole_number
from distil.selection.ids import IdReader, Ids
from distil.strategies.base import Selection

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
        num_classes: Number of classes; labels are 0..num_classes-1.
        names: The caller's names of the examples; events may then contain names instead of ids.
        classes: The caller's names of the classes, one per class; labels in events are then these names.
        column_labels: Whether labels may also be the numbers of the classes where ``classes`` are given.

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
    ) -> None:
        count = whole_number(num_classes)
        if count is None:
            raise InvalidInput(f"num_classes must be a whole number, got {num_classes!r}")
        if size < 1 or count < 2:
            raise InvalidInput(
                f"a pool needs at least one example and two classes, got size={size}, num_classes={num_classes}"
            )
        self.num_classes = count
        self._reader = IdReader(size, names)
        self._classes = range(count) if classes is None else classes
        self._column_labels = column_labels
        self._states = torch.full((size,), UNLABELED, dtype=torch.int8)
        self._labels = torch.full((size,), -1, dtype=torch.long)

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
        """The labels of labeled ids, (M,) int64; InvalidInput if one of them has no label."""
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
            self._labels[rows] = -1
        if kind == "labeled":
            labels = event.get("labels", ())
            columns = as_labels(
                labels,
                "labels",
                count=len(rows),
                classes=self._classes,
                column_labels=self._column_labels,
                ids=rows,
                names=self._reader.names,
                advice=_NUMBERED if isinstance(self._classes, range) else _NEW_CLASS,
            )
            if len(columns) and int(columns.max()) >= self.num_classes:
                raise InvalidInput(f"labels: {int(columns.max())} is not one of the {self.num_classes} classes")
            self._labels[rows] = columns
        self._states[rows] = _STATES[kind]

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
        """Copies of the states and labels, (size,) each."""
        return {"states": self._states.clone(), "labels": self._labels.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state that ``state_dict`` returned."""
        if state["states"].shape != self._states.shape or state["labels"].shape != self._labels.shape:
            raise InvalidInput(
                f"the state belongs to a pool of {len(state['states']):,} examples, and this pool has {len(self):,}; "
                "load the state of the same data"
            )
        if int(state["labels"].max()) >= self.num_classes:
            raise InvalidInput(
                f"the state has the label {int(state['labels'].max())}, and this pool has {self.num_classes} classes"
            )
        self._states = state["states"].clone()
        self._labels = state["labels"].clone()

    def _in(self, state: int) -> Tensor:
        return torch.nonzero(self._states == state)[:, 0]

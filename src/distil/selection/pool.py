"""The pool: what is known about every example of a data set. The only mutable object of the core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.data.labels import as_labels
from distil.errors import InvalidInput, nearest
from distil.selection.ids import IdReader, Ids
from distil.strategies.base import Selection

UNLABELED, ASKED, LABELED, SKIPPED, HELD_OUT = range(5)
_STATES = {"asked": ASKED, "labeled": LABELED, "skipped": SKIPPED, "held_out": HELD_OUT}

POOL_EVENTS = tuple(_STATES)
"""The events that change a pool."""


class Pool:
    """Per example: unlabeled, asked (an answer is pending), labeled, skipped, or held out (for testing, say).

    It changes by recording events only.

    Args:
        size: Number of examples; ids are 0..size-1.
        num_classes: Labels are 0..num_classes-1.
        names: What the caller calls the examples; events may then have names for ids.
        classes: What the caller calls the classes, as many; events then have these for labels.

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
    ) -> None:
        if isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)):
            raise InvalidInput(f"num_classes must be a whole number, got {num_classes!r}")
        if size < 1 or num_classes < 2:
            raise InvalidInput(f"a pool needs an example and two classes, got size={size}, num_classes={num_classes}")
        self.num_classes = int(num_classes)
        self._reader = IdReader(size, names)
        self._classes = range(num_classes) if classes is None else classes
        self._states = torch.full((size,), UNLABELED, dtype=torch.int8)
        self._labels = torch.full((size,), -1, dtype=torch.long)

    def __len__(self) -> int:
        return len(self._states)

    @property
    def unlabeled(self) -> Tensor:
        """Ids never asked, ascending."""
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
        """Ids that are never asked, ascending."""
        return self._in(HELD_OUT)

    @property
    def skipped(self) -> Tensor:
        """Ids that were asked and will not be asked again, ascending."""
        return self._in(SKIPPED)

    def labels(self, ids: Ids) -> Tensor:
        """The labels of labeled ids, (n,) int64."""
        rows = self._reader.positions(ids, "ids")
        if not bool((self._states[rows] == LABELED).all()):
            raise InvalidInput(f"id {self._reader.name(rows[self._states[rows] != LABELED][0])!r} has no label")
        return self._labels[rows]

    def record(self, event: Mapping[str, Any]) -> None:
        """Take note of an event: all of it, or, when it cannot be right, none of it.

        Args:
            event: ``event`` is ``asked``, ``labeled``, ``skipped`` or ``held_out``; ``ids`` are distinct, in any form that
                ``distil.select`` takes them in; ``labels``, for ``labeled``, are as many. A label may come late, for what was
                skipped, or again, for what was labeled: the last one counts. What is held out stays so.
        """
        kind = event.get("event")
        if kind not in _STATES:
            hint = nearest(str(kind), _STATES)
            raise InvalidInput(f"expected one of the events {', '.join(_STATES)}, got {kind!r}{hint}")
        rows = self._reader.positions(event["ids"], "ids", ordered=kind == "labeled")
        self._refuse(rows, HELD_OUT, f"is held out and cannot be {kind}")
        if kind in ("asked", "held_out"):
            for state, name in ((ASKED, "asked"), (LABELED, "labeled"), (SKIPPED, "skipped")):
                self._refuse(rows, state, f"is {name} already and cannot be {kind}")
        elif kind == "skipped":
            self._refuse(rows, LABELED, "has a label and cannot be skipped")
        else:
            labels = event.get("labels", ())
            self._labels[rows] = as_labels(labels, "labels", count=len(rows), classes=self._classes)
        self._states[rows] = _STATES[kind]

    def _refuse(self, rows: Tensor, state: int, why: str) -> None:
        wrong = rows[self._states[rows] == state]
        if len(wrong):
            raise InvalidInput(f"id {self._reader.name(wrong[0])!r} {why}")

    def hold_out_all_but(self, ids: Ids) -> None:
        """Record every example but these as held out."""
        others = torch.ones(len(self), dtype=torch.bool)
        others[self._reader.positions(ids, "candidates")] = False
        self.record({"event": "held_out", "ids": Selection(torch.nonzero(others)[:, 0])})

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the states and labels, (size,) each."""
        return {"states": self._states.clone(), "labels": self._labels.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` gave."""
        if state["states"].shape != self._states.shape:
            raise InvalidInput(f"the state is of a pool of {len(state['states'])} examples, this one has {len(self)}")
        self._states = state["states"].clone()
        self._labels = state["labels"].clone()

    def _in(self, state: int) -> Tensor:
        return torch.nonzero(self._states == state)[:, 0]

"""The events that a run may hold: which kind follows which, in which round, and what each must say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from distil.errors import whole_number
from distil.evaluation.metrics import METRICS_OF
from distil.tasks import TASKS, Task

FOLLOWING: Final[Mapping[str | None, Mapping[str, int]]] = {
    None: {"started": 0},
    "started": {"labeled": 0},
    "labeled": {"trained": 0},
    "trained": {"evaluated": 0},
    "evaluated": {"asked": 1, "finished": 0},
    "asked": {"skipped": 0, "labeled": 0},
    "skipped": {"skipped": 0, "labeled": 0},
    "finished": {},
}
"""Kind of an event (None: no event yet) -> the kinds that may follow, and by how much their round is later."""

_KEYS: Final[Mapping[str, dict[str, type]]] = {
    "started": {
        "strategy": str,
        "seed": int,
        "pool": int,
        "test": int,
        "examples": int,
        "num_classes": int,
        "budget": int,
        "device": str,
        "threads": int,
        "versions": dict,
    },
    "labeled": {"ids": list, "labels": list},
    "trained": {"weights": str, "sha256": str},
    "evaluated": {"labels": int},
    "asked": {"ids": list},
    "skipped": {"ids": list},
    "finished": {"model": str, "sha256": str},
}
_PER_ID = ("names", "scores", "labels")  # keys of events with ids: one entry for each of them
_IS: Final[Mapping[type, Callable[[Any], bool]]] = {
    str: lambda value: isinstance(value, str),
    int: lambda value: whole_number(value) is not None,
    float: lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    list: lambda value: isinstance(value, list),
    dict: lambda value: isinstance(value, dict),
}


class Grammar:
    """Follows the events of one run, in order, and finds the first that cannot be right."""

    def __init__(self) -> None:
        self._kind: str | None = None
        self._round = 0
        self._started: Mapping[str, Any] = {}
        self._labeled: set[int] = set()
        self._pending: set[int] = set()
        self._skipped: set[int] = set()

    @property
    def _task(self) -> Task:
        task: Task = self._started.get("task", "classification")
        return task

    def follow(self, event: Mapping[str, Any]) -> str | None:
        """Take in the next event, or say what is wrong with it; None: it may follow those before."""
        kind = event["event"]
        fault = (
            self._order_fault(kind, event.get("round"))
            or _key_fault(kind, event, self._task)
            or (self._ids_fault(kind, event) if "ids" in _KEYS[kind] else None)
            or self._number_fault(kind, event)
        )
        if fault is None:
            self._take_in(kind, event)
        return fault

    def _order_fault(self, kind: str, round_: object) -> str | None:
        following = FOLLOWING[self._kind]
        if kind not in following:
            last = "no event" if self._kind is None else f"{self._kind!r}"
            return f"expected {_either(following)} after {last}, got {kind!r}"
        expected = self._round + following[kind]
        if kind not in ("started", "finished") and (isinstance(round_, bool) or round_ != expected):
            return f"expected round {expected} of {kind!r}, got {_shown(round_)}"
        return None

    def _ids_fault(self, kind: str, event: Mapping[str, Any]) -> str | None:
        ids, examples = event["ids"], self._started["examples"]
        wrong = [i for i in ids if whole_number(i, 0, examples - 1) is None]
        if wrong:
            return f"expected ids from 0 to {examples - 1}, got {_shown(wrong[0])}"
        for key in _PER_ID:
            if key in event and (not isinstance(event[key], list) or len(event[key]) != len(ids)):
                return f"expected one entry of {key!r} for each of the {len(ids)} ids"
        if len(set(ids)) < len(ids):
            return f"the id {next(i for i in ids if ids.count(i) > 1)} occurs twice"
        if kind == "asked" or self._round == 0 == event["round"]:
            known = (self._labeled | self._pending | self._skipped) & set(ids)
            return f"the id {min(known)} was selected before" if known else self._size_fault(kind, len(ids))
        strange = set(ids) - self._pending
        return f"the id {min(strange)} has no pending query" if strange else None

    def _size_fault(self, kind: str, n: int) -> str | None:
        left = self._started["pool"] - len(self._labeled | self._pending | self._skipped)
        expected = min(self._started["budget"], left)
        if kind == "asked" and n != expected:
            return f"expected {expected} ids, got {n}"
        return f"expected at most {left} ids, the rest of the pool, got {n}" if n > left else None

    def _number_fault(self, kind: str, event: Mapping[str, Any]) -> str | None:
        fault = _label_fault(event["labels"], self._started["num_classes"], self._task) if kind == "labeled" else None
        if fault is not None:
            return fault
        infinite = [key for key, value in event.items() if isinstance(value, float) and not math.isfinite(value)]
        if infinite:
            return f"expected a finite number under {infinite[0]!r}, got {event[infinite[0]]}"
        if kind == "evaluated" and not _is_stop(event.get("stop")):
            return "expected classes, uncertainty and largest under 'stop', a list of whole numbers and two fractions"
        if kind == "evaluated" and event["labels"] != len(self._labeled):
            return f"expected {len(self._labeled)} labels, as many as the events before it have, got {event['labels']}"
        if kind == "trained" and event["weights"] != f"weights-{event['round']:03d}.safetensors":
            return f"expected weights of round {event['round']}, got {_shown(event['weights'])}"
        return None

    def _take_in(self, kind: str, event: Mapping[str, Any]) -> None:
        self._kind, self._round = kind, event.get("round", self._round)
        if kind == "started":
            self._started = event
        elif kind == "asked":
            self._pending |= set(event["ids"])
        elif kind in ("labeled", "skipped"):
            self._pending -= set(event["ids"])
            own = self._labeled if kind == "labeled" else self._skipped
            own |= set(event["ids"])


def _label_fault(labels: Sequence[Any], outputs: int, task: Task) -> str | None:
    """What is wrong with the labels of an event: classes; or rows of 0 and 1, or of targets."""
    if task == "classification":
        wrong = [y for y in labels if whole_number(y, 0, outputs - 1) is None]
        return f"expected labels from 0 to {outputs - 1}, got {_shown(wrong[0])}" if wrong else None
    rows = [row if isinstance(row, list) and len(row) == outputs else None for row in labels]
    known = _IS[float] if task == "regression" else lambda value: _IS[float](value) and value in (0, 1)
    wrong = [
        y
        for y, row in zip(labels, rows, strict=True)
        if row is None or not all(known(v) and math.isfinite(v) for v in row)
    ]
    numbers = "finite numbers" if task == "regression" else "numbers, 0 or 1,"
    return f"expected a list of {outputs} {numbers} as each label, got {_shown(wrong[0])}" if wrong else None


def _key_fault(kind: str, event: Mapping[str, Any], task: Task) -> str | None:
    if kind == "started" and event.get("task", "classification") not in TASKS:
        return f"expected one of {', '.join(TASKS)} under 'task', got {_shown(event['task'])}"
    for key, of in _keys(kind, task).items():
        if key not in event:
            return f"expected the key {key!r} in {kind!r}"
        if not _IS[of](event[key]):
            return f"expected {_NOUNS[of]} under {key!r}, got {_shown(event[key])}"
    notes = event.get("notes", [])
    return None if _texts(notes) else f"expected a list of texts under 'notes', got {_shown(notes)}"


def _keys(kind: str, task: Task) -> Mapping[str, type]:
    """The keys of an event; evaluations have one for each metric of the task."""
    return _KEYS[kind] | (dict.fromkeys(METRICS_OF[task], float) if kind == "evaluated" else {})


_NOUNS: Final = {str: "a text", int: "a whole number", float: "a number", list: "a list", dict: "an object"}


def _is_stop(stop: object) -> bool:
    """Whether the entry is what an evaluation keeps for stopping rules; they are left out without rules."""
    if stop is None:
        return True
    if not isinstance(stop, Mapping) or set(stop) != {"classes", "uncertainty", "largest"}:
        return False
    whole = isinstance(stop["classes"], list) and all(whole_number(c, 0) is not None for c in stop["classes"])
    fractions = all(_IS[float](stop[key]) and 0 <= stop[key] <= 1 for key in ("uncertainty", "largest"))
    return whole and fractions


def _texts(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(text, str) for text in value)


def _either(kinds: Iterable[str]) -> str:
    return " or ".join(map(repr, kinds)) or "nothing"


def _shown(value: object) -> str:
    """A value of any size, shortened."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""The state of a project as a pure function of its events: what the tables of the record must agree with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from distil.labeling.events import DECISION, MERGE, OPINIONS, Event


class Answer(NamedTuple):
    """What one person says about one item now.

    Attributes:
        kind: ``label``, ``skip`` or ``unsure``; ``decide`` for a decision; None where only the flag is set.
        label: The name of the class that the person gave, after renames and merges; None without a label.
        flagged: Whether the person flagged the item.
    """

    kind: str | None
    label: str | None
    flagged: bool


@dataclass
class State:
    """The state after some events.

    Attributes:
        classes: The names of the classes, in the order in which they were added; merged ones are left out.
        keys: Name of a class -> the key of the keyboard that stands for it; classes without one are left out.
        answers: (item, person) -> the answer; a decision is that of the person ``""``.
    """

    classes: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)


def fold(events: Iterable[Event]) -> State:
    """The state after events that a project recorded, in their order.

    Args:
        events: Events that were not refused, each once.
    """
    classes = Classes()
    undone: dict[str, bool] = {}
    said: list[tuple[Event, int | None]] = []
    for event in events:
        if event.kind in ("undo", "redo"):
            undone[str(event.target)] = event.kind == "undo"
            classes.change(event)
        elif event.kind in OPINIONS:
            said.append((event, None if event.label is None else classes.number(event.label)))
        else:
            classes.change(event)
    state = State(classes.live(), classes.keys())
    numbers: dict[tuple[str, str], tuple[str | None, int | None, bool]] = {}
    for event, label in said:
        if not undone.get(event.key, False):
            place = (str(event.item), subject_of(event))
            numbers[place] = after(numbers.get(place, NOTHING), event.kind, label)
    for place, (kind, label, flagged) in numbers.items():
        if kind is not None or flagged:
            state.answers[place] = Answer(kind, None if label is None else classes.name(label), flagged)
    return state


NOTHING: tuple[str | None, int | None, bool] = (None, None, False)
"""The opinion of a person who has not said anything: kind, class and flag."""


def after(
    before: tuple[str | None, int | None, bool], kind: str, label: int | None
) -> tuple[str | None, int | None, bool]:
    """An opinion (kind, class, flag) after one more event that was not undone."""
    if kind == "withdraw":
        return NOTHING
    if kind == "flag":
        return (*before[:2], True)
    return (kind, label, before[2])


def subject_of(event: Event) -> str:
    """The person whose opinion an event changes."""
    if event.kind == "decide":
        return DECISION
    return event.who if event.of is None else event.of


class Classes:
    """Classes by number, in the order in which they were added."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._into: dict[int, int] = {}
        self._keys: dict[str, int] = {}  # key of the keyboard -> the class that got it last
        self._known: dict[str, int] = {}  # also the earlier names
        self._merged: dict[str, int] = {}  # key of the event -> the class that it merged into another

    def change(self, event: Event) -> None:
        """Add, rename, merge, undo a merge or give a key; other events change nothing."""
        label, name = str(event.label), str(event.name)
        if event.kind == "class_add":
            self._known[label] = len(self._names)
            self._names.append(label)
        elif event.kind == "class_rename":
            number = self.number(label)
            self._names[number] = name
            self._known[name] = number
        elif event.kind == MERGE:
            number = self._merged[event.key] = self.number(label)
            self._into[number] = self.number(name)
            self._take_key(number)
        elif event.target in self._merged:
            number = self._merged[str(event.target)]
            del self._into[number]
            self._known[self._names[number]] = number
        elif event.kind == "class_key":
            number = self.number(label)
            self._take_key(number)
            self._keys[name] = number

    def has(self, name: str) -> bool:
        """Whether a class has, or had, this name."""
        return name in self._known

    def number(self, name: str) -> int:
        """The class that has, or had, this name; after merges."""
        return self._end(self._known[name])

    def name(self, number: int) -> str:
        """The present name of a class, after merges."""
        return self._names[self._end(number)]

    def live(self) -> list[str]:
        """The names of the classes that were not merged into another."""
        return [name for number, name in enumerate(self._names) if number not in self._into]

    def keys(self) -> dict[str, str]:
        """Name -> key of the classes that have a key, in the order of the classes."""
        found = {number: key for key, number in self._keys.items()}
        return {self._names[number]: found[number] for number in sorted(found)}

    def _take_key(self, number: int) -> None:
        self._keys = {key: other for key, other in self._keys.items() if other != number}

    def _end(self, number: int) -> int:
        while number in self._into:
            number = self._into[number]
        return number

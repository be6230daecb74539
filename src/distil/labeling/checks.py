"""Which items a person gets a second time: a few to measure self-agreement, and those where the model confidently disagrees."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from distil.labeling.events import ANSWERS

if TYPE_CHECKING:
    from distil.labeling.project import Project

REPEAT: Final = "repeat"
"""The reason of an item that a person gets again, to measure self-agreement."""
DISAGREES: Final = "disagrees"
"""The reason of a labeled item for which the model confidently guesses another class."""
REPEATS: Final = 0.03
"""Share of the items that are given out that are repeats, after a person's first answers."""
DISAGREEMENTS: Final = 0.05
"""Share that are labels to check, as long as there are suspects."""
FIRST: Final = 30
"""Number of a person's first answers during which nothing comes again."""
APART: Final = 20
"""Smallest number of answers between an answer and its repeat."""


@dataclass
class _Person:
    """What a person answered, in order: the items that got a label, and the number of answers before each."""

    answers: int = 0
    items: list[str] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    repeated: set[str] = field(default_factory=set)


class Checks:
    """Draws the items that come again. It follows a record, and the draws are a function of that record alone.

    Every place in the order of a person's items has its own draw, so the share of checks does not depend on the answers. An item
    is repeated to a person once at most, and given to one person at most because the model disagrees.

    Args:
        seed: Any text, such as the id of the project.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._people: dict[str, _Person] = defaultdict(_Person)
        self._checked: set[str] = set()
        self._last = 0

    def read(self, project: Project) -> None:
        """Follow the events that a project recorded since the last time."""
        for seq, _, sent in project.sent(after=self._last):
            self.take(sent)
            self._last = seq

    def take(self, sent: Mapping[str, Any]) -> None:
        """Follow one event, as it was sent."""
        if sent["kind"] not in ANSWERS:
            return
        person, item = self._people[sent["who"]], sent["item"]
        person.answers += 1
        reason = sent.get("shown", {}).get("reason")
        if reason == DISAGREES:
            self._checked.add(item)
        elif reason == REPEAT:
            person.repeated.add(item)
        elif sent["kind"] == "label":
            if item not in person.before:
                person.items.append(item)
            person.before[item] = person.answers

    def due(self, who: str, held: Collection[str], want: int, suspects: Sequence[str]) -> list[tuple[str, str]]:
        """The items to check among the next that a person gets: ids with their reasons, mostly none.

        Args:
            who: The name of the person.
            held: The ids of the items that the person has and has not answered.
            want: The number of items that the person gets now.
            suspects: The ids of labeled items where the model disagrees, the most probable error first.
        """
        person = self._people[who]
        given: dict[str, str] = {}
        for place in range(person.answers + len(held) + 1, person.answers + len(held) + 1 + want):
            draw, which = self._draw(who, place)
            if place <= FIRST or draw >= REPEATS + DISAGREEMENTS:
                continue
            taken = {*held, *given}
            if draw < REPEATS:
                item, reason = self._repeat(person, which, taken), REPEAT
            else:
                item, reason = self._suspect(person, suspects, taken), DISAGREES
            if item is not None:
                given[item] = reason
        return list(given.items())

    def _repeat(self, person: _Person, which: float, taken: Collection[str]) -> str | None:
        """One of the items that the person labeled long enough ago."""
        n = len(person.items)
        for step in range(n):
            item = person.items[(int(which * n) + step) % n]
            if self._long_ago(person, item) and item not in person.repeated and item not in taken:
                return item
        return None

    def _suspect(self, person: _Person, suspects: Sequence[str], taken: Collection[str]) -> str | None:
        fresh = (item for item in suspects if item not in self._checked and item not in taken)
        return next((item for item in fresh if self._long_ago(person, item)), None)

    def _long_ago(self, person: _Person, item: str) -> bool:
        return item not in person.before or person.answers - person.before[item] >= APART

    def _draw(self, who: str, place: int) -> tuple[float, float]:
        """Two numbers in [0, 1) for a place in the order of a person's items."""
        digest = hashlib.blake2b(f"{self._seed}\n{who}\n{place}".encode(), digest_size=16).digest()
        return int.from_bytes(digest[:8]) / 2**64, int.from_bytes(digest[8:]) / 2**64

"""Rounds with people in Label Studio: pull, fit, push, wait, until nothing is open."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from distil.errors import InvalidInput, RunBusy
from distil.labeling.label_studio.client import Unreachable
from distil.labeling.label_studio.pull import pull
from distil.labeling.label_studio.push import PushSettings, push
from distil.labeling.label_studio.remote import Remote
from distil.labeling.project import Project

_SLOWEST: Final = 6
"""How many times as long as asked a pause grows while people answer nothing."""


@dataclass(frozen=True)
class Looped:
    """What a loop did.

    Attributes:
        rounds: Number of pushes with new tasks.
        recorded: Number of answers that were recorded.
        labeled: Number of items of the project that have a label.
        items: Number of its items.
    """

    rounds: int
    recorded: int
    labeled: int
    items: int


def loop(
    project: Project,
    remote: Remote,
    n: int,
    how: PushSettings,
    *,
    every: float = 10.0,
    new_classes: bool = False,
    say: Callable[[str], None],
    note: Callable[[str], None],
    sleep: Callable[[float], object] = time.sleep,
) -> Looped:
    """Keep tasks open in Label Studio until no item of the project is open; a loop may be ended at any moment and begun again.

    When half of the tasks are answered, the model is fitted again and the next items are pushed, so that people always find some.
    The project is locked only while it is read or written. A server that is away is waited for.

    Args:
        project: The project.
        remote: Its project in Label Studio.
        n: Number of tasks that are open after a push.
        how: How items are chosen and sent.
        every: Seconds between two looks at Label Studio; up to six times as many while people answer nothing.
        new_classes: Whether choices that are no class yet become classes.
        say: Called with a line of progress after each change.
        note: Called with a line on everything that was left out, and on a server that is away.
        sleep: Waits for some seconds.

    Raises:
        InvalidInput: ``every`` is not positive.
        RunError: Label Studio refuses something, or does not answer at the beginning.
    """
    if not 0 < every < math.inf:
        raise InvalidInput(f"every must be a positive number of seconds, got {every!r}")
    rounds = _Rounds(project, remote, n, how, new_classes)
    counters, pause = None, every
    while rounds.open != 0:
        pause = min(1.5 * pause, _SLOWEST * every)
        try:
            now = remote.counters()
            if now != counters:
                lines, counters, pause = rounds.step(), now, every
                say(rounds.progress())
                for line in lines:
                    note(line)
        except (Unreachable, RunBusy) as error:
            if counters is None:
                raise
            note(f"{error}; trying again in {pause:.0f} seconds")
        if rounds.open != 0:
            sleep(pause)
    return rounds.result()


class _Rounds:
    """Rounds of pulling, fitting and pushing; ``open`` is the number of open tasks, None before the first."""

    def __init__(self, project: Project, remote: Remote, n: int, how: PushSettings, new_classes: bool) -> None:
        self._project, self._remote, self._n, self._how, self._new_classes = project, remote, n, how, new_classes
        self._rounds = self._recorded = 0
        self._noted: set[str] = set()
        self.open: int | None = None

    def step(self) -> list[str]:
        """Pull, and push where half of the tasks are answered; the new notes."""
        with self._project.only_writer():
            pulled = pull(self._project, self._remote, new_classes=self._new_classes)
            notes = list(pulled.notes)
            self._recorded += pulled.recorded
            left = pulled.open
            if left <= self._n // 2:
                pushed = push(self._project, self._remote, self._n - left, self._how)
                notes += pushed.notes
                self._rounds += pushed.new > 0
                left = pushed.open
            self.open = left  # only now: after an error in the push, the next step does it again
        new = [line for line in notes if line not in self._noted]
        self._noted.update(new)
        return new

    def progress(self) -> str:
        """How far the project is, in a line."""
        done = self.result()
        return f"{done.labeled:,} of {done.items:,} items have a label; {self.open or 0:,} tasks are open"

    def result(self) -> Looped:
        """What was done until now."""
        status = self._project.status()
        return Looped(self._rounds, self._recorded, status.labeled, status.items)

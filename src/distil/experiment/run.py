"""A run is a directory of events; its state is a fold over them, so resuming is replaying.

::

    RUN/
      config.json            the configuration
      events.jsonl           one JSON object a line, appended and synced; holds no clock
      times.jsonl            the seconds of each step
      weights-007.safetensors  weights after the last training, named in its event
      model.safetensors      the final model
      labeled.csv            id, label and round of every labeled example, if the data has the user's own ids
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distil.errors import DistilWarning, RunError, whole_number
from distil.experiment.chain import UNKNOWN, Chain, Event, parsed
from distil.experiment.config.document import sealed, unsealed
from distil.experiment.grammar import Grammar
from distil.system.files import locked, naming

EVENTS, TIMES, CONFIG = "events.jsonl", "times.jsonl", "config.json"


class Run:
    """One run directory. Reading it changes nothing; hold ``lock`` to continue the run.

    Args:
        path: The directory, created when the run is locked.

    Raises:
        RunError: ``events.jsonl`` has been altered; the message names the line. A torn last line, left by a crash in the middle
            of a write, is ignored.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._chain = _checked(self.path)

    @property
    def events(self) -> list[Event]:
        """The events so far, in order."""
        return self._chain.events

    def belong(self, identity: str, name: str) -> None:
        """Begin the record of the run with this identity, or check that the record is that of this run.

        Args:
            identity: The hash that ``distil.experiment.identity.identity_of`` returns.
            name: The strategy and seed, for the message.

        Raises:
            RunError: The directory holds another run.
        """
        if not self.events:
            self._chain = Chain(self.path / EVENTS, identity)
        elif self._chain.belongs != identity:
            own = f"{self.events[0]['strategy']}, seed {self.events[0]['seed']}"
            raise RunError(
                f"{self.path / EVENTS}, line 1: expected the run of {name}, but it holds that of {own}"
                f"{', with another configuration' if own == name else ''}; choose another output directory, or restore "
                f"{CONFIG} and this directory from a backup"
            )

    def append(self, event: Mapping[str, Any]) -> None:
        """Add an event; once this returns, it survives a crash of the machine."""
        self._chain.append(event)

    def time(self, **entry: Any) -> None:  # noqa: ANN401 - any JSON value
        """Record the time of a step in a file of its own: events hold no clock, so a resumed run has the same bytes."""
        path = self.path / TIMES
        with naming(path), path.open("ab+") as file:
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)  # a process was killed in the middle of a line
            file.write((json.dumps(sealed(entry)) + "\n").encode())

    def times(self) -> list[dict[str, Any]]:
        """The entries that ``time`` recorded, without a line that a crash tore.

        Lines that were damaged or altered are left out with one warning: no result depends on them.
        """
        path = self.path / TIMES
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        entries = [unsealed(parsed(line)) for line in lines]
        damaged = [number for number, entry in enumerate(entries, 1) if not _is_time(entry)]
        if damaged:
            warnings.warn(
                f"{path}, line {damaged[0]}: expected the time of a step; {len(damaged)} of {len(lines)} lines are damaged or "
                "altered and are left out of times and memory",
                DistilWarning,
                stacklevel=2,
            )
        return [entry for entry in entries if entry is not None and _is_time(entry)]

    def last(self, kind: str) -> Event | None:
        """The latest event of a kind."""
        return next((event for event in reversed(self.events) if event["event"] == kind), None)

    def all(self, kind: str) -> list[Event]:
        """Every event of a kind, in order."""
        return [event for event in self.events if event["event"] == kind]

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return self.last("finished") is not None

    @property
    def stopped(self) -> str | None:
        """Why a stopping rule ended the run; None if none did."""
        return (self.last("finished") or {}).get("stopped")

    def done(self, rounds: int) -> bool:
        """Whether the run has finished this many rounds, or earlier by a stopping rule or for want of unlabeled examples."""
        if not self.finished or len(self.all("evaluated")) >= rounds or self.stopped is not None:
            return self.finished
        used = {id_ for kind in ("labeled", "skipped") for event in self.all(kind) for id_ in event["ids"]}
        pool: int = (self.last("started") or {"pool": 0})["pool"]
        return len(used) >= pool

    def reopen(self) -> None:
        """Cut off the end of a finished run, which then has the events of one that still has rounds to do."""
        self._chain.take_back()
        self._chain = _checked(self.path, self._chain.belongs)

    @contextmanager
    def lock(self, *, wait: bool = False) -> Iterator[None]:
        """Keep other processes from continuing this run, and cut off a torn last line.

        The lock ends with its process, even if that is killed.

        Args:
            wait: Whether to wait for a process that holds the lock.

        Raises:
            RunBusy: Another process holds the lock, and ``wait`` is False.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / ".lock", None if wait else f"{self.path} is being run by another process"):
            self._chain = _checked(self.path, self._chain.belongs)
            self._chain.cut()
            yield


def _checked(path: Path, start: str = UNKNOWN) -> Chain:
    """The chain of events of a run, each of which may follow those before."""
    chain, grammar = Chain(path / EVENTS, start), Grammar()
    for number, event in enumerate(chain.events, 1):
        fault = grammar.follow(event)
        if fault is not None:
            raise chain.altered(number, fault)
    return chain


def _is_time(entry: Mapping[str, Any] | None) -> bool:
    """Whether a line of times says which step took how long."""
    if entry is None or whole_number(entry.get("round"), 0) is None or not isinstance(entry.get("step"), str):
        return False
    seconds, peak = entry.get("seconds"), entry.get("peak_bytes")
    known = (
        isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and math.isfinite(seconds) and seconds >= 0
    )
    return known and (peak is None or whole_number(peak, 0) is not None)

"""A run is a directory of events; its state is a fold over them, so resuming is replaying.

::

    RUN/
      config.json            what is run
      events.jsonl           one JSON object a line, appended and synced; holds no clock
      times.jsonl            seconds that the steps took
      weights-007.safetensors  of the last training, named by the event that relies on it
      model.safetensors      the final model
      labeled.csv            id, label and round of everything labeled, where the data has the user's own ids
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distil.errors import RunError
from distil.system.files import locked, sync_folder

Event = dict[str, Any]

EVENTS, TIMES, CONFIG = "events.jsonl", "times.jsonl", "config.json"


class Run:
    """One run directory. Looking at it changes nothing; going on with it wants ``lock``.

    Args:
        path: The directory; it is made when the run is locked.

    Attributes:
        events: What has happened so far.

    Raises:
        RunError: A line of ``events.jsonl`` other than the last cannot be read. The last may be torn, by a crash in the middle
            of a write; it is passed over.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.events = _read_events(self.path / EVENTS)[0]

    def append(self, event: Mapping[str, Any]) -> None:
        """Add an event; once this returns, it survives a crash of the machine."""
        line = json.dumps(dict(event)) + "\n"
        is_new = not (self.path / EVENTS).exists()
        with (self.path / EVENTS).open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self.path)
        self.events.append(json.loads(line))

    def time(self, **entry: Any) -> None:  # noqa: ANN401 - whatever is worth noting
        """Note how long something took, in a file other than the events: clocks are no part of a run's result."""
        with (self.path / TIMES).open("ab+") as file:
            torn = file.tell() > 0 and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n"
            file.write((("\n" if torn else "") + json.dumps(entry) + "\n").encode())

    def times(self) -> list[dict[str, Any]]:
        """The entries of ``time``; what a crash tore is left out."""
        path = self.path / TIMES
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        entries = [_parsed(line) for line in lines]
        return [entry for entry in entries if entry is not None]

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

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from going on with this run, and cut off a torn last line.

        The lock goes with its process, however that ends.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / ".lock", f"{self.path} is being run by another process"):
            self.events, whole = _read_events(self.path / EVENTS)
            if (self.path / EVENTS).exists() and (self.path / EVENTS).stat().st_size > whole:
                os.truncate(self.path / EVENTS, whole)
            yield


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _read_events(path: Path) -> tuple[list[Event], int]:
    """The events in a file, and how many bytes of it are whole lines of them."""
    content = path.read_bytes() if path.exists() else b""
    lines = content.split(b"\n")[:-1]
    events: list[Event] = []
    whole = 0
    for number, line in enumerate(lines, 1):
        event = _parsed(line)
        if event is None or "event" not in event:
            if number == len(lines) and whole + len(line) + 1 == len(content):
                break  # a torn last line
            raise RunError(f"{path}, line {number}, is not an event; the file is damaged")
        events.append(event)
        whole += len(line) + 1
    return events, whole

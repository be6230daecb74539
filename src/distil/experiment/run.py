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
    """One run directory. Reading it changes nothing; hold ``lock`` to continue the run.

    Args:
        path: The directory, created when the run is locked.

    Attributes:
        events: The events so far, in order.

    Raises:
        RunError: A line of ``events.jsonl`` other than the last cannot be read. A torn last line, left by a crash in the middle
            of a write, is ignored.
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

    def time(self, **entry: Any) -> None:  # noqa: ANN401 - any JSON value
        """Record the time of a step in a file of its own: events hold no clock, so a resumed run has the same bytes."""
        with (self.path / TIMES).open("ab+") as file:
            torn = file.tell() > 0 and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n"
            file.write((("\n" if torn else "") + json.dumps(entry) + "\n").encode())

    def times(self) -> list[dict[str, Any]]:
        """The entries that ``time`` recorded, without lines that a crash tore."""
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
        """Keep other processes from continuing this run, and cut off a torn last line.

        The lock ends with its process, even if that is killed.
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
    """The events in a file, and the length in bytes of the lines that hold them."""
    content = path.read_bytes() if path.exists() else b""
    lines = content.split(b"\n")[:-1]
    events: list[Event] = []
    whole = 0
    for number, line in enumerate(lines, 1):
        event = _parsed(line)
        if event is None or "event" not in event:
            if number == len(lines) and whole + len(line) + 1 == len(content):
                break  # a torn last line
            raise RunError(
                f"{path}, line {number}: expected a JSON object with the key 'event'; the file is damaged. Restore it from a "
                f"backup, or remove {path.parent} to run it again"
            )
        events.append(event)
        whole += len(line) + 1
    return events, whole

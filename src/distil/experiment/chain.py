"""A file of events as a chain: each line ends with its own hash and begins with the hash of the line before.

::

    {"prev": "START", "event": "started", ..., "hash": "8c1f..."}
    {"prev": "8c1f...", "event": "labeled", ..., "hash": "03de..."}

``hash`` is the SHA-256 of everything before it in its line, and ``prev`` the hash that ends the line before, so a line that was
changed, removed, inserted or moved does not fit. The first ``prev`` says what the file belongs to. A file that lacks lines at its
end is one that a killed process leaves, and the run goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distil.errors import RunError
from distil.system.files import naming, sync_folder

Event = dict[str, Any]

UNKNOWN = "0" * 64
"""The first ``prev`` of a file that belongs to no experiment."""

_LINE = re.compile(rb'(\{"prev": "([0-9a-f]{64})", .*), "hash": "([0-9a-f]{64})"\}', re.DOTALL)


class Chain:
    """The events in a file. Reading it changes nothing; call ``cut`` before the first ``append``.

    Args:
        path: The file; it need not exist.
        start: What the file belongs to, as a hash; used for the first line.

    Attributes:
        events: The events, without their hashes.
        belongs: The first ``prev`` in the file; ``start`` while it has no line.

    Raises:
        RunError: A line does not fit. A torn last line, left by a crash in the middle of a write, is ignored.
    """

    def __init__(self, path: Path, start: str = UNKNOWN) -> None:
        self.path = path
        self.events: list[Event] = []
        self.belongs = self._last = start
        self._size = 0
        for number, line in enumerate(_whole_lines(path), 1):
            prev, event, own = self._parts(number, line)
            if number == 1:
                self.belongs = prev
            elif prev != self._last:
                raise self.altered(
                    number, f"a line was removed, inserted or moved before it: it does not follow line {number - 1}"
                )
            self._last = own
            self._size += len(line) + 1
            self.events.append(event)

    def append(self, event: Mapping[str, Any]) -> None:
        """Add an event; once this returns, it survives a crash of the machine."""
        line, own = chained(event, self._last)
        is_new = not self.path.exists()
        with naming(self.path), self.path.open("ab") as file:
            if file.tell() > self._size:  # the rest of an append that failed, on a full disk for example
                file.truncate(self._size)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            with naming(self.path):
                sync_folder(self.path.parent)
        self._last = own
        self._size += len(line)
        self.events.append(json.loads(json.dumps(dict(event))))

    def cut(self) -> None:
        """Cut off a torn last line."""
        if self.path.exists() and self.path.stat().st_size > self._size:
            os.truncate(self.path, self._size)

    def take_back(self) -> None:
        """Cut off the last event from the file; this object still holds it."""
        os.truncate(self.path, self._size - len(_whole_lines(self.path)[-1]) - 1)

    def altered(self, number: int, fault: str) -> RunError:
        """The error for a line that is not as it was written."""
        return RunError(
            f"{self.path}, line {number}: {fault}. The record has been altered: restore the file from a backup, or remove "
            f"{self.path.parent} to run it again"
        )

    def _parts(self, number: int, line: bytes) -> tuple[str, Event, str]:
        """The hash before, the event and the hash of a line."""
        found = _LINE.fullmatch(line)
        if found is None:
            raise self.altered(
                number, "expected a JSON object that begins with the key 'prev' and ends with the key 'hash'"
            )
        if hashlib.sha256(found[1]).hexdigest().encode() != found[3]:
            raise self.altered(number, "its content does not match its hash")
        event = parsed(line)
        if event is None or not isinstance(event.get("event"), str):
            raise self.altered(number, "expected a JSON object with the key 'event'")
        del event["prev"], event["hash"]
        return found[2].decode(), event, found[3].decode()


def chained(event: Mapping[str, Any], prev: str) -> tuple[bytes, str]:
    """The line of an event that follows the line whose hash is ``prev``, and its own hash."""
    body = json.dumps({"prev": prev, **event})[:-1].encode()
    own = hashlib.sha256(body).hexdigest()
    return body + f', "hash": "{own}"}}\n'.encode(), own


def hash_of(document: Any) -> str:  # noqa: ANN401 - any JSON value
    """SHA-256 of a JSON value in hexadecimal; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _whole_lines(path: Path) -> list[bytes]:
    """The lines of a file, without a torn last one: it has no newline, or pages that never reached the disk, which read as NUL."""
    content = path.read_bytes() if path.exists() else b""
    lines = content.split(b"\n")[:-1]
    return lines[:-1] if lines and b"\0\0" in lines[-1] else lines  # a single NUL is an altered byte


def parsed(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line; None if there is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):  # bytes that are not UTF-8 and whole numbers of thousands of digits too
        return None
    return value if isinstance(value, dict) else None

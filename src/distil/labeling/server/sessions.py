"""Who is at the page: one-time addresses, and the sessions that they open.

A file keeps hashes of both, never the tokens. They are made with the key of the user: a file that came with a project from
elsewhere opens no session.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from distil.errors import RunError
from distil.labeling.events import check_name
from distil.system.files import FAULTS_OF_FILES, replacing
from distil.system.user_key import NoKey, user_key

FILE: Final = "sessions.json"
_MOST: Final = 1000  # sessions, and addresses not yet opened; the oldest are dropped


class Sessions:
    """The one-time tokens and sessions of a project, kept in its folder so that a restart logs no person out.

    Args:
        folder: The folder of the project.

    Raises:
        RunError: The file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()
        try:
            self._key = user_key()
        except NoKey:  # then sessions end with the process
            self._key = secrets.token_bytes(32)
        self._sessions: dict[str, str] = {}  # hash of a token -> the person
        self._links: dict[str, str] = {}  # the same of tokens that open one session
        self._launch: dict[str, str] = {}  # those of the address that is printed, which end with the process
        self._read()

    def launch(self, who: str) -> str:
        """A one-time token for the printed address."""
        return self._made(self._launch, who)

    def link(self, who: str) -> str:
        """A one-time token for a further person, which outlives a restart.

        Raises:
            RunError: It cannot be kept, because the disk is full for example.
        """
        with self._changing():
            return self._made(self._links, who)

    def open(self, token: str) -> str | None:
        """The token of a new session for a one-time token, which is used up; None if it is unknown or was used before.

        Raises:
            RunError: The session cannot be kept; the one-time token stays as it was.
        """
        place = self._hash(token)
        if place not in self._launch and place not in self._links:
            return None
        with self._changing():
            who = self._launch.pop(place, None) or self._links.pop(place, None)
            return None if who is None else self._made(self._sessions, who)

    def who(self, token: str | None) -> str | None:
        """The person of a session; None without one."""
        return None if token is None else self._sessions.get(self._hash(token))

    @property
    def people(self) -> list[str]:
        """Everybody who has a session or an address."""
        return sorted({*self._sessions.values(), *self._links.values(), *self._launch.values()})

    def _made(self, kept: dict[str, str], who: str) -> str:
        check_name("the name of a person", who)
        token = secrets.token_urlsafe(32)
        kept[self._hash(token)] = who
        while len(kept) > _MOST:
            del kept[next(iter(kept))]
        return token

    def _read(self) -> None:
        try:
            document = json.loads(self._path.read_bytes())
            for name, kept in (("sessions", self._sessions), ("links", self._links)):
                kept.update(
                    {str(place): check_name("the name of a person", who) for place, who in document[name].items()}
                )
        except FileNotFoundError:
            return
        except FAULTS_OF_FILES as error:
            raise RunError(f"{self._path} is damaged; delete it, and everybody gets a new address") from error

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A block whose changes are on disk after it, or undone."""
        with self._lock:
            before = [(kept, dict(kept)) for kept in (self._sessions, self._links, self._launch)]
            try:
                yield
                self._write()
            except OSError as error:
                for kept, was in before:
                    kept.clear()
                    kept.update(was)
                raise RunError(f"{self._path} cannot be written ({error.strerror}); try again when it can") from error

    def _write(self) -> None:
        text = json.dumps({"sessions": self._sessions, "links": self._links})
        with replacing(self._path) as temporary:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)

    def _hash(self, token: str) -> str:
        return hmac.digest(self._key, token.encode("utf-8", "surrogatepass"), "sha256").hex()

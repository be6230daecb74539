"""A key that only this user can read: what is signed with it was written by this user, on this machine."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from distil.system.files import data_folder, locked, replacing

_KEY_BYTES = 32


class NoKey(Exception):
    """The user's key cannot be made or read, or is not safe to use; the message says why."""


def user_key() -> bytes:
    """The user's key, made at the first use.

    Raises:
        NoKey: It cannot be made or read, is damaged, or others can read it.
    """
    path = data_folder() / "key"
    if not path.is_absolute():
        raise NoKey("there is no home folder to keep a key in")
    try:
        if not path.exists():
            _make_key(path)
        content, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise NoKey(f"the key {path} cannot be used: {error.strerror}") from None
    if os.name == "posix" and mode & 0o077:
        raise NoKey(f"others can read the key {path}; remove it")
    if len(content) != _KEY_BYTES:
        raise NoKey(f"the key {path} is damaged; remove it")
    return content


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(".key.lock")):
        if not path.exists():  # another process may have been first
            with replacing(path) as temporary:
                handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
                with open(handle, "wb") as file:
                    file.write(secrets.token_bytes(_KEY_BYTES))

"""Atomic writing of files, locks that end with their process, digests, and the user's cache."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distil.errors import RunBusy


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """A context for writing to ``path``: errors of the system that name ``temporary`` or no file (a full disk) then name it."""
    try:
        yield
    except OSError as error:
        # errors without a number are not the system's
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; then sync that file and rename it to ``path``, so that ``path`` is never partial."""
    # random, because containers that share a disk may have equal process ids
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with naming(path, temporary):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path, name: str = "*") -> None:
    """Remove the temporary files of killed processes from a folder.

    Args:
        folder: The folder in which ``replacing`` was writing.
        name: The name of the final file, or a pattern of names.
    """
    for temporary in folder.glob(f".{name}.*.tmp"):
        temporary.unlink(missing_ok=True)  # another command may remove it too


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, completely or not at all; names of files keep bytes that are not UTF-8."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode(errors="surrogateescape"))


@contextmanager
def locked(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold a lock on a file. The system releases it when the process ends, however that happens.

    Args:
        path: The lock file; it is created if missing and stays.
        busy: The message of the error if another process holds the lock; None: wait for that process.

    Raises:
        RunBusy: Another process holds the lock, and ``busy`` is a message.
    """
    import filelock

    # filelock's fallback on file systems without locks is a file that would stay after a kill
    lock = filelock.FileLock(path, timeout=-1 if busy is None else 0, fallback_to_soft=False)
    try:
        held = lock.acquire()
    except filelock.Timeout:
        raise RunBusy(busy) from None
    with held:
        yield


def digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; empty if the file does not exist."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(path: Path) -> None:
    """Sync a folder, so that new names in it are on disk too."""
    if os.name == "posix":  # other systems cannot open a folder
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def cache_folder() -> Path:
    """The folder of distil in the user's cache; it need not exist.

    It is ``distil`` in ``XDG_CACHE_HOME`` or ``~/.cache`` if that exists, as earlier versions made it on every platform; else the
    platform's folder.
    """
    import platformdirs

    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    before = (caches if caches.is_absolute() else Path("~/.cache").expanduser()) / "distil"
    return before if before.is_dir() else Path(platformdirs.user_cache_dir("distil", appauthor=False))

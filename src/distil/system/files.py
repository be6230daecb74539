"""Files that are whole or not there at all, locks that go with their process, digests, and the user's cache."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distil.errors import RunError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name to write to; what was written there is synced and takes the name ``path``, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")  # containers share disks, and process ids
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path, name: str = "*") -> None:
    """Remove what killed processes left of files that ``replacing`` was writing in a folder, under a name or a pattern."""
    for temporary in folder.glob(f".{name}.*.tmp"):
        temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def locked(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold a lock file, which is made if missing and left. The lock goes with its process, however that ends.

    Args:
        path: The lock file.
        busy: What to say where another process holds it; without it, wait for that process.

    Raises:
        RunError: Another process holds it.
    """
    import filelock

    # The fallback, for file systems without locks, is a file that stays when its process is killed.
    lock = filelock.FileLock(path, timeout=-1 if busy is None else 0, fallback_to_soft=False)
    try:
        held = lock.acquire()
    except filelock.Timeout:
        raise RunError(busy) from None
    with held:
        yield


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; empty where there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(path: Path) -> None:
    """Have the names in a folder on disk, too."""
    if os.name == "posix":  # a folder cannot be opened elsewhere
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def cache_folder() -> Path:
    """The folder of distil in the user's cache; it need not exist.

    The platform's, or the one that earlier versions made on every platform: ``distil`` in ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    import platformdirs

    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    before = (caches if caches.is_absolute() else Path("~/.cache").expanduser()) / "distil"
    return before if before.is_dir() else Path(platformdirs.user_cache_dir("distil", appauthor=False))

"""Atomic writing of files, locks that end with their process, digests, and the user's folders."""

from __future__ import annotations

import glob
import hashlib
import itertools
import lzma
import os
import secrets
import shutil
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from distil.errors import DistilWarning, InvalidInput, RunBusy, RunError

# Errors that zipfile, its decompressors, NumPy and json raise for damaged archives, headers and documents.
FAULTS_OF_FILES: Final = (
    ValueError, OSError, EOFError, TypeError, LookupError, AttributeError, OverflowError, MemoryError, RecursionError,
    RuntimeError, SyntaxError, tokenize.TokenError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
)  # fmt: skip


@contextmanager
def naming(path: Path, other: Path | None = None) -> Iterator[None]:
    """A context for writing to ``path``: errors of the system that name ``other`` or no file (a full disk) then name ``path``.

    Args:
        path: The file or folder as the user named it.
        other: Where it is written: a temporary file or folder, or the file that a link names.
    """
    try:
        yield
    except OSError as error:
        # errors without a number are not the system's
        if error.errno is not None and (error.filename is None or _is_in(error.filename, other)):
            error.filename = str(path)
        raise


def _is_in(name: object, other: Path | None) -> bool:
    """Whether the file name of an error, which may be a number, is that of ``other`` or of a file in it."""
    return (
        other is not None
        and isinstance(name, str | bytes | os.PathLike)
        and Path(os.fsdecode(name)).is_relative_to(other)
    )


@contextmanager
def replacing(path: Path, *, new: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to; then sync that file and rename it to ``path``, so that ``path`` is never partial.

    Args:
        path: The final path.
        new: Whether a file of that name is an error (FileExistsError), also one that appeared meanwhile.

    Raises:
        OSError: Its file name is ``path`` also where the temporary file could not be written.
    """
    # random, because containers that share a disk may have equal process ids
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with naming(path, temporary):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            if new:
                name_new(temporary, path)
            else:
                temporary.replace(path)
            try:
                sync_folder(path.parent)
            except OSError:
                if new:  # the same call is not to find it in its way
                    path.unlink()
                raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to write to, and then rename it to ``path``, so that ``path`` is never partial.

    Args:
        path: The folder, which must not exist, or be empty.

    Raises:
        RunError: There is something else at the path, or another command has made the folder meanwhile.
    """
    check_free(path)
    named, path = path, Path(os.path.realpath(path))  # a link to an empty folder keeps its place
    path.parent.mkdir(parents=True, exist_ok=True)
    made = temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with naming(named, temporary):
            temporary.mkdir()
            yield temporary
            _name_folder(temporary, path)
            made = path
            sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def remove_unfinished_folders(path: Path) -> None:
    """Remove what killed processes left that were making the folder ``path``, see :func:`new_folder`."""
    path = Path(os.path.realpath(path))
    for left in path.parent.glob(f"{glob.escape(f'.{path.name}.')}{'[0-9a-f]' * 16}.tmp"):
        shutil.rmtree(left, ignore_errors=True)


def check_free(path: Path) -> None:
    """Refuse a path at which there is something other than an empty folder (RunError)."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise RunError(f"{path} exists; expected a new or empty folder")


def _name_folder(temporary: Path, path: Path) -> None:
    try:
        if path.exists():
            path.rmdir()  # Windows renames to no folder that exists
        temporary.rename(path)
    except OSError:
        check_free(path)  # another command may have made it
        raise


def name_new(temporary: Path, path: Path) -> None:
    """Give a file its name, unless another file has it (FileExistsError)."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        path.open("xb").close()  # takes the name
        try:
            temporary.replace(path)
        except OSError:
            path.unlink()
            raise


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


def publish(path: Path, content: bytes, *, force: bool = False) -> bool:
    """Write a file that the user named. A file that is there stays: nothing of the user's is replaced.

    A link keeps its place, and the file that it names is written.

    Args:
        path: The file.
        content: Its bytes.
        force: Replace a file with other content; the new one has its permissions.

    Returns:
        Whether the file was written; False if it holds these bytes already.

    Raises:
        InvalidInput: There is a file with other content, and no ``force``.
    """
    target = Path(os.path.realpath(path))
    (target if path.is_symlink() else path).parent.mkdir(parents=True, exist_ok=True)
    if _holds(target, content):
        return False
    replaced = force and target.exists()
    try:
        with naming(path, target), replacing(target, new=not replaced) as temporary:
            temporary.write_bytes(content)
            if replaced:
                shutil.copymode(target, temporary)
    except FileExistsError:
        if _holds(target, content):  # another command has written the same meanwhile
            return False
        raise InvalidInput(kept(path)) from None
    return True


def kept(path: Path) -> str:
    """The message about a file that is there and is not replaced."""
    return (
        f"{path} exists already, with other content, and was left as it is; choose another name, or replace it with force=True "
        "(--force)"
    )


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:  # there is no such file, or it cannot be read
        return False


def move_aside(path: Path) -> None:
    """Give a file that somebody edited another name, with a warning."""
    aside = set_aside(path)
    path.unlink(missing_ok=True)
    warn_of_aside(path, aside, "will be written anew")


def set_aside(path: Path) -> Path:
    """Give the content of a file another name, ``NAME (edited).md``, and return that; the file itself may be there still."""
    ends = itertools.chain([""], (f" {number}" for number in itertools.count(2)))
    names = (path.with_name(f"{path.stem} (edited{end}){path.suffix}") for end in ends)
    # one with the same content is left by a process that was killed right after this
    aside = next(name for name in names if not name.exists() or digest(name) == digest(path))
    if not aside.exists():
        name_new(path, aside)
    return aside


def warn_of_aside(path: Path, aside: Path, what: str) -> None:
    """Warn that a file which somebody edited has another name now; ``what`` says what becomes of its own name."""
    warnings.warn(
        f"{path} is not as distil wrote it, so it is kept as {aside.name}; {path.name} {what}",
        DistilWarning,
        stacklevel=3,
    )


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


def data_folder() -> Path:
    """The folder of distil for the user's own data, which is kept when caches are emptied; it need not exist."""
    import platformdirs

    return Path(platformdirs.user_data_dir("distil", appauthor=False))

"""The journal of an unfinished file of embeddings: its rows so far, and the items that they belong to.

For each row there is the hash of the item's content too, by which a later call finds the rows that still serve.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from distil.errors import InvalidInput
from distil.system.files import locked, naming

_HEADER_BYTES = 128
_SYNC_SECONDS = 2.0
_BLOCK_BYTES = 2**20
HASH_BYTES = 16


class Journal:
    """An unfinished file of embeddings: rows, hashes of the items' contents, and the number of rows are in one hidden file each.

    Rows are synced before the line that counts them, so the rows that a line counts are on disk. A line ends with its own hash, and
    holds those of the rows and hashes that it counts: from what was altered meanwhile, nothing is continued. Use it within
    :meth:`locked`.

    Attributes:
        done: Number of items of the pool that were embedded or skipped.
        dims: D, the numbers in a row; 0 before the first row.
        faults: Row of each skipped item -> the reason.
        reused: Number of rows that are from the earlier file.
    """

    def __init__(self, path: Path, key: str, log: IO[str]) -> None:
        self.path, self.key = path, key
        self.rows_path, self.hashes_path = rows_path(path), _unfinished_hashes(path)
        self.done, self.dims, self.reused, self.faults = 0, 0, 0, dict[int, str]()
        self._sums = hashlib.sha256(), hashlib.sha256()  # of rows and hashes
        self._log = log
        self._synced = time.monotonic()
        self._resume()
        if not self.done:  # not truncated, because the finished array may be the same file by another name
            self.rows_path.unlink(missing_ok=True)
        with naming(self.path):
            self._rows = self._opened(self.rows_path, _HEADER_BYTES + 4 * self.dims * self.kept)
            self._hashes = self._opened(self.hashes_path, HASH_BYTES * self.kept)

    def _opened(self, path: Path, size: int) -> IO[bytes]:
        """A file to which the next rows are appended, after the ``size`` bytes that count."""
        file = path.open("r+b" if self.done else "w+b")
        file.truncate(size)
        file.seek(0, os.SEEK_END)
        return file

    @classmethod
    @contextmanager
    def locked(cls, path: Path, key: str) -> Iterator[Journal]:
        """A context with the journal of a file of embeddings, which keeps other processes out."""
        with (
            locked(lock_path(path), f"{path} is being written by another process"),
            log_path(path).open("a+", encoding="utf-8", errors="replace") as log,
            closing(cls(path, key, log)) as journal,
        ):
            yield journal

    @property
    def kept(self) -> int:
        """Number of rows that were written."""
        return self.done - len(self.faults)

    def add(
        self, rows: NDArray[np.float32], hashes: Sequence[bytes], count: int, reused: int, faults: Mapping[int, str]
    ) -> None:
        """Append the embeddings of the next ``count`` items, and the hashes of their contents, without those that have faults."""
        self.dims = self.dims or rows.shape[1]
        if rows.shape[1] != self.dims:
            raise InvalidInput(
                f"expected embeddings of {self.dims} numbers, as in earlier minibatches, but the model returned {rows.shape[1]}"
            )
        contents = np.ascontiguousarray(rows).tobytes(), b"".join(hashes)
        for file, content, sum_ in zip((self._rows, self._hashes), contents, self._sums, strict=True):
            with naming(self.path):
                file.write(content)
            sum_.update(content)
        self.done += count
        self.reused += reused
        self.faults.update(faults)
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Write all added rows, and their number, to disk."""
        state: dict[str, Any] = {"key": self.key, "done": self.done, "dims": self.dims, "reused": self.reused}
        state |= {"faults": list(self.faults.items()), "sums": [sum_.hexdigest() for sum_ in self._sums]}
        with naming(self.path):
            _flushed(self._rows)
            _flushed(self._hashes)
            self._log.write(json.dumps({**state, "hash": _hash_of(state)}) + "\n")
            _flushed(self._log)
        self._synced = time.monotonic()

    def number(self) -> None:
        """Write the header of an ``.npy`` file of these rows."""
        header = _npy_header(self.kept, self.dims)
        self._rows.seek(0)
        if (
            self._rows.read(_HEADER_BYTES) != header
        ):  # else the call was stopped later, and the file may have its name already
            self._rows.seek(0)
            with naming(self.path):
                self._rows.write(header)
                _flushed(self._rows)

    def close(self) -> None:
        """Close the files; what could not be written is tried again."""
        with naming(self.path), closing(self._log), closing(self._hashes):
            self._rows.close()

    def _resume(self) -> None:
        """Continue the rows of an earlier call with the same key; without them, start from the first item."""
        self._log.seek(0)
        state = _last_state(self._log)
        if self.key and state.get("key") == self.key:
            done, dims, faults = state["done"], state["dims"], state["faults"]
            kept = done - len(faults)
            rows, hashes = (self.rows_path, _HEADER_BYTES, 4 * dims * kept), (self.hashes_path, 0, HASH_BYTES * kept)
            sums = _sum_of(*rows), _sum_of(*hashes)
            if [sum_.hexdigest() for sum_ in sums] == state["sums"]:
                self._sums = sums
                self.done, self.dims, self.reused = done, dims, state["reused"]
                self.faults = {int(row): fault for row, fault in faults}
                return
        self._log.truncate(0)


def key_of(path: Path) -> str | None:
    """The key in the journal of ``path``; None without a journal."""
    if not log_path(path).exists():
        return None
    with log_path(path).open(encoding="utf-8", errors="replace") as log:
        return _last_state(log).get("key")


def remove_journal(path: Path) -> None:
    """Remove the hidden files of ``path``, whose rows are in the finished array; the journal is the last."""
    for hidden in (rows_path(path), _unfinished_hashes(path), lock_path(path), log_path(path)):
        hidden.unlink(missing_ok=True)


def _last_state(log: Iterable[str]) -> dict[str, Any]:
    """The state in the last line that is as it was written; empty without one."""
    found: dict[str, Any] = {}
    for line in log:
        with suppress(ValueError, RecursionError):  # a torn line
            state = json.loads(line)
            if isinstance(state, dict) and state.pop("hash", None) == _hash_of(state):
                found = state
    return found


def _hash_of(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()


def _sum_of(path: Path, start: int, size: int) -> hashlib._Hash:
    """The hash of a part of a file, to go on with; of less where the file is shorter."""
    found = hashlib.sha256()
    with suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(start)
        while size > 0 and (block := file.read(min(size, _BLOCK_BYTES))):
            found.update(block)
            size -= len(block)
    return found


def log_path(path: Path) -> Path:
    """The file that records the progress of ``path``."""
    return path.with_name(f".{path.name}.journal")


def lock_path(path: Path) -> Path:
    """The file that the process that writes ``path`` locks."""
    return path.with_name(f".{path.name}.lock")


def rows_path(path: Path) -> Path:
    """The file of the rows of ``path`` so far."""
    return path.with_name(f".{path.name}.rows")


def _unfinished_hashes(path: Path) -> Path:
    """The file of the hashes of ``path`` so far."""
    return path.with_name(f".{path.name}.contents")


def _flushed(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _npy_header(rows: int, dims: int) -> bytes:
    """The first 128 bytes of an ``.npy`` file, version 1.0."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dims}), }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", _HEADER_BYTES - 10) + text.ljust(_HEADER_BYTES - 11) + b"\n"

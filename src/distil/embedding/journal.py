"""The journal of an embedding in progress: rows on disk, and which of them are done."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from distil.errors import InvalidInput
from distil.system.files import locked

_HEADER_BYTES = 128


_SYNC_SECONDS = 2.0


class Journal:
    """Embeddings that are being made: rows in one hidden file, and in another how far they go.

    Rows are synced before the line that counts them, so what a line says is there. Use within :meth:`locked`.

    Attributes:
        done: Items of the pool that are dealt with.
        dims: Numbers a row; 0 while no row is known.
        faults: Row of the pool -> what was wrong with it.
    """

    def __init__(self, path: Path, key: str, log: IO[str]) -> None:
        self.path, self.key = path, key
        self.rows_path = rows_path(path)
        self.done, self.dims, self.faults = 0, 0, dict[int, str]()
        self._log = log
        self._synced = time.monotonic()
        self._resume()
        self._rows = self.rows_path.open("r+b" if self.done else "w+b")
        self._rows.truncate(_HEADER_BYTES + 4 * self.dims * self.kept)
        self._rows.seek(0, os.SEEK_END)

    @classmethod
    @contextmanager
    def locked(cls, path: Path, key: str) -> Iterator[Journal]:
        """The journal of a file of embeddings, for this process alone."""
        with (
            locked(lock_path(path), f"{path} is being written by another process"),
            log_path(path).open("a+", encoding="utf-8") as log,
            closing(cls(path, key, log)) as journal,
        ):
            yield journal

    @property
    def kept(self) -> int:
        """Rows that were written."""
        return self.done - len(self.faults)

    def add(self, rows: NDArray[np.float32], count: int, faults: Mapping[int, str]) -> None:
        """Append the embeddings of the next ``count`` items, but for those with faults."""
        self.dims = self.dims or rows.shape[1]
        if rows.shape[1] != self.dims:
            raise InvalidInput(f"the model gave {rows.shape[1]} numbers a row, and {self.dims} before")
        self._rows.write(np.ascontiguousarray(rows).tobytes())
        self.done += count
        self.faults.update(faults)
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Make sure that what was added is on the disk."""
        _flushed(self._rows)
        state = {"key": self.key, "done": self.done, "dims": self.dims, "faults": list(self.faults.items())}
        self._log.write(json.dumps(state) + "\n")
        _flushed(self._log)
        self._synced = time.monotonic()

    def number(self) -> None:
        """Write the header of an ``.npy`` file of these rows."""
        self._rows.seek(0)
        self._rows.write(_npy_header(self.kept, self.dims))
        _flushed(self._rows)

    def close(self) -> None:
        """Close the rows."""
        self._rows.close()

    def _resume(self) -> None:
        """Take up what a call with the same key left; else begin anew."""
        self._log.seek(0)
        states = [state for line in self._log if (state := _parsed(line)) is not None]
        if states and self.key and states[-1]["key"] == self.key and self.rows_path.exists():
            done, dims, faults = states[-1]["done"], states[-1]["dims"], states[-1]["faults"]
            if self.rows_path.stat().st_size >= _HEADER_BYTES + 4 * dims * (done - len(faults)):
                self.done, self.dims, self.faults = done, dims, {int(row): fault for row, fault in faults}
                return
        self._log.truncate(0)


def _parsed(line: str) -> dict[str, Any] | None:
    """A state; None for a torn line."""
    try:
        state = json.loads(line)
    except json.JSONDecodeError:
        return None
    return state if isinstance(state, dict) else None


def log_path(path: Path) -> Path:
    """Where the journal of ``path`` is."""
    return path.with_name(f".{path.name}.journal")


def lock_path(path: Path) -> Path:
    """What the process that makes ``path`` holds."""
    return path.with_name(f".{path.name}.lock")


def rows_path(path: Path) -> Path:
    """Where the rows made so far are."""
    return path.with_name(f".{path.name}.rows")


def info_path(path: Path) -> Path:
    """Where it is noted what made ``path``."""
    return path.with_suffix(".info.json")


def _flushed(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _npy_header(rows: int, dims: int) -> bytes:
    """The first 128 bytes of an ``.npy`` file, version 1.0."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dims}), }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", _HEADER_BYTES - 10) + text.ljust(_HEADER_BYTES - 11) + b"\n"

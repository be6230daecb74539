"""Settings for measuring a pool: device, minibatch size, memory. They do not change the result."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from tqdm.auto import tqdm

from distil.errors import InvalidInput, counted, whole_number

T = TypeVar("T")

CHUNK_ROWS = 4096
"""Rows that are read, checked, derived and compared at a time: few enough to fit a processor's cache."""

ROW_BYTES = 128
"""Bytes that a selection keeps for each row of a pool, whatever its columns: ids, keys, norms, distances, and their sorting."""

# Bytes for the blocks that kernels work in, and the largest share of the memory that is kept free for them.
_WORKING, _WORKING_SHARE = 48 << 20, 4

# Bytes of a chunk: a share of the memory, but enough that the work between chunks takes a negligible share of the time.
_CHUNK_SHARE, _LEAST_CHUNK = 16, 4 << 20

# Bytes of one forward pass if batch_size is not given: enough that the work between passes takes a negligible share of the time.
_INPUT_BYTES = 16 << 20
_LEAST_ROWS, _MOST_ROWS = 256, 8192


class Account:
    """Counts the bytes of the columns in memory, in whatever table they are, until the last tensor that uses them is gone."""

    def __init__(self) -> None:
        self._columns: list[tuple[StorageWeakRef, int]] = []

    def __reduce__(self) -> tuple[type[Account], tuple[()]]:
        return Account, ()  # another process has columns of its own

    @property
    def taken(self) -> int:
        """Bytes of the columns."""
        self._columns = [each for each in self._columns if not each[0].expired()]
        return sum(n_bytes for _, n_bytes in self._columns)

    def add(self, column: Tensor) -> None:
        """Count a column that is in memory of its own."""
        self._columns.append((StorageWeakRef(column.untyped_storage()), column.nbytes))


@dataclass(frozen=True)
class Runtime:
    """Settings for running a network over a pool.

    Attributes:
        device: The device of the network during the run, such as ``"cuda"``; default: the device of its parameters. Afterwards the
            network is moved back.
        batch_size: Number of examples in one forward pass; default: 256, or more for small examples in an array.
        num_workers: Number of extra processes that read a data set; arrays in memory are read without them.
        progress: Whether to show progress bars; default: when the output is a terminal.
        memory: Bytes of memory for everything that is decoded, measured or copied, 512 MB by default. Columns that do not fit go
            to files, or are read again whenever they are used. Arrays that are used without copying, memory-mapped ones included,
            do not count; models, the caller's own arrays and names of rows do not either.
        scratch: Folder for these files, on a disk; default: the system's folder for temporary files. The files have no name and
            disappear with the selection.
        bfloat16_first: Whether strategies that score each example by itself may first score in bfloat16, and then only the
            possible winners in full precision: faster on a machine with fast bfloat16. ``distil.selection.bfloat16`` explains
            why the picks are the same.
        account: The memory that columns take now; runtimes that ``dataclasses.replace`` makes of this one share it.
    """

    device: str | torch.device | None = None
    batch_size: int | None = None
    num_workers: int = 0
    progress: bool | None = None
    memory: int = 512 << 20
    scratch: str | os.PathLike[str] | None = None
    bfloat16_first: bool = False
    account: Account = field(default_factory=Account, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            object.__setattr__(
                self, "batch_size", checked_count(self.batch_size, "batch_size must be a whole number", 1)
            )
        object.__setattr__(
            self, "num_workers", checked_count(self.num_workers, "num_workers must be a whole number", 0)
        )
        object.__setattr__(self, "memory", checked_count(self.memory, "memory must be a whole number of bytes", 0))
        if self.device is not None:
            _check_device(self.device)

    def rows(self, row_bytes: int | None = None) -> int:
        """The number of examples in one forward pass, if each takes ``row_bytes`` bytes (None: not known)."""
        if self.batch_size is not None:
            return self.batch_size
        fitting = 0 if row_bytes is None else _INPUT_BYTES // max(1, row_bytes)
        return min(max(_LEAST_ROWS, fitting), _MOST_ROWS)

    @property
    def left(self) -> int:
        """Bytes of memory that no column takes."""
        return self.memory - self.account.taken

    def besides(self, n_rows: int) -> int:
        """Bytes of memory that a selection from so many rows takes besides columns."""
        return ROW_BYTES * n_rows + min(_WORKING, self.memory // _WORKING_SHARE)

    def chunk(self, row_bytes: int) -> int:
        """The number of rows to read at a time, if each takes ``row_bytes`` bytes: CHUNK_ROWS, or fewer if they are wide."""
        n_bytes = max(_LEAST_CHUNK, self.memory // _CHUNK_SHARE)
        return min(CHUNK_ROWS, max(1, n_bytes // max(1, row_bytes)))

    def bar(self, steps: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        """``steps`` with a progress bar called ``what``, which appears after one second."""
        bar: Iterable[T] = tqdm(steps, desc=what, total=total, delay=1.0, leave=False, disable=self._hidden)
        return bar

    def counting(self, total: int, what: str) -> Any:  # noqa: ANN401 - tqdm
        """A progress bar called ``what`` for ``total`` steps, which are counted with its ``update``; a context."""
        return tqdm(total=total, desc=what, leave=False, disable=self._hidden)

    @property
    def _hidden(self) -> bool:
        return not sys.stderr.isatty() if self.progress is None else not self.progress


def as_runtime(runtime: Any) -> Runtime:  # noqa: ANN401 - any argument of a caller
    """``runtime``, checked; the default for None."""
    if runtime is None:
        return Runtime()
    if not isinstance(runtime, Runtime):
        raise InvalidInput(f"runtime must be a Runtime, such as distil.Runtime(batch_size=64), got {runtime!r}")
    return runtime


def checked_count(value: Any, rule: str, least: int) -> int:  # noqa: ANN401 - any argument of a caller
    """``value`` as an int (NumPy's integers included); InvalidInput, beginning with ``rule``, unless it is >= ``least``."""
    count = whole_number(value, least)
    if count is None:
        raise InvalidInput(f"{rule} from {least}, got {value!r}")
    return count


def _check_device(device: str | torch.device) -> None:
    """Raise InvalidInput unless ``device`` is a device of this machine."""
    try:
        parsed = torch.device(device)
    except (RuntimeError, TypeError):
        raise InvalidInput(
            f"device must be one that torch.device knows, such as 'cpu', 'cuda' or 'cuda:1', got {device!r}"
        ) from None
    if parsed.type == "cuda" and (parsed.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise InvalidInput(
            f"device is {device!r}, and PyTorch sees {counted(count, 'CUDA device')} on this machine; pass 'cpu'"
        )


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Compute with ``n`` threads. The last digits of sums depend on the number of threads, and small work gains nothing by more."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Where and how a pool is measured. None of it is part of the answer."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from tqdm.auto import tqdm

from distil.errors import InvalidInput

T = TypeVar("T")

CHUNK_ROWS = 4096
"""Rows that are read, checked, derived and compared at a time: few enough to stay in a processor's cache meanwhile."""

# Bytes of one forward pass, where the number of examples is not given: enough that what is done between passes does not count.
_INPUT_BYTES = 16 << 20
_LEAST_ROWS, _MOST_ROWS = 256, 8192


@dataclass(frozen=True)
class Runtime:
    """How to run a network over a pool.

    Attributes:
        device: Where to run it, such as ``"cuda"``; default: where its parameters are. The network returns afterwards.
        batch_size: Examples in one forward pass; default: 256, or more of small ones that lie in an array.
        num_workers: Processes that read a data set beside this one; arrays in memory never need any.
        progress: Whether to show progress bars; default: when the output is a terminal.
        memory: Bytes that the columns of one table of signals may take in memory, 512 MB by default; what is beyond goes to
            files. Arrays that serve as they are, also memory-mapped ones, take none.
        scratch: Folder for these files, on a disk; default: the system's folder for temporary files. They have no name there
            and are gone with the selection.
        bfloat16_first: Whether strategies that score each example by itself may score in bfloat16 first, and in full precision
            only what may then be among the best: faster where the machine is good at bfloat16. ``distil.selection.bfloat16`` says
            why the picks are the same.
    """

    device: str | torch.device | None = None
    batch_size: int | None = None
    num_workers: int = 0
    progress: bool | None = None
    memory: int = 512 << 20
    scratch: str | os.PathLike[str] | None = None
    bfloat16_first: bool = False

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
        """Examples in one forward pass, for examples that take ``row_bytes`` each in it (None: not known)."""
        if self.batch_size is not None:
            return self.batch_size
        fitting = 0 if row_bytes is None else _INPUT_BYTES // max(1, row_bytes)
        return min(max(_LEAST_ROWS, fitting), _MOST_ROWS)

    def bar(self, steps: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        """``steps``, shown as a progress bar called ``what`` once they have taken a second."""
        hidden = not sys.stderr.isatty() if self.progress is None else not self.progress
        bar: Iterable[T] = tqdm(steps, desc=what, total=total, delay=1.0, leave=False, disable=hidden)
        return bar


def as_runtime(runtime: Any) -> Runtime:  # noqa: ANN401 - whatever a caller gives
    """``runtime`` itself, or the default for None."""
    if runtime is None:
        return Runtime()
    if not isinstance(runtime, Runtime):
        raise InvalidInput(f"runtime must be a Runtime, such as distil.Runtime(batch_size=64), got {runtime!r}")
    return runtime


def checked_count(value: Any, rule: str, least: int) -> int:  # noqa: ANN401 - whatever has been given
    """``value`` as an int (NumPy's integers are counts too); InvalidInput where it is none, or below ``least``."""
    try:
        count = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = -1
    if count < least:
        raise InvalidInput(f"{rule} from {least}, got {value!r}")
    return count


def _check_device(device: str | torch.device) -> None:
    """Raise InvalidInput unless this names a device of this machine."""
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise InvalidInput(
            f"device must be one that torch.device knows, such as 'cpu', 'cuda' or 'cuda:1', got {device!r}"
        ) from None
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise InvalidInput(f"device is {device!r}, and PyTorch sees {count} CUDA devices on this machine; pass 'cpu'")


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Compute with ``n`` threads: how sums are cut, and so their last digits, depends on it; on small work, more only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Where columns lie: in memory as far as that reaches, beyond it in files that have no name."""

from __future__ import annotations

import math
import mmap
import os
import sys
import tempfile

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.runtime import Runtime


class Space:
    """Room for the columns of one table: ``Runtime.memory`` bytes in memory, then files in ``Runtime.scratch``.

    A file is removed from its folder before it is filled and goes when the last tensor over it does: nothing is left behind,
    whatever happens. Its pages are the system's to write out when memory is short. Room is not given back while the
    table lives, so columns that are derived again and again end in files.

    Args:
        runtime: Says how much memory, and which folder.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._left = runtime.memory
        self._folder = runtime.scratch

    def column(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """A contiguous tensor on the CPU, its numbers undefined.

        Raises:
            InvalidInput: The folder is not one, or has no room.
        """
        n_bytes = math.prod(shape) * dtype.itemsize
        if n_bytes > self._left:
            return torch.frombuffer(_nameless(n_bytes, self._folder), dtype=dtype).view(shape)
        self._left -= n_bytes
        return torch.empty(shape, dtype=dtype)


def _nameless(n_bytes: int, folder: str | os.PathLike[str] | None) -> mmap.mmap:
    """A file of that size, mapped, without a name in its folder."""
    try:
        with tempfile.TemporaryFile(prefix="distil-", dir=folder) as file:
            if sys.platform == "linux":  # where the disk is full, writing to a file with holes would end the process
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            else:
                file.truncate(n_bytes)
            return mmap.mmap(file.fileno(), n_bytes)
    except OSError as error:
        where = tempfile.gettempdir() if folder is None else os.fspath(folder)
        raise InvalidInput(
            f"{n_bytes / 1e6:,.0f} MB of measured quantities do not fit Runtime.memory, and {where} has no room for them "
            f"({error.strerror}); pass runtime=Runtime(scratch=...), a folder that has, or Runtime(memory=...), in bytes"
        ) from error

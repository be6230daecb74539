"""What a selection from files would cost: memory, scratch files, seconds."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np

from distil.data.arrays import are_consecutive, precision_of, serves
from distil.errors import DistilError
from distil.selection.from_files import selected
from distil.selection.request import Request
from distil.strategies.base import ScoreStrategy

# A plan tries a share of a pool, at most so many rows of it first, then this many times as many, until that takes so long.
_TRIED_ROWS, _TRIED_STEP, _TRIED_SECONDS = 1000, 4, 0.5


# What is copied to a file takes this long, a byte.
_SCRATCH_SECONDS = 1e-9


# What a selection takes by itself: the libraries and working memory of blocks; notes on a row, and the name of one.
_OWN_BYTES, _ROW_BYTES, _NAME_BYTES = 200 << 20, 64, 200


def plan(asked: Request) -> dict[str, Any]:
    """What :func:`chosen` would read, and about how much memory, disk and time it would take.

    The time is that of selections of a part of n from the same part of the pool, made for a second or two and scaled up as they
    grow: a guess. Reading from a cold disk, writing large copies and other work on the machine may make it several times as much.
    The memory is that of the whole process, without mapped files.
    """
    runs = [name for name in asked.reads if name in asked.arrays.columns]
    arrays = {
        name: {
            "file": column.origin,
            "shape": list(column.values.shape),
            "type": str(column.values.dtype).removeprefix("torch."),
            "bytes": column.values.nbytes,
            "mapped": isinstance(column.values, np.memmap),
            "read": name in runs or (name == "embeddings" and asked.near is not None),
        }
        for name, column in asked.arrays.columns.items()
    }
    memory, scratch = 0, 0
    for size in (
        _copied_bytes(asked, name) for name in runs
    ):  # as distil.system.scratch.Space does: a column lies in one place
        fits = memory + size <= asked.runtime.memory
        memory, scratch = memory + size * fits, scratch + size * (not fits)
    loaded = sum(c.values.nbytes for c in asked.arrays.columns.values() if not isinstance(c.values, np.memmap))
    return {
        "strategy": type(asked.strategy).__name__,
        "n": asked.n,
        "rows": len(asked.arrays),
        "ids": "positions" if asked.arrays.names is None else "names",
        "may_be_chosen": len(asked.pool),
        "labeled": 0 if asked.labeled is None else len(asked.labeled),
        "arrays": arrays,
        "memory_bytes": memory + loaded + _working_bytes(asked),
        "scratch_bytes": scratch,
        "seconds": _seconds(asked, scratch),
    }


def _copied_bytes(asked: Request, name: str) -> int:
    """Bytes of the column that is made of an array: none where it serves as it is, and where it is streamed."""
    values = asked.arrays.columns[name].values
    precision = precision_of(asked.arrays.columns[read].values for read in asked.reads)
    if isinstance(asked.strategy, ScoreStrategy) or (serves(values, precision) and are_consecutive(asked.pool)):
        return 0
    return len(asked.pool) * math.prod(values.shape[1:]) * precision.itemsize


def _working_bytes(asked: Request) -> int:
    """Bytes that the process takes by itself, and for what it notes of each row."""
    named = 0 if asked.arrays.names is None else _NAME_BYTES
    return _OWN_BYTES + (_ROW_BYTES + named) * len(asked.arrays)


def _seconds(asked: Request, scratch: int) -> float | None:
    """Scaled up from selections of ever larger shares of n from the same shares of the pool; None where that cannot be done."""
    share, tried, growth = 1, (0.0, 0.0), float(_TRIED_STEP)
    while len(asked.pool) > _TRIED_ROWS * share:
        share *= _TRIED_STEP
    while True:
        before = tried
        try:
            tried = min(_seconds_of(asked, share) for _ in range(2))
        except DistilError:  # a row that is not right, or labels that it reads: the selection itself will say so
            return None
        if share == 1:
            return tried[0]
        if before[1]:
            growth = min(max(tried[1] / before[1], _TRIED_STEP / 2), _TRIED_STEP**2)
        if tried[0] > _TRIED_SECONDS:
            return float(tried[0] * growth ** math.log(share, _TRIED_STEP)) + scratch * _SCRATCH_SECONDS
        share //= _TRIED_STEP


def _seconds_of(asked: Request, share: int) -> tuple[float, float]:
    """Seconds, and of the processors, that a share of the selection takes from a share of the pool."""
    rows = asked.pool[: -(-len(asked.pool) // share)].numpy()
    quiet = replace(asked.runtime, progress=False)
    trial = replace(asked, n=max(1, asked.n // share), candidates=rows, exclude=None, runtime=quiet)
    begin = time.perf_counter(), time.process_time()
    selected(trial)
    return time.perf_counter() - begin[0], time.process_time() - begin[1]

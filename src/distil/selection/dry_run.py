"""The estimated cost of a selection from files: memory, scratch files, seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from distil.data.arrays import precision_of
from distil.errors import DistilError
from distil.selection.from_files import selected
from distil.selection.request import Request
from distil.strategies.base import ScoreStrategy
from distil.system.runtime import ROW_BYTES
from distil.system.scratch import Space

# A plan times selections from a share of the pool: at most _TRIAL_ROWS rows first, then _TRIAL_STEP times as many, and so on, until
# one takes _TRIAL_SECONDS.
_TRIAL_ROWS, _TRIAL_STEP, _TRIAL_SECONDS = 1000, 4, 0.5

_SCRATCH_SECONDS = 1e-9  # for each byte that is copied to a file

# Bytes of the libraries and of working memory, and bytes for the name of a row.
_OWN_BYTES, _NAME_BYTES = 200 << 20, 200


def plan(request: Request) -> dict[str, Any]:
    """Report what :func:`chosen` would read, and estimate the memory, disk space and time that it would take.

    The time is extrapolated from selections of a part of n from the same part of the pool, which take a second or two. It is a
    guess: a cold disk, large copies and other work on the machine may multiply it. The memory is that of the whole process,
    without mapped files.
    """
    runs = [name for name in request.reads if name in request.arrays.columns]
    arrays = {
        name: {
            "file": column.origin,
            "shape": list(column.values.shape),
            "type": str(column.values.dtype).removeprefix("torch."),
            "bytes": column.values.nbytes,
            "mapped": isinstance(column.values, np.memmap),
            "read": name in runs
            or (name == "embeddings" and request.near is not None)
            or (name == "tokens" and "offsets" in runs),
        }
        for name, column in request.arrays.columns.items()
    }
    memory, scratch = _copies(request, [_copied_bytes(request, name) for name in runs])
    loaded = sum(c.values.nbytes for c in request.arrays.columns.values() if not isinstance(c.values, np.memmap))
    return {
        "strategy": type(request.strategy).__name__,
        "n": request.n,
        "rows": len(request.arrays),
        "ids": "positions" if request.arrays.names is None else "names",
        "may_be_chosen": len(request.pool),
        "labeled": 0 if request.labeled is None else len(request.labeled),
        "arrays": arrays,
        "memory_bytes": memory + loaded + _working_bytes(request),
        "scratch_bytes": scratch,
        "seconds": _seconds(request, scratch),
    }


def _copies(request: Request, sizes: Sequence[int]) -> tuple[int, int]:
    """Bytes of copies of these sizes in memory and in files, by the rule of distil.system.scratch.Space."""
    space, memory, scratch = Space(request.runtime, len(request.pool)), 0, 0
    if request.strategy.reads_features:  # what does not fit is read again
        return (sum(sizes) if space.fits(sum(sizes)) else 0), 0
    for size in sizes:
        fits = space.fits(memory + size)
        memory, scratch = memory + size * fits, scratch + size * (not fits)
    return memory, scratch


def _copied_bytes(request: Request, name: str) -> int:
    """Bytes of the copy of an array; 0 if it is streamed."""
    if isinstance(request.strategy, ScoreStrategy):
        return 0
    values = request.arrays.columns[name].values
    precision = precision_of(request.arrays.columns[read].values for read in request.reads)
    return len(request.pool) * math.prod(values.shape[1:]) * precision.itemsize


def _working_bytes(request: Request) -> int:
    """Bytes that the process takes without arrays: its libraries and its records of every row."""
    name_bytes = 0 if request.arrays.names is None else _NAME_BYTES
    return _OWN_BYTES + (ROW_BYTES + name_bytes) * len(request.arrays)


def _seconds(request: Request, scratch: int) -> float | None:
    """Seconds of the selection, extrapolated from growing shares of n and the pool; None if a trial fails."""
    share, trial, growth = 1, (0.0, 0.0), float(_TRIAL_STEP)
    while len(request.pool) > _TRIAL_ROWS * share:
        share *= _TRIAL_STEP
    while True:
        before = trial
        try:
            trial = min(_seconds_of(request, share) for _ in range(2))
        except DistilError:  # a wrong row, or missing labels: the selection itself will report it
            return None
        if share == 1:
            return trial[0]
        if before[1]:
            growth = min(max(trial[1] / before[1], _TRIAL_STEP / 2), _TRIAL_STEP**2)
        if trial[0] > _TRIAL_SECONDS:
            return float(trial[0] * growth ** math.log(share, _TRIAL_STEP)) + scratch * _SCRATCH_SECONDS
        share //= _TRIAL_STEP


def _seconds_of(request: Request, share: int) -> tuple[float, float]:
    """Wall time and processor time, in seconds, of selecting n / share rows from 1 / share of the pool."""
    rows = request.pool[: -(-len(request.pool) // share)].numpy()
    quiet = replace(request.runtime, progress=False)
    trial = replace(request, n=max(1, request.n // share), candidates=rows, exclude=None, runtime=quiet)
    begin = time.perf_counter(), time.process_time()
    selected(trial)
    return time.perf_counter() - begin[0], time.process_time() - begin[1]

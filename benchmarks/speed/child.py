"""One implementation in a separate process: it prepares, then makes one timed call on request.

Run as ``python -m benchmarks.speed.child JOB``, JOB being JSON with ``prepare``, ``folder``, ``size``, ``device`` and ``out``.
Reads a line with a number of picks from the standard input for each call, and answers with a line of JSON.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmarks.speed.measure import Peak, timed, warm
from benchmarks.speed.spec import Found, Given, Prepared


def prepared(job: dict[str, Any]) -> Prepared:
    """The call that ``job`` describes, fully prepared."""
    module, function = job["prepare"].split(":")
    given = Given(Path(job["folder"]), job["size"], job["device"])
    return getattr(importlib.import_module(module), function)(given)


def answer(call: Prepared, k: int, job: dict[str, Any]) -> dict[str, Any]:
    """One measured call; its result is written to the file ``out``."""
    peak = Peak(job["device"])
    seconds, cpu, found = timed(functools.partial(call, k), job["device"])
    peak_bytes = peak.bytes()
    store(Path(job["out"]), found)
    return {"seconds": seconds, "cpu": cpu, "peak": peak_bytes}


def store(path: Path, found: Found) -> None:
    """Write a result for the judge."""
    picks = np.empty(0, np.int64) if found.picks is None else np.asarray(found.picks)
    np.savez(path, picks=picks, value=np.nan if found.value is None else found.value)


def stored(path: Path) -> Found:
    """The result that ``store`` wrote."""
    with np.load(path) as arrays:
        picks, value = arrays["picks"], float(arrays["value"])
    return Found(picks if len(picks) else None, None if np.isnan(value) else value)


def main() -> None:
    """Answer until the input ends."""
    job = json.loads(sys.argv[1])
    replies: IO[str] = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the output of a package is not an answer
    call = prepared(job)
    warm()
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(call, int(line), job)), file=replies, flush=True)


if __name__ == "__main__":
    main()

"""When the runs of a directory were done, and by which process, where an executor did them.

Each stretch of work on a run is a line of a file in its directory, apart from its events, which hold no clock.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from distil.errors import finite_number
from distil.experiment.chain import parsed
from distil.experiment.run import Run
from distil.system.files import naming

WORK: Final = "work.jsonl"


def record_work(path: Path, start: float, end: float) -> None:
    """Add that this process has worked on the run in a directory, from ``start`` to ``end`` in seconds since 1970."""
    entry = {"worker": f"{platform.node()} {os.getpid()}", "start": start, "end": end}
    with naming(path / WORK), (path / WORK).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def timeline_of(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """The work on runs in the order of its start, in seconds since the first; empty where no executor did any.

    Damaged lines are left out: no result depends on them.
    """
    found = []
    for run in runs:
        path = run.path / WORK
        lines = path.read_bytes().splitlines() if path.exists() else []
        entries = [entry for entry in map(parsed, lines) if entry is not None and _is_work(entry)]
        name = f"{run.events[0]['strategy']}, seed {run.events[0]['seed']}" if run.events else ""
        found += [{"run": name, **{key: entry[key] for key in ("worker", "start", "end")}} for entry in entries if name]
    found.sort(key=lambda entry: entry["start"])
    first = found[0]["start"] if found else 0.0
    return [{**entry, "start": entry["start"] - first, "end": entry["end"] - first} for entry in found]


def _is_work(entry: dict[str, Any]) -> bool:
    start, end = finite_number(entry.get("start")), finite_number(entry.get("end"))
    return isinstance(entry.get("worker"), str) and start is not None and end is not None and start <= end

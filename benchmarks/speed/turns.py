"""Run the implementations of a row, each in a separate process, taking turns."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.speed import child
from benchmarks.speed.measure import extrapolated, kilobytes, load, pin, summary
from benchmarks.speed.spec import Found, Row, Size, Way

ROOT = Path(__file__).parents[2]


class Failed(Exception):  # noqa: D101 - what a process said last
    pass


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        repeats: The largest number of timed calls of an implementation after the first.
        budget: Seconds after which an implementation gets no further turn.
        patience: Seconds after which a call is given up.
        memory: Bytes above which an implementation is not run.
        threads: Threads of every process.
        device: Device of distil and the naive forms; peers run on the CPU.
        peers: The Python of the peers' environment, if there is one.
    """

    repeats: int = 7
    budget: float = 5.0
    patience: float = 150.0
    memory: float = 8e9
    threads: int = 2
    device: str = "cpu"
    peers: Path | None = None


@dataclass
class Runner:
    """A process and its measurements."""

    way: Way
    counts: tuple[int, ...]
    process: subprocess.Popen[str]
    log: Path
    mapped: bool
    calls: list[list[dict[str, Any]]] = field(default_factory=list)
    error: str = ""

    def wait(self, patience: float) -> None:
        """Wait until the process is prepared."""
        try:
            self.listen(patience)
        except (Failed, OSError) as error:
            self._failed(error)

    def turn(self, patience: float) -> None:
        """One timed call for each of the counts."""
        if self.error:
            return
        try:
            self.calls.append([self._ask(k, patience) for k in self.counts])
        except (Failed, OSError) as error:
            self._failed(error)

    def spent(self) -> float:
        """Seconds of all calls so far."""
        return sum(reply["seconds"] for calls in self.calls for reply in calls)

    def listen(self, patience: float, sample: bool = False) -> tuple[dict[str, Any], int]:
        """The next line of the process, and its largest private memory meanwhile, in kilobytes."""
        stream, most, deadline = self.process.stdout, 0, time.monotonic() + patience
        while not select.select([stream], [], [], 0.005 if sample else 1.0)[0]:
            if sample:
                most = max(most, kilobytes("RssAnon", self.process.pid))
            if time.monotonic() > deadline:
                raise Failed(f"took more than {patience:.0f} s")
        line = stream.readline() if stream is not None else ""
        if not line:
            said = [text for text in self.log.read_text(errors="replace").splitlines() if text.strip()]
            raise Failed((said[-1] if said else f"ended with {self.process.wait()}")[:300])
        return json.loads(line), most

    def _failed(self, error: Exception) -> None:
        self.error = str(error) or type(error).__name__
        self.process.kill()

    def _ask(self, k: int, patience: float) -> dict[str, Any]:
        before = kilobytes("RssAnon", self.process.pid)
        assert self.process.stdin is not None
        self.process.stdin.write(f"{k}\n")
        self.process.stdin.flush()
        reply, most = self.listen(patience, sample=self.mapped and not self.calls)
        return {**reply, "private": max(0, most - before) * 1024}


def measure(row: Row, size: Size, plan: Plan, folder: Path) -> list[dict[str, Any]]:
    """Every implementation of a row at a size: a record each, in the order of the row.

    Args:
        row: The row.
        size: Full or quick.
        plan: How to measure.
        folder: Folder of the arrays; results are written there too.
    """
    records, runners = {}, []
    mapped = any(folder.glob("mapped_*.npy"))
    for way in row.ways:
        hindered = _hindered(way, size, plan)
        if hindered:
            records[way.name] = {"error": hindered}
            continue
        runners.append(_start(way, size, plan, folder, mapped))
    try:
        for runner in runners:
            runner.wait(plan.patience)
        for turn in range(1 + plan.repeats):
            for runner in runners:
                if turn == 0 or _another(runner, plan):
                    runner.turn(plan.patience)
    finally:
        for runner in runners:
            runner.process.kill()
            runner.process.communicate()
    records |= {runner.way.name: _record(runner, size) for runner in runners}
    return [{"name": way.name, "kind": way.kind, "package": way.package, **records[way.name]} for way in row.ways]


def variables(threads: int) -> dict[str, str]:
    """The environment variables of a process that measures."""
    path = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **pin(threads), "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}


def found(folder: Path, name: str) -> Found:
    """The result of the last call of a way."""
    return child.stored(_out(folder, name))


def _hindered(way: Way, size: Size, plan: Plan) -> str:
    if way.kind == "peer" and plan.peers is None:
        return "no environment for peers was given"
    needed = way.needs(size) if way.needs is not None else 0.0
    return f"cannot run: needs {needed / 1e9:.1f} GB" if needed > plan.memory else ""


def _another(runner: Runner, plan: Plan) -> bool:
    """Whether there is time for another turn. A slow implementation is called once, and that call counts."""
    if runner.error or not runner.calls:
        return False
    last = sum(reply["seconds"] for reply in runner.calls[-1])
    return runner.spent() + last <= plan.budget


def _start(way: Way, size: Size, plan: Plan, folder: Path, mapped: bool) -> Runner:
    short = way.short if way.short is not None and way.short[1] < size.get("k", 0) else None
    job = {
        "prepare": way.prepare,
        "folder": str(folder),
        "size": dict(size),
        "device": "cpu" if way.kind == "peer" else plan.device,
        "out": str(_out(folder, way.name)),
    }
    log = folder / f"{_plain(way.name)}.log"
    python = str(plan.peers) if way.kind == "peer" else sys.executable
    with log.open("w") as errors:
        process = subprocess.Popen(
            [python, "-m", "benchmarks.speed.child", json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=variables(plan.threads),
            cwd=tempfile.gettempdir(),
        )
    return Runner(way, short or (size.get("k", 1),), process, log, mapped)


def _record(runner: Runner, size: Size) -> dict[str, Any]:
    if runner.error and not runner.calls:
        return {"error": runner.error}
    first, later = runner.calls[0], runner.calls[1:] or runner.calls
    counts = runner.counts
    record: dict[str, Any] = {"first": sum(reply["seconds"] for reply in first), "load": load()}
    if len(counts) == 2:
        both = tuple(min(calls[i]["seconds"] for calls in runner.calls) for i in (0, 1))
        at = (runner.way.work(counts[0], size), runner.way.work(counts[1], size))
        seconds = extrapolated(at, both, runner.way.work(size["k"], size))
        record |= {
            "seconds": seconds,
            "median": seconds,
            "repeats": len(runner.calls),
            "extrapolated_from": list(counts),
        }
    else:
        record |= summary([calls[0]["seconds"] for calls in later])
        record["cpu"] = min(calls[0]["cpu"] for calls in later)
    peaks: Sequence[int] = [reply["peak"] for reply in first if reply["peak"] is not None]
    record["peak_bytes"] = max(peaks) if peaks else None
    if runner.mapped:
        record["private_bytes"] = max(reply["private"] for reply in first)
    return record


def _out(folder: Path, name: str) -> Path:
    return folder / f"{_plain(name)}.npz"


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)

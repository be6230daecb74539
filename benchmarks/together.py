"""Two and three commands on one directory at once, some of them killed: nothing lost, nothing twice, the tables of one command."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import write
from distil.cli import main as distil
from distil.experiment import outputs
from distil.experiment.config import experiment_config
from distil.experiment.directory import open_config
from distil.experiment.run import Run

STRATEGIES = ("random_sampling", "margin_sampling", "badge")
CONFIG = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 2},
    "active_learning": {"strategies": STRATEGIES, "budget": 6, "rounds": 3, "initial_points": 10},
    "dataset": {"name": "digits", "test_points": 1500},
    "experiment": {"seeds": 2, "output": "out"},
}
WHOLE = ["run", "config.json", "--no-progress"]
REQUESTS = [  # commands that together ask for everything
    [WHOLE, WHOLE],
    [WHOLE, WHOLE, WHOLE],
    [[*WHOLE, "--strategies", name] for name in STRATEGIES],
    [[*WHOLE, "--strategies", "badge"], [*WHOLE, "--strategies", "margin_sampling,random_sampling"]],
    [[*WHOLE, "--seeds", "1"], WHOLE],
    [["compare", *WHOLE[1:], "--no-full-data"], [*WHOLE, "--strategies", "badge,margin_sampling", "--seeds", "1"]],
]


def main(argv: list[str]) -> int:
    """Try, and write the table; with ``--quick``, only print what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks together", description=__doc__)
    parser.add_argument("--tries", type=int, default=60, help="default: 60; each third one kills a command")
    parser.add_argument("--quick", action="store_true", help="write no table")
    arguments = parser.parse_args(argv)
    _prepare()
    counts: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        whole = _together(Path(folder) / "whole", [WHOLE])
        for number in range(arguments.tries):
            kill = random.Random(number).uniform(0, whole.seconds) if number % 3 == 2 else None
            commands = REQUESTS[number % 2 if kill is not None else (number - number // 3) % len(REQUESTS)]
            kind = f"{len(commands)} commands{'' if kill is None else ', one killed'}"
            found = _together(Path(folder) / str(number), commands, kill)
            wrong = _faults(found, whole)
            counts[kind] += 1
            faults += [f"try {number}, {kind}: {fault}" for fault in wrong]
            print(f"{number}: {kind}: {'; '.join(wrong) or 'whole'}", flush=True)
    rows = [
        f"| {kind} | {count} | {sum(f', {kind}: ' in fault for fault in faults)} |" for kind, count in counts.items()
    ]
    if not arguments.quick:
        write("together", HEAD + "\n".join([*rows, "", *faults]))
    return 1 if faults else 0


class _Done:
    """A directory after all commands have ended."""

    def __init__(self, folder: Path, codes: list[int], killed: bool, seconds: float) -> None:
        self.output = folder / "out"
        self.codes = codes
        self.killed = killed
        self.seconds = seconds
        self.said = [path.read_text() for path in sorted(folder.glob("stderr*"))]


def _prepare() -> None:
    """Load everything once; the commands are forks of this process, and would wait forever for threads that it had started."""
    torch.set_num_threads(1)
    experiment_config.load = cache(experiment_config.load)  # type: ignore[assignment]
    experiment_config.load("digits", None)
    outputs.picture_of = lambda *_, **__: b"picture"  # slow, and no part of what is compared


def _together(folder: Path, commands: list[list[str]], kill: float | None = None) -> _Done:
    """Start commands at the same moment; kill the first after some seconds."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    gate, opened = os.pipe()
    pids = [_fork(folder, number, command, gate, opened) for number, command in enumerate(commands)]
    start = time.perf_counter()
    os.close(gate)
    os.close(opened)  # the commands wait for the end of this pipe
    if kill is not None:
        time.sleep(kill)
        os.kill(pids[0], signal.SIGKILL)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    killed = codes[0] == -signal.SIGKILL
    return _Done(folder, codes[killed:], killed, time.perf_counter() - start)


def _fork(folder: Path, number: int, command: list[str], gate: int, opened: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        os.close(opened)
        os.chdir(folder)
        for stream, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{name}{number}", os.O_WRONLY | os.O_CREAT), stream)
        os.read(gate, 1)
        code = distil(command)
        sys.stdout.flush()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _faults(found: _Done, whole: _Done) -> list[str]:
    """What differs from the directory of one command."""
    wrong = [f"exit codes {found.codes}"] if any(found.codes) else []
    wrong += [f"said {text!r}" for text in found.said if "Traceback" in text or "distil:" in text]
    if not (found.output / "config.json").exists():
        return [*wrong, "no config.json"]
    config = open_config(found.output)
    if {spec.label for spec in config.strategies} != set(STRATEGIES) or config.seeds != (0, 1):
        wrong.append(f"config.json names {[spec.label for spec in config.strategies]}, seeds {config.seeds}")
    wrong += [f"{name} differs" for name, content in _records(whole).items() if _records(found).get(name) != content]
    wrong += [f"{path.name} is left" for path in found.output.rglob("*.tmp")]
    for name in ("results.csv", "results.md"):
        # the order is that in which commands came
        if _lines(found.output / name) != _lines(whole.output / name):
            wrong.append(f"{name} differs")
    most = 2 if found.killed else 1
    steps = _steps(found)
    return wrong + [f"{step} was done {times} times" for step, times in steps.items() if times > most]


def _lines(path: Path) -> list[str]:
    return sorted(path.read_text().splitlines()) if path.exists() else []


def _records(done: _Done) -> dict[str, bytes]:
    kept = ("events.jsonl", "model.safetensors")
    return {str(p.relative_to(done.output)): p.read_bytes() for p in done.output.rglob("*") if p.name in kept}


def _steps(done: _Done) -> Counter[Any]:
    """How often each step was done; a first round counts for its seed, whichever strategy trained it."""
    steps: Counter[Any] = Counter()
    for path in done.output.glob("*/*/times.jsonl"):
        label, seed = path.parts[-3:-1]
        for entry in Run(path.parent).times():
            first = (entry["step"], entry["round"]) == ("train", 0)
            if not entry.get("shared"):
                steps[("first round" if first else label, seed, entry["round"], entry["step"])] += 1
    return steps


HEAD = """# Commands on one directory at once

`python -m benchmarks together`: two or three commands (`run` and `compare`, for all runs or for parts that overlap or not) start at
the same moment on one empty directory. In every third try, one of two or three equal commands is killed at a random moment. A try
is whole if every other command ends with exit code 0 and no error, `config.json` names all strategies and seeds, the events and
models have the bytes that one command writes, the tables have the same lines, no temporary file is left, and no step was done
twice (after a kill, one step may be).

| commands | tries | not whole |
|---|---:|---:|
"""

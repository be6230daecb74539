"""Commands killed by kill -9 at random moments, and records altered at random: nothing may be lost, or change a number unnoticed.

A kill: a command runs in a process of its own, which is killed. The same command, or ``distil resume``, then ends, and every file
must have the bytes that it has without the kill. An alteration: one file of an experiment is changed. ``distil report``, and a
command that goes on, must then end in one line that names the file, or with the results of the unaltered experiment.

Run as ``python -m benchmarks chaos``; it exits with 1 where something went wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import write
from distil.cli import main as distil
from distil.errors import DistilError, DistilWarning, MissingPackage
from distil.experiment import outputs
from distil.experiment.config import experiment_config
from distil.experiment.provenance import versions

DOCUMENT = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 4},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 2},
    "active_learning": {"strategies": ["random_sampling", "margin_sampling"], "budget": 5, "rounds": 3},
    "dataset": {"name": "digits", "test_points": 200},
    "experiment": {"seeds": 2},
}
MORE = {**DOCUMENT, "active_learning": {**DOCUMENT["active_learning"], "strategies": ["entropy_sampling"]}}
ENCODER = """
import time

def lengths(items):
    time.sleep(0.002)
    return [[float(len(item)), float(item.count("a"))] for item in items]
"""
RUN = ["run", "config.json", "--output", "out", "--no-progress"]
COMPARE = ["compare", "config.json", "--output", "out", "--no-progress", "--no-full-data"]
RESUME = ["resume", "out", "--no-progress"]
EMBED = ["embed", "texts.csv", "--model", "lengths:lengths", "--out", "emb.npy", "--batch-size", "8", "--no-progress"]
KILLS: Sequence[tuple[str, Sequence[str], Sequence[str]]] = [
    ("run, then run", RUN, RUN),
    ("run, then resume", RUN, RESUME),
    ("compare, then compare", COMPARE, COMPARE),
    ("resume, then resume", RESUME, RESUME),
    ("embed, then embed", EMBED, EMBED),
]
"""What is killed, and what goes on."""


def prepared(folder: Path) -> Path:
    """A folder with the files that the commands read."""
    folder.mkdir(parents=True)
    for name, document in (("config.json", DOCUMENT), ("more.json", MORE)):
        (folder / name).write_text(json.dumps(document))
    rows = "".join(f"{row},{'ab' * (row % 17 + 1)}\n" for row in range(600))
    (folder / "texts.csv").write_text(f"id,text\n{rows}")
    (folder / "lengths.py").write_text(ENCODER)
    return folder


# --- commands ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (None: killed), the lines of its errors, and its seconds."""

    code: int | None
    errors: list[str]
    seconds: float


def command(folder: Path, argv: Sequence[str], kill_after: float | None = None) -> Ended:
    """Run a command in a fork of this process, and kill it after so many seconds if it still runs then."""
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        _become(folder, argv)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    code = None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
    lines = [line for line in (folder / ".stderr").read_text().splitlines() if not line.startswith("note: ")]
    return Ended(code, lines, time.perf_counter() - start)


def _become(folder: Path, argv: Sequence[str]) -> None:
    """Run a command in this process, and end it."""
    code = 99
    try:
        os.chdir(folder)
        for number, name in ((1, ".stdout"), (2, ".stderr")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        code = distil(list(argv))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def content(folder: Path) -> dict[str, bytes]:
    """Every file that a command wrote, by name, but times, locks, and pages and notes that hold times, or hashes of them."""
    unlike = ("times.jsonl", ".lock", ".stdout", ".stderr", "report.html", "outputs.json", "emb.info.json")
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name not in unlike}


# --- kills ------------------------------------------------------------------------------------------------------------


def killed(root: Path, rounds: int, draws: random.Random) -> tuple[list[str], list[str]]:
    """Rows of the table, and what went wrong."""
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    wholes: dict[str, tuple[dict[str, bytes], float]] = {}
    for number in range(rounds):
        name, first, then = KILLS[number % len(KILLS)]
        if name not in wholes:
            wholes[name] = undisturbed(root / f"whole-{len(wholes)}", first)
        whole, seconds = wholes[name]
        folder = begun(root / f"killed-{number}", first, draws.uniform(0.05, 0.3) * seconds)
        ended = command(folder, first, draws.uniform(0, 1.1) * seconds)
        counts[f"{name}: killed"] += ended.code is None
        counts[name] += 1
        argv = then if then != RESUME or (folder / "out" / "config.json").exists() else first
        after = command(folder, argv)
        counts[f"{name}: bytes"] += not (faults := differences(after, content(folder), whole))
        wrong += [f"kill {number}, {name}: {fault}" for fault in faults]
        shutil.rmtree(folder)
    return [
        f"| {name} | {counts[name]} | {counts[f'{name}: killed']} | {counts[f'{name}: bytes']} |"
        for name, *_ in KILLS
        if counts[name]
    ], wrong


def undisturbed(folder: Path, argv: Sequence[str]) -> tuple[dict[str, bytes], float]:
    """The files of a command that is not disturbed, and its seconds."""
    prepared(folder)
    ended = command(folder, RUN if argv == RESUME else argv)
    assert ended.code == 0, ended
    return content(folder), ended.seconds


def begun(folder: Path, argv: Sequence[str], seconds: float) -> Path:
    """A prepared folder; for ``distil resume`` with an experiment that was killed once already."""
    prepared(folder)
    while argv == RESUME and not (folder / "out" / "config.json").exists():
        command(folder, RUN, seconds)
        seconds += 0.05
    return folder


def differences(ended: Ended, found: dict[str, bytes], whole: dict[str, bytes]) -> list[str]:
    """What is wrong with a command that should have gone on to the whole."""
    if ended.code != 0:
        return [f"exit code {ended.code}: {ended.errors[-3:]}"]
    return [f"{name} differs" for name in sorted(found.keys() | whole.keys()) if found.get(name) != whole.get(name)]


# --- alterations ------------------------------------------------------------------------------------------------------

Alter = Callable[[bytes, random.Random], bytes]


def flipped(data: bytes, draws: random.Random) -> bytes:
    """One bit flipped."""
    at = draws.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << draws.randrange(8)]) + data[at + 1 :]


def other_digit(data: bytes, draws: random.Random) -> bytes:
    """One digit changed to another."""
    at = draws.choice([place for place, byte in enumerate(data) if chr(byte).isdigit()])
    return data[:at] + draws.choice([d for d in b"0123456789" if d != data[at]]).to_bytes(1, "big") + data[at + 1 :]


def _with_lines(change: Callable[[list[bytes], int, random.Random], list[bytes]]) -> Alter:
    def alter(data: bytes, draws: random.Random) -> bytes:
        lines = data.splitlines(keepends=True)
        return b"".join(change(lines, draws.randrange(len(lines)), draws))

    return alter


def _swapped(lines: list[bytes], at: int, draws: random.Random) -> list[bytes]:
    other = draws.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]
    return lines


ALTERATIONS: dict[str, Alter] = {
    "a bit flipped": flipped,
    "a digit changed": other_digit,
    "a line deleted": _with_lines(lambda lines, at, _: [*lines[:at], *lines[at + 1 :]]),
    "a line doubled": _with_lines(lambda lines, at, _: [*lines[: at + 1], *lines[at:]]),
    "two lines swapped": _with_lines(_swapped),
    "a line truncated": _with_lines(
        lambda lines, at, draws: [*lines[:at], lines[at][: draws.randrange(len(lines[at]))] + b"\n", *lines[at + 1 :]]
    ),
    "the file truncated": lambda data, draws: data[: draws.randrange(len(data))],
}
FILES = {
    "events.jsonl": ("out/*/?/events.jsonl", 5),
    "first_round": ("out/first_round/?/[ew]*", 2),
    "config.json": ("out/config.json", 2),
    "weights": ("out/*/?/*.safetensors", 1),
}
"""What is altered: its files, and its share."""


def altered(root: Path, rounds: int, draws: random.Random) -> tuple[list[str], list[str]]:
    """Rows of the table, and what went wrong."""
    states = {"finished": _finished(root / "finished"), "stopped": _stopped(root / "stopped")}
    wholes = {
        (state, argv[0]): _result(root / "whole", folder, argv)
        for state, folder in states.items()
        for argv in (RESUME, _more())
    }
    reports = {name: _report(folder / "out") for name, folder in states.items()}
    wrong: list[str] = []
    counts: Counter[tuple[str, str]] = Counter()
    for number in range(rounds):
        state = draws.choice(list(states))
        kind = draws.choices(list(FILES), [share for _, share in FILES.values()])[0]
        folder = root / "altered"
        shutil.copytree(states[state], folder)
        path = draws.choice(sorted(folder.glob(FILES[kind][0])))
        how = draws.choice(list(ALTERATIONS))
        before = path.read_bytes()
        path.write_bytes(after := ALTERATIONS[how](before, draws))
        argv = _more() if kind == "first_round" or draws.random() < 0.3 else RESUME
        outcomes = [
            _looked(folder / "out", path, reports[state]),
            _went_on(command(folder, argv), path, folder, wholes[state, argv[0]], unread=argv != RESUME),
        ]
        for step, outcome in zip(("report", argv[0]), outcomes, strict=True):
            counts[kind, outcome if outcome in ("noticed", "no effect") else "wrong"] += after != before
            if outcome not in ("noticed", "no effect"):
                wrong.append(f"alteration {number}, {state}, {path.relative_to(folder)}, {how}, {step}: {outcome}")
        counts[kind, "files"] += after != before
        shutil.rmtree(folder)
    return [
        f"| {kind} | {counts[kind, 'files']} | {counts[kind, 'noticed']} | {counts[kind, 'no effect']} | {counts[kind, 'wrong']} |"
        for kind in FILES
    ], wrong


def _more() -> list[str]:
    return ["run", "more.json", "--output", "out", "--no-progress"]


def _finished(folder: Path) -> Path:
    assert command(prepared(folder), RUN).code == 0
    return folder


def _stopped(folder: Path) -> Path:
    """An experiment that was killed in a late run."""
    late = prepared(folder) / "out" / "margin_sampling" / "1" / "events.jsonl"
    seconds = 0.1
    while not late.exists() or late.read_bytes().count(b"\n") < 6:
        command(folder, RUN, seconds)
        seconds += 0.02
    return folder


def _result(folder: Path, start: Path, argv: Sequence[str]) -> dict[str, bytes]:
    """The files after a command on an unaltered experiment."""
    shutil.copytree(start, folder)
    ended = command(folder, argv)
    assert ended.code == 0, ended
    found = content(folder)
    shutil.rmtree(folder)
    return found


def _report(output: Path) -> Any:
    """The numbers of a report, with its notes; times and provenance, which hold no result, are left out."""
    from distil.cli.report import report

    (found,) = report(output)["experiments"]
    return {key: value for key, value in found.items() if key not in ("costs", "provenance")}


def _looked(output: Path, path: Path, whole: Any) -> str:
    """What ``distil report`` makes of an altered file: noticed, no effect, or what is wrong."""
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", DistilWarning)
            found = _report(output)
    except DistilError as error:
        return "noticed" if _names(str(error).splitlines(), path) else f"the error does not name the file: {error}"
    if found == whole:
        return "no effect"
    unfinished = any("finished" in note for note in found["notes"] if note not in whole["notes"])
    named = any(_names([str(warning.message)], path) for warning in said)
    return "noticed" if unfinished or named else "other numbers without a word"


def _went_on(ended: Ended, path: Path, folder: Path, whole: dict[str, bytes], *, unread: bool) -> str:
    """What a command that goes on makes of an altered file: noticed, no effect, or what is wrong.

    A file of a run that the command does not name (``unread``) may stay as it is, and so may a first round that no run reads.
    """
    if ended.code in (1, 2):
        return "noticed" if _names(ended.errors, path) else f"an error that does not name the file: {ended.errors}"
    found, own = content(folder), str(path.relative_to(folder))
    if unread or "first_round" in path.parts:
        found[own] = whole[own]
    faults = differences(ended, found, whole)
    if {fault.split()[0] for fault in faults} <= {"out/results.csv", "out/results.md"} and faults:
        return "noticed" if b"finished" in found["out/results.md"] else "; ".join(faults)
    if not faults:
        return "noticed" if any(_names([line], path) for line in ended.errors) else "no effect"
    return "; ".join(faults)


def _names(lines: Sequence[str], path: Path) -> bool:
    """Whether an error is one line, and names the file."""
    return len(lines) == 1 and path.name in lines[0]


# --- the table --------------------------------------------------------------------------------------------------------


def main(argv: list[str]) -> int:
    """Kill and alter, write the table, and say what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=40, help="kills (default: %(default)s)")
    parser.add_argument("--alterations", type=int, default=500, help="altered files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of moments and alterations (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="print the table without writing it")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    _make_quick()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        kills, wrong = killed(Path(folder) / "kills", options.kills, random.Random(options.seed))
        alterations, more = altered(Path(folder) / "alterations", options.alterations, random.Random(options.seed))
    text = HEAD.format(kills="\n".join(kills), alterations="\n".join(alterations), options=options)
    print(text) if options.dry else write("chaos", text)
    print(*wrong, *more, sep="\n")
    return 1 if wrong or more else 0


def _make_quick() -> None:
    """Leave plots out, read the data once, and look up the versions once: a checkout may change while this runs."""

    def no_plot(*_: object, **__: object) -> None:
        raise MissingPackage("no plot here")

    outputs.picture_of = no_plot
    versions()
    experiment_config.load = cache(experiment_config.load)
    experiment_config.load("digits", None)


HEAD = """# Kills and altered records

`python -m benchmarks chaos`: {options.kills} commands killed by `kill -9` after a random time, on two strategies and two seeds of
digits and on 600 texts. After a kill the same command, or `distil resume`, goes on; *same bytes* counts those whose every file but
times is then as without the kill. A command may have ended before its kill.

| command | rounds | killed | same bytes |
|---|---:|---:|---:|
{kills}

{options.alterations} altered files of a finished experiment and of one that was killed: a bit flipped, a digit changed, a line
deleted, doubled, swapped or truncated, a file truncated. Each is then read by `distil report`, and by `distil resume` or a run of
one more strategy, and counts twice. *Noticed*: one line names the file, or a strategy is said to be left out. *No effect*: all
numbers, or all files after the command, are as without the alteration.

| altered | files | noticed | no effect | unnoticed |
|---|---:|---:|---:|---:|
{alterations}
"""

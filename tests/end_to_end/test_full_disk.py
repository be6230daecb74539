"""A disk that is full, or fails once, at any call of a command: one line, nothing half-written, and the same command completes."""

from __future__ import annotations

import csv
import errno
import itertools
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parent
SOURCE = str(HERE.parents[1] / "src")
RANDOM = re.compile(
    r"[0-9a-f-]{36}\.[0-9a-f]{16}|(?<=sheets/)[0-9a-f]{16}"
)  # the key of a sheet, and the file of what it showed
FAULTS = {errno.ENOSPC: True, errno.EIO: False}  # a full disk stays full; a disk may fail once

EXPERIMENT = {
    "model": {"architecture": "two_layer_net", "target_classes": 2, "hidden_units_1": 4},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 1, "islogs": True, "logs_location": "train.log"},
    "active_learning": {"strategies": ["random_sampling", "margin_sampling"], "budget": 4, "rounds": 2},
    "dataset": {"embeddings": "x.npy", "labels": "known.csv", "test_points": 10},
    "experiment": {"seeds": 1, "full_data": False},
}


class Disk:
    """A folder whose disk fails when asked to, and the process that runs commands in it."""

    def __init__(self, folder: Path) -> None:
        library, control = folder / "failing_disk.so", folder / "control"
        self.work = folder / "disk" / "work"
        self.work.mkdir(parents=True)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, HERE / "failing_disk.c", "-ldl"], check=True)
        control.write_bytes(bytes(8212))
        homes = dict.fromkeys(("XDG_DATA_HOME", "XDG_CACHE_HOME"), str(self.work.parent / "home"))
        disk = {"LD_PRELOAD": str(library), "DISK_ROOT": str(self.work.parent), "DISK_CONTROL": str(control)}
        environment = {**os.environ, **homes, **disk, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1", "USER": "anna"}
        command = [sys.executable, HERE / "failing_disk.py"]
        self.process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environment)

    def run(self, command: str, fail_at: int = 0, error: int = 0) -> dict:
        job = {"argv": command.split(), "folder": str(self.work), "fail_at": fail_at, "error": error}
        self.process.stdin.write(f"{json.dumps({**job, 'lasting': FAULTS.get(error, False)})}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture
def disk(tmp_path):
    if not Path("/proc/self/fd").exists() or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler")
    made = Disk(tmp_path)
    yield made
    made.process.stdin.close()
    made.process.wait()
    made.process.stdout.close()


def record(database: Path) -> str:
    """What a project's database says, without clocks and random keys."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = {}
        for table, columns in {
            "event": "seq, who, kind, item, class, subject",
            "item": "*",
            "class": "*",
            "current": "*",
            "queue": "*",
            "lease": "item, who, lasting",
        }.items():
            rows[table] = db.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
    return repr(rows)


def state(folder: Path) -> dict[str, str]:
    """The content of every file, but locks and what holds times."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not re.search(
            r"lock$|times\.jsonl$|log\.json$|train\S*\.(log|txt)|\.db-(wal|shm)$", path.name
        ):
            name = str(path.relative_to(folder))
            found[RANDOM.sub("0", name)] = (
                record(path) if path.name == "project.db" else RANDOM.sub("0", path.read_bytes().decode("latin-1"))
            )
    return found


def restore(kept: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept, folder)


def check(disk: Disk, command: str, step: int) -> list[str]:
    """Let a command fail at every so many of its calls; what is wrong. The folder is then as the whole command leaves it."""
    before, after = disk.work.parent.parent / "before", disk.work.parent.parent / "after"
    restore(disk.work.parent, before)
    whole = disk.run(command)
    assert whole["code"] == 0, whole
    start, end = state(before / "work"), state(disk.work)
    restore(disk.work.parent, after)
    wrong = []
    for number, error in zip(range(step // 2 + 1, whole["calls"] + 1, step), itertools.cycle(FAULTS), strict=False):
        restore(before, disk.work.parent)
        done = disk.run(command, number, error)
        found = faults_of(done, start, state(disk.work), end)
        again = disk.run(command) if done["code"] else done
        if again["code"] or state(disk.work) != end:
            found += [f"the same command then left {changed(state(disk.work), end)}: {again}"]
        wrong += [
            f"{command}, {errno.errorcode[error]} at {number} of {whole['calls']}, {done['what']}: {f}" for f in found
        ]
    restore(after, disk.work.parent)
    return wrong


def is_json(text: str) -> bool:
    """Whether a file that is replaced as a whole was."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def faults_of(done: dict, start: dict[str, str], left: dict[str, str], end: dict[str, str]) -> list[str]:
    """What is wrong with what a command said, and with the files that it left, those in which it keeps its own state apart."""
    found = []
    line = r"(distil: warning: .*\n)?distil: (?!warning)\S+:? .*again.*\n"
    if done["code"] and (done["code"] != 1 or not re.fullmatch(line, done["err"]) or ".tmp" in done["err"]):
        found.append(f"said {done}")
    if not done["code"] and left != end:
        found.append(f"ended well, with others: {changed(left, end)}")
    half = {
        name
        for name, content in left.items()
        if content not in (start.get(name), end.get(name)) and not end.get(name, "").startswith(content)
    }
    half = {name for name in half if not re.search(r"(^|/)(\.|weights-)[^/]*$", name)}
    half -= {
        name for name in half if name.endswith(".json") and is_json(left[name])
    }  # replaced as a whole, more than once
    return (
        found
        + [f"half-written: {half}"] * bool(half)
        + [f"lost: {start.keys() - left.keys()}"] * bool(start.keys() - left.keys())
    )


def changed(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in {**one, **other} if one.get(name) != other.get(name))


def images(work: Path) -> None:
    (work / "images").mkdir()
    for number in range(12):
        Image.new("RGB", (4, 4), (20 * number, 0, number)).save(work / "images" / f"{number}.png")


def arrays(work: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(work / "x.npy", rng.normal(size=(40, 3)).astype("float32"))
    np.save(work / "p.npy", rng.dirichlet([0.2, 0.2], 40).astype("float32"))
    for name, count in (("labeled.csv", 12), ("known.csv", 40)):
        (work / name).write_text("id,label\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(count)))
    (work / "curve.csv").write_text("labels,score\n" + "".join(f"{10 * n},{1 - 1 / n}\n" for n in range(1, 12)))
    (work / "old.csv").write_text("mine")
    (work / "config.json").write_text(json.dumps(EXPERIMENT))


def texts(work: Path) -> None:
    (work / "t.csv").write_text("id,text\n" + "".join(f"t{n},text {n}\n" for n in range(12)))
    (work / "known.csv").write_text("id,label\nt1,x\nt2,y\n")


def filled(name: str) -> Callable[[Path], None]:
    """A step that fills in a sheet; its last row gets a flag, where it has a column for that."""

    def fill(work: Path) -> None:
        with (work / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        for number, row in enumerate(rows):
            row["label"] = "xy"[number % 2]
        rows[-1] |= {"label": "", "answer": "flag"} if "answer" in rows[-1] else {}
        with (work / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    return fill


def interrupted(work: Path) -> None:
    """Leave of a finished run the first half of its record, and no results."""
    record = work / "out" / "margin_sampling" / "0" / "events.jsonl"
    lines = record.read_text().splitlines(keepends=True)
    record.write_text("".join(lines[: len(lines) // 2]))
    for name in ("results.csv", "results.md"):
        (work / "out" / name).unlink()


CHAINS = {
    "files": [
        images,
        "embed images --model pixels --out emb.npy",
        "embed images --model pixels --shards shards",
        arrays,
        "select --embeddings x.npy --strategy core_set --n 3 --out picks.csv --explain why.html",
        "select --embeddings x.npy --strategy core_set --n 3 --out old.csv --force",
        "audit x.npy --labeled labeled.csv --out audit.html --suspects suspects.csv",
        "evaluate --probs p.npy --classes x,y --n 20 --out random.csv",
        filled("random.csv"),
        "finish --probs p.npy --classes x,y --labels random.csv --error .4 --confidence .6 --out all.csv --rest rest.csv",
        "forecast curve.csv --out forecast.csv",
    ],
    "experiment": [
        arrays,
        "run config.json --output out --no-progress",
        interrupted,
        "resume out --no-progress",
        "report out",
    ],
    "project": [
        texts,
        "project create p --classes x,y",
        "project add p t.csv",
        "next p --n 4 --strategy random_sampling --out sheet.csv",
        filled("sheet.csv"),
        "answer p sheet.csv",
        "project import p known.csv --who ben",
        "project decide p --item t3 --label x",
        "project ties p --out ties.csv",
        "project withdraw p --of anna",
        "project classes p --add z",
        "project export p labels.csv",
        "project export p hf --format huggingface",
    ],
}


def check_chain(disk: Disk, chain: list[str | Callable[[Path], None]], step: int) -> None:
    """Fail at every so many calls of each command of a chain, in turn as a full disk and as one that fails once."""
    wrong = []
    for each in chain:
        if callable(each):
            each(disk.work)
        else:
            wrong += check(disk, each, step)
    assert not wrong, "\n".join(wrong)


def test_a_disk_that_is_full_or_fails(disk):
    check_chain(disk, CHAINS["project"][:6], 40)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "step"), [("files", 1), ("project", 1), ("experiment", 3)])
def test_a_disk_that_is_full_or_fails_at_any_call(disk, name, step):
    check_chain(disk, CHAINS[name], step)

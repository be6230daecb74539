"""Time and memory of the commands on a labeling project of 1,000, 10,000 and 100,000 texts, a tenth of them labeled.

``python -m benchmarks labeling_commands [ITEMS ...]`` runs each command in a process of its own.
"""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
SIZES = (1_000, 10_000, 100_000)
CLASSES = ("good", "bad", "mixed")
WORDS = 5_000
COMMANDS = (
    "project create p --classes good,bad,mixed",
    "project add p texts.csv",
    "project add p texts.csv",
    "project import p labels.csv",
    "next p --n 20 --out sheet.csv --who anna",
    "answer p sheet.csv",
    "project status p",
    "project history p",
    "project classes p",
    "project export p out.csv",
    "project export p out.jsonl --answers",
)


def main(argv: Sequence[str]) -> int:
    """Run the commands on projects of each size, and write the table."""
    sizes = [int(each) for each in argv] or SIZES
    found = [_commands(size) for size in sizes]
    # not before: processes begin as copies of this one, and its torch would count as memory of theirs
    from benchmarks.machine import write

    head = "| command | " + " | ".join(f"{size:,}: seconds of CPU | MB" for size in sizes) + " |"
    rows = [
        f"| `{command}` | " + " | ".join(f"{each[place][0]:.1f} | {each[place][1]:.0f}" for each in found) + " |"
        for place, command in enumerate(COMMANDS)
    ]
    table = "\n".join([head, "|---|" + "---:|---:|" * len(sizes), *rows])
    text = (
        "The commands on a labeling project of so many texts of 20 words, a tenth of them labeled: seconds of CPU, and the peak "
        "memory of the process."
    )
    write("labeling_commands", f"# Commands on a labeling project, by its size\n\n{text}\n\n{table}")
    return 0


def _commands(items: int) -> list[tuple[float, float]]:
    """The seconds of CPU and the megabytes of each command on a new project."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), items)
        found = []
        for command in COMMANDS:
            if command.startswith("answer"):
                _fill_in(Path(folder, "sheet.csv"))
            found.append(_cost(Path(folder), command))
        return found


def _write(folder: Path, items: int) -> None:
    """A table of texts of which each class prefers some words, and the labels of a tenth."""
    draws = random.Random(0)
    words = [f"word{n}" for n in range(WORDS)]
    with (folder / "texts.csv").open("w", newline="") as texts, (folder / "labels.csv").open("w", newline="") as labels:
        texts.write("id,text\n")
        labels.write("id,label\n")
        for n in range(items):
            kind = draws.randrange(len(CLASSES))
            own = words[kind * 100 : kind * 100 + 100]
            texts.write(f"t{n},{' '.join([*draws.choices(own, k=4), *draws.choices(words, k=16)])}\n")
            if n % 10 == 0:
                labels.write(f"t{n},{CLASSES[kind]}\n")


def _fill_in(sheet: Path) -> None:
    with sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"label": CLASSES[n % 3]} for n, row in enumerate(rows))


def _cost(folder: Path, command: str) -> tuple[float, float]:
    """The seconds of CPU and the peak memory, in megabytes, of one command."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "distil", *command.split()], cwd=folder, env=env, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command}: {(folder / 'log.txt').read_text()}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

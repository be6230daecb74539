"""The log file of the DISTIL document's training script, for programs that read it.

A block a round::

    ---------------------
    Round 1
    ---------------------
    Training Points - 40
    Test Accuracy - 71.2
    Selection Time - 0.0031
    Trainining Time - 0.114
    Training
    Epoch:1- training accuracy:0.15- training loss:2.31
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distil.experiment.run import Run

_LINE = "-" * 21


def block(run: Run, evaluated: Mapping[str, Any]) -> str:
    """The lines of one round; the misspelled "Trainining Time" is the published one.

    Args:
        run: Its events hold the training; its times the seconds.
        evaluated: The event of the round's evaluation.
    """
    number = evaluated["round"]
    trained = run.last("trained") or {}
    seconds = {entry["step"]: entry["seconds"] for entry in run.times() if entry["round"] == number}
    lines = [_LINE, f"Round {number}", _LINE, f"Training Points - {evaluated['labels']}"]
    lines.append(f"Test Accuracy - {round(round(evaluated['accuracy'], 3) * 100, 2)}")
    if "select" in seconds:
        lines += [f"Selection Time - {seconds['select']}", f"Trainining Time - {seconds.get('train', 0.0)}"]
    lines.append("Training")
    for epoch, (accuracy, loss) in enumerate(trained.get("log", []), 1):
        lines.append(f"Epoch:{epoch}- training accuracy:{accuracy}- training loss:{loss}")
    return "\n".join(lines) + "\n"


def append_block(path: Path, run: Run, evaluated: Mapping[str, Any]) -> None:
    """Append a round's block to a log, unless a run that was killed here has done so before it could say so.

    Where in the file this run's blocks begin is remembered in its directory, so that earlier runs' blocks do not count.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = run.path / "log_start"
    if not mark.exists():
        mark.write_text(str(path.stat().st_size if path.exists() else 0))
    written = path.read_bytes()[int(mark.read_text() or 0) :].decode(errors="replace") if path.exists() else ""
    if f"\nRound {evaluated['round']}\n" in written:
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(block(run, evaluated))
        file.flush()
        os.fsync(file.fileno())

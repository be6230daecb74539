"""The log file of the DISTIL document's training script, for programs that read it.

One block per round::

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

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distil.errors import RunError, whole_number
from distil.experiment.chain import parsed
from distil.experiment.run import Run
from distil.system.files import naming, write_text

_LINE = "-" * 21


def block(run: Run, evaluated: Mapping[str, Any]) -> str:
    """The lines of one round; the misspelled "Trainining Time" is the published one.

    Args:
        run: The run; its events hold the training, its times the seconds.
        evaluated: The round's ``evaluated`` event.
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


def _noted(path: Path) -> dict[str, Any]:
    """The block that was being written last."""
    note = parsed(path.read_bytes()) if path.exists() else {"round": None, "offset": 0, "block": ""}
    if note is None or whole_number(note.get("offset"), 0) is None or not isinstance(note.get("block"), str):
        raise RunError(
            f"{path}: expected the round, offset and block that were written to the log last; the file has been altered. Remove it "
            "to go on; the log may then have the block of one round twice"
        )
    return {"round": None, **note}


def append_block(path: Path, run: Run, evaluated: Mapping[str, Any]) -> None:
    """Append a round's block to a log exactly once, even if the process is killed while it writes.

    The block and its position are first saved in the run's directory. After a kill, the next process finds the block in the log,
    or a part of it at the end, which it completes. Other runs may write to the same log.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    note_path = run.path / "log.json"
    note = _noted(note_path)
    if note["round"] != evaluated["round"]:
        size = path.stat().st_size if path.exists() else 0
        note = {"round": evaluated["round"], "offset": size, "block": block(run, evaluated)}
        write_text(note_path, json.dumps(note))
    wanted = note["block"].encode()
    written = path.read_bytes()[note["offset"] :] if path.exists() else b""
    if written.startswith(wanted):
        return
    rest = wanted[len(written) :] if wanted.startswith(written) else wanted
    with naming(path), path.open("ab") as file:
        file.write(rest)
        file.flush()
        os.fsync(file.fileno())

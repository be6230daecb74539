"""``labeled.csv``: the labels of a finished run by the user's own ids, for a final training on the original items."""

from __future__ import annotations

from collections.abc import Sequence

from distil.data.cells import csv_text
from distil.data.label_texts import label_text
from distil.experiment.run import Run
from distil.system.files import move_aside, write_text
from distil.tasks import Task

LABELED = "labeled.csv"


def write_labeled(run: Run, names: Sequence[str], classes: Sequence[str], task: Task = "classification") -> None:
    """Write the id, label and round of each labeled example, once, in the order of the first labels.

    The last label of an id counts: answers may be corrected, and a redundant pool holds copies.

    Args:
        run: The run whose ``labeled`` events are written.
        names: The user's ids, one per row of the pool.
        classes: Names of the classes; empty if they have none.
        task: What labels are.
    """
    content = _content(run, names, classes, task)
    if not _is_kept(run, content):
        write_text(run.path / LABELED, content)


def remove_labeled(run: Run, names: Sequence[str], classes: Sequence[str], task: Task = "classification") -> None:
    """Remove the file of a finished run that goes on; it is written anew at the end, see ``write_labeled``."""
    if _is_kept(run, _content(run, names, classes, task)):
        (run.path / LABELED).unlink()


def _content(run: Run, names: Sequence[str], classes: Sequence[str], task: Task) -> str:
    entries = {
        names[row]: (label_text(task, label, classes), event["round"])
        for event in run.all("labeled")
        for row, label in zip(event["ids"], event["labels"], strict=True)
    }
    rows = ([name, *label_and_round] for name, label_and_round in entries.items())
    return csv_text([["id", "label", "round"], *rows], LABELED)


def _is_kept(run: Run, content: str) -> bool:
    """Whether the file is there as it was written; one that someone edited gets another name."""
    path = run.path / LABELED
    if not path.exists():
        return False
    if path.read_bytes() != content.encode(errors="surrogateescape"):
        move_aside(path)
        return False
    return True

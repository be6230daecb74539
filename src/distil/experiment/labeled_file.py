"""``labeled.csv``: everything that a run labeled, with the user's ids, for a final training on the items themselves."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from distil.experiment.run import Run
from distil.system.files import replacing

LABELED = "labeled.csv"


def write_labeled(run: Run, names: Sequence[str], classes: Sequence[str]) -> None:
    """Write id, label and round of each example that was labeled, once, in the order of their first labels.

    The label that came last counts: answers are corrected, and a redundant pool has copies.

    Args:
        run: Its ``labeled`` events are what is written.
        names: The user's id of every row that events speak of.
        classes: What the classes are called; empty where they have no names.
    """
    entries = {
        names[row]: (classes[label] if classes else label, event["round"])
        for event in run.all("labeled")
        for row, label in zip(event["ids"], event["labels"], strict=True)
    }
    with replacing(run.path / LABELED) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "label", "round"])
        writer.writerows([name, *label_and_round] for name, label_and_round in entries.items())

"""``labeled.csv``: the labels of a finished run by the user's own ids, for a final training on the original items."""

from __future__ import annotations

from collections.abc import Sequence

from distil.data.cells import csv_text
from distil.experiment.run import Run
from distil.system.files import write_text

LABELED = "labeled.csv"


def write_labeled(run: Run, names: Sequence[str], classes: Sequence[str]) -> None:
    """Write the id, label and round of each labeled example, once, in the order of the first labels.

    The last label of an id counts: answers may be corrected, and a redundant pool holds copies.

    Args:
        run: The run whose ``labeled`` events are written.
        names: The user's ids, one per row of the pool.
        classes: Names of the classes; empty if they have none.
    """
    entries = {
        names[row]: (classes[label] if classes else label, event["round"])
        for event in run.all("labeled")
        for row, label in zip(event["ids"], event["labels"], strict=True)
    }
    rows = ([name, *label_and_round] for name, label_and_round in entries.items())
    write_text(run.path / LABELED, csv_text([["id", "label", "round"], *rows], LABELED))

"""Weights that are lost, made again by the trainings that the events of their run describe."""

from __future__ import annotations

import warnings
from pathlib import Path

from distil.errors import DistilWarning
from distil.experiment.provenance import versions
from distil.experiment.run import Run
from distil.experiment.weights import Weights
from distil.selection.learner import Learner
from distil.selection.pool import POOL_EVENTS


def restore(lost: Path, run: Run, learner: Learner, weights: Weights, *, every_round: bool) -> None:
    """Train again on the labels of a run, and write the weights that are lost.

    Args:
        lost: The file that is missing or damaged.
        run: The run.
        learner: A fresh learner, before the first event; it is used up.
        weights: The weights of the run.
        every_round: Whether each training starts from the one before; otherwise the last is enough.

    Raises:
        RunError: The trainings gave other weights than those that the run wrote.
    """
    warnings.warn(f"{lost} is missing or is not what the run wrote; it is trained again", DistilWarning, stacklevel=2)
    first = run.all("trained")[0 if every_round else -1]["round"]
    for event in run.events:
        if event["event"] in POOL_EVENTS:
            learner.pool.record(event)
        elif event["event"] == "trained" and event["round"] >= first:
            learner.round = event["round"]
            learner.fit()
    weights.restore(learner.module, f"training again gave other weights{_changed_versions(run)}")


def _changed_versions(run: Run) -> str:
    """The packages whose versions are not those of the run, in parentheses."""
    before, now = run.events[0]["versions"], versions()
    changed = [
        f"{name} {before.get(name)}, now {now.get(name)}" for name in before | now if before.get(name) != now.get(name)
    ]
    return f" (the run was made with {'; '.join(changed)})" if changed else ""

"""Stopping rules in a run: what its events keep for them, and why and where runs stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from distil.evaluation.stopping import Round
from distil.experiment.chain import Event
from distil.experiment.run import Run
from distil.rng import Rng
from distil.selection.learner import Learner
from distil.selection.stopping import round_of, stop_set


def as_event(learner: Learner, seed: int) -> Event:
    """What an ``evaluated`` event keeps of a learner for stopping rules, under the key ``stop``."""
    found = round_of(learner, stop_set(learner, Rng(seed)))
    return {"stop": {"classes": list(found.classes), "uncertainty": found.uncertainty, "largest": found.largest}}


def rounds_of(run: Run) -> list[Round]:
    """The rounds of a run whose configuration has stopping rules. Their score is the accuracy on the validation points."""
    return [
        Round(
            labels=event["labels"],
            classes=tuple(event["stop"]["classes"]),
            uncertainty=event["stop"]["uncertainty"],
            largest=event["stop"]["largest"],
            score=event.get("validation_accuracy"),
        )
        for event in run.all("evaluated")
    ]


def stop_notes(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """A sentence for each strategy some of whose runs ended before their last round: how many, where, and why the first did."""
    for label, own in runs.items():
        stopped = [run for run in own if run.stopped is not None]
        if stopped:
            labels = sorted(run.all("evaluated")[-1]["labels"] for run in stopped)
            between = f"{labels[0]:,}" if labels[0] == labels[-1] else f"{labels[0]:,} to {labels[-1]:,}"
            first = stopped[0]
            seed = (first.last("started") or {}).get("seed")
            where = f"{len(stopped)} of {len(own)} runs stopped before the last round, at {between} labels"
            yield f"{label}: {where}; seed {seed} because {first.stopped}."

"""What the events of finished runs say about how to read their results: each kind of remark in one sentence a strategy."""

from __future__ import annotations

from collections.abc import Iterator

from distil.experiment.chain import Event
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.results import Runs, random_notes, training_notes
from distil.experiment.stopped import stop_notes
from distil.strategies.base import RANDOM_SAMPLE


def notes_of(config: ExperimentConfig, runs: Runs) -> list[str]:
    """All remarks of strategies, trainings and warnings that the events of these runs hold."""
    return [
        *stop_notes(runs),
        *random_notes(runs),
        *_selection_notes(runs),
        *training_notes(runs),
        *_cut_off_notes(config, runs),
        *_warning_notes(runs),
    ]


def _selection_notes(runs: Runs) -> Iterator[str]:
    """A sentence for each strategy with other remarks than that a selection is a random sample."""
    for label, own in runs.items():
        asked = [event.get("notes", []) for run in own for event in run.all("asked")]
        remarks = [[note for note in notes if RANDOM_SAMPLE not in note] for notes in asked]
        first = next((notes[0] for notes in remarks if notes), None)
        if first is not None:
            yield f"{label}: {sum(map(bool, remarks))} of {len(asked)} selections have a note; the first: {first}."


def _cut_off_notes(config: ExperimentConfig, runs: Runs) -> Iterator[str]:
    """A sentence for each strategy some of whose trainings ended before they reached the accuracy that was asked for."""
    wanted = config.document["train_parameters"].get("max_accuracy")
    for label, own in runs.items() if wanted is not None else ():
        trained = [event for run in own for event in run.all("trained")]
        n = sum(event.get("stopped") == "n_epoch" for event in trained)
        if n:
            yield (
                f"{label}: {n} of {len(trained)} trainings ended with the last epoch (n_epoch), before their training accuracy "
                f"reached {wanted} (max_accuracy)."
            )


def _warning_notes(runs: Runs) -> Iterator[str]:
    """A sentence for each strategy whose steps issued warnings; trainings that have notes are described by those."""
    for label, own in runs.items():
        warned = [event for run in own for event in run.events if event.get("warnings") and not _is_noted(event)]
        if warned:
            first = "; ".join(warned[0]["warnings"])
            steps = f"{len(warned)} step{'s' * (len(warned) > 1)}"
            yield f"{label}: warnings in {steps}, the first in round {warned[0]['round']}: {first}."


def _is_noted(event: Event) -> bool:
    return event["event"] == "trained" and "notes" in event

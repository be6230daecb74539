"""Replaying the events of a run in a learner, which makes every run resumable."""

from __future__ import annotations

from distil.experiment.chain import Event
from distil.experiment.run import Run
from distil.experiment.weights import Weights
from distil.selection.learner import Learner
from distil.selection.pool import POOL_EVENTS


def replay(run: Run, learner: Learner, weights: Weights) -> None:
    """Record all events of a run in a fresh learner's pool, and load the weights that the next step needs.

    Raises:
        RunError: The weights file is missing or is not the one that the run wrote.
    """
    for event in run.events:
        if event["event"] in POOL_EVENTS:
            learner.pool.record(event)
    trained = run.last("trained")
    if trained is not None and not run.finished:
        replay_training(trained, run, learner, weights)


def replay_training(trained: Event, run: Run, learner: Learner, weights: Weights) -> None:
    """Bring a learner to the state after a training that is on disk.

    Raises:
        RunError: The weights file is missing or is not the one that the run wrote.
    """
    weights.load(learner.module, trained)
    state = {"round": trained["round"] + 1, "queries": len(run.all("asked"))}
    learner.load_state_dict({**learner.state_dict(), **state})

"""The events that a run may hold: runs as they are written, and each way in which one event cannot be right."""

from __future__ import annotations

import copy

import pytest

from distil.evaluation.metrics import METRICS
from distil.experiment.grammar import FOLLOWING, Grammar
from distil.experiment.steps import STEPS

SHA = "0" * 64
STARTED = {
    **{"event": "started", "strategy": "badge", "seed": 0, "pool": 12, "test": 5, "examples": 20, "num_classes": 3},
    **{"budget": 4, "device": "cpu", "threads": 1, "versions": {}},
}


def trained(number):
    return {"event": "trained", "round": number, "weights": f"weights-{number:03d}.safetensors", "sha256": SHA}


def evaluated(number, labels):
    return {"event": "evaluated", "round": number, "labels": labels, **dict.fromkeys(METRICS, 0.5)}


@pytest.fixture
def whole():
    """A run of three rounds with skips, a late answer and a last query that takes the rest of the pool."""
    return copy.deepcopy(
        [
            STARTED,
            {"event": "labeled", "round": 0, "ids": [1, 2, 3], "labels": [0, 1, 2]},
            trained(0),
            evaluated(0, 3),
            {"event": "asked", "round": 1, "ids": [10, 11, 12, 13], "scores": [4.0, 3.0, 2.0, 1.0], "notes": ["so"]},
            {"event": "skipped", "round": 1, "ids": [10]},
            {"event": "skipped", "round": 1, "ids": [11]},
            {"event": "labeled", "round": 1, "ids": [13], "labels": [2]},
            trained(1),
            evaluated(1, 4),
            {"event": "asked", "round": 2, "ids": [4, 5, 6, 7]},
            {"event": "labeled", "round": 2, "ids": [12, 7], "labels": [0, 0]},
            trained(2),
            evaluated(2, 6),
            {"event": "asked", "round": 3, "ids": [19]},
            {"event": "labeled", "round": 3, "ids": [], "labels": []},
            trained(3),
            evaluated(3, 6),
            {"event": "finished", "model": "model.safetensors", "sha256": SHA},
        ]
    )


def first_fault(events):
    """The number of the first event that cannot be right, from 0, and why; None if all can."""
    grammar = Grammar()
    for number, event in enumerate(events):
        fault = grammar.follow(event)
        if fault is not None:
            return number, fault
    return None


def test_whole_runs_and_their_beginnings_have_no_fault(whole):
    assert [first_fault(whole[:n]) for n in range(len(whole) + 1)] == [None] * (len(whole) + 1)
    everything = [STARTED, {"event": "labeled", "round": 0, "ids": [*range(12)], "labels": [0] * 12}]
    assert first_fault([*everything, trained(0), evaluated(0, 12), whole[-1]]) is None


def test_every_step_of_a_run_is_one_that_may_follow():
    assert set(STEPS) == set(FOLLOWING) - {"finished"}


def test_events_removed_doubled_or_swapped_are_faults(whole):
    """But for skips of two lines, which one line may hold, and for one of them left out, which the query then lacks."""
    for number in range(len(whole) - 1):
        if whole[number]["event"] == "skipped":
            continue
        assert first_fault([*whole[:number], *whole[number + 1 :]])[0] <= number + 1
        assert first_fault([*whole[:number], whole[number], *whole[number:]])[0] == number + 1
        assert first_fault([*whole[:number], whole[number + 1], whole[number], *whole[number + 2 :]])[0] <= number + 1
    assert first_fault([*whole, whole[-1]]) == (len(whole), "expected nothing after 'finished', got 'finished'")


FAULTS = [
    (1, {"event": "labelled"}, "expected 'labeled' after 'started', got 'labelled'"),
    (0, {"event": "labeled"}, "expected 'started' after no event, got 'labeled'"),
    (4, {"event": "trained"}, "expected 'asked' or 'finished' after 'evaluated', got 'trained'"),
    (2, {"round": 1}, "expected round 0 of 'trained', got 1"),
    (4, {"round": 0}, "expected round 1 of 'asked', got 0"),
    (2, {"round": False}, "expected round 0 of 'trained', got False"),
    (2, {"round": None}, "expected round 0 of 'trained', got None"),
    (2, {"round": "0" * 99}, "expected round 0 of 'trained', got '0000"),
    (0, {"seed": None}, "expected a whole number under 'seed', got None"),
    (0, {"examples": 2.5}, "expected a whole number under 'examples', got 2.5"),
    (0, {"strategy": ["badge"]}, "expected a text under 'strategy', got ['badge']"),
    (0, {"versions": 7}, "expected an object under 'versions', got 7"),
    (1, {"ids": 7}, "expected a list under 'ids', got 7"),
    (1, {"ids": [1, 2, 20]}, "expected ids from 0 to 19, got 20"),
    (1, {"ids": [1, 2, -1]}, "expected ids from 0 to 19, got -1"),
    (1, {"ids": [1, 2, True]}, "expected ids from 0 to 19, got True"),
    (1, {"ids": [1, 2, [3]]}, "expected ids from 0 to 19, got [3]"),
    (1, {"ids": [1, 2, 2]}, "the id 2 occurs twice"),
    (1, {"ids": [1, 2]}, "expected one entry of 'labels' for each of the 2 ids"),
    (1, {"labels": [0, 1, 3]}, "expected labels from 0 to 2, got 3"),
    (1, {"labels": [0, 1, -1]}, "expected labels from 0 to 2, got -1"),
    (1, {"labels": [0, 1, 1.0]}, "expected labels from 0 to 2, got 1.0"),
    (1, {"ids": [*range(13)], "labels": [0] * 13}, "expected at most 12 ids, the rest of the pool, got 13"),
    (1, {"notes": "text"}, "expected a list of texts under 'notes', got 'text'"),
    (2, {"weights": "../../secret"}, "expected weights of round 0, got '../../secret'"),
    (2, {"sha256": 7}, "expected a text under 'sha256', got 7"),
    (2, {"training_loss": float("nan")}, "expected a finite number under 'training_loss', got nan"),
    (3, {"accuracy": float("inf")}, "expected a finite number under 'accuracy', got inf"),
    (3, {"accuracy": "0.5"}, "expected a number under 'accuracy', got '0.5'"),
    (3, {"accuracy": True}, "expected a number under 'accuracy', got True"),
    (3, {"validation_accuracy": float("nan")}, "expected a finite number under 'validation_accuracy', got nan"),
    (3, {"labels": 4}, "expected 3 labels, as many as the events before it have, got 4"),
    (4, {"ids": [10, 11, 12]}, "expected one entry of 'scores' for each of the 3 ids"),
    (4, {"ids": [10, 11, 12], "scores": [1, 2, 3]}, "expected 4 ids, got 3"),
    (4, {"ids": [10, 11, 12, 1]}, "the id 1 was selected before"),
    (10, {"ids": [4, 5, 6, 12]}, "the id 12 was selected before"),
    (10, {"ids": [4, 5, 6, 10]}, "the id 10 was selected before"),
    (10, {"ids": [4, 5, 6, 13]}, "the id 13 was selected before"),
    (5, {"ids": [19]}, "the id 19 has no pending query"),
    (7, {"ids": [10]}, "the id 10 has no pending query"),
    (7, {"ids": [9]}, "the id 9 has no pending query"),
    (14, {"ids": [19, 18]}, "expected 1 ids, got 2"),
    (18, {"sha256": None}, "expected a text under 'sha256', got None"),
]


def test_events_that_cannot_be_right(case, whole):
    for number, change, fault in FAULTS:
        with case(number, change):
            found = first_fault([*whole[:number], {**whole[number], **change}, *whole[number + 1 :]])
            assert found is not None
            assert found[0] == number
            assert found[1].startswith(fault)
            assert len(found[1]) < 150


def test_missing_keys(case, whole):
    for number, event in enumerate(whole[:5] + whole[-1:]):
        for key in set(event) - {"event", "round", "scores", "notes"}:
            with case(number, key):
                without = {k: v for k, v in event.items() if k != key}
                at = number if number < 5 else len(whole) - 1
                found = first_fault([*whole[:at], without])
                assert found == (at, f"expected the key {key!r} in {event['event']!r}")


def test_events_of_other_tasks_have_rows_of_labels_and_their_own_metrics():
    def run(task, outputs, labels, metrics):
        start = {**STARTED, "task": task, "num_classes": outputs}
        labeled = {"event": "labeled", "round": 0, "ids": [1, 2], "labels": labels}
        return [
            start,
            labeled,
            trained(0),
            {"event": "evaluated", "round": 0, "labels": 2, **dict.fromkeys(metrics, -3.5)},
        ]

    numbers, sets = {"r2": 0, "rmse": 0, "mae": 0}, {"macro_f1": 0, "micro_f1": 0, "subset_accuracy": 0}
    assert first_fault(run("regression", 2, [[0.5, -1], [1e9, 2.0]], numbers)) is None
    assert first_fault(run("multilabel", 2, [[0.0, 1.0], [1, 0]], sets)) is None
    for events, number, fault in [
        (
            run("regression", 2, [[0.5], [1.0]], numbers),
            1,
            "expected a list of 2 finite numbers as each label, got [0.5]",
        ),
        (run("regression", 1, [[0.5], [float("inf")]], numbers), 1, "as each label, got [inf]"),
        (run("regression", 1, [0, 1], numbers), 1, "as each label, got 0"),
        (
            run("multilabel", 2, [[0, 1], [0, 2]], sets),
            1,
            "expected a list of 2 numbers, 0 or 1, as each label, got [0, 2]",
        ),
        (run("multilabel", 2, [[0, 1], [0, True]], sets), 1, "as each label, got [0, True]"),
        (run("regression", 1, [[1], [2]], sets), 3, "expected the key 'r2' in 'evaluated'"),
        (run("ranking", 1, [[1], [2]], sets), 0, "expected one of classification, multilabel, regression under 'task'"),
    ]:
        found = first_fault(events)
        assert found is not None
        assert found[0] == number, found
        assert fault in found[1], found

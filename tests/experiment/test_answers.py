"""The door for answers: what becomes events, and what is refused in the caller's own ids."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.experiment.answers import answered
from distil.selection.oracle import Answers, Pending, Query

QUERY = Query(2, (7, 3, 5))


def test_answers_become_events(case):
    for what, ids, labels in [
        ("lists", [3, 7], [1, 0]),
        ("NumPy", np.array([3, 7]), np.array([1, 0], dtype=np.uint8)),
        ("PyTorch", torch.tensor([3, 7]), torch.tensor([1, 0])),
        ("numbers of NumPy", (np.int64(3), np.int32(7)), (np.int16(1), 0)),
    ]:
        with case(what):
            (event,) = answered(Answers(ids, labels), QUERY, num_classes=3)
            assert event == {"event": "labeled", "round": 2, "ids": [3, 7], "labels": [1, 0]}
            assert {type(number) for number in (*event["ids"], *event["labels"])} == {int}


def test_skips_are_an_event_of_their_own():
    events = answered(Answers([5], [2], skipped=np.array([7])), QUERY, num_classes=3)
    assert [(e["event"], e["ids"]) for e in events] == [("skipped", [7]), ("labeled", [5])]
    assert answered(Answers([], []), QUERY, num_classes=3) == [
        {"event": "labeled", "round": 2, "ids": [], "labels": []}
    ]


def test_labels_may_be_names_of_classes():
    named = {"num_classes": 3, "classes": ("cat", "3", "café")}
    (event,) = answered(Answers([7, 3, 5], ["cafe\u0301", "3", 0]), QUERY, **named)
    assert event["labels"] == [2, 1, 0]
    with pytest.raises(InvalidInput, match=r"label of id 5: 'dog' is not one of the 3 classes.*"):
        answered(Answers([5], ["dog"]), QUERY, **named)


WRONG = {
    "a fraction": (Answers([3], [1.7]), r"label of id 3 must be a whole number from 0 to 2, got 1\.7 \(float\)"),
    "a float": (Answers([3], np.array([1.0])), r"label of id 3 must be .*got 1\.0 \(float\)"),
    "a text": (Answers([3], ["3"]), r"label of id 3 must be .*got '3' \(str\)"),
    "a boolean": (Answers([3], [True]), r"label of id 3 must be .*got True \(bool\)"),
    "a boolean of NumPy": (Answers([3], np.array([True])), r"got True \(bool\)"),
    "a boolean of PyTorch": (Answers([3], torch.tensor([True])), r"got True \(bool\)"),
    "no label": (Answers([3], [None]), r"label of id 3 must be .*got None \(NoneType\)"),
    "NaN": (Answers([3], [float("nan")]), r"label of id 3 must be"),
    "a label out of range": (Answers([3], [3]), r"label of id 3 must be a whole number from 0 to 2, got 3 \(int\)"),
    "a negative label": (Answers([3], [-1]), r"label of id 3 must be"),
    "an id that was not asked": (Answers([4], [0]), r"answered id 4, which was not asked"),
    "an id of no example": (Answers([10**9], [0]), r"answered id 1000000000, which was not asked"),
    "an id twice": (Answers([3, 3], [0, 0]), r"answered id 3 twice"),
    "an id labeled and skipped": (Answers([3], [0], skipped=[3]), r"answered id 3 twice"),
    "a skip that was not asked": (Answers([], [], skipped=[9]), r"answered id 9, which was not asked"),
    "an id as text": (Answers(["3"], [0]), r"expected ids of the query, whole numbers.* got '3' \(str\)"),
    "an id as a boolean": (Answers([True], [0]), r"expected ids of the query"),
    "too few labels": (Answers([3, 5], [0]), r"one label for each of the 2 ids that the oracle answered, got 1"),
    "labels in one text": (Answers([3, 5], "01"), r"expected a list under `labels`"),
    "labels without order": (Answers([3, 5], {0, 1}), r"expected a list under `labels`"),
    "no list": (Answers(3, [0]), r"expected a list under `ids`"),
    "something else": ([0, 1], r"expected Answers or Pending\(\) from the oracle, got \[0, 1\] \(list\)"),
    "a class": (Pending, r"expected Answers or Pending\(\)"),
}


def test_wrong_answers_are_refused(case):
    for what, (answers, message) in WRONG.items():
        with case(what), pytest.raises(InvalidInput, match=message):
            answered(answers, QUERY, num_classes=3)


def test_the_users_own_ids_are_in_the_messages():
    names = [f"img{i}.png" for i in range(10)]
    for answers, message in [
        (Answers([3], [7]), "label of id 'img3.png' must be"),
        (Answers([4], [0]), "answered id 'img4.png', which was not asked"),
        (Answers([99], [0]), "answered id 99, which was not asked"),
        (Answers([5], [0], skipped=[5]), "answered id 'img5.png' twice"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            answered(answers, QUERY, num_classes=3, names=names)


def test_answers_of_other_tasks_become_rows(case):
    sets, names = [[1, 0, 1], [0, 0, 0]], ["cat", "dog", "eel"]
    for what, labels in [
        ("lists", sets),
        ("NumPy", np.array(sets)),
        ("PyTorch", torch.tensor(sets)),
        ("names", [["eel", "cat"], []]),
        ("no names", [set(), []]),
    ]:
        with case(what):
            (event,) = answered(Answers([3, 7], labels), QUERY, num_classes=3, classes=names, task="multilabel")
            expected = [[0, 0, 0]] * 2 if what == "no names" else sets
            assert event == {"event": "labeled", "round": 2, "ids": [3, 7], "labels": expected}
    for labels in ([0.5, -1], np.array([[0.5], [-1.0]])):
        (event,) = answered(Answers([3, 7], labels), QUERY, num_classes=1, task="regression")
        assert event["labels"] == [[0.5], [-1.0]]
    (event,) = answered(Answers([], []), QUERY, num_classes=1, task="regression")
    assert event["labels"] == []
    for labels, message in [
        ([0.5], "the oracle's labels must have one entry for each of the 2 examples, got 1"),
        ([0.5, None], "the oracle's labels has NaN or infinite values in 1 of 2 examples: ids 'e7'"),
        ([[0.5, 1], [2, 3]], "the oracle's labels must have 1 number for each example"),
    ]:
        with case(message), pytest.raises(InvalidInput, match=message):
            answered(
                Answers([3, 7], labels), QUERY, num_classes=1, task="regression", names=[f"e{i}" for i in range(9)]
            )

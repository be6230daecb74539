"""Accuracy, balanced accuracy and macro F1 against scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from distil.experiment.metrics import confusion, metrics


def by_sklearn(predicted, true):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "y_pred contains classes not in y_true": that is the case to be tried
        return {
            "accuracy": accuracy_score(true, predicted),
            "balanced_accuracy": balanced_accuracy_score(true, predicted),
            "macro_f1": f1_score(true, predicted, average="macro"),
        }


PAIRS = st.integers(2, 6).flatmap(
    lambda c: st.tuples(
        st.just(c),
        st.lists(st.tuples(st.integers(0, c - 1), st.integers(0, c - 1)), min_size=1, max_size=40),
    )
)


@given(PAIRS)
def test_against_scikit_learn(case):
    classes, pairs = case
    predicted, true = (torch.tensor(side) for side in zip(*pairs, strict=True))
    found = metrics(predicted, true, classes)
    expected = by_sklearn(predicted.numpy(), true.numpy())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert type(found[name]) is float  # plain numbers: they go into JSON
        assert found[name] == pytest.approx(value, abs=1e-12), name
    table = confusion_matrix(true.numpy(), predicted.numpy(), labels=np.arange(classes))
    assert confusion(predicted, true, classes).tolist() == table.tolist()


@pytest.mark.parametrize(
    ("predicted", "true", "expected"),
    [
        ([0, 1, 2], [0, 1, 2], (1.0, 1.0, 1.0)),
        ([1, 2, 0], [0, 1, 2], (0.0, 0.0, 0.0)),
        ([0, 0, 0, 0], [0, 0, 0, 1], (0.75, 0.5, (6 / 7) / 2)),  # one class predicted only
        ([0, 2], [0, 0], (0.5, 0.5, (2 / 3) / 2)),  # class 2 is predicted, never true; class 1 does not occur
        ([3], [3], (1.0, 1.0, 1.0)),  # one example
    ],
)
def test_by_hand(predicted, true, expected):
    found = metrics(torch.tensor(predicted), torch.tensor(true), 5)
    assert tuple(found.values()) == pytest.approx(expected)


def test_columns_are_predictions_and_rows_the_truth():
    counts = confusion(torch.tensor([1, 1, 0]), torch.tensor([0, 0, 2]), 3)
    assert counts.dtype == torch.int64
    assert counts.tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]

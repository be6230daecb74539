"""Accuracy, balanced accuracy and macro F1 against scikit-learn; calibration by hand, by loops and by simulation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from distil.errors import InvalidInput
from distil.evaluation.metrics import calibration_error, confusion, majority_accuracy, metrics


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


def test_by_hand():
    for predicted, true, expected in [
        ([0, 1, 2], [0, 1, 2], (1.0, 1.0, 1.0)),
        ([1, 2, 0], [0, 1, 2], (0.0, 0.0, 0.0)),
        ([0, 0, 0, 0], [0, 0, 0, 1], (0.75, 0.5, (6 / 7) / 2)),  # one class predicted only
        ([0, 2], [0, 0], (0.5, 0.5, (2 / 3) / 2)),  # class 2 is predicted, never true; class 1 does not occur
        ([3], [3], (1.0, 1.0, 1.0)),  # one example
    ]:
        found = metrics(torch.tensor(predicted), torch.tensor(true), 5)
        assert tuple(found.values()) == pytest.approx(expected), (predicted, true, expected)


def test_columns_are_predictions_and_rows_the_truth():
    counts = confusion(torch.tensor([1, 1, 0]), torch.tensor([0, 0, 2]), 3)
    assert counts.dtype == torch.int64
    assert counts.tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]


def test_calibration_error_by_hand():
    # Confidences 0.9, 0.9 (one right: 0.5 - 0.9), 0.7 (right: 1 - 0.7) and 0.55 (wrong: 0 - 0.55), in three of 15 bins.
    probs = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.7, 0.3], [0.45, 0.55]], dtype=torch.float64)
    true = torch.tensor([0, 0, 0, 0])
    assert calibration_error(probs, true) == pytest.approx(2 / 4 * 0.4 + 1 / 4 * 0.3 + 1 / 4 * 0.55)
    assert calibration_error(probs, true, bins=1) == pytest.approx(abs(2 / 4 - (0.9 + 0.9 + 0.7 + 0.55) / 4))


def test_an_edge_belongs_to_the_bin_below():
    probs = torch.tensor([[0.5, 0.5], [0.51, 0.49]], dtype=torch.float64)
    true = torch.tensor([0, 1])  # in one bin they would cancel: (1 - 0.5) + (0 - 0.51)
    assert calibration_error(probs, true, bins=2) == pytest.approx((0.5 + 0.51) / 2)


@given(st.integers(1, 50), st.integers(2, 6), st.integers(1, 20), st.integers(0, 999))
def test_calibration_error_is_the_loop_over_bins(n, classes, bins, seed):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(classes, 0.4), n)
    true = rng.integers(0, classes, n)
    confidence, right = probs.max(1), probs.argmax(1) == true
    expected = 0.0
    for m in range(1, bins + 1):
        inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(torch.from_numpy(probs), torch.from_numpy(true), bins=bins) == pytest.approx(expected)


def test_calibrated_probabilities_have_no_error_and_sharpened_ones_have():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(4), 40_000)
    true = torch.from_numpy((rng.random((40_000, 1)) > probs.cumsum(1)).sum(1))
    sharp = torch.from_numpy(probs**3 / (probs**3).sum(1, keepdims=True))
    assert calibration_error(torch.from_numpy(probs).float(), true) < 0.01
    assert calibration_error(sharp, true) > 0.15


def test_perfect_and_saturated_probabilities():
    one_hot = torch.eye(3)
    assert calibration_error(one_hot, torch.arange(3)) == 0
    assert calibration_error(one_hot, torch.tensor([1, 2, 0])) == 1
    assert calibration_error(one_hot.half(), torch.arange(3)) == 0


def test_the_majority_is_that_of_the_pool():
    pool, true = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 0, 1])
    assert majority_accuracy(pool, true, 3) == 0.25
    assert majority_accuracy(torch.tensor([2, 0, 0, 2]), true, 3) == 0.75  # of equals the smaller
    assert majority_accuracy(torch.tensor([2]), true, 3) == 0


def test_what_the_metrics_refuse():
    none, two, probs = torch.tensor([], dtype=torch.int64), torch.tensor([0, 1]), torch.full((2, 2), 0.5)
    for call, message in (
        (lambda: metrics(none, none, 2), "at least one example"),
        (lambda: metrics(two, two[:1], 2), r"must be \(N,\)"),
        (lambda: metrics(two, two, 1), "predicted must be classes from 0 to 0, got 0 to 1"),
        (lambda: metrics(two, -two, 2), "true must be classes from 0 to 1, got -1 to 0"),
        (lambda: metrics(two, two.float(), 2), "true must be whole numbers, got torch.float32"),
        (lambda: calibration_error(probs[:0], none), r"probs must be \(N, C\)"),
        (lambda: calibration_error(probs, two[:1]), r"probs must be \(N, C\)"),
        (lambda: calibration_error(probs * 4, two), "sum to 1; for logits"),
        (lambda: calibration_error(probs * torch.nan, two), "sum to 1"),
        (lambda: calibration_error(torch.tensor([[1.5, -0.5]] * 2), two), "sum to 1"),
        (lambda: calibration_error(probs, two + 1), "true must be classes"),
        (lambda: calibration_error(probs, two, bins=0), "bins must be at least 1"),
        (lambda: majority_accuracy(none, two, 2), r"pool and true must be"),
        (lambda: majority_accuracy(two, none, 2), r"pool and true must be"),
        (lambda: majority_accuracy(two, two, 1), "pool must be classes"),
    ):
        with pytest.raises(InvalidInput, match=message):
            call()

"""Metrics of label sets and of numbers, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, mean_absolute_error, r2_score, root_mean_squared_error

from distil.errors import InvalidInput
from distil.evaluation.metrics import METRICS_OF, label_metrics, main_metric, target_metrics

RNG = np.random.default_rng(0)


def test_metrics_of_label_sets_are_those_of_scikit_learn():
    for n, labels, share in ((40, 5, 0.4), (6, 8, 0.1), (1, 3, 0.5), (200, 2, 0.9)):
        true, predicted = (RNG.random((n, labels)) < share for _ in range(2))
        found = label_metrics(torch.from_numpy(predicted), torch.from_numpy(true))
        if (true | predicted).any():
            macro = f1_score(true, predicted, average="macro", zero_division=np.nan)
            assert found["macro_f1"] == pytest.approx(macro)
            assert found["micro_f1"] == pytest.approx(f1_score(true, predicted, average="micro", zero_division=1))
        assert found["subset_accuracy"] == pytest.approx((true == predicted).all(1).mean())
    none = torch.zeros(3, 2, dtype=torch.bool)
    assert label_metrics(none, none) == {"macro_f1": 1, "micro_f1": 1, "subset_accuracy": 1}
    assert label_metrics(~none, none)["macro_f1"] == 0


def test_metrics_of_numbers_are_those_of_scikit_learn():
    for n, targets, offset in ((50, 1, 0), (30, 3, 1e6), (2, 2, 0)):
        true = offset + RNG.normal(size=(n, targets))
        predicted = true + 0.5 * RNG.normal(size=(n, targets))
        found = target_metrics(torch.from_numpy(predicted), torch.from_numpy(true))
        assert found["r2"] == pytest.approx(r2_score(true, predicted))
        assert found["rmse"] == pytest.approx(root_mean_squared_error(true, predicted))
        assert found["mae"] == pytest.approx(mean_absolute_error(true, predicted))


def test_r2_of_constant_targets():
    constant = torch.full((7, 1), 0.1, dtype=torch.float64)
    assert target_metrics(constant, constant)["r2"] == 1
    assert target_metrics(constant + 1, constant)["r2"] == 0
    assert target_metrics(torch.tensor([[2.0]]), torch.tensor([[3.0]])) == {"r2": 0, "rmse": 1, "mae": 1}


def test_shapes_are_checked():
    for metric in (label_metrics, target_metrics):
        for shapes in (((3,), (3,)), ((3, 2), (3, 1)), ((0, 2), (0, 2))):
            with pytest.raises(InvalidInput, match="must be two arrays of one shape"):
                metric(*(torch.zeros(shape).bool() for shape in shapes))


def test_each_task_has_its_metrics_and_a_main_one():
    assert {task: main_metric(task) for task in METRICS_OF} == {
        "classification": "accuracy",
        "multilabel": "macro_f1",
        "regression": "r2",
    }
    assert [name for name, metric in METRICS_OF["regression"].items() if not metric.higher_is_better] == ["rmse", "mae"]
    probs, true = torch.tensor([[0.6, 0.4], [0.2, 0.9]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert METRICS_OF["multilabel"]["subset_accuracy"].measure(probs, true) == 0.5

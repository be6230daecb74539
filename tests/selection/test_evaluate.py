"""The evaluation of a network, from the weights that a run left."""

import csv

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from distil import Learner
from distil.errors import InvalidInput
from distil.evaluation.metrics import METRICS, Metric
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.outputs import write_results
from distil.experiment.page.report import report_of
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.suite import run_all


def small(tmp_path, **train):
    return parse_config(
        {
            "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
            "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 5, **train},
            "active_learning": {"strategy": "random_sampling", "budget": 20, "rounds": 2, "initial_points": 40},
            "dataset": {"name": "digits", "test_points": 300},
            "experiment": {"output": str(tmp_path / "run"), "seed": 0},
        }
    )


def test_the_calibration_error_of_an_evaluation_is_that_of_its_model(tmp_path):
    """Bin by bin, from the weights that the run left."""
    config = small(tmp_path)
    run_all(config)
    data = config.load_data()
    network = config.builder(data)()
    network.load_state_dict(load_file(config.output / "random_sampling" / "0" / "model.safetensors"))
    here = split(data, config, 0)
    with torch.no_grad():
        probs = network.eval()(here.x_test).softmax(1)
    confidence, predicted = probs.max(1)
    error = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            right = (predicted == here.y_test)[inside].double().mean()
            error += float(inside.double().mean() * (right - confidence[inside].double().mean()).abs())
    assert Run(config.output / "random_sampling" / "0").last("evaluated")["calibration_error"] == pytest.approx(
        error, abs=1e-6
    )


def test_a_metric_is_an_entry_of_one_table(tmp_path, monkeypatch):
    """Events, the csv and the page follow it."""
    extra = Metric("share of class 0", lambda logits, _: float((logits.argmax(1) == 0).double().mean()), lambda *_: 0.0)
    monkeypatch.setitem(METRICS, "class_0", extra)
    config = small(tmp_path)
    run_all(config)
    write_results(config)
    found = [event["class_0"] for event in Run(config.output / "random_sampling" / "0").all("evaluated")]
    head, *rows = csv.reader((config.output / "results.csv").read_text().splitlines())
    assert [float(dict(zip(head, row, strict=True))["class_0"]) for row in rows] == found
    report = report_of([config])
    assert report["metric_names"]["class_0"] == "share of class 0"
    assert report["higher_is_better"]["class_0"] is True
    assert report["experiments"][0]["metrics"]["class_0"]["values"]["random_sampling"] == [found]


def test_a_learner_evaluates_estimators_by_the_names_of_their_classes():
    x, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    learner = Learner(
        x, LogisticRegression(max_iter=1000), "margin_sampling", classes=["virginica", "setosa", "versicolor"]
    )
    first = np.random.default_rng(0).permutation(150)[:30]
    learner.label(first, names[first])
    learner.fit()
    found = learner.evaluate(x, names)
    assert set(found) == set(METRICS)
    assert found["accuracy"] == pytest.approx(learner.module.score(x, names))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(names, learner.module.predict(x)))
    with pytest.raises(InvalidInput, match="'rose' is not one of the 3 classes"):
        learner.evaluate(x[:1], ["rose"])

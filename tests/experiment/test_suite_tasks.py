"""Experiments in regression and multi-label classification, from files to the report."""

import csv
import json

import numpy as np
import pytest
from safetensors.torch import load_file
from sklearn.metrics import mean_absolute_error, r2_score

from distil.errors import ConfigError, InvalidInput
from distil.evaluation.compare import compare
from distil.evaluation.units import Unit
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.directory import compared, open_config
from distil.experiment.outputs import write_results
from distil.experiment.page.report import report_of
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.suite import run_all
from distil.selection.oracle import Answers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
TARGETS = X @ RNG.normal(size=(4, 2)) + 0.3 * RNG.normal(size=(90, 2)) + [5, 0]
SETS = (X @ RNG.normal(size=(4, 3)) > 0.3).astype(int)
NAMES = ["cat", "dog", "eel"]
HEAD = {"architecture": "linear_head"}


def document(tmp_path, task, strategies, model=HEAD, rounds=3, seeds=1, **dataset):
    return {
        "model": model,
        "active_learning": {"strategies": strategies, "budget": 4, "rounds": rounds, "initial_points": 8},
        "dataset": {"task": task, "test_points": 30, **dataset},
        "experiment": {"output": str(tmp_path / "out"), "seeds": seeds},
    }


def table(path, columns):
    rows = [[f"x{i}" for i in range(4)] + list(columns)]
    rows += [[*x, *cells] for x, cells in zip(X.tolist(), zip(*columns.values(), strict=True), strict=True)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def last(config, strategy, seed=0):
    return Run(config.output / strategy / str(seed)).last("evaluated")


def test_regression_from_a_table_with_two_targets(tmp_path):
    path = table(tmp_path / "t.csv", {"price": TARGETS[:, 0].tolist(), "age": TARGETS[:, 1].tolist()})
    given = {"name": "csv", "path": path, "label": ["price", "age"]}
    config = compared(parse_config(document(tmp_path, "regression", ["lcmd"], seeds=2, **given)))
    assert run_all(config)
    data = config.load_data()
    assert repr(data).startswith("DataSet('t.csv': 90 train, no test set, 2 targets")
    here = split(data, config, 0)
    weights = load_file(config.output / "lcmd" / "0" / "model.safetensors")
    rows = (here.transform(here.x_test).double() - weights["center"].double()) / weights["spread"].double()
    predicted = (rows @ weights["linear.weight"].double().T + weights["linear.bias"].double()).numpy()
    found = last(config, "lcmd")
    assert found["r2"] == pytest.approx(r2_score(here.y_test, predicted), abs=1e-5)
    assert found["mae"] == pytest.approx(mean_absolute_error(here.y_test, predicted), abs=1e-5)
    assert found["r2"] > 0.7

    printed = write_results(config, page=True)
    assert "R2 by labels" in printed
    assert "%" not in printed.split("Means over")[0]
    head, *lines = csv.reader((config.output / "results.csv").read_text().splitlines())
    assert head == ["strategy", "seed", "labels", "r2", "rmse", "mae"]
    assert len(lines) == 2 * 2 * 3
    report = report_of([open_config(config.output)])
    (experiment,) = report["experiments"]
    assert ["Data", "t.csv, 2 targets, 60 in the pool, 30 to test on"] in experiment["facts"]
    assert experiment["metric"] == "r2"
    assert set(experiment["metrics"]) == {"r2", "rmse", "mae"}
    assert report["fractions"] == {"r2": False, "rmse": False, "mae": False}
    assert experiment["selections"]["balance"]["lcmd"] == (None, None)
    errors = experiment["metrics"]["rmse"]
    scores = {name: np.mean(values, axis=1) for name, values in errors["values"].items()}
    lower = {c.strategy: c for c in compare(scores, baseline="random_sampling", unit=Unit(False, False))}
    for name, tested in errors["comparisons"].items():
        fewer = int((scores[name] < scores["random_sampling"]).sum())
        assert tested["wins"] == fewer == lower[name].wins
    assert errors["reach"] is None
    assert errors["full"] > 0
    assert experiment["metrics"]["r2"]["reach"]["lcmd"][0]["text"].startswith("90 % of the full-data R2 (0.")
    assert json.loads(json.dumps(report)) is not None


def test_label_sets_as_names_and_as_columns_give_equal_runs(tmp_path):
    sets = [";".join(name for name, has in zip(NAMES, row, strict=True) if has) or "[]" for row in SETS.tolist()]
    names = table(tmp_path / "names.csv", {"label": sets})
    columns = table(tmp_path / "columns.csv", dict(zip(NAMES, SETS.T.tolist(), strict=True)))
    np.savez(tmp_path / "arrays.npz", X=X, y=SETS, classes=NAMES)
    kinds = [{"name": "csv", "path": names}, {"name": "csv", "path": columns, "label": NAMES}]
    kinds.append({"name": "npz", "path": str(tmp_path / "arrays.npz")})
    found = []
    for number, given in enumerate(kinds):
        strategies = ["badge", "random_sampling"][: 1 + number // 2]
        config = parse_config(document(tmp_path / str(number), "multilabel", strategies, rounds=2, **given))
        assert config.load_data().class_names == tuple(NAMES)
        assert run_all(config)
        found.append([Run(config.output / "badge" / "0").all(kind) for kind in ("labeled", "evaluated")])
    assert found[0] == found[1] == found[2]
    assert set(found[0][1][-1]) >= {"macro_f1", "micro_f1", "subset_accuracy"}
    assert found[0][1][-1]["micro_f1"] > 0.7
    printed = write_results(config)
    assert "macro-F1 (%) by labels" in printed
    assert report_of([open_config(config.output)])["experiments"][0]["facts"][0][1].startswith("arrays.npz, 3 labels")


def test_a_run_that_was_stopped_goes_on_with_the_same_bytes(tmp_path):
    np.savez(tmp_path / "r.npz", X=X, y=TARGETS[:, 0])
    model = {"architecture": "two_layer_net", "hidden_units_1": 8}
    made = []
    for number in (0, 1):
        given = document(
            tmp_path / str(number), "regression", ["lcmd"], model, name="npz", path=str(tmp_path / "r.npz")
        )
        given["train_parameters"] = {"lr": 0.05, "batch_size": 8, "n_epoch": 5}
        config = parse_config(given)
        if number:
            shorter = {**given, "active_learning": {**given["active_learning"], "rounds": 2}}
            assert run_all(parse_config(shorter))
        assert run_all(config)
        path = config.output / "lcmd" / "0" / "events.jsonl"
        made.append(path.read_bytes())
    assert made[0] == made[1]
    started = Run(path.parent).last("started")
    assert started["task"] == "regression"
    assert started["num_classes"] == 1


def test_own_embeddings_with_label_sets_and_numbers(tmp_path):
    """The labels that a run writes are those that it can be begun with."""
    np.save(tmp_path / "e.npy", X.astype(np.float32))
    sets = [";".join(name for name, has in zip(NAMES, row, strict=True) if has) or "[]" for row in SETS.tolist()]
    for task, labels, strategy in (("multilabel", sets, "badge"), ("regression", TARGETS[:, 0].tolist(), "lcmd")):
        path = tmp_path / f"{task}.csv"
        path.write_text("id,label\n" + "".join(f"{row},{label}\n" for row, label in enumerate(labels)))
        given = {"embeddings": str(tmp_path / "e.npy"), "labels": str(path)}
        config = parse_config(document(tmp_path / task, task, [strategy], rounds=2, **given))
        assert run_all(config)
        written = list(csv.DictReader((config.output / strategy / "0" / "labeled.csv").read_text().splitlines()))
        assert len(written) == 12
        assert all(row["label"] == str(labels[int(row["id"])]) for row in written)


class _Teacher:
    def ask(self, query):
        return Answers(query.ids, [["cat", "eel"] if i % 2 else [] for i in query.ids])


def test_an_oracle_answers_with_names(tmp_path):
    np.savez(tmp_path / "m.npz", X=X, y=SETS, classes=NAMES)
    given = {"name": "npz", "path": str(tmp_path / "m.npz")}
    config = parse_config(document(tmp_path, "multilabel", ["badge"], rounds=2, **given))
    assert run_all(config, oracle=lambda *_: _Teacher())
    event = Run(config.output / "badge" / "0").all("labeled")[-1]
    assert event["labels"] == [[1.0, 0.0, 1.0] if i % 2 else [0.0, 0.0, 0.0] for i in event["ids"]]
    wrong = parse_config(
        document(tmp_path / "w", "regression", ["lcmd"], rounds=2, name="npz", path=_numbers(tmp_path))
    )
    with pytest.raises(InvalidInput, match="the oracle's labels"):
        run_all(wrong, oracle=lambda *_: _Teacher())


def _numbers(folder):
    np.savez(folder / "n.npz", X=X, y=TARGETS[:, 0])
    return str(folder / "n.npz")


def test_what_needs_classes_is_refused_by_name(tmp_path):
    given = document(tmp_path, "regression", ["margin_sampling", "lcmd"], name="npz", path=_numbers(tmp_path))
    given["dataset"] |= {"imbalance": 0.5, "label_noise": 0.1}
    given["experiment"] |= {"ceiling": True, "oracle": "project p"}
    given["active_learning"]["stop"] = {"labels": 20}
    with pytest.raises(ConfigError) as caught:
        parse_config(given)
    for fault in (
        "MarginSampling does not know the task 'regression', only classification; strategies for regression: badge",
        "dataset.imbalance is for classification, and dataset.task is regression; remove it",
        "dataset.label_noise is for classification",
        "experiment.ceiling is for classification",
        "active_learning.stop is for classification",
        "experiment.oracle, a labeling project, is for classification",
    ):
        assert fault in str(caught.value)
    with pytest.raises(
        ConfigError, match=r"dataset\.task must be one of classification, multilabel, regression, got 'rank'"
    ):
        parse_config(document(tmp_path, "rank", ["lcmd"], name="digits"))
    with pytest.raises(InvalidInput, match="data set 'digits' does not take task"):
        parse_config(document(tmp_path, "regression", ["lcmd"], name="digits")).load_data()
    asked = {"architecture": "linear_head", "target_classes": 3}
    three = document(tmp_path, "regression", ["lcmd"], asked, name="npz", path=_numbers(tmp_path))
    with pytest.raises(ConfigError, match=r"target_classes must be 1, as n\.npz has 1 target, got 3; leave it out"):
        parse_config(three).load_data()

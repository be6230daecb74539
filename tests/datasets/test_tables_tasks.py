"""Labels of other tasks than classification in tables, libsvm and npz files, and in data sets."""

import numpy as np
import pytest
import torch

from distil.datasets.data_set import DataSet
from distil.datasets.load import load
from distil.datasets.tables import encode_for
from distil.errors import InvalidInput


def test_labels_are_encoded_for_the_task():
    (first, second), names = encode_for("multilabel", "f", np.array(["b;a", "[]"]), np.array(["c"]))
    assert names == ("a", "b", "c")
    assert first.tolist() == [[1, 1, 0], [0, 0, 0]]
    assert second.tolist() == [[0, 0, 1]]
    (rows,), names = encode_for("multilabel", "f", np.array([["1", "0"]]), columns=("x", "y"))
    assert (rows.tolist(), names) == ([[1, 0]], ("x", "y"))
    (rows,), names = encode_for("regression", "f", np.array([["1.5", "2"]]), columns=("x", "y"))
    assert (rows.tolist(), names) == ([[1.5, 2]], ())
    (rows,), names = encode_for("classification", "f", np.array(["b", "a"]))
    assert (rows.tolist(), names) == ([1, 0], ("a", "b"))
    for task, labels, message in [
        ("regression", np.array(["1", "x"]), "f, label 2: in regression a label is a number"),
        ("multilabel", np.array([["1", "0"], ["2", "0"]]), "f, label 2: a column of labels holds 0 and 1, got 2"),
        ("multilabel", np.array([1.0, 2.0]), "f: label sets are names, such as cat;dog"),
        ("classification", np.array([["1", "0"]]), "several columns of labels need another task than classification"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            encode_for(task, "f", labels)


def test_files_with_targets_and_label_sets(tmp_path):
    (tmp_path / "t.csv").write_text("id,a,b,y,z\nr1,1,2,0.5,1\nr2,3,4,-1,0\n")
    two = load("csv", path=tmp_path / "t.csv", label=["z", "y"], task="regression")
    assert two.y_train.tolist() == [[1, 0.5], [0, -1]]
    assert two.x_train.tolist() == [[1, 2], [3, 4]]
    assert "columns" not in repr(two)
    assert repr(two) == "DataSet('t.csv': 2 train, no test set, 2 targets, (2,) torch.float32)"
    assert "hold the labels" in two.read[0]
    one = load("csv", path=tmp_path / "t.csv", label="y", task="regression")
    assert one.y_train.tolist() == [[0.5], [-1]]
    (tmp_path / "t.libsvm").write_text("0.5 1:1\n-2.5 1:2 2:3\n")
    assert load("libsvm", path=tmp_path / "t.libsvm", task="regression").y_train.tolist() == [[0.5], [-2.5]]
    np.savez(
        tmp_path / "t.npz", X_train=np.ones((2, 3)), y_train=[[1, 0], [1, 1]], X_test=np.ones((1, 3)), y_test=[[0, 1]]
    )
    sets = load("npz", path=tmp_path / "t.npz", task="multilabel")
    assert (sets.y_train.tolist(), sets.y_test.tolist(), sets.num_classes) == ([[1, 0], [1, 1]], [[0, 1]], 2)
    for options, message in [
        ({"label": ["y", "y"]}, r"label must name distinct columns, at least one, got \['y', 'y'\]"),
        ({"label": ["y", "w"]}, "no column named 'w'"),
        ({"label": ["y", "z"], "task": "classification"}, "another task than classification"),
        ({"label": "y", "task": "classification"}, "Is that a regression target"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            load("csv", path=tmp_path / "t.csv", **{"task": "regression", **options})
    with pytest.raises(InvalidInput, match=r"y_train must have shape \(2,\), one label per row"):
        load("npz", path=tmp_path / "t.npz")


def test_a_data_set_checks_its_labels():
    x, nan = torch.zeros(2, 3), float("nan")
    for task, y, count, message in [
        ("regression", torch.zeros(2, 1), 1, r"must be float64 of shape \(2, 1\), a column for each of the targets"),
        ("regression", torch.zeros(2, 2).double(), 1, r"got torch.float64 \(2, 2\)"),
        ("regression", torch.tensor([[1.0], [nan]]).double(), 1, "must hold finite numbers; it has nan"),
        ("multilabel", torch.tensor([[1.0, 0.0], [0.5, 0.0]]).double(), 2, "must hold 0 and 1; it has 0.5"),
        ("multilabel", torch.zeros(2, 0).double(), 0, "num_classes must be at least 1; got 0"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            DataSet("d", x, y, None, None, count, task=task)
    partly = torch.tensor([[1.0, 0.0], [nan, nan]]).double()
    assert DataSet("d", x, partly, None, None, 2, task="multilabel", partly=True).y_train.isnan().any()

"""The checks and the repr of a DataSet."""

from __future__ import annotations

import torch

from distil.datasets.data_set import DataSet
from distil.errors import InvalidInput


def parts(**changes):
    given = {
        "name": "d",
        "x_train": torch.rand(4, 3),
        "y_train": torch.tensor([0, 1, 1, 0]),
        "x_test": torch.rand(2, 3),
        "y_test": torch.tensor([1, 1]),
        "num_classes": 2,
    }
    return given | changes


def test_data_set_repr_and_identity():
    data = DataSet(**parts())
    assert repr(data) == "DataSet('d': 4 train, 2 test, 2 classes, (3,) torch.float32)"
    assert "no test set" in repr(DataSet(**parts(x_test=None, y_test=None)))
    assert data == data
    assert hash(data)


def test_data_set_refuses(case, refuses):
    for changes, message in [
        ({"num_classes": 1}, ["at least 2; got 1"]),
        ({"class_names": ("a",)}, ["one class name for each of 2 classes; got 1"]),
        ({"names": ("a",)}, ["one name for each of the 4 rows of x_train; got 1"]),
        ({"names": ("a", "b", "c\0", "d")}, ["names must be texts", "without control characters", r"got 'c\x00'"]),
        ({"names": ("a", "\ud800", "c", "d")}, ["names must be texts", "halves of surrogate pairs"]),
        ({"names": ("a", "b", 3, "d")}, ["names must be texts", "got 3"]),
        ({"names": ("a", "b", " ", "d")}, ["names must be texts that are not empty", "got ' '"]),
        ({"names": ("a", "b", "a", "d")}, ["names has 'a' more than once; names must be distinct"]),
        ({"class_names": ("a", "b\x1b")}, ["class_names must be texts", r"got 'b\x1b'"]),
        ({"class_names": ("a", "")}, ["class_names must be texts that are not empty"]),
        ({"class_names": ("a", "a")}, ["class_names has 'a' more than once"]),
        ({"x_train": torch.rand(4)}, ["(N, ...)", "(4,)"]),
        ({"x_train": torch.rand(0, 3)}, ["N > 0", "(0, 3)"]),
        ({"y_train": torch.tensor([0, 1, 1])}, ["y_train must be int64 of shape (4,)", "(3,)"]),
        ({"y_train": torch.zeros(4)}, ["torch.float32 (4,)"]),
        ({"y_train": torch.tensor([0, 1, 2, 0])}, ["0..1", "y_train[2] is 2"]),
        ({"y_test": torch.tensor([0, -1])}, ["y_test[1] is -1"]),
        ({"y_test": None}, ["both x_test and y_test"]),
        ({"x_test": torch.rand(2, 4)}, ["training set are (3,)", "test set (4,)"]),
        ({"x_test": torch.zeros(2, 3, dtype=torch.uint8)}, ["torch.float32", "torch.uint8"]),
        ({"x_train": torch.tensor([[1.0], [2.0], [float("nan")], [3.0]])}, ["x_train[2]", "NaN"]),
        ({"x_test": torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, float("inf")]])}, ["x_test[1]"]),
    ]:
        with case(changes, message), refuses(InvalidInput, "d: ", *message):
            DataSet(**parts(**changes))

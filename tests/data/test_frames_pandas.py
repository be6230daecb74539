"""Frames of the real pandas, whose types may allow missing values: they are the arrays of their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

import distil
from distil.errors import UnsupportedModel

pandas = pytest.importorskip("pandas", reason="needs pandas")
PROBS = np.random.default_rng(0).dirichlet(np.ones(3), 20)


def test_numbers_of_types_that_allow_missing_values_are_numbers(case):
    frame = pandas.DataFrame(PROBS)
    expected = list(distil.select_from("margin_sampling", 4, probs=PROBS))
    mixed = frame.astype({0: "Float64", 1: "float64", 2: "object"})
    for kind, given in {
        "nullable": frame.astype("Float64"),
        "converted": frame.convert_dtypes(),
        "mixed": mixed,
    }.items():
        with case(kind):
            assert list(distil.select_from("margin_sampling", 4, probs=given)) == expected
    whole = pandas.DataFrame(np.eye(4, dtype=int)).astype("Int64")
    assert len(distil.select_from("core_set", 2, embeddings=whole)) == 2


def test_a_frame_for_a_module_is_passed_as_its_numbers(refuses):
    x, net = pandas.DataFrame(PROBS).convert_dtypes(), nn.Linear(3, 2)
    with refuses(UnsupportedModel, "got a DataFrame; for numbers pass data.to_numpy().astype('float32')"):
        distil.select("margin_sampling", net, x, 2)
    assert len(distil.select("margin_sampling", net, x.to_numpy().astype("float32"), 2)) == 2

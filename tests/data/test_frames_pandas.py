"""Frames of the real pandas, whose types may allow missing values: they are the arrays of their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

import distil
from distil.errors import InvalidInput, UnsupportedModel

pandas = pytest.importorskip("pandas", reason="needs pandas")
N = 20
PROBS = np.random.default_rng(0).dirichlet(np.ones(3), N)


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


def test_columns_with_the_names_of_classes_are_in_their_order(refuses, tmp_path):
    frame, labeled = pandas.DataFrame(PROBS, columns=list("abc")), {0: "a", 1: "b", 2: "c"}
    given = {"embeddings": PROBS, "labeled": labeled, "classes": list("abc")}
    expected = distil.select_from("glister", 4, probs=PROBS, **given).tolist()
    for named in (frame, frame.assign(id=range(N)), frame.rename(columns=dict(zip("abc", "zxy", strict=True)))):
        assert distil.select_from("glister", 4, probs=named, **given).tolist() == expected
    for kind in (frame[["c", "a", "b"]], frame.assign(d="text")[["d", "c", "a", "b"]]):
        with refuses(
            InvalidInput, "probs: the columns are named c, a, b, and the classes are a, b, c; name the classes"
        ):
            distil.select_from("glister", 4, probs=kind, **given)
    frame[["b", "c", "a"]].to_csv(tmp_path / "p.csv", index=False)
    with refuses(InvalidInput, "p.csv: probs: the columns are named b, c, a, and the classes are a, b, c"):
        distil.pick("margin_sampling", 4, probs=tmp_path / "p.csv", classes=list("abc"))
    assert distil.pick("margin_sampling", 4, probs=tmp_path / "p.csv", classes=list("bca"))["n"] == 4
    counted = {**given, "labeled": {0: "0", 1: "1", 2: "2"}, "classes": list("210")}
    assert len(distil.select_from("glister", 4, probs=pandas.DataFrame(PROBS), **counted)) == 4  # pandas counts columns


def test_rows_of_frames_that_say_that_they_are_others_are_refused(refuses):
    names = [f"r{row}" for row in range(N)]
    frame = pandas.DataFrame(PROBS, index=names)
    assert distil.select_from("margin_sampling", 4, probs=frame, names=names).names is not None
    with refuses(
        InvalidInput, "probs: the index has the ids of names in another order: it begins with 'r0', not 'r19'"
    ):
        distil.select_from("margin_sampling", 4, probs=frame, names=names[::-1])
    with refuses(InvalidInput, "data: the index has the ids of names in another order"):
        distil.select("random_sampling", None, frame, 4, names=names[::-1])
    others = pandas.DataFrame(PROBS, index=[*names[1:], "r20"])
    with refuses(
        InvalidInput, "embeddings: the index has 'r20', which is not in the index of probs; pass the same rows"
    ):
        distil.select_from("badge", 4, probs=frame, embeddings=others)
    strangers = pandas.DataFrame(PROBS, index=[f"x{row}" for row in range(N)])
    with refuses(
        InvalidInput, "embeddings: the index has 'x0', which is not in the index of probs; pass the same rows"
    ):
        distil.select_from("badge", 4, probs=frame, embeddings=strangers)
    assert len(distil.select_from("badge", 4, probs=frame, embeddings=others.to_numpy())) == 4

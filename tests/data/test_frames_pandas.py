"""Frames of the real pandas, whose types may allow missing values: they are the arrays of their numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import distil
from distil.data.labels import as_label_sets
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


def test_columns_whose_names_hold_those_of_the_classes_are_in_their_order(refuses, case, tmp_path):
    labeled, classes = {0: "cat", 1: "dog"}, ["cat", "dog", "ape"]
    for form in ("prob_{}", "p({})", "{}_proba", "P[y={}|x]", "class catalog: {}"):
        right, other = ([form.format(name) for name in names] for names in (classes, sorted(classes)))
        with case(form):
            given = {"labeled": labeled, "classes": classes}
            assert (
                len(distil.select_from("margin_sampling", 4, probs=pandas.DataFrame(PROBS, columns=right), **given))
                == 4
            )
            with refuses(
                InvalidInput, f"probs: the columns are named {', '.join(other)}, and the classes are cat, dog, ape"
            ):
                distil.select_from("margin_sampling", 4, probs=pandas.DataFrame(PROBS, columns=other), **given)
            pandas.DataFrame(PROBS, columns=other).to_csv(tmp_path / "p.csv", index=False)
            with refuses(InvalidInput, f"p.csv: probs: the columns are named {', '.join(other)}, and the classes are"):
                distil.pick("margin_sampling", 4, probs=tmp_path / "p.csv", classes=classes)
    numbered = pandas.DataFrame(PROBS).add_prefix("p")  # counted, not named
    assert len(distil.select_from("margin_sampling", 4, probs=numbered, classes=list("210"))) == 4
    sets = pandas.DataFrame({"dog": [0, 1], "cat": [1, 1]})
    given = {"count": 2, "ids": torch.arange(2)}
    with refuses(InvalidInput, "labels: the columns are named dog, cat, and the classes are cat, dog"):
        as_label_sets(sets, "labels", classes=["cat", "dog"], **given)
    assert as_label_sets(sets, "labels", classes=["dog", "cat"], **given).tolist() == sets.to_numpy().tolist()


def test_columns_of_a_frame_that_are_not_read_are_named():
    frame = pandas.DataFrame(PROBS, columns=list("abc"))
    assert distil.select_from("margin_sampling", 4, probs=frame).notes == ()
    found = distil.select_from(
        "core_set", 4, embeddings=frame.assign(text="two words", day=pandas.Timestamp("2024-01-01"))
    )
    assert list(found) == list(distil.select_from("core_set", 4, embeddings=PROBS))
    assert found.notes == ("embeddings: read 3 columns of numbers and left out `text`, `day`",)
    apart = distil.select_from("core_set", 4, embeddings=PROBS, labeled_embeddings=frame[:2].assign(text="two words"))
    assert apart.notes == ("labeled_embeddings: read 3 columns of numbers and left out `text`",)


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


def test_labels_and_costs_whose_index_has_other_ids_are_refused(refuses, case):
    names, x = [f"r{row}" for row in range(N)], np.ascontiguousarray(PROBS, np.float32)
    named = distil.Learner(x, nn.Linear(3, 2), "random_sampling", num_classes=2, names=names)
    arrays = {"probs": PROBS, "embeddings": x}

    def labels_of(index, start=0):
        return pandas.Series([0, 1, 0], index=list(index)[start : start + 3])

    refused = {
        "labels: the index has 4, which is not among the labeled examples (3, 7, 9); select their rows with .loc": (
            lambda: distil.select_from("glister", 2, **arrays, labeled=[3, 7, 9], labels=labels_of([4, 7, 9]))
        ),
        "labels: the index has 4.0, which is not among": (
            lambda: distil.select_from("glister", 2, **arrays, labeled=[3, 7, 9], labels=labels_of([4.0, 5.0, 6.0]))
        ),
        "the labels of query: the index has 4, which is not among": (
            lambda: distil.select("random_sampling", None, x, 2, query=([3, 7, 9], labels_of([4, 5, 6])))
        ),
        "the labels of labeled: the index has 4, which is not among": (
            lambda: distil.select("glister", nn.Linear(3, 2), x, 2, labeled=([3, 7, 9], labels_of([4, 5, 6])))
        ),
        "labels: the index has 'r3', which is not among the labeled examples ('r0', 'r1', 'r2')": (
            lambda: named.label(names[:3], labels_of(names, 1))
        ),
        "labels: the index has the ids of the examples in another order: it begins with '5', not '0'": (
            lambda: named.label(pandas.Series(names[:3], index=[0, 2, 5]), labels_of([5, 0, 2]))
        ),
        "labels: the index has 'r3', which is not among the examples ('r0', 'r1', 'r2')": (
            lambda: named.evaluate(pandas.DataFrame(x[:3], index=names[:3]), labels_of(names, 3))
        ),
        "costs: the index has the ids of the pool in another order: it begins with 'r19', not 'r0'": (
            lambda: distil.select_from("knapsack", 2, probs=PROBS, names=names, costs=_costs(names[::-1]))
        ),
        "costs: the index has 'x0', which is not among the pool ('r0', 'r1', 'r2', ...)": (
            lambda: distil.Learner(
                x, nn.Linear(3, 2), "knapsack", num_classes=2, names=names, costs=_costs([f"x{i}" for i in range(N)])
            )
        ),
        "names: the index has the ids of data in another order": (
            lambda: distil.select(
                "random_sampling", None, pandas.DataFrame(x, index=names), 2, names=_costs(names[::-1]).astype(str)
            )
        ),
    }  # fmt: skip
    for message, call in refused.items():
        with case(message), refuses(InvalidInput, message):
            call()


def _costs(index):
    return pandas.Series(np.arange(1.0, N + 1), index=index)


def test_an_index_that_is_that_of_the_ids_or_no_list_of_ids_is_taken_by_place():
    names, x = [f"r{row}" for row in range(N)], np.ascontiguousarray(PROBS, np.float32)
    sheet = pandas.DataFrame({"id": ["r3", "r7", "r9"], "row": [3, 7, 9], "label": [0, 1, 1]}, index=[0, 2, 5])
    for ids, labels in (
        (sheet.id, sheet.label),  # a sheet of which some rows are answered
        (sheet.id.to_list(), sheet.label),  # numbers of rows, where ids are texts
        (sheet.row, sheet.label),
        ([3, 7, 9], sheet.label.reset_index(drop=True)),
        (["r3", "r7", "r9"], pandas.Series([0, 1, 1], index=["r3", "r7", "r9"])),
    ):
        learner = distil.Learner(x, nn.Linear(3, 2), "random_sampling", num_classes=2, names=names)
        learner.label(ids, labels)
        assert learner.labels == {"r3": 0, "r7": 1, "r9": 1}
    test = pandas.Series([0, 1] * 10, index=np.random.default_rng(0).permutation(N))  # of a split
    assert learner.evaluate(x, test) == learner.evaluate(x, test.to_list())

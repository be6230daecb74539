"""A column of pandas holds ids, or labels of the ids in its index, and is refused where it may hold both."""

import numpy as np
import pytest
import torch

from distil import Learner, select, select_from
from distil.errors import InvalidInput
from distil.selection.ids import IdReader, split_pair

pandas = pytest.importorskip("pandas")

N = 8
NAMES = list("abcdefgh")
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
PROBS = np.random.default_rng(1).dirichlet(np.ones(3), N)


def split(value, names=None, data=None):
    ids, labels = split_pair(value, IdReader(N, names, data), "labeled")
    return list(ids), None if labels is None else list(labels)


def test_values_are_ids_or_labels_of_the_ids_in_the_index(case):
    series = pandas.Series
    for value, names, expected in [
        (series([5, 3, 1]), None, ([5, 3, 1], None)),  # the index counts rows
        (series(["b", "a"]), NAMES, (["b", "a"], None)),
        (series([0, 1, 0], index=[5, 3, 1]), None, ([5, 3, 1], [0, 1, 0])),
        (series([0.0, 1.0], index=[5, 3]), None, ([5, 3], [0.0, 1.0])),
        (series(["cat", "dog"], index=[5, 3]), None, ([5, 3], ["cat", "dog"])),
        (series(["cat", "dog"], index=["h", "a"]), NAMES, (["h", "a"], ["cat", "dog"])),
        (series([1, 1], index=["h", "a"]), NAMES, (["h", "a"], [1, 1])),
        (series([True, False], index=["h", "a"]), NAMES, (["h", "a"], [True, False])),
        (series(["cat", "dog"], index=["h", "a"], dtype="category"), NAMES, (["h", "a"], ["cat", "dog"])),
        (series([1, 1], index=["h", "a"], dtype="Int64"), NAMES, (["h", "a"], [1, 1])),
        (series([5, 3], index=[70, 90]), None, ([5, 3], None)),  # no positions
        (series(["b", "d"], index=[1, 3]), NAMES, (["b", "d"], None)),  # row numbers next to names
        (series([0, 1, 1], index=[1, 3, 4]), NAMES, ([1, 3, 4], [0, 1, 1])),
        (series(np.arange(N) < 3, index=NAMES), NAMES, ([True] * 3 + [False] * 5, None)),  # a mask
        (pandas.Index([5, 3]), None, ([5, 3], None)),
    ]:
        with case(value, names):
            assert split(value, names) == expected


def test_a_column_that_may_hold_ids_and_labels_is_refused(case):
    for value, names in [
        (pandas.Series([0, 1, 2], index=[5, 3, 1]), None),
        (pandas.Series([0, 1, 2], index=["a", "b", "c"]), NAMES),
        (pandas.Series(["b", "a"], index=["a", "b"]), NAMES),
    ]:
        with case(value, names), pytest.raises(InvalidInput) as error:
            split(value, names)
        assert str(error.value) == (
            "labeled is a Series whose values may be ids, or labels of the ids in its index; pass labeled.to_list() if they are "
            "ids, labeled.to_dict() if they are labels"
        )
    texts = [f"text {i}" for i in range(N)]
    with pytest.raises(InvalidInput, match=r"may be examples, or labels of .*labeled.to_list\(\) if they are examples"):
        split(pandas.Series(["good", "bad"], index=[5, 3]), data=texts)
    assert split(pandas.Series(["one", "two"]), data=texts) == (["one", "two"], None)


def test_labels_without_ids_are_refused_with_a_hint(case):
    polars = pytest.importorskip("polars")
    for value, message in [
        (pandas.Series([0, 1, 0]), "labeled has the id 0 more than once; pass each id once"),
        (pandas.Series(["cat", "dog"]), "labeled has 'cat', and the examples of this pool have no names"),
        (pandas.Series([0, 1, 0], index=["x", "y", "z"]), "labeled has the id 0 more than once"),
        (polars.Series([0, 1, 0]), "labeled has the id 0 more than once"),
    ]:
        with case(value), pytest.raises(InvalidInput, match=message) as error:
            split(value)
        assert str(error.value).endswith(
            "; if the values of the Series are labels, pass a dict {id: label}, or a pair (ids, labels)"
        )


def test_every_function_reads_a_column_as_it_reads_a_dict():
    labels = {"h": 2, "a": 0, "c": 2, "d": 1}
    series = pandas.Series(labels)
    arrays = {"probs": PROBS, "embeddings": X, "names": NAMES, "seed": 0}
    for role in ("labeled", "validation"):
        both = [select_from("glister", 2, **{"labeled": labels, role: each}, **arrays) for each in (labels, series)]
        assert both[0].tolist() == both[1].tolist()
    net = torch.nn.Linear(3, 3)
    both = [select("glister", net, X, 2, labeled=each, names=NAMES, seed=0) for each in (labels, series)]
    assert both[0].tolist() == both[1].tolist()
    learner = Learner(X, net, "random_sampling", num_classes=3, names=NAMES)
    learner.label(series)
    assert learner.pool.labels([NAMES.index(name) for name in labels]).tolist() == list(labels.values())


def test_a_column_of_vectors_is_no_array(case):
    polars = pytest.importorskip("polars")
    for column in (pandas.Series(list(X)), pandas.Series(X.tolist()), polars.Series(X.tolist())):
        with case(type(column)):
            message = r"embeddings is a column of lists or arrays; pass one array, numpy.stack\(embeddings\)"
            with pytest.raises(InvalidInput, match=message):
                select_from("core_set", 2, embeddings=column)
            found = select_from("core_set", 2, embeddings=np.stack(column))
            assert found.tolist() == select_from("core_set", 2, embeddings=X).tolist()

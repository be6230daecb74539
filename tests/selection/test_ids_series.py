"""A column of pandas holds ids, or labels of the ids in its index, and is refused where it may hold both."""

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from distil import Learner, open_pool, select, select_from
from distil.data.array_files import Column
from distil.errors import InvalidInput, UnsupportedModel
from distil.selection.from_files import request
from distil.selection.ids import IdReader, split_pair
from distil.selection.request import Arrays

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


def test_an_index_of_counted_names_holds_ids_where_the_values_cannot_be(case):
    """The names of the pool are 0..N-1 in another order, as in a shuffled frame."""
    names = [5, 2, 0, 7, 1, 3, 6, 4]
    for values in (["cat", "dog", "cat"], [0, 1, 0], [0.5, 1.0, 0.5], [True, False, True], [0, 1, 9]):
        with case(values):
            series = pandas.Series(values, index=[0, 1, 2])
            ids, labels = split_pair(series, IdReader(N, names), "labeled")
            assert IdReader(N, names).positions(ids, "labeled").tolist() == [2, 4, 1]
            assert list(labels) == values
            texts = IdReader(N, [str(name) for name in names])
            assert texts.positions(split_pair(series, texts, "labeled")[0], "labeled").tolist() == [2, 4, 1]
    series = pandas.Series([0, 1, 2])
    with pytest.raises(InvalidInput) as error:
        split(series, names)
    assert str(error.value) == (
        "labeled has 0, which is a position and the name of another example; pass a boolean mask, or names that are texts; if the "
        "values of the Series are labels of the names in its index, pass (labeled.index, labeled.to_list()); if they are names, "
        "pass pandas.Index(labeled)"
    )
    pool = {"embeddings": X, "names": names}
    assert sorted(select_from("core_set", 5, **pool, labeled=(series.index, series.to_list()))) == [0, 3, 5, 6, 7]
    assert sorted(select_from("core_set", 5, **pool, labeled=pandas.Index(series))) == [0, 3, 5, 6, 7]
    assert split(pandas.Series([0, 1, 2]), list(range(N))) == ([0, 1, 2], None)  # both readings are one
    with pytest.raises(InvalidInput, match=r"has 'cat', which is not the name .* pass a dict \{id: label\}, or a pair"):
        split(pandas.Series(["cat", "dog"]), NAMES)


def test_ids_without_labels_are_the_keys_or_the_index(case):
    for argument in ("exclude", "candidates"):
        for value in ({5: "cat", 3: "dog"}, {5: 0}):
            with (
                case(argument, value),
                pytest.raises(InvalidInput, match=rf"got dict; pass its keys, list\({argument}\)$"),
            ):
                select_from("core_set", 2, embeddings=X, **{argument: value})
        hint = rf"; if the index of the Series holds the ids, pass {argument}\.index$"
        for values in (["cat", "dog", "cat"], [0, 1, 0], [0.5, 1.5, 2.5]):
            for index, names in (([5, 3, 1], None), (["f", "d", "b"], NAMES)):
                series = pandas.Series(values, index=index)
                with case(argument, values, index):
                    with pytest.raises(InvalidInput, match=hint):
                        select_from("core_set", 2, embeddings=X, names=names, **{argument: series})
                    n = 3 if argument == "candidates" else 5
                    found = select_from("core_set", n, embeddings=X, names=names, **{argument: series.index})
                    assert sorted(found) == ([1, 3, 5] if argument == "candidates" else [0, 2, 4, 6, 7])
    assert sorted(select_from("core_set", 6, embeddings=X, exclude=pandas.Series([5, 3], index=[0, 1]))) == [
        0,
        1,
        2,
        4,
        6,
        7,
    ]
    with pytest.raises(
        InvalidInput, match="has 'cat', and the examples of this pool have no names; pass positions, or names="
    ):
        select_from("core_set", 2, embeddings=X, exclude=pandas.Series(["cat", "dog"]))


def test_every_argument_of_ids_names_the_index_of_labels(case):
    """Labels where ids are expected, at every door that reads ids; the index is read at the same door."""
    labels = pandas.Series(["cat", "dog", "cat"], index=["f", "d", "b"])
    learner = Learner(X, torch.nn.Linear(3, 2), "random_sampling", classes=["cat", "dog"], names=NAMES)
    arrays = Arrays({"embeddings": Column(X, NAMES, "x.npy")}, NAMES)

    def candidates(ids):
        return Learner(X, torch.nn.Linear(3, 2), "random_sampling", classes=["a", "b"], names=NAMES, candidates=ids)

    for argument, door in {
        "exclude": lambda ids: learner.query(1, exclude=ids),
        "ids": lambda ids: learner.label(ids, ["cat", "dog", "cat"]),
        "ids ": learner.unlabel,
        "ids  ": learner.skip,
        "ids   ": learner.release,
        "candidates": candidates,
        "exclude ": lambda ids: request("core_set", 2, arrays, exclude=ids),
        "candidates ": lambda ids: request("core_set", 2, arrays, candidates=ids),
    }.items():
        with case(argument):
            hint = rf"^{argument.strip()} has .cat., .*; if the index of the Series holds the ids, pass {argument.strip()}\.index$"
            with pytest.raises(InvalidInput, match=hint):
                door(labels)
            door(labels.index)
    with pytest.raises(
        InvalidInput, match=r"^ids has 'cat', which is not the name [^;]*; its names begin with 'a'[^=]*\?$"
    ):
        learner.skip(pandas.Series(["cat"], index=["unknown"]))


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
        both = [select_from("glister", 2, **{"labeled": {"b": 1}, role: each}, **arrays) for each in (labels, series)]
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


def test_the_index_of_a_frame_names_its_rows(case):
    frame = pandas.DataFrame(X).rename(columns=str).sample(frac=1, random_state=1)  # as train_test_split leaves it
    known = pandas.Series(["cat", "dog", "cat"], index=[0, 1, 3])
    rows = sorted(frame.index.get_indexer(known.index).tolist())
    assert rows != [0, 1, 3]
    free = sorted({*range(N)} - {*rows})
    mask = pandas.Series(frame.index.isin(known.index), index=frame.index)
    labeled = {"labels": known, "index": known.index, "mask": mask, "positions": np.isin(range(N), rows)}
    for kind, value in labeled.items():
        for pool in (frame, open_pool(frame)):
            with case(kind, type(pool).__name__):
                found = select("random_sampling", None, pool, len(free), labeled=value)
                assert sorted(found) == free
                assert [str(name) for name in found.names] == [str(frame.index[row]) for row in found]
        with case(kind, "arrays"):
            assert sorted(select_from("core_set", len(free), embeddings=frame, labeled=value)) == free
    with pytest.raises(InvalidInput, match="labeled has 0, which is a position and the name of another example"):
        select("random_sampling", None, frame, 2, labeled=[0, 1, 3])
    for order in (mask[::-1], mask.sort_index()):
        with pytest.raises(InvalidInput, match="labeled: the index has the ids of the pool in another order"):
            select("random_sampling", None, frame, 2, labeled=order)


def test_levels_of_an_index_name_rows():
    levels = pandas.MultiIndex.from_product([["p", "q"], range(N // 2)])
    frame = pandas.DataFrame(X, index=levels).rename(columns=str)
    for pool in (frame, open_pool(frame)):
        assert sorted(select("random_sampling", None, pool, N - 2, labeled=levels[:2])) == list(range(2, N))


def test_missing_texts_of_a_pool_are_named():
    texts = pandas.Series(["a b", None, "c d", "b c"], index=list("stuv"))
    pipeline = make_pipeline(CountVectorizer(token_pattern=r"\w+"), LogisticRegression()).fit(["a b", "c d"], [0, 1])
    for pool, name in ((texts, "'t'"), (texts.to_list(), "1")):
        with pytest.raises(InvalidInput, match=f"data has 1 missing text: ids {name}; fill in missing texts"):
            select("margin_sampling", pipeline, pool, 2)
    assert 1 not in select("margin_sampling", pipeline, texts, 3, exclude=["t"])


def test_a_frame_for_a_pipeline_that_reads_texts_is_refused():
    """A text vectorizer reads the names of the columns of a frame as its texts."""
    texts = pandas.Series(["a b", "b d", "c d", "b c"], name="words")
    pipeline = make_pipeline(CountVectorizer(token_pattern=r"\w+"), LogisticRegression()).fit(["a b", "c d"], [0, 1])
    with pytest.raises(
        UnsupportedModel, match=r"1 row of \d examples: .*; pass the column of texts, as in data\['words'\]"
    ):
        select("margin_sampling", pipeline, texts.to_frame(), 2)
    assert sorted(select("margin_sampling", pipeline, texts, 2)) == [1, 3]
    both = pandas.DataFrame({"id": range(4), "body": texts})
    with pytest.raises(UnsupportedModel, match=r"2 rows of \d examples: .*data\['text'\]"):
        select("margin_sampling", pipeline, both, 2)


def test_a_float_is_no_name_that_is_a_whole_number(refuses):
    names = [2**53 + row for row in range(N)]  # 2**53 + 1 as a float is 2**53
    for value in (np.array([2**53 + 1], float), [float(2**53 + 1)], pandas.Series([2.0**53])):
        with refuses(
            InvalidInput, "exclude has the floating-point number 9007199254740992.0; convert ids to whole numbers"
        ):
            select_from("core_set", 2, embeddings=X, names=names, exclude=value)
    halves = [row + 0.5 for row in range(N)]
    assert 3 not in select_from("core_set", N - 1, embeddings=X, names=halves, exclude=[3.5])
    with refuses(InvalidInput, "exclude has an id that is missing; leave it out"):
        select_from("core_set", 2, embeddings=X, exclude=pandas.array([3, None], dtype="Int64"))

"""Frames and columns in memory, wherever arrays and lists are taken."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import distil
from distil.data.items import items_of
from distil.data.pools import open_pool
from distil.errors import InvalidInput

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
IDS = [f"r{row}" for row in range(12)]
TEXTS = [f"text number {row}" for row in range(12)]


class Column(list):
    """What the code uses of a column or index of pandas."""

    name = None
    shape = property(lambda self: (len(self),))

    def to_numpy(self):
        return np.array([*self], dtype=None if all(isinstance(cell, float) for cell in self) else object)

    def __getitem__(self, rows):
        found = super().__getitem__(rows)
        return Column(found) if isinstance(rows, slice) else found


class Pandas:
    """What the code uses of a data frame of pandas."""

    def __init__(self, columns, index):
        self._columns = {name: Column(cells) for name, cells in columns.items()}
        self.columns, self.index = [*columns], Column(index)
        self.shape = (len(index), len(columns))

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, name):
        return self._columns[name]

    def to_numpy(self):
        return np.stack([column.to_numpy() for column in self._columns.values()], 1)


def test_pools_of_polars():
    polars = pytest.importorskip("polars")
    columns = {
        "id": IDS,
        "text": TEXTS,
        "a": X[:, 0],
        "b": X[:, 1],
        "kind": polars.Series(["x", "y"] * 6, dtype=polars.Categorical),
    }
    frame = polars.DataFrame(columns)
    texts = open_pool(frame)
    assert (texts.kind, texts.names, [texts.read(row) for row in range(12)]) == ("texts", IDS, TEXTS)
    assert open_pool(frame, column="kind,text").read(1) == "y\ntext number 1"
    numbers = open_pool(frame.drop("text"))
    assert numbers.names == IDS
    np.testing.assert_array_equal(items_of(numbers).array, X[:, :2])
    assert "`kind` holds text and is left out" in items_of(numbers).note
    lists = open_pool(polars.DataFrame({"id": IDS, "e": X.tolist()}))
    np.testing.assert_array_equal(items_of(lists).array, X)
    assert open_pool(polars.Series(TEXTS)).read(3) == TEXTS[3]
    missing = open_pool(polars.Series([None, *TEXTS[1:]]))
    assert missing.kind == "texts"
    with pytest.raises(InvalidInput, match="0: the text is missing"):
        missing.read(0)
    assert open_pool(X, ids=polars.Series(IDS)).names == IDS
    assert open_pool(frame.drop("id"), ids=polars.Series(IDS)).names == IDS
    for pool in (np.array(TEXTS), np.array(TEXTS, dtype=object), TEXTS):
        assert (open_pool(pool).kind, open_pool(pool).read(2)) == ("texts", TEXTS[2])


def test_frames_in_selections_are_those_of_their_arrays():
    polars = pytest.importorskip("polars")
    frame, ids, labels = polars.DataFrame(X), polars.Series([0, 1, 2]), polars.Series([0, 1, 0])

    def queried(x, ids, labels, names):
        learner = distil.Learner(x, LogisticRegression(), "margin_sampling", num_classes=2, names=names)
        learner.label(ids, labels)
        learner.fit()
        return learner.query(3).names

    assert queried(frame, ids, labels, polars.Series(IDS)) == queried(X, [0, 1, 2], [0, 1, 0], IDS)
    for strategy in ("core_set", "typiclust"):
        found = distil.select_from(strategy, 3, embeddings=frame, labeled=ids, names=polars.Series(IDS))
        assert found.names == distil.select_from(strategy, 3, embeddings=X, labeled=[0, 1, 2], names=IDS).names
    mask = polars.Series([row % 2 == 0 for row in range(12)])
    assert set(distil.select_from("core_set", 6, embeddings=frame, candidates=mask)) == {*range(0, 12, 2)}


def test_embeddings_in_frames_are_read_as_tables_in_files_are():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    expected = distil.select_from("core_set", 4, embeddings=X).tolist()
    for kind, own in {
        "numbered": frame.assign(id=range(12)),
        "named": frame.assign(id=IDS),
        "nullable": frame.convert_dtypes(),
        "indexed": frame.set_axis(IDS),
    }.items():
        assert distil.select_from("core_set", 4, embeddings=own).tolist() == expected, kind
    apart = distil.select_from("core_set", 4, embeddings=frame, labeled_embeddings=frame[:2].assign(id=[1000, 2000]))
    assert apart.tolist() == distil.select_from("core_set", 4, embeddings=X, labeled_embeddings=X[:2]).tolist()


def test_an_index_in_another_order_is_refused():
    pandas = pytest.importorskip("pandas")
    embeddings = pandas.DataFrame(X, index=IDS)
    probs = pandas.DataFrame(np.full((12, 2), 0.5), index=IDS)[::-1]
    with pytest.raises(InvalidInput, match="embeddings: the index has the ids of probs in another order"):
        distil.select_from("badge", 3, probs=probs, embeddings=embeddings)
    for right in (probs.loc[embeddings.index], probs.to_numpy(), probs.reset_index(drop=True)):
        distil.select_from("badge", 3, probs=right, embeddings=embeddings)
    labels = pandas.Series(["x", "y", "y"], index=["r2", "r0", "r1"])
    learner = distil.Learner(X, LogisticRegression(), "margin_sampling", classes=["x", "y"], names=IDS)
    ids = ["r0", "r1", "r2"]
    with pytest.raises(InvalidInput, match="labels: the index has the ids of the labeled examples in another order"):
        learner.label(ids, labels)
    learner.label(ids, labels.loc[ids])
    assert learner.labels == {"r0": "y", "r1": "y", "r2": "x"}
    learner.label(ids, labels.to_numpy())
    assert learner.labels == {"r0": "x", "r1": "y", "r2": "y"}
    model = LogisticRegression().fit(X, [0, 1] * 6)
    labels = pandas.Series([0, 1], index=["r1", "r0"])
    with pytest.raises(InvalidInput, match="the labels of labeled: the index has the ids"):
        distil.select("glister", model, X, 3, names=IDS, labeled=(["r0", "r1"], labels))


def test_lazy_frames_are_refused_in_words():
    polars = pytest.importorskip("polars")
    lazy = polars.DataFrame(X).lazy()
    model = torch.nn.Linear(3, 2)
    calls = {
        "a pool": lambda: open_pool(lazy),
        "embeddings": lambda: distil.select_from("core_set", 3, embeddings=lazy),
        "data": lambda: distil.select("margin_sampling", model, lazy, 3),
        "labeled": lambda: distil.select_from("core_set", 3, embeddings=X, labeled=lazy),
        "candidates": lambda: distil.select_from("core_set", 3, embeddings=X, candidates=lazy),
        "names": lambda: distil.select_from("core_set", 3, embeddings=X, names=lazy),
        "labels": lambda: distil.Learner(X, model, "margin_sampling", num_classes=2).label([0], lazy),
    }
    for name, call in calls.items():
        with pytest.raises(InvalidInput, match=f"{name} .*LazyFrame"):
            call()


def test_the_index_of_a_frame_is_its_ids_as_in_files():
    columns = {"text": TEXTS[:3], "a": [0.5, 1.5, 2.5]}
    for index, names in [
        ([0, 1, 2], None),
        ([7, 5, 6], ["7", "5", "6"]),
        (["p", "q", "r"], ["p", "q", "r"]),
        ([1, 1, 2], None),
    ]:
        pool = open_pool(Pandas(columns, index))
        assert (pool.kind, pool.names, pool.read(1)) == ("texts", names, TEXTS[1])
        pool = items_of(open_pool(Pandas({"a": [0.5, 1.5, 2.5], "b": [1.0, 2.0, 3.0]}, index)))
        assert (pool.array.tolist(), pool.names) == ([[0.5, 1], [1.5, 2], [2.5, 3]], names)
    pool = open_pool(Pandas({"id": ["x", "y", "z"], **columns}, [7, 5, 6]))
    assert pool.names == ["x", "y", "z"]
    with pytest.raises(InvalidInput, match="the data frame has no column 'texts'; did you mean 'text'"):
        open_pool(Pandas(columns, [0, 1, 2]), column="texts")


def test_dates_are_no_features_and_decimals_are(tmp_path):
    when = np.array(["2024-01-01", "2024-02-01"])
    for kind in ["datetime64[ns]", "datetime64[D]", "timedelta64[ns]"]:
        times = when.astype("datetime64[ns]").astype(kind) if kind.startswith("d") else np.array([1, 2], kind)
        frame = Pandas({"a": [0.5, 1.5], "when": [0, 0], "price": [Decimal("1.5"), Decimal("2.5")]}, ["p", "q"])
        frame._columns["when"].to_numpy = lambda times=times: times
        frame._columns["when"].__class__ = type("Times", (Column,), {"__getitem__": lambda self, rows: self})
        pool = items_of(open_pool(frame))
        assert (pool.array.tolist(), pool.names) == ([[0.5, 1.5], [1.5, 2.5]], ["p", "q"])
        assert "`when` holds no numbers and is left out" in pool.note


def test_the_index_of_a_column_is_its_ids():
    column = Column(TEXTS[:3])
    for index, names in [
        ([0, 1, 2], None),
        ([7, 5, 6], ["7", "5", "6"]),
        (["p", "q", "r"], ["p", "q", "r"]),
        ([1, 1, 2], None),
    ]:
        column.index = Column(index)
        pool = open_pool(column)
        assert (pool.kind, pool.names, pool.read(1)) == ("texts", names, TEXTS[1])
        assert open_pool(column, ids=["x", "y", "z"]).names == ["x", "y", "z"]

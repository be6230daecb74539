"""Every kind of data: read as examples, or refused with advice."""

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, StackDataset, TensorDataset

from distil import select
from distil.data.examples import Form, LabeledSet, Rows, as_data, form_of, same_data
from distil.errors import InvalidInput

X = np.arange(12, dtype=np.float32).reshape(4, 3)


class Frame:
    """The interface of a polars data frame that the code uses: rows by slices and arrays of positions."""

    def __init__(self, values):
        self.values = np.asarray(values)
        self.shape = self.values.shape

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        return Frame(self.values[rows])

    def to_numpy(self):
        return self.values


class PandasFrame(Frame):
    """The interface of a pandas data frame that the code uses: rows by ``iloc``, columns by ``[]``."""

    @property
    def iloc(self):
        return Frame(self.values)

    def __getitem__(self, column):
        raise KeyError(column)


class ArrowTable(Frame):
    def to_pandas(self):
        return PandasFrame(self.values)

    def to_pylist(self):
        return self.values.tolist()

    to_numpy = None


class Splits(dict):
    """A dict like ``datasets.DatasetDict``."""


class Stream(IterableDataset):
    def __iter__(self):
        return iter(())


def objects(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def test_data_with_rows_are_returned_unchanged():
    for data in (
        X,
        torch.from_numpy(X),
        list(X),
        TensorDataset(torch.from_numpy(X)),
        np.ma.array(X),
        X > 3,
        X.astype(">f8"),
    ):
        assert as_data(data) is data


def test_tables_give_rows(case):
    for kind in [Frame, PandasFrame, scipy.sparse.csr_matrix, scipy.sparse.coo_matrix]:
        with case(kind):
            rows = as_data(kind(X))
            assert isinstance(rows, Rows)
            assert len(rows) == 4
            found = rows.batch(torch.tensor([2, 0]))
            np.testing.assert_array_equal(found.toarray() if hasattr(found, "toarray") else found.to_numpy(), X[[2, 0]])
            assert form_of(rows) == Form((3,), whole=False)


def test_a_column_of_texts_is_a_pool_and_one_of_numbers_is_not():
    assert len(as_data(Frame(["a", "b"]))) == 2
    with pytest.raises(InvalidInput, match=r"data is a column of numbers; pass a data frame, data\.to_frame\(\)"):
        as_data(Frame([1.0, 2.0]))


def test_the_form_of_examples():
    assert form_of(X) == form_of(torch.from_numpy(X).double()) == form_of(list(X)) == Form((3,), whole=False)
    assert form_of(X.astype(int)) == form_of([[1, 2, 3]]) == form_of([(1, 2, 3)]) == Form((3,), whole=True)
    assert form_of(X[:, None]) == Form((1, 3), whole=False)
    assert form_of([(X[0], 1)]) == form_of(TensorDataset(torch.from_numpy(X), torch.ones(4))) == form_of(X)
    assert form_of([(0, 1)]) == Form((), whole=True)
    assert form_of(["a"]) is form_of([{"a": X}]) is form_of(Pairs()) is None


def test_examples_of_another_length_are_like_the_pool_only_where_they_may_be_tokens():
    tokens, pixels = form_of(np.ones((4, 3), dtype=int)), form_of(X)
    assert form_of(np.ones((4, 5), dtype=int)).is_like(tokens)
    assert not form_of(np.ones((4, 1), dtype=int)).is_like(tokens)
    assert not form_of(np.ones((4, 5), dtype=int)).is_like(pixels)
    assert form_of(np.ones((4, 3), dtype=int)).is_like(pixels)
    assert form_of(X).is_like(None)
    assert form_of(np.ones((4, 2, 5, 6))).is_like(form_of(np.ones((4, 2, 7, 8))))


def test_ids_in_another_form_are_not_taken_for_examples(case):
    for kind, (ids, shape) in zip(
        ["nonzero", "lists", "zip", "complex"],
        [
            (torch.tensor([[0], [1]]), r"\(1,\)"),  # the result of torch.nonzero(mask)
            ([[0], [1]], r"\(1,\)"),
            ([(0, 1), (1, 0)], r"\(\)"),  # the result of zip(ids, labels)
            ([0j, 1j], r"\(\)"),
        ],
        strict=True,
    ):
        with case(kind):
            for pool in (X, list(X), TensorDataset(torch.from_numpy(X)), Pairs()):
                with pytest.raises(InvalidInput, match=f"^labeled must be examples like .* flat list.* shape {shape}$"):
                    select("random_sampling", None, pool, 1, labeled=ids)


def test_the_same_frame_is_the_same_data():
    frame = Frame(X)
    assert same_data(as_data(frame), frame)
    assert same_data(as_data(frame), as_data(frame))
    assert not same_data(as_data(frame), as_data(Frame(X)))


def test_other_data_are_refused_with_advice(case):
    for data, message in [
        (
            Splits(train=TensorDataset(torch.ones(3, 2)), test=[1]),
            r"got a dict; pass one of .*: x\['train'\], x\['test'\]$",
        ),
        ({"a": X, "b": X}, r"got a dict of columns; pass torch\.utils\.data\.StackDataset\(\*\*columns\)"),
        ({}, "got a dict"),
        (X[:, 0], r"one row per example, got shape \(4,\); pass x\.reshape\(-1, 1\) if each number"),
        (np.array(["a", "b"]), r"pass .*x\.tolist\(\) if each text is one"),
        (objects(X[0], X[0, :2]), r"numpy\.stack\(x\) if it holds arrays"),
        (torch.tensor(3.0), r"got shape \(\)"),
        (np.array([["a", 1]], dtype=object), "must hold numbers, got an array of object; pass a data frame, or a list"),
        (np.zeros((2, 2), dtype="M8[s]"), "must hold numbers"),
        (X.astype(np.longdouble), r"which PyTorch does not have; pass x\.astype\('float64'\)"),
        (X[:, :0], r"examples without numbers: its shape is \(4, 0\)"),
        (b"abc", r"got bytes; pass a list of examples, or distil\.open_pool\(path\)"),
        ("abc", "got str; pass a list of examples"),
        (iter(X), r"which can be read only once; pass a list, list\(x\)"),
        ((row for row in X), "got generator, which can be read only once"),
        (torch.from_numpy(X).to_sparse(), r"x is a sparse tensor; pass x\.to_dense\(\)"),
        (
            torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
            "x is a nested tensor; pad its rows",
        ),
        (np.ma.array(X, mask=X > 3), r"x has masked entries; fill them first, x\.filled"),
        (nn.Sequential(nn.Linear(2, 2)), "got Sequential, which is a model; check the order of the arguments"),
        (DataLoader(TensorDataset(torch.ones(3, 2))), r"got a DataLoader; pass its data set, x\.dataset"),
        ((X, np.zeros(4)), r"got a pair of arrays; pass the inputs alone, x\[0\]"),
        (ArrowTable(X), r"got ArrowTable, whose items are columns; pass x\.to_pandas\(\)"),
        (Stream(), "must be a map-style Dataset .*got Stream"),
        ({1, 2}, "got set"),
        (None, "got NoneType"),
        (Frame(X[:0]), "x is empty"),
        (X[:0], "x is empty"),
    ]:
        full = message if message.startswith("x") else f"x .*{message}"
        with case(data, message), pytest.raises(InvalidInput, match=f"^{full}"):
            as_data(data, "x")


def test_the_advice_for_columns_works():
    columns = {"a": torch.from_numpy(X), "b": torch.arange(4)}
    assert as_data(StackDataset(**columns))[2]["b"] == 2


def test_every_set_goes_through_the_same_door():
    for role in ("labeled", "validation", "query", "private"):
        with pytest.raises(InvalidInput, match=rf"^{role} must be examples like .* shape \(3,\), .* shape \(2,\)$"):
            select("random_sampling", None, X, 1, **{role: X[:, :2]})
        with pytest.raises(InvalidInput, match=f"^{role} is a sparse tensor"):
            select("random_sampling", None, X, 1, **{role: torch.from_numpy(X).to_sparse()})


class Pairs(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, row):
        return X[row], row


def test_a_labeled_set_reads_ids_and_labels():
    for ids, y in (
        ([3, 1], [0, 1]),
        (np.array([3, 1], "u1"), (False, True)),
        (torch.tensor([3, 1]), torch.tensor([0, 1])),
    ):
        labeled = LabeledSet(Pairs(), ids, y)
        assert [(x.tolist(), label) for x, label in labeled] == [(X[3].tolist(), 0), (X[1].tolist(), 1)]
    for ids, y, message in [
        ([1.0], [0], "ids of a LabeledSet must be whole numbers, positions in its data; got float64"),
        ([True], [0], "got bool"),
        (["a"], [0], "got object"),
        ([1], ["a"], "y must be whole numbers"),
        ([1, 2], [0], "y must have one entry for each of the 2 examples, got 1"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            LabeledSet(X, ids, y)

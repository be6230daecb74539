"""How the inputs in a minibatch reach the model: one way for all kinds of examples and models."""

from __future__ import annotations

from collections import UserDict, namedtuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_sequence
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import StackDataset, TensorDataset

from distil.errors import UnsupportedModel
from distil.networks.wrap import wrap
from distil.selection.learner import Learner
from distil.selection.select import select
from distil.training.config import FitConfig

N = 20
X = torch.randn(N, 8, generator=torch.Generator().manual_seed(0))
LEFT, RIGHT = X[:, :4], X[:, 4:]
DICTS = [{"a": a, "b": b, "labels": 1} for a, b in zip(LEFT, RIGHT, strict=True)]


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 5), nn.Linear(4, 5), nn.Linear(10, 3)

    def forward(self, a, b):
        return self.head(torch.cat([self.a(a), self.b(b)], 1).relu())


class Keywords(nn.Module):
    def __init__(self, two):
        super().__init__()
        self.two = two

    def forward(self, **entries):
        assert "labels" not in entries
        return self.two(entries["a"], entries["b"])


class Whole(nn.Module):
    def __init__(self, two):
        super().__init__()
        self.two = two

    def forward(self, batch, scale=1):
        return self.two(batch["a"], batch["b"]) * scale


class Joined(Whole):
    def forward(self, x):
        return self.two(x[:, :4], x[:, 4:])


@pytest.fixture
def two(seeded):
    return seeded(Two)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_several_inputs_reach_every_kind_of_model(case, two):
    """The picks are those of the model that is called with one tensor."""
    expected = [select(name, Joined(two), X, 6).tolist() for name in ("margin_sampling", "badge")]
    tuples = list(zip(LEFT, RIGHT, strict=True))
    Pair = namedtuple("Pair", "left right")
    for name, model, data in [
        ("keywords", two, DICTS),
        ("any keywords", Keywords(two), DICTS),
        ("a dict", Whole(two), DICTS),
        ("a function of a dict", lambda b: two(b["a"], b["b"]), DICTS),
        ("a function whose parameter is called as an entry", lambda a: two(a["a"], a["b"]), DICTS),
        ("a function with keywords", lambda a, b: two(a, b), DICTS),
        ("columns", two, StackDataset(a=LEFT, b=RIGHT)),
        ("tuples", two, tuples),
        ("named tuples", two, [Pair(*item) for item in tuples]),
        ("a function of two", lambda a, b: two(a, b), tuples),
        ("tuples with a label", two, TensorDataset(LEFT, RIGHT, torch.ones(N))),
        ("a moving average", AveragedModel(two), tuples),
        ("TorchScript", torch.jit.script(two), tuples),
        ("TorchScript with keywords", torch.jit.script(two), DICTS),
        ("inputs=", wrap(two, inputs=lambda b: (b["a"], b["b"])), DICTS),
    ]:
        with case(name):
            assert select("margin_sampling", model, data, 6).tolist() == expected[0]
            if "TorchScript" not in name:
                assert select("badge", model, data, 6).tolist() == expected[1]


def test_a_function_gets_what_collate_returns(case, two):
    """Texts, arrays and dicts with attributes reach a function unchanged."""
    texts = [" ".join(map(str, row)) for row in X.tolist()]
    numbers = lambda batch: torch.tensor([[float(word) for word in text.split()] for text in batch])  # noqa: E731
    expected = select("badge", Joined(two), X, 6).tolist()
    joined = Joined(two)

    def of_texts(batch):
        assert isinstance(batch, list)
        return joined(numbers(batch))

    assert select("badge", of_texts, texts, 6).tolist() == expected
    assert select("badge", joined, texts, 6, collate=numbers).tolist() == expected
    assert select("badge", joined, texts, 6, collate=lambda batch: numbers(batch).numpy()).tolist() == expected
    encoded = lambda items: UserDict(a=torch.stack([i["a"] for i in items]), b=torch.stack([i["b"] for i in items]))  # noqa: E731

    def of_attributes(batch):
        assert isinstance(batch, UserDict)
        return two(batch.data["a"], batch.data["b"])

    assert select("badge", of_attributes, DICTS, 6, collate=encoded).tolist() == expected
    with pytest.raises(UnsupportedModel, match=r"minibatch of type list: .*for texts collate="):
        select("badge", joined, texts, 6)


def test_inputs_that_do_not_fit_are_named(case, two):
    for model, data, message in [
        (two, [{"a": a} for a in LEFT], r"Two takes a, b, and a minibatch is a dict of a; missing: b; pass inputs="),
        (two, X, None),
        (two, TensorDataset(LEFT), r"Two takes 2 arguments \(a, b\), and a minibatch has 1 entries"),
        (
            nn.Linear(4, 3),
            [{"x": a, "y": a} for a in LEFT],
            r"Linear cannot be called with a dict of x, y .*pass inputs=",
        ),
        (nn.Linear(8, 3), [1.0, 2.0, 3.0], r"one number for each example, a tensor \(2,\)"),
        (
            nn.Linear(8, 3),
            X.to(torch.complex64),
            r"cannot be called with numbers of torch.complex64 .*pass the data as real",
        ),
    ]:
        with case(message):
            if message is None:
                continue
            with pytest.raises(UnsupportedModel, match=message):
                select("margin_sampling", model, data, 1)


def test_the_rows_of_a_minibatch_are_those_of_its_examples(case):
    """A list of equally long token lists is one example a row, also where every minibatch has as many examples as tokens."""
    tokens = np.random.default_rng(0).integers(0, 9, (N, 5))
    model = nn.Sequential(nn.EmbeddingBag(9, 4), nn.Linear(4, 3))
    expected = select("badge", model, torch.from_numpy(tokens), 6).tolist()
    for data in [tokens.tolist(), [{"input": row} for row in tokens.tolist()], list(tokens)]:
        with case(type(data[0])):
            assert select("badge", model, data, 6).tolist() == expected


def test_one_tensor_for_a_model_of_two_arguments_is_refused_by_name(case):
    message = r"takes 2 arguments \(a, b\), and a minibatch is a Tensor alone; .*pass inputs="
    for model in (Two(), lambda a, b: a + b):
        with case(model), pytest.raises(UnsupportedModel, match=message):
            select("margin_sampling", model, LEFT, 3)
    learner = Learner(LEFT, Two, "margin_sampling", num_classes=3)
    learner.label([0, 1, 2], [0, 1, 2])
    with pytest.raises(UnsupportedModel, match=message):
        learner.fit()


class Recurrent(nn.Module):
    """Reads padded sequences with their lengths, or packed ones."""

    def __init__(self):
        super().__init__()
        self.rnn, self.drop, self.head = nn.GRU(4, 6, batch_first=True), nn.Dropout(0.3), nn.Linear(6, 3)

    def forward(self, x, lengths=None):
        if lengths is not None:
            x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.head(self.drop(self.rnn(x)[1][-1]))


def test_packed_sequences_are_minibatches(case):
    rows = [X[row].repeat(row % 5 + 1).reshape(-1, 4) for row in range(N)]
    net = Recurrent()

    def padded(examples):
        return {"x": pad_sequence(examples, batch_first=True), "lengths": torch.tensor(list(map(len, examples)))}

    def packed(examples):
        return pack_sequence(examples, enforce_sorted=False)

    for strategy in ("margin_sampling", "badge", "entropy_sampling_dropout"):
        with case(strategy):
            expected = select(strategy, net, rows, 4, collate=padded).tolist()
            assert select(strategy, net, rows, 4, collate=packed).tolist() == expected
    weights = []
    for collate in (padded, packed):
        learner = Learner(rows, net, "badge", num_classes=3, fit=FitConfig(n_epoch=2), collate=collate, seed=0)
        learner.label(range(12), [0, 1, 2] * 4)
        learner.fit()
        weights.append(learner.module.head.weight)
    assert torch.equal(*weights)

"""The door for what models return: rows, types and shapes of every column, whatever the model is."""

import itertools
from contextlib import nullcontext
from copy import deepcopy

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.utils.data import Dataset

from distil.errors import DistilError, InvalidInput, UnsupportedModel
from distil.functional.adversarial import DeepFool
from distil.measuring.network_source import NetworkSource
from distil.networks.base import Network, Outputs
from distil.networks.calls import rows_of
from distil.networks.ensemble import Ensemble
from distil.networks.torch_network import TorchNetwork
from distil.networks.wrap import wrap
from distil.rng import Rng
from distil.selection.learner import Learner
from distil.selection.select import select
from distil.signals import Embedding, Inputs, Labels, Logits, MCProbs, Perturbation
from distil.system.runtime import Runtime
from distil.training.config import FitConfig

N, DIMS, CLASSES = 40, 6, 4
SMALL = Runtime(batch_size=7)


@pytest.fixture(scope="module")
def x():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(N, DIMS)).astype(np.float32))


@pytest.fixture
def net(small_net):
    return small_net(n_inputs=DIMS, n_classes=CLASSES)


class Own(Network):
    """A network of a user's that gives what a function makes of the minibatch."""

    def __init__(self, outputs, sample=None):
        self._outputs, self._sample = outputs, sample

    def asking(self, runtime):
        return nullcontext()

    def outputs(self, batch):
        return self._outputs(batch)

    def inputs(self, batch):
        return batch

    def differentiable(self, batch):
        raise NotImplementedError

    def sample(self, batch, n_samples, draw):
        return self._sample(batch)


def table(network, x, *signals, ids=None, runtime=SMALL):
    ids = torch.arange(len(x)) if ids is None else ids
    return NetworkSource(network, x, ids).table(signals, runtime, Rng(0))


class Items(Dataset):
    """The rows of an array, each with its position."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return i, self.x[i]


# --- rows -----------------------------------------------------------------------------------------------------------


class SecondAxis(nn.Module):
    """Takes the second axis for that of the examples: ``batch_first`` was forgotten."""

    def __init__(self, batch_first=False):
        super().__init__()
        self.lstm = nn.LSTM(DIMS, 5, batch_first=batch_first)
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        found = self.lstm(x)[0]
        return self.head(found[:, -1] if self.lstm.batch_first else found[-1])


def test_a_recurrent_network_whose_examples_are_the_second_axis(seeded, refuses, subtests):
    """Fewer rows than examples, as many by chance, and more."""
    for n_steps, strategy in itertools.product(
        [12, 40, 60], ["margin_sampling", "badge", "bald_dropout", "adversarial_deepfool"]
    ):
        with subtests.test(n_steps=n_steps, strategy=strategy):
            sequences = seeded(torch.randn, N, n_steps, DIMS)
            parts = (
                f"returned {n_steps} rows of logits for 8 examples (ids 3, 4, 5, 6, 7, ...)",
                "batch_first=True",
                "exclude=",
            )
            with refuses(UnsupportedModel, *parts):
                select(strategy, SecondAxis(), sequences, 15, labeled=[0, 1, 2])
            right = seeded(SecondAxis, batch_first=True)
            assert len(set(select("margin_sampling", right, sequences, 15, labeled=[0, 1, 2]))) == 15


def test_minibatches_of_as_many_sequences_as_steps(seeded, refuses, subtests):
    for n_steps in [3, 5, 8]:
        with subtests.test(n_steps=n_steps):
            sequences = seeded(torch.randn, N, n_steps, DIMS)
            with refuses(UnsupportedModel, f"returned {n_steps} rows of logits for {n_steps - 1} examples"):
                select("margin_sampling", SecondAxis(), sequences, 15, runtime=Runtime(batch_size=n_steps))


def test_a_collate_function_that_drops_items(net, x, refuses, subtests):
    for workers, strategy in itertools.product([0, 1], ["margin_sampling", "badge"]):
        with subtests.test(workers=workers, strategy=strategy):
            collate = lambda items: torch.stack([row for i, row in items if i not in (7, 20)])  # noqa: E731
            runtime = Runtime(batch_size=10, num_workers=workers)
            with refuses(
                InvalidInput, "the minibatch of 10 examples (ids 0, 1, 2, 3, 4, ...) has 9 rows", "collate", "exclude="
            ):
                select(strategy, net, Items(x), 5, collate=collate, runtime=runtime)
            found = select(strategy, net, Items(x), 5, collate=collate, exclude=[7, 20], runtime=runtime)
            assert found.tolist() == select(strategy, net, x, 5, exclude=[7, 20]).tolist()


def test_only_the_inputs_were_dropped(x, net, refuses):
    """Where the lengths in a minibatch differ it says nothing; the logits do."""
    collate = lambda items: (torch.stack([row for _, row in items[1:]]), torch.tensor([i for i, _ in items]))  # noqa: E731
    with refuses(UnsupportedModel, "returned 39 rows of logits for 40 examples (ids 0, 1, 2, 3, 4, ...)"):
        select("margin_sampling", net, Items(x), 5, collate=collate)


def test_functions_that_return_other_rows(x, refuses, subtests):
    for model, came in [
        (lambda b: b[:1, :CLASSES], 1),
        (lambda b: b[:, :CLASSES].mean(0), CLASSES),
        (lambda b: b[:, :CLASSES].repeat(2, 1), 16),
    ]:
        with (
            subtests.test(model=model, came=came),
            refuses(UnsupportedModel, f"returned {came} row", "of logits for 8 examples (ids 0, 1, 2, 3, 4, ...)"),
        ):
            select("margin_sampling", model, x, 5)


def test_networks_of_users(x, refuses, subtests):
    for outputs, parts in [
        (lambda b: Outputs(b[:5, :3], None), ("5 rows of logits for 7 examples (ids 0, 1, 2, 3, 4, ...)",)),
        (lambda b: Outputs(torch.cat([b, b])[:, :3], None), ("14 rows of logits for 7 examples",)),
        (lambda b: Outputs(b[:, :3].sum(), None), ("1 row of logits for 7 examples",)),
        (lambda b: Outputs(b[:, :3], b[:6]), ("6 rows of embeddings for 7 examples",)),
    ]:
        with subtests.test(outputs=outputs, parts=parts), refuses(UnsupportedModel, *parts):
            select("badge", Own(outputs), x, 5, runtime=SMALL)


def test_samples_and_ensembles(net, x, refuses):
    few = Own(lambda b: Outputs(b[:4, :CLASSES], None), lambda b: b[:6, None, :CLASSES].softmax(-1))
    with refuses(UnsupportedModel, "6 rows of sampled probabilities for 7 examples"):
        select("bald_dropout", few, x, 5, runtime=SMALL)
    with refuses(UnsupportedModel, "a row for each example, got [7, 4] rows"):
        select("bald_dropout", Ensemble([wrap(net), few]), x, 5, runtime=SMALL)
    with refuses(UnsupportedModel, "4 rows of logits for 7 examples"):
        select("entropy_sampling", Ensemble([few, few]), x, 5, runtime=SMALL)


def test_a_wrong_number_of_rows_in_a_later_minibatch(x, refuses):
    """Ids are those of the data, not positions in the pool."""
    asked = []
    outputs = lambda b: Outputs((asked.append(1), b[: 7 if len(asked) < 3 else 5, :3])[1], None)  # noqa: E731
    with refuses(UnsupportedModel, "5 rows of logits for 7 examples (ids 24, 25, 26, 27, 28, ...)"):
        select("margin_sampling", Own(outputs), x, 3, candidates=list(range(10, 40)), runtime=SMALL)


def test_labels_that_are_no_numbers_of_classes(net, x, refuses):
    labels = torch.zeros(N, CLASSES)
    with refuses(InvalidInput, "the labels must have shape (B), got (7, 4) for ids 0, 1, 2, 3, 4, ..."):
        table(TorchNetwork(net), [(row, y) for row, y in zip(x, labels, strict=True)], Labels())


def test_another_number_of_labels(net, x, refuses):
    source = NetworkSource(
        TorchNetwork(net),
        Items(x),
        torch.arange(N),
        collate=lambda items: [x[: len(items)], torch.zeros(len(items) - 1, dtype=torch.long)],
    )
    with refuses(InvalidInput, "a minibatch has 6 labels for 7 examples (ids 0, 1, 2, 3, 4, ...)"):
        source.table((Labels(),), SMALL, Rng(0))


def test_rows_that_can_be_seen():
    for batch, rows in [
        (torch.zeros(5, 2), 5),
        (np.zeros((4, 1)), 4),
        ([torch.zeros(5, 2), torch.zeros(5)], 5),
        ((torch.zeros(5, 2), torch.zeros(4)), None),
        ({"a": torch.zeros(3, 1), "b": {"c": torch.zeros(3)}, "scale": torch.tensor(1.0)}, 3),
        ((["one", "two"], torch.zeros(2)), 2),
        (["one", "two"], 2),
        (object(), None),
        ([], None),
        ({}, None),
    ]:
        assert rows_of(batch) == rows, (batch, rows)


# --- types ----------------------------------------------------------------------------------------------------------


def test_what_is_no_answer(x, refuses, subtests):
    for outputs, parts in [
        (lambda b: (b, None), ("Own.outputs must return Outputs(logits, embedding), got tuple",)),
        (
            lambda b: Outputs(b[:, :3].long(), None),
            ("the logits must be real floating-point numbers, got torch.int64",),
        ),
        (lambda b: Outputs(b[:, :3] > 0, None), ("got torch.bool",)),
        (lambda b: Outputs(b[:, :3] + 0j, None), ("got torch.complex64",)),
        (lambda b: Outputs(b[:, :3], b + 0j), ("the embeddings must be real", "got torch.complex64")),
        (lambda b: Outputs(b[:, :3].numpy(), None), ("the logits of a minibatch must be a torch.Tensor, got ndarray",)),
        (lambda b: Outputs(b[:, :1], b), ("the logits must have a column for each class, at least 2, got (7, 1)",)),
        (lambda b: Outputs(b[:, :3, None], b), ("the logits must have shape (B, C), got (7, 3, 1)",)),
        (lambda b: Outputs(b[:, :3], b[:, :0]), ("the embeddings must have shape (B, D), got (7, 0)",)),
        (lambda b: Outputs(b[:, :3], b[:, :, None]), ("the embeddings must have shape (B, D), got (7, 6, 1)",)),
        (lambda b: Outputs(b[:, : 3 + (len(b) < 7)], b), ("rows were (3,) before, and are (4,) for ids 35",)),
        (
            lambda b: Outputs(b[:, :3], b[:, : len(b)]),
            ("the embeddings", "rows were (6,) before, and are (5,) for ids 35"),
        ),
    ]:
        with subtests.test(outputs=outputs, parts=parts), refuses(UnsupportedModel, *parts):
            select("badge", Own(outputs), x, 5, runtime=SMALL)


def test_numbers_of_samples_do_not_change(x, refuses):
    sample = lambda b: b[:, None, :3].softmax(-1).repeat(1, len(b), 1)  # noqa: E731
    with refuses(UnsupportedModel, "sampled probabilities", "rows were (7, 3) before, and are (5, 3) for ids 35"):
        select("bald_dropout", Own(None, sample), x, 5, runtime=SMALL)
    with refuses(UnsupportedModel, "the sampled probabilities must have shape (B, K, C), got (7, 3)"):
        select("bald_dropout", Own(None, lambda b: b[:, :3]), x, 5, runtime=SMALL)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_brought_to_single(half, net, x):
    """The same numbers, exactly; double stays double."""
    signals = (Logits(), Embedding(), Inputs(), MCProbs(3), Perturbation(DeepFool()))
    found = table(TorchNetwork(net.to(half)), x, *signals)
    assert {column.dtype for column in found.values.values()} == {torch.float32}
    with torch.no_grad():
        net.eval()
        expected = net.body(x.to(half))
        torch.testing.assert_close(found[Embedding()], expected.float(), rtol=2e-2, atol=1e-3)
        torch.testing.assert_close(found[Logits()], net.head(expected).float(), rtol=5e-2, atol=2e-2)
    assert torch.equal(found[Inputs()], x.to(half).float())
    assert torch.equal(found[Embedding()], found[Embedding()].to(half).float())
    double = table(TorchNetwork(net.double()), x, *signals)
    assert {column.dtype for column in double.values.values()} == {torch.float64}


def test_finiteness_names_ids(x, refuses):
    outputs = lambda b: Outputs(torch.where(b[:, :3] > 2.2, torch.nan, b[:, :3]), b)  # noqa: E731
    wrong = torch.nonzero((x[:, :3] > 2.2).any(1))[:, 0].tolist()
    assert wrong
    with refuses(InvalidInput, "NaN or infinite", f"ids {wrong[0]}"):
        select("badge", Own(outputs), x, 5, runtime=Runtime(batch_size=N))


def test_samples_are_probabilities(x, refuses):
    network = Own(lambda b: Outputs(b[:, :3], None), lambda b: b[:, None, :3].repeat(1, 4, 1))
    with refuses(InvalidInput, "samples['n0'] is not a probability distribution", "pass their softmax"):
        select("bald_dropout", network, x, 5, names=[f"n{i}" for i in range(N)])


def test_what_a_network_gives_carries_no_gradient(net, x):
    net.eval()
    own = Own(lambda b: Outputs(net(b), b))
    found = table(own, x, Logits(), Embedding())
    assert not found[Logits()].requires_grad
    assert (
        select("badge", own, x, 5).tolist()
        == select("badge", Own(lambda b: Outputs(net(b).detach(), b)), x, 5).tolist()
    )


def test_classes_are_as_many_as_columns(x, refuses):
    network = Own(lambda b: Outputs(b[:, :3], b))
    network.classes = ["a", "b"]
    with refuses(UnsupportedModel, "Own() names 2 classes, but its logits have 3 columns"):
        select("margin_sampling", network, x, 5)


def test_errors_call_examples_by_their_names(x, refuses):
    names = [f"n{i}" for i in range(N)]
    for outputs in (lambda b: Outputs(b[1:, :3], b), lambda b: Outputs(b[:, :3], b[..., None])):
        with refuses(UnsupportedModel, "ids 'n0', 'n1', 'n2', 'n3', 'n4', ..."):
            select("badge", Own(outputs), x, 5, names=names)
    with refuses(UnsupportedModel, "7 rows of logits for 8 examples (ids 'n0', 'n1', 'n2', 'n3', 'n4', ...)"):
        select("margin_sampling", lambda b: b[1:, :3], x, 5, names=names)
    with refuses(InvalidInput, "the minibatch of 40 examples (ids 'n0', 'n1',"):
        select("margin_sampling", Own(lambda b: Outputs(b, b)), x, 5, names=names, collate=lambda b: torch.stack(b[1:]))


# --- counted features -----------------------------------------------------------------------------------------------

WORDS = ["red", "green", "blue", "dog", "cat", "fish", "sun", "moon"]


def test_counts_of_words_are_features():
    """As whole numbers, dense and sparse, and as the same numbers in floating point: equal picks."""
    for strategy in ["badge", "core_set", "kmeans_sampling", "kmedians_sampling", "typiclust", "bait"]:
        draw = np.random.default_rng(0)
        texts = [" ".join(draw.choice(WORDS, 6)) for _ in range(N)]
        y = np.array([("dog" in text) + 2 * ("sun" in text) for text in texts])
        counts = CountVectorizer().fit_transform(texts)
        assert counts.dtype.kind == "i", strategy
        model = MultinomialNB().fit(counts, y)
        picks = [
            select(strategy, model, data, 8).tolist() for data in (counts, counts.toarray(), counts.toarray() * 1.0)
        ]
        assert picks[0] == picks[1] == picks[2], strategy
        pipeline = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, y)
        assert len(set(select(strategy, pipeline, texts, 8))) == 8, strategy


# --- whole numbers and lists as inputs --------------------------------------------------------------------------------


def test_whole_numbers_for_a_module_of_measurements(net, x, refuses, subtests):
    """Scoring and training read tables of them as numbers, and refuse bytes alike, which may be pixels of another scale."""
    for dtype in [torch.int8, torch.int16, torch.int32, torch.int64, torch.bool]:
        with subtests.test(dtype=dtype):
            whole = (x * 9).to(dtype)
            expected, found = (_picks_and_weights(net, data) for data in (whole.float(), whole))
            assert found[0] == expected[0]
            torch.testing.assert_close(found[1], expected[1], rtol=0, atol=0)
            double = deepcopy(net).double()
            picks = [select("badge", double, data, 5).tolist() for data in (whole.double(), whole)]
            assert picks[0] == picks[1]
    whole, parts = (x * 9).to(torch.uint8), ("SmallNet cannot be called with numbers of torch.uint8", "x.float() / 255")
    with refuses(UnsupportedModel, *parts):
        select("margin_sampling", net, whole, 5)
    learner = Learner(whole, net, "margin_sampling", num_classes=CLASSES, fit=FitConfig(n_epoch=1))
    learner.label([0, 1, 2], [0, 1, 2])
    with refuses(UnsupportedModel, *parts):
        learner.fit()
    assert len(select("margin_sampling", lambda b: net(b.float()), whole, 5)) == 5


def _picks_and_weights(net, data):
    """The picks of an attack, and the weights after a training of a copy."""
    learner = Learner(data, deepcopy(net), "badge", num_classes=CLASSES, fit=FitConfig(n_epoch=2), rng=0)
    learner.label(range(6), [0, 1, 2] * 2)
    learner.fit()
    picks = select("adversarial_bim", net, data, 3).tolist() + select("bald_dropout", net, data, 3, rng=0).tolist()
    return picks + learner.query(3).tolist(), learner.module.state_dict()


def test_a_module_that_encodes_whole_numbers_itself_gets_them(seeded):
    class OneHot(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(15, CLASSES)

        def forward(self, x):
            return self.head(nn.functional.one_hot(x, 5).flatten(1).float())

    codes = torch.from_numpy(np.random.default_rng(0).integers(5, size=(N, 3)))
    net = seeded(OneHot)
    expected = select("badge", net.head, nn.functional.one_hot(codes, 5).flatten(1).float(), 5).tolist()
    assert select("badge", net, codes, 5).tolist() == expected


def test_tokens_stay_whole_numbers(seeded):
    tokens = torch.from_numpy(np.random.default_rng(0).integers(20, size=(N, 5)))
    net = seeded(nn.Sequential, nn.Embedding(20, 6), nn.Flatten(), nn.Linear(30, CLASSES))
    learner = Learner(tokens, net, "badge", num_classes=CLASSES, fit=FitConfig(n_epoch=1))
    learner.label([0, 1, 2], [0, 1, 2])
    learner.fit()
    assert len(learner.query(4)) == 4


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["rows", "dicts", "pairs", "learner"])
def test_lists_of_numbers_are_rows(kind, workers, net, x):
    """PyTorch's loader would make a minibatch of columns of them."""
    rows = x.tolist()
    runtime = Runtime(batch_size=DIMS, num_workers=workers)
    expected = select("badge", net, x, 5, runtime=runtime).tolist()
    if kind == "learner":
        learner = Learner(rows, net, "badge", num_classes=CLASSES, fit=FitConfig(n_epoch=1, lr=1e-30), runtime=runtime)
        learner.label([3, 4], [0, 1])
        assert torch.equal(torch.tensor(learner.labeled[1][0]), x[4])
        learner.fit()
        assert len(learner.query(5)) == 5
        return
    data = {"rows": rows, "dicts": [{"x": row} for row in rows], "pairs": [(row, 0) for row in rows]}[kind]
    assert select("badge", net, data, 5, runtime=runtime).tolist() == expected


def test_lists_of_different_lengths_are_refused(net, refuses):
    with refuses(InvalidInput, "cannot be stacked into a minibatch", "collate="):
        select("badge", net, [[1.0] * DIMS, [1.0] * 5, [2.0] * DIMS], 2)
    assert issubclass(InvalidInput, DistilError)

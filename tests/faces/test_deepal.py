"""The DeepAL interface: the paper's loop, the signatures, and the checks that every strategy must pass."""

from __future__ import annotations

import inspect
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

import distil.deepal as deepal
from distil import strategies as core
from distil.datasets.data_set import DataSet
from distil.datasets.load import load
from distil.deepal import Data, MNIST_Handler, Net, Strategy, get_net, get_params, get_strategy
from distil.errors import DistilWarning, InvalidInput, UnknownName, UnsupportedModel
from distil.rng import Rng, drawn_seed
from distil.selection.select import select
from distil.strategies.diversity import KMediansSampling

CORE = {
    "RandomSampling": core.RandomSampling(),
    "LeastConfidence": core.LeastConfidence(),
    "MarginSampling": core.MarginSampling(),
    "EntropySampling": core.EntropySampling(),
    "LeastConfidenceDropout": core.LeastConfidenceDropout(10),
    "MarginSamplingDropout": core.MarginSamplingDropout(10),
    "EntropySamplingDropout": core.EntropySamplingDropout(10),
    "BALDDropout": core.BALD(10),
    "KMeansSampling": core.KMeansSampling(),
    "KMediansSampling": KMediansSampling(),
    "KCenterGreedy": core.CoreSet(),
    "AdversarialBIM": core.AdversarialBIM(0.05),
    "AdversarialDeepFool": core.AdversarialDeepFool(50),
}
NAMES = list(CORE)
PARAMS = {
    "n_epoch": 8,
    "train_args": {"batch_size": 16, "num_workers": 0},
    "test_args": {"batch_size": 100, "num_workers": 0},
    "optimizer_args": {"lr": 0.1, "momentum": 0.5},
}

# The paper, section 3, "Usage", in Python's spelling of a loop.
LOOP = """
dataset = Data()
net = Net()
strategy = Strategy(dataset, net)
for t in range(1, T + 1):
    query_idx = strategy.query(n)
    strategy.update(query_idx)
    strategy.train()
"""


class DigitsHandler(Dataset):
    """A handler as users write it: (x, y, index), one example at a time."""

    def __init__(self, X, Y):
        self.X, self.Y = X, Y

    def __getitem__(self, index):
        return torch.as_tensor(self.X[index]), self.Y[index], index

    def __len__(self):
        return len(self.X)


class BatchHandler(DigitsHandler):
    """The same handler with ``batch``, which reads many examples at once."""

    def batch(self, rows):
        return torch.as_tensor(self.X[rows.numpy()])

    def __getitem__(self, index):
        raise AssertionError("read one by one")


class DigitsNet(nn.Module):
    """The paper's protocol, with normalization and dropout."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32))
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        e1 = F.relu(self.body(x))
        return self.head(F.dropout(e1, training=self.training)), e1

    def get_embedding_dim(self):
        return 32


class PlainNet(DigitsNet):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(64, 32)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))[:400]
    return (x[order] / 16).astype(np.float32), y[order]


@pytest.fixture
def make(digits):
    """``make(handler, net, ...)``: a pool of 300 with ``labeled`` labels (default: 30), and a network."""

    def build(handler=DigitsHandler, net=DigitsNet, labeled=30, trained=True, **params):
        x, y = digits
        torch.manual_seed(0)
        dataset = Data(x[:300], y[:300], x[300:], y[300:], handler)
        dataset.initialize_labels(labeled)
        classifier = Net(net, {**PARAMS, **params}, "cpu")
        if trained:
            classifier.train(DigitsHandler(x[dataset.labeled()], y[dataset.labeled()]))
        return dataset, classifier

    return build


@pytest.fixture
def real_mnist():
    named = os.environ.get("DISTIL_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST at {root}; set DISTIL_DATA to a folder with MNIST/raw")
    return root


# --- signatures -----------------------------------------------------------------------------------------------------

DATA = ["X_train", "Y_train", "X_test", "Y_test", "handler"]
SIGNATURES = {
    "Data": DATA,
    "Data.initialize_labels": ["num"],
    "Data.get_labeled_data": [],
    "Data.get_unlabeled_data": [],
    "Data.get_train_data": [],
    "Data.get_test_data": [],
    "Data.cal_test_acc": ["preds"],
    "Net": ["net", "params", "device"],
    "Net.train": ["data"],
    "Net.predict": ["data"],
    "Net.predict_prob": ["data"],
    "Net.predict_prob_dropout": ["data", "n_drop=10"],
    "Net.predict_prob_dropout_split": ["data", "n_drop=10"],
    "Net.get_embeddings": ["data"],
    "Strategy": ["dataset", "net"],
    "Strategy.query": ["n"],
    "Strategy.update": ["pos_idxs", "neg_idxs=None"],
    "Strategy.train": [],
    "Strategy.predict": ["data"],
    "Strategy.predict_prob": ["data"],
    "Strategy.predict_prob_dropout": ["data", "n_drop=10"],
    "Strategy.predict_prob_dropout_split": ["data", "n_drop=10"],
    "Strategy.get_embeddings": ["data"],
    **{name: ["dataset", "net"] for name in NAMES if "Dropout" not in name and "Adversarial" not in name},
    **{name: ["dataset", "net", "n_drop=10"] for name in NAMES if "Dropout" in name},
    "AdversarialBIM": ["dataset", "net", "eps=0.05"],
    "AdversarialDeepFool": ["dataset", "net", "max_iter=50"],
    **{f"{name}_Handler": ["X", "Y"] for name in ("MNIST", "SVHN", "CIFAR10")},
    **{f"{name}_Net": [] for name in ("MNIST", "SVHN", "CIFAR10")},
    **{f"get_{name}": ["handler", "data_root=None"] for name in ("MNIST", "FashionMNIST", "SVHN", "CIFAR10")},
    "get_dataset": ["name", "data_root=None"],
    "get_net": ["name", "device"],
    "get_strategy": ["name"],
    "get_handler": ["name"],
    "get_params": ["name"],
}


def test_signatures():
    for name, documented in SIGNATURES.items():
        owner, _, method = name.partition(".")
        cls = getattr(deepal, owner)
        parameters = list(inspect.signature(getattr(cls, method) if method else cls).parameters.values())
        parameters = parameters[1:] if method else parameters
        spelled = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]
        assert spelled == documented, name


def test_everything_is_importable_from_the_package():
    assert {name.partition(".")[0] for name in SIGNATURES} <= set(deepal.__all__)
    assert deepal.__all__ == sorted(deepal.__all__)


def test_attributes(make):
    dataset, net = make()
    assert (dataset.n_pool, dataset.n_test, dataset.handler) == (300, 100, DigitsHandler)
    assert dataset.labeled_idxs.dtype == bool
    assert dataset.labeled_idxs.shape == (300,)
    assert (net.net, net.params, net.device) == (DigitsNet, PARAMS, "cpu")
    assert isinstance(net.clf, DigitsNet)
    strategy = Strategy(dataset, net)
    assert (strategy.dataset, strategy.net) == (dataset, net)
    with pytest.raises(NotImplementedError):
        strategy.query(1)


def test_options_reach_the_core(make, monkeypatch):
    strategies = []
    monkeypatch.setattr(Strategy, "select", lambda self, strategy, n: strategies.append(strategy))
    dataset, net = make(trained=False)
    for name, option in (
        ("BALDDropout", 3),
        ("EntropySamplingDropout", 4),
        ("AdversarialBIM", 0.5),
        ("AdversarialDeepFool", 7),
    ):
        get_strategy(name)(dataset, net, option).query(1)
    assert strategies == [
        core.BALD(3),
        core.EntropySamplingDropout(4),
        core.AdversarialBIM(0.5),
        core.AdversarialDeepFool(7),
    ]
    assert deepal.AdversarialBIM(dataset, net, eps=0.2).eps == 0.2
    assert deepal.AdversarialDeepFool(dataset, net, max_iter=3).max_iter == 3
    assert deepal.BALDDropout(dataset, net, n_drop=6).n_drop == 6


# --- the paper's loop -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_loop_runs_on_digits(name, digits):
    x, y = digits

    def data():
        dataset = Data(x[:300], y[:300], x[300:], y[300:], DigitsHandler)
        dataset.initialize_labels(20)
        return dataset

    torch.manual_seed(1)
    space = {
        "Data": data,
        "Net": partial(Net, DigitsNet, PARAMS, "cpu"),
        "Strategy": get_strategy(name),
        "n": 10,
        "T": 3,
    }
    exec(LOOP, space)
    dataset, strategy = space["dataset"], space["strategy"]
    assert dataset.labeled_idxs.sum() == 20 + 3 * 10
    assert dataset.labeled_idxs[space["query_idx"]].all()
    assert dataset.cal_test_acc(strategy.predict(dataset.get_test_data())) > 0.3


def test_the_papers_loop_runs_without_first_labels(digits):
    """A strategy that reads a network which was never trained warns."""
    x, y = digits
    data = partial(Data, x[:300], y[:300], x[300:], y[300:], DigitsHandler)
    net = partial(Net, DigitsNet, PARAMS, "cpu")
    for name in ("RandomSampling", "MarginSampling", "KCenterGreedy"):
        space = {"Data": data, "Net": net, "Strategy": get_strategy(name), "n": 10, "T": 2}
        if name == "RandomSampling":
            exec(LOOP, space)
        else:
            with pytest.warns(DistilWarning, match="never trained, as no example is labeled"):
                exec(LOOP, space)
        assert space["dataset"].labeled_idxs.sum() == 20, name


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["MarginSampling", "BALDDropout", "KCenterGreedy", "KMediansSampling", "AdversarialDeepFool"]
)
def test_the_papers_loop_runs_on_mnist(name, real_mnist):
    data = load("mnist", real_mnist)

    def labeled_data():
        dataset = Data(
            data.x_train[:600, 0], data.y_train[:600], data.x_test[:1000, 0], data.y_test[:1000], MNIST_Handler
        )
        dataset.initialize_labels(100)
        return dataset

    torch.manual_seed(0)
    net = partial(Net, deepal.MNIST_Net, {**get_params("MNIST"), "n_epoch": 80}, "cpu")
    space = {"Data": labeled_data, "Net": net, "Strategy": get_strategy(name), "n": 50, "T": 2}
    exec(LOOP, space)
    dataset = space["dataset"]
    assert dataset.labeled_idxs.sum() == 200
    assert dataset.cal_test_acc(space["strategy"].predict(dataset.get_test_data())) > 0.5


# --- checks of every strategy ---------------------------------------------------------------------------------------


def queried(name, dataset, net, n=12, seed=3):
    torch.manual_seed(seed)
    return get_strategy(name)(dataset, net).query(n)


def check_ids(name, dataset, net):
    """Queries are unlabeled ids of the pool, and n out of range is refused."""
    before = dataset.labeled_idxs.copy()
    for n in (1, 270):
        ids = queried(name, dataset, net, n)
        assert type(ids) is np.ndarray
        assert ids.dtype == np.int64
        assert ids.shape == (n,)
        assert len(set(ids.tolist())) == n
        assert not dataset.labeled_idxs[ids].any()
    assert sorted(ids) == dataset.unlabeled().tolist()
    for n in (0, -1, 271, 1.5, True, None):
        with pytest.raises(InvalidInput, match=r"\bn must be"):
            queried(name, dataset, net, n)
    assert (dataset.labeled_idxs == before).all()


def check_picks_of_the_core(name, dataset, net):
    """Queries are the picks of the core strategy, in pick order."""
    ids = queried(name, dataset, net)
    torch.manual_seed(3)
    seed = int(torch.randint(2**62, (1,)))
    expected = select(
        CORE[name], net.network(), torch.from_numpy(dataset.X_train), 12, labeled=dataset.labeled(), rng=Rng(seed)
    )
    assert ids.tolist() == expected.tolist()


class Poison:
    """Labels that must not be read."""

    def __getattr__(self, name):
        raise AssertionError(f"{name} of the labels was read")

    __getitem__ = __iter__ = __len__ = __array__ = __eq__ = __getattr__
    __hash__ = None


def check_labels_are_never_read(name, dataset, net):
    labels = dataset.Y_train
    expected = queried(name, dataset, net).tolist()
    dataset.Y_train = Poison()
    assert queried(name, dataset, net).tolist() == expected
    dataset.Y_train = labels


def check_the_network_stays(name, dataset, net, fingerprint):
    net.clf.train()
    before, params = fingerprint(net.clf), repr(net.params)
    queried(name, dataset, net)
    net.predict(dataset.get_test_data())
    net.predict_prob_dropout(dataset.get_test_data(), 2)
    assert fingerprint(net.clf) == before
    assert repr(net.params) == params


def check_handlers_with_batch(name, dataset, net):
    expected = queried(name, dataset, net).tolist()
    dataset.handler = BatchHandler
    assert queried(name, dataset, net).tolist() == expected


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy(name, make, fingerprint):
    dataset, net = make()
    check_ids(name, dataset, net)
    check_picks_of_the_core(name, dataset, net)
    check_labels_are_never_read(name, dataset, net)
    check_the_network_stays(name, dataset, net, fingerprint)
    check_handlers_with_batch(name, dataset, net)


def test_manual_seed_repeats_queries_and_trainings(make):
    for name in NAMES:
        runs = []
        for _ in range(2):
            dataset, net = make(n_epoch=1)
            strategy = get_strategy(name)(dataset, net)
            torch.manual_seed(8)
            picks = []
            for _ in range(2):
                picks += strategy.query(5).tolist()
                strategy.update(picks[-5:])
                strategy.train()
            runs.append((picks, net.clf.head.weight.tolist()))
        assert runs[0] == runs[1], name


def test_classes_missing_from_the_pool(digits):
    x, y = digits
    rows = np.flatnonzero(y < 3)
    torch.manual_seed(0)
    dataset = Data(x[rows], y[rows], x, y, DigitsHandler)
    dataset.initialize_labels(10)
    net = Net(DigitsNet, PARAMS, "cpu")
    Strategy(dataset, net).train()
    for name in NAMES:
        strategy = get_strategy(name)(dataset, net)
        assert len(strategy.query(7)) == 7, name
        assert strategy.predict_prob(dataset.get_unlabeled_data()[1]).shape == (len(rows) - 10, 10), name


def test_queries_vary_unless_seeded(make):
    dataset, net = make()
    strategy = deepal.RandomSampling(dataset, net)
    assert strategy.query(20).tolist() != strategy.query(20).tolist()


def test_k_center_is_farthest_first(make):
    dataset, net = make()
    e = net.get_embeddings(DigitsHandler(dataset.X_train, dataset.Y_train)).double().numpy()
    centers, expected = dataset.labeled().tolist(), []
    for _ in range(12):
        dists = ((e[:, None] - e[centers][None]) ** 2).sum(2).min(1)
        dists[centers] = -1
        centers.append(int(dists.argmax()))
        expected.append(centers[-1])
    picks = queried("KCenterGreedy", dataset, net).tolist()
    assert picks == expected
    assert picks != sorted(picks)


def test_a_users_strategy(make):
    class MostOfClassThree(Strategy):
        def query(self, n):
            unlabeled_idxs, unlabeled_data = self.dataset.get_unlabeled_data()
            probs = self.predict_prob(unlabeled_data)
            return unlabeled_idxs[probs[:, 3].sort(descending=True)[1][:n]]

    dataset, net = make()
    ids = MostOfClassThree(dataset, net).query(5)
    probs = net.predict_prob(DigitsHandler(dataset.X_train, dataset.Y_train))[:, 3].numpy()
    assert ids.tolist() == [i for i in np.argsort(-probs, kind="stable") if not dataset.labeled_idxs[i]][:5]


def test_any_core_strategy_can_select(make):
    dataset, net = make()
    ids = Strategy(dataset, net).select("badge", 9)
    assert len(set(ids.tolist())) == 9
    assert not dataset.labeled_idxs[ids].any()


# --- data -----------------------------------------------------------------------------------------------------------


def test_parts_of_the_data(make):
    dataset, _ = make()
    labeled, part = dataset.get_labeled_data()
    unlabeled, rest = dataset.get_unlabeled_data()
    assert sorted([*labeled, *unlabeled]) == list(range(300))
    assert (len(part), len(rest), len(labeled)) == (30, 270, 30)
    for ids, examples in ((labeled, part), (unlabeled, rest)):
        x, y, index = examples[7]
        np.testing.assert_array_equal(x, dataset.X_train[ids[7]])
        assert (y, index) == (dataset.Y_train[ids[7]], 7)
    mask, whole = dataset.get_train_data()
    assert (mask == dataset.labeled_idxs).all()
    mask[:] = False
    assert dataset.labeled_idxs.sum() == 30
    assert (len(whole), len(dataset.get_test_data())) == (300, 100)


def test_kinds_of_data(digits):
    x, y = digits
    results = []
    for as_kind in (lambda v: v, torch.from_numpy, lambda v: list(torch.from_numpy(v))):
        torch.manual_seed(0)
        dataset = Data(as_kind(x[:300]), as_kind(y[:300]), as_kind(x[300:]), as_kind(y[300:]), DigitsHandler)
        dataset.initialize_labels(50)
        strategy = deepal.MarginSampling(dataset, Net(DigitsNet, PARAMS, "cpu"))
        strategy.train()
        picks = strategy.query(5).tolist()
        results.append((picks, dataset.cal_test_acc(strategy.predict(dataset.get_test_data()))))
    assert results[0] == results[1] == results[2]


def test_initialize_labels(digits):
    x, y = digits
    dataset = Data(x, y, x, y, DigitsHandler)
    counts = np.zeros(400)
    for seed in range(200):
        torch.manual_seed(seed)
        dataset.labeled_idxs[:] = False
        dataset.initialize_labels(100)
        assert dataset.labeled_idxs.sum() == 100
        counts += dataset.labeled_idxs
    assert 25 < counts.min() <= counts.max() < 80  # 50 each, sd 6.1
    again = dataset.labeled_idxs.copy()
    torch.manual_seed(199)
    dataset.labeled_idxs[:] = False
    dataset.initialize_labels(100)
    assert (dataset.labeled_idxs == again).all()
    dataset.initialize_labels(50)  # more: those that are labeled stay
    assert dataset.labeled_idxs.sum() == 150
    assert dataset.labeled_idxs[again].all()
    for wrong in (251, -1, 2.0, True):
        with pytest.raises(InvalidInput, match="num"):
            dataset.initialize_labels(wrong)


def test_update(make):
    dataset, net = make()
    strategy = Strategy(dataset, net)
    dataset.labeled_idxs[:] = False
    strategy.update([1, 2, 3])
    strategy.update(np.array([5]), np.array([1, 2]))  # the published code raises for arrays
    assert np.flatnonzero(dataset.labeled_idxs).tolist() == [3, 5]
    strategy.update(torch.tensor([7]), neg_idxs=[])
    strategy.update(np.arange(300) == 9)
    strategy.update([])
    assert np.flatnonzero(dataset.labeled_idxs).tolist() == [3, 5, 7, 9]
    for wrong in ([300], [-1], [1.5], [[1, 2]], "all"):
        with pytest.raises(InvalidInput, match="pos_idxs"):
            strategy.update(wrong)
        with pytest.raises(InvalidInput, match="neg_idxs"):
            strategy.update([1], wrong)
    assert np.flatnonzero(dataset.labeled_idxs).tolist() == [3, 5, 7, 9]


def test_accuracy(digits):
    x, y = digits
    dataset = Data(x, y, x[:4], y[:4], DigitsHandler)
    preds = torch.from_numpy(y[:4]).clone()
    assert dataset.cal_test_acc(preds) == 1
    preds[0] = (preds[0] + 1) % 10
    assert (
        dataset.cal_test_acc(preds)
        == dataset.cal_test_acc(preds.tolist())
        == dataset.cal_test_acc(preds.numpy())
        == 0.75
    )
    with pytest.raises(InvalidInput, match="4 test examples"):
        dataset.cal_test_acc(preds[:3])


def test_invalid_data(digits):
    x, y = digits
    for arrays, message in (
        ((x, y[:9], x, y), "X_train and Y_train must have equal lengths, got 400 examples and 9 labels"),
        ((x, y, x[:9], y), "X_test and Y_test must have equal lengths"),
        ((x[:0], y[:0], x, y), "X_train is empty"),
    ):
        with pytest.raises(InvalidInput, match=message):
            Data(*arrays, DigitsHandler)
    with pytest.raises(InvalidInput, match="handler must be a class"):
        Data(x, y, x, y, DigitsHandler(x, y))


# --- nets -----------------------------------------------------------------------------------------------------------


def plain_sgd(build, x, y, seed, n_epoch, batch_size, lr, momentum):
    """The usual training loop, with the library's initial weights, order of examples and dropout masks."""
    rng = Rng(seed)
    with rng.child("weights").scope():
        model = build()
    model.train()
    order = rng.child("fit", "order").torch()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    with rng.child("fit").scope():
        for _ in range(n_epoch):
            for rows in torch.randperm(len(x), generator=order).split(batch_size):
                optimizer.zero_grad()
                F.cross_entropy(model(x[rows])[0], y[rows]).backward()
                optimizer.step()
    return model


def test_training_is_plain_sgd(digits):
    x, y = digits
    for build in (DigitsNet, PlainNet):
        net = Net(build, PARAMS, "cpu")
        torch.manual_seed(5)
        net.train(DigitsHandler(x[:100], y[:100]))  # 6 minibatches of 16 and one of 4
        torch.manual_seed(5)
        seed = int(torch.randint(2**62, (1,)))
        expected = plain_sgd(build, torch.from_numpy(x[:100]), torch.from_numpy(y[:100]), seed, 8, 16, 0.1, 0.5)
        for name, value in expected.state_dict().items():
            torch.testing.assert_close(net.clf.state_dict()[name], value, msg=f"{build.__name__}: {name}")


def test_training_of_whole_batches_is_plain_sgd():
    x = torch.randint(256, (40, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    y = torch.arange(40) % 10
    net = Net(deepal.MNIST_Net, {**PARAMS, "n_epoch": 2}, "cpu")
    torch.manual_seed(5)
    net.train(MNIST_Handler(x, y))
    torch.manual_seed(5)
    seed = int(torch.randint(2**62, (1,)))
    inputs = (x[:, None].float() / 255 - 0.1307) / 0.3081
    expected = plain_sgd(deepal.MNIST_Net, inputs, y, seed, 2, 16, 0.1, 0.5)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(net.clf.state_dict()[name], value, msg=name)


def test_every_training_starts_with_a_fresh_network(make):
    dataset, net = make()
    first = net.clf
    net.train(dataset.get_labeled_data()[1])
    assert net.clf is not first


def test_predictions_are_those_of_the_network(make):
    dataset, net = make()
    data = dataset.get_test_data()
    net.clf.eval()
    with torch.no_grad():
        logits, embedding = net.clf(torch.from_numpy(dataset.X_test))
    state = torch.get_rng_state()
    torch.testing.assert_close(net.predict_prob(data), logits.softmax(1))
    torch.testing.assert_close(net.get_embeddings(data), embedding)
    found = net.predict(data)
    assert torch.equal(found, logits.argmax(1))
    assert found.dtype == torch.int64
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(0)
    split = net.predict_prob_dropout_split(data, 5)
    torch.manual_seed(0)
    mean = net.predict_prob_dropout(data, n_drop=5)
    assert split.shape == (5, 100, 10)
    assert not torch.equal(split[0], split[1])
    torch.testing.assert_close(split.mean(0), mean)
    strategy = Strategy(dataset, net)
    assert torch.equal(strategy.predict(data), found)
    assert strategy.predict_prob_dropout(data).shape == (100, 10)
    assert strategy.predict_prob_dropout_split(data).shape == (10, 100, 10)
    assert strategy.get_embeddings(data).shape == (100, 32)


def test_published_networks():
    for build, shape, n_parameters in (
        (deepal.MNIST_Net, (1, 28, 28), 21_840),
        (deepal.SVHN_Net, (3, 32, 32), 501_152),
        (deepal.CIFAR10_Net, (3, 32, 32), 131_088),
    ):
        net = build()
        x = torch.randn(5, *shape)
        for mode in (True, False):
            logits, embedding = net.train(mode)(x)
            assert logits.shape == (5, 10), build
            assert embedding.shape == (5, net.get_embedding_dim()) == (5, 50), build
            assert bool((embedding >= 0).all()), build
        assert torch.equal(net.head(embedding), logits), build
        assert sum(p.numel() for p in net.parameters()) == n_parameters, build
        assert {name.partition(".")[0] for name in net.state_dict()} >= {"conv1", "conv2", "fc1", "fc2"}, build
        with pytest.raises(RuntimeError):
            net(torch.randn(5, *shape[:2], shape[2] + 8))


def test_a_network_that_breaks_the_protocol(make):
    dataset, net = make(net=lambda: nn.Linear(64, 10), trained=False)
    with pytest.raises(UnsupportedModel, match=r"Linear.forward\(x\) must return the pair"):
        net.train(dataset.get_labeled_data()[1])


def test_predicting_before_training(make):
    dataset, net = make(trained=False)
    with pytest.raises(InvalidInput, match="call train first"):
        net.predict(dataset.get_test_data())
    assert net.clf is None
    assert len(deepal.MarginSampling(dataset, net).query(4)) == 4  # trains on the first labels
    assert net.clf is not None


def test_predicting_no_examples(make):
    dataset, net = make()
    with pytest.raises(InvalidInput, match="no examples"):
        net.predict(DigitsHandler(dataset.X_train[:0], dataset.Y_train[:0]))


def test_examples_may_be_read_by_other_processes(make):
    dataset, net = make()
    expected = queried("MarginSampling", dataset, net).tolist()
    weights = net.clf.head.weight
    _, other = make(train_args={"batch_size": 16, "num_workers": 1}, test_args={"batch_size": 50, "num_workers": 1})
    assert torch.equal(other.clf.head.weight, weights)
    assert queried("MarginSampling", dataset, other).tolist() == expected


def test_training_without_labels(make):
    dataset, net = make(labeled=0, trained=False)
    with pytest.raises(InvalidInput, match="initialize_labels"):
        Strategy(dataset, net).train()


def test_a_label_that_the_network_has_no_output_for(digits):
    x, y = digits
    with pytest.raises(InvalidInput, match="10"):
        Net(DigitsNet, PARAMS, "cpu").train(DigitsHandler(x, y + 1))


def test_invalid_params():
    for changes, message in (
        ({"n_epochs": 3}, "did you mean 'n_epoch'"),
        ({"train_args": {"batchsize": 3}}, "did you mean 'batch_size'"),
        ({"train_args": {"shuffle": True}}, "shuffle"),
        ({"optimizer_args": {"lr": 0.1, "nesterov": True}}, "nesterov"),
        ({"optimizer_args": {"momentum": 0.1}}, "optimizer_args must have the keys 'lr'; missing: lr"),
        ({"optimizer_args": {"lr": -1}}, "lr"),
        ({"n_epoch": 0}, "n_epoch"),
        ({"test_args": None}, "test_args must be a dictionary"),
    ):
        with pytest.raises(InvalidInput, match=message):
            Net(DigitsNet, {**PARAMS, **changes}, "cpu")
    with pytest.raises(InvalidInput, match=r"params must have the keys .*; missing: test_args"):
        Net(DigitsNet, {key: value for key, value in PARAMS.items() if key != "test_args"}, "cpu")


def test_params_may_be_changed_between_trainings(make):
    dataset, net = make(trained=False, n_epoch=1)
    torch.manual_seed(0)
    net.train(dataset.get_labeled_data()[1])
    short = net.clf.head.weight
    net.params["n_epoch"] = 2
    torch.manual_seed(0)
    net.train(dataset.get_labeled_data()[1])
    assert not torch.equal(net.clf.head.weight, short)


def test_a_learning_rate_of_0_keeps_the_weights(make):
    dataset, net = make(trained=False, n_epoch=2)
    net.params["optimizer_args"] = {"lr": 0, "momentum": 0.5}
    torch.manual_seed(0)
    net.reset(Rng(drawn_seed()).child("weights"))
    first = [p.detach().clone() for p in net.clf.parameters()]
    torch.manual_seed(0)
    net.train(dataset.get_labeled_data()[1])
    assert all(map(torch.equal, net.clf.parameters(), first))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize("name", NAMES)
def test_on_an_accelerator(name, make):
    dataset, _ = make()
    strategy = get_strategy(name)(dataset, Net(DigitsNet, PARAMS, torch.device("cuda")))
    strategy.train()
    assert len(strategy.query(5)) == 5
    assert strategy.net.clf.head.weight.device.type == "cuda"
    assert dataset.cal_test_acc(strategy.predict(dataset.get_test_data())) > 0.3


# --- names ----------------------------------------------------------------------------------------------------------

PUBLISHED = {  # data set: handler, net, epochs, rate, momentum
    "MNIST": ("MNIST_Handler", "MNIST_Net", 10, 0.01, 0.5),
    "FashionMNIST": ("MNIST_Handler", "MNIST_Net", 10, 0.01, 0.5),
    "SVHN": ("SVHN_Handler", "SVHN_Net", 20, 0.01, 0.5),
    "CIFAR10": ("CIFAR10_Handler", "CIFAR10_Net", 20, 0.05, 0.3),
}


def test_published_names():
    for name, (handler, net, n_epoch, lr, momentum) in PUBLISHED.items():
        params = {
            "n_epoch": n_epoch,
            "train_args": {"batch_size": 64, "num_workers": 1},
            "test_args": {"batch_size": 1000, "num_workers": 1},
            "optimizer_args": {"lr": lr, "momentum": momentum},
        }
        assert deepal.get_handler(name) is getattr(deepal, handler), name
        assert get_params(name) == params, name
        classifier = get_net(name, torch.device("cpu"))
        assert (classifier.net, classifier.params) == (getattr(deepal, net), params), name
        assert classifier.device == torch.device("cpu"), name
        classifier.params["train_args"]["batch_size"] = 1
        assert get_params(name) == params, name


def test_strategies_by_name():
    for name in NAMES:
        assert get_strategy(name) is getattr(deepal, name)
        assert issubclass(get_strategy(name), Strategy)


def test_unknown_names():
    for get in ("get_handler", "get_dataset", "get_params", "get_strategy", "get_net"):
        name, meant = ("MarginSamplin", "MarginSampling") if get == "get_strategy" else ("MNITS", "MNIST")
        arguments = (name, "cpu") if get == "get_net" else (name,)
        with pytest.raises(NotImplementedError, match=f"did you mean '{meant}'") as caught:
            getattr(deepal, get)(*arguments)
        assert isinstance(caught.value, UnknownName)


# --- the demo's data ------------------------------------------------------------------------------------------------


def fake_images(channels, size, n=40_100, n_test=30):
    def images(n):
        return (
            torch.arange(n)[:, None, None, None]
            .expand(n, channels, size, size)
            .remainder(251)
            .to(torch.uint8)
            .contiguous()
        )

    labels = torch.arange(n) % 10
    return DataSet("fake", images(n), labels, images(n_test), labels[:n_test], 10)


@pytest.mark.parametrize(
    ("name", "channels", "size", "shape"),
    [
        ("MNIST", 1, 28, (28, 28)),
        ("FashionMNIST", 1, 28, (28, 28)),
        ("SVHN", 3, 32, (3, 32, 32)),
        ("CIFAR10", 3, 32, (32, 32, 3)),
    ],
)
def test_published_data_sets(name, channels, size, shape, monkeypatch, tmp_path):
    calls = []

    def load(known, root, *, download):
        calls.append((known, root, download))
        return fake_images(channels, size)

    monkeypatch.setattr("distil.deepal.data.load", load)
    dataset = deepal.get_dataset(name, tmp_path)
    known = {"MNIST": "mnist", "FashionMNIST": "fmnist", "SVHN": "svhn", "CIFAR10": "cifar10"}[name]
    assert calls == [(known, tmp_path, True)]
    assert (dataset.n_pool, dataset.n_test) == (40_000, 30)
    assert tuple(dataset.X_train.shape[1:]) == shape
    assert isinstance(dataset.X_train, np.ndarray if channels == 3 else torch.Tensor)
    assert isinstance(dataset.Y_train, torch.Tensor)
    handled = dataset.get_test_data()
    x, y, index = handled[3]
    assert (x.shape, x.dtype, int(y), index) == ((channels, size, size), torch.float32, 3, 3)
    mean, std = {
        "SVHN": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
        "CIFAR10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    }.get(name, ((0.1307,), (0.3081,)))
    np.testing.assert_allclose(x[:, 4, 5], (3 / 255 - np.array(mean)) / np.array(std), rtol=1e-5)
    rows = torch.tensor([5, 0, 5])
    assert torch.equal(handled.batch(rows), torch.stack([handled[i][0] for i in rows.tolist()]))


@pytest.mark.parametrize("name", ["MarginSampling", "KCenterGreedy"])
def test_the_flow_of_the_published_demo(name, monkeypatch):
    monkeypatch.setattr("distil.deepal.data.load", lambda *_, **__: fake_images(1, 28, n=120))
    torch.manual_seed(1)
    dataset = deepal.get_dataset("MNIST")
    net = get_net("MNIST", torch.device("cpu"))
    strategy = get_strategy(name)(dataset, net)
    dataset.initialize_labels(20)
    strategy.train()
    accuracies = [dataset.cal_test_acc(strategy.predict(dataset.get_test_data()))]
    for _ in range(2):
        query_idxs = strategy.query(10)
        strategy.update(query_idxs)
        strategy.train()
        accuracies.append(dataset.cal_test_acc(strategy.predict(dataset.get_test_data())))
    assert dataset.labeled_idxs.sum() == 40
    assert all(0 <= a <= 1 for a in accuracies)

"""Cases of advice for ``test_advice.py``: the documented interfaces, and tables of finished runs."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import nn

from distil import deepal
from distil.active_learning_strategies import EntropySampling
from distil.evaluation.compare import summarize
from distil.evaluation.curves import Curves
from distil.evaluation.tables import markdown_table
from distil.utils.data_handler import DataHandler_Points
from distil.utils.dataset import get_MNIST, make_data_redundant

N, D, C = 24, 4, 3
X = np.random.default_rng(7).normal(size=(N, D)).astype(np.float32)
Y = np.arange(N) % C


def net():
    return nn.Linear(D, C)


class PairNet(nn.Module):
    """A network as DeepAL has them."""

    def __init__(self):
        super().__init__()
        self.head = net()

    def forward(self, x):
        return self.head(x), x

    def get_embedding_dim(self):
        return D


PARAMS = {
    "n_epoch": 1,
    "train_args": {"batch_size": 8, "num_workers": 0},
    "test_args": {"batch_size": 8, "num_workers": 0},
    "optimizer_args": {"lr": 0.1},
}


class Handler(torch.utils.data.Dataset):
    """A handler as DeepAL has them."""

    def __init__(self, x, y):
        self.x, self.y = torch.as_tensor(np.asarray(x)), torch.as_tensor(np.asarray(y))

    def __getitem__(self, row):
        return self.x[row], self.y[row], row

    def __len__(self):
        return len(self.x)


PAIRS = Handler(X[:1], Y[:1])


def deep(num=3, train=True, **sizes):
    """A strategy of DeepAL, perhaps trained."""
    n = sizes.get("pool", N)
    subject = deepal.MarginSampling(
        deepal.Data(X[:n], Y[:n], X[:4], Y[:4], Handler), deepal.Net(PairNet, PARAMS, "cpu")
    )
    if num:
        subject.dataset.initialize_labels(num)
    if train:
        subject.train()
    return subject


def face(model):
    return EntropySampling(X, Y, X, model, DataHandler_Points, C, {"batch_size": 8})


def stated(wide):
    """Load a saved state of a network into a strategy, perhaps with the saved architecture."""
    face(net()).save_state("face.safetensors")
    subject = face(nn.Sequential(net(), nn.Linear(C, C)))
    if not wide:
        subject.update_model(net())
    subject.load_state("face.safetensors")


def table(summaries=None, target=None, other=False):
    """The table of two summaries, perhaps of two calls."""
    labels = np.array([10, 20])

    def curves(last):
        return Curves(labels, np.array([[0.5, last], [0.5, last + 0.1]]), (0, 1))

    made = summarize({"random_sampling": curves(0.6), "b": curves(0.7)}, target=0.6)
    if other:
        more = summarize({"c": curves(0.6), "d": curves(0.7)}, target=0.6, baseline="c")
        made = [made[0], more[-1]]
    return markdown_table(made, target)


def written(array):
    """The bytes of an array in the format of MNIST."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def digits(**more):
    """Read a small MNIST, changed in these ways."""
    folder = Path("MNIST/raw")
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(written(np.zeros((20, 28, 28))))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(written(np.arange(20) % 10))
    return get_MNIST(".", tr_load_args=more)


# Advice in a message; the call that gives it; the call that follows it.
FACES = [
    ("pass the target that was passed to summarize", lambda: table(target=0.7), lambda: table(target=0.6)),
    (
        "pass the summaries of one call of summarize",
        lambda: table(target=0.6, other=True),
        lambda: table(target=0.6),
    ),
    ("call initialize_labels(num) or update(ids) first", lambda: deep(0), lambda: deep(3)),
    (
        "the network is not trained yet; call train first",
        lambda: deep(train=False).predict(PAIRS),
        lambda: deep().predict(PAIRS),
    ),
    ("pass at least one example to query", lambda: deep(0, train=False, pool=0), lambda: deep(0, train=False)),
    (
        "pass at least one to predict",
        lambda: deep().predict(Handler(X[:0], Y[:0])),
        lambda: deep().predict(PAIRS),
    ),
    (
        "call update_model with a model of the saved architecture first",
        lambda: stated(wide=True),
        lambda: stated(wide=False),
    ),
    (
        "got both; leave one out",
        lambda: digits(class_imbalance_ratio=0.5, noisy_labels_ratio=0.5),
        lambda: (digits(class_imbalance_ratio=0.5), digits(noisy_labels_ratio=0.5)),
    ),
    (
        "are the same argument; pass only initial_bud",
        lambda: make_data_redundant(X, Y, initial_bud=2, intial_bud=2, unique_points=4),
        lambda: make_data_redundant(X, Y, initial_bud=2, unique_points=4),
    ),
]

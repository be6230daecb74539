"""Cases of advice for ``test_advice.py``: selections, models, learners and their states."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from torch import nn

import distil
from distil import strategies
from distil.active_learning_strategies import GLISTER
from distil.evaluation.compare import summarize
from distil.evaluation.curves import Curves
from distil.evaluation.metrics import calibration_error
from distil.functional.knapsack import knapsack
from distil.strategies.registry import register
from distil.training.linear_head import LinearHead
from distil.utils.data_handler import DataHandler_Points

N, D, C = 24, 4, 3
GENERATOR = np.random.default_rng(1)
X = GENERATOR.normal(size=(N, D)).astype(np.float32)
Y = np.arange(N) % C
PROBS = GENERATOR.dirichlet(np.ones(C), N).astype(np.float32)
NAMES = [f"n{row}" for row in range(N)]
SERIES = pd.Series([1, 2], index=[3, 4])
COUNTED = pd.Series([0, 1])
SHUFFLED = [*range(1, N), 0]
TEXTS = [f"text {name}" for name in NAMES]


def net(outputs=C, inputs=D):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, outputs))


def one(**arguments):
    return distil.select_from("margin_sampling", 2, **{"probs": PROBS, **arguments})


def core(n=2, **arguments):
    return distil.select_from("core_set", n, **{"embeddings": X, **arguments})


class TwoInTraining(nn.Linear):
    def forward(self, x):
        z = x @ self.weight.T
        return (-z, 2 * z) if self.training else 2 * z


def two_in_training(logits):
    network = None if logits is None else lambda model: distil.wrap(model, logits=logits)
    learner = distil.Learner(X, TwoInTraining(D, C), "margin_sampling", num_classes=C, network=network)
    learner.label([0, 1, 2], [0, 1, 2])
    return learner.fit()


def margin(model, data=X, **options):
    return distil.select("margin_sampling", model, data, 2, **options)


def words(texts, **options):
    """A selection from a pool of texts."""
    pipeline = make_pipeline(CountVectorizer(token_pattern=r"\w+"), LogisticRegression()).fit(["a b", "c d"], [0, 1])
    return distil.select("margin_sampling", pipeline, texts, 2, **options)


def glister(**options):
    return distil.select_from("glister", 2, probs=PROBS, embeddings=X, **options)


def learner(model=None, data=X, strategy="margin_sampling", **options):
    own = {} if "classes" in options else {"num_classes": C}
    return distil.Learner(data, net() if model is None else model, strategy, **{**own, **options})


def trained(subject, ids=(0, 1, 2), labels=(0, 1, 2)):
    subject.label(list(ids), list(labels))
    return subject.fit()


def twice(subject):
    trained(subject)
    return trained(subject, [3, 4, 5])


def restored(state, **options):
    subject = learner(**options)
    subject.load_state_dict(state)
    return subject


def state(ids=(0, 1, 2), labels=(0, 1, 2), **options):
    subject = learner(**options)
    subject.label(list(ids), list(labels))
    return subject.state_dict()


def fitted(model, y=Y):
    return model.fit(X, y)


class Attacked(nn.Module):
    """A network whose logits have no gradient by its inputs, or have one."""

    def __init__(self, detached):
        super().__init__()
        self.layer, self.detached = nn.Linear(D, C), detached

    def forward(self, x):
        return self.layer(x.detach() if self.detached else x)


class Pair(nn.Module):
    """A network of two arguments."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(D, C)

    def forward(self, a, b):
        return self.head(a + b)


class Short(nn.Module):
    """A network that loses an example."""

    def __init__(self, lost):
        super().__init__()
        self.head, self.lost = nn.Linear(D, C), lost

    def forward(self, x):
        return self.head(x)[self.lost :]


def pairs():
    return torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(X))


def saved(name, content):
    torch.save(content, name)
    return name


def attack(model, **options):
    return distil.select("adversarial_deepfool", model, X, 2, **options)


def registered(name, *, frozen=True, derives=True):
    """Register a new strategy; its name is free again afterwards."""
    from distil.strategies import registry

    base = strategies.RandomSampling.__mro__[1] if derives else object
    kind = type("Mine", (base,), {"__module__": __name__})
    try:
        return register(name)(dataclass(frozen=True)(kind) if frozen else kind)
    finally:
        if name.startswith("advice"):
            registry._REGISTRY.pop(name, None)


# Advice in a message; the call that gives it; the call that follows it.
SELECTIONS = [
    ("pass labeled.to_list()", lambda: one(labeled=SERIES), lambda: one(labeled=SERIES.to_list())),
    (
        "labeled.to_dict() if they are labels",
        lambda: glister(labeled=SERIES),
        lambda: glister(labeled=SERIES.to_dict()),
    ),
    (
        "pass (labeled.index, labeled.to_list())",
        lambda: core(names=SHUFFLED, labeled=COUNTED),
        lambda: core(names=SHUFFLED, labeled=(COUNTED.index, COUNTED.to_list())),
    ),
    (
        "pass pandas.Index(labeled)",
        lambda: core(names=SHUFFLED, labeled=COUNTED),
        lambda: core(names=SHUFFLED, labeled=pd.Index(COUNTED)),
    ),
    ("pass its keys, list(exclude)", lambda: one(exclude={1: "a"}), lambda: one(exclude=list({1: "a"}))),
    (
        "pass exclude.index",
        lambda: one(exclude=pd.Series(["a", "b"], index=[3, 4])),
        lambda: one(exclude=pd.Series(["a", "b"], index=[3, 4]).index),
    ),
    ("add examples or candidates", lambda: one(exclude=list(range(N))), lambda: one(exclude=list(range(N - 2)))),
    (
        "pass a boolean mask, or names that are texts",
        lambda: core(names=[*range(1, N), 0], exclude=[3]),
        lambda: [core(names=[*range(1, N), 0], exclude=[True] + [False] * (N - 1)), core(names=NAMES, exclude=["n3"])],
    ),
    (
        "fill in missing texts, or leave them out with exclude=",
        lambda: words(["a b", None, "c d"]),
        lambda: [words(["a b", "b", "c d"]), words(["a b", None, "c d"], exclude=[1])],
    ),
    ("pass a text or a number", lambda: core(names=[None, *NAMES[1:]]), lambda: core(names=NAMES)),
    (
        "a control character; take it out",
        lambda: core(names=["a\0", *NAMES[1:]]),
        lambda: core(names=["a", *NAMES[1:]]),
    ),
    (
        "pass embeddings.toarray()",
        lambda: core(embeddings=sparse.csr_matrix(X)),
        lambda: core(embeddings=sparse.csr_matrix(X).toarray()),
    ),
    (
        "numpy.stack(embeddings)",
        lambda: core(embeddings=pd.Series(list(X))),
        lambda: core(embeddings=np.stack(pd.Series(list(X)))),
    ),
    ("leave gamma out", lambda: strategies.FASS(gamma=2.0, metric="cosine"), lambda: strategies.FASS(metric="cosine")),
    ("use it as it is", lambda: strategies.Predictive(strategies.CoreSet()), core),
    (
        "pass elapsed=, from 0",
        lambda: distil.select_from(strategies.StochasticAcquisition(last_beta=2.0), 2, probs=PROBS),
        lambda: distil.select_from(strategies.StochasticAcquisition(last_beta=2.0), 2, probs=PROBS, elapsed=0.5),
    ),
    (
        "or leave last_beta out",
        lambda: distil.select_from(strategies.StochasticAcquisition(last_beta=2.0), 2, probs=PROBS),
        lambda: distil.select_from(strategies.StochasticAcquisition(), 2, probs=PROBS),
    ),
    (
        "pass query=",
        lambda: distil.select_from("smi", 2, embeddings=X),
        lambda: distil.select_from("smi", 2, embeddings=X, query=[0, 1]),
    ),
    (
        "pass logits.softmax(1)",
        lambda: calibration_error(torch.from_numpy(X[:, :C]), torch.from_numpy(Y)),
        lambda: calibration_error(torch.from_numpy(X[:, :C]).softmax(1), torch.from_numpy(Y)),
    ),
    (
        "@dataclass(frozen=True) below @register",
        lambda: registered("advice a", frozen=False),
        lambda: registered("advice b"),
    ),
    ("choose another name", lambda: registered("badge"), lambda: registered("advice c")),
    ("did you mean 'core_set'", lambda: distil.select_from("coreset", 2, embeddings=X), core),
]

MODELS = [
    ("remove torch.no_grad and detach", lambda: attack(Attacked(True)), lambda: attack(Attacked(False))),
    ("use margin_sampling", lambda: attack(fitted(LogisticRegression())), lambda: margin(fitted(LogisticRegression()))),
    (
        "build= needs a path",
        lambda: distil.wrap(net(), build=net),
        lambda: distil.wrap(saved("w.pt", net().state_dict()), build=net),
    ),
    (
        "pass distil.wrap('w.pt', build=...)",
        lambda: margin(saved("w.pt", net().state_dict())),
        lambda: margin(distil.wrap("w.pt", build=net)),
    ),
    (
        "save model.state_dict() instead",
        lambda: distil.wrap(saved("w.pt", net()), build=net),
        lambda: distil.wrap(saved("w.pt", net().state_dict()), build=net),
    ),
    (
        "pass a torch.nn.Module, a fitted classifier",
        lambda: margin(7),
        lambda: [margin(net()), margin(fitted(LogisticRegression()))],
    ),
    (
        "pass a module that has one",
        lambda: margin(nn.ModuleList([net()])),
        lambda: margin(nn.Sequential(*nn.ModuleList([net()]))),
    ),
    (
        "fit CalibratedClassifierCV",
        lambda: margin(fitted(Perceptron())),
        lambda: margin(fitted(calibrated(Perceptron()))),
    ),
    (
        'voting="soft"',
        lambda: margin(fitted(VotingClassifier([("a", KNeighborsClassifier(3))], voting="hard"))),
        lambda: margin(fitted(VotingClassifier([("a", KNeighborsClassifier(3))], voting="soft"))),
    ),
    (
        'need task="multilabel"',
        lambda: margin(fitted(KNeighborsClassifier(3), np.stack([Y % 2, Y % 2], 1))),
        lambda: distil.select(
            "multilabel_uncertainty",
            fitted(KNeighborsClassifier(3), np.stack([Y % 2, Y % 2], 1)),
            X,
            2,
            task="multilabel",
        ),
    ),
    (
        "give examples with an entry for each",
        lambda: margin(Pair()),
        lambda: margin(Pair(), pairs()),
    ),
    (
        "pass inputs=, a function from the minibatch to a tuple",
        lambda: margin(Pair()),
        lambda: margin(distil.wrap(Pair(), inputs=lambda x: (x, x))),
    ),
    ("expected one row for each example", lambda: margin(Short(1)), lambda: margin(Short(0))),
    (
        "collate (or the data set) must return one row for each example",
        lambda: margin(net(), list(torch.from_numpy(X)), collate=lambda rows: torch.stack(rows)[1:]),
        lambda: margin(net(), list(torch.from_numpy(X)), collate=torch.stack),
    ),
    (
        "to leave out examples, pass exclude=",
        lambda: margin(net(), list(torch.from_numpy(X)), collate=lambda rows: torch.stack(rows)[1:]),
        lambda: margin(net(), list(torch.from_numpy(X)), collate=torch.stack, exclude=[0]),
    ),
    ("pass examples of the shape that it was built for", lambda: margin(net(inputs=D + 1)), lambda: margin(net())),
    (
        "give each example as a row",
        lambda: margin(net(inputs=1), list(X[:, 0])),
        lambda: margin(net(inputs=1), [[float(value)] for value in X[:, 0]]),
    ),
    (
        "pass data.to_numpy().astype('float32')",
        lambda: margin(net(), pd.DataFrame(X)),
        lambda: margin(net(), pd.DataFrame(X).to_numpy().astype("float32")),
    ),
    (
        "pass data.astype('float64')",
        lambda: margin(net().double(), X.astype(np.longdouble)),
        lambda: margin(net().double(), X.astype("float64")),
    ),
    (
        "pass the column of texts, as in data['text']",
        lambda: words(pd.DataFrame({"text": TEXTS})),
        lambda: words(pd.DataFrame({"text": TEXTS})["text"]),
    ),
    (
        "data.to_frame()",
        lambda: margin(net(inputs=1), pd.Series(X[:, 0])),
        lambda: margin(fitted1(), pd.Series(X[:, 0]).to_frame()),
    ),
    (
        "check the order of the arguments",
        lambda: distil.select("margin_sampling", X, net(), 2),
        lambda: distil.select("margin_sampling", net(), X, 2),
    ),
    (
        "pass one of its values: data['x']",
        lambda: margin(net(), {"x": X, "size": N}),
        lambda: margin(net(), {"x": X}["x"]),
    ),
    (
        "pass a data frame, or a list of examples",
        lambda: margin(net(), np.array([TEXTS] * 2)),
        lambda: margin(lengths, TEXTS),
    ),
    (
        "data.tolist() if each text is one",
        lambda: margin(lengths, np.array(TEXTS)),
        lambda: margin(lengths, np.array(TEXTS).tolist()),
    ),
    (
        "leave out columns that it does not know",
        lambda: margin(fitted(LogisticRegression()), pd.DataFrame({"text": TEXTS})),
        lambda: margin(fitted(LogisticRegression()), X),
    ),
    (
        "open one of its values",
        lambda: distil.open_pool({"train": TEXTS}),
        lambda: distil.open_pool(np.array({"train": X}["train"])),
    ),
]


def calibrated(model):
    from sklearn.calibration import CalibratedClassifierCV

    return CalibratedClassifierCV(model, cv=2)


def fitted1():
    return LogisticRegression().fit(X[:, :1], Y)


def lengths(texts):
    return torch.tensor([[float(len(text)), 1.0, 0.0] for text in texts])


class Normed(nn.Sequential):
    """A network with BatchNorm."""

    def __init__(self):
        super().__init__(nn.Linear(D, 8), nn.BatchNorm1d(8), nn.Linear(8, C))


STATES = [
    (
        "label at least 2 examples",
        lambda: trained(learner(Normed()), [0], [1]),
        lambda: trained(learner(Normed()), [0, 1], [1, 2]),
    ),
    ("load the state of the same data", lambda: restored(state(), data=X[:9]), lambda: restored(state())),
    (
        "load it into a learner whose data has them",
        lambda: restored(state(NAMES[:3], names=NAMES), data=X[5:], names=NAMES[5:]),
        lambda: restored(state(NAMES[:3], names=NAMES), names=NAMES),
    ),
    (
        "give the module 4 outputs",
        lambda: trained(learner(net(3), num_classes=4)),
        lambda: trained(learner(net(4), num_classes=4)),
    ),
    (
        "pass its rows as one array",
        lambda: learner(LinearHead.over(list(X), num_classes=C)),
        lambda: learner(LinearHead.over(np.stack(list(X)), num_classes=C)),
    ),
    (
        "pass the same names=",
        lambda: restored(state(), names=NAMES),
        lambda: restored(state(["n1", "n2", "n3"], names=NAMES), names=NAMES),
    ),
    (
        "make the learner with classes=",
        lambda: restored(state(labels="abc", classes=list("abc"))),
        lambda: restored(state(labels="abc", classes=list("abc")), classes=list("abc")),
    ),
    (
        "or give a new learner the labels alone, new.label(old.labels)",
        lambda: restored(state(labels="abc", classes=list("abc")), classes=list("abcd")),
        lambda: learner(classes=list("abcd")).label(
            restored(state(labels="abc", classes=list("abc")), classes=list("abc")).labels
        ),
    ),
    ("pass what state_dict() returned", lambda: restored({**state(), "pool": 3}), lambda: restored(state())),
    (
        "pass the same data",
        lambda: restored(state(), data=list(torch.from_numpy(X))),
        lambda: restored(state(), data=X),
    ),
    (
        "load it into a learner of the same data",
        lambda: restored(state(), data=X[::-1].copy()),
        lambda: restored(state(), data=X),
    ),
    (
        "or use names=",
        lambda: restored(state(), data=X[::-1].copy()),
        lambda: restored(state(NAMES[:3], names=NAMES), data=X[::-1].copy(), names=NAMES[::-1]),
    ),
    ("withdraw the label with unlabel", lambda: labeled().release([0]), lambda: labeled().unlabel([0])),
    ("fit must be a FitConfig or a function", lambda: learner(fit=3), lambda: learner(fit=distil.FitConfig())),
    (
        "or retrain='warm' to continue",
        lambda: twice(learner(retrain="scratch")),
        lambda: twice(learner(retrain="warm")),
    ),
    (
        "pass a function that builds the model to draw new ones",
        lambda: twice(learner(retrain="scratch")),
        lambda: twice(learner(net, retrain="scratch")),
    ),
    (
        "lower FitConfig.lr",
        lambda: trained(learner(fit=distil.FitConfig(lr=1e30))),
        lambda: trained(learner(fit=distil.FitConfig(lr=1e-3))),
    ),
    (
        "pass validation=",
        lambda: trained(learner(fit=distil.FitConfig(patience=2))),
        lambda: trained(learner(fit=distil.FitConfig(patience=2), validation=(X[:4], Y[:4]))),
    ),
    ("correct this label", lambda: learner().label({0: 1.5}), lambda: learner().label({0: 1})),
    (
        "pass num_classes=3",
        lambda: learner(fitted(LogisticRegression(), np.array(list("abc"))[Y]), num_classes=4),
        lambda: learner(fitted(LogisticRegression(), np.array(list("abc"))[Y]), num_classes=3),
    ),
]


def labeled():
    subject = learner()
    subject.label([0, 1, 2], [0, 1, 2])
    return subject


def curves(values=((0.5, 0.6), (0.5, 0.7)), labels=(10, 20), seeds=(0, 1)):
    return Curves(np.array(labels), np.array(values), seeds)


def frame(order):
    return pd.DataFrame(X, index=NAMES).loc[order]


def two(embeddings):
    return distil.select_from("badge", 2, probs=pd.DataFrame(PROBS, index=NAMES), embeddings=embeddings)


def faces(lr=0.1, **options):
    """GLISTER of the DISTIL document."""
    return GLISTER(X, Y, X, net(), DataHandler_Points, C, {"batch_size": 4, **({"lr": lr} if lr else {})}, **options)


MORE = [
    (
        "take a strategy whose scores are at least 0, such as entropy_sampling",
        lambda: knapsack(torch.tensor([-1.0, 2.0]), torch.ones(2), 1),
        lambda: distil.select(strategies.Knapsack("entropy_sampling"), net(), X, 2, costs=np.ones(N)),
    ),
    (
        "pass costs=..., one number each",
        lambda: distil.select("knapsack", net(), X, 2),
        lambda: distil.select("knapsack", net(), X, 2, costs=np.ones(N)),
    ),
    (
        "last_beta needs beta",
        lambda: strategies.ClassStratifiedEntropy(last_beta=5),
        lambda: strategies.ClassStratifiedEntropy(beta=1, last_beta=5),
    ),
    ("pass X_val and Y_val", lambda: faces(valid=True), lambda: faces(valid=True, X_val=X[:4], Y_val=Y[:4])),
    ("pass args={'lr': ...}", lambda: faces(lr=None, valid=False), lambda: faces(valid=False)),
    (
        "select their rows with .loc[...]",
        lambda: core(names=NAMES, labeled=NAMES[:2], labels=pd.Series([0, 1], index=NAMES[2:4])),
        lambda: core(names=NAMES, labeled=NAMES[:2], labels=pd.Series(Y, index=NAMES).loc[NAMES[:2]]),
    ),
    (
        "pass logits=, a function that reads both, to distil.wrap, in a Learner with network=",
        lambda: two_in_training(None),
        lambda: two_in_training(lambda made: made[1] if isinstance(made, tuple) else made),
    ),
    ("reorder it with .loc[...]", lambda: two(frame(NAMES[::-1])), lambda: two(frame(NAMES[::-1]).loc[NAMES])),
    (
        "pass the same rows in the same order, or .to_numpy() if they are and the index is not right",
        lambda: two(pd.DataFrame(X, index=[*NAMES[:-1], "other"])),
        lambda: (two(frame(NAMES)), two(pd.DataFrame(X, index=[*NAMES[:-1], "other"]).to_numpy())),
    ),
    (
        "exclude has an id that is missing; leave it out",
        lambda: core(exclude=pd.array([3, None], dtype="Int64")),
        lambda: core(exclude=pd.array([3], dtype="Int64")),
    ),
    ("or pass .to_numpy()", lambda: two(frame(NAMES[::-1])), lambda: two(frame(NAMES[::-1]).to_numpy())),
    (
        "keep the points that all strategies share",
        lambda: summarize({"random_sampling": curves(), "b": curves(labels=(10, 30))}, target=None),
        lambda: summarize({"random_sampling": curves(), "b": curves()}, target=None),
    ),
    (
        "pass the same seeds in the same order",
        lambda: summarize({"random_sampling": curves(), "b": curves(seeds=(1, 0))}, target=None),
        lambda: summarize({"random_sampling": curves(), "b": curves(seeds=(0, 1))}, target=None),
    ),
    (
        "keep the seeds that all of them share",
        lambda: summarize({"random_sampling": curves(), "b": curves(values=((0.5, 0.6),), seeds=(0,))}, target=None),
        lambda: summarize({"random_sampling": curves(), "b": curves()}, target=None),
    ),
    (
        "write data that can be read only once to disk first",
        lambda: distil.open_pool(iter(TEXTS)),
        lambda: distil.open_pool(written(TEXTS)),
    ),
    (
        "for other ids, pass a table with the columns id and path",
        lambda: distil.open_pool("pictures", ids=NAMES),
        lambda: distil.open_pool("pictures.csv"),
    ),
]


def written(texts):
    Path("written.txt").write_text("".join(f"{text}\n" for text in texts))
    return "written.txt"

"""Cases of advice for ``test_advice.py``: strategies, models and learners of a user's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn
from torch.utils.data import StackDataset, Subset, TensorDataset

import distil
from distil import signals, strategies
from distil.data.labels import as_classes
from distil.functional.adversarial import deepfool
from distil.strategies import Needs, registry
from distil.training.linear_head import HeadConfig, LinearHead, fit_head

N, D, C = 24, 4, 3
X = np.random.default_rng(4).normal(size=(N, D)).astype(np.float32)
Y = np.arange(N) % C
PROBS = np.random.default_rng(5).dirichlet(np.ones(C), N).astype(np.float32)
TENSOR = torch.from_numpy(X)
POOL = TensorDataset(TENSOR)
SHORT = strategies.FASS().needs.shortlist
TEXTS = [f"text {row}" for row in range(N)]
GRADES = torch.from_numpy(X[:, :1])


def net(inputs=D):
    return nn.Linear(inputs, C)


def arrays(strategy, **more):
    return distil.select_from(strategy, 2, probs=PROBS, embeddings=X, **more)


def margin(model, data=X, **more):
    return distil.select("margin_sampling", model, data, 2, **more)


def of_many(model):
    """A selection by a model that gives each example any number of labels."""
    return distil.select("multilabel_uncertainty", model, X, 2, task="multilabel")


def own(base=distil.Strategy, needs=None, **parts):
    """A strategy of a user's own that takes the first n examples, with other parts."""

    def select(self, sets, n, rng):
        return distil.Selection(sets.pool.ids[:n])

    def score(self, sets):
        return -sets.pool.ids.double()

    usual = {"score": score} if base is distil.ScoreStrategy else {"select": select}
    kind = type("Mine", (base,), {"__module__": __name__, "needs": needs or Needs(), **usual, **parts})
    return dataclass(frozen=True)(kind)()


def reads(signal, needs):
    """A strategy that reads a signal."""
    return own(distil.ScoreStrategy, needs, score=lambda self, sets: sets.pool[signal].flatten(1).sum(1).double())


INPUTS = reads(signals.Inputs(), Needs(pool=(signals.Inputs(),)))


def own_signal(**options):
    """A signal of a user's own, which is made with these options of a dataclass."""
    parts = {"needs": (signals.Probs(),), "derive": lambda self, table: table[signals.Probs()], "__module__": __name__}
    return dataclass(**options)(type("OwnSignal", (signals.Derived,), parts))()


def required(**parameters):
    """Make a registered strategy with a parameter that has no default."""

    @dataclass(frozen=True)
    class Required(strategies.RandomSampling):
        share: float

    registry._REGISTRY["advice required"] = Required
    try:
        return registry.strategy_named("advice required", **parameters)
    finally:
        del registry._REGISTRY["advice required"]


class Sigmoids(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are those of labels of their own."""

    classes_ = np.arange(C)

    def fit(self, x, y):
        return self

    def predict(self, x):
        return self.predict_proba(x).argmax(1)

    def predict_proba(self, x):
        return 1 / (1 + np.exp(-np.asarray(x)[:, :C]))


class ManyLabels(Sigmoids):
    """The same classifier, which predicts these labels."""

    def predict(self, x):
        return self.predict_proba(x) > 0.5


class NoScores(ClassifierMixin, BaseEstimator):
    """A classifier that only predicts."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, x):
        return np.zeros(len(x), int)


class Three(nn.Module):
    """A network of three arguments."""

    def __init__(self):
        super().__init__()
        self.head = net()

    def forward(self, a, b, c):
        return self.head(a + b + c)


class Two(nn.Module):
    """A network that returns an embedding and the outputs of two heads."""

    def __init__(self):
        super().__init__()
        self.body, self.first, self.second = nn.Linear(D, 8), nn.Linear(8, C), nn.Linear(8, C)

    def forward(self, x):
        h = self.body(x)
        return h, self.first(h), self.second(h)


class Named(Three):
    """A network of two named arguments."""

    def forward(self, a, b):
        return self.head(a + b)


class Words(nn.Module):
    """A network of a dict of features, or of the features."""

    def __init__(self):
        super().__init__()
        self.head = net()

    def forward(self, x):
        return self.head(x["a"] if isinstance(x, dict) else x)


class Tupled(nn.Module):
    """A network that returns a dict."""

    def __init__(self):
        super().__init__()
        self.head = net()

    def forward(self, x):
        return {"out": self.head(x)}


class Whole(distil.Network):
    """A network of a user's own, with inputs or without."""

    def asking(self, runtime):
        return torch.no_grad()

    def outputs(self, batch):
        return distil.Outputs(batch[:, :C], batch)


class WithInputs(Whole):
    def inputs(self, batch):
        return batch


def trained(subject):
    subject.label([0, 1, 2], [0, 1, 2])
    return subject.fit()


def learner(data=X, **more):
    return distil.Learner(data, net(), "margin_sampling", num_classes=C, **more)


def read_by(read):
    """Train a network whose logits a function reads."""
    return distil.fit(
        Tupled(), TENSOR, torch.from_numpy(Y), distil.FitConfig(n_epoch=1), num_classes=C, rng=0, read=read
    )


VALID = {"fit": distil.FitConfig(n_epoch=1, patience=1), "validation": (X[:4], Y[:4])}


def predictive(**more):
    return strategies.Predictive(strategies.MarginSampling(), **more)


def wide(x):
    return torch.cat([x, x], 1)


class Half(nn.Module):
    """A network that reads the first half of its input."""

    def __init__(self):
        super().__init__()
        self.head = net()

    def forward(self, x):
        return self.head(x[:, :D])


def ensemble(*inputs):
    return distil.wrap([distil.wrap(Half(), inputs=one) for one in inputs])


def identity(x):
    return x


def predicted(**more):
    """A selection by the embeddings of a regression model."""
    model = distil.wrap(nn.Linear(D, 1), task="regression", **more)
    return distil.select("core_set", model, X, 2, task="regression")


def own_columns(classes):
    """A fitted classifier, wrapped by the user, that names these classes."""
    return distil.wrap(LogisticRegression().fit(X, np.array(list(classes))[Y]))


def skorch_net(fitted):
    from skorch import NeuralNetClassifier

    found = NeuralNetClassifier(net, criterion=nn.CrossEntropyLoss)
    return found.initialize() if fitted else found


def head(**more):
    """Fit the linear head of a regression."""
    return fit_head(LinearHead.over(X, num_classes=1, task="regression"), TENSOR, GRADES, HeadConfig(**more))


def of_texts():
    """A classifier of texts whose steps make numbers of them."""
    return make_pipeline(FunctionTransformer(_lengths), LogisticRegression()).fit(TEXTS, Y)


def _lengths(texts):
    return np.array([[len(text), float(text.split()[-1])] for text in texts])


def lengths(texts):
    return torch.tensor([[float(len(text))] for text in texts])


# Advice in a message; the call that gives it; the call that follows it.
OWN = [
    (
        "probs='augmentation' and transform, a function from an input to a changed one, belong together; pass both",
        lambda: predictive(probs="augmentation"),
        lambda: (predictive(probs="augmentation", transform=identity), predictive(probs="softmax")),
    ),
    (
        "name the task, or leave predictions out",
        lambda: arrays("core_set", predictions=X),
        lambda: (
            arrays("core_set"),
            distil.select_from("core_set", 2, embeddings=X, predictions=X[:, :1], task="regression"),
        ),
    ),
    (
        "which has no default; pass share=...",
        required,
        lambda: required(share=0.5),
    ),
    (
        "which only a model can measure; use distil.select",
        lambda: arrays(INPUTS),
        lambda: distil.select(INPUTS, net(), X, 2),
    ),
    (
        "add it to the strategy's needs",
        lambda: arrays(reads(signals.Embedding(), Needs(pool=(signals.Probs(),)))),
        lambda: arrays(reads(signals.Embedding(), Needs(pool=(signals.Embedding(),)))),
    ),
    (
        "ask for the labels of labeled or validation",
        lambda: arrays(own(needs=Needs(pool=(signals.Labels(),)))),
        lambda: arrays(own(needs=Needs(labeled=(signals.Labels(),))), labeled={0: 1}, classes=range(C)),
    ),
    (
        "would never be called; derive Mine from distil.Strategy instead",
        lambda: arrays(own(distil.ScoreStrategy, select=lambda self, sets, n, rng: None)),
        lambda: arrays(own()),
    ),
    (
        "leave it out, or derive Mine from distil.Strategy",
        lambda: arrays(own(distil.ScoreStrategy, Needs(shortlist=SHORT))),
        lambda: (arrays(own(distil.ScoreStrategy)), arrays(own(needs=Needs(shortlist=SHORT)))),
    ),
    (
        "write it as a property that returns one",
        lambda: arrays(own(needs=lambda self: Needs())),
        lambda: arrays(own(needs=property(lambda self: Needs()))),
    ),
    (
        "write @dataclass(frozen=True) above OwnSignal",
        lambda: arrays(own(needs=Needs(pool=(own_signal(),)))),
        lambda: arrays(own(needs=Needs(pool=(own_signal(frozen=True),)))),
    ),
    (
        "check the scale of the data and of its parameters",
        lambda: arrays(own(select=lambda self, sets, n, rng: distil.Selection(sets.pool.ids[[0, 0]]))),
        lambda: arrays(own()),
    ),
    (
        "of other data; pass ids of this pool",
        lambda: margin(net(), POOL, exclude=Subset(TensorDataset(TENSOR + 1), [0])),
        lambda: margin(net(), POOL, exclude=[0]),
    ),
    (
        "pass labeled.to_list() if they are examples, labeled.to_dict() if they are labels",
        lambda: distil.select("random_sampling", None, TEXTS, 2, labeled=pd.Series(["a", "b"], index=[3, 4])),
        lambda: distil.select("random_sampling", None, TEXTS, 2, labeled=pd.Series(["a", "b"], index=[3, 4]).to_dict()),
    ),
    (
        "correct the labels or use a model with more outputs",
        lambda: distil.select("glister", net(), X, 2, labeled={0: 7}),
        lambda: [
            distil.select("glister", nn.Linear(D, outputs), X, 2, labeled={0: label})
            for outputs, label in ((C, 2), (8, 7))
        ],
    ),
    (
        "cannot be the name of a class; pass texts or numbers",
        lambda: as_classes(["a", None]),
        lambda: as_classes(["a", "b"]),
    ),
    (
        "leave these examples out",
        lambda: distil.Learner(X, net(2), "badge", classes=["a", "b"]).label([0, 1], ["a", None]),
        lambda: distil.Learner(X, net(2), "badge", classes=["a", "b"]).label([0], ["a"]),
    ),
    (
        'labels of their own, need task="multilabel"',
        lambda: margin(Sigmoids()),
        lambda: of_many(ManyLabels()),
    ),
    (
        'pass task="multilabel" if these are labels of their own',
        lambda: margin(ManyLabels()),
        lambda: of_many(ManyLabels()),
    ),
    (
        "fit it to a column of 0 and 1 for each of two labels or more",
        lambda: of_many(Sigmoids()),
        lambda: of_many(ManyLabels()),
    ),
    (
        "fit CalibratedClassifierCV(NoScores(...)), or another classifier",
        lambda: margin(NoScores().fit(X, Y)),
        lambda: margin(LogisticRegression().fit(X, Y)),
    ),
    (
        "use a strategy that does not read inputs",
        lambda: distil.select(INPUTS, of_texts(), TEXTS, 2),
        lambda: margin(of_texts(), TEXTS),
    ),
    (
        "a regression model returns predictions, (B,) or (B, T), not 'probs'; remove output=",
        lambda: predicted(output="probs"),
        predicted,
    ),
    (
        "and a minibatch has 2 entries; give examples with an entry for each",
        lambda: margin(Three(), TensorDataset(TENSOR, TENSOR)),
        lambda: margin(Three(), TensorDataset(TENSOR, TENSOR, TENSOR)),
    ),
    (
        "pass inputs=, a function from the minibatch to a dict of the arguments",
        lambda: margin(Named(), StackDataset(a=TENSOR, c=TENSOR)),
        lambda: margin(
            distil.wrap(Named(), inputs=lambda batch: {"a": batch["a"], "b": batch["c"]}),
            StackDataset(a=TENSOR, c=TENSOR),
        ),
    ),
    (
        "pass inputs=, a function from the minibatch to the argument of the model",
        lambda: margin(net(1), TEXTS),
        lambda: margin(distil.wrap(net(1), inputs=lengths), TEXTS),
    ),
    (
        "or for a data frame of numbers distil.open_pool(frame) as data",
        lambda: margin(net(1), TEXTS),
        lambda: margin(net(), distil.open_pool(pd.DataFrame(X, columns=[f"e{k}" for k in range(D)]))),
    ),
    (
        "pass inputs=, or use another strategy",
        lambda: distil.select(INPUTS, distil.wrap(Words(), inputs=lambda x: {"a": x}), X, 2),
        lambda: (
            distil.select(INPUTS, distil.wrap(Words(), inputs=identity), X, 2),
            margin(distil.wrap(Words(), inputs=lambda x: {"a": x})),
        ),
    ),
    (
        "choose one with distil.wrap(model, logits=1)",
        lambda: margin(Two()),
        lambda: margin(distil.wrap(Two(), logits=1)),
    ),
    (
        "in a Learner with network=lambda model: distil.wrap(model, logits=1)",
        lambda: margin(Two()),
        lambda: distil.Learner(
            X, Two(), "margin_sampling", num_classes=C, network=lambda model: distil.wrap(model, logits=1)
        ).query(1),
    ),
    (
        "pass a torch.nn.Module, or give the network a method inputs(batch)",
        lambda: distil.select(INPUTS, Whole(), X, 2),
        lambda: [distil.select(INPUTS, each, X, 2) for each in (net(), WithInputs())],
    ),
    (
        "use margin_sampling, or members with the same inputs",
        lambda: distil.select("adversarial_deepfool", ensemble(identity, wide), X, 2),
        lambda: (
            margin(ensemble(identity, wide)),
            distil.select("adversarial_deepfool", ensemble(identity, identity), X, 2),
        ),
    ),
    (
        "wrap a list of the classifiers themselves",
        lambda: margin([own_columns("abc"), own_columns("abd")]),
        lambda: margin([LogisticRegression().fit(X, np.array(list(names))[Y]) for names in ("abc", "abd")]),
    ),
    (
        'with network=lambda model: distil.wrap(model, task="multilabel", output="probs")',
        lambda: distil.select(
            "multilabel_uncertainty",
            distil.wrap(nn.Sequential(net(), nn.Sigmoid()), task="multilabel"),
            X,
            2,
            task="multilabel",
        ),
        lambda: distil.select(
            "multilabel_uncertainty",
            distil.wrap(nn.Sequential(net(), nn.Sigmoid()), task="multilabel", output="probs"),
            X,
            2,
            task="multilabel",
        ),
    ),
    (
        "has no module yet; call its initialize() or fit() first",
        lambda: margin(skorch_net(False)),
        lambda: margin(skorch_net(True)),
    ),
    (
        "expected logits (B, C), C >= 2, for",
        lambda: deepfool(lambda x: x[:, :1], TENSOR),
        lambda: deepfool(lambda x: x[:, :C], TENSOR),
    ),
    (
        "pass read=..., a function of (module, x) that returns the logits",
        lambda: read_by(lambda module, x: module(x)),
        lambda: read_by(lambda module, x: module(x)["out"]),
    ),
    (
        "pass an array, or your own function as fit",
        lambda: trained(learner(list(TENSOR), **VALID)),
        lambda: (trained(learner(**VALID)), trained(learner(list(TENSOR), fit=lambda model, *_: model))),
    ),
    (
        "class_weights has no meaning in regression; leave it out",
        lambda: head(class_weights="balanced"),
        head,
    ),
]

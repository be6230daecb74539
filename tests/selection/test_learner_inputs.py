"""Training sees the minibatches that scoring sees: the same collate function, inputs and logits."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.utils.data import StackDataset

from distil.errors import DistilWarning, InvalidInput, UnsupportedModel
from distil.networks.wrap import wrap
from distil.selection.learner import Learner
from distil.training.config import FitConfig
from distil.training.fit import fit

N = 24
X = torch.randn(N, 8, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long() + (X[:, 1] > 0.5)
SHORT = FitConfig(n_epoch=3, lr=0.1, batch_size=4)
DICTS = [{"a": x[:4], "b": x[4:]} for x in X]
TUPLES = [(x[:4], x[4:]) for x in X]


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 5), nn.Linear(4, 5), nn.Linear(10, 3)

    def forward(self, a, b):
        return self.head(torch.cat([self.a(a), self.b(b)], 1).relu())


class Joined(Two):
    def forward(self, x):
        return super().forward(x[:, :4], x[:, 4:])


class Whole(Two):
    def forward(self, batch):
        return super().forward(batch["a"], batch["b"])


class Packed(Two):
    """Logits among other tensors, in the form of the class attribute."""

    pack = staticmethod(lambda z, h: {"logits": z})

    def forward(self, a, b):
        h = torch.cat([self.a(a), self.b(b)], 1).relu()
        return self.pack(self.head(h), h)


def packed(pack):
    return type("Packing", (Packed,), {"pack": staticmethod(pack)})


def trained(data, build, **options):
    """The weights after a training, and the next query."""
    learner = Learner(data, build, "badge", num_classes=3, fit=SHORT, rng=5, **options)
    learner.label(range(12), Y[:12])
    learner.fit()
    return torch.cat([p.detach().flatten() for p in learner.module.parameters()]), learner.query(5).tolist()


def test_training_reads_examples_as_scoring_does(case):
    weights, ids = trained(X, Joined)
    columns = lambda items: {name: torch.stack([item[name] for item in items]) for name in ("a", "b")}  # noqa: E731
    words = [" ".join(map(str, x.tolist())) for x in X.double()]
    numbers = lambda texts: torch.tensor([[float(word) for word in text.split()] for text in texts])  # noqa: E731
    labeled = [{**item, "labels": -1} for item in DICTS]
    for name, data, build, options in [
        ("dicts", DICTS, Two, {}),
        ("dicts, whole", DICTS, Whole, {}),
        ("dicts with labels", labeled, Two, {}),
        ("columns", StackDataset(a=X[:, :4], b=X[:, 4:]), Two, {}),
        ("tuples", TUPLES, Two, {}),
        ("collate", DICTS, Two, {"collate": columns}),
        ("texts", words, Joined, {"collate": numbers}),
        ("an array with collate", X, Joined, {"collate": torch.stack}),
        ("inputs", DICTS, Joined, {"network": lambda m: wrap(m, inputs=lambda b: torch.cat([b["a"], b["b"]], 1))}),
        ("float64 items", list(X.double()), Joined, {}),
        ("lists", X.tolist(), Joined, {}),
        ("named logits", DICTS, packed(lambda z, h: {"logits": z}), {}),
        ("an object with logits", DICTS, packed(lambda z, h: SimpleNamespace(logits=z)), {}),
        ("features first", DICTS, packed(lambda z, h: (h, z)), {}),
        ("a position", DICTS, packed(lambda z, h: (z * 0, z)), {"network": lambda m: wrap(m, logits=1)}),
    ]:
        with case(name):
            own, found = trained(data, build, **options)
            torch.testing.assert_close(own, weights, rtol=1e-5, atol=1e-6)
            assert found == ids


def test_what_training_cannot_read_is_named(case):
    dropping = lambda items: torch.stack([x for x in items if float(x[0]) < 0.5])  # noqa: E731
    several = packed(lambda z, h: (z, z + 1))
    tasks = [type("Task", (Joined,), {"config": SimpleNamespace(problem_type=t)}) for t in ("regression",)]
    for data, build, options, error, message in [
        (list(X), Joined, {"collate": dropping}, InvalidInput, r"minibatch of \d+ examples \(ids \d.* has \d rows"),
        (DICTS, several, {}, UnsupportedModel, r"returns 2 tensors .*logits=0"),
        (X, tasks[0], {}, UnsupportedModel, "and the task is classification"),
        (X, lambda: nn.LSTM(8, 3), {"network": None}, UnsupportedModel, "."),
        (X, lambda: nn.LazyLinear(3), {}, UnsupportedModel, r"lazy layers.*model\(x\[:2\]\)"),
    ]:
        with case(message), pytest.raises(error, match=message):
            trained(data, build, **options)


class Auxiliary(Joined):
    """In training mode, it returns the logits of an auxiliary head too, in the form of the class attribute."""

    pack = staticmethod(lambda auxiliary, logits: (auxiliary, logits))

    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.auxiliary = nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3)

    def forward(self, x):
        x = self.drop(self.norm(x))
        logits = super().forward(x)
        return self.pack(self.auxiliary(x), logits) if self.training else logits


def test_training_takes_the_output_that_scoring_takes(case, refuses):
    def weights(pack):
        build = type("Auxiliary", (Auxiliary,), {"pack": staticmethod(pack)})
        learner = Learner(X, build, "badge", num_classes=3, fit=SHORT, rng=5)
        learner.label(range(12), Y[:12])
        learner.fit()
        return {name: value for name, value in learner.module.state_dict().items() if "auxiliary" not in name}

    expected = weights(lambda _, logits: logits)
    for name, pack in {
        "pair": lambda auxiliary, logits: (auxiliary, logits),
        "three": lambda auxiliary, logits: [auxiliary, 2 * logits, logits],
        "named": lambda auxiliary, logits: SimpleNamespace(aux_logits=auxiliary, logits=logits),
    }.items():
        with case(name):
            torch.testing.assert_close(weights(pack), expected, rtol=0, atol=0)
    with refuses(
        UnsupportedModel, "Auxiliary returns 2 tensors in training mode and 1 in evaluation mode, and no layer shows"
    ):
        weights(lambda auxiliary, logits: (auxiliary, 2 * logits))
    with refuses(UnsupportedModel, 'in training mode, output="probs" expects rows that are >= 0 and sum to 1'):
        trained(X, type("Soft", (Joined,), {"forward": _soft}), network=lambda model: wrap(model, output="probs"))


def _soft(self, x):
    logits = Joined.forward(self, x)
    return logits if self.training else logits.softmax(-1)


def test_rows_on_another_axis_are_named_in_training():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(4, 5), nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.lstm(x)[0][-1])

    with pytest.raises(UnsupportedModel, match=r"returned 2 rows of logits for 4 examples.*batch_first=True"):
        trained(X.reshape(N, 2, 4), Recurrent)


def test_modules_that_cannot_be_trained_are_named():
    exported = torch.export.export(Joined().eval(), (X[:4],)).module()
    with pytest.raises(UnsupportedModel, match="an exported program cannot be trained"):
        fit(exported, X, Y, SHORT, num_classes=3, rng=0)


# --- shrink and perturb ---------------------------------------------------------------------------------------------


def shrunk(build):
    """The module of a second round before its training, and the one of the first round after it."""
    seen = []
    learner = Learner(
        X,
        build,
        "random_sampling",
        num_classes=3,
        fit=lambda module, *_: seen.append({name: x.clone() for name, x in module.state_dict().items()}),
        retrain="shrink_perturb",
    )
    learner.label(range(4), Y[:4])
    learner.fit()
    with torch.no_grad():
        for x in learner.module.state_dict().values():
            x.add_(1)
    before = {name: x.clone() for name, x in learner.module.state_dict().items()}
    learner.fit()
    return before, seen[1]


def test_frozen_weights_and_buffers_are_not_shrunk():
    def build():
        net = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
        net[0].requires_grad_(False)
        return net

    before, after = shrunk(build)
    for name in before:
        kept = name.startswith("0.") or "running" in name or "tracked" in name
        assert torch.equal(before[name], after[name]) == kept, name


def test_weights_that_the_builder_returns_again_are_shrunk_once():
    body = nn.Linear(8, 8)
    with pytest.warns(DistilWarning, match="weights of the earlier model instead of newly drawn ones"):
        before, after = shrunk(lambda: nn.Sequential(body, nn.ReLU(), body, nn.Linear(8, 3)))
    torch.testing.assert_close(after["0.weight"], 0.4 * before["0.weight"])


# --- estimators -----------------------------------------------------------------------------------------------------


def test_an_estimator_that_cannot_be_trained_says_why(case):
    texts = [f"word{i % 3}" for i in range(N)]
    for data, model, labels, message in [
        (
            X.numpy(),
            LogisticRegression(),
            [0],
            r"of at least two classes, and the only label is 0; label examples of another",
        ),
        (X.numpy(), LogisticRegression(), [0, 0], r"needs labels of at least two classes, and all 2 labels are 0"),
        (texts, make_pipeline(CountVectorizer(), LogisticRegression()), [1, 1], "all 2 labels are 1; label examples"),
        ([["a", "b"]] * N, LogisticRegression(), [0, 1], "cannot be trained on these examples: .*columns hold texts"),
    ]:
        with case(message):
            learner = Learner(data, model, "margin_sampling", num_classes=2)
            learner.label([0, 1][: len(labels)], labels)
            with pytest.raises(InvalidInput, match=message):
                learner.fit()


def test_members_of_soft_voting_are_asked_for_samples():
    y = np.array(["a", "b", "c"] * (N // 3))
    model = VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft").fit(X.numpy(), y)
    learner = Learner(X.numpy(), model, "bald_dropout", num_classes=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = learner.query(5)
    probs = np.stack([member.predict_proba(X.numpy()) for member in model.estimators_], 1)
    entropy = lambda p: -(p * np.log(np.maximum(p, 1e-38))).sum(-1)  # noqa: E731
    information = entropy(probs.mean(1)) - entropy(probs).mean(1)
    assert found.tolist() == np.argsort(-information, kind="stable")[:5].tolist()
    hard = VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())]).fit(X.numpy(), y)
    with pytest.raises(UnsupportedModel, match=r'voting="hard" counts votes .*voting="soft"'):
        Learner(X.numpy(), hard, "bald_dropout", num_classes=3).query(5)


def test_the_error_for_probabilities_says_what_to_pass_to_a_learner():
    def learner(**given):
        model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
        new = Learner(torch.randn(30, 4), model, "margin_sampling", num_classes=3, **given)
        new.label([0, 1, 2], [0, 1, 2])
        return new

    advice = 'network=lambda model: distil.wrap(model, output="probs")'
    with pytest.raises(UnsupportedModel, match=re.escape(advice)):
        learner().query(2)
    assert len(learner(network=lambda model: wrap(model, output="probs")).query(2)) == 2

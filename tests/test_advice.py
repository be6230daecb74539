"""What messages advise: each piece of advice is followed here, and then the call works."""

from __future__ import annotations

import itertools
import warnings
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from advice_certainty import CERTAINTY, CERTAINTY_NOTES, certainty_files
from advice_commands import COMMANDS, CONFIGURATIONS, EDITS, PROJECT, files, read
from advice_faces import FACES
from advice_inputs import FILES, INPUTS, LISTS, own_files
from advice_left import LEFT
from advice_models import MODELS, MORE, SELECTIONS, STATES
from advice_nets import C, D, Named, Own, Returns, Two, net
from advice_own import OWN
from advice_projects import PROJECT_NOTES, PROJECTS, RECORDS, projects
from advice_tables import DATA, NOTES, TABLES, tables
from advice_tasks import SHARDS, TASKS
from advice_texts import ADVICE, messages
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.svm import SVC
from torch import nn
from torch.utils.data import DataLoader, StackDataset, TensorDataset

import distil
import distil.functional
from distil import cli, strategies
from distil.errors import DistilError, DistilWarning
from distil.training.linear_head import LinearHead

N = 24
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(N, D)).astype(np.float32)
Y = np.arange(N) % C
PROBS = GENERATOR.dirichlet(np.ones(C), N).astype(np.float32)
MC = GENERATOR.dirichlet(np.ones(C), (N, 4)).astype(np.float32)
NAMES = [f"n{row}" for row in range(N)]

one = partial(distil.select_from, "margin_sampling", 2, probs=PROBS)
margin = partial(distil.select, "margin_sampling")


def wrapped(model, **arguments):
    return margin(distil.wrap(model, **arguments), X, 2)


def learner(model=None, data=X, strategy="margin_sampling", **options):
    return distil.Learner(data, net() if model is None else model, strategy, **{"num_classes": C, **options})


def named(*classes):
    return distil.Learner(X, net(len(classes)), "badge", classes=list(classes))


def own_fit(model, labeled, _):
    return model.fit(labeled.x.numpy(), labeled.y.numpy())


def trained(subject, ids=(0, 1, 2), labels=(0, 1, 2)):
    subject.label(list(ids), list(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return subject.fit()


def fitted(model):
    return model.fit(X, Y)


def dicts(rows):
    return {"a": torch.stack([row["a"] for row in rows])}


def padded(rows):
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)[:, :2]


RAGGED = [torch.randn(2 + row % 3) for row in range(N)]
DICTS = [{"a": torch.from_numpy(X[row]), "text": "x"} for row in range(N)]
COLUMNS = {"x": torch.from_numpy(X)}

# Advice in a message; the call that gives it; the call that follows it.
NETWORKS = [
    ('pass output="sigmoid"', lambda: wrapped(net(1)), lambda: wrapped(net(1), output="sigmoid")),
    (
        'for its probability output="probs"',
        lambda: wrapped(net(1)),
        lambda: wrapped(nn.Sequential(net(1), nn.Sigmoid()), output="probs"),
    ),
    (
        'pass output="probs"',
        lambda: wrapped(nn.Sequential(net(), nn.Softmax(1))),
        lambda: wrapped(nn.Sequential(net(), nn.Softmax(1)), output="probs"),
    ),
    (
        'output="logits"',
        lambda: wrapped(nn.Sequential(net(), nn.Softmax(1))),
        lambda: wrapped(nn.Sequential(net(), nn.Softmax(1)), output="logits"),
    ),
    (
        "pass logits=, a function",
        lambda: wrapped(Returns(lambda y, h: y[:, :, None, None].expand(-1, -1, 2, 2))),
        lambda: wrapped(
            Returns(lambda y, h: y[:, :, None, None].expand(-1, -1, 2, 2)), logits=lambda y: y.mean((2, 3))
        ),
    ),
    (
        "pass logits=lambda returned: returned.flatten(1) to distil.wrap",
        lambda: wrapped(Returns(lambda y, h: y[:, :, None])),
        lambda: wrapped(Returns(lambda y, h: y[:, :, None]), logits=lambda returned: returned.flatten(1)),
    ),
    (
        "in a Learner with network=lambda model: distil.wrap(model, logits=lambda returned: returned.flatten(1))",
        lambda: learner(Returns(lambda y, h: y[:, :, None, None])).query(2),
        lambda: trained(
            learner(
                Returns(lambda y, h: y[:, :, None, None]),
                network=lambda model: distil.wrap(model, logits=lambda returned: returned.flatten(1)),
            )
        ),
    ),
    (
        "pass logits= to distil.wrap",
        lambda: wrapped(Returns(lambda y, h: {"out": y})),
        lambda: wrapped(Returns(lambda y, h: {"out": y}), logits="out"),
    ),
    (
        "pass embedding= in the same way",
        lambda: wrapped(Returns(lambda y, h: {"seen": h})),
        lambda: distil.select("core_set", distil.wrap(Returns(lambda y, h: {"seen": h}), embedding="seen"), X, 2),
    ),
    (
        "with a key, a position or a function",
        lambda: wrapped(net(), logits=3),
        lambda: wrapped(net(), logits=lambda y: y),
    ),
    (
        'need task="multilabel"',
        lambda: wrapped(nn.Sequential(net(), nn.Sigmoid())),
        lambda: distil.wrap(nn.Sequential(net(), nn.Sigmoid()), task="multilabel", output="probs"),
    ),
    ("or correct num_classes", lambda: wrapped(net(), num_classes=4), lambda: wrapped(net(), num_classes=3)),
    ("pass its position to distil.wrap, as logits=0", lambda: wrapped(Two()), lambda: wrapped(Two(), logits=0)),
    ("pass an instance", lambda: wrapped(nn.Linear), lambda: wrapped(nn.Linear(D, C))),
    ("leave head= out", lambda: wrapped(Two(), logits=0, head="spare"), lambda: wrapped(Two(), logits=0)),
    (
        "its Linear layers: 'body', 'head'",
        lambda: wrapped(Returns(lambda y, h: y), head="fc"),
        lambda: wrapped(Returns(lambda y, h: y), head="head"),
    ),
    ("pass one of them", lambda: wrapped(net(), head="2", embedding=lambda y: y), lambda: wrapped(net(), head="2")),
    (
        "pass inputs=, a function",
        lambda: margin(fitted(LogisticRegression()), DICTS, 2, collate=dicts),
        lambda: margin(
            distil.wrap(fitted(LogisticRegression()), inputs=lambda batch: batch["a"].numpy()), DICTS, 2, collate=dicts
        ),
    ),
    (
        "or collate=",
        lambda: margin(net(), DICTS, 2),
        lambda: margin(net(), DICTS, 2, collate=lambda rows: dicts(rows)["a"]),
    ),
    (
        "or pass collate=, a function",
        lambda: margin(net(inputs=2), RAGGED, 2),
        lambda: margin(net(inputs=2), RAGGED, 2, collate=padded),
    ),
    (
        'pass distil.wrap(model, logits="decision_function")',
        lambda: wrapped(fitted(RidgeClassifier())),
        lambda: wrapped(fitted(RidgeClassifier()), logits="decision_function"),
    ),
    (
        "set decision_function_shape='ovr'",
        lambda: wrapped(
            SVC(decision_function_shape="ovo").fit(X, np.arange(N) % 4),  # six pairs of four classes
            logits="decision_function",
        ),
        lambda: wrapped(SVC(decision_function_shape="ovr").fit(X, Y), logits="decision_function"),
    ),
    ("call its fit first", lambda: wrapped(LogisticRegression()), lambda: wrapped(fitted(LogisticRegression()))),
    ("at least two members", lambda: wrapped([]), lambda: wrapped([net(), net()])),
    (
        "pass a torch.nn.Module with dropout or a list of models",
        lambda: distil.select("bald_dropout", Own(), X, 2),
        lambda: distil.select("bald_dropout", [net(), net()], X, 2),
    ),
    (
        "use a strategy that reads only embeddings",
        lambda: margin(Own(), X, 2),
        lambda: distil.select("core_set", Own(), X, 2),
    ),
    (
        "call it once with a few examples first",
        lambda: margin(nn.LazyLinear(C), X, 2),
        lambda: margin(called(nn.LazyLinear(C)), X, 2),
    ),
    (
        "pass the data as real floating-point numbers: x.float()",
        lambda: margin(net(), X.astype(np.complex64), 2),
        lambda: margin(net(), X.astype("float32"), 2),
    ),
]


def called(model):
    model(torch.from_numpy(X[:2]))
    return model


ARRAYS = [
    (
        "pass probs=...",
        lambda: distil.select_from("badge", 2, embeddings=X),
        lambda: distil.select_from("badge", 2, embeddings=X, probs=PROBS),
    ),
    (
        "pass probs=, embeddings= or mc_probs=",
        lambda: distil.select_from("badge", 2),
        lambda: distil.select_from("bald_dropout", 2, mc_probs=MC),
    ),
    (
        "pass mc_probs=...",
        lambda: distil.select_from("bald_dropout", 2, probs=PROBS),
        lambda: distil.select_from("bald_dropout", 2, mc_probs=MC),
    ),
    (
        "reads the labels of the query set, which has none; pass query={id: label}, or a pair (ids, labels)",
        lambda: distil.select_from(
            strategies.SMI(representation="gradient"), 2, probs=PROBS, embeddings=X, query=[0, 1]
        ),
        lambda: distil.select_from(
            strategies.SMI(representation="gradient"), 2, probs=PROBS, embeddings=X, query={0: 1, 1: 2}
        ),
    ),
    (
        "needs the probs of the private set (N, C) too, got only `private_embeddings`; in place of these, pass private=...",
        lambda: distil.select_from(
            strategies.SCG(representation="gradient"), 2, probs=PROBS, embeddings=X, private_embeddings=X[:2]
        ),
        lambda: distil.select_from(
            strategies.SCG(representation="gradient"), 2, probs=PROBS, embeddings=X, private=([0, 1], [1, 2])
        ),
    ),
    (
        "in place of these, pass labeled=...",
        lambda: distil.select_from("bait", 2, probs=PROBS, embeddings=X, labeled_embeddings=X[:3]),
        lambda: distil.select_from("bait", 2, probs=PROBS, embeddings=X, labeled=[0, 1, 2]),
    ),
    (
        "pass labels=...",
        lambda: distil.select_from("glister", 2, probs=PROBS, embeddings=X, labeled=[0, 1]),
        lambda: distil.select_from("glister", 2, probs=PROBS, embeddings=X, labeled=[0, 1], labels=[0, 1]),
    ),
    (
        "pass labeled=ids and labels=...",
        lambda: distil.select_from("glister", 2, probs=PROBS, embeddings=X, labels=[0]),
        lambda: distil.select_from("glister", 2, probs=PROBS, embeddings=X, labeled=[1], labels=[0]),
    ),
    (
        "or labeled=(ids, labels)",
        lambda: distil.select_from("glister", 2, probs=PROBS, embeddings=X, labels=[0]),
        lambda: distil.select_from("glister", 2, probs=PROBS, embeddings=X, labeled=([1], [0])),
    ),
    (
        "pass the names of the columns of probs, classes=[...]",
        lambda: distil.select_from("glister", 2, probs=PROBS, embeddings=X, labeled={0: "a"}),
        lambda: distil.select_from("glister", 2, probs=PROBS, embeddings=X, labeled={0: "a"}, classes=["a", "b", "c"]),
    ),
    (
        "not both",
        lambda: distil.select_from("core_set", 2, embeddings=X, labeled=[1], labeled_embeddings=X),
        lambda: distil.select_from("core_set", 2, embeddings=X, labeled_embeddings=X),
    ),
    (
        "pass {id: label} or (ids, labels)",
        lambda: distil.select("glister", net(), X, 2, labeled=[0, 1]),
        lambda: [distil.select("glister", net(), X, 2, labeled=labeled) for labeled in ({0: 1}, ([0], [1]))],
    ),
    (
        "or a pair (ids, labels)",
        lambda: distil.select(strategies.GLISTER(valid=True), net(), X, 2),
        lambda: distil.select(strategies.GLISTER(valid=True), net(), X, 2, validation=(X[:4], Y[:4])),
    ),
    (
        "pass lam=...",
        lambda: strategies.GLISTER(type_of="Diversity"),
        lambda: strategies.GLISTER(type_of="Diversity", lam=0.5),
    ),
    ("leave lam out", lambda: strategies.GLISTER(lam=0.5), strategies.GLISTER),
    (
        "pass a radius above that, or leave it out",
        lambda: distil.select_from(strategies.ProbCover(radius=1e-3), 2, embeddings=X),
        lambda: [distil.select_from(strategies.ProbCover(radius=radius), 2, embeddings=X) for radius in (9.0, None)],
    ),
    (
        "use select(AdversarialBIM(), network, data, n)",
        lambda: distil.select_from("adversarial_bim", 2, probs=PROBS),
        lambda: distil.select(strategies.AdversarialBIM(), net(), X, 2),
    ),
    ("pass one as network", lambda: margin(None, X, 2), lambda: margin(net(), X, 2)),
    ("pass list(names)", lambda: one(names=iter(NAMES)), lambda: one(names=list(iter(NAMES)))),
    ("pass one of them", lambda: one(rng=1, seed=1), lambda: one(seed=1)),
    ("did you mean 'radius'", lambda: strategies.ProbCover(radious=3.0), lambda: strategies.ProbCover(radius=3.0)),
    (
        "did you mean 'badge'",
        lambda: distil.select_from("bagde", 2, probs=PROBS),
        lambda: distil.select_from("badge", 2, probs=PROBS, embeddings=X),
    ),
    (
        "pass BADGE()",
        lambda: distil.select(strategies.BADGE, net(), X, 2),
        lambda: distil.select(strategies.BADGE(), net(), X, 2),
    ),
    (
        "remove it from one of them",
        lambda: one(candidates=[0, 1, 2], labeled=[0]),
        lambda: one(candidates=[1, 2], labeled=[0]),
    ),
    (
        "pass positions, or names=...",
        lambda: one(exclude=["n1"]),
        lambda: [one(exclude=[1]), one(exclude=["n1"], names=NAMES)],
    ),
    ("pass a list, list(exclude)", lambda: one(exclude=iter([1])), lambda: one(exclude=list(iter([1])))),
    (".astype(int)", lambda: one(exclude=np.array([1.0])), lambda: one(exclude=np.array([1.0]).astype(int))),
    ("or a mask of booleans only", lambda: one(exclude=[True, 3]), lambda: one(exclude=[True] + [False] * (N - 1))),
    (
        "if this is a mask, pass booleans",
        lambda: one(exclude=[0, 1] * (N // 2)),
        lambda: one(exclude=np.array([0, 1] * (N // 2), bool)),
    ),
    ("pass each id once", lambda: one(exclude=[3, 3]), lambda: one(exclude=[3])),
    ("pass a list", lambda: one(labeled=({1, 2}, [0, 1])), lambda: one(labeled=([1, 2], [0, 1]))),
    (
        "if these are logits, pass their softmax",
        lambda: one(probs=X),
        lambda: one(probs=torch.from_numpy(X).softmax(1)),
    ),
    ("numpy.array(list(probs))", lambda: one(probs=iter(PROBS)), lambda: one(probs=np.array(list(iter(PROBS))))),
    (
        "pass probs.to_dense()",
        lambda: one(probs=torch.from_numpy(PROBS).to_sparse()),
        lambda: one(probs=torch.from_numpy(PROBS).to_sparse().to_dense()),
    ),
    (
        "probs.filled(...)",
        lambda: one(probs=np.ma.masked_array(PROBS, PROBS < 0.1)),
        lambda: one(probs=np.ma.masked_array(PROBS, PROBS < 0).filled(0)),
    ),
    ("pass the inputs alone, data[0]", lambda: margin(net(), (X, Y), 2), lambda: margin(net(), (X, Y)[0], 2)),
    (
        "pass torch.utils.data.StackDataset(**columns)",
        lambda: margin(Named(), COLUMNS, 2),
        lambda: margin(Named(), StackDataset(**COLUMNS), 2),
    ),
    ("pass its data set, data.dataset", lambda: margin(net(), LOADER, 2), lambda: margin(net(), LOADER.dataset, 2)),
    ("pass a list, list(data)", lambda: margin(net(), iter(X), 2), lambda: margin(net(), list(iter(X)), 2)),
    (
        "distil.open_pool(path)",
        lambda: margin(net(), "a.csv", 2),
        lambda: margin(embeds, distil.open_pool(pool_file()), 2),
    ),
    (
        "pass data.reshape(-1, 1)",
        lambda: margin(net(inputs=1), X[:, 0], 2),
        lambda: margin(net(inputs=1), X[:, 0].reshape(-1, 1), 2),
    ),
    (
        "distil.Runtime(batch_size=64)",
        lambda: margin(net(), X, 2, runtime=64),
        lambda: margin(net(), X, 2, runtime=distil.Runtime(batch_size=64)),
    ),
    ("pass 'cpu'", lambda: distil.Runtime(device="cuda:99"), lambda: distil.Runtime(device="cpu")),
]

LOADER = DataLoader(TensorDataset(torch.from_numpy(X)))


def embeds(texts):
    return torch.tensor([[len(text), ord(text[0]), 1.0] for text in texts])


@cache
def pool_file():
    path = Path("pool.txt")
    path.write_text("".join(f"text {row}\n" for row in NAMES))
    return path


LEARNERS = [
    (
        "pass num_classes=",
        lambda: distil.Learner(X, net(), "badge"),
        lambda: distil.Learner(X, net(), "badge", num_classes=C),
    ),
    (
        "or the names of the classes as classes=",
        lambda: distil.Learner(X, net(), "badge"),
        lambda: named("a", "b", "c"),
    ),
    (
        "pass a function that builds the model",
        lambda: learner(retrain="shrink_perturb"),
        lambda: learner(net, retrain="shrink_perturb"),
    ),
    ("pass a FitConfig", lambda: learner(fit=distil.HeadConfig()), lambda: learner(fit=distil.FitConfig())),
    ("call label(ids, labels) first", lambda: learner().fit(), lambda: trained(learner())),
    ("or a dict {id: label}", lambda: learner().label([0]), lambda: learner().label({0: 1})),
    (
        "label examples of another class before fit()",
        lambda: trained(learner(LogisticRegression()), [0], [1]),
        lambda: trained(learner(LogisticRegression())),
    ),
    (
        "make a Learner with classes=[...] that has this class too",
        lambda: named("a", "b", "c").label({0: "d"}),
        lambda: named("a", "b", "c", "d").label({0: "d"}),
    ),
    (
        "to label by name, make the Learner with classes=[...]",
        lambda: learner().label({0: "a"}),
        lambda: named("a", "b", "c").label({0: "a"}),
    ),
    (
        "pass your own function as fit",
        lambda: learner(LogisticRegression(), transform=abs),
        lambda: trained(learner(LogisticRegression(), fit=own_fit)),
    ),
    (
        "pass fit(model, labeled, round)",
        lambda: learner(lambda: Own()),
        lambda: learner(lambda: Own(), fit=lambda model, *_: model),
    ),
    (
        "or pass collate=, a function",
        lambda: trained(learner(net(inputs=2), RAGGED)),
        lambda: trained(learner(net(inputs=2), RAGGED, collate=padded)),
    ),
    (
        "pass LinearHead.over(..., num_classes=3)",
        lambda: learner(LinearHead.over(X, num_classes=4)).query(1),
        lambda: learner(LinearHead.over(X, num_classes=3)).query(1),
    ),
    (
        "leave it out",
        lambda: learner(LinearHead.over(X, num_classes=3), retrain="warm"),
        lambda: learner(LinearHead.over(X, num_classes=3)),
    ),
    ("pass one of them", lambda: learner(rng=1, seed=1), lambda: learner(seed=1)),
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Files of arrays and ids in the current directory."""
    monkeypatch.chdir(tmp_path)
    np.save("e.npy", X)
    np.save("p.npy", PROBS)
    Path("labeled.csv").write_text("id,label\n1,a\n2,b\n")
    Path("named.csv").write_text("id,label\nn1,a\n")
    Path("ids.txt").write_text("".join(f"{name}\n" for name in NAMES))
    Path("texts.csv").write_text("id,text\n" + "".join(f"{name},a text\n" for name in NAMES))
    Path("m.py").write_text("def f(items):\n    return [[len(item), 1.0] for item in items]\n")
    pool_file.cache_clear()
    return tmp_path


def test_texts_with_advice_are_found(case):
    """Text, and whether it advises something; a text without advice may still hold one of the verbs."""
    for text, advises in [
        ("expected one label for each id; pass labels=...", True),
        ("X is left out: continue with: distil resume X", True),
        ("choose another (--output)", True),
        ("X is damaged: remove X, or restore it", True),
        ("without embeddings (--embeddings) only copies are found", True),
        ("X seeds have an equal number of labels", False),
        ("the runs that use a label", False),
        ("expected a whole number, got X", False),
    ]:
        with case(text):
            assert bool(ADVICE.search(text)) == advises


@pytest.mark.slow
def test_every_advice_is_followed_or_listed(here, case, capsys, monkeypatch):
    """Each case gives its advice, and works once it is followed; each other message with advice is in ``advice_left.LEFT``."""
    for write in (files, own_files, tables, projects, certainty_files):
        write()
    monkeypatch.syspath_prepend(here)
    said = []
    calls = [
        NETWORKS,
        ARRAYS,
        LEARNERS,
        SELECTIONS,
        MODELS,
        STATES,
        MORE,
        INPUTS,
        OWN,
        FACES,
        DATA,
        PROJECTS,
        CERTAINTY,
        TASKS,
        SHARDS,
    ]
    configurations = [(advice, partial(read, **first), partial(read, **then)) for advice, first, then in CONFIGURATIONS]
    for advice, first, then in [*itertools.chain(*calls), *configurations]:
        with case(advice), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", DistilWarning)
            with pytest.raises((DistilError, DistilWarning)) as found:
                first()
            assert advice in str(found.value)
            said.append(str(found.value))
            warnings.simplefilter("ignore")
            then()
    commands = [(advice, first, None, then) for advice, first, then in COMMANDS]
    notes = [*NOTES, *CERTAINTY_NOTES, *PROJECT_NOTES]
    for advice, first, edit, then in [*commands, *EDITS, *FILES, *PROJECT, *LISTS, *TABLES, *RECORDS, *notes]:
        note = (advice, first, edit, then) in notes
        with case(advice), warnings.catch_warnings():
            warnings.simplefilter("always")
            assert cli.main(first) in ((0,) if note else (1, 2))
            said.append("".join(capsys.readouterr()))
            assert advice in said[-1]
            if edit is not None:
                edit()
            code, out = cli.main([*then]), "".join(capsys.readouterr())
            assert code == 0, out
            assert not note or advice not in out
    listed = [text for texts in LEFT.values() for text in texts]
    wrong = [  # each needs a case, or an entry in LEFT, and not both
        f"{name}: {text}"
        for name, text, pattern in messages()
        if any(pattern.search(message) for message in said) == any(part in text for part in listed)
    ]
    assert not wrong, "\n".join(wrong)
    for part in listed:
        with case(part):
            assert any(part in text for _, text, _ in messages())

"""A learner takes and gives labels by the names of the classes; ``fit`` gets columns."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from distil import FitConfig, InvalidInput, Learner, LinearHead, Rng, select, wrap
from distil.strategies import GLISTER, Predictive

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
CLASSES = ["emu", "cat", "dog"]
NAMED = np.array(CLASSES)[Y]
IDS = list(range(12))
SHORT = FitConfig(lr=0.1, n_epoch=3)


def learner(model=None, **options):
    options = {"classes": CLASSES, "fit": SHORT, "rng": 0, **options}
    strategy = options.pop("strategy", "glister")
    return Learner(X, (lambda: nn.Linear(4, 3)) if model is None else model, strategy, **options)


def test_names_are_columns_under_another_name(case):
    """Names in any form give the queries and weights of a learner whose labels are numbers."""
    plain = learner(classes=None, num_classes=3)
    plain.label(IDS, Y[IDS])
    plain.fit()
    expected = plain.query(5).tolist()
    for classes, labels in [
        (CLASSES, NAMED[IDS]),
        (np.array(CLASSES), NAMED[IDS].tolist()),
        (CLASSES, NAMED[IDS].astype(object)),
        ([7, 3, 5], np.array([7, 3, 5])[Y[IDS]]),
        ([0.5, 1.0, 2.5], np.array([0.5, 1.0, 2.5])[Y[IDS]]),
    ]:
        with case(classes):
            subject = learner(classes=classes)
            subject.label(IDS, labels)
            subject.fit()
            assert subject.query(5).tolist() == expected
            assert subject.labeled.y.tolist() == Y[IDS].tolist()
            assert subject.labels == dict(zip(IDS, np.asarray(labels).tolist(), strict=True))
            for own, other in zip(subject.module.parameters(), plain.module.parameters(), strict=True):
                assert torch.equal(own, other)


def test_labels_are_given_as_they_are_taken(case):
    names = [f"item {row}" for row in range(60)]
    for options in ({"names": names}, {}):
        with case(options):
            one, other = learner(**options), learner(**options)
            one.label(dict(zip((names if options else range(60))[:3], ["cat", "dog", "emu"], strict=True)))
            assert list(one.labels.values()) == ["cat", "dog", "emu"]
            other.label(one.labels)
            assert other.labels == one.labels
    assert learner(classes=None, num_classes=3).labels == {}
    booleans = learner(classes=[True, False], model=lambda: nn.Linear(4, 2))
    booleans.label(IDS, Y[IDS] > 0)
    assert booleans.labeled.y.tolist() == (Y[IDS] == 0).astype(int).tolist()
    assert booleans.labels[0] is bool(Y[0] > 0)


def test_estimators_are_fitted_to_the_names(case):
    expected = None
    for model, classes in [
        (LogisticRegression(), CLASSES),
        (lambda: LogisticRegression(), CLASSES),
        (LogisticRegression(), sorted(CLASSES)),
        (LogisticRegression().fit(X, NAMED), None),
        (LogisticRegression().fit(X, NAMED), CLASSES),
    ]:
        with case(model, classes):
            subject = learner(model, classes=classes, fit=None)
            subject.label(IDS, NAMED[IDS])
            fitted = subject.fit()
            assert fitted.classes_.tolist() == sorted(CLASSES)
            expected = expected or subject.query(5).tolist()
            assert len(subject.labels) == 12
            assert subject.labels[3] == NAMED[3]
            subject = learner(model, classes=classes, fit=None)
            subject.label(IDS, NAMED[IDS])
            subject.fit()
            assert subject.query(5).tolist() == expected
    own = learner(LogisticRegression(), fit=None, network=lambda model: wrap(model))
    own.label(IDS, NAMED[IDS])
    own.fit()
    assert own.query(5).tolist() == expected
    few = learner(LogisticRegression(), fit=None)  # one class has no label as yet
    few.label([0, 1, 2, 3], ["cat", "dog", "cat", "dog"])
    few.fit()
    assert few.network.classes.tolist() == CLASSES
    assert len(few.query(5)) == 5


def test_a_class_that_appears_later_is_refused_with_what_to_do(case):
    subject = learner()
    subject.label([0, 1], ["cat", "dog"])
    for label, message in [
        ("elk", r"'elk' is not one of the 3 classes, 'emu', 'cat', 'dog'; .* make a Learner with classes=\[\.\.\.\]"),
        ("dgo", "'dgo' is not one of the 3 classes, 'emu', 'cat', 'dog'; did you mean 'dog'"),
        (1, "1 is not one of the 3 classes"),
        (None, r"labels: 1 of 2 are missing \(None\), those of ids 3; leave these examples out"),
    ]:
        with case(label), pytest.raises(InvalidInput, match=message):
            subject.label([2, 3], ["cat", label])
    assert subject.labels == {0: "cat", 1: "dog"}
    later = learner(lambda: nn.Linear(4, 4), classes=[*CLASSES, "elk"])  # the advice
    later.label(subject.labels)
    later.label([2], ["elk"])
    assert later.labels == {0: "cat", 1: "dog", 2: "elk"}
    assert later.labeled.y.tolist() == [1, 2, 3]


def test_the_number_of_classes(case):
    assert learner().pool.num_classes == 3
    assert learner(num_classes=3).pool.num_classes == 3
    assert learner(LogisticRegression().fit(X, NAMED), classes=None, fit=None).pool.num_classes == 3
    for options, message in [
        (
            {"classes": None},
            "the number of classes is missing; pass num_classes=, or the names of the classes as classes=",
        ),
        ({"num_classes": 4}, "classes must have 4 names, one for each column; got 3"),
        ({"classes": ["a", "a"]}, "classes must be at least two distinct names"),
        ({"classes": "abc"}, "classes must be a list of names"),
    ]:
        with case(options), pytest.raises(InvalidInput, match=message):
            learner(**options)
    with pytest.raises(InvalidInput, match=r"got 'cat'; to label by name, make the Learner with classes=\[\.\.\.\]"):
        learner(classes=None, num_classes=3).label([0], ["cat"])


class Configured(nn.Linear):
    """As a model of transformers: its configuration names the classes."""

    config = SimpleNamespace(id2label=dict(enumerate(CLASSES)))


class MadeUp(nn.Linear):
    """A model of transformers whose names nobody chose."""

    config = SimpleNamespace(id2label={0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})


def test_models_of_transformers_know_their_classes(case):
    model = Configured(4, 3)
    expected = select("glister", model, X, 5, labeled=(IDS, Y[IDS])).tolist()
    plain = nn.Linear(4, 3)
    plain.load_state_dict(model.state_dict())
    assert select("glister", plain, X, 5, labeled=(IDS, Y[IDS])).tolist() == expected
    for given in ((IDS, NAMED[IDS]), dict(zip(IDS, NAMED[IDS], strict=True))):
        assert select("glister", model, X, 5, labeled=given).tolist() == expected
    for role in (list(zip(X[IDS], NAMED[IDS], strict=True)), list(zip(X[IDS], Y[IDS], strict=True))):
        assert select("glister", model, X, 5, labeled=role, exclude=IDS).tolist() == expected
    with pytest.raises(
        InvalidInput, match="'dgo' is not one of the 3 classes, 'emu', 'cat', 'dog'; did you mean 'dog'"
    ):
        select("glister", model, X, 5, labeled=([0], ["dgo"]))
    wide = Configured(4, 5)  # the head was replaced, the configuration was not
    assert len(select("glister", wide, X, 5, labeled=(IDS, [4] * 12))) == 5
    for labels in (NAMED[IDS], Y[IDS]):
        for options in ({}, {"num_classes": 3}):
            with case(labels, options):
                subject = learner(Configured(4, 3), classes=None, retrain="warm", **options)
                subject.label(IDS, labels)
                subject.fit()
                assert len(subject.query(3)) == 3
                assert subject.labels == dict(zip(IDS, NAMED[IDS].tolist(), strict=True))
    with pytest.raises(InvalidInput, match="3 is not one of the 3 classes"):
        learner(Configured(4, 3), classes=None).label([0], [3])
    subject = learner(MadeUp(4, 3), classes=None, num_classes=3)
    subject.label([0], [2])
    assert subject.labels == {0: 2}


def test_names_in_another_order_than_the_configuration_of_the_model_are_refused():
    class Configured(nn.Linear):
        config = SimpleNamespace(id2label=dict(enumerate(CLASSES)))

    assert learner(Configured(4, 3)).labels == {}
    with pytest.raises(
        InvalidInput, match=r"in the order of the model's outputs, .*\['emu', 'cat', 'dog'\]; got \['cat', "
    ):
        learner(Configured(4, 3), classes=sorted(CLASSES))


def test_validation_labels_are_names_too():
    expected = learner(classes=None, num_classes=3, validation=(torch.tensor(X[40:]), torch.tensor(Y[40:])))
    subject = learner(validation=(X[40:], NAMED[40:]))
    expected.label(IDS, Y[IDS])
    subject.label(IDS, NAMED[IDS])
    assert subject.fit().validation_accuracies == expected.fit().validation_accuracies
    with pytest.raises(InvalidInput, match="the labels of validation: 'pig' is not one of the 3 classes"):
        learner(validation=(X[:1], ["pig"]))
    with pytest.raises(InvalidInput, match=r"validation must be a pair \(inputs, labels\)"):
        learner(validation=X)


def test_the_validation_set_reaches_strategies_that_read_one(case):
    """Also where the model is not trained in epochs and so has no other use for it; its labels may be names."""
    auto = Predictive(probs="softmax", temperature="auto")
    for model, fit, strategy in (
        (None, SHORT, GLISTER(valid=True, lr=1.0)),
        (LinearHead.over(X, num_classes=3), None, GLISTER(valid=True, lr=1.0)),
        (LogisticRegression(C=1e3), None, auto),
    ):
        with case(type(model), strategy):
            held = np.roll(NAMED[40:], 7)
            subject = learner(model, fit=fit, strategy=strategy, validation=(X[40:], held), candidates=range(40))
            subject.label(IDS, NAMED[IDS])
            subject.fit()
            own = subject.network.classes is None
            named = (lambda y: list(map(CLASSES.index, y))) if own else list
            expected, plain = (
                select(
                    strategy,
                    subject.network,
                    X,
                    9,
                    candidates=[row for row in range(40) if row not in IDS],
                    labeled=(IDS, named(NAMED[IDS])),
                    validation=(X[40:], named(labels)),
                    rng=Rng(0).child("select", 0),
                )
                for labels in (held, NAMED[40:])
            )
            found = subject.query(9)
            assert (found.tolist(), found.notes) == (expected.tolist(), expected.notes)
            assert (found.tolist(), found.notes) != (plain.tolist(), plain.notes)
    with pytest.raises(InvalidInput, match="validation= cannot be used with a linear head"):
        learner(LinearHead.over(X, num_classes=3), fit=None, validation=(X[40:], NAMED[40:]))


def test_a_skorch_net_is_fitted_to_columns():
    skorch = pytest.importorskip("skorch")
    net = skorch.NeuralNetClassifier(
        nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1)), max_epochs=1, train_split=None, verbose=0
    )
    subject = learner(net, fit=None)
    subject.label(IDS, NAMED[IDS])
    subject.fit()
    assert len(subject.query(3)) == 3
    assert subject.labels == dict(zip(IDS, NAMED[IDS].tolist(), strict=True))

"""A learner's state loads into the same items and classes only, in any order of the data, and completely or not at all."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from distil import FitConfig, InvalidInput, Learner

N = 40
X = torch.randn(N, 4, generator=torch.Generator().manual_seed(0))
NAMES = [f"item {row}" for row in range(N)]
CLASSES = ["cat", "dog", "emu"]
TRUTH = {name: CLASSES[row % 3] for row, name in enumerate(NAMES)}
ORDER = torch.randperm(N, generator=torch.Generator().manual_seed(1)).tolist()


def learner(data=X, names=NAMES, classes=CLASSES, outputs=3, **options):
    fit = FitConfig(lr=0.1, n_epoch=1)
    return Learner(
        data, lambda: nn.Linear(4, outputs), "margin_sampling", names=names, classes=classes, fit=fit, **options
    )


def reordered(more=0):
    """The same items in another order, and ``more`` items that are new."""
    x, names = X[ORDER], [NAMES[row] for row in ORDER]
    return torch.cat([torch.full((more, 4), 9.0), x]), [f"new {row}" for row in range(more)] + names


def ask(subject):
    return list(subject.query(3).names)


def answer(subject, names):
    subject.label(names, [TRUTH[name] for name in names])


def snapshot(subject):
    """What a learner knows, by name."""
    states = {key: {subject.names[row] for row in getattr(subject.pool, key).tolist()} for key in ("asked", "skipped")}
    return {**states, "labels": subject.labels, "round": subject.round, "queries": subject.queries}


def saved(subject):
    file = io.BytesIO()
    torch.save(subject.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def steps():
    """The steps of a labeling, each of which a kill may follow; each gets the learner and the names that were asked last."""
    first = [NAMES[0], NAMES[1], NAMES[2], NAMES[7]]
    yield lambda subject, asked: answer(subject, first)
    for _ in range(2):
        yield lambda subject, asked: subject.fit()
        yield lambda subject, asked: ask(subject)
        yield lambda subject, asked: answer(subject, asked[:1])
        yield lambda subject, asked: subject.skip(asked[1:2])
    yield lambda subject, asked: answer(subject, first[:1])


def follow(subject, todo, asked=()):
    for step in todo:
        result = step(subject, list(asked))
        asked = result if isinstance(result, list) else asked
    return asked


def test_no_label_moves_at_any_kill_point(case):
    todo = list(steps())
    whole = learner()
    follow(whole, todo)
    for point in range(len(todo) + 1):
        with case(point):
            killed = learner()
            asked = follow(killed, todo[:point])
            state = saved(killed)
            resumed = learner()
            resumed.load_state_dict(state)
            assert snapshot(resumed) == snapshot(killed)
            follow(resumed, todo[point:], asked)
            assert snapshot(resumed) == snapshot(whole)
            for more in (0, 5):
                data, names = reordered(more)
                moved = learner(data, names)
                moved.load_state_dict(state)
                assert snapshot(moved) == snapshot(killed)
                for name, label in moved.labels.items():
                    assert TRUTH[name] == label
                    row = moved.names.index(name)
                    assert moved.data[row].equal(X[NAMES.index(name)])
                assert len(moved.pool.unlabeled) == len(killed.pool.unlabeled) + more


def test_items_without_an_answer_may_be_gone():
    subject = learner()
    answer(subject, NAMES[:4])
    smaller = learner(X[:10], NAMES[:10])
    smaller.load_state_dict(subject.state_dict())
    assert snapshot(smaller) == snapshot(subject)
    answer(subject, NAMES[10:12])
    with pytest.raises(InvalidInput, match=r"for 2 examples that are not in this pool, such as 'item 10'"):
        smaller.load_state_dict(subject.state_dict())
    assert list(smaller.labels) == NAMES[:4]


def test_new_items_keep_what_the_learner_says_of_them():
    subject = learner()
    answer(subject, NAMES[:2])
    data, names = reordered(3)
    grown = learner(data, names, candidates=["new 1", *NAMES])
    grown.load_state_dict(subject.state_dict())
    assert [names[row] for row in grown.pool.held_out.tolist()] == ["new 0", "new 2"]


def test_a_state_of_other_items_or_classes_is_refused_and_changes_nothing(case):
    subject = learner()
    answer(subject, NAMES[:4])
    subject.fit()
    state = subject.state_dict()
    weight = state["module"]["weight"]
    short = {**state["pool"], "labels": state["pool"]["labels"][:9]}
    for other, given, message in [
        (
            learner(names=[f"{name}!" for name in NAMES]),
            {},
            "for 4 examples that are not in this pool, such as 'item 0'",
        ),
        (learner(names=None), {}, "examples have names, and those of this pool have none; pass the same names="),
        (
            learner(classes=["cat", "emu", "dog"]),
            {},
            r"other classes; make the learner with classes=\['cat', 'dog', 'emu'\]",
        ),
        (learner(classes=None, num_classes=3), {}, r"make the learner with classes=\['cat', 'dog', 'emu'\]"),
        (learner(outputs=4), {}, r"'bias' has shape \(3,\) in the state and \(4,\) in this learner's model"),
        (learner(), {"module": {"weight": weight}}, "only this learner's model has 'bias'"),
        (learner(), {"module": {**state["module"], "scale": weight}}, "only the state has 'scale'"),
        (learner(), {"round": "1"}, "the entry `round` of the state must be a whole number from 0, got '1'"),
        (learner(), {"queries": -1}, "the entry `queries` of the state must be a whole number from 0, got -1"),
        (learner(), {"pool": None}, "the entry `pool` of the state is not the state of a pool"),
        (learner(names=None), {"names": None, "pool": short}, "a pool of 40 examples, and this pool has 40"),
        (learner(X[:9], None), {"names": None, "items": None}, "a pool of 40 examples, and this pool has 9"),
    ]:
        with case(message):
            before = (snapshot(other) if other.names else other.labels, copy.deepcopy(other.module.state_dict()))
            with pytest.raises(InvalidInput, match=message):
                other.load_state_dict({**state, **given})
            assert (snapshot(other) if other.names else other.labels) == before[0]
            for name, tensor in other.module.state_dict().items():
                assert tensor.equal(before[1][name])


def test_a_label_beyond_the_classes_is_refused():
    state = learner(classes=None, num_classes=3).state_dict()
    state["pool"]["labels"][5] = 3
    with pytest.raises(InvalidInput, match="the state has the label 3, and this pool has 3 classes"):
        learner(classes=None, num_classes=3).load_state_dict(state)


def test_without_names_the_data_are_compared(case):
    subject = learner(names=None)
    subject.label([3, 8, 20], ["cat", "dog", "emu"])
    state = saved(subject)
    noisy = X * (1 + 1e-6)  # computed again on another machine
    for same in (X, X.numpy(), X.double(), noisy):
        with case(same):
            resumed = learner(same, None)
            resumed.load_state_dict(state)
            assert resumed.labels == {3: "cat", 8: "dog", 20: "emu"}
    for other in (X.flip(0), X[ORDER], X + 1, torch.cat([X[1:], X[:1]]).numpy()):
        with (
            case(other),
            pytest.raises(InvalidInput, match=r"or to the same in another order: example \d+ has changed"),
        ):
            learner(other, None).load_state_dict(state)
    with pytest.raises(InvalidInput, match="belongs to a pool that is an array, and this one is a data set"):
        learner(TensorDataset(X), None).load_state_dict(state)
    unread = learner(TensorDataset(X), None)  # items of a data set may be drawn at random
    unread.label([3], ["cat"])
    resumed = learner(TensorDataset(X), None)
    resumed.load_state_dict(saved(unread))
    assert resumed.labels == {3: "cat"}


def test_names_of_numpy_can_be_saved():
    subject = learner(names=np.array(NAMES))
    answer(subject, NAMES[:2])
    resumed = learner()
    resumed.load_state_dict(saved(subject))
    assert snapshot(resumed) == snapshot(subject)

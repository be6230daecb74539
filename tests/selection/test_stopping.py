"""Stopping a learner: what a round measures, and that measuring changes nothing."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import distil
from distil.errors import InvalidInput
from distil.selection.stopping import round_of, stop_set

X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


@pytest.fixture
def learner():
    made = distil.Learner(X.numpy(), LogisticRegression(), "margin_sampling", num_classes=2, candidates=range(10, 60))
    made.label(range(10, 20), Y[10:20])
    made.skip([20])
    made.fit()
    return made


def test_a_round_is_what_the_model_says_of_the_stop_set(learner):
    probs = learner.module.predict_proba(X.numpy())
    ids = torch.tensor([10, 11, 20, 30, 40, 50])
    found = round_of(learner, ids, 0.7)
    unsure = 1 - probs[[30, 40, 50]].max(axis=1)  # neither the labeled nor the skipped ones
    assert (found.labels, found.score) == (10, 0.7)
    assert found.classes == tuple(probs[ids].argmax(axis=1).tolist())
    assert found.uncertainty == pytest.approx(unsure.mean(), abs=1e-6)
    assert found.largest == pytest.approx(unsure.max(), abs=1e-6)
    labeled = round_of(learner, torch.tensor([10, 11]))
    assert (labeled.uncertainty, labeled.largest, labeled.score) == (0, 0, None)


def test_probabilities_of_examples_by_name():
    learner = distil.Learner(
        X.numpy(), LogisticRegression(), "margin_sampling", num_classes=2, names=[f"n{i}" for i in range(60)]
    )
    learner.label([f"n{i}" for i in range(10, 20)], Y[10:20])
    learner.fit()
    found = learner.probs(["n9", "n5"])
    np.testing.assert_allclose(found, learner.module.predict_proba(X.numpy()[[9, 5]]), atol=1e-6)


def test_the_stop_set_is_a_seeded_sample_of_what_may_be_queried(learner):
    assert stop_set(learner, distil.Rng(0)).tolist() == [*range(10, 60)]
    some = stop_set(learner, distil.Rng(0), 20)
    assert len(set(some.tolist())) == 20
    assert some.tolist() == sorted(some.tolist())
    assert set(some.tolist()) <= {*range(10, 60)}
    assert torch.equal(some, stop_set(learner, distil.Rng(0), 20))
    assert not torch.equal(some, stop_set(learner, distil.Rng(1), 20))


def test_a_loop_stops_by_its_rules_and_selects_what_it_selects_without_them(learner):
    stopping = distil.Stopping(learner, distil.LabelBudget(labels=20))
    picks = []
    while (reason := stopping.reason()) is None:
        ids = learner.query(5)
        picks.append(ids.tolist())
        learner.label(ids, Y[ids])
        learner.fit()
    assert reason == "the budget of 20 labels is spent"
    assert [each.labels for each in stopping.rounds] == [10, 15, 20]
    again = distil.Learner(X.numpy(), LogisticRegression(), "margin_sampling", num_classes=2, candidates=range(10, 60))
    again.label(range(10, 20), Y[10:20])
    again.skip([20])
    again.fit()
    for expected in picks:
        ids = again.query(5)
        assert ids.tolist() == expected
        again.label(ids, Y[ids])
        again.fit()


def test_a_loop_goes_on_from_its_rounds(learner):
    first = distil.Stopping(learner, distil.StablePredictions(window=2), seed=3)
    assert first.reason() is None
    learner.fit()
    assert first.reason() is None
    learner.fit()
    later = distil.Stopping(learner, distil.StablePredictions(window=2), seed=3)
    later.rounds = first.rounds
    assert later.reason() == "the predictions are stable (mean kappa 1.000 over the last 3 rounds)"


def test_a_fit_counts_once_however_often_the_reason_is_asked(learner):
    stopping = distil.Stopping(learner, distil.StablePredictions(window=1))
    assert [stopping.reason() for _ in range(4)] == [None] * 4
    assert stopping.reason(0.5) is None
    assert [each.score for each in stopping.rounds] == [0.5]
    learner.fit()
    assert stopping.reason() is not None
    assert len(stopping.rounds) == 2


def test_scores_are_for_the_rules_that_read_them(learner):
    stopping = distil.Stopping(learner, distil.SmallGain())
    stopping.reason(0.5)
    assert stopping.rounds[-1].score == 0.5


def test_what_is_no_rule_is_refused(learner):
    for rules in ([], [0.99], "stable", distil.LabelBudget, None):
        with pytest.raises(InvalidInput, match="rules must be one or several stopping rules, such as LabelBudget"):
            distil.Stopping(learner, rules)
    with pytest.raises(InvalidInput, match="size must be a whole number from 1, got 0"):
        distil.Stopping(learner, distil.LabelBudget(labels=5), size=0)

"""CROWDLAB and ActiveLab against worked examples and against their authors' library, which is only called."""

import numpy as np
import pytest

from distil.errors import InvalidInput
from distil.evaluation.annotators import activelab, crowdlab, majority_vote


def crowd_of(rng, rows, classes, people, share):
    """True classes, labels of people of several skills on a share of the examples, and a model's probabilities."""
    truth = rng.integers(0, classes, rows)
    probs = rng.dirichlet(np.ones(classes), rows) * 0.5
    probs[np.arange(rows), truth] += 0.5
    skill = rng.uniform(0.3, 1, people)
    votes = np.where(rng.random((rows, people)) < skill, truth[:, None], rng.integers(0, classes, (rows, people)))
    given = rng.random((rows, people)) < share
    given[np.arange(rows), rng.integers(0, people, rows)] = True  # each example has a label
    return truth, np.where(given, votes, -1), probs


def test_a_worked_example():
    """Two people, on four examples, differ once; the model agrees with the majority everywhere."""
    votes = np.array([[0, 0], [1, 1], [0, 0], [0, 1], [1, -1]])
    probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6], [0.3, 0.7]])
    crowd = crowdlab(votes, probs)
    assert crowd.consensus.tolist() == [0, 1, 0, 1, 1]
    # four examples with two labels: three equal pairs; consensus is 0 in two of them, so the most common class has half
    assert crowd.weights.people.tolist() == pytest.approx([1 - (1 / 4) / (1 / 2)] * 2)
    assert crowd.weights.model == pytest.approx(np.sqrt(9 / 5))
    assert crowd.weights.agreement == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    p, m = 7 / 8, np.sqrt(9 / 5)
    assert crowd.quality[0] == pytest.approx((m * 0.9 + 0.5 * p + 0.5 * p) / (m + 1))
    assert crowd.quality[3] == pytest.approx((m * 0.6 + 0.5 * (1 - p) + 0.5 * p) / (m + 1))
    assert crowd.quality[4] == pytest.approx((m * 0.7 + 0.5 * p) / (m + 0.5))
    assert crowd.annotators[0] < crowd.annotators[1], "the first person differs from the consensus once"
    scores = activelab(votes, probs)
    assert scores[4] == pytest.approx(((m + 0.5) * crowd.quality[4] + 0.5 / 2) / (m + 1))


def test_an_example_without_a_label_has_the_score_of_the_model():
    _, votes, probs = crowd_of(np.random.default_rng(1), 40, 3, 3, 0.6)
    more = np.vstack([votes, [[-1, -1, -1]] * 2])
    unsure = np.array([[0.34, 0.33, 0.33], [0.98, 0.01, 0.01]])
    scores, crowd = activelab(more, np.vstack([probs, unsure])), crowdlab(votes, probs)
    np.testing.assert_allclose(scores[:40], activelab(votes, probs))
    m, w = crowd.weights.model, crowd.weights.people.mean()
    np.testing.assert_allclose(scores[40:], (m * unsure.max(1) + w / 3) / (m + w))
    assert scores.argmin() == 40 or scores[40] < np.median(scores)


def test_consensus_beats_the_model_and_quality_orders_people():
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 4, 600)
    logits = 2 * (
        rng.normal(size=(600, 4)) + 2 * np.eye(4)[truth]
    )  # of the best model for normal classes with these means
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    votes = np.stack(
        [np.where(rng.random(600) < skill, truth, rng.integers(0, 4, 600)) for skill in (0.9, 0.6, 0.2)], 1
    )
    crowd = crowdlab(votes, probs)
    right = lambda labels: (truth == labels.T).mean()  # noqa: E731
    assert right(crowd.consensus) > max(right(probs.argmax(1)) + 0.05, right(votes).mean())
    assert crowd.annotators.argsort().tolist() == [2, 1, 0]
    assert crowd.weights.people.argsort().tolist() == [2, 1, 0]


def test_without_overlap_the_model_alone_judges():
    probs = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
    votes = np.array([[0, -1], [-1, 0], [-1, -1]])
    crowd = crowdlab(votes, probs)
    assert crowd.weights.people.tolist() == [1, 1]
    assert (crowd.weights.model, crowd.weights.agreement) == (1, None)
    assert crowd.consensus.tolist() == [0, 0, 0], "the label where there is one, else the guess"
    assert crowd.quality.tolist() == [0.9, 0.3, 0.6]
    assert activelab(votes, probs) == pytest.approx([(2 * 0.9 + 0.5) / 3, (2 * 0.3 + 0.5) / 3, (0.6 + 0.5) / 2])
    assert activelab([[-1], [-1]], probs[:2]) == pytest.approx([(0.9 + 0.5) / 2, (0.7 + 0.5) / 2])
    assert np.isnan(crowdlab([[0, -1]], [[0.5, 0.5]]).annotators).tolist() == [False, True]


def test_majority_votes():
    probs = [[0.2, 0.5, 0.3]] * 4
    assert majority_vote([[0, 0, 1], [0, 2, -1], [0, 1, 2], [-1, -1, -1]], probs).tolist() == [0, 2, 1, 1]


@pytest.mark.filterwarnings("ignore")  # of theirs: rare classes
def test_it_agrees_with_the_authors_library(monkeypatch, capsys):
    theirs = pytest.importorskip("cleanlab.multiannotator")
    # the library fits a temperature for ActiveLab; the paper's formula has none
    monkeypatch.setattr(theirs, "find_best_temp_scaler", lambda *_, **__: 1.0)
    rng, compared = np.random.default_rng(3), 0
    for case in range(32):
        rows, classes, people = int(rng.integers(4, 60)), int(rng.integers(2, 5)), int(rng.integers(1, 6))
        _, votes, probs = crowd_of(rng, rows, classes, people, (0, 0.2, 0.5, 0.9)[case % 4])
        if not (votes >= 0).any(0).all():
            continue
        compared += 1
        given = np.where(votes < 0, np.nan, votes)
        labeled, unlabeled = theirs.get_active_learning_scores(given, probs, probs[:3])
        np.testing.assert_allclose(activelab(votes, probs), labeled)
        more = np.vstack([votes, np.full((3, people), -1)])
        np.testing.assert_allclose(activelab(more, np.vstack([probs, probs[:3]]))[rows:], unlabeled)
        if not ((votes >= 0).sum(1) > 1).any():
            continue
        found = theirs.get_label_quality_multiannotator(given, probs, return_weights=True, verbose=False)
        crowd = crowdlab(votes, probs)
        np.testing.assert_allclose(crowd.weights.people, found["annotator_weight"])
        assert crowd.weights.model == pytest.approx(found["model_weight"])
        assert crowd.consensus.tolist() == found["label_quality"]["consensus_label"].tolist()
        np.testing.assert_allclose(crowd.quality, found["label_quality"]["consensus_quality_score"])
        quality = found["annotator_stats"]["annotator_quality"].sort_index().to_numpy()
        overlap = ((votes >= 0) & ((votes >= 0).sum(1) > 1)[:, None]).any(0)
        np.testing.assert_allclose(crowd.annotators[overlap], quality[overlap])
    assert compared > 20
    capsys.readouterr()


def test_what_is_no_votes():
    probs = np.full((2, 2), 0.5)
    for votes, message in [
        ([0, 1], "one row for each of the 2 rows"),
        ([[0.0], [1.0]], "whole numbers"),
        ([[0], [2]], r"0\.\.1, or -1 for none; got 0 to 2"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            crowdlab(votes, probs)

"""Confident learning against its equations, computed by loops, and against its authors' library, which is only called."""

import numpy as np
import pytest

from distil.errors import InvalidInput
from distil.evaluation.label_errors import (
    class_thresholds,
    confident_joint,
    estimated_joint,
    label_errors,
    normalized_margin,
    self_confidence,
    suspects,
)


def cases(n=120):
    """Labels and probabilities of many sizes: absent classes, few examples, ties, sure and unsure models."""
    rng = np.random.default_rng(0)
    for case in range(n):
        rows, classes = int(rng.integers(2, 150)), int(rng.integers(2, 6))
        probs = rng.dirichlet(np.full(classes, rng.choice([0.2, 1, 5])), rows)
        labels = np.array([rng.choice(classes, p=p) for p in probs])
        if case % 4 == 0:
            labels[labels == classes - 1] = 0  # an absent class
        if case % 4 == 1:
            probs = np.round(probs * 4) + 1
            probs /= probs.sum(1, keepdims=True)  # many ties
        if case % 4 == 2:
            rows = min(rows, classes)
            labels, probs = np.arange(classes)[:rows], probs[:rows]  # one example a class
        yield labels, probs


def test_the_joint_is_that_of_the_equations():
    for labels, probs in cases():
        classes = range(probs.shape[1])
        of = {c: [p for label, p in zip(labels, probs, strict=True) if label == c] for c in classes}
        thresholds = [sum(p[c] for p in of[c]) / len(of[c]) if of[c] else np.inf for c in classes]
        np.testing.assert_allclose(class_thresholds(labels, probs), thresholds)
        joint = np.zeros((len(classes), len(classes)), int)
        for label, p in zip(labels, probs, strict=True):
            sure = [c for c in classes if p[c] >= thresholds[c] - 1e-9]
            if sure:
                joint[label, max(sure, key=lambda c: p[c])] += 1
        assert confident_joint(labels, probs).tolist() == joint.tolist()


def test_the_estimated_joint_has_the_rows_of_the_labels_and_their_shares():
    for labels, probs in cases():
        joint, whole = confident_joint(labels, probs).astype(float), estimated_joint(labels, probs)
        counts = np.bincount(labels, minlength=len(joint))
        assert whole.sum(1).tolist() == counts.tolist()
        joint += np.diag(joint.diagonal() == 0)
        assert np.abs(whole - joint * (counts / joint.sum(1))[:, None]).max() < 1


def test_a_worked_example():
    """Three labels of each class; the last of class 0 is confidently of class 1."""
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.25, 0.75]])
    labels = [0, 0, 0, 1, 1, 1]
    assert class_thresholds(labels, probs).tolist() == pytest.approx([0.6, 0.75])
    assert confident_joint(labels, probs).tolist() == [[2, 1], [0, 2]]
    assert estimated_joint(labels, probs).tolist() == [[2, 1], [0, 3]]
    for prune in ("class", "noise_rate", "both"):
        assert label_errors(labels, probs, prune).tolist() == [False, False, True, False, False, False]
    assert self_confidence(labels, probs).tolist() == [0.9, 0.8, 0.1, 0.8, 0.7, 0.75]
    assert normalized_margin(labels, probs).tolist() == pytest.approx([0.9, 0.8, 0.1, 0.8, 0.7, 0.75])


def _several_confident_classes(labels, probs):
    """Whether an example is confident of classes among which its most probable one is not.

    The authors' library counts it for the most probable class all the same, the paper for the most probable confident one.
    """
    above = probs >= class_thresholds(labels, probs) - 1e-6
    best = np.where(above, probs, -1).argmax(1)
    return (above.any(1) & (best != probs.argmax(1)) & (above.sum(1) > 1)).any()


@pytest.mark.filterwarnings("ignore")  # of theirs: classes with too few examples
def test_it_agrees_with_the_authors_library():
    filters = pytest.importorskip("cleanlab.filter")
    count, rank = pytest.importorskip("cleanlab.count"), pytest.importorskip("cleanlab.rank")
    compared = 0
    for labels, probs in cases():
        np.testing.assert_allclose(
            rank.get_self_confidence_for_each_label(labels, probs), self_confidence(labels, probs)
        )
        np.testing.assert_allclose(
            rank.get_normalized_margin_for_each_label(labels, probs), normalized_margin(labels, probs), atol=1e-12
        )
        if len(set(labels.tolist())) < 2 or _several_confident_classes(labels, probs):
            continue
        compared += 1
        theirs = count.compute_confident_joint(labels, probs, calibrate=False)
        ours = confident_joint(labels, probs)
        np.fill_diagonal(ours, np.maximum(ours.diagonal(), 1))
        assert ours.tolist() == theirs.tolist()
        joint = estimated_joint(labels, probs)
        assert np.abs(count.compute_confident_joint(labels, probs, calibrate=True) - joint).max() <= 1
        if not joint.diagonal()[np.unique(labels)].all():
            continue  # the library then leaves one example of the class alone
        ties = len(np.unique(probs.round(12))) < probs.size / 2
        for prune, name in (("class", "prune_by_class"), ("noise_rate", "prune_by_noise_rate"), ("both", "both")):
            found = label_errors(labels, probs, prune)
            same = filters.find_label_issues(
                labels, probs, filter_by=name, confident_joint=joint, n_jobs=1, min_examples_per_class=0
            )
            assert ties or found.tolist() == same.tolist()
    assert compared > 60


def test_suspects_are_ordered_and_the_only_example_of_a_class_is_none():
    probs = np.array(
        [[0.9, 0.1, 0.0]] * 4 + [[0.1, 0.9, 0.0]] * 4 + [[0.08, 0.92, 0.0], [0.05, 0.95, 0.0], [0.9, 0.1, 0.0]]
    )
    labels = [0] * 4 + [1] * 4 + [0, 0, 2]
    assert suspects(labels, probs).tolist() == [9, 8]
    assert suspects([0, 1, 2], probs[:3]).tolist() == []


def test_a_model_that_knows_nothing_suspects_nothing():
    labels = np.arange(20) % 2
    without = np.where(labels[:, None] == np.arange(2), 9 / 19, 10 / 19)  # the share of each label among the other 19
    assert label_errors(labels, without).sum() == 18
    assert len(suspects(labels, without)) == 0
    assert len(suspects(labels, np.full((20, 2), [0.6, 0.4]))) == 0


def test_what_is_no_labels_and_no_probabilities():
    probs = np.full((3, 2), 0.5)
    for labels, p, message in [
        ([0, 1], probs, "one for each of the 3 rows"),
        ([0.0, 1.0, 0.0], probs, "whole numbers"),
        ([0, 1, 2], probs, r"must be in 0\.\.1, got 0 to 2"),
        ([0, 1, -1], probs, r"must be in 0\.\.1, got -1 to 1"),
        ([0, 1, 1], probs[:, 0], "of at least two classes"),
        ([], probs[:0], "of at least two classes"),
        ([0, 1, 1], probs * [[1], [4], [1]], "row 1 sums to 4"),
        ([0, 1, 1], probs + np.array([-1, 1]), "row 0 sums to 1"),
        ([0, 1, 1], probs * np.nan, "must be finite"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            label_errors(labels, p)
    with pytest.raises(InvalidInput, match="'noise_rate' or 'both', got 'pbc'"):
        label_errors([0, 1, 1], probs, "pbc")

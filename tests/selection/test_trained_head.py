"""Selections from embeddings and labels alone: the probabilities are those of a linear head."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import distil
from distil.errors import InvalidInput, MissingSignal
from distil.selection.select import select_from
from distil.strategies import GLISTER, GradMatch, UHerding
from distil.training.linear_head import HeadConfig, LinearHead, fit_head

IMAGES, ANSWERS = load_digits(return_X_y=True)
X = (IMAGES[:400] / 16).astype(np.float32)
LABELED = list(range(0, 400, 9))
Y = ANSWERS[LABELED]


@pytest.fixture(scope="module")
def probs():
    """The probabilities of a head that is fitted here."""
    x = torch.from_numpy(X)
    head = LinearHead.over(x, 10)
    fit_head(head, x[LABELED], torch.from_numpy(Y), HeadConfig())
    return head(x).softmax(1).detach()


def test_the_picks_are_those_of_a_learner_with_a_head():
    learner = distil.Learner(X, LinearHead.over(X, 10), "margin_sampling", num_classes=10)
    learner.label(LABELED, Y)
    learner.fit()
    assert select_from("margin_sampling", 20, embeddings=X, labeled=LABELED, labels=Y).tolist() == (
        learner.query(20).tolist()
    )


def test_the_picks_are_those_of_the_probabilities_of_the_head(case, probs):
    for strategy in ("badge", "bait", "entropy_sampling", "uherding", "typiclust"):
        with case(strategy):
            given = {"embeddings": X, "labeled": (LABELED, Y), "seed": 3}
            found = select_from(strategy, 10, **given)
            assert found.tolist() == select_from(strategy, 10, probs=probs, **given).tolist()
            note = (
                "no probs were given: a linear head was trained on the embeddings of 45 labeled examples of 10 classes, and "
                "its probabilities were read"
            )
            assert (note in found.notes) == (strategy != "typiclust")  # which reads embeddings alone


def test_labels_may_be_of_any_kind(probs):
    expected = select_from("glister", 5, probs=probs, embeddings=X, labeled=(LABELED, Y), seed=1).tolist()
    names = [f"digit {y}" for y in Y]
    assert select_from("glister", 5, embeddings=X, labeled=(LABELED, names), seed=1).tolist() == expected
    numbers = {i: 10.0 * y for i, y in zip(LABELED, Y, strict=True)}
    assert select_from("glister", 5, embeddings=X, labeled=numbers, seed=1).tolist() == expected
    classes = [f"digit {y}" for y in range(10)]
    found = select_from("glister", 5, embeddings=X, labeled=(LABELED, names), classes=classes, seed=1)
    assert found.tolist() == expected


def test_rows_that_are_left_out_are_not_read(probs):
    spoiled = X.copy()
    spoiled[5] = np.nan
    found = select_from("margin_sampling", 5, embeddings=spoiled, labeled=(LABELED, Y), exclude=[5])
    assert 5 not in found.tolist()
    names = [f"n{row}" for row in range(400)]
    with pytest.raises(InvalidInput, match="'n5'"):
        select_from("margin_sampling", 5, embeddings=spoiled, labeled=([names[i] for i in LABELED], Y), names=names)


def test_validation_rows_are_read_too(probs):
    held = [row for row in range(1, 400, 40) if row not in LABELED]
    given = {"embeddings": X, "labeled": (LABELED, Y), "validation": (held, ANSWERS[held])}
    candidates = [i for i in range(400) if i not in held and i not in LABELED]
    found = select_from("glister", 5, **given, candidates=candidates)
    assert found.tolist() == select_from("glister", 5, probs=probs, **given, candidates=candidates).tolist()


def test_classes_that_only_the_validation_set_has_are_classes_of_the_head(case):
    """Early labels lack classes: the head then gives these little, as it does to classes that ``classes`` names."""
    known = [row for row in LABELED if ANSWERS[row] < 7]
    held = [row for row in range(1, 400, 3) if row not in known]
    assert set(ANSWERS[held]) == set(range(10)) > set(ANSWERS[known])
    for strategy in (GLISTER(valid=True), GradMatch(valid=True), UHerding(form="published"), "margin_sampling"):
        for labels in (ANSWERS, np.array([f"digit {y}" for y in ANSWERS]), torch.from_numpy(ANSWERS)):
            with case(strategy, type(labels)):
                sets = {"labeled": (known, labels[known]), "validation": (held, labels[held])}
                found = select_from(strategy, 5, embeddings=X, **sets)
                classes = sorted(set(labels.tolist()))
                assert found.tolist() == select_from(strategy, 5, embeddings=X, **sets, classes=classes).tolist()
                assert any(f"{len(known)} labeled examples of 7 classes" in note for note in found.notes)


def test_what_a_head_cannot_be_trained_on(case):
    few = LABELED[:3]
    for labels, error, message in (
        (None, MissingSignal, "MarginSampling needs `probs`"),
        ([7, 7, 7], InvalidInput, "needs labels of two classes; all 3 labels are 7"),
        ([7, None, 1], InvalidInput, r"labels: 1 of 3 are missing \(None\), those of ids 9"),
        (["a", 1, "b"], InvalidInput, "all texts or all numbers"),
    ):
        with case(labels), pytest.raises(error, match=message):
            select_from("margin_sampling", 3, embeddings=X, labeled=few, labels=labels)
    with pytest.raises(InvalidInput, match="labels is empty; the linear head needs at least one labeled example"):
        select_from("margin_sampling", 3, embeddings=X, labeled=[], labels=[])
    with pytest.raises(InvalidInput, match="'c' is not one of the 2 classes"):
        select_from("margin_sampling", 3, embeddings=X, labeled=few, labels=["a", "b", "c"], classes=["a", "b"])
    with pytest.raises(MissingSignal, match="BALD needs `mc_probs`"):
        select_from("bald_dropout", 3, embeddings=X, labeled=few, labels=[1, 2, 3])


def test_probabilities_beyond_the_memory_are_in_a_file(tmp_path):
    runtime = distil.Runtime(memory=1000, scratch=tmp_path)
    given = {"embeddings": X, "labeled": (LABELED, Y)}
    assert select_from("badge", 5, **given, runtime=runtime).tolist() == select_from("badge", 5, **given).tolist()

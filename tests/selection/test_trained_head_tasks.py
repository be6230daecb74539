"""Selections in regression and multi-label classification from embeddings and labels: the linear head gives the outputs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV

import distil
from distil import LinearHead, select_from
from distil.errors import InvalidInput, MissingSignal
from distil.functional.logistic_regression import fit_logistic_regression, pool_scale
from distil.functional.ridge_regression import DECAYS
from distil.training.linear_head import HeadConfig, fit_head

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 5))
Y = X @ RNG.normal(size=(5, 1)) + 0.1 * RNG.normal(size=(80, 1))
L = (X @ RNG.normal(size=(5, 3)) > 0).astype(int)
LABELED = list(range(0, 40, 2))


def scaled():
    center, spread = pool_scale([torch.tensor(X)])
    return ((torch.tensor(X) - center) / spread).numpy()


def test_predictions_are_those_of_ridge_regression():
    rows = scaled()
    predicted = RidgeCV(alphas=DECAYS).fit(rows[LABELED], Y[LABELED, 0]).predict(rows)
    labeled = (LABELED, Y[LABELED, 0])
    found = select_from("greedy_sampling", 6, task="regression", embeddings=X, labeled=labeled)
    given = {"predictions": predicted, "embeddings": X, "labeled": labeled}
    assert found.tolist() == select_from("greedy_sampling", 6, task="regression", **given).tolist()
    assert found.notes == (
        "no predictions were given: a linear head was trained on the embeddings of 20 labeled examples, and its predictions were "
        "read",
    )


def test_probabilities_of_labels_are_those_of_a_logistic_regression_each():
    rows = torch.tensor(scaled())
    fits = [fit_logistic_regression(rows[LABELED], torch.tensor(L[LABELED, label]), 2) for label in range(3)]
    probs = torch.stack([(rows @ fit.weight.T + fit.bias).softmax(1)[:, 1] for fit in fits], 1)
    found = select_from("badge", 6, task="multilabel", embeddings=X, labeled=(LABELED, L[LABELED]))
    assert (
        found.tolist()
        == select_from("badge", 6, task="multilabel", embeddings=X, probs=probs, labeled=LABELED).tolist()
    )
    assert found.notes[0].startswith("no probs were given: a linear head was trained")
    rare = L.copy()
    rare[:, 1] = 0  # a label that no example has
    ranked = select_from("multilabel_uncertainty", 6, task="multilabel", embeddings=X, labeled=(LABELED, rare[LABELED]))
    assert bool(ranked.scores.isfinite().all())


def test_heads_report_their_fit_and_refuse_other_labels(case):
    head = LinearHead.over(X, 1, task="regression")
    result = fit_head(head, torch.tensor(X), torch.tensor(Y), HeadConfig())
    expected = 1 - np.square(head(torch.tensor(X)).detach().numpy() - Y).mean() / Y.var()
    assert result.accuracies[0] == pytest.approx(expected)
    assert result.accuracies[0] > 0.9
    labels = LinearHead.over(X, 3, task="multilabel")
    result = fit_head(labels, torch.tensor(X), torch.tensor(L), HeadConfig(class_weights="balanced"))
    assert result.accuracies[0] == pytest.approx(float(((labels(torch.tensor(X)) > 0).numpy() == L).mean()))
    assert distil.wrap(labels, task="multilabel", example=torch.tensor(X)).task == "multilabel"
    for call, message in [
        (lambda: fit_head(head, torch.tensor(X), torch.tensor(L), HeadConfig()), r"y must be \(80, 1\)"),
        (
            lambda: fit_head(head, torch.tensor(X), torch.tensor(Y), HeadConfig(class_weights="balanced")),
            "no meaning in",
        ),
        (lambda: LinearHead.over(X, 0, task="regression"), "a whole number from 1"),
        (
            lambda: select_from("badge", 2, task="multilabel", embeddings=X, labeled=([3, 4], [[0, 1], [2, 0]])),
            "a column of 0 and 1 for each label; got 2 for id 4",
        ),
        (
            lambda: select_from("greedy_sampling", 2, task="regression", embeddings=X, labeled=([3, 4], [0.5, None])),
            "NaN or infinite values in 1 of 2 examples: ids 4",
        ),
    ]:
        with case(message), pytest.raises(InvalidInput, match=message):
            call()


def test_from_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    lines = [f"{row},{Y[row, 0]}" for row in LABELED]
    Path("labeled.csv").write_text("\n".join(["id,label", *lines]))
    found = distil.pick("greedy_sampling", 5, task="regression", embeddings="x.npy", labeled="labeled.csv")
    labeled = (LABELED, Y[LABELED, 0])
    expected = select_from("greedy_sampling", 5, task="regression", embeddings=X, labeled=labeled)
    assert [int(pick["id"]) for pick in found["picks"]] == expected.tolist()
    assert found["notes"][0] == expected.notes[0]
    with pytest.raises(MissingSignal, match=r"pass --predictions, or labels \(--labeled\)"):
        distil.pick("greedy_sampling", 5, task="regression", embeddings="x.npy")

"""The losses and scores of each task, against their definitions."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score
from torch import nn

from distil import FitConfig, fit
from distil.errors import InvalidInput
from distil.rng import Rng
from distil.training.objectives import OBJECTIVES

RNG = np.random.default_rng(0)
WEIGHTS = RNG.random(12)


def test_losses_and_scores_are_those_of_their_definitions():
    outputs = RNG.normal(size=(12, 3))
    logits, weights = torch.from_numpy(outputs), torch.from_numpy(WEIGHTS)
    classes, sets, numbers = np.arange(12) % 3, (RNG.random((12, 3)) < 0.4).astype(int), RNG.normal(size=(12, 3))
    probs = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    sigmoid = 1 / (1 + np.exp(-outputs))
    bce = np.stack(
        [-(sets[:, k] * np.log(sigmoid[:, k]) + (1 - sets[:, k]) * np.log(1 - sigmoid[:, k])) for k in range(3)]
    )
    expected = {
        "classification": (classes, log_loss(classes, probs), accuracy_score(classes, outputs.argmax(1))),
        "multilabel": (sets, bce.mean(), ((outputs > 0) == sets).mean()),
        "regression": (numbers, mean_squared_error(numbers, outputs), r2_score(numbers, outputs)),
    }
    per_example = {
        "classification": -np.log(probs[np.arange(12), classes]),
        "multilabel": bce.mean(0),
        "regression": ((numbers - outputs) ** 2).mean(1),
    }
    for task, (y, loss, score) in expected.items():
        objective, labels = OBJECTIVES[task], torch.from_numpy(y)
        assert float(objective.loss(logits, labels, None)) == pytest.approx(loss)
        weighted = (per_example[task] * WEIGHTS).sum() / WEIGHTS.sum()
        assert float(objective.loss(logits, labels, weights)) == pytest.approx(weighted)
        assert float(objective.hits(logits, labels)) / 12 == pytest.approx(score)
        halves = sum(float(objective.hits(logits[part], labels[part])) for part in (slice(6), slice(6, 12)))
        assert (halves == pytest.approx(12 * score)) == objective.adds_up


def test_labels_of_another_task_are_refused():
    for task, y, message in [
        ("regression", torch.zeros(4, 2), r"expected numbers of shape \(N, 3\), one for each output"),
        ("regression", torch.full((4, 3), float("nan")), "expected finite numbers"),
        ("multilabel", torch.full((4, 3), 0.5), "expected 0 and 1, whether an example has each label"),
        ("classification", torch.zeros(4, 3), r"expected whole numbers of shape \(N,\)"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            OBJECTIVES[task].check(y, 3, "y")
    assert OBJECTIVES["regression"].check(torch.tensor([1, 2]), 1, "y").tolist() == [[1], [2]]


def test_least_squares_by_steps_reach_the_solution():
    x = torch.from_numpy(RNG.normal(size=(40, 2)))
    y = x @ torch.tensor([[1.0], [-2.0]], dtype=torch.float64) + 3
    module = nn.Linear(2, 1).double()
    config = FitConfig(lr=0.1, n_epoch=150, weight_decay=0.0, window_size=None)
    found = fit(module, x, y[:, 0], config, num_classes=1, rng=Rng(0), task="regression")
    torch.testing.assert_close(
        module.weight.detach(), torch.tensor([[1.0, -2.0]], dtype=torch.float64), atol=1e-3, rtol=0
    )
    assert float(module.bias.detach()) == pytest.approx(3, abs=1e-3)
    assert found.accuracies[-1] == pytest.approx(1, abs=1e-5)
    assert found.accuracies[0] < found.accuracies[-1]
    deep = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)).double()
    with pytest.raises(InvalidInput, match=r"training diverged.*, or bring the targets to mean 0 and deviation 1"):
        fit(deep, x, 1e6 * y, config, num_classes=1, rng=Rng(0), task="regression")
    with pytest.raises(InvalidInput, match=r"expected predictions of shape \(40, 2\) for num_classes=2, got \(40, 1\)"):
        fit(
            module,
            x,
            torch.cat([y, y], 1),
            config,
            num_classes=2,
            rng=Rng(0),
            task="regression",
            read=lambda m, x: m(x),
        )

"""``Learner`` in regression and multi-label classification."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import f1_score, mean_absolute_error, r2_score, root_mean_squared_error
from torch import nn

from distil import FitConfig, HeadConfig, LabelBudget, Learner, LinearHead, Stopping
from distil.data.examples import LabeledSet
from distil.errors import InvalidInput

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)).astype(np.float32)
TARGETS = X @ np.array([[1.0, 0.5], [-2.0, 0.0], [0.0, 1.0], [0.5, -0.5]]) + 3 + 0.1 * RNG.normal(size=(120, 2))
SETS = (X @ RNG.normal(size=(4, 3)) > 0.3).astype(int)
NAMES = ["cat", "dog", "eel"]
FIRST = list(range(20))


def network(columns):
    return lambda: nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, columns))


def named(rows):
    return [[name for name, has in zip(NAMES, row, strict=True) if has] for row in rows]


def rounds(learner, truth, n=5):
    learner.label(FIRST, [truth[i] for i in FIRST])
    for _ in range(2):
        learner.fit()
        picks = learner.query(n)
        learner.label(picks, [truth[i] for i in picks])
    return picks


def test_regression_with_a_network_and_with_a_linear_head():
    settings = {"task": "regression", "seed": 0}
    trained = Learner(X, network(2), "lcmd", num_classes=2, fit=FitConfig(lr=0.05, n_epoch=60), **settings)
    head = Learner(X, LinearHead.over(X, 2, task="regression"), "greedy_sampling", num_classes=2, **settings)
    for learner in (trained, head):
        rounds(learner, TARGETS)
        result = learner.fit()
        found = learner.evaluate(X[60:], TARGETS[60:])
        with torch.no_grad():
            predicted = learner.module(torch.from_numpy(X[60:])).double().numpy()
        assert found["r2"] == pytest.approx(r2_score(TARGETS[60:], predicted))
        assert found["rmse"] == pytest.approx(root_mean_squared_error(TARGETS[60:], predicted))
        assert found["mae"] == pytest.approx(mean_absolute_error(TARGETS[60:], predicted))
        assert found["r2"] > 0.9
        assert result.accuracies[-1] > 0.9
        assert result.notes == ()
        assert len(learner.pool.labeled) == 30
        with pytest.raises(InvalidInput, match="regression models give no probabilities"):
            learner.probs([70, 61])
    expected = LinearRegression().fit(X[head.pool.labeled], TARGETS[head.pool.labeled]).coef_
    np.testing.assert_allclose(
        head.module.linear.weight.detach().numpy() / float(head.module.spread), expected, atol=0.05
    )


def test_labels_are_given_back_as_they_came():
    one = Learner(X, network(1), "lcmd", task="regression")
    one.label([3, 1], [2.5, -1])
    assert one.labels == {1: -1.0, 3: 2.5}
    two = Learner(X, network(2), "lcmd", num_classes=2, task="regression")
    two.label([3, 1], [[2.5, 1], [0, 4]])
    assert two.labels == {1: [0.0, 4.0], 3: [2.5, 1.0]}
    for truth, classes in ((SETS.tolist(), None), (named(SETS), NAMES)):
        sets = Learner(X, network(3), "badge", num_classes=3, classes=classes, task="multilabel")
        sets.label([4, 7, 2], [truth[i] for i in (4, 7, 2)])
        assert sets.labels == {i: truth[i] for i in (2, 4, 7)}
        assert sets.labeled.y.tolist() == SETS[[2, 4, 7]].tolist()
        again = Learner(X, network(3), "badge", num_classes=3, classes=classes, task="multilabel")
        again.label(sets.labels)
        assert again.labels == sets.labels
        again.load_state_dict(sets.state_dict())
        sets.unlabel([4])
        assert list(sets.labels) == [2, 7]
    frame = pd.DataFrame(SETS[[2, 4]], columns=NAMES)
    sets = Learner(X, network(3), "badge", classes=NAMES, task="multilabel")
    sets.label([2, 4], frame)
    assert sets.labels == {2: named(SETS)[2], 4: named(SETS)[4]}
    assert LabeledSet(X, torch.tensor([1]), torch.tensor([[0.5]]), "regression")[0][1].tolist() == [0.5]


def test_multilabel_with_a_network_and_with_a_linear_head():
    settings = {"task": "multilabel", "classes": NAMES, "seed": 0}
    truth = named(SETS)
    trained = Learner(X, network(3), "badge", fit=FitConfig(lr=0.5, n_epoch=60), **settings)
    head = Learner(X, LinearHead.over(X, 3, task="multilabel"), "multilabel_uncertainty", **settings)
    for learner in (trained, head):
        rounds(learner, truth)
        result = learner.fit()
        found = learner.evaluate(X[60:], truth[60:])
        with torch.no_grad():
            predicted = (learner.module(torch.from_numpy(X[60:])) > 0).int().numpy()
        assert found["macro_f1"] == pytest.approx(f1_score(SETS[60:], predicted, average="macro"))
        assert found["micro_f1"] == pytest.approx(f1_score(SETS[60:], predicted, average="micro"))
        assert found["subset_accuracy"] == pytest.approx((predicted == SETS[60:]).all(1).mean())
        assert found["micro_f1"] > 0.8
        with torch.no_grad():
            torch.testing.assert_close(learner.probs([70, 61]), learner.module(torch.from_numpy(X[[70, 61]])).sigmoid())
        assert result.accuracies[-1] > 0.8


def test_training_by_examples_and_with_validation():
    class Items(torch.utils.data.Dataset):
        def __len__(self):
            return len(X)

        def __getitem__(self, row):
            return torch.from_numpy(X[row])

    config = FitConfig(lr=0.05, n_epoch=20, window_size=None)
    models = []
    for data in (X, Items()):
        learner = Learner(data, network(2), "lcmd", num_classes=2, fit=config, task="regression", seed=3)
        learner.label(FIRST, TARGETS[FIRST])
        learner.fit()
        models.append(learner.module.state_dict())
    for name, weights in models[0].items():
        torch.testing.assert_close(weights, models[1][name])
    patient = FitConfig(lr=0.05, n_epoch=30, patience=3)
    validation = (X[100:], TARGETS[100:])
    learner = Learner(
        X, network(2), "lcmd", num_classes=2, fit=patient, validation=validation, task="regression", seed=3
    )
    learner.label(FIRST, TARGETS[FIRST])
    best = max(learner.fit().validation_accuracies)
    assert learner.evaluate(*validation)["r2"] == pytest.approx(best)


def test_what_a_task_does_not_have_is_refused_before_any_work():
    def never():
        raise AssertionError("the model was built")

    for strategy, task in (
        ("margin_sampling", "regression"),
        ("auto", "multilabel"),
        ("variance_sampling", "multilabel"),
    ):
        with pytest.raises(InvalidInput, match=f"does not know the task '{task}'.*strategies for {task}: .*lcmd"):
            Learner(X, never, strategy, num_classes=3, task=task)
    with pytest.raises(InvalidInput, match="number of labels is missing"):
        Learner(X, network(3), "badge", task="multilabel")
    with pytest.raises(InvalidInput, match="the task is regression; leave them out"):
        Learner(X, network(1), "lcmd", classes=["a", "b"], task="regression")
    with pytest.raises(InvalidInput, match=r"head is for regression, and the learner for multilabel"):
        Learner(X, LinearHead.over(X, 3, task="regression"), "badge", num_classes=3, task="multilabel")
    with pytest.raises(
        InvalidInput, match=r"stopping rules read classes and their probabilities, .* task is regression"
    ):
        Stopping(Learner(X, network(1), "lcmd", task="regression"), LabelBudget(labels=10))
    balanced = {"fit": HeadConfig(class_weights="balanced"), "task": "regression"}
    with pytest.raises(InvalidInput, match="class_weights has no meaning in regression"):
        Learner(X, LinearHead.over(X, 1, task="regression"), "lcmd", **balanced)
    with pytest.raises(InvalidInput, match="task must be one of"):
        Learner(X, network(1), "lcmd", task="ranking")


@pytest.mark.parametrize(
    ("task", "classes", "labels", "message"),
    [
        (
            "regression",
            None,
            [[1.0, 2.0]],
            "must have 1 number for each example, one for each output of the model; got 2",
        ),
        ("regression", None, ["high"], "labels"),
        ("regression", None, [float("nan")], "ids 5"),
        ("multilabel", NAMES, [["cat", "dgo"]], "labels of id 5: 'dgo' is not one of the 3 labels.*did you mean 'dog'"),
        ("multilabel", NAMES, ["cat"], r"expected a list of names, such as \['cat'\] or \[\], got 'cat'"),
        ("multilabel", NAMES, [[1, 0]], "a column for each of the 3 labels, got 2"),
        ("multilabel", NAMES, [[1, 0, 2]], "a column of 0 and 1 for each label; got 2 for id 5"),
        ("multilabel", NAMES, [["cat"], []], "one entry for each of the 1 examples, got 2"),
    ],
)
def test_a_wrong_label_is_named(task, classes, labels, message):
    learner = Learner(X, network(3), "lcmd", classes=classes, task=task)
    with pytest.raises(InvalidInput, match=message):
        learner.label([5], labels)
    assert len(learner.pool.labeled) == 0


def test_a_state_of_another_task_is_refused():
    numbers = Learner(X, network(1), "lcmd", task="regression")
    sets = Learner(X, network(3), "badge", num_classes=3, task="multilabel")
    classes = Learner(X, network(3), "badge", num_classes=3)
    for other in (sets, classes):
        with pytest.raises(InvalidInput, match="load the state of a pool of the same task"):
            other.load_state_dict({**numbers.state_dict(), "module": None})

"""Regressors and classifiers of several labels of scikit-learn as networks."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import BaggingRegressor, RandomForestClassifier, RandomForestRegressor, VotingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import BayesianRidge, LinearRegression, LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from distil import Learner, select, select_from, wrap
from distil.errors import DistilWarning, InvalidInput, UnsupportedModel
from distil.networks.dropout import Draw
from distil.rng import Rng
from distil.system.runtime import Runtime

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
ONE = X @ [1.0, -2.0, 0.0, 0.5] + 0.1 * RNG.normal(size=80)
TWO = np.stack([ONE, X[:, 2]], 1)
SETS = (X @ RNG.normal(size=(4, 3)) > 0.2).astype(int)
POOL = RNG.normal(size=(30, 4))


def asked(network):
    with network.asking(Runtime()):
        outputs = network.outputs(torch.from_numpy(POOL))
        return outputs.logits.numpy(), outputs.embedding.numpy()


def sampled(network, k):
    return network.sample(torch.from_numpy(POOL), k, Draw(Rng(0), torch.arange(30), False)).numpy()


def test_predictions_of_regressors_are_read():
    scaled = make_pipeline(StandardScaler(), Ridge()).fit(X, TWO)
    for model in (Ridge().fit(X, ONE), Ridge().fit(X, TWO), MultiOutputRegressor(Ridge()).fit(X, TWO), scaled):
        predictions, embedding = asked(wrap(model, task="regression"))
        np.testing.assert_allclose(predictions, model.predict(POOL).reshape(30, -1))
        seen = model[0].transform(POOL) if model is scaled else POOL
        np.testing.assert_allclose(embedding, seen)
        arrays = {"predictions": predictions, "embeddings": seen}
        for name in ("greedy_sampling", "lcmd", "badge"):
            given = {"labeled": ([3, 5], predictions[[3, 5]]), "task": "regression", "seed": 2}
            assert select(name, model, POOL, 5, **given).tolist() == select_from(name, 5, **arrays, **given).tolist()


def test_samples_are_those_of_members_or_of_a_predicted_deviation():
    forest = RandomForestRegressor(7, random_state=0).fit(X, TWO)
    np.testing.assert_allclose(
        sampled(wrap(forest, task="regression"), 3), np.stack([tree.predict(POOL) for tree in forest.estimators_], 1)
    )
    bagged = BaggingRegressor(Ridge(), n_estimators=4, max_features=2, random_state=0).fit(pd.DataFrame(X), ONE)
    votes = [m.predict(POOL[:, f]) for m, f in zip(bagged.estimators_, bagged.estimators_features_, strict=True)]
    np.testing.assert_allclose(sampled(wrap(bagged, task="regression"), 9)[..., 0], np.stack(votes, 1))
    vote = VotingRegressor([("a", Ridge()), ("b", BayesianRidge())], weights=[2, 1]).fit(X, ONE)
    votes = [member.predict(POOL) for member in vote.estimators_]
    found = sampled(wrap(vote, task="regression"), 9)[..., 0]
    np.testing.assert_allclose(found, np.stack([votes[0], votes[0], votes[1]], 1))
    for model, y in (
        (GaussianProcessRegressor(alpha=0.1), ONE),
        (GaussianProcessRegressor(alpha=0.1), TWO),
        (BayesianRidge(), ONE),
    ):
        mean, deviation = model.fit(X, y).predict(POOL, return_std=True)
        network = wrap(model, task="regression")
        samples = sampled(network, 8)
        np.testing.assert_allclose(samples.mean(1), mean.reshape(30, -1), atol=1e-8)
        np.testing.assert_allclose(samples.std(1), deviation.reshape(30, -1), atol=1e-8)
        assert sampled(network, 1).shape[:2] == (30, 1)
        found = select("variance_sampling", model, POOL, 4, task="regression")
        expected = (deviation.reshape(30, -1) ** 2).sum(1)
        np.testing.assert_allclose(sorted(found.scores.tolist(), reverse=True), np.sort(expected)[::-1][:4], rtol=1e-5)
    with pytest.warns(DistilWarning, match="LinearRegression is not a mean of members, so all samples are equal"):
        samples = sampled(wrap(LinearRegression().fit(X, ONE), task="regression"), 3)
    assert (samples == samples[:, :1]).all()


def test_probabilities_of_labels_are_read():
    logistic = LogisticRegression()
    for model in (
        MultiOutputClassifier(logistic).fit(X, SETS),
        OneVsRestClassifier(logistic).fit(X, SETS),
        RandomForestClassifier(5, random_state=0).fit(X, SETS),
        ClassifierChain(logistic).fit(X, SETS),
        MLPClassifier((4,), tol=10, n_iter_no_change=2, random_state=0).fit(X, SETS),
    ):
        with np.errstate(all="ignore"):
            given = model.predict_proba(POOL)
        expected = np.stack([part[:, 1] for part in given], 1) if isinstance(given, list) else given
        logits, embedding = asked(wrap(model, task="multilabel"))
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), expected, atol=1e-6)
        np.testing.assert_allclose(embedding, POOL)
    margins = OneVsRestClassifier(LinearSVC(random_state=0)).fit(X, SETS)
    network = wrap(margins, task="multilabel", logits="decision_function")
    np.testing.assert_allclose(asked(network)[0], margins.decision_function(POOL))


def test_a_label_without_two_classes_has_probability_0_or_1():
    constant = SETS.copy()
    constant[:, 0], constant[:, 2] = 0, 1
    model = RandomForestClassifier(5, random_state=0).fit(X, constant)
    probs = 1 / (1 + np.exp(-asked(wrap(model, task="multilabel"))[0]))
    assert (probs[:, 0] < 1e-6).all()
    assert (probs[:, 2] > 1 - 1e-6).all()
    assert 0.1 < probs[:, 1].mean() < 0.9


def test_a_learner_fits_estimators_of_other_tasks():
    regressor = Learner(X, RandomForestRegressor(20, random_state=0), "variance_sampling", task="regression", seed=0)
    labels = Learner(X, MultiOutputClassifier(LogisticRegression()), "badge", num_classes=3, task="multilabel", seed=0)
    for learner, truth in ((regressor, ONE), (labels, SETS)):
        learner.label(range(20), truth[:20])
        learner.fit()
        picks = learner.query(5)
        learner.label(picks, truth[picks])
        learner.fit()
    assert regressor.evaluate(X[40:], ONE[40:])["r2"] == pytest.approx(regressor.module.score(X[40:], ONE[40:]))
    assert labels.evaluate(X[40:], SETS[40:])["subset_accuracy"] == pytest.approx(
        labels.module.score(X[40:], SETS[40:])
    )


@pytest.mark.parametrize(
    ("model", "settings", "error", "message"),
    [
        (LogisticRegression(), {"task": "regression"}, UnsupportedModel, "is a classifier, and the task is regression"),
        (Ridge(), {"task": "regression"}, UnsupportedModel, "Ridge is not fitted; call its fit first"),
        (Ridge(), {"task": "multilabel"}, UnsupportedModel, "Ridge has no predict_proba"),
        (LinearSVC(), {"task": "multilabel"}, UnsupportedModel, 'by logits="predict_proba", the default, or "decision'),
        (Ridge().fit(X, TWO), {"task": "regression", "num_classes": 1}, UnsupportedModel, "predicts 2 numbers .* is 1"),
        (
            LogisticRegression().fit(X, SETS[:, 0]),
            {"task": "multilabel"},
            UnsupportedModel,
            "chooses one class for each",
        ),
        (
            RandomForestClassifier(2).fit(X, 2 * SETS),
            {"task": "multilabel"},
            UnsupportedModel,
            "expected columns of 0 and 1",
        ),
        (
            MultiOutputClassifier(LogisticRegression()).fit(X, SETS),
            {"task": "multilabel", "num_classes": 4},
            UnsupportedModel,
            "expected a row of 4 labels",
        ),
        (Ridge(), {"task": "regression", "head": "fc"}, InvalidInput, "head= cannot be used with Ridge"),
    ],
)
def test_estimators_of_another_kind_are_refused(model, settings, error, message):
    with pytest.raises(error, match=message):
        asked(wrap(model, **settings))

"""scikit-activeml: core-set, BADGE, TypiClust, ProbCover."""

from __future__ import annotations

import numpy as np
from skactiveml.base import SkactivemlClassifier
from skactiveml.pool import Badge, CoreSet, ProbCover, TypiClust

from benchmarks.speed.spec import Found, Given, Prepared


class Known(SkactivemlClassifier):
    """A classifier whose probabilities are known, so that the strategy alone is timed."""

    def __init__(self, probs: np.ndarray | None = None) -> None:
        super().__init__(classes=range(0 if probs is None else probs.shape[1]), missing_label=np.nan)
        self.probs = probs

    def fit(self, X, y, sample_weight=None):  # noqa: ARG002, D102
        return self

    def predict_proba(self, X):  # noqa: ARG002, D102
        return self.probs


def k_center(given: Given) -> Prepared:
    """``CoreSet``, the labeled rows last."""
    x = np.concatenate([given["x"], given["labeled"]])
    y = np.full(len(x), np.nan)
    y[len(given["x"]) :] = 0
    return lambda k: Found(np.asarray(CoreSet(random_state=0).query(x, y, batch_size=k)))


def badge(given: Given) -> Prepared:
    """``Badge`` with a classifier whose probabilities are given."""
    x, classifier = given["x"], Known(given["probs"])
    y = np.full(len(x), np.nan)
    return lambda k: Found(np.asarray(Badge(random_state=0).query(x, y, classifier, fit_clf=False, batch_size=k)))


def typiclust(given: Given) -> Prepared:
    """``TypiClust`` with its defaults (scikit-learn's k-means)."""
    x = given["x"]
    y = np.full(len(x), np.nan)
    return lambda k: Found(np.asarray(TypiClust(random_state=0).query(x, y, batch_size=k)))


def probcover(given: Given) -> Prepared:
    """``ProbCover`` with a fixed radius."""
    x = given["x"]
    y = np.full(len(x), np.nan)
    radius = float(given["radius"])
    return lambda k: Found(np.asarray(ProbCover(deltas=[radius], random_state=0).query(x, y, batch_size=k)))

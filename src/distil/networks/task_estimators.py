"""Estimators of scikit-learn for other tasks than classification: regressors, and classifiers of several labels."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.errors import UnsupportedModel
from distil.networks.base import Samples
from distil.networks.dropout import Draw
from distil.networks.fitted import Fitted, kind_of, name_of
from distil.networks.output_kinds import as_logits


class Regressor(Fitted, Samples):
    """A fitted regressor. Its predictions are the outputs, its inputs the embedding.

    Samples, for ``variance_sampling``, are the predictions of its ``estimators_`` (random forests, bagging, voting), if their mean,
    by the weights of a vote, is its own prediction. A regressor whose ``predict`` takes ``return_std``, such as
    ``GaussianProcessRegressor`` and ``BayesianRidge``, gives K numbers whose mean and deviation are those that it predicts:
    quantiles of a normal distribution, so nothing is random. Otherwise all samples are equal, with a warning.

    Args:
        estimator: The regressor.
        outputs: The number of predicted numbers, T; None: any.
        embedding: See ``Fitted``.
        inputs: See ``Fitted``.

    Raises:
        UnsupportedModel: It is a classifier, or another kind of estimator that predicts no numbers.
    """

    task = "regression"

    def __init__(
        self,
        estimator: object,
        *,
        outputs: int | None = None,
        embedding: object = None,
        inputs: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(estimator, embedding=embedding, inputs=inputs)
        kind = kind_of(self._final)
        if kind not in (None, "regressor"):
            raise UnsupportedModel(f"{name_of(estimator)} is a {kind}, and the task is regression; pass a regressor")
        self._outputs = outputs
        self._has_std = "return_std" in inspect.signature(self._final.predict).parameters

    def __repr__(self) -> str:
        return f"Regressor({name_of(self.estimator)})"

    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401, ARG002
        """Predictions of the members, (B, members, T); or ``n_samples`` numbers of the predicted mean and deviation."""
        seen = self._seen(self._inputs(batch))
        if self._has_std:
            return self._quantiles(seen, n_samples)
        votes = [
            self._rows(member.predict(self._seen_by(member, seen, features)))
            for member, features in self._members("predict")
        ]
        return self._samples(votes, lambda: self._logits(seen), n_samples)

    def _quantiles(self, seen: Any, n_samples: int) -> Tensor:  # noqa: ANN401
        """Samples of the predicted mean and deviation, (B, K, T)."""
        with self._explained():
            mean, deviation = map(self._rows, self._final.predict(seen, return_std=True))
        levels = (torch.arange(n_samples, dtype=mean.dtype) + 0.5) / n_samples
        z: Tensor = torch.special.ndtri(levels)
        z = z / z.std(correction=0) if n_samples > 1 else z
        return mean[:, None] + z[:, None] * deviation[:, None]

    def _logits(self, seen: Any) -> Tensor:  # noqa: ANN401
        with self._explained():
            found = self._rows(self._final.predict(seen))
        if self._outputs is not None and found.shape[1] != self._outputs:
            raise UnsupportedModel(
                f"{name_of(self.estimator)} predicts {found.shape[1]} numbers for each example, and num_classes is {self._outputs}"
            )
        return found

    def _rows(self, predicted: Any) -> Tensor:  # noqa: ANN401
        """Predictions as rows, (B, T)."""
        array = np.asarray(predicted)
        if array.dtype.kind not in "fiu" or array.ndim not in (1, 2):
            raise UnsupportedModel(
                f"{name_of(self.estimator)} predicts {array.dtype} of shape {array.shape}; a regressor predicts numbers, "
                "(B,) or (B, T)"
            )
        return torch.from_numpy(array.reshape(len(array), -1).astype(np.float64))


class LabelEstimator(Fitted):
    """A fitted classifier of several labels: ``MultiOutputClassifier``, ``OneVsRestClassifier``, a forest, ... on a column each.

    Its probabilities of the labels are the outputs, its inputs the embedding. A label that it was fitted without, or only with, has
    probability 0 or 1.

    Args:
        estimator: The classifier.
        logits: ``"predict_proba"``; or ``"decision_function"``, whose values are then the logits, for classifiers without
            probabilities.
        outputs: The number of labels, L; None: any.
        embedding: See ``Fitted``.
        inputs: See ``Fitted``.

    Raises:
        UnsupportedModel: It lacks the method in ``logits``.
    """

    task = "multilabel"

    def __init__(
        self,
        estimator: object,
        *,
        logits: str = "predict_proba",
        outputs: int | None = None,
        embedding: object = None,
        inputs: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(estimator, embedding=embedding, inputs=inputs)
        method = getattr(self._final, logits, None) if logits in ("predict_proba", "decision_function") else None
        if not callable(method):
            raise UnsupportedModel(
                f'{name_of(estimator)} has no {logits}, and a classifier of several labels is read by logits="predict_proba", the '
                'default, or "decision_function"'
            )
        self._ask, self._scores, self._outputs = method, logits, outputs
        self._checked = False

    def __repr__(self) -> str:
        return f"LabelEstimator({name_of(self.estimator)})"

    def _logits(self, seen: Any) -> Tensor:  # noqa: ANN401
        with self._explained():
            self._check_labels(seen)
            scores = self._ask(seen)
        found = torch.from_numpy(self._columns(scores) if isinstance(scores, list) else np.asarray(scores, np.float64))
        if found.ndim != 2 or (self._outputs is not None and found.shape[1] != self._outputs):
            expected = "any number of" if self._outputs is None else self._outputs
            raise UnsupportedModel(
                f"{name_of(self.estimator)}.{self._scores} returned {tuple(found.shape)}; expected a row of {expected} labels for "
                "each example"
            )
        return found if self._scores == "decision_function" else as_logits(found, "probs", "multilabel")

    def _check_labels(self, seen: Any) -> None:  # noqa: ANN401
        """Refuse a classifier that chooses one class for each example; looked at once."""
        if not self._checked:
            predicted = np.asarray(self._final.predict(getattr(seen, "iloc", seen)[:1]))
            if predicted.ndim != 2:
                raise UnsupportedModel(
                    f"{name_of(self.estimator)} chooses one class for each example, and the task is multilabel; fit it to a column "
                    "of 0 and 1 for each of two labels or more, as in MultiOutputClassifier(...)"
                )
            self._checked = True

    def _columns(self, scores: list[Any]) -> np.ndarray[Any, Any]:
        """The probability of each label, (B, L), from the probabilities of its two classes."""
        known = [np.asarray(own).tolist() for own in self._final.classes_]
        if any(not set(own) <= {0, 1} for own in known):
            raise UnsupportedModel(
                f"{name_of(self.estimator)} was fitted to outputs with the classes {known[0]}; expected columns of 0 and 1"
            )
        columns = [
            np.asarray(part)[:, own.index(1)] if 1 in own else 0 for part, own in zip(scores, known, strict=True)
        ]
        rows = len(np.asarray(scores[0]))
        return np.stack([np.broadcast_to(np.asarray(column, np.float64), rows) for column in columns], 1)

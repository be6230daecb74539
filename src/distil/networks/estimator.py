"""Classifiers of scikit-learn, and others with the same methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.errors import InvalidInput, UnsupportedModel
from distil.networks.base import Samples
from distil.networks.dropout import Draw
from distil.networks.fitted import Fitted, kind_of, name_of, steps_of

# Largest difference from 1 of a sum of probabilities.
_SLACK = 1e-2

# Stands for a probability of 0 in logarithms.
_TINY = np.finfo(np.float32).tiny

Scores = Literal["predict_proba", "decision_function"]
"""The method of an estimator that returns its probabilities or logits."""


class Estimator(Fitted, Samples):
    """A fitted scikit-learn classifier, unchanged.

    Columns are in the order of its ``classes_``. The embedding is the input of the classifier itself: in a pipeline, the output of
    the steps before it (computed once). Samples, as for BALD, are the probabilities of its members (random forests,
    bagging, soft voting, calibration by cross-validation), if their mean, by the weights of a vote, is its own prediction;
    otherwise all samples are equal, with a warning. Members that only name a class give it probability 1. For a search, as in
    ``GridSearchCV``, the ``best_estimator_`` is asked.

    Args:
        estimator: The classifier; it is called with a NumPy array, or with a list if the minibatch holds texts.
        logits: ``"predict_proba"``, whose logarithms are the logits; or ``"decision_function"``, whose values are the logits, for
            classifiers without probabilities. Calibrate these (``CalibratedClassifierCV``) for strategies that read more than
            their order.
        embedding: A fitted object with ``transform``, or a function, from the inputs to the embedding (B, D).
        inputs: A function from the minibatch to the argument that the estimator is called with.
        classes: All classes in column order, if the estimator may not have seen some; those have probability 0. Default: its
            own classes.

    Raises:
        UnsupportedModel: It is not fitted, is not a classifier, or lacks the method in ``logits``.
    """

    classes: NDArray[Any]

    def __init__(
        self,
        estimator: object,
        *,
        logits: Scores | None = None,
        embedding: object = None,
        inputs: Callable[[Any], Any] | None = None,
        classes: Sequence[Any] | NDArray[Any] | None = None,
    ) -> None:
        super().__init__(estimator, embedding=embedding, inputs=inputs)
        self._scores: Scores = "predict_proba" if logits is None else logits
        self._ask = _method(self._final, self._scores)
        own = _classes(self._final)
        self.classes = own if classes is None else np.asarray(classes)
        self._columns = _columns(own, self.classes, type(self._final).__name__)
        self._checked = False  # whether it predicts one label for each example

    def __repr__(self) -> str:
        embedding = "as given" if self._embedding else f"the inputs of {type(self._final).__name__}"
        return f"Estimator({name_of(self.estimator)}: {len(self.classes)} classes by {self._scores}; embedding: {embedding})"

    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401, ARG002
        """Probabilities of the members, (B, members, C); without members, ``n_samples`` copies of its own."""
        seen = self._seen(self._inputs(batch))
        members = self._members("predict_proba", "predict") if self._scores == "predict_proba" else []
        votes = [self._vote(seen, *member) for member in members]
        return self._samples(votes, lambda: self._logits(seen).softmax(-1), n_samples)

    def _vote(self, seen: Any, member: Any, features: Any) -> Tensor:  # noqa: ANN401
        """One member's probabilities, (B, C). Members number the classes from 0, and may not have seen all of them."""
        x = self._seen_by(member, seen, features)
        own = np.asarray(member.classes if (found := getattr(member, "classes_", None)) is None else found)
        ask = getattr(member, "predict_proba", None)
        probs = np.equal.outer(member.predict(x), own) if ask is None else np.asarray(ask(x))
        columns = self._columns if len(own) == len(self._columns) else self._columns[own.astype(int)]
        return torch.from_numpy(_placed(probs, columns, len(self.classes), 0.0))

    def _check_one_label(self, seen: Any) -> None:  # noqa: ANN401
        """Refuse a classifier that predicts several labels for an example; looked at once."""
        if self._checked:
            return
        with self._explained():
            predicted = self._final.predict(getattr(seen, "iloc", seen)[:1])
        shape: tuple[int, ...] = getattr(predicted, "shape", ())
        if len(shape) == 2 and shape[1] > 1:
            raise UnsupportedModel(
                f'{name_of(self.estimator)} predicts {shape[1]} labels for each example; pass task="multilabel" if these are '
                "labels of their own"
            )
        self._checked = True

    def _check_order(self, returned: Any) -> None:  # noqa: ANN401
        """Refuse scores in a data frame whose columns have the names of the classes in another order."""
        own = list(map(str, _classes(self._final).tolist()))
        named = list(map(str, getattr(returned, "columns", own)))
        if named != own and sorted(named) == sorted(own):
            raise UnsupportedModel(
                f"{name_of(self.estimator)}.{self._scores} returned the columns {', '.join(named)}, and its classes_ are "
                f"{', '.join(own)}; return the columns in the order of classes_"
            )

    def _logits(self, seen: Any) -> Tensor:  # noqa: ANN401
        """Logits (B, C) from the classifier's scores."""
        self._check_one_label(seen)
        with self._explained():
            returned = self._ask(seen)
        self._check_order(returned)
        scores = np.asarray(returned)
        if self._scores == "decision_function" and scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], 1)
        if scores.ndim != 2 or scores.shape[1] != len(self._columns):
            raise UnsupportedModel(
                f"expected a column for each of {len(self._columns)} classes from {self._scores}, got {scores.shape}; for a "
                "support vector machine, set decision_function_shape='ovr'"
            )
        if self._scores == "predict_proba":
            if len(scores) and float(np.abs(scores.sum(1) - 1).max()) > _SLACK:
                raise UnsupportedModel(
                    f"the rows of {name_of(self.estimator)}.predict_proba do not sum to 1; multi-label models, whose columns are "
                    'labels of their own, need task="multilabel"'
                )
            if len(scores) and float(scores.min()) < -_SLACK:
                raise UnsupportedModel(
                    f"{name_of(self.estimator)}.predict_proba returned {float(scores.min()):.3g}; expected probabilities from 0 "
                    "to 1"
                )
            scores = np.log(np.maximum(scores, _TINY))
        return torch.from_numpy(_placed(scores, self._columns, len(self.classes), float(np.log(_TINY))))


def is_estimator(model: object) -> bool:
    """Whether a model has the methods of a scikit-learn estimator.

    Some delegate ``predict`` to a part that exists only after ``fit``: their class has it before.
    """
    predicts = any(callable(getattr(owner, "predict", None)) for owner in (model, type(model)))
    return predicts and callable(getattr(model, "fit", None))


def named_classes(model: object) -> NDArray[Any] | None:
    """The classes of a fitted estimator, in the order of its columns; None for unfitted ones and for other models."""
    own = getattr(steps_of(model)[1], "classes_", None) if is_estimator(model) else None
    return None if own is None or _are_of_outputs(own) else np.asarray(own)


def all_classes(estimators: Sequence[object]) -> NDArray[Any]:
    """The classes of all fitted estimators, sorted."""
    return np.unique(np.concatenate([_classes(steps_of(estimator)[1]) for estimator in estimators]))


def _method(final: object, scores: Scores) -> Callable[[Any], Any]:
    if scores not in ("predict_proba", "decision_function"):
        raise InvalidInput(f"logits= of an estimator must be 'predict_proba' or 'decision_function', got {scores!r}")
    method = getattr(final, scores, None)
    if callable(method):
        return method  # type: ignore[no-any-return]
    name = type(final).__name__
    kind = kind_of(final)
    if kind in ("regressor", "clusterer", "outlier_detector"):
        what = {"regressor": "regression", "clusterer": "clustering", "outlier_detector": "outlier detection"}[kind]
        raise UnsupportedModel(
            f"{name} is not a classifier; {what} is not supported, only models that choose one class"
            + ('; to read a regressor, name the task: task="regression"' if kind == "regressor" else "")
        )
    if getattr(final, "voting", None) == "hard":
        raise UnsupportedModel(
            f'{name} with voting="hard" counts votes and has no {scores}; fit {name}(..., voting="soft"), whose members are asked '
            "for samples too"
        )
    if callable(getattr(final, "decision_function", None)):
        raise UnsupportedModel(
            f'{name} has no {scores}; pass distil.wrap(model, logits="decision_function"), or '
            f"fit CalibratedClassifierCV({name}(...))"
        )
    raise UnsupportedModel(f"{name} has no {scores}; fit CalibratedClassifierCV({name}(...)), or another classifier")


def _classes(final: object) -> NDArray[Any]:
    classes = getattr(final, "classes_", None)
    if classes is None:
        raise UnsupportedModel(f"{type(final).__name__} is not fitted; call its fit first")
    if _are_of_outputs(classes):
        raise UnsupportedModel(
            f'{type(final).__name__} has {len(classes)} outputs; multi-label models need task="multilabel"'
        )
    return np.asarray(classes)


def _are_of_outputs(classes: object) -> bool:
    """Whether classes are those of several outputs, a list of arrays; a list of labels is that of one output."""
    return isinstance(classes, list) and any(np.ndim(each) for each in classes)


def _columns(own: NDArray[Any], classes: NDArray[Any], name: str) -> NDArray[Any]:
    """For each of the estimator's own classes, its column among ``classes``, (C,) int."""
    position = {label: column for column, label in enumerate(classes.tolist())}
    unknown = [label for label in own.tolist() if label not in position]
    if unknown:
        raise UnsupportedModel(
            f"{name} was fitted with the class {unknown[0]!r}, which is not among the {len(classes)} expected classes: "
            f"{classes.tolist()}"
        )
    return np.array([position[label] for label in own.tolist()], dtype=int)


def _placed(part: NDArray[Any], columns: NDArray[Any], n_columns: int, missing: float) -> NDArray[Any]:
    """The columns of ``part`` at their positions among ``n_columns``, and ``missing`` in all others."""
    whole = np.full((len(part), n_columns), missing, dtype=part.dtype if part.dtype.kind == "f" else float)
    whole[:, columns] = part
    return whole

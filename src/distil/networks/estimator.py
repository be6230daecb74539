"""Classifiers of scikit-learn, and others with the same methods."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.errors import DistilWarning, InvalidInput, UnsupportedModel
from distil.networks.base import HasInputs, Network, Outputs, Samples
from distil.networks.dropout import Draw
from distil.networks.output_kinds import close
from distil.system.runtime import Runtime

# Largest difference from 1 of a sum of probabilities.
_SLACK = 1e-2

# Stands for a probability of 0 in logarithms.
_TINY = np.finfo(np.float32).tiny

Scores = Literal["predict_proba", "decision_function"]
"""The method of an estimator that returns its probabilities or logits."""


class Estimator(Network, Samples, HasInputs):
    """A fitted scikit-learn classifier, unchanged.

    Columns are in the order of its ``classes_``. The embedding is the input of the classifier itself: in a pipeline, the output of
    the steps before it (computed once). Samples, as for BALD, are the probabilities of its ``estimators_`` (random forests,
    bagging, soft voting), if their mean is its own prediction; otherwise all samples are equal, with a warning. For a search, as
    in ``GridSearchCV``, the ``best_estimator_`` is asked.

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
        self.estimator = estimator
        self._scores: Scores = "predict_proba" if logits is None else logits
        self._before, self._final = _steps(estimator)
        self._ask = _method(self._final, self._scores)
        own = _classes(self._final)
        self.classes = own if classes is None else np.asarray(classes)
        self._columns = _columns(own, self.classes, type(self._final).__name__)
        self._embedding = None if embedding is None else _mapping(embedding)
        self._read = inputs
        self._checked = False  # whether it predicts one label for each example
        self._committee: bool | None = None  # whether the prediction is the members' mean; None: unknown as yet

    def __repr__(self) -> str:
        embedding = "as given" if self._embedding else f"the inputs of {type(self._final).__name__}"
        return (
            f"Estimator({_name(self.estimator)}: {len(self.classes)} classes by {self._scores}; embedding: {embedding})"
        )

    def asking(self, runtime: Runtime) -> AbstractContextManager[None]:  # noqa: ARG002
        """An empty context: asking an estimator needs no preparation."""
        return nullcontext()

    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401
        """Logits of one minibatch, and as embedding the input of the classifier itself."""
        x = self._inputs(batch)
        seen = self._seen(x)
        self._check_one_label(seen)
        # Sparse rows are made dense only for a strategy that reads the embedding.
        return Outputs(self._logits(seen), lambda: _numbers(seen if self._embedding is None else self._embedding(x)))

    def inputs(self, batch: Any) -> Tensor:  # noqa: ANN401
        """The argument that the estimator is called with, as floating-point numbers (B, D)."""
        x = _numbers(self._inputs(batch))
        if x is None:
            raise UnsupportedModel(
                f"expected {_name(self.estimator)} to be called with rows of numbers, and it is called with other values; use a "
                "strategy that does not read inputs"
            )
        return x if x.is_floating_point() else x.float()

    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401, ARG002
        """Probabilities of the members, (B, members, C); without members, ``n_samples`` copies of its own."""
        seen = self._seen(self._inputs(batch))
        members = [] if self._committee is False or self._scores != "predict_proba" else _members(self._final)
        votes = [self._vote(seen, *member) for member in members]
        if self._committee is None:
            self._committee = bool(votes) and close(torch.stack(votes).mean(0), self._logits(seen).softmax(-1))
            if not self._committee:
                name = _name(self.estimator)
                warnings.warn(f"{name} is not a mean of members, so all samples are equal", DistilWarning, 2)
        if self._committee:
            return torch.stack(votes, 1)
        return self._logits(seen).softmax(-1)[:, None].repeat(1, n_samples, 1)

    def _vote(self, seen: Any, member: Any, features: Any) -> Tensor:  # noqa: ANN401
        """One member's probabilities, (B, C). Members number the classes from 0, and may not have seen all of them."""
        named = getattr(member, "feature_names_in_", None) is not None
        x = seen if named else _array(seen)
        probs = np.asarray(member.predict_proba(x if features is None else x[:, features]))
        own = np.asarray(member.classes_)
        columns = self._columns if len(own) == len(self._columns) else self._columns[own.astype(int)]
        return torch.from_numpy(_placed(probs, columns, len(self.classes), 0.0))

    def _seen(self, x: Any) -> Any:  # noqa: ANN401
        """The input of the classifier itself, after the steps before it."""
        if self._before is None:
            return x
        with self._explained():
            seen = self._before.transform(x)
        columns = getattr(
            x, "columns", None
        )  # of a data frame, which text vectorizers read by the names of its columns
        if columns is not None and (rows := np.shape(seen)[0]) != x.shape[0]:
            column = str(columns[0]) if len(columns) == 1 else "text"
            raise UnsupportedModel(
                f"{_name(self.estimator)} made {rows} row{'s' * (rows != 1)} of {x.shape[0]} examples: it reads texts, and a data "
                f"frame gives it the names of its columns; pass the column of texts, as in data[{column!r}]"
            )
        return seen

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """A context that explains why the estimator cannot read the examples."""
        try:
            yield
        except ValueError as error:
            raise UnsupportedModel(
                f"{_name(self.estimator)} cannot read these examples: {' '.join(str(error).split())}; it needs examples like those "
                "that it was fitted to: leave out columns that it does not know, such as texts, or pass inputs=, a function that "
                "selects its columns"
            ) from error

    def _check_one_label(self, seen: Any) -> None:  # noqa: ANN401
        """Refuse a classifier that predicts several labels for an example; looked at once."""
        if self._checked:
            return
        with self._explained():
            predicted = self._final.predict(getattr(seen, "iloc", seen)[:1])
        shape: tuple[int, ...] = getattr(predicted, "shape", ())
        if len(shape) == 2 and shape[1] > 1:
            raise UnsupportedModel(
                f"{_name(self.estimator)} predicts {shape[1]} labels for each example; multi-label models are not supported: fit "
                "one classifier for each label"
            )
        self._checked = True

    def _inputs(self, batch: Any) -> Any:  # noqa: ANN401
        if self._read is not None:
            return self._read(batch)
        pair = isinstance(batch, (list, tuple)) and batch and not isinstance(batch[0], (str, bytes))
        x = batch[0] if pair else batch
        if isinstance(x, Mapping):
            raise UnsupportedModel(
                f"the minibatch for {_name(self.estimator)} is a dict of {list(x)}; pass inputs=, a function from it to the "
                "argument of the estimator"
            )
        if isinstance(x, Tensor):
            return x.numpy(force=True)
        return list(x) if isinstance(x, tuple) else x

    def _logits(self, seen: Any) -> Tensor:  # noqa: ANN401
        """Logits (B, C) from the classifier's scores."""
        with self._explained():
            scores = np.asarray(self._ask(seen))
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
                    f"the rows of {_name(self.estimator)}.predict_proba do not sum to 1; multi-label models, whose columns are "
                    "labels of their own, are not supported: fit one classifier for each label"
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
    own = getattr(_steps(model)[1], "classes_", None) if is_estimator(model) else None
    return None if own is None or isinstance(own, list) else np.asarray(own)


def all_classes(estimators: Sequence[object]) -> NDArray[Any]:
    """The classes of all fitted estimators, sorted."""
    return np.unique(np.concatenate([_classes(_steps(estimator)[1]) for estimator in estimators]))


def _steps(estimator: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """The steps of a pipeline before the classifier, or None, and the classifier."""
    best = getattr(estimator, "best_estimator_", None)
    if best is not None:
        return _steps(best)
    steps = getattr(estimator, "steps", None)
    if not isinstance(steps, list) or not steps:
        return None, estimator
    return (estimator[:-1] if len(steps) > 1 else None), estimator[-1]


def _method(final: object, scores: Scores) -> Callable[[Any], Any]:
    if scores not in ("predict_proba", "decision_function"):
        raise InvalidInput(f"logits= of an estimator must be 'predict_proba' or 'decision_function', got {scores!r}")
    method = getattr(final, scores, None)
    if callable(method):
        return method  # type: ignore[no-any-return]
    name = type(final).__name__
    kind = getattr(final, "_estimator_type", None) or _kind_by_tags(final)
    if kind in ("regressor", "clusterer", "outlier_detector"):
        what = {"regressor": "regression", "clusterer": "clustering", "outlier_detector": "outlier detection"}[kind]
        raise UnsupportedModel(
            f"{name} is not a classifier; {what} is not supported, only models that choose one class"
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


def _kind_by_tags(final: Any) -> str | None:  # noqa: ANN401
    """The kind of an estimator by its scikit-learn tags."""
    tags = getattr(final, "__sklearn_tags__", None)
    return tags().estimator_type if callable(tags) else None


def _classes(final: object) -> NDArray[Any]:
    classes = getattr(final, "classes_", None)
    if classes is None:
        raise UnsupportedModel(f"{type(final).__name__} is not fitted; call its fit first")
    if isinstance(classes, list):
        raise UnsupportedModel(
            f"{type(final).__name__} has {len(classes)} outputs; multi-label models are not supported: fit one classifier for each"
        )
    return np.asarray(classes)


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


def _members(final: object) -> list[tuple[Any, Any]]:
    """The estimators that may be members of a committee, each with the features that it reads (None: all)."""
    members = getattr(final, "estimators_", None)
    if not isinstance(members, list) or not all(callable(getattr(m, "predict_proba", None)) for m in members):
        return []
    features = getattr(final, "estimators_features_", None)
    return list(zip(members, [None] * len(members) if features is None else features, strict=True))


def _mapping(embedding: Any) -> Callable[[Any], Any]:  # noqa: ANN401
    transform = getattr(embedding, "transform", embedding)
    if not callable(transform):
        raise InvalidInput(
            f"embedding= of an estimator must be a function or a fitted object with transform, got {embedding!r}"
        )
    return transform  # type: ignore[no-any-return]


def _array(x: Any) -> Any:  # noqa: ANN401
    """A data frame as an array; any other value unchanged."""
    to_numpy = getattr(x, "to_numpy", None)
    return to_numpy() if callable(to_numpy) else x


def _numbers(x: Any) -> Tensor | None:  # noqa: ANN401
    """Rows of numbers as a dense tensor (B, D); None if they are not numbers."""
    if isinstance(x, Tensor):
        return x.flatten(1)
    dense = getattr(x, "toarray", None)
    array = np.asarray(dense() if callable(dense) else _array(x))
    if array.dtype.kind not in "fiub" or array.ndim < 2:
        return None
    return torch.from_numpy(np.ascontiguousarray(array)).flatten(1)


def _name(estimator: Any) -> str:  # noqa: ANN401
    steps = getattr(estimator, "steps", None)
    inner = f"({', '.join(type(step).__name__ for _, step in steps)})" if isinstance(steps, list) else ""
    return type(estimator).__name__ + inner

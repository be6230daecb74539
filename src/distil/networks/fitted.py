"""Estimators of scikit-learn, and others with the same methods: what those of all tasks have in common."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.errors import DistilWarning, InvalidInput, UnsupportedModel
from distil.networks.base import HasInputs, Network, Outputs
from distil.networks.output_kinds import close
from distil.system.runtime import Runtime

_MOST = 100  # samples of a weighted vote


class Fitted(Network, HasInputs):
    """A fitted estimator, unchanged; a subclass says what its outputs are.

    The embedding is the input of the estimator itself: in a pipeline, the output of the steps before it (computed once). For a
    search, as in ``GridSearchCV``, the ``best_estimator_`` is asked.

    Args:
        estimator: The estimator; it is called with a NumPy array, or with a list if the minibatch holds texts.
        embedding: A fitted object with ``transform``, or a function, from the inputs to the embedding (B, D).
        inputs: A function from the minibatch to the argument that the estimator is called with.
    """

    def __init__(
        self, estimator: object, *, embedding: object = None, inputs: Callable[[Any], Any] | None = None
    ) -> None:
        self.estimator = estimator
        self._before, self._final = steps_of(estimator)
        self._embedding = None if embedding is None else _mapping(embedding)
        self._read = inputs
        self._committee: bool | None = None  # whether the prediction is the members' mean; None: unknown as yet
        self._weights = _weights_of(self._final)

    @abstractmethod
    def _logits(self, seen: Any) -> Tensor:  # noqa: ANN401
        """Logits, or predictions, (B, C) from the input of the estimator itself."""

    def asking(self, runtime: Runtime) -> AbstractContextManager[None]:  # noqa: ARG002
        """An empty context: asking an estimator needs no preparation."""
        return nullcontext()

    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401
        """Logits of one minibatch, and as embedding the input of the estimator itself."""
        x = self._inputs(batch)
        seen = self._seen(x)
        # Sparse rows are made dense only for a strategy that reads the embedding.
        return Outputs(self._logits(seen), lambda: _numbers(seen if self._embedding is None else self._embedding(x)))

    def inputs(self, batch: Any) -> Tensor:  # noqa: ANN401
        """The argument that the estimator is called with, as floating-point numbers (B, D)."""
        x = _numbers(self._inputs(batch))
        if x is None:
            raise UnsupportedModel(
                f"expected {name_of(self.estimator)} to be called with rows of numbers, and it is called with other values; use a "
                "strategy that does not read inputs"
            )
        return x if x.is_floating_point() else x.float()

    def _seen(self, x: Any) -> Any:  # noqa: ANN401
        """The input of the estimator itself, after the steps before it."""
        if self._before is None:
            return x
        with self._explained():
            seen = self._before.transform(x)
        # Text vectorizers read a data frame by the names of its columns.
        columns = getattr(x, "columns", None)
        if columns is not None and (rows := np.shape(seen)[0]) != x.shape[0]:
            column = str(columns[0]) if len(columns) == 1 else "text"
            raise UnsupportedModel(
                f"{name_of(self.estimator)} made {rows} row{'s' * (rows != 1)} of {x.shape[0]} examples: it reads texts, and a "
                f"data frame gives it the names of its columns; pass the column of texts, as in data[{column!r}]"
            )
        return seen

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """A context that explains why the estimator cannot read the examples."""
        try:
            yield
        except ValueError as error:
            from sklearn.exceptions import NotFittedError

            if isinstance(error, NotFittedError):
                raise UnsupportedModel(f"{name_of(self.estimator)} is not fitted; call its fit first") from error
            raise UnsupportedModel(
                f"{name_of(self.estimator)} cannot read these examples: {' '.join(str(error).split())}; it needs examples like "
                "those that it was fitted to: leave out columns that it does not know, such as texts, or pass inputs=, a function "
                "that selects its columns"
            ) from error

    def _inputs(self, batch: Any) -> Any:  # noqa: ANN401
        if self._read is not None:
            return self._read(batch)
        pair = isinstance(batch, (list, tuple)) and batch and not isinstance(batch[0], (str, bytes))
        x = batch[0] if pair else batch
        if isinstance(x, Mapping):
            raise UnsupportedModel(
                f"the minibatch for {name_of(self.estimator)} is a dict of {list(x)}; pass inputs=, a function from it to the "
                "argument of the estimator"
            )
        if isinstance(x, Tensor):
            return x.numpy(force=True)
        return list(x) if isinstance(x, tuple) else x

    def _seen_by(self, member: Any, seen: Any, features: Any) -> Any:  # noqa: ANN401
        """The input of a member of a committee, which may read some features only (None: all)."""
        fitted = (member, getattr(member, "estimator", None))  # the second in a member of CalibratedClassifierCV
        named = any(getattr(each, "feature_names_in_", None) is not None for each in fitted)
        x = seen if named else as_array(seen)
        return x if features is None else x[:, features]

    def _members(self, *methods: str) -> list[tuple[Any, Any]]:
        """The estimators that may be members of a committee, with their features; none if they are known not to be."""
        return [] if self._committee is False else _members_of(self._final, methods)

    def _samples(self, votes: list[Tensor], own: Callable[[], Tensor], n_samples: int) -> Tensor:
        """The members' predictions, (B, K, C), if their mean is the estimator's own; else equal samples, with a warning.

        A member of a weighted vote is there as often as its weight says, to a hundredth of the sum of the weights, so that the
        mean of the samples is the estimator's own prediction.

        Args:
            votes: The members' predictions, (B, C) each.
            own: Returns the prediction of the estimator, (B, C).
            n_samples: Number of equal samples.
        """
        if self._committee is None:
            self._committee = len(votes) > 1 and close(self._mean(votes), own())
            if not self._committee:
                name = name_of(self.estimator)
                warnings.warn(f"{name} is not a mean of members, so all samples are equal", DistilWarning, 3)
        if not self._committee:
            return own()[:, None].repeat(1, n_samples, 1)
        members = torch.stack(votes, 1)
        return members if self._weights is None else members.repeat_interleave(_copies(self._weights), 1)

    def _mean(self, votes: list[Tensor]) -> Tensor:
        """The mean of the members' predictions, by their weights, (B, C); NaN where there is no weight for each."""
        stacked = torch.stack(votes)
        if self._weights is None:
            return stacked.mean(0)
        if len(self._weights) != len(votes) or bool((self._weights < 0).any()):
            return torch.full_like(stacked[0], torch.nan)
        return torch.einsum("k,kbc->bc", self._weights / self._weights.sum(), stacked.double())


def _weights_of(final: Any) -> Tensor | None:  # noqa: ANN401
    """The weights of the members of a vote, (members,) float64; None where all count the same."""
    weights, named = getattr(final, "weights", None), getattr(final, "estimators", None)
    if weights is None or isinstance(weights, str) or not isinstance(named, list):
        return None
    kept = [weight for weight, (_, member) in zip(weights, named, strict=False) if member not in (None, "drop")]
    return torch.tensor(kept, dtype=torch.float64)


def _copies(weights: Tensor) -> Tensor:
    """How often each member is among the samples, (members,): as its weight says, in the fewest samples, at most about 100."""
    shares = weights / weights.sum()
    fits = (count for count in range(1, _MOST) if close(shares * count, (shares * count).round()))
    return (shares * next(fits, _MOST)).round().long()


def _members_of(final: object, methods: Sequence[str]) -> list[tuple[Any, Any]]:
    """The estimators that ``final`` consists of, each with the features that it reads (None: all), if they have such a method."""
    members = getattr(final, "estimators_", getattr(final, "calibrated_classifiers_", None))
    if not isinstance(members, list) or not all(
        any(callable(getattr(m, name, None)) for name in methods) for m in members
    ):
        return []
    features = getattr(final, "estimators_features_", None)
    return list(zip(members, [None] * len(members) if features is None else features, strict=True))


def steps_of(estimator: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """The steps of a pipeline before the estimator, or None, and the estimator."""
    best = getattr(estimator, "best_estimator_", None)
    if best is not None:
        return steps_of(best)
    steps = getattr(estimator, "steps", None)
    if not isinstance(steps, list) or not steps:
        return None, estimator
    return (estimator[:-1] if len(steps) > 1 else None), estimator[-1]


def _mapping(embedding: Any) -> Callable[[Any], Any]:  # noqa: ANN401
    transform = getattr(embedding, "transform", embedding)
    if not callable(transform):
        raise InvalidInput(
            f"embedding= of an estimator must be a function or a fitted object with transform, got {embedding!r}"
        )
    return transform  # type: ignore[no-any-return]


def as_array(x: Any) -> Any:  # noqa: ANN401
    """A data frame as an array; any other value unchanged."""
    to_numpy = getattr(x, "to_numpy", None)
    return to_numpy() if callable(to_numpy) else x


def _numbers(x: Any) -> Tensor | None:  # noqa: ANN401
    """Rows of numbers as a dense tensor (B, D); None if they are not numbers."""
    if isinstance(x, Tensor):
        return x.flatten(1)
    dense = getattr(x, "toarray", None)
    array = np.asarray(dense() if callable(dense) else as_array(x))
    if array.dtype.kind not in "fiub" or array.ndim < 2:
        return None
    return torch.from_numpy(np.ascontiguousarray(array)).flatten(1)


def name_of(estimator: Any) -> str:  # noqa: ANN401
    """The class of an estimator, with the steps of a pipeline in parentheses."""
    steps = getattr(estimator, "steps", None)
    inner = f"({', '.join(type(step).__name__ for _, step in steps)})" if isinstance(steps, list) else ""
    return type(estimator).__name__ + inner


def kind_of(final: Any) -> str | None:  # noqa: ANN401
    """The kind of an estimator: classifier, regressor, clusterer, ...; None if it does not say."""
    tags = getattr(final, "__sklearn_tags__", None)
    own = getattr(final, "_estimator_type", None)
    return own or (tags().estimator_type if callable(tags) else None)

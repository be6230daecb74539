"""The training of a learner whose model is an estimator of scikit-learn: its own ``fit``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from distil.data.examples import LabeledSet, Rows
from distil.errors import InvalidInput, all_labels_are


def fit_estimator(
    model: Any,  # noqa: ANN401
    labeled: LabeledSet,
    round: int,  # noqa: A002, ARG001 - the loop's word
    classes: Sequence[Any] | None = None,
) -> object:
    """Call ``model.fit(X, y)``; X is a frame or matrix if the pool is one, an array if the pool or its items are, else a list."""
    x: Any = labeled.x
    if isinstance(labeled.data, Rows):
        x = labeled.data.batch(labeled.ids)
    elif x is None:
        x = [labeled[row][0] for row in range(len(labeled))]
        x = np.stack([np.asarray(row) for row in x]) if isinstance(x[0], (Tensor, np.ndarray)) else x
    else:
        x = x.numpy(force=True)
    y = as_of_estimators(labeled.y)
    y = y if classes is None else np.asarray(classes)[y]
    try:
        return model.fit(x, y)
    except ValueError as error:
        raise InvalidInput(_why_no_fit(type(model).__name__, y, error)) from error


def as_of_estimators(y: Tensor) -> np.ndarray[Any, Any]:
    """Labels as an estimator's ``fit`` takes them: one number for each example, (M,), or rows, (M, T)."""
    return (y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y).numpy()


def _why_no_fit(name: str, y: np.ndarray[Any, Any], error: ValueError) -> str:
    """The message for an estimator whose ``fit`` failed."""
    seen = np.unique(y)
    if len(seen) == 1 and y.dtype.kind != "f":
        return (
            f"{name} needs labels of at least two classes, and {all_labels_are(len(y))} {seen[0].item()!r}; label examples of "
            "another class before fit()"
        )
    return (
        f"{name} cannot be trained on these examples: {' '.join(str(error).split())}; if columns hold texts or missing values, "
        "prepare them in a Pipeline (ColumnTransformer, OneHotEncoder, SimpleImputer)"
    )


def check_estimator_settings(**settings: object) -> None:
    """Refuse settings that only the built-in trainer takes."""
    unusable = [f"{name}=" for name, value in settings.items() if value is not None]
    if unusable:
        raise InvalidInput(
            f"{' and '.join(unusable)} cannot be used with an estimator; put the preparation of inputs into a Pipeline, or pass "
            "your own function as fit"
        )

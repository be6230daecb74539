"""Labels of regression and multi-label data in files: numbers, and sets of names, as texts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distil.errors import InvalidInput, nearest
from distil.tasks import Task

SEPARATOR = ";"
"""What stands between the names in a label set: ``cat;dog``."""
NO_NAMES = "[]"
"""The label set without names; an empty text is a missing label."""

Where = Callable[[int], str]
"""The place of the label with this number, for messages."""


def names_in(text: str) -> list[str]:
    """The names in a label set: separated by semicolons, or as a JSON list of texts.

    >>> names_in("cat; dog"), names_in('["cat", "dog"]'), names_in("[]")
    (['cat', 'dog'], ['cat', 'dog'], [])
    """
    if text.strip().startswith("["):
        try:
            listed = json.loads(text)
        except ValueError:
            listed = None
        if isinstance(listed, list) and all(isinstance(name, str) for name in listed):
            return [name.strip() for name in listed]
    return [name.strip() for name in text.split(SEPARATOR) if name.strip()]


def sets_in(
    texts: Sequence[str], where: Where, classes: Sequence[str] | None = None
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Label sets as rows of 0 and 1, (M, L), and the names of the columns.

    Args:
        texts: The label sets, see ``names_in``.
        where: The place of a label, for messages.
        classes: The names, in the order of the columns; None: those that occur, sorted.

    Raises:
        InvalidInput: There are no names at all, or one is not in ``classes``.
    """
    found = [names_in(text) for text in texts]
    known = tuple(sorted({name for names in found for name in names})) if classes is None else tuple(classes)
    if not known:
        raise InvalidInput(f"{where(0)}: expected names of labels, such as cat{SEPARATOR}dog; no label set has a name")
    columns = {name: column for column, name in enumerate(known)}
    rows = np.zeros((len(found), len(known)))
    for row, names in enumerate(found):
        wrong = next((name for name in names if name not in columns), None)
        if wrong is not None:
            raise InvalidInput(f"{where(row)}: {wrong!r} is not one of the {len(known)} labels{nearest(wrong, known)}")
        rows[row, [columns[name] for name in names]] = 1
    return rows, known


def numbers_in(labels: NDArray[Any], where: Where) -> NDArray[np.float64]:
    """Labels as numbers with a column for each target, (M, T).

    Args:
        labels: Texts or numbers, (M,) or (M, T).
        where: The place of a label, for messages.

    Raises:
        InvalidInput: One is not a finite number.
    """
    rows = labels[:, None] if labels.ndim == 1 else labels
    if rows.dtype.kind in "fiub":
        numbers = rows.astype(np.float64)
    else:
        numbers = np.array([[_number(text) for text in row] for row in rows.tolist()]).reshape(rows.shape)
    for row, column in np.argwhere(~np.isfinite(numbers))[:1].tolist():
        raise InvalidInput(f"{where(row)}: in regression a label is a number, got {rows[row, column].item()!r}")
    return numbers


def indicators_in(labels: NDArray[Any], where: Where) -> NDArray[np.float64]:
    """Labels in a column each, (M, L), as 0 and 1; the arguments and errors are those of ``numbers_in``."""
    numbers = numbers_in(labels, where)
    for row, column in np.argwhere((numbers != 0) & (numbers != 1))[:1].tolist():
        raise InvalidInput(f"{where(row)}: a column of labels holds 0 and 1, got {numbers[row, column]:g}")
    return numbers


def label_text(task: Task, label: Any, classes: Sequence[str]) -> str | int | float:  # noqa: ANN401 - a label of an event
    """A label of an event as a file has it, so that it can be read again.

    Args:
        task: The task.
        label: A class; or a row of 0 and 1, or of targets.
        classes: The names of classes or labels; empty if they have none.
    """
    if task == "classification":
        return classes[label] if classes else int(label)
    if task == "regression":
        return float(label[0]) if len(label) == 1 else SEPARATOR.join(map(repr, label))
    held = [str(name) for name, has in zip(classes or range(len(label)), label, strict=True) if has]
    return SEPARATOR.join(held) if held and not any(SEPARATOR in name for name in held) else json.dumps(held)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan

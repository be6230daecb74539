"""The door for labels: what callers pass becomes columns of the model's outputs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence, Set, ValuesView
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.data.arrays import one_axis
from distil.errors import InvalidInput, nearest

_SHOWN = 10


def as_labels(
    labels: Any,  # noqa: ANN401 - any argument of a caller
    what: str,
    *,
    count: int | None = None,
    classes: Sequence[Any] | np.ndarray[Any, Any] | None = None,
) -> Tensor:
    """Labels as columns of a model's outputs, (M,) int64.

    Args:
        labels: A list, array, tensor or Series with one label per example.
        what: The caller's name for the labels, for messages.
        count: The number of labels that there must be; None: any number.
        classes: All classes in the order of the columns, to look the labels up in. Default: labels are the columns themselves,
            whole numbers from 0, or booleans for 0 and 1.

    Raises:
        InvalidInput: The number of labels is wrong, or a label is not a class.
    """
    values = listed(labels, what, count)
    if classes is not None and not isinstance(classes, range):
        return _looked_up(values.tolist(), np.asarray(classes).tolist(), what)
    columns = _whole_numbers(values, what)
    wrong = columns < 0 if classes is None else (columns < 0) | (columns >= len(classes))
    if bool(wrong.any()):
        known = "of the classes, which are numbered from 0"
        if classes is not None:
            known = f"of the {len(classes)} classes, 0 to {len(classes) - 1}"
        raise InvalidInput(f"{what}: {int(columns[wrong][0])} is not one {known}")
    return columns


def listed(labels: Any, what: str, count: int | None) -> np.ndarray[Any, Any]:  # noqa: ANN401 - any argument of a caller
    """Labels of any type in an array, (M,); the arguments are those of :func:`as_labels`."""
    if isinstance(labels, (Set, Iterator)):
        why = "has no order" if isinstance(labels, Set) else "can be read only once"
        raise InvalidInput(
            f"{what} must be a list, one label for each example; got {type(labels).__name__}, which {why}"
        )
    values = one_axis(list(labels) if isinstance(labels, ValuesView) else labels, what)
    if count is not None and len(values) != count:
        raise InvalidInput(f"{what} must be {count}, one for each example; got {len(values)}")
    return values


def _whole_numbers(values: np.ndarray[Any, Any], what: str) -> Tensor:
    if values.dtype.kind in "iub" or len(values) == 0:
        return torch.from_numpy(values.astype(np.int64))
    others = [value for value in values.tolist() if not isinstance(value, int)]
    if not others:  # booleans among whole numbers
        return torch.tensor([int(value) for value in values.tolist()])
    hint = "only a classifier that knows its classes takes their names; number the classes from 0"
    if isinstance(others[0], float):
        hint = "convert the labels with .astype(int)"
    raise InvalidInput(f"{what} must be whole numbers, the columns of the model's outputs; got {others[0]!r}; {hint}")


def _looked_up(values: list[Any], classes: list[Any], what: str) -> Tensor:
    """The position of each label in ``classes``, (M,) int64."""
    column = {label: place for place, label in enumerate(classes)}
    may_be_floating = any(isinstance(label, float) for label in classes)
    for value in values:
        if isinstance(value, float) and not may_be_floating:
            raise InvalidInput(
                f"{what}: {value!r} is a floating-point number, and no class is; convert the labels with .astype(int)"
            )
        if not isinstance(value, Hashable) or value not in column:
            known = ", ".join(map(repr, classes[:_SHOWN])) + (", ..." if len(classes) > _SHOWN else "")
            hint = (
                nearest(value, [label for label in classes if isinstance(label, str)]) if isinstance(value, str) else ""
            )
            raise InvalidInput(f"{what}: {value!r} is not one of the {len(classes)} classes, {known}{hint}")
    return torch.tensor([column[value] for value in values], dtype=torch.long)

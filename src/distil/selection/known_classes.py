"""The outputs of a model: how many, and their names by the caller, by its configuration, or by what an estimator was fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from distil.data.labels import as_classes
from distil.errors import InvalidInput, whole_number
from distil.networks.estimator import named_classes
from distil.networks.timm_and_transformers import class_names
from distil.tasks import Task


def known_outputs(
    model: object, num_classes: int | None, classes: Sequence[Any] | None, task: Task
) -> tuple[int, list[Any] | None, bool]:
    """The number of outputs, the names of classes or labels (None: they are numbered), and whether labels may be numbers too."""
    if task == "classification":
        return _known_classes(model, num_classes, classes)
    if task == "regression":
        if classes is not None:
            raise InvalidInput("classes are names of classes or labels, and the task is regression; leave them out")
        return (1 if num_classes is None else num_classes), None, False
    if classes is not None:
        named = as_classes(classes, num_classes)
        return len(named), named, False
    if num_classes is None:
        raise InvalidInput("the number of labels is missing; pass num_classes=, or the names of the labels as classes=")
    return num_classes, None, False


def _known_classes(
    model: object, num_classes: int | None, classes: Sequence[Any] | None
) -> tuple[int, list[Any] | None, bool]:
    """The number of classes, their names (None: they are numbered) and whether labels may be numbers where there are names."""
    configured = class_names(model) if isinstance(model, nn.Module) else None
    if classes is not None:
        named = as_classes(classes, num_classes)
        if configured is not None and set(configured) == set(named) and list(configured) != named:
            raise InvalidInput(
                f"classes must be in the order of the model's outputs, which its configuration gives as {list(configured)}; got "
                f"{named}"
            )
        return len(named), named, False
    if configured is not None and num_classes in (None, len(configured)):
        return len(configured), list(configured), True
    if num_classes is None and named_classes(model) is None:
        raise InvalidInput(
            "the number of classes is missing; pass num_classes=, or the names of the classes as classes="
        )
    return _fitted_classes(model, num_classes)


def _fitted_classes(model: object, num_classes: int | None) -> tuple[int, list[Any] | None, bool]:
    """The classes of a fitted estimator if they are not numbers in 0..C-1; else labels are these numbers."""
    fitted = named_classes(model)
    own = [] if fitted is None else fitted.tolist()
    count = len(own) if num_classes is None else num_classes
    if fitted is None or whole_number(count) is None or set(own) <= set(range(count)):
        return count, None, False
    if len(own) != count:
        raise InvalidInput(
            f"num_classes is {count}, and the model is fitted to {len(own)} classes, {own[:10]}; pass num_classes={len(own)}"
        )
    return count, own, False

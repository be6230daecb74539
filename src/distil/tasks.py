"""The tasks of a model, which decide what its outputs and its labels mean. A task is named by the caller, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from distil.errors import InvalidInput, nearest

Task = Literal["classification", "multilabel", "regression"]
"""One class for each example; any number of labels for each example; or one or more real numbers for each example."""

OUTPUTS: Mapping[Task, str] = {"classification": "classes", "multilabel": "labels", "regression": "targets"}
"""What the columns of the outputs are called."""

TASKS: tuple[Task, ...] = get_args(Task)


def as_task(task: object) -> Task:
    """``task``, checked.

    Raises:
        InvalidInput: There is no task of that name.
    """
    if task not in TASKS:
        raise InvalidInput(
            f"task must be one of {', '.join(map(repr, TASKS))}, got {task!r}{nearest(str(task), TASKS)}"
        )
    return task


def least_outputs(task: Task) -> int:
    """The smallest number of outputs of a model: two classes; or one label, or one predicted number."""
    return 2 if task == "classification" else 1

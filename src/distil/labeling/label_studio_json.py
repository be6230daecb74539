"""Rows as tasks of Label Studio, in the JSON that it imports and exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distil.errors import InvalidInput
from distil.labeling.events import ANSWERS, DECISION
from distil.labeling.items import Item
from distil.labeling.rows import Row

CONTROL = "label"
"""The name of the choices, ``from_name`` of their results."""

_FIELDS = ("distil_id", "id")
"""Where tasks have the ids of items, in ``data``."""


def tasks_of(rows: Sequence[Row], items: Mapping[str, Item]) -> list[dict[str, Any]]:
    """One task for each item with answers; each answer is an annotation.

    Skips are cancelled annotations. Label Studio knows neither "not sure" nor flags nor decisions; these are in ``meta``, which
    only this project reads.
    """
    tasks: dict[str, dict[str, Any]] = {}
    for row in rows:
        item = items[row.id]
        shown = shown_of(item)
        data = {"distil_id": item.id, shown: item.text if item.path is None else item.path}
        task = tasks.setdefault(item.id, {"data": data, "annotations": [], "predictions": []})
        task["annotations"].append(_annotation(row, shown))
    return list(tasks.values())


def shown_of(item: Item) -> str:
    """The field of a task that shows an item."""
    return "text" if item.path is None else "image"


def choice(label: str, shown: str) -> dict[str, Any]:
    """The result of an annotation or prediction that names one class."""
    return {"from_name": CONTROL, "to_name": shown, "type": "choices", "value": {"choices": [label]}}


def _annotation(row: Row, shown: str) -> dict[str, Any]:
    return {
        "completed_by": {"email": row.who},
        "was_cancelled": row.label is None,
        "result": [] if row.label is None else [choice(row.label, shown)],
        "meta": {"distil": {"answer": row.answer, "flagged": row.flagged}},
    }


def read_tasks(tasks: Sequence[Any], origin: str) -> tuple[list[Row], list[str]]:
    """The rows in tasks, and for each task or annotation that holds no label of one class, why.

    Raises:
        InvalidInput: The tasks have no annotations, as in other exports of Label Studio.
    """
    if not any(isinstance(task, dict) and isinstance(task.get("annotations"), list) for task in tasks):
        raise InvalidInput(
            f"{origin}: expected tasks with annotations; export them from Label Studio as JSON, not JSON_MIN"
        )
    rows: list[Row] = []
    refused: list[str] = []
    for number, task in enumerate(tasks):
        try:
            name, annotations = _task(task)
        except InvalidInput as error:
            refused.append(f"task {number}: {error}")
            continue
        for annotation in annotations:
            try:
                rows.append(_row(name, annotation))
            except InvalidInput as error:
                refused.append(f"task {number} ({name}): {error}")
    return rows, refused


def _task(task: Any) -> tuple[str, list[Any]]:  # noqa: ANN401 - any value of JSON
    data = task.get("data") if isinstance(task, dict) else None
    name = next((data[key] for key in _FIELDS if key in data), None) if isinstance(data, dict) else None
    if not isinstance(name, (str, int)) or not isinstance(task.get("annotations"), list):
        raise InvalidInput("expected annotations, and data with distil_id or id")
    return str(name), task["annotations"]


def _row(name: str, annotation: Any) -> Row:  # noqa: ANN401
    if not isinstance(annotation, dict):
        raise InvalidInput("an annotation is not an object")
    meta = annotation.get("meta")
    own = meta.get("distil") if isinstance(meta, dict) else None
    label = choice_in(annotation.get("result"))
    answer: Any = "label" if label is not None else "skip"
    flagged = False
    if isinstance(own, dict):
        answer, flagged = own.get("answer"), own.get("flagged") is True
    if answer not in (None, "decide", *ANSWERS) or (answer in ("label", "decide")) != (label is not None):
        raise InvalidInput(f"the answer {answer!r} does not fit its result")
    if label is None and annotation.get("was_cancelled") is not True:
        raise InvalidInput("the annotation has no result and was not skipped")
    return Row(
        name, label, answer, DECISION if answer == "decide" else _person(annotation.get("completed_by")), flagged
    )


def _person(by: Any) -> str:  # noqa: ANN401
    if isinstance(by, dict):
        by = by.get("email") or by.get("id")
    if not isinstance(by, (str, int)) or not str(by).strip():
        raise InvalidInput("completed_by names no person")
    return by.strip() if isinstance(by, str) else f"label-studio user {by}"


def choice_in(results: Any) -> str | None:  # noqa: ANN401
    """The one class in the results of an annotation or prediction; None without results.

    Raises:
        InvalidInput: There are several results or several choices, or it is no choice.
    """
    if results in (None, []):
        return None
    match results:
        case [{"type": "choices", "value": {"choices": [str(label)]}}]:
            return label
    raise InvalidInput("expected one result with one choice")

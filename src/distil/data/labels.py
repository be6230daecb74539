"""The door for labels: what callers pass becomes columns of the model's outputs."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence, Set, ValuesView
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.data.arrays import as_columns, called, check_rows, one_axis, scalar, take
from distil.data.cells import with_control
from distil.data.frames import Frame, check_same_ids
from distil.errors import InvalidInput, nearest
from distil.tasks import Task

_SHOWN = 10
_NOT_LISTS = (Set, Iterator, Mapping, str, bytes)

Classes = Sequence[Any] | np.ndarray[Any, Any]
"""All classes, in the order of a model's columns."""


def labels_of(
    task: Task,
    labels: Any,  # noqa: ANN401 - any argument of a caller
    what: str,
    ids: Tensor,
    names: Sequence[Any] | None = None,
    *,
    classes: Classes | None = None,
    column_labels: bool = False,
    columns: int | None = None,
    advice: str = "",
) -> Tensor:
    """The labels of the examples ``ids`` (M,), in the form that models of the task are trained on.

    Classes are columns of the outputs, (M,) int64; label sets are rows of 0 and 1, (M, L) float64; targets are numbers, (M, T)
    float64. ``columns`` is the number of outputs, where it is known. For the other arguments see :func:`as_labels` and
    :func:`as_label_sets`.
    """
    given: dict[str, Any] = {"count": len(ids), "ids": ids, "names": names}
    if task == "regression":
        found = as_targets(labels, what, **given)
    elif task == "multilabel":
        found = as_label_sets(labels, what, **given, classes=classes)
    else:
        found = as_labels(labels, what, **given, classes=classes, column_labels=column_labels, advice=advice)
    if columns is not None and len(found):
        _check_columns(found, columns, what)
    return found


def _check_columns(y: Tensor, columns: int, what: str) -> None:
    """Refuse labels that do not fit the outputs of a model."""
    if y.ndim == 1 and int(y.max()) >= columns:
        raise InvalidInput(f"{what}: {int(y.max())} is not one of the {columns} classes")
    if y.ndim == 2 and y.shape[1] != columns:
        numbers = "1 number" if columns == 1 else f"{columns} numbers"
        raise InvalidInput(
            f"{what} must have {numbers} for each example, one for each output of the model; got {y.shape[1]}"
        )


def as_given(task: Task, y: Tensor, classes: Sequence[Any] | None) -> list[Any]:
    """Labels of a tensor as callers give them: classes, lists of names or of 0 and 1, numbers or lists of numbers.

    ``labels_of`` reads them again.

    Args:
        task: The task.
        y: Labels in the form of ``labels_of``.
        classes: The names of the classes; None: they are numbered.
    """
    if task == "classification":
        return [column if classes is None else classes[column] for column in y.tolist()]
    if task == "regression":
        return y[:, 0].tolist() if y.shape[1] == 1 else y.tolist()
    rows = y.int().tolist()
    if classes is None:
        return rows
    return [[name for name, has in zip(classes, row, strict=True) if has] for row in rows]


def no_labels(task: Task, count: int, columns: int) -> Tensor:
    """The labels of ``count`` examples that have none: -1 for classes, else rows of NaN with a column for each output."""
    if task == "classification":
        return torch.full((count,), -1, dtype=torch.long)
    return torch.full((count, columns), math.nan, dtype=torch.float64)


def are_known(y: Tensor) -> Tensor:
    """Whether each example has a label, (N,) bool; see ``no_labels``."""
    return y >= 0 if y.ndim == 1 else ~y.isnan().any(1)


def as_labels(
    labels: Any,  # noqa: ANN401 - any argument of a caller
    what: str,
    *,
    count: int | None = None,
    classes: Classes | None = None,
    column_labels: bool = False,
    ids: Tensor | None = None,
    names: Sequence[Any] | None = None,
    advice: str = "",
) -> Tensor:
    """Labels as columns of a model's outputs, (M,) int64.

    One rule holds for every type: a label is the class that it equals, so 1, 1.0, NumPy's 1 and True are one label. A text is never
    a number; an accented letter is the same in one character and in two.

    Args:
        labels: A list, array, tensor or Series with one label per example.
        what: The caller's name for the labels, for messages.
        count: The number of labels that there must be; None: any number.
        classes: All classes in the order of the columns, to look the labels up in. Default: labels are the columns themselves,
            whole numbers from 0, or booleans for 0 and 1.
        column_labels: Whether labels without a text among them are columns also where ``classes`` are known.
        ids: Positions of the examples, (M,), to name those whose labels are missing; None: positions in ``labels``.
        names: The caller's names of all positions; None: positions are the names.
        advice: The end of the message for a text or name that is not a class, where none is like it; default: a general one.

    Raises:
        InvalidInput: The number of labels is wrong, a label is missing (None, NaN or an empty text), or it is not a class; or the
            index of a Series has other ids than the examples, or has them in another order.
    """
    values = listed(labels, what, count)
    if ids is not None:
        check_same_ids(labels, called(ids, names), what, "the labeled examples")
    if classes is not None and not isinstance(classes, range):
        plain = list(map(scalar, values.tolist()))
        if not column_labels or any(isinstance(label, str) for label in plain):
            by_class = {scalar(label): column for column, label in enumerate(classes)}
            if len(by_class) < len(classes):
                raise InvalidInput(
                    f"{what}: the model has two classes of one name, so labels must be numbers, its columns; its classes are "
                    f"{list(map(scalar, classes))[:_SHOWN]}"
                )
            return _looked_up(plain, by_class, what, ids, names, advice)
        classes = None
    _check_present(values, (), what, ids, names)
    columns = _whole_numbers(values, what, advice)
    wrong = columns < 0 if classes is None else (columns < 0) | (columns >= len(classes))
    if bool(wrong.any()):
        known = "of the classes, which are numbered from 0"
        if classes is not None:
            known = f"of the {len(classes)} classes, 0 to {len(classes) - 1}"
        raise InvalidInput(f"{what}: {int(columns[wrong][0])} is not one {known}")
    return columns


def as_targets(
    labels: Any,  # noqa: ANN401 - any argument of a caller
    what: str,
    *,
    count: int,
    ids: Tensor,
    names: Sequence[Any] | None = None,
) -> Tensor:
    """Labels of a regression, (M, T) float64: one number for each example, (M,), or a row of T numbers.

    Args:
        labels: A list, array, tensor, Series or data frame.
        what: The caller's name for the labels, for messages.
        count: The number of examples, M.
        ids: Positions of the examples, (M,), for messages.
        names: The caller's names of all positions; None: positions are the names.

    Raises:
        InvalidInput: They are not numbers, one is missing or infinite, or their number is wrong; or the index of a Series or
            data frame has other ids than the examples, or has them in another order.
    """
    if isinstance(labels, _NOT_LISTS):
        raise InvalidInput(f"{what} must be a list, one number for each example; got {_kind(labels)}")
    check_same_ids(labels, called(ids, names), what, "the labeled examples")
    values = labels
    if isinstance(labels, (list, tuple, ValuesView)):
        values = [math.nan if label is None else label for label in labels]
    rows = as_columns(values if len(values) else np.empty((0, 1)), what)
    if len(rows) != count:
        raise InvalidInput(f"{what} must have one entry for each of the {count:,} examples, got {len(rows):,}")
    targets = take(rows, torch.arange(count)).double()
    check_rows(ids, targets, what, names)
    return targets


def as_label_sets(
    labels: Any,  # noqa: ANN401 - any argument of a caller
    what: str,
    *,
    count: int,
    ids: Tensor,
    names: Sequence[Any] | None = None,
    classes: Classes | None = None,
) -> Tensor:
    """Labels of multi-label data: whether each example has each label, (M, L) float64 of 0 and 1.

    Args:
        labels: A row of 0 and 1 for each example, in any form that :func:`as_targets` takes; or, where ``classes`` are texts, a
            list of names for each example, which is empty for an example without labels.
        what: The caller's name for the labels, for messages.
        count: The number of examples, M.
        ids: Positions of the examples, (M,), for messages.
        names: The caller's names of all positions; None: positions are the names.
        classes: The names of the labels, in the order of the columns; None: they are numbered.

    Raises:
        InvalidInput: See :func:`as_targets`; or a number is neither 0 nor 1, or a name is not in ``classes``.
    """
    if classes is not None and isinstance(labels, Frame):
        check_columns(labels.columns, classes, what)
    if classes is not None and _hold_names(labels):
        labels = _rows_of_names(labels, what, list(classes), ids, names)
    found = as_targets(labels, what, count=count, ids=ids, names=names)
    wrong = (found != 0) & (found != 1)
    if bool(wrong.any()):
        row = int(torch.nonzero(wrong.any(1))[0, 0])
        raise InvalidInput(
            f"{what} must have a column of 0 and 1 for each label; got {float(found[wrong][0]):g} for id "
            f"{called(ids[[row]], names)[0]!r}"
        )
    if classes is not None and found.shape[1] != len(classes):
        raise InvalidInput(
            f"{what} must have a column for each of the {len(classes)} labels, got {found.shape[1]}; or a list of names for each "
            "example"
        )
    return found


def _hold_names(labels: Any) -> bool:  # noqa: ANN401 - any argument of a caller
    """Whether labels are lists of names, not rows of numbers; lists without any entry hold no names and no numbers."""
    if not isinstance(labels, (list, tuple, ValuesView)):
        return False
    entries = [entry if isinstance(entry, (list, tuple, Set)) else [entry] for entry in labels]
    held = [value for entry in entries for value in entry]
    return bool(entries) and all(isinstance(value, str) for value in held)


def _rows_of_names(
    labels: Collection[Any], what: str, classes: list[Any], ids: Tensor, names: Sequence[Any] | None
) -> list[list[int]]:
    """Rows of 0 and 1 for lists of names."""
    column = {_composed(name): place for place, name in enumerate(classes)}
    rows = []
    for place, entry in enumerate(labels):
        where = f"{what} of id {called(ids[[place]], names)[0]!r}" if place < len(ids) else what
        if isinstance(entry, str):
            raise InvalidInput(f"{where}: expected a list of names, such as {[classes[0]]!r} or [], got {entry!r}")
        wrong = next((name for name in entry if _composed(name) not in column), None)
        if wrong is not None:
            known = ", ".join(map(repr, classes[:_SHOWN])) + (", ..." if len(classes) > _SHOWN else "")
            raise InvalidInput(
                f"{where}: {wrong!r} is not one of the {len(classes)} labels, {known}{_hint(wrong, classes)}"
            )
        chosen = {column[_composed(name)] for name in entry}
        rows.append([int(place in chosen) for place in range(len(classes))])
    return rows


def listed(labels: Any, what: str, count: int | None) -> np.ndarray[Any, Any]:  # noqa: ANN401 - any argument of a caller
    """Labels of any type in an array, (M,); the arguments are those of :func:`as_labels`."""
    if isinstance(labels, _NOT_LISTS):
        raise InvalidInput(f"{what} must be a list, one label for each example; got {_kind(labels)}")
    values = one_axis(list(labels) if isinstance(labels, ValuesView) else labels, what)
    if count is not None and len(values) != count:
        raise InvalidInput(f"{what} must have one entry for each of the {count:,} examples, got {len(values):,}")
    return values


def check_labels(labels: Any, what: str, ids: Tensor, names: Sequence[Any] | None) -> None:  # noqa: ANN401
    """Refuse labels that are missing, too few or too many, where the classes are not known; arguments as :func:`as_labels`."""
    _check_present(listed(labels, what, len(ids)), (), what, ids, names)


def _kind(value: object) -> str:
    """The type of a value that cannot be a list of labels, and why it cannot be one."""
    why = "has no order" if isinstance(value, Set) else "can be read only once" if isinstance(value, Iterator) else None
    return f"{type(value).__name__}, which {why}" if why else type(value).__name__


def _composed(label: Any) -> Any:  # noqa: ANN401 - a label of any type
    """A text with its accents composed (NFC), which file names and keyboards may write in two ways; other labels unchanged."""
    return unicodedata.normalize("NFC", label) if isinstance(label, str) else label


def as_classes(classes: Any, num_classes: int | None = None, what: str = "classes") -> list[Any]:  # noqa: ANN401
    """The names of all classes, in the order of the columns, as plain values; InvalidInput unless they are distinct names.

    Names that differ only in the encoding of accents or in blanks around them are not distinct: files do not keep them apart.

    Args:
        classes: A list, array or Series of texts or of numbers.
        num_classes: The number of classes that there must be; None: any number from 2.
        what: The caller's name for the classes, for messages.
    """
    if isinstance(classes, _NOT_LISTS):
        raise InvalidInput(f"{what} must be a list of names, in the order of the model's outputs; got {_kind(classes)}")
    values = list(map(scalar, listed(classes, what, None).tolist()))
    for value in values:
        if not isinstance(value, (str, int, float)) or is_missing_label(value):
            raise InvalidInput(f"{what} has {value!r}, which cannot be the name of a class; pass texts or numbers")
    if num_classes is not None and len(values) != num_classes:
        raise InvalidInput(f"{what} must have {num_classes} names, one for each column; got {len(values)}")
    if len({isinstance(value, str) for value in values}) > 1:
        raise InvalidInput(f"{what} must be all texts or all numbers, got {values[:_SHOWN]}")
    texts = [_composed(value) for value in values if isinstance(value, str)]
    if (wrong := with_control(texts)) is not None:
        raise InvalidInput(f"{what} has {wrong!r}, which holds a control character; take it out")
    distinct = len({*map(str.strip, texts)} or {*values})
    if distinct < max(2, len(values)):
        alike = "; blanks around a name do not count" if len({*values}) > max(1, distinct) else ""
        raise InvalidInput(f"{what} must be at least two distinct names, got {values[:_SHOWN]}{alike}")
    return values


def check_columns(columns: Iterable[Any], classes: Iterable[Any], what: str) -> None:
    """Refuse a table whose columns have the names of the classes in another order: they are matched by place.

    The names may have something in common before and after the classes, as in ``prob_cat`` and ``p(cat)``.

    Args:
        columns: The names of the columns of the table; other columns than those of classes may be among them, and names that count
            columns from 0 are those of pandas.
        classes: The classes, in the order in which the caller names them.
        what: The caller's name for the table.
    """
    named = [_composed(str(each)) for each in classes]
    given = [_composed(str(column).strip()) for column in columns]
    first = re.compile(f"(?={re.escape(named[0])})")
    affixes = {
        (name[: at.start()], name[at.start() + len(named[0]) :]) for name in given for at in first.finditer(name)
    }
    for before, after in sorted(affixes):
        expected = [before + name + after for name in named]
        own = [name for name in given if name in expected]
        counted = [f"{before}{place}{after}" for place in range(len(own))]
        if own not in (expected, counted) and sorted(own) == sorted(expected):
            raise InvalidInput(
                f"{what}: the columns are named {', '.join(own[:_SHOWN])}, and the classes are {', '.join(named[:_SHOWN])}; name "
                "the classes in the order of the columns"
            )


def classes_among(labels: Any, what: str, count: int | None = None) -> list[Any]:  # noqa: ANN401 - any argument of a caller
    """The distinct labels, numbers in their order and then texts in theirs; missing ones are left out.

    Args:
        labels: A list, array, tensor or Series with one label per example.
        what: The caller's name for the labels, for messages.
        count: The number of labels that there must be; default: any.
    """
    plain = map(scalar, listed(labels, what, count).tolist())
    found = dict.fromkeys(
        _composed(label) for label in plain if isinstance(label, Hashable) and not is_missing_label(label)
    )
    return sorted(found, key=lambda label: (isinstance(label, str), label))


def is_missing_label(label: Any) -> bool:  # noqa: ANN401 - a label of any type
    """Whether a label is None, NaN (pandas' NA and NaT included) or a text of blanks."""
    if label is None or isinstance(label, str):
        return not (label or "").strip()
    return type(label).__name__ == "NAType" or (isinstance(label, Hashable) and bool(label != label))


def _check_present(
    values: np.ndarray[Any, Any], classes: Collection[Any], what: str, ids: Tensor | None, names: Sequence[Any] | None
) -> None:
    """Refuse missing labels, by the ids of their examples; a name in ``classes`` is not missing."""
    if values.dtype.kind in "iub":
        return
    missing = [row for row, label in enumerate(values.tolist()) if is_missing_label(label) and label not in classes]
    if missing:
        rows = torch.tensor(missing)
        shown = called(rows[:_SHOWN] if ids is None else ids[rows[:_SHOWN]], names)
        listing = ", ".join(map(repr, shown)) + (", ..." if len(missing) > _SHOWN else "")
        raise InvalidInput(
            f"{what}: {len(missing):,} of {len(values):,} are missing ({values.tolist()[missing[0]]!r}), those of ids "
            f"{listing}; leave these examples out"
        )


def _whole_numbers(values: np.ndarray[Any, Any], what: str, advice: str) -> Tensor:
    if values.dtype.kind in "iub" or len(values) == 0:
        return torch.from_numpy(values.astype(np.int64))
    plain = list(map(scalar, values.tolist()))
    others = [value for value in plain if not isinstance(value, (int, float)) or value % 1 != 0]
    if others:
        hint = advice or "; only a classifier that knows its classes takes their names; number the classes from 0"
        if isinstance(others[0], float):
            hint = "; correct this label"
        raise InvalidInput(f"{what} must be whole numbers, the columns of the model's outputs; got {others[0]!r}{hint}")
    return torch.tensor([int(value) for value in plain])


def _looked_up(
    values: list[Any],
    columns: dict[Any, int],
    what: str,
    ids: Tensor | None,
    names: Sequence[Any] | None,
    advice: str,
) -> Tensor:
    """The column of each label, (M,) int64; ``columns``: class -> its column."""
    composed = {_composed(label): column for label, column in columns.items()} | columns
    values = [value if isinstance(value, Hashable) and value in columns else _composed(value) for value in values]
    unknown = [value for value in values if not isinstance(value, Hashable) or value not in composed]
    if unknown:
        objects = np.empty(len(values), dtype=object)
        objects[:] = values
        _check_present(objects, columns, what, ids, names)
        classes = list(columns)
        known = ", ".join(map(repr, classes[:_SHOWN])) + (", ..." if len(classes) > _SHOWN else "")
        hint = _hint(unknown[0], classes) or advice
        raise InvalidInput(f"{what}: {unknown[0]!r} is not one of the {len(classes)} classes, {known}{hint}")
    return torch.tensor([composed[value] for value in values], dtype=torch.long)


def _hint(label: Any, classes: list[Any]) -> str:  # noqa: ANN401 - a label of any type
    """The class that a text means: the one written so, or the nearest in spelling; empty without one."""
    if not isinstance(label, str):
        return ""
    written = next((known for known in classes if str(known) == label), None)
    if written is not None:
        return f"; this is a text, and the class is {written!r}"
    return nearest(label, [known for known in classes if isinstance(known, str)])

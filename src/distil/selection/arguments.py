"""Checks of the arguments of ``select``, ``select_from`` and ``Learner``, which bring them to one form."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from distil.data.array_files import table_values
from distil.data.arrays import (
    Array,
    Series,
    as_columns,
    called,
    check_rows,
    checked_array,
    checked_probs,
    is_array,
    one_axis,
    scalar,
    take,
)
from distil.data.cells import with_control
from distil.data.examples import Data, LabeledSet, Rows, as_data, form_of, texts_in
from distil.data.frames import (
    Frame,
    FrameTable,
    check_same_ids,
    check_same_order,
    names_in_index,
    own_index,
    row_names,
    without_index,
)
from distil.data.headers import is_no_text
from distil.data.ids import as_name
from distil.data.labels import is_missing_label, listed
from distil.data.minibatches import Collate
from distil.data.tokens import token_bounds
from distil.errors import InvalidInput, MissingSignal, counted, whole_number
from distil.selection.ids import ID_FORMS, IdReader, Ids, split_pair
from distil.signals import measured_by
from distil.strategies.base import ROLES, Selection, Strategy
from distil.system.runtime import CHUNK_ROWS, Runtime
from distil.tasks import Task

Labels = Any
"""One label per example: columns of the model's outputs, or names of classes that the model knows."""

_SHOWN = 5  # columns in a sentence
_CLASS = re.compile(r"\bclass (\d+)\b")

RoleData = Ids | Data | LabeledSet | Mapping[Any, Any] | tuple[Ids | Array | Data, Labels]
"""The examples of a role other than the pool, in any form that :func:`as_examples` takes."""


def as_pool(data: Any, names: Any) -> IdReader:  # noqa: ANN401 - any arguments of a caller
    """A reader of ids that holds the pool's data, checked, and its names: ``names``, or the data's own."""
    data = as_data(data)
    size = len(data)
    if names is None:
        return IdReader(size, as_names(_names_of(data, size), size, "data.names"), data)
    if isinstance(data, Rows):
        check_rows_match({"data": data.original, "names": names})
    names = as_names(names, size)
    if isinstance(data, Rows):
        check_same_order(data.original, list(map(as_name, names or ())), "data", "names")
    return IdReader(size, names, data)


def _names_of(data: Data, size: int) -> Sequence[Any] | None:
    """A data set's ``names``; None if it has none, or not one for each example (they may be names of classes)."""
    if is_array(data) or not isinstance(data, _Named):  # names of a tensor are those of its axes
        return None
    names = data.names
    listed = isinstance(names, (Sequence, np.ndarray)) and not isinstance(names, str)
    return names if listed and len(names) == size else None


@runtime_checkable
class _Named(Protocol):
    @property
    def names(self) -> Any: ...  # noqa: ANN401


def as_names(names: Any, size: int, argument: str = "names") -> Sequence[Any] | None:  # noqa: ANN401 - any argument of a caller
    """``names`` as a sequence with a distinct name for each of ``size`` examples; None for None."""
    if names is None:
        return None
    if isinstance(names, (np.ndarray, Tensor, Series)):
        names = one_axis(names, argument).tolist()
    if not isinstance(names, Sequence) or isinstance(names, (str, bytes)):
        hint = "; pass list(names)" if isinstance(names, Iterator) else ""
        raise InvalidInput(f"{argument} must be a list with one name per example, got {type(names).__name__}{hint}")
    if len(names) != size:
        raise InvalidInput(f"{argument} must have one entry for each of the {size:,} examples, got {len(names):,}")
    if not isinstance(names, range):
        _check_names(list(map(scalar, names)), argument)
    return names


def _check_names(names: list[Any], argument: str) -> None:
    """Refuse names that are missing or cannot be looked up, hold a control character, or occur twice."""
    texts = [name for name in names if isinstance(name, str)]
    if not {*map(type, names)} <= {str, int} or not all(map(str.strip, texts)):  # at once: pools are large
        for row, name in enumerate(names):
            if not isinstance(name, Hashable) or isinstance(name, bool) or is_missing_label(name):
                raise InvalidInput(
                    f"{argument} has {name!r} in row {row}, which cannot be a name; pass a text or a number for each example"
                )
    wrong = with_control(texts)
    if wrong is not None:
        raise InvalidInput(f"{argument} has {wrong!r}, which holds a control character; take it out")
    if len(set(names)) < len(names):
        repeated = Counter(names).most_common(1)[0][0]
        raise InvalidInput(f"{argument} has {repeated!r} more than once; names must be distinct")


@dataclass(frozen=True, eq=False)
class Examples:
    """The examples of one role.

    Attributes:
        data: The data that hold them.
        ids: Their positions in ``data``, (M,) int64.
        labels: Their labels as the caller passed them; None without labels.
        of_pool: Whether ``data`` is the pool.
    """

    data: Data
    ids: Tensor
    labels: Labels | None
    of_pool: bool


def as_examples(
    value: Any,  # noqa: ANN401 - any argument of a caller
    reader: IdReader,
    role: str,
    task: Task = "classification",
) -> Examples:
    """The examples of one role, from any form that callers pass.

    Args:
        value: Ids of the pool, as ``IdReader`` takes them; a dict {id: label}; a pair (ids, labels); a LabeledSet; or separate
            data: an array, data frame or data set, or a pair (inputs, labels).
        reader: The reader of the pool's ids, which holds its data.
        role: The argument's name, for messages.
        task: The task, which says what labels are.

    Raises:
        InvalidInput: The value is none of these, or the examples are unlike those of the pool.
    """
    examples, labels = split_pair(value, reader, role)
    if reader.reads(examples):
        ids = reader.positions(examples, role, ordered=labels is not None)
        _listed(labels, role, ids, task)
        return Examples(reader.data, ids, labels, of_pool=True)
    if isinstance(examples, LabeledSet):
        own = as_data(examples.data, f"the data of {role}")
        ids = IdReader(len(own)).positions(examples, role)
    elif reader.is_one(examples):
        raise InvalidInput(
            f"{role} must be ids of the pool ({ID_FORMS}), a dict {{id: label}}, a pair (ids, labels), or separate data (an "
            f"array, a data frame, a Dataset or a pair (inputs, labels)); got {examples!r}"
        )
    else:
        own = as_data(examples, role)
        ids = torch.arange(len(own))
    _check_form(own, reader.data, role)
    labels = labels_apart(own, labels, f"the labels of {role}")
    return Examples(own, ids, _listed(labels, role, ids, task), of_pool=False)


def labels_apart(data: Data, labels: Labels, what: str) -> Labels:
    """The labels of examples that are not of the pool, without an index.

    Args:
        data: The examples.
        labels: Their labels, in any form.
        what: The caller's name for the labels, for messages.

    Raises:
        InvalidInput: Both are of pandas, and the index of the labels is that of other examples, or in another order.
    """
    if isinstance(data, Rows):
        check_same_order(labels, names_in_index(data.original, counted=True) or [], what, "the examples")
        check_same_ids(labels, row_names(data.original) or [], what, "the examples")
    return without_index(labels)


def check_rows_match(passed: Mapping[str, object]) -> None:
    """Refuse frames of which an index does not have the ids of another in the same order; ``passed``: argument -> array."""
    indexes = {name: index for name, value in passed.items() if (index := names_in_index(value)) is not None}
    for name, index in indexes.items():
        first = next(iter(indexes))
        check_same_order(passed[name], indexes[first], name, first)
        other = next((each for each in index if each not in indexes[first]), None)
        if other is not None:
            raise InvalidInput(
                f"{name}: the index has {other!r}, which is not in the index of {first}; pass the same rows in the same order, or "
                ".to_numpy() if they are and the index is not right"
            )


def _listed(labels: Labels | None, role: str, ids: Tensor, task: Task) -> Labels | None:
    """Labels in an array, one per id; that they are classes, or numbers, is checked where the model is known."""
    if labels is None or task != "classification":
        return labels
    return listed(labels, f"the labels of {role}", len(ids))


def _check_form(own: Data, pool: Data, role: str) -> None:
    """Refuse examples that are unlike those of the pool; they may be ids in a form that was taken for examples."""
    form, expected = form_of(own), form_of(pool)
    if form is not None and not form.is_like(expected):
        known = "" if expected is None else f" of shape {expected.shape}"
        raise InvalidInput(
            f"{role} must be examples like those of data{known}, or their ids in one flat list, or a pair (ids, labels); got "
            f"examples of shape {form.shape}"
        )


def as_candidates(
    candidates: Ids | None, exclude: Ids | None, answered: Mapping[str, Tensor | None], reader: IdReader
) -> Tensor:
    """The positions that may be chosen, ascending.

    Args:
        candidates: The ids that may be chosen; None: all.
        exclude: Ids that may not be chosen.
        answered: Role (``labeled``, ``validation``) -> positions that have a label, so that they may not be chosen, (M,).
        reader: The reader of the pool's ids.

    Raises:
        InvalidInput: Ids are not of the pool, a candidate has a label, or two roles share an example.
    """
    free = torch.ones(reader.size, dtype=torch.bool)
    ids = None if candidates is None else reader.positions(candidates, "candidates")
    for role, own in answered.items():
        if own is not None:
            check_held_out(own, free, role, reader.name)
            free[own] = False
        if ids is not None:
            check_unlabeled(ids, free, role, reader.name)
    if ids is not None:
        free = torch.zeros(reader.size, dtype=torch.bool).index_fill_(0, ids, True)
    if exclude is not None:
        free[reader.positions(exclude, "exclude")] = False
    return torch.nonzero(free)[:, 0]


def check_held_out(rows: Tensor, free: Tensor, role: str, name: Callable[[int], Any]) -> None:
    """Refuse an example held out from training that is labeled for it; arguments as ``check_unlabeled``."""
    wrong = rows[~free[rows]]
    if len(wrong):
        raise InvalidInput(
            f"{role} has {name(int(wrong[0]))!r}, which is in labeled too; {role} is held out from training, so remove it from one "
            "of them"
        )


def check_unlabeled(candidates: Tensor, free: Tensor, role: str, name: Callable[[int], Any]) -> None:
    """Refuse a candidate that has a label.

    Args:
        candidates: Rows that may be chosen, (M,).
        free: Whether each row has no label, (N,).
        role: The set with the labels, for errors.
        name: The id of a row.
    """
    wrong = candidates[~free[candidates]]
    if len(wrong):
        raise InvalidInput(
            f"candidates has {name(int(wrong[0]))!r}, which is in {role} too; remove it from one of them"
        )


def as_count(n: Any, available: int) -> int:  # noqa: ANN401 - any argument of a caller
    """``n`` as an int; InvalidInput unless it is between 1 and ``available``."""
    count = whole_number(n)
    if count is None:
        raise InvalidInput(f"n must be a whole number, got {n!r}")
    if available == 0:
        raise InvalidInput(
            "there is nothing to choose from: every example is labeled, excluded or not a candidate; add examples or candidates"
        )
    if not 1 <= count <= available:
        raise InvalidInput(
            f"n must be between 1 and {available:,}, the number of examples to choose from; got {count:,}"
        )
    return count


def costs_of(costs: Any, reader: IdReader) -> Tensor:  # noqa: ANN401 - any argument of a caller
    """The costs of the labels of a pool, (N,) float32."""
    check_index_of_costs(costs, reader)
    return as_costs(costs, size=reader.size)


def check_index_of_costs(costs: Any, reader: IdReader) -> None:  # noqa: ANN401 - any argument of a caller
    """Refuse costs in a Series whose index has other ids than the pool, or has them in another order."""
    if own_index(costs) is None:
        return
    if isinstance(reader.data, Rows):
        check_rows_match({"data": reader.data.original, "costs": costs})
    if reader.names is None:
        check_same_order(costs, list(map(str, range(reader.size))), "costs", "the pool")
    else:
        check_same_ids(costs, list(map(scalar, reader.names)), "costs", "the pool")


def as_costs(costs: Any, name: str = "costs", *, size: int | None = None) -> Tensor:  # noqa: ANN401 - any argument of a caller
    """The costs of labels as numbers above 0, (N,) float32.

    Args:
        costs: A list, array, tensor or Series, or a table of one column.
        name: What messages call it.
        size: The number of examples, which must be as many; None: any.
    """
    column = np.ndim(costs) == 2 and np.shape(costs)[1] == 1
    values = one_axis(np.asarray(costs)[:, 0] if column else costs, name)
    if values.dtype.kind not in "iuf":
        raise InvalidInput(f"{name} must be numbers, one for each example, got {values.dtype}")
    found = torch.from_numpy(values.astype(np.float32))
    wrong = torch.nonzero(~((found > 0) & found.isfinite()))[:, 0]
    if len(wrong):
        raise InvalidInput(
            f"{name} must be finite numbers above 0, got {values[int(wrong[0])]!s} in row {int(wrong[0])}"
        )
    if size is not None:
        common_size({"data": size, name: len(found)})
    return found


def as_elapsed(elapsed: Any) -> float | None:  # noqa: ANN401 - any argument of a caller
    """``elapsed`` as a number from 0 to 1, or None; InvalidInput for anything else."""
    if elapsed is None:
        return None
    if isinstance(elapsed, bool) or not isinstance(elapsed, (int, float, np.number)) or not 0 <= elapsed <= 1:
        raise InvalidInput(
            f"elapsed must be a number from 0, the first selection of a run, to 1, the last one, got {elapsed!r}"
        )
    return float(elapsed)


def as_collate(collate: Any) -> Collate | None:  # noqa: ANN401 - any argument of a caller
    """``collate``, checked to be a function or None."""
    if collate is not None and not callable(collate):
        raise InvalidInput(f"collate must be a function from a list of examples to their minibatch, got {collate!r}")
    return collate  # type: ignore[no-any-return]


def check_array_data(data: Data, ids: Tensor, name: str, names: Sequence[Any] | None) -> None:
    """Refuse NaN, infinity and missing texts before the first forward pass; mapped data may be huge: its outputs are checked."""
    texts = texts_in(data)
    missing = [row for row in ids.tolist() if is_no_text(texts[row]) and texts[row] != ""] if texts else []
    if missing:
        shown = ", ".join(map(repr, called(torch.tensor(missing[:5]), names))) + (", ..." if len(missing) > 5 else "")
        raise InvalidInput(
            f"{name} has {counted(len(missing), 'missing text')}: ids {shown}; fill in missing texts, or leave them out with "
            "exclude="
        )
    if is_array(data) and not isinstance(data, np.memmap):
        for part in ids.split(CHUNK_ROWS):
            check_rows(part, take(data, part), name, names)


def check_arrays_serve(strategy: Strategy) -> None:
    """Raise MissingSignal if the strategy measures a signal that no array can hold."""
    for role in ROLES:
        for signal in measured_by(getattr(strategy.needs, role)):
            if signal.grad:
                name = type(strategy).__name__
                raise MissingSignal(
                    f"{name} attacks the inputs of a model, so arrays are not enough; use select({name}(), network, data, n)"
                )


_TASKS: Mapping[str, tuple[Task, ...]] = {
    "probs": ("classification", "multilabel"),
    "mc_probs": ("classification",),
    "predictions": ("regression",),
    "mc_predictions": ("regression",),
}
"""Arguments that exist in some tasks only."""


def numbers_in(value: object, name: str) -> tuple[object, tuple[str, ...]]:
    """The columns of numbers of a data frame, as in tables in files, and a sentence if it has others; any other value unchanged.

    Args:
        value: The argument of a caller.
        name: Its name.
    """
    if not (isinstance(value, Series) and len(value.shape) == 2 and isinstance(value, Frame)):  # lazy frames warn
        return value, ()
    values, _, _, read = table_values(FrameTable(value), None, None, Runtime())
    left = [f"`{column}`" for column in value.columns if str(column) not in read]
    listing = ", ".join(left[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
    return values, (f"{name}: read {counted(len(read), 'column')} of numbers and left out {listing}",) if left else ()


def as_array(value: object, argument: str, called: str, task: Task = "classification") -> Array:
    """An array with its axes checked; its values are checked when they are read.

    Args:
        value: The array, of any type.
        argument: ``probs``, ``embeddings``, ``mc_probs``, ``predictions``, ``mc_predictions``, ``rewards`` or ``deviations``.
        called: The name of the array in messages.
        task: The task of the selection.

    Raises:
        InvalidInput: The array has other axes than it should have, or exists in other tasks only.
    """
    if task not in _TASKS.get(argument, (task,)):
        tasks = " or ".join(f'task="{name}"' for name in _TASKS[argument])
        raise InvalidInput(f"{called} is for {tasks}, and the task is {task}; name the task, or leave {called} out")
    if argument in ("embeddings", "rewards", "deviations"):
        return checked_array(value, called, 2)
    if task == "regression":
        return as_columns(value, called, 3 if argument == "mc_predictions" else 2)
    if task == "multilabel":
        return checked_array(value, called, 2)
    return checked_probs(value, called, 3 if argument == "mc_probs" else 2)


def with_tokens(arrays: Mapping[str, Array], offsets: object) -> dict[str, Array]:
    """The arrays with ``offsets`` and ``tokens`` in place of ``probs``, whose rows are tokens; see ``distil.data.tokens``.

    Raises:
        InvalidInput: There are no probabilities, or the offsets do not fit.
    """
    if "probs" not in arrays:
        raise InvalidInput("offsets was passed without probs, whose rows it divides among the examples; pass probs=...")
    others = {name: array for name, array in arrays.items() if name != "probs"}
    return {"offsets": token_bounds(offsets, len(arrays["probs"])), **others, "tokens": arrays["probs"]}


def classes_in(arrays: Mapping[str, Array]) -> int | None:
    """The number of classes of ``probs`` or ``mc_probs``; None if neither is among the arrays."""
    return next((int(arrays[name].shape[-1]) for name in ("probs", "mc_probs") if name in arrays), None)


def common_size(sizes: Mapping[str, int]) -> int:
    """The number of rows that all arrays of the pool have; ``sizes``: name of an array -> its number of rows."""
    if len(set(sizes.values())) > 1:
        rows = ", ".join(f"{name} has {size:,}" for name, size in sizes.items())
        raise InvalidInput(f"the arrays must have the same number of rows: {rows}")
    size = next(iter(sizes.values()))
    if size == 0:
        raise InvalidInput("the arrays are empty; expected a row for each example")
    return size


def with_names(selection: Selection, names: Sequence[Any] | None) -> Selection:
    """The selection with the names of its ids; unchanged for None."""
    return selection if names is None else replace(selection, names=tuple(names[i] for i in selection))


def with_class_names(selection: Selection, classes: Sequence[Any] | None) -> Selection:
    """The selection with the names of classes in its reasons, in place of their columns; unchanged for None.

    >>> found = Selection(torch.tensor([4]), reasons=("margin 0.1 between class 1 and class 0",))
    >>> with_class_names(found, ["cat", "dog"]).reasons
    ("margin 0.1 between class 'dog' and class 'cat'",)
    """
    if classes is None or selection.reasons is None:
        return selection
    texts = {
        str(column): repr(str(name)) if isinstance(name, str) else str(name) for column, name in enumerate(classes)
    }
    named = {column: f"class {name}" for column, name in texts.items() if name.strip("'") != column}
    reasons = (_CLASS.sub(lambda found: named.get(found[1], found[0]), why) for why in selection.reasons)
    return replace(selection, reasons=tuple(reasons))

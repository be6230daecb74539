"""Selections from files, the functions behind ``distil select``: read and check arrays with their ids, choose, write picks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.data.array_files import Column, read_column
from distil.data.arrays import Array
from distil.data.cells import csv_text
from distil.data.distances import checked_near, ruler
from distil.data.ids import ListedIds, names_column, normal, read_ids, read_row_ids
from distil.data.label_texts import numbers_in, sets_in
from distil.data.labels import as_classes, as_labels, check_columns
from distil.data.table_files import Quoting
from distil.data.tokens import token_bounds
from distil.errors import InvalidInput, MissingSignal
from distil.measuring.source import ArraySource
from distil.rng import Rng
from distil.selection.arguments import (
    as_array,
    as_costs,
    as_count,
    check_arrays_serve,
    classes_in,
    common_size,
    with_class_names,
)
from distil.selection.choose import choose
from distil.selection.explanation import Explained, Json, explanation
from distil.selection.ids import Ids, split_pair
from distil.selection.near_duplicates import without_near_duplicates
from distil.selection.request import Arrays, Picks, Request
from distil.selection.trained_head import OUTPUTS, for_arrays, lacks_only_outputs, trained_head
from distil.signals import Embedding, Labels, Targets, measured_by
from distil.strategies.base import Selection, Strategy
from distil.strategies.registry import as_strategy, for_task
from distil.system.files import kept, publish
from distil.system.runtime import Runtime, as_runtime
from distil.tasks import Task

_COLUMNS: Final = ("rank", "id", "score", "why")
_BEGIN: Final = {".csv": ",".join(_COLUMNS).encode(), ".jsonl": b'{"rank": 1, "id": '}


def read_arrays(
    files: Mapping[str, str | Path | Column | None],
    ids: str | Path | None = None,
    runtime: Runtime | None = None,
    *,
    quoting: Quoting | None = None,
    task: Task = "classification",
) -> Arrays:
    """Open the arrays of a pool; their values are not read yet.

    Args:
        files: Name of an array (``embeddings``, ``probs``, ``mc_probs``, ``costs``) -> its file or column, or None. With a file of
            ``offsets``, ``probs`` has a row for each token; see :func:`distil.select_from`.
        ids: A column of ids in every file, or a file of ids; see :func:`distil.data.array_files.read_column`.
        runtime: The memory for decoded values.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.
        task: What the arrays are.

    Raises:
        InvalidInput: There is no array, one has a wrong number of axes, or their numbers of rows or their ids differ.
    """
    columns: dict[str, Column] = {}
    tokens = files.get("offsets") is not None
    for what, source in files.items():
        if source is not None and what != "offsets":
            column = source
            if not isinstance(column, Column):
                own_ids = None if tokens and what == "probs" else ids  # its rows are tokens
                of_shards = what if Path(column).expanduser().is_dir() else None
                column = read_column(column, column=of_shards, ids=own_ids, quoting=quoting, runtime=runtime)
            columns[what] = as_column(column, what, task)
    if tokens:
        columns = _with_tokens(columns, files["offsets"], ids, quoting, runtime)
    if not columns:
        raise InvalidInput(
            "there is nothing to choose from: pass embeddings, probs or mc_probs (--embeddings, --probs, --mc-probs), or in "
            "regression predictions or mc_predictions (--predictions, --mc-predictions)"
        )
    of_examples = [column for what, column in columns.items() if what != "tokens"]
    common_size({column.origin: len(column) for column in of_examples})
    return Arrays(columns, common_names(of_examples))


def as_column(column: Column, what: str, task: Task) -> Column:
    """A column of a pool with its axes checked; arguments as those of :func:`distil.selection.arguments.as_array`."""
    called = f"{column.origin}: {what}"
    values: Any = (
        as_costs(column.values, called).numpy() if what == "costs" else as_array(column.values, what, called, task)
    )
    return replace(column, values=values)


def _with_tokens(
    columns: Mapping[str, Column],
    source: str | Path | Column | None,
    ids: str | Path | None,
    quoting: Quoting | None,
    runtime: Runtime | None,
) -> dict[str, Column]:
    """The columns with ``offsets`` and ``tokens`` in place of ``probs``, whose rows are tokens; see ``distil.data.tokens``."""
    if "probs" not in columns:
        raise InvalidInput("offsets divide the rows of probs among the examples; pass probs too (--probs)")
    others = {what: column for what, column in columns.items() if what != "probs"}
    tokens = columns["probs"]
    column = source if isinstance(source, Column) else read_column(str(source), quoting=quoting, runtime=runtime)
    values = column.values[:, 0] if column.values.ndim == 2 and column.values.shape[1] == 1 else column.values
    bounds = token_bounds(values, len(tokens), f"{column.origin}: offsets", tokens.origin)
    names = None if ids is None or names_column(ids) is not None else read_row_ids(ids, quoting)
    if names is not None and len(names) != len(bounds):
        raise InvalidInput(f"{ids} has {len(names)} ids, and {column.origin} has offsets of {len(bounds)} examples")
    return {"offsets": Column(bounds, names, column.origin), **others, "tokens": replace(tokens, names=None)}


def check_has_classes(classes: Sequence[str] | None, task: Task) -> None:
    """Refuse names of classes in a task without classes."""
    if classes is not None and task == "regression":
        raise InvalidInput("classes are names of the columns of probs, and the task is regression; leave them out")


def classes_of(arrays: Arrays, classes: Sequence[str]) -> list[Any]:
    """The names of the classes, checked: distinct, and in the order of the columns of probabilities."""
    named = as_classes(
        list(map(normal, classes)), classes_in({what: each.values for what, each in arrays.columns.items()})
    )
    if "probs" in arrays.columns:
        check_columns(arrays.columns["probs"].header, named, f"{arrays.columns['probs'].origin}: probs")
    return named


def request(
    strategy: Strategy | str,
    n: int,
    arrays: Arrays,
    *,
    labeled: str | Path | ListedIds | Ids | Mapping[Any, Any] | tuple[Ids, Any] | None = None,
    candidates: str | Path | ListedIds | Ids | None = None,
    exclude: str | Path | ListedIds | Ids | None = None,
    given: Mapping[str, ListedIds] = MappingProxyType({}),
    apart: Mapping[str, Column] = MappingProxyType({}),
    classes: Sequence[str] | None = None,
    seed: int = 0,
    near: float | None = None,
    runtime: Runtime | None = None,
    task: Task = "classification",
) -> Request:
    """Match the lists of ids with the pool; nothing is chosen yet.

    Where the strategy reads probabilities and only embeddings and labels were given, a linear head is trained, which gives them.

    Args:
        strategy: A strategy, or the name of a registered one.
        n: Number of examples to choose.
        arrays: The arrays of the pool.
        labeled: The labeled examples: ids, a file of them, or ids with labels.
        candidates: The examples that may be chosen; default: all that are not labeled.
        exclude: Examples that may not be chosen.
        given: Role (``validation``, ``query``, ``private``) -> its examples, rows of the arrays.
        apart: Role -> embeddings of its examples, which have no row in the arrays.
        classes: Names of the classes or labels in files of labels, in the order of the columns of ``probs``; None: labels are
            columns.
        seed: Seed of the selection.
        near: Leave out near-duplicates, rows within this share of the typical distance; None: keep them.
        runtime: Memory, folder for further columns, progress bars.
        task: What arrays and labels are.

    Raises:
        InvalidInput: Ids do not match the pool, or ``n`` or ``near`` is out of range.
        MissingSignal: The strategy reads an array that was not passed.
    """
    strategy = for_task(as_strategy(strategy), task)
    check_arrays_serve(strategy)
    check_has_classes(classes, task)
    named, what = None, "labels"
    labels: Sequence[Any] | None = None
    if classes is not None:
        named = classes_of(arrays, classes)
    if isinstance(labeled, (str, os.PathLike)):
        labeled = read_ids(Path(labeled))
    if isinstance(labeled, ListedIds):
        labeled = labeled.answered()
        labels, what = labeled.labels, f"{labeled.origin}: labels"
    elif labeled is not None:
        labeled, labels = split_pair(labeled, arrays.reader, "labeled")
    notes: tuple[str, ...] = ()
    if task == "classification":
        strategy, notes = for_arrays(strategy, arrays.columns, labels)
    trains = lacks_only_outputs(strategy, arrays.columns, task)
    if isinstance(labeled, ListedIds):
        labels = file_labels(strategy, labeled, named, task, trains=trains)
    lists = {"labeled": labeled, "candidates": candidates, "exclude": exclude}
    rows = {name: arrays.rows(ids, name) for name, ids in lists.items()}
    rows_of = {role: _rows(arrays, ids, role) for role, ids in given.items()}
    if "validation" in given and given["validation"].labels is None:
        held_out = given["validation"]
        why = f": {held_out.note}" if held_out.note else "; add a column label"
        raise InvalidInput(f"a validation set has labels, and {held_out.origin} has none{why}")
    near = None if near is None else checked_near(near)
    for role in sorted(given.keys() & apart.keys()):
        raise InvalidInput(f"give {role} (ids of the pool) or {role}_embeddings (other examples), not both")
    own = {role: _of_width(column, arrays, f"{role}_embeddings") for role, column in apart.items()}
    asked = Request(
        strategy,
        n,
        arrays,
        labeled=rows["labeled"],
        candidates=rows["candidates"],
        exclude=rows["exclude"],
        labels=labels,
        given={role: (own_rows, None) for role, own_rows in rows_of.items()},
        apart=own,
        seed=seed,
        near=near,
        runtime=as_runtime(runtime),
        notes=notes,
        task=task,
    )
    missing = [name for name in asked.reads if name not in arrays.columns]
    if missing and not (trains and labels is not None):
        options = " and ".join(f"--{name.replace('_', '-')}" for name in missing)
        head = ", or labels (--labeled), on which a linear head is trained that gives them" if trains else ""
        unread = f"; {labeled.note}" if trains and isinstance(labeled, ListedIds) and labeled.note else ""
        raise MissingSignal(f"{type(strategy).__name__} needs {' and '.join(missing)}; pass {options}{head}{unread}")
    if near is not None and "embeddings" not in arrays.columns:
        raise InvalidInput("near-duplicates are found by embeddings; pass them too (--embeddings)")
    asked = replace(asked, n=as_count(n, len(asked.pool)))
    if trains:
        held = given["validation"].labels if "validation" in given and task == "classification" else None
        asked, named = _with_outputs(asked, what, named, held or (), rows_of.values())
    if task == "multilabel":
        return replace(asked, labels=None, classes=named)  # no strategy reads label sets
    sets = {role: (rows_of[role], _labels(strategy, role, ids, named)) for role, ids in given.items()}
    return replace(asked, given=sets, classes=named)


def _with_outputs(
    asked: Request, what: str, classes: list[str] | None, further: Sequence[str], used: Iterable[NDArray[np.int64]]
) -> tuple[Request, list[str] | None]:
    """The request with the outputs of a linear head that is trained on its labels, and the classes of the columns of probabilities.

    Args:
        asked: The request.
        what: The caller's name for the labels.
        classes: The classes; None: the distinct labels, and ``further``.
        further: The labels of the validation set.
        used: Further rows of which the strategy reads outputs.
    """
    labeled, names, labels = torch.from_numpy(np.asarray(asked.labeled)), asked.arrays.names, asked.labels
    embeddings = asked.arrays.columns["embeddings"]
    rows = torch.cat([asked.pool, labeled, *map(torch.from_numpy, used)]).unique()
    settings: dict[str, Any] = {"task": asked.task, "what": what, "names": names, "runtime": asked.runtime}
    head = trained_head(
        asked.strategy, embeddings.values, rows, labeled, labels, classes=classes, further=further, **settings
    )
    if asked.task == "classification":
        labels, classes = head.labels.y.tolist(), head.labels.classes
    column = Column(head.outputs.numpy(), names, f"a linear head on {embeddings.origin}")
    arrays = Arrays({**asked.arrays.columns, OUTPUTS[asked.task]: column}, names)
    return replace(asked, arrays=arrays, labels=labels, notes=(*asked.notes, head.labels.note)), classes


def chosen(asked: Request) -> Picks:
    """Make the selection. Values are checked while they are read, and errors name the user's ids."""
    return picks_of(asked, selected(asked))


def picks_of(asked: Request, selection: Selection) -> Picks:
    """The picks of a selection that was made for this request."""
    scores = None if selection.scores is None else [float(score) for score in selection.scores]
    ids = [asked.arrays.name(row) for row in selection]
    why = [""] * len(ids) if selection.reasons is None else list(selection.reasons)
    return Picks(selection.tolist(), ids, scores, why, selection.notes)


def refuse_other(path: Path) -> None:
    """Refuse a file that certainly holds other content than picks would have, before they are made."""
    begin = _BEGIN[path.suffix.lower()]
    if path.exists():
        with path.open("rb") as file:
            if file.read(len(begin)) != begin:
                raise InvalidInput(kept(path))


def write_picks(picks: Picks, path: str | Path, *, force: bool = False) -> bool:
    """Write picks as csv, or as JSON lines to a ``.jsonl`` file: completely or not at all.

    The csv has the columns rank, id, score, why, those in ``picks.shown``, and an empty column label to fill in.

    Returns:
        Whether the file was written; False if it holds these picks already.

    Raises:
        InvalidInput: There is a file with other content, and no ``force``; or an id cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in _BEGIN:
        raise InvalidInput(f"{path}: picks are written as .csv or .jsonl; got {path.suffix or 'no ending'}")
    entries = picks.entries()
    if path.suffix.lower() == ".jsonl":
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
    else:
        rows = [[*entry.values(), None] for entry in entries]
        text = csv_text([[*_COLUMNS, *picks.shown, "label"], *rows], path.name)
    return publish(path, text.encode(errors="surrogateescape"), force=force)  # ids may be names of files


# ---------------------------------------------------------------------------------------------------------------- checks


def common_names(columns: Iterable[Column]) -> list[str] | None:
    """The ids of the rows of all columns, None if none has ids; InvalidInput if ids of the same row differ."""
    named = [(column.names, column.origin) for column in columns if column.names is not None]
    for names, origin in named[1:]:
        first, first_origin = named[0]
        pairs = enumerate(zip(first, names, strict=True))
        row = next((row for row, (a, b) in pairs if a != b and normal(a) != normal(b)), None)
        if row is not None:
            raise InvalidInput(
                f"row {row} is {first[row]!r} in {first_origin} and {names[row]!r} in {origin}; "
                "the rows must be in the same order"
            )
    return named[0][0] if named else None


def _rows(arrays: Arrays, ids: ListedIds, role: str) -> NDArray[np.int64]:
    rows = arrays.rows(ids, role)
    assert rows is not None
    return rows


def _of_width(column: Column, arrays: Arrays, what: str) -> Array:
    """Embeddings of examples that are not in the pool, checked to have the width of the pool's."""
    values = as_array(column.values, "embeddings", f"{column.origin}: {what}")
    pool = arrays.columns.get("embeddings")
    if pool is not None and values.shape[1] != pool.values.shape[1]:
        raise InvalidInput(
            f"{column.origin} has {values.shape[1]} columns and {pool.origin} has {pool.values.shape[1]}; embeddings of "
            "both must be of one model"
        )
    return values


def _labels(strategy: Strategy, role: str, labeled: ListedIds, classes: list[str] | None) -> Sequence[float] | None:
    """The labels as whole numbers, in regression as numbers; None if the strategy does not read labels of this role.

    Raises:
        InvalidInput: A label is not one of the classes, also where it is not read, or not a number.
        MissingSignal: The strategy reads labels, and the file has none.
    """
    read = {Labels(), Targets()} & {*measured_by(getattr(strategy.needs, role))}
    if labeled.labels is None and read and labeled.names:
        why = f": {labeled.note}" if labeled.note else "; add a column label"
        raise MissingSignal(f"{type(strategy).__name__} reads labels, and {labeled.origin} has none{why}")
    if labeled.labels is None or (not read and classes is None):
        return None
    if Targets() in read:
        return _numbers(labeled)
    labels = [normal(label) for label in labeled.labels]
    if classes is not None:
        columns = [int(column) for column in as_labels(labels, f"{labeled.origin}: labels", classes=classes)]
        return columns if read else None
    for name, label in zip(labeled.names, labels, strict=True):
        if not (label.isascii() and label.isdecimal()):
            raise InvalidInput(
                f"{labeled.origin}: {type(strategy).__name__} reads labels, which must be whole numbers, columns of the "
                f"probabilities; the label of {name!r} is {label!r}; for names, pass the classes in the order of these columns "
                "(--classes)"
            )
    return [int(label) for label in labels]


def explained(asked: Request, selection: Selection, labels: Sequence[str] | None) -> Json:
    """The explanation of a selection that was made for this request; see :func:`distil.selection.explanation.explain`.

    Args:
        asked: The request; its arrays have embeddings.
        selection: The selection.
        labels: The labels of the labeled rows, in the user's words; None: they are not known.
    """
    arrays = asked.arrays
    labeled = torch.from_numpy(np.empty(0, np.int64) if asked.labeled is None else asked.labeled)
    embeddings = arrays.columns["embeddings"].values
    return explanation(
        selection, Explained(embeddings, asked.pool, labeled, labels, arrays.name, arrays.names), asked.runtime
    )


def file_labels(
    strategy: Strategy, labeled: ListedIds, classes: list[str] | None, task: Task, *, trains: bool
) -> Sequence[Any] | None:
    """The labels in a file of labeled examples, for the linear head that is trained on them or for the strategy."""
    if task == "multilabel":
        return _sets(labeled, classes) if trains else None
    if trains:
        return _numbers(labeled) if task == "regression" else labeled.labels
    return _labels(strategy, "labeled", labeled, classes)


def _sets(labeled: ListedIds, classes: list[str] | None) -> list[list[float]] | None:
    """The label sets of multi-label data as rows of 0 and 1, from their texts in a file; None without labels."""
    if labeled.labels is None:
        return None
    texts = [normal(text) for text in labeled.labels]
    rows: list[list[float]] = sets_in(texts, partial(_place, labeled), classes)[0].tolist()
    return rows


def _numbers(labeled: ListedIds) -> list[float] | None:
    """The labels of a regression, from their texts in a file; None without labels."""
    if labeled.labels is None:
        return None
    numbers: list[float] = numbers_in(np.array(labeled.labels), partial(_place, labeled))[:, 0].tolist()
    return numbers


def _place(labeled: ListedIds, row: int) -> str:
    """The place of a label in its file, for messages."""
    return f"{labeled.origin}: the label of {labeled.names[row]!r}"


# -------------------------------------------------------------------------------------------------------------- choosing


def selected(asked: Request) -> Selection:
    """The selection of a request, as rows of its arrays."""
    return with_class_names(_selected(asked), asked.classes).with_notes(asked.notes)


def _selected(asked: Request) -> Selection:
    if asked.near is None:
        return _choose(asked, asked.pool)
    _check_embeddings(asked)

    def choose_without(excluded: Tensor) -> Selection:
        left = asked.pool[~torch.isin(asked.pool, excluded)]
        if len(left) < asked.n:
            raise InvalidInput(
                f"without near-duplicates, too few rows are left: {len(left):,} of {len(asked.pool):,}, and n is {asked.n:,}; "
                "lower n or near"
            )
        return _choose(asked, left)

    x = asked.arrays.columns["embeddings"].values
    by = ruler(x, asked.pool)
    labeled = torch.from_numpy(np.empty(0, np.int64) if asked.labeled is None else asked.labeled)
    return without_near_duplicates(choose_without, x, asked.pool, labeled, asked.near * by.typical, by, asked.runtime)


def _choose(asked: Request, pool: Tensor) -> Selection:
    return choose(asked.strategy, asked.sources(pool), asked.n, asked.runtime, Rng(asked.seed))


def _check_embeddings(asked: Request) -> None:
    """Read all embeddings once, which refuses NaN and infinity: distances would be wrong."""
    used = asked.pool
    if asked.labeled is not None:
        used = torch.cat([used, torch.from_numpy(asked.labeled)]).sort().values
    source = ArraySource(used, {"embeddings": asked.arrays.columns["embeddings"].values}, names=asked.arrays.names)
    for _ in source.chunks((Embedding(),), asked.runtime, Rng(asked.seed)):
        pass

"""Data sets of embeddings, whose labels are in a table of ids."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.data.array_files import Column, read_column
from distil.data.arrays import precision_of, readable, take
from distil.data.ids import ListedIds, index_of, read_ids
from distil.data.labels import no_labels
from distil.data.table_files import Quoting
from distil.datasets.data_set import DataSet, first_not_finite
from distil.datasets.load import data_root
from distil.datasets.locations import user_file
from distil.datasets.tables import encode_for
from distil.errors import InvalidInput
from distil.system.runtime import CHUNK_ROWS
from distil.tasks import Task

_FLOATS = (np.float16, np.float32, np.float64)


@dataclass(frozen=True, eq=False)
class Standardize:
    """Scale every column to mean 0 and standard deviation 1, minibatch by minibatch, without changing the array.

    Attributes:
        mean: Mean of each column, (D,), in float64 for rows in float64, else in float32.
        std: Standard deviation of each column, (D,), in the same precision; 1 for a constant column.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def fitted(cls, x: Tensor, ids: Tensor) -> Standardize:
        """The transform for the rows of x (N, ...) at positions ``ids`` (n,); one pass in float64, block by block."""
        first = x[int(ids[0])].double()
        total, squares = torch.zeros_like(first), torch.zeros_like(first)
        for block in ids.split(CHUNK_ROWS):
            away = (
                take(x, block).double() - first
            )  # from a row of the data: sums of squares then lose nothing to a large mean
            total += away.sum(0)
            squares += away.square().sum(0)
        mean = total / len(ids)
        std = (squares / len(ids) - mean.square()).clamp_min(0).sqrt()
        mean += first
        std = torch.where(std > 1e-12 * mean.abs(), std, 1.0)
        precision = precision_of([x])
        return cls(mean.type(precision), std.type(precision))

    def __call__(self, x: Tensor) -> Tensor:
        """Scale floating-point rows (B, D); the result is float32, on the device of ``x``."""
        mean, std = (torch.as_tensor(value, device=x.device) for value in (self.mean, self.std))
        return ((x.type(mean.dtype) - mean) / std).float()


def load_embeddings(
    embeddings: str | Path,
    labels: str | Path | None,
    *,
    test_embeddings: str | Path | None = None,
    test_labels: str | Path | None = None,
    name: str | None = None,
    quoting: Quoting | None = None,
    root: str | Path | None = None,
    partly: bool = False,
    task: Task = "classification",
) -> DataSet:
    """Load a data set from a file of embeddings and a table of labels, matched by id.

    Args:
        embeddings: A file of embeddings (N, D), one row per example, in a format of
            :func:`distil.data.array_files.read_column`; ``FILE#NAME`` names the array.
        labels: A table with the id and label of every row, in a format of :func:`distil.data.ids.read_ids`, or a folder of images
            in one folder for each class. If the rows have no ids, positions are the ids. With ``partly``, rows may be missing in
            it, and None stands for a table without rows.
        test_embeddings: A file of the test set's embeddings; default: no test split.
        test_labels: A table of the test set's labels.
        name: Name of the data set; default: the name of the file.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.
        root: Folder for files that are not in the working directory; see :func:`distil.datasets.load.data_root`.
        partly: Whether rows of ``embeddings`` may lack a label, because an oracle answers; their label is then -1, or NaN.
        task: What labels are: classes; label sets, whose names are separated by semicolons; or numbers.

    Returns:
        The data set, with the ids in ``names``. Arrays of float16, float32 and float64 are used without copying, memory-mapped
        if the file allows it. Classes are the distinct labels of both tables: whole numbers in their order, other labels sorted
        by name.

    Raises:
        DataNotFound: There is no such file.
        InvalidInput: A row has no label or a NaN, a label has an unknown id, an id is in both sets, there are fewer than two
            classes, or the test set does not match.
    """
    if (test_embeddings is None) != (test_labels is None):
        raise InvalidInput("test_embeddings and test_labels belong together; pass both, or neither")
    base, name = data_root(root), name or Path(embeddings).name
    files = [(embeddings, labels)]
    if test_embeddings is not None and test_labels is not None:
        files.append((test_embeddings, test_labels))
    arrays = ["".join(map(str, array_file(name, values, base))) for values, _ in files]
    columns = [read_column(array, quoting=quoting) for array in arrays]
    tables = [
        None if table is None else read_labels(user_file(name, table, base, folders=True), quoting)
        for _, table in files
    ]
    if len(columns) == 2:
        _check_apart(*columns)
    return data_set_of(name, columns, tables, partly=partly, task=task)


def data_set_of(
    name: str,
    columns: Sequence[Column],
    tables: Sequence[ListedIds | None],
    *,
    partly: bool = False,
    task: Task = "classification",
) -> DataSet:
    """The data set of embeddings and labels that were read.

    Args:
        name: Name of the data set.
        columns: The embeddings and, if there is a test split, those of the test set.
        tables: The labels of each; None for a training set without labels.
        partly: Whether rows of the training set may lack a label.
        task: What labels are.

    Raises:
        InvalidInput: As for :func:`load_embeddings`.
    """
    given = [table for table in tables if table is not None]
    if not given:
        raise InvalidInput(f"{name} has no labels at all; name a table with those of the test set")
    matched = [
        _matched(column, table, partly=partly and column is columns[0])
        for column, table in zip(columns, tables, strict=True)
    ]
    origin = " and ".join(table.origin for table in given)
    classes, class_names = encode_for(task, origin, *(labels for _, labels in matched))
    outputs = len(class_names) if classes[0].ndim == 1 else classes[0].shape[1]
    xs = [_rows(column) for column in columns]
    ys = [no_labels(task, len(column), outputs) for column in columns]
    for y, (rows, _), part in zip(ys, matched, classes, strict=True):
        y[torch.from_numpy(rows)] = torch.from_numpy(part)
    return DataSet(
        name,
        xs[0],
        ys[0],
        xs[1] if len(xs) == 2 else None,
        ys[1] if len(xs) == 2 else None,
        outputs,
        class_names,
        names=_names(columns[0]),
        read=[note for note in (*(c.note for c in columns), *(t.note for t in given)) if note],
        made_of=_made_of(columns[0]),
        partly=partly,
        task=task,
    )


def array_file(name: str, path: str | Path, base: Path) -> tuple[Path, str]:
    """The file of an array, in the working directory or the data root, and the ``#COLUMN`` of ``path``."""
    whole, hash_, column = str(path).partition("#")
    if hash_ and Path(path).expanduser().exists():  # the file name contains a #
        whole, hash_, column = str(path), "", ""
    return user_file(name, whole, base), hash_ + column


def read_labels(path: Path, quoting: Quoting | None = None) -> ListedIds:
    """Read a table of ids and labels, without ids whose label is empty; InvalidInput if it has no labels."""
    table = read_ids(path, quoting)
    if table.labels is None:
        raise InvalidInput(f"{path} has no labels; expected a table with the columns id and label")
    return table.answered()


def _matched(column: Column, table: ListedIds | None, *, partly: bool) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """The rows that have a label, (M,), and their labels, (M,)."""
    if table is None:
        return np.empty(0, np.int64), np.empty(0, np.str_)
    rows = table.rows(index_of(column.names), len(column))
    without = np.ones(len(column), dtype=bool)
    without[rows] = False
    if without.any() and not partly:
        raise InvalidInput(
            f"{table.origin} has no label for {without.sum():,} of the {len(column):,} rows of {column.origin}: "
            f"{_first_ids(column, np.flatnonzero(without))}; label them, or leave them out of the array"
        )
    return rows, np.array(table.labels)


def _rows(column: Column) -> Tensor:
    """The rows as a tensor (N, D); the array is used without copying if torch and networks can use its type, else as float32."""
    values = column.values
    if values.ndim != 2 or 0 in values.shape:
        raise InvalidInput(f"{column.origin}: embeddings must have the axes (examples, columns), got {values.shape}")
    mapped = readable(values if values.dtype in _FLOATS else values.astype(np.float32))
    x = take(mapped, torch.arange(len(values)))
    wrong = first_not_finite(x)
    if wrong is not None:
        name = _first_ids(column, [wrong])
        raise InvalidInput(
            f"{column.origin}: the row of {name} holds a NaN or an infinity; correct it, or leave it out"
        )
    return x


def _first_ids(column: Column, rows: Sequence[int] | NDArray[np.int64]) -> str:
    """The ids of the first three of some rows, for messages."""
    named = [repr(str(row) if column.names is None else column.names[row]) for row in rows[:3]]
    return ", ".join(named) + (", ..." if len(rows) > 3 else "")


def _check_apart(train: Column, test: Column) -> None:
    known = set(train.names or ())
    both = [name for name in test.names or () if name in known]
    if both:
        listing = ", ".join(map(repr, both[:3])) + (", ..." if len(both) > 3 else "")
        raise InvalidInput(
            f"{len(both):,} ids are in {train.origin} and in {test.origin}: {listing}; remove them from one of the two"
        )


def _names(column: Column) -> list[str]:
    return [str(row) for row in range(len(column))] if column.names is None else column.names


def _made_of(column: Column) -> dict[str, str]:
    """The model, and the key of model and pool, from the note of ``distil embed`` on this array; empty without such a note."""
    path = Path(column.origin).with_suffix(".info.json")
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        ours = (info["rows"], info["dims"]) == column.values.shape
        return {"model": str(info["model"]), "key": str(info["key"])} if ours else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}

"""Pools whose labels stand in a table of ids: embeddings as a data set, and labeled items to train on."""

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
from distil.data.arrays import readable, take
from distil.data.ids import ListedIds, index_of, read_ids
from distil.datasets.data_set import DataSet, first_not_finite
from distil.datasets.load import data_root
from distil.datasets.locations import given_file
from distil.datasets.tables import encode
from distil.errors import InvalidInput
from distil.system.runtime import CHUNK_ROWS

_FLOATS = (np.float16, np.float32, np.float64)


@dataclass(frozen=True, eq=False)
class Standardize:
    """Rows to mean 0 and standard deviation 1 in every column, minibatch by minibatch: the array itself stays as it is.

    Attributes:
        mean: Of each column, (D,) float32.
        std: Of each column, (D,) float32; 1 where a column is constant.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def fitted(cls, x: Tensor) -> Standardize:
        """The transform for these rows (N, D); one pass in float64, block by block."""
        first = x[0].double()
        total, squares = torch.zeros_like(first), torch.zeros_like(first)
        for rows in x.split(CHUNK_ROWS):
            away = rows.double() - first  # from a row of the data: sums of squares then lose nothing to a large mean
            total += away.sum(0)
            squares += away.square().sum(0)
        mean = total / len(x)
        std = (squares / len(x) - mean.square()).clamp_min(0).sqrt()
        mean += first
        std = torch.where(std > 1e-9 * mean.abs(), std, 1.0)
        return cls(mean.float(), std.float())

    def __call__(self, x: Tensor) -> Tensor:
        """(B, D) of floating-point numbers to (B, D) float32, on the device of ``x``."""
        mean, std = (torch.as_tensor(value, device=x.device) for value in (self.mean, self.std))
        return (x.float() - mean) / std


def load_embeddings(
    embeddings: str | Path,
    labels: str | Path,
    *,
    test_embeddings: str | Path | None = None,
    test_labels: str | Path | None = None,
    name: str | None = None,
    standardize: bool = True,
    root: str | Path | None = None,
) -> DataSet:
    """A data set of embeddings and of labels that are matched by id.

    Args:
        embeddings: A row an example, as :func:`distil.data.array_files.read_column` reads it, (N, D); ``FILE#NAME`` names the
            array.
        labels: A table of ids and labels, one for every row, as :func:`distil.data.ids.read_ids` reads it. Where the rows have no
            ids, their positions serve.
        test_embeddings: The test set's, likewise; default: no test split.
        test_labels: Its labels.
        name: What to call it; default: the file's name.
        standardize: Give every column mean 0 and standard deviation 1 over ``embeddings``, as a transform.
        root: Where files are looked for that are not found from the working directory; see
            :func:`distil.datasets.load.data_root`.

    Returns:
        The data set, with the ids in ``names``. Arrays of float16, float32 and float64 are used where they lie: memory-mapped
        where the file allows it. Classes are the distinct labels of both tables: whole numbers by size, all else by name.

    Raises:
        DataNotFound: There is no such file.
        InvalidInput: A row without a label, a label of an unknown id, an id that is in both sets, a row with a NaN (named by its
            id), fewer than two classes, or a test set that does not fit.
    """
    if (test_embeddings is None) != (test_labels is None):
        raise InvalidInput("test_embeddings and test_labels go together; give both, or neither")
    base, name = data_root(root), name or Path(embeddings).name
    given = [(embeddings, labels)]
    if test_embeddings is not None and test_labels is not None:
        given.append((test_embeddings, test_labels))
    columns = [read_column(_place(name, values, base)) for values, _ in given]
    tables = [read_labels(given_file(name, table, base)) for _, table in given]
    matched = [_matched(column, table) for column, table in zip(columns, tables, strict=True)]
    if len(columns) == 2:
        _check_apart(*columns)
    classes, class_names = encode(" and ".join(table.origin for table in tables), *matched)
    xs = [_rows(column) for column in columns]
    ys = [torch.from_numpy(part) for part in classes]
    return DataSet(
        name,
        xs[0],
        ys[0],
        xs[1] if len(xs) == 2 else None,
        ys[1] if len(xs) == 2 else None,
        len(class_names),
        class_names,
        Standardize.fitted(xs[0]) if standardize else None,
        names=_names(columns[0]),
        read=[note for note in (*(c.note for c in columns), *(t.note for t in tables)) if note],
        made_of=_made_of(columns[0]),
    )


def _place(name: str, path: str | Path, base: Path) -> str:
    """The file of an array from the working directory or the data root, with the ``#COLUMN`` it came with."""
    whole, hash_, column = str(path).partition("#")
    if hash_ and Path(path).expanduser().exists():  # a name with a # in it
        whole, hash_, column = str(path), "", ""
    return f"{given_file(name, whole, base)}{hash_}{column}"


def read_labels(path: Path) -> ListedIds:
    """ListedIds and labels out of a table; InvalidInput where it has no labels."""
    found = read_ids(path)
    if found.labels is None:
        raise InvalidInput(f"{path} has no labels; expected a table with the columns id and label")
    return found


def _matched(column: Column, table: ListedIds) -> NDArray[np.str_]:
    """The label of every row, (N,)."""
    rows = table.rows(index_of(column.names), len(column))
    without = np.ones(len(column), dtype=bool)
    without[rows] = False
    if without.any():
        told = _told(column, np.flatnonzero(without))
        raise InvalidInput(
            f"{table.origin} has no label for {without.sum()} of the {len(column)} rows of {column.origin}: {told}; label them, "
            "or leave them out of the array"
        )
    labels = np.array(table.labels)
    placed = np.empty(len(column), dtype=labels.dtype)
    placed[rows] = labels
    return placed


def _rows(column: Column) -> Tensor:
    """The rows (N, D): the array itself where torch and networks can use it, else as float32."""
    values = column.values
    if values.ndim != 2 or 0 in values.shape:
        raise InvalidInput(f"{column.origin}: embeddings must have the axes (examples, columns), got {values.shape}")
    mapped = readable(values if values.dtype in _FLOATS else values.astype(np.float32))
    found = take(mapped, torch.arange(len(values)))
    wrong = first_not_finite(found)
    if wrong is not None:
        told = _told(column, [wrong])
        raise InvalidInput(f"{column.origin}: the row of {told} holds a NaN or an infinity; mend it, or leave it out")
    return found


def _told(column: Column, rows: Sequence[int] | NDArray[np.int64]) -> str:
    """The ids of some rows, or of the first of them."""
    named = [repr(str(row) if column.names is None else column.names[row]) for row in rows[:3]]
    return ", ".join(named) + (", ..." if len(rows) > 3 else "")


def _check_apart(train: Column, test: Column) -> None:
    known = set(train.names or ())
    both = [name for name in test.names or () if name in known]
    if both:
        told = ", ".join(map(repr, both[:3])) + (", ..." if len(both) > 3 else "")
        raise InvalidInput(f"{len(both)} ids are in {train.origin} and in {test.origin}: {told}; keep what tests apart")


def _names(column: Column) -> list[str]:
    return [str(row) for row in range(len(column))] if column.names is None else column.names


def _made_of(column: Column) -> dict[str, str]:
    """What ``distil embed`` noted of the array: the model, and the key of model and pool; nothing where the note is of another."""
    path = Path(column.origin).with_suffix(".info.json")
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        ours = (info["rows"], info["dims"]) == column.values.shape
        return {"model": str(info["model"]), "key": str(info["key"])} if ours else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}

"""Readers of labeled tables: csv, libsvm text, npz and UCI's Statlog; errors name the file, line and column.

A table is a pair of arrays, features (N, ...) and labels (N,); labels are those of the file (numbers or text) until
:func:`encode` turns them into classes.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from distil.data.array_formats import NpzFile, listed
from distil.data.columns import Rows
from distil.data.columns import Table as Columns
from distil.data.file_readers import ending, reading
from distil.data.headers import ID, LABELS, is_no_text, is_number
from distil.data.ids import note_on_case, text_in
from distil.data.label_texts import indicators_in, numbers_in, sets_in
from distil.data.table_files import Quoting, open_table
from distil.errors import DistilError, InvalidInput, nearest
from distil.system.runtime import Runtime
from distil.tasks import OUTPUTS, Task

_BLOCK: Final = 2**22  # numbers of a sparse matrix that are dense at a time
_LARGEST_INDEX: Final = 2**31 - 1  # that scikit-learn's reader holds
LARGEST_TABLE: Final = 16 * 2**30  # bytes of a libsvm file as a dense table
NO_LABEL: Final = frozenset(
    {"", "?", "nan"}
)  # not the other spellings of missing numbers: "na" and "none" may be classes


LabelColumns: TypeAlias = str | int | Sequence[str | int]
"""A column of labels by its name or number, or several."""

# A column is too coarse in float32 if its standard deviation is below the first share of its largest value, so that fewer than
# 12 bits are left of its differences; below the second share it is rounding error in float64 too.
_COARSE, _CONSTANT = 2.0**-12, 1e-12


@dataclass(frozen=True, eq=False)
class Table:
    """The features and labels of a file.

    Attributes:
        x: Features, (N, ...); float32 for text formats, or float64 where float32 is too coarse for a column, such as one of times.
        labels: Labels, (N,): numbers from libsvm and Statlog, text from csv, either from npz; (N, T) for several columns of labels.
        columns: The names of all columns, including the label's; empty if the file has none.
        label_columns: The names of the columns of labels, if there are several.
        note: Which columns of a csv file were read, as a sentence; empty if their names make it evident.
    """

    x: NDArray[Any]
    labels: NDArray[Any]
    columns: tuple[str, ...] = ()
    note: str = ""
    label_columns: tuple[str, ...] = ()


def encode_for(
    task: Task, origin: str, *labels: NDArray[Any], columns: tuple[str, ...] = ()
) -> tuple[list[NDArray[Any]], tuple[str, ...]]:
    """Labels of files as a data set of the task has them, and the names of the classes or labels.

    Args:
        task: The task. Classes are encoded by ``encode``. A label set is a text of names (``cat;dog``), or a row of 0 and 1; a
            target is a number, or a row of numbers.
        origin: The file, for messages.
        *labels: Arrays (N,) or (N, T) of numbers or of text.
        columns: The names of the columns of labels, if there are several.

    Raises:
        InvalidInput: A label is not one of the task.
    """
    if task == "classification":
        if any(part.ndim > 1 for part in labels):
            raise InvalidInput(
                f"{origin}: classes are in one column; several columns of labels need another task than classification"
            )
        return encode(origin, *labels)
    together, cuts = np.concatenate(labels), np.cumsum([len(part) for part in labels])[:-1]

    def where(row: int) -> str:
        return f"{origin}, label {row + 1}"

    names: tuple[str, ...] = columns
    if task == "regression":
        found, names = numbers_in(together, where), ()
    elif together.ndim == 1 and together.dtype.kind != "U":
        raise InvalidInput(
            f"{origin}: label sets are names, such as cat;dog, or a column of 0 and 1 for each label; got one column of numbers"
        )
    elif together.ndim == 1:
        found, names = sets_in([str(text) for text in together.tolist()], where)
    else:
        found = indicators_in(together, where)
    return np.split(found, cuts), names


def encode(origin: str, *labels: NDArray[Any]) -> tuple[list[NDArray[np.int64]], tuple[str, ...]]:
    """Turn labels into classes 0..C-1, numbered in the sorted order of the labels in all arrays.

    Args:
        origin: The file, for messages.
        *labels: Arrays (N,) of numbers or of text; if all texts are numbers, they count as numbers. Texts that differ only in how
            accents are written are one class.

    Returns:
        The classes of each array, (N,) int64, and the name of each class.

    Raises:
        InvalidInput: A label is a number but not a whole one, or there are fewer than two classes.
    """
    together = _as_numbers(np.concatenate(labels))
    if together.dtype.kind == "f" and (fractions := together[together != np.round(together)]).size:
        raise InvalidInput(
            f"{origin}: labels must be classes (whole numbers or names); got {float(fractions[0])}. "
            'Is that a regression target (name the task, "regression"), or the wrong column?'
        )
    classes, codes = np.unique(together, return_inverse=True)
    if len(classes) < 2:
        raise InvalidInput(f"{origin}: every label is {classes[0]!s}; expected at least two classes")
    names = tuple(str(int(value)) if together.dtype.kind == "f" else str(value) for value in classes)
    cuts = np.cumsum([len(part) for part in labels])[:-1]
    return np.split(codes.astype(np.int64), cuts), names


# ------------------------------------------------------------------------------------------------- csv


def read_csv(path: Path, label: LabelColumns | None = None, quoting: Quoting | None = None) -> Table:
    """Read a table of numbers with one column of labels, in a format of :func:`distil.data.table_files.open_table`.

    Its content decides whether the first row is a header; see :func:`distil.data.headers.is_header`. The index that pandas writes
    and the column ``id`` are not features. Surrounding blanks of cells and blank lines are ignored.

    Args:
        path: The file; one that does not end in ``.tsv``, ``.xlsx``, ``.json``, ``.jsonl`` or ``.parquet`` is read as csv.
        label: The column of labels, by name or by index from 0 (negative: from the end); default: the one
            called ``label``, ``labels``, ``class`` or ``target``, else the last. A list of several: a label has a cell in each.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.

    Raises:
        InvalidInput: There is no such column, rows differ in length, or a value is missing, not a number or not
            finite in float32; the message gives the line and column, both from 1.
    """
    asked = [label] if label is None or isinstance(label, (str, int)) else list(label)
    table = open_table(path, [None if one is None or is_number(one) else str(one) for one in asked], quoting=quoting)
    columns = table.columns
    places = [_label_column(table, one) for one in asked] if columns else [0]
    if len(set(places)) < len(places) or not places:
        raise InvalidInput(f"{path}: label must name distinct columns, at least one, got {asked}")
    no_features = {*(columns[place] for place in places if columns), table.named(ID), table.index, *table.left_out}
    features = [name for name in columns if name not in no_features]
    if not features:
        raise InvalidInput(
            f"{path}: expected at least one feature and the label in a row; got {len(columns)} column(s)"
            + (f", {', '.join(columns)}" if table.header and columns else "")
        )
    lists = [name for name in features if table.kinds[name] == "list"]
    if lists and len(features) > 1:
        raise InvalidInput(
            f"{path}: `{lists[0]}` holds lists and is not the only feature; keep the list, or the numbers"
        )
    hint = "; encode text features as numbers"
    if not table.header:
        hint += " (a header row must hold no numbers, or name the label's column)"
    rows = table.read(features, [columns[place] for place in places], Runtime(), wide=True, hint=hint)
    labels = [_label_texts(table, place, rows.places, cells) for place, cells in zip(places, rows.cells, strict=True)]
    if not labels[0]:
        raise InvalidInput(f"{path}: there is no row below the header")
    _check_finite(table, features, rows)
    names = tuple(columns) if table.header else ()
    parts = (_note(table, len(features), places), rows.note(path), *map(note_on_case, labels))
    note = "; ".join(filter(None, parts))
    if len(places) == 1:
        return Table(_narrowed(rows.values), np.array(labels[0]), names, note)
    own = tuple(columns[place] for place in places)
    return Table(_narrowed(rows.values), np.array(labels).T, names, note, own)


def _label_texts(table: Columns, place: int, lines: Sequence[int], cells: Sequence[Any]) -> list[str]:
    """The labels in a column, none of which is missing."""
    labels = ["" if is_no_text(cell) else _label_text(table, cell) for cell in cells]
    for line, label in zip(lines, labels, strict=True):
        if label.lower() in NO_LABEL:
            raise InvalidInput(
                f"{table.where(line)}, {table.column_title(place)}: the label is missing; fill it in or drop the row"
            )
    return labels


def _label_text(table: Columns, cell: object) -> str:
    return json.dumps(cell) if isinstance(cell, list) else text_in(table, cell).strip()


def _note(table: Columns, features: int, places: Sequence[int]) -> str:
    """A sentence on which columns were read; empty if the labels have a usual name and all other columns are features."""
    own, labels = table.named(ID), [table.columns[place] for place in places]
    left = {name: "names the rows" for name in (own, table.index) if name is not None} | table.left_out
    left = {name: why for name, why in left.items() if name not in labels}
    if all(name.lower() in LABELS for name in labels) and not left:
        return ""
    count = "1 feature" if features == 1 else f"{features:,} features"
    titles = ", ".join(map(table.column_title, places))
    parts = [f"read {count} of {table.path.name}", f"{titles} hold{'s' * (len(places) == 1)} the labels"]
    return "; ".join([*parts, *(f"`{name}` {why} and is left out" for name, why in left.items())])


def _check_finite(table: Columns, features: Sequence[str], rows: Rows) -> None:
    for row, feature in np.argwhere(~np.isfinite(_float32(rows.values)))[:1]:
        column = table.column_title(table.columns.index(features[int(feature)]))
        value = rows.values[row, feature]
        fault = "the value is missing" if math.isnan(value) else f"{value} is not finite in float32"
        raise InvalidInput(f"{table.where(rows.places[int(row)])}, {column}: {fault}; correct it or drop the row")


def _label_column(table: Columns, label: str | int | None) -> int:
    columns, path = table.columns, table.path
    if label is None:
        called = table.named(*LABELS)
        return len(columns) - 1 if called is None else columns.index(called)
    if isinstance(label, str) and label in columns and label not in table.repeated and not is_number(label):
        return columns.index(label)
    try:
        place = int(label)
    except ValueError:
        count = f"{table.repeated[str(label)]} columns" if label in table.repeated else "no column"
        raise InvalidInput(
            f"{path}: {count} named {label!r} in the first row ({', '.join(columns[:20])})"
            f"{'' if label in columns else nearest(str(label), columns)}"
        ) from None
    if not -len(columns) <= place < len(columns):
        raise InvalidInput(
            f"{path}: there is no column {place} for the label; the table has {len(columns)} columns, from 0"
        )
    return place % len(columns)


def _as_numbers(labels: NDArray[Any]) -> NDArray[Any]:
    """The labels as float64 if all of them are finite numbers; else as texts with composed accents (NFC)."""
    try:
        numbers = labels.astype(np.float64)
    except ValueError:
        return np.array([unicodedata.normalize("NFC", str(label)) for label in labels.tolist()])
    return numbers if bool(np.isfinite(numbers).all()) else labels


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # values that overflow become inf, which is refused later
        return values.astype(np.float32)


def _narrowed(values: NDArray[Any]) -> NDArray[Any]:
    """The values as float32, or as float64 if that rounds away the differences within a column that is far from 0."""
    if values.size == 0:
        return _float32(values)
    columns = values.reshape(len(values), -1).astype(np.float64, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
        sizes, spreads = np.abs(columns).max(0), columns.std(0)
    coarse = (spreads > _CONSTANT * sizes) & (spreads < _COARSE * sizes)
    return values.astype(np.float64) if bool(coarse.any()) else _float32(values)


# ---------------------------------------------------------------------------------------------- libsvm


def read_libsvm(paths: Sequence[Path], features: int | None = None) -> list[Table]:
    """Read libsvm text (``label index:value ...``) as dense tables with the width of the widest file.

    Args:
        paths: Files of one data set; plain, ``.gz``, ``.bz2`` or ``.xz``.
        features: The number of features, if known; indices must then be between 1 and this number.

    Raises:
        InvalidInput: A line is not libsvm text, an index is out of range, a value is not finite, or a table would take
            more than 16 GiB.
    """
    from sklearn.datasets import load_svmlight_files

    start = "auto" if features is None else False
    try:
        with ExitStack() as stack:
            files = [stack.enter_context(_libsvm_file(path)) for path in paths]
            flat = load_svmlight_files(files, dtype=np.float64, n_features=features, zero_based=start)
    except (ValueError, OverflowError) as error:
        if isinstance(error, DistilError):
            raise
        raise InvalidInput(_libsvm_fault(paths, str(error))) from error
    return [_libsvm_table(path, *flat[2 * i : 2 * i + 2]) for i, path in enumerate(paths)]


@contextmanager
def _libsvm_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file and skip its byte order mark."""
    with reading(path) as file:
        if cast(io.BufferedReader, file).peek(3)[:3] == codecs.BOM_UTF8:
            file.read(3)
        yield file


def _libsvm_table(path: Path, x: Any, y: NDArray[np.float64]) -> Table:  # noqa: ANN401 - a SciPy matrix
    if not len(y):
        raise InvalidInput(f"{path} holds no example; expected lines `label index:value ...`")
    if 4 * math.prod(x.shape) > LARGEST_TABLE:
        raise InvalidInput(
            f"{path}: {x.shape[0]} examples x {x.shape[1]} features are "
            f"{4 * math.prod(x.shape) / 2**30:.0f} GiB as a dense table; reduce the features first"
        )
    infinite = np.flatnonzero(~np.isfinite(_float32(x.data)))
    if len(infinite):
        row = int(np.searchsorted(x.indptr, infinite[0], side="right"))
        raise InvalidInput(f"{path}, example {row}: a feature is not finite in float32")
    if not np.isfinite(y).all():
        raise InvalidInput(f"{path}, example {int(np.flatnonzero(~np.isfinite(y))[0]) + 1}: the label is not finite")
    return Table(_dense(x), y)


def _dense(x: Any) -> NDArray[Any]:  # noqa: ANN401 - a SciPy matrix
    """The matrix as ``_narrowed`` numbers, some columns of which are looked at at a time."""
    by_column = x.tocsc()
    step = max(1, _BLOCK // x.shape[0])
    blocks = (by_column[:, first : first + step].toarray() for first in range(0, x.shape[1], step))
    coarse = any(_narrowed(block).dtype == np.float64 for block in blocks)
    return np.asarray(x.toarray() if coarse else x.astype(np.float32).toarray())


def _libsvm_fault(paths: Sequence[Path], reason: str) -> str:
    """The fault in one of the files with its line number, found by reading them again."""
    number = r"[-+]?(\d+\.?\d*|\.\d+|nan|inf|infinity)(e[-+]?\d+)?"
    sound = re.compile(rf"({number}(\s+\d+:{number})*)?\s*(#.*)?", re.IGNORECASE)
    for path in paths:
        with _libsvm_file(path) as file, io.TextIOWrapper(file, encoding="latin1") as lines:
            for line, text in enumerate(lines, start=1):
                if not sound.fullmatch(text.strip()):
                    return f"{path}, line {line}: expected `label index:value ...`; got {text.strip()[:60]!r}"
                indices = map(int, re.findall(r"\s(\d{1,4000}):", text.partition("#")[0]))
                if (index := max(indices, default=0)) > _LARGEST_INDEX:
                    return f"{path}, line {line}: expected indices up to {_LARGEST_INDEX:,}; got {index:.3e}"
    return f"{' or '.join(map(str, paths))}: {reason}"


# ------------------------------------------------------------------------------------------------- npz


def read_npz(path: Path, task: Task = "classification") -> tuple[Table, Table | None, tuple[str, ...]]:
    """Read the arrays ``X_train``, ``y_train`` [, ``X_test``, ``y_test``] or ``X``, ``y`` [, ``classes``], upper or lower case.

    uint8 arrays (N, H, W), (N, H, W, channels) or (N, channels, H, W) with 1, 3 or 4 channels are images and become
    (N, channels, H, W); other arrays become float32 and keep their shape. For other tasks than classification, y may be (N, L) or
    (N, T).

    Returns:
        The training table, the test table or None, and the names of the classes (empty if the file has none).

    Raises:
        InvalidInput: The file is not an npz file, holds pickled objects, lacks an array, or an array cannot be features.
    """
    arrays = _npz_arrays(path)
    suffix = "_train" if "x_train" in arrays else ""
    missing = [key for key in (f"x{suffix}", f"y{suffix}") if key not in arrays]
    if missing or (("x_test" in arrays) != ("y_test" in arrays)):
        raise InvalidInput(
            f"{path}: expected the arrays X_train, y_train [, X_test, y_test] or X, y; "
            f"got {', '.join(arrays) or 'none'}"
        )
    train = _npz_table(path, arrays, suffix, task)
    test = _npz_table(path, arrays, "_test", task) if "x_test" in arrays else None
    return train, test, tuple(str(name) for name in listed(arrays.get("classes", np.array([])), str(path)))


def _npz_arrays(path: Path) -> dict[str, NDArray[Any]]:
    if ending(path) == ".npy":
        raise InvalidInput(f"{path} holds one array; expected an npz file with X and y (numpy.savez)")
    file = NpzFile(path, Runtime())
    return {name.lower(): file.array(name) for name in file.names}


def _npz_table(path: Path, arrays: dict[str, NDArray[Any]], suffix: str, task: Task) -> Table:
    x, y = arrays[f"x{suffix}"], arrays[f"y{suffix}"]
    if x.dtype.kind not in "biuf" or x.ndim < 2 or not len(x):
        raise InvalidInput(f"{path}: X{suffix} must be numbers of shape (N, ...), N > 0; got {x.dtype} {x.shape}")
    if y.shape[:1] != x.shape[:1] or y.ndim > (1 if task == "classification" else 2):
        more = "" if task == "classification" else f" or ({len(x)}, {OUTPUTS[task]})"
        raise InvalidInput(
            f"{path}: y{suffix} must have shape ({len(x)},){more}, one label per row of X{suffix}; got {y.shape}"
        )
    if x.dtype != np.uint8 or x.ndim == 2:
        return Table(_narrowed(x), y)
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[3] in (1, 3, 4):
        x = np.moveaxis(x, 3, 1)
    if x.ndim != 4 or x.shape[1] not in (1, 3, 4):
        raise InvalidInput(f"{path}: images must have 1, 3 or 4 channels, (N, H, W, channels); got {x.shape}")
    return Table(np.array(x, order="C"), y)  # a copy: the file may be mapped for reading only


# --------------------------------------------------------------------------------------------- Statlog


def read_statlog(path: Path, features: int, codes: Sequence[int]) -> Table:
    """Read a table of numbers separated by blanks or tabs, the class last: the format of UCI's Statlog sets.

    A first row that is not all numbers, or whose last number is its number of columns, is a header.

    Args:
        path: The file.
        features: The number of features in every row.
        codes: The numbers of the classes.

    Raises:
        InvalidInput: A row has another number of columns, a value is not a finite number, or a class is unknown.
    """
    with reading(path) as file:
        text = file.read().decode("latin1").splitlines()
    rows = [(line, cells) for line, cells in enumerate(map(str.split, text), start=1) if cells]
    if rows and (not all(map(is_number, rows[0][1])) or rows[0][1][-1] == str(features + 1)):
        del rows[0]
    if not rows:
        raise InvalidInput(f"{path} holds no row of numbers; expected {features} features and the class in every row")
    for line, cells in rows:
        _check_statlog(f"{path}, line {line}", cells, features, codes)
    values = np.array([cells for _, cells in rows], dtype=np.float64)
    return Table(_float32(values[:, :-1]), values[:, -1])


def _check_statlog(where: str, cells: list[str], features: int, codes: Sequence[int]) -> None:
    if len(cells) != features + 1:
        raise InvalidInput(f"{where}: expected {features} features and the class; got {len(cells)} columns")
    for place, cell in enumerate(cells, start=1):
        if not is_number(cell) or not math.isfinite(float(cell)):
            raise InvalidInput(f"{where}, column {place}: {cell!r} is not a finite number")
    if float(cells[-1]) not in codes:
        raise InvalidInput(f"{where}: class {cells[-1]}; expected one of {', '.join(map(str, codes))}")

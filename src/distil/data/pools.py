"""Pools as people have them - folders of images, tables of texts or of paths, data sets of others - with the ids they gave.

:func:`open_pool` makes a map-style data set of any of them, whose ``names`` are the user's ids.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import IterableDataset

from distil.data.array_files import ARRAY_FILES, parquet_file, read_column
from distil.data.arrays import Array, is_array, readable, take
from distil.data.file_readers import csv_rows, is_header, json_lines, text_lines
from distil.data.ids import as_name, distinct, read_ids
from distil.data.images import IMAGES, ImageTransform, file_bytes, images_below, open_image
from distil.data.items import Items, Kind, Minibatches
from distil.errors import DataNotFound, InvalidInput, nearest
from distil.system.imports import optional

_IMAGE_COLUMNS: Final = ("image", "img", "image_path", "file_name", "filename", "file", "path")
_TEXT_COLUMNS: Final = ("text", "sentence", "content", "document", "body", "title", "question")
_LABEL_COLUMNS: Final = frozenset({"label", "labels", "class", "target"})


@runtime_checkable
class _MapStyle(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Any: ...  # noqa: ANN401


@runtime_checkable
class _HuggingFace(Protocol):
    """A ``datasets.Dataset``, known by what it can do."""

    column_names: Any
    features: Any

    def __len__(self) -> int: ...

    def with_format(self, type: str | None = None) -> Any: ...  # noqa: A002, ANN401

    def select(self, indices: Any) -> Any: ...  # noqa: ANN401


def open_pool(
    source: Any,  # noqa: ANN401 - what a user may have is looked at here
    *,
    column: str | None = None,
    ids: str | Path | Sequence[Any] | None = None,
    transform: Callable[[Any], Any] | None = None,
    collate_fn: Callable[[list[Any]], Any] | None = None,
) -> Items | Minibatches:
    """A pool that :func:`distil.select` takes as data, with the user's own ids in ``names``.

    Args:
        source: A path: a folder of images (searched through; ids are paths below it), a data set that ``datasets`` saved, a table
            (``.csv``, ``.tsv``, ``.jsonl``, ``.parquet``) of texts or of paths of images, a ``.txt`` of texts, one a line, or an
            array (see :func:`distil.data.array_files.read_column`). Or an object: an array, a list of texts, a map-style Dataset of
            inputs, tuples or dicts, or a ``datasets.Dataset``.
        column: The table's column. Default: one that is called as such columns usually are, or the only one that may be it.
        ids: The ids: a column of the table, a file of ids, or a sequence. Default: the column ``id``; for images in a folder or a
            table, their paths; else none, and positions serve.
        transform: What is done to an item. Default for images: :class:`ImageTransform`, 224 pixels as ImageNet's models expect;
            for all else nothing.
        collate_fn: Items -> minibatch, as for a DataLoader; default: PyTorch's own.

    Raises:
        DataNotFound: There is nothing at that path.
        InvalidInput: Something that is no pool; the message says what would be.
        MissingPackage: Parquet without pyarrow, or a saved data set without ``datasets``.
    """
    items: Items | Minibatches
    if isinstance(source, (Items, Minibatches)):
        return source
    if isinstance(source, (str, os.PathLike)):
        items = _from_path(Path(source).expanduser(), column, ids)
    else:
        items = _from_object(source, column, ids)
    if isinstance(items, Minibatches):
        if transform is None and collate_fn is None:
            return items
        items = items.items
    items.transform = transform or (ImageTransform() if items.kind == "images" else None)
    if collate_fn is None:
        return items
    return Minibatches(items, partial(_collated, items, collate_fn))


def _collated(items: Items, collate_fn: Callable[[list[Any]], Any], rows: Tensor) -> Any:  # noqa: ANN401
    return collate_fn([items[row] for row in rows.tolist()])


def _from_path(path: Path, column: str | None, ids: Any) -> Items | Minibatches:  # noqa: ANN401
    if not path.exists() and "#" in path.name and column is None:
        name, _, column = path.name.rpartition("#")
        path = path.with_name(name)
    if not path.exists():
        raise DataNotFound(f"there is no pool at {path}")
    if path.is_dir():
        if not ((path / "state.json").exists() and (path / "dataset_info.json").exists()):
            return _folder(path)
        return _hugging_face(optional("datasets", f"reading {path}").load_from_disk(str(path)), column, ids)
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return _texts(text_lines(path), _given_names(ids), _stamp([path]))
    if suffix in _TABLES and (suffix not in ARRAY_FILES or _is_table(path, column)):
        return _table(path, column, ids)
    if suffix in ARRAY_FILES:
        found = read_column(path, column=column, ids=ids)
        return _array(found.values, found.names, _stamp([path]) + (column or ""))
    known = ", ".join(sorted({*_TABLES, *ARRAY_FILES, ".txt"}))
    raise InvalidInput(f"{path}: a pool is a folder of images, or a file that ends in one of {known}")


def _from_object(source: Any, column: str | None, ids: Any) -> Items | Minibatches:  # noqa: ANN401
    if isinstance(source, Mapping):
        raise InvalidInput(f"this is a dictionary; open one of what it holds: {', '.join(map(str, source))}")
    if isinstance(source, _HuggingFace):
        return _hugging_face(source, column, ids)
    names = _given_names(ids)
    if is_array(source):
        return _array(source, names, "")
    if isinstance(source, IterableDataset) or not isinstance(source, _MapStyle):
        raise InvalidInput(
            f"a pool is a path, an array, a map-style Dataset or a datasets.Dataset, got {type(source).__name__}; "
            "what can only be gone through once must be written to disk first"
        )
    if isinstance(source, Sequence) and len(source) and isinstance(source[0], str):
        return _texts(source, names, "")
    return Items(source.__getitem__, len(source), names=_checked(names, len(source)))


def _given_names(ids: Any) -> list[str] | None:  # noqa: ANN401
    """Names from a file or a sequence."""
    if ids is None:
        return None
    if isinstance(ids, (str, os.PathLike)):
        return list(read_ids(Path(ids)).names)
    return distinct([as_name(value) for value in ids], "ids")


def _checked(names: Sequence[str] | None, size: int) -> Sequence[str] | None:
    if names is not None and len(names) != size:
        raise InvalidInput(f"there are {len(names)} ids for {size} items")
    return names


def _stamp(paths: Sequence[Path]) -> str:
    """Text that changes when one of the files does: their names, sizes and times of change."""
    found = hashlib.blake2b(digest_size=16)
    for path in paths:
        stat = path.stat()
        found.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return found.hexdigest()


# ------------------------------------------------------------------------------------------------------ arrays and texts


def _array(values: Array, names: Sequence[str] | None, fingerprint: str) -> Minibatches:
    rows = readable(values)
    items = Items(
        lambda row: take(rows, torch.tensor([row]))[0],
        len(rows),
        names=_checked(names, len(rows)),
        kind="rows",
        content=lambda row: np.ascontiguousarray(rows[row]).tobytes(),
        array=values,
        fingerprint=fingerprint,
    )
    return Minibatches(items, partial(take, rows))


def _texts(texts: Sequence[str], names: Sequence[str] | None, fingerprint: str) -> Items:
    return Items(
        texts.__getitem__,
        len(texts),
        names=_checked(names, len(texts)),
        kind="texts",
        content=lambda row: texts[row].encode(errors="surrogatepass"),
        fingerprint=fingerprint,
    )


# ---------------------------------------------------------------------------------------------------------------- images


def _folder(folder: Path) -> Items:
    """All images below a folder, in the order of their paths; hidden files and folders are left out."""
    names, found = [], hashlib.blake2b(digest_size=16)
    for name, stat in sorted(images_below(folder)):
        names.append(name)
        found.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    if not names:
        raise InvalidInput(f"{folder} holds no image ({', '.join(sorted(IMAGES))})")
    return _image_files([], names, folder, found.hexdigest())


def _image_files(names: Sequence[str], paths: Sequence[str], folder: Path, fingerprint: str) -> Items:
    """Images by their paths below a folder; the paths are the names where there are no others."""
    names = names or paths
    return Items(
        lambda row: open_image(folder / paths[row], names[row]),
        len(paths),
        names=_checked(names, len(paths)),
        kind="images",
        content=lambda row: file_bytes(folder / paths[row], names[row]),
        fingerprint=fingerprint,
    )


# ---------------------------------------------------------------------------------------------------------------- tables


def _is_table(path: Path, column: str | None) -> bool:
    """Whether a table that may be one of numbers has texts, or paths of images, to offer."""
    if path.suffix.lower() == ".parquet":
        with parquet_file(path) as file:
            kinds = {field.name: str(field.type) for field in file.schema_arrow}
        texts = [name for name, kind in kinds.items() if kind in ("string", "large_string", "string_view")]
        return column in texts if column else _guess(texts) is not None
    rows = csv_rows(path)
    _, first = next(rows, (0, []))
    return is_header(first) and (column or _guess([cell.strip() for cell in first], alone=False)) is not None


def _guess(columns: Sequence[str], *, alone: bool = True) -> str | None:
    """The column that is called as one of texts or images usually is; else the only one that is not id or label."""
    for usual in (*_TEXT_COLUMNS, *_IMAGE_COLUMNS):
        for name in columns:
            if name.lower() == usual:
                return name
    free = [name for name in columns if name.lower() != "id" and name.lower() not in _LABEL_COLUMNS]
    return free[0] if alone and len(free) == 1 else None


def _table(path: Path, column: str | None, ids: Any) -> Items:  # noqa: ANN401
    read = _TABLES[path.suffix.lower()]
    own = ids if isinstance(ids, str) and not Path(ids).is_file() else None
    columns = read(path, column, own)
    values, named = columns["values"], columns["ids"]
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise InvalidInput(f"{path}, row {row}: expected text, got {value!r}")
    if ids is not None and own is None:
        named = _given_names(ids)
    names = None if named is None else distinct([as_name(value) for value in named], str(path))
    if os.path.splitext(values[0])[1].lower() in IMAGES:
        paths = values if names is not None else distinct(values, str(path))
        missing = next((name for name in paths if not (path.parent / name).exists()), None)
        if missing is not None:
            raise DataNotFound(f"{path} names {missing!r}, and there is no file {path.parent / missing}")
        return _image_files(names or [], paths, path.parent, _stamp([path, *(path.parent / name for name in paths)]))
    return _texts(values, names, _stamp([path]) + (column or ""))


def _columns_of(path: Path, columns: Sequence[str], column: str | None, ids: str | None) -> tuple[str, str | None]:
    """Which column holds the items, and which the ids."""
    for asked in (column, ids):
        if asked is not None and asked not in columns:
            raise InvalidInput(
                f"{path} has no column {asked!r}{nearest(asked, columns)}; it has {', '.join(columns[:20])}"
            )
    own = ids or next((name for name in columns if name.lower() == "id"), None)
    chosen = column or _guess([name for name in columns if name != own])
    if chosen is None:
        raise InvalidInput(
            f"{path} has the columns {', '.join(columns[:20])}; say which one with column=... (--column)"
        )
    return chosen, own


def _csv_table(path: Path, column: str | None, ids: str | None) -> dict[str, Any]:
    rows = csv_rows(path)
    _, first = next(rows, (0, []))
    columns = [cell.strip() for cell in first]
    chosen, own = _columns_of(path, columns, column, ids)
    values, names = [], []
    for line, cells in rows:
        if len(cells) != len(columns):
            raise InvalidInput(f"{path}, line {line}: expected {len(columns)} columns, got {len(cells)}")
        values.append(cells[columns.index(chosen)])
        names.append(cells[columns.index(own)].strip() if own else "")
    return _filled(path, values, names if own else None)


def _jsonl_table(path: Path, column: str | None, ids: str | None) -> dict[str, Any]:
    entries = [entry for _, entry in json_lines(path)]
    if not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInput(f"{path}: expected an object a line")
    chosen, own = _columns_of(path, list(entries[0]) if entries else [], column, ids)
    values, names = ([entry.get(name) for entry in entries] for name in (chosen, own))
    return _filled(path, values, names if own else None)


def _parquet_table(path: Path, column: str | None, ids: str | None) -> dict[str, Any]:
    with parquet_file(path) as file:
        chosen, own = _columns_of(path, [field.name for field in file.schema_arrow], column, ids)
        table = file.read(columns=[chosen, *([own] if own else [])])
    return _filled(path, table.column(chosen).to_pylist(), table.column(own).to_pylist() if own else None)


def _filled(path: Path, values: list[Any], names: list[Any] | None) -> dict[str, Any]:
    if not values:
        raise InvalidInput(f"{path} has no rows")
    for row, name in enumerate(names or []):
        if name in (None, ""):
            raise InvalidInput(f"{path}, row {row}: the id is missing")
    return {"values": values, "ids": names}


_TABLES: Final[dict[str, Callable[[Path, str | None, str | None], dict[str, Any]]]] = {
    ".csv": _csv_table,
    ".tsv": _csv_table,
    ".jsonl": _jsonl_table,
    ".parquet": _parquet_table,
}


# ---------------------------------------------------------------------------------------------------------- Hugging Face


def _hugging_face(source: Any, column: str | None, ids: Any) -> Items:  # noqa: ANN401 - a datasets.Dataset
    """A ``datasets.Dataset``: its images, texts or rows; whole entries where no column can be told."""
    columns = list(source.column_names)
    for asked in (column, ids if isinstance(ids, str) and not Path(ids).is_file() else None):
        if asked is not None and asked not in columns:
            raise InvalidInput(
                f"the data set has no column {asked!r}{nearest(asked, columns)}; it has {', '.join(columns)}"
            )
    own = ids if isinstance(ids, str) and ids in columns else None
    if ids is None:
        own = next((name for name in columns if name.lower() == "id"), None)
    names = [as_name(value) for value in source[own]] if own else _given_names(ids)
    names = None if names is None else distinct(names, "the data set")
    chosen = column or _guess([name for name in columns if name != own])
    stamp = str(getattr(source, "_fingerprint", "")) + (chosen or "")
    if chosen is None:
        return Items(source.__getitem__, len(source), names=_checked(names, len(source)), fingerprint=stamp)
    first = source[0][chosen]
    kind: Kind = "images" if isinstance(first, Image.Image) else "texts" if isinstance(first, str) else "rows"

    def read(row: int) -> Any:  # noqa: ANN401
        value = source[row][chosen]
        if kind == "images":
            return value.convert("RGB")
        return value if kind == "texts" else torch.as_tensor(value)

    contents: dict[Kind, Callable[[Any], bytes]] = {
        "images": lambda image: image.tobytes(),
        "texts": lambda text: text.encode(errors="surrogatepass"),
        "rows": lambda values: values.numpy().tobytes(),
    }
    return Items(
        read,
        len(source),
        names=_checked(names, len(source)),
        kind=kind,
        content=lambda row: contents[kind](read(row)),
        fingerprint=stamp,
    )

"""Opening pools with the user's ids: folders of images, tables of texts or image paths, arrays, and data sets.

:func:`open_pool` turns any of them into a map-style data set whose ``names`` are the user's ids.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from distil.data.array_files import ARRAY_FILES, read_column, table_values
from distil.data.arrays import Array, Series, check_plain, is_array, readable, take
from distil.data.columns import Table
from distil.data.file_readers import ending, text_lines
from distil.data.frames import Frame, FrameTable, names_in_index, values_of
from distil.data.headers import ID, IMAGE_PATHS, LABELS, TEXTS, is_free_text, is_like_number, is_missing, is_no_text
from distil.data.ids import as_name, distinct, ids_in, names_column, normal, read_row_ids, without_blank_rows
from distil.data.images import IMAGES, ImageTransform, as_rgb, endings, file_bytes, images_below, is_address, open_image
from distil.data.items import Items, Kind, Minibatches
from distil.data.table_files import TABLE_FILES, Quoting, open_table
from distil.errors import DataNotFound, InvalidInput, counted, nearest
from distil.system.imports import optional
from distil.system.runtime import Runtime


@runtime_checkable
class _MapStyle(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Any: ...  # noqa: ANN401


@runtime_checkable
class _HuggingFace(Protocol):
    """A ``datasets.Dataset``, recognized by its methods."""

    column_names: Any
    features: Any

    def __len__(self) -> int: ...

    def with_format(self, type: str | None = None) -> Any: ...  # noqa: A002, ANN401

    def select(self, indices: Any) -> Any: ...  # noqa: ANN401


def open_pool(
    source: Any,  # noqa: ANN401 - any argument of a caller
    *,
    column: str | None = None,
    ids: str | Path | Sequence[Any] | None = None,
    quoting: Quoting | None = None,
    transform: Callable[[Any], Any] | None = None,
    collate_fn: Callable[[list[Any]], Any] | None = None,
) -> Items | Minibatches:
    """Open a pool in a form that :func:`distil.select` takes as data, with the user's ids in ``names``.

    Args:
        source: A path: a folder of images (with subfolders; ids are paths below it), a data set saved by ``datasets``, a table
            (``.csv``, ``.tsv``, ``.xlsx``, ``.json``, ``.jsonl``, ``.parquet``) of texts or image paths, a ``.txt`` file with one
            text per line, or an array (see :func:`distil.data.array_files.read_column`). Or an object: an array, a data frame, a
            list of texts, a map-style Dataset of inputs, tuples or dicts, or a ``datasets.Dataset``.
        column: The column of texts or image paths, or several columns of texts, ``"title,body"``, which are joined by line ends.
            Default: one with a usual name, such as ``text`` or ``path``, or the only column that may hold them.
        ids: The ids: a column of the table, a file of ids, or a sequence. Default: the column ``id``; else, for images in a
            folder or a table, their paths; else positions.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.
        transform: A function applied to every item. Default: for images, :class:`ImageTransform` with 224 pixels, as ImageNet's
            models expect; for other items, none.
        collate_fn: A function from a list of items to a minibatch, as for a DataLoader; default: PyTorch's.

    Raises:
        DataNotFound: The path does not exist.
        InvalidInput: The source is not a pool; the message says what to pass.
        MissingPackage: The pool is Parquet and pyarrow is not installed, or a saved data set and ``datasets`` is not installed.
    """
    items: Items | Minibatches
    if isinstance(source, (Items, Minibatches)):
        return source
    if isinstance(source, (str, os.PathLike)):
        items = _from_path(Path(source).expanduser(), column, ids, quoting)
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


def _from_path(path: Path, column: str | None, ids: Any, quoting: Quoting | None) -> Items | Minibatches:  # noqa: ANN401
    if not path.exists() and "#" in path.name and column is None:
        name, _, column = path.name.rpartition("#")
        path = path.with_name(name)
    if not path.exists():
        raise DataNotFound(f"there is no file or folder {path}")
    if path.is_dir():
        if not ((path / "state.json").exists() and (path / "dataset_info.json").exists()):
            if ids is not None or column is not None:
                raise InvalidInput(
                    f"{path} is a folder of images, whose ids are their paths, so ids and column do not apply; for other ids, pass "
                    "a table with the columns id and path instead"
                )
            return _folder(path)
        return _hugging_face(optional("datasets", f"reading {path}").load_from_disk(str(path)), column, ids)
    kind = ending(path)
    if kind == ".txt":
        return pool_of_texts(_lines(path), _names_from(ids, quoting), stamp_of([path]))
    if kind in TABLE_FILES:
        own = names_column(ids)
        table = open_table(path, (own, column, *_listed(column)), quoting=quoting)
        chosen = _item_columns(table, column, own)
        if chosen:
            return _table(table, chosen, own, None if own is not None else _names_from(ids, quoting))
    if kind in ARRAY_FILES:
        listed = ids is not None and not isinstance(ids, (str, os.PathLike))
        array = read_column(path, column=column, ids=None if listed else ids, quoting=quoting)
        names = _names_from(ids) if listed else array.names
        return _array(array.values, names, stamp_of([path]) + (column or ""), array.note)
    known = ", ".join(sorted({*TABLE_FILES, *ARRAY_FILES, ".txt"}))
    raise InvalidInput(f"{path}: a pool is a folder of images, or a file that ends in one of {known}")


def _from_object(source: Any, column: str | None, ids: Any) -> Items | Minibatches:  # noqa: ANN401
    if isinstance(source, Mapping):
        raise InvalidInput(f"a pool cannot be a dictionary; open one of its values: {', '.join(map(str, source))}")
    if isinstance(source, _HuggingFace):
        return _hugging_face(source, column, ids)
    check_plain(source, "a pool")
    if isinstance(source, Frame) and len(source.shape) == 2:
        return _frame(FrameTable(source), column, ids)
    names = _names_from(ids)
    if isinstance(source, Series) and not isinstance(source, Dataset):
        names = names_in_index(source) if names is None else names
        source = values_of(source)
    if isinstance(source, np.ndarray) and source.ndim == 1 and source.dtype.kind in "USO":
        source = source.tolist()
    if is_array(source):
        return _array(source, names, "")
    if isinstance(source, IterableDataset) or not isinstance(source, _MapStyle):
        raise InvalidInput(
            f"a pool is a path, an array, a map-style Dataset or a datasets.Dataset, got {type(source).__name__}; "
            "write data that can be read only once to disk first"
        )
    if isinstance(source, Sequence) and isinstance(next((text for text in source if not is_no_text(text)), None), str):
        return pool_of_texts(source, names, "")
    return Items(source.__getitem__, len(source), names=_checked(names, len(source)))


def _frame(table: FrameTable, column: str | None, ids: Any) -> Items | Minibatches:  # noqa: ANN401
    """A pool of the texts, images or numbers in a data frame."""
    own = names_column(ids)
    names = None if own is not None else _names_from(ids)
    chosen = _item_columns(table, column, own)
    if chosen:
        return _table(table, chosen, own, names)
    values, found, note, _ = table_values(table, column, own, Runtime())
    return _array(values, found if names is None else names, "", note)


def _names_from(ids: Any, quoting: Quoting | None = None) -> list[str] | None:  # noqa: ANN401
    """The names in a file or sequence of ids; None for None."""
    if ids is None:
        return None
    if isinstance(ids, (str, os.PathLike)):
        return read_row_ids(Path(ids), quoting)
    return distinct(["" if is_no_text(value) else as_name(value) for value in ids], "ids")


def _checked(names: Sequence[str] | None, size: int) -> Sequence[str] | None:
    if names is not None and len(names) != size:
        raise InvalidInput(f"there are {len(names):,} ids for {size:,} items; expected one id for each item")
    return names


def stamp_of(paths: Sequence[Path]) -> str:
    """A hash of the files' names, sizes and times of change, which differs after a change; a file that is missing has none."""
    state = hashlib.blake2b(digest_size=16)
    for path in paths:
        stat = path.stat() if path.exists() else None
        state.update(f"{path}\0{stat and stat.st_size}\0{stat and stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return state.hexdigest()


# ------------------------------------------------------------------------------------------------------ arrays and texts


def _array(values: Array, names: Sequence[str] | None, fingerprint: str, note: str = "") -> Minibatches:
    rows = readable(values)
    items = Items(
        lambda row: take(rows, torch.tensor([row]))[0],
        len(rows),
        names=_checked(names, len(rows)),
        kind="rows",
        content=lambda row: np.ascontiguousarray(rows[row]).tobytes(),
        array=values,
        fingerprint=fingerprint,
        note=note,
    )
    return Minibatches(items, partial(take, rows))


def _lines(path: Path) -> list[str | None]:
    """The lines of a text file up to the last that is not blank; blank ones are missing texts, so that lines keep their numbers."""
    found = dict(text_lines(path))
    return [found.get(number) for number in range(1, max(found, default=0) + 1)]


def pool_of_texts(texts: Sequence[Any], names: Sequence[str] | None, fingerprint: str, note: str = "") -> Items:
    """A pool of texts; reading a missing text is an error, and its ``content`` equals no other."""

    def read(row: int) -> str:
        text = texts[row]
        if is_no_text(text):
            raise InvalidInput(
                f"{row if names is None else names[row]}: the text is missing; fill it in or take the row out"
            )
        return str(text)

    return Items(
        read,
        len(texts),
        names=_checked(names, len(texts)),
        kind="texts",
        content=lambda row: (
            f"\0{row}".encode() if is_no_text(texts[row]) else texts[row].encode(errors="surrogatepass")
        ),
        fingerprint=fingerprint,
        note=_with_missing(note, texts, "texts"),
        shown=lambda row: "" if is_no_text(texts[row]) else str(texts[row]),
    )


def _with_missing(note: str, values: Sequence[Any], what: str) -> str:
    """The note, with the number of values that are missing."""
    missing = sum(map(is_no_text, values))
    return "; ".join(filter(None, (note, f"{missing:,} of {len(values):,} {what} missing" if missing else "")))


# ---------------------------------------------------------------------------------------------------------------- images


def _folder(folder: Path) -> Items:
    """A pool of all images below a folder, sorted by path, without hidden files and folders."""
    names, state, others = [], hashlib.blake2b(digest_size=16), Counter[str]()
    for name, stat in sorted(images_below(folder, others)):
        names.append(name)
        state.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    if not names:
        got = f"; got {endings(others)}: convert images to .png or .jpg" if others else ""
        raise InvalidInput(f"{folder} holds no image; expected files that end in {', '.join(sorted(IMAGES))}{got}")
    note = ""
    if others:
        count = counted(others.total(), "file")
        note = f"left out {count} without the ending of an image ({endings(others)}); convert images to .png or .jpg"
        state.update(note.encode(errors="surrogateescape"))  # what was embedded before has another note
    names = distinct(names, str(folder))
    return pool_of_images(names, names, folder, state.hexdigest(), note)


def pool_of_images(names: Sequence[str], paths: Sequence[Any], folder: Path, fingerprint: str, note: str = "") -> Items:
    """A pool of images at ``paths`` below a folder; reading an image whose path is missing is an error."""

    def file(row: int) -> Path:
        if is_no_text(paths[row]):
            raise InvalidInput(f"{names[row]}: the path of the image is missing; fill it in or take the row out")
        if is_address(paths[row]):
            raise InvalidInput(f"{names[row]}: cannot be read: {_no_file(paths[row])}")
        return folder / str(paths[row])

    said: set[str] = set()
    return Items(
        lambda row: open_image(file(row), names[row], said),
        len(paths),
        names=_checked(names, len(paths)),
        kind="images",
        content=lambda row: file_bytes(file(row), names[row]),
        fingerprint=fingerprint,
        note=_with_missing(note, paths, "paths of images"),
        shown=None if paths is names else lambda row: "" if is_no_text(paths[row]) else str(paths[row]),
        said=said,
    )


def _no_file(address: str) -> str:
    """The end of a message about an address in place of the path of an image."""
    return (
        f"{address} is an address, and images are read from files on disk; download them, and write the path of each file in "
        "place of its address"
    )


# ---------------------------------------------------------------------------------------------------------------- tables


def item_column(table: Table, column: str | None = None, own: str | None = None) -> str | None:
    """The name of the column of texts or image paths in a table; None for a table of numbers.

    Args:
        table: The table.
        column: The column of items that the user named; None: find it.
        own: The column of ids that the user named; None: find it.

    Raises:
        InvalidInput: There is no such column, or several may be meant.
    """
    if column is not None and column not in table.kinds and ending(table.path) in ARRAY_FILES and "*" in column:
        return None  # a pattern of columns of numbers
    for asked in (column, own):
        if asked is not None:
            table.known(asked)
    if column is not None:
        words = table.kinds[column] in ("text", "empty", "other") or _holds_words(table, column)
        return column if words else None
    out = {own or table.named(ID), table.index, table.named(*LABELS), *table.left_out}
    free = [name for name in table.columns if name not in out]
    texts = [name for name in free if table.kinds[name] == "text"]
    usual = _usual(texts) or _usual([name for name in free if table.kinds[name] in ("empty", "other")])
    if usual is not None:
        return table.named(usual.lower())
    if len(free) == 1 and free[0].lower() in TEXTS:  # numbers, which are its texts
        return free[0]
    sentences = [name for name in texts if is_free_text(table.sample[name])]
    if len(sentences) == 1:
        return sentences[0]
    if len(texts) == 1 and (len(free) == 1 or not any(table.kinds[name] in ("number", "list") for name in free)):
        return texts[0]
    numbers = [name for name in free if table.kinds[name] in ("number", "list")]
    if numbers and len(sentences) < max(2, len(numbers)):
        return None
    if not any(table.sample.values()):
        raise InvalidInput(f"{table.path} is empty; expected a row for each example")
    raise InvalidInput(
        f"{table.path} has the columns {', '.join(table.columns[:20])}; say which one holds the texts or the paths of images "
        "with column=... (--column)"
    )


def _holds_words(table: Table, column: str) -> bool:
    """Whether a column that begins with numbers is one of texts: by its usual name, or where all cells are texts by any of them."""
    if table.kinds[column] != "number":
        return False
    if column.lower() in TEXTS or ending(table.path) not in (".csv", ".tsv", ".xlsx"):
        return column.lower() in TEXTS
    cells = table.read([], [column], Runtime()).cells[0]
    return not all(
        is_missing(cell) or is_like_number(cell) or cell.strip().lower() in ("true", "false") for cell in cells
    )


def _usual(columns: Sequence[str]) -> str | None:
    """The column whose usual name for texts or image paths is preferred; None if no column has one."""
    by_name = {name.lower(): name for name in reversed(columns)}
    return next((by_name[usual] for usual in (*TEXTS, *IMAGE_PATHS) if usual in by_name), None)


def _listed(column: str | None) -> list[str]:
    """The names in ``"title,body"``; empty for one name."""
    names = [] if column is None else [name.strip() for name in column.split(",")]
    return names if len(names) > 1 else []


def _item_columns(table: Table, column: str | None, own: str | None) -> list[str]:
    """The columns of texts or image paths in a table; empty for a table of numbers."""
    if column not in table.kinds and (listed := _listed(column)):
        return [table.known(name) for name in listed]
    found = item_column(table, column, own)
    return [] if found is None else [found]


def _table(table: Table, chosen: Sequence[str], own: str | None, names: list[str] | None) -> Items:
    """A pool of the texts or images in the columns ``chosen``, with ``names``, or with ids from the column ``own``."""
    path = table.path
    asked = own is not None
    own = own or (None if names is not None else table.named(ID) or table.index)
    rows = table.read([], [*chosen, *([] if own is None else [own])], Runtime())
    if own is not None:
        rows = without_blank_rows(table, rows, rows.cells[-1])
    if not rows.places:
        raise InvalidInput(f"{path} has no rows; expected a row for each example")
    for name, column in zip(chosen, rows.cells, strict=False):
        if table.kinds[name] == "number":
            column[:] = [value if isinstance(value, str) or is_no_text(value) else as_name(value) for value in column]
        for place, value in zip(rows.places, column, strict=True):
            if not isinstance(value, str) and not is_no_text(value):
                raise InvalidInput(f"{table.where(place)}: expected text, got {value!r}")
    values = rows.cells[0] if len(chosen) == 1 else list(map(_joined, zip(*rows.cells[: len(chosen)], strict=True)))
    if own is not None:
        names, why = ids_in(table, own, rows, rows.cells[-1], asked=asked)
        own = None if why else own
    stamp = f"{stamp_of([path])}{','.join(chosen)}" if path.is_file() else ""
    present = next((value for value in values if not is_no_text(value)), "")
    images = os.path.splitext(present)[1].lower() in IMAGES
    images = images or (is_address(present) and chosen[0].lower() in IMAGE_PATHS)
    if not images and chosen[0].lower() in IMAGE_PATHS and path.is_file() and (path.parent / present).is_file():
        raise InvalidInput(
            f"{path}: `{chosen[0]}` names files, and {present!r} does not have the ending of an image "
            f"({', '.join(sorted(IMAGES))}); convert images to .png or .jpg, or pass the texts themselves"
        )
    read = _note(table, chosen, own, "paths of images" if images else "texts")
    note = "; ".join(filter(None, (read, rows.note(path))))
    items = _table_of_images(path, values, names, note) if images else pool_of_texts(values, names, stamp, note)
    items.columns = chosen
    return items


def _joined(cells: Sequence[Any]) -> str:
    """The texts in the cells of a row, joined by line ends; missing ones are left out."""
    return "\n".join(cell for cell in cells if not is_no_text(cell))


def _note(table: Table, chosen: Sequence[str], own: str | None, what: str) -> str:
    """A sentence on which columns were read; empty if they are called ``text`` and ``id``."""
    if [name.lower() for name in chosen] == [TEXTS[0]] and (own is None or own.lower() == ID):
        return ""
    ids = "" if own is None else f" and `{own}` as ids"
    columns = " and ".join(f"`{name}`" for name in chosen)
    return f"read {columns} of {table.path.name} as {what}{ids}" + ("" if table.header else "; it has no header")


def _table_of_images(path: Path, paths: Sequence[Any], names: Sequence[str] | None, note: str) -> Items:
    """A pool of the images at these paths; reading one that does not exist is an error, and so is opening if none exists."""
    files = _Files(path.parent)
    found = {name: files.named(name) for name in paths if not is_no_text(name)}
    if not any(found.values()):
        missing = next(iter(found))
        if is_address(missing):
            raise DataNotFound(f"{path}: {_no_file(missing)}")
        raise DataNotFound(f"{path} names {missing!r}, and there is no file {path.parent / missing}")
    on_disk = [None if is_no_text(name) else found[name] or name for name in paths]
    if names is None:
        if None in on_disk:
            raise InvalidInput(
                f"{path}, row {on_disk.index(None)}: the path is missing, and there is no column id to name the row; fill it in "
                "or take the row out"
            )
        names = distinct(list(paths), str(path))
    stamp = stamp_of([*filter(Path.is_file, [path]), *(path.parent / file for file in on_disk if file is not None)])
    return pool_of_images(names, on_disk, path.parent, stamp, note)


class _Files:
    """Finds files by their names in a table, which may encode accents differently from the file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._alike: dict[Path, dict[str, str]] = {}

    def named(self, name: str) -> str | None:
        """The path of a file below the folder; None if there is no such file."""
        path = self._folder / name
        if os.path.lexists(path):
            return name
        parent = path.parent
        if parent not in self._alike:
            files = os.listdir(parent) if parent.is_dir() else []
            self._alike[parent] = {normal(file): file for file in files}
        file = self._alike[parent].get(normal(path.name))
        return None if file is None else str(Path(name).with_name(file))


# ---------------------------------------------------------------------------------------------------------- Hugging Face


def _hugging_face(source: Any, column: str | None, ids: Any) -> Items:  # noqa: ANN401 - a datasets.Dataset
    """A pool of the images, texts or rows in one column of a ``datasets.Dataset``; of whole entries if no column is evident."""
    columns = list(source.column_names)
    for asked in (column, names_column(ids)):
        if asked is not None and asked not in columns:
            raise InvalidInput(
                f"the data set has no column {asked!r}{nearest(asked, columns)}; it has {', '.join(columns)}"
            )
    own = ids if isinstance(ids, str) and ids in columns else None
    if ids is None:
        own = next((name for name in columns if name.lower() == ID), None)
    names = [as_name(value) for value in source[own]] if own else _names_from(ids)
    names = None if names is None else distinct(names, "the data set")
    free = [name for name in columns if name != own and name.lower() not in (ID, *LABELS)]
    chosen = column or _usual(free) or (free[0] if len(free) == 1 else None)
    stamp = str(getattr(source, "_fingerprint", "")) + (chosen or "")
    if chosen is None:
        return Items(source.__getitem__, len(source), names=_checked(names, len(source)), fingerprint=stamp)
    first = next((value for row in range(len(source)) if (value := source[row][chosen]) is not None), None)
    kind: Kind = "images" if isinstance(first, Image.Image) else "texts" if isinstance(first, str) else "rows"

    said: set[str] = set()

    def read(row: int) -> Any:  # noqa: ANN401
        value = source[row][chosen]
        if value is None or (kind == "texts" and is_no_text(value)):
            raise InvalidInput(f"{row if names is None else names[row]}: the {kind.removesuffix('s')} is missing")
        if kind == "images":
            return as_rgb(value, said)
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
        shown=(lambda row: str(source[row][chosen])) if kind == "texts" else None,
        said=said,
    )

"""Reading a set of an audit, which is either ids of the pool or items of its own; the content of a file decides."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from distil.data.array_files import Column
from distil.data.array_formats import mapped_npy
from distil.data.columns import Table
from distil.data.file_readers import ending
from distil.data.headers import ID, IMAGE_PATHS, LABELS, TEXTS, is_no_text
from distil.data.ids import ID_FILES, ListedIds, index_of, matched, normal, read_ids, text_in
from distil.data.items import Items, Minibatches, items_of
from distil.data.pools import item_column, open_pool
from distil.data.table_files import TABLE_FILES, Quoting, open_table
from distil.errors import InvalidInput
from distil.system.runtime import Runtime

Given = str | Path | ListedIds | Items | Minibatches


def given_set(
    name: str, given: Given, pool: Items, embeddings: Column | None = None, quoting: Quoting | None = None
) -> ListedIds | Items:
    """A set of an audit: ids of the pool, or items of its own.

    A folder with a folder of images for each class is a list of ids and labels if its images are the pool's. A table is a list of
    ids if it holds nothing but ids and labels, or if its ids and items are those of the pool. Otherwise it
    is items of its own. Texts are equal without regard to blanks, case and the encoding of accents.

    Args:
        name: Name of the set, for messages.
        given: A path, or ids or items that were already read.
        pool: The pool.
        embeddings: Embeddings of the pool, if it does not hold them.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.

    Raises:
        InvalidInput: The file is ambiguous: its ids are numbers, and its items cannot be compared with the pool's.
    """
    if isinstance(given, (Items, Minibatches)):
        return items_of(given)
    if isinstance(given, ListedIds):
        return given
    path = Path(os.path.expanduser(given))
    if ending(path) not in ID_FILES or not path.is_file():
        own = own_items(path, pool, quoting)
        return _labels_of_folders(path, pool, own) or own
    if ending(path) == ".npy":
        return read_ids(path, quoting) if mapped_npy(path).ndim == 1 else own_items(path, pool, quoting)
    x = pool.array if embeddings is None else embeddings.values
    column, named = _items_in(path, pool, None if x is None else int(x.shape[1]), quoting)
    if column is None:
        return read_ids(path, quoting)
    rows = _rows_of(path, names_of(pool, embeddings), quoting)
    if not named:  # names of items and texts do not look alike, but a short text may be a name by chance
        others = 2 * rows.count(-1) > len(rows)
        return own_items(path, pool, quoting) if others else read_ids(path, quoting)
    if -1 in rows:
        return own_items(path, pool, quoting)
    return _ids_or_items(name, path, column, pool, quoting)


def _labels_of_folders(path: Path, pool: Items, own: Items) -> ListedIds | None:
    """A folder with a folder of images for each class as ids and labels, if its images are images of the pool; else None."""
    index = index_of(pool.names)
    if not path.is_dir() or pool.kind != "images" or own.kind != "images" or index is None:
        return None
    rows = matched(own.names or (), index)
    ours, theirs = content_of(own), content_of(pool)
    if -1 in rows or ours is None or theirs is None or all("/" not in name for name in own.names or ()):
        return None
    return read_ids(path) if all(ours(place) == theirs(row) for place, row in enumerate(rows)) else None


def own_items(path: Path, pool: Items, quoting: Quoting | None = None) -> Items:
    """The items of a file; of a table with the columns that the pool's items are in, these columns."""
    table = open_table(path, quoting=quoting) if path.is_file() and ending(path) in TABLE_FILES else None
    column = ",".join(pool.columns) if table is not None and _has_items(table, pool) else None
    return items_of(open_pool(path, column=column, quoting=quoting))


def labels_of_items(path: Path, items: Items, quoting: Quoting | None = None) -> ListedIds | None:
    """The labels in a table that items were read from, of those that have one; None where there are none."""
    path = path.expanduser()
    if not path.is_file() or ending(path) not in TABLE_FILES:
        return None
    table = open_table(path, quoting=quoting)
    label = table.named(*LABELS)
    if label is None:
        return None
    cells = table.read([], [label], Runtime()).cells[0]
    names = items.names or [str(row) for row in range(len(items))]
    known = {name: text_in(table, cell) for name, cell in zip(names, cells, strict=True) if not is_no_text(cell)}
    return ListedIds(tuple(known), tuple(map(normal, known.values())), str(path)) if known else None


def _has_items(table: Table, pool: Items) -> bool:
    """Whether a table has the columns that the pool's items are in."""
    return bool(pool.columns) and all(name in table.kinds for name in pool.columns)


def names_of(pool: Items, embeddings: Column | None) -> Sequence[str]:
    """The ids of the items of a pool: those of its embeddings, else its own, else positions."""
    named = None if embeddings is None else embeddings.names
    return named or pool.names or [str(row) for row in range(len(pool))]


def content_of(items: Items) -> Callable[[int], bytes] | None:
    """Row -> bytes that are equal for equal items: for texts without regard to blanks, case and the encoding of accents."""
    content = items.content
    if items.kind != "texts" or content is None:
        return content
    return lambda row: _plain(content(row))


def _plain(content: bytes) -> bytes:
    text = unicodedata.normalize("NFC", content.decode(errors="surrogatepass")).casefold()
    return " ".join(unicodedata.normalize("NFC", text).split()).encode(errors="surrogatepass")


def _ids_or_items(name: str, path: Path, column: str, pool: Items, quoting: Quoting | None) -> ListedIds | Items:
    """A table of items whose ids the pool has too: a part of the pool, unless its items are others than those with these ids."""
    ids, own = read_ids(path, quoting), own_items(path, pool, quoting)
    numbered = all(id_.strip().isdecimal() for id_ in ids.names)
    ours, theirs = content_of(own), content_of(pool)
    if own.kind == pool.kind and ours is not None and theirs is not None:
        rows = ids.rows(index_of(pool.names), len(pool)).tolist()
        same = sum(ours(place) == theirs(row) for place, row in enumerate(rows))
        if same == len(rows) or (not numbered and (2 * same > len(rows) or not _share_items(own, pool))):
            return ids
        own.note = (
            f"{path.name} has ids of the pool, but {len(rows) - same:,} of its {len(rows):,} {own.kind} differ from the pool's, so "
            "it was read as items of its own"
        )
        return own
    if not numbered:
        return ids
    raise InvalidInput(
        f"{path}: expected ids of the pool or items of its own, but its ids are numbers that the pool has too, and it has the "
        f"column `{column}`. If these are items of the pool, keep the columns id and label only; otherwise give their embeddings "
        f"(--{name}-embeddings)"
    )


def _share_items(one: Items, other: Items) -> bool:
    """Whether an item of one set is in the other too."""
    ours, theirs = content_of(one), content_of(other)
    if ours is None or theirs is None:
        return False
    return not {ours(row) for row in range(len(one))}.isdisjoint(theirs(row) for row in range(len(other)))


def _items_in(path: Path, pool: Items, dims: int | None, quoting: Quoting | None) -> tuple[str | None, bool]:
    """The column that may hold items, or None; and whether the file has ids too."""
    if ending(path) == ".txt":
        return ("lines" if pool.kind == "texts" else None), False
    table = open_table(path, errors="surrogateescape", quoting=quoting)
    ids = table.named(ID) or (table.index if table.header else None)
    others = [name for name in table.columns if name not in (ids, *table.left_out) and name.lower() not in LABELS]
    column = pool.columns[0] if _has_items(table, pool) else _column_of_items(table, others, dims)
    if ids is None and column is not None and table.kinds[column] == "text" and pool.kind not in ("texts", "images"):
        column = None
    return column, ids is not None


def _column_of_items(table: Table, others: Sequence[str], dims: int | None) -> str | None:
    """The column of texts or images, if it has one of the usual names or is the only one; or the first column of embeddings."""
    lists = [name for name in others if table.kinds[name] == "list"]
    if lists or (
        dims is not None and 1 < dims == len(others) and all(table.kinds[name] == "number" for name in others)
    ):
        return (lists or others)[0]
    try:
        column = item_column(table)
    except InvalidInput:  # several columns of words, none with a usual name
        return None
    usual = column is not None and column.lower() in (*TEXTS, *IMAGE_PATHS)
    return column if usual or others == [column] else None


def _rows_of(path: Path, names: Sequence[str], quoting: Quoting | None) -> list[int]:
    """For each id in a file, its row in the pool, or -1; just [-1] if the file has no ids."""
    try:
        return matched(read_ids(path, quoting).names, index_of(names) or {})
    except InvalidInput:
        return [-1]

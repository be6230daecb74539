"""What the sets of an audit are given as: ids of the pool, or items of their own. The content of a file decides."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from distil.data.array_files import Column
from distil.data.array_formats import mapped_npy
from distil.data.file_readers import ending
from distil.data.headers import ID, IMAGE_PATHS, LABELS, TEXTS
from distil.data.ids import ID_FILES, ListedIds, index_of, matched, read_ids
from distil.data.items import Items, Minibatches, items_of
from distil.data.pools import item_column, open_pool
from distil.data.table_files import Table, open_table
from distil.errors import InvalidInput

Given = str | Path | ListedIds | Items | Minibatches


def given_set(name: str, given: Given, pool: Items, embeddings: Column | None = None) -> ListedIds | Items:
    """A set of an audit: ids of the pool, or items of its own.

    A table is a list of ids where it holds nothing else but labels, or where its ids are those of the pool and its items are the
    pool's. It is items of its own where they are others.

    Args:
        name: What the set is called, for messages.
        given: A path, or what was read of one.
        pool: The pool.
        embeddings: Of the pool, where it does not hold them.

    Raises:
        InvalidInput: Both may be meant: the ids are numbers, and the items cannot be compared with the pool's.
    """
    if isinstance(given, (Items, Minibatches)):
        return items_of(given)
    if isinstance(given, ListedIds):
        return given
    path = Path(os.path.expanduser(given))
    if ending(path) not in ID_FILES or not path.is_file():
        return items_of(open_pool(path))
    if ending(path) == ".npy":
        return read_ids(path) if mapped_npy(path).ndim == 1 else items_of(open_pool(path))
    x = pool.array if embeddings is None else embeddings.values
    column, named = _items_in(path, pool, None if x is None else int(x.shape[1]))
    if column is None:
        return read_ids(path)
    rows = _rows_of(path, names_of(pool, embeddings))
    if not named:
        return items_of(open_pool(path)) if set(rows) == {-1} else read_ids(path)
    if -1 in rows:
        return items_of(open_pool(path))
    return _told_apart(name, path, column, pool)


def names_of(pool: Items, embeddings: Column | None) -> Sequence[str]:
    """The ids by which the items of a pool are known: those of its embeddings, its own, or positions."""
    named = None if embeddings is None else embeddings.names
    return named or pool.names or [str(row) for row in range(len(pool))]


def _told_apart(name: str, path: Path, column: str, pool: Items) -> ListedIds | Items:
    """A table of items with ids, all of which the pool has: a part of the pool, unless they only count both."""
    ids, own = read_ids(path), items_of(open_pool(path))
    if not all(id_.strip().isdecimal() for id_ in ids.names):
        return ids
    if own.kind == pool.kind and own.content is not None and pool.content is not None:
        rows = ids.rows(index_of(pool.names), len(pool)).tolist()
        return ids if all(own.content(place) == pool.content(row) for place, row in enumerate(rows)) else own
    raise InvalidInput(
        f"{path}: its ids are numbers that the pool has too, and it holds `{column}` as well. If these are items of the pool, keep "
        f"the columns id and label only; if they are others, give their embeddings (--{name}-embeddings)"
    )


def _items_in(path: Path, pool: Items, dims: int | None) -> tuple[str | None, bool]:
    """The column of items that a file may hold, or None; and whether there are ids beside it."""
    if ending(path) == ".txt":
        return ("lines" if pool.kind == "texts" else None), False
    table = open_table(path, errors="surrogateescape")
    ids = table.named(ID) or (table.index if table.header else None)
    others = [name for name in table.columns if name not in (ids, *table.left_out) and name.lower() not in LABELS]
    column = _column_of_items(table, others, dims)
    if ids is None and column is not None and table.kinds[column] == "text" and pool.kind not in ("texts", "images"):
        column = None
    return column, ids is not None


def _column_of_items(table: Table, others: Sequence[str], dims: int | None) -> str | None:
    """The column of texts or images, if it is called as such or alone; or the first one of embeddings."""
    lists = [name for name in others if table.kinds[name] == "list"]
    if lists or (
        dims is not None and 1 < dims == len(others) and all(table.kinds[name] == "number" for name in others)
    ):
        return (lists or others)[0]
    try:
        column = item_column(table)
    except InvalidInput:  # several columns of words, none of which is called as texts are
        return None
    usual = column is not None and column.lower() in (*TEXTS, *IMAGE_PATHS)
    return column if usual or others == [column] else None


def _rows_of(path: Path, names: Sequence[str]) -> list[int]:
    """The rows of the pool that a file names as ids, -1 where it has no such id."""
    try:
        return matched(read_ids(path).names, index_of(names) or {})
    except InvalidInput:
        return [-1]

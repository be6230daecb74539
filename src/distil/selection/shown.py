"""What a file of picks shows of each example to the person who labels it: its text, its file, or columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from distil.data.columns import Table
from distil.data.file_readers import ending, existing
from distil.data.headers import ID, is_no_text
from distil.data.ids import index_of, matched, text_in
from distil.data.items import Items
from distil.data.table_files import TABLE_FILES, Quoting, open_table
from distil.errors import InvalidInput
from distil.selection.request import Arrays
from distil.system.runtime import Runtime

Shown = Mapping[str, Callable[[int], str]]
"""Name of a column -> function from the row of an example to its cell."""

_PREVIEW: Final = 200  # characters
_TAKEN: Final = ("rank", "id", "score", "why", "label", "preview")


def preview(items: Items, arrays: Arrays) -> Shown:
    """The column ``preview``: the begin of a text, on one line, or the path of an image; none if the ids say it already."""
    of = items.shown
    if of is None:
        return {}
    index = {items.name(row): row for row in range(len(items))}
    rows = [index[arrays.name(row)] for row in range(len(arrays))]
    if all(of(row) == items.name(row) for row in rows):
        return {}
    return {"preview": lambda row: _short(of(rows[row]))}


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _PREVIEW else f"{line[: _PREVIEW - 1]}…"


def shown_columns(
    columns: Sequence[str], table: str | None, ids: str | None, arrays: Arrays, quoting: Quoting | None = None
) -> Shown:
    """Columns of tables, with complete cells.

    Args:
        columns: ``NAME``, a column of ``table``, or ``FILE#NAME``, a column of another one.
        table: The table of the pool; None or a file of another kind: only ``FILE#NAME`` is possible.
        ids: The column of ids in ``table``; default: ``id``.
        arrays: The arrays whose rows are shown. A table with ids is matched by them, one without has the same rows.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.

    Raises:
        InvalidInput: There is no such column or table, the table does not have the examples, or the picks have that column already.
    """
    found: dict[str, Callable[[int], str]] = {}
    for column in columns:
        file, separator, name = column.rpartition("#")
        if not separator and (table is None or ending(Path(table)) not in TABLE_FILES):
            raise InvalidInput(
                f"show: {name!r} is no column, because the pool is no table; name the table, as in texts.csv#{name}"
            )
        if name in found or name in _TAKEN:
            raise InvalidInput(
                f"show: the picks have a column {name!r} already; show each column once, and none of these names"
            )
        path = existing(Path(file if separator else table or "").expanduser())
        opened = open_table(path, (name, None if separator else ids), errors="surrogateescape", quoting=quoting)
        found[name] = _cells(opened, name, None if separator else ids, arrays)
    return found


def _cells(table: Table, name: str, ids: str | None, arrays: Arrays) -> Callable[[int], str]:
    own = ids or table.named(ID)
    rows = table.read([], [table.known(name), *([] if own is None else [table.known(own)])], Runtime())
    texts = ["" if is_no_text(cell) else text_in(table, cell) for cell in rows.cells[0]]
    if own is None:
        if len(texts) != len(arrays):
            raise InvalidInput(
                f"show: {table.path} has {len(texts):,} rows and the pool {len(arrays):,}; add a column id, by which "
                "they are matched"
            )
        return lambda row: texts[row]
    index = index_of([text_in(table, cell) for cell in rows.cells[1]]) or {}
    places = matched([arrays.name(row) for row in range(len(arrays))], index)
    missing = next((row for row, place in enumerate(places) if place < 0), None)
    if missing is not None:
        raise InvalidInput(f"show: {table.path} has no row with the id {arrays.name(missing)!r} of the pool")
    return lambda row: texts[places[row]]

"""Rows as tables: csv, JSON lines, Parquet and workbooks, and the tables of other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.data.cells import csv_text
from distil.errors import InvalidInput
from distil.labeling.events import ANSWERS, DECISION
from distil.labeling.items import Item
from distil.labeling.rows import Row
from distil.system.files import publish

if TYPE_CHECKING:
    from distil.data.columns import Table

ENDINGS = (".csv", ".jsonl", ".parquet", ".xlsx")


def label_records(rows: Sequence[Row], items: Mapping[str, Item]) -> list[dict[str, Any]]:
    """Records of labels: ``id``, ``text`` or ``file`` where the items have one, ``label``."""
    shown = contents([items[row.id] for row in rows])
    return [{"id": row.id, **content, "label": row.label} for row, content in zip(rows, shown, strict=True)]


def contents(items: Sequence[Item]) -> list[dict[str, str | None]]:
    """The columns ``text`` and ``file`` of items; a column that all lack is left out."""
    columns = {"text": [item.text for item in items], "file": [item.path for item in items]}
    kept = {name: cells for name, cells in columns.items() if any(cell is not None for cell in cells)}
    return [{name: cells[row] for name, cells in kept.items()} for row in range(len(items))]


def answer_records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Records of answers: ``id``, ``who`` (empty for a decision), ``answer``, ``label``, ``flagged``."""
    return [
        {"id": row.id, "who": row.who, "answer": row.answer, "label": row.label, "flagged": int(row.flagged)}
        for row in rows
    ]


def write_records(records: Sequence[dict[str, Any]], path: Path, *, force: bool = False) -> None:
    """Write records to a csv, JSON lines or Parquet file or a workbook by its ending: completely or not at all.

    Raises:
        InvalidInput: There are none, a text cannot be written in this format, or there is a file with other content.
    """
    if not records:
        raise InvalidInput(f"{path} was not written: there is nothing to export yet")
    try:
        content = _WRITERS[path.suffix.lower()](records, path.name)
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{path}: a text holds bytes that are not UTF-8, which only .jsonl keeps: {error}"
        ) from error
    publish(path, content, force=force)


def _as_csv(records: Sequence[dict[str, Any]], name: str) -> bytes:
    most = csv.field_size_limit()
    long = next((cell for row in records for cell in row.values() if isinstance(cell, str) and len(cell) > most), None)
    if long is not None:
        raise InvalidInput(
            f"{name} was not written: the text {long!r:.60} has {len(long):,} characters, and readers of csv take at most {most:,} "
            "in a cell; write .jsonl or .parquet"
        )
    return csv_text([list(records[0]), *(list(record.values()) for record in records)], name).encode(
        errors="surrogateescape"
    )


def _as_jsonl(records: Sequence[dict[str, Any]], name: str) -> bytes:  # noqa: ARG001 - the table's signature
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _as_parquet(records: Sequence[dict[str, Any]], name: str) -> bytes:  # noqa: ARG001
    from distil.system.imports import optional

    arrow, parquet = (optional(name, "writing Parquet") for name in ("pyarrow", "pyarrow.parquet"))
    columns = {name: [record[name] for record in records] for name in records[0]}
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns), buffer)
    return buffer.getvalue()


def _as_xlsx(records: Sequence[dict[str, Any]], name: str) -> bytes:
    from distil.labeling.workbook_sheets import as_table

    return as_table([list(records[0]), *(list(record.values()) for record in records)], name)


_WRITERS = {".csv": _as_csv, ".jsonl": _as_jsonl, ".parquet": _as_parquet, ".xlsx": _as_xlsx}


# --------------------------------------------------------------------------------------------------------------- reading


def read_rows(path: Path) -> list[Row]:
    """The rows of a table that ``write_records`` wrote, or of a table of another program with ids and labels.

    Args:
        path: A table, or a folder with a folder of images for each class; see :func:`distil.data.ids.read_ids`.

    Raises:
        InvalidInput: There are no labels in it, or it is damaged.
    """
    from distil.data.file_readers import existing
    from distil.data.headers import IMAGE_PATHS, LABELS
    from distil.data.ids import read_ids
    from distil.data.table_files import open_table

    if path.is_dir() or path.suffix.lower() in (".txt", ".npy"):
        return _listed(read_ids(path), path)
    table = open_table(existing(path), ("id",), errors="surrogateescape")
    own, label = table.named("id", "file_name", *IMAGE_PATHS), table.named(*LABELS)
    who, answer = table.named("who"), table.named("answer")
    if answer is not None and who is not None and table.named("key") is not None:
        raise InvalidInput(f"{path} is a sheet of `distil next`; record it with `distil answer`")
    if own is not None and label is not None and who is not None and answer is not None:
        flagged = table.known("flagged")
        return [_answer(table, place, cells) for place, cells in cells_of(table, [own, who, answer, label, flagged])]
    if own is None or label is None:
        return _listed(read_ids(path), path)
    rows = [(cells[0], cells[1]) for _, cells in cells_of(table, [own, label])]
    return [Row(item, label or None, "label" if label else None) for item, label in rows]


def cells_of(table: Table, columns: Sequence[str]) -> list[tuple[int, list[str]]]:
    """The place of each row of a table, and its cells in some columns as texts; missing cells are empty texts."""
    from distil.data.headers import is_no_text
    from distil.data.ids import text_in
    from distil.system.runtime import Runtime

    rows = table.read([], columns, Runtime())
    return [
        (place, ["" if is_no_text(value) else text_in(table, value) for value in cells])
        for place, *cells in zip(rows.places, *rows.cells, strict=True)
    ]


def _answer(table: Table, place: int, cells: Sequence[str]) -> Row:
    item, who, answer, label, flagged = cells
    if answer not in ("", "decide", *ANSWERS):
        raise InvalidInput(
            f"{table.where(place)}: expected label, skip, unsure, decide or nothing as the answer, got {answer!r}"
        )
    if (answer == "decide") != (who == DECISION) or (answer in ("label", "decide")) != bool(label):
        raise InvalidInput(f"{table.where(place)}: answer, who and label do not fit together; a decision has no person")
    return Row(item, label or None, answer or None, who, flagged not in ("", "0"))


def _listed(ids: Any, path: Path) -> list[Row]:  # noqa: ANN401 - ListedIds
    if ids.labels is None:
        raise InvalidInput(f"{path} has no labels; expected the columns id and label")
    found = ids.answered()
    return [Row(item, label) for item, label in zip(found.names, found.labels, strict=True)]

"""Decisions on items: sheets of those that need one, and reading them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from distil.errors import InvalidInput
from distil.labeling.events import DECISION
from distil.labeling.items import Item
from distil.labeling.project import Project
from distil.labeling.recording import no_class
from distil.labeling.rows import Imported, Row, import_rows
from distil.labeling.spreadsheets import ClassNames, are_typed, meant
from distil.labeling.table_rows import cells_of, contents, write_records
from distil.labeling.truth import Truth

COLUMN: Final = "decision"


@dataclass(frozen=True)
class Undecided:
    """An item that needs a decision.

    Attributes:
        item: The item.
        truth: What people say about it.
    """

    item: Item
    truth: Truth

    @property
    def why(self) -> str:
        """``tied``, ``flagged`` or both."""
        return ", ".join(word for word, holds in (("tied", self.truth.tied), ("flagged", self.truth.flagged)) if holds)

    @property
    def answers(self) -> str:
        """What each person said, in words."""
        said = {**self.truth.votes, **self.truth.others}
        return "; ".join(f"{who}: {said[who]}" for who in sorted(said))


def undecided(project: Project) -> list[Undecided]:
    """The items that need a decision and have none: those whose labels tie, and flagged ones."""
    found = {
        item: truth for item, truth in project.truths().items() if (truth.tied or truth.flagged) and not truth.decided
    }
    return [Undecided(item, found[item.id]) for item in project.items(found)]


def write_undecided(project: Project, path: str | Path) -> int:
    """Write the items that need a decision to a table, with an empty column ``decision`` to fill in; returns their number.

    The other columns are ``id``, ``text`` or ``file`` where the items have one, ``why`` and ``answers``.

    Args:
        project: The project.
        path: The file, ``.csv``, ``.jsonl``, ``.parquet`` or ``.xlsx``, which must not exist.

    Raises:
        InvalidInput: The file exists, or no item needs a decision.
    """
    path, rows = Path(path).expanduser(), undecided(project)
    if path.exists():
        raise InvalidInput(f"{path} exists, and may hold decisions; choose another name")
    if not rows:
        raise InvalidInput(f"{path} was not written: no item needs a decision; no labels tie, and no item is flagged")
    shown = zip(rows, contents([row.item for row in rows]), strict=True)
    records = [
        {"id": row.item.id, **content, "why": row.why, "answers": row.answers, COLUMN: None} for row, content in shown
    ]
    write_records(records, path)
    return len(rows)


def decide_sheet(project: Project, path: str | Path, who: str) -> Imported:
    """Record the column ``decision`` of a table with the column ``id``; a decision that the project has already is never changed.

    Ids of items that need or have a decision, and classes, are understood as spreadsheets write them too.

    Args:
        project: The project.
        path: The table.
        who: The person who decides.

    Raises:
        InvalidInput: A column is missing, a decision is no class of the project, an id may be that of two items, or none of the ids
            is that of an item; nothing is recorded then.
    """
    from distil.data.file_readers import existing
    from distil.data.table_files import open_table

    table = open_table(existing(Path(path).expanduser()), (COLUMN,), errors="surrogateescape")
    known = ClassNames(project.known_classes)
    listed = {item for item, truth in project.truths().items() if truth.tied or truth.flagged or truth.decided}
    ids, rows = set(project.ids()), []
    found = cells_of(table, [table.known("id"), table.known(COLUMN)])
    typed = COLUMN not in table.retyped or (table.escaped and are_typed(cells[1].strip() for _, cells in found))
    for place, (item, label) in found:
        label = label.strip()
        try:
            name = known.in_spreadsheets(label, typed=typed)
        except InvalidInput as error:
            raise InvalidInput(f"{table.where(place)}: {error}") from None
        if label and name is None:
            raise InvalidInput(f"{table.where(place)}: {no_class(label, project.classes)}")
        written = meant(item, listed) if label and item not in listed else None
        if written is not None and item in ids:
            raise InvalidInput(
                f"{table.where(place)}: {item!r} is an item, and what a spreadsheet makes of the item {written!r}; "
                "decide the one that is meant by itself (--item), and take the row out"
            )
        rows.append(Row(written or item, name, "decide" if label else None, DECISION))
    return import_rows(project, rows, who)

"""Sheets: items to label in a spreadsheet, without a page."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from distil.data.cells import unescaped
from distil.data.workbooks import LONGEST
from distil.errors import InvalidInput, nearest
from distil.labeling.events import Event, Shown
from distil.labeling.handing_out import Selector, hand_out
from distil.labeling.items import NO_ITEMS, Item
from distil.labeling.project import Project
from distil.labeling.recording import no_class
from distil.labeling.server.excerpts import excerpt
from distil.labeling.spreadsheets import ClassNames, are_typed, is_spreadsheet_form, meant
from distil.labeling.table_rows import cells_of, contents, write_records
from distil.labeling.workbook_sheets import as_workbook
from distil.system.files import FAULTS_OF_FILES, publish, replacing
from distil.system.imports import optional

WORDS = ("skip", "unsure", "flag")
"""What the column ``answer`` of a sheet may hold."""

_KEPT = "sheets"
_FAULTS = 10  # rows that a message names
_COLUMNS = ("id", "label", "answer", "who", "key")


@dataclass(frozen=True)
class Answered:
    """What became of the rows of a sheet.

    Attributes:
        recorded: Number of rows whose answers were recorded.
        duplicates: Number of rows that were recorded before.
        blank: Number of rows without an answer, which stay with the person.
        changed: The ids of rows that were recorded before with another answer, or for another person; the first one was kept.
        repeated: Number of further copies of rows in the sheet; they are in none of the other numbers.
        note: A sentence on the sheets of a workbook that were not read; empty if there are none.
    """

    recorded: int
    duplicates: int
    blank: int
    changed: tuple[str, ...]
    repeated: int
    note: str = ""


def write_sheet(
    project: Project,
    path: str | Path,
    who: str,
    n: int,
    selector: Selector,
    *,
    ties: bool = False,
    check: bool = False,
    shown: Mapping[str, Shown] | None = None,
) -> list[str]:
    """Hand out items to a person as a csv file or a workbook to fill in; returns their ids, at most ``n``.

    The columns are ``id``; ``text`` or ``file``, where the items have one; ``label`` and ``answer``, to fill in; ``who``; and
    ``key``, by which each row counts once. A workbook also has a column ``picture``, if the items are images, and
    lists of the classes and answers to pick from. Texts of more than 32,767 characters are cut. The items stay with the person
    until the sheet is answered or they are released.

    Args:
        project: The project.
        path: The file, ``.csv`` or ``.xlsx``, which must not exist.
        who: The name of the person.
        n: The number of items.
        selector: The order of the items that are not queued.
        ties: Hand out only items whose labels tie, once more.
        check: Hand out only what the selector gives, also items that were answered; see :func:`hand_out`.
        shown: By id, what goes into the record with the answer to an item; read after the selector ran. The project keeps it
            until then, in the folder ``sheets``: a person who fills in a sheet is to see no guess.

    Raises:
        InvalidInput: The file exists, the project has no items, or none may be handed out to this person.
        MissingPackage: The file is a workbook and openpyxl is not installed.
    """
    path = Path(path).expanduser()
    if path.exists():
        raise InvalidInput(f"{path} exists, and may hold answers; choose another name")
    if not project.ids():
        raise InvalidInput(NO_ITEMS)
    if path.suffix.lower() == ".xlsx":
        optional("openpyxl", f"writing {path.name}")  # before a model is fitted
    sheet = f"{project.id}.{uuid.uuid4().hex[:16]}"
    written = False
    try:
        with project.together():  # the items are with the person once there is a sheet
            ids = hand_out(project, who, n, selector, tab=sheet, lasting=True, ties=ties, check=check)
            if not ids:
                what = "item whose labels tie" if ties else "item"
                why = "none is left, or other people have them" if check else "all are answered, or with other people"
                raise InvalidInput(f"there is no {what} to hand out to {who}: {why}")
            _keep(project, sheet, {item: shown[item] for item in ids if item in shown} if shown else {})
            _write(project, path, sheet, project.items(ids), who)
            written = True
    except BaseException:
        if not (written and project.leased(who, sheet)):  # else an interrupt came just after the items were handed out
            _kept(project, sheet).unlink(missing_ok=True)
            if written:  # the disk was full when the items were to be handed out
                path.unlink()
        raise
    return ids


def _write(project: Project, path: Path, sheet: str, items: Sequence[Item], who: str) -> None:
    records = _records(sheet, items, who)
    if path.suffix.lower() == ".xlsx":
        choices = {"label": project.classes, "answer": WORDS}
        publish(path, as_workbook(records, items, choices, path.name))
    else:
        write_records([record | _cut_text(record) for record in records], path)


def _keep(project: Project, sheet: str, shown: Mapping[str, Shown]) -> None:
    """Keep what goes into the record with the answers of a sheet."""
    if shown:
        (project.path / _KEPT).mkdir(exist_ok=True)
        with replacing(_kept(project, sheet)) as temporary:
            temporary.write_text(json.dumps({item: asdict(each) for item, each in shown.items()}))


def _kept(project: Project, sheet: str) -> Path:
    return project.path / _KEPT / f"{sheet.rpartition('.')[2]}.json"


def _records(sheet: str, items: Sequence[Item], who: str) -> list[dict[str, Any]]:
    blank = {"label": None, "answer": None, "who": who}
    return [
        {"id": item.id, **content, **blank, "key": _key(sheet, item.id)}
        for item, content in zip(items, contents(items), strict=True)
    ]


def _cut_text(record: Mapping[str, Any]) -> dict[str, str]:
    """The text of a row, if it has one, as long as a cell may be: readers of csv refuse longer ones, which spreadsheets split."""
    text = record.get("text")
    return {} if text is None else {"text": excerpt(text, LONGEST - 1)}


def _key(sheet: str, item: str) -> str:
    """The key of a row: that of the sheet, and a hash of the id, so that a column sorted by itself is noticed."""
    return f"{sheet}.{_hash(item)}"


def _hash(item: str) -> str:
    return hashlib.blake2b(item.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def answer_sheet(project: Project, path: str | Path, *, new_classes: bool = False) -> Answered:
    """Record the answers in a sheet. Rows without one stay with the person, and rows that were recorded before count once.

    Args:
        project: The project that wrote the sheet.
        path: The sheet, as csv, a workbook or another table.
        new_classes: Whether labels that are no class yet become classes.

    Raises:
        InvalidInput: It is not a sheet of this project, or a row holds an unknown class or word; nothing is recorded then, and the
            message names the first rows.
    """
    from distil.data.file_readers import existing
    from distil.data.table_files import open_table

    table = open_table(existing(Path(path).expanduser()), ("key",), errors="surrogateescape")
    columns = [name for name in _COLUMNS if table.named(name) is not None]
    if len(columns) < len(_COLUMNS):
        if any({*_COLUMNS} <= set(row) for row in zip(*table.sample.values(), strict=False)):
            raise InvalidInput(
                f"{path}: the names of the columns ({', '.join(_COLUMNS)}) are below other rows; remove the title and other rows "
                "above them"
            )
        has = "; ".join(filter(None, (f"it has {', '.join(table.columns[:20]) or 'none'}", table.remark)))
        raise InvalidInput(
            f"{path} lacks columns of a sheet ({has}); `distil next` writes sheets, and "
            "`distil project import` reads other tables with ids and labels"
        )
    shown = [name for name in table.columns if name in ("text", "file")][:1]
    found = cells_of(table, [*map(table.known, columns), *shown])
    typed = columns[1] not in table.retyped or (table.escaped and are_typed(cells[1].strip() for _, cells in found))
    rows = _Sheet(project, new_classes, typed)
    faults = []
    for place, cells in found:
        try:
            if any(map(str.strip, cells)):  # programs add blank rows at the end
                rows.read(*cells)
        except InvalidInput as error:
            faults.append(f"{table.where(place)}: {error}")
    if faults:
        more = f"\n... and {len(faults) - _FAULTS:,} more rows" if len(faults) > _FAULTS else ""
        raise InvalidInput("\n".join(faults[:_FAULTS]) + more)
    return replace(_recorded(project, rows), note=table.remark)


class _Sheet:
    """The rows of a sheet, read with the ids and classes of its project."""

    def __init__(self, project: Project, new_classes: bool, typed: bool) -> None:
        self._project, self._new_classes, self._typed = project, new_classes, typed
        self._known = ClassNames({name: name for name in project.known_classes})
        self._by_hash = {_hash(name): name for name in project.ids()}
        self._ids = set(self._by_hash.values())
        self._people = {who for _, who in (*project.leases(), *project.answers())}
        self.answers: dict[str, tuple[str, list[Event]]] = {}  # by key, the id and the events of a row
        self.repeated = 0
        self.classes: dict[str, Event] = {}
        self._shown: dict[str, dict[str, Shown]] = {}

    def read(self, name: str, label: str, answer: str, who: str, key: str, content: str = "") -> None:
        """Take a row, given its cells."""
        key, who = key.strip(), self._person(who.strip())
        item, word, label = self._item(name, key, content), answer.strip().lower(), label.strip()
        if word not in ("", *WORDS):
            known = ", ".join(WORDS)
            raise InvalidInput(f"expected {known} or nothing as the answer, got {answer!r}{nearest(word, WORDS)}")
        if label and word in ("skip", "unsure"):
            raise InvalidInput(f"got the label {label!r} and {word}; keep one of them")
        if (label or word) and not who:
            raise InvalidInput("the column who is blank; fill in the name of the person who answered")
        events = []
        if label:
            shown, known = self._shown_with(item, key), self._class(label, who)
            events.append(Event(kind="label", who=who, key=key, item=item, label=known, shown=shown))
        elif word in ("skip", "unsure"):
            events.append(Event(kind=word, who=who, key=key, item=item, shown=self._shown_with(item, key)))
        if word == "flag":
            events.append(Event(kind="flag", who=who, key=f"{key}.flag", item=item))
        for event in events:
            event.check()
        earlier = self.answers.get(key)
        if earlier is not None:
            self.repeated += 1
            if events and earlier[1] and earlier[1] != events:
                raise InvalidInput(f"an earlier row gives {item!r} another answer; keep one of the two rows")
        if earlier is None or not earlier[1]:
            self.answers[key] = item, events

    def _person(self, cell: str) -> str:
        """The name of a person: that of the cell, or the one known person of whom a spreadsheet makes it."""
        return cell if cell in self._people else meant(cell, self._people) or cell

    def _item(self, name: str, key: str, content: str) -> str:
        """The id of the item of a row: the key says it, and the cell must be that id, or what a spreadsheet makes of it."""
        item = self._by_hash.get(key.rpartition(".")[2]) if key.startswith(self._project.id) else None
        if item is None or not is_spreadsheet_form(name, item):
            raise InvalidInput(
                f"{name!r} and the key {key!r:.80} do not belong together in this project; fill in a sheet without moving cells of "
                "other columns"
            )
        if name != item and name in self._ids and not self._has_content_of(item, name, content):
            raise InvalidInput(
                f"the id {name!r} may be the item {name!r} or {item!r}, of which a spreadsheet program makes {name!r}; by its "
                f"key, the row is {item!r}: write that as its id, as text, or ask for a workbook (--out sheet.xlsx), which keeps "
                "ids as they are"
            )
        return item

    def _has_content_of(self, item: str, other: str, cell: str) -> bool:
        """Whether the text or file in a row is that of an item, and not that of the other one."""
        own, others = (
            [_in_one_line(text) for cells in contents(self._project.items([each])) for text in cells.values() if text]
            for each in (item, other)
        )
        seen = {_in_one_line(cell), _in_one_line(unescaped(cell))}
        return bool(seen & set(own)) and not seen & set(others)

    def _shown_with(self, item: str, key: str) -> Shown | None:
        """What the project kept for the record of an answer; None where the file is gone."""
        sheet = key.rpartition(".")[0]
        if sheet not in self._shown:
            try:
                kept = json.loads(_kept(self._project, sheet).read_text())
                self._shown[sheet] = {name: Shown(**each) for name, each in kept.items()}
            except FAULTS_OF_FILES:
                self._shown[sheet] = {}
        return self._shown[sheet].get(item)

    def _class(self, label: str, who: str) -> str:
        """The name of a class; a new one if these are allowed."""
        known = self._known.in_spreadsheets(label, typed=self._typed)
        if known is None:
            if not self._new_classes:
                raise InvalidInput(
                    f"{no_class(label, self._project.classes)}; correct the label, or allow new classes (--new-classes)"
                )
            known = self._known.add(label)
            self.classes[label] = Event(kind="class_add", who=who, label=label)
        return known


def _in_one_line(text: str) -> str:
    """A text as it is compared with a cell of a sheet: without line ends, which spreadsheets change, and as long as a cell."""
    return " ".join(excerpt(text, LONGEST - 1).split())


def _recorded(project: Project, sheet: _Sheet) -> Answered:
    """Record what the record does not have yet."""
    rows = list(sheet.answers.values())
    before = project.keys_recorded(event.key for _, events in rows for event in events)
    changed = [item for item, events in rows if any(_differ(before.get(event.key, event), event) for event in events)]
    skipped = set(changed)
    new = [events for item, events in rows if item not in skipped and any(event.key not in before for event in events)]
    blank = sum(not events for _, events in rows)
    project.record_all([*sheet.classes.values(), *(event for events in new for event in events)])
    return Answered(len(new), len(rows) - blank - len(new) - len(changed), blank, tuple(changed), sheet.repeated)


def _differ(recorded: Event, read: Event) -> bool:
    """Whether a row has another answer than the record; what was shown with it does not matter."""
    return replace(recorded, shown=None) != replace(read, shown=None)

"""Labels that leave or enter a project, whatever the format: one row for each label or answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from distil.data.ids import composed, matched, normal
from distil.errors import InvalidInput
from distil.labeling.events import DECISION, Event
from distil.labeling.fold import Answer
from distil.labeling.project import Project
from distil.labeling.spreadsheets import ClassNames


@dataclass(frozen=True)
class Row:
    """A label of an item, or what one person says about it.

    Attributes:
        id: The id of the item.
        label: The name of a class; None without a label.
        answer: ``label``, ``skip``, ``unsure`` or ``decide``; None where only the flag is set, or nothing is said.
        who: The person; ``""`` for a decision; None for the label of an item without a person.
        flagged: Whether the person flagged the item.
    """

    id: str
    label: str | None
    answer: str | None = "label"
    who: str | None = None
    flagged: bool = False


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        recorded: Number of answers that were recorded.
        known: Number of rows that say what the project has already.
        conflicts: The id, what the project has, and what the row says, of each row that contradicts the project and changed
            nothing.
        unknown: The ids that no item has.
        blank: Number of rows without an answer.
        classes: The classes that were added.
        refused: For each record that could not be read, why.
    """

    recorded: int
    known: int = 0
    conflicts: tuple[tuple[str, str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    blank: int = 0
    classes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def labels_of(project: Project) -> list[Row]:
    """The label of each item that has one, in the order in which the items were added."""
    labels = project.labels()
    return [Row(item.id, labels[item.id]) for item in project.items() if item.id in labels]


def answers_of(project: Project) -> list[Row]:
    """All answers that count, of all people, and the decisions."""
    return [
        Row(item, answer.label, answer.kind, who, answer.flagged)
        for (item, who), answer in project.state().answers.items()
    ]


def import_rows(project: Project, rows: Iterable[Row], who: str, refused: Sequence[str] = ()) -> Imported:
    """Record what rows say where the project has nothing yet; what people said before is never changed.

    A row without a person is recorded as an answer of ``who`` if its item has no label yet. Labels that are no class yet become
    classes. Everything is recorded in one transaction.

    Args:
        project: The project.
        rows: The rows.
        who: The name under which labels without a person and decisions are recorded.
        refused: For each record that could not be read as a row, why; for the report.

    Raises:
        InvalidInput: None of the ids is that of an item, or a label cannot be the name of a class.
    """
    rows = list(rows)
    names = [item.id for item in project.items()]
    places = matched([row.id for row in rows], {name: place for place, name in enumerate(names)})
    found = [(names[place], row) for place, row in zip(places, rows, strict=True) if place >= 0]
    unknown = [row.id for place, row in zip(places, rows, strict=True) if place < 0]
    if unknown and not found:
        raise InvalidInput(
            f"none of the {len(rows)} ids is that of an item: {', '.join(map(repr, unknown[:3]))}; the items are "
            f"{', '.join(map(repr, names[:3])) or 'none: add a source first'}"
        )
    return _Import(project, who).record(found, unknown, refused)


_TIE: Final = "several labels"


class _Import:
    """The rows of one import, compared with what the project has."""

    def __init__(self, project: Project, who: str) -> None:
        self._project, self._who = project, who
        self._answers = dict(project.state().answers)
        said = project.truths().items()
        self._labels = {item: truth.label or _TIE for item, truth in said if truth.votes or truth.decided}
        self._classes = ClassNames(project.known_classes)
        self._known = 0
        self._conflicts: list[tuple[str, str, str]] = []

    def record(self, found: Iterable[tuple[str, Row]], unknown: Sequence[str], refused: Sequence[str]) -> Imported:
        """Record the rows, each with the id of its item."""
        self._keep_apart([row for _, row in found])
        events, blank = [], 0
        for item, row in found:
            if row.answer is None and not row.flagged:
                blank += 1
            else:
                events += self._events(item, row)
        classes = self._project.classes
        new = list(
            dict.fromkeys(event.label for event in events if event.label is not None and event.label not in classes)
        )
        self._project.record_all([*(Event(kind="class_add", who=self._who, label=name) for name in new), *events])
        answers = sum(event.kind != "flag" for event in events)
        return Imported(answers, self._known, tuple(self._conflicts), tuple(unknown), blank, tuple(new), tuple(refused))

    def _keep_apart(self, rows: Sequence[Row]) -> None:
        """Let new labels that rows write in several forms, such as 1 and 1.0, be classes of their own."""
        forms: dict[str, dict[str, None]] = {}
        for label in [row.label for row in rows if row.label is not None and row.who is None]:
            if self._classes.find(label) is None:
                forms.setdefault(normal(label), {})[composed(label)] = None
        for name in (name for names in forms.values() if len(names) > 1 for name in names):
            self._classes.add(name)

    def _events(self, item: str, row: Row) -> list[Event]:
        """What a row adds to the project; nothing for what is known or contradicts it."""
        if row.label is not None:  # other programs change blanks, accents, and 7 to 7.0
            new = normal if row.who is None else composed  # the formats that name people keep labels as they are
            row = replace(row, label=self._classes.find(row.label) or self._classes.add(new(row.label)))
        if row.who is None and row.label is not None and item in self._labels:
            self._compare(item, self._labels[item], row.label)
            return []
        who = self._who if row.who is None else row.who
        before = self._answers.get((item, who), Answer(None, None, False))
        now = Answer(
            before.kind or row.answer, before.label if before.kind else row.label, before.flagged or row.flagged
        )
        self._answers[item, who] = now
        if row.who is None and row.label is not None:
            self._labels[item] = row.label
        if before.kind is not None and row.answer is not None:
            self._compare(item, before.label or before.kind, row.label or row.answer)
        by = self._who if who == DECISION else who
        events = []
        if before.kind is None and row.answer is not None:
            events.append(Event(kind=row.answer, who=by, item=item, label=row.label))
        if row.flagged and not before.flagged:
            events.append(Event(kind="flag", who=by, item=item))
        return events

    def _compare(self, item: str, has: str, says: str) -> None:
        if has == says:
            self._known += 1
        else:
            self._conflicts.append((item, has, says))

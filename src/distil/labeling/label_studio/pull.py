"""Answers from Label Studio into a project: new ones, edited ones and deleted ones, each once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, NamedTuple

from distil.errors import InvalidInput, counted
from distil.labeling.events import ANSWERS, Event
from distil.labeling.label_studio.annotations import Annotation, Reader, number_of
from distil.labeling.label_studio.remote import Remote, Task
from distil.labeling.project import Project

WHO: Final = "label-studio"
"""The name under which items are handed out to Label Studio, and under which deletions are recorded."""


@dataclass(frozen=True)
class Pulled:
    """What a pull did.

    Attributes:
        recorded: Number of answers that were recorded, new and edited ones.
        known: Number of answers that the project had already.
        withdrawn: Number of answers that were withdrawn, because their annotations were deleted.
        classes: The classes that were added.
        refused: For each annotation that holds no answer, the task and the reason.
        open: Number of tasks that wait for an answer.
    """

    recorded: int
    known: int
    withdrawn: int
    classes: tuple[str, ...]
    refused: tuple[str, ...]
    open: int

    @property
    def notes(self) -> list[str]:
        """Sentences on what a pull added besides answers, and on what it left out."""
        lines = [f"new classes: {', '.join(self.classes)}"] if self.classes else []
        if self.refused:
            lines.append(f"{counted(len(self.refused), 'annotation')} without an answer; the first: {self.refused[0]}")
        return lines


def pull(project: Project, remote: Remote, *, new_classes: bool = False) -> Pulled:
    """Record what people answered in Label Studio since the last time, in one transaction.

    An edited annotation is a new answer, and that of a deleted annotation is withdrawn. If a whole task was deleted, its answers
    stay. Of several annotations of one person to one item, the one changed last counts.

    Args:
        project: The project, of which this process is the only writer.
        remote: Its project in Label Studio.
        new_classes: Whether choices that are no class yet become classes.

    Raises:
        RunError: Label Studio does not answer, or nothing could be recorded.
    """
    remote.refresh()
    tasks = remote.tasks()
    reader = Reader(
        {item.id for item in project.items()}, project.known_classes, remote.people(), new_classes, remote.shows_predictions
    )  # fmt: skip
    found, live, refused = _read(tasks, reader)
    record = _Record(project, remote.mark)
    answers = [record.answer(annotation) for annotation in _last(found)]
    new = [event for event in answers if event is not None]
    present = {(annotation.item, annotation.who) for annotation in found}
    gone = record.deleted({task.item for task in tasks}, live, present)
    classes = [Event(kind="class_add", who=WHO, label=name) for name in reader.added]
    project.record_all([*classes, *new, *gone])
    _release(project, remote, tasks)
    return Pulled(
        recorded=len(new),
        known=len(answers) - len(new),
        withdrawn=len(gone),
        classes=tuple(reader.added),
        refused=tuple(refused),
        open=len(open_tasks(project, tasks)),
    )


def open_tasks(project: Project, tasks: Iterable[Task]) -> list[Task]:
    """The tasks whose items need more answers, and are not gone."""
    done = _done(project)
    wanted = {item.id for item in project.items() if not item.gone and item.id not in done}
    return [task for task in tasks if task.item in wanted]


def _done(project: Project) -> set[str]:
    """The items that as many people answered as are to, also where their labels tie, or that were decided."""
    copies = project.copies
    return {item for item, truth in project.truths().items() if truth.decided or truth.answers >= copies}


def _release(project: Project, remote: Remote, tasks: Sequence[Task]) -> None:
    """Take back the items that need no further answer from Label Studio, or that it does not have."""
    keep = {task.item for task in tasks} - _done(project)
    project.release([item for item in project.leased(WHO, remote.mark) if item not in keep], WHO, WHO)


def _read(tasks: Iterable[Task], reader: Reader) -> tuple[list[Annotation], set[int], list[str]]:
    """The answers in tasks; the numbers of all annotations; and why some hold no answer."""
    found, live, refused = [], set(), []
    for task in tasks:
        for document in task.annotations:
            try:
                live.add(number_of(document))
                found.append(reader.read(task, document))
            except InvalidInput as error:
                number = document.get("id") if isinstance(document, dict) else None
                refused.append(f"task {task.id} ({task.item}), annotation {number}: {error}")
    return found, live, refused


def _last(found: Iterable[Annotation]) -> list[Annotation]:
    """The last answer of each person to each item, by the time of the change; in the order of the changes."""
    last: dict[tuple[str, str], Annotation] = {}
    for annotation in sorted(found, key=lambda each: (each.at, each.id)):
        last.pop((annotation.item, annotation.who), None)
        last[annotation.item, annotation.who] = annotation
    return list(last.values())


class _Said(NamedTuple):
    """The last answer of a person to an item that came from Label Studio, if nothing else came after it."""

    annotation: int
    at: str
    withdrawn: bool


class _Record:
    """What a project recorded from one project in Label Studio.

    The key of an answer is made from the number of its annotation and the time of its last change, so that it counts once.
    """

    def __init__(self, project: Project, mark: str) -> None:
        self._prefix = f"label-studio:{mark}:"
        self._own = re.compile(rf"{self._prefix}(\d+):([\dT.]+)(:\d+)?")
        self._keys: set[str] = set()
        self._said: dict[tuple[str, str], _Said | None] = {}
        for _, _, sent in project.sent():
            if sent["kind"] in (*ANSWERS, "withdraw"):
                self._remember(sent)

    def _remember(self, sent: Mapping[str, Any]) -> None:
        own = self._own.fullmatch(sent["key"])
        if own is not None:
            self._keys.add(sent["key"])
        said = None if own is None else _Said(int(own[1]), own[2], sent["kind"] == "withdraw")
        self._said[sent["item"], sent.get("of", sent["who"])] = said

    def answer(self, annotation: Annotation) -> Event | None:
        """The event that makes this the answer of its person; None if it was recorded and nothing of Label Studio replaced it."""
        key = f"{self._prefix}{annotation.id}:{annotation.at}"
        if key not in self._keys:
            return annotation.event(key)
        said = self._said.get((annotation.item, annotation.who))  # None also after the person was renamed there
        if said is None or said == (annotation.id, annotation.at, False):
            return None
        return annotation.event(self._new(key))  # what replaced it was deleted since

    def deleted(self, items: set[str | None], live: set[int], present: set[tuple[str, str]]) -> list[Event]:
        """Withdrawals of the answers whose annotations are no longer there.

        Args:
            items: The items that have a task.
            live: The numbers of the annotations that are there.
            present: (item, person) of the answers that are there.
        """
        return [
            Event(kind="withdraw", who=WHO, key=self._new(f"{self._prefix}{said.annotation}:{said.at}"), item=item, of=who)
            for (item, who), said in self._said.items()
            if said is not None and not said.withdrawn and said.annotation not in live
            if item in items and (item, who) not in present
        ]  # fmt: skip

    def _new(self, key: str) -> str:
        return next(f"{key}:{n}" for n in count(2) if f"{key}:{n}" not in self._keys)

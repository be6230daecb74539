"""Annotations of Label Studio as answers: each one is checked, since Label Studio records any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from distil.errors import InvalidInput, nearest
from distil.labeling.events import LABEL_STUDIO, Event, Shown, check_name
from distil.labeling.label_studio.remote import Task
from distil.labeling.label_studio_json import CONTROL, choice_in
from distil.labeling.spreadsheets import ClassNames

_MOST_SECONDS: Final = 1e9
_VERSION: Final = "distil "


@dataclass(frozen=True)
class Annotation:
    """A version of an annotation that holds an answer.

    Attributes:
        id: Its number in Label Studio.
        item: The id of its item.
        who: The person.
        at: When it was last changed, by the clock of Label Studio: text that sorts by time.
        label: The name of a class; None for a skip.
        ms: How long the answer took.
        shown: What the person saw.
    """

    id: int
    item: str
    who: str
    at: str
    label: str | None
    ms: int | None
    shown: Shown

    def event(self, key: str) -> Event:
        """The answer as an event."""
        kind = "skip" if self.label is None else "label"
        return Event(
            kind=kind, who=self.who, key=key, item=self.item, label=self.label, ms=self.ms, shown=self.shown, tab=LABEL_STUDIO
        )  # fmt: skip


class Reader:
    """Reads annotations.

    Args:
        items: The ids of the items of the project.
        classes: Every name by which a class is known -> its present name.
        people: Number of a person -> the name.
        new_classes: Whether choices that are no class yet are taken as new ones.
        shows_predictions: Whether people see the predictions.

    Attributes:
        added: The classes that are new.
    """

    def __init__(
        self,
        items: set[str],
        classes: Mapping[str, str],
        people: Mapping[int, str],
        new_classes: bool,
        shows_predictions: bool,
    ) -> None:
        self._items, self._people, self._new_classes = items, people, new_classes
        self._classes, self._names = ClassNames(classes), classes.values()
        self._shows_predictions = shows_predictions
        self.added: list[str] = []

    def read(self, task: Task, document: Any) -> Annotation:  # noqa: ANN401 - any value of JSON
        """The answer in an annotation of a task.

        Raises:
            InvalidInput: It holds no answer to an item of the project; the message says why.
        """
        if task.item is None or task.item not in self._items:
            raise InvalidInput(f"its task is for {task.item!r:.80}, which is no item of the project")
        number = number_of(document)
        at = _time(document, "updated_at")
        label = _label(document)
        shown = (
            Shown(reason=task.reason) if not self._shows_predictions else _shown(task, _time(document, "created_at"))
        )
        who = self._person(document.get("completed_by"))
        label = None if label is None else self._class(label)
        return Annotation(number, task.item, who, at, label, _ms(document), shown)

    def _person(self, by: Any) -> str:  # noqa: ANN401
        if type(by) is not int:
            raise InvalidInput("completed_by names no person")
        return check_name("the name of a person (completed_by)", self._people.get(by, f"label-studio user {by}"))

    def _class(self, label: str) -> str:
        known = self._classes.find(label)
        if known is None:
            if not self._new_classes:
                raise InvalidInput(
                    f"the choice {label!r:.80} is no class of the project{nearest(label, self._names)}; correct it, or "
                    "allow new classes (new_classes)"
                )
            known = self._classes.add(check_name("the name of a class (choices)", label))
            self.added.append(known)
        return known


def number_of(document: Any) -> int:  # noqa: ANN401
    """The number of an annotation."""
    number = document.get("id") if isinstance(document, dict) else None
    if type(number) is not int:
        raise InvalidInput("an annotation has no number")
    return number


def _label(document: dict[str, Any]) -> str | None:
    """The choice of an annotation; None for a skip."""
    label = choice_in(document.get("result"))
    cancelled = document.get("was_cancelled")
    if label is None and cancelled is not True:
        raise InvalidInput("the annotation has no result and was not skipped")
    if label is None or cancelled is True:
        return None
    name = document["result"][0].get("from_name")
    if name != CONTROL:
        raise InvalidInput(f"its from_name is {name!r:.80}, expected {CONTROL!r}")
    return label


def _time(document: dict[str, Any], name: str) -> str:
    """A time of an annotation or prediction, in UTC, as letters and digits that sort by time."""
    value = document.get(name)
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        if found is not None:
            return found.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f")
    except (ValueError, OverflowError):
        pass
    raise InvalidInput(f"`{name}` is no time: {value!r:.80}")


def _ms(document: dict[str, Any]) -> int | None:
    seconds = document.get("lead_time")
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds < _MOST_SECONDS:
        return None
    return round(1000 * seconds)


def _shown(task: Task, at: str) -> Shown:
    """What a person saw who began at a time: the last prediction before, which is the one of the present model version."""
    before = [each for each in _predictions(task) if each[0] <= at]
    if not before:
        return Shown(reason=task.reason)
    _, guess, p, version = max(before, key=lambda each: each[0])
    return Shown(guess=guess, p=p, reason=task.reason, model=version)


def version_of(number: int) -> str:
    """The model version of the predictions of one push."""
    return f"{_VERSION}{number}"


def version_number(prediction: Any) -> int | None:  # noqa: ANN401
    """The number of the push that made a prediction; None where distil did not make it."""
    version = prediction.get("model_version") if isinstance(prediction, dict) else None
    number = version.removeprefix(_VERSION) if isinstance(version, str) and version.startswith(_VERSION) else ""
    return int(number) if number.isdecimal() and number.isascii() and len(number) < 10 else None


def _predictions(task: Task) -> Iterator[tuple[str, str | None, float | None, str]]:
    """Time, guess, its probability and the model version of each prediction that distil made."""
    for document in filter(lambda each: version_number(each) is not None, task.predictions):
        try:
            at, guess = _time(document, "created_at"), choice_in(document.get("result"))
        except InvalidInput:
            continue  # somebody changed it
        p = document["result"][0].get("score") if guess is not None else None
        yield at, guess, p if isinstance(p, float) and 0 <= p <= 1 else None, document["model_version"]

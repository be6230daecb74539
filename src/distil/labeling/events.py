"""What people send to a project: answers, and changes of classes. Each event is checked here, once."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from distil.errors import InvalidInput, nearest

ANSWERS: Final = ("label", "skip", "unsure")
"""Kinds of events that answer an item; the last one of a person counts."""

OPINIONS: Final = (*ANSWERS, "flag", "decide", "withdraw")
"""Kinds of events on an item from which the state of the item is computed; each can be undone by the person who sent it."""

MERGE: Final = "class_merge"
"""The kind of events on classes that has no inverse, so that it can be undone, by every person."""

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "label": ("item", "label"),
    "skip": ("item",),
    "unsure": ("item",),
    "flag": ("item",),
    "undo": ("target",),
    "redo": ("target",),
    "decide": ("item", "label"),
    "withdraw": ("item", "of"),
    "release": ("item", "of"),
    "class_add": ("label",),
    "class_rename": ("label", "name"),
    "class_merge": ("label", "name"),
    "class_key": ("label", "name"),
}
"""Kind of an event -> the fields that it has besides those that all kinds have."""

RANDOM: Final = "random"
"""The reason of an item that was drawn at random from those without an answer."""
GRID: Final = "grid"
"""The reason of an item that was answered in a grid of items with one guess."""
MAP: Final = "map"
"""The reason of an item that was labeled with others of a region of the map."""
LABEL_STUDIO: Final = "label-studio"
"""The page of the answers that came from Label Studio."""
MOVED: Final = "moved"
"""The page of what was said about an item that is gone, and is recorded for the one that has its content."""

DECISION: Final = ""
"""The name, of no person, under which the decision on an item is kept."""

_KEY: Final = re.compile(r"[A-Za-z0-9._:-]{8,100}")
_LONGEST: Final = 500  # characters of a name
_MOST_MS: Final = 2**53  # whole numbers up to here are exact in JavaScript


@dataclass(frozen=True)
class Shown:
    """What a person saw with an item, and why the item was chosen.

    Attributes:
        guess: The model's guess, the name of a class.
        p: The probability of the guess.
        withheld: Whether the guess was not shown, to measure its effect on people.
        reason: Why the item was chosen.
        model: The model that guessed, as :func:`model_name` writes it.
        hidden: Whether the person had hidden all guesses.
    """

    guess: str | None = None
    p: float | None = None
    withheld: bool = False
    reason: str | None = None
    model: str | None = None
    hidden: bool = False


def model_name(n_labels: int) -> str:
    """A model in the record of an answer: the number of labels that it was fitted to."""
    return f"{n_labels} labels"


def labels_of(model: str | None) -> int | None:
    """The number of labels that a model was fitted to, given its name in the record; None where the name does not say."""
    found = None if model is None else re.fullmatch(r"([0-9]{1,15}) labels", model)
    return None if found is None else int(found[1])


def new_key() -> str:
    """A new key for an event."""
    return str(uuid.uuid4())


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that a person did, as it is sent to a project.

    Attributes:
        kind: ``label``, ``skip``, ``unsure`` (answers), ``flag``; ``undo`` and ``redo`` of one's own earlier event, and ``undo`` of
            a merge; ``decide``, the label of an item whatever its answers say; ``withdraw``, which takes back the answer of a
            person or, with ``of=""``, a decision; ``release``, which takes back an item that a person has not answered;
            ``class_add``, ``class_rename``, ``class_merge``; ``class_key``, which gives a class the key of the keyboard that
            stands for it, and takes that key from every other class.
        who: The name of the person.
        key: A text that the sender makes once for each event, such as a UUID. A project counts each key once.
        item: The id of the item.
        label: The name of a class.
        name: The new name, the class to merge into, or the key: one printable character.
        target: The key of the event that is undone or redone.
        of: The person whose answer is withdrawn, or whose item is taken back.
        tab: The page or sheet from which the event was sent.
        ms: How long the answer took, in milliseconds.
        shown: What the person saw with the item.
    """

    kind: str
    who: str
    key: str = field(default_factory=new_key)
    item: str | None = None
    label: str | None = None
    name: str | None = None
    target: str | None = None
    of: str | None = None
    tab: str | None = None
    ms: int | None = None
    shown: Shown | None = None

    def text(self) -> str:
        """The event as one line of JSON with sorted keys; equal events have equal texts."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(given, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def read(cls, document: object) -> Event:
        """The event in a document of JSON, checked.

        Raises:
            InvalidInput: A field is missing, unknown or has another type; the message names it.
        """
        given = _known(document, cls, "an event")
        if "shown" in given:
            given["shown"] = Shown(**_known(given["shown"], Shown, "`shown` of an event"))
        absent = [name for name in ("kind", "who", "key") if name not in given]
        if absent:
            raise InvalidInput(f"an event needs {', '.join(absent)}; got {', '.join(given) or 'nothing'}")
        event = cls(**given)
        event.check()
        return event

    def check(self) -> None:
        """Refuse an event that no project could record.

        Raises:
            InvalidInput: A field is missing or has a wrong value; the message names it.
        """
        if not isinstance(self.kind, str) or self.kind not in FIELDS:
            known = ", ".join(FIELDS)
            raise InvalidInput(
                f"expected an event of kind {known}; got {self.kind!r:.60}{nearest(str(self.kind)[:60], FIELDS)}"
            )
        for name in ("item", "label", "name", "target", "of"):
            value, wanted = getattr(self, name), name in FIELDS[self.kind]
            if wanted != (value is not None):
                raise InvalidInput(f"{self.kind}: {'`' + name + '` is missing' if wanted else f'has no `{name}`'}")
        for key in (self.key, self.target):
            _check_key(key)
        check_name("the name of a person", self.who)
        if self.of != DECISION:
            _check_optional("the name of a person", self.of)
        _check_optional("the name of a page", self.tab)
        _check_optional("the name of a class", self.label)
        if self.kind != "class_key":
            _check_optional("the name of a class", self.name)
        elif not (isinstance(self.name, str) and len(self.name) == 1 and self.name.isprintable() and self.name != " "):
            raise InvalidInput(f"the key of a class must be one printable character, got {self.name!r:.60}")
        if self.item is not None and (not isinstance(self.item, str) or not self.item):
            raise InvalidInput(f"the id of an item must be a text with a character, got {self.item!r:.60}")
        if self.ms is not None and not (type(self.ms) is int and 0 <= self.ms <= _MOST_MS):
            raise InvalidInput(f"`ms` must be a whole number of milliseconds from 0 on, got {self.ms!r:.60}")
        if self.shown is not None:
            _check_shown(self.shown)


@dataclass(frozen=True)
class Ack:
    """What a project says about one event.

    Attributes:
        key: The key of the event.
        seq: Its number in the record; None if it was refused.
        duplicate: Whether the record had the event already, so that it was not counted again.
        error: Why the event was refused; None if it was recorded.
    """

    key: str
    seq: int | None
    duplicate: bool = False
    error: str | None = None


def check_name(what: str, value: object) -> str:
    """``value``, the name of a person, class or page, if it is one line of text without surrounding blanks.

    Args:
        what: What the name is called in messages, such as "the name of a person".
        value: The name.

    Raises:
        InvalidInput: It is something else.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or value != value.strip():
        raise InvalidInput(
            f"{what} must be a text of 1 to {_LONGEST} characters without blanks around it, got {value!r:.60}"
        )
    if any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 or 0xD800 <= ord(letter) < 0xE000 for letter in value):
        raise InvalidInput(
            f"{what} must be one line of text without control characters and lone surrogates, got {value!r:.60}"
        )
    return value


def _check_optional(what: str, value: object) -> None:
    if value is not None:
        check_name(what, value)


def _check_key(value: object) -> None:
    if value is not None and (not isinstance(value, str) or not _KEY.fullmatch(value)):
        raise InvalidInput(
            "the key of an event has 8 to 100 letters, digits, dots, colons, dashes and underscores (`distil project history` "
            f"shows the keys); got {value!r:.60}"
        )


def _check_shown(shown: Shown) -> None:
    _check_optional("the name of a class", shown.guess)
    for name in ("reason", "model"):
        value = getattr(shown, name)
        if value is not None and not (isinstance(value, str) and len(value) <= _LONGEST):
            raise InvalidInput(f"`{name}` must be text of at most {_LONGEST} characters, got {value!r:.60}")
    number = isinstance(shown.p, (int, float)) and not isinstance(shown.p, bool)
    if shown.p is not None and not (number and 0 <= shown.p <= 1):  # NaN is in no range
        raise InvalidInput(f"`p` must be a probability from 0 to 1, got {shown.p!r:.60}")
    for name in ("withheld", "hidden"):
        if not isinstance(getattr(shown, name), bool):
            raise InvalidInput(f"`{name}` must be true or false, got {getattr(shown, name)!r:.60}")


def _known(document: object, cls: type[Any], what: str) -> dict[str, Any]:
    """The fields of a document, all of them fields of the dataclass ``cls``; those that are null are left out."""
    if not isinstance(document, Mapping):
        raise InvalidInput(f"{what} must be an object, got {type(document).__name__}")
    names = [each.name for each in fields(cls)]
    unknown = next((name for name in document if name not in names), None)
    if unknown is not None:
        raise InvalidInput(f"{what} has no field {unknown!r:.60}{nearest(str(unknown)[:60], names)}")
    return {name: value for name, value in document.items() if value is not None}

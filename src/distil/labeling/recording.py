"""Recording one event in the database: checks against the present state, and the rows that change with it."""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from distil.errors import DistilError, InvalidInput, nearest
from distil.labeling.events import ANSWERS, MERGE, OPINIONS, Ack, Event, check_name
from distil.labeling.fold import NOTHING, after, subject_of
from distil.labeling.store import bound

_OF_CLASSES: Final = ("class_add", "class_rename", "class_merge", "class_key")


def record_event(db: sqlite3.Connection, event: Event, at: float) -> Ack:
    """Record an event inside a transaction, or refuse it and change nothing.

    Args:
        db: A database in a transaction.
        event: The event.
        at: The time, which is kept and decides nothing.
    """
    try:
        event.check()
    except InvalidInput as error:
        return Ack(event.key if isinstance(event.key, str) else "", None, error=str(error))
    sent = event.text()
    earlier = db.execute("SELECT seq, sent FROM event WHERE key = ?", (event.key,)).fetchone()
    if earlier is not None:
        if earlier[1] == sent:
            return Ack(event.key, earlier[0], duplicate=True)
        return Ack(event.key, None, error=f"the key {event.key} was used for another event; make a new key for each")
    db.execute("SAVEPOINT one")  # one wrong event does not spoil the others of its transaction
    try:
        seq = _apply(db, event, at, sent)
    except DistilError as error:
        db.execute("ROLLBACK TO one")
        return Ack(event.key, None, error=str(error))
    finally:
        if db.in_transaction:
            db.execute("RELEASE one")
    return Ack(event.key, seq)


def _apply(db: sqlite3.Connection, event: Event, at: float, sent: str) -> int:
    item = None if event.item is None else number_of(db, event.item)
    label = None
    if event.kind in _OF_CLASSES:
        label = _change_classes(db, event)
    elif event.label is not None:
        label = class_of(db, event.label)
    subject = subject_of(event) if event.kind in OPINIONS else None
    answers = event.kind in ANSWERS
    if event.target is not None:
        _check_target(db, event)
    cursor = db.execute(
        "INSERT INTO event(key, at, who, kind, item, class, target, subject, sent) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (event.key, at, event.who, event.kind, item, label, event.target, subject, sent),
    )
    if event.target is not None:
        item, subject, kind = db.execute(
            "SELECT item, subject, kind FROM event WHERE key = ?", (event.target,)
        ).fetchone()
        answers = kind in ANSWERS
        if kind == MERGE:
            _unmerge(db, event)
    if event.kind == "release":
        db.execute("DELETE FROM lease WHERE item = ? AND who = ?", (item, event.of))
    elif item is not None:
        answered = _refold(db, item, str(subject))
        if answers:
            _steer(db, event, item, answered)
    return int(cursor.lastrowid or 0)


def _refold(db: sqlite3.Connection, item: int, who: str) -> bool:
    """Compute what a person says about an item anew; returns whether it is an answer."""
    live = db.execute(
        "SELECT seq, kind, class FROM event e WHERE item = ? AND subject = ? AND 'undo' IS NOT "
        "(SELECT kind FROM event u WHERE u.target = e.key ORDER BY u.seq DESC LIMIT 1) ORDER BY seq",
        (item, who),
    )
    opinion, last = NOTHING, 0
    for seq, kind, label in live:
        opinion, last = after(opinion, kind, label), seq
    db.execute("DELETE FROM current WHERE item = ? AND who = ?", (item, who))
    if opinion != NOTHING:
        kind, label, flagged = opinion
        db.execute("INSERT INTO current VALUES(?, ?, ?, ?, ?, ?)", (item, who, last, kind, label, flagged))
    return opinion[0] is not None


def _steer(db: sqlite3.Connection, event: Event, item: int, answered: bool) -> None:
    """End the lease of an answered item; an item whose answer was undone on a page goes back to that person, before anyone else."""
    if answered:
        db.execute("DELETE FROM lease WHERE item = ? AND who = ?", (item, event.who))
    elif event.kind == "undo" and event.tab is not None:
        db.execute(
            "INSERT OR IGNORE INTO lease SELECT n, ?, ?, 0 FROM item WHERE n = ? AND NOT gone",
            (event.who, event.tab, item),
        )


def _check_target(db: sqlite3.Connection, event: Event) -> None:
    found = db.execute("SELECT who, kind FROM event WHERE key = ?", (event.target,)).fetchone()
    if found is None:
        raise InvalidInput(
            f"{event.kind}: the record has no event with the key {event.target}; `distil project history` shows the keys"
        )
    who, kind = found
    if kind == MERGE and event.kind == "undo":
        return
    if kind not in OPINIONS:
        known = ", ".join((*OPINIONS, MERGE) if event.kind == "undo" else OPINIONS)
        raise InvalidInput(f"{event.kind}: an event of kind {kind} cannot be {event.kind}ne; expected {known}")
    if who != event.who:
        raise InvalidInput(
            f"{event.kind}: {event.who} cannot undo what {who} did; withdraw the answer, or decide the item"
        )


def number_of(db: sqlite3.Connection, item: str) -> int:
    """The number of the item with this id; InvalidInput if there is none."""
    found = db.execute("SELECT n FROM item WHERE id = CAST(? AS TEXT)", (bound(item),)).fetchone()
    if found is None:
        raise InvalidInput(f"the project has no item {item!r:.200}; its items come from the sources that were added")
    return int(found[0])


# --------------------------------------------------------------------------------------------------------------- classes


def class_of(db: sqlite3.Connection, name: str) -> int:
    """The class that has this name or had it, after merges; InvalidInput if there is none."""
    found = db.execute("SELECT c FROM class_name WHERE name = ?", (name,)).fetchone()
    if found is None:
        names = [each for (each,) in db.execute("SELECT name FROM class WHERE into_c IS NULL ORDER BY c")]
        raise InvalidInput(no_class(name, names))
    merged = dict(db.execute("SELECT c, into_c FROM class WHERE into_c IS NOT NULL").fetchall())
    return end_of(merged, int(found[0]))


def no_class(name: str, names: Sequence[str]) -> str:
    """The message for a name that is none of the classes ``names``."""
    listing = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
    return f"the project has no class {name!r}{nearest(name, names)}; it has {listing or 'none yet, add some'}"


def end_of(merged: Mapping[int, int], number: int) -> int:
    """The class that a class became part of, through all merges; itself if it was not merged."""
    while number in merged:
        number = merged[number]
    return number


def _change_classes(db: sqlite3.Connection, event: Event) -> int:
    """Add, rename or merge a class, or give it a key; returns its number."""
    if event.kind == "class_add":
        _check_new(db, str(event.label))
        number = int(db.execute("INSERT INTO class(name) VALUES(?)", (event.label,)).lastrowid or 0)
        db.execute("INSERT OR REPLACE INTO class_name VALUES(?, ?)", (event.label, number))
        return number
    number, name = class_of(db, str(event.label)), str(event.name)
    if event.kind == "class_rename":
        _check_new(db, name)
        db.execute("UPDATE class SET name = ? WHERE c = ?", (name, number))
        db.execute("INSERT OR REPLACE INTO class_name VALUES(?, ?)", (name, number))
        return number
    if event.kind == "class_key":
        db.execute("UPDATE class SET key = NULL WHERE key = ?", (name,))
        db.execute("UPDATE class SET key = ? WHERE c = ?", (name, number))
        return number
    into = class_of(db, name)
    if into == number:
        raise InvalidInput(f"{event.label!r} and {name!r} are one class already")
    db.execute("UPDATE class SET into_c = ?, key = NULL WHERE c = ?", (into, number))
    return number


def _unmerge(db: sqlite3.Connection, undo: Event) -> None:
    """Take a merged class out again; labels that were given to the other class since stay with that."""
    if db.execute("SELECT count(*) FROM event WHERE target = ?", (undo.target,)).fetchone()[0] > 1:
        raise InvalidInput("undo: this merge was undone already; to merge the classes again, do so anew")
    number, name = db.execute(
        "SELECT c, name FROM event JOIN class ON c = class WHERE event.key = ?", (undo.target,)
    ).fetchone()
    _check_new(db, name)
    db.execute("UPDATE class SET into_c = NULL WHERE c = ?", (number,))
    db.execute("INSERT OR REPLACE INTO class_name VALUES(?, ?)", (name, number))


def check_class_names(names: Sequence[str]) -> None:
    """Refuse names that cannot be the classes of a new project.

    Raises:
        InvalidInput: A name is not one line of text, or two are the same.
    """
    seen: set[str] = set()
    for name in names:
        composed = _composed(check_name("the name of a class", name))
        if composed in seen:
            raise InvalidInput(f"the class {name!r} is listed twice; list each class once")
        seen.add(composed)


def _check_new(db: sqlite3.Connection, name: str) -> None:
    """Refuse the name of a present class."""
    composed = _composed(name)
    for (each,) in db.execute("SELECT name FROM class WHERE into_c IS NULL"):
        if _composed(each) == composed:
            raise InvalidInput(f"the project has a class {each!r} already")


def _composed(name: str) -> str:
    """A name of a class in the form in which names are compared: where only the bytes of accents differ, both look the same."""
    if len(name.splitlines()) > 1:
        raise InvalidInput(f"the name of a class must be one line of text, got {name!r}")
    return unicodedata.normalize("NFC", name)

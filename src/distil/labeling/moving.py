"""Items that are gone and whose content a source has under another id, and answers that follow them there."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from distil.errors import InvalidInput
from distil.labeling.events import ANSWERS, MOVED, Event
from distil.labeling.recording import end_of, record_event
from distil.labeling.sources import Found
from distil.labeling.store import bound

Moved = tuple[tuple[str, str], ...]
"""Pairs of ids: of an item that is gone, and of the one that has its content."""


def moved_items(db: sqlite3.Connection, items: Sequence[Found]) -> Moved:
    """The items that are gone, have answers, and whose content one item of a source has, and no other item that is gone.

    Args:
        db: A database in a transaction, in which the items of the source are up to date.
        items: The items of the source.
    """
    gone, here = defaultdict(list), defaultdict(list)
    for name, digest in db.execute(
        "SELECT id, digest FROM item WHERE gone AND n IN (SELECT item FROM current) ORDER BY n"
    ):
        gone[digest].append(name)
    for item in items:
        if item.digest in gone:
            here[item.digest].append(item.id)
    return tuple((names[0], here[digest][0]) for digest, names in gone.items() if len(names) == len(here[digest]) == 1)


def follow(db: sqlite3.Connection, moved: Moved, who: str, at: float) -> None:
    """Record what people say about items that are gone as said about those that have their content, and take it back there.

    What a person says about the other item already is kept.

    Args:
        db: A database in a transaction.
        moved: The items.
        who: The name under which it is recorded.
        at: The time.
    """
    names = dict(db.execute("SELECT c, name FROM class").fetchall())
    merged = dict(db.execute("SELECT c, into_c FROM class WHERE into_c IS NOT NULL").fetchall())
    for old, new in moved:
        known = {person for person, *_ in _opinions(db, new)}
        for person, kind, label, flagged, first in _opinions(db, old):
            events = [Event(kind="withdraw", who=who, item=old, of=person, tab=MOVED)]
            if person not in known:
                name = None if label is None else names[end_of(merged, label)]
                events += _said(new, person or who, kind, name, bool(flagged), first)
            for event in events:
                error = record_event(db, event, at).error
                if error is not None:
                    raise InvalidInput(error)


def _opinions(db: sqlite3.Connection, item: str) -> list[tuple[str, str | None, int | None, int, str | None]]:
    """What people say about an item, in the order in which they began: person, kind, class, flag, and the first answer as sent."""
    kinds = ", ".join(f"'{kind}'" for kind in ANSWERS)
    sql = (
        "SELECT who, kind, class, flagged, (SELECT sent FROM event e WHERE e.item = n AND e.subject = current.who AND e.kind IN "
        f"({kinds}) ORDER BY seq LIMIT 1) FROM current JOIN item ON n = current.item WHERE id = CAST(? AS TEXT) ORDER BY "
        "(SELECT min(seq) FROM event e WHERE e.item = n AND e.subject = current.who)"
    )
    return db.execute(sql, (bound(item),)).fetchall()


def _said(item: str, who: str, kind: str | None, label: str | None, flagged: bool, first: str | None) -> list[Event]:
    """The events that say the same about another item; with what was shown at the first answer, which says how it was chosen."""
    events = []
    if kind is not None:
        shown = None if first is None else Event.read(json.loads(first)).shown
        events.append(Event(kind=kind, who=who, item=item, label=label, tab=MOVED, shown=shown))
    if flagged:
        events.append(Event(kind="flag", who=who, item=item, tab=MOVED))
    return events

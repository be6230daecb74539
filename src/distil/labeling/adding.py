"""Bringing the items of a source into the database of a project: new, known, changed and gone ones."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from distil.errors import InvalidInput
from distil.labeling.events import new_key
from distil.labeling.moving import Moved, moved_items
from distil.labeling.sources import Found, Source
from distil.labeling.store import bound

_Before = Mapping[str, tuple[int, bytes, int]]
"""Id -> the number of its source, the hash of its content, and whether it is gone, of the items that a project has."""


@dataclass(frozen=True)
class Added:
    """What adding a source found.

    Attributes:
        new: Number of new items.
        known: Number of items that the project had already, unchanged; also those that moved here from another source.
        changed: The ids of items whose content differs from before; their answers are kept.
        gone: The ids of items that the source had before and has no longer; their answers are kept.
        note: Which columns were read, where their content decided it; else empty.
        moved: Pairs of ids: of an item that is gone and has answers, and of the one item of the source that has its content.
        unreadable: Id -> why, of each image of the source that cannot be read: it was not added, and is gone if the project had it.
    """

    new: int
    known: int
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    note: str
    moved: Moved
    unreadable: Mapping[str, str]


def add_items(db: sqlite3.Connection, source: Source, items: Sequence[Found], who: str, at: float) -> Added:
    """Add the items of a source inside a transaction.

    Args:
        db: A database in a transaction.
        source: The source.
        items: All its items that can be read.
        who: The name under which it is recorded.
        at: The time.

    Raises:
        InvalidInput: No item can be read; an id is empty, occurs twice, or is that of another item in another source; or rows
            moved, and their numbers are the ids.
    """
    if source.unreadable and not items:
        raise InvalidInput(
            f"{source.path}: none of the {len(source.unreadable):,} images can be read; the first: "
            f"{next(iter(source.unreadable.values()))}"
        )
    number, same_ids = _source(db, source)
    before = {
        item: (where, digest, gone)
        for item, where, digest, gone in db.execute("SELECT id, source, digest, gone FROM item")
    }
    _check_ids(source, items, before, number)
    new = [item for item in items if item.id not in before]
    here_now = {number, *_lost(db)}
    own = [item for item in items if item.id in before and (before[item.id][0] in here_now or before[item.id][2])]
    changed = tuple(item.id for item in own if item.digest != before[item.id][1])
    if source.numbered or not same_ids:
        _check_rows(db, source, items, before, number)
    here = {item.id for item in items}
    gone = tuple(item for item, (where, _, out) in before.items() if where == number and not out and item not in here)
    added = Added(len(new), len(items) - len(new) - len(changed), changed, gone, source.note, (), source.unreadable)
    seq = _record(db, source, added, who, at)
    db.executemany(
        "INSERT INTO item(id, source, place, path, text, digest) "
        "VALUES(CAST(? AS TEXT), ?, ?, CAST(? AS TEXT), CAST(? AS TEXT), ?)",
        [(bound(item.id), number, item.place, bound(item.path), bound(item.text), item.digest) for item in new],
    )
    db.executemany(
        "UPDATE item SET source = ?, place = ?, path = CAST(? AS TEXT), text = CAST(? AS TEXT), digest = ?, gone = 0 "
        "WHERE id = CAST(? AS TEXT)",
        [(number, item.place, bound(item.path), bound(item.text), item.digest, bound(item.id)) for item in own],
    )
    db.executemany("UPDATE item SET changed = ? WHERE id = CAST(? AS TEXT)", [(seq, bound(item)) for item in changed])
    db.executemany("UPDATE item SET gone = 1 WHERE id = CAST(? AS TEXT)", [(bound(item),) for item in gone])
    db.execute("DELETE FROM lease WHERE item IN (SELECT n FROM item WHERE gone)")
    return replace(added, moved=moved_items(db, items))


def _source(db: sqlite3.Connection, source: Source) -> tuple[int, bool]:
    """The number of a source, old or new, and whether its ids are read as before."""
    options = json.dumps({"column": source.column, "ids": source.ids})
    path = bound(str(source.path))
    found = db.execute("SELECT s, kind, options FROM source WHERE path = CAST(? AS TEXT)", (path,)).fetchone()
    if found is None:
        insert = "INSERT INTO source(path, kind, options) VALUES(CAST(? AS TEXT), ?, ?)"
        return int(db.execute(insert, (path, source.kind, options)).lastrowid or 0), True
    if found[1] != source.kind:
        raise InvalidInput(
            f"{source.path} was added as {found[1]} and now holds {source.kind}; add it under another name"
        )
    db.execute("UPDATE source SET options = ? WHERE s = ?", (options, found[0]))
    return int(found[0]), json.loads(found[2])["ids"] == source.ids


def _lost(db: sqlite3.Connection) -> set[int]:
    """The sources that are no longer there: their items may have moved."""
    return {number for number, path in db.execute("SELECT s, path FROM source") if not os.path.lexists(path)}


def _check_rows(db: sqlite3.Connection, source: Source, items: Sequence[Found], before: _Before, number: int) -> None:
    """Refuse rows that moved where their ids did not move along: what people said of a row would then be said of another one."""
    now = {item.id: item.digest for item in items}
    left = {digest: item for item, (where, digest, _) in before.items() if where == number and now.get(item) != digest}
    asked = "SELECT id FROM item WHERE n IN (SELECT item FROM current UNION SELECT item FROM lease)"
    touched = {item for (item,) in db.execute(asked)}
    for item in items:
        held = left.get(item.digest)
        if item.id in before and held not in (None, item.id) and touched & {item.id, held}:
            raise InvalidInput(
                f"{source.path}: {item.id!r} now holds what {held!r} held before, because rows were inserted, removed or sorted, "
                "or another column is read as the ids, and its labels would go to other items; nothing was added: put new rows "
                "at the end, or make a new project and give each row an id that stays with it (the column id)"
            )


def _check_ids(source: Source, items: Sequence[Found], before: _Before, number: int) -> None:
    for item in items:
        where, digest, _ = before.get(item.id, (number, item.digest, 0))
        if where != number and digest != item.digest:
            raise InvalidInput(
                f"{source.path}: {item.id!r} is the id of another item of the project; give the items of each source ids of their "
                "own, or add the folder that holds both sources"
            )


def _record(db: sqlite3.Connection, source: Source, added: Added, who: str, at: float) -> int:
    """Write the event; returns its number."""
    key = new_key()
    said = {"new": added.new, "known": added.known, "changed": added.changed, "gone": added.gone}
    said |= {"unreadable": list(added.unreadable)} if added.unreadable else {}
    sent = json.dumps({"kind": "items_add", "who": who, "key": key, "source": str(source.path), **said}, sort_keys=True)
    insert = "INSERT INTO event(key, at, who, kind, sent) VALUES(?, ?, ?, 'items_add', ?)"
    return int(db.execute(insert, (key, at, who, sent)).lastrowid or 0)

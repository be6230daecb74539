"""The record of a project as it is read back, the newest event first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from distil.labeling.events import Event

PAST: Final = (
    "SELECT seq, at, sent, 'undo' IS (SELECT kind FROM event u WHERE u.target = e.key ORDER BY u.seq DESC LIMIT 1) "
    "FROM event e WHERE kind != 'items_add' AND (:who IS NULL OR who = :who) AND (:before IS NULL OR seq < :before) "
    "AND seq > :after AND (:elsewhere IS NULL OR json_extract(sent, '$.tab') IS NOT :elsewhere) "
    "AND (:item IS NULL OR seq IN (SELECT seq FROM event JOIN item ON n = item WHERE id = CAST(:item AS TEXT) UNION "
    "SELECT u.seq FROM event o JOIN item ON n = o.item JOIN event u ON u.target = o.key WHERE id = CAST(:item AS TEXT))) "
    "ORDER BY seq DESC LIMIT :n"
)
"""Events with whether they are undone, the newest first."""


@dataclass(frozen=True)
class Recorded:
    """An event in the record.

    Attributes:
        seq: Its number; the only order.
        at: The time at which it was recorded, by the clock of that machine: it may go backwards.
        event: The event as it was sent.
    """

    seq: int
    at: float
    event: Event

"""Who has which items of a project now, and which may be handed out: leases and the queue, which are no part of the record."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from distil.labeling.events import check_name
from distil.labeling.recording import number_of
from distil.labeling.store import Store, bound, chunks

_FOR_WHO: Final = (
    "NOT gone AND NOT EXISTS (SELECT 1 FROM lease WHERE item = n AND who = :who) "
    "AND NOT EXISTS (SELECT 1 FROM current WHERE item = n AND who IN (:who, '') AND kind IS NOT NULL)"
)
"""A condition of SQL on item ``n``: a person ``who`` does not have it, has not answered it, and it is not decided."""
_WANTED: Final = (
    "(SELECT count(*) FROM current WHERE item = n AND kind IS NOT NULL AND who != '') "
    "+ (SELECT count(*) FROM lease l WHERE item = n AND NOT EXISTS "
    "(SELECT 1 FROM current c WHERE c.item = n AND c.who = l.who AND kind IS NOT NULL)) < :copies"
)
"""Whether it needs more answers than people have given, or have it now to give; a second look of a person is no more."""
_AGAIN: Final = "NOT EXISTS (SELECT 1 FROM lease WHERE item = n)"
"""Whether no person has it now."""
_CHECKED: Final = (
    "NOT gone AND NOT EXISTS (SELECT 1 FROM lease WHERE item = n AND who = :who) "
    "AND NOT EXISTS (SELECT 1 FROM current WHERE item = n AND who = '' AND kind IS NOT NULL)"
)
"""Whether a person may look at it once more, answered or not: the person does not have it, and it is not decided."""


class Leases:
    """What a project hands out: its leases, its queue and its second looks; part of :class:`distil.labeling.project.Project`.

    Args:
        store: The open database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._since: dict[
            tuple[str, str], float
        ] = {}  # when this process first saw or renewed a lease, by the monotonic clock

    @property
    def copies(self) -> int:
        """The number of people who are to answer each item."""
        return int(self._setting("copies"))

    def open_items(self, who: str) -> list[str]:
        """The ids of the items that may be handed out to a person now, in the order in which they were added."""
        sql = f"SELECT id FROM item WHERE {_FOR_WHO} AND {_WANTED} ORDER BY n"
        return [item for (item,) in self._store.rows(sql, {"who": who, "copies": self.copies})]

    def queued(self, who: str) -> list[str]:
        """The ids of the queued items that may be handed out to a person now, in the order of the queue."""
        sql = f"SELECT id FROM queue JOIN item ON queue.item = n WHERE {_FOR_WHO} AND {_WANTED} ORDER BY rank"
        return [item for (item,) in self._store.rows(sql, {"who": who, "copies": self.copies})]

    def queue_ids(self) -> list[str]:
        """The ids of all items of the queue, in its order."""
        return [item for (item,) in self._store.rows("SELECT id FROM queue JOIN item ON queue.item = n ORDER BY rank")]

    def lease(
        self,
        who: str,
        n: int,
        order: Iterable[str],
        *,
        tab: str = "",
        lasting: bool = False,
        again: bool = False,
        check: bool = False,
    ) -> list[str]:
        """Hand out items to a person: no other person gets them until they are answered or released.

        Leases only steer what is handed out; an answer is recorded whether or not the person has the item.

        Args:
            who: The name of the person.
            n: The largest number of items.
            order: Ids, best first; those that may not be handed out now are passed over.
            tab: The page or sheet that the items are for.
            lasting: Whether the lease stays until it is answered or released, as that of a sheet does; others end with
                :meth:`expire`.
            again: Hand out items that no person has now, whether or not enough people answered them; for ties.
            check: Hand out items whether or not this person, or enough people, answered them: for a second look. The newest answer
                of a person counts, and the record keeps the earlier one.

        Returns:
            The ids that were handed out, at most ``n``.
        """
        check_name("the name of a person", who)
        if tab:
            check_name("the name of a page", tab)
        given: list[str] = []
        free = _CHECKED if check else f"{_FOR_WHO} AND {_AGAIN if again else _WANTED}"
        lease = f"INSERT INTO lease SELECT n, :who, :tab, :lasting FROM item WHERE n = :n AND {free}"
        values = {"who": who, "copies": self.copies, "tab": tab, "lasting": lasting}
        with self._store.writing() as db:
            for item in order:
                if len(given) == n:
                    break
                if db.execute(lease, {**values, "n": number_of(db, item)}).rowcount:
                    given.append(item)
        return given

    def leased(self, who: str, tab: str | None = None) -> list[str]:
        """The ids of the items that a person has now, on any page or on one."""
        # CROSS: SQLite would read all items in their order, and look for the lease of each
        sql = "SELECT id FROM lease CROSS JOIN item ON n = item WHERE who = ? AND (? IS NULL OR tab = ?) ORDER BY n"
        return [item for (item,) in self._store.rows(sql, (who, tab, tab))]

    def leases(self) -> list[tuple[str, str]]:
        """(id of an item, person who has it), for all items that are handed out and not answered."""
        return list(self.holders())

    def holders(self, ids: Iterable[str] | None = None) -> dict[tuple[str, str], str]:
        """(id of an item, person who has it) -> the page or sheet that it is on; of all items, or of those with these ids."""
        sql = "SELECT id, who, tab FROM lease CROSS JOIN item ON n = item"
        return {(item, who): tab for item, who, tab in self._of_items(sql, ids)}

    def on_pages(self, who: str) -> dict[str, str]:
        """Id of an item that a person has -> the page that it is on; items of sheets are left out."""
        sql = "SELECT id, tab FROM lease CROSS JOIN item ON n = item WHERE who = ? AND NOT lasting ORDER BY n"
        return dict(self._store.rows(sql, (who,)))

    def move(self, ids: Iterable[str], who: str, tab: str) -> None:
        """Let items that a person has be on another page of that person."""
        with self._store.writing() as db:
            values = [(tab, number_of(db, item), who) for item in ids]
            db.executemany("UPDATE lease SET tab = ? WHERE item = ? AND who = ?", values)

    def renew(self, ids: Iterable[str], who: str) -> None:
        """Give the leases of a person on some items their full time again; see :meth:`expire`."""
        now = time.monotonic()
        self._since.update({(item, who): now for item in ids})

    def expire(self, seconds: float) -> list[str]:
        """End the leases that this process has known, or not renewed, for longer than some seconds, except lasting ones.

        The time is that of the monotonic clock and is not kept: after a restart, every lease has its full time again.

        Returns:
            The ids of the items whose leases ended.
        """
        now = time.monotonic()
        sql = "SELECT id, who FROM lease CROSS JOIN item ON n = item WHERE NOT lasting"
        self._since = {(item, who): self._since.get((item, who), now) for item, who in self._store.rows(sql)}
        over = [place for place, since in self._since.items() if now - since > seconds]
        if over:
            with self._store.writing() as db:
                places = [(number_of(db, item), who) for item, who in over]
                db.executemany("DELETE FROM lease WHERE item = ? AND who = ?", places)
        return [item for item, _ in over]

    def queue(self, ids: Iterable[str]) -> None:
        """Replace the queue: the items that are to be handed out first, best first."""
        with self._store.writing() as db:
            db.execute("DELETE FROM queue")
            db.executemany(
                "INSERT INTO queue(item) SELECT n FROM item WHERE id = CAST(? AS TEXT)",
                [(bound(item),) for item in dict.fromkeys(ids) if number_of(db, item)],
            )

    @property
    def looks(self) -> dict[tuple[str, str], str]:
        """(id of an item, person) -> why the person has the item for a second look."""
        found = json.loads(self._setting("looks", "{}"))
        split = ((*key.partition("\n"), why) for key, why in found.items())
        return {(item, who): why for who, _, item, why in split}

    def remember_looks(self, looks: Mapping[tuple[str, str], str]) -> None:
        """Keep what :attr:`looks` gives."""
        text = json.dumps(
            {f"{who}\n{item}": why for (item, who), why in looks.items()}
        )  # names of people are single lines
        with self._store.writing() as db:
            db.execute("INSERT OR REPLACE INTO setting VALUES('looks', ?)", (text,))

    # ---------------------------------------------------------------------------------------------------------- internal

    def _setting(self, name: str, default: str = "") -> str:
        rows = self._store.rows("SELECT value FROM setting WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else default

    def _of_items(self, sql: str, ids: Iterable[str] | None) -> Iterator[Any]:
        """The rows of a query that ends in a table joined with ``item``, in the order of the items: all, or those of some items."""
        if ids is None:
            yield from self._store.rows(f"{sql} ORDER BY n, who")
            return
        for some in chunks(dict.fromkeys(ids)):
            marks = ", ".join(["CAST(? AS TEXT)"] * len(some))
            yield from self._store.rows(f"{sql} WHERE id IN ({marks}) ORDER BY n, who", [bound(name) for name in some])

"""Which items a person gets next: queued ones, then those that a selector puts first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from distil.labeling.events import RANDOM, Shown
from distil.labeling.model import CACHE, unreadable_items
from distil.labeling.project import Project

Selector = Callable[[Sequence[str]], Iterable[str]]
"""Takes the ids that may be handed out; gives them, or the first of them, best first."""


def random_order(seed: int = 0) -> Selector:
    """A selector of an order that is random and the same for the same seed; new items do not change the order of the others.

    >>> random_order(1)(["a", "b", "c"]) == [i for i in random_order(1)(["d", "c", "b", "a"]) if i != "d"]
    True
    """

    def key(item: str) -> bytes:
        return hashlib.blake2b(f"{seed}:{item}".encode("utf-8", "surrogatepass"), digest_size=16).digest()

    return lambda ids: sorted(ids, key=key)


def drawn_at_random(seed: int, shown: dict[str, Shown]) -> Selector:
    """A selector of a random order, which keeps for the record of each answer that its item was drawn at random.

    Args:
        seed: Seed of the order.
        shown: Takes, by id, what goes into the record.
    """

    def select(ids: Sequence[str]) -> Iterable[str]:
        for item in random_order(seed)(ids):
            shown[item] = Shown(reason=RANDOM)
            yield item

    return select


def hand_out(
    project: Project,
    who: str,
    n: int,
    selector: Selector,
    *,
    tab: str = "",
    lasting: bool = False,
    ties: bool = False,
    check: bool = False,
) -> list[str]:
    """Hand out items to a person; returns their ids, at most ``n``. Items that the model could not read are left out.

    Args:
        project: The project.
        who: The name of the person.
        n: The number of items.
        selector: The order of the items that are not queued.
        tab: The page or sheet that they are for.
        lasting: Whether they stay with the person until answered or released; see :meth:`Project.lease`.
        ties: Hand out only items whose labels tie, once more.
        check: Hand out only what the selector gives, also items that this person or enough people answered: for a second look.
    """
    if check:
        with_people = {item for item, _ in project.leases()}
        here = [item.id for item in project.items() if not item.gone and item.id not in with_people]
        return project.lease(who, n, selector(here), tab=tab, lasting=lasting, check=True)
    if ties:
        tied = [item for item, truth in project.truths().items() if truth.tied]
        return project.lease(who, n, selector(tied), tab=tab, lasting=lasting, again=True)
    unreadable = unreadable_items(project.path / CACHE, project.ids())
    first = [item for item in project.queued(who) if item not in unreadable]
    passed = unreadable.union(first)

    def order() -> Iterable[str]:
        yield from first
        yield from selector([item for item in project.open_items(who) if item not in passed])

    return project.lease(who, n, order(), tab=tab, lasting=lasting)

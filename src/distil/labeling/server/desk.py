"""What the server keeps in memory about a project: who answered and holds which items, and which items a person gets next.

One thread uses a desk. It changes only after a transaction was committed, so that it never knows more than the record.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from distil.errors import InvalidInput
from distil.labeling.checks import Checks
from distil.labeling.events import ANSWERS, DECISION, GRID, MAP, RANDOM, Ack, Event, Shown, model_name
from distil.labeling.fold import Answer
from distil.labeling.items import Item
from distil.labeling.map import PoolMap, map_bytes
from distil.labeling.model import Snapshot
from distil.labeling.project import Project
from distil.labeling.quality import Suspect, is_suspect
from distil.labeling.server.excerpts import plain
from distil.labeling.truth import Truth, truths

_CLASSES: Final = ("class_add", "class_rename", "class_merge", "class_key")
_SILENT: Final = 30.0  # seconds after which a page may have been closed
_SPARE: Final = 300  # candidates beyond those wanted: some may be given away within the same transaction


@dataclass(frozen=True)
class Given:
    """An item as a person gets it.

    Attributes:
        place: Its number.
        item: The item.
        guess: What the model says: the class and its probability.
        withheld: Whether the guess is not to be shown to this person.
        reason: Why it was chosen.
        model: The name of the model in the record.
        mine: What this person says about it now.
    """

    place: int
    item: Item
    guess: tuple[str, float] | None
    withheld: bool
    reason: str | None
    model: str | None
    mine: Answer | None


class Desk:
    """The items of a project and what is known of them.

    Args:
        project: The project.
        withhold: The share of items whose guess is not shown, drawn for each item and person.
        checks: Whether some items are given out a second time; see :class:`distil.labeling.checks.Checks`.
    """

    def __init__(self, project: Project, withhold: float = 0.1, *, checks: bool = True) -> None:
        self.project = project
        self.withhold = withhold
        self.items = project.items()
        self.places = {item.id: place for place, item in enumerate(self.items)}
        self.snapshot: Snapshot | None = None
        self.suspects: Sequence[Suspect] = ()
        self._id, self._copies = project.id, project.copies
        n = len(self.items)
        self._gone = np.array([item.gone for item in self.items], bool)
        seed = int.from_bytes(hashlib.blake2b(self._id.encode(), digest_size=8).digest())
        self._rank = np.random.default_rng(seed).permutation(n)  # the random order
        self._reasons: dict[int, str] = {}  # place -> why the item was handed out last
        self._read_queue()
        looks = project.looks if checks else {}
        # place and person -> why the person gets the item once more
        self._looks = {(self.places[item], who): why for (item, who), why in looks.items() if item in self.places}
        self._second_looks, self._checks = checks, Checks(self._id)
        self._checks.read(project)
        self._hidden: dict[tuple[int, str], bool] = {}
        self._heard: dict[
            tuple[str, str], float
        ] = {}  # (person, page) -> when it last sent something, by the monotonic clock
        self.reload()

    def reload(self) -> None:
        """Read everything that people said, and the classes, from the project."""
        n = len(self.items)
        self._answers = np.zeros(n, np.int32)
        self._held = np.zeros(n, np.int32)
        self._decided = np.zeros(n, bool)
        self._busy: dict[str, NDArray[np.bool_]] = {}  # person -> what the person answered or holds
        self._mine: Counter[str] = Counter()
        self._said: dict[int, dict[str, Answer]] = {}
        self._holders: dict[int, dict[str, str]] = {}
        self.truths: dict[int, Truth] = {}
        self.counts: Counter[str] = Counter()
        self._read_classes()
        self._take_in(self.project.answers(), self.project.holders())

    def refresh(self, ids: Iterable[str]) -> None:
        """Read what people say about some items again."""
        ids = [item for item in dict.fromkeys(ids) if item in self.places]
        for item in ids:
            self._forget(self.places[item])
        if ids:
            self._take_in(self.project.answers(ids), self.project.holders(ids))

    def _read_classes(self) -> None:
        self._keys, self._known = self.project.class_keys, self.project.known_classes
        self.names = self.project.classes

    def _read_queue(self) -> None:
        self._queue = [self.places[item] for item in self.project.queue_ids()]

    def _forget(self, place: int) -> None:
        people = self._said.pop(place, {})
        for who, answer in people.items():
            if who != DECISION and answer.kind is not None:
                self._mine[who] -= 1
                self._busy_of(who)[place] = False
        for who in self._holders.pop(place, {}):
            self._busy_of(who)[place] = False
        truth = self.truths.pop(place, None)
        if truth is not None and truth.label is not None:
            self.counts[truth.label] -= 1
        self._answers[place] = self._held[place] = 0
        self._decided[place] = False

    def _take_in(self, answers: dict[tuple[str, str], Answer], holders: dict[tuple[str, str], str]) -> None:
        for (item, who), answer in answers.items():
            place = self.places[item]
            self._said.setdefault(place, {})[who] = answer
            if answer.kind is not None and who == DECISION:
                self._decided[place] = True
            elif answer.kind is not None:
                self._answers[place] += 1
                self._mine[who] += 1
                self._busy_of(who)[place] = True
        for (item, who), tab in holders.items():
            place = self.places[item]
            self._holders.setdefault(place, {})[who] = tab
            self._held[place] += not self._answered(place, who)  # a second look is no further copy
            self._busy_of(who)[place] = True
        for item, truth in truths(answers).items():
            self.truths[self.places[item]] = truth
            if truth.label is not None:
                self.counts[truth.label] += 1

    def _busy_of(self, who: str) -> NDArray[np.bool_]:
        if who not in self._busy:
            self._busy[who] = np.zeros(len(self.items), bool)
        return self._busy[who]

    def knows(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot speaks of these items: its file may come from anywhere."""
        places = np.concatenate([snapshot.order, snapshot.unreadable])
        return bool(((places >= 0) & (places < len(self.items))).all())

    # ---------------------------------------------------------------------------------------------------------- numbers

    def classes(self) -> list[dict[str, Any]]:
        """The classes with their keys and numbers of labels."""
        return [{"name": name, "key": self._keys.get(name), "n": self.counts[name]} for name in self.names]

    def small(self, who: str) -> dict[str, int]:
        """How far the project is, in the numbers that every answer carries."""
        wanted = self._wanted()
        return {
            "labeled": sum(self.counts.values()),
            "open": int(wanted.sum()),
            "items": len(self.items),
            "mine": self._mine[who],
            "queue": sum(bool(wanted[place]) for place in self._queue),
        }

    def people(self) -> list[str]:
        """Everybody who answered or holds an item."""
        held = {who for people in self._holders.values() for who in people}
        return sorted({who for who, n in self._mine.items() if n > 0} | held)

    def _wanted(self) -> NDArray[np.bool_]:
        """Which items need more answers."""
        wanted = ~self._gone & ~self._decided & (self._answers < self._copies)
        if self.snapshot is not None:  # people would see nothing of what the model cannot read
            wanted[self.snapshot.unreadable] = False
        return wanted

    def _free(self, who: str) -> NDArray[np.bool_]:
        """Which items may be handed out to a person now."""
        return self._wanted() & (self._answers + self._held < self._copies) & ~self._busy_of(who)

    # ------------------------------------------------------------------------------------------------------------- items

    def given(self, place: int, who: str) -> Given:
        """An item as a person gets it."""
        snapshot = self.snapshot
        guess = None if snapshot is None else snapshot.guess(place)
        if guess is not None and guess[0] not in self._known:
            guess = None
        look = self._looks.get((place, who)) if who in self._holders.get(place, {}) else None
        return Given(
            place,
            self.items[place],
            None if guess is None else (self._known[guess[0]], guess[1]),
            look is not None or self.hidden(place, who),
            look or self._reasons.get(place),
            None if snapshot is None else model_name(snapshot.n_labels),
            None if look is not None else self._said.get(place, {}).get(who),  # a second look is independent
        )

    def hidden(self, place: int, who: str) -> bool:
        """Whether the guess for an item is withheld from a person: drawn by a hash, so that it stays the same."""
        if (place, who) not in self._hidden:
            text = f"{self._id}\n{who}\n{self.items[place].id}".encode("utf-8", "surrogatepass")
            share = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) / 2**64
            self._hidden[place, who] = share < self.withhold
        return self._hidden[place, who]

    # --------------------------------------------------------------------------------------------------------- recording

    def record(
        self, who: str, tab: str, events: Sequence[Event], want: int, have: Sequence[str]
    ) -> tuple[list[Ack], list[Given]]:
        """Record events and hand out items, in one transaction.

        Args:
            who: The person.
            tab: The page.
            events: The events.
            want: The number of items to hand out.
            have: The ids of items that the page has and has not answered; their leases are renewed.

        Raises:
            RunError: Nothing was saved.
        """
        self._heard[who, tab] = time.monotonic()
        have = [item for item in have if item in self.places]
        known = set(have)
        if not events and not want and all(who in self._holders.get(self.places[item], {}) for item in have):
            self.project.renew(have, who)
            return [], []
        why = dict(islice(self._candidates(who, want), want + _SPARE)) if want else {}
        with self.project.together():
            acks = self.project.record(events)
            held = self.project.leased(who, tab)
            again = [item for item in held if item not in known][:want]
            ended = [item for item in have if item not in held]
            self.project.lease(who, len(ended), ended, tab=tab)
            answered = _answered_in(events, acks)
            due = self._due(who, [*held, *answered], want - len(again))
            looks = self.project.lease(who, want - len(again), due, tab=tab, check=True) if due else []
            order = (self.items[place].id for place in why)
            new = looks + self.project.lease(who, want - len(again) - len(looks), order, tab=tab)
            given = {item: due[item] for item in looks}
            if given or any((self.places[item], who) in self._looks for item in answered):
                after = self._looks_after(who, answered, given).items()
                self.project.remember_looks({(self.items[place].id, name): why for (place, name), why in after})
            if len(again) + len(new) < want:
                left = self._left_behind(who, tab)[: want - len(again) - len(new)]
                self.project.move(left, who, tab)
                new += left
        self.project.renew([*have, *again, *new], who)
        self._reasons.update((self.places[item], why[self.places[item]]) for item in new if self.places[item] in why)
        self._looks = self._looks_after(who, answered, given)
        self._after(events, acks, [*ended, *again, *new])
        return acks, [self.given(self.places[item], who) for item in (*again, *new)]

    def _looks_after(self, who: str, answered: Iterable[str], given: Mapping[str, str]) -> dict[tuple[int, str], str]:
        """Why people get items once more, after a person answered some and was given others with these reasons."""
        done = {(self.places[item], who) for item in answered}
        held = {key: why for key, why in self._looks.items() if key[1] in self._holders.get(key[0], {})}
        left = {key: why for key, why in held.items() if key not in done}
        return left | {(self.places[item], who): why for item, why in given.items()}

    def _due(self, who: str, held: Sequence[str], want: int) -> dict[str, str]:
        """The items that the person gets once more, among the next ``want``, with the reasons."""
        if want <= 0 or not self._second_looks:
            return {}
        return dict(self._checks.due(who, held, want, [each.item for each in self.suspected()]))

    def suspected(self) -> list[Suspect]:
        """The suspects that still have the label that was judged, and no decision."""
        present = ((each, self.truths.get(self.places.get(each.item, -1))) for each in self.suspects)
        return [each for each, truth in present if is_suspect(each, truth, self._known)]

    def _left_behind(self, who: str, tab: str) -> list[str]:
        """The items that a person has on pages that were not heard of lately: they may be closed, and the items wait in vain."""
        lately = time.monotonic() - _SILENT
        pages = self.project.on_pages(who).items()
        return [i for i, other in pages if other != tab and self._heard.get((who, other), -math.inf) < lately]

    def _after(self, events: Sequence[Event], acks: Sequence[Ack], ids: Iterable[str]) -> None:
        """Bring the desk up to what was committed."""
        self._checks.read(self.project)
        recorded = [event for event, ack in zip(events, acks, strict=True) if ack.error is None]
        targets = [event.target for event in recorded if event.target is not None]
        changed = [*recorded, *(self.project.keys_recorded(targets).values() if targets else ())]  # undone ones too
        kinds = {event.kind for event in changed}
        if kinds & {"class_rename", "class_merge"}:
            self.reload()
            return
        if kinds & {*_CLASSES}:
            self._read_classes()
        touched = [event.item for event in changed if event.item is not None]
        self.refresh([*touched, *ids])

    def _candidates(self, who: str, want: int) -> Iterator[tuple[int, str]]:
        """The items for a person, best first, each with the reason.

        Queued ones come first, then those that need one more answer, then the model's choice, then random ones.
        """
        free = self._free(who)

        def once(place: int) -> bool:
            was, free[place] = bool(free[place]), False
            return was

        yield from ((place, "queued") for place in self._queue if once(place))
        again = np.flatnonzero(free & (self._answers > 0)).tolist()
        yield from ((place, "needs one more answer") for place in again if once(place))
        if self.snapshot is not None:
            chosen = zip(self.snapshot.order.tolist(), self.snapshot.reasons, strict=True)
            yield from ((place, reason) for place, reason in chosen if once(place))
        left = np.flatnonzero(free)
        yield from ((place, RANDOM) for place in _smallest(left, self._rank, min(len(left), want + _SPARE)).tolist())

    def take(self, who: str, tab: str, ids: Sequence[str]) -> tuple[list[Given], dict[str, str]]:
        """Open items by id: they are leased if they are free; returns them, and the person who has each that another one has.

        Raises:
            InvalidInput: The project has no item with one of these ids.
        """
        missing = next((item for item in ids if item not in self.places), None)
        if missing is not None:
            raise InvalidInput(f"the project has no item {missing!r:.200}")
        free = self._free(who)
        wanted = [item for item in ids if free[self.places[item]]]
        if wanted:
            taken = self.project.lease(who, len(wanted), wanted, tab=tab)
            self.refresh(taken)
        others = {}
        for item in ids:
            holder = next((name for name in self._holders.get(self.places[item], {}) if name != who), None)
            if holder is not None and who not in self._holders[self.places[item]]:
                others[item] = f"{holder} has it now"
        return [self.given(self.places[item], who) for item in ids], others

    # -------------------------------------------------------------------------------------------------------------- grid

    def grid(
        self, who: str, tab: str, n: int, label: str | None, have: Sequence[str]
    ) -> tuple[str | None, list[Given]]:
        """Open items that the model guesses to be of one class, the most confident first, leased to a page.

        Items whose guess is withheld are among them: without them, those left for the single view would be the easier ones, and the
        effect of guesses on people would be measured wrongly.

        Args:
            who: The person.
            tab: The page.
            n: The number of items.
            label: The class; None: the one with most of them.
            have: The ids of items that the page has and has not answered.

        Returns:
            The class, None without a model, and the items.
        """
        self._heard[who, tab] = time.monotonic()
        self.project.renew([item for item in have if item in self.places], who)
        found = self._guessed(who)
        if found is None:
            return label, []
        places, names, p = found
        if label is None:
            most = Counter(names.tolist()).most_common(1)
            label = most[0][0] if most else None
        own = np.flatnonzero(names == label)
        best = own[np.argsort(-p[own], kind="stable")]
        ids = [self.items[place].id for place in places[best[: n + _SPARE]].tolist()]
        given = self.project.lease(who, n, ids, tab=tab) if ids and n else []
        self.refresh(given)
        for item in given:
            self._reasons[self.places[item]] = GRID
        self.project.renew(given, who)
        return label, [self.given(self.places[item], who) for item in given]

    def _guessed(self, who: str) -> tuple[NDArray[np.int64], NDArray[np.object_], NDArray[np.float32]] | None:
        """The places that are free for a person and have a guess, with the present name of the class and its probability."""
        snapshot = self.snapshot
        if snapshot is None:
            return None
        free = self._free(who)[: len(snapshot.guesses)]
        places = np.flatnonzero(free & (snapshot.guesses[: len(free)] >= 0))
        present = np.array([self._known.get(name) for name in snapshot.classes] or [None], object)
        names = present[snapshot.guesses[places]]
        known = names != np.array(None)
        return places[known], names[known], snapshot.p[places][known]

    # ------------------------------------------------------------------------------------------------------------ search

    def search(self, who: str, text: str, guess: str | None, label: str | None, state: str | None) -> Iterator[int]:
        """The places of the items that match; another thread may run this. It passes over all items.

        Args:
            who: The person.
            text: A part of the id or the text, in any case, with accents written in either way.
            guess: The class that the model guesses.
            label: The label.
            state: ``open``, ``answered``, ``flagged``, ``tied`` or ``mine``.
        """
        wanted, text = self._wanted(), plain(text)
        for place, item in enumerate(self.items):
            truth = self.truths.get(place)
            if label is not None and (truth is None or truth.label != label):
                continue
            if state is not None and not self._in_state(place, truth, state, who, wanted):
                continue
            if guess is not None and self._guess_of(place) != guess:
                continue
            if text and text not in plain(item.id) and text not in plain(item.text or ""):
                continue
            yield place

    def _in_state(self, place: int, truth: Truth | None, state: str, who: str, wanted: NDArray[np.bool_]) -> bool:
        if state == "open":
            return bool(wanted[place])
        if truth is None:
            return False
        if state == "mine":
            return who in truth.votes or who in truth.others
        return {"answered": truth.answers > 0 or truth.decided, "flagged": truth.flagged, "tied": truth.tied}[state]

    def _guess_of(self, place: int) -> str | None:
        guess = None if self.snapshot is None else self.snapshot.guess(place)
        return None if guess is None else self._known.get(guess[0])

    # --------------------------------------------------------------------------------------------------------------- map

    def map(self, found: PoolMap) -> bytes:
        """The map as the page reads it; another thread may run this. It passes over all answers."""
        labels, answered = np.full(len(self.items), -1), np.zeros(len(self.items), bool)
        number = {name: c for c, name in enumerate(self.names)}
        for place, truth in list(self.truths.items()):
            labels[place] = number.get(truth.label or "", -1)
            answered[place] = truth.answers > 0 or truth.decided
        return map_bytes(found, self.snapshot, self.names, labels, answered, self._gone)

    def label_all(self, who: str, tab: str, key: str, places: Sequence[int], label: str) -> tuple[int, int]:
        """Label items of the map; those that the person answered are skipped. Returns how many were labeled and skipped.

        Raises:
            InvalidInput: There is no such class.
        """
        if label not in self._known:
            raise InvalidInput(f"the project has no class {label!r:.60}")
        keys = self.project.keys_recorded(f"{key}:{place}" for place in places)
        mine = [place for place in places if self._answered(place, who)]
        skipped = {place for place in mine if f"{key}:{place}" not in keys}
        events = [self._bulk_event(who, tab, key, place, label) for place in places if place not in skipped]
        acks = self.project.record(events) if events else []
        self._after(events, acks, [])
        done = sum(ack.error is None for ack in acks)
        return done, len(places) - done

    def turn_all(self, who: str, key: str, places: Sequence[int], verb: str, of: str) -> tuple[int, int]:
        """Undo or redo the labels that ``label_all`` gave with the key ``of``; returns how many, and how many there are not.

        Undone items are for everyone again: a person does not hold thousands of items.
        """
        events = [Event(kind=verb, who=who, key=f"{key}:{place}", target=f"{of}:{place}") for place in places]
        acks = self.project.record(events)
        self._after(events, acks, [])
        done = sum(ack.error is None for ack in acks)
        return done, len(places) - done

    def _answered(self, place: int, who: str) -> bool:
        answer = self._said.get(place, {}).get(who)
        return answer is not None and answer.kind in ANSWERS

    def _bulk_event(self, who: str, tab: str, key: str, place: int, label: str) -> Event:
        given = self.given(place, who)
        name, p = given.guess or (None, None)
        shown = Shown(name, p, False, MAP, given.model)
        return Event(kind="label", who=who, tab=tab, key=f"{key}:{place}", item=given.item.id, label=label, shown=shown)

    def queue(self, places: Sequence[int]) -> tuple[int, int]:
        """Put items in front of the queue; returns how many were queued, and how many need no more answers."""
        wanted = self._wanted()
        new = [place for place in dict.fromkeys(places) if wanted[place]]
        queue = [*new, *(place for place in self._queue if place not in set(new) and wanted[place])]
        self.project.queue(self.items[place].id for place in queue)
        self._queue = queue
        return len(new), len(places) - len(new)

    def expire(self, seconds: float) -> None:
        """End the leases of pages that have not been heard of for some seconds; read the queue, which other programs fill too."""
        self.refresh(self.project.expire(seconds))
        now = time.monotonic()
        self._heard = {page: at for page, at in self._heard.items() if now - at < seconds}
        self._read_queue()


def _answered_in(events: Sequence[Event], acks: Sequence[Ack]) -> list[str]:
    """The ids of the items that these events answered, if they were not recorded before."""
    new = [event for event, ack in zip(events, acks, strict=True) if ack.error is None and not ack.duplicate]
    return [event.item for event in new if event.kind in ANSWERS and event.item is not None]


def _smallest(values: NDArray[np.int64], by: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The n values whose ranks are smallest, in the order of the ranks."""
    ranks = by[values]
    some = np.argpartition(ranks, n - 1)[:n] if n < len(values) else np.arange(n)
    return values[some[np.argsort(ranks[some])]]

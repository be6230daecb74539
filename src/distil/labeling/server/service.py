"""What the routes of the server share: the project with its desk, used by one thread, and the streams to open pages."""

from __future__ import annotations

import asyncio
import json
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from distil.errors import InvalidInput, RunError
from distil.labeling.events import Ack, Event
from distil.labeling.items import Item
from distil.labeling.map import PoolMap
from distil.labeling.model import CACHE, Snapshot
from distil.labeling.progress import Tally, unseen_guesses
from distil.labeling.project import Project
from distil.labeling.quality import Quality, SelfAgreement, Suspect, confusions
from distil.labeling.server.background import Background, ModelState
from distil.labeling.server.desk import Desk, Given
from distil.labeling.server.excerpts import HANDED_OUT, LISTED, excerpt
from distil.labeling.server.previews import Previews
from distil.labeling.server.sessions import Sessions

LEASE: Final = 600.0
"""Seconds for which a page keeps items without being heard of."""
PREFETCH: Final = 10
_LOOK: Final = 30.0  # seconds between looks at leases that have ended
_ALIVE: Final = 15.0  # seconds after which a silent stream sends a comment
_PACE: Final = 0.25  # seconds between two messages of a stream
_MOST_STREAMS: Final = 200
_FRESH: Final = 3.0  # seconds for which numbers that need a pass over all answers are kept, at least
_RARE: Final = 10.0  # how many times as long as computing them takes they are kept, at least
_VALUES: Final = 200
_SUSPECTS: Final = 60

P = ParamSpec("P")
T = TypeVar("T")


class Service:
    """A project that is being labeled.

    Args:
        project: The project; the caller holds its lock.
        sessions: Who is at the page.
        worker: The settings of the process that fits the model; None: there is no model.
        withhold: The share of items whose guess is not shown.
        checks: Whether some items are given out a second time; see :class:`distil.labeling.checks.Checks`.
        lease: Seconds for which a page keeps items without being heard of.
    """

    def __init__(
        self,
        project: Project,
        sessions: Sessions,
        worker: Mapping[str, str | float] | None,
        *,
        withhold: float = 0.1,
        checks: bool = True,
        lease: float = LEASE,
    ) -> None:
        self.project, self.sessions = project, sessions
        self.desk = Desk(project, withhold, checks=checks)
        self.previews = Previews()
        self._arrays: dict[str, NDArray[Any] | None] = {}
        self.map: PoolMap | None = None
        self.model = ModelState("off" if worker is None else "starting")
        self._lease = lease
        self._thread = ThreadPoolExecutor(1, "desk")
        self._painters = ThreadPoolExecutor(max(2, os.cpu_count() or 1), "images")  # else answers would wait for images
        self._background = Background(project, worker, self._hear)
        self._changed = asyncio.Event()
        self._streams = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._load(self.model.state)
        self._load_map()
        self._load_quality()

    async def at_desk(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the thread that owns the project and its desk."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*args, **kwargs))

    @cached_property
    def reader(self) -> Project:
        """The project through a connection of its own: no answer waits for what is read here."""
        return Project.open(self.project.path)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The background work of the server, while the block runs."""
        self._loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(self._background.work()), asyncio.create_task(self._expire())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._thread.shutdown()
            self._painters.shutdown(cancel_futures=True)
            if "reader" in self.__dict__:
                self.reader.close()

    def close(self) -> None:
        """Let the streams end; a signal handler may call this."""
        self._closing = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.tell)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(min(_LOOK, self._lease))
            try:
                await self.at_desk(self.desk.expire, self._lease)
            except RunError:  # a full disk, for example; the next look tries again
                continue

    # ------------------------------------------------------------------------------------------------------------- model

    async def _hear(self, words: dict[str, Any]) -> None:
        """Take in what the process behind the model says."""
        state = words.get("state")
        if state == "fitted":
            await self.at_desk(self._load, "fitted")
        elif state in ("embedding", "failed"):
            self.model = replace(self.model, state=str(state), error=words.get("error"))
        elif "map" in words:
            await asyncio.to_thread(self._load_map)
        elif "quality" in words:
            await self.at_desk(self._load_quality)
        self.tell()

    def _load(self, state: str) -> None:
        """Read the last snapshot, if there is one."""
        try:
            snapshot = Snapshot.load(self.project.path / CACHE)
        except RunError:
            return  # the next fit writes it again
        if snapshot is not None and self.desk.knows(snapshot):
            self.desk.snapshot = snapshot
            self.model = replace(self.model, state=state, error=None).after(snapshot)

    def _load_map(self) -> None:
        """Read the last map, if there is one."""
        with suppress(RunError):  # the process behind the model writes it again
            self.map = PoolMap.load(self.project.path / CACHE)

    def _load_quality(self) -> None:
        """Read what was last said about the labels, if there is anything."""
        with suppress(RunError):  # the process behind the model writes it again
            quality = Quality.load(self.project.path / CACHE)
            self.desk.suspects = () if quality is None else quality.suspects

    # ----------------------------------------------------------------------------------------------------------- streams

    def tell(self) -> None:
        """Let the streams look for what changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def stream(self, who: str) -> AsyncIterator[str]:
        """Server-sent events for the page of a person: what changed since the last one."""
        if self._streams >= _MOST_STREAMS:
            return
        self._streams += 1
        sent: dict[str, str] = {}
        try:
            while not self._closing:
                changed = self._changed
                now = await self.at_desk(self._news, who)
                for kind, text in now.items():
                    if sent.get(kind) != text:
                        yield f"event: {kind}\ndata: {text}\n\n"
                sent = now
                await asyncio.sleep(_PACE)
                try:
                    async with asyncio.timeout(_ALIVE):
                        await changed.wait()
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            self._streams -= 1

    def _news(self, who: str) -> dict[str, str]:
        documents: dict[str, Any] = {
            "model": self.model.document(),
            "progress": self.desk.small(who),
            "classes": self.desk.classes(),
        }
        if self.map is not None:
            documents["map"] = {"version": self.map.version, "method": self.map.method}
        return {kind: json.dumps(document) for kind, document in documents.items()}

    # ------------------------------------------------------------------------------------------------------------- items

    async def image(self, item: Item, size: str) -> tuple[bytes, str]:
        """The image of an item, and its media type; see :meth:`Previews.image`."""
        return await asyncio.get_running_loop().run_in_executor(self._painters, self.previews.image, item, size)

    async def documents(self, given: Sequence[Given]) -> list[dict[str, Any]]:
        """Items as the page reads them to show each by itself. Only the beginning of a long text is there; the page asks for it."""
        return await self._documents(given, HANDED_OUT, "")

    async def listed(self, given: Sequence[Given], sought: str = "") -> list[dict[str, Any]]:
        """Items as the page reads them in lists: with excerpts of texts, around what was searched for."""
        return await self._documents(given, LISTED, sought)

    async def _documents(self, given: Sequence[Given], most: int, sought: str) -> list[dict[str, Any]]:
        """Made in another thread where files are opened, for the sizes of images and the numbers of rows, or texts are searched."""
        if all(each.item.kind == "texts" for each in given) and not sought:
            return [self._document(each, most, sought) for each in given]
        return await asyncio.to_thread(lambda: [self._document(each, most, sought) for each in given])

    def _document(self, given: Given, most: int, sought: str) -> dict[str, Any]:
        """An item as the page reads it."""
        item, mine = given.item, given.mine
        size = self.previews.size(item) if item.kind == "images" else None
        text = None if item.text is None else excerpt(item.text, most, sought)
        return {
            "id": item.id,
            "place": given.place,
            "kind": item.kind,
            "text": text,
            "whole": text == item.text,
            "image": f"/item/{given.place}?v={item.digest}" if item.kind == "images" else None,
            "width": None if size is None else size[0],
            "height": None if size is None else size[1],
            "values": self._values(item) if item.kind == "rows" else None,
            "guess": None if given.guess is None else {"label": given.guess[0], "p": round(given.guess[1], 4)},
            "withheld": given.withheld,
            "reason": given.reason,
            "model": given.model,
            "mine": None if mine is None else {"kind": mine.kind, "label": mine.label, "flagged": mine.flagged},
            "gone": item.gone,
        }

    def _values(self, item: Item) -> list[float | None] | None:
        """The first numbers of a row of a ``.npy`` file; None where it cannot be read."""
        if item.source not in self._arrays:
            try:
                ordinary = os.path.isfile(item.source)  # not a pipe, which would be waited for
                self._arrays[item.source] = (
                    np.load(item.source, mmap_mode="r", allow_pickle=False) if ordinary else None
                )
            except (OSError, ValueError, EOFError):  # another format
                self._arrays[item.source] = None
        array = self._arrays[item.source]
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            return None
        if not (array.ndim and 0 <= item.place < len(array)):
            return None
        row = np.asarray(array[item.place], np.float64).ravel()[:_VALUES]
        return [value if math.isfinite(value) else None for value in row.tolist()]

    async def suspects(self, who: str) -> list[dict[str, Any]]:
        """The labels that are probably wrong, with their items, the most probable error first; some of them if there are many."""

        def found() -> list[tuple[Suspect, Given]]:
            some = self.desk.suspected()[:_SUSPECTS]
            return [(each, self.desk.given(self.desk.places[each.item], who)) for each in some]

        pairs = await self.at_desk(found)
        items = await self.listed([given for _, given in pairs])
        return [
            {"item": item, "label": each.label, "guess": each.guess, "p": each.p}
            for (each, _), item in zip(pairs, items, strict=True)
        ]

    # ------------------------------------------------------------------------------------------------------------ events

    def recorded(self) -> None:
        """Let the model and the streams look at what was recorded."""
        self._background.poke()
        self.tell()

    async def record(
        self, who: str, tab: str, documents: Sequence[dict[str, Any]], want: int, have: Sequence[str]
    ) -> dict[str, Any]:
        """Record events that a page sent, and hand out items; the answer to the page."""
        read = [_event(document, who, tab) for document in documents]
        events = [event for event in read if isinstance(event, Event)]
        recorded, given, small = await self.at_desk(self._recorded, who, tab, events, want, have)
        if events:
            self.recorded()
        found = iter(recorded)
        acks = [next(found) if isinstance(each, Event) else each for each in read]
        return {
            "acks": [{"key": a.key, "seq": a.seq, "duplicate": a.duplicate, "error": a.error} for a in acks],
            "items": await self.documents(given),
            "progress": small,
        }

    def _recorded(
        self, who: str, tab: str, events: Sequence[Event], want: int, have: Sequence[str]
    ) -> tuple[list[Ack], list[Given], dict[str, int]]:
        return *self.desk.record(who, tab, events, want, have), self.desk.small(who)


def _event(document: dict[str, Any], who: str, tab: str) -> Event | Ack:
    """The event that a page sent, or why it is none."""
    key = document.get("key")
    try:
        own = next((name for name in ("who", "tab") if name in document), None)
        if own is not None:
            raise InvalidInput(f"an event of the page has no field {own!r}: the session says it")
        return Event.read({**document, "who": who, "tab": tab})
    except InvalidInput as error:
        return Ack(key if isinstance(key, str) else "", None, error=str(error))


class Progress:
    """Numbers that need a pass over all answers, computed in a thread with a connection of its own.

    Args:
        project: The project.
    """

    def __init__(self, project: Project) -> None:
        self._path = project.path
        self._lock = threading.Lock()
        self._tally = Tally()
        self._until = 0.0  # when the numbers are computed again, by the monotonic clock
        self._repeats = SelfAgreement()
        self._document: dict[str, Any] = {}

    def document(self) -> dict[str, Any]:
        """The numbers, at most some seconds old; of many answers older, so that computing them takes a small share of the time."""
        with self._lock:
            began = time.monotonic()
            if began >= self._until:
                self._document = self._computed()
                self._until = time.monotonic() + max(_FRESH, _RARE * (time.monotonic() - began))
            return self._document

    def _computed(self) -> dict[str, Any]:
        with Project.open(self._path) as reader:
            self._tally.read(reader)
            self._repeats.read(reader)
            said = reader.truths()
            found = self._tally.progress(said, reader.untouched, unseen_guesses(reader, said))
            repeats = self._repeats.counts(reader.known_classes)
        return {**asdict(found), "self_agreement": _together(repeats), "confusion": confusions(said) or None}


def _together(repeats: Mapping[str, tuple[int, int]]) -> dict[str, int] | None:
    """The repeats of all people."""
    if not repeats:
        return None
    return {"n": sum(n for n, _ in repeats.values()), "agree": sum(equal for _, equal in repeats.values())}

"""A project: a folder in which the items to label and everything that people said about them are kept, for as long as it takes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from distil.errors import InvalidInput, RunError, whole_number
from distil.labeling.adding import Added, add_items
from distil.labeling.events import Ack, Event, check_name
from distil.labeling.fold import Answer, State
from distil.labeling.items import Item
from distil.labeling.leasing import Leases
from distil.labeling.moving import follow
from distil.labeling.past import PAST, Recorded
from distil.labeling.recording import check_class_names, end_of, record_event
from distil.labeling.sources import read_source
from distil.labeling.status import Status
from distil.labeling.store import FILE, Store, bound, chunks, no_project
from distil.labeling.truth import Truth, agreement, krippendorff_alpha, truths
from distil.system.files import locked, new_folder

if TYPE_CHECKING:
    from distil.labeling.learning import ProjectLearner
    from distil.selection.learner import Fit
    from distil.strategies.base import Strategy
    from distil.system.runtime import Runtime
    from distil.training.config import FitConfig
    from distil.training.linear_head import HeadConfig


class Project(Leases):
    r"""The items to label, and everything that people said about them: one SQLite file, ``project.db``, in a folder of its own.

    Answers are kept as events in the order in which they came, and nothing is removed. An event is on disk when ``record`` returns.
    Threads may share a project; several processes may have it open. Open it with :meth:`create` or :meth:`open`, and close it,
    or use it as a context manager.

    Args:
        path: The folder.
        store: Its open database.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "texts.txt").write_text("fine\nbroken\n")
    >>> with Project.create(folder / "reviews", classes=["good", "bad"]) as project:
    ...     added = project.add(folder / "texts.txt")
    ...     acks = project.record([Event(kind="label", who="anna", item="0", label="good")])
    ...     project.labels()
    {'0': 'good'}
    """

    def __init__(self, path: Path, store: Store) -> None:
        self.path = path
        super().__init__(store)

    @classmethod
    def create(cls, path: str | Path, *, classes: Sequence[str] = (), copies: int = 1, who: str = "owner") -> Project:
        """Make a new project.

        Args:
            path: The folder; it must not exist, or be empty.
            classes: The names of the classes; more may be added later.
            copies: The number of people who are to answer each item.
            who: The name under which the classes are recorded.

        Raises:
            InvalidInput: A name of a class is not one line of text or occurs twice, or ``copies`` is not a positive number.
            RunError: There is something else at the path.
        """
        path = Path(path).expanduser()
        if whole_number(copies, 1) is None:
            raise InvalidInput(f"copies must be a whole number from 1 on, got {copies!r}")
        if isinstance(classes, str):
            raise InvalidInput(f"classes must be a list of names, got the text {classes!r}")
        check_class_names(classes)
        with new_folder(path) as temporary:  # a kill leaves no half project
            store = Store(temporary, {"project": str(uuid.uuid4()), "copies": str(copies)}, path)
            with cls(temporary, store) as project:
                project.record_all([Event(kind="class_add", who=who, label=name) for name in classes])
        try:
            return cls.open(path)
        except RunError:  # the disk is full now, for example; the same call will then find no project in its way
            shutil.rmtree(os.path.realpath(path))  # a link to the folder keeps its place
            raise

    @classmethod
    def open(cls, path: str | Path) -> Project:
        """Open a project. Opening runs and imports nothing that the project names.

        Raises:
            RunError: There is no project, it is damaged, or a newer version of distil wrote it.
        """
        path = Path(path).expanduser()
        if not (path / FILE).is_file():
            raise RunError(no_project(path))
        return cls(path, Store(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def only_writer(self) -> AbstractContextManager[None]:
        """Hold the project's lock, as a server does while it runs; the system releases it when the process ends.

        Raises:
            RunError: Another process holds it, or this account cannot write to the folder.
        """
        file = self.path / "project.lock"
        try:
            file.open("ab").close()
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise RunError(
                f"{self.path} cannot be written to ({error.strerror}), and only be read, as by `distil project status`; check its "
                "permissions, or work on a copy"
            ) from error
        busy = f"{self.path} is in use by another process, such as a server; stop it, or wait until it is done"
        return locked(file, busy)

    def together(self) -> AbstractContextManager[object]:
        """A block in which everything that is recorded and handed out is one transaction: all of it is kept, or nothing.

        Raises:
            RunError: Nothing was kept, because the disk is full for example.
        """
        return self._store.writing()

    @property
    def id(self) -> str:
        """A UUID, made with the project."""
        return self._setting("project")

    @property
    def model(self) -> dict[str, str | float]:
        """What was named of the model with which the project was last labeled: ``model``, ``weights``, ``strategy``, ``share``."""
        found: dict[str, str | float] = json.loads(self._setting("model", "{}"))
        return found

    def remember_model(self, model: Mapping[str, str | float]) -> None:
        """Keep what :attr:`model` gives."""
        with self._store.writing() as db:
            db.execute("INSERT OR REPLACE INTO setting VALUES('model', ?)", (json.dumps(dict(model)),))

    @property
    def sources(self) -> list[str]:
        """The paths of the sources, in the order in which they were added."""
        return [path for (path,) in self._store.rows("SELECT path FROM source ORDER BY s")]

    # ------------------------------------------------------------------------------------------------------------- items

    def add(
        self,
        source: str | Path,
        *,
        column: str | None = None,
        ids: str | None = None,
        moved: bool = False,
        who: str = "owner",
    ) -> Added:
        """Add the items of a source, or what is new in it.

        Items that the project has already are kept, with their answers: those whose content changed are listed, and those that the
        source no longer has, or whose file cannot be read, are not handed out any more until they are back.

        Args:
            source: A folder of images, a table of texts or image paths, or an array, as :func:`distil.open_pool` takes them.
            column: The column of the items, where the source is a table; default: as for ``open_pool``, or as before.
            ids: The column or file of ids; default: as for ``open_pool``, or as before.
            moved: Whether the answers to items that are gone follow to the items that have their content, the pairs of
                ``Added.moved``: they are recorded for these, and taken back from those.
            who: The name under which it is recorded.

        Raises:
            DataNotFound: There is nothing at the path.
            InvalidInput: It is no source of items, none of them can be read, or an id is that of another item.
        """
        check_name("the name of a person", who)
        column, ids = self._as_before(Path(source), column, ids)
        found = read_source(source, column, ids)
        items = list(found.items)
        with self._store.writing() as db:
            at = time.time()
            added = add_items(db, found, items, who, at)
            if moved:
                follow(db, added.moved, who, at)
            return added

    def _as_before(self, path: Path, column: str | None, ids: str | None) -> tuple[str | None, str | None]:
        """The columns that the source was added with, where none are given."""
        where = str(path.expanduser().absolute())
        rows = self._store.rows("SELECT options FROM source WHERE path = CAST(? AS TEXT)", (bound(where),))
        before = json.loads(rows[0][0]) if rows else {}
        return column or before.get("column"), ids or before.get("ids")

    def items(self, ids: Iterable[str] | None = None) -> list[Item]:
        """The items with these ids, in this order; default: all, in the order in which they were added.

        Raises:
            InvalidInput: The project has no item with one of these ids.
        """
        sql = "SELECT item.id, source.path, kind, place, item.path, text, gone, digest FROM item JOIN source ON source = s"
        if ids is None:
            return [_item(row) for row in self._store.rows(f"{sql} ORDER BY n")]
        wanted = list(ids)
        found: dict[str, Item] = {}
        for some in chunks(wanted):
            marks = ", ".join(["CAST(? AS TEXT)"] * len(some))
            rows = self._store.rows(f"{sql} WHERE id IN ({marks})", [bound(name) for name in some])
            found |= {row[0]: _item(row) for row in rows}
        missing = next((name for name in wanted if name not in found), None)
        if missing is not None:
            raise InvalidInput(f"the project has no item {missing!r:.200}")
        return [found[name] for name in wanted]

    def ids(self) -> list[str]:
        """The ids of all items, in the order in which they were added."""
        return [item for (item,) in self._store.rows("SELECT id FROM item ORDER BY n")]

    # ------------------------------------------------------------------------------------------------------------ events

    def record(self, events: Sequence[Event]) -> list[Ack]:
        """Record events, in one transaction; returns what became of each.

        An event whose key the record has already is acknowledged as a duplicate and not counted again. An event that cannot be
        recorded is refused with an error, and the others are recorded.

        Raises:
            RunError: Nothing was recorded, because the disk is full for example.
        """
        with self._store.writing() as db:
            at = time.time()
            return [record_event(db, event, at) for event in events]

    def record_all(self, events: Sequence[Event]) -> list[Ack]:
        """Record all events in one transaction, or none.

        Raises:
            InvalidInput: One of them was refused.
            RunError: Nothing was recorded.
        """
        with self._store.writing() as db:
            at = time.time()
            acks = [record_event(db, event, at) for event in events]
            refused = next((ack.error for ack in acks if ack.error is not None), None)
            if refused is not None:
                raise InvalidInput(refused)
            return acks

    def events(self, *, after: int = 0, who: str | None = None) -> list[Recorded]:
        """The events of the record, in order: all, or those after a number or of a person."""
        return [Recorded(seq, at, Event.read(sent)) for seq, at, sent in self.sent(after=after, who=who)]

    def sent(self, *, after: int = 0, who: str | None = None) -> Iterator[tuple[int, float, dict[str, Any]]]:
        """The events of :meth:`events` with their numbers and times, each as the document that was sent; much faster."""
        sql = "SELECT seq, at, sent FROM event WHERE seq > ? AND kind != 'items_add' AND (? IS NULL OR who = ?) ORDER BY seq"
        return ((seq, at, json.loads(sent)) for seq, at, sent in self._store.rows(sql, (after, who, who)))

    def history(
        self,
        *,
        item: str | None = None,
        who: str | None = None,
        before: int | None = None,
        after: int = 0,
        elsewhere: str | None = None,
        n: int | None = None,
    ) -> list[tuple[Recorded, bool]]:
        """The events of the record, the newest first, each with whether it is undone.

        Args:
            item: Only events on the item with this id, with what undid and redid them.
            who: Only events of this person.
            before: Only events before the one with this number.
            after: Only events after the one with this number.
            elsewhere: Only events that were not sent from this page.
            n: The largest number of events; default: all.

        Raises:
            InvalidInput: The project has no such item.
        """
        if item is not None:
            self.items([item])
        values = {"item": bound(item), "who": who, "before": before, "after": after, "elsewhere": elsewhere}
        values["n"] = -1 if n is None else n
        rows = self._store.rows(PAST, values)
        return [(Recorded(seq, at, Event.read(json.loads(sent))), bool(undone)) for seq, at, sent, undone in rows]

    @property
    def last_event(self) -> int:
        """The number of the last event in the record; 0 if there is none."""
        return int(self._store.rows("SELECT coalesce(max(seq), 0) FROM event")[0][0])

    def state(self) -> State:
        """What people say about the items now, as the tables have it; ``fold`` computes the same from ``events``."""
        with self._store.reading():
            return State(self.classes, self.class_keys, self.answers())

    def answers(self, ids: Iterable[str] | None = None) -> dict[tuple[str, str], Answer]:
        """(id of an item, person) -> what the person says about it now; of all items, or of those with these ids."""
        answers = {}
        sql = "SELECT id, who, kind, class, flagged FROM current JOIN item ON n = current.item"
        with self._store.reading():
            names, merged = self._classes()
            for item, who, kind, label, flagged in self._of_items(sql, ids):
                name = None if label is None else names[end_of(merged, label)]
                answers[item, who] = Answer(kind, name, bool(flagged))
        return answers

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order in which they were added; merged ones are left out."""
        names, merged = self._classes()
        return [name for number, name in names.items() if number not in merged]

    @property
    def class_keys(self) -> dict[str, str]:
        """Name of a class -> the key of the keyboard that stands for it, in the order of the classes; most have none."""
        return dict(self._store.rows("SELECT name, key FROM class WHERE key IS NOT NULL ORDER BY c"))

    @property
    def known_classes(self) -> dict[str, str]:
        """Every name by which a label is understood -> the present name of its class; renames and merges leave earlier names."""
        with self._store.reading():
            names, merged = self._classes()
            rows = self._store.rows("SELECT name, c FROM class_name ORDER BY c")
        return {name: names[end_of(merged, c)] for name, c in rows}

    def truths(self) -> dict[str, Truth]:
        """What the answers to each item say together; items without answers are left out."""
        return truths(self.state().answers)

    def labels(self) -> dict[str, str]:
        """The label of each item that has one: the decision on it, or else the label that most people gave; ties have none."""
        return {item: truth.label for item, truth in self.truths().items() if truth.label is not None}

    def settled(self) -> dict[str, str | None]:
        """The items that need no further answer -> the label; None where people said only ``skip`` or ``unsure``.

        These are items with a decision, and items that as many people answered as are to, unless their labels tie.
        """
        copies, found = self.copies, self.truths()
        done = {item: truth for item, truth in found.items() if truth.decided or truth.answers >= copies}
        return {item: truth.label for item, truth in done.items() if not truth.tied}

    @property
    def untouched(self) -> int:
        """The number of items without an answer that people get: their source still has them, and the model can read them."""
        answered = "SELECT 1 FROM current WHERE item = n AND kind IS NOT NULL"
        rows = self._store.rows(f"SELECT id FROM item WHERE NOT gone AND NOT EXISTS ({answered})")
        return len({item for (item,) in rows} - self._unreadable())

    def status(self) -> Status:
        """How far the project is."""
        found = self.truths()
        labels = Counter(truth.label for truth in found.values() if truth.label is not None)
        votes = [[*truth.votes.values()] for truth in found.values()]
        people = Counter(who for truth in found.values() for who in (*truth.votes, *truth.others))
        return Status(
            items=self._count("item"),
            gone=self._count("item WHERE gone"),
            unreadable=len(self._unreadable().difference(found)),
            labeled=labels.total(),
            tied=sum(truth.tied for truth in found.values()),
            unlabeled=sum(bool(truth.others) and truth.label is None and not truth.tied for truth in found.values()),
            flagged=sum(truth.flagged for truth in found.values()),
            leased=self._count("lease"),
            outdated=self._count("current JOIN item ON n = current.item WHERE seq < changed"),
            classes={name: labels[name] for name in self.classes},
            people=dict(people.most_common()),
            agreement=agreement(votes),
            alpha=krippendorff_alpha(votes),
        )

    def keys_recorded(self, keys: Iterable[str]) -> dict[str, Event]:
        """Key -> the event, for those of the keys that the record has."""
        found: dict[str, Event] = {}
        for some in chunks(keys):
            marks = ", ".join("?" * len(some))
            rows = self._store.rows(f"SELECT key, sent FROM event WHERE key IN ({marks})", some)
            found |= {key: Event.read(json.loads(sent)) for key, sent in rows}
        return found

    def withdraw(self, answers: Iterable[tuple[str, str]], who: str = "owner") -> None:
        """Take back answers: they stay in the record and count no more.

        Args:
            answers: (id of an item, person who answered it); ``""`` as the person takes back the decision on the item.
            who: The name under which it is recorded.
        """
        self.record_all([Event(kind="withdraw", who=who, item=item, of=of) for item, of in answers])

    def release(self, ids: Iterable[str], of: str, who: str = "owner") -> None:
        """Take back items that a person has not answered, so that they may be handed out to others.

        Args:
            ids: The ids of the items.
            of: The person who has them.
            who: The name under which it is recorded.
        """
        self.record_all([Event(kind="release", who=who, item=item, of=of) for item in ids])

    # ---------------------------------------------------------------------------------------------------------- learning

    def learner(
        self,
        model: Any = None,  # noqa: ANN401 - anything that Learner takes
        strategy: Strategy | str = "uherding",
        *,
        data: Any = None,  # noqa: ANN401 - anything that Learner takes, or a path
        fit: FitConfig | HeadConfig | Fit | None = None,
        seed: int = 0,
        runtime: Runtime | None = None,
    ) -> ProjectLearner:
        """A learner with the labels of this project, whose queries go to its people.

        Args:
            model: The model, as ``Learner`` takes it; default: a linear head. Pass a function that builds the model if classes may
                be added while the learner is in use.
            strategy: The strategy or its name.
            data: What the model reads: a file of embeddings with the ids of items, such as ``distil embed`` writes; or an array or
                data set with a row for each of :meth:`items`. Default: pixels, word counts or the numbers of arrays, as in
                ``distil next``.
            fit: The training, as ``Learner`` takes it.
            seed: Seed of all random draws.
            runtime: Settings for measuring the pool.

        Raises:
            InvalidInput: The project has fewer than two classes, or the data do not fit its items.
        """
        from distil.labeling.learning import ProjectLearner, builder

        return ProjectLearner(self, builder(self.items(), self.path, model, strategy, data, fit, seed, runtime))

    # ---------------------------------------------------------------------------------------------------------- internal

    def _unreadable(self) -> set[str]:
        """The ids of the items that the model could not read when it was last fitted."""
        from distil.labeling.model import CACHE, unreadable_items

        return unreadable_items(self.path / CACHE, self.ids())

    def _count(self, rows: str) -> int:
        return int(self._store.rows(f"SELECT count(*) FROM {rows}")[0][0])

    def _classes(self) -> tuple[dict[int, str], dict[int, int]]:
        """Number -> name of all classes in the order of adding; and number -> the class that it was merged into."""
        rows = self._store.rows("SELECT c, name, into_c FROM class ORDER BY c")
        return {c: name for c, name, _ in rows}, {c: into for c, _, into in rows if into is not None}


def _item(row: Sequence[Any]) -> Item:
    name, source, kind, place, path, text, gone, digest = row
    return Item(name, source, kind, place, path, text, bool(gone), digest.hex())

"""The file of a project: one SQLite database, opened safely and written in whole transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Final

from distil.errors import RunError, argument

FILE: Final = "project.db"
VERSION: Final = 1
APPLICATION: Final = 0x64697374  # "dist", for `file` and other programs
_WAIT: Final = 5.0  # seconds to wait for another writer

SCHEMA: Final = """
CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE source(s INTEGER PRIMARY KEY, path TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, options TEXT NOT NULL) STRICT;
CREATE TABLE item(n INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, source INTEGER NOT NULL REFERENCES source, place INTEGER NOT NULL,
  path TEXT, text TEXT, digest BLOB NOT NULL, gone INTEGER NOT NULL DEFAULT 0, changed INTEGER) STRICT;
CREATE INDEX item_source ON item(source);
CREATE TABLE class(c INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT UNIQUE, into_c INTEGER REFERENCES class) STRICT;
CREATE TABLE class_name(name TEXT PRIMARY KEY, c INTEGER NOT NULL REFERENCES class) STRICT, WITHOUT ROWID;
CREATE TABLE event(seq INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, at REAL NOT NULL, who TEXT NOT NULL, kind TEXT NOT NULL,
  item INTEGER REFERENCES item, class INTEGER REFERENCES class, target TEXT, subject TEXT, sent TEXT NOT NULL) STRICT;
CREATE INDEX event_item ON event(item, subject) WHERE item IS NOT NULL;
CREATE INDEX event_target ON event(target) WHERE target IS NOT NULL;
CREATE TABLE current(item INTEGER REFERENCES item, who TEXT, seq INTEGER NOT NULL, kind TEXT, class INTEGER REFERENCES class,
  flagged INTEGER NOT NULL, PRIMARY KEY(item, who)) STRICT, WITHOUT ROWID;
CREATE TABLE lease(item INTEGER REFERENCES item, who TEXT, tab TEXT NOT NULL, lasting INTEGER NOT NULL,
  PRIMARY KEY(item, who)) STRICT, WITHOUT ROWID;
CREATE TABLE queue(rank INTEGER PRIMARY KEY, item INTEGER UNIQUE NOT NULL REFERENCES item) STRICT;
"""
"""``event`` is the record, and only grows; its order is ``seq``, never the clock. ``class``, ``class_name`` and ``current`` are
computed from it, in the transaction of each event. ``current`` keeps what each person says about each item now, and decisions under
the name ``''``. ``lease`` and ``queue`` steer what is handed out and are no record."""

_RULES: Final = {
    "setting": (
        "SELECT count(*) = 2 + (SELECT count(*) FROM setting WHERE name IN ('model', 'looks')) FROM setting WHERE "
        "name = 'project' AND value != '' OR name = 'model' AND json_valid(value) AND json_type(value) = 'object' OR "
        "name = 'looks' AND json_valid(value) AND json_type(value) = 'object' AND NOT EXISTS "
        "(SELECT 1 FROM json_each(setting.value) e WHERE e.type != 'text') OR "
        "name = 'copies' AND value GLOB '[1-9]*' AND value NOT GLOB '*[^0-9]*' AND length(value) < 10"
    ),
    "class": (  # each class ends in one that was not merged into another
        "WITH RECURSIVE ending(c) AS (SELECT c FROM class WHERE into_c IS NULL UNION SELECT class.c FROM class JOIN ending "
        "ON into_c = ending.c) SELECT (SELECT count(*) FROM ending) = (SELECT count(*) FROM class)"
    ),
    "source": "SELECT NOT EXISTS (SELECT 1 FROM source WHERE NOT json_valid(options) OR json_type(options) != 'object')",
    "event": "SELECT NOT EXISTS (SELECT 1 FROM event WHERE NOT json_valid(sent))",
}
"""Table -> a query that gives 1 where its rows are those of a project."""

_FAULTS: Final = {
    "SQLITE_FULL": "the disk is full; nothing of this was saved: free some space, then do it again",
    "SQLITE_IOERR": "the disk failed, perhaps because it is full; nothing of this was saved: free some space, then do it again",
    "SQLITE_BUSY": "another process has been writing for some seconds; nothing of this was saved: try again",
    "SQLITE_READONLY": "the file cannot be written; nothing of this was saved: check its permissions and disk, then do it again",
    "SQLITE_CANTOPEN": (
        "the file cannot be opened: check the permissions of the folder and the space on the disk, then do it again, or copy it to "
        "a place where you can write"
    ),
    "SQLITE_NOTADB": "the file is not a database: restore it from a backup",
    "SQLITE_CORRUPT": "the database is damaged: restore it from a backup",
    "SQLITE_TOOBIG": "a text is longer than the database takes (1 GB); nothing of this was saved",
}


class Store:
    """The open database of a project. Threads may share it: each block holds its lock.

    Args:
        folder: The folder of the project.
        create: Make a new database, in which ``project`` is the setting ``create``; None: open the present one.
        named: The folder that messages name, where ``folder`` is temporary.

    Raises:
        RunError: There is none, it is not a project's, it is damaged, or a newer version of distil wrote it.
    """

    def __init__(self, folder: Path, create: dict[str, str] | None = None, named: Path | None = None) -> None:
        self.path = folder / FILE
        self._named = (folder if named is None else named) / FILE
        self._lock = threading.RLock()
        with self._faults():
            try:
                self._connect(str(self.path), create)
            except sqlite3.OperationalError as error:
                if create is not None or error.sqlite_errorname.split("_")[1] not in ("READONLY", "CANTOPEN"):
                    raise
                self._connect_to_read()

    def _connect(self, place: str, create: dict[str, str] | None, *, read_only: bool = False) -> None:
        self._db = sqlite3.connect(place, timeout=_WAIT, isolation_level=None, check_same_thread=False, uri=read_only)
        try:
            self._set_up(create, read_only)
        except BaseException:
            self._db.close()
            raise

    def _connect_to_read(self) -> None:
        """Open a database in a folder that this account cannot write to, where SQLite cannot keep its notes on who is reading.

        Where there are such notes of others, it reads along with them; else the file is read as if it did not change meanwhile.
        """
        others = self.path.with_name(f"{FILE}-wal")
        mode = "mode=ro" if others.exists() else "immutable=1"
        self._connect(f"{self.path.absolute().as_uri()}?{mode}", None, read_only=True)

    def close(self) -> None:
        """Close the database; the file stays as it is."""
        with self._lock:
            self._db.close()

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """A transaction: everything in the block is on disk after it, or nothing after an error. An inner block joins the outer."""
        return self._transaction("BEGIN IMMEDIATE")

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A block whose queries all see the project as it is at the first of them, whatever another process writes meanwhile."""
        return self._transaction("BEGIN")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, self._faults():
            inner = self._db.in_transaction
            if inner:
                yield self._db
                return
            self._db.execute(begin)
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back after some errors
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """The rows of a query."""
        with self._lock, self._faults():
            return self._db.execute(sql, values).fetchall()

    def _set_up(self, create: dict[str, str] | None, read_only: bool) -> None:
        db = self._db
        db.text_factory = text_of
        db.execute("PRAGMA trusted_schema=OFF")
        db.execute("PRAGMA cell_size_check=ON")
        if create is None:
            self._check()
        db.execute("PRAGMA foreign_keys=ON")
        if read_only:
            return
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        if create is not None:
            with self.writing():
                for statement in filter(str.strip, SCHEMA.split(";")):
                    db.execute(statement)
                db.executemany("INSERT INTO setting VALUES(?, ?)", create.items())
                db.execute(f"PRAGMA application_id={APPLICATION}")
                db.execute(f"PRAGMA user_version={VERSION}")

    def _check(self) -> None:
        """Refuse a database that is not exactly a project's: a view or trigger in it would run code of its author."""
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION:
            raise RunError(f"{self.path} is a database of another program; expected a project of distil")
        if version != VERSION:
            raise RunError(
                f"{self.path} has version {version}, and this distil reads version {VERSION}; install a newer distil"
            )
        with closing(sqlite3.connect(":memory:")) as blank:
            blank.executescript(SCHEMA)
            extra = _schema(self._db) ^ _schema(blank)
        names = sorted({name for _, name, _ in extra}) or self._wrong()
        if names:
            raise RunError(
                f"{self.path} is not a project as distil writes it ({', '.join(names[:3])}); restore it from a backup"
            )

    def _wrong(self) -> list[str]:
        """The tables whose rows no project has: code that reads them would fail, or follow classes in a circle."""
        wrong = {str(table) for table, *_ in self._db.execute("PRAGMA foreign_key_check")}
        wrong |= {name for name, sql in _RULES.items() if not self._db.execute(sql).fetchone()[0]}
        return sorted(wrong)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn errors of SQLite, and texts that are none, into one line on the file."""
        try:
            yield
        except UnicodeDecodeError as error:
            raise RunError(f"{self._named}: {_FAULTS['SQLITE_CORRUPT']}") from error
        except sqlite3.Error as error:
            name = next((name for name in _FAULTS if str(getattr(error, "sqlite_errorname", "")).startswith(name)), "")
            raise RunError(f"{self._named}: {_FAULTS.get(name, str(error))}") from error


def _schema(db: sqlite3.Connection) -> set[tuple[str, str, str | None]]:
    return set(db.execute("SELECT type, name, sql FROM sqlite_schema").fetchall())


def no_project(path: Path) -> str:
    """Why there is no project at a path, and what to do."""
    if path.name == FILE and path.is_file():
        return f"{path} is the file of a project; name its folder, {path.parent}"
    if not path.exists():
        return f"{path} is not a project: there is no such folder; make a project with `distil project create {argument(path)}`"
    return (
        f"{path} is not a project: it has no {FILE}; to label what is in it, open it with `distil label {argument(path)}`, or make "
        f"a project and add it: `distil project create DIR`, then `distil project add DIR {argument(path)}`"
    )


def text_of(stored: bytes) -> str:
    """A text of the database. Names of files may hold bytes that are not UTF-8, which Python keeps as lone surrogates."""
    return stored.decode("utf-8", "surrogatepass")


def bound(text: str | None) -> str | bytes | None:
    """A text as a value for ``CAST(? AS TEXT)``, the inverse of :func:`text_of`: SQLite takes lone surrogates only as bytes."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "surrogatepass")


def chunks(values: Iterable[Any], size: int = 500) -> Iterator[list[Any]]:
    """Lists of at most ``size`` values; SQLite limits the values of one statement."""
    block: list[Any] = []
    for value in values:
        block.append(value)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block

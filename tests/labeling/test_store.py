"""The file: what is refused when it is opened, and errors of SQLite as one line."""

import errno
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from distil.errors import RunError
from distil.labeling.events import Event
from distil.labeling.project import Project
from distil.labeling.store import Store, bound, text_of


@pytest.fixture
def file(project):
    project.close()
    return project.path / "project.db"


def change(file, script):
    with closing(sqlite3.connect(file)) as db:
        db.executescript(script)


@contextmanager
def without_rights_to_write(folder):
    """An account that may read a folder and not write to it; nothing stops the superuser, who becomes another one."""
    for path in (folder, *folder.iterdir()):
        path.chmod(0o555 if path is folder else 0o444)
    is_superuser = os.geteuid() == 0
    if is_superuser:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_superuser:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="chmod does not stop writers there")
def test_a_project_in_a_folder_that_cannot_be_written_to_is_read(project, say):
    say("anna", "label", "0", "cat")
    with tempfile.TemporaryDirectory() as outside:
        Path(outside).chmod(0o755)  # every account may search it, unlike the folders of pytest
        folder = Path(outside) / "a # project?"
        shutil.copytree(project.path, folder)  # its last labels are in the file next to the database
        with without_rights_to_write(folder), Project.open(folder) as read:  # another process has it open, it seems
            assert read.labels() == {"0": "cat"}
            with pytest.raises(RunError, match="cannot be written; nothing of this was saved"):
                read.record([Event(kind="label", who="anna", item="1", label="cat")])
        (folder / "project.db-shm").unlink()
        with without_rights_to_write(folder), pytest.raises(RunError, match="copy it to a place where you can write"):
            Project.open(folder)
        Project.open(folder).close()
        assert [path.name for path in folder.iterdir()] == ["project.db"]
        with without_rights_to_write(folder), Project.open(folder) as read:
            assert read.labels() == {"0": "cat"}
            assert read.status().labeled == 1
            with (
                pytest.raises(RunError, match=r"cannot be written to \(Permission denied\), and only be read"),
                read.only_writer(),
            ):
                pass
            with pytest.raises(RunError, match="cannot be written; nothing of this was saved"):
                read.record([Event(kind="label", who="anna", item="1", label="cat")])
        assert [path.name for path in folder.iterdir()] == ["project.db"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("PRAGMA application_id=7", "another program"),
        ("PRAGMA user_version=2", "has version 2, and this distil reads version 1; install a newer distil"),
        (
            "CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM event; END",
            r"not a project as distil writes it \(t\)",
        ),
        ("CREATE VIEW v AS SELECT 1", r"\(v\)"),
        ("ALTER TABLE event ADD COLUMN x TEXT", r"\(event\)"),
        ("DROP TABLE queue", r"queue"),
        ("UPDATE class SET into_c = 3 - c", r"\(class\)"),  # a circle, which code that follows merges never leaves
        ("UPDATE class SET into_c = c", r"\(class\)"),
        ("UPDATE setting SET value = 'x' WHERE name = 'copies'", r"\(setting\)"),
        ("DELETE FROM setting WHERE name = 'project'", r"\(setting\)"),
        ("INSERT INTO setting VALUES('model', '[')", r"\(setting\)"),
        ("INSERT INTO setting VALUES('looks', '[')", r"\(setting\)"),
        ("INSERT INTO setting VALUES('looks', '{\"a\": 1}')", r"\(setting\)"),
        ("UPDATE source SET options = '[]'", r"\(source\)"),
        ("UPDATE event SET sent = '{' WHERE seq = 1", r"\(event\)"),
        ("UPDATE item SET source = 9", r"\(item\)"),
    ],
)
def test_a_foreign_database(file, script, message):
    change(file, script)
    with pytest.raises(RunError, match=message) as refused:
        Project.open(file.parent)
    assert "\n" not in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_damaged_file(file):
    whole = file.read_bytes()
    for content in (b"", b"no database", whole[:100], whole[:100] + b"\xff" * 8000 + whole[8100:]):
        file.write_bytes(content)
        with pytest.raises(RunError, match=r"project\.db") as refused:
            Project.open(file.parent)
        assert "\n" not in str(refused.value)


def test_a_text_that_is_not_utf_8(file):
    change(file, "UPDATE item SET text = CAST(x'ff61' AS TEXT) WHERE n = 1")
    with Project.open(file.parent) as project, pytest.raises(RunError, match="the database is damaged"):
        project.items()


def test_no_project(tmp_path):
    with pytest.raises(
        RunError, match=r"is not a project: it has no project\.db; to label what is in it, open it with `distil label"
    ):
        Project.open(tmp_path)
    assert not (tmp_path / "project.db").exists()


def test_how_the_file_is_kept(tmp_path, monkeypatch, no_waiting_for_the_disk):
    monkeypatch.setattr(sqlite3, "connect", no_waiting_for_the_disk)
    pragmas = {"journal_mode": "wal", "synchronous": 2, "trusted_schema": 0, "foreign_keys": 1, "user_version": 1}
    with Project.create(tmp_path / "synced") as project:
        assert {name: project._store.rows(f"PRAGMA {name}")[0][0] for name in pragmas} == pragmas


def test_a_full_disk(project, say):
    """Nothing is half recorded, one line says so, and the project works on once there is room."""
    say("anna", "label", "0", "cat")
    before = project.state()
    (pages,) = project._store.rows("PRAGMA page_count")[0]
    project._store.rows(f"PRAGMA max_page_count={pages}")
    events = [Event(kind="label", who="ben", item=str(n % 10), label="dog", tab="t" * 400) for n in range(200)]
    with pytest.raises(RunError, match="the disk is full; nothing of this was saved") as refused:
        project.record(events)
    assert "\n" not in str(refused.value)
    assert project.state() == before
    project._store.rows("PRAGMA max_page_count=100000")
    assert all(ack.error is None and not ack.duplicate for ack in project.record(events))


def test_a_disk_that_is_full_before_a_command_begins(project):
    """SQLite cannot make its shared memory there, and calls that an error of the disk."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    said = r"project\.db: the disk failed, perhaps because it is full; .* free some space"
    with pytest.raises(RunError, match=said), project._store._faults():
        raise error


def test_a_project_that_cannot_be_opened_after_it_was_made_is_not_in_the_way(tmp_path, monkeypatch):
    def full(*_):
        raise RunError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Project, "open", full)
        with pytest.raises(RunError, match="the disk is full"):
            Project.create(tmp_path / "p")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        with pytest.raises(RunError, match="the disk is full"):
            Project.create(tmp_path / "link")
        assert list(tmp_path.iterdir()) == [tmp_path / "link"]
    Project.create(tmp_path / "p").close()
    Project.create(tmp_path / "link").close()
    assert (tmp_path / "real" / "project.db").is_file()


def test_a_disk_that_fails_when_a_project_is_held(project, monkeypatch):
    def fails(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(OSError, match="Input/output error"), project.only_writer():
        pass


def test_errors_of_a_new_database_name_its_last_folder(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "project.db").write_bytes(b"no database at all, but a long enough text" * 30)
    with pytest.raises(RunError, match=r"^p/project\.db: the file is not a database"):
        Store(tmp_path / "new", {"project": "x"}, Path("p"))


def test_a_second_writer_that_does_not_end(project, monkeypatch):
    project._store.rows("PRAGMA busy_timeout=10")
    with closing(sqlite3.connect(project.path / "project.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            RunError, match="another process has been writing for some seconds; nothing of this was saved"
        ):
            project.record([Event(kind="skip", who="anna", item="0")])
    assert project.record([Event(kind="skip", who="anna", item="0")])[0].error is None


def test_texts_come_back_as_they_were(project):
    for text in ("", "\0a\0", "\ud800\udcff", "é", "\u202e", "x" * 2**20, "'; DROP TABLE event; --"):
        ((stored,),) = project._store.rows("SELECT CAST(? AS TEXT)", (bound(text),))
        assert stored == text
    assert text_of(b"caf\xc3\xa9") == "café"
    assert bound(None) is None

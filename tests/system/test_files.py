"""Files written by two writers at once; locks exclude, wait, and end with their process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

import distil
from distil.errors import DataNotFound, InvalidInput, RunError
from distil.system.files import locked, new_folder, publish, replacing

HOLDER = """
import os, sys
from pathlib import Path
from distil.system.files import locked
with locked(Path(sys.argv[1]), "busy"):
    if not os.fork():
        print("held", flush=True)
    sys.stdin.read()  # the child, such as a worker that loads data, outlives its parent
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_lock_goes_with_its_process_even_where_a_child_lives_on(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    environment = {**os.environ, "PYTHONPATH": str(Path(distil.__file__).parents[1])}
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="busy"), locked(path, "busy"):
            pass
        holder.kill()
        holder.wait()
        with locked(path, "busy"):
            pass


def test_without_words_a_lock_waits(tmp_path: Path) -> None:
    path, order = tmp_path / ".lock", list[str]()

    def second() -> None:
        with locked(path):
            order.append("second")

    with locked(path):
        waiting = Thread(target=second)
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"]


def test_two_writers_of_a_file_do_not_share_its_temporary_name(tmp_path: Path) -> None:
    """Threads share a process id, and so do containers on one disk."""
    path = tmp_path / "a.txt"
    with replacing(path) as one:
        one.write_text("one")
        with replacing(path) as other:
            other.write_text("other")
        assert path.read_text() == "other"
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_of_the_system_name_the_file_that_the_caller_knows(tmp_path):
    path = tmp_path / "picks.csv"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a write to a full disk names no file
    other = OSError(errno.EACCES, os.strerror(errno.EACCES), "other.csv")
    for error, named in ((full, str(path)), (other, "other.csv"), (DataNotFound("no pool"), None)):
        with pytest.raises(type(error)) as found, replacing(path):
            raise error
        assert found.value.filename == named
    with pytest.raises(FileNotFoundError) as found, replacing(tmp_path / "no" / "a.csv") as temporary:
        temporary.touch()
    assert found.value.filename == str(tmp_path / "no" / "a.csv")
    assert not list(tmp_path.iterdir())


def test_a_new_folder_that_fails_is_named_as_the_user_knows_it_and_leaves_nothing(tmp_path, monkeypatch):
    full, real = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), os.fsync
    for step in ("mkdir", "write", "sync"):

        def fails(handle, step=step):
            if step == "sync" and list(tmp_path.iterdir()) == [tmp_path / "out"]:  # it has its name
                raise full
            real(handle)

        monkeypatch.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="No space left") as found, new_folder(tmp_path / "out") as temporary:  # noqa: PT012
            if step == "mkdir":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), temporary / "a")
            (temporary / "b").touch()
            if step == "write":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsencode(temporary / "b"))
        assert (found.value.filename, list(tmp_path.iterdir())) == (str(tmp_path / "out"), [])
    with pytest.raises(OSError, match="No space left") as found, new_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 3)
    assert found.value.filename == 3


def test_a_new_file_whose_name_cannot_be_synced_is_not_left_in_the_way(tmp_path, monkeypatch):
    def fails(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("distil.system.files.sync_folder", fails)
    for new, left in ((True, []), (False, ["a.csv"])):
        with pytest.raises(OSError, match="Input/output") as found, replacing(tmp_path / "a.csv", new=new) as temporary:
            temporary.touch()
        assert (found.value.filename, os.listdir(tmp_path)) == (str(tmp_path / "a.csv"), left)


def test_what_the_user_named_is_written_or_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.txt"
    assert publish(path, b"1")
    assert not publish(path, b"1")
    assert not publish(path, b"1", force=True)
    with pytest.raises(
        InvalidInput, match=r"x\.txt exists already, with other content, and was left as it is; .*\(--force\)"
    ):
        publish(path, b"2")
    assert path.read_bytes() == b"1"
    assert publish(path, b"2", force=True)
    assert (path.read_bytes(), os.listdir(path.parent)) == (b"2", ["x.txt"])


def test_one_of_two_writers_of_a_new_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"

    def write(name: bytes, meanwhile: Callable[[], None] = lambda: None) -> None:
        with replacing(path, new=True) as temporary:
            temporary.write_bytes(name)
            meanwhile()

    with pytest.raises(FileExistsError):
        write(b"late", lambda: write(b"early"))
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"early", ["x.txt"])


def test_an_error_names_the_file_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path stays one, through a link too, and where the folder cannot be made."""
    monkeypatch.chdir(tmp_path)
    Path("link.txt").symlink_to("real.txt")
    Path("taken").touch()

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for given, named in (
        ("x.txt", "x.txt"),
        ("link.txt", "link.txt"),
        ("taken/x.txt", "taken"),
        ("taken/a/x", "taken/a"),
    ):
        with monkeypatch.context() as broken:
            broken.setattr("os.fsync", fails)
            with pytest.raises(OSError, match=r"\[Errno") as found:
                publish(Path(given), b"1")
        assert str(found.value.filename) == named
    assert sorted(os.listdir()) == ["link.txt", "taken"]


def test_of_two_who_publish_the_same_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = tmp_path / "x.txt", os.fsync
    for other, same in ((b"1", True), (b"2", False)):
        path.unlink(missing_ok=True)

        def meanwhile(handle: int, other: bytes = other) -> None:
            path.write_bytes(other)
            real(handle)

        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", meanwhile)
            if same:
                assert not publish(path, b"1")
            else:
                with pytest.raises(InvalidInput, match="exists already, with other content"):
                    publish(path, b"1")
        assert (path.read_bytes(), os.listdir(tmp_path)) == (other, ["x.txt"])


@pytest.mark.parametrize("links", [True, False])
def test_a_step_that_fails_names_the_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """With hard links, and on a file system without them."""
    steps = ("os.link", "os.fsync") if links else ("pathlib.Path.replace", "pathlib.Path.open", "os.fsync")

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for step in steps:
        with monkeypatch.context() as broken:
            if not links or step == "os.link":
                broken.setattr("os.link", fails)
            if step == "os.link":
                broken.setattr("pathlib.Path.replace", fails)
            broken.setattr(step, fails)
            with pytest.raises(OSError, match="No space left") as error:
                publish(tmp_path / "x.txt", b"1")
        assert error.value.filename == str(tmp_path / "x.txt")
        assert os.listdir(tmp_path) == []

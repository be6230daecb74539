"""A run directory: appending, torn and damaged lines, the lock, and files that are whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from distil.errors import RunError
from distil.experiment import run as module
from distil.experiment.run import Run
from distil.system.files import digest, replacing

FIRST = {"event": "started", "seed": 3}
SECOND = {"event": "labeled", "round": 0, "ids": [4, 2], "labels": [1, 0]}
THIRD = {"event": "evaluated", "round": 0, "accuracy": 0.1 + 0.2}


@pytest.fixture
def path(tmp_path):
    """A run of two events."""
    run = Run(tmp_path / "run")
    with run.lock():
        run.append(FIRST)
        run.append(SECOND)
    return tmp_path / "run"


def events(path):
    return path / "events.jsonl"


# -------------------------------------------------------------------------------------------- appending


def test_reading_a_run_changes_nothing(tmp_path, path):
    assert Run(tmp_path / "nothing").events == []
    assert not (tmp_path / "nothing").exists()
    with events(path).open("ab") as file:
        file.write(b'{"event": "tor')
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    assert Run(path).events == [FIRST, SECOND]
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before


def test_an_event_is_a_line_of_json(path):
    assert events(path).read_bytes() == (json.dumps(FIRST) + "\n" + json.dumps(SECOND) + "\n").encode()


def test_numbers_survive_to_the_last_digit(path):
    run = Run(path)
    with run.lock():
        run.append(THIRD)
    assert Run(path).events == [FIRST, SECOND, THIRD]
    assert Run(path).events[-1]["accuracy"] == 0.1 + 0.2
    assert run.events == Run(path).events


def test_events_in_memory_equal_those_on_disk(path):
    """A tuple comes back as a list: a run that went on and one that was resumed must see the same."""
    run = Run(path)
    mine = {"event": "asked", "round": 1, "ids": (1, 2)}
    with run.lock():
        run.append(mine)
    assert run.events[-1]["ids"] == [1, 2]
    mine["ids"] = "changed"
    assert run.events[-1]["ids"] == [1, 2]


def test_values_that_are_not_json_leave_no_trace(path):
    run, before = Run(path), events(path).read_bytes()
    with run.lock(), pytest.raises(TypeError):
        run.append({"event": "asked", "ids": {1, 2}})
    assert events(path).read_bytes() == before
    assert run.events == [FIRST, SECOND]


def test_text_of_any_language(path):
    run, event = Run(path), {"event": "started", "data": "Größe\n\u2028数字.csv"}
    with run.lock():
        run.append(event)
    assert Run(path).events[-1] == event


def test_an_event_is_synced_before_append_returns(path, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(handle):
        synced.append(os.fstat(handle).st_size)
        real(handle)

    monkeypatch.setattr(module.os, "fsync", fsync)
    run = Run(path)
    with run.lock():
        run.append(THIRD)
        assert synced == [events(path).stat().st_size]  # all of it was there to be synced


def test_the_folder_is_synced_with_the_first_event(tmp_path, monkeypatch):
    import stat

    kinds = []
    real = os.fsync

    def fsync(handle):
        kinds.append(stat.S_ISDIR(os.fstat(handle).st_mode))
        real(handle)

    monkeypatch.setattr(module.os, "fsync", fsync)
    run = Run(tmp_path / "run")
    with run.lock():
        run.append(FIRST)
        run.append(SECOND)
    assert kinds == [False, True, False]


def test_looking_up_events(path):
    run = Run(path)
    with run.lock():
        for number in range(3):
            run.append({"event": "trained", "round": number})
        assert run.last("trained") == {"event": "trained", "round": 2}
        assert [event["round"] for event in run.all("trained")] == [0, 1, 2]
        assert run.last("asked") is None
        assert run.all("asked") == []
        assert not run.finished
        run.append({"event": "finished"})
        assert run.finished


# -------------------------------------------------------------------------------------------- torn and damaged

WHOLE = (json.dumps(FIRST) + "\n" + json.dumps(SECOND) + "\n").encode()
LINE = (json.dumps(THIRD) + "\n").encode()
TORN = [LINE[:cut] for cut in range(1, len(LINE))] + [
    b"\0" * 40,
    b"\0" * 40 + b"\n",
    b'{"event": "torn\n',
    b"7\n",
    b"{}\n",
    b"\n",
]


def test_a_torn_last_line_is_ignored_and_cut_off_under_the_lock(case, path):
    for torn in [TORN[0], TORN[len(LINE) // 2], *TORN[len(LINE) - 2 :]]:
        with case(torn):
            events(path).write_bytes(WHOLE + torn)
            run = Run(path)
            assert run.events == [FIRST, SECOND]
            assert events(path).read_bytes() == WHOLE + torn
            with run.lock():
                assert run.events == [FIRST, SECOND]
                assert events(path).read_bytes() == WHOLE
                run.append(THIRD)
            assert events(path).read_bytes() == WHOLE + LINE
            assert Run(path).events == [FIRST, SECOND, THIRD]


def test_torn_after_any_byte(path):
    """Also after the whole line but its newline: what has none does not count."""
    for torn in TORN[: len(LINE) - 1]:
        events(path).write_bytes(WHOLE + torn)
        assert Run(path).events == [FIRST, SECOND], torn


def test_the_very_first_event_torn(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    events(path).write_bytes(b'{"event": "st')
    run = Run(path)
    with run.lock():
        assert run.events == []
        run.append(FIRST)
    assert Run(path).events == [FIRST]


def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(case, path):
    for damaged in [b"", b'{"event": "lab', b"[1, 2]", b'{"round": 1}', b"\xff\xfe\x00", b'{"event": "asked"} {}']:
        for case_id, tail in zip(["", "and a torn last line"], [b"", b'{"event": "tor'], strict=True):
            with case(damaged, case_id):
                lines = WHOLE.splitlines()
                events(path).write_bytes(b"\n".join([lines[0], damaged, lines[1], b""]) + tail)
                before = events(path).read_bytes()
                with pytest.raises(
                    RunError,
                    match=r"events\.jsonl, line 2: expected a JSON object with the key 'event'; the file is damaged",
                ):
                    Run(path)
                assert events(path).read_bytes() == before


def test_a_file_that_was_damaged_since_is_not_cut(path):
    run = Run(path)
    events(path).write_bytes(b"garbage\n" + WHOLE)
    with pytest.raises(RunError, match="line 1"), run.lock():
        pass
    assert events(path).read_bytes() == b"garbage\n" + WHOLE


# -------------------------------------------------------------------------------------------- the lock


def test_the_lock_makes_the_directory_and_reads_what_others_wrote_meanwhile(tmp_path):
    mine, other = Run(tmp_path / "a" / "run"), Run(tmp_path / "a" / "run")
    with other.lock():
        other.append(FIRST)
    assert mine.events == []
    with mine.lock():
        assert mine.events == [FIRST]


def test_the_lock_excludes_others_and_is_released(path):
    with Run(path).lock():
        with pytest.raises(RunError, match="is being run by another process"), Run(path).lock():
            pass
        assert Run(path).events == [FIRST, SECOND]  # looking is always allowed
    with Run(path).lock():
        pass


def test_the_lock_is_released_after_an_error(path):
    with pytest.raises(ZeroDivisionError), Run(path).lock():
        raise ZeroDivisionError
    with Run(path).lock():
        pass


HOLDER = """
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_excludes_a_second_process_and_ends_with_it(path):
    pytest.importorskip("fcntl")
    with subprocess.Popen(
        [sys.executable, "-S", "-c", HOLDER, str(path / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        events(path).write_bytes(WHOLE + b'{"event": "being written')
        with pytest.raises(RunError, match="another process"), Run(path).lock():
            pass
        assert events(path).read_bytes() == WHOLE + b'{"event": "being written'  # that is the other's to finish
        holder.kill()
        holder.wait()
    with Run(path).lock():
        assert events(path).read_bytes() == WHOLE


def test_a_second_process_is_refused_while_this_one_holds_the_lock(path):
    pytest.importorskip("fcntl")
    with Run(path).lock():
        second = subprocess.run(
            [sys.executable, "-S", "-c", HOLDER, str(path / ".lock")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    assert second.returncode != 0
    assert b"BlockingIOError" in second.stderr


# -------------------------------------------------------------------------------------------- times


def test_times_are_kept_in_a_file_of_their_own(path):
    run, before = Run(path), events(path).read_bytes()
    assert run.times() == []
    run.time(round=0, step="train", seconds=0.25)
    run.time(round=1, step="select", seconds=0.5)
    assert run.times() == [
        {"round": 0, "step": "train", "seconds": 0.25},
        {"round": 1, "step": "select", "seconds": 0.5},
    ]
    assert events(path).read_bytes() == before


def test_a_torn_time_is_left_out(path):
    run = Run(path)
    run.time(round=0, step="train", seconds=0.25)
    with (path / "times.jsonl").open("a") as file:
        file.write('{"round": 1, "step": "sel')
    assert run.times() == [{"round": 0, "step": "train", "seconds": 0.25}]


def test_a_torn_time_is_left_out_when_the_run_has_gone_on_as_well(path):
    """A process killed in the middle of a line; the next one appends to it."""
    run = Run(path)
    run.time(round=0, step="train", seconds=0.25)
    with (path / "times.jsonl").open("a") as file:
        file.write('{"round": 1, "step": "sel')
    run.time(round=1, step="select", seconds=0.5)
    run.time(round=1, step="train", seconds=0.75)
    times = run.times()
    assert times[0] == {"round": 0, "step": "train", "seconds": 0.25}
    assert times[-1] == {"round": 1, "step": "train", "seconds": 0.75}


# -------------------------------------------------------------------------------------------- whole files


def test_replacing_writes_a_new_file_and_replaces_an_old_one(tmp_path):
    for content in ("first", "second"):
        with replacing(tmp_path / "file") as temporary:
            assert temporary.parent == tmp_path  # the same file system: a rename, not a copy
            assert temporary != tmp_path / "file"
            temporary.write_text(content)
        assert (tmp_path / "file").read_text() == content
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [None, "old"])
def test_replacing_leaves_nothing_on_failure(tmp_path, error, old):
    if old:
        (tmp_path / "file").write_text(old)

    def fail():
        with replacing(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert [p.read_text() for p in tmp_path.iterdir()] == ([old] if old else [])


def test_replacing_by_nothing_is_an_error_that_leaves_the_old(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_the_content_is_synced_before_it_takes_the_name(tmp_path, monkeypatch):
    steps = []
    real_sync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(module.os, "fsync", lambda handle: (steps.append("sync"), real_sync(handle)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (steps.append("rename"), real_replace(a, b))[1])
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("content")
    assert steps == ["sync", "rename", "sync"]  # the file, its name, the folder that holds the name


def test_digest(tmp_path):
    (tmp_path / "file").write_bytes(b"content" * 1000)
    assert digest(tmp_path / "file") == hashlib.sha256(b"content" * 1000).hexdigest()
    assert digest(tmp_path / "nothing") == ""

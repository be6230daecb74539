"""A run directory: appending, torn and damaged lines, the lock, and files that are whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from distil.errors import DistilWarning, RunError
from distil.evaluation.metrics import METRICS
from distil.experiment import chain
from distil.experiment.chain import chained
from distil.experiment.run import Run
from distil.system.files import digest, replacing

FIRST = {
    **{"event": "started", "strategy": "badge", "seed": 3, "data": "Größe\n\u2028数字.csv", "pool": 12, "test": 5},
    **{"examples": 20, "num_classes": 3, "budget": 4, "device": "cpu", "threads": 1, "versions": {}},
}
SECOND = {"event": "labeled", "round": 0, "ids": [4, 2], "labels": [1, 0]}
THIRD = {"event": "trained", "round": 0, "weights": "weights-000.safetensors", "sha256": "", "training_loss": 0.1 + 0.2}


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


def test_numbers_survive_to_the_last_digit(path):
    run = Run(path)
    with run.lock():
        run.append(THIRD)
    assert Run(path).events == [FIRST, SECOND, THIRD]
    assert Run(path).events[-1]["training_loss"] == 0.1 + 0.2
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


def test_an_event_is_synced_before_append_returns(path, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(handle):
        synced.append(os.fstat(handle).st_size)
        real(handle)

    monkeypatch.setattr(chain.os, "fsync", fsync)
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

    monkeypatch.setattr(chain.os, "fsync", fsync)
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


def lines_of(*events):
    content, own = [], "0" * 64
    for event in events:
        line, own = chained(event, own)
        content.append(line)
    return content


WHOLE = b"".join(lines_of(FIRST, SECOND))
LINE = lines_of(FIRST, SECOND, THIRD)[-1]


def test_a_torn_last_line_is_ignored_and_cut_off_under_the_lock(case, path):
    """What counts as torn is tested with the chain."""
    for torn in [LINE[:1], LINE[: len(LINE) // 2], LINE[:-1], b"\0" * 40, b"\0" * 40 + b"\n"]:
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


def test_the_very_first_event_torn(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    events(path).write_bytes(b'{"prev": "0')
    run = Run(path)
    with run.lock():
        assert run.events == []
        run.append(FIRST)
    assert Run(path).events == [FIRST]


def test_an_altered_line_is_an_error_that_names_it(case, path):
    """Also the last, if it has a newline; a torn line after it changes nothing."""
    first, second = lines_of(FIRST, SECOND)
    for what, altered, number in [
        ("a digit", [first, second.replace(b"[4, 2]", b"[4, 3]")], 2),
        ("no JSON", [first, b"\xff\xfe\x01\n", second], 2),
        ("the format before", [json.dumps(FIRST).encode() + b"\n"], 1),
        ("a kind out of turn", [first, lines_of(FIRST, THIRD)[1]], 2),
        ("an id out of range", [first, lines_of(FIRST, {**SECOND, "ids": [4, 20]})[1]], 2),
    ]:
        for tail in (b"", b'{"prev": "tor'):
            with case(what, tail):
                events(path).write_bytes(b"".join([*altered, tail]))
                with pytest.raises(
                    RunError, match=rf"events\.jsonl, line {number}: expected|line {number}: its content"
                ):
                    Run(path)
                assert events(path).read_bytes() == b"".join([*altered, tail])


def test_a_file_that_was_altered_since_is_not_cut(path):
    run = Run(path)
    events(path).write_bytes(b"garbage\n" + WHOLE)
    with pytest.raises(RunError, match="line 1"), run.lock():
        pass
    assert events(path).read_bytes() == b"garbage\n" + WHOLE


def test_nothing_may_follow_the_end(path):
    finished = {"event": "finished", "model": "model.safetensors", "sha256": ""}
    evaluated = {"event": "evaluated", "round": 0, "labels": 2, **dict.fromkeys(METRICS, 0.5)}
    events(path).write_bytes(b"".join(lines_of(FIRST, SECOND, THIRD, evaluated, finished)))
    assert Run(path).finished
    events(path).write_bytes(b"".join(lines_of(FIRST, SECOND, THIRD, evaluated, finished, evaluated)))
    with pytest.raises(RunError, match="line 6: expected nothing after 'finished', got 'evaluated'"):
        Run(path)


def test_a_record_belongs_to_one_run(tmp_path):
    """One strategy and seed of one configuration, from its first event on."""
    run = Run(tmp_path / "run")
    run.belong("a" * 64, "badge, seed 3")
    with run.lock():
        run.append(FIRST)
    assert events(run.path).read_bytes().startswith(b'{"prev": "' + b"a" * 64)
    Run(run.path).belong("a" * 64, "badge, seed 3")
    for name, more in (("core_set, seed 3", ""), ("badge, seed 3", ", with another configuration")):
        with pytest.raises(
            RunError, match=f"line 1: expected the run of {name}, but it holds that of badge, seed 3{more};"
        ):
            Run(run.path).belong("b" * 64, name)


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


def test_a_torn_time_is_left_out_and_cut_off_by_the_next(path):
    """A process killed in the middle of a line is nothing to warn of."""
    run = Run(path)
    run.time(round=0, step="train", seconds=0.25)
    with (path / "times.jsonl").open("a") as file:
        file.write('{"round": 1, "step": "sel')
    assert run.times() == [{"round": 0, "step": "train", "seconds": 0.25}]
    run.time(round=1, step="select", seconds=0.5)
    assert [entry["step"] for entry in run.times()] == ["train", "select"]


def test_a_time_that_was_altered_is_left_out(path):
    run = Run(path)
    run.time(round=0, step="train", seconds=0.25)
    run.time(round=1, step="select", seconds=0.5)
    times = path / "times.jsonl"
    times.write_text(times.read_text().replace("0.25", "9.25"))
    with pytest.warns(DistilWarning, match=r"times\.jsonl, line 1: .* 1 of 2 lines are damaged or altered"):
        assert run.times() == [{"round": 1, "step": "select", "seconds": 0.5}]


def test_damaged_times_cost_the_times_alone_with_one_warning(case, path):
    run = Run(path)
    good = '{"round": 0, "step": "train", "seconds": 0.25, "peak_bytes": null}'
    for damaged in [
        *("rubbish", "", "[1]", "{}", "[" * 100_000, '{"round": ' + "7" * 5000, "\udcff"),
        *('{"round": "0", "step": "train", "seconds": 1}', '{"round": 0, "step": 7, "seconds": 1}'),
        *('{"round": 0, "step": "train", "seconds": "1"}', '{"round": 0, "step": "train", "seconds": NaN}'),
        *('{"round": 0, "step": "train", "seconds": -1}', '{"round": 0, "step": "train", "seconds": true}'),
        '{"round": 0, "step": "train", "seconds": 1, "peak_bytes": "much"}',
    ]:
        with case(damaged[:50]):
            content = f"{good}\n{damaged}\n{damaged}\n".encode(errors="surrogateescape")
            (path / "times.jsonl").write_bytes(content)
            with pytest.warns(
                DistilWarning, match=r"times\.jsonl, line 2: .* 2 of 3 lines are damaged or altered"
            ) as said:
                assert run.times() == [json.loads(good)]
            assert len(said) == 1


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
    monkeypatch.setattr(chain.os, "fsync", lambda handle: (steps.append("sync"), real_sync(handle)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (steps.append("rename"), real_replace(a, b))[1])
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("content")
    assert steps == ["sync", "rename", "sync"]  # the file, its name, the folder that holds the name


def test_digest(tmp_path):
    (tmp_path / "file").write_bytes(b"content" * 1000)
    assert digest(tmp_path / "file") == hashlib.sha256(b"content" * 1000).hexdigest()
    assert digest(tmp_path / "nothing") == ""

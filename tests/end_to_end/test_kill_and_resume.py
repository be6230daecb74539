"""kill -9 anywhere, resume, and the results are the very bytes of an undisturbed experiment.

A helper process imports everything once and forks a child for every kill. The child runs the command with hooks on
what it does to the disk, and kills itself with SIGKILL at one of them; another child resumes, and the files are compared.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distil.cli import main
from distil.experiment import outputs

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")]

SOURCE = str(Path(__file__).parents[2] / "src")

HELPER = r'''
import gc, json, os, shutil, signal, sys
from functools import cache
from pathlib import Path

import torch

torch.set_num_threads(1)
import distil.experiment.loop
from distil.cli import main
from distil.errors import MissingPackage
from distil.experiment import outputs
from distil.experiment.config import experiment_config as config


def no_plot(*_, **__):
    raise MissingPackage("no plot here")


outputs.picture_of = no_plot  # slow, and no part of what is compared
config.load = cache(config.load)
config.load("digits", None)
gc.freeze()


class Torn:
    """A file whose write stops half way."""

    def __init__(self, file, tick):
        self._file, self._tick = file, tick

    def write(self, content):
        half = lambda: (self._file.write(content[: len(content) // 2]), self._file.flush())
        self._tick("torn " + json.loads(content)["event"], half)
        return self._file.write(content)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *args):
        return self._file.__exit__(*args)


def hook(tick):
    """Call ``tick(name)`` before and after everything that reaches the disk."""
    real_open, real_replace, real_unlink = Path.open, Path.replace, Path.unlink

    def fsync(handle):  # the page cache survives SIGKILL: nothing need really be synced
        name = Path(os.readlink(f"/proc/self/fd/{handle}")).name if sys.platform == "linux" else "a file"
        tick(f"before sync of {name}")
        tick(f"after sync of {name}")

    def open(self, mode="r", *args, **kwargs):
        file = real_open(self, mode, *args, **kwargs)
        return Torn(file, tick) if self.name == "events.jsonl" and "a" in mode else file

    def replace(self, target):
        tick(f"before naming {Path(target).name}")
        result = real_replace(self, target)
        tick(f"after naming {Path(target).name}")
        return result

    def unlink(self, missing_ok=False):
        tick(f"before removing {self.name}")
        real_unlink(self, missing_ok=missing_ok)

    os.fsync, Path.open, Path.replace, Path.unlink = fsync, open, replace, unlink


def child(folder, argv, tick):
    """Run a command in a fork; gives its wait status and what it wrote to stderr."""
    folder.mkdir(exist_ok=True)
    if (folder.parent / "config.json").exists():
        shutil.copy(folder.parent / "config.json", folder)  # the log is next to it
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.chdir(folder)
            for number, name in ((1, "stdout"), (2, "stderr")):
                os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            hook(tick)
            code = main(argv)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(99)
    status = os.waitpid(pid, 0)[1]
    return status, (folder / "stderr").read_text()


RUN = ["run", "config.json", "--output", "out", "--no-progress"]
RESUME = ["resume", "out", "--no-progress"]


def no_tick(name, half=None):
    pass


def listing(tick_file):
    def tick(name, half=None):
        with tick_file.open("a") as file:
            file.write(name + "\n")

    return tick


def stopping(at, number):
    count = iter(range(10**9))

    def tick(name, half=None):
        if next(count) == at:
            if half is not None:
                half()
            os.kill(os.getpid(), number)

    return tick


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def resume(folder):
    """Go on, until it is done; before there is a config.json the same command must be given again."""
    argv = RESUME if (folder / "out" / "config.json").exists() else RUN
    return child(folder, argv, no_tick)


def sweep(task):
    root = Path(task["root"])
    whole = root / "whole"
    status, said = child(whole, RUN, no_tick)
    assert status == 0, said
    status, said = child(root / "listed", RUN, listing(root / "ticks"))
    assert status == 0, said
    names = (root / "ticks").read_text().splitlines()
    every = task["every"]
    report = []
    for at, name in enumerate(names):
        if not (every and at % every == 0) and not any(part in name for part in task["always"]):
            continue
        folder = root / f"stopped-{at}"
        status, said = child(folder, RUN, stopping(at, task["signal"]))
        entry = {"at": at, "name": name, "status": status, "said": said}
        entry["resumed"], entry["resumed_said"] = resume(folder)
        entry["differ"] = [
            path
            for path in sorted(files(whole))
            if path.endswith((".jsonl", ".safetensors", ".csv", ".md", "out/config.json"))
            and not path.endswith("times.jsonl")
            and not ((folder / path).exists() and (folder / path).read_bytes() == (whole / path).read_bytes())
        ]
        entry["superfluous"] = sorted(files(folder) - files(whole))
        entry["logs"] = {p.name: p.read_text() for p in folder.glob("*.log")}
        report.append(entry)
        shutil.rmtree(folder)
    logs = {p.name: p.read_text() for p in whole.glob("*.log")}
    return {"names": names, "report": report, "logs": logs, "files": sorted(files(whole))}


for line in sys.stdin:
    try:
        answer = sweep(json.loads(line))
    except Exception as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
'''


def document(strategies, rounds=4, **train):
    return {
        "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
        "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 2, **train},
        "active_learning": {"strategies": strategies, "budget": 6, "rounds": rounds, "initial_points": 10},
        "dataset": {"name": "digits", "test_points": 100},
        "experiment": {"seeds": 1},
    }


@pytest.fixture(scope="module")
def helper():
    """The process that forks."""
    with subprocess.Popen(
        [sys.executable, "-c", HELPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"},
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def swept(tmp_path, helper):
    """``swept(document, signal, ...)``: stopped at hooks whose name has a part, or at every n-th; resumed; compared."""

    def sweep(configuration, number=signal.SIGKILL, every=0, always=()):
        (tmp_path / "config.json").write_text(json.dumps(configuration))
        task = {"root": str(tmp_path), "signal": int(number), "every": every, "always": always}
        print(json.dumps(task), file=helper.stdin, flush=True)
        answer = json.loads(helper.stdout.readline())
        assert "error" not in answer, answer
        return answer

    return sweep


def failures(found, killed_by=signal.SIGKILL):
    """What went wrong, in a line each."""
    wrong = []
    for entry in found["report"]:
        where = f"{entry['at']}: {entry['name']}"
        if killed_by == signal.SIGKILL and entry["status"] != signal.SIGKILL:
            wrong.append(f"{where}: was not killed, {entry['status']} {entry['said'][-300:]}")
        if killed_by == signal.SIGINT and (os.waitstatus_to_exitcode(entry["status"]) != 130):
            wrong.append(f"{where}: exit code {os.waitstatus_to_exitcode(entry['status'])} {entry['said'][-300:]}")
        if entry["resumed"] != 0:
            wrong.append(f"{where}: resumed with {entry['resumed']}: {entry['resumed_said'][-300:]}")
        elif entry["differ"]:
            wrong.append(f"{where}: {entry['differ']} differ")
    return wrong


def hooked(found, *parts):
    return [name for name in found["names"] if all(part in name for part in parts)]


# Per run: started, 4 labeled, 4 trained, 4 evaluated, 3 asked, finished.
EVENTS = 17


def check_hooks(found, runs, rounds=4):
    """The hooks bite: every append is torn once and seen before and after its sync, every file before and after its name."""
    for name in ("torn", "before sync of events.jsonl", "after sync of events.jsonl"):
        assert len(hooked(found, name)) == runs * EVENTS, name
    assert len(hooked(found, "naming weights-")) == 2 * runs * rounds
    assert len(hooked(found, "naming model.safetensors")) == 2 * runs
    assert len(hooked(found, "naming results")) == 4


def test_killed_at_every_event(swept):
    """In the middle of every line, after the sync of every event, and between weights and their event.

    Before a sync, the files are as after it for all but a crash of the machine.
    """
    found = swept(
        document(["random_sampling", "margin_sampling"]),
        always=["torn", "after sync of events.jsonl", "after naming weights"],
    )
    check_hooks(found, 2)
    report = {entry["name"] for entry in found["report"]}
    assert "after naming weights-002.safetensors" in report  # between a weights file and its event
    wrong = [line for line in failures(found) if "config.json" not in line.split(": ")[1]]  # a test of its own
    assert not wrong, "\n".join(wrong)


def test_killed_before_the_experiment_has_its_configuration(swept):
    """There is nothing to resume yet: the same command, given again, must do."""
    found = swept(document(["random_sampling"], rounds=1), always=["config.json"])
    assert hooked(found, "before naming config.json")
    assert not failures(found), "\n".join(failures(found))


def test_a_kill_leaves_nothing_superfluous_for_good(swept):
    """Weights of big models, above all: what a killed process left half written, or no longer needs, is removed in the end."""
    found = swept(
        document(["random_sampling"], rounds=2),
        always=["before sync of .weights", "before sync of .model", "removing weights", "torn finished"],
    )
    wrong = [f"{e['at']}: {e['name']}: {e['superfluous']}" for e in found["report"] if e["superfluous"]]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("retrain", [{"isreset": False}, {"retrain": "shrink_perturb"}], ids=["warm", "shrink_perturb"])
def test_killed_where_a_round_goes_on_from_the_weights_of_the_last(swept, retrain):
    found = swept(
        document(["margin_sampling"], **retrain),
        always=["after sync of events.jsonl", "after naming weights"],
    )
    check_hooks(found, 1)
    wrong = [line for line in failures(found) if "config.json" not in line.split(": ")[1]]
    assert not wrong, "\n".join(wrong)


def test_killed_while_logging(swept):
    """Every block of the documented log once, whenever the process dies around it."""
    found = swept(
        document(["margin_sampling"], islogs=True, logs_location="training.log"),
        always=["training.log", "after sync of events.jsonl"],
    )
    assert len(hooked(found, "before sync of training.log")) == 4

    def without_seconds(logs):
        return {name: re.sub(r"Time - .*", "Time - ?", text) for name, text in logs.items()}

    assert found["logs"]["training.log"].count("Test Accuracy") == 4
    wrong = failures(found)
    wrong += [
        f"{e['at']}: {e['name']}: the log differs"
        for e in found["report"]
        if without_seconds(e["logs"]) != without_seconds(found["logs"])
    ]
    assert not wrong, "\n".join(wrong)


def test_interrupted(swept):
    """Ctrl-C at any time: exit code 130, a word of comfort, and nothing lost."""
    found = swept(document(["margin_sampling"]), number=signal.SIGINT, every=9)
    wrong = [line for line in failures(found, signal.SIGINT) if "config.json" not in line.split(": ")[1]]
    assert not wrong, "\n".join(wrong)
    for entry in found["report"]:
        assert "interrupted; nothing is lost" in entry["said"]
        assert "Traceback" not in entry["said"]


@pytest.mark.parametrize(
    ("strategies", "every"),
    [(["random_sampling", "margin_sampling"], 7), (["badge"], 13), (["core_set"], 13)],
    ids=["random_sampling+margin_sampling", "badge", "core_set"],
)
def test_killed_at_touches_of_the_disk(swept, strategies, every):
    """Before and after syncs, namings and removals of any file, and in the middle of lines: at every seventh, or 13th, time."""
    configuration = document(strategies, patience=1)
    configuration["dataset"]["validation_points"] = 50
    found = swept(configuration, every=every)
    check_hooks(found, len(strategies))
    assert len(found["names"]) > 100
    assert len(found["report"]) == -(-len(found["names"]) // every)
    wrong = [line for line in failures(found) if "config.json" not in line.split(": ")[1]]
    assert not wrong, "\n".join(wrong)


# -------------------------------------------------------------------------------------------- real processes

# SIGINT is ignored by what a shell starts in the background, and that is inherited; hence the handler.
COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from distil.cli import main
sys.exit(main())
"""


@pytest.fixture
def start(tmp_path):
    """``start(*argv)``: the command in a process of its own."""
    begun = []

    def popen(*argv):
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *argv],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SOURCE, "MPLBACKEND": "agg"},
        )
        begun.append(process)
        return process

    yield popen
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_events(process, path, number):
    deadline = time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_real_processes_interrupted_killed_doubled_and_resumed(start, tmp_path, monkeypatch):
    """From outside, as it happens: Ctrl-C, then kill -9 while a second process waits, which goes on, is killed too; to the end."""
    configuration = document(["margin_sampling"], rounds=30, n_epoch=10, window_size=None)
    (tmp_path / "config.json").write_text(json.dumps(configuration))
    events = tmp_path / "out" / "margin_sampling" / "0" / "events.jsonl"

    process = start("run", "config.json", "--output", "out")
    wait_for_events(process, events, 6)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "interrupted; nothing is lost" in err
    assert "Traceback" not in err

    so_far = events.read_bytes().count(b"\n")
    process = start("resume", "out")
    wait_for_events(process, events, so_far + 4)
    process.send_signal(signal.SIGSTOP)  # it holds the run, and will not be done before the second has begun
    second = start("resume", "out")
    assert second.stderr.readline() == "note: waiting for margin_sampling, seed 0, which another command is running\n"
    so_far = events.read_bytes().count(b"\n")
    process.kill()
    process.communicate()
    wait_for_events(second, events, so_far + 4)
    second.kill()
    second.communicate()
    before = events.read_bytes()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")
    shutil.move("out", "moved")
    assert main(["resume", "moved"]) == 0
    moved = tmp_path / "moved" / "margin_sampling" / "0"
    assert (moved / "events.jsonl").read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    assert main(["run", "config.json", "--output", "undisturbed"]) == 0
    for name in ("margin_sampling/0/events.jsonl", "margin_sampling/0/model.safetensors", "results.csv", "results.md"):
        assert (tmp_path / "moved" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), name

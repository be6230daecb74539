"""The process behind the model: listened to, asked, ended, and started again if it dies."""

import asyncio
import json
import sys

import pytest

from distil.labeling.server import background as module
from distil.labeling.server.background import Background

STANDS_IN = """
import json, os, pathlib, sys
settings = json.loads(sys.argv[-1])
log = pathlib.Path(settings["project"], "starts")
log.write_text(log.read_text() + "x" if log.exists() else "x")
print(json.dumps({"state": "embedding", "given": settings}), flush=True)
print("what a model prints" * 100_000, flush=True)
for line in sys.stdin:
    if settings.get("dies") == "killed":
        os.kill(os.getpid(), 9)
    if settings.get("dies"):
        sys.exit("no memory")
    print(json.dumps({"state": "fitted"}), flush=True)
log.write_text(log.read_text() + "e")
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """An interpreter that runs another program in place of the worker."""
    (tmp_path / "worker.py").write_text(STANDS_IN)
    start = asyncio.create_subprocess_exec

    async def instead(program, *arguments, **options):
        assert arguments[:2] == ("-m", "distil.labeling.worker")
        return await start(sys.executable, str(tmp_path / "worker.py"), arguments[2], **options)

    monkeypatch.setattr(module.asyncio, "create_subprocess_exec", instead)


@pytest.fixture
def pauses(monkeypatch):
    """The pauses in seconds, which take no time."""
    slept, sleep = [], asyncio.sleep

    async def instead(seconds):
        if seconds >= 1:
            slept.append(seconds)
        await sleep(0.001)

    monkeypatch.setattr(module.asyncio, "sleep", instead)
    return slept


def heard(project, settings, pokes):
    """What the server hears until it has heard enough or the process is given up."""
    words = []

    async def hear(said):
        words.append(said)
        if len(words) <= pokes:
            background.poke()

    background = Background(project, settings, hear)

    async def run():
        task = asyncio.create_task(background.work())
        async with asyncio.timeout(60):
            while len(words) <= pokes and not task.done():
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    return words


def test_lines_are_heard_and_the_end_of_the_server_ends_the_process(project, stand_in):
    words = heard(project, {"share": 0.2}, 2)
    assert [each["state"] for each in words] == ["embedding", "fitted", "fitted"]
    assert words[0]["given"] == {"project": str(project.path), "share": 0.2}
    assert (project.path / "starts").read_text() == "xe"


def test_a_process_that_dies_is_started_again_after_longer_and_longer_pauses(project, stand_in, pauses):
    words = heard(project, {"dies": 1}, 9)
    assert [each["state"] for each in words] == ["embedding", "failed"] * 5
    starts = [each["error"] for each in words if each["state"] == "failed"]
    assert all("ended with 1" in error and "labeling goes on without it" in error for error in starts)
    assert [f"started again in {seconds} s" in error for seconds, error in zip((1, 2, 4, 8), starts, strict=False)] == [
        True
    ] * 4
    assert "after 5 starts it waits for new answers" in starts[-1]
    assert pauses == [1, 2, 4, 8]
    assert (project.path / "starts").read_text() == "xxxxx"
    assert "no memory" in (project.path / "model" / "worker.log").read_text()


def test_a_process_that_was_killed_wrote_no_reason(project, stand_in, pauses):
    words = heard(project, {"dies": "killed"}, 1)
    assert words[1]["error"].startswith(
        "the process that fits the model was killed, perhaps because the memory was full; "
    )


def test_new_answers_start_a_process_that_was_given_up(project, stand_in, pauses):
    words = heard(project, {"dies": 1}, 11)  # the tenth word is that it waits; a poke follows each
    assert [each["state"] for each in words] == ["embedding", "failed"] * 6
    assert "after 5 starts" in words[-1]["error"]
    assert pauses == [1, 2, 4, 8]


def test_an_end_after_a_long_time_is_no_failure_in_a_row(project, stand_in, pauses, monkeypatch):
    monkeypatch.setattr(module, "_LASTING", 0.0)
    heard(project, {"dies": 1}, 13)
    assert pauses[:6] == [1] * 6


def test_a_process_that_cannot_be_started(project, monkeypatch, pauses):
    async def none(*_, **__):
        raise OSError("no more processes")

    monkeypatch.setattr(module.asyncio, "create_subprocess_exec", none)
    words = heard(project, {}, 1)
    assert words[0]["state"] == "failed"
    assert "cannot be started: no more processes; it is started again in 1 s; labeling" in words[0]["error"]


def test_without_a_model_there_is_no_process(project):
    assert heard(project, None, 0) == []
    assert json.dumps(module.ModelState("off").document())

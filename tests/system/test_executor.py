"""Executors: tasks and actors give the same results in this process and in several, whatever is killed."""

import os
import signal
import warnings
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from distil.errors import DistilWarning, RunError
from distil.system import executor
from distil.system.executor import LostProcess, Processes, Serial, SharedTasks, do


class Fake:
    """A process whose calls end later, in random order, some of them with the process.

    Args:
        rng: Decides the order and the losses.
        pending: The calls of all processes that have not ended.
        losses: The share of calls in which the process is lost.
    """

    def __init__(self, rng, pending, losses):
        self.rng, self.pending, self.losses, self.begun = rng, pending, losses, False
        self.n_lost = self.at_once = 0

    def submit(self, function, *arguments):
        assert self.begun == (function is do)
        assert not any(lane is self for lane, _, _ in self.pending), "two tasks at once"
        self.begun = True
        future = Future()
        self.pending.append((self, future, arguments))
        if self.rng.uniform() < 0.7:
            lane, ended, given = self.pending.pop(self.rng.integers(len(self.pending)))
            ended.set_result((lane.rng.uniform() < lane.losses, given))
        return future

    def result(self, future):
        lost, given = future.result()
        if lost:
            self.n_lost += 1
            raise LostProcess("it was killed")
        return 10 * given[0] if given else None

    def close(self):
        self.begun = False


def shared(seed, losses, n=12):
    """The results of tasks 0 to n - 1, and how many processes were lost."""
    rng, pending = np.random.default_rng(seed), []
    lanes = [Fake(rng, pending, losses) for _ in range(3)]
    tasks = SharedTasks(lanes, (print,), range(n))

    def end_all():
        while pending:
            _, future, given = pending.pop(rng.integers(len(pending)))
            future.set_result((rng.uniform() < losses, given))
        return ()

    return tasks.all_done(end_all, print, 0), sum(lane.n_lost for lane in lanes)


def test_results_are_in_the_order_of_the_tasks_whatever_is_lost():
    lost = 0
    for seed in range(30):
        results, n_lost = shared(seed, losses=0.1)
        assert results == [10 * number for number in range(12)]
        lost += n_lost
    assert lost > 30
    with pytest.raises(RunError, match="were lost 4 times at the same work"):
        shared(0, losses=1)


def test_what_was_reported_before_an_error_is_handed_on():
    class Wrong(Fake):
        def result(self, future):
            raise ValueError("no such file")

    pending, steps = [], []
    tasks = SharedTasks([Wrong(np.random.default_rng(0), pending, 0)], (print,), range(2))
    for _, future, given in pending:
        future.set_result((False, given))
    said = lambda: [1, DistilWarning("kept as a (edited).npy")]  # noqa: E731
    with pytest.warns(DistilWarning, match="kept as"), pytest.raises(ValueError, match="no such file"):
        tasks.all_done(said, steps.append, 0)
    assert steps == [1]


class Unreadable(Exception):
    def __init__(self, file, line):
        super().__init__(f"{file}, line {line}: no number")


def test_an_error_that_another_process_cannot_read_keeps_its_words(monkeypatch):
    def unreadable(*_):
        raise Unreadable("a.csv", 3)

    monkeypatch.setattr(executor, "_worker", executor._Worker(_nothing, unreadable, print))
    with pytest.raises(RunError, match=r"^Unreadable: a\.csv, line 3: no number$") as found:
        do(1)
    assert isinstance(found.value.__cause__, Unreadable)
    monkeypatch.setattr(executor, "_states", {})
    with pytest.raises(RunError, match=r"^Unreadable: a\.csv, line 3: no number$"):
        executor._ask(unreadable, None, 0, print, None)
    monkeypatch.setattr(executor, "_worker", executor._Worker(_nothing, _wrong, print))
    with pytest.raises(RunError, match="1 is wrong"):
        do(1)


# --------------------------------------------------------------------------------------------------------- real processes


def _nothing():
    return None


def _killed(state, task, report):
    os.kill(os.getpid(), signal.SIGKILL)


def _killed_once(state, task, report):
    if isinstance(task, Path):
        if not task.exists():
            task.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        task = 7
    report(1)
    return task


def _wrong(state, task, report):
    raise RunError(f"{task} is wrong")


def _later(state, task, report):
    report(task)
    return task != 3


@pytest.mark.slow
def test_processes_do_every_task_and_report():
    steps = []
    assert Processes(2).map(_nothing, _later, [4, 2, 3], steps.append) == [True, True, False]
    assert sorted(steps) == [2, 3, 4]


@pytest.mark.slow
def test_a_task_whose_process_is_killed_is_done_by_another(tmp_path):
    """Also if the process is killed between two tasks; a task that kills each process is an error that says so."""
    marks, steps = [tmp_path / name for name in ("first", "second")], []
    assert Processes(2).map(_nothing, _killed_once, [1, marks[0], 3, marks[1]], steps.append) == [1, 7, 3, 7]
    assert sum(steps) == 4
    with pytest.raises(
        RunError, match=r"worker processes were lost 4 times .* memory ran out; finished work is on disk"
    ):
        Processes(1).map(_nothing, _killed, [2], lambda _: None)


@pytest.mark.slow
def test_an_error_of_a_task_is_that_of_all():
    with pytest.raises(RunError, match="is wrong"):
        Processes(2).map(_nothing, _wrong, [1, 2], lambda _: None)


def _no_memory():
    raise MemoryError("for the data")


@pytest.mark.slow
def test_an_error_before_the_first_task_is_that_of_all(capfd):
    """The pool would report an initializer that fails as a killed process, and print its traceback."""
    with pytest.raises(MemoryError, match="for the data"):
        Processes(2).map(_no_memory, _later, [1, 2], lambda _: None)
    assert capfd.readouterr() == ("", "")


class OwnWarning(UserWarning):
    """Has no name that another process could import it by."""


def _warned(state, task, report):
    warnings.warn(f"{task} is lost", DistilWarning if task == 1 else type("Hidden", (OwnWarning,), {}), stacklevel=1)
    return True


@pytest.mark.slow
def test_warnings_of_the_processes_are_issued_in_this_one(capfd):
    with pytest.warns() as caught:
        assert Processes(2).map(_nothing, _warned, [1, 2], lambda _: None) == [True, True]
    assert sorted((str(each.message), each.category) for each in caught) == [
        ("1 is lost", DistilWarning),
        ("2 is lost", UserWarning),
    ]
    assert capfd.readouterr() == ("", "")


def _masked(state, task, report):
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.slow
def test_processes_see_no_interrupt_even_while_they_start():
    """Each would print a traceback; the parent gets the interrupt too, and stops them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert Processes(2).map(_nothing, _masked, [1, 2], lambda _: None)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


class _Counter:
    """An actor: the sum of its messages."""

    def __init__(self, first):
        self.total = first


def _add(counter, message):
    if isinstance(message, str):
        if not os.path.exists(message):
            open(message, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return counter.total
    counter.total += message
    return counter.total, os.getpid()


def test_actors_in_this_process_keep_their_state():
    with Serial().actors(_Counter, [10, 20]) as actors:
        assert dict(actors.ask(_add, {0: 1, 1: 2})) == {0: (11, os.getpid()), 1: (22, os.getpid())}
        assert dict(actors.ask(_add, {1: 2})) == {1: (24, os.getpid())}
    assert Serial().map(_nothing, _later, [4, 3], lambda _: None) == [True, False]


@pytest.mark.slow
def test_actors_in_processes_keep_their_state_and_come_back_empty_after_a_kill(tmp_path):
    with Processes(2).actors(_Counter, [10, 20, 30]) as actors:
        first = dict(actors.ask(_add, {0: 1, 1: 1, 2: 1}))
        assert [first[k][0] for k in range(3)] == [11, 21, 31]
        assert first[0][1] == first[2][1] != first[1][1]
        assert dict(actors.ask(_add, {1: 1}))[1] == (22, first[1][1])
        # The process of actors 0 and 2 is killed: both are made anew, and actor 1 goes on.
        found = dict(actors.ask(_add, {0: str(tmp_path / "killed"), 1: 1, 2: 1}))
        assert found[0] == 10
        assert found[1][0] == 23
        assert found[2][0] in (31, 32)  # its message may have been done before
        assert dict(actors.ask(_add, {2: 0}))[2][0] == 31
        os.kill(first[1][1], signal.SIGKILL)  # between two rounds
        assert dict(actors.ask(_add, {1: 5}))[1][0] == 25


def _always_killed(state, message):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_an_actor_that_is_always_killed_is_an_error():
    with pytest.raises(RunError, match="killed several times"), Processes(1).actors(_Counter, [1]) as actors:
        list(actors.ask(_always_killed, {0: None}))

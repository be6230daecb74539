"""Executors: tasks and actors give the same results in this process and in several, whatever is killed."""

import os
import signal
import warnings

import pytest

from distil.errors import DistilWarning, RunError
from distil.system.executor import Processes, Serial


def _nothing():
    return None


def _killed(state, task, report):
    report(1)
    if task == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


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
def test_a_killed_worker_is_an_error_that_says_so():
    with pytest.raises(RunError, match="a worker process was killed"):
        Processes(2).map(_nothing, _killed, [1, 2, 3], lambda _: None)


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

"""Processes that share a list of tasks."""

import os
import signal
import warnings

import pytest

from distil.errors import DistilWarning, RunError
from distil.experiment.workers import run_in_processes


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
    assert run_in_processes(_nothing, _later, [4, 2, 3], 2, steps.append) == [True, True, False]
    assert sorted(steps) == [2, 3, 4]


@pytest.mark.slow
def test_a_killed_worker_is_an_error_that_says_so():
    with pytest.raises(RunError, match="a worker process was killed"):
        run_in_processes(_nothing, _killed, [1, 2, 3], 2, lambda _: None)


@pytest.mark.slow
def test_an_error_of_a_task_is_that_of_all():
    with pytest.raises(RunError, match="is wrong"):
        run_in_processes(_nothing, _wrong, [1, 2], 2, lambda _: None)


def _no_memory():
    raise MemoryError("for the data")


@pytest.mark.slow
def test_an_error_before_the_first_task_is_that_of_all(capfd):
    """The pool would report an initializer that fails as a killed process, and print its traceback."""
    with pytest.raises(MemoryError, match="for the data"):
        run_in_processes(_no_memory, _later, [1, 2], 2, lambda _: None)
    assert capfd.readouterr() == ("", "")


class OwnWarning(UserWarning):
    """Has no name that another process could import it by."""


def _warned(state, task, report):
    warnings.warn(f"{task} is lost", DistilWarning if task == 1 else type("Hidden", (OwnWarning,), {}), stacklevel=1)
    return True


@pytest.mark.slow
def test_warnings_of_the_processes_are_issued_in_this_one(capfd):
    with pytest.warns() as caught:
        assert run_in_processes(_nothing, _warned, [1, 2], 2, lambda _: None) == [True, True]
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
    assert run_in_processes(_nothing, _masked, [1, 2], 2, lambda _: None)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before

"""A list of tasks done by several processes."""

from __future__ import annotations

import multiprocessing
import multiprocessing.queues
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from typing import Any, Generic, TypeVar

from distil.errors import DistilWarning, RunError

State = TypeVar("State")
Task = TypeVar("Task")
Result = TypeVar("Result")
Report = Callable[[int], object]

_SECONDS = 0.1  # between two reads of the processes' reports


def run_in_processes(
    prepare: Callable[[], State],
    work: Callable[[State, Task, Report], Result],
    tasks: Sequence[Task],
    workers: int,
    report: Report,
) -> list[Result]:
    """Do every task in one of several processes, and return their results in the order of the tasks.

    Tasks are started in order. The processes are spawned, not forked, and end when this one ends, even if it is killed; tasks
    must tolerate that. Their warnings are issued in this process.

    Args:
        prepare: Called once in each process, before its first task; returns the state that its tasks share.
        work: Does one task; called with the state, the task, and a function that reports finished steps.
        tasks: The tasks.
        workers: Number of processes; at most one per task is started.
        report: Called in this process with the steps that the others report.

    Raises:
        RunError: A process was killed, for example because memory ran out.
    """
    context = multiprocessing.get_context("spawn")
    reports: multiprocessing.queues.SimpleQueue[int | Warning] = context.SimpleQueue()
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=context, initializer=_start, initargs=(prepare, work, reports)
    )
    left: set[Future[Result]] = set()
    try:
        with _interrupts_later():
            futures: list[Future[Result]] = [pool.submit(_do, task) for task in tasks]
        left = set(futures)
        while left:
            done, left = wait(left, timeout=_SECONDS, return_when=FIRST_COMPLETED)
            while not reports.empty():
                _passed_on(reports.get(), report)
            for future in done:
                future.result()  # raises the error of the task at once
        return [future.result() for future in futures]
    except BrokenProcessPool:
        raise RunError(
            "a worker process was killed, perhaps because memory ran out; finished steps are on disk: run the same command "
            "again with fewer workers"
        ) from None
    finally:
        for process in (pool._processes or {}).values():
            if left:  # interrupted: tasks are still running
                process.terminate()
        pool.shutdown(cancel_futures=True)


def _passed_on(said: int | Warning, report: Report) -> None:
    """Hand on what another process reported: steps, or a warning."""
    if isinstance(said, Warning):
        warnings.warn(said, stacklevel=3)
    else:
        report(said)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """A context at whose end an interrupt from the keyboard comes through.

    Processes started in it never see one: until they have imported all that they need, each would print a traceback.
    """
    if sys.platform == "win32":  # processes there have no mask of signals
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker(Generic[State, Task, Result]):
    """What a process does with its tasks; the state that they share is prepared for the first, whose errors reach the parent."""

    def __init__(
        self, prepare: Callable[[], State], work: Callable[[State, Task, Report], Result], report: Report
    ) -> None:
        self.state = cache(prepare)
        self.work = work
        self.report = report


_worker: _Worker[Any, Any, Any] | None = None


def _start(prepare: Callable[[], Any], work: Callable[..., Any], reports: Any) -> None:  # noqa: ANN401
    global _worker
    warnings.showwarning = lambda message, category, *_, **__: reports.put(_portable(str(message), category))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets the signal too, and stops this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = _Worker(prepare, work, reports.put)


def _portable(text: str, category: type[Warning]) -> Warning:
    """A warning that another process can read: it may lack the classes of other packages."""
    return (DistilWarning if issubclass(category, DistilWarning) else UserWarning)(text)


def _do(task: Any) -> Any:  # noqa: ANN401
    if _worker is None:
        raise RuntimeError("the process was not started by run_in_processes")
    return _worker.work(_worker.state(), task, _worker.report)


def _end_with_parent() -> None:
    """End this process once its parent has ended.

    Why: workers of a ``ProcessPoolExecutor`` finish their task after their parent is killed, and a run that is resumed meanwhile
    could write to the same files. Only ``os._exit`` ends a process from a thread other than the main one.
    Gain: after ``kill -9`` of the parent, workers ended within 20 ms; without this they still ran 15 s later.
    Delete it when the pool ends workers whose parent has ended.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

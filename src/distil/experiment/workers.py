"""Processes that share a list of tasks."""

from __future__ import annotations

import multiprocessing
import multiprocessing.queues
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from distil.errors import RunError

State = TypeVar("State")
Task = TypeVar("Task")
Report = Callable[[int], object]

_SECONDS = 0.1  # between two looks at what the processes report


def run_in_processes(
    prepare: Callable[[], State],
    work: Callable[[State, Task, Report], bool],
    tasks: Sequence[Task],
    workers: int,
    report: Report,
) -> bool:
    """Do every task in one of several processes; whether all of them returned True.

    Tasks are begun in order. The processes are started afresh, not forked, and end with this one, however it ends: what they do
    must survive that.

    Args:
        prepare: Called once in each process, for what its tasks have in common.
        work: Called with that, a task, and a function that reports steps of it.
        tasks: What to do.
        workers: How many processes, at most one a task.
        report: Called here with the steps that the processes report.

    Raises:
        RunError: A process was killed, for example for want of memory.
    """
    context = multiprocessing.get_context("spawn")
    steps: multiprocessing.queues.SimpleQueue[int] = context.SimpleQueue()
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=context, initializer=_start, initargs=(prepare, work, steps)
    )
    left: set[Future[bool]] = set()
    complete = True
    try:
        left = {pool.submit(_do, task) for task in tasks}
        while left:
            done, left = wait(left, timeout=_SECONDS, return_when=FIRST_COMPLETED)
            while not steps.empty():
                report(steps.get())
            for future in done:
                complete &= future.result()
        return complete
    except BrokenProcessPool:
        raise RunError(
            "a worker process was killed, perhaps for want of memory; nothing is lost: use fewer workers and run the same again"
        ) from None
    finally:
        for process in (pool._processes or {}).values():  # those at work when this one is interrupted
            if left:
                process.terminate()
        pool.shutdown(cancel_futures=True)


class _Worker(Generic[State, Task]):
    """What a process keeps between its tasks."""

    def __init__(
        self, prepare: Callable[[], State], work: Callable[[State, Task, Report], bool], report: Report
    ) -> None:
        self.state = prepare()
        self.work = work
        self.report = report


_worker: _Worker[Any, Any] | None = None


def _start(prepare: Callable[[], Any], work: Callable[..., bool], steps: Any) -> None:  # noqa: ANN401
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and stops this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = _Worker(prepare, work, steps.put)


def _do(task: Any) -> bool:  # noqa: ANN401
    if _worker is None:
        raise RuntimeError("the process was not started by run_in_processes")
    return _worker.work(_worker.state, task, _worker.report)


def _end_with_parent() -> None:
    """End this process once its parent has ended.

    Why: workers of a ``ProcessPoolExecutor`` finish their task when their parent is killed, and a run that is resumed meanwhile
    could write to the same files. Only ``os._exit`` ends a process from another thread than its main one.
    What it won: after ``kill -9`` of the parent, workers were gone within 20 ms; without this they still ran 15 s later.
    Delete it when the pool ends workers whose parent is gone.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

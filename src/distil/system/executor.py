"""Where work is done: in this process, or in several.

An executor does tasks that share only what each process prepares (shards to embed, runs of a comparison), and holds actors, whose
state stays in their process and changes by messages (shards to select from).
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.queues
import os
import pickle
import signal
import sys
import threading
import warnings
import weakref
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from itertools import chain
from typing import Any, Final, Generic, TypeVar

from distil.errors import DistilWarning, RunError

State = TypeVar("State")
Task = TypeVar("Task")
Result = TypeVar("Result")
Report = Callable[[int], object]

RESTARTS: Final = 3
"""Times that a process may be lost during one task or one round of messages."""

_SECONDS: Final = 0.1  # between two reads of the processes' reports


class Actors(ABC, Generic[State]):
    """States in one place each, which change by messages. A state that is lost is made anew, and is then as ``make`` returns it."""

    @abstractmethod
    def ask(self, work: Callable[[State, Any], Result], messages: Mapping[int, Any]) -> Iterator[tuple[int, Result]]:
        """Call ``work`` with the state of each actor and its message; its number and result, in the order in which they are done.

        Args:
            work: A function of a module, which other processes import.
            messages: Number of an actor -> its message.
        """


class Executor(ABC):
    """A place where work is done; the results do not depend on it."""

    @abstractmethod
    def map(
        self,
        prepare: Callable[[], State],
        work: Callable[[State, Task, Report], Result],
        tasks: Sequence[Task],
        report: Report,
    ) -> list[Result]:
        """Do every task, and return their results in the order of the tasks.

        Args:
            prepare: Called before the first task, once in each process; returns the state that its tasks share.
            work: Does one task; called with the state, the task, and a function that reports finished steps.
            tasks: The tasks.
            report: Called in this process with the steps that the tasks report.
        """

    @abstractmethod
    def actors(self, make: Callable[[Task], State], keys: Sequence[Task]) -> AbstractContextManager[Actors[State]]:
        """A context with an actor for each key, whose state ``make(key)`` is made at its first message."""


class Serial(Executor):
    """This process."""

    def map(
        self,
        prepare: Callable[[], State],
        work: Callable[[State, Task, Report], Result],
        tasks: Sequence[Task],
        report: Report,
    ) -> list[Result]:
        """See ``Executor.map``."""
        state = prepare()
        return [work(state, task, report) for task in tasks]

    @contextmanager
    def actors(self, make: Callable[[Task], State], keys: Sequence[Task]) -> Iterator[Actors[State]]:
        """See ``Executor.actors``."""
        yield _Here(make, keys)


class _Here(Actors[State]):
    """Actors in this process."""

    def __init__(self, make: Callable[[Task], State], keys: Sequence[Task]) -> None:
        self._state = cache(lambda number: make(keys[number]))

    def ask(self, work: Callable[[State, Any], Result], messages: Mapping[int, Any]) -> Iterator[tuple[int, Result]]:
        """See ``Actors.ask``."""
        for number, message in messages.items():
            yield number, work(self._state(number), message)


class Processes(Executor):
    """Several processes of this machine, which divide its cores.

    They are spawned, not forked, and end when this one ends, even if it is killed.

    Args:
        workers: Number of processes; at most one per task or actor is started.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._threads = max(1, (os.cpu_count() or 1) // workers)

    def map(
        self,
        prepare: Callable[[], State],
        work: Callable[[State, Task, Report], Result],
        tasks: Sequence[Task],
        report: Report,
    ) -> list[Result]:
        """See ``Executor.map``. Tasks are started in order; warnings of the processes are issued in this one.

        Raises:
            RunError: Several processes were killed during one task, for example because memory ran out.
        """
        lanes = [_ProcessLane(self._threads) for _ in range(min(self.workers, len(tasks)))]
        try:
            shared = SharedTasks(lanes, (_begin_lane, prepare, work), tasks)
            return shared.all_done(lambda: chain.from_iterable(lane.said() for lane in lanes), report, _SECONDS)
        finally:
            for lane in lanes:
                lane.close()

    @contextmanager
    def actors(self, make: Callable[[Task], State], keys: Sequence[Task]) -> Iterator[Actors[State]]:
        """See ``Executor.actors``."""
        lanes = [_ProcessLane(self._threads) for _ in range(min(self.workers, len(keys)))]
        try:
            yield InLanes(make, keys, lanes)
        finally:
            for lane in lanes:
                lane.close()


class LostProcess(RunError):
    """A process ended before it had answered a call."""


class Lane(ABC):
    """One process, started at its first call and again after it was lost.

    Attributes:
        restarts: Number of times that the process was ended.
        held: Numbers of the actors whose keys were sent to the present process.
    """

    def __init__(self) -> None:
        self.restarts = 0
        self.held: set[int] = set()
        self._running = weakref.WeakSet[Future[Any]]()  # calls of the present process

    def submit(self, *call: Any) -> Future[Any]:  # noqa: ANN401
        """Call a function of a module in the process; LostProcess if it was lost between two calls."""
        future = self._submitted(*call)
        self._running.add(future)
        return future

    def restart_after(self, lost: Future[Any]) -> None:
        """End the process after a call of it was lost, unless that was a call of an earlier process."""
        if lost in self._running:
            self.close()

    def close(self) -> None:
        """End the process, with what it is doing."""
        if self._ended():
            self.restarts += 1
            self._running.clear()
            self.held.clear()

    @abstractmethod
    def result(self, future: Future[Any]) -> Any:  # noqa: ANN401
        """The result of a call that has come to its end; LostProcess, or the error of the function."""

    @abstractmethod
    def _submitted(self, *call: Any) -> Future[Any]:  # noqa: ANN401
        """See ``submit``."""

    @abstractmethod
    def _ended(self) -> bool:
        """End the process; whether there was one."""


class _ProcessLane(Lane):
    """A process of this machine.

    Args:
        threads: Number of threads that it computes with.
    """

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._threads = threads
        self._pool: ProcessPoolExecutor | None = None
        self._reports: list[multiprocessing.queues.SimpleQueue[int | Warning]] = []  # one of each process

    def said(self) -> Iterator[int | Warning]:
        """What the process, and those before it, reported since the last call."""
        for reports in self._reports:
            while not reports.empty():
                yield reports.get()

    def result(self, future: Future[Any]) -> Any:  # noqa: ANN401
        """See ``Lane.result``."""
        try:
            return future.result()
        except BrokenProcessPool:
            raise LostProcess("it was killed") from None

    def _submitted(self, *call: Any) -> Future[Any]:  # noqa: ANN401
        try:
            return self._process().submit(*call)
        except BrokenProcessPool:
            raise LostProcess("it was killed") from None

    def _ended(self) -> bool:
        if self._pool is None:
            return False
        if any(not future.done() for future in self._running):  # else the process ends by itself
            for process in (self._pool._processes or {}).values():
                process.terminate()
        self._pool.shutdown(cancel_futures=True)
        self._pool = None
        return True

    def _process(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._reports.append(context.SimpleQueue())
            given = self._threads, self._reports[-1].put
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_start_lane, initargs=given)
            with _interrupts_later():
                self._pool.submit(os.getpid)  # starts the process
        return self._pool


class SharedTasks:
    """Tasks that several processes share. The task of a process that was lost goes to another.

    Args:
        lanes: The processes.
        first: The call that a process begins with.
        tasks: The tasks.
    """

    def __init__(self, lanes: Sequence[Lane], first: tuple[Any, ...], tasks: Sequence[Any]) -> None:
        self._first = first
        self._tasks = tasks
        self._todo = deque(range(len(tasks)))
        self._results: dict[int, Any] = {}
        self._idle: list[Lane] = []
        self._lost: Counter[int | Lane] = Counter()
        self._running: dict[Future[Any], tuple[Lane, int | None]] = {}
        for lane in lanes:
            self._start(lane, None)

    @property
    def left(self) -> int:
        """Number of tasks that are not done."""
        return len(self._tasks) - len(self._results)

    def all_done(self, said: Callable[[], Iterable[int | Warning]], report: Report, seconds: float) -> list[Any]:
        """Do all tasks.

        Args:
            said: Gives what the processes reported since its last call; it is handed on before an error of a task, too.
            report: See ``Executor.map``.
            seconds: The longest time between two calls of ``said``.

        Returns:
            The results in the order of the tasks.

        Raises:
            RunError: Several processes were lost during one task.
        """
        while self.left:
            try:
                self.advance(seconds)
            finally:
                for each in said():
                    passed_on(each, report)
        return [self._results[number] for number in range(len(self._tasks))]

    def advance(self, seconds: float) -> None:
        """Wait so long for a result, and hand out further tasks."""
        for future in wait(self._running, timeout=seconds, return_when=FIRST_COMPLETED).done:
            lane, number = self._running.pop(future)
            try:
                result = lane.result(future)
            except LostProcess as error:
                self._replace(lane, number, error)
                continue
            self._idle.append(lane)
            if number is None:
                del self._lost[lane]
            else:
                self._results[number] = result
        while self._idle and self._todo:
            self._start(self._idle.pop(), self._todo.popleft())

    def _start(self, lane: Lane, number: int | None) -> None:
        """Let a process do a task; None: let it begin."""
        call = self._first if number is None else (do, self._tasks[number])
        try:
            self._running[lane.submit(*call)] = lane, number
        except LostProcess as error:
            self._replace(lane, number, error)

    def _replace(self, lane: Lane, number: int | None, error: LostProcess) -> None:
        """Start another process, and let any process have the task of the lost one."""
        key = lane if number is None else number
        self._lost[key] += 1
        if self._lost[key] > RESTARTS:
            raise RunError(
                f"worker processes were lost {self._lost[key]} times at the same work, perhaps because memory ran out; finished "
                f"work is on disk: run the same command again with fewer workers. The last one: {error}"
            )
        if number is not None:
            self._todo.appendleft(number)
        lane.close()
        self._start(lane, None)


class InLanes(Actors[State]):
    """Actors that are distributed over processes in turn.

    Args:
        make: See ``Executor.actors``.
        keys: The keys of the actors.
        lanes: The processes.
    """

    def __init__(self, make: Callable[[Task], State], keys: Sequence[Task], lanes: Sequence[Lane]) -> None:
        self._make = make
        self._keys = keys
        self._lanes = lanes

    def ask(self, work: Callable[[State, Any], Result], messages: Mapping[int, Any]) -> Iterator[tuple[int, Result]]:
        """See ``Actors.ask``. A process that was lost is started again, and the messages that it had not answered are sent again.

        Raises:
            RunError: A process was lost several times.
        """
        most = [lane.restarts + RESTARTS for lane in self._lanes]
        running = {self._sent(number, work, message): number for number, message in messages.items()}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(future)
                place = number % len(self._lanes)
                lane = self._lanes[place]
                try:
                    result = lane.result(future)
                except LostProcess:
                    lane.restart_after(future)
                    if lane.restarts > most[place]:
                        raise RunError(
                            "a worker process was killed several times, perhaps because memory ran out; run again with smaller "
                            "shards"
                        ) from None
                    running[self._sent(number, work, messages[number])] = number
                else:
                    yield number, result

    def _sent(self, number: int, work: Callable[[State, Any], Any], message: Any) -> Future[Any]:  # noqa: ANN401
        lane = self._lanes[number % len(self._lanes)]
        try:
            return self._sent_to(lane, number, work, message)
        except LostProcess:
            lane.close()
            return self._sent_to(lane, number, work, message)

    def _sent_to(self, lane: Lane, number: int, work: Callable[[State, Any], Any], message: Any) -> Future[Any]:  # noqa: ANN401
        """Send a message, with the actor's key if the process does not have it yet: it may be large."""
        key = None if number in lane.held else self._keys[number]
        future = lane.submit(_ask, self._make, key, number, work, message)
        lane.held.add(number)
        return future


def passed_on(said: int | Warning, report: Report) -> None:
    """Hand on what another process reported: steps, or a warning."""
    if isinstance(said, Warning):
        warnings.warn(said, stacklevel=4)
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


def begin(
    prepare: Callable[[], Any], work: Callable[[Any, Any, Report], Any], say: Callable[[int | Warning], None]
) -> None:
    """Make this process one that does tasks; arguments as for ``Executor.map``, and where reports and warnings go."""
    global _worker
    warnings.showwarning = lambda message, category, *_, **__: say(_portable(str(message), category))
    _worker = _Worker(prepare, work, say)


def do(task: Any) -> Any:  # noqa: ANN401
    """Do one task in a process that ``begin`` was called in."""
    if _worker is None:
        raise RuntimeError("no tasks have begun in this process")
    with _readable_errors():
        return _worker.work(_worker.state(), task, _worker.report)


_say: Callable[[int | Warning], None]


def _begin_lane(prepare: Callable[[], Any], work: Callable[[Any, Any, Report], Any]) -> None:
    begin(prepare, work, _say)


def _portable(text: str, category: type[Warning]) -> Warning:
    """A warning that another process can read: it may lack the classes of other packages."""
    return (DistilWarning if issubclass(category, DistilWarning) else UserWarning)(text)


def _start_lane(threads: int, say: Callable[[int | Warning], None]) -> None:
    global _say
    _say = say
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets the signal too, and stops this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch  # lazily: the parent may need none

    torch.set_num_threads(threads)


_states: dict[int, Any] = {}


def _ask(make: Callable[[Any], Any], key: Any, number: int, work: Callable[[Any, Any], Any], message: Any) -> Any:  # noqa: ANN401
    with _readable_errors():
        if number not in _states:
            _states[number] = make(key)
        return work(_states[number], message)


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Raise an error that cannot be sent to another process as RunError; else the process would be taken for lost.

    An example is an error whose class takes other arguments than it hands to ``Exception``.
    """
    try:
        yield
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # noqa: BLE001 - classes of other packages raise anything
            raise RunError(f"{type(error).__name__}: {error}") from error
        raise


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

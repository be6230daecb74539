"""An executor whose processes are those of a Ray cluster. This is the only file that imports Ray.

Ray starts the processes and moves the messages. What a lost process means is decided here and in ``distil.distributed.crew``: Ray
is not asked to restart a process or to repeat a call, because a process that comes back has lost its state.
"""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

from distil.errors import InvalidInput, RunError
from distil.system.executor import (
    Actors,
    Executor,
    InLanes,
    Lane,
    LostProcess,
    Report,
    Result,
    SharedTasks,
    State,
    Task,
    begin,
)
from distil.system.imports import in_a_line, optional

_ADDRESS: Final = re.compile(r"auto|local|ray://\S+|[^\s:/][^\s/]*:[0-9]{1,5}")
_SECONDS: Final = 0.5  # between two reads of the processes' reports
_ANSWERS: Final = 10.0  # seconds in which a head must accept a connection
_TRIES: Final = "RAY_gcs_server_port_wait_time_s"  # Ray's variable: tries, of up to 40 s each, to reach a head


class RayExecutor(Executor):
    """Processes of a Ray cluster, which must have distil, and see the files at the same paths as this process.

    Args:
        address: ``HOST:PORT`` of the head of the cluster, or ``auto``. Default: that in ``$RAY_ADDRESS``, or the cluster that was
            started on this machine; without one, Ray is started on this machine for as long as there is work.
        workers: Number of processes; default: one for each core of the cluster, or for each GPU. At most one per task or actor is
            started. Each waits until its core or GPU is free.
        gpus: Whether each process has a GPU of its own.
    """

    def __init__(self, address: str | None = None, workers: int | None = None, *, gpus: bool = False) -> None:
        if address is not None and not _ADDRESS.fullmatch(address):
            raise InvalidInput(f"address must be HOST:PORT of the head of a Ray cluster, or auto, got {address!r}")
        self._ray = optional("ray", "the executor ray")
        self.address = address
        self.workers = workers
        self.gpus = gpus

    def map(
        self,
        prepare: Callable[[], State],
        work: Callable[[State, Task, Report], Result],
        tasks: Sequence[Task],
        report: Report,
    ) -> list[Result]:
        """See ``Executor.map``. A process has one task at a time, and the task of a process that was lost goes to another.

        Raises:
            RunError: There is no cluster, or several processes were lost during one task.
        """
        with self._lanes(len(tasks)) as lanes:
            mailbox = self._ray.remote(_Mailbox).options(num_cpus=0, max_restarts=-1).remote()
            shared = SharedTasks(lanes, (begin, prepare, work, partial(_say, mailbox)), tasks)
            return shared.all_done(partial(_said, self._ray, mailbox), report, _SECONDS)

    @contextmanager
    def actors(self, make: Callable[[Task], State], keys: Sequence[Task]) -> Iterator[Actors[State]]:
        """See ``Executor.actors``."""
        with self._lanes(len(keys)) as lanes:
            yield InLanes(make, keys, lanes)

    @contextmanager
    def _lanes(self, most: int) -> Iterator[list[_RayLane]]:
        """At most so many processes, which end with the context."""
        with _joined(self._ray, self.address):
            there = int(self._ray.cluster_resources().get("GPU" if self.gpus else "CPU", 0))
            if not there and self.workers is None:
                raise RunError(f"the Ray cluster has no {'GPUs; choose device cpu' if self.gpus else 'cores'}")
            lanes = [_RayLane(self._ray, self.gpus) for _ in range(min(self.workers or there, most))]
            try:
                yield lanes
            finally:
                for lane in lanes:
                    lane.close()


@contextmanager
def _joined(ray: Any, address: str | None) -> Iterator[None]:  # noqa: ANN401 - the module
    """A context in which this process belongs to a cluster."""
    if ray.is_initialized():  # by the caller's own program
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anyone
    with _same_end():
        given = address or os.environ.get("RAY_ADDRESS") or None
        try:
            ray.init(address=_answering(ray, given), log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # Ray raises bare exceptions
            where = "cannot start Ray" if given is None else f"cannot join the Ray cluster at {given}"
            raise RunError(f"{where}: {in_a_line(error)}; `ray start` on each machine starts one") from error
    try:
        with redirect_stdout(_WithoutRay(sys.stdout)):
            yield
    finally:
        with redirect_stdout(io.StringIO()):  # what Ray has kept back of such pages
            ray.shutdown()


def _answering(ray: Any, given: str | None) -> str:  # noqa: ANN401
    """The address of a head that accepts connections; ``local`` if none was given and there is none on this machine.

    Why: Ray 2.60 tries for a quarter of an hour to reach a head that does not answer, prints its tries, and does not end at Ctrl-C.
    A cluster that was killed leaves its address in Ray's folder. Delete it when ``ray.init`` has a time limit.
    """
    if given is not None and "://" in given:
        return given
    found: str | None = ray._private.services.canonicalize_bootstrap_address(given)
    if found is None:
        return "local"
    host, _, port = found.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWERS).close()
    except OSError as error:
        if given is None:
            return "local"
        raise OSError(f"{found} does not answer ({error})") from error
    os.environ.setdefault(_TRIES, "3")  # something else may listen there
    return found


class _WithoutRay:
    """A standard output to which the threads of Ray print nothing: Ray prints pages of what happened to a lost process or machine.

    Args:
        output: The standard output.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def write(self, text: str) -> int:
        """Write, if this is no thread of Ray."""
        return len(text) if threading.current_thread().name.startswith("ray_") else self._output.write(text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._output, name)


@contextmanager
def _same_end() -> Iterator[None]:
    """A context that leaves the handler of SIGTERM, which Ray replaces, as it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Process:
    """A process of the cluster, as an actor of Ray.

    Args:
        folder: The folder that relative paths begin in, as in the process that started this one.
    """

    def __init__(self, folder: str) -> None:
        if Path(folder).is_dir():
            os.chdir(folder)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        """The result of a function."""
        return function(*arguments)


class _RayLane(Lane):
    """A process of the cluster.

    Args:
        ray: The module.
        gpus: Whether the process has a GPU of its own.
    """

    def __init__(self, ray: Any, gpus: bool) -> None:  # noqa: ANN401
        super().__init__()
        self._ray = ray
        self._gpus = gpus
        self._actor: Any = None

    def result(self, future: Future[Any]) -> Any:  # noqa: ANN401
        """See ``Lane.result``."""
        errors = self._ray.exceptions
        try:
            return future.result()
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.RayActorError as error:
            if error.actor_init_failed:
                raise RunError(
                    f"a process of the Ray cluster cannot start: {str(error).strip().splitlines()[-1]}; all machines need the same "
                    "versions of Python, Ray and distil"
                ) from None
            raise LostProcess(in_a_line(error)) from None
        except errors.ObjectLostError as error:
            raise LostProcess(in_a_line(error)) from None

    def _submitted(self, *call: Any) -> Future[Any]:  # noqa: ANN401
        if self._actor is None:
            # Processes that replace others reserve no core: they find a place though the cluster has become smaller.
            cores = int(not self._gpus and not self.restarts)
            kind = self._ray.remote(_Process)
            options = {"num_cpus": cores, "num_gpus": int(self._gpus), "scheduling_strategy": "SPREAD"}
            self._actor = kind.options(max_restarts=0, **options).remote(os.getcwd())
        future: Future[Any] = self._actor.call.remote(*call).future()
        return future

    def _ended(self) -> bool:
        if self._actor is None:
            return False
        self._ray.kill(self._actor)
        self._actor = None
        return True


class _Mailbox:
    """What the processes have said and this one has not read, as an actor of Ray."""

    def __init__(self) -> None:
        self._said: list[int | Warning] = []

    def put(self, said: int | Warning) -> None:
        """Add one."""
        self._said.append(said)

    def take(self) -> list[int | Warning]:
        """All of it, which is then read."""
        said, self._said = self._said, []
        return said


def _say(mailbox: Any, said: int | Warning) -> None:  # noqa: ANN401 - an actor of Ray
    """Say something, and wait until it has arrived; what is lost with the mailbox is only progress and warnings."""
    ray = optional("ray", "the executor ray")
    with suppress(ray.exceptions.RayActorError):
        ray.get(mailbox.put.remote(said))


def _said(ray: Any, mailbox: Any) -> list[int | Warning]:  # noqa: ANN401
    """What was said since the last call."""
    try:
        found: list[int | Warning] = ray.get(mailbox.take.remote())
    except ray.exceptions.RayActorError:
        return []
    return found

"""The process that fits the model, seen from the server: started, listened to, and started again if it dies."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from distil.labeling.model import CACHE, Snapshot
from distil.labeling.project import Project

LOG: Final = "worker.log"
_STARTS: Final = 5  # in a row, until it is given up
_PAUSE: Final = 1.0  # seconds before the second start; each later pause is twice as long
_LASTING: Final = 60.0  # seconds after which an end does not count as one of several in a row
_KILLED: Final = -9  # exit code
_PATIENCE: Final = 2.0  # seconds until a process that was asked to end is killed


@dataclass(frozen=True)
class ModelState:
    """What the page shows of the model.

    Attributes:
        state: ``starting``, ``embedding``, ``fitted``, ``failed`` or ``off``.
        version: Number of the fit.
        labels: Number of labels that it was fitted to.
        made_from: What the model reads of an item, in words.
        error: Why it failed.
    """

    state: str
    version: int = 0
    labels: int = 0
    made_from: str | None = None
    error: str | None = None

    def document(self) -> dict[str, Any]:
        """The state as the page reads it."""
        return asdict(self)

    def after(self, snapshot: Snapshot) -> ModelState:
        """The state with what a snapshot says."""
        return replace(self, version=snapshot.version, labels=snapshot.n_labels, made_from=snapshot.made_from)


class Background:
    """The process behind a project. If it ends, it is started again: after a pause, and from the fifth time on after new answers.

    Args:
        project: The project.
        settings: The settings of :class:`distil.labeling.worker.Worker`; None: no process is started.
        hear: Called with every line that the process writes.
    """

    def __init__(
        self,
        project: Project,
        settings: Mapping[str, str | float] | None,
        hear: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self._project, self._settings, self._hear = project, settings, hear
        self._process: asyncio.subprocess.Process | None = None
        self._poked = asyncio.Event()

    async def work(self) -> None:
        """Run the process until this task is cancelled."""
        if self._settings is None:
            return
        settings = json.dumps({"project": str(self._project.path), **self._settings})
        ends = 0
        while True:
            began = time.monotonic()
            fault = await self._fault(settings)
            ends = 1 if time.monotonic() - began > _LASTING else ends + 1
            self._poked.clear()
            if ends < _STARTS:
                pause = _PAUSE * 2 ** (ends - 1)
                await self._failed(f"{fault}; it is started again in {pause:g} s")
                await asyncio.sleep(pause)
            else:
                await self._failed(f"{fault}; after {_STARTS} starts it waits for new answers")
                await self._poked.wait()
                ends = _STARTS - 1

    async def _failed(self, error: str) -> None:
        await self._hear({"state": "failed", "error": f"{error}; labeling goes on without it"})

    async def _fault(self, settings: str) -> str:
        """Run the process to its end, and say why it ended."""
        log = self._project.path / CACHE / LOG
        try:
            code = await self._once(settings)
        except OSError as fault:  # a full disk, or no more processes
            return f"the process that fits the model cannot be started: {fault}"
        if code == _KILLED:  # then it could write nothing to the log
            return "the process that fits the model was killed, perhaps because the memory was full"
        return f"the process that fits the model ended with {code} ({log} says why)"

    async def _once(self, settings: str) -> int | None:
        """Run the process to its end; returns its exit code."""
        log = self._project.path / CACHE / LOG
        log.parent.mkdir(exist_ok=True)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with log.open("ab") as errors:
            self._process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "distil.labeling.worker", settings),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **threads},
                start_new_session=True,  # Ctrl-C in a terminal is for the server, which then ends it
            )
        try:
            while process.stdout is not None and (line := await _line(process.stdout)):
                await self._said(line)
            return await process.wait()
        finally:
            await _end(process)

    async def _said(self, line: bytes) -> None:
        try:
            words = json.loads(line)
        except ValueError:
            return  # what the user's model prints
        if isinstance(words, dict):
            await self._hear(words)

    def poke(self) -> None:
        """Ask the process to look for new answers; start it if it was given up."""
        self._poked.set()
        if self._process is not None and self._process.returncode is None and self._process.stdin is not None:
            self._process.stdin.write(b"\n")


async def _line(output: asyncio.StreamReader) -> bytes:
    """The next line of some output; empty at its end. Very long ones are of no interest: the user's model prints them."""
    while True:
        try:
            return await output.readline()
        except ValueError:  # the line was longer than the reader's buffer, and was dropped
            continue


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process, if it has not ended."""
    if process.returncode is not None:
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()

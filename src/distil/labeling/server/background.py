"""The process that fits the model, seen from the server: started, listened to, and started once more if it dies."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from distil.labeling.model import CACHE, Snapshot
from distil.labeling.project import Project

LOG: Final = "worker.log"
_STARTS: Final = 2
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
    """The process behind a project.

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

    async def work(self) -> None:
        """Run the process until this task is cancelled."""
        if self._settings is None:
            return
        code: int | None = None
        log = self._project.path / CACHE / LOG
        error = "the process that fits the model cannot be started"
        try:
            for _ in range(_STARTS):
                code = await self._once(json.dumps({"project": str(self._project.path), **self._settings}))
            error = (
                f"the process that fits the model ended with {code}; {log} says why, and labeling goes on without it"
            )
        except OSError as fault:  # a full disk, or no more processes
            error = f"{error}: {fault}; labeling goes on without it"
        await self._hear({"state": "failed", "error": error})

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
        """Ask the process to look for new answers."""
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

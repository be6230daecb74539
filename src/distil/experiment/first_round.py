"""The first round of a seed is the same for all strategies: it is trained and evaluated once, and the other runs copy it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from distil.errors import RunError
from distil.experiment.run import Event
from distil.system.files import digest, locked, remove_unfinished, replacing, write_text

_EVENTS, _WEIGHTS = "events.json", "weights.safetensors"


class FirstRound:
    """A directory that keeps the events and the weights of round 0, for the runs of one seed.

    Every strategy trains the same network on the same initial labels from the same weights in the same order. The first run does
    so, and the others copy its result. Several processes may use one directory.

    Args:
        path: The directory, created when first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def trained(self, train: Callable[[], Event], folder: Path) -> tuple[Event, bool]:
        """The ``trained`` event, and whether this call trained; other processes wait until it is kept.

        Args:
            train: Trains, writes the weights, and returns the event that names them; called only if no training has been kept.
            folder: Directory that ``train`` writes the weights to.
        """
        with self._claimed():
            kept = self._events().get("trained")
            if kept is not None:
                return kept, False
            event = train()
            with replacing(self.path / _WEIGHTS) as temporary:
                shutil.copyfile(folder / event["weights"], temporary)
            self._keep(event)
            return event, True

    def shared(self, kind: str, make: Callable[[], Event]) -> Event:
        """The event of this kind; ``make`` is called only if none has been kept."""
        event = self._events().get(kind)
        if event is None:
            event = make()
            with self._claimed():
                self._keep(event)
        return event

    def copy_weights(self, path: Path, sha256: str) -> None:
        """Copy the weights to ``path``, by a hard link where the file system supports them.

        Raises:
            RunError: The file is missing or is not the one that was kept.
        """
        with replacing(path) as temporary:
            try:
                os.link(self.path / _WEIGHTS, temporary)
            except OSError:
                if not (self.path / _WEIGHTS).exists():
                    raise RunError(f"{self.path / _WEIGHTS} is missing; remove {self.path} to train it again") from None
                shutil.copyfile(self.path / _WEIGHTS, temporary)
        if digest(path) != sha256:
            raise RunError(
                f"{self.path / _WEIGHTS} is not the file that was kept; remove {self.path} to train it again"
            )

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        """Make other processes wait until this one has written its result."""
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / ".lock"):
            remove_unfinished(self.path)
            yield

    def _keep(self, event: Event) -> None:
        write_text(self.path / _EVENTS, json.dumps({**self._events(), event["event"]: event}))

    def _events(self) -> dict[str, Event]:
        path = self.path / _EVENTS
        kept: dict[str, Event] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return kept

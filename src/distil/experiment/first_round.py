"""The first round of a seed, which all strategies have in common: trained and evaluated once, then taken over."""

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

    Every strategy trains the same network on the same initial labels from the same weights in the same order; whichever run comes
    first does so, and the others take what it found. Several processes may use one directory.

    Args:
        path: The directory; it is made when it is needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def trained(self, train: Callable[[], Event], folder: Path) -> tuple[Event, bool]:
        """The event of the training, and whether this call trained; other processes wait meanwhile.

        Args:
            train: Called where no training has been kept: trains, writes the weights, and returns the event that names them.
            folder: Where it writes them.
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

    def evaluated(self, evaluate: Callable[[], Event]) -> Event:
        """The event of the evaluation; ``evaluate`` is called where none has been kept."""
        event = self._events().get("evaluated")
        if event is None:
            event = evaluate()
            with self._claimed():
                self._keep(event)
        return event

    def give_weights(self, path: Path, sha256: str) -> None:
        """Put the weights under ``path``, by a hard link where the file system has them.

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
        """Keep other processes waiting: what they need is being made."""
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / ".lock"):
            remove_unfinished(self.path)
            yield

    def _keep(self, event: Event) -> None:
        write_text(self.path / _EVENTS, json.dumps({**self._events(), event["event"]: event}))

    def _events(self) -> dict[str, Event]:
        path = self.path / _EVENTS
        found: dict[str, Event] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return found

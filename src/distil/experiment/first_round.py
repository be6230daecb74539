"""The first round of a seed is the same for all strategies: it is trained and evaluated once, and the other runs copy it."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from distil.errors import DistilWarning, RunError
from distil.experiment.chain import Chain, Event, chained
from distil.system.files import digest, locked, remove_unfinished, replacing

_EVENTS, _WEIGHTS = "events.json", "weights.safetensors"


class FirstRound:
    """A directory that keeps the events and the weights of round 0, for the runs of one seed.

    Every strategy trains the same network on the same initial labels from the same weights in the same order. The first run does
    so, and the others copy its result. Several processes may use one directory.

    Args:
        path: The directory, created when first written to.
        identity: The hash that ``distil.experiment.identity.identity_of`` returns without a strategy.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self._identity = identity

    def trained(self, train: Callable[[], Event], folder: Path) -> tuple[Event, bool]:
        """The ``trained`` event, and whether this call trained; other processes wait until it is kept.

        Weights that are missing or damaged are trained again, with a warning.

        Args:
            train: Trains, writes the weights, and returns the event that names them; called only if no training has been kept.
            folder: Directory that ``train`` writes the weights to.

        Raises:
            RunError: The events have been altered, or training again gave other weights.
        """
        with self._claimed():
            kept = self._events().get("trained")
            if kept is not None and digest(self.path / _WEIGHTS) == kept["sha256"]:
                return kept, False
            if kept is not None:
                warnings.warn(
                    f"{self.path / _WEIGHTS} is missing or is not what was kept; it is trained again",
                    DistilWarning,
                    stacklevel=2,
                )
            event: Event = json.loads(json.dumps(train()))
            if kept is not None and event != kept:
                raise RunError(
                    f"{self.path / _WEIGHTS} is missing or is not the file that was kept, and training again gave other weights; "
                    f"restore the file from a backup, or choose another output directory"
                )
            with replacing(self.path / _WEIGHTS) as temporary:
                shutil.copyfile(folder / event["weights"], temporary)
            if kept is None:
                self._keep(event)
            return event, True

    def shared(self, kind: str, make: Callable[[], Event]) -> Event:
        """The event of this kind; ``make`` is called only if none has been kept, and other processes wait for it."""
        with self._claimed():
            event = self._events().get(kind)
            if event is None:
                event = make()
                self._keep(event)
            return event

    def copy_weights(self, path: Path) -> None:
        """Copy the weights to ``path``, by a hard link where the file system supports them."""
        with replacing(path) as temporary:
            try:
                os.link(self.path / _WEIGHTS, temporary)
            except OSError:
                shutil.copyfile(self.path / _WEIGHTS, temporary)

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        """Make other processes wait until this one has written its result."""
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / ".lock"):
            remove_unfinished(self.path)
            yield

    def _keep(self, event: Event) -> None:
        kept = {"event": "first_round", **self._events(), event["event"]: event}
        with replacing(self.path / _EVENTS) as temporary:
            temporary.write_bytes(chained(kept, self._identity)[0])

    def _events(self) -> dict[str, Event]:
        """The events that were kept, by kind."""
        chain = Chain(self.path / _EVENTS, self._identity)
        if chain.belongs != self._identity:
            raise chain.altered(1, "this is the first round of another seed or configuration")
        return {kind: event for line in chain.events for kind, event in line.items() if kind != "event"}

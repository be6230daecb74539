"""The process that fits the model behind a page: it reads the project, writes snapshots, and ends with the process that started it.

Started as ``python -m distil.labeling.worker SETTINGS``, with settings in JSON. It says on its output, in one line of JSON each,
what it does; every line on its input asks it to look for new answers at once, and the end of its input ends it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from distil.errors import DistilError, InvalidInput, RunError
from distil.labeling.choosing import RANDOM_SHARE
from distil.labeling.features import ItemFeatures, item_features
from distil.labeling.fitting import snapshot_of
from distil.labeling.judging import judged
from distil.labeling.model import CACHE, last_version
from distil.labeling.placing import maps_of
from distil.labeling.project import Project
from distil.strategies.registry import strategy_named

EVERY: Final = 5
"""Number of new answers after which the model is fitted at once."""
QUIET: Final = 1.0
"""Seconds without a new answer after which it is fitted to fewer."""
JUDGE_EVERY: Final = 20
"""Number of new labels after which they are judged, at the next pause; of many labels, a twentieth of them."""
NICE: Final = 5
"""How far the process stands back for the server and the browser, which people wait for: about a third of their share of a core."""
_LOOK: Final = 0.2
_AGAIN: Final = 10.0  # seconds until the next try after a fault of the machine, such as a full disk


def say(**words: Any) -> None:  # noqa: ANN401 - values of JSON
    """Write one line to the process that started this one; the user's model may have printed a line and not ended it."""
    sys.stdout.write(f"\n{json.dumps(words)}\n")
    sys.stdout.flush()


class _Input(threading.Thread):
    """Reads the input; ``changed`` is set by every line, ``ended`` at its end."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.changed, self.ended = threading.Event(), threading.Event()

    def run(self) -> None:
        for _ in sys.stdin:
            self.changed.set()
        self.ended.set()
        self.changed.set()


class Worker:
    """Fits the model of a project again whenever there are new answers.

    Args:
        project: The project; it is only read.
        model: The model that embeds items; None: see :func:`distil.labeling.features.item_features`.
        weights: Weights of a timm model.
        strategy: Name of the strategy; None: the automatic one.
        share: Share of random items.
    """

    def __init__(
        self,
        project: Project,
        *,
        model: str | None = None,
        weights: str | None = None,
        strategy: str | None = None,
        share: float = RANDOM_SHARE,
    ) -> None:
        self.project = project
        self.cache = project.path / CACHE
        self._model, self._weights = model, weights
        self._strategy = None if strategy is None else strategy_named(strategy)
        self._share = share
        self._features: ItemFeatures | None = None
        self._version = last_version(self.cache)
        self._fitted_to = -1  # number of the last event before the last fit
        self._seen, self._seen_at = -1, 0.0  # number of the last event, and when it was first seen
        self._labels, self._judged_labels = 0, 0  # of the last fit, and when they were last judged
        self._mapped: ItemFeatures | None = None
        self._mapping: threading.Thread | None = None

    def work(self) -> bool:
        """Fit, judge and draw what is due; returns False where the machine did not let it, and the same is due again."""
        try:
            self.look()
            self.judge()
            self.draw()
        except (OSError, RunError) as error:
            say(state="failed", error=f"{error}; trying again every {_AGAIN:.0f} seconds")
            return False
        return True

    def look(self) -> bool:
        """Fit the model if there are enough new answers, or some and a pause; returns whether it was fitted."""
        last, now = self.project.last_event, time.monotonic()
        if last != self._seen:
            self._seen, self._seen_at = last, now
        first = self._fitted_to < 0
        waits = last - self._fitted_to < EVERY and now - self._seen_at < QUIET
        if not first and (last == self._fitted_to or waits):
            return False
        self._fit(last)
        return True

    def judge(self) -> None:
        """Judge the labels by cross-validation, if there are enough new ones and a pause in which it keeps no fit waiting."""
        enough = self._labels - self._judged_labels >= max(JUDGE_EVERY, self._labels // JUDGE_EVERY)
        if self._features is None or not enough or time.monotonic() - self._seen_at < QUIET:
            return
        self._judged_labels = self._labels
        try:
            quality = judged(self.project, self._features)
        except InvalidInput:  # one class alone
            return
        quality.save(self.cache)
        say(quality=len(quality.suspects), labels=quality.labels)

    def draw(self) -> None:
        """Make the map of the items in a thread, if the last one is of other features; fits go on meanwhile.

        With one core left for it, a fit to 100,000 rows took as long as without the thread (7 s; t-SNE takes 8).
        """
        if self._features is self._mapped or (self._mapping is not None and self._mapping.is_alive()):
            return
        self._mapped = self._features
        places = {item.id: place for place, item in enumerate(self.project.items())}
        self._mapping = threading.Thread(target=self._map, args=(self._features, places), daemon=True)
        self._mapping.start()

    def _map(self, features: ItemFeatures, places: Mapping[str, int]) -> None:
        try:
            for found in maps_of(features, places, self.cache):
                say(map=found.method, version=found.version)
        except OSError as error:  # a full disk: the model goes on without a map
            say(map="failed", error=str(error))

    def _fit(self, last: int) -> None:
        began = time.monotonic()
        items = self.project.items()
        present = [item.id for item in items if not item.gone]
        if self._features is None or len(self._features.ids) + len(self._features.unread) != len(present):
            say(state="embedding", items=len(present))
            self._features = item_features(items, self.cache, model=self._model, weights=self._weights)
        self._version += 1
        snapshot = snapshot_of(self.project, self._features, self._version, strategy=self._strategy, share=self._share)
        self.cache.mkdir(exist_ok=True)
        snapshot.save(self.cache)
        self._fitted_to, self._labels = last, snapshot.n_labels
        say(
            state="fitted",
            version=self._version,
            labels=snapshot.n_labels,
            seconds=round(time.monotonic() - began, 3),
            unread=len(self._features.unread),
        )


def main(settings: str) -> None:
    """Work until the input ends."""
    torch.set_num_threads(1)
    source = _Input()
    source.start()
    options = json.loads(settings)
    with Project.open(Path(options.pop("project"))) as project:
        try:
            worker = Worker(project, **options)
            while not source.ended.is_set():
                source.ended.wait(0 if worker.work() else _AGAIN)
                source.changed.wait(_LOOK)
                source.changed.clear()
        except DistilError as error:
            say(state="failed", error=str(error))
            source.ended.wait()


if __name__ == "__main__":
    if os.name == "posix":
        os.nice(NICE)
    main(sys.argv[1])

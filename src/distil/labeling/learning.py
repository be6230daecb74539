"""A learner whose labels come from the people of a project, and whose queries go to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from distil.data.array_files import read_column
from distil.data.examples import as_data
from distil.data.ids import matched
from distil.errors import InvalidInput, whole_number
from distil.labeling.features import item_features
from distil.labeling.items import Item
from distil.labeling.model import CACHE
from distil.selection.learner import Fit, Learner
from distil.strategies.base import Selection, Strategy
from distil.system.runtime import Runtime
from distil.training.config import FitConfig
from distil.training.linear_head import HeadConfig, LinearHead

ANYONE = ""
"""In place of the name of a person: what may be handed out to any person who has not had it."""

Build = Callable[[list[str]], Learner]
"""Names of the classes -> a learner whose examples have the ids of items as names."""


class _Labeled(Protocol):
    """What a learner uses of a :class:`distil.labeling.project.Project`."""

    @property
    def classes(self) -> list[str]: ...
    def labels(self) -> dict[str, str]: ...
    def settled(self) -> dict[str, str | None]: ...
    def open_items(self, who: str) -> list[str]: ...
    def queue_ids(self) -> list[str]: ...
    def queue(self, ids: Iterable[str]) -> None: ...


class ProjectLearner:
    """A ``Learner`` with the labels of a project; what it queries is handed out to people before other items.

    :meth:`distil.Project.learner` makes it. All that people said is in the project, so a later process makes the learner anew and
    goes on. Items that were queried and not answered need no care: the next query chooses among them again, with the newer model.

    Attributes:
        learner: The learner: its model, pool and strategy. Use the methods of this class in place of its ``query``, ``label``,
            ``skip`` and ``fit``.

    Args:
        project: The project.
        build: Makes the learner, and makes it anew when people add, rename or merge classes.
    """

    def __init__(self, project: _Labeled, build: Build) -> None:
        self._project, self._build = project, build
        self.learner: Learner
        self._classes: list[str] = []
        self._queued: set[str] = set()
        self.sync()

    def sync(self) -> int:
        """Take the labels and skips that the project has now; returns how many labels are new, changed or withdrawn.

        Raises:
            InvalidInput: The project has fewer than two classes, or classes changed and the model is a module, which has a fixed
                number of outputs.
        """
        if self._project.classes != self._classes:
            self._start(self._project.classes)
            return len(self.learner.pool.labeled)
        return self._take()

    def _start(self, classes: list[str]) -> None:
        """Make the learner for these classes, and fit it if the one before was fitted."""
        if len(classes) < 2:
            raise InvalidInput(
                f"a learner needs two classes, and the project has {classes}; add some (distil project classes --add)"
            )
        fitted = bool(self._classes) and self.learner.round > 0
        self.learner = self._build(classes)
        if self.learner.names is None:
            raise InvalidInput("the learner has no names; pass names=[item.id for item in project.items()]")
        self._classes = classes
        self._rows = {str(name): row for row, name in enumerate(self.learner.names)}
        self._take()
        if fitted and len(self.learner.pool.labeled):
            self.learner.fit()

    def _take(self) -> int:
        pool, before = self.learner.pool, self.learner.labels
        labels = {item: label for item, label in self._project.labels().items() if item in self._rows}
        settled = self._project.settled().items()
        skipped = {self._rows[item] for item, label in settled if label is None and item in self._rows}
        gone = [item for item in before if item not in labels]
        new = {item: label for item, label in labels.items() if before.get(item) != label}
        if gone:
            self.learner.unlabel(gone)
        if new:
            self.learner.label(new)
        back = set(pool.skipped.tolist()) - skipped
        self._record(self.learner.release, back)
        self._record(self.learner.skip, skipped - set(pool.skipped.tolist()))
        return len(gone) + len(new)

    def _record(self, method: Callable[[Selection], None], rows: Iterable[int]) -> None:
        found = sorted(rows)
        if found:
            method(Selection(torch.tensor(found)))

    def fit(self) -> Any:  # noqa: ANN401 - what the fit of the learner returns
        """Take the labels that the project has now, and train on them; see :meth:`distil.Learner.fit`.

        Raises:
            InvalidInput: The project has no labels yet.
        """
        self.sync()
        if not len(self.learner.pool.labeled):
            raise InvalidInput(
                "the project has no labels to train on yet; query(n) puts items in front of its queue, and people label them with "
                "`distil label` or `distil next`"
            )
        return self.learner.fit()

    def query(self, n: int) -> Selection:
        """Choose the items to label next, and put them in front of the queue of the project.

        Labels are taken first. Items that people have now are left out, as are those that need no more answers. In the queue, the
        items take the places of those that this learner chose before; items that others queued come after them.

        Args:
            n: The largest number of items; fewer if fewer are open.

        Returns:
            The items, best first: rows of the data as ``ids``, and the ids of the project as ``names``.

        Raises:
            InvalidInput: No item is open.
        """
        if whole_number(n, 1) is None:
            raise InvalidInput(f"n must be a whole number from 1 on, got {n!r}")
        self.sync()
        pool = self.learner.pool
        self._record(self.learner.release, pool.asked.tolist())
        free = {self._rows[item] for item in self._project.open_items(ANYONE) if item in self._rows}
        unlabeled = pool.unlabeled.tolist()
        taken = [row for row in unlabeled if row not in free]
        if len(taken) == len(unlabeled):
            raise InvalidInput("no item is open: all are answered, or people have them now (distil project status)")
        selection = self.learner.query(
            min(n, len(unlabeled) - len(taken)), exclude=Selection(torch.tensor(taken, dtype=torch.long))
        )
        chosen = [str(name) for name in selection.names or ()]
        own = self._queued | set(chosen)
        self._project.queue([*chosen, *(item for item in self._project.queue_ids() if item not in own)])
        self._queued = set(chosen)
        return selection


def builder(
    items: Sequence[Item],
    folder: Path,
    model: Any,  # noqa: ANN401 - anything that Learner takes
    strategy: Strategy | str,
    data: Any,  # noqa: ANN401 - anything that Learner takes, or a path
    fit: FitConfig | HeadConfig | Fit | None,
    seed: int,
    runtime: Runtime | None,
) -> Build:
    """A function that makes the learner of a project; see :meth:`distil.Project.learner` for the arguments.

    Args:
        items: The items.
        folder: The folder of the project.
        model: The model; None for a linear head.
        strategy: The strategy.
        data: The data, or the path of a file; None for what the items themselves give.
        fit: The training.
        seed: Seed of all random draws.
        runtime: Settings for measuring the pool.
    """
    names, pool = _pool(items, folder, data, runtime)
    used: list[str] = []

    def build(classes: list[str]) -> Learner:
        if used and isinstance(model, nn.Module):
            raise InvalidInput(
                f"the classes of the project are now {classes}, and the model was made for {used}; make the learner anew with a "
                "model of that many outputs, or pass a function that builds one"
            )
        used[:] = classes
        made = LinearHead.over(pool, len(classes)) if model is None else model
        return Learner(pool, made, strategy, classes=classes, names=names, fit=fit, runtime=runtime, seed=seed)

    return build


def _pool(items: Sequence[Item], folder: Path, data: Any, runtime: Runtime | None) -> tuple[list[str], Any]:  # noqa: ANN401
    """The ids of the items that have a row, and the rows."""
    if data is None:
        found = item_features(items, folder / CACHE, runtime=runtime)
        return found.ids, found.x
    names = [item.id for item in items]
    if isinstance(data, (str, os.PathLike)):
        column = read_column(Path(data), runtime=runtime)
        if column.names is not None:
            return _matching(names, column.names, column.values, column.origin)
        data = column.values
    pool = as_data(data)
    if len(pool) != len(names):
        raise InvalidInput(
            f"data has {len(pool)} rows, and the project {len(names)} items; pass a row for each of project.items(), in their "
            "order, or a file with ids"
        )
    return names, pool


def _matching(names: list[str], found: list[str], values: np.ndarray[Any, Any], origin: str) -> tuple[list[str], Any]:
    """The rows of a file whose ids are those of items."""
    places = matched(found, {name: place for place, name in enumerate(names)})
    rows = [row for row, place in enumerate(places) if place >= 0]
    if not rows:
        raise InvalidInput(f"{origin}: none of its ids, {found[:3]}, is that of an item, {names[:3]}")
    return [names[places[row]] for row in rows], values if len(rows) == len(found) else values[rows]

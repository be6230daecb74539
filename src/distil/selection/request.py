"""The request of a selection from files, the arrays it reads, and the picks it returns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.data.array_files import Column
from distil.data.arrays import Array
from distil.data.ids import ListedIds, read_ids
from distil.measuring.source import Source
from distil.selection.arguments import as_candidates
from distil.selection.ids import IdReader, Ids
from distil.selection.select import array_sources
from distil.selection.trained_head import arrays_read
from distil.strategies.base import Selection, Strategy
from distil.system.runtime import Runtime
from distil.tasks import Task


@dataclass(frozen=True, eq=False)
class Arrays:
    """The arrays of one pool, which have the same rows in the same order.

    Attributes:
        columns: Argument of :func:`distil.select_from` (``embeddings``, ``probs``, ``mc_probs``, ``costs``) -> its array.
        names: The user's ids, one per row; None: positions are the ids.
    """

    columns: Mapping[str, Column]
    names: list[str] | None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @cached_property
    def reader(self) -> IdReader:
        """The reader of the ids of the rows."""
        return IdReader(len(self), self.names)

    def name(self, row: int) -> str:
        """The id of a row as text: its name, or its position."""
        return str(row) if self.names is None else self.names[row]

    def rows(self, ids: str | Path | ListedIds | Ids | None, argument: str) -> NDArray[np.int64] | None:
        """The rows of ids, (M,); None for None.

        Args:
            ids: A file of ids, the ids read from one, or any form that ``IdReader`` takes.
            argument: The argument's name, for messages.
        """
        if ids is None:
            return None
        if isinstance(ids, (str, os.PathLike)):
            ids = read_ids(Path(ids))
        if isinstance(ids, ListedIds):
            return ids.rows(None if self.names is None else self.reader.index, len(self))
        return self.reader.positions(ids, argument).numpy()


@dataclass(frozen=True, eq=False)
class Request:
    """A selection to make: all lists of ids are matched with the pool, and nothing is computed yet.

    Attributes:
        strategy: The strategy that chooses.
        n: Number of rows to choose.
        arrays: The arrays of the pool.
        labeled: Rows that are labeled, (M,), or None.
        labels: Their labels, for strategies that read them.
        given: Role (``validation``, ``query``, ``private``) -> its rows and their labels, for strategies that read them, or None.
        apart: Role -> embeddings of its examples, which have no row in the arrays.
        candidates: Rows that may be chosen; None: all that are not labeled.
        exclude: Rows that may not be chosen, or None.
        seed: Seed of the selection; equal seeds give equal picks.
        near: Share of the typical distance within which two rows are near-duplicates, which are left out; None: keep them.
        runtime: Memory, folder for further columns, progress bars.
        notes: Sentences on what was made for the selection.
        classes: The names of the classes, for the reasons; None: their columns are their names.
        task: What arrays and labels are.
    """

    strategy: Strategy
    n: int
    arrays: Arrays
    labeled: NDArray[np.int64] | None = None
    labels: Sequence[Any] | None = None
    given: Mapping[str, tuple[NDArray[np.int64], Sequence[Any] | None]] = field(default_factory=dict)
    apart: Mapping[str, Array] = field(default_factory=dict)
    candidates: NDArray[np.int64] | None = None
    exclude: NDArray[np.int64] | None = None
    seed: int = 0
    near: float | None = None
    runtime: Runtime = field(default_factory=Runtime)
    notes: tuple[str, ...] = ()
    classes: Sequence[Any] | None = None
    task: Task = "classification"

    @cached_property
    def pool(self) -> Tensor:
        """The rows that may be chosen, ascending."""
        candidates, exclude = map(_rows, (self.candidates, self.exclude))
        answered = {"labeled": self.labeled, "validation": self.given.get("validation", (None,))[0]}
        rows = {role: None if own is None else torch.from_numpy(own) for role, own in answered.items()}
        return as_candidates(candidates, exclude, rows, self.arrays.reader)

    @cached_property
    def reads(self) -> list[str]:
        """The names of the arrays that the strategy reads."""
        return [name for name in arrays_read(self.strategy) if name != "labels"]

    def sources(self, pool: Tensor) -> dict[str, Source]:
        """The sources of a selection from the rows ``pool`` (N,), by role."""
        values = {name: column.values for name, column in self.arrays.columns.items()}
        given = {role: (torch.from_numpy(rows), labels) for role, (rows, labels) in self.given.items()}
        if self.labeled is not None:
            given["labeled"] = torch.from_numpy(self.labeled), self.labels
        return array_sources(self.strategy, values, pool, given, self.apart, names=self.arrays.names, task=self.task)


def _rows(rows: NDArray[np.int64] | None) -> Selection | None:
    """Rows as a Selection, which is always read as positions; None for None."""
    return None if rows is None else Selection(torch.from_numpy(rows))


@dataclass(frozen=True, eq=False)
class Picks:
    """The picks of a selection, best first.

    Attributes:
        rows: Their rows in the arrays.
        ids: The user's ids, one per pick.
        scores: Their acquisition scores, larger is better; None if the strategy has no scores.
        why: The reason for each pick, a sentence; empty if the strategy gives none.
        notes: Remarks on the selection as a whole.
        shown: Name of a further column, such as the text of the example -> its cells, one per pick.
    """

    rows: list[int]
    ids: list[str]
    scores: list[float] | None
    why: list[str]
    notes: tuple[str, ...] = ()
    shown: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def entries(self) -> list[dict[str, Any]]:
        """One dict per pick: rank (from 1), id, score (None without scores), why, and the further columns."""
        scores: Sequence[float | None] = self.scores or [None] * len(self.ids)
        parts = zip(self.ids, scores, self.why, strict=True)
        return [
            {"rank": place + 1, "id": i, "score": score, "why": why}
            | {name: cells[place] for name, cells in self.shown.items()}
            for place, (i, score, why) in enumerate(parts)
        ]

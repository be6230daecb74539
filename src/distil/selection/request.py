"""What is asked of a selection from files, and what comes of it."""

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
from distil.data.ids import ListedIds, read_ids
from distil.measuring.source import Source
from distil.selection.arguments import as_candidates
from distil.selection.ids import IdReader, Ids
from distil.selection.select import array_sources, arrays_read
from distil.strategies.base import Selection, Strategy
from distil.system.runtime import Runtime


@dataclass(frozen=True, eq=False)
class Arrays:
    """Arrays of one pool, checked against each other.

    Attributes:
        columns: By argument of :func:`distil.select_from`: ``embeddings``, ``probs``, ``mc_probs``.
        names: The user's ids, one a row; None: positions serve.
    """

    columns: Mapping[str, Column]
    names: list[str] | None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @cached_property
    def reader(self) -> IdReader:
        """Reads ids of the rows."""
        return IdReader(len(self), self.names)

    def name(self, row: int) -> str:
        """The id of a row."""
        return str(row) if self.names is None else self.names[row]

    def rows(self, ids: str | Path | ListedIds | Ids | None, argument: str) -> NDArray[np.int64] | None:
        """The rows of a list of ids: a file, what was read of one, or whatever ``IdReader`` takes."""
        if ids is None:
            return None
        if isinstance(ids, (str, os.PathLike)):
            ids = read_ids(Path(ids))
        if isinstance(ids, ListedIds):
            return ids.rows(None if self.names is None else self.reader.index, len(self))
        return self.reader.positions(ids, argument).numpy()


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be chosen, everything read and matched, nothing computed yet.

    Attributes:
        strategy: Chooses.
        n: How many.
        arrays: The pool.
        labeled: Rows that are labeled already, or None.
        labels: Their labels, for strategies that read them.
        candidates: Rows that may be chosen, or None for all that are not labeled.
        exclude: Rows that may not, or None.
        seed: The same one gives the same picks.
        near: Leave out near-duplicates: the share of the typical distance within which two rows are; None: do not.
        runtime: Memory, progress bars.
    """

    strategy: Strategy
    n: int
    arrays: Arrays
    labeled: NDArray[np.int64] | None = None
    labels: Sequence[Any] | None = None
    candidates: NDArray[np.int64] | None = None
    exclude: NDArray[np.int64] | None = None
    seed: int = 0
    near: float | None = None
    runtime: Runtime = field(default_factory=Runtime)

    @cached_property
    def pool(self) -> Tensor:
        """Rows that may be chosen, ascending."""
        candidates, exclude = map(_rows, (self.candidates, self.exclude))
        labeled = None if self.labeled is None else torch.from_numpy(self.labeled)
        return as_candidates(candidates, exclude, labeled, self.arrays.reader)

    @cached_property
    def reads(self) -> list[str]:
        """The arrays that the strategy reads."""
        return [name for name in arrays_read(self.strategy) if name != "labels"]

    def sources(self, pool: Tensor) -> dict[str, Source]:
        """What a selection from these rows of the pool reads."""
        labeled = None if self.labeled is None else torch.from_numpy(self.labeled)
        values = {name: column.values for name, column in self.arrays.columns.items()}
        return array_sources(self.strategy, values, pool, labeled=labeled, labels=self.labels, names=self.arrays.names)


def _rows(rows: NDArray[np.int64] | None) -> Selection | None:
    """Rows as ids that are positions, whatever the names of the pool."""
    return None if rows is None else Selection(torch.from_numpy(rows))


@dataclass(frozen=True, eq=False)
class Picks:
    """What was chosen, in pick order.

    Attributes:
        rows: Rows of the arrays.
        ids: What they are called.
        scores: The acquisition score of each, larger was better; None where the strategy has none.
        why: A sentence for each; empty where the strategy says nothing.
        notes: What there is to say about the selection as a whole.
    """

    rows: list[int]
    ids: list[str]
    scores: list[float] | None
    why: list[str]
    notes: tuple[str, ...] = ()

    def entries(self) -> list[dict[str, Any]]:
        """A dict a pick: rank (from 1), id, score (None without), why."""
        scores: Sequence[float | None] = self.scores or [None] * len(self.ids)
        parts = zip(self.ids, scores, self.why, strict=True)
        return [{"rank": rank, "id": i, "score": score, "why": why} for rank, (i, score, why) in enumerate(parts, 1)]

"""The rows of largest score in a stream; only these are kept in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from distil.rng import Rng
from distil.signals import Signal, Signals
from distil.strategies.base import best_rows, tie_keys

_SPARE_ROWS = 4096  # the rows kept are cut down to the best n when there are 2 n plus this many


class Leaders:
    """Collects the n rows of largest score in a stream, with some of their columns; it never holds more than O(n) rows.

    Args:
        n: Number of rows to find.
        signals: The columns to keep, stored or derived.
        rng: Randomness of the selection, which decides ties.

    Attributes:
        n: The argument.
        n_seen: Number of rows so far.
        ends: The smallest and the largest score so far, of all rows.
    """

    def __init__(self, n: int, signals: tuple[Signal[Any], ...], rng: Rng) -> None:
        self.n = n
        self.n_seen = 0
        self.ends = math.inf, -math.inf
        self._signals = signals
        self._rng = rng
        self._tables: list[Signals] = []
        self._scores: list[Tensor] = []
        self._count = 0
        self._least: Tensor | None = None

    def add(self, table: Signals, scores: Tensor) -> None:
        """Add the next rows of the stream; the values of possible leaders are copied.

        Args:
            table: The rows, B of them.
            scores: Their scores, (B,).
        """
        self.n_seen += len(scores)
        self.ends = min(self.ends[0], float(scores.min())), max(self.ends[1], float(scores.max()))
        if self._least is None and len(scores) >= self.n:
            self._least = scores.topk(self.n).values[-1]  # n rows have at least this score
        rows = torch.arange(len(scores)) if self._least is None else torch.nonzero(scores >= self._least)[:, 0]
        self._tables.append(table.excerpt(rows, self._signals))
        self._scores.append(scores[rows])
        self._count += len(rows)
        if self._count >= 2 * self.n + _SPARE_ROWS:
            self._keep(*self.leaders())

    @property
    def tied(self) -> bool:
        """Whether there are several rows, all of the same score."""
        return self.n_seen > 1 and self.ends[0] == self.ends[1]

    def leaders(self) -> tuple[Signals, Tensor]:
        """The table of the best rows so far and their scores, best first; ties go to the smaller of ``tie_keys``."""
        scores = torch.cat(self._scores)
        table = joined(self._tables)
        rows = best_rows(tie_keys(table.ids, self._rng), scores, self.n)
        return table.rows(rows), scores[rows]

    def _keep(self, table: Signals, scores: Tensor) -> None:
        self._tables, self._scores, self._count = [table], [scores], len(scores)
        self._least = scores[-1]


def joined(tables: Sequence[Signals]) -> Signals:
    """The rows of several tables with the same columns, one after the other."""
    values = {signal: torch.cat([table.values[signal] for table in tables]) for signal in tables[0].values}
    return Signals(torch.cat([table.ids for table in tables]), values)

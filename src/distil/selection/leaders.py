"""The best rows of a stream, in memory for those alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from distil.signals import Signal, Signals
from distil.strategies.base import best_rows

# How many more rows than twice as many as are wanted may come together before the others are thrown away.
_SPARE_ROWS = 4096


class Leaders:
    """The rows of largest score of a stream, with some of their columns: O(n) rows are kept at any time.

    Args:
        n: How many are wanted.
        signals: The columns to keep, stored ones or derived from those.
    """

    def __init__(self, n: int, signals: tuple[Signal[Any], ...]) -> None:
        self._n = n
        self._signals = signals
        self._tables: list[Signals] = []
        self._scores: list[Tensor] = []
        self._count = 0
        self._least: Tensor | None = None

    def add(self, table: Signals, scores: Tensor) -> None:
        """Look at further rows, whose values are copied as far as they may be wanted."""
        if self._least is None and len(scores) >= self._n:
            self._least = scores.topk(self._n).values[-1]  # n rows have as much already
        rows = torch.arange(len(scores)) if self._least is None else torch.nonzero(scores >= self._least)[:, 0]
        self._tables.append(table.excerpt(rows, self._signals))
        self._scores.append(scores[rows])
        self._count += len(rows)
        if self._count >= 2 * self._n + _SPARE_ROWS:
            self._keep(*self.leaders())

    def leaders(self) -> tuple[Signals, Tensor]:
        """The best of all rows so far and their scores, best first; ties go to the smaller id."""
        scores = torch.cat(self._scores)
        table = _joined(self._tables)
        rows = best_rows(table.ids, scores, self._n)
        return table.rows(rows), scores[rows]

    def _keep(self, table: Signals, scores: Tensor) -> None:
        self._tables, self._scores, self._count = [table], [scores], len(scores)
        self._least = scores[-1]


def _joined(tables: Sequence[Signals]) -> Signals:
    values = {signal: torch.cat([table.values[signal] for table in tables]) for signal in tables[0].values}
    return Signals(torch.cat([table.ids for table in tables]), values)

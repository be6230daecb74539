"""Rows with the weights by which k-means++ draws them, in one place or in several; sums run over canonical blocks of ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.functional.features import Features

# Sums and draws run over blocks of this many ids, for every minibatch size and number of shards.
CANONICAL_BLOCK = 4096


def canonical_blocks(ids: Tensor) -> tuple[Tensor, ...]:
    """Ascending ids (N,), divided where a multiple of 4,096 lies between two of them."""
    counts = (ids // CANONICAL_BLOCK).unique_consecutive(return_counts=True)[1]
    return tuple(ids.split(counts.tolist()))


@dataclass(frozen=True, eq=False)
class Shares:
    """Where cumulative weights exceed some shares of their sum.

    Attributes:
        blocks: The blocks, (P,).
        before: The sum of the weights of all blocks before, (P,) float64.
        targets: The cumulative weights to exceed, (P,) float64.
        total: The sum of all weights, () float64.
    """

    blocks: Tensor
    before: Tensor
    targets: Tensor
    total: Tensor

    def of(self, which: Tensor, first: int) -> Shares:
        """Some of the shares, with blocks numbered from the block ``first`` on."""
        return Shares(self.blocks[which] - first, self.before[which], self.targets[which], self.total)


@dataclass(frozen=True, eq=False)
class Found:
    """Rows that were proposed.

    Attributes:
        rows: The rows, (P,), some of them several times.
        weights: Their weights, (P,); 0 for rows that were taken meanwhile.
        distinct: The features of the distinct rows of positive weight, in the order of the rows.
    """

    rows: Tensor
    weights: Tensor
    distinct: Features


class Weighted(ABC):
    """N rows, each with its weight: the squared distance to the nearest of the picks that it was compared with."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def rows(self, rows: Tensor) -> Features:
        """The features of rows."""

    @abstractmethod
    def take(self, rows: Tensor) -> None:
        """Set the weights of rows to 0 for good. The sums that ``find`` reads change with the next update only."""

    @abstractmethod
    def update(self, picks: Sequence[Features]) -> Tensor:
        """Compare all rows with further picks; the sums of the weights of each block, (blocks,) float64."""

    @abstractmethod
    def find(self, shares: Shares) -> Found:
        """The rows at which the cumulative weights of the last update exceed these shares."""


class WeightedRows(Weighted):
    """Rows in one place.

    Rows are numbered in the order of their ids, and sums run over the rows of each block of 4,096 ids in this order, so the sums do
    not depend on where the rows are.

    Args:
        x: The rows, with norms.
        ids: Their ids, (N,); None: 0, 1, ..., N - 1.
    """

    def __init__(self, x: Features, ids: Tensor | None = None) -> None:
        self.x = x
        self.weights = torch.full_like(x.sq_norms(), torch.inf)
        self._taken: list[Tensor] = []
        self._order: Tensor | None = None
        ids = torch.arange(len(x)) if ids is None else ids
        ids = ids.to(self.weights.device)
        if bool((ids.diff() < 0).any()):
            self._order = ids.argsort()
            ids = ids[self._order]
        counts = (ids // CANONICAL_BLOCK).unique_consecutive(return_counts=True)[1]
        self._ends = counts.cumsum(0)

    def __len__(self) -> int:
        return len(self.x)

    def number(self, row: int) -> int:
        """The number of a row of ``x``."""
        return row if self._order is None else int((self._order == row).nonzero())

    def given(self, rows: Tensor) -> Tensor:
        """The rows of ``x`` with these numbers."""
        return rows if self._order is None else self._order[rows]

    def rows(self, rows: Tensor) -> Features:
        """See ``Weighted.rows``."""
        return self.x[self.given(rows.to(self.weights.device))]

    def take(self, rows: Tensor) -> None:
        """See ``Weighted.take``."""
        self._taken.append(rows)
        self.weights[rows] = 0

    def update(self, picks: Sequence[Features]) -> Tensor:
        """See ``Weighted.update``. Each block is compared by itself: products of matrices may depend on their number of rows."""
        start = 0
        for end in self._ends.tolist():
            block = self.x[slice(start, end)] if self._order is None else self.x[self._order[start:end]]
            weights = self.weights[start:end]
            for some in picks:
                torch.minimum(weights, block.nearest_sq_dists(some), out=weights)
            start = end
        for rows in self._taken:
            self.weights[rows] = 0
        self._inside = sums_inside(self.weights, self._ends)
        return self._inside[:, -1]

    def find(self, shares: Shares) -> Found:
        """See ``Weighted.find``."""
        starts = self._ends - self._ends.diff(prepend=self._ends.new_zeros(1))
        rows = starts[shares.blocks] + places(self._inside, shares)
        weights = self.weights[rows]
        return Found(rows, weights, self.rows(rows[weights > 0].unique()))


def sums_inside(weights: Tensor, ends: Tensor | None = None) -> Tensor:
    """Cumulative float64 weights within each block, (blocks, 4096); after its last weight a block repeats its sum.

    Args:
        weights: The weights, (N,).
        ends: The rows at which the blocks end, (blocks,); default: every 4,096.
    """
    n = len(weights)
    if ends is None or bool((ends[:-1] % CANONICAL_BLOCK == 0).all() and len(ends) == -(-n // CANONICAL_BLOCK)):
        padded = torch.nn.functional.pad(weights.double(), (0, -n % CANONICAL_BLOCK))
    else:
        counts = ends.diff(prepend=ends.new_zeros(1))
        blocks = torch.arange(len(ends), device=ends.device).repeat_interleave(counts)
        inside = torch.arange(n, device=ends.device) - (ends - counts)[blocks]
        padded = weights.new_zeros(len(ends) * CANONICAL_BLOCK, dtype=torch.float64)
        padded[blocks * CANONICAL_BLOCK + inside] = weights.double()
    return padded.view(-1, CANONICAL_BLOCK).cumsum(1)


def shares_of(ends: Tensor, u: Tensor) -> Shares:
    """The shares ``u`` (P,), from 0 and below 1, of weights whose cumulative sums over blocks are ``ends``."""
    total = ends[-1]
    targets = u * total
    # Rounding may carry a share past the end; it is then that of the last row of positive weight.
    blocks = torch.searchsorted(ends, targets, right=True).clamp_max(torch.searchsorted(ends, total))
    before = torch.cat([ends.new_zeros(1), ends])[blocks]
    return Shares(blocks, before, targets, total)


def places(inside: Tensor, shares: Shares) -> Tensor:
    """The places within their blocks at which cumulative weights first exceed the shares, (P,); all have positive weight."""
    cumulated = inside[shares.blocks] + shares.before[:, None]
    last = torch.searchsorted(cumulated, shares.total.repeat(len(cumulated), 1))
    return torch.searchsorted(cumulated, shares.targets[:, None], right=True).minimum(last)[:, 0]

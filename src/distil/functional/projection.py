"""Rows written out as dense numbers a block at a time; rows that are too wide for that as random projections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.functional.features import BLOCK_BYTES, Features, Grouped, Outer

# The widest rows that are written out in full: a matrix of this side is decomposed in some seconds.
WIDEST = 2048


@dataclass(frozen=True, eq=False)
class Written:
    """Rows that are written out, in float64, when they are indexed.

    Attributes:
        x: The rows.
        width: Their width as written.
        projection: How they are shortened; None: not at all.
    """

    x: Features
    width: int
    projection: Projection | None = None

    @classmethod
    def of(cls, x: Features, width: int, generator: torch.Generator) -> Written:
        """The rows in full if they are at most ``WIDEST`` wide, else projected to ``width`` numbers."""
        full = x[slice(0, 1)].dense().shape[1]
        return cls(x, full) if full <= WIDEST else cls(x, width, Projection.draw(x, width, generator))

    def like(self, other: Features) -> Written:
        """Other rows of the same class and width, written in the same way."""
        return Written(other, self.width, self.projection)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        some = self.x[rows]
        return some.dense().double() if self.projection is None else self.projection(some)

    @property
    def device(self) -> torch.device:
        """The device of the rows."""
        return self.x.sq_norms().device

    @property
    def step(self) -> int:
        """Number of rows in a block."""
        return max(1, BLOCK_BYTES // (8 * self.width))

    def blocks(self) -> Iterator[Tensor]:
        """Blocks of consecutive rows, (B, width)."""
        for start in range(0, len(self), self.step):
            yield self[slice(start, start + self.step)]


@dataclass(frozen=True, eq=False)
class Projection:
    """A random projection of rows that preserves inner products in expectation (Kar and Karnick 2012 for products of factors).

    Attributes:
        a: Projection of dense rows, (D, width), or of the first factor of factored rows, (C, width).
        b: Projection of the second factor, (D, width), or (1 + D, width) with a bias.
    """

    a: Tensor
    b: Tensor

    @classmethod
    def draw(cls, x: Features, width: int, generator: torch.Generator) -> Projection:
        """A random projection of rows like ``x`` to ``width`` numbers; ``generator`` is a CPU generator."""
        while isinstance(x, Grouped):
            x = x.base
        columns = (
            (x.a.shape[1], x.b.shape[1] + int(x.bias != 0))
            if isinstance(x, Outer)
            else (x[slice(0, 1)].dense().shape[1], 0)
        )
        drawn = (torch.randn(n, width, generator=generator, dtype=torch.float64) for n in columns)
        a, b = (numbers.to(x.sq_norms().device) for numbers in drawn)
        return cls(a / width**0.5, b)

    def __call__(self, rows: Features) -> Tensor:
        """Project rows, (B, width) float64."""
        if isinstance(rows, Grouped):
            shares = self(rows.base) / rows.counts()[rows.groups, None]
            return shares.new_zeros(len(rows), shares.shape[1]).index_add_(0, rows.groups, shares)
        if isinstance(rows, Outer):
            second = rows.b.double() @ self.b[int(rows.bias != 0) :]
            return (rows.a.double() @ self.a) * (second + self.b[0] * rows.bias if rows.bias else second)
        return rows.dense().double() @ self.a

"""Rows that stay where they are: blocks of them are read, and converted, whenever an algorithm uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from distil.functional.features import Dense, Features, Outer

Reader = Callable[[Tensor | slice], Dense | Outer]


@dataclass(frozen=True)
class Streamed(Features):
    """Rows of a pool that is not copied, because its numbers are in half precision or its rows are scattered over an array.

    ``streamed[rows]`` reads rows; they are then ``Dense`` or ``Outer``. Only squared norms are kept, 4 bytes a row. The methods
    that compare all rows with others read all of them, in blocks.

    Attributes:
        read: The features of some rows, without norms.
        size: N.
        exponents_off: Powers of two that the factors of each row are divided by; empty: none.
        wide: Whether rows are in float64.
        norms: Squared norms, (N,); None if they are not stored.
    """

    read: Reader
    size: int
    exponents_off: tuple[int, ...] = ()
    wide: bool = False
    norms: Tensor | None = None

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, rows: Tensor | slice) -> Dense | Outer:
        part = self.read(rows)
        if self.exponents_off:
            part = part.scaled(self.exponents_off)
        if self.wide:
            part = part.double()
        return part if self.norms is None else replace(part, norms=self.norms[rows])

    def row_bytes(self) -> int:
        """Bytes of one row when it is read."""
        return self[:1].row_bytes()

    def double(self) -> Streamed:
        """The same rows in float64."""
        return replace(self, wide=True, norms=None)

    def dense(self) -> Tensor:
        """The rows in full: a copy of the pool."""
        return torch.cat([part.dense() for part in self._parts()])

    def exponents(self) -> tuple[int, ...]:
        """The largest of those of the blocks."""
        return tuple(max(each) for each in zip(*(part.exponents() for part in self._parts()), strict=True))

    def scaled(self, exponents: tuple[int, ...]) -> Streamed:
        """The rows whose factors are 2^-e times these, without norms."""
        before = self.exponents_off or (0,) * len(exponents)
        off = tuple(a + b for a, b in zip(before, exponents, strict=True))
        return replace(self, exponents_off=off, norms=None)

    def sq_norms(self) -> Tensor:
        """Squared norms, (N,)."""
        return self._of_blocks(lambda part: part.sq_norms()) if self.norms is None else self.norms

    def with_norms(self) -> Streamed:
        """The same rows with stored squared norms."""
        return replace(self, norms=self.sq_norms())

    def exact_sq_norms(self) -> Tensor:
        """Squared norms in float64, (N,)."""
        return self._of_blocks(lambda part: part.exact_sq_norms())

    def inner(self, other: Features) -> Tensor:
        """Inner products, (N, M)."""
        return self._of_blocks(lambda part: part.inner(other))

    def exact_sq_dists(self, other: Features) -> Tensor:
        """Float64 squared distances, (N, M)."""
        return self._of_blocks(lambda part: part.exact_sq_dists(other))

    def pairwise_sq_dists(self, other: Features) -> Tensor:
        """Float64 squared distances between rows at the same position, (N,)."""
        return torch.cat([self[block].pairwise_sq_dists(other[block]) for block in self.blocks()])

    def combine(self, weights: Tensor) -> Tensor:
        """The weighted sum of the rows."""
        return torch.stack([self[block].combine(weights[block]) for block in self.blocks()]).sum(0)

    def project(self, point: Tensor) -> Tensor:
        """Inner products with a point in the shape of one row, (N,)."""
        return self._of_blocks(lambda part: part.project(point))

    def _parts(self) -> Iterator[Dense | Outer]:
        return (self[block] for block in self.blocks())

    def _of_blocks(self, rule: Callable[[Dense | Outer], Tensor]) -> Tensor:
        return torch.cat([rule(part) for part in self._parts()])

"""Herding from a pool in shards: each shard says how much candidates would add to the coverage of each of its blocks."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.distributed.crew import Crew
from distil.distributed.shards import Picks, Shard
from distil.functional.herding import Comparison, Represented


class RowsInShards(Represented):
    """The rows of all members of a crew; sums of blocks come in the order of the shards, which is that of the ids.

    Args:
        crew: The shards.
        size: Number of rows of all members.

    Attributes:
        places: Shard and row of each row that ``first`` has returned.
    """

    def __init__(self, crew: Crew, size: int) -> None:
        self._crew = crew
        self._size = size
        self._picks = Picks(0, [])
        self.places: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return self._size

    def first(self, n: int) -> Tensor:
        """See ``Represented.first``."""
        keys = torch.cat(self._crew.ask_all(_first_keys, n)).sort().values
        found = self._crew.ask_all(_up_to, int(keys[n - 1]))
        order = torch.cat([keys for keys, _, _ in found]).argsort()
        places = [(k, row) for k, (_, rows, _) in zip(self._crew.members, found, strict=True) for row in rows.tolist()]
        self.places = [places[i] for i in order.tolist()]
        return torch.cat([x for *_, x in found])[order]

    def exponent(self) -> int:
        """See ``Represented.exponent``."""
        exponents: list[int] = self._crew.ask_all(_exponent)
        return max(exponents)

    def weight_range(self) -> tuple[float, float]:
        """See ``Represented.weight_range``."""
        lows, highs = zip(*self._crew.ask_all(_weight_range), strict=True)
        return min(lows), max(highs)

    def begin(self, comparison: Comparison, candidates: Tensor, labeled: Tensor, unit: float | None) -> Tensor:
        """See ``Represented.begin``."""
        return torch.cat(self._crew.change_all(_begin, comparison, candidates, labeled, unit))

    def gains(self, candidates: Tensor) -> Tensor:
        """See ``Represented.gains``."""
        return torch.cat(self._crew.ask_all(_gains, self._picks, candidates))

    def include(self, candidate: int) -> None:
        """See ``Represented.include``."""
        self._picks.candidates.append(candidate)

    def forget(self) -> None:
        """See ``Represented.forget``."""
        self._picks = Picks(self._picks.times_forgotten + 1, [])


def _first_keys(shard: Shard, n: int) -> Tensor:
    """The n smallest keys, or all."""
    rows = shard.represented
    return rows.keys[rows.first_rows(min(n, len(rows)))]


def _up_to(shard: Shard, key: int) -> tuple[Tensor, Tensor, Tensor]:
    """The keys up to this one, their rows, and the numbers of these."""
    rows = shard.represented
    numbers = torch.nonzero(rows.keys <= key)[:, 0]
    return rows.keys[numbers], numbers, rows.read(numbers)


def _exponent(shard: Shard) -> int:
    return shard.represented.exponent()


def _weight_range(shard: Shard) -> tuple[float, float]:
    return shard.represented.weight_range()


def _begin(shard: Shard, comparison: Comparison, candidates: Tensor, labeled: Tensor, unit: float | None) -> Tensor:
    return shard.represented.begin(comparison, candidates, labeled, unit)


def _gains(shard: Shard, picks: Picks, candidates: Tensor) -> Tensor:
    shard.represent(picks)
    return shard.represented.gains(candidates)

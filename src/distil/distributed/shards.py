"""What the process of one shard does: it opens its rows of the pool, scores them, and answers for distances and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distil.data.array_files import read_rows
from distil.data.arrays import Array, check_rows, precision_of, take
from distil.data.ids import index_of, meant
from distil.data.shards import read_manifest
from distil.functional.centers import FarthestFirst, near_largest_norms
from distil.functional.features import EXACT_TIE, Dense, Features, Outer, vanish
from distil.functional.herding import RepresentedRows
from distil.functional.logistic_regression import BlockSums, block_sums
from distil.functional.weighted_rows import Found, Shares, WeightedRows, canonical_blocks
from distil.measuring.source import ArraySource, arguments_of
from distil.rng import Rng
from distil.selection.arguments import check_unlabeled
from distil.selection.checked import checked_scores, checked_selection
from distil.selection.from_files import as_column, classes_of, common_names
from distil.selection.leaders import Leaders
from distil.selection.request import Arrays
from distil.selection.trained_head import head_outputs
from distil.signals import EMPTY, Signals
from distil.strategies.base import ScoreStrategy, Sets, Strategy, Valued, tie_keys
from distil.strategies.herding import Herding
from distil.strategies.nested import from_rows, places_of
from distil.strategies.wrappers import GreeDi
from distil.system.runtime import Runtime
from distil.tasks import Task
from distil.training.linear_head import LinearHead


@dataclass(frozen=True)
class Part:
    """Rows of a pool in shards, and what is asked of them.

    Attributes:
        folder: The folder of the shards.
        start: The first row.
        stop: The row after the last.
        strategy: The strategy that chooses.
        seed: The seed of the selection.
        memory: Bytes of memory for copies of these rows.
        outputs: The array that a linear head on the embeddings gives, in place of files; empty: none.
        task: What the arrays are.
        classes: The names of the columns of probabilities; None: they have none.
    """

    folder: Path
    start: int
    stop: int
    strategy: Strategy
    seed: int
    memory: int
    outputs: str = ""
    task: Task = "classification"
    classes: tuple[str, ...] | None = None


class Opened(NamedTuple):
    """What the driver learns of a shard first.

    Attributes:
        size: Number of rows that may be chosen.
        origin: The file of the first array.
        kind: Types and widths of the arrays.
        meant: The ids of the user that a list may mean, see ``distil.data.ids.meant`` -> their positions in the pool; None
            where positions are the ids.
    """

    size: int
    origin: str
    kind: str
    meant: dict[str, int] | None


class Taught(NamedTuple):
    """What a shard gives to the training of a linear head.

    Attributes:
        places: The places of its labeled rows in the list of all.
        x: Their embeddings, as the file has them, (M, D).
        first: The first row that is used, (1, D), or none of them.
    """

    places: list[int]
    x: Tensor
    first: Tensor


class Candidates(NamedTuple):
    """Rows that may be the farthest.

    Attributes:
        rows: The rows, (B,).
        keys: Their keys, by which ties are broken, (B,).
        x: Their features.
        sq_dists: Their squared distances to the nearest center, (B,).
        outside: A bound of the distances of all other rows.
        everything: Whether the other rows were compared with all centers too.
    """

    rows: Tensor
    keys: Tensor
    x: Dense
    sq_dists: Tensor
    outside: float
    everything: bool


@dataclass(frozen=True)
class Picks:
    """What represents the rows of a shard in herding, besides labeled ones. A request carries all of it, so none is lost.

    Attributes:
        times_forgotten: How many times all that did so before was forgotten, the labeled rows too.
        candidates: The candidates that were picked since then.
    """

    times_forgotten: int
    candidates: list[int]


class Shard:
    """The rows of one part of a pool, numbered from 0 in the order of their ids.

    Args:
        part: The part.
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        manifest, runtime = read_manifest(part.folder), Runtime(progress=False, memory=part.memory)
        names = arrays_opened(part.strategy, part.outputs)
        columns = {name: read_rows(manifest, name, part.start, part.stop, runtime=runtime) for name in names}
        self._origin = next(column.origin for column in columns.values())
        columns = {name: as_column(column, name, part.task) for name, column in columns.items()}
        if part.classes is not None:
            classes_of(Arrays(columns, None), part.classes)
        self._arrays: dict[str, Array] = {name: column.values for name, column in columns.items()}
        kinds = {name: (each.values.dtype.name, each.values.shape[1:]) for name, each in columns.items()}
        self._kind = ", ".join(f"{name} {kind} {'x'.join(map(str, sides))}" for name, (kind, sides) in kinds.items())
        own = common_names(columns.values())
        self._names: Sequence[Any] = range(part.start, part.stop) if own is None else own
        self._index = index_of(own)
        self.use({})
        self._runtime = runtime
        self.rng = Rng(part.seed)
        self._represents = Picks(0, [])

    def use(self, lists: Mapping[str, Mapping[int, int]]) -> int:
        """Choose by lists of ids, and return the number of rows that may be chosen.

        Args:
            lists: ``labeled``, ``exclude`` and, where not all others may be chosen, ``candidates`` -> place in the list -> position
                in the pool, for the ids of this part.
        """
        start = self.part.start
        self._rows = {what: {place: at - start for place, at in rows.items()} for what, rows in lists.items()}
        self._free = self._may_be_chosen()
        return len(self._free)

    def _may_be_chosen(self) -> Tensor:
        size = self.part.stop - self.part.start
        free = torch.ones(size, dtype=torch.bool)
        free[list(self._rows.get("labeled", {}).values())] = False
        if "candidates" in self._rows:
            rows = torch.tensor(list(self._rows["candidates"].values()), dtype=torch.long)
            check_unlabeled(rows, free, "labeled", self._names.__getitem__)
            free = torch.zeros(size, dtype=torch.bool).index_fill_(0, rows, True)
        free[list(self._rows.get("exclude", {}).values())] = False
        return torch.nonzero(free)[:, 0]

    def opened(self, names: frozenset[str]) -> Opened:
        """What there is; ``names`` are those of all lists, in the form of ``normal``."""
        found = None if self._index is None else meant(names, self._index)
        found = found and {name: row + self.part.start for name, row in found.items()}
        return Opened(len(self._free), self._origin, self._kind, found)

    def held(self, names: Sequence[str]) -> list[str]:
        """Those of the names that are ids of this part."""
        return [name for name in names if self._index is not None and name in self._index]

    def named(self, rows: Tensor) -> list[tuple[int, str]]:
        """The positions of rows in the whole pool, and their ids as text."""
        return [(self.part.start + row, str(self._names[row])) for row in self._free[rows].tolist()]

    @cached_property
    def keys(self) -> Tensor:
        """The keys by which ties between rows are broken."""
        return tie_keys(self._free + self.part.start, self.rng)

    def _source(self, rows: Tensor) -> ArraySource:
        precision = precision_of(list(self._arrays.values()))
        caller = type(self.part.strategy).__name__
        return ArraySource(rows, self._arrays, caller=caller, names=self._names, precision=precision)

    def _table(self, rows: Tensor, *, copied: bool) -> Signals:
        source = self._source(rows)
        signals = source.measured(self.part.strategy.needs.pool)
        return source.table(signals, self._runtime, self.rng, copied=copied)

    # ------------------------------------------------------------------------------------------------- strategy and head

    def follow(self, strategy: Strategy) -> None:
        """Choose by the strategy that ``Auto`` has chosen, which reads the same arrays."""
        self.part = replace(self.part, strategy=strategy)

    @cached_property
    def _used(self) -> Tensor:
        """The rows that may be chosen and the labeled ones, ascending: those that a linear head is scaled to."""
        labeled = torch.tensor(list(self._rows.get("labeled", {}).values()), dtype=torch.long)
        used: Tensor = torch.cat([self._free, labeled]).unique()
        return used

    def taught(self) -> Taught:
        """The labeled rows of this part, and its first row."""
        x, rows = self._arrays["embeddings"], self._rows["labeled"]
        return Taught(list(rows), take(x, torch.tensor(list(rows.values()), dtype=torch.long)), take(x, self._used[:1]))

    def sums(self, origin: Tensor) -> list[BlockSums]:
        """The sums of each canonical block, seen from a row of the pool."""
        found = []
        for block in canonical_blocks(self._used):
            rows = take(self._arrays["embeddings"], block)
            check_rows(block, rows, "embeddings", self._names)
            found.append(block_sums(rows, origin))
        return found

    def read_head(self, head: LinearHead) -> None:
        """Compute the outputs of a linear head, and read them as the strategy reads those in files."""
        self._arrays[self.part.outputs] = head_outputs(head, self._arrays["embeddings"], self._used, self._runtime)

    # ------------------------------------------------------------------------------------------------------------ scores

    def leaders(self, by: ScoreStrategy, n: int, whole: bool) -> tuple[Signals, Tensor, Tensor, tuple[float, float]]:
        """The n rows of largest score, best first: their evidence, scores and rows, and the range of all scores.

        Args:
            by: The strategy that scores.
            n: Number of rows.
            whole: Whether all that the strategy of the selection reads takes the place of the evidence.
        """
        source = self._source(self._free)
        stored = source.measured((*self.part.strategy.needs.pool, *by.needs.pool) if whole else by.needs.pool)
        best = Leaders(n, stored if whole else by.evidence, self.rng)
        for chunk in source.chunks(stored, self._runtime, self.rng):
            scores = checked_scores(by.score(Sets(pool=chunk)), by, chunk.ids, self._names)
            best.add(Signals(chunk.ids + self.part.start, chunk.values), scores)
        table, scores = best.leaders()
        return table, scores, torch.searchsorted(self._free, table.ids - self.part.start), best.ends

    # -------------------------------------------------------------------------------------------------------- two rounds

    def known(self) -> tuple[Tensor, Signals]:
        """The labeled rows of this part, and their places in the list of all."""
        labeled = self._rows.get("labeled", {})
        places, rows = (torch.tensor(list(each), dtype=torch.long) for each in (labeled.keys(), labeled.values()))
        return places[rows.argsort()], self._numbered(rows.sort().values)

    def chosen(self, n: int, labeled: Signals) -> tuple[Signals, Tensor, tuple[str, ...]]:
        """The n examples that the strategy of the parts chooses here, their rows, and the reasons."""
        by = self.part.strategy
        assert isinstance(by, GreeDi)
        order = self.keys.argsort()  # kernels take the smaller of equal rows
        pool, rng = self._numbered(self._free[order]), self.rng.child("part", self.part.start)
        n = min(n, len(order))
        picks = from_rows(by.of, Sets(pool=pool, labeled=labeled), torch.arange(len(order)), n, rng)
        rows = places_of(checked_selection(picks, by.of, pool.ids, n).ids, pool.ids)
        return pool.rows(rows), order[rows], picks.reasons or ()

    def values(self, of: Valued, labeled: Signals, picks: Sequence[Signals]) -> Tensor:
        """The share of this part in the values of sets of picks, see ``Valued.values``."""
        return of.values(Sets(pool=self._numbered(self._free), labeled=labeled), picks)

    def _numbered(self, rows: Tensor) -> Signals:
        """The signals of rows, whose ids are their positions in the whole pool."""
        table = self._table(rows, copied=True)
        return Signals(table.ids + self.part.start, table.values)

    # ------------------------------------------------------------------------------------------------- features, at one scale

    @cached_property
    def x(self) -> Features:
        """The features of the rows, as the strategy reads them."""
        return self._table(self._free, copied=False).features(self.part.strategy.needs.pool[0]).with_norms()

    def labeled(self) -> Dense | None:
        """The labeled rows of this part."""
        rows = torch.tensor(list(self._rows.get("labeled", {}).values()), dtype=torch.long)
        if not len(rows):
            return None
        return Dense(self._table(rows.sort().values, copied=True).values[self.part.strategy.needs.labeled[0]])

    def exponents(self) -> tuple[int, ...]:
        """See ``Features.exponents``."""
        return self.x.exponents()

    def scaled(self, exponents: tuple[int, ...]) -> tuple[bool, float]:
        """Scale the rows; whether some vanish in float32, and the largest squared norm."""
        if any(exponents):
            self.x = self.x.scaled(exponents).with_norms()
        return vanish(self.x), float(self.x.sq_norms().max())

    def doubled(self) -> float:
        """Compute in float64; the largest squared norm."""
        self.x = self.x.double().with_norms()
        return float(self.x.sq_norms().max())

    # ------------------------------------------------------------------------------------------------------------- centers

    def begin_centers(self, scale: float) -> None:
        """Begin farthest-first picks of rows whose largest squared norm, everywhere, is ``scale``."""
        self._search = FarthestFirst(self.x, scale=scale)
        self._search.taken = []

    def add_centers(self, centers: Dense | None, rows: list[int], n: int | None) -> None:
        """Add the picks of a round as centers, or the first centers, after which n picks follow; ``rows`` of them are here."""
        search = self._search
        if centers is not None:
            search.centers.first.append(centers)
            search.taken += rows
            search.bounds[rows] = -1
        if n is not None:
            search.begin(n)
        else:
            search.adapt(0 if centers is None else len(centers))

    def candidates(self, limit: int) -> Candidates:
        """At most ``limit`` rows that may be the farthest."""
        return self._as_candidates(*self._search.candidates(limit))

    def sharpen(self) -> None:
        """Continue with distances of the next higher precision."""
        self._search.sharpen()

    def top(self) -> float:
        """The largest distance."""
        return float(self._search.bounds.max())

    def farthest(self, top: float, n: int) -> Candidates:
        """The first n of the rows at the distance ``top``, by their keys."""
        rows = self._search.farthest(top)
        return self._as_candidates(rows[self.keys[rows].argsort()][:n], -1.0, everything=True)

    def _as_candidates(self, rows: Tensor, outside: float, everything: bool) -> Candidates:
        x = self.x[rows]
        assert isinstance(x, Dense)
        return Candidates(rows, self.keys[rows], x, self._search.bounds[rows], outside, everything)

    # ------------------------------------------------------------------------------------------------------------- herding

    @cached_property
    def represented(self) -> RepresentedRows:
        """The rows, as herding reads them."""
        by, table = self.part.strategy, self._table(self._free, copied=False)
        assert isinstance(by, Herding)
        pool = replace(table, ids=table.ids + self.part.start)
        return by.represented(pool, EMPTY, self.rng)

    def represent(self, picks: Picks) -> None:
        """Let the picks that are new here represent the rows."""
        if picks.times_forgotten > self._represents.times_forgotten:
            self.represented.forget()
            self._represents = Picks(picks.times_forgotten, [])
        for candidate in picks.candidates[len(self._represents.candidates) :]:
            self.represented.include(candidate)
            self._represents.candidates.append(candidate)

    # ------------------------------------------------------------------------------------------------------------- weights

    def largest_norm(self, top: float) -> float:
        """The largest squared norm in float64 among rows where it is about ``top``; -1 without any."""
        exact = near_largest_norms(self.x, top)[1]
        return float(exact.max()) if len(exact) else -1.0

    def longest(self, top: float, exact: float) -> tuple[int, int] | None:
        """The smallest key of the rows whose squared norm is the largest, ``exact``, and its row; None without any."""
        rows, norms = near_largest_norms(self.x, top)
        rows = rows[norms >= exact * (1 - EXACT_TIE)]
        if not len(rows):
            return None
        row = int(rows[self.keys[rows].argmin()])
        return int(self.keys[row]), row

    def features(self, rows: Tensor) -> Features:
        """The features of rows."""
        return self.x[rows]

    @cached_property
    def _weighted(self) -> WeightedRows:
        return WeightedRows(self.x, self._free + self.part.start)

    def take(self, rows: Tensor) -> None:
        """See ``Weighted.take``."""
        self._weighted.take(rows)

    def update(self, picks: Sequence[Features]) -> Tensor:
        """See ``Weighted.update``."""
        return self._weighted.update(picks)

    def find(self, shares: Shares) -> Found:
        """See ``Weighted.find``."""
        return self._weighted.find(shares)


def arrays_opened(strategy: Strategy, outputs: str) -> list[str]:
    """The arrays that are read from the files of a shard; arguments as the attributes of ``Part``."""
    read = arguments_of(strategy.needs.pool)
    return list(dict.fromkeys("embeddings" if name == outputs else name for name in read))


def joined(parts: Sequence[Features]) -> Features:
    """The rows of several parts of one kind, one after the other, with norms."""
    norms = torch.cat([part.sq_norms() for part in parts])
    first = parts[0]
    if isinstance(first, Outer):
        outer = [part for part in parts if isinstance(part, Outer)]
        return Outer(torch.cat([p.a for p in outer]), torch.cat([p.b for p in outer]), first.bias, norms)
    return Dense(torch.cat([part.dense() for part in parts]), norms)

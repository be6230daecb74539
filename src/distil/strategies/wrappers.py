"""Strategies that change where another strategy looks: in each predicted class, in a part of the pool, among random examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from distil.functional.budgets import class_budgets, even_budgets
from distil.rng import Rng
from distil.signals import Probs
from distil.strategies.base import (
    Needs,
    ScoreStrategy,
    Selection,
    Sets,
    Shortlist,
    Strategy,
    Valued,
    best_rows,
    picked,
    tie_keys,
)
from distil.strategies.diversity import CoreSet, KMeansSampling
from distil.strategies.gradient import BADGE
from distil.strategies.nested import from_groups, from_rows, needs_of, needs_with, places_of
from distil.strategies.parameters import at_least, count
from distil.strategies.registry import held, register
from distil.strategies.uncertainty import MarginSampling


@register("balance")
@dataclass(frozen=True)
class Balance(Strategy):
    """Query equally many examples of each predicted class; another strategy chooses within each class.

    Classes with too few examples give all of them, and the others share the rest. The classes take turns. Use it where a strategy
    takes most of its picks from a few classes, and for imbalanced pools; the balance is that of the predictions, so it does
    little for a class that the model never predicts. Strategies that look at the labeled set see all of it in every class.

    Cost: one selection of the other strategy in each class.

    Attributes:
        of: The strategy: an object, a name, or an entry ``{"name": ..., "args": {...}}``.
    """

    paper: ClassVar[str] = "equal allocation in stratified sampling; Cochran 1977, Sampling techniques, chapter 5"
    of: Strategy = held(MarginSampling())

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool, and what the other strategy reads."""
        return needs_with(Needs(pool=(Probs(),)), self.of)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The picks of each class in turn."""
        probs = sets.pool[Probs()]
        classes = probs.argmax(1)
        budgets = even_budgets(torch.bincount(classes, minlength=probs.shape[1]), n)
        found = from_groups(self.of, sets, classes, budgets, rng)
        reasons = zip(classes[found.rows].tolist(), found.reasons, strict=True)
        return picked(sets.pool, found.rows, tuple(f"class {c}: {why}" for c, why in reasons), notes=found.notes)


@register("prefilter")
@dataclass(frozen=True)
class Prefilter(Strategy):
    """Query examples that another strategy chooses among the ``factor`` n of largest score.

    Zhdanov 2019, section 3, filters by uncertainty with a factor of 10 and clusters the rest, which is the default here; the
    published k-means weights the examples by their uncertainty, which this one does not. The pool is streamed while it is scored,
    so it may be larger than memory, and a strategy that is too slow for all of it becomes possible. With few labels, or a pool
    with many copies, the filter passes what the model is wrongly unsure of; a larger factor helps.

    Cost: one pass over the pool, and one selection of the other strategy from ``factor`` n examples.

    Attributes:
        of: The strategy that chooses: an object, a name, or an entry ``{"name": ..., "args": {...}}``.
        by: The strategy that filters, in one of these forms; it must score examples, as ``MarginSampling`` does.
        factor: Examples that pass the filter, per selected example, from 1.
    """

    paper: ClassVar[str] = "Zhdanov 2019, Diverse mini-batch active learning"
    of: Strategy = held(KMeansSampling())
    by: ScoreStrategy = held(MarginSampling(), ScoreStrategy)
    factor: float = at_least(10, 1)

    @property
    def needs(self) -> Needs:
        """What both strategies read."""
        return replace(needs_of(self.by, self.of), shortlist=self._shortlist)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The picks of the strategy among the examples that pass the filter."""
        shortlist = self._shortlist
        keys, passed = tie_keys(sets.pool.ids, rng), shortlist.rows(n, len(sets.pool))
        rows = best_rows(keys, shortlist.by.score(sets), passed).sort().values
        notes = shortlist.notes(n, len(sets.pool))
        return from_rows(self.of, sets, rows, n, rng.child("filtered")).with_notes(notes)

    @property
    def _shortlist(self) -> Shortlist:
        return Shortlist(self.by, self.factor)


@register("subsample")
@dataclass(frozen=True)
class Subsample(Strategy):
    """Query examples that another strategy chooses among ``size`` random ones.

    It bounds the time of strategies whose cost grows faster than the pool, and each selection looks at other examples. The whole
    pool is measured first; in an experiment, the key ``candidates`` draws the examples before that. Rare classes may be missing
    from a small sample, and strategies that represent the pool represent the sample.

    Cost: one selection of the other strategy from ``size`` examples.

    Attributes:
        of: The strategy: an object, a name, or an entry ``{"name": ..., "args": {...}}``.
        size: Number of random examples, or n where that is more.
    """

    paper: ClassVar[str] = "the random subsets of most implementations"
    of: Strategy = held(BADGE())
    size: int = count(10_000)

    @property
    def needs(self) -> Needs:
        """What the other strategy reads."""
        return needs_of(self.of)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The picks of the strategy among a random sample."""
        size = max(n, self.size)
        if size >= len(sets.pool):
            return from_rows(self.of, sets, torch.arange(len(sets.pool)), n, rng.child("sample"))
        rows = _shuffled(sets, rng)[:size].sort().values
        note = f"picked among {size:,} random examples of {len(sets.pool):,}"
        return from_rows(self.of, sets, rows, n, rng.child("sample")).with_notes((note,))


@register("partition")
@dataclass(frozen=True)
class Partition(Strategy):
    """Query from each of several random parts of the pool, with another strategy in each part alone.

    Every part gives its share of the picks, and the parts take turns. It bounds time and memory of strategies whose cost grows
    faster than the pool, as DISTIL 0.2's partitions do; parts are random here and contiguous there, where a sorted pool gives
    parts of single classes. The parts know nothing of each other's picks, so similar examples of several parts may all be
    chosen; ``GreeDi`` removes them.

    Cost: one selection of the other strategy in each part.

    Attributes:
        of: The strategy: an object, a name, or an entry ``{"name": ..., "args": {...}}``.
        parts: Number of parts.
    """

    paper: ClassVar[str] = "Citovsky et al. 2021, Batch active learning at scale, where BADGE runs in parts of the pool"
    of: Strategy = held(BADGE())
    parts: int = count(4)

    @property
    def needs(self) -> Needs:
        """What the other strategy reads."""
        return needs_of(self.of)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The picks of the parts in turn."""
        parts = _parts(sets, self.parts, rng)
        budgets = class_budgets(parts, n, int(parts.max()) + 1)
        found = from_groups(self.of, sets, parts, budgets, rng.child("parts"))
        return picked(sets.pool, found.rows, tuple(found.reasons), notes=found.notes)


@register("greedi")
@dataclass(frozen=True)
class GreeDi(Strategy):
    """Query in two rounds: another strategy chooses n examples in each random part of the pool, then n among all of these.

    Mirzasoleiman, Karbasi, Sarkar and Krause 2013, algorithm 2. Use it with strategies that spread their picks (``CoreSet``,
    ``BADGE``, ``FASS``) where the pool is too large for one round. Strategies that represent the pool represent the candidates in
    the second round; ``SubmodularSampling`` has two rounds of its own, which count all examples.

    For a monotone submodular function, greedy picks in m parts and the best of the second round and of each part, the value is at
    least (1 - 1/e)^2 / min(m, n) of the optimum (theorem 4.1), and with random parts at least (1 - 1/e) / 2 of it in expectation
    (Barbosa et al. 2015, theorem 2). Both count the whole pool in every part. Difference: parts here count their own rows alone,
    and the second round counts the candidates, so these factors are not promised. ``MaxHerding`` and ``UHerding`` have such a
    value: the set of largest coverage of the whole pool is returned, so it is never worth less than the picks of any part (with
    the width of the second round). Of strategies that score, the picks are the best of all. Others have no common value: their
    second round is returned, and nothing is promised. A note says which holds.

    From a pool in shards (``distil select --shards``), every shard is a part, whatever ``parts`` is.

    Cost: one selection of n in each part, and one from ``parts`` n examples; with a value, O(N parts n D) to compare the sets.

    Attributes:
        of: The strategy: an object, a name, or an entry ``{"name": ..., "args": {...}}``.
        parts: Number of parts.
    """

    paper: ClassVar[str] = "Mirzasoleiman et al. 2013, Distributed submodular maximization"
    of: Strategy = held(CoreSet())
    parts: int = count(4)

    @property
    def needs(self) -> Needs:
        """What the other strategy reads."""
        return needs_of(self.of)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The picks among the candidates of all parts."""
        parts = _parts(sets, self.parts, rng)
        budgets = torch.bincount(parts).clamp_max(n)
        found = from_groups(self.of, sets, parts, budgets, rng.child("parts"))
        rows, again = found.rows.sort().values, rng.child("candidates")
        candidates = replace(sets, pool=sets.pool.rows(rows))
        of = self.of.fixed(candidates, n, again) if isinstance(self.of, Valued) else self.of
        last = from_rows(of, sets, rows, n, again)
        note = f"picked among the {len(rows):,} examples that were chosen in {len(budgets):,} parts of the pool"
        if not isinstance(of, Valued):
            return last.with_notes((note, *compared(of)))
        second = rows[places_of(last.ids, candidates.pool.ids)]
        first = [found.rows[parts[found.rows] == part] for part in range(len(budgets))]
        values = of.values(sets, [sets.pool.rows(each) for each in (second, *first)])
        best, reasons = best_of(
            values, second, last.reasons or (), first, dict(zip(found.rows.tolist(), found.reasons, strict=True))
        )
        return picked(sets.pool, best, reasons, notes=(note, *compared(of), *last.notes))


def compared(of: Strategy) -> tuple[str, ...]:
    """The note on how two rounds of a strategy compare with the picks of each part; none for scores, whose best they are."""
    if isinstance(of, Valued):
        return ("they cover the whole pool at least as well as the picks of any single part",)
    if isinstance(of, ScoreStrategy):
        return ()
    lack = f"{type(of).__name__} has no value by which to compare them with the picks of each part"
    return (f"the guarantee of GreeDi does not hold: {lack}",)


def best_of(
    values: Tensor, second: Tensor, reasons: Sequence[str], parts: Sequence[Tensor], part_reasons: Mapping[int, str]
) -> tuple[Tensor, tuple[str, ...]]:
    """The set of largest value among the second round and the picks of each part, the first of equals, with its reasons.

    Args:
        values: The values of the second round and of each part, (1 + parts,).
        second: The picks of the second round, (n,).
        reasons: Their reasons.
        parts: The picks of each part; where they are fewer than n, those of the second round fill them up.
        part_reasons: Pick of a part -> its reason.
    """
    why, given = dict(zip(second.tolist(), reasons, strict=True)), values.tolist()
    best = max(range(len(given)), key=given.__getitem__)
    if best:
        own = parts[best - 1]
        why |= {row: part_reasons[row] for row in own.tolist()}
        second = torch.cat([own, second[~torch.isin(second, own)]])[: len(second)]
    return second, tuple(why[row] for row in second.tolist())


def _shuffled(sets: Sets, rng: Rng) -> Tensor:
    """The rows of the pool in a random order."""
    return torch.randperm(len(sets.pool), generator=rng.child("shuffle").torch())


def _parts(sets: Sets, n_parts: int, rng: Rng) -> Tensor:
    """The random part of each row, (N,): parts of equal size, or one more."""
    return _shuffled(sets, rng) % min(n_parts, len(sets.pool))

"""From a source of signals and a strategy to a selection: where everything that selects comes together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from distil.data.arrays import precision_of
from distil.measuring.source import Source
from distil.rng import Rng
from distil.selection.bfloat16 import Score, leaders_bfloat16_first
from distil.selection.checked import checked_scores, checked_selection
from distil.selection.leaders import Leaders
from distil.signals import Signal, Signals
from distil.strategies.base import ROLES, Needs, ScoreStrategy, Selection, Sets, Strategy
from distil.system.runtime import Runtime


def gather(source: Source, needs: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Signals:
    """One table of all examples of ``source`` from which ``needs`` can be read."""
    return source.table(source.measured(needs), runtime, rng)


def choose(strategy: Strategy, sources: Mapping[str, Source], n: int, runtime: Runtime, rng: Rng) -> Selection:
    """Measure what the strategy needs, once, and let it choose ``n`` ids of ``sources["pool"]``.

    Args:
        strategy: Any.
        sources: By role (``pool``, ``labeled``, ...); a role left out is an empty set.
        n: 1 <= n <= number of examples in the pool.
        runtime: How to measure.
        rng: The selection's randomness.
    """
    needs, pool, measuring = strategy.needs, sources["pool"], rng.child("measure", "pool")
    shortlist = needs.shortlist
    scored = () if shortlist is None else shortlist.by.needs.pool
    stored = pool.measured(needs.pool + scored)  # raises before any work where something is missing
    sets = _sets_around(sources, needs, runtime, rng)

    def leaders(by: ScoreStrategy, n: int, kept: tuple[Signal[Any], ...]) -> tuple[Signals, Tensor]:
        quick = runtime.bfloat16_first and pool.can_score_in_bfloat16(stored)
        find = leaders_bfloat16_first if quick else _leaders
        return find(lambda table: _scores(by, sets(table), pool.names), pool, n, stored, kept, runtime, measuring)

    if isinstance(strategy, ScoreStrategy):
        found = strategy.explained(*leaders(strategy, n, strategy.evidence))
        return checked_selection(found, strategy, pool.ids, n)
    passed = len(pool.ids) if shortlist is None else shortlist.rows(n, len(pool.ids))
    if shortlist is None or passed == len(pool.ids):
        table = pool.table(stored, runtime, measuring) if stored else Signals(pool.ids, {})
        return checked_selection(strategy.select(sets(table), n, rng), strategy, table.ids, n)
    table, _ = leaders(shortlist.by, passed, stored)
    table = table.rows(table.ids.argsort())
    selection = checked_selection(strategy.select(sets(table), n, rng), strategy, table.ids, n)
    return dataclasses.replace(selection, notes=(*shortlist.notes(n, len(pool.ids)), *selection.notes))


def _sets_around(sources: Mapping[str, Source], needs: Needs, runtime: Runtime, rng: Rng) -> Callable[[Signals], Sets]:
    """What makes a strategy's sets of a table of the pool: all others are measured here, once."""
    wanted = {role: getattr(needs, role) for role in ROLES if role != "pool" and getattr(needs, role)}
    given = {
        role: gather(sources[role], signals, runtime, rng.child("measure", role))
        for role, signals in wanted.items()
        if role in sources
    }

    def sets(pool: Signals) -> Sets:
        none = pool.rows(torch.empty(0, dtype=torch.long))  # zero rows of what the pool has: the right widths
        return _of_one_precision({**dict.fromkeys(wanted, none), **given, "pool": pool})

    return sets


def _of_one_precision(tables: Mapping[str, Signals]) -> Sets:
    """Sets whose floating-point columns are of one type: float64 where one of them is, else float32.

    Those of arrays are already. A network may give probabilities in float64 beside embeddings in float32, or all in bfloat16.
    """
    floating = [x for table in tables.values() for x in table.values.values() if x.is_floating_point()]
    precision = precision_of(floating)
    if any(x.dtype != precision for x in floating):
        tables = {
            role: Signals(table.ids, {s: _brought(x, precision) for s, x in table.values.items()}, table.space)
            for role, table in tables.items()
        }
    return Sets(**tables)


def _brought(column: Tensor, precision: torch.dtype) -> Tensor:
    return column.type(precision) if column.is_floating_point() else column


def _leaders(
    score: Score,
    pool: Source,
    n: int,
    signals: tuple[Signal[Any], ...],
    kept: tuple[Signal[Any], ...],
    runtime: Runtime,
    rng: Rng,
) -> tuple[Signals, Tensor]:
    """The ``n`` examples of largest score, best first, and their scores; arguments as for ``leaders_bfloat16_first``."""
    leaders = Leaders(n, kept)
    for chunk in pool.chunks(signals, runtime, rng):
        leaders.add(chunk, score(chunk))
    return leaders.leaders()


def _scores(by: ScoreStrategy, sets: Sets, names: Sequence[Any] | None) -> Tensor:
    """The scores of a table's rows, none of them NaN."""
    return checked_scores(by.score(sets), by, sets.pool.ids, names)

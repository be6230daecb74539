"""The step that every selection takes: measure the signals that a strategy needs, and let it choose."""

from __future__ import annotations

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
from distil.strategies.base import RANDOM_SAMPLE, ROLES, Needs, ScoreStrategy, Selection, Sets, Strategy, tie_keys
from distil.system.runtime import CHUNK_ROWS, Runtime


def gather(source: Source, needs: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Signals:
    """A table of all examples of ``source`` from which the signals ``needs`` can be read."""
    return source.table(source.measured(needs), runtime, rng)


def choose(
    strategy: Strategy, sources: Mapping[str, Source], n: int, runtime: Runtime, rng: Rng, elapsed: float | None = None
) -> Selection:
    """Measure the signals that the strategy needs, in one pass, and let it choose ``n`` ids of ``sources["pool"]``.

    Args:
        strategy: The strategy.
        sources: Role (``pool``, ``labeled``, ...) -> source; a missing role is an empty set.
        n: Size of the selection, from 1 to the number of examples in the pool.
        runtime: Settings of the measurement.
        rng: Randomness of the selection.
        elapsed: The share of the run that has passed, from 0 to 1; None: not known.

    Ties are broken by ``tie_keys``: the pool reaches the strategy in the order of these keys, so its kernels need only a rule
    on rows. The order costs a copy of the columns (on one core 0.3 s for 200,000 embeddings of 384 numbers), which strategies that
    break ties themselves save (``Strategy.in_order_of_ids``). Of a pool that does not fit into ``Runtime.memory``, some of them
    need no copy at all (``Strategy.reads_features``).
    """
    needs, pool, measuring = strategy.needs, sources["pool"], rng.child("measure", "pool")
    shortlist = needs.shortlist
    scored = () if shortlist is None else shortlist.by.needs.pool
    stored = pool.measured(needs.pool + scored)  # a missing signal raises here, before any work
    sets = _sets_around(sources, needs, runtime, rng, elapsed)

    def leaders(by: ScoreStrategy, n: int, kept: tuple[Signal[Any], ...]) -> Leaders:
        found = Leaders(n, kept, rng)
        quick = runtime.bfloat16_first and pool.can_score_in_bfloat16(stored)
        add = leaders_bfloat16_first if quick else _add_all
        add(lambda table: _scores(by, sets(table), pool.names), pool, found, stored, runtime, measuring)
        return found

    if isinstance(strategy, ScoreStrategy):
        best = leaders(strategy, n, strategy.evidence)
        selection = checked_selection(strategy.explained(*best.leaders()), strategy, pool.ids, n)
        return selection.with_notes(strategy.tied_notes(best.n_seen) if best.tied else ())
    passed = len(pool.ids) if shortlist is None else shortlist.rows(n, len(pool.ids))
    if shortlist is None or passed == len(pool.ids):
        order = None if strategy.in_order_of_ids else tie_keys(pool.ids, rng).argsort()
        table = Signals(pool.ids, {})
        if stored:
            table = pool.table(stored, runtime, measuring, order, copied=not strategy.reads_features)
        notes = _alike_notes(table, strategy)  # before the strategy, which may write to its columns
        return checked_selection(strategy.select(sets(table), n, rng), strategy, table.ids, n).with_notes(notes)
    best = leaders(shortlist.by, passed, stored)
    table, _ = best.leaders()
    table = table.rows(tie_keys(table.ids, rng).argsort())
    selection = checked_selection(strategy.select(sets(table), n, rng), strategy, table.ids, n)
    notes = shortlist.by.tied_notes(best.n_seen, "the shortlist is a random sample") if best.tied else ()
    return selection.with_notes((*shortlist.notes(n, len(pool.ids)), *notes))


def _alike_notes(table: Signals, strategy: Strategy) -> tuple[str, ...]:
    """A note where all rows of the pool are equal, so that the strategy cannot distinguish them."""
    first = table.rows(slice(0, 1)).values
    if len(table) < 2 or not first or not _is_constant(table, first):
        return ()
    read = " and ".join(map(repr, first))
    return (f"all {len(table):,} examples are equal in {read}, which {type(strategy).__name__} reads: {RANDOM_SAMPLE}",)


def _is_constant(table: Signals, first: Mapping[Signal[Any], Tensor]) -> bool:
    """Whether all rows of a table are equal to its first; only the first chunk is read where they differ there."""
    chunks = (table.rows(slice(start, start + CHUNK_ROWS)).values for start in range(0, len(table), CHUNK_ROWS))
    return all(bool((column == first[signal]).all()) for chunk in chunks for signal, column in chunk.items())


def _sets_around(
    sources: Mapping[str, Source], needs: Needs, runtime: Runtime, rng: Rng, elapsed: float | None
) -> Callable[[Signals], Sets]:
    """A function from a table of the pool to all sets of the strategy; the other tables are measured here, once."""
    needed = {role: getattr(needs, role) for role in ROLES if role != "pool" and getattr(needs, role)}
    measured = {
        role: gather(sources[role], signals, runtime, rng.child("measure", role))
        for role, signals in needed.items()
        if role in sources
    }

    def sets(pool: Signals) -> Sets:
        empty = pool.rows(torch.empty(0, dtype=torch.long))  # zero rows with the widths of the pool's columns
        return Sets(**_of_one_precision({**dict.fromkeys(needed, empty), **measured, "pool": pool}), elapsed=elapsed)

    return sets


def _of_one_precision(tables: dict[str, Signals]) -> dict[str, Signals]:
    """The tables with floating-point columns of one type: float64 if one of them has it, else float32.

    Columns of arrays have it already. A network may return logits in float64 and embeddings in float32, or all in bfloat16.
    """
    floating = [x for table in tables.values() for x in table.values.values() if x.is_floating_point()]
    precision = precision_of(floating)
    if any(x.dtype != precision for x in floating):
        tables = {
            role: Signals(table.ids, {s: _as_type(x, precision) for s, x in table.values.items()}, table.space)
            for role, table in tables.items()
        }
    return tables


def _as_type(column: Tensor, precision: torch.dtype) -> Tensor:
    return column.type(precision) if column.is_floating_point() else column


def _add_all(
    score: Score, pool: Source, leaders: Leaders, signals: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng
) -> None:
    """Add all examples to ``leaders``; for the arguments see ``leaders_bfloat16_first``."""
    for chunk in pool.chunks(signals, runtime, rng):
        leaders.add(chunk, score(chunk))


def _scores(by: ScoreStrategy, sets: Sets, names: Sequence[Any] | None) -> Tensor:
    """The scores that the strategy ``by`` gives to the rows of ``sets.pool``, (N,), checked."""
    return checked_scores(by.score(sets), by, sets.pool.ids, names)

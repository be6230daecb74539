"""From a source of signals and a strategy to a selection: where everything that selects comes together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from distil.data.arrays import check_rows
from distil.measuring.network_source import NetworkSource
from distil.measuring.source import Source
from distil.rng import Rng
from distil.selection.bfloat16 import can_be_screened, screened_selection
from distil.selection.leaders import Leaders
from distil.signals import Signal, Signals
from distil.strategies.base import ROLES, ScoreStrategy, Selection, Sets, Strategy
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
    needs = strategy.needs
    pool = sources["pool"]
    wanted = {role: getattr(needs, role) for role in ROLES if getattr(needs, role)}
    screened = () if needs.screen is None else needs.screen.by.needs.pool
    stored = pool.measured(needs.pool + screened)  # raises before any work where something is missing
    given = {
        role: gather(source, wanted[role], runtime, rng.child("measure", role))
        for role, source in sources.items()
        if role != "pool" and role in wanted
    }

    def sets(table: Signals) -> Sets:
        return Sets(**{**_empty(table, wanted), **given, "pool": table})

    measuring = rng.child("measure", "pool")
    if isinstance(strategy, ScoreStrategy):
        if runtime.screen and isinstance(pool, NetworkSource) and can_be_screened(stored):
            return screened_selection(lambda table: _scores(strategy, sets(table)), pool, n, stored, runtime, measuring)
        chunks = pool.chunks(stored, runtime, measuring)
        leaders = _leaders(strategy, n, ((sets(chunk), Signals(chunk.ids, {})) for chunk in chunks))
        return Selection(leaders[0].ids, leaders[1])
    passed = len(pool.ids) if needs.screen is None else needs.screen.rows(n, len(pool.ids))
    if needs.screen is not None and passed < len(pool.ids):
        chunks = pool.chunks(stored, runtime, measuring)
        table = _leaders(needs.screen.by, passed, ((sets(chunk), chunk) for chunk in chunks))[0]
        table = table.rows(table.ids.argsort())
    else:
        table = pool.table(stored, runtime, measuring) if stored else Signals(pool.ids, {})
    return strategy.select(sets(table), n, rng)


def _leaders(by: ScoreStrategy, n: int, seen: Iterable[tuple[Sets, Signals]]) -> tuple[Signals, Tensor]:
    """The ``n`` rows of largest score of a stream, best first, and their scores.

    Args:
        by: What scores.
        n: At most as many as there are.
        seen: Sets to score by, and what is to be kept of their pool.
    """
    leaders = Leaders(n)
    for sets, kept in seen:
        leaders.add(kept, _scores(by, sets))
    return leaders.leaders()


def _empty(table: Signals, wanted: Mapping[str, tuple[Signal[Any], ...]]) -> dict[str, Signals]:
    """For every role but the pool, zero rows of what the pool has: the right widths."""
    none = table.rows(torch.empty(0, dtype=torch.long))
    return {role: none for role in wanted if role != "pool"}


def _scores(by: ScoreStrategy, sets: Sets) -> Tensor:
    """The scores of a table's rows, none of them NaN."""
    scores = by.score(sets)
    if bool(scores.isnan().any()):
        check_rows(sets.pool.ids, scores, f"the score of {type(by).__name__}")
    return scores

"""What strategies over strategies share: the needs of several strategies, and selections from parts of the pool."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from distil.functional.greedy import by_class
from distil.rng import Rng
from distil.strategies.base import ROLES, Needs, Selection, Sets, Strategy


def needs_of(*strategies: Strategy) -> Needs:
    """The signals that any of the strategies reads, each once; without shortlists."""
    return needs_with(Needs(), *strategies)


def needs_with(own: Needs, *strategies: Strategy) -> Needs:
    """The signals in ``own``, then those that any of the strategies reads, each once; without shortlists."""
    needed = [own, *(each.needs for each in strategies)]
    roles: dict[str, Any] = {
        role: tuple(dict.fromkeys(signal for needs in needed for signal in getattr(needs, role))) for role in ROLES
    }
    return Needs(**roles)


def from_rows(of: Strategy, sets: Sets, rows: Tensor, n: int, rng: Rng) -> Selection:
    """The ``n`` picks of a strategy from these rows of the pool alone, with a reason for each."""
    returned: Any = of.select(replace(sets, pool=sets.pool.rows(rows)), n, rng)
    # A strategy of the user's may return ids alone.
    found = returned if isinstance(returned, Selection) else Selection(torch.as_tensor(returned))
    return replace(found, reasons=found.reasons or (f"chosen by {type(of).__name__}",) * n)


@dataclass(frozen=True, eq=False)
class Grouped:
    """A selection from groups of rows.

    Attributes:
        rows: The rows picked, (n,), in pick order.
        reasons: The reason that the strategy gave for each.
        notes: The notes of all its selections, each once.
    """

    rows: Tensor
    reasons: list[str]
    notes: tuple[str, ...]


def from_groups(of: Strategy, sets: Sets, groups: Tensor, budgets: Tensor, rng: Rng) -> Grouped:
    """The picks of a strategy from each group of rows alone; the groups take turns in proportion to their budgets.

    Args:
        of: The strategy.
        sets: All sets; the pool has N rows.
        groups: The group of each row, (N,) int64.
        budgets: Number of picks of each group, (G,) int64, at most its number of rows.
        rng: Random numbers.
    """
    reasons: dict[int, str] = {}
    notes: dict[str, None] = {}

    def pick(rows: Tensor, m: int) -> Tensor:
        found = from_rows(of, sets, rows, m, rng.child("group", int(groups[rows[0]])))
        notes.update(dict.fromkeys(found.notes))
        places = places_of(found.ids, sets.pool.ids[rows])
        reasons.update(zip(rows[places].tolist(), found.reasons or (), strict=True))
        return places

    picks = by_class(groups, int(budgets.sum()), len(budgets), pick, budgets=budgets)
    return Grouped(picks, [reasons[row] for row in picks.tolist()], tuple(notes))


def places_of(ids: Tensor, among: Tensor) -> Tensor:
    """The position of each id among distinct ids that hold all of them."""
    order = among.argsort()
    return order[torch.searchsorted(among[order], ids)]

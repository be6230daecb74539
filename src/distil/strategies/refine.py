"""Query by several strategies, whose choices narrow the pool step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from distil.errors import counted
from distil.rng import Rng
from distil.strategies.base import Needs, Selection, Sets, Strategy
from distil.strategies.clustered import DropQuery
from distil.strategies.gradient import BADGE
from distil.strategies.herding import MaxHerding, UHerding
from distil.strategies.nested import from_rows, needs_of, places_of
from distil.strategies.parameters import count
from distil.strategies.registry import held, held_several, register
from distil.strategies.uncertainty import MarginSampling, RandomSampling

_MOST = 10_000  # examples that stay after a step

_SHARE = 0.4  # of these, the share that each candidate selection of the next step is made from


@register("refine")
@dataclass(frozen=True)
class Refine(Strategy):
    """Query examples that another strategy chooses among those that several strategies keep choosing.

    Progressive filtering (REFINE, CVPR 2026). In each step, every strategy of ``by`` makes candidate selections of n examples,
    each from a random part of what is left, and the union of these selections is what is left for the next step. After the last
    step, ``of`` chooses. The first parts are of ``size`` examples, the later ones of 0.4 times what is left, and at most 10,000
    examples stay. Use it where no single strategy can be trusted: examples that only one strategy likes, and only in some parts,
    drop out. Do not use it where time matters, or with a single strategy that is known to fit: it makes some hundred selections.

    Differences: the paper makes 100 candidate selections a step with nine strategies, of which BAIT and TypiClust take most of
    the time and ALFA-Mix needs labels; name them in ``by`` to add them. Where n is large, fewer selections are made: as many as
    hold ``size`` examples if they have none in common.

    Cost: ``steps`` times ``selections`` selections from at most ``size`` examples.

    Attributes:
        of: The strategy that chooses in the end: an object, a name, or an entry ``{"name": ..., "args": {...}}``.
        by: The strategies that narrow the pool, two or more, each in one of these forms.
        steps: Number of steps.
        selections: Number of candidate selections in each step, divided equally among the strategies, at least one each.
        size: Number of random examples that each selection of the first step is made from, or n where that is more.
    """

    paper: ClassVar[str] = "REFINE: progressive filtering of candidates by an ensemble of strategies, arXiv 2511.22344"
    of: Strategy = held(UHerding())
    by: tuple[Strategy, ...] = held_several(
        (RandomSampling(), MarginSampling(), BADGE(), DropQuery(), MaxHerding(), UHerding())
    )
    steps: int = count(5)
    selections: int = count(30)
    size: int = count(5_000)

    @property
    def needs(self) -> Needs:
        """What all of the strategies read."""
        return needs_of(self.of, *self.by)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The picks of the last strategy among what is left after all steps."""
        rows, size = torch.arange(len(sets.pool)), self.size
        for step in range(self.steps):
            rows = self._narrowed(sets, rows, n, max(n, size), rng.child("step", step))
            size = int(_SHARE * len(rows))
        found = from_rows(self.of, sets, rows, n, rng.child("last"))
        note = (
            f"picked among {len(rows):,} of {counted(len(sets.pool), 'example')}, left after {counted(self.steps, 'step')} "
            f"of candidate selections by {len(self.by)} strategies"
        )
        return found.with_notes((note,))

    def _narrowed(self, sets: Sets, rows: Tensor, n: int, size: int, rng: Rng) -> Tensor:
        """The rows that a step leaves of ``rows``, ascending."""
        draws, repeats = rng.child("parts").torch(), self._repeats(n)
        chosen = torch.zeros(len(sets.pool), dtype=torch.bool)
        for place, strategy in enumerate(self.by):
            for repeat in range(repeats):
                part = rows[torch.randperm(len(rows), generator=draws)[:size].sort().values]
                found = from_rows(strategy, sets, part, n, rng.child("selection", place, repeat))
                chosen[part[places_of(found.ids, sets.pool.ids[part])]] = True
        left = torch.nonzero(chosen)[:, 0]
        return left[torch.randperm(len(left), generator=draws)[: max(n, _MOST)].sort().values]

    def _repeats(self, n: int) -> int:
        """Number of selections that each strategy makes in a step."""
        return max(1, min(self.selections, self.size // n) // len(self.by))

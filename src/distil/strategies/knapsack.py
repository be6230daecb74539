"""Query by scores where labels of different examples cost differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from distil.functional.knapsack import knapsack
from distil.rng import Rng
from distil.signals import Costs
from distil.strategies.base import Needs, ScoreStrategy, Selection, Sets, Strategy
from distil.strategies.nested import needs_with
from distil.strategies.parameters import positive
from distil.strategies.reasons import sentences
from distil.strategies.registry import held, register
from distil.strategies.uncertainty import MarginSampling


@register("knapsack")
@dataclass(frozen=True)
class Knapsack(Strategy):
    """Query the examples of largest score per cost of their labels, within a budget of cost.

    Use it where labels cost differently, in time or money: long documents, large scans, experts for some examples. The costs come
    from you, one number above 0 for each example of the pool (``costs=``). Do not use it with costs that are guesses: cheap
    examples win, and examples are often cheap because they are easy.

    Without a budget it selects the n examples of largest score per cost (Settles, Craven and Friedland 2008). With ``budget`` it
    selects at most n, in this order, whose costs together are within the budget (``functional.knapsack``); pass an n that is
    larger than any number of examples that the budget can buy, because n cheap examples may leave most of it unspent. Scores
    count from the smallest that the strategy can give, those of ``MarginSampling`` as 1 - margin. Negative scores of a
    strategy without such a bound are refused. Like all selections by score it may choose similar examples.

    Cost: that of the strategy; the signals of the whole pool are stored.

    Attributes:
        of: The strategy that scores the examples: an object, a name, or ``{"name": ..., "args": {...}}``.
        budget: Largest sum of the costs of a selection, above 0; default: no bound, and exactly n examples.
    """

    paper: ClassVar[str] = "Settles, Craven and Friedland 2008, Active learning with real annotation costs"
    of: ScoreStrategy = held(MarginSampling(), ScoreStrategy)
    budget: float | None = positive(None)

    @property
    def needs(self) -> Needs:
        """The signals that the strategy reads, and the costs of the pool."""
        return needs_with(Needs(pool=(Costs(),)), self.of)

    @property
    def may_choose_fewer(self) -> bool:
        """True with a budget."""
        return self.budget is not None

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:  # noqa: ARG002 - the rows are in the order of ties
        """The examples of largest score per cost."""
        scores, costs = self.of.score(sets), sets.pool[Costs()]
        gains = scores.double() - self.of.least
        rows = knapsack(gains, costs, n, self.budget)
        why = self.of.reasons(sets.pool.excerpt(rows, self.of.evidence), scores[rows])
        reasons = sentences("{}; cost {:.3g}", why, costs[rows])
        bound = "" if self.budget is None else f", of a budget of {self.budget:,.6g}"
        note = f"the {len(rows):,} labels cost {float(costs[rows].double().sum()):,.6g} in all{bound}"
        return Selection(
            sets.pool.ids[rows], gains[rows].clamp_min(0) / costs[rows].double(), reasons=reasons, notes=(note,)
        )

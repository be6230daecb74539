"""Query by several scores at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from distil.errors import InvalidInput
from distil.functional.mixing import MIXTURES, mixed
from distil.rng import Rng
from distil.strategies.base import Needs, ScoreStrategy, Selection, Sets, Strategy, best_rows, tie_keys
from distil.strategies.nested import needs_of
from distil.strategies.parameters import choice, numbers
from distil.strategies.reasons import sentences
from distil.strategies.registry import held_several, register
from distil.strategies.uncertainty import EntropySampling, MarginSampling


@register("mix")
@dataclass(frozen=True)
class Mix(Strategy):
    """Query the examples that are best by several scores together.

    Each score is brought to the range from 0 to 1 over the pool; ``how`` says how they become one (``functional.mixing.mixed``):
    the mean of ranks, which ignores the scales; the mean of scores; or their product to the power of the weights, which prefers
    examples that are good by every score, as the uncertainty times density of Settles and Craven 2008. Use it where no single
    score is right. Mixing scores does not spread the picks; ``Prefilter`` does.

    Cost: that of the scores, and O(N log N). The pool is not streamed.

    Attributes:
        of: Strategies that score examples, two or more, each an object, a name, or an entry ``{"name": ..., "args": {...}}``.
        how: ``"rank"``, ``"linear"`` or ``"power"``.
        weights: The weight of each, above 0; only their ratios count. Default: equal weights.
    """

    paper: ClassVar[str] = (
        "Settles and Craven 2008, An analysis of active learning strategies for sequence labeling tasks"
    )
    of: tuple[ScoreStrategy, ...] = held_several((MarginSampling(), EntropySampling()), ScoreStrategy)
    how: str = choice("rank", MIXTURES)
    weights: tuple[float, ...] | None = numbers()

    def check(self) -> None:
        """Refuse weights that do not fit."""
        if self.weights is not None and len(self.weights) != len(self.of):
            raise InvalidInput(
                f"Mix: weights must be {len(self.of)} numbers, one for each strategy, got {list(self.weights)}"
            )

    @property
    def needs(self) -> Needs:
        """What the strategies read."""
        return needs_of(*self.of)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The examples of largest mixed score; equal ones are ordered by ``tie_keys``."""
        scores = [each.score(sets) for each in self.of]
        score = mixed(torch.stack([own.double() for own in scores]), self.how, self.weights)
        rows = best_rows(tie_keys(sets.pool.ids, rng), score, n)
        reasons = sentences(f"mixed score {{:.3g}} of {len(scores)} scores", score[rows])
        return Selection(sets.pool.ids[rows], score[rows], reasons=reasons)

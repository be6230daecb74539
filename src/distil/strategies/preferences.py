"""Query pairs of responses to compare, by the means and standard deviations of a reward model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from distil.functional.preferences import double_reverse_thompson
from distil.rng import Rng
from distil.signals import Deviations, ResponsePairs, Rewards, Signals
from distil.strategies.base import Needs, ScoreStrategy, Selection, Sets, Strategy
from distil.strategies.parameters import at_least
from distil.strategies.reasons import sentences
from distil.strategies.registry import register

_PAPER = "Melikidze et al. 2026, ActiveUltraFeedback: efficient preference data generation using active learning"


@register("delta_ucb")
@dataclass(frozen=True)
class DeltaUCB(ScoreStrategy):
    """Query the prompts with the pair of responses whose rewards may differ most, and name the pair.

    Melikidze et al. 2026: each prompt has several responses, with the mean r and the standard deviation s of their rewards, and its
    pair is the argmax over i != j of (r_i + beta s_i) - (r_j - beta s_j). Prompts are ranked by this number. Use it to make
    preference data for fine-tuning: pairs of clearly different quality taught most. It does not look for the pairs whose order
    is most uncertain, and does not spread the prompts.

    It reads arrays: ``rewards`` and ``deviations``. The reasons of the selection name the pairs, by columns; with all prompts to be
    labeled, ``functional.preferences.delta_ucb`` gives the pairs alone.

    Attributes:
        beta: Width of the bounds in standard deviations, at least 0; 1 in the paper.
    """

    paper: ClassVar[str] = _PAPER
    quantity: ClassVar[str] = "possible difference of rewards"
    beta: float = at_least(1.0, 0)

    @property
    def needs(self) -> Needs:
        """Means and standard deviations of the rewards of each prompt's responses."""
        return Needs(pool=(Rewards(), Deviations()))

    @property
    def evidence(self) -> tuple[ResponsePairs]:
        """The pair of each prompt."""
        return (ResponsePairs(self.beta),)

    def score(self, sets: Sets) -> Tensor:
        """The possible difference, (N,), at least 0: that of one of the two orders of a pair is."""
        return sets.pool[ResponsePairs(self.beta)][:, 2]

    def reasons(self, chosen: Signals, scores: Tensor) -> tuple[str, ...]:
        """The pair of each prompt, and its score."""
        pairs = chosen[ResponsePairs(self.beta)][:, :2].long()
        return sentences("response {} may be better than response {} by {:.3g}", *pairs.T, scores)


@register("double_reverse_thompson")
@dataclass(frozen=True)
class DoubleReverseThompson(Strategy):
    """Query prompts with a response drawn as best and one drawn as worst, and name the pair.

    Double reverse Thompson sampling (DRTS; Melikidze et al. 2026): rewards are drawn as r + beta z s, with z uniform in [-1, 1].
    Prompts are ranked by the spread of one draw; the best response of a second draw is paired with the worst one of a third, which
    is repeated up to 30 times until it is another one. As ``DeltaUCB``, but random, so that uncertain responses are compared with
    different ones from round to round.

    It reads arrays: ``rewards`` and ``deviations``. The reasons of the selection name the pairs, by columns; the scores are the
    spreads.

    Differences: after 30 equal draws the published code draws any response until it is another one, here the draw is of the
    others, which is the same; and the selected prompts are in the order of their spreads.

    Attributes:
        beta: Width of the draws in standard deviations, at least 0; 1 in the paper.
    """

    paper: ClassVar[str] = _PAPER
    beta: float = at_least(1.0, 0)

    @property
    def needs(self) -> Needs:
        """Means and standard deviations of the rewards of each prompt's responses."""
        return Needs(pool=(Rewards(), Deviations()))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The prompts of largest drawn spread first."""
        rewards, deviations = sets.pool[Rewards()], sets.pool[Deviations()]
        found = double_reverse_thompson(rewards, deviations, n, rng.child("draws").torch(), self.beta)
        reasons = sentences("response {} drawn as best, response {} as worst", *found.pairs.T)
        return Selection(sets.pool.ids[found.rows], found.spreads, reasons=reasons)

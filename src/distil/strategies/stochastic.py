"""Query by the scores of another strategy, but not simply the largest: with random noise, or without outliers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.noise import gumbel, power, softmax, softrank
from distil.rng import Rng
from distil.strategies.base import Needs, ScoreStrategy, Selection, Sets, Strategy, best_rows, tie_keys
from distil.strategies.parameters import choice, positive
from distil.strategies.registry import held, register
from distil.strategies.uncertainty import MarginSampling

_NOISES: Mapping[str, Callable[[Tensor, float, Tensor], Tensor]] = {
    "power": power,
    "softmax": softmax,
    "softrank": softrank,
}


@register("stochastic_acquisition")
@dataclass(frozen=True)
class StochasticAcquisition(Strategy):
    """Query a random sample in which examples of larger score are more probable: noise on the scores of any score strategy.

    Kirsch et al. 2023, section 3. The best scores of a pool often belong to similar examples, so that a big selection of them is
    redundant. Gumbel noise on the scores spreads it, at no cost: use it with uncertainty scores for big selections and redundant
    pools where embeddings mean little, else ``BADGE`` or ``UHerding``. Do not use it for a few examples: it only loses the best.

    ``"power"`` draws with probabilities proportional to s^beta (with ``BALD``: PowerBALD), and the unit of the scores does not
    matter; scores must be at least 0, and those of ``MarginSampling`` count as 1 - margin. An example of score 0 comes after all
    others. ``"softmax"`` draws by exp(beta s), so beta depends on the unit of the scores. ``"softrank"`` draws by r^-beta, with the
    rank r, and suits any scores. The noise of an example depends on the seed and its id alone. The scores and reasons of the
    selection are those without noise.

    With ``last_beta``, the noise follows a schedule: beta grows exponentially from ``beta`` at the first selection of a run to
    ``last_beta`` at its last. ``beta=1, last_beta=100`` is that of ClaSP PE (2026), which explores first and exploits later. An
    experiment knows how far it is; elsewhere pass ``elapsed`` to ``select``, ``select_from`` or ``Learner.query``. A finished
    experiment that goes on with more rounds follows the schedule of the new number from there on.

    Cost: that of the strategy; the signals of the whole pool are stored, as the rank of a score depends on all others.

    Attributes:
        of: The strategy that scores the examples: an object, a name, or ``{"name": ..., "args": {...}}``.
        noise: ``"power"``, ``"softmax"`` or ``"softrank"``.
        beta: Concentration on large scores, above 0; 1 in the paper. Larger values mean less noise.
        last_beta: The beta of the last selection of a run, above 0; default: ``beta``, without a schedule.
    """

    paper: ClassVar[str] = (
        "Kirsch et al. 2023, Stochastic batch acquisition: a simple baseline for deep active learning"
    )
    of: ScoreStrategy = held(MarginSampling(), ScoreStrategy)
    noise: str = choice("power", _NOISES)
    beta: float = positive(1.0)
    last_beta: float | None = positive(None)

    @property
    def needs(self) -> Needs:
        """The signals that the strategy reads."""
        return self.of.needs

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The ``n`` rows of largest score with noise."""
        beta = beta_at(self, self.beta, self.last_beta, sets.elapsed)
        scores = self.of.score(sets)
        noise = gumbel(rng.child("noise").keys(sets.pool.ids))
        above = scores - self.of.least if self.noise == "power" else scores
        rows = best_rows(tie_keys(sets.pool.ids, rng), _NOISES[self.noise](above, beta, noise), n)
        found = _selected(self.of, sets, rows, scores)
        return found if self.last_beta is None else found.with_notes((f"beta {beta:.3g} of the noise",))


def beta_at(strategy: Strategy, first: float, last: float | None, elapsed: float | None) -> float:
    """The beta of a selection of a strategy whose noise goes exponentially from ``first`` to ``last`` over a run; None: ``first``.

    Raises:
        InvalidInput: The share of the run that has passed is not known.
    """
    if last is None:
        return first
    if elapsed is None:
        raise InvalidInput(
            f"{type(strategy).__name__}: last_beta asks for a schedule, so the share of the run that has passed must be known; "
            "pass elapsed=, from 0 (the first selection) to 1 (the last), or leave last_beta out"
        )
    return float(first * (last / first) ** elapsed)


@register("skip_top")
@dataclass(frozen=True)
class SkipTop(Strategy):
    """Query by the scores of another strategy, leaving out the examples of largest score, which are often outliers.

    Of N examples the ``share`` N of largest score are skipped, and the next n are queried; fewer are skipped where less than n
    would be left. This is the uncertainty clipping of Gonsior et al. 2022; 5 % is one of the shares in their code. Use it where
    noise and unreadable examples are among the first that a strategy selects. In a clean pool it only loses the best.

    Cost: that of the strategy; the signals of the whole pool are stored.

    Attributes:
        of: The strategy that scores the examples: an object, a name, or ``{"name": ..., "args": {...}}``.
        share: The part of the pool that is skipped, above 0 and at most 0.9.
    """

    paper: ClassVar[str] = "Gonsior et al. 2022, To softmax, or not to softmax, arXiv 2210.03005"
    of: ScoreStrategy = held(MarginSampling(), ScoreStrategy)
    share: float = positive(0.05, most=0.9)

    @property
    def needs(self) -> Needs:
        """The signals that the strategy reads."""
        return self.of.needs

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The ``n`` rows of largest score after those that are skipped."""
        scores = self.of.score(sets)
        skipped = min(int(self.share * len(scores) + 1e-9), len(scores) - n)  # 0.29 * 100 is below 29 in floating point
        rows = best_rows(tie_keys(sets.pool.ids, rng), scores, skipped + n)[skipped:]
        return _selected(self.of, sets, rows, scores)


def _selected(by: ScoreStrategy, sets: Sets, rows: Tensor, scores: Tensor) -> Selection:
    """The selection of these rows, with the scores and reasons of the strategy ``by``."""
    found = by.explained(sets.pool.excerpt(rows, by.evidence), scores[rows])
    tied = len(scores) > 1 and bool((scores == scores[0]).all())
    return found.with_notes(by.tied_notes(len(scores)) if tied else ())

"""Query by the uncertainty of each example's tokens: words to tag, pixels to segment, boxes to detect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.noise import gumbel, power
from distil.functional.reductions import MEASURES, REDUCTIONS, stratified
from distil.rng import Rng
from distil.signals import Signals, TokenEntropies, TokenUncertainties
from distil.strategies.base import Needs, ScoreStrategy, Selection, Sets, Strategy, picked
from distil.strategies.parameters import choice, count, positive
from distil.strategies.reasons import sentences
from distil.strategies.registry import register
from distil.strategies.stochastic import beta_at


@register("token_uncertainty")
@dataclass(frozen=True)
class TokenUncertainty(ScoreStrategy):
    """Query the examples whose tokens are most uncertain; the uncertainties of the tokens are reduced to one score an example.

    A token is whatever has a prediction of its own: a word of a sentence, a pixel of an image, a box of a detector. ``"mean"`` of
    entropies is the token entropy (TE) and ``"sum"`` the total token entropy (TTE) of Settles and Craven 2008. The
    sum favors long examples, which cost more to label; the mean favors short ones, and lets the certain background of an image
    hide a few uncertain pixels; ``"max"`` follows a single token, often a wrong one; ``"top_mean"`` is between the two.

    It reads arrays: ``probs`` with a row for each token, and ``offsets``, which say which rows belong to which example. Examples
    without tokens come last. Arrays may be memory-mapped and larger than memory: only the score of each example is kept.

    Attributes:
        measure: The uncertainty of a token: ``"entropy"``; ``"margin"``, 1 - (p_1 - p_2); ``"least_confidence"``, 1 - p_1; or
            ``"log_confidence"``, -ln p_1, whose sum orders as the least confidence of a sequence (Culotta and McCallum 2005).
        reduction: ``"mean"``, ``"sum"``, ``"max"``, or ``"top_mean"``, the mean of the ``top`` most uncertain tokens.
        top: Number of tokens of ``"top_mean"``; all where an example has fewer.
    """

    paper: ClassVar[str] = (
        "Settles and Craven 2008, An analysis of active learning strategies for sequence labeling tasks"
    )
    quantity: ClassVar[str] = "uncertainty of tokens"
    measure: str = choice("entropy", MEASURES)
    reduction: str = choice("mean", REDUCTIONS)
    top: int = count(10)

    @property
    def needs(self) -> Needs:
        """Class probabilities of the tokens of the pool."""
        return Needs(pool=(self._signal,))

    def score(self, sets: Sets) -> Tensor:
        """The reduced uncertainty, (N,), at least 0."""
        return sets.pool[self._signal]

    def reasons(self, chosen: Signals, scores: Tensor) -> tuple[str, ...]:  # noqa: ARG002
        """The reduced uncertainty of each example."""
        how = f"mean of the top {self.top}" if self.reduction == "top_mean" else self.reduction
        return sentences(f"{self.measure.replace('_', ' ')} of tokens {{:.3g}} ({how})", scores)

    @property
    def _signal(self) -> TokenUncertainties:
        return TokenUncertainties(self.measure, self.reduction, self.top)


@register("mnlp")
@dataclass(frozen=True)
class MNLP(ScoreStrategy):
    """Query the examples whose most probable tags have the smallest log-probability per token: the score is -mean ln p_1.

    Maximum normalized log-probability (Shen et al. 2018): least confidence of a sequence, divided by its length, so that long
    sentences are not favored. Use it for tagging words, such as named entities. It reads arrays: ``probs`` with a row for each
    token, and ``offsets``.

    Difference: the paper's decoder predicts each tag given the ones before, and takes the best sequence of a beam; here every row
    of ``probs`` stands for itself. For such decoders, pass in each row the probabilities given the tags that were predicted.
    """

    paper: ClassVar[str] = "Shen et al. 2018, Deep active learning for named entity recognition"
    quantity: ClassVar[str] = "normalized log-probability"
    smallest_first: ClassVar[bool] = True

    @property
    def needs(self) -> Needs:
        """Class probabilities of the tokens of the pool."""
        return Needs(pool=(_LOG_CONFIDENCE,))

    def score(self, sets: Sets) -> Tensor:
        """The mean of -ln p_1 over the tokens, (N,), at least 0."""
        return sets.pool[_LOG_CONFIDENCE]


_LOG_CONFIDENCE = TokenUncertainties("log_confidence", "mean")


# The columns of the classes among which a selection is divided, by where the background is.
_COLUMNS = {"none": slice(0, -1), "first": slice(1, -1), "last": slice(0, -2)}


@register("class_stratified_entropy")
@dataclass(frozen=True)
class ClassStratifiedEntropy(Strategy):
    """Query uncertain examples of every class: a share of the selection is divided by class, the rest is by entropy.

    The score of an example for class c is the mean over its tokens (pixels, boxes) of p_c H, for the entropy H of a token. Each
    class takes its best examples in turn; the rest are those of largest mean entropy. Use it for segmentation and detection, where
    entropy alone asks about the frequent classes. It reads arrays: ``probs`` with a row for each token, and ``offsets``.

    Class-stratified predictive entropy (Lüth et al. 2026), with two thirds of the selection for the classes of the foreground.
    With ``beta`` the scores have the paper's power noise, ln s + Gumbel(0, 1 / beta), against redundant selections. With
    ``last_beta`` beta grows exponentially over a run, as that of ``StochasticAcquisition``; ``beta=1, last_beta=100`` is ClaSP PE,
    the only method in the paper that was generally better than random patches that favor the foreground.

    Differences: the paper selects patches of volumes, which must not overlap; here an example is selected whole. The classes take
    turns, where the published code serves one after the other, so that a part of the selection is balanced too.

    Attributes:
        share: Share of the selection that is divided among the classes, above 0 and at most 1.
        background: Whether the ``"first"`` or the ``"last"`` class is the background, for which no examples are selected;
            ``"none"``: all classes count.
        beta: Concentration on large scores, above 0; default: no noise.
        last_beta: The beta of the last selection of a run, above 0; default: ``beta``, without a schedule. It needs ``beta``.
    """

    paper: ClassVar[str] = (
        "Lüth et al. 2026, Finally outshining the random baseline: a simple and effective solution for active learning in 3D "
        "biomedical imaging"
    )
    share: float = positive(0.66, most=1)
    background: str = choice("none", _COLUMNS)
    beta: float | None = positive(None)
    last_beta: float | None = positive(None)

    def check(self) -> None:
        """A schedule has a first beta."""
        if self.last_beta is not None and self.beta is None:
            raise InvalidInput("ClassStratifiedEntropy: last_beta needs beta, that of the first selection; pass both")

    @property
    def needs(self) -> Needs:
        """Class probabilities of the tokens of the pool."""
        return Needs(pool=(TokenEntropies(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The best examples of each class in turn, then those of largest mean entropy."""
        scores = sets.pool[TokenEntropies()]
        by_class, plain = scores[:, _COLUMNS[self.background]], scores[:, -1]
        ranked = torch.cat([by_class, plain[:, None]], 1)
        if self.beta is not None:
            beta = beta_at(self, self.beta, self.last_beta, sets.elapsed)
            draws = [gumbel(rng.child("noise", c).keys(sets.pool.ids)) for c in range(ranked.shape[1])]
            noisy = [power(column, beta, draw) for column, draw in zip(ranked.T, draws, strict=True)]
            ranked = torch.stack(noisy, 1)
        rows, classes = stratified(ranked[:, :-1], ranked[:, -1], n, self.share, rng.child("classes").torch())
        return picked(sets.pool, rows, tuple(map(self._reason, classes.tolist(), by_class[rows], plain[rows])))

    def _reason(self, c: int, by_class: Tensor, plain: Tensor) -> str:
        if c < 0:
            return f"mean entropy {float(plain):.3g} nats"
        return f"entropy {float(by_class[c]):.3g} nats of class {c + (self.background == 'first')}"

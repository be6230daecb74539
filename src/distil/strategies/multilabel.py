"""Strategies for multi-label models, which have a probability of its own for every label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from distil.functional.multilabel import multilabel_uncertainty
from distil.signals import LabelProbs
from distil.strategies.base import Needs, ScoreStrategy, Sets
from distil.strategies.parameters import choice
from distil.strategies.registry import register


@register("multilabel_uncertainty")
@dataclass(frozen=True)
class MultilabelUncertainty(ScoreStrategy):
    """Query the examples whose labels are uncertain: by the mean or the largest uncertainty of their labels.

    Uncertainty sampling label by label, reduced to a number for each example (Esuli and Sebastiani 2009 compare reductions). The
    mean prefers examples with many uncertain labels, and the sum would give the same order; the largest prefers examples with
    one label that may be either. Use it with a decent model and small selections; for big ones take ``BADGE``, which spreads its
    picks.

    Attributes:
        uncertainty: ``"entropy"``, the binary entropy of each label; or ``"margin"``, 1 minus the difference of the probabilities
            of its two answers. With ``reduction="max"`` both give one order.
        reduction: ``"mean"`` or ``"max"`` over the labels.
    """

    paper: ClassVar[str] = "Esuli and Sebastiani 2009, Active learning strategies for multi-label text classification"
    quantity: ClassVar[str] = "uncertainty of the labels"
    when_tied: ClassVar[str] = "the model is certain of every label"
    uncertainty: str = choice("entropy", ("entropy", "margin"))
    reduction: str = choice("mean", ("mean", "max"))

    @property
    def needs(self) -> Needs:
        """Probabilities of the labels."""
        return Needs(pool=(LabelProbs(),))

    def score(self, sets: Sets) -> Tensor:
        """The mean or the largest uncertainty, (N,), at least 0."""
        return multilabel_uncertainty(sets.pool[LabelProbs()], self.uncertainty, self.reduction)  # type: ignore[arg-type]

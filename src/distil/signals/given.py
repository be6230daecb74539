"""Signals that only arrays hold: of tokens, and of the responses to a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from distil.functional.reductions import entropies_by_class, reduced_uncertainty
from distil.signals.base import Given, OfTokens


@dataclass(frozen=True)
class TokenUncertainties(OfTokens):
    """The uncertainties of each example's tokens, reduced to one number: (N,); see ``functional.reductions``.

    Attributes:
        measure: The uncertainty of a token: ``"entropy"``, ``"margin"``, ``"least_confidence"`` or ``"log_confidence"``.
        reduction: ``"mean"``, ``"sum"``, ``"max"`` or ``"top_mean"``.
        top: Number of the largest uncertainties of ``"top_mean"``.
    """

    noun: ClassVar[str] = "probabilities of tokens"
    measure: str = "entropy"
    reduction: str = "mean"
    top: int = 10

    def reduce(self, probs: Tensor, offsets: Tensor) -> Tensor:
        """One number for each example, (B,)."""
        return reduced_uncertainty(probs, offsets, self.measure, self.reduction, self.top)


@dataclass(frozen=True)
class TokenEntropies(OfTokens):
    """Means over each example's tokens of p_c H for each class c, then of the entropy H of a token: (N, C + 1)."""

    noun: ClassVar[str] = "probabilities of tokens"

    def reduce(self, probs: Tensor, offsets: Tensor) -> Tensor:
        """A row for each example, (B, C + 1)."""
        return entropies_by_class(probs, offsets)


@dataclass(frozen=True)
class Rewards(Given):
    """Mean rewards of each prompt's responses under a reward model: (N, R)."""

    noun: ClassVar[str] = "rewards"
    argument: ClassVar[str] = "rewards"
    axes: ClassVar[str] = "BR"


@dataclass(frozen=True)
class Deviations(Given):
    """Standard deviations of these rewards: (N, R), at least 0."""

    noun: ClassVar[str] = "standard deviations of rewards"
    argument: ClassVar[str] = "deviations"
    axes: ClassVar[str] = "BR"

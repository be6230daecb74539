"""Query by the Fisher information that labels would add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from distil.functional.bait import bait_with_gains
from distil.rng import Rng
from distil.signals import Embedding, Probs
from distil.strategies.base import Needs, Selection, Sets, Strategy, picked
from distil.strategies.parameters import count, positive
from distil.strategies.reasons import sentences
from distil.strategies.registry import register


@register("bait")
@dataclass(frozen=True)
class BAIT(Strategy):
    """Query the examples whose Fisher information, with that of the labeled set, is nearest to that of everything.

    Ash et al. 2021, algorithm 1: the trace of (information of the labels bought)^-1 (information of all), the error bound of a
    maximum likelihood estimate, is lowered greedily with ``oversample`` n examples, of which the least useful are dropped
    again; for the last layer's weights at the model's own probabilities. Examples are weighed against each other and against
    the labeled set, and nothing is tuned. For few classes and small selections: the cost grows with N C^2 (C + D) a pick, C^2 D^2
    numbers are kept, and it is refused beyond 2 GiB; ``badge`` is the choice for many classes and big pools.
    ``distil.functional.bait.bait`` has the formulas. The labeled set is optional.

    Attributes:
        ridge: The prior's information, above 0; larger means that embeddings' rare directions count less.
        oversample: How many times n are picked before the least useful are dropped.
    """

    paper: ClassVar[str] = "Ash et al. 2021, Gone fishing: neural active learning with Fisher embeddings"
    ridge: float = positive(1.0)
    oversample: int = count(2)

    @property
    def needs(self) -> Needs:
        """Probabilities and embeddings of the pool and of the labeled set."""
        signals = (Probs(), Embedding())
        return Needs(pool=signals, labeled=signals)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:  # noqa: ARG002 - nothing random here
        """Greedy picks less the least useful."""
        labeled = (sets.labeled[Probs()], sets.labeled[Embedding()]) if len(sets.labeled) else None
        pool = sets.pool
        found = bait_with_gains(
            pool[Probs()], pool[Embedding()], n, labeled=labeled, ridge=self.ridge, oversample=self.oversample
        )
        return picked(
            pool,
            found.rows,
            sentences("lowered the trace of the error bound by {:.3g} when it was picked", found.gains),
        )

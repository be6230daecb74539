"""Query by the gradients that labels would give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from distil.functional.centers import k_means_plus_plus, largest_norm
from distil.rng import Rng
from distil.signals import Gradient
from distil.strategies.base import Needs, Selection, Sets, Strategy, picked, register


@register("badge")
@dataclass(frozen=True)
class BADGE(Strategy):
    """Draw examples by k-means++ on the last layer's gradients at the predicted labels: large ones, far from each other.

    Ash et al. 2020, algorithm 1. The norm of such a gradient grows with uncertainty, so the draw weighs uncertainty against
    diversity without a parameter. A safe choice at any budget, and the one for redundant pools and big selections. As in the
    published code, the first pick is the gradient of largest norm (the paper draws it at random) and the layer's
    bias is left out. Gradients are kept as their factors, N (C + D) numbers. Cost: O(N n (C + D)) time.
    """

    paper: ClassVar[str] = "Ash et al. 2020, Deep batch active learning by diverse, uncertain gradient lower bounds"

    @property
    def needs(self) -> Needs:
        """Gradients: probabilities and embeddings."""
        return Needs(pool=(Gradient(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """k-means++ from the largest gradient."""
        gradients = sets.pool[Gradient()]
        rows = k_means_plus_plus(gradients, n, largest_norm(gradients), rng.child("k_means_plus_plus").torch())
        return picked(sets.pool, rows)

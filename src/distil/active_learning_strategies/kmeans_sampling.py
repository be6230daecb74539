"""The strategy ``KMeansSampling`` of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class KMeansSampling(Strategy):
    """Queries the example nearest to the center of each of ``budget`` clusters of the embeddings.

    See ``distil.strategies.KMeansSampling`` for the details. The arguments are those of ``Strategy``.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.KMeansSampling(), budget).tolist()

"""The strategy ``MarginSampling`` of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class MarginSampling(Strategy):
    """Queries by smallest difference between the two largest probabilities.

    See ``distil.strategies.MarginSampling`` for the details. The arguments are those of ``Strategy``.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.MarginSampling(), budget).tolist()

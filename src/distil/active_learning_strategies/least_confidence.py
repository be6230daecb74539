"""The strategy ``LeastConfidence`` of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class LeastConfidence(Strategy):
    """Queries by smallest probability of the most probable class.

    See ``distil.strategies.LeastConfidence`` for the details. The arguments are those of ``Strategy``.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.LeastConfidence(), budget).tolist()

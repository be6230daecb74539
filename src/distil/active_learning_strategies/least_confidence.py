"""LeastConfidence of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class LeastConfidence(Strategy):
    """Smallest probability of the most probable class.

    A face of ``distil.strategies.LeastConfidence``, whose docstring has the details; arguments as in ``Strategy``.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.LeastConfidence(), budget).tolist()

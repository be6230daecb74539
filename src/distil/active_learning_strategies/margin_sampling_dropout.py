"""The strategy ``MarginSamplingDropout`` of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class MarginSamplingDropout(Strategy):
    """Queries by smallest margin of the probabilities averaged over ``args["n_drop"]`` (10) dropout masks.

    See ``distil.strategies.MarginSamplingDropout`` for the details. The arguments are those of ``Strategy``.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.MarginSamplingDropout(self.n_drop), budget).tolist()

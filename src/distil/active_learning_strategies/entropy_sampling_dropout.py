"""The strategy ``EntropySamplingDropout`` of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class EntropySamplingDropout(Strategy):
    """Queries by largest entropy of the probabilities averaged over ``args["n_drop"]`` (10) dropout masks.

    See ``distil.strategies.EntropySamplingDropout`` for the details. The arguments are those of ``Strategy``.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.EntropySamplingDropout(self.n_drop), budget).tolist()

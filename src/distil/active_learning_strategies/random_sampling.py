"""The strategy ``RandomSampling`` of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class RandomSampling(Strategy):
    """Queries a uniform random subset, without replacement.

    See ``distil.strategies.RandomSampling`` for the details. The arguments are those of ``Strategy``.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.RandomSampling(), budget).tolist()

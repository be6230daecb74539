"""EntropySampling of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class EntropySampling(Strategy):
    """Largest entropy of the predicted distribution.

    A face of ``distil.strategies.EntropySampling``, whose docstring has the details; arguments as in ``Strategy``.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.EntropySampling(), budget).tolist()

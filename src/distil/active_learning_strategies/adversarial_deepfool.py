"""The strategy ``AdversarialDeepFool`` of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class AdversarialDeepFool(Strategy):
    """Queries the examples whose prediction the smallest perturbation of DeepFool changes.

    See ``distil.strategies.AdversarialDeepFool`` for the details. The arguments are those of ``Strategy``.
    ``args["max_iter"]`` (50) is the maximum number of iterations.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.AdversarialDeepFool(self.args.get("max_iter", 50)), budget).tolist()

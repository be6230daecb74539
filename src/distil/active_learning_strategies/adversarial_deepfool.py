"""AdversarialDeepFool of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class AdversarialDeepFool(Strategy):
    """Smallest perturbation, by DeepFool, that changes the prediction.

    A face of ``distil.strategies.AdversarialDeepFool``, whose docstring has the details; arguments as in ``Strategy``.
    ``args["max_iter"]`` (50) is the most iterations.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.AdversarialDeepFool(self.args.get("max_iter", 50)), budget).tolist()

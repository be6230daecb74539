"""AdversarialBIM of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class AdversarialBIM(Strategy):
    """Smallest perturbation, by the basic iterative method, that changes the prediction.

    A face of ``distil.strategies.AdversarialBIM``, whose docstring has the details; arguments as in ``Strategy``.
    ``args["eps"]`` (0.05) is the size of a step, ``args["stop_iterations_by_count"]`` (1,000) the most steps.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        attack = core.AdversarialBIM(self.args.get("eps", 0.05), self.args.get("stop_iterations_by_count", 1000))
        return self._select(attack, budget).tolist()

"""The strategy ``AdversarialBIM`` of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class AdversarialBIM(Strategy):
    """Queries the examples whose prediction the smallest perturbation of the basic iterative method changes.

    See ``distil.strategies.AdversarialBIM`` for the details. The arguments are those of ``Strategy``.
    ``args["eps"]`` (0.05) is the size of a step, ``args["stop_iterations_by_count"]`` (1,000) the maximum number of steps.
    """

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        attack = core.AdversarialBIM(self.args.get("eps", 0.05), self.args.get("stop_iterations_by_count", 1000))
        return self._select(attack, budget).tolist()

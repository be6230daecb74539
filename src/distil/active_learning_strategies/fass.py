"""The strategy ``FASS`` of DISTIL 0.1."""

from __future__ import annotations

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class FASS(Strategy):
    """Keeps the most uncertain examples and queries those that maximize a submodular function.

    See ``distil.strategies.FASS`` for the details. The arguments are those of ``Strategy``. ``args["submod"]``
    ("facility_location") names the function, ``args["selection_type"]`` ("PerClass") may also be "Supervised" or "Full", and
    ``args["uncertainty_measure"]`` ("entropy") may also be "least_confidence" or "margin".
    """

    def select(self, budget: int, top_n: float = 5) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first, among the ``top_n * budget`` most uncertain."""
        strategy = core.FASS(
            top_n,
            self.args.get("uncertainty_measure", "entropy"),
            self.args.get("submod", "facility_location"),
            self.args.get("selection_type", "PerClass"),
            self.args.get("metric", "rbf"),
        )
        return self._select(strategy, budget).tolist()

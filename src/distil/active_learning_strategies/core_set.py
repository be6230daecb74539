"""CoreSet of DISTIL 0.1."""

from __future__ import annotations

from typing import Any

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy, as_tensor
from distil.functional.centers import k_center_greedy
from distil.functional.features import Dense


class CoreSet(Strategy):
    """One by one, the example whose embedding is farthest from everything labeled or picked.

    A face of ``distil.strategies.CoreSet``, whose docstring has the details; arguments as in ``Strategy``.
    """

    def furthest_first(self, X: Any, X_set: Any, n: int) -> list[int]:  # noqa: ANN401, N803 - the documented names
        """The ``n`` rows of the embeddings X, (N, E), that are farthest first from the embeddings X_set, (M, E)."""
        centers = None if X_set is None or len(X_set) == 0 else Dense(as_tensor(X_set).float())
        return [int(row) for row in k_center_greedy(Dense(as_tensor(X).float()), n, centers)]

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.CoreSet(), budget).tolist()

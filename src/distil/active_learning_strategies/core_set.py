"""The strategy ``CoreSet`` of DISTIL 0.1."""

from __future__ import annotations

from typing import Any

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy, as_tensor
from distil.functional.centers import k_center_greedy
from distil.functional.features import Dense


class CoreSet(Strategy):
    """Queries, one by one, the example whose embedding is farthest from all that are labeled or picked.

    See ``distil.strategies.CoreSet`` for the details. The arguments are those of ``Strategy``.
    """

    def furthest_first(self, X: Any, X_set: Any, n: int) -> list[int]:  # noqa: ANN401, N803 - the documented names
        """The ``n`` rows of X, (N, E), one by one the row farthest from X_set, (M, E), and from the rows picked before."""
        centers = None if X_set is None or len(X_set) == 0 else Dense(as_tensor(X_set).float())
        return [int(row) for row in k_center_greedy(Dense(as_tensor(X).float()), n, centers)]

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(core.CoreSet(), budget).tolist()

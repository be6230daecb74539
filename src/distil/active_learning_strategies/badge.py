"""The strategy ``BADGE`` of DISTIL 0.1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy


class BADGE(Strategy):
    """Queries by k-means++ on the last layer's gradients at the predicted labels.

    See ``distil.strategies.BADGE`` for the details. The arguments are those of ``Strategy``; ``args`` is required.
    """

    def __init__(
        self,
        X: Any,  # noqa: ANN401, N803
        Y: Any,  # noqa: ANN401, N803
        unlabeled_x: Any,  # noqa: ANN401
        net: nn.Module,
        handler: Callable[..., Any],
        nclasses: int,
        args: Mapping[str, Any],
    ) -> None:
        super().__init__(X, Y, unlabeled_x, net, handler, nclasses, args)

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, in the order drawn."""
        return self._select(core.BADGE(), budget).tolist()

    def select_per_batch(self, budget: int, batch_size: int) -> list[int]:
        """Like ``select``, but in whole random batches of ``batch_size`` rows, by mean gradients; exactly ``budget`` rows."""
        return self._select(core.BADGEPerBatch(batch_size), budget).tolist()

"""The strategy ``CRAIGActive`` of DISTIL 0.1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy, residual_loss


class CRAIGActive(Strategy):
    """Queries by facility location over the distances between gradients at the predicted labels.

    See ``distil.strategies.CRAIG`` for the details. The arguments are those of ``Strategy``, and:

    Args:
        criterion: The loss whose gradients are compared.
        lrn_rate: Accepted, but the selection does not depend on it.
        selection_type: "PerClass", "Supervised" or "Per-Batch" (also "PerBatch").
        linear_layer: Whether gradients are those of the last layer's weights and bias; otherwise of its bias alone.
    """

    def __init__(
        self,
        X: Any,  # noqa: ANN401, N803
        Y: Any,  # noqa: ANN401, N803
        unlabeled_x: Any,  # noqa: ANN401
        net: nn.Module,
        criterion: Callable[..., Any],
        handler: Callable[..., Any],
        nclasses: int,
        lrn_rate: float,  # noqa: ARG002 - documented
        selection_type: str,
        linear_layer: bool,
        args: Mapping[str, Any] = {},
    ) -> None:
        super().__init__(X, Y, unlabeled_x, net, handler, nclasses, args)
        self._core = core.CRAIG(
            selection_type,
            "all" if linear_layer else "bias",
            self.args.get("batch_size", 32),
            residual_loss(criterion),
        )

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(self._core, budget).tolist()

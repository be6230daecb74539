"""The strategy ``GradMatchActive`` of DISTIL 0.1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy, residual_loss
from distil.errors import InvalidInput


class GradMatchActive(Strategy):
    """Queries examples whose gradients together match the gradient of the pool or of a validation set.

    See ``distil.strategies.GradMatch`` for the details. The arguments are those of ``Strategy``, and:

    Args:
        criterion: The loss whose gradients are matched.
        lrn_rate: Accepted, but the selection does not depend on it.
        selection_type: "PerClass" or "PerBatch".
        linear_layer: Whether gradients are those of the last layer's weights and bias; otherwise of its bias alone.
        valid: Whether to match the gradient of the validation set instead of the pool's.
        X_val: Validation data, mandatory with ``valid``.
        Y_val: Labels of the validation data, mandatory with ``valid``.
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
        valid: bool = False,
        X_val: Any = None,  # noqa: ANN401, N803
        Y_val: Any = None,  # noqa: ANN401, N803
    ) -> None:
        super().__init__(X, Y, unlabeled_x, net, handler, nclasses, args)
        if valid and (X_val is None or Y_val is None):
            raise InvalidInput("valid=True needs a validation set; pass X_val and Y_val")
        self.X_val, self.Y_val = X_val, Y_val
        self._settings: dict[str, Any] = {
            "selection_type": selection_type,
            "part": "all" if linear_layer else "bias",
            "batch_size": self.args.get("batch_size", 32),
            "loss": residual_loss(criterion),
            "valid": valid,
        }
        core.GradMatch(**self._settings)  # refuses invalid settings now rather than at the first select

    def select(self, budget: int, use_weights: bool = False) -> list[int] | tuple[list[int], list[float]]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, and with ``use_weights`` their weights by matching pursuit."""
        sets = {"validation": self._labeled(self.X_val, self.Y_val)} if self._settings["valid"] else {}
        selection = self._select(core.GradMatch(use_weights=use_weights, **self._settings), budget, **sets)
        if not use_weights or selection.weights is None:
            return selection.tolist()
        return selection.tolist(), selection.weights.tolist()

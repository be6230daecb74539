"""The strategy ``SubmodSampling`` of DISTIL 0.1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy

_FUNCTIONS = {"Disparity-min": "disparity_min", "Disparity-sum": "disparity_sum", "DPP": "dpp"}


class SubmodSampling(Strategy):
    """Queries by greedy maximization of a submodular (or dispersion) function over the pool.

    See ``distil.strategies.SubmodularSampling`` for the details. The arguments are those of ``Strategy``, and:

    Args:
        typeOf: "facility_location", "graph_cut", "saturated_coverage", "sum_redundancy", "feature_based", "Disparity-min",
            "Disparity-sum" or "DPP".
        selection_type: "Full", "PerClass" or "Supervised".
        if_grad: Whether to compare the last layer's gradients; otherwise embeddings, or inputs with
            ``args["representation"] = "raw"``.
        kernel_batch_size: Accepted, but kernels choose their own block sizes.
    """

    def __init__(
        self,
        X: Any,  # noqa: ANN401, N803
        Y: Any,  # noqa: ANN401, N803
        unlabeled_x: Any,  # noqa: ANN401
        net: nn.Module,
        handler: Callable[..., Any],
        nclasses: int,
        typeOf: str,  # noqa: N803
        selection_type: str,
        if_grad: bool = False,
        args: Mapping[str, Any] = {},
        kernel_batch_size: int = 200,  # noqa: ARG002 - documented
    ) -> None:
        super().__init__(X, Y, unlabeled_x, net, handler, nclasses, args)
        name = self.args.get("representation", "embedding")
        name = "embedding" if name == "linear" else name  # later published versions say "linear"
        representation = "gradient" if if_grad else name
        function = _FUNCTIONS.get(typeOf, typeOf)
        self._core = core.SubmodularSampling(function, selection_type, representation, self.args.get("metric", "rbf"))

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        return self._select(self._core, budget).tolist()

"""Submodular functions over a labeled table."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from distil.data.arrays import Array
from distil.errors import InvalidInput
from distil.rng import Rng
from distil.signals import Embedding, Probs, Signal, Signals
from distil.strategies.base import Sets
from distil.strategies.submodular import SubmodularSampling
from distil.utils.similarity_mat import SimilarityComputation


class SubmodularFunction(SimilarityComputation):
    """Examples that greedily maximize a submodular function.

    What ``distil.strategies.SubmodularSampling`` does, for data with labels at hand. (The document lists ``model`` and
    ``if_convex`` too; its signature does not have them.)

    Args:
        device: As for ``SimilarityComputation``.
        x_trn: Data, one row (of any shape) an example.
        y_trn: Their labels, (N,), from 0.
        N_trn: How many there are.
        batch_size: As for ``SimilarityComputation``.
        submod: ``"facility_location"``, ``"graph_cut"``, ``"saturated_coverage"``, ``"sum_redundancy"``, ``"feature_based"``, or
            ``"disparity-min"``, ``"disparity-sum"``, ``"DPP"``.
        selection_type: ``"PerClass"``, ``"Supervised"`` or ``"Full"``.

    Raises:
        InvalidInput: (a ValueError) Another ``submod`` or ``selection_type``.
    """

    def __init__(
        self,
        device: str | torch.device,
        x_trn: Array,
        y_trn: Array,
        N_trn: int,  # noqa: N803
        batch_size: int,
        submod: str,
        selection_type: str,
    ) -> None:
        super().__init__(device, x_trn, y_trn, N_trn, batch_size)
        self.submod = submod
        self.selection_type = selection_type
        self._strategy = SubmodularSampling(function=submod, selection_type=selection_type)

    def lazy_greedy_max(self, budget: int) -> list[int]:
        """The ``budget`` best examples, as plain distinct ints, the best first.

        Raises:
            InvalidInput: A budget below 1 or above the number of examples.
        """
        if isinstance(budget, bool) or not 1 <= budget <= self.N_trn:
            raise InvalidInput(f"budget must be between 1 and the {self.N_trn} examples, got {budget!r}")
        columns: dict[Signal[Tensor], Tensor] = {Embedding(): self.x_trn, Probs(): one_hot(self.y_trn).float()}
        table = Signals(torch.arange(self.N_trn), columns)
        return self._strategy.select(Sets(table), int(budget), Rng(0)).tolist()

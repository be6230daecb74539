"""Selection from labeled data by submodular functions."""

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
    """Selects examples that greedily maximize a submodular function.

    ``distil.strategies.SubmodularSampling`` for data with labels. (The document also lists ``model`` and ``if_convex``, which are
    not in its signature.)

    Args:
        device: See ``SimilarityComputation``.
        x_trn: Data, (N, ...).
        y_trn: Labels of the data, (N,), from 0.
        N_trn: Number N of examples.
        batch_size: See ``SimilarityComputation``.
        submod: ``"facility_location"``, ``"graph_cut"``, ``"saturated_coverage"``, ``"sum_redundancy"``, ``"feature_based"``,
            ``"disparity-min"``, ``"disparity-sum"`` or ``"DPP"``.
        selection_type: ``"PerClass"``, ``"Supervised"`` or ``"Full"``.

    Raises:
        InvalidInput: (a ValueError) ``submod`` or ``selection_type`` is unknown, or see ``SimilarityComputation``.
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
        """The ``budget`` selected rows of ``x_trn``, distinct plain ints in pick order.

        Raises:
            InvalidInput: ``budget`` is below 1 or above the number of examples.
        """
        if isinstance(budget, bool) or not 1 <= budget <= self.N_trn:
            raise InvalidInput(f"budget must be between 1 and {self.N_trn}, the number of examples, got {budget!r}")
        columns: dict[Signal[Tensor], Tensor] = {Embedding(): self.x_trn, Probs(): one_hot(self.y_trn).float()}
        table = Signals(torch.arange(self.N_trn), columns)
        return self._strategy.select(Sets(table), int(budget), Rng(0)).tolist()

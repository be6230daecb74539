"""Query by inner products: examples far from the labeled and picked ones, or in directions that these do not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from distil.functional.features import Dense, Features
from distil.functional.lcmd import lcmd
from distil.functional.max_det import max_det
from distil.rng import Rng
from distil.signals import Embedding, Gradient, Signal, Signals
from distil.strategies.base import Needs, Selection, Sets, Strategy, picked
from distil.strategies.parameters import choice, positive
from distil.strategies.reasons import sentences
from distil.strategies.registry import register
from distil.tasks import TASKS, Task

_KERNELS = ("gradient", "embedding")
_HOLZMUELLER = "Holzmueller et al. 2023, A framework and benchmark for deep batch active learning for regression"


@dataclass(frozen=True)
class _KernelStrategy(Strategy):
    """Base of the strategies that read one kind of row, of the pool and of the labeled set."""

    paper: ClassVar[str] = _HOLZMUELLER
    kernel: str = choice("gradient", _KERNELS)
    task: Task | None = choice(None, TASKS)

    @property
    def needs(self) -> Needs:
        """Last-layer gradients, or embeddings, of the pool and of the labeled set."""
        signals: tuple[Signal[Features] | Signal[torch.Tensor], ...] = (
            (self._gradient,) if self.kernel == "gradient" else (Embedding(),)
        )
        return Needs(pool=signals, labeled=signals)

    @property
    def _gradient(self) -> Gradient:
        return Gradient(task=self.task or "classification")

    def _rows(self, table: Signals) -> Features:
        return table[self._gradient] if self.kernel == "gradient" else Dense(table[Embedding()])

    def _labeled(self, sets: Sets) -> Features | None:
        return self._rows(sets.labeled) if len(sets.labeled) else None


@register("lcmd")
@dataclass(frozen=True)
class LCMD(_KernelStrategy):
    """Query, one by one, the farthest example of the largest cluster around the labeled and picked examples.

    Largest cluster maximum distance (Holzmueller et al. 2023, section 4.2.7): every example belongs to the nearest labeled or
    picked one, the size of a cluster is the sum of its squared distances, and its farthest example becomes a new center. The best
    of their methods in a benchmark of 15 regression sets. Like ``CoreSet`` it covers the pool, but a lone outlier is no large
    cluster. With gradients, uncertain examples are farther from everything else; in regression, gradients are embeddings with a
    column of ones, so it only needs these.

    Cost: O(N (M + n) (C + D)).

    Attributes:
        kernel: The rows: ``"gradient"``, the last layer's gradients at the predicted labels, as in ``BADGE``; or ``"embedding"``,
            which needs no model.
        task: The task of the gradients; default: that of the selection.
    """

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:  # noqa: ARG002 - nothing random here
        """The greedy picks."""
        found = lcmd(self._rows(sets.pool), n, self._labeled(sets))
        return picked(sets.pool, found.rows, tuple(map(_lcmd_reason, found.gains.sqrt().tolist())))


@register("max_det")
@dataclass(frozen=True)
class MaxDet(_KernelStrategy):
    """Query, one by one, the example about which a linear model of the rows knows least, given the labeled and picked examples.

    Holzmueller et al. 2023, section 4.2.3: the largest posterior variance of a Bayesian linear model, which maximizes the
    determinant of the labeled and picked examples' inner products greedily, and the information about the model (batch active
    learning of linear Gaussian models). Use it with few wide rows; it seeks extremes, so ``LCMD`` is better where the pool has
    outliers. ``submodular`` has the determinant of similarities, without a labeled set.

    Cost: O((N + M) C D) and some tens of O((M + n) C D) a pick.

    Attributes:
        kernel: The rows: ``"gradient"``, the last layer's gradients at the predicted labels, as in ``BADGE``; or ``"embedding"``,
            which needs no model.
        task: The task of the gradients; default: that of the selection.
        ridge: Variance of the noise of a label, above 0, as a share of the mean squared length of the rows of the pool.
    """

    ridge: float = positive(1e-3)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The greedy picks."""
        draws = rng.child("projection").torch()
        found = max_det(self._rows(sets.pool), n, draws, labeled=self._labeled(sets), ridge=self.ridge)
        return picked(
            sets.pool, found.rows, sentences("variance {:.3g} times that of the noise", torch.expm1(found.gains))
        )


def _lcmd_reason(distance: float) -> str:
    if distance == float("inf"):
        return "the longest, because nothing is labeled"
    return f"at distance {distance:.3g} from its center, the farthest of the largest cluster"

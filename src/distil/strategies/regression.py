"""Strategies for regression: by the variance of predictions, and by distances between inputs and between outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from distil.functional.bayesian_regression import posterior_variance
from distil.functional.greedy_sampling import greedy_sampling
from distil.rng import Rng
from distil.signals import Embedding, Gradient, MCPredictions, Predictions, Signal, Signals, Targets
from distil.strategies.base import Needs, ScoreStrategy, Selection, Sets, Strategy, best_rows, picked, tie_keys
from distil.strategies.parameters import choice, count, positive
from distil.strategies.reasons import sentences
from distil.strategies.registry import register


@register("variance_sampling")
@dataclass(frozen=True)
class VarianceSampling(ScoreStrategy):
    """Query the examples whose sampled predictions vary most: those of dropout masks, or of the members of an ensemble.

    The regression form of uncertainty sampling, and query by committee for regression (Burbidge, Rowland and King 2007): the
    variance of the K predictions, summed over the T predicted numbers, which are therefore to be in comparable units. Use it with
    an ensemble, for small selections. It looks at each example by itself, so a big selection may hold near duplicates, and noise
    that no label can remove does not enter it. ``LCMD`` is usually better.

    Attributes:
        n_samples: Number K of samples of the network; the cost is K forward passes.
    """

    paper: ClassVar[str] = "Burbidge, Rowland and King 2007, Active learning for regression based on query by committee"
    quantity: ClassVar[str] = "variance of the predictions"
    when_tied: ClassVar[str] = "all samples are equal, as they are without dropout and without an ensemble"
    n_samples: int = count(10)

    @property
    def needs(self) -> Needs:
        """Sampled predictions of the pool."""
        return Needs(pool=(MCPredictions(self.n_samples),))

    def score(self, sets: Sets) -> Tensor:
        """The sum of the variances, (N,), at least 0."""
        samples = sets.pool[MCPredictions(self.n_samples)]
        return (samples - samples[:, :1]).double().var(1, correction=0).sum(1)  # equal samples give exactly 0


@register("last_layer_variance")
@dataclass(frozen=True)
class LastLayerVariance(Strategy):
    """Query the examples whose predictions a linear last layer is least certain of, given the labeled set: no dropout, no ensemble.

    Bayesian linear regression on the inputs of the last layer, in closed form: the posterior variance of the prediction, with
    the layer's bias (MaxDiag of Holzmueller et al. 2023, section 4.2). Use it for small selections. It scores each example by
    itself and seeks extremes: ``MaxDet`` is the same with the other picks taken into account, so take that for more than a few
    examples.

    Cost: O((N + M) D^2 + D^3).

    Attributes:
        ridge: Variance of the noise of a label, above 0, as a share of the mean squared length of the rows of the pool.
    """

    paper: ClassVar[str] = "MacKay 1992, Information-based objective functions for active data selection"
    ridge: float = positive(1e-3)

    @property
    def needs(self) -> Needs:
        """Gradients of the prediction, which are embeddings with a column of ones, of the pool and of the labeled set."""
        return Needs(pool=(_GRADIENT,), labeled=(_GRADIENT,))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The examples of largest variance."""
        variance = posterior_variance(sets.pool[_GRADIENT].dense(), sets.labeled[_GRADIENT].dense(), ridge=self.ridge)
        rows = best_rows(tie_keys(sets.pool.ids, rng), variance, n)
        reasons = sentences("variance {:.3g} times that of the noise", variance[rows])
        return Selection(sets.pool.ids[rows], variance[rows], reasons=reasons)


@register("greedy_sampling")
@dataclass(frozen=True)
class GreedySampling(Strategy):
    """Query, one by one, the example farthest from everything labeled or picked, by inputs and predictions.

    Wu, Lin and Huang 2019. ``"igs"`` (improved greedy sampling) multiplies the distance between inputs by that between the
    prediction and the label of a labeled example, and takes the smallest product; ``"gsy"`` takes distances between predictions and
    labels alone, ``"gsx"`` those between inputs alone. Use ``"igs"`` with small selections and few, meaningful inputs; outliers
    are far from everything, so it chooses them first, and predictions of a poor model mislead it. Inputs are the embeddings, in
    their own units: standardize tables, as the paper does.

    Differences: the label of a pick counts as its prediction until the selection ends, as it is not known; the paper chooses one
    example at a time. Without labels the first pick is the example nearest to the mean, as in the paper, and the others follow the
    same rule; the paper takes the first by ``"gsx"``, one more than there are inputs, so do that to follow it. With labels
    ``"gsx"`` is ``CoreSet``.

    Cost: O(N (M + n) D).

    Attributes:
        form: ``"igs"``, ``"gsx"`` or ``"gsy"``.
    """

    paper: ClassVar[str] = "Wu, Lin and Huang 2019, Active learning for regression using greedy sampling"
    form: str = choice("igs", ("igs", "gsx", "gsy"))

    @property
    def needs(self) -> Needs:
        """Predictions of the pool and targets of the labeled set, embeddings of both; those that the form reads."""
        inputs: tuple[Signal[Any], ...] = () if self.form == "gsy" else (Embedding(),)
        outputs = self.form != "gsx"
        return Needs(
            pool=(*([Predictions()] if outputs else []), *inputs),
            labeled=(*([Targets()] if outputs else []), *inputs),
        )

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:  # noqa: ARG002 - nothing random here
        """The greedy picks."""
        labeled = self._spaces(sets.labeled, Targets()) if len(sets.labeled) else None
        found = greedy_sampling(self._spaces(sets.pool, Predictions()), n, labeled)
        return picked(sets.pool, found.rows, tuple(map(self._reason, found.gains.tolist())))

    def _spaces(self, table: Signals, outputs: Signal[Tensor]) -> list[Tensor]:
        signals = {"igs": (outputs, Embedding()), "gsx": (Embedding(),), "gsy": (outputs,)}[self.form]
        return [table[signal] for signal in signals]

    def _reason(self, distance: float) -> str:
        if distance == float("inf"):
            return "nearest to the mean of the pool, because nothing is labeled"
        what = {"igs": "product of distances", "gsx": "distance", "gsy": "distance of outputs"}
        return f"{what[self.form]} {distance:.3g} to the nearest one labeled or chosen before"


_GRADIENT = Gradient(task="regression")

"""Query examples that stand for the pool together: submodular functions, determinantal point processes, CRAIG."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from distil.errors import InvalidInput, nearest
from distil.functional.dpp import k_dpp
from distil.functional.features import Dense, Features, Grouped
from distil.functional.greedy import (
    Maximizer,
    by_class,
    lazy_greedy,
    naive_greedy,
    representatives,
    stochastic_greedy,
    two_rounds,
)
from distil.functional.similarity import Kernel, closeness, cluster_sizes, cosine, diameter, rbf
from distil.functional.submodular import FUNCTIONS, FacilityLocation
from distil.rng import Rng
from distil.signals import Embedding, Gradient, Inputs, Logits, Probs, Signal, Signals
from distil.strategies.base import (
    Needs,
    ScoreStrategy,
    Screen,
    Selection,
    Sets,
    Strategy,
    best,
    check_count,
    picked,
    register,
)
from distil.strategies.uncertainty import EntropySampling, LeastConfidence, MarginSampling

_SELECTION_TYPES = ("Full", "PerClass", "Supervised")
_METRICS: dict[str, Callable[[Features, float | None], Kernel]] = {"rbf": rbf, "cosine": lambda *_: cosine()}
_OPTIMIZERS = ("lazy", "naive", "stochastic")
_REPRESENTATIONS: dict[str, Signal[Any]] = {
    "embedding": Embedding(),
    "gradient": Gradient(part="all"),
    "raw": Inputs(),
}
_UNCERTAINTIES: dict[str, ScoreStrategy] = {
    "entropy": EntropySampling(),
    "least_confidence": LeastConfidence(),
    "margin": MarginSampling(),
}


@register("submod_sampling")
@dataclass(frozen=True)
class SubmodularSampling(Strategy):
    """Query the examples that greedily maximize a submodular function: they stand for the pool, or differ from one another.

    Wei, Iyer and Bilmes 2015, and the functions in ``distil.functional.submodular``. Knows nothing of uncertainty: for a first
    selection, before there is a model to be uncertain, and for redundant pools; ``FASS`` puts uncertainty first. Ids come
    in the order picked; class by class, the classes take turns.

    Similarities have one scale, taken from all candidates (see ``rbf``), whatever the classes; DISTIL 0.1 had none, and returned
    the first ids of the pool once distances were large. Its ``if_grad`` is ``representation``.

    Cost: O(N^2 D) for functions of all pairs, O(N n D) for the others. The pairs of ``"facility_location"`` and
    ``"saturated_coverage"`` are stored up to 400 MB, N = 10,240; larger pools (or classes, with ``"PerClass"``) are dealt into
    parts, and the answer is chosen from what the parts choose, in O(N^2 D / parts), by any optimizer (see ``two_rounds``).

    Attributes:
        function: ``"facility_location"``, ``"graph_cut"``, ``"saturated_coverage"``, ``"sum_redundancy"``, ``"feature_based"``,
            ``"disparity_min"``, ``"disparity_sum"`` or ``"dpp"`` (greedy log determinant); case and hyphens do not matter.
        selection_type: ``"Full"``; ``"PerClass"``: inside each predicted class for itself, with a share of the budget in
            proportion to its size; ``"Supervised"``: all at once, examples of different predicted classes having nothing in common.
        representation: What is compared: ``"embedding"``, ``"gradient"`` of the last layer at the predicted labels, or the
            ``"raw"`` inputs.
        metric: ``"rbf"`` or ``"cosine"``.
        gamma: Of the rbf kernel exp(-gamma d^2); default: from the median distance.
        optimizer: ``"lazy"``; ``"naive"``, which picks the same; or ``"stochastic"``, which draws samples to look at.
    """

    paper: ClassVar[str] = "Wei, Iyer and Bilmes 2015, Submodularity in data subset selection and active learning"
    function: str = "facility_location"
    selection_type: str = "Full"
    representation: str = "embedding"
    metric: str = "rbf"
    gamma: float | None = None
    optimizer: str = "lazy"

    def __post_init__(self) -> None:
        _chosen(self.function, FUNCTIONS, "function")
        _chosen(self.selection_type, _SELECTION_TYPES, "selection_type")
        _chosen(self.representation, _REPRESENTATIONS, "representation")
        _check_metric(self.metric, self.gamma)
        _chosen(self.optimizer, _OPTIMIZERS, "optimizer")

    @property
    def needs(self) -> Needs:
        """What is compared, and probabilities where classes count."""
        full = _chosen(self.selection_type, _SELECTION_TYPES, "selection_type") == "Full"
        return Needs(pool=(self._signal,) if full else (self._signal, Probs()))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """Greedy picks."""
        probs = sets.pool[Probs()] if Probs() in self.needs.pool else None
        value = sets.pool[self._signal]
        x = Dense(value) if isinstance(value, Tensor) else value
        rows = _maximized(self, x, probs, n, rng)
        return picked(sets.pool, rows)

    @property
    def _signal(self) -> Signal[Any]:
        return _REPRESENTATIONS[_chosen(self.representation, _REPRESENTATIONS, "representation")]


@register("fass")
@dataclass(frozen=True)
class FASS(Strategy):
    """Query examples that stand for the most uncertain ones: a submodular function on embeddings of the top_n n most uncertain.

    Wei, Iyer and Bilmes 2015, algorithm 2 (filtered active submodular selection), with facility location (f_NN) or the feature
    based function (f_NB), or any other of ``SubmodularSampling``. Uncertainty without its redundancy; the function sees
    the filtered examples only. With ``top_n=1`` nothing is left to choose: the most uncertain, in that order.

    DISTIL 0.1 compared by exp(-d^2) without a scale and repeated ids in pools with duplicates. Cost: O((top_n n)^2 D), and the pool
    is only scored.

    Attributes:
        top_n: How many times n examples pass the filter, at least 1; rounded up, and at most the pool.
        uncertainty: ``"entropy"``, ``"least_confidence"`` or ``"margin"``.
        function: As for ``SubmodularSampling``.
        selection_type: ``"PerClass"``, ``"Supervised"`` or ``"Full"``, as for ``SubmodularSampling``.
        metric: ``"rbf"`` or ``"cosine"``.
        gamma: Of the rbf kernel; default: from the median distance among the filtered examples.
        optimizer: ``"lazy"``, ``"naive"`` or ``"stochastic"``.
    """

    paper: ClassVar[str] = "Wei, Iyer and Bilmes 2015, Submodularity in data subset selection and active learning"
    top_n: float = 5
    uncertainty: str = "entropy"
    function: str = "facility_location"
    selection_type: str = "PerClass"
    metric: str = "rbf"
    gamma: float | None = None
    optimizer: str = "lazy"

    def __post_init__(self) -> None:
        if isinstance(self.top_n, bool) or not isinstance(self.top_n, (int, float)) or not 1 <= self.top_n < math.inf:
            raise InvalidInput(f"top_n must be a number from 1, got {self.top_n!r}")
        _chosen(self.uncertainty, _UNCERTAINTIES, "uncertainty")
        _chosen(self.function, FUNCTIONS, "function")
        _chosen(self.selection_type, _SELECTION_TYPES, "selection_type")
        _check_metric(self.metric, self.gamma)
        _chosen(self.optimizer, _OPTIMIZERS, "optimizer")

    @property
    def needs(self) -> Needs:
        """Probabilities, and embeddings of what passes the filter."""
        return Needs(pool=(Probs(), Embedding()), screen=self._screen)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """Filter, then greedy picks."""
        probs, embedding = sets.pool[Probs()], sets.pool[Embedding()]
        rows = self.most_uncertain(probs, n)
        if len(rows) > n:
            rows = rows.sort().values
            rows = rows[_maximized(self, Dense(embedding[rows]), probs[rows], n, rng)]
        return picked(sets.pool, rows)

    def most_uncertain(self, probs: Tensor, n: int) -> Tensor:
        """The rows that pass the filter for a selection of ``n``, the most uncertain first: (min(N, ceil(top_n n)),)."""
        rows = torch.arange(len(probs))
        scores = self._screen.by.score(Sets(Signals(rows, {Probs(): probs})))
        return best(rows, scores, self._screen.rows(n, len(probs))).ids

    @property
    def _screen(self) -> Screen:
        return Screen(_UNCERTAINTIES[_chosen(self.uncertainty, _UNCERTAINTIES, "uncertainty")], self.top_n)


@register("baseline_sampling")
@dataclass(frozen=True)
class KDPP(Strategy):
    """Draw examples by a k-DPP on the last layer's gradients at the predicted labels: sets in proportion to their squared volume.

    The law that BADGE's k-means++ imitates (Ash et al. 2020, section 4), and their baseline; there it was drawn by a Markov chain,
    here exactly where that is possible and otherwise by projections (see ``distil.functional.dpp.k_dpp``). About as good as
    BADGE at many times the cost: for comparisons. The layer's bias is left out, as in BADGE.

    Cost: O(N s^2 + s^3 + N n^2) with s up to 2,048, or 2 n.
    """

    paper: ClassVar[str] = "Kulesza and Taskar 2011, k-DPPs; Ash et al. 2020"

    @property
    def needs(self) -> Needs:
        """Gradients: probabilities and embeddings."""
        return Needs(pool=(Gradient(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """In the order drawn."""
        return picked(sets.pool, k_dpp(sets.pool[Gradient()], n, rng.child("k_dpp").torch()))


Loss = Callable[[Tensor, Tensor], Tensor]

_CRAIG_TYPES = ("PerClass", "Supervised", "PerBatch")
_PARTS = ("all", "weights", "bias")


@register("craig")
@dataclass(frozen=True)
class CRAIG(Strategy):
    """Query medoids of the gradients at the predicted labels, each with the number of examples that it stands for as its weight.

    Mirzasoleiman, Bilmes and Leskovec 2020: the weighted gradients of the subset differ from the whole pool's by no more than
    sum_i min_{j in S} d_ij, which facility location over the similarity max d - d lowers greedily (algorithm 1). Distances are
    not squared, as in the paper's bound (DISTIL 0.1 squared them, and lost track of which gradient was whose). Good where
    training on the weighted subset is to replace training on everything; it does not look for uncertainty.

    Weights are cluster sizes and sum to N: each example counts for the nearest pick, of its predicted class if that has one.
    Cost: O(N^2 (C + D)), in each class for itself O(sum_c N_c^2 (C + D)); gradients stay factored. More than 10,240 are covered in
    ``two_rounds``.

    Attributes:
        selection_type: ``"PerClass"``: each predicted class for itself, with a share of the budget in proportion to its size;
            ``"Supervised"``: all at once, examples of different predicted classes having nothing in common; ``"PerBatch"`` (or
            ``"Per-Batch"``): batches of examples with consecutive ids, by their mean gradients, chosen whole. A batch's examples
            come in the order of their distance to its mean, and the last batch is cut to make exactly n.
        part: Which of the last layer's gradients: ``"all"`` (``linear_layer=True`` in DISTIL), its ``"bias"`` alone
            (``linear_layer=False``) or its ``"weights"``.
        batch_size: Examples in a batch, for ``"PerBatch"``; the last may be smaller.
        loss: ``loss(logits (1, C), labels (1,))``; default: the cross entropy.
    """

    paper: ClassVar[str] = "Mirzasoleiman et al. 2020, Coresets for data-efficient training of machine learning models"
    selection_type: str = "PerClass"
    part: str = "all"
    batch_size: int = 32
    loss: Loss | None = None

    def __post_init__(self) -> None:
        _chosen(self.selection_type, _CRAIG_TYPES, "selection_type")
        _chosen(self.part, _PARTS, "part")
        check_count(self.batch_size, "batch_size")

    @property
    def needs(self) -> Needs:
        """Gradients at the predicted labels."""
        return Needs(pool=(self._gradient,))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:  # noqa: ARG002 - nothing random here
        """Medoids, in the order picked, with their weights."""
        x = sets.pool[self._gradient]
        kind = _chosen(self.selection_type, _CRAIG_TYPES, "selection_type")
        if kind == "PerBatch":
            rows, weights = self._of_batches(x, sets.pool.ids, n)
        else:
            outputs = sets.pool[Probs() if self.loss is None else Logits()]
            labels = outputs.argmax(-1)
            if kind == "PerClass":
                rows = by_class(labels, n, outputs.shape[1], lambda part, budget: _medoids(x[part], budget))
            else:
                rows = _medoids(x, n, labels)
            weights = cluster_sizes(x, rows, classes=labels)
        return Selection(sets.pool.ids[rows], weights=weights.float())

    def _of_batches(self, x: Features, ids: Tensor, n: int) -> tuple[Tensor, Tensor]:
        batches = ids.argsort().split(self.batch_size)
        sizes = torch.tensor([len(batch) for batch in batches])
        groups = torch.empty_like(ids)
        groups[torch.cat(batches)] = torch.arange(len(batches)).repeat_interleave(sizes)
        means = Grouped(x, groups, len(batches))
        chosen = _medoids(means, min(len(batches), -(-n // self.batch_size) + 1))  # one more: one may be small
        chosen = chosen[: int((sizes[chosen].cumsum(0) < n).sum()) + 1]
        rows = torch.cat([_nearest_to_mean_first(x, batches[b]) for b in chosen.tolist()])[:n]
        taken = torch.bincount(groups[rows], minlength=len(batches))
        weights = torch.zeros(len(batches), dtype=torch.float64)
        weights[chosen] = cluster_sizes(means, chosen, counts=sizes) / taken[chosen]
        return rows, weights[groups[rows]]

    @property
    def _gradient(self) -> Gradient:
        part: Any = _chosen(self.part, _PARTS, "part")
        return Gradient(part=part, loss=self.loss)


def _medoids(x: Features, n: int, classes: Tensor | None = None) -> Tensor:
    """Facility location over max d - d: (n,) rows in pick order. Only classes with nothing in common need to know max d."""
    kernel = closeness(x, None if classes is None else diameter(x))
    return two_rounds(FacilityLocation, x, n, kernel, lazy_greedy, classes=classes)


def _nearest_to_mean_first(x: Features, rows: Tensor) -> Tensor:
    members = x[rows].double()
    norms = members.sq_norms()
    mean = members.combine(torch.full_like(norms, 1 / len(rows)))
    dists = norms - 2 * members.project(mean)
    scale = norms.max().clamp_min(torch.finfo(torch.float64).tiny)
    return rows[(dists / scale).round(decimals=9).argsort(stable=True)]  # equal up to rounding: the smaller id


def _maximized(strategy: SubmodularSampling | FASS, x: Features, probs: Tensor | None, n: int, rng: Rng) -> Tensor:
    """The rows of ``x`` that the strategy's function, kind of selection, metric and optimizer pick."""
    kind = _chosen(strategy.selection_type, _SELECTION_TYPES, "selection_type")
    labels = None if kind == "Full" or probs is None else probs.argmax(-1)
    return representatives(
        _chosen(strategy.function, FUNCTIONS, "function"),
        x,
        n,
        _METRICS[_chosen(strategy.metric, _METRICS, "metric")](x, strategy.gamma),
        _maximizer(_chosen(strategy.optimizer, _OPTIMIZERS, "optimizer"), rng),
        labels=labels,
        num_classes=0 if probs is None else probs.shape[1],
        apart=kind == "PerClass",
    )


def _maximizer(optimizer: str, rng: Rng) -> Maximizer:
    if optimizer == "stochastic":
        return functools.partial(stochastic_greedy, generator=rng.child("stochastic_greedy").torch())
    return lazy_greedy if optimizer == "lazy" else naive_greedy


def _check_metric(metric: str, gamma: float | None) -> None:
    if _chosen(metric, _METRICS, "metric") == "cosine" and gamma is not None:
        raise InvalidInput(f"gamma belongs to the rbf metric, and the metric is 'cosine'; got gamma={gamma!r}")
    if gamma is not None and not (isinstance(gamma, (int, float)) and 0 < gamma < math.inf):
        raise InvalidInput(f"gamma must be a number above 0, got {gamma!r}")


def _chosen(value: object, choices: Iterable[str], name: str) -> str:
    """The choice that ``value`` means, whatever its case, hyphens and underscores."""
    known = {_plain(choice): choice for choice in choices}
    if not isinstance(value, str) or _plain(value) not in known:
        offer = nearest(value, known.values()) if isinstance(value, str) else ""
        raise InvalidInput(f"{name} must be one of {', '.join(map(repr, known.values()))}, got {value!r}{offer}")
    return known[_plain(value)]


def _plain(value: str) -> str:
    return value.lower().replace("-", "").replace("_", "")

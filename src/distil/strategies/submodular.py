"""Query examples that represent the pool, or its most uncertain part, by maximizing submodular functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import Dense, Features
from distil.functional.gains import RowsWithGains
from distil.functional.greedy import (
    Maximizer,
    lazy_greedy,
    naive_greedy,
    representative_with_gains,
    stochastic_greedy,
)
from distil.functional.similarity import Kernel, cosine, rbf
from distil.functional.submodular import COVERS, FUNCTIONS
from distil.rng import Rng
from distil.signals import Embedding, Gradient, Inputs, Probs, Signal, Signals
from distil.strategies.base import Needs, ScoreStrategy, Selection, Sets, Shortlist, Strategy, best_rows, picked
from distil.strategies.parameters import at_least, choice, positive
from distil.strategies.reasons import sentences, two_rounds_notes
from distil.strategies.registry import register
from distil.strategies.uncertainty import EntropySampling, LeastConfidence, MarginSampling

_SELECTION_TYPES = ("Full", "PerClass", "Supervised")
METRICS: dict[str, Callable[[Features, float | None], Kernel]] = {"rbf": rbf, "cosine": lambda *_: cosine()}
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
    """Query the examples that greedily maximize a submodular function: they represent the pool, or differ from one another.

    Wei, Iyer and Bilmes 2015, and the functions in ``distil.functional.submodular``. It ignores uncertainty: use it for the first
    selection, before there is a model, and for redundant pools; ``FASS`` starts from the most uncertain examples. Ids come in
    pick order; with ``"PerClass"``, the classes take turns.

    Similarities have one scale, taken from all candidates whatever their classes (see ``rbf``). DISTIL 0.1 had no scale and
    returned the first ids of the pool when distances were large. Its ``if_grad`` is ``representation`` here.

    Cost: O(N^2 D) for functions of all pairs, O(N n D) for the others. ``"facility_location"`` and ``"saturated_coverage"`` store
    their pairs, up to 400 MB (N = 10,240). Larger pools (or classes, with ``"PerClass"``) are divided into parts, and the
    selection is made from the picks of all parts, in O(N^2 D / parts), with any optimizer (see ``two_rounds``).

    Attributes:
        function: ``"facility_location"``, ``"graph_cut"``, ``"saturated_coverage"``, ``"sum_redundancy"``, ``"feature_based"``,
            ``"disparity_min"``, ``"disparity_sum"`` or ``"dpp"`` (greedy log determinant); case and hyphens do not matter.
        selection_type: ``"Full"``: from the whole pool; ``"PerClass"``: from each predicted class separately, with a share of the
            budget proportional to its size; ``"Supervised"``: from the whole pool, with similarity 0 between different
            predicted classes.
        representation: The vectors that are compared: ``"embedding"``, ``"gradient"`` of the last layer at the predicted labels,
            or the ``"raw"`` inputs.
        metric: ``"rbf"`` or ``"cosine"``.
        gamma: Parameter of the rbf kernel exp(-gamma d^2), above 0; default: set from the median distance.
        optimizer: ``"lazy"``; ``"naive"``, which picks the same examples; or ``"stochastic"``, which examines random samples only.
    """

    paper: ClassVar[str] = "Wei, Iyer and Bilmes 2015, Submodularity in data subset selection and active learning"
    function: str = choice("facility_location", FUNCTIONS)
    selection_type: str = choice("Full", _SELECTION_TYPES)
    representation: str = choice("embedding", _REPRESENTATIONS)
    metric: str = choice("rbf", METRICS)
    gamma: float | None = positive(None)
    optimizer: str = choice("lazy", _OPTIMIZERS)

    def check(self) -> None:
        """Refuse ``gamma`` with the cosine metric."""
        _check_gamma(self)

    @property
    def needs(self) -> Needs:
        """The representation of the pool, and class probabilities unless ``selection_type`` is ``"Full"``."""
        return Needs(pool=(self._signal,) if self.selection_type == "Full" else (self._signal, Probs()))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The greedy picks, in order."""
        probs = sets.pool[Probs()] if Probs() in self.needs.pool else None
        value = sets.pool[self._signal]
        x = Dense(value) if isinstance(value, Tensor) else value
        found = _maximized(self, x, probs, n, rng)
        return picked(sets.pool, found.rows, sentences(_gain_in(self), found.gains), notes=_notes(self, x, probs))

    @property
    def _signal(self) -> Signal[Any]:
        return _REPRESENTATIONS[self.representation]


@register("fass")
@dataclass(frozen=True)
class FASS(Strategy):
    """Query examples that represent the most uncertain ones: a submodular function on the top_n n most uncertain examples.

    Wei, Iyer and Bilmes 2015, algorithm 2 (filtered active submodular selection), with facility location (f_NN), the feature
    based function (f_NB) or any other function of ``SubmodularSampling``, on embeddings. Uncertainty without redundancy; the
    function is that of the filtered examples only. ``top_n=1`` gives the n most uncertain examples, the most uncertain first.

    DISTIL 0.1 used the kernel exp(-d^2) without a scale and repeated ids in pools with duplicates. Cost: O((top_n n)^2 D), plus
    scoring the pool.

    Attributes:
        top_n: Examples that pass the filter, per selected example, at least 1; top_n n is rounded up, to at most the whole pool.
        uncertainty: ``"entropy"``, ``"least_confidence"`` or ``"margin"``.
        function: The function to maximize, as for ``SubmodularSampling``.
        selection_type: ``"PerClass"``, ``"Supervised"`` or ``"Full"``, as for ``SubmodularSampling``.
        metric: ``"rbf"`` or ``"cosine"``.
        gamma: Parameter of the rbf kernel, above 0; default: set from the median distance among the filtered examples.
        optimizer: ``"lazy"``, ``"naive"`` or ``"stochastic"``, as for ``SubmodularSampling``.
    """

    paper: ClassVar[str] = "Wei, Iyer and Bilmes 2015, Submodularity in data subset selection and active learning"
    top_n: float = at_least(5, 1)
    uncertainty: str = choice("entropy", _UNCERTAINTIES)
    function: str = choice("facility_location", FUNCTIONS)
    selection_type: str = choice("PerClass", _SELECTION_TYPES)
    metric: str = choice("rbf", METRICS)
    gamma: float | None = positive(None)
    optimizer: str = choice("lazy", _OPTIMIZERS)

    def check(self) -> None:
        """Refuse ``gamma`` with the cosine metric."""
        _check_gamma(self)

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool, and embeddings of the examples that pass the filter."""
        return Needs(pool=(Probs(), Embedding()), shortlist=self._shortlist)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The greedy picks among the filtered examples, in order."""
        probs, embedding = sets.pool[Probs()], sets.pool[Embedding()]
        rows = self.most_uncertain(probs, n)
        notes = self._shortlist.notes(n, len(probs))
        if len(rows) == n:
            return picked(sets.pool, rows, self._uncertain(sets.pool, rows), notes=notes)
        rows = rows.sort().values
        x, probs = Dense(embedding[rows]), probs[rows]
        found = _maximized(self, x, probs, n, rng)
        rows = rows[found.rows]
        reasons = sentences(f"{{}}, {_gain_in(self)}", self._uncertain(sets.pool, rows), found.gains)
        return picked(sets.pool, rows, reasons, notes=notes + _notes(self, x, probs))

    def most_uncertain(self, probs: Tensor, n: int) -> Tensor:
        """The rows that pass the filter for a selection of ``n``, the most uncertain first: (min(N, ceil(top_n n)),)."""
        rows = torch.arange(len(probs))
        scores = self._shortlist.by.score(Sets(Signals(rows, {Probs(): probs})))
        return best_rows(rows, scores, self._shortlist.rows(n, len(probs)))

    def _uncertain(self, pool: Signals, rows: Tensor) -> tuple[str, ...]:
        """The uncertainty of these rows, in words."""
        by = self._shortlist.by
        chosen = pool.excerpt(rows, by.needs.pool + by.evidence)
        return by.reasons(chosen, by.score(Sets(chosen)))

    @property
    def _shortlist(self) -> Shortlist:
        return Shortlist(_UNCERTAINTIES[self.uncertainty], self.top_n)


def _gain_in(strategy: SubmodularSampling | FASS) -> str:
    """The template of a reason: the gain of a pick in the function's value."""
    return f"gain {{:.3g}} in {strategy.function.replace('_', ' ')}"


def _notes(strategy: SubmodularSampling | FASS, x: Features, probs: Tensor | None) -> tuple[str, ...]:
    """The note on two rounds, where the function was maximized in two rounds."""
    apart = strategy.selection_type == "PerClass"
    size = len(x) if probs is None or not apart else int(probs.argmax(-1).bincount().max())
    return two_rounds_notes(strategy.function.replace("_", " "), size) if strategy.function in COVERS else ()


def _maximized(
    strategy: SubmodularSampling | FASS, x: Features, probs: Tensor | None, n: int, rng: Rng
) -> RowsWithGains:
    """The rows of ``x`` that the strategy picks, with their gains."""
    kind = strategy.selection_type
    labels = None if kind == "Full" or probs is None else probs.argmax(-1)
    return representative_with_gains(
        strategy.function,
        x,
        n,
        METRICS[strategy.metric](x, strategy.gamma),
        _maximizer(strategy.optimizer, rng),
        labels=labels,
        num_classes=0 if probs is None else probs.shape[1],
        apart=kind == "PerClass",
    )


def _maximizer(optimizer: str, rng: Rng) -> Maximizer:
    if optimizer == "stochastic":
        return functools.partial(stochastic_greedy, generator=rng.child("stochastic_greedy").torch())
    return lazy_greedy if optimizer == "lazy" else naive_greedy


def _check_gamma(strategy: SubmodularSampling | FASS) -> None:
    if strategy.metric == "cosine" and strategy.gamma is not None:
        name = type(strategy).__name__
        raise InvalidInput(
            f"{name}: gamma is a parameter of metric='rbf', got gamma={strategy.gamma!r} with metric='cosine'; leave gamma out"
        )

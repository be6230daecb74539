"""Query for coverage before there are labels, and by uncertainty afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from distil.functional.clustering import k_means
from distil.functional.scale import unit_rows
from distil.rng import Rng
from distil.signals import Embedding, Probs
from distil.strategies.base import Needs, Selection, Sets, Strategy
from distil.strategies.coverage import TypiClust
from distil.strategies.diversity import representing
from distil.strategies.parameters import count
from distil.strategies.registry import register
from distil.strategies.uncertainty import MarginSampling


def centroid_start(sets: Sets, n: int, rng: Rng) -> Selection:
    """The example nearest to each of n centers of k-means on embeddings scaled to unit length (Gupte et al. 2024, section 3)."""
    x = unit_rows(sets.pool[Embedding()])
    return representing(sets.pool, x, k_means(x, n, rng.child("k_means").torch()), n, "center")


@dataclass(frozen=True)
class _InTurn(Strategy):
    """Base of the strategies that change from coverage to margin sampling."""

    @property
    def needs(self) -> Needs:
        """Class probabilities and embeddings of the pool, embeddings of the labeled set."""
        return Needs(pool=(Probs(), Embedding()), labeled=(Embedding(),))


@register("centroid_start")
@dataclass(frozen=True)
class CentroidStart(_InTurn):
    """Query the example nearest to each of n k-means centers while nothing is labeled, then the examples of smallest margin.

    The simplest answer to the cold start on frozen embeddings of a foundation model (Gupte et al. 2024, section 3): a first
    selection that is spread over the pool, then ``MarginSampling``. Use it as a baseline there. With one label a class or fewer
    after the first selection, stay with coverage for longer, as ``TCM`` does; for redundant pools take ``DropQuery``.

    ``KMeansSampling`` is this start alone, with embeddings as they are. Cost: O(N n D) per iteration of the start.
    """

    paper: ClassVar[str] = "Gupte et al. 2024, Revisiting active learning in the era of vision foundation models"

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """One example for each cluster, or the smallest margins first."""
        sets.pool[Probs()], sets.pool[Embedding()]  # both stages need what the strategy says that it needs
        started = len(sets.labeled[Embedding()]) > 0
        return MarginSampling().select(sets, n, rng) if started else centroid_start(sets, n, rng)


@register("tcm")
@dataclass(frozen=True)
class TCM(_InTurn):
    """Query by ``TypiClust`` up to a number of labels, then by ``MarginSampling``.

    TypiClust, then margin (Doucet, Estermann, Aczel and Wattenhofer 2024). Two lines that are hard to beat on embeddings from a
    self-supervised or foundation model, so it is the baseline for any strategy that claims to serve all budgets. Where the pool is
    redundant, its second stage picks duplicates; ``UHerding`` does not.

    The paper counts the steps before the change, which depend on the size of a step. This counts labels: the change comes at
    ``labels_per_class`` times the number of classes, whatever their distribution. Cost: that of the current stage.

    Attributes:
        labels_per_class: Average number of labels for each class from which margin sampling takes over.
    """

    paper: ClassVar[str] = "Doucet et al. 2024, Bridging diversity and uncertainty in active learning (TCM)"
    labels_per_class: int = count(5)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The selection of the current stage."""
        sets.pool[Embedding()]
        labels, change = len(sets.labeled[Embedding()]), self.labels_per_class * sets.pool[Probs()].shape[1]
        stage, where = (TypiClust(), "below") if labels < change else (MarginSampling(), "from")
        note = f"{type(stage).__name__}, as there are {labels:,} labels, {where} {change:,}"
        return stage.select(sets, n, rng).with_notes((note,))

"""Query around the labeled examples of each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from distil.errors import counted
from distil.functional.anchors import around_anchors, class_anchors
from distil.rng import Rng
from distil.signals import Embedding, Labels
from distil.strategies.base import Needs, Selection, Sets, Strategy
from distil.strategies.nested import from_rows, needs_with
from distil.strategies.parameters import count
from distil.strategies.registry import held, register
from distil.strategies.uncertainty import MarginSampling


@register("anchors")
@dataclass(frozen=True)
class Anchors(Strategy):
    """Query examples that another strategy chooses among those similar to labeled examples of some class.

    AnchorAL (Lesci and Vlachos 2024): up to ``anchors`` labeled examples of each class, drawn apart from each other, bring their
    nearest unlabeled neighbors into the part of the pool that the other strategy sees. Each class has the same number of anchors,
    so this part is far more balanced than the pool, and small. Use it for rare classes in large pools, once each class has a
    label or two; it needs the labels of the labeled set. Do not use it to discover classes: an example unlike all labeled ones
    is never seen. Without labels, the other strategy chooses from the whole pool.

    With ``anchors`` of at least the number of labels, it is SEALS (Coleman et al. 2022), which looks around all labeled examples.

    Differences: neighbors are exact where the published code has an approximate index, and where the anchors have less than n
    neighbors, more of each are taken. Similarity is the cosine. Cost: O(N C A D) for C classes with A anchors each, and one
    selection of the other strategy from at most ``size`` examples.

    Attributes:
        of: The strategy: an object, a name, or an entry ``{"name": ..., "args": {...}}``.
        anchors: Largest number of labeled examples of each class.
        neighbors: Number of unlabeled neighbors of each.
        size: Largest number of examples to choose from, or n where that is more.
    """

    paper: ClassVar[str] = (
        "Lesci and Vlachos 2024, AnchorAL: computationally efficient active learning for large and imbalanced datasets"
    )
    of: Strategy = held(MarginSampling())
    anchors: int = count(10)
    neighbors: int = count(50)
    size: int = count(1_000)

    @property
    def needs(self) -> Needs:
        """Embeddings of the pool and the labeled set, labels of the labeled set, and what the other strategy reads."""
        return needs_with(Needs(pool=(Embedding(),), labeled=(Embedding(), Labels())), self.of)

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The picks of the strategy around the anchors."""
        x, labeled, own = sets.pool[Embedding()], sets.labeled[Embedding()], rng.child("around")
        if not len(labeled):  # an empty set has no labels either
            found = from_rows(self.of, sets, torch.arange(len(x)), n, own)
            return found.with_notes(("picked from the whole pool, as there are no labeled examples to look around",))
        labels = sets.labeled[Labels()]
        anchors = class_anchors(labeled, labels, self.anchors, rng.child("anchors").torch())
        rows = around_anchors(x, labeled[anchors], self.neighbors, n, max(n, self.size))
        classes = len(labels.unique())
        note = (
            f"picked among {len(rows):,} of {len(x):,} examples, neighbors of {counted(len(anchors), 'labeled example')} of "
            f"{classes:,} {'class' if classes == 1 else 'classes'}"
        )
        return from_rows(self.of, sets, rows, n, own).with_notes((note,))

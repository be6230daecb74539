"""Query at the boundaries of classes, of rare ones as often as of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from distil.errors import counted
from distil.functional.galaxy import class_boundaries
from distil.rng import Rng
from distil.signals import Labels, Probs
from distil.strategies.base import Needs, Selection, Sets, Strategy, picked
from distil.strategies.registry import register


@register("galaxy")
@dataclass(frozen=True)
class GALAXY(Strategy):
    """Query examples at the boundary between one class and the others; each class is as likely to be looked at as any other.

    Zhang, Katz-Samuels and Nowak 2022: for every class, the labeled and unlabeled examples are ordered by how much the model
    prefers that class, and the boundary between labeled examples of the class and labeled examples of others is found by
    bisection (``functional.galaxy.class_boundaries``). Use it for rare classes in imbalanced pools: uncertainty sampling looks
    where a model trained on few examples of a class believes the boundary to be, bisection looks where the labels say that it is.
    Do not use it for balanced classes, where margin sampling does as well, nor before the classes have labels: until then it
    draws at random. It needs the labels of the labeled set.

    Difference: the paper asks for each label before it picks the next example. Here a pick counts as an example of its predicted
    class until the labels of the whole selection come, so small selections follow the paper more closely.

    Cost: O((N + M) log (N + M)) for each class and O(N + M) a pick, for M labeled examples.
    """

    paper: ClassVar[str] = (
        "Zhang, Katz-Samuels and Nowak 2022, GALAXY: graph-based active learning at the extreme, algorithms 1 and 2"
    )

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool and of the labeled set, and the labels of the labeled set."""
        return Needs(pool=(Probs(),), labeled=(Probs(), Labels()))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """Examples at the boundaries of classes that are drawn at random."""
        probs, known = sets.pool[Probs()], torch.full((len(sets.pool),), -1)
        labeled = sets.labeled[Probs()]
        if len(labeled):  # an empty set has no labels either
            probs = torch.cat([probs, labeled.to(probs.dtype)])
            known = torch.cat([known, sets.labeled[Labels()]])
        found = class_boundaries(probs, known, n, rng.child("classes").torch())
        entries = zip(found.how, found.classes.tolist(), found.spans.tolist(), strict=True)
        return picked(sets.pool, found.rows, tuple(_reason(*entry) for entry in entries))


def _reason(how: str, c: int, span: int) -> str:
    if how == "bisected":
        return f"halfway between class {c} and the others, which {counted(span, 'example')} separate"
    return f"nearest to the boundary of class {c}" if how == "nearest" else f"at random: class {c} has no boundary yet"

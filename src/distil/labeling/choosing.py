"""Which items a project hands out next: a model is fitted to the labels, and a strategy chooses, with a share of random items."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from distil.errors import DistilWarning
from distil.labeling.events import RANDOM
from distil.rng import Rng
from distil.selection.select import select_from
from distil.signals import Embedding
from distil.strategies.auto import Auto
from distil.strategies.base import Strategy
from distil.training.linear_head import HeadConfig, LinearHead, fit_head

RANDOM_SHARE: Final = 0.1
"""The default share of items that are drawn at random, from which the accuracy of the model is measured without bias."""
_MOST: Final = (
    50_000  # open items that the automatic strategy represents and chooses from: of more, a random part of so many
)
_ONE_CLASS_SHARE: Final = 0.5
"""The share while all labels are of one class: a rare second one may be far from what represents the pool."""


@dataclass(frozen=True, eq=False)
class Guesses:
    """What the model says about every item.

    Attributes:
        classes: The most probable class of each item, (N,) int64.
        p: Its probability, (N,) float32.
        probs: All probabilities, (N, C) float32.
    """

    classes: Tensor
    p: Tensor
    probs: Tensor


@dataclass(frozen=True, eq=False)
class Order:
    """Items to hand out next, the best first.

    Attributes:
        rows: Rows of the items, (n,) int64.
        reasons: Why each was chosen.
    """

    rows: Tensor
    reasons: list[str]


def fitted(x: Tensor, y: Tensor, num_classes: int) -> Guesses | None:
    """The guesses of a linear head that is fitted to the labels; None while fewer than two classes have labels.

    Args:
        x: Rows of all items, (N, D).
        y: The class of each item, (N,) int64; -1 where it has none.
        num_classes: C.
    """
    known = torch.nonzero(y >= 0)[:, 0]
    if num_classes < 2 or len(y[known].unique()) < 2:
        return None
    head = LinearHead.over(x, num_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DistilWarning)
        fit_head(head, x[known], y[known], HeadConfig())
    with torch.no_grad():
        probs = torch.cat([head(block).softmax(1) for block in x.split(8192)])
    top = probs.max(1)
    return Guesses(top.indices, top.values, probs)


def next_items(
    x: Tensor,
    near: Tensor,
    labeled: Tensor,
    open_rows: Tensor,
    n: int,
    rng: Rng,
    *,
    guesses: Guesses | None = None,
    classes: Sequence[str] | None = None,
    strategy: Strategy | None = None,
    share: float = RANDOM_SHARE,
) -> Order:
    """Choose the items to hand out next.

    Args:
        x: Rows of all items, (N, D).
        near: The same rows, or shorter ones, by which the automatic strategy compares items, (N, E).
        labeled: Rows of the items that have a label, (M,).
        open_rows: Rows of the items that may be chosen, (R,) ascending.
        n: Number of items; all that are open if there are fewer.
        rng: Random numbers; another one for every call, or the random places repeat.
        guesses: What the model says, if there is one.
        classes: The names of the classes, for the reasons.
        strategy: The strategy; default: ``auto``, among at most 50,000 random open items. It also stands in for a strategy
            that reads predictions while there are none.
        share: Probability that a place goes to a random item. While there are labels of one class alone, it is at least a half,
            unless it is 0.

    Returns:
        ``n`` items. Each place is random with probability ``share``, whatever stands at the others, so the random items are a
        simple random sample of those that were open.
    """
    n = min(n, len(open_rows))
    if n == 0:
        return Order(open_rows[:0], [])
    if guesses is None and len(labeled) and share:
        share = max(share, _ONE_CLASS_SHARE)
    random_places = torch.rand(n, generator=rng.child("places").torch()) < share
    drawn = open_rows[torch.randperm(len(open_rows), generator=rng.child("random").torch())[: int(random_places.sum())]]
    rest = open_rows[~torch.isin(open_rows, drawn)]
    n_chosen = n - len(drawn)
    rows, reasons = torch.empty(n, dtype=torch.long), [RANDOM] * n
    rows[random_places] = drawn
    if n_chosen:
        cold = guesses is None and strategy is not None and not strategy.needs.signals <= {Embedding()}
        named = None if cold else strategy
        if named is None and len(rest) > _MOST:
            rest = rest[torch.randperm(len(rest), generator=rng.child("rest").torch())[:_MOST].sort().values]
        chosen = Auto() if named is None else named
        found = select_from(
            chosen,
            n_chosen,
            embeddings=near if named is None else x,
            probs=None if guesses is None else guesses.probs,
            labeled=labeled,
            candidates=rest,
            classes=None if guesses is None else classes,
            rng=rng.child("strategy"),
        )
        places = torch.nonzero(~random_places)[:, 0]
        rows[places] = found.ids
        for place, reason in zip(places.tolist(), found.reasons or [chosen.__class__.__name__] * n_chosen, strict=True):
            reasons[place] = reason
    return Order(rows, reasons)

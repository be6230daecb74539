"""Query by the last layer's gradients at the predicted labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from distil.functional.centers import k_means_plus_plus, k_means_plus_plus_with_gains, largest_norm
from distil.functional.dpp import k_dpp
from distil.functional.features import Grouped, lengths
from distil.rng import Rng
from distil.signals import Gradient
from distil.strategies.base import Needs, Selection, Sets, Strategy, picked, tie_keys
from distil.strategies.parameters import choice, count
from distil.strategies.reasons import sentences
from distil.strategies.registry import register
from distil.tasks import TASKS, Task


@register("badge")
@dataclass(frozen=True)
class BADGE(Strategy):
    """Query examples by k-means++ on the last layer's gradients at the predicted labels: long gradients, far from each other.

    Ash et al. 2020, algorithm 1. The norm of a gradient grows with uncertainty, so the draw balances uncertainty and diversity
    without a parameter. A safe choice at any budget, and the best for redundant pools and big selections. As in the published
    code, the first pick is the gradient of largest norm (the paper draws it at random) and the layer's bias is left out.
    Gradients are kept as their factors, N (C + D) numbers. Cost: at most O(N n (C + D)) time; only a few of the n picks are
    compared with the whole pool (see ``k_means_plus_plus``).

    For multi-label models gradients are those of the sum of the labels' binary cross entropies, (sigmoid(z) - y) h^T with y the
    predicted labels: an example is long if many of its labels are uncertain. In regression the label says nothing about the
    length, and it is k-means++ on embeddings with a column of ones (Holzmueller et al. 2023, section 4.2).

    Attributes:
        task: The task of the gradients; default: that of the selection.
    """

    paper: ClassVar[str] = "Ash et al. 2020, Deep batch active learning by diverse, uncertain gradient lower bounds"
    in_order_of_ids: ClassVar[bool] = True
    reads_features: ClassVar[bool] = True
    task: Task | None = choice(None, TASKS)

    @property
    def needs(self) -> Needs:
        """Gradients of the pool, from its probabilities and embeddings."""
        return Needs(pool=(Gradient(task=self.task or "classification"),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """k-means++ that starts with the gradient of largest norm."""
        gradients, ids = sets.pool.features(self.needs.pool[0]).with_norms(), sets.pool.ids
        first = largest_norm(gradients, tie_keys(ids, rng))
        found = k_means_plus_plus_with_gains(gradients, n, first, self.draws(rng), ids)
        return picked(sets.pool, found.rows, self.reasons(lengths(gradients[found.rows]), found.gains))

    def draws(self, rng: Rng) -> torch.Generator:
        """The generator of the draws of a selection with ``rng``."""
        return rng.child("k_means_plus_plus").torch()

    def reasons(self, norms: Tensor, sq_dists: Tensor) -> tuple[str, ...]:
        """The reasons of the picks, by the lengths of their gradients (n,) and squared distances to the picks before (n,)."""
        template = "gradient of length {:.3g}, distance {:.3g} to the nearest one chosen before"
        first = sentences("gradient of length {:.3g}, the longest", norms[:1])
        return first + sentences(template, norms[1:], sq_dists[1:].sqrt())


@register("badge_per_batch")
@dataclass(frozen=True)
class BADGEPerBatch(Strategy):
    """Query whole random batches by k-means++ on their mean gradients: BADGE in the per-batch form of DISTIL 0.1.

    Cheaper than BADGE by the size of a batch, but it ignores differences inside a batch. The last batch chosen is cut so that
    exactly n examples are returned. (The published code returned whole batches, more than n examples, and failed where the size
    of the pool was not a multiple of the batch size.)

    Attributes:
        batch_size: Examples per batch; the last batch may be smaller.
    """

    paper: ClassVar[str] = "Ash et al. 2020, in the per-batch form of DISTIL 0.1"
    batch_size: int = count(32)

    @property
    def needs(self) -> Needs:
        """Gradients of the pool, from its probabilities and embeddings."""
        return Needs(pool=(Gradient(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """k-means++ over batches, starting with the one whose mean gradient has the largest norm."""
        shuffled = torch.randperm(len(sets.pool), generator=rng.child("batches").torch())
        batches = shuffled.split(self.batch_size)
        groups = torch.empty_like(shuffled)
        for number, rows in enumerate(batches):
            groups[rows] = number
        means = Grouped(sets.pool[Gradient()], groups, len(batches)).with_norms()
        wanted = min(len(batches), -(-n // self.batch_size) + 1)  # one more, in case the short last batch is among them
        draws = rng.child("k_means_plus_plus").torch()
        chosen = k_means_plus_plus(means, wanted, largest_norm(means), draws)
        rows = torch.cat([batches[number].sort().values for number in chosen.tolist()])[:n]
        norms = lengths(means)[groups[rows]]
        return picked(sets.pool, rows, sentences("in a batch whose mean gradient has length {:.3g}", norms))


@register("baseline_sampling")
@dataclass(frozen=True)
class KDPP(Strategy):
    """Query a set of examples drawn by a k-DPP: with probability proportional to the squared volume of the set's gradients.

    Gradients are those of the last layer at the predicted labels, without its bias. BADGE's k-means++ imitates this
    distribution, and Ash et al. 2020, section 4, take it as a baseline. They sampled it by a Markov chain; here sampling is exact
    where possible and otherwise uses projections (see ``distil.functional.dpp.k_dpp``). About as good as BADGE at many times the
    cost, so use it for comparisons only.

    Cost: O(N s^2 + s^3 + N n^2) with s up to 2,048, or 2 n where that is larger.
    """

    paper: ClassVar[str] = "Kulesza and Taskar 2011, k-DPPs; Ash et al. 2020"

    @property
    def needs(self) -> Needs:
        """Gradients of the pool, from its probabilities and embeddings."""
        return Needs(pool=(Gradient(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The set drawn, in the order of the draw."""
        gradients = sets.pool[Gradient()]
        rows = k_dpp(gradients, n, rng.child("k_dpp").torch())
        norms = lengths(gradients[rows])
        return picked(
            sets.pool, rows, sentences("gradient of length {:.3g}, drawn for the volume of the whole set", norms)
        )

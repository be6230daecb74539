"""The ceiling of a comparison: in each round, the best of many candidate selections, found with the true labels.

"BoSS: A best-of-strategies selector as an oracle for deep active learning" (2026, arXiv 2603.13109): ten strategies propose
selections from random parts of the pool, a head is trained with the true labels of each, and the one of best test accuracy is
kept. It looks at labels that no strategy sees, so it shows how much a better choice among such selections would gain. It is no
upper bound: it looks one round ahead, so a strategy that prepares later rounds may pass it.

Differences from the paper: the head is logistic regression on the embeddings of the round's network, fitted to its optimum with the
decay that the labeled set chooses, in place of 50 epochs of training; the ten strategies are those of this library; parts have ten
sizes, so that they differ in small pools too; and equal accuracies are decided by the cross entropy of the test examples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from distil.experiment.split import Split
from distil.functional.logistic_regression import Decay, LogisticRegression, fit_logistic_regression, pool_scale
from distil.measuring.network_source import NetworkSource
from distil.rng import Rng
from distil.selection.learner import Learner
from distil.signals import Embedding, Labels, Logits, Signals
from distil.strategies.base import Sets
from distil.strategies.registry import for_classes, strategy_named
from distil.system.runtime import Runtime
from distil.training.linear_head import HeadConfig

PROPOSING: Final = (
    "random_sampling",
    "margin_sampling",
    "badge",
    "core_set",
    "typiclust",
    "maxherding",
    "uherding",
    "alfa_mix",
    "dropquery",
    "falcun",
)
"""The strategies that propose selections, ten each."""

_EACH, _LARGEST_PART = 10, 5_000
_READ: Final = (Logits(), Embedding())
_DECAY = 0.1  # of the fits where the labeled set has one class, from which no decay can be chosen


@dataclass(frozen=True, eq=False)
class Proposal:
    """A candidate selection.

    Attributes:
        strategy: The name of the strategy that proposes it.
        ids: The examples, (n,), best first.
        accuracy: The test accuracy of a head that is trained with their labels too; NaN before it is known.
    """

    strategy: str
    ids: Tensor
    accuracy: float = math.nan


def best_selection(
    learner: Learner, split: Split, budget: int, *, head: HeadConfig, runtime: Runtime, rng: Rng
) -> Proposal:
    """The best of a hundred candidate selections.

    Args:
        learner: The learner, after the training of the round before.
        split: The split of its data set, with the true labels of the whole pool.
        budget: Number of examples to choose, or all unlabeled ones where there are fewer.
        head: The settings of the fits.
        runtime: Device and minibatch size of the forward passes.
        rng: Randomness of the round.

    Cost: a hundred selections from parts of at most 5,000 examples, and a hundred fits of logistic regression.
    """
    network, own = learner.network, learner.labeled
    pool = NetworkSource(network, split.x, learner.pool.unlabeled).table(_READ, runtime, rng.child("pool"))
    labeled = NetworkSource(network, split.x, own.ids, own.y).table((*_READ, Labels()), runtime, rng.child("labeled"))
    everyone = torch.arange(len(split.x_test))
    test = NetworkSource(network, split.x_test, everyone).table((Embedding(),), runtime, rng.child("test"))
    candidates = proposals(pool, labeled, min(budget, len(pool)), learner.pool.num_classes, rng)
    heads = Heads(pool, split.y[pool.ids], labeled, test[Embedding()], split.y_test, learner.pool.num_classes, head)
    return best_of(candidates, heads)


def proposals(pool: Signals, labeled: Signals, n: int, num_classes: int, rng: Rng) -> Iterator[Proposal]:
    """A hundred candidate selections: each strategy chooses from random parts of 10 %, 20 %, ..., 100 % of the pool.

    Parts have at least ``n`` examples, and at most these shares of 5,000.

    Args:
        pool: The unlabeled examples, with logits and embeddings.
        labeled: The labeled examples, with these and labels.
        n: Number of examples to choose.
        num_classes: C.
        rng: Randomness of the parts and of the strategies.
    """
    for name in PROPOSING:
        strategy = for_classes(strategy_named(name), num_classes)
        for step in range(1, _EACH + 1):
            draws = rng.child(name, step)
            size = max(n, math.ceil(min(len(pool), _LARGEST_PART) * step / _EACH))
            part = torch.randperm(len(pool), generator=draws.child("part").torch())[:size]
            yield Proposal(name, strategy.select(Sets(pool.rows(part), labeled), n, draws).ids)


class Heads:
    """Heads that are trained with the true labels of candidate selections.

    Args:
        pool: The unlabeled examples, with embeddings.
        y: Their true classes, (N,).
        labeled: The labeled examples, with embeddings and labels.
        x_test: Embeddings of the test examples, (T, D).
        y_test: Their classes, (T,).
        num_classes: C.
        config: The settings of the fits; the decay that ``"auto"`` chooses on the labeled set is that of all fits.
    """

    def __init__(
        self,
        pool: Signals,
        y: Tensor,
        labeled: Signals,
        x_test: Tensor,
        y_test: Tensor,
        num_classes: int,
        config: HeadConfig,
    ) -> None:
        center, spread = pool_scale([pool[Embedding()], labeled[Embedding()]])
        own, self._x, self._test = (
            (x.double() - center) / spread for x in (labeled[Embedding()], pool[Embedding()], x_test)
        )
        self._row = {id_: row for row, id_ in enumerate(pool.ids.tolist())}
        self._y, self._labeled, self._y_test = y, (own, labeled[Labels()]), y_test
        self._classes, self._weights = num_classes, config.class_weights
        self._decay: Decay = config.decay
        self._decay = self._fitted(*self._labeled).decay or _DECAY

    def _fitted(self, x: Tensor, y: Tensor) -> LogisticRegression:
        return fit_logistic_regression(x, y, self._classes, decay=self._decay, class_weights=self._weights)

    def quality(self, ids: Tensor) -> tuple[float, float]:
        """Test accuracy, then minus the mean cross entropy, of the head that is trained with the labels of ``ids`` too."""
        rows = torch.tensor([self._row[id_] for id_ in ids.tolist()])
        x, y = self._labeled
        head = self._fitted(torch.cat([x, self._x[rows]]), torch.cat([y, self._y[rows]]))
        logits = self._test @ head.weight.T + head.bias
        loss = torch.nn.functional.cross_entropy(logits, self._y_test)
        return float((logits.argmax(1) == self._y_test).double().mean()), -float(loss)


def best_of(candidates: Iterable[Proposal], heads: Heads) -> Proposal:
    """The candidate of best quality, with its accuracy; the first of equals."""
    distinct: dict[tuple[int, ...], Proposal] = {}
    for one in candidates:
        distinct.setdefault(tuple(sorted(one.ids.tolist())), one)
    rated = [(heads.quality(one.ids), one) for one in distinct.values()]
    (accuracy, _), best = max(rated, key=lambda entry: entry[0])
    return replace(best, accuracy=accuracy)

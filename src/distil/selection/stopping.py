"""Ask stopping rules after each fit of a learner."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distil.errors import InvalidInput, whole_number
from distil.evaluation.stopping import Round, StopRule, first_reason
from distil.rng import Rng
from distil.selection.learner import Learner
from distil.strategies.base import Selection

STOP_SET = 1000
"""Number of examples of the stop set; of a smaller pool, all."""


class Stopping:
    """Says when to stop a loop of ``query``, ``label`` and ``fit``.

    Args:
        learner: The learner. Its pool is read; nothing in it changes.
        rules: One or several rules, of which the first that says so ends the loop.
        size: Number of examples of the stop set, drawn at random from the pool; its labels are never read. Bloodgood and
            Vijay-Shanker (2009) found 2,000 to be enough.
        seed: Seed of the draw.

    Attributes:
        rounds: The rounds so far. A loop that goes on in another process sets it to those that it kept.

    >>> import distil
    >>> x = torch.linspace(-1, 1, 200)[:, None]
    >>> learner = distil.Learner(x, distil.LinearHead.over(x, 2), "margin_sampling", num_classes=2)
    >>> learner.label([0, 199], [0, 1])
    >>> stopping = distil.Stopping(learner, [distil.StablePredictions(), distil.LabelBudget(labels=100)])
    >>> _ = learner.fit()
    >>> while (reason := stopping.reason()) is None:
    ...     ids = learner.query(5)
    ...     learner.label(ids, [int(x[i] > 0) for i in ids])
    ...     _ = learner.fit()
    >>> len(learner.pool.labeled) < 100, reason.split(" (")[0]
    (True, 'the predictions are stable')
    """

    def __init__(
        self, learner: Learner, rules: StopRule | Sequence[StopRule], *, size: int = STOP_SET, seed: int = 0
    ) -> None:
        self._rules = list(rules) if isinstance(rules, Sequence) else [rules]
        if not self._rules or not all(isinstance(rule, StopRule) for rule in self._rules):
            raise InvalidInput(
                f"rules must be one or several stopping rules, such as LabelBudget(labels=500), got {rules!r}"
            )
        if whole_number(size, 1) is None:
            raise InvalidInput(f"size must be a whole number from 1, got {size!r}")
        if learner.task != "classification":
            raise InvalidInput(
                f"stopping rules read classes and their probabilities, and the learner's task is {learner.task}"
            )
        self._learner = learner
        self._ids = stop_set(learner, Rng(seed), size)
        self.rounds: list[Round] = []
        self._measured: int | None = None  # the learner's number of fits when the last round was measured

    def reason(self, score: float | None = None) -> str | None:
        """Measure the round and ask the rules; call it after each ``fit``. Another call before the next fit replaces the round.

        Args:
            score: A score in [0, 1] of the model on examples that nothing else uses, for ``SmallGain``.

        Returns:
            Why to stop; None: go on.
        """
        found = round_of(self._learner, self._ids, score)
        if self.rounds and self._measured == self._learner.round:
            self.rounds.pop()
        self.rounds.append(found)
        self._measured = self._learner.round
        return first_reason(self._rules, self.rounds)


def stop_set(learner: Learner, rng: Rng, size: int = STOP_SET) -> Tensor:
    """The ids of the stop set, ascending: at most ``size`` random ones of those that are not held out."""
    ids = torch.arange(len(learner.pool))
    ids = ids[~torch.isin(ids, learner.pool.held_out)]
    return ids[torch.randperm(len(ids), generator=rng.child("stopping").torch())[:size]].sort().values


def round_of(learner: Learner, ids: Tensor, score: float | None = None) -> Round:
    """The round of a learner after a fit, on the stop set ``ids``."""
    largest, classes = learner.probs(Selection(ids)).max(1)
    unsure = 1 - largest[torch.isin(ids, learner.pool.unlabeled)]
    return Round(
        labels=len(learner.pool.labeled),
        classes=tuple(classes.tolist()),
        uncertainty=float(unsure.double().mean()) if len(unsure) else 0.0,
        largest=float(unsure.max()) if len(unsure) else 0.0,
        score=score,
    )

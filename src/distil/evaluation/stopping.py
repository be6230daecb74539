"""When to stop labeling: rules that read the rounds of a loop so far.

``distil.selection.stopping`` measures a round of a learner; a run does so where its configuration has ``active_learning.stop``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distil.errors import InvalidInput, counted, finite_number, whole_number
from distil.evaluation.forecast import forecast


@dataclass(frozen=True, kw_only=True)
class Round:
    """What stopping rules read of a round.

    Attributes:
        labels: Number of labels that the model was fitted to.
        classes: The class that the model gives to each example of the stop set, the same examples in every round.
        uncertainty: 1 minus the largest probability of each unlabeled example of the stop set: its mean.
        largest: The same: its largest value. Both are 0 without unlabeled examples.
        score: A score in [0, 1] on examples that nothing else uses, such as the accuracy on a validation set; None: not known.
    """

    labels: int
    classes: tuple[int, ...]
    uncertainty: float
    largest: float
    score: float | None = None

    def __post_init__(self) -> None:
        score = finite_number(self.score)
        if self.score is not None and (score is None or not 0 <= score <= 1):
            raise InvalidInput(f"score must be a number from 0 to 1, of which larger is better; got {self.score!r}")


class StopRule(ABC):
    """A reason to stop labeling."""

    @abstractmethod
    def reason(self, rounds: Sequence[Round]) -> str | None:
        """Why to stop after these rounds, as the end of "stopped at 300 labels: ..."; None: go on."""


@dataclass(frozen=True, kw_only=True)
class StablePredictions(StopRule):
    """Stop when the model hardly changes its predictions any more.

    Bloodgood and Vijay-Shanker, "A Method for Stopping Active Learning Based on Stabilizing Predictions and the Need for
    User-Adjustable Stopping", 2009: Cohen's kappa between the predictions of one round and the next on a stop set that need not be
    labeled, averaged over the last few pairs of rounds. Their constants are the defaults. Kappa is relative to the size of a
    selection: small selections change a model little.

    Two rounds that give one and the same class to every example have a kappa of 0, not 1: a model that has learned nothing yet
    does not change either.

    Attributes:
        kappa: The mean kappa from which to stop, in (0, 1]; smaller values stop earlier.
        window: Number of pairs of rounds.
    """

    kappa: float = 0.99
    window: int = 3

    def __post_init__(self) -> None:
        _in_unit(self, "kappa")
        _counted(self, "window")

    def reason(self, rounds: Sequence[Round]) -> str | None:
        """See ``StopRule.reason``."""
        last = rounds[-self.window - 1 :]
        if len(last) <= self.window:
            return None
        mean = float(np.mean([cohen_kappa(before.classes, after.classes) for before, after in pairwise(last)]))
        if mean < self.kappa:
            return None
        return f"the predictions are stable (mean kappa {mean:.3f} over the last {self.window + 1} rounds)"


@dataclass(frozen=True, kw_only=True)
class LowUncertainty(StopRule):
    """Stop when the model is certain of the rest of the pool.

    Zhu, Wang and Hovy, "Multi-Criteria-based Strategy to Stop Active Learning for Data Annotation", 2008: their overall uncertainty
    (the mean) and their max-confidence (of the most uncertain example), with 1 minus the largest probability in place of the
    entropy. A model that is certain and wrong stops too early, and one with many hard examples never stops.

    Attributes:
        mean: The mean uncertainty at which to stop, 1 minus the largest probability; None: the mean does not count.
        largest: The uncertainty of the most uncertain example at which to stop; None: it does not count.
    """

    mean: float | None = 0.05
    largest: float | None = None

    def __post_init__(self) -> None:
        if self.mean is None and self.largest is None:
            raise InvalidInput("LowUncertainty needs mean or largest, a number in (0, 1]")
        for name in ("mean", "largest"):
            if getattr(self, name) is not None:
                _in_unit(self, name)

    def reason(self, rounds: Sequence[Round]) -> str | None:
        """See ``StopRule.reason``."""
        last = rounds[-1]
        if self.mean is not None and last.uncertainty > self.mean:
            return None
        if self.largest is not None and last.largest > self.largest:
            return None
        return f"the model is certain of the rest of the pool (mean uncertainty {last.uncertainty:.3f}, largest {last.largest:.3f})"


@dataclass(frozen=True, kw_only=True)
class SmallGain(StopRule):
    """Stop when further labels will hardly raise the score, by the forecast of ``distil.evaluation.forecast``.

    It stops where the upper end of the interval of the forecast is below the value that was asked for, several times in a row:
    a noisy curve is flat for a while now and then. It needs rounds with a ``score``. It never stops where the forecast cannot tell,
    which includes scores that fall: of a loss, pass 1 minus its value.

    Attributes:
        value: What 100 labels must add to the score to be worth their cost, such as 0.005 for half a point.
        ahead: Number of labels that the forecast looks ahead.
        window: Number of rounds in a row.
    """

    value: float = 0.005
    ahead: int = 100
    window: int = 3

    def __post_init__(self) -> None:
        _in_unit(self, "value")
        _counted(self, "ahead")
        _counted(self, "window")

    def reason(self, rounds: Sequence[Round]) -> str | None:
        """See ``StopRule.reason``."""
        ends = range(len(rounds) - self.window + 1, len(rounds) + 1)
        most = [self._most(rounds[:end]) for end in ends if end > 0]
        if len(most) < self.window or max(most) > self.value * self.ahead / 100:
            return None
        return f"the next {counted(self.ahead, 'label')} add at most {100 * most[-1]:.1f} points"

    def _most(self, rounds: Sequence[Round]) -> float:
        """The upper end of what the labels add; infinity where it is not known."""
        curve = {each.labels: each.score for each in rounds if each.score is not None}
        if not curve:
            return math.inf
        found = forecast(list(curve), [list(curve.values())], self.ahead)
        return math.inf if found.unknown is not None else found.gain_high


@dataclass(frozen=True, kw_only=True)
class LabelBudget(StopRule):
    """Stop at a number of labels.

    Attributes:
        labels: The number.
    """

    labels: int

    def __post_init__(self) -> None:
        _counted(self, "labels")

    def reason(self, rounds: Sequence[Round]) -> str | None:
        """See ``StopRule.reason``."""
        return f"the budget of {self.labels:,} labels is spent" if rounds[-1].labels >= self.labels else None


def first_reason(rules: Sequence[StopRule], rounds: Sequence[Round]) -> str | None:
    """The reason of the first rule that says to stop after these rounds; None: go on."""
    reasons = (rule.reason(rounds) for rule in rules) if rounds else iter(())
    return next((reason for reason in reasons if reason is not None), None)


def cohen_kappa(one: ArrayLike, other: ArrayLike) -> float:
    """Cohen's kappa of two lists of classes, (N,) each: the agreement beyond that of lists with the same frequencies at random.

    It is 0 where both lists hold one and the same class, as there is no agreement beyond chance.
    """
    a, b = np.asarray(one), np.asarray(other)
    names = np.unique(np.concatenate([a, b]))
    by_chance = float(sum((a == name).mean() * (b == name).mean() for name in names))
    return 0.0 if by_chance == 1 else float(((a == b).mean() - by_chance) / (1 - by_chance))


def _in_unit(rule: Any, name: str) -> None:  # noqa: ANN401 - one of the rules
    value = getattr(rule, name)
    number = finite_number(value)
    if number is None or not 0 < number <= 1:
        raise InvalidInput(f"{type(rule).__name__}.{name} must be a number in (0, 1], got {value!r}")


def _counted(rule: Any, name: str) -> None:  # noqa: ANN401
    value = getattr(rule, name)
    if whole_number(value, 1) is None:
        raise InvalidInput(f"{type(rule).__name__}.{name} must be a whole number from 1, got {value!r}")

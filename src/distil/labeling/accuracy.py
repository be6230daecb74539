"""How many of all items are right if the model labels the rest: estimated, with an interval, from the items drawn at random.

The labels that people gave are taken to be right, so what is unknown is the number of errors that the present model makes on the
items without an answer. What the strategy chose says nothing of these, because it chooses what the model finds hard. A random item
is drawn from all items that are open at that time, each as likely. It is judged by a model like the present one that was not fitted
to its label (``Snapshot.unseen``), so it does not matter which model was there when it was drawn.

Let item k be drawn from O_k open items. Some of these were answered later, k among them, and are known; the model is wrong on W_k
of them. If the model is wrong on a share r_k of the O_k items, it makes O_k r_k - W_k errors on the items that are still open.
The random items give the mean r of the r_k: item k is wrong with probability r_k. Averaged with weights 1 / O_k, all draws together
say that the number of errors is::

    H r - sum_k (W_k / O_k) / sum_k (1 / O_k)          with H, the harmonic mean of the O_k

If the random items were independent trials, r would be in the exact (Clopper-Pearson) interval of the share of wrong ones in at
least 95 of 100 projects: the number of successes varies less for trials with different probabilities than for trials with their
mean (Hoeffding 1956). They are not: an item that is guessed wrong teaches the present model more than one that is guessed right, so
the present model makes fewer errors where the share says more (Bates, Hastie and Tibshirani 2021). Where errors fall like the b-th
power of the number of labels, this adds 2 b f to the variance, in units of that of independent trials, for a share f of random
items among the labels. With b = 1/2, n items count as n / (1 + f).

People skip items because of what is in them, so nothing can be said of skipped items. The estimate is for the items that people
label: open items count by the share of random items that got a label.

Limits: the models of the held-out guesses know four fifths of the labels, so the estimate is low by what the last fifth taught the
model; this is small against the interval. Items that were added to the project later are taken to be like those that were there
before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from distil.evaluation.shares import exact_interval


@dataclass(frozen=True)
class Accuracy:
    """The accuracy over the whole pool of the labels of people and, where there are none, the model's guesses.

    Attributes:
        n: Number of random items from which it is estimated.
        accuracy: The estimate.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    n: int
    accuracy: float
    low: float
    high: float


class Judged(NamedTuple):
    """An item with an answer.

    Attributes:
        random: Whether it was drawn at random.
        labeled: Whether it has a label.
        wrong: Whether a model that was not fitted to this label guesses another class; None without a label or a guess.
    """

    random: bool
    labeled: bool
    wrong: bool | None


def estimated_accuracy(answered: Sequence[Judged], untouched: int) -> Accuracy | None:
    """The accuracy over the whole pool; None without a random item that is judged. See the module.

    Args:
        answered: The items with an answer, in the order of their first answers.
        untouched: Number of items without an answer.
    """
    if not answered:
        return None
    random, labeled = (np.array([getattr(each, name) for each in answered], bool) for name in ("random", "labeled"))
    wrong = np.array([bool(each.wrong) for each in answered])
    judged = random & [each.wrong is not None for each in answered]
    n = int(judged.sum())
    if n == 0:
        return None
    rest = untouched * labeled[random].mean()
    from_here_on = np.array([labeled, wrong])[:, ::-1].cumsum(1)[:, ::-1]
    drawn_from, later_wrong = rest + from_here_on[0, judged], from_here_on[1, judged]
    mean = n / (1 / drawn_from).sum()
    known = (later_wrong / drawn_from).mean() * mean
    dependent = 1 + n / labeled.sum()
    share = exact_interval(wrong[judged].sum() / dependent, n / dependent)
    errors = np.clip([mean * r - known for r in (share.share, share.high, share.low)], 0, rest)
    accuracy, low, high = (1 - errors / (labeled.sum() + rest)).tolist()
    return Accuracy(n, accuracy, low, high)

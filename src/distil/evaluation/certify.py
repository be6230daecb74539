"""How much of a pool a model may label so that at most a stated number of labels is wrong, from a random sample with known labels.

The items of the pool are put in an order that does not depend on the sample, the surest first, and the model labels a first part
of it. Let the hypothesis H(j) say that the model is wrong on more than ``limit`` of the first j items. A sample drawn at random
from the pool rejects H(j) if it holds so few wrong items among these that this has probability at most alpha under H(j), by the
hypergeometric distribution. The hypotheses are tested in the order of j up to the first one that is not rejected, each at the full
level: if some are true, the first true one has to be rejected for a wrong conclusion, which happens with probability at most alpha
(fixed-sequence testing). So no correction for the choice among thresholds is needed, and none is left out. The number of wrong
items in the sample grows only at wrong items, so the part ends just before the first wrong item that is one too many.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distil.functional.bounds import errors_allowed

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

STARTS: Final = 8
"""Number of places, at equal distances in the order, at which the part of the second labeler may begin."""


class Routes(NamedTuple):
    """Who labels what in the order: the model up to ``model``, the second labeler from there to ``second``, people the rest."""

    model: int
    second: int


def sequences(two: bool) -> int:
    """The number of sequences of tests, which share alpha: with a second labeler, one for each place where its part may begin."""
    return STARTS + 1 if two else 1


def certified(places: Rows, wrong: Flags, size: int, limit: int, alpha: float) -> int:
    """The number of first items that the model may label.

    Args:
        places: The places of the sample in the order of the pool, (m,), distinct.
        wrong: Whether the model is wrong on each, (m,).
        size: Number of items in the pool.
        limit: Number of labels that may be wrong.
        alpha: Probability of more, in (0, 1).

    Returns:
        From 0 to ``size``; 0 also where the sample is too small to show anything.

    >>> certified(np.array([2, 5, 7, 9]), np.array([False, False, True, True]), 10, 4, 0.2)
    7
    """
    return _end(np.sort(places[wrong]), errors_allowed(len(places), size, limit, alpha), size)


def routed(
    places: Rows, wrong: Flags, second_wrong: Flags, size: int, limit: int, alpha: float, second_cost: float
) -> Routes:
    """The cheapest certified split of the pool between the model, a second labeler and people.

    For each of nine places a, the model labels the first a items, and the part of the second labeler grows from there until the
    tests stop it; the ninth sequence is that of the model alone. Each sequence has alpha / 9, so the choice among them needs no
    further correction. An item that the model or the second labeler labels wrongly counts as one error.

    Args:
        places: The places of the sample in the order of the pool, (m,), distinct.
        wrong: Whether the model is wrong on each, (m,).
        second_wrong: Whether the second labeler is wrong on each, (m,).
        size: Number of items in the pool.
        limit: Number of labels that may be wrong.
        alpha: Probability of more, in (0, 1).
        second_cost: The cost of an answer of the second labeler, where that of a person is 1 and the model's is 0.

    >>> places, second_wrong = np.arange(40) * 5, np.zeros(40, bool)
    >>> routed(places, places >= 100, second_wrong, 200, 40, 0.1, 0.1)
    Routes(model=100, second=200)
    """
    allowed = errors_allowed(len(places), size, limit, alpha / sequences(True))
    found = [Routes(*[_end(np.sort(places[wrong]), allowed, size)] * 2)]
    for start in [size * step // STARTS for step in range(STARTS)]:
        errors = np.sort(places[np.where(places < start, wrong, second_wrong)])
        end = _end(errors, allowed, size)
        if end >= start:
            found.append(Routes(start, end))
    return min(found, key=lambda each: second_cost * (each.second - each.model) + size - each.second)


def _end(errors: Rows, allowed: int, size: int) -> int:
    """The place of the first error that is one too many: ``size`` if there is none, 0 if a sample without errors shows nothing."""
    if allowed < 0:
        return 0
    return size if len(errors) <= allowed else int(errors[allowed])

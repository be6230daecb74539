"""GALAXY: pick rows at the boundaries of classes, which are found by bisecting an order of the rows for each class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.errors import InvalidInput

# Bytes of the orders of classes that are kept.
_MEMORY = 256 << 20

How = Literal["bisected", "nearest", "random"]
"""Why a row was picked: halfway between two classes, nearest to a boundary that is found, or at random for want of one."""


@dataclass(frozen=True, eq=False)
class BoundaryPicks:
    """Rows that ``class_boundaries`` picked.

    Attributes:
        rows: Distinct rows without a class, in pick order, (n,) int64.
        classes: The class whose boundary was looked for, (n,) int64.
        how: Why each row was picked.
        spans: Rows without a class between the two that a bisected row lies between, else 0, (n,) int64.
    """

    rows: Tensor
    classes: Tensor
    how: tuple[How, ...]
    spans: Tensor


def class_boundaries(probs: Tensor, known: Tensor, n: int, generator: torch.Generator) -> BoundaryPicks:
    """Pick rows one by one between the class of some row and the other classes, in the order of one class at a time.

    Zhang, Katz-Samuels and Nowak 2022, algorithms 1 and 2. For class c, all rows are ordered by p_c minus the largest
    probability, from the largest to the smallest, equal rows by p_c. Of two neighboring rows with classes, of which one is c and
    the other is not, the pair with fewest rows in between is found, and the row halfway between them is picked: a binary search
    for the boundary. Where no such pair has rows in between, the row nearest to a boundary is picked; where c or its complement
    has no row yet, a random one. The class c is drawn anew for each pick; with two classes there is one order, as that of one
    class is the reverse of the other's.

    Difference: the paper asks for the label of each pick before the next. Here a pick counts as a row of its predicted class, the
    most probable one, until all are picked.

    Args:
        probs: Class probabilities of all rows, (N, C).
        known: The class of each row, (N,) int64; -1 for rows without, which may be picked.
        n: Number of rows to pick.
        generator: CPU generator.

    Raises:
        InvalidInput: ``n`` is larger than the number of rows without a class.

    Cost: O(N) a pick, and O(N log N) for each class that is drawn; orders of classes are kept up to 256 MB.

    >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9]])
    >>> class_boundaries(probs, torch.tensor([0, -1, -1, -1, 1]), 2, torch.Generator().manual_seed(0)).rows.tolist()
    [2, 3]
    """
    state = known.numpy(force=True).astype(np.int64)
    left = int((state < 0).sum())
    if not 0 <= n <= left:
        raise InvalidInput(f"n must be between 0 and {left}, the number of rows without a class; got {n}")
    p, predicted = probs.numpy(force=True), probs.argmax(1).numpy(force=True)
    n_orders = p.shape[1] if p.shape[1] > 2 else 1
    classes = torch.randint(n_orders, (n,), generator=generator)
    order_of = lru_cache(max(1, _MEMORY // (8 * len(p))))(_orders(p))
    rows, how, spans = [], [], []
    for c in classes.tolist():
        order = order_of(c)
        place, why, span = _next(state[order], c, generator)
        row = int(order[place])
        state[row] = predicted[row]
        rows.append(row)
        how.append(why)
        spans.append(span)
    return BoundaryPicks(torch.tensor(rows), classes, tuple(how), torch.tensor(spans))


def _orders(p: NDArray[np.floating]) -> Callable[[int], NDArray[np.intp]]:
    """A function from a class to the rows in its order."""
    top = p.max(1)
    return lambda c: np.lexsort((-p[:, c], top - p[:, c]))


def _next(state: NDArray[np.int64], c: int, generator: torch.Generator) -> tuple[int, How, int]:
    """The place to pick in an order of rows, why, and the number of rows between its ends; -1 in ``state`` has no class."""
    places = np.flatnonzero(state >= 0)
    ends = np.flatnonzero(np.diff(state[places] == c))  # of the pairs (ends, ends + 1), one is of class c
    low, high = places[ends], places[ends + 1]
    spans = high - low - 1
    open_ = np.flatnonzero(spans)
    if len(open_):
        pair = open_[spans[open_].argmin()]
        return int(low[pair] + high[pair]) // 2, "bisected", int(spans[pair])
    free = np.flatnonzero(state < 0)
    if not len(ends):
        return int(free[int(torch.randint(len(free), (1,), generator=generator))]), "random", 0
    at = np.searchsorted(low, free)  # of each row without a class, the next boundary; the one before is at - 1
    to_next = np.where(at < len(low), low[np.minimum(at, len(low) - 1)] + 1 - free, len(state))
    to_last = np.where(at > 0, free - low[np.maximum(at - 1, 0)], len(state))
    return int(free[np.minimum(to_next, to_last).argmin()]), "nearest", 0

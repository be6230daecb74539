"""Which rows of one array are near which rows of another: for arrays that may be memory-mapped, block by block.

Distances are Euclidean, of rows about their mean. How far apart two rows are is said in shares of what is typical, the median
distance of two rows drawn at random: that depends neither on the scale of an embedding, nor on a direction that all its rows
share, nor on how many copies the array holds, as the distance to the nearest neighbor would.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from distil.data.arrays import Array, readable, take
from distil.data.distances import Ruler, within
from distil.strategies.base import Selection
from distil.system.runtime import Runtime

_PICKS = 512


def without_near_duplicates(
    choose: Callable[[Tensor], Selection],
    x: Array,
    pool: Tensor,
    labeled: Tensor,
    radius: float,
    by: Ruler,
    runtime: Runtime,
) -> Selection:
    """A selection none of whose rows is within ``radius`` of a labeled one, or of another of its own.

    What is near a labeled row is no candidate. Of picks that are near each other the first stays; all rows near it leave the
    candidates, and the strategy chooses again, until there are none.

    Args:
        choose: Rows that may not be chosen -> the strategy's selection.
        x: Embeddings, (N, D).
        pool: Rows that may be chosen.
        labeled: Rows that are labeled.
        radius: In the units of ``x``.
        by: The embedding's ruler.
        runtime: Progress bars.
    """
    excluded = within(x, pool, labeled, radius, by, runtime, "comparing with labeled")
    compared = labeled[:0]
    while True:
        selection = choose(excluded)
        first = _without_twins(x, selection.ids, radius, by)
        if len(first) == len(selection):
            return selection
        fresh = first[~torch.isin(first, compared)]
        compared = torch.cat([compared, fresh])
        left = pool[~torch.isin(pool, torch.cat([excluded, fresh]))]
        again = selection.ids[~torch.isin(selection.ids, first)]
        near = within(x, left, fresh, radius, by, runtime, "comparing with picks")
        excluded = torch.cat([excluded, near, again]).unique()


def _without_twins(x: Array, ids: Tensor, radius: float, by: Ruler) -> Tensor:
    """Those of ``ids``, in their order, that are not within ``radius`` of one before them that stays."""
    rows = take(readable(x), ids).double() - by.center
    stays = torch.ones(len(ids), dtype=torch.bool)
    for start in range(0, len(ids), _PICKS):
        later, earlier = torch.nonzero(torch.cdist(rows[start : start + _PICKS], rows) <= radius, as_tuple=True)
        before = earlier < later + start
        for row, other in zip((later[before] + start).tolist(), earlier[before].tolist(), strict=True):
            if stays[other]:  # pairs come in the order of their rows, so what is before is settled
                stays[row] = False
    return ids[stays]

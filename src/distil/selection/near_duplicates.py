"""Selections without near-duplicates, for arrays that may be memory-mapped: distances are computed block by block.

Distances are Euclidean. They are compared with the typical distance of the pool, the median distance between two random rows.
Unlike the distance to the nearest neighbor, it does not shrink with the number of copies in the pool; and shares of it do not
depend on the scale of an embedding or on an offset that all rows have.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from distil.data.arrays import Array, readable, take
from distil.data.distances import Ruler, within
from distil.functional.scale import number_times_two_to
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
    """Select rows none of which is within ``radius`` of a labeled row or of another selected row.

    Rows near a labeled row are not candidates. If picks are near each other, the first of them stays, all rows near it are
    excluded, and the strategy chooses again, until no picks are near each other.

    Args:
        choose: A function from the rows that may not be chosen to the strategy's selection.
        x: Embeddings, (N, D).
        pool: Rows that may be chosen, ascending.
        labeled: Rows that are labeled.
        radius: A distance (not squared) in the units of ``x``.
        by: The ruler of the embedding.
        runtime: Whether to show progress bars.
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
    """``ids`` in their order, without those within ``radius`` of an earlier id that is kept."""
    rows = by.about(take(readable(x), ids))
    radius = number_times_two_to(radius, -by.exponent)
    stays = torch.ones(len(ids), dtype=torch.bool)
    for start in range(0, len(ids), _PICKS):
        later, earlier = torch.nonzero(torch.cdist(rows[start : start + _PICKS], rows) <= radius, as_tuple=True)
        before = earlier < later + start
        for row, other in zip((later[before] + start).tolist(), earlier[before].tolist(), strict=True):
            if stays[other]:  # pairs are in the order of rows, so earlier rows are decided
                stays[row] = False
    return ids[stays]

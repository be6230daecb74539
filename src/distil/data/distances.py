"""Exact nearest neighbors of rows of an array, in units that a pool itself gives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.data.arrays import Array, readable, take
from distil.errors import InvalidInput
from distil.rng import Rng
from distil.system.runtime import CHUNK_ROWS, Runtime

NEAR = 0.05
"""Two rows are near-duplicates whose distance is at most this share of the typical one."""


def checked_near(near: Any) -> float:  # noqa: ANN401 - whatever a caller gives
    """``near`` as a share of the typical distance; InvalidInput where it is none."""
    number = isinstance(near, (int, float, np.floating)) and not isinstance(near, bool)
    if not number or not 0 < near < math.inf:
        raise InvalidInput(f"near must be a share of the typical distance, above 0; got {near!r}")
    return float(near)


# Rows that an embedding is measured by, at most.
_SAMPLE = 1000


@dataclass(frozen=True, eq=False)
class Ruler:
    """What distances of an embedding are measured from and by.

    Attributes:
        center: The mean of a sample of the rows, (D,).
        typical: The median distance of two rows of the sample, at least one of them distinct from the other.
    """

    center: Tensor
    typical: float


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest rows of an array to each row that was asked about, nearest first: dists (Q, k), rows (Q, k)."""

    dists: Tensor
    rows: Tensor


def ruler(x: Array, rows: Tensor, seed: int = 0) -> Ruler:
    """Measure an embedding by up to 1,000 of its ``rows``.

    Raises:
        InvalidInput: All of them are equal.
    """
    order = torch.randperm(len(rows), generator=Rng(seed).child("ruler").torch())[:_SAMPLE]
    sample = take(readable(x), rows[order].sort().values).double()
    center = sample.mean(0)
    dists = torch.pdist(sample - center)
    dists = dists[dists > 0]
    if not len(dists):
        raise InvalidInput("all embeddings are equal, so nothing can be said about distances")
    return Ruler(center, float(dists.median()))


def nearest(
    x: Array, rows: Tensor, y: Array, others: Tensor, k: int, by: Ruler, runtime: Runtime, what: str = "comparing"
) -> Nearest:
    """The ``k`` nearest of ``y[others]`` to each of ``x[rows]``; where x is y, no row is its own neighbor.

    They are found in float32 about the mean, which rounds at about 1e-3 of the typical distance; the distances that are returned
    are computed again, difference by difference, in float64.

    Args:
        x: (N, D).
        rows: Of ``x``, (Q,).
        y: (M, D).
        others: Of ``y``, ascending.
        k: At most as many as there are others.
        by: The embedding's ruler.
        runtime: Progress bar.
        what: The bar's name.

    Cost: O(Q M D), memory of a few blocks.
    """
    same = x is y
    x, y = readable(x), readable(y)
    ids = torch.empty(
        (len(rows), k), dtype=torch.long
    )  # small parts that outlive large ones would hold on to their memory
    dists = torch.empty((len(rows), k), dtype=torch.float64)
    starts = range(0, len(rows), CHUNK_ROWS)
    for start in runtime.bar(starts, what, len(starts)):
        block = slice(start, start + CHUNK_ROWS)
        ids[block] = _block_nearest(x, rows[block], y, others, k, by, same)
        for part, near, exact in zip(
            rows[block].split(256), ids[block].split(256), dists[block].split(256), strict=True
        ):
            exact.copy_(_exact(take(x, part), take(y, near.flatten())))
    dists, order = dists.sort(dim=1, stable=True)
    return Nearest(dists, ids.gather(1, order))


def within(
    x: Array, rows: Tensor, points: Tensor, radius: float, by: Ruler, runtime: Runtime, what: str = "comparing"
) -> Tensor:
    """Those of ``rows`` of x that are no farther than ``radius`` from one of its rows ``points``, itself apart."""
    if not len(points) or not len(rows):
        return rows[:0]
    if len(points) == 1:
        rows = rows[rows != points[0]]
    found = nearest(x, rows, x, points.sort().values, 1, by, runtime, what)
    return rows[found.dists[:, 0] <= radius]


def _block_nearest(x: Array, rows: Tensor, y: Array, others: Tensor, k: int, by: Ruler, same: bool) -> Tensor:
    """Rows of ``y`` (Q, k), nearest first."""
    center = by.center.float()
    a = take(x, rows).float() - center
    values = torch.full((len(rows), k), torch.inf)
    ids = torch.zeros((len(rows), k), dtype=torch.long)
    for part in others.split(CHUNK_ROWS):
        b = take(y, part).float() - center
        sq_dists = torch.addmm((b * b).sum(1), a, b.T, alpha=-2)  # but for |a|^2, which is the same in all of a row
        if same:
            own = torch.nonzero(torch.isin(rows, part))[:, 0]
            sq_dists[own, torch.searchsorted(part, rows[own])] = torch.inf
        least = sq_dists.topk(min(k, len(part)), dim=1, largest=False)
        values, order = torch.cat([values, least.values], 1).topk(k, dim=1, largest=False)
        ids = torch.cat([ids, part[least.indices]], 1).gather(1, order)
    return ids


def _exact(a: Tensor, b: Tensor) -> Tensor:
    """Distances (Q, k) of rows a (Q, D) and b (Q k, D), in float64."""
    return (b.double().view(len(a), -1, a.shape[1]) - a.double()[:, None]).square().sum(2).sqrt()

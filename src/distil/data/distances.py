"""Exact nearest neighbors of the rows of an array, and the typical distance that they are compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.data.arrays import Array, readable, take
from distil.errors import InvalidInput
from distil.functional.scale import exponent, largest, number_times_two_to, times_two_to
from distil.rng import Rng
from distil.system.runtime import CHUNK_ROWS, Runtime

NEAR = 0.05
"""Two rows are near-duplicates if their distance is at most this share of the typical distance."""


def checked_near(near: Any) -> float:  # noqa: ANN401 - any argument of a caller
    """``near``, a share of the typical distance, as a float; InvalidInput unless it is positive and finite."""
    number = isinstance(near, (int, float, np.floating)) and not isinstance(near, bool)
    if not number or not 0 < near < math.inf:
        raise InvalidInput(f"near must be a share of the typical distance, above 0; got {near!r}")
    return float(near)


_SAMPLE = 1000  # rows, at most, from which a ruler is computed


@dataclass(frozen=True, eq=False)
class Ruler:
    """The origin and the unit in which distances between rows of an embedding are compared.

    Attributes:
        center: The mean of a sample of the rows, (D,).
        typical: The median distance between two rows of the sample, pairs of equal rows left out.
    """

    center: Tensor
    typical: float

    def about(self, rows: Tensor) -> Tensor:
        """Rows less the center, in float64 and at a scale at which typical distances are near 1."""
        return times_two_to(rows.double() - self.center, -self.exponent)

    @property
    def exponent(self) -> int:
        """The e of the scale of ``about``, at which rows are multiplied by 2^-e."""
        return exponent(self.typical)


@dataclass(frozen=True, eq=False)
class Nearest:
    """The k nearest rows to each of Q rows, nearest first.

    Attributes:
        dists: Their distances (not squared), (Q, k) float64.
        rows: Their rows, (Q, k).
    """

    dists: Tensor
    rows: Tensor


def ruler(x: Array, rows: Tensor, seed: int = 0) -> Ruler:
    """Compute the ruler of an embedding from a sample of up to 1,000 rows.

    Args:
        x: The embedding, (N, D).
        rows: The rows to sample from, (Q,).
        seed: Seed of the sample.

    Raises:
        InvalidInput: All sampled rows are equal.
    """
    order = torch.randperm(len(rows), generator=Rng(seed).child("ruler").torch())[:_SAMPLE]
    sample = take(readable(x), rows[order].sort().values).double()
    center = sample.mean(0)
    sample = sample - center
    e = exponent(largest(sample))
    dists = torch.pdist(times_two_to(sample, -e))
    dists = dists[dists > 0]
    if not len(dists):
        raise InvalidInput(
            "all embeddings are equal, so there is no typical distance; expected at least two distinct rows"
        )
    return Ruler(center, number_times_two_to(float(dists.median()), e))


def nearest(
    x: Array, rows: Tensor, y: Array, others: Tensor, k: int, by: Ruler, runtime: Runtime, what: str = "comparing"
) -> Nearest:
    """Find the ``k`` nearest of ``y[others]`` to each of ``x[rows]``; if x is y, no row is its own neighbor.

    The search uses centered float32 rows, with rounding errors of about 1e-3 of the typical distance; the returned distances are
    computed again from the differences in float64.

    Args:
        x: (N, D).
        rows: Rows of ``x``, (Q,).
        y: (M, D).
        others: Rows of ``y``, ascending.
        k: Number of neighbors, at most the number of ``others``.
        by: The ruler of the embedding.
        runtime: Whether to show a progress bar.
        what: The name of the bar.

    Cost: O(Q M D), memory of a few blocks.
    """
    same = x is y
    x, y = readable(x), readable(y)
    ids = torch.empty(
        (len(rows), k), dtype=torch.long
    )  # allocated once: small results between large blocks would fragment the memory
    dists = torch.empty((len(rows), k), dtype=torch.float64)
    starts = range(0, len(rows), CHUNK_ROWS)
    for start in runtime.bar(starts, what, len(starts)):
        block = slice(start, start + CHUNK_ROWS)
        ids[block] = _block_nearest(x, rows[block], y, others, k, by, same)
        for part, near, exact in zip(
            rows[block].split(256), ids[block].split(256), dists[block].split(256), strict=True
        ):
            exact.copy_(_exact(by.about(take(x, part)), by.about(take(y, near.flatten()))))
    dists, order = dists.sort(dim=1, stable=True)
    return Nearest(times_two_to(dists, by.exponent), ids.gather(1, order))


def within(
    x: Array, rows: Tensor, points: Tensor, radius: float, by: Ruler, runtime: Runtime, what: str = "comparing"
) -> Tensor:
    """The ``rows`` of x whose distance to some other row in ``points`` is at most ``radius``."""
    if not len(points) or not len(rows):
        return rows[:0]
    if len(points) == 1:
        rows = rows[rows != points[0]]
    neighbors = nearest(x, rows, x, points.sort().values, 1, by, runtime, what)
    return rows[neighbors.dists[:, 0] <= radius]


def _block_nearest(x: Array, rows: Tensor, y: Array, others: Tensor, k: int, by: Ruler, same: bool) -> Tensor:
    """The k nearest rows of ``y`` to each of ``rows``, (Q, k), nearest first, by float32 distances."""
    a = by.about(take(x, rows)).float()  # centered before it is rounded: rows may be far from 0 and near each other
    values = torch.full((len(rows), k), torch.inf)
    ids = torch.zeros((len(rows), k), dtype=torch.long)
    for part in others.split(CHUNK_ROWS):
        b = by.about(take(y, part)).float()
        sq_dists = torch.addmm((b * b).sum(1), a, b.T, alpha=-2)  # without |a|^2, which is constant along a row
        if same:
            own = torch.nonzero(torch.isin(rows, part))[:, 0]
            sq_dists[own, torch.searchsorted(part, rows[own])] = torch.inf
        least = sq_dists.topk(min(k, len(part)), dim=1, largest=False)
        values, order = torch.cat([values, least.values], 1).topk(k, dim=1, largest=False)
        ids = torch.cat([ids, part[least.indices]], 1).gather(1, order)
    return ids


def _exact(a: Tensor, b: Tensor) -> Tensor:
    """Distances (Q, k) in float64 between rows a (Q, D) and b (Q k, D), k rows of b for each of a."""
    return (b.view(len(a), -1, a.shape[1]) - a[:, None]).square().sum(2).sqrt()

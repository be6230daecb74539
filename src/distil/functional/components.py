"""Principal components: rows as fewer numbers that keep most of their distances."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.functional.features import BLOCK_BYTES
from distil.functional.nearest import mean_row
from distil.functional.scale import times_two_to, to_unit


def principal_components(x: Tensor, k: int, *others: Tensor) -> tuple[tuple[Tensor, ...], float]:
    """Rows as their first ``k`` principal components.

    Of all projections to ``k`` numbers, this one keeps most of the sum of squared distances between the rows.

    Args:
        x: Rows that decide the components, (N, D), finite.
        k: Number of components, at most D.
        others: Further rows, each (M, D), written in the same components.

    Returns:
        ``x`` and ``others`` with ``k`` columns, in one precision, and the share of the variance of ``x`` that these hold.

    Cost: O(N D (D + k) + D^3); memory of the result, D^2 numbers and a block.

    >>> (rows,), share = principal_components(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), 1)
    >>> round(float((rows[1] - rows[0]).abs()), 4), share
    (5.0, 1.0)
    """
    (x, *rest), e = to_unit(x, *others)
    origin = mean_row(x)
    step = max(1, BLOCK_BYTES // (8 * max(1, x.shape[1])))
    moments = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
    for block in x.split(step):
        centered = block.double() - origin
        moments.addmm_(centered.T, centered)
    values, vectors = torch.linalg.eigh(moments)
    kept, total = vectors[:, -k:], float(values.sum())
    found = tuple(
        torch.cat([((block.double() - origin) @ kept).to(rows.dtype) for block in rows.split(step)])
        for rows in (x, *rest)
    )
    share = min(1.0, float(values[-k:].sum()) / total) if total > 0 else 1.0
    return tuple(times_two_to(rows, e) for rows in found), share

"""Selections whose Fisher information is near that of all: BAIT."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.features import BLOCK_BYTES

# The two matrices over the layer's weights and the two small ones of every row may take this many bytes together.
MEMORY = 2 << 30

# Traces that differ by less than this share are equal; the smaller row is then picked.
_TIE = 1e-9


def bait(
    probs: Tensor,
    embeddings: Tensor,
    n: int,
    *,
    labeled: tuple[Tensor, Tensor] | None = None,
    ridge: float = 1.0,
    oversample: int = 2,
) -> Tensor:
    """Pick rows that make tr((sum of their Fisher information)^-1 F) small: greedily too many, then the least useful are dropped.

    Ash et al. 2021, algorithm 1, for the last layer: V_x = diag(sqrt p) (I - 1 p^T) (x) h, of rank C - 1, has the Fisher information
    V_x^T V_x = (diag p - p p^T) (x) h h^T. With F its mean over all rows given and A the inverse of

        ridge I + M / (M + n) mean_{labeled} V^T V + n / (M + n) sum_{picked} V^T V,

    x lowers tr(A F) by tr(V A F A V^T (I + V A V^T)^-1), V scaled as in the sum (Woodbury). ``oversample`` n rows (at most all) are
    picked so; then the row that raises the trace least is taken out until n are left.

    V is never made: V A V^T and V A F A V^T, C x C for every row, are kept and changed by the C columns A V_s^T of a pick s. As
    in the published code the layer's bias is left out and the scales are those above. All in float64.

    Args:
        probs: (N, C).
        embeddings: (N, D), what the last layer sees.
        n: How many to pick, at most N.
        labeled: Probabilities (M, C) and embeddings (M, D) of the labeled set.
        ridge: Of the prior; above 0.
        oversample: How many times n are picked before any is dropped; at least 1.

    Returns:
        (n,) distinct rows in the order they were picked; ties go to the smaller row.

    Raises:
        InvalidInput: The matrices, 16 ((C D)^2 + N C^2) bytes, are more than ``MEMORY``.

    Cost: O(N (C D)^2 + (C D)^3) once, then O(N C^2 (C + D) + C (C D)^2) for each of the ``oversample`` n picks, and as much with n
    in place of N for each that is dropped. Memory: 16 ((C D)^2 + N C^2) bytes and little more.
    """
    _check_memory(probs, embeddings)
    p, h = probs.double(), embeddings.double()
    known_p, known_h = (p[:0], h[:0]) if labeled is None else (labeled[0].double(), labeled[1].double())
    total = n + len(known_p)
    fisher = (_information(p, h) + _information(known_p, known_h)) / (len(p) + len(known_p))
    start = _information(known_p, known_h).div_(total).diagonal_scatter(torch.zeros(1)) 
    return fisher

"""CAL: rows whose predictions differ from those of their nearest labeled rows."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES
from distil.functional.neighbors import nearest_points

# Smaller probabilities count as this: the smallest that float32 holds in full precision, which limits a divergence to 87 nats.
_TINY = torch.finfo(torch.float32).tiny


def contrast(x: Tensor, probs: Tensor, labeled: Tensor, labeled_probs: Tensor, k: int = 10) -> Tensor:
    """The mean Kullback-Leibler divergence of each row's prediction from those of its k nearest labeled rows, in nats.

    Margatina, Vernikos, Barrault and Aletras 2021, algorithm 1: mean_l KL(p(y | x_l) || p(y | x)).

    Args:
        x: Rows, (N, D), finite.
        probs: Their class probabilities, (N, C).
        labeled: Labeled rows, (M, D), finite.
        labeled_probs: The class probabilities that the same model gives them, (M, C).
        k: Number of neighbors; all labeled rows where there are fewer.

    Returns:
        Divergences, (N,) float64, at least 0.

    Raises:
        InvalidInput: There are no labeled rows, or the numbers of classes differ.

    Cost: O(N (M D + k C)); memory of O(N k + M D) and a block.

    >>> x, probs = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    >>> contrast(x, probs, x[1:], probs[1:], 1)
    tensor([0.6931, 0.0000], dtype=torch.float64)
    """
    if not len(labeled) or labeled_probs.shape[1:] != probs.shape[1:]:
        raise InvalidInput(
            f"expected labeled_probs (M, {probs.shape[1]}) of M >= 1 labeled rows, got {tuple(labeled_probs.shape)}"
        )
    k = min(k, len(labeled))
    ids = nearest_points(x, labeled, k).ids
    logs, known = _logs(labeled_probs), labeled_probs.double()
    step = max(1, BLOCK_BYTES // (8 * k * max(1, probs.shape[1])))
    parts = zip(probs.split(step), ids.split(step), strict=True)
    found = [(known[near] * (logs[near] - _logs(p)[:, None])).sum(2).mean(1) for p, near in parts]
    return torch.cat(found).clamp_min_(0)


def _logs(probs: Tensor) -> Tensor:
    return probs.double().clamp_min(_TINY).log()

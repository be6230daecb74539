"""Uncertainty of multi-label predictions: that of every label, and one number for each example."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from distil.functional.features import BLOCK_BYTES
from distil.functional.scale import floating

Uncertainty: TypeAlias = Literal["entropy", "margin"]
Reduction: TypeAlias = Literal["mean", "max"]


def label_uncertainty(probs: Tensor, uncertainty: Uncertainty) -> Tensor:
    """The uncertainty of each label, (N, L): larger is less certain.

    Args:
        probs: Probability of each label, (N, L).
        uncertainty: ``"entropy"``: the binary entropy -p ln p - (1 - p) ln(1 - p) in nats, at most ln 2; or ``"margin"``: 1 minus
            the difference |p - (1 - p)| of the two answers, at most 1.

    >>> label_uncertainty(torch.tensor([[0.5, 1.0]]), "entropy")
    tensor([[0.6931, 0.0000]])
    """
    p = floating(probs)
    if uncertainty == "margin":
        return 1 - (2 * p - 1).abs()
    tiny = torch.finfo(p.dtype).tiny
    return 0 - p * p.clamp_min(tiny).log() - (1 - p) * (1 - p).clamp_min(tiny).log()


def multilabel_uncertainty(
    probs: Tensor, uncertainty: Uncertainty = "entropy", reduction: Reduction = "mean"
) -> Tensor:
    """The mean or the largest uncertainty of an example's labels, (N,); the arguments are those of :func:`label_uncertainty`.

    Args:
        probs: Probability of each label, (N, L).
        uncertainty: See :func:`label_uncertainty`.
        reduction: ``"mean"``, which orders examples as the sum does, or ``"max"``.

    Cost: one pass over ``probs`` with a block of extra memory.
    """
    step = max(1, BLOCK_BYTES // (8 * max(1, probs.shape[1])))
    parts = [label_uncertainty(part, uncertainty) for part in probs.split(step)]
    return torch.cat([part.amax(1) if reduction == "max" else part.mean(1) for part in parts])

"""Gradients of a loss by the logits, the first factors of last-layer gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from distil.functional.scale import floating


def cross_entropy_residual(probs: Tensor, y: Tensor) -> Tensor:
    """The gradient softmax(z) - e_y of the cross entropy by the logits z.

    Args:
        probs: softmax(z), (N, C).
        y: Labels, (N,) int64.

    Returns:
        Gradients, (N, C).

    >>> cross_entropy_residual(torch.tensor([[0.25, 0.75]]), torch.tensor([1]))
    tensor([[ 0.2500, -0.2500]])
    """
    residuals = floating(probs).clone()
    residuals[torch.arange(len(y)), y] -= 1
    return residuals


def residual(logits: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The gradient of each example's loss by its logits, by autograd.

    Args:
        logits: Logits, (N, C).
        y: Labels, (N,) int64.
        loss: A function ``loss(logits (B, C), labels (B,))``. If it returns one loss for each example, (B,), one backward pass is
            enough. If it returns one number, it is called for one example at a time, so a mean and a sum give the same result.

    Returns:
        Gradients, (N, C).
    """
    with torch.enable_grad():
        z = floating(logits.detach()).requires_grad_()
        losses = loss(z, y)
        if losses.shape != y.shape or len(y) == 1:
            rows = [loss(z[i : i + 1], y[i : i + 1]).sum() for i in range(len(y))]
            losses = torch.stack(rows) if rows else z.sum(1)
        gradients: Tensor = torch.autograd.grad(losses.sum(), z)[0]
    return gradients

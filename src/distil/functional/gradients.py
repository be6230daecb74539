"""The gradient of a loss by the logits: the first factor of every last-layer gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def cross_entropy_residual(probs: Tensor, y: Tensor) -> Tensor:
    """softmax(z) - e_y, the gradient of the cross entropy by the logits.

    Args:
        probs: softmax(z), (N, C).
        y: Labels, (N,) int64.

    Returns:
        (N, C).
    """
    residuals = probs.clone()
    residuals[torch.arange(len(y)), y] -= 1
    return residuals


def residual(logits: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The gradient of any loss by the logits, by autograd, one example at a time.

    Because each example is a batch of its own, a loss that averages and one that sums give the same.

    Args:
        logits: (N, C).
        y: Labels, (N,) int64.
        loss: ``loss(logits (1, C), labels (1,))`` of any shape that sums to the example's loss.

    Returns:
        (N, C).
    """

    def of_one(z: Tensor, label: Tensor) -> Tensor:
        return loss(z[None], label[None]).sum()

    gradients: Tensor = torch.func.vmap(torch.func.grad(of_one))(logits, y)
    return gradients

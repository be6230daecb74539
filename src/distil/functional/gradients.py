"""Gradients of a loss by the logits, the first factors of last-layer gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from distil.functional.features import BLOCK_BYTES
from distil.functional.scale import floating, times_two_to, to_unit


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


def sigmoid_residual(probs: Tensor) -> Tensor:
    """The gradient p - y of the sum of binary cross entropies by the logits, at the predicted labels: y is 1 where p > 1/2.

    Args:
        probs: Probability of each label, (N, L).

    Returns:
        Gradients, (N, L), between -1/2 and 1/2.

    >>> sigmoid_residual(torch.tensor([[0.25, 0.75]]))
    tensor([[ 0.2500, -0.2500]])
    """
    p = floating(probs)
    return p - (p > 0.5).to(p.dtype)


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


def expected_gradient_length(probs: Tensor, embeddings: Tensor) -> Tensor:
    """The expected length of the last layer's gradient, over the labels that the model expects: (N,) float64.

    Settles and Craven 2008, eq. 7, in closed form: for the cross entropy and the weights of the last layer, the gradient at label c
    is (p - e_c) h^T, so the expectation is |h| sum_c p_c |p - e_c|. The layer's bias is left out.

    Args:
        probs: Class probabilities, (N, C).
        embeddings: Inputs of the last layer h, (N, D).

    Cost: O(N (C + D)).

    >>> expected_gradient_length(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([[1.0], [5.0]]))
    tensor([0.7071, 0.0000], dtype=torch.float64)
    """
    (embeddings,), e = to_unit(embeddings)
    steps = max(1, BLOCK_BYTES // (8 * max(1, probs.shape[1] + embeddings.shape[1])))
    parts = zip(probs.split(steps), embeddings.split(steps), strict=True)
    found = [_expected_residual(p.double()) * torch.linalg.vector_norm(h.double(), dim=1) for p, h in parts]
    return times_two_to(torch.cat(found), e) if found else probs.new_zeros(0, dtype=torch.float64)


def _expected_residual(probs: Tensor) -> Tensor:
    """sum_c p_c |p - e_c|, (N,), without cancellation where one class is almost certain."""
    top = probs.argmax(1, keepdim=True)
    others = probs.scatter(1, top, 0)
    squares = others.square().sum(1, keepdim=True)
    sq_lengths = probs.gather(1, top).square() + squares - 2 * probs + 1
    sq_lengths.scatter_(1, top, others.sum(1, keepdim=True).square() + squares)
    return (probs * sq_lengths.clamp_min_(0).sqrt_()).sum(1)

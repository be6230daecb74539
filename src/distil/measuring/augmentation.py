"""Test-time augmentation: predictions averaged over random changes of the inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distil.errors import InvalidInput, UnsupportedModel
from distil.functional.scale import floating
from distil.networks.base import Differentiable, Network
from distil.rng import Rng


def augmented_probs(
    network: Network,
    batch: Any,  # noqa: ANN401
    ids: Tensor,
    transform: Callable[[Tensor], Tensor],
    n_samples: int,
    rng: Rng,
    caller: str,
) -> Tensor:
    """Class probabilities of one minibatch averaged over changed inputs, (B, C).

    Args:
        network: The model, within ``asking``.
        batch: The minibatch.
        ids: Positions of its examples, (B,). The changes of an example depend on ``rng`` and its id alone.
        transform: A function from the input of one example, on the CPU, to a changed one of the same shape.
        n_samples: Number of changes of each input; the cost is as many calls of the model.
        rng: The stream of the changes.
        caller: Name of the strategy, for messages.

    Raises:
        UnsupportedModel: The model is not called with one tensor.
        InvalidInput: The transform returns something other than a tensor of that shape.
    """
    if not isinstance(network, Differentiable):
        raise UnsupportedModel(
            f"{caller} changes the inputs of the model, so it needs a torch.nn.Module that is called with one tensor; got "
            f"{network!r}"
        )
    x, logits = network.differentiable(batch)
    rows = x.cpu()
    total = x.new_zeros(())
    for sample in range(n_samples):
        with rng.scope():
            changed = [
                _changed(transform, row, rng.child(sample, i)) for row, i in zip(rows, ids.tolist(), strict=True)
            ]
        total = total + floating(logits(torch.stack(changed).to(x))).softmax(-1)
    return total / n_samples


def _changed(transform: Callable[[Tensor], Tensor], row: Tensor, rng: Rng) -> Tensor:
    """The changed input of an example, drawn from ``rng`` within a scope."""
    rng.reseed()
    found: object = transform(row.clone())
    if not isinstance(found, Tensor) or found.shape != row.shape:
        came = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InvalidInput(
            f"transform must return a tensor of the shape of the input of an example, {tuple(row.shape)}; got {came}"
        )
    return found

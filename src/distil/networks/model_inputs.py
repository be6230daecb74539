"""The inputs of a module, read from a minibatch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from distil.errors import UnsupportedModel
from distil.networks.base import LABELS

# Number of rows of the first minibatch that a model is tried on.
TRIED_ROWS = 8


def inputs_of(batch: Any, read: Callable[[Any], Any] | None) -> Any:  # noqa: ANN401 - any return value of a collate function
    """The inputs in a minibatch: the result of ``read``; by default the minibatch itself, or the first item of a sequence.

    Raises:
        UnsupportedModel: Without ``read``, the inputs are neither a tensor nor a dict.
    """
    if read is not None:
        return read(batch)
    pair = isinstance(batch, (list, tuple)) and batch and isinstance(batch[0], (Tensor, Mapping))
    x = batch[0] if pair else batch
    if not isinstance(x, (Tensor, Mapping)):
        raise UnsupportedModel(
            f"cannot read a minibatch of type {type(batch).__name__}: expected a tensor, a sequence that starts with one, or a "
            "dict; pass inputs=, a function from the minibatch to the argument of the model"
        )
    return x


def placed(x: Any, device: torch.device, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """The inputs on a device, with floating-point tensors in the given dtype."""
    if isinstance(x, Tensor):
        return x.to(device, dtype if x.is_floating_point() else x.dtype, non_blocking=True)
    if isinstance(x, Mapping):
        return {name: placed(value, device, dtype) for name, value in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(placed(value, device, dtype) for value in x)
    return x


def first_rows(x: Any, n: int, *, repeat: bool = False) -> Any:  # noqa: ANN401
    """The first ``n`` rows of each tensor; with ``repeat``, the first row ``n`` times if there are fewer."""
    if isinstance(x, Tensor):
        return x[:1].repeat(n, *[1] * (x.dim() - 1)) if repeat and len(x) < n else x[:n]
    if isinstance(x, Mapping):
        return {name: first_rows(value, n, repeat=repeat) for name, value in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(first_rows(value, n, repeat=repeat) for value in x)
    return x


def call_module(module: nn.Module, x: Any) -> Any:  # noqa: ANN401
    """Call a module with the inputs; from a dict, with the entries that are parameters of its ``forward``, without labels."""
    if not isinstance(x, Mapping):
        return module(x)
    parameters = inspect.signature(module.forward).parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return module(**{name: v for name, v in x.items() if name not in LABELS and (takes_all or name in parameters)})


def check_differentiable(x: object) -> None:
    """Raise UnsupportedModel unless x is a floating-point tensor."""
    advice = (
        "pass TorchNetwork(module, inputs=..., outputs=...), where inputs turns a minibatch into a floating-point tensor (for "
        "tokens, their embeddings) and outputs calls the module with it"
    )
    if not isinstance(x, Tensor):
        raise UnsupportedModel(
            f"the model is called with a {type(x).__name__}, but an attack needs one floating-point tensor; {advice}"
        )
    if not x.is_floating_point():
        raise UnsupportedModel(
            f"the model is called with {x.dtype}, but an attack needs floating-point inputs; {advice}"
        )

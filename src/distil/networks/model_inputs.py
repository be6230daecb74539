"""From a minibatch to what a module is called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from distil.errors import UnsupportedModel
from distil.networks.base import LABELS

# Rows of the first minibatch on which it is tried what a model does.
TRIED_ROWS = 8


def inputs_of(batch: Any, read: Callable[[Any], Any] | None) -> Any:  # noqa: ANN401 - whatever a collate function makes
    """The inputs in a minibatch: what ``read`` gives, else the minibatch itself, or the first of a sequence.

    Raises:
        UnsupportedModel: Without ``read``, they are neither a tensor nor a dict.
    """
    if read is not None:
        return read(batch)
    pair = isinstance(batch, (list, tuple)) and batch and isinstance(batch[0], (Tensor, Mapping))
    x = batch[0] if pair else batch
    if not isinstance(x, (Tensor, Mapping)):
        raise UnsupportedModel(
            f"cannot read a minibatch of type {type(batch).__name__}: expected a tensor, a sequence that starts with one, or a "
            "dict; pass inputs=, a function from the minibatch to what the model is called with"
        )
    return x


def placed(x: Any, device: torch.device, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """The inputs on a device; floating-point tensors in that precision."""
    if isinstance(x, Tensor):
        return x.to(device, dtype if x.is_floating_point() else x.dtype, non_blocking=True)
    if isinstance(x, Mapping):
        return {name: placed(value, device, dtype) for name, value in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(placed(value, device, dtype) for value in x)
    return x


def first_rows(x: Any, n: int, *, repeat: bool = False) -> Any:  # noqa: ANN401
    """The first ``n`` rows of a tensor, or of each in a dict or sequence; the first one repeated where there are fewer."""
    if isinstance(x, Tensor):
        return x[:1].repeat(n, *[1] * (x.dim() - 1)) if repeat and len(x) < n else x[:n]
    if isinstance(x, Mapping):
        return {name: first_rows(value, n, repeat=repeat) for name, value in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(first_rows(value, n, repeat=repeat) for value in x)
    return x


def call_module(module: nn.Module, x: Any) -> Any:  # noqa: ANN401
    """What a module returns for the inputs; of a dict, for those entries that it takes, labels left out."""
    if not isinstance(x, Mapping):
        return module(x)
    parameters = inspect.signature(module.forward).parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return module(**{name: v for name, v in x.items() if name not in LABELS and (takes_all or name in parameters)})


def check_differentiable(x: object) -> None:
    """Raise UnsupportedModel unless x is a floating-point tensor."""
    advice = (
        "pass TorchNetwork(module, inputs=..., outputs=...), where inputs makes such a tensor of a minibatch (for tokens, their "
        "embeddings) and outputs calls the module with it"
    )
    if not isinstance(x, Tensor):
        raise UnsupportedModel(
            f"the model is called with a {type(x).__name__}, and an attack changes one floating-point tensor; {advice}"
        )
    if not x.is_floating_point():
        raise UnsupportedModel(
            f"the model is called with {x.dtype}, and an attack needs inputs that can change a little; {advice}"
        )

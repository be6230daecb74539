"""A module's own state, which asking it must not change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside ``torch.compile`` and (Distributed)DataParallel: hooks do not see through compiled graphs."""
    while True:
        inner = dict(module.named_children())
        if type(module).__name__ == "OptimizedModule" and "_orig_mod" in inner:
            module = inner["_orig_mod"]
        elif isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            module = module.module
        else:
            return module


def placement(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device of the first parameter or buffer, and the first floating dtype; CPU and float32 without any."""
    tensors = [*module.parameters(), *module.buffers()]
    floating = [t.dtype for t in tensors if t.is_floating_point()]
    device = tensors[0].device if tensors else torch.device("cpu")
    return device, floating[0] if floating else torch.float32


@contextmanager
def evaluating(module: nn.Module, device: torch.device | str | None) -> Iterator[None]:
    """While the context lasts, the module is in evaluation mode, its parameters collect no gradients, and it is on ``device``.

    Afterwards modes (layer by layer), buffers, ``requires_grad`` and the device are as they were.

    Args:
        module: The module.
        device: Default: where it is.
    """
    home = placement(module)[0]
    trainable = [p for p in module.parameters() if p.requires_grad]
    modes = {layer: layer.training for layer in module.modules()}
    buffers = [(m, name, b, b.detach().clone()) for m in modes for name, b in m.named_buffers(recurse=False)]
    try:
        for parameter in trainable:  # what is differentiated here is differentiated by the inputs
            parameter.requires_grad_(False)
        if device is not None:
            module.to(device)
        module.eval()
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        if placement(module)[0] != home:
            module.to(home)
        for layer, mode in modes.items():
            layer.training = mode
        _put_back(buffers)


def _put_back(buffers: list[tuple[nn.Module, str, Tensor, Tensor]]) -> None:
    """Each buffer of a layer, and its content: a forward pass, or another device, may have put another tensor there."""
    with torch.no_grad():
        for layer, name, buffer, content in buffers:
            layer._buffers[name] = buffer
            if not torch.equal(buffer, content):
                buffer.copy_(content)


@contextmanager
def attributes_kept(module: nn.Module) -> Iterator[None]:
    """Puts back what a forward pass assigns to a module's attributes and buffers."""
    kept = [(d, d.copy()) for layer in module.modules() for d in (layer.__dict__, layer._buffers)]
    try:
        yield
    finally:
        for attributes, content in kept:
            attributes.clear()
            attributes.update(content)

"""The state of a module, saved before it is asked and restored afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from distil.errors import UnsupportedModel


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside ``torch.compile`` and (Distributed)DataParallel; hooks do not run in compiled graphs."""
    while True:
        inner = dict(module.named_children())
        if type(module).__name__ == "OptimizedModule" and "_orig_mod" in inner:
            module = inner["_orig_mod"]
        elif isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            module = module.module
        else:
            return module


def is_exported(module: nn.Module) -> bool:
    """Whether a module was made by ``torch.export``: it stays in the mode in which it was exported."""
    return isinstance(module, torch.fx.GraphModule) and "ExportedProgram" in module.train.__qualname__


def check_initialized(module: nn.Module) -> None:
    """Raise UnsupportedModel if a module has weights without numbers: lazy layers that were never called."""
    lazy = [name for name, parameter in module.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise UnsupportedModel(
            f"{type(module).__name__} has lazy layers without weights ({', '.join(lazy[:3])}); call it once with a few examples "
            "first, model(x[:2]), where the model is built"
        )


def placement(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device of the first parameter or buffer, and the first floating-point dtype; CPU and float32 if there are none."""
    tensors = [*module.parameters(), *module.buffers()]
    floating = [t.dtype for t in tensors if t.is_floating_point()]
    device = tensors[0].device if tensors else torch.device("cpu")
    return device, floating[0] if floating else torch.float32


@contextmanager
def evaluating(module: nn.Module, device: torch.device | str | None) -> Iterator[None]:
    """A context in which the module is in evaluation mode and on ``device``, and its parameters collect no gradients.

    Afterwards modes (layer by layer), buffers, ``requires_grad`` and the device are restored.

    Args:
        module: The module.
        device: The device; None: the module is not moved.
    """
    home = placement(module)[0]
    trainable = [p for p in module.parameters() if p.requires_grad]
    modes = {layer: mode for layer, mode in modes_of(module).items() if mode is not None}
    buffers = [(m, name, b, b.detach().clone()) for m in module.modules() for name, b in m.named_buffers(recurse=False)]
    try:
        for parameter in trainable:  # gradients are needed by inputs only
            parameter.requires_grad_(False)
        if device is not None:
            module.to(device)
        set_mode(module, training=False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        if placement(module)[0] != home:
            module.to(home)
        for layer, mode in modes.items():
            layer.training = mode
        _restore(buffers)


def modes_of(module: nn.Module) -> dict[nn.Module, bool | None]:
    """Each layer with its mode: whether it is training; None for a frozen TorchScript module, which has no mode."""
    return {layer: getattr(layer, "training", None) for layer in module.modules()}


def set_mode(module: nn.Module, *, training: bool) -> None:
    """Set the mode of all layers that have one; exported programs keep theirs."""
    if None in modes_of(module).values():  # train and eval of frozen modules raise an error
        return
    if any(is_exported(layer) for layer in module.modules()):
        for layer in module.modules():
            layer.training = training
    else:
        module.train(training)


def _restore(buffers: list[tuple[nn.Module, str, Tensor, Tensor]]) -> None:
    """Restore each buffer and its content: a forward pass, or a move to another device, may have replaced the tensor."""
    with torch.no_grad():
        for layer, name, buffer, content in buffers:
            if not isinstance(layer, torch.jit.ScriptModule):  # its tensors are not replaced
                layer._buffers[name] = buffer
            if not torch.equal(buffer, content):
                buffer.copy_(content)


@contextmanager
def attributes_kept(module: nn.Module) -> Iterator[None]:
    """A context after which the attributes and buffers that a forward pass assigned are restored."""
    kept = [(d, d.copy()) for layer in module.modules() for d in (layer.__dict__, layer._buffers)]
    try:
        yield
    finally:
        for attributes, content in kept:
            attributes.clear()
            attributes.update(content)

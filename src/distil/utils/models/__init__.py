"""The architectures of the DISTIL document, by class and by the name a configuration gives them.

To add one: a module beside this file whose class derives from ``DocumentedModel``, its import, and a line in
the table below.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from distil.errors import InvalidInput, UnknownName, nearest
from distil.utils.models.base import DocumentedModel
from distil.utils.models.resnet import ResNet, ResNet18, ResNet34, ResNet50, ResNet101, ResNet152
from distil.utils.models.simpleNN_net import TwoLayerNet

__all__ = [
    "DocumentedModel",
    "ResNet",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "TwoLayerNet",
    "architecture_named",
    "architecture_names",
]

_ARCHITECTURES: Mapping[str, Callable[..., DocumentedModel]] = {
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "resnet101": ResNet101,
    "resnet152": ResNet152,
    "two_layer_net": TwoLayerNet,
}


def architecture_names() -> tuple[str, ...]:
    """The names that ``architecture_named`` knows, in alphabetical order."""
    return tuple(sorted(_ARCHITECTURES))


def architecture_named(name: str, **arguments: Any) -> DocumentedModel:  # noqa: ANN401 - each builder's own
    """Build an architecture by its name.

    The initial weights come from PyTorch's global generator; build inside ``Rng.scope()`` to fix them.

    Args:
        name: One of ``architecture_names()``.
        **arguments: What the architecture takes, by its Python names: ``num_classes``, ``channels``,
            ``input_dim``, ``hidden_units``.

    Returns:
        A new module in training mode, on the CPU.

    Raises:
        UnknownName: No architecture has this name; the message offers the nearest one.
        InvalidInput: The architecture does not take one of the arguments, lacks one that it requires, or
            cannot be built from a value.

    >>> net = architecture_named("two_layer_net", input_dim=64, num_classes=10, hidden_units=128)
    >>> net.get_embedding_dim()
    128
    """
    builder = _ARCHITECTURES.get(name)
    if builder is None:
        known = ", ".join(architecture_names())
        hint = nearest(str(name), _ARCHITECTURES)
        raise UnknownName(f"no architecture is called {name!r}{hint}; there are: {known}")
    taken = inspect.signature(builder).parameters
    for argument in arguments:
        if argument not in taken:
            hint = nearest(argument, taken)
            raise InvalidInput(f"{name} takes {', '.join(taken)}, but not {argument!r}{hint}")
    missing = [p.name for p in taken.values() if p.default is p.empty and p.name not in arguments]
    if missing:
        raise InvalidInput(f"{name} needs {', '.join(missing)} as well; it takes {', '.join(taken)}")
    return builder(**arguments)

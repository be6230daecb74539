"""A function from a minibatch to logits, as a module."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn


class Function(nn.Module):
    """A function of a minibatch as a module: the modules that it uses are its children, and arrays it returns become tensors."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        # Inside torch.compile, hooks do not run.
        self.function = getattr(function, "_torchdynamo_orig_callable", function)
        self.used = nn.ModuleList(dict.fromkeys(_modules_of(self.function)))

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """The function's return value, with arrays as tensors."""
        returned = self.function(*args, **kwargs)
        if isinstance(returned, (tuple, list)):
            return tuple(map(_as_tensor, returned))
        return _as_tensor(returned)


def _as_tensor(value: Any) -> Any:  # noqa: ANN401
    return torch.as_tensor(value) if isinstance(value, np.ndarray) else value


def _modules_of(function: Any) -> list[nn.Module]:  # noqa: ANN401
    """The modules that a function names, is a method of, or is bound to by ``partial``."""
    if isinstance(function, partial):
        used = [function.func, *function.args, *function.keywords.values()]
    elif inspect.ismethod(function):
        used = [function.__self__]
    elif inspect.isfunction(function):
        names = inspect.getclosurevars(function)
        used = [*names.nonlocals.values(), *names.globals.values()]
    else:
        used = list(getattr(function, "__dict__", {}).values())
    return [value for value in used if isinstance(value, nn.Module)]

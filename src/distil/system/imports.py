"""The object that ``package.module:callable`` names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from distil.errors import ConfigError, MissingPackage


def named_object(name: str) -> Callable[..., Any]:
    """What ``package.module:callable`` names; modules of the current directory are found too.

    Raises:
        ConfigError: There is no such module or name, or it cannot be called.
    """
    module_name, _, path = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        if module_name.partition(".")[0] in ("torchvision", "timm"):
            import_torchvision()
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigError(f"cannot import {name!r}: {error}") from error
    if not callable(found):
        raise ConfigError(f"{name!r} is a {type(found).__name__}; expected something that can be called")
    return found  # type: ignore[no-any-return]


def optional(module: str, what: str) -> Any:  # noqa: ANN401 - a module
    """An optional package, imported.

    Raises:
        MissingPackage: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingPackage(f"{what} needs {package}, which is not installed: pip install {package}") from error


# The operators that torchvision describes to torch when it is imported.
_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# An operator lives as long as the library that defines it.
_defined: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """torchvision, also with a torch that its compiled operators do not fit.

    The wheels on PyPI are linked to CUDA. With a CPU build of torch their operators do not load, and ``import torchvision``
    fails on the first that it describes to torch, ``torchvision::nms``. Defining their names, without giving them anything to
    do, lets the rest - models, data sets, transforms - work; ``torchvision.ops.nms`` does not. Where the import works by itself,
    nothing is touched. Call it before packages that import torchvision themselves, such as timm.

    Delete it when the wheels on PyPI can be imported with a CPU build of torch.

    Raises:
        ImportError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        if getattr(torch.ops.torchvision, _OPERATORS[0], None) is not None:
            raise  # the operators are there, so it failed for another reason
    for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _OPERATORS:
        library.define(operator + _SCHEMA)
    _defined.append(library)
    return importlib.import_module("torchvision")

"""Imports by name: objects called ``package.module:callable``, optional packages, and torchvision."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from distil.errors import ConfigError, DistilError, MissingPackage

_LONGEST = 400


def named_object(name: str) -> Callable[..., Any]:
    """Import the object called ``package.module:callable``; modules in the current directory are found too.

    Raises:
        ConfigError: There is no such module or name, the module raises an error, or the object cannot be called.
    """
    module_name, _, path = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        if module_name.partition(".")[0] in ("torchvision", "timm"):
            import_torchvision(repr(name))
        item: Any = importlib.import_module(module_name)
        for part in path.split("."):
            item = getattr(item, part)
    except MissingPackage as error:
        raise ConfigError(str(error)) from error
    except (Exception, SystemExit) as error:  # any module can be named: a script that ends itself, or one with a fault
        raise ConfigError(_missing(repr(name), error) or f"cannot import {name!r}: {in_a_line(error)}") from error
    if not callable(item):
        raise ConfigError(
            f"{name!r} is of type {type(item).__name__}; expected a function, a class or another callable"
        )
    return item  # type: ignore[no-any-return]


def taking(name: str, /, *args: object, **kwargs: object) -> Callable[..., Any]:
    """Import the object called ``package.module:callable``, and check that it takes these arguments, without calling it.

    Raises:
        ConfigError: As for ``named_object``, or it takes other arguments.
    """
    call = named_object(name)
    try:
        signature = inspect.signature(call)
    except (ValueError, TypeError):  # of a function in C, or of an object that hides its signature
        return call
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ConfigError(f"{name} takes {str(signature)[:_LONGEST]}: {error}") from None
    return call


def in_a_line(error: BaseException) -> str:
    """What an error of other code says, in one line; with its kind, unless it speaks of imports or is one of ours."""
    text = " ".join(str(error).split())[:_LONGEST]
    if isinstance(error, (ImportError, AttributeError, DistilError)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


EXTRAS = {
    "matplotlib": "plot",
    "torchvision": "vision",
    "timm": "vision",
    "transformers": "text",
    "sentence_transformers": "text",
    "pyarrow": "table",
    "openpyxl": "excel",
    "datasets": "hf",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "ray": "ray",
}
"""Optional package -> the extra of distil that installs it."""


def optional(module: str, what: str) -> Any:  # noqa: ANN401 - a module
    """Import a module of an optional package.

    Args:
        module: The full name of the module.
        what: The action that needs it, for the message, such as ``"reading Parquet"``.

    Raises:
        MissingPackage: The package, or one that it needs, is not installed or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackage(
            _missing(what, error) or f"{what} needs {module}, which cannot be imported: {error}"
        ) from error


def _missing(what: str, error: BaseException) -> str | None:
    """The message for an optional package that was not found, with the line that installs it; None for other errors."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package not in EXTRAS:
        return None
    return f'{what} needs {package}, which is not installed: pip install "distil[{EXTRAS[package]}]"'


# The operators that torchvision registers with torch when it is imported.
_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# An operator exists as long as the library that defines it.
_defined: list[torch.library.Library] = []


def import_torchvision(what: str = "this model") -> ModuleType:
    """Import torchvision, even if its compiled operators do not match the installed torch.

    The wheels on PyPI are linked to CUDA. With a CPU build of torch their operators do not load, and ``import torchvision``
    fails at the first operator that it registers, ``torchvision::nms``. Defining these names without an implementation lets
    models, data sets and transforms work; ``torchvision.ops.nms`` does not. If the import works by itself, nothing is
    defined. Call this function before importing packages that import torchvision themselves, such as timm.

    Delete it when the wheels on PyPI can be imported with a CPU build of torch.

    Args:
        what: What needs it, for the message.

    Raises:
        MissingPackage: torchvision is not installed.
    """
    try:
        return optional("torchvision", what)  # type: ignore[no-any-return]
    except RuntimeError:
        if getattr(torch.ops.torchvision, _OPERATORS[0], None) is not None:
            raise  # the operators are loaded, so there is another reason
    for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # partly imported
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _OPERATORS:
        library.define(operator + _SCHEMA)
    _defined.append(library)
    return importlib.import_module("torchvision")

"""The object that ``package.module:callable`` names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distil._compat import import_torchvision
from distil.errors import ConfigError


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

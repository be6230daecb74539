"""The checks of hyper-parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from distil.errors import InvalidInput, nearest


def check_count(value: object, name: str, least: int = 1) -> None:
    """Raise InvalidInput unless ``value`` is a whole number of at least ``least``: for hyper-parameters."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InvalidInput(f"{name} must be a whole number from {least}, got {value!r}")


def as_choice(value: object, choices: Iterable[str], name: str) -> str:
    """The choice that ``value`` means, whatever its case, hyphens and underscores."""
    known = {_plain(choice): choice for choice in choices}
    if not isinstance(value, str) or _plain(value) not in known:
        offer = nearest(value, known.values()) if isinstance(value, str) else ""
        raise InvalidInput(f"{name} must be one of {', '.join(map(repr, known.values()))}, got {value!r}{offer}")
    return known[_plain(value)]


def _plain(value: str) -> str:
    return value.lower().replace("-", "").replace("_", "")


def check_choice(value: object, choices: tuple[str, ...], name: str) -> None:
    """Raise InvalidInput, with the nearest spelling, unless ``value`` is one of ``choices``."""
    if value not in choices:
        offer = nearest(value, choices) if isinstance(value, str) else ""
        raise InvalidInput(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}{offer}")


def is_number(value: object) -> bool:
    """Whether ``value`` is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

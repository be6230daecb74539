"""Faults of a configuration, collected so that all of them are reported at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from distil.errors import ConfigError, DistilError, nearest


class Faults:
    """What is wrong with a document; ``done`` raises when there is anything."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def keys(self, where: str, given: Mapping[str, Any], known: Iterable[str], mandatory: Iterable[str] = ()) -> None:
        """Keys that are not known, and known ones that are missing."""
        known = tuple(known)
        self.faults += [f"unknown key {where}{key}{nearest(key, known)}" for key in given if key not in known]
        self.faults += [f"missing key {where}{key}" for key in mandatory if key not in given]

    def count(self, name: str, value: object, least: int = 1) -> int:
        """A whole number."""
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.faults.append(f"{name} must be a whole number from {least}, got {value!r}")
            return least
        return value

    def optional_count(self, name: str, value: object) -> int | None:
        """A whole number from 1, or None."""
        return None if value is None else self.count(name, value)

    def text(self, name: str, value: object) -> str | None:
        """Text, or None."""
        if value is not None and (not isinstance(value, str) or not value):
            self.faults.append(f"{name} must be text, got {value!r}")
            return None
        return value

    def fraction(self, name: str, value: object) -> float | None:
        """A number in (0, 1], or None."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
            self.faults.append(f"{name} must be a fraction above 0, at most 1, got {value!r}")
            return None
        return float(value)

    def switch(self, name: str, value: object) -> bool:
        """A truth value."""
        if not isinstance(value, bool):
            self.faults.append(f"{name} must be true or false, got {value!r}")
        return value is True

    def attempt(self, where: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401
        """What ``make`` returns; None where it raises, and then that is a fault."""
        try:
            return make()
        except (DistilError, TypeError) as error:  # TypeError: arguments that somebody's own callable does not take
            self.faults.append(f"{where}: {error}")
            return None

    def done(self) -> None:
        """Raise ConfigError if there is any fault."""
        if self.faults:
            raise ConfigError("the configuration cannot be run:\n" + "\n".join(f"  - {f}" for f in self.faults))

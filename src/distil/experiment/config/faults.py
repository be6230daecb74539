"""Faults of a configuration, collected so that all of them are reported at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from distil.errors import ConfigError, DistilError, nearest
from distil.experiment.config.schema import choices, expected
from distil.experiment.config.sections import Configuration, Section, Stop
from distil.system.imports import in_a_line

S = TypeVar("S", bound=Section)
_LONGEST = 200
_MOST = 50  # faults that are shown; looking for the nearest name takes a millisecond


class Faults:
    """The faults of a document; ``done`` raises them.

    Args:
        looking: Whether the document is only looked at: names are not looked up, and nothing that it names is imported.
    """

    def __init__(self, *, looking: bool = False) -> None:
        self.looking = looking
        self.faults: list[str] = []

    def section(self, where: str, kind: type[S], given: object) -> S:
        """Check the keys of a section, each by itself.

        Args:
            where: Path of the section; "" for the whole document.
            kind: The class that describes its keys.
            given: The section's JSON value.

        Returns:
            The section. A key with a fault has its default, or None if it is mandatory; ``model_fields_set`` holds every key that
            was given, right or wrong.
        """
        try:
            return kind.model_validate(given)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        given = given if isinstance(given, Mapping) else {}
        for fault in errors:
            self.faults.append(_sentence(where, kind, given, fault, hints=self._has_room))
        wrong = {fault["loc"][0] for fault in errors if fault["loc"]}
        right = {key: value for key, value in given.items() if key in kind.model_fields and key not in wrong}
        needed = {key: None for key, field in kind.model_fields.items() if field.is_required()}
        return kind.model_construct(_fields_set=set(given), **{**needed, **right})

    def attempt(self, where: str, make: Callable[[], Any]) -> None:
        """Call ``make``, unless the document is only looked at; an error of distil is a fault."""
        try:
            if not self.looking:
                make()
        except DistilError as error:
            self.faults.append(f"{where}: {error}")

    def own(self, where: str, make: Callable[[], Any]) -> None:
        """The same with the user's own code, which may raise any error."""
        try:
            self.attempt(where, make)
        except Exception as error:  # noqa: BLE001
            self.faults.append(f"{where}: {in_a_line(error)}")

    def named(self, where: str, name: str, known: Iterable[str], noun: str, instead: str) -> None:
        """Add a fault if a name is none of those known, unless the document is only looked at."""
        known = list(known)
        if name not in known and not self.looking:
            hint = nearest(name, known) if self._has_room else ""
            self.faults.append(
                f"{where}: no {noun} is called {_shown(name)}{hint} (known: {', '.join(known)}, or {instead})"
            )

    def done(self) -> None:
        """Raise ConfigError if there is any fault."""
        faults = list(dict.fromkeys(self.faults))
        more = [f"and {len(faults) - _MOST:,} more"] if len(faults) > _MOST else []
        if faults:
            raise ConfigError(
                "the configuration cannot be run:\n" + "\n".join(f"  - {f}" for f in [*faults[:_MOST], *more])
            )

    @property
    def _has_room(self) -> bool:
        return len(self.faults) < _MOST


def _sentence(
    where: str, kind: type[Section], given: Mapping[str, Any], fault: Mapping[str, Any], *, hints: bool
) -> str:
    """An error of pydantic as a sentence about keys of the configuration."""
    if not fault["loc"]:
        return f"{'' if '.' in where else 'section '}{where} must be a JSON object, got {_shown(fault['input'])}"
    key = str(fault["loc"][0])
    path = f"{where}.{key}" if where else key
    if fault["type"] == "missing":
        return f"missing {'key' if where else 'section'} {path}"
    if fault["type"] == "extra_forbidden":
        section = _section_with(key)
        elsewhere = f"; it belongs into {section}" if section not in ("", where) else ""
        return f"unknown key {_cut(path)}{elsewhere or (nearest(key, kind.model_fields) if hints else '')}"
    wrong = fault["input"]
    hint = nearest(wrong, choices(kind, key)) if hints and isinstance(wrong, str) else ""
    return f"{path} must be {expected(kind, key)}, got {_shown(given[key])}{hint}"


def _section_with(key: str) -> str:
    """The section of the document that has this key; empty if none or several have it."""
    kinds = {
        name: get_args(field.annotation) or (field.annotation,) for name, field in Configuration.model_fields.items()
    }
    kinds["active_learning.stop"] = (Stop,)
    found = [name for name, any_of in kinds.items() if any(key in getattr(kind, "model_fields", ()) for kind in any_of)]
    return found[0] if len(found) == 1 else ""


def _shown(value: object) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."

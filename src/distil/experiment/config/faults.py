"""Faults of a configuration, collected so that all of them are reported at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from distil.errors import ConfigError, DistilError, nearest
from distil.experiment.config.schema import choices, expected
from distil.experiment.config.sections import Section

S = TypeVar("S", bound=Section)
_LONGEST = 200


class Faults:
    """The faults of a document; ``done`` raises them."""

    def __init__(self) -> None:
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
        self.faults += [_sentence(where, kind, given, fault) for fault in errors]
        wrong = {fault["loc"][0] for fault in errors if fault["loc"]}
        right = {key: value for key, value in given.items() if key in kind.model_fields and key not in wrong}
        needed = {key: None for key, field in kind.model_fields.items() if field.is_required()}
        return kind.model_construct(_fields_set=set(given), **{**needed, **right})

    def attempt(self, where: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401
        """The result of ``make``; if it raises, the error is a fault and the result None."""
        try:
            return make()
        except (DistilError, TypeError) as error:  # TypeError: arguments that the user's own callable does not take
            self.faults.append(f"{where}: {error}")
            return None

    def done(self) -> None:
        """Raise ConfigError if there is any fault."""
        if self.faults:
            raise ConfigError(
                "the configuration cannot be run:\n" + "\n".join(f"  - {f}" for f in dict.fromkeys(self.faults))
            )


def _sentence(where: str, kind: type[Section], given: Mapping[str, Any], fault: Mapping[str, Any]) -> str:
    """An error of pydantic as a sentence about keys of the configuration."""
    if not fault["loc"]:
        return f"{'' if '.' in where else 'section '}{where} must be a JSON object, got {_shown(fault['input'])}"
    key = str(fault["loc"][0])
    path = f"{where}.{key}" if where else key
    if fault["type"] == "missing":
        return f"missing {'key' if where else 'section'} {path}"
    if fault["type"] == "extra_forbidden":
        return f"unknown key {path}{nearest(key, kind.model_fields)}"
    value = given[key]
    hint = nearest(value, choices(kind, key)) if isinstance(value, str) else ""
    return f"{path} must be {expected(kind, key)}, got {_shown(value)}{hint}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."

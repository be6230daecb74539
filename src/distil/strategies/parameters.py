"""Hyper-parameters: each field of a strategy declares its valid values, and ``check_fields`` checks them.

The declaration takes the place of the default: ``n_samples: int = count(10)``. A valid value is stored in its plain form
(Python's ``int`` for a NumPy integer, a choice in its usual spelling), so equal settings make equal strategies. None is valid
where it is the default.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from distil.errors import InvalidInput, nearest, whole_number

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Refused(ValueError):
    """An invalid value of a field; its text, which may be empty, is appended to the error message."""


@dataclass(frozen=True)
class _Rule:
    """The valid values of a field.

    Attributes:
        expected: The valid values in words, to follow "must be".
        read: The function that returns a value in its plain form, or raises Refused.
    """

    expected: str
    read: Callable[[object], object]


def declared(default: object, expected: str, read: Callable[[object], object]) -> Any:  # noqa: ANN401
    """Declare a field by a rule of its own: the arguments are the default and the attributes of ``_Rule``."""
    return dataclasses.field(default=default, metadata={"rule": _Rule(expected, read)})


def check_names(strategy: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raise InvalidInput, with the nearest spelling, if a hyper-parameter is given that is not known."""
    unknown = [f"{name!r}{nearest(name, known)}" for name in given if name not in known]
    if unknown:
        offer = f"it takes {', '.join(known)}" if known else "it has no parameters"
        raise InvalidInput(f"{strategy} has no parameter {', '.join(unknown)}; {offer}")


def count(default: int | None) -> Any:  # noqa: ANN401 - as dataclasses.field: the type is the annotation's
    """Declare a field of whole numbers of at least 1."""

    def read(value: object) -> int:
        number = whole_number(value, 1)
        if number is None:
            raise Refused
        return number

    return declared(default, "a whole number from 1", read)


def positive(default: float | None, *, most: float = math.inf) -> Any:  # noqa: ANN401
    """Declare a field of finite numbers above 0 and at most ``most``; numbers whose square underflows to 0 are refused."""

    def read(value: object) -> float:
        number = _number(value)
        if not 0 < number <= most:
            raise Refused
        if number * number == 0:  # lengths are squared in the kernels
            raise Refused("; its square is 0 in floating point")
        return number

    return declared(default, "a number above 0" + (f" and at most {most}" if most < math.inf else ""), read)


def positive_or(word: str, default: float) -> Any:  # noqa: ANN401
    """Declare a field of finite numbers above 0, or the text ``word``."""

    def read(value: object) -> float | str:
        if isinstance(value, str) and value == word:
            return word
        number = _number(value)
        if number <= 0:
            raise Refused
        return number

    return declared(default, f"a number above 0, or {word!r}", read)


def at_least(default: float, least: float) -> Any:  # noqa: ANN401
    """Declare a field of finite numbers of at least ``least``."""

    def read(value: object) -> float:
        number = _number(value)
        if number < least:
            raise Refused
        return number

    return declared(default, f"a number from {least}", read)


def choice(default: str | None, choices: Iterable[str], *, exact: bool = False) -> Any:  # noqa: ANN401
    """Declare a field of names; unless ``exact``, their case, hyphens and underscores are ignored."""
    key = str if exact else _plain
    known = {key(name): name for name in choices}

    def read(value: object) -> str:
        if not isinstance(value, str):
            raise Refused
        if key(value) not in known:
            raise Refused(nearest(value, known.values()))
        return known[key(value)]

    return declared(default, f"one of {', '.join(map(repr, known.values()))}", read)


def flag(default: bool) -> Any:  # noqa: ANN401
    """Declare a field of True or False."""

    def read(value: object) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            raise Refused
        return bool(value)

    return declared(default, "True or False", read)


def function() -> Any:  # noqa: ANN401
    """Declare a field of a function or None, the default."""

    def read(value: object) -> object:
        if not (callable(value) and isinstance(value, Hashable)):
            raise Refused
        return value

    return declared(None, "a function that can be hashed", read)


def numbers() -> Any:  # noqa: ANN401
    """Declare a field of a list of finite numbers above 0, or None, the default; they are stored as a tuple."""

    def read(value: object) -> tuple[float, ...]:
        if not isinstance(value, (list, tuple)) or not value:
            raise Refused
        found = tuple(map(_number, value))
        if not all(number > 0 for number in found):
            raise Refused
        return found

    return declared(None, "a list of numbers above 0", read)


def check_fields(strategy: DataclassInstance) -> None:
    """Check the declared fields of a frozen dataclass and store their plain forms; every strategy calls this on creation.

    Raises:
        InvalidInput: A field has an invalid value; the message names the class and the field.
    """
    for field in dataclasses.fields(strategy):
        rule: _Rule | None = field.metadata.get("rule")
        value = getattr(strategy, field.name)
        if rule is None or (value is None and field.default is None):
            continue
        try:
            plain = rule.read(value)
        except Refused as hint:
            name = f"{type(strategy).__name__}: {field.name}"
            raise InvalidInput(f"{name} must be {rule.expected}, got {value!r}{hint}") from None
        object.__setattr__(strategy, field.name, plain)


def _number(value: object) -> float:
    """Return ``value`` as a finite Python number, or raise Refused."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise Refused
    number: float = value.item() if isinstance(value, np.generic) else value
    if not abs(number) <= sys.float_info.max:  # NaN, infinity, and whole numbers too large for a float
        raise Refused
    return number


def _plain(value: str) -> str:
    return value.lower().replace("-", "").replace("_", "")

"""The strategies by their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from distil.errors import InvalidInput, UnknownName, nearest
from distil.strategies.base import Strategy

S = TypeVar("S", bound=type[Strategy])


_REGISTRY: dict[str, type[Strategy]] = {}


STRATEGIES: Mapping[str, type[Strategy]] = MappingProxyType(_REGISTRY)
"""Every registered strategy by its name."""


def register(name: str) -> Callable[[S], S]:
    """Make a strategy known under ``name``: in the command line, the configuration file, the docs and the contract tests."""

    def add(cls: S) -> S:
        if name in _REGISTRY:
            raise InvalidInput(f"a strategy called {name!r} is registered already: {_REGISTRY[name].__name__}")
        _REGISTRY[name] = cls
        return cls

    return add


def strategy_named(name: str, **parameters: Any) -> Strategy:  # noqa: ANN401 - each strategy has its own
    """The registered strategy of that name with these hyper-parameters.

    Raises:
        UnknownName: No strategy is called that; the message offers the nearest name.
        InvalidInput: It has no such hyper-parameter.
    """
    if name not in _REGISTRY:
        raise UnknownName(
            f"there is no strategy called {name!r}{nearest(name, _REGISTRY)} (known: {', '.join(sorted(_REGISTRY))})"
        )
    cls = _REGISTRY[name]
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    unknown = [p for p in parameters if p not in known]
    if unknown:
        offer = f"it takes {', '.join(known)}" if known else "it takes none"
        raise InvalidInput(f"{name} has no parameter {', '.join(map(repr, unknown))}; {offer}")
    return cls(**parameters)


def as_strategy(strategy: Strategy | str) -> Strategy:
    """``strategy`` itself, or the registered one of that name with its defaults."""
    if isinstance(strategy, str):
        return strategy_named(strategy)
    if not isinstance(strategy, Strategy):
        raise InvalidInput(f"expected a strategy or the name of one, got {type(strategy).__name__}")
    return strategy

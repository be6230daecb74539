"""The strategies by their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from distil.errors import InvalidInput, UnknownName, nearest
from distil.signals import Labels, Signal, measured_by
from distil.strategies.base import ROLES, Needs, ScoreStrategy, Shortlist, Strategy

S = TypeVar("S", bound=type[Strategy])


_REGISTRY: dict[str, type[Strategy]] = {}


STRATEGIES: Mapping[str, type[Strategy]] = MappingProxyType(_REGISTRY)
"""Every registered strategy by its name."""


def register(name: str) -> Callable[[S], S]:
    """Make a strategy known under ``name``: in the command line, the configuration file, the docs and the contract tests.

    The same class defined again, as by a notebook's cell that is run a second time, takes the place of the first.

    Raises:
        InvalidInput: Another class has that name, or this is not a dataclass that derives from ``Strategy``.
    """
    if not isinstance(name, str):
        raise InvalidInput(f'expected @register("name"), with the name of the strategy, got {name!r}')

    def add(cls: S) -> S:
        if not _is_strategy_class(cls):
            raise InvalidInput(
                f"@register({name!r}) expected a dataclass that derives from distil.Strategy, got {cls!r}; write "
                "@dataclass(frozen=True) below @register"
            )
        known = _REGISTRY.get(name, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise InvalidInput(
                f"a strategy called {name!r} is registered already: {known.__module__}.{known.__qualname__}; choose another name"
            )
        _REGISTRY[name] = cls
        return cls

    return add


def strategy_named(name: str, **parameters: Any) -> Strategy:  # noqa: ANN401 - each strategy has its own
    """The registered strategy of that name with these hyper-parameters.

    Raises:
        UnknownName: No strategy is called that; the message offers the nearest name.
        InvalidInput: It has no such hyper-parameter, one is missing, or one cannot have that value.
    """
    if not isinstance(name, str):
        raise InvalidInput(f"expected the name of a strategy, got {name!r}")
    if name not in _REGISTRY:
        raise UnknownName(
            f"there is no strategy called {name!r}{nearest(name, _REGISTRY)} (known: {', '.join(sorted(_REGISTRY))})"
        )
    cls = _REGISTRY[name]
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    known = [field.name for field in fields if field.init]
    unknown = [f"{p!r}{nearest(p, known)}" for p in parameters if p not in known]
    if unknown:
        offer = f"it takes {', '.join(known)}" if known else "it takes none"
        raise InvalidInput(f"{name} has no parameter {', '.join(unknown)}; {offer}")
    missing = [f.name for f in fields if f.init and f.name not in parameters and _is_required(f)]
    if missing:
        raise InvalidInput(f"{name} needs {', '.join(missing)}: no default; give each a value")
    return cls(**parameters)


def _is_strategy_class(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, Strategy) and dataclasses.is_dataclass(cls)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def as_strategy(strategy: Strategy | str) -> Strategy:
    """``strategy`` itself, or the registered one of that name with its defaults."""
    if isinstance(strategy, str):
        strategy = strategy_named(strategy)
    if isinstance(strategy, type) and issubclass(strategy, Strategy):
        raise InvalidInput(
            f"expected a strategy or the name of one, got the class {strategy.__name__}; pass {strategy.__name__}()"
        )
    if not isinstance(strategy, Strategy):
        raise InvalidInput(f"expected a strategy or the name of one, got {type(strategy).__name__}")
    _check_needs(strategy)
    if isinstance(strategy, ScoreStrategy):
        _check_ranks(strategy)
    return strategy


def _check_ranks(strategy: ScoreStrategy) -> None:
    """Raise InvalidInput where a strategy that ranks by its score alone says that it does something else too."""
    name = type(strategy).__name__
    own = next(
        (m for m in ("select", "explained") if getattr(type(strategy), m) is not getattr(ScoreStrategy, m)), None
    )
    if own is not None:
        raise InvalidInput(
            f"{name} ranks examples by its score alone, as every ScoreStrategy does, so {name}.{own} would not be called; derive "
            "it from distil.Strategy"
        )
    _check_signals(strategy.evidence, f"{name}.evidence")
    if strategy.needs.shortlist is not None:
        raise InvalidInput(f"{name}.needs: a ScoreStrategy scores every example, so it has no shortlist")


def _check_needs(strategy: Strategy) -> None:
    """Raise InvalidInput unless ``strategy.needs`` is a Needs of signals."""
    name, needs = type(strategy).__name__, strategy.needs
    if not isinstance(needs, Needs):
        raise InvalidInput(
            f"{name}.needs must be a distil.strategies.Needs, got {type(needs).__name__}; write it as a property that returns one"
        )
    for role in ROLES:
        _check_signals(getattr(needs, role), f"{name}.needs: {role}")
    if not isinstance(needs.shortlist, Shortlist | None):
        raise InvalidInput(f"{name}.needs: shortlist must be a Shortlist or None, got {needs.shortlist!r}")
    if any(isinstance(signal, Labels) for signal in measured_by(needs.pool)):
        raise InvalidInput(
            f"{name}.needs: pool asks for labels, and those of a pool are never read; ask for them of labeled or validation"
        )


def _check_signals(signals: object, what: str) -> None:
    if not isinstance(signals, tuple) or not all(isinstance(signal, Signal) for signal in signals):
        raise InvalidInput(f"{what} must be a tuple of signals, such as (Probs(), Embedding()), got {signals!r}")
    changing = [signal for signal in signals if not isinstance(signal, Hashable)]
    if changing:
        raise InvalidInput(
            f"{what} has {changing[0]!r}, which cannot be hashed; write @dataclass(frozen=True) above {type(changing[0]).__name__}"
        )

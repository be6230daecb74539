"""The registry of strategies, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from distil.errors import DistilError, InvalidInput, UnknownName, nearest
from distil.signals import Labels, Signal, Targets, measured_by
from distil.strategies.base import ROLES, Needs, ScoreStrategy, Shortlist, Strategy
from distil.strategies.parameters import Refused, check_names, declared
from distil.tasks import TASKS, Task, as_task

S = TypeVar("S", bound=type[Strategy])


_REGISTRY: dict[str, type[Strategy]] = {}


STRATEGIES: Mapping[str, type[Strategy]] = MappingProxyType(_REGISTRY)
"""The class of every registered strategy, by its name."""


def register(name: str) -> Callable[[S], S]:
    """Register a strategy under ``name`` for the command line, the configuration file, the docs and the contract tests.

    A class that is defined a second time, as when a notebook's cell is run again, replaces the first.

    Raises:
        InvalidInput: Another class has that name, or the class is not a dataclass that derives from ``Strategy``.
    """
    if not isinstance(name, str):
        raise InvalidInput(f'expected @register("name") with the name of the strategy, got {name!r}')

    def add(cls: S) -> S:
        if not _is_strategy_class(cls):
            raise InvalidInput(
                f"@register({name!r}) expected a dataclass that derives from distil.Strategy, got {cls!r}; write "
                "@dataclass(frozen=True) below @register"
            )
        registered = _REGISTRY.get(name, cls)
        if (registered.__module__, registered.__qualname__) != (cls.__module__, cls.__qualname__):
            raise InvalidInput(
                f"the name {name!r} already belongs to {registered.__module__}.{registered.__qualname__}; choose another name"
            )
        _REGISTRY[name] = cls
        return cls

    return add


def of_library(strategy: Strategy) -> bool:
    """Whether a strategy, with all strategies in its fields, is one of this package."""
    if not type(strategy).__module__.startswith("distil."):  # it need not be a dataclass
        return False
    values = [getattr(strategy, field.name) for field in dataclasses.fields(strategy)]  # type: ignore[arg-type]
    inner = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    return all(of_library(part) for part in inner if isinstance(part, Strategy))


def strategy_named(name: str, **parameters: Any) -> Strategy:  # noqa: ANN401 - each strategy has its own
    """Create the strategy registered under ``name`` with these hyper-parameters.

    Raises:
        UnknownName: No strategy has that name; the message offers the nearest one.
        InvalidInput: A hyper-parameter is unknown, missing or has an invalid value.
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
    check_names(name, parameters, known)
    missing = [f.name for f in fields if f.init and f.name not in parameters and _is_required(f)]
    if missing:
        raise InvalidInput(f"{name} needs {', '.join(missing)}, which has no default; pass {missing[0]}=...")
    return cls(**parameters)


def _is_strategy_class(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, Strategy) and dataclasses.is_dataclass(cls)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def as_strategy(strategy: Strategy | str) -> Strategy:
    """``strategy`` itself, or the strategy registered under that name with its default hyper-parameters.

    Raises:
        InvalidInput: It is not a strategy, or its ``needs`` or ``evidence`` is malformed.
        UnknownName: No strategy has that name.
    """
    if isinstance(strategy, str):
        strategy = strategy_named(strategy)
    if isinstance(strategy, type) and issubclass(strategy, Strategy):
        raise InvalidInput(
            f"strategy must be a strategy or its name, got the class {strategy.__name__}; pass {strategy.__name__}()"
        )
    if not isinstance(strategy, Strategy):
        raise InvalidInput(
            f"strategy must be a strategy or its name, for example 'badge', got {type(strategy).__name__}"
        )
    _check_needs(strategy)
    if isinstance(strategy, ScoreStrategy):
        _check_ranks(strategy)
    return strategy


def held(default: Strategy, kind: type[Any] = Strategy) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field that holds another strategy: an object, a registered name, or ``{"name": ..., "args": {...}}``.

    Args:
        default: The strategy by default.
        kind: ``Strategy``, or ``ScoreStrategy`` where each example must be scored by itself.
    """
    scored = " that scores each example by itself, such as 'margin_sampling'" if kind is ScoreStrategy else ""
    return declared(default, f"a strategy{scored}", partial(_read, kind=kind))


def held_several(default: tuple[Strategy, ...], kind: type[Any] = Strategy) -> Any:  # noqa: ANN401
    """Declare a field that holds two or more strategies: a list whose entries have the forms of ``held``; same arguments."""

    def read(value: object) -> tuple[Strategy, ...]:
        if not isinstance(value, (list, tuple)) or len(value) < 2:
            raise Refused
        return tuple(_read(entry, kind) for entry in value)

    scored = " that score each example by itself" if kind is ScoreStrategy else ""
    return declared(default, f"two or more strategies{scored}, in a list", read)


def _read(value: object, kind: type[Any]) -> Strategy:
    """The strategy that a value of any of these forms describes."""
    try:
        found = as_strategy(_built(value) if isinstance(value, Mapping) else value)  # type: ignore[arg-type]  # it checks
    except DistilError as error:
        raise Refused(f"; {error}") from None
    is_kind = isinstance(found, kind)  # apart, or the type of what is returned would be that of kind
    if not is_kind:
        raise Refused
    if found.may_choose_fewer:
        raise Refused("; it may choose fewer examples than it is asked for, so it cannot be part of another strategy")
    return found


def _built(entry: Mapping[str, Any]) -> Strategy:
    """The strategy of an entry ``{"name": ..., "args": {...}}``, as in a configuration."""
    check_names("the entry of a strategy", entry, ("name", "args"))
    args = entry.get("args", {})
    if "name" not in entry or not isinstance(args, Mapping):
        raise InvalidInput(f'the entry of a strategy must be {{"name": ..., "args": {{...}}}}, got {dict(entry)!r}')
    return strategy_named(entry["name"], **args)


def for_classes(strategy: Strategy, num_classes: int) -> Strategy:
    """The strategy, with its parameter ``n_classes`` set to the number of classes where it has one that was left out.

    The same holds for the strategies in its fields.
    """
    return _filled(strategy, "n_classes", num_classes)


def for_task(strategy: Strategy, task: object) -> Strategy:
    """The strategy, with its parameter ``task`` set where it has one that was left out; so too the strategies in its fields.

    Raises:
        InvalidInput: There is no task of that name, or the strategy does not know it.
    """
    task = as_task(task)
    found = _filled(strategy, "task", task)
    if not _knows(found, task):
        own = [name for name, cls in STRATEGIES.items() if cls.__module__.startswith("distil.")]
        suited = [name for name in sorted(own) if task in tasks_of(STRATEGIES[name]())]
        raise InvalidInput(
            f"{type(strategy).__name__} does not know the task {task!r}, only {' and '.join(tasks_of(strategy)) or 'no task'}; "
            f"strategies for {task}: {', '.join(suited)}"
        )
    return found


def tasks_of(strategy: Strategy) -> tuple[Task, ...]:
    """The tasks that a strategy knows: those in which all signals that it reads exist."""
    return tuple(task for task in TASKS if _knows(_filled(strategy, "task", task), task))


def _knows(strategy: Strategy, task: Task) -> bool:
    needs = strategy.needs
    shortlisted = set() if needs.shortlist is None else needs.shortlist.by.needs.signals
    signals = {*needs.signals, *shortlisted}
    return all(task in signal.tasks for signal in {*signals, *measured_by(signals)})


def _filled(strategy: Strategy, name: str, value: object) -> Strategy:
    """The strategy with a parameter set where it has one that was left out; so too the strategies in its fields."""
    fields: tuple[Any, ...] = dataclasses.fields(strategy) if dataclasses.is_dataclass(strategy) else ()
    now = {field.name: getattr(strategy, field.name) for field in fields}
    new: dict[str, Any] = {field: _filled(own, name, value) for field, own in now.items() if isinstance(own, Strategy)}
    for field, own in now.items():
        if isinstance(own, tuple) and any(isinstance(part, Strategy) for part in own):
            new[field] = tuple(_filled(part, name, value) for part in own)
    if name in now and now[name] is None:
        new[name] = value
    return dataclasses.replace(strategy, **new) if new else strategy  # type: ignore[type-var]


def _check_ranks(strategy: ScoreStrategy) -> None:
    """Raise InvalidInput where a ScoreStrategy defines something that ranking by score does not use."""
    name = type(strategy).__name__
    own = next(
        (m for m in ("select", "explained") if getattr(type(strategy), m) is not getattr(ScoreStrategy, m)), None
    )
    if own is not None:
        raise InvalidInput(
            f"{name} is a ScoreStrategy, which ranks examples by score alone, so {name}.{own} would never be called; derive "
            f"{name} from distil.Strategy instead"
        )
    _check_signals(strategy.evidence, f"{name}.evidence")
    if strategy.needs.shortlist is not None:
        raise InvalidInput(
            f"{name}.needs has a shortlist, but a ScoreStrategy scores every example; leave it out, or derive {name} from "
            "distil.Strategy"
        )


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
    if any(isinstance(signal, (Labels, Targets)) for signal in measured_by(needs.pool)):
        raise InvalidInput(
            f"{name}.needs: pool asks for labels, which are never read from the pool; ask for the labels of labeled or validation"
        )


def _check_signals(signals: object, name: str) -> None:
    if not isinstance(signals, tuple) or not all(isinstance(signal, Signal) for signal in signals):
        raise InvalidInput(f"{name} must be a tuple of signals, such as (Probs(), Embedding()), got {signals!r}")
    unhashable = [signal for signal in signals if not isinstance(signal, Hashable)]
    if unhashable:
        kind = type(unhashable[0]).__name__
        raise InvalidInput(
            f"{name} has {unhashable[0]!r}, which cannot be hashed; write @dataclass(frozen=True) above {kind}"
        )

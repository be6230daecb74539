"""``distil strategies``: the strategies there are."""

from __future__ import annotations

import dataclasses
from typing import Any


def described() -> list[dict[str, Any]]:
    """List the strategies.

    Each with the tasks that it knows, the signals that it reads of the pool and of other sets, its parameters with their
    defaults, and its paper.
    """
    from distil.strategies import STRATEGIES
    from distil.strategies.base import ROLES
    from distil.strategies.registry import tasks_of

    entries = []
    for name, cls in sorted(STRATEGIES.items()):
        needs = cls().needs
        signals = {role: [repr(s) for s in getattr(needs, role)] for role in ROLES if getattr(needs, role)}
        parameters = {f.name: _shown(f.default) for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        summary = (cls.__doc__ or "").split("\n", 1)[0]
        tasks = list(tasks_of(cls()))
        entries.append(
            {
                "name": name,
                "summary": summary,
                "tasks": tasks,
                "signals": signals,
                "parameters": parameters,
                "paper": cls.paper,
            }
        )
    return entries


def _shown(default: object) -> object:
    """The default of a parameter; the registered name in place of a strategy, and a list in place of several."""
    from distil.strategies import STRATEGIES

    if isinstance(default, tuple):
        return [_shown(part) for part in default]
    return next((name for name, cls in STRATEGIES.items() if type(default) is cls), default)


def act(given: dict[str, Any]) -> int:
    """Print the list."""
    for entry in described(**given):
        reads = "; ".join(f"{role}: {', '.join(signals)}" for role, signals in entry["signals"].items()) or "nothing"
        takes = ", ".join(f"{name}={default!r}" for name, default in entry["parameters"].items()) or "none"
        print(f"{entry['name']}\n    {entry['summary']}\n    tasks: {', '.join(entry['tasks'])}\n    reads {reads}")
        print(f"    parameters: {takes}\n    {entry['paper']}\n")
    return 0

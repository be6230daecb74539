"""``distil strategies``: what there is to choose from."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

_DESCRIPTION = """\
List every registered strategy: the signals it reads of the pool (and of other sets), its parameters with their defaults, and
the paper it comes from.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = commands.add_parser("strategies", help="list the strategies", description=_DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    entries = described()
    if arguments.json:
        print(json.dumps(entries, indent=2))
        return 0
    for entry in entries:
        reads = "; ".join(f"{role}: {', '.join(signals)}" for role, signals in entry["signals"].items()) or "nothing"
        takes = ", ".join(f"{name}={default!r}" for name, default in entry["parameters"].items()) or "none"
        print(f"{entry['name']}\n    {entry['summary']}\n    reads {reads}")
        print(f"    parameters: {takes}\n    {entry['paper']}\n")
    return 0


def described() -> list[dict[str, Any]]:
    """For every strategy its name, the first line of its docstring, signals by set, parameters and paper."""
    from distil.strategies import STRATEGIES
    from distil.strategies.base import ROLES

    entries = []
    for name, cls in sorted(STRATEGIES.items()):
        needs = cls().needs
        signals = {role: [repr(s) for s in getattr(needs, role)] for role in ROLES if getattr(needs, role)}
        parameters = {f.name: f.default for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        summary = (cls.__doc__ or "").split("\n", 1)[0]
        entries.append(
            {"name": name, "summary": summary, "signals": signals, "parameters": parameters, "paper": cls.paper}
        )
    return entries

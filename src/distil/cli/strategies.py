"""``distil strategies``: what there is to choose from."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from distil.cli.options import add_command, add_output, print_json

_DESCRIPTION = """\
List every registered strategy: the signals it reads of the pool (and of other sets), its parameters with their defaults, and
the paper it comes from.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = add_command(commands, "strategies", "list the strategies", _DESCRIPTION)
    add_output(parser)
    parser.set_defaults(run=_command)


def _command(arguments: argparse.Namespace) -> int:
    entries = described()
    if arguments.json:
        print_json(entries)
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

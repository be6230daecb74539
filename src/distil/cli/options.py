"""What the commands share.

A command parses its options and calls the function of its file. An option's name in the namespace is the function's keyword, and
an option that was not given is missing from the namespace, so that every default is written once, in the function.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from distil.errors import InvalidInput

PathLike = str | os.PathLike[str]


def add_command(commands: Any, name: str, summary: str, description: str) -> argparse.ArgumentParser:  # noqa: ANN401
    """The parser of a command, without any options yet.

    Args:
        commands: What ``add_subparsers`` returned; its class has no public name.
        name: Of the command.
        summary: The line about it in ``distil --help``.
        description: What its own ``--help`` begins with.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    return parser


def add_output(parser: argparse.ArgumentParser, json_help: str = "print JSON, for programs") -> None:
    """Add what says how results are printed."""
    parser.add_argument("--json", action="store_true", default=False, help=json_help)


def add_progress(parser: argparse.ArgumentParser) -> None:
    """Add the switch of the progress bars."""
    parser.add_argument("--no-progress", dest="progress", action="store_false", help="show no progress bar")


def keywords(function: Callable[..., Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """The given options that ``function`` takes."""
    given = vars(arguments)
    return {name: given[name] for name in inspect.signature(function).parameters if name in given}


def print_notes(found: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Say on standard error what was read, where the content of a file decided that; with ``--json``, the document says it."""
    if not arguments.json:
        for note in found["read"]:
            print_note(note)


def print_note(note: str) -> None:
    """Say one thing on standard error."""
    sys.stderr.write(f"note: {note}\n")


def print_json(document: Any) -> None:  # noqa: ANN401 - what JSON can hold
    """Print a document."""
    print(json.dumps(document, indent=2))


def as_json(document: dict[str, Any]) -> dict[str, Any]:
    """The document as ``--json`` prints it: lists in the place of tuples."""
    found: dict[str, Any] = json.loads(json.dumps(document))
    return found


def listed(given: str | Sequence[str]) -> list[str]:
    """Names from a sequence of them, or from text with commas in between."""
    if not isinstance(given, (str, Sequence)):
        raise InvalidInput(f"expected a list of names, or text with commas in between, got {given!r}")
    return given.split(",") if isinstance(given, str) else list(given)


def path_of(what: str, given: PathLike, instead: str = "") -> str:
    """A path as text.

    Args:
        what: What the caller calls it.
        given: The path.
        instead: What the error adds: where something that is no path belongs.

    Raises:
        InvalidInput: It is something else, such as an array.
    """
    if not isinstance(given, (str, os.PathLike)):
        raise InvalidInput(f"{what} must be a path, got {type(given).__name__}{instead}")
    return os.fspath(given)


def optional_path(what: str, given: PathLike | None, instead: str = "") -> str | None:
    """The same of a path that may be left out."""
    return None if given is None else path_of(what, given, instead)

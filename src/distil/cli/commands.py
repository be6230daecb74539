"""Commands made from functions: the signature gives the options, the docstring gives their help."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from distil.cli.completions import COMPLETIONS
from distil.cli.options import parameters_of, print_json

Act = Callable[[dict[str, Any]], int]
"""What a command does with its options when it does not print JSON; returns the exit code."""

_NAMED = ("strategy", "n")  # positional in Python, options on the command line


def _remember(context: typer.Context, verbose: bool) -> None:
    if verbose:
        context.meta["verbose"] = True


Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        callback=_remember,
        help="Show the traceback of an error.",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class _Command(TyperCommand):
    """A command that refuses an option given twice, unless it takes several values, and a file without its option.

    Attributes:
        file: The option of the first file that the command reads; None where the command takes positional arguments.
    """

    file: str | None = None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer has no public name for it
        """Parse the options; see ``TyperCommand``."""
        _, rest, order = self.make_parser(ctx).parse_args(args=list(args))
        if rest and self.file is not None:
            how = f"a file follows the option that reads it, such as {self.file} {rest[0]}"
            raise typer.BadParameter(f"{rest[0]!r} follows no option; {how}", ctx=ctx)
        given: Counter[Any] = Counter(order)
        for option, times in given.items():
            if times > 1 and not option.multiple and not option.is_flag:
                raise typer.BadParameter(f"given {times} times; give it once", ctx=ctx, param=option)
        return super().parse_args(ctx, args)


def add_command(app: typer.Typer, name: str, commands: Mapping[str, tuple[Callable[..., Any], Act]]) -> None:
    """Add a command that takes the arguments of a function as options, and ``--json`` and ``--verbose``.

    Args:
        app: The application.
        name: The name of the command.
        commands: By name, the function, whose result ``--json`` prints, and what the command does without ``--json``. Positional
            arguments of the function are positional in the command too.
    """
    function, _ = commands[name]
    description, helps = documented(function)
    hints = get_type_hints(function)
    options = [_option(p, hints[p.name], helps.get(p.name)) for p in inspect.signature(function).parameters.values()]

    def command(**given: Any) -> int:  # noqa: ANN401 - each option has its own type
        json = given.pop("json")
        del given["verbose"]  # remembered already
        if given.get("parameters"):
            given["parameters"] = parameters_of(given["parameters"])
        if not json:
            return commands[name][1](given)
        document = function(**given)
        print_json(document)
        if "waiting" in document:
            return 3
        return int(isinstance(document, dict) and bool(document.get("failed")))

    for own, hint in {"json": _Json, "verbose": Verbose}.items():
        options.append(inspect.Parameter(own, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=False))
    command.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    app.command(name, help=description, cls=type("_Command", (_Command,), {"file": _file_option(function, hints)}))(
        command
    )


def _file_option(function: Callable[..., Any], hints: Mapping[str, object]) -> str | None:
    """The option of the first file that a function takes; None where it takes positional arguments, or no file."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in _NAMED for p in parameters):
        return None
    return next((_flag(p.name) for p in parameters if _type_of(hints[p.name]) is Path), None)


def documented(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The description in a Google docstring, for a terminal, and the text on each argument."""
    description, _, rest = (inspect.getdoc(function) or "").replace("``", "`").partition("\nArgs:\n")
    paragraphs = [  # the examples keep their lines
        f"\b\n{text}" if text.startswith(" ") else " ".join(text.replace("::", ":").split())
        for text in description.strip("\n").split("\n\n")
    ]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", rest.partition("\n\n")[0], re.MULTILINE)
    return "\n\n".join(paragraphs), {name: " ".join(text.split()) for name, text in entries}


def _option(parameter: inspect.Parameter, hint: object, text: str | None) -> inspect.Parameter:
    """The parameter as typer reads it."""
    kind, name = _type_of(hint), parameter.name
    more: dict[str, Any] = {"help": text, "autocompletion": COMPLETIONS.get(name), "path_type": str}
    if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name not in _NAMED:
        info: Any = typer.Argument(metavar=name.upper(), **more)
    else:
        flag = _flag(name)
        both = kind is bool and parameter.default is not False
        if kind in (int, float):
            more |= {"parser": _reader(kind, flag), "metavar": f"<{kind.__name__}>"}
        info = typer.Option(f"{flag}/--no-{flag[2:]}" if both else flag, **more)
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, info])


def _flag(name: str) -> str:
    """The option of an argument."""
    return f"--{'set' if name == 'parameters' else name.replace('_', '-')}"


def _reader(kind: type[int] | type[float], flag: str) -> Callable[[str], float]:
    """A function that reads a number; typer's own speaks of integers and parsing."""

    def read(text: str) -> float:
        try:
            return kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise typer.BadParameter(f"expected {what}, got {text!r}", param_hint=f"'{flag}'") from None

    return read


def _type_of(hint: object) -> Any:  # noqa: ANN401 - a type or an alias
    """The type of the values on the command line: a list where the function takes several."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    found = [get_origin(part) or part for part in parts]
    if Mapping in found or Sequence in found:
        return list[Path] if PathLike in found else list[str]
    return Path if PathLike in found else parts[0]

"""The command ``distil``: one file a command.

Exit codes: 0, done; 1, a run that cannot go on, a file that cannot be read or written, too little memory, a broken promise
(``distil verify``), or an unexpected error;
2, a wrong command line, configuration or input; 3, waiting for answers; 130, interrupted; 143, ended by SIGTERM.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TextIO

import typer

from distil.cli import (
    answer,
    audit,
    compare,
    embed,
    evaluate,
    finish,
    forecast,
    label,
    label_studio,
    project,
    report,
    resume,
    run,
    select,
    strategies,
    verify,
)
from distil.cli import next as next_items
from distil.cli.commands import Act, Verbose, add_command
from distil.cli.endings import ended, say, streams, terminable

_COMMANDS: dict[str, tuple[Callable[..., Any], Act]] = {
    "run": (run.run, run.act),
    "compare": (compare.compare, compare.act),
    "report": (report.report, report.act),
    "forecast": (forecast.forecast, forecast.act),
    "resume": (resume.resume, resume.act),
    "strategies": (strategies.described, strategies.act),
    "select": (select.pick, select.act),
    "embed": (embed.embed, embed.act),
    "audit": (audit.audit, audit.act),
    "label": (label.label, label.act),
    "next": (next_items.next_, next_items.act),
    "answer": (answer.answer, answer.act),
    "evaluate": (evaluate.evaluate, evaluate.act),
    "finish": (finish.finish, finish.act),
    "verify": (verify.verify, verify.act),
}
_GROUPS: dict[str, tuple[str, dict[str, tuple[Callable[..., Any], Act]]]] = {
    "project": (project.HELP, project.COMMANDS),
    "label-studio": (label_studio.HELP, label_studio.COMMANDS),
}
_WIDE = 100  # narrower panels cut words off


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    context: typer.Context | None = None
    with streams():
        try:
            with terminable(), warnings.catch_warnings():
                warnings.showwarning = _show_warning
                terminal = sys.stdout.isatty() and shutil.get_terminal_size().columns >= _WIDE
                command = _command(terminal)
                if "_DISTIL_COMPLETE" in os.environ:
                    command(prog_name="distil")  # prints completions, and exits
                context = typer.Context(command, info_name="distil", **command.context_settings)
                for flag in command.get_params(context):
                    flag.default = False  # to convert None, typer would import pydantic, for every help
                code = _done(command, context, list(sys.argv[1:] if argv is None else argv))
                sys.stdout.flush()
                return code
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - every command ends in a line and an exit code
            if context is None:  # interrupted before the command line was read
                return ended(error, None, verbose=False)
            return ended(error, context.invoked_subcommand, "verbose" in context.meta)


def _done(command: Any, context: typer.Context, argv: list[str]) -> int:  # noqa: ANN401 - typer has no public name for it
    try:
        with context:
            command.parse_args(context, argv)
            return int(command.invoke(context))
    except typer.Exit as end:  # after --help and --version
        return end.exit_code


@functools.cache  # making it takes 0.1 s
def _command(terminal: bool) -> Any:  # noqa: ANN401 - typer has no public name for it
    app = typer.Typer(
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if terminal else None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help="Deep active learning: which examples to label next.")(_options)
    for name in _COMMANDS:
        add_command(app, name, _COMMANDS)
    for name, (text, commands) in _GROUPS.items():
        group = typer.Typer(help=text)
        for each in commands:
            add_command(group, each, commands)
        app.add_typer(group, name=name)
    return typer.main.get_command(app)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"distil {version('distil')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """The options before the command."""


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the protocol's signature
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    say(f"distil: warning: {message}")

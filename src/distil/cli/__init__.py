"""The command ``distil``: one file a command.

Exit codes: 0, done; 1, a run that cannot go on, or a file that cannot be read or written; 2, a wrong command line, configuration or
input; 3, waiting for answers; 130, interrupted.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TextIO

import typer

from distil.cli import answer, audit, compare, embed, project, report, resume, run, select, strategies
from distil.cli import next as next_items
from distil.cli.commands import Act, Verbose, add_command
from distil.errors import DistilError, RunError

_COMMANDS: dict[str, tuple[Callable[..., Any], Act]] = {
    "run": (run.run, run.act),
    "compare": (compare.compare, compare.act),
    "report": (report.report, report.act),
    "resume": (resume.resume, resume.act),
    "strategies": (strategies.described, strategies.act),
    "select": (select.pick, select.act),
    "embed": (embed.embed, embed.act),
    "audit": (audit.audit, audit.act),
    "next": (next_items.next_, next_items.act),
    "answer": (answer.answer, answer.act),
}
_GROUPS: dict[str, tuple[str, dict[str, tuple[Callable[..., Any], Act]]]] = {
    "project": (project.HELP, project.COMMANDS)
}
_POOL_INTERRUPTED = "nothing was written; the same command begins again, and embeddings that are finished are kept"
_INTERRUPTED = {"select": _POOL_INTERRUPTED, "audit": _POOL_INTERRUPTED}
_WIDE = 100  # narrower panels cut words off


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    command: Any = typer.main.get_command(_app())
    if "_DISTIL_COMPLETE" in os.environ:
        command(prog_name="distil")  # prints completions, and exits
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # ids may be names of files, in any encoding
    context = typer.Context(command, info_name="distil", **command.context_settings)
    for flag in command.get_params(context):
        flag.default = False  # to convert None, typer would import pydantic, for every help
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            with context:
                command.parse_args(context, list(sys.argv[1:] if argv is None else argv))
                code = int(command.invoke(context))
            sys.stdout.flush()
            return code
    except typer.Exit as end:  # after --help and --version
        return end.exit_code
    except BrokenPipeError:  # the reader of the output, head for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        kept = "nothing is lost, and the same command goes on from here"
        sys.stderr.write(f"\ndistil: interrupted; {_INTERRUPTED.get(context.invoked_subcommand or '', kept)}\n")
        return 130
    except (DistilError, OSError, typer.TyperException) as error:
        if "verbose" in context.meta and not isinstance(error, typer.TyperException):
            traceback.print_exc()
        sys.stderr.write(f"distil: {_message(error, context.invoked_subcommand)}\n")
        return 1 if isinstance(error, RunError) or not isinstance(error, DistilError | typer.TyperException) else 2


def _app() -> typer.Typer:
    terminal = sys.stdout.isatty() and shutil.get_terminal_size().columns >= _WIDE
    app = typer.Typer(
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if terminal else None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help="Deep active learning: which examples to label next.")(_options)
    for name, (function, act) in _COMMANDS.items():
        add_command(app, name, function, act)
    for name, (text, commands) in _GROUPS.items():
        group = typer.Typer(help=text)
        for each, (function, act) in commands.items():
            add_command(group, each, function, act)
        app.add_typer(group, name=name)
    return app


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


def _message(error: Exception, command: str | None) -> str:
    """The message of an error; for a wrong command line, and the command that shows the help."""
    if isinstance(error, typer.TyperException):
        missing: Any = error.param if isinstance(error, typer.BadParameter) and not error.message else None
        what = f" {missing.help}" if missing is not None else ""
        return f"{error.format_message()}{what}\nHelp: distil {f'{command} ' if command else ''}--help"
    if isinstance(error, OSError) and not isinstance(error, DistilError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the protocol's signature
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,
    line: str | None = None,  # noqa: ARG001
) -> None:
    (file or sys.stderr).write(f"distil: warning: {message}\n")

"""The command ``distil``: one file a command.

Exit codes: 0, done; 1, a run that cannot go on; 2, a wrong command line, configuration or input; 3, waiting for answers; 130,
interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

from distil.cli import audit, compare, embed, report, resume, run, select, strategies
from distil.errors import DistilError, RunError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="distil", description="Deep active learning: which examples to label next.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (run, compare, report, resume, strategies, select, embed, audit):
        command.add(commands)
    arguments = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # ids may be names of files, in any encoding
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = int(arguments.run(arguments))
            sys.stdout.flush()
            return code
    except BrokenPipeError:  # the reader of the output, head for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except DistilError as error:
        sys.stderr.write(f"distil: {error}\n")
        return 1 if isinstance(error, RunError) else 2
    except KeyboardInterrupt:
        goes_on = getattr(arguments, "interrupted", "nothing is lost, and the same command goes on from here")
        sys.stderr.write(f"\ndistil: interrupted; {goes_on}\n")
        return 130


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the protocol's signature
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,
    line: str | None = None,  # noqa: ARG001
) -> None:
    (file or sys.stderr).write(f"distil: warning: {message}\n")

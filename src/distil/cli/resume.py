"""``distil resume``: go on with an experiment that was stopped."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from distil.cli.experiment_options import add_output_options, finish
from distil.cli.options import add_command

_DESCRIPTION = """\
Go on with an experiment that was stopped - interrupted, killed, or resting until its answers come - and end with the very results
that it would have had. Finished runs are left as they are.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = add_command(commands, "resume", "go on with an experiment that was stopped", _DESCRIPTION)
    parser.add_argument("run_directory", metavar="RUN", type=Path, help="the output directory of `distil run`")
    add_output_options(parser)
    parser.set_defaults(run=_command)


def _command(arguments: argparse.Namespace) -> int:
    from distil.experiment.directory import open_config

    return finish(open_config(arguments.run_directory), arguments)

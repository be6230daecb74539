"""``distil run``: an experiment from a configuration file."""

from __future__ import annotations

import argparse
from typing import Any

from distil.cli.experiment_options import add_options, finish, overrides_of

Commands = Any  # what add_subparsers returns has no public name

_DESCRIPTION = """\
Run an experiment: every strategy of a JSON configuration with every seed, round by round, and show how accurate the model
was after each. The format is that of the DISTIL document, with a few keys more; docs/configuration.md describes all of them.

The output directory keeps the configuration, one line for every event (with the ids chosen in every round), the final models, a
table and a plot. A run that was stopped, however it was stopped, goes on with the same command or with `distil resume`.
"""


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "run",
        help="run an experiment from a configuration file",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    from distil.experiment.config.experiment_config import read_config

    return finish(read_config(arguments.config, overrides_of(arguments)), arguments)

"""``distil compare``: strategies over paired seeds, with statistics."""

from __future__ import annotations

import argparse
from typing import Any

from distil.cli.experiment_options import add_options, finish, overrides_of

_DESCRIPTION = """\
Compare strategies fairly: every strategy runs with every seed, and those of one seed share the split, the initial labels, the first
weights and the order of minibatches, so that differences are the strategies' own. Random sampling is always among them, and one
training on all of the pool a seed shows what there is to reach.

The output directory grows: the same command with more strategies or more seeds runs only what is missing, and one that was
stopped, however it was stopped, goes on with the same command. At the end there is a page, report.html;
`distil report` makes it again, or one of several experiments.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = commands.add_parser(
        "compare",
        help="compare strategies over paired seeds",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument(
        "--retrain", metavar="A,B,...", help="run every strategy with each of scratch, warm, shrink_perturb"
    )
    parser.add_argument("--no-full-data", action="store_true", help="do not train on all of the pool")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    from distil.experiment.config.experiment_config import read_config
    from distil.experiment.directory import compared

    config = read_config(arguments.config, overrides_of(arguments))
    retrain = [] if arguments.retrain is None else arguments.retrain.split(",")
    return finish(compared(config, retrain=retrain, full_data=not arguments.no_full_data), arguments, page=True)

"""``distil report`` and ``distil.report``: a page of what one or several experiments show."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distil.cli.options import PathLike, add_command, add_output, as_json, keywords, path_of, print_json

_DESCRIPTION = """\
Make one page of an experiment: learning curves with their bounds, areas with paired tests, labels saved, who beats whom, time and
memory, what was selected, and everything that is needed to do it again. The page is a single file that works offline and can be
sent as it is. Several directories are taken for several data sets, over which strategies are ranked.

What cannot be said - of runs that are not finished, with one seed, without the data - the page says so.
"""


def report(
    runs: PathLike | Sequence[PathLike], *, output: PathLike | None = None, data: PathLike | None = None
) -> dict[str, Any]:
    """Everything that one or several experiments show, as the command ``distil report`` says it.

    Args:
        runs: An output directory of :func:`distil.run` or :func:`distil.compare`; or several of them, one a data set.
        output: Where to write the page, if anywhere.
        data: Where data sets are; default: the experiment's, ``$DISTIL_DATA``, then the user's cache.

    Returns:
        What ``distil report --json`` prints, every number and sentence of the page: ``title``, ``level``, ``alpha``,
        ``metric_names``, ``experiments`` (one a directory) and ``across`` (None with one directory).

    Raises:
        RunError: A directory holds no experiment, or a damaged one.
        InvalidInput: No directories.
    """
    import dataclasses

    from distil.experiment.directory import open_config
    from distil.experiment.page.render import page_of
    from distil.experiment.page.report import report_of
    from distil.system.files import write_text

    several = runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
    configs = [open_config(Path(path_of("runs", run))) for run in several]
    if data is not None:
        root = path_of("data", data)
        configs = [dataclasses.replace(config, data_root=root) for config in configs]
    found = report_of(configs)
    if output is not None:
        write_text(Path(path_of("output", output)), page_of(found))
    return as_json(found)


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = add_command(commands, "report", "make a page of one or several experiments", _DESCRIPTION)
    parser.add_argument("runs", metavar="RUNS", nargs="+", help="output directories of `distil compare`")
    parser.add_argument(
        "--output", metavar="FILE", help="the page; default: report.html, in RUNS where that is one directory"
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="where data sets are; default: the experiment's, $DISTIL_DATA, then the user's cache",
    )
    add_output(parser, "print everything that the page shows as JSON, and write the page only with --output")
    parser.set_defaults(run=_command)


def _command(arguments: argparse.Namespace) -> int:
    options = keywords(report, arguments)
    if arguments.json:
        print_json(report(**options))
        return 0
    folder = arguments.runs[0] if len(arguments.runs) == 1 else "."
    options = {"output": Path(folder, "report.html"), **options}
    found = report(**options)
    print("\n\n".join(f"{experiment['name']}\n\n{experiment['table']}" for experiment in found["experiments"]))
    print(f"\nReport: {options['output']}")
    return 0

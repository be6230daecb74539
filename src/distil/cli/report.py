"""``distil report``: a page of what one or several experiments show."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_DESCRIPTION = """\
Make one page of an experiment: learning curves with their bounds, areas with paired tests, labels saved, who beats whom, time and
memory, what was selected, and everything that is needed to do it again. The page is a single file that works offline and can be
sent as it is. Several directories are taken for several data sets, over which strategies are ranked.

What cannot be said - of runs that are not finished, with one seed, without the data - the page says so.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="make a page of one or several experiments",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", metavar="RUNS", nargs="+", type=Path, help="output directories of `distil compare`")
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="the page; default: report.html, in RUNS where that is one directory",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="where data sets are; default: the experiment's, $DISTIL_DATA, then the user's cache",
    )
    parser.add_argument(
        "--json", action="store_true", help="print everything that the page shows as JSON, and write no page"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    import dataclasses
    import json

    from distil.experiment.directory import open_config
    from distil.experiment.page.render import page_of
    from distil.experiment.page.report import report_of
    from distil.system.files import write_text

    configs = [open_config(path) for path in arguments.runs]
    if arguments.data is not None:
        configs = [dataclasses.replace(config, data_root=arguments.data) for config in configs]
    report = report_of(configs)
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    path = arguments.output or Path(arguments.runs[0] if len(configs) == 1 else ".", "report.html")
    write_text(path, page_of(report))
    print("\n\n".join(f"{experiment['name']}\n\n{experiment['table']}" for experiment in report["experiments"]))
    print(f"\nReport: {path}")
    return 0

"""Options of the commands that run experiments."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``run`` and ``compare`` take."""
    parser.add_argument("config", help="a JSON file")
    parser.add_argument("--output", metavar="DIR", help="where to write; default: runs/NAME OF THE FILE")
    parser.add_argument(
        "--data", metavar="DIR", help="where data sets are; default: $DISTIL_DATA, then the user's cache"
    )
    parser.add_argument("--download", action="store_true", help="download the data set if it is missing")
    parser.add_argument("--strategies", metavar="A,B,...", help="the strategies to run, in place of the file's")
    parser.add_argument(
        "--seeds", metavar="N", type=int, help="how many seeds to run: 0 to N-1, in place of the file's"
    )
    parser.add_argument("--threads", metavar="N", type=int, help="threads to compute with; default: the file's, or 1")
    parser.add_argument("--track", metavar="A,B", help="tell every run to tensorboard, mlflow or both as it goes")
    add_output_options(parser)


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``resume`` takes as well."""
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="processes that share the runs; default: 1")
    parser.add_argument("--json", action="store_true", help="print what `distil report --json` does, for programs")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")


def overrides_of(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What the options replace in the file, by section."""
    overrides: dict[str, dict[str, Any]] = {"experiment": {}}
    for key in ("output", "data", "seeds", "threads"):
        if getattr(arguments, key) is not None:
            overrides["experiment"][key] = getattr(arguments, key)
    if arguments.seeds is not None:
        overrides["experiment"]["seed"] = None
    if arguments.track is not None:
        overrides["experiment"]["trackers"] = arguments.track.split(",")
    if arguments.strategies is not None:
        overrides["active_learning"] = {"strategies": arguments.strategies.split(","), "strategy": None}
    if arguments.download:
        overrides["dataset"] = {"download": True}
    return overrides


def finish(config: Any, arguments: argparse.Namespace, *, page: bool = False) -> int:  # noqa: ANN401 - its class is imported late
    """Do what is left of an experiment and print its table."""
    from distil.experiment.directory import open_config
    from distil.experiment.outputs import write_results
    from distil.experiment.page.report import report_of
    from distil.experiment.suite import run_all

    if not run_all(config, workers=arguments.workers, progress=False if arguments.no_progress else None):
        waiting = {"waiting": True, "output": str(config.output)}
        told = f"Waiting for answers. When they are there: distil resume {config.output}"
        print(json.dumps(waiting) if arguments.json else told)
        return 3
    table = write_results(config, page=page)
    print(json.dumps(report_of([open_config(config.output)]), indent=2) if arguments.json else table)
    return 0

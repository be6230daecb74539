"""Options of the commands that run experiments."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.options import (
    PathLike,
    add_output,
    add_progress,
    as_json,
    keywords,
    listed,
    optional_path,
    path_of,
    print_json,
    print_note,
)

if TYPE_CHECKING:
    from distil.experiment.config.experiment_config import ExperimentConfig


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
    parser.add_argument("--track", metavar="A,B", help="log every run as it goes, such as to tensorboard,mlflow")
    add_output_options(parser)


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``resume`` takes as well."""
    parser.add_argument("--workers", metavar="N", type=int, help="processes that share the runs; default: 1")
    add_output(parser, "print what `distil report --json` does, for programs")
    add_progress(parser)


def configured(
    config: PathLike,
    *,
    output: PathLike | None = None,
    data: PathLike | None = None,
    download: bool = False,
    strategies: str | Sequence[str] | None = None,
    seeds: int | None = None,
    threads: int | None = None,
    track: str | Sequence[str] | None = None,
) -> ExperimentConfig:
    """The experiment of a configuration file, with the options in place of what the file says."""
    from distil.experiment.config.experiment_config import read_config

    given = {
        "output": optional_path("output", output),
        "data": optional_path("data", data),
        "seeds": seeds,
        "threads": threads,
    }
    experiment: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    overrides = {"experiment": experiment}
    if seeds is not None:
        experiment["seed"] = None
    if track is not None:
        experiment["trackers"] = listed(track)
    if strategies is not None:
        overrides["active_learning"] = {"strategies": listed(strategies), "strategy": None}
    if download:
        overrides["dataset"] = {"download": True}
    return read_config(Path(path_of("config", config)), overrides)


def advanced(
    experiment: ExperimentConfig,
    *,
    workers: int = 1,
    progress: bool | None = None,
    page: bool = False,
    say: Callable[[str], None] | None = None,
) -> str | None:
    """Do what is left of an experiment and write its results; the table, or None where the experiment waits for answers."""
    from distil.experiment.outputs import write_results
    from distil.experiment.suite import run_all

    complete = run_all(experiment, workers=workers, progress=progress, say=say)
    return write_results(experiment, page=page) if complete else None


def document_of(experiment: ExperimentConfig, table: str | None) -> dict[str, Any]:
    """What ``--json`` prints of an experiment that ``advanced`` returned ``table`` of."""
    from distil.experiment.directory import open_config
    from distil.experiment.page.report import report_of

    if table is None:
        return {"waiting": True, "output": str(experiment.output)}
    return as_json(report_of([open_config(experiment.output)]))


def finish(experiment: ExperimentConfig, arguments: argparse.Namespace, *, page: bool = False) -> int:
    """Do what is left of an experiment and print its table."""
    table = advanced(experiment, **keywords(advanced, arguments), page=page, say=None if arguments.json else print_note)
    if arguments.json:
        print_json(document_of(experiment, table))
    elif table is None:
        print(f"Waiting for answers. When they are there: distil resume {experiment.output}")
    else:
        print(table)
    return 3 if table is None else 0

"""``distil compare`` and ``distil.compare``: strategies over paired seeds, with statistics."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from distil.cli.experiment_options import add_options, advanced, configured, document_of, finish
from distil.cli.options import PathLike, add_command, keywords, listed

if TYPE_CHECKING:
    from distil.experiment.config.experiment_config import ExperimentConfig

_DESCRIPTION = """\
Compare strategies fairly: every strategy runs with every seed, and those of one seed share the split, the initial labels, the first
weights and the order of minibatches, so that differences are the strategies' own. Random sampling is always among them, and one
training on all of the pool a seed shows what there is to reach.

The output directory grows: the same command with more strategies or more seeds runs only what is missing, and one that was
stopped, however it was stopped, goes on with the same command. At the end there is a page, report.html;
`distil report` makes it again, or one of several experiments.
"""


def compare(
    config: PathLike,
    *,
    output: PathLike | None = None,
    data: PathLike | None = None,
    download: bool = False,
    strategies: str | Sequence[str] | None = None,
    seeds: int | None = None,
    threads: int | None = None,
    track: str | Sequence[str] | None = None,
    retrain: str | Sequence[str] | None = None,
    full_data: bool = True,
    workers: int = 1,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Compare strategies over paired seeds, as the command ``distil compare`` does; the same call resumes.

    To compare scores that you have already, there is :func:`distil.evaluation.compare.compare`.

    Args:
        config: A JSON file; this and the next seven as in :func:`distil.run`.
        output: The directory to write to; with ``report.html`` at the end.
        data: Where data sets are.
        download: Whether to download the data set if it is missing.
        strategies: The strategies to compare; random sampling is always among them.
        seeds: How many seeds to run; default: the file's, or 10.
        threads: Threads to compute with.
        track: The trackers that every run is logged to, such as ``"tensorboard"``.
        retrain: Run every strategy with each of these ways to start a round's training: ``"scratch"``, ``"warm"``,
            ``"shrink_perturb"``.
        full_data: Whether to train once a seed on the whole pool, too.
        workers: Processes that share the runs. With more than one, a script calls this under ``if __name__ == "__main__":``, as
            for every use of processes that are started afresh.
        progress: Whether to show a progress bar; default: when the output is a terminal.

    Returns:
        What ``distil compare --json`` prints: the report of the directory, see :func:`distil.report`.

    Raises:
        ConfigError: The configuration cannot be run; every fault is named.
        DataNotFound: The data set is in none of the places looked at.
        RunError: The directory holds another experiment, or is damaged.
    """
    experiment = configured(
        config,
        output=output,
        data=data,
        download=download,
        strategies=strategies,
        seeds=seeds,
        threads=threads,
        track=track,
    )
    experiment = _fair(experiment, retrain=retrain, full_data=full_data)
    return document_of(experiment, advanced(experiment, workers=workers, progress=progress, page=True))


def _fair(
    experiment: ExperimentConfig, *, retrain: str | Sequence[str] | None = None, full_data: bool = True
) -> ExperimentConfig:
    from distil.experiment.directory import compared

    return compared(experiment, retrain=[] if retrain is None else listed(retrain), full_data=full_data)


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = add_command(commands, "compare", "compare strategies over paired seeds", _DESCRIPTION)
    add_options(parser)
    parser.add_argument(
        "--retrain", metavar="A,B,...", help="run every strategy with each of scratch, warm, shrink_perturb"
    )
    parser.add_argument(
        "--no-full-data", dest="full_data", action="store_false", help="do not train on all of the pool"
    )
    parser.set_defaults(run=_command)


def _command(arguments: argparse.Namespace) -> int:
    experiment = _fair(configured(**keywords(configured, arguments)), **keywords(_fair, arguments))
    return finish(experiment, arguments, page=True)

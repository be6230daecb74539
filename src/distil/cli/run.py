"""``distil run`` and ``distil.run``: an experiment from a configuration file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from distil.cli.experiment_options import add_options, advanced, configured, document_of, finish
from distil.cli.options import PathLike, add_command, keywords

_DESCRIPTION = """\
Run an experiment: every strategy of a JSON configuration with every seed, round by round, and show how accurate the model
was after each. The format is that of the DISTIL document, with a few keys more; docs/configuration.md describes all of them.

The output directory keeps the configuration, one line for every event (with the ids chosen in every round), the final models, a
table and a plot. A run that was stopped, however it was stopped, goes on with the same command or with `distil resume`.
"""


def run(
    config: PathLike,
    *,
    output: PathLike | None = None,
    data: PathLike | None = None,
    download: bool = False,
    strategies: str | Sequence[str] | None = None,
    seeds: int | None = None,
    threads: int | None = None,
    track: str | Sequence[str] | None = None,
    workers: int = 1,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Run an experiment from a configuration file, as the command ``distil run`` does.

    The same call resumes: it goes on with an experiment that was stopped, however it was stopped, and does only what is missing.
    The output directory keeps the configuration, so ``distil.run("runs/digits/config.json")`` resumes too.

    Args:
        config: A JSON file; ``docs/configuration.md`` describes its keys.
        output: The directory to write to; default: the file's, or ``runs/NAME OF THE FILE``.
        data: Where data sets are; default: ``$DISTIL_DATA``, then the user's cache.
        download: Whether to download the data set if it is missing.
        strategies: The strategies to run, in place of the file's: names, or text such as ``"badge,core_set"``.
        seeds: How many seeds to run: 0 to ``seeds`` - 1, in place of the file's.
        threads: Threads to compute with; default: the file's, or 1.
        track: The trackers that every run is logged to as it goes, such as ``"tensorboard"`` or ``"mlflow"``.
        workers: Processes that share the runs. With more than one, a script calls this under ``if __name__ == "__main__":``, as
            for every use of processes that are started afresh.
        progress: Whether to show a progress bar; default: when the output is a terminal.

    Returns:
        What ``distil run --json`` prints: the report of the directory, see :func:`distil.report`; or ``{"waiting": True, "output":
        ...}`` where the experiment waits for answers.

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
    return document_of(experiment, advanced(experiment, workers=workers, progress=progress))


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = add_command(commands, "run", "run an experiment from a configuration file", _DESCRIPTION)
    add_options(parser)
    parser.set_defaults(run=_command)


def _command(arguments: argparse.Namespace) -> int:
    return finish(configured(**keywords(configured, arguments)), arguments)

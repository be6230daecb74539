"""``distil run`` and ``distil.run``: an experiment from a configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distil.cli.executors import ExecutorName, executor_named
from distil.cli.experiments import advanced, configured, document_of, finish
from distil.cli.options import PathLike


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
    workers: int | None = None,
    executor: ExecutorName | None = None,
    address: str | None = None,
    trust: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Run an experiment from a configuration file.

    Every strategy of the file runs with every seed, round by round, and the results say how accurate the model was after each
    round. The format is that of the DISTIL document, with a few more keys; docs/configuration.md describes all of them.

    The output directory keeps the configuration, one line for every event (with the ids chosen in every round), the final models,
    a table and a plot. An experiment that was stopped goes on when it is started again in the same way, or with ``distil resume``,
    and only does what is missing.

    Args:
        config: A JSON file; docs/configuration.md describes its keys.
        output: The directory to write to; default: the file's, or ``runs/NAME OF THE FILE``.
        data: The folder of the data sets; default: ``$DISTIL_DATA``, then the user's cache.
        download: Download the data set if it is missing.
        strategies: The strategies to run, in place of the file's: a list, or text such as ``badge,core_set``.
        seeds: The number of seeds, in place of the file's: 0 to N-1.
        threads: Threads to compute with; default: the file's, or 1.
        track: Where to log every run as it goes, such as ``tensorboard`` or ``mlflow``; a list, or text with commas.
        workers: Processes that share the work; default: 1, or with an executor one for each core.
        executor: Where the work is done: in this process (serial), in processes of this machine, or in a Ray cluster (ray), whose
            machines see the files at the same paths.
        address: The head of the Ray cluster, ``HOST:PORT``; default: the cluster that was started on this machine, or else Ray is
            started for this command.
        trust: Import the code that the output directory names, though you did not write its configuration.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        The document that ``distil run --json`` prints: the report of the directory, see :func:`distil.report`; or
        ``{"waiting": True, "output": ...}`` where the experiment waits for answers.

    Raises:
        ConfigError: The configuration cannot be run; every fault is named.
        DataNotFound: The data set is in none of the places looked at.
        RunError: The directory holds another experiment, or is damaged.

    Note:
        A script that uses more than one worker calls this under ``if __name__ == "__main__":``, because the processes are started
        afresh.
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
    where = executor_named(executor, address, workers)
    return document_of(experiment, advanced(experiment, executor=where, trust=trust, progress=progress))


def act(given: dict[str, Any]) -> int:
    """Run, and print the table."""
    running = {name: given.pop(name) for name in ("workers", "executor", "address", "trust", "progress")}
    return finish(configured(**given), **running)

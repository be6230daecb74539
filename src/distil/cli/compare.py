"""``distil compare`` and ``distil.compare``: strategies over paired seeds, with statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from distil.cli.executors import ExecutorName, executor_named
from distil.cli.experiments import advanced, configured, document_of, finish
from distil.cli.options import PathLike, listed
from distil.errors import ConfigError, nearest

if TYPE_CHECKING:
    from distil.experiment.config.experiment_config import ExperimentConfig


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
    ceiling: bool = False,
    workers: int | None = None,
    executor: ExecutorName | None = None,
    address: str | None = None,
    trust: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Compare strategies over paired seeds, with statistics.

    Every strategy runs with every seed. The strategies of one seed share the split, the initial labels, the first weights and the
    order of minibatches, so that only the strategies differ. Random sampling is always one of them, and one training on the whole
    pool per seed shows the best accuracy to expect.

    The output directory grows: started again with more strategies, seeds or rounds, a comparison runs only what is missing, and one
    that was stopped goes on. Several commands may share the runs of one directory. At the end it writes a page, report.html, which
    ``distil report`` makes again.

    Args:
        config: A JSON file; docs/configuration.md describes its keys.
        output: The directory to write to; default: the file's, or ``runs/NAME OF THE FILE``.
        data: The folder of the data sets; default: ``$DISTIL_DATA``, then the user's cache.
        download: Download the data set if it is missing.
        strategies: The strategies to run, in place of the file's: a list, or text such as ``badge,core_set``.
        seeds: The number of seeds, in place of the file's: 0 to N-1; default: the file's, or 10.
        threads: Threads to compute with; default: the file's, or 1.
        track: Where to log every run as it goes, such as ``tensorboard`` or ``mlflow``; a list, or text with commas.
        retrain: Run every strategy with each of these ways to start a round's training: ``scratch``, ``warm``,
            ``shrink_perturb``; a list, or text with commas.
        full_data: Train on the whole pool too, once per seed.
        ceiling: Run a ceiling too, once per seed: each round keeps the best of 100 candidate selections, found with the true
            labels. The results then say which share of its gain over random sampling each strategy reaches.
        workers: Processes that share the work; default: 1, or with an executor one for each core.
        executor: Where the work is done: in this process (serial), in processes of this machine, or in a Ray cluster (ray), whose
            machines see the files at the same paths.
        address: The head of the Ray cluster, ``HOST:PORT``; default: the cluster that was started on this machine, or else Ray is
            started for this command.
        trust: Import the code that the output directory names, though you did not write its configuration.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        The document that ``distil compare --json`` prints: the report of the directory, see :func:`distil.report`.

    Raises:
        ConfigError: The configuration cannot be run; every fault is named.
        DataNotFound: The data set is in none of the places looked at.
        RunError: The directory holds another experiment, or is damaged.

    Note:
        :func:`distil.evaluation.compare.compare` compares scores that you have already. A script that uses more than one worker
        calls this under ``if __name__ == "__main__":``, because the processes are started afresh.
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
    experiment = _fair(experiment, retrain=retrain, full_data=full_data, ceiling=ceiling)
    where = executor_named(executor, address, workers)
    return document_of(experiment, advanced(experiment, executor=where, trust=trust, progress=progress, page=True))


def _fair(
    experiment: ExperimentConfig,
    *,
    retrain: str | Sequence[str] | None = None,
    full_data: bool = True,
    ceiling: bool = False,
) -> ExperimentConfig:
    from distil.experiment.directory import compared
    from distil.selection.learner import RETRAIN

    ways = listed(retrain)
    unknown = next((way for way in ways if way not in RETRAIN), None)
    if unknown is not None:
        raise ConfigError(f"retrain must be of {', '.join(RETRAIN)}, got {unknown!r}{nearest(unknown, RETRAIN)}")
    return compared(experiment, retrain=ways, full_data=full_data, ceiling=ceiling)


def act(given: dict[str, Any]) -> int:
    """Compare, and print the table."""
    running = {name: given.pop(name) for name in ("workers", "executor", "address", "trust", "progress")}
    fair = {name: given.pop(name) for name in ("retrain", "full_data", "ceiling")}
    return finish(_fair(configured(**given), **fair), page=True, **running)

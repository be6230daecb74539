"""``distil resume``: go on with an experiment that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.executors import ExecutorName, executor_named
from distil.cli.experiments import advanced, document_of, finish
from distil.cli.options import PathLike, optional_path

if TYPE_CHECKING:
    from distil.experiment.config.experiment_config import ExperimentConfig


def resume(
    run: PathLike,
    *,
    data: PathLike | None = None,
    workers: int | None = None,
    executor: ExecutorName | None = None,
    address: str | None = None,
    trust: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Go on with an experiment that was stopped.

    It may have been interrupted or killed, or it may wait for answers. The results are those that it would have had without the
    stop. Everything that the directory was asked for is done; finished runs are left as they are.

    Args:
        run: The output directory of ``distil run`` or ``distil compare``.
        data: The folder of the data sets; default: the experiment's, ``$DISTIL_DATA``, then the user's cache.
        workers: Processes that share the work; default: 1, or with an executor one for each core.
        executor: Where the work is done: in this process (serial), in processes of this machine, or in a Ray cluster (ray), whose
            machines see the files at the same paths.
        address: The head of the Ray cluster, ``HOST:PORT``; default: the cluster that was started on this machine, or else Ray is
            started for this command.
        trust: Import the code that the output directory names, though you did not write its configuration.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        What :func:`distil.run` returns.
    """
    experiment = _opened(run, data)
    where = executor_named(executor, address, workers)
    return document_of(experiment, advanced(experiment, executor=where, trust=trust, progress=progress))


def _opened(run: PathLike, data: PathLike | None) -> ExperimentConfig:
    from distil.experiment.directory import open_config

    return open_config(Path(run).expanduser(), optional_path("data", data))


def act(given: dict[str, Any]) -> int:
    """Go on, and print the table."""
    return finish(_opened(given.pop("run"), given.pop("data")), **given)

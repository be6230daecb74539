"""``distil resume``: go on with an experiment that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.experiments import advanced, document_of, finish
from distil.cli.options import PathLike, optional_path

if TYPE_CHECKING:
    from distil.experiment.config.experiment_config import ExperimentConfig


def resume(
    run: PathLike,
    *,
    data: PathLike | None = None,
    workers: int = 1,
    trust: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Go on with an experiment that was stopped.

    It may have been interrupted or killed, or it may wait for answers. The results are those that it would have had without the
    stop. Everything that the directory was asked for is done; finished runs are left as they are.

    Args:
        run: The output directory of ``distil run`` or ``distil compare``.
        data: The folder of the data sets; default: the experiment's, ``$DISTIL_DATA``, then the user's cache.
        workers: Processes that share the runs.
        trust: Import the code that the output directory names, though you did not write its configuration.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        What :func:`distil.run` returns.
    """
    experiment = _opened(run, data)
    return document_of(experiment, advanced(experiment, workers=workers, trust=trust, progress=progress))


def _opened(run: PathLike, data: PathLike | None) -> ExperimentConfig:
    from distil.experiment.directory import open_config

    return open_config(Path(run), optional_path("data", data))


def act(given: dict[str, Any]) -> int:
    """Go on, and print the table."""
    return finish(_opened(given.pop("run"), given.pop("data")), **given)

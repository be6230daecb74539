"""``distil resume``: go on with an experiment that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.experiments import advanced, document_of, finish
from distil.cli.options import PathLike

if TYPE_CHECKING:
    from distil.experiment.config.experiment_config import ExperimentConfig


def resume(run: PathLike, *, workers: int = 1, progress: bool | None = None) -> dict[str, Any]:
    """Go on with an experiment that was stopped.

    It may have been interrupted or killed, or it may wait for answers. The results are those that it would have had without the
    stop. Finished runs are left as they are.

    Args:
        run: The output directory of ``distil run`` or ``distil compare``.
        workers: Processes that share the runs.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        What :func:`distil.run` returns.
    """
    experiment = _opened(run)
    return document_of(experiment, advanced(experiment, workers=workers, progress=progress))


def _opened(run: PathLike) -> ExperimentConfig:
    from distil.experiment.directory import open_config

    return open_config(Path(run))


def act(given: dict[str, Any]) -> int:
    """Go on, and print the table."""
    return finish(_opened(given.pop("run")), **given)

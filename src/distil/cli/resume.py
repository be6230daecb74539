"""``distil resume``: go on with an experiment that was stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.experiments import advanced, document_of, finish
from distil.cli.options import PathLike, optional_path

if TYPE_CHECKING:
    from distil.experiment.config.experiment_config import ExperimentConfig


def resume(
    run: PathLike, *, data: PathLike | None = None, workers: int = 1, progress: bool | None = None
) -> dict[str, Any]:
    """Go on with an experiment that was stopped.

    It may have been interrupted or killed, or it may wait for answers. The results are those that it would have had without the
    stop. Everything that the directory was asked for is done; finished runs are left as they are.

    Args:
        run: The output directory of ``distil run`` or ``distil compare``.
        data: The folder of the data sets; default: the experiment's, ``$DISTIL_DATA``, then the user's cache.
        workers: Processes that share the runs.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        What :func:`distil.run` returns.
    """
    experiment = _opened(run, data)
    return document_of(experiment, advanced(experiment, workers=workers, progress=progress))


def _opened(run: PathLike, data: PathLike | None) -> ExperimentConfig:
    from distil.experiment.directory import open_config

    config, root = open_config(Path(run)), optional_path("data", data)
    if root is None:
        return config
    given = {**config.document.get("experiment", {}), "data": root}  # processes read the document
    return dataclasses.replace(config, data_root=root, document={**config.document, "experiment": given})


def act(given: dict[str, Any]) -> int:
    """Go on, and print the table."""
    return finish(_opened(given.pop("run"), given.pop("data")), **given)

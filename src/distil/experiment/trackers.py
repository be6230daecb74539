"""Runs logged to TensorBoard or MLflow while they run. The logs are copies: a run is resumed from its events."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from distil.errors import ConfigError, RunError
from distil.experiment.chain import Event, parsed
from distil.experiment.run import Run
from distil.system.files import write_text
from distil.system.imports import optional


class Tracker(ABC):
    """Copies the events of one run to a tracking tool.

    A process killed between writing an event and logging it leaves a gap in the log; the events have every number.
    """

    @abstractmethod
    def log(self, event: Event) -> None:
        """Log an event; it is already on disk."""

    @abstractmethod
    def close(self) -> None:
        """Write buffered numbers; the run may be continued later."""


class TensorBoard(Tracker):
    """Scalars in ``RUN/tensorboard`` by number of labels; ``tensorboard --logdir OUTPUT`` shows all runs together.

    Raises:
        MissingPackage: tensorboard is not installed.
    """

    def __init__(self, run: Run) -> None:
        summaries = optional("torch.utils.tensorboard", "the tracker tensorboard")
        self._writer: Any = summaries.SummaryWriter(str(run.path / "tensorboard"))
        self._labels = _labels(run)

    def log(self, event: Event) -> None:
        """Write the numbers of an evaluation or a training; the step is the number of labels."""
        if event["event"] == "labeled":
            self._labels += len(event["ids"])
        for name, value in _numbers(event).items():
            self._writer.add_scalar(name, value, self._labels)
        self._writer.flush()

    def close(self) -> None:
        """Close the file; later events go to another file in the same directory."""
        self._writer.close()


class MLflow(Tracker):
    """An MLflow run at ``$MLFLOW_TRACKING_URI``, in an MLflow experiment with the name of the output directory.

    Its id is kept in ``RUN/mlflow.json``, so a resumed run continues the same MLflow run. ``mlflow-skinny`` is enough for a
    server, and for a directory with ``MLFLOW_ALLOW_FILE_STORE=true``; a database needs the full package.

    Raises:
        MissingPackage: MLflow is not installed.
        ConfigError: MLflow cannot use the address.
    """

    def __init__(self, run: Run, experiment: str, parameters: Mapping[str, Any]) -> None:
        exceptions, tracking = (optional(f"mlflow.{name}", "the tracker mlflow") for name in ("exceptions", "tracking"))
        self._labels = _labels(run)
        try:
            self._client: Any = tracking.MlflowClient()
            self._id = self._resumed(run) or self._created(run, experiment, parameters)
        except exceptions.MlflowException as error:
            first = str(error).strip().splitlines()[0]
            raise ConfigError(f"cannot log runs to MLflow: {first}; set MLFLOW_TRACKING_URI to your server") from error

    def log(self, event: Event) -> None:
        """Log the numbers of an evaluation or a training; the step is the number of labels."""
        if event["event"] == "labeled":
            self._labels += len(event["ids"])
        for name, value in _numbers(event).items():
            self._client.log_metric(self._id, name, value, step=self._labels)
        if event["event"] == "finished":
            self._client.set_terminated(self._id)

    def close(self) -> None:
        """Do nothing: no number is buffered."""

    def _resumed(self, run: Run) -> str | None:
        path = run.path / "mlflow.json"
        if not path.exists():
            return None
        kept = parsed(path.read_bytes()) or {}
        if not isinstance(kept.get("run_id"), str):
            raise RunError(
                f"{path}: expected the id of the MLflow run; the file has been altered. Remove it to log to a new MLflow run"
            )
        return str(kept["run_id"])

    def _created(self, run: Run, experiment: str, parameters: Mapping[str, Any]) -> str:
        existing = self._client.get_experiment_by_name(experiment)
        number = existing.experiment_id if existing is not None else self._client.create_experiment(experiment)
        created = self._client.create_run(number, run_name=f"{parameters['strategy']}-{parameters['seed']}")
        run_id = str(created.info.run_id)
        for key, value in _flat(parameters).items():
            self._client.log_param(run_id, key, value)
        write_text(run.path / "mlflow.json", json.dumps({"run_id": run_id}))
        return run_id


TRACKERS: Mapping[str, Callable[[Run, str, Mapping[str, Any]], Tracker]] = {
    "tensorboard": lambda run, *_: TensorBoard(run),
    "mlflow": MLflow,
}


@contextmanager
def tracking(
    names: Sequence[str], run: Run, experiment: str, parameters: Mapping[str, Any]
) -> Iterator[Callable[[Event], None]]:
    """Yield a function that logs an event with every tracker; for a finished run it does nothing.

    Args:
        names: Names of the trackers, keys of ``TRACKERS``.
        run: The run whose events are logged.
        experiment: Name of the experiment.
        parameters: Parameters of the run: ``strategy``, ``seed``, and the sections of its configuration.
    """
    trackers = [] if run.finished else [TRACKERS[name](run, experiment, parameters) for name in names]

    def log(event: Event) -> None:
        for tracker in trackers:
            tracker.log(event)

    try:
        yield log
    finally:
        for tracker in trackers:
            tracker.close()


def _labels(run: Run) -> int:
    """The number of labels in the events of a run."""
    return sum(len(event["ids"]) for event in run.all("labeled"))


def _numbers(event: Event) -> dict[str, float]:
    """The numbers that an evaluation or a training measured, under the names that trackers show."""
    if event["event"] not in ("evaluated", "trained"):
        return {}
    prefix = "test" if event["event"] == "evaluated" else "training"
    return {
        f"{prefix}/{key.removeprefix('training_')}": float(value)
        for key, value in event.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and key not in ("round", "labels")
    }


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The numbers and texts of a configuration under dotted names; lists are left out."""
    flat: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            flat[f"{prefix}{key}"] = str(value)
    return flat

"""Runs logged to TensorBoard or MLflow as they go: copies for looking at, never what a run is resumed from."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from distil.errors import ConfigError, MissingPackage
from distil.experiment.run import Event, Run
from distil.system.files import write_text


class Tracker(ABC):
    """Logs the events of one run somewhere else.

    A process that is killed between an event and its logging leaves a gap: the events have every number.
    """

    @abstractmethod
    def log(self, event: Event) -> None:
        """Log an event that is on disk."""

    @abstractmethod
    def close(self) -> None:
        """Write whatever is held back; the run may go on later."""


class TensorBoard(Tracker):
    """Scalars in ``RUN/tensorboard``, by number of labels: ``tensorboard --logdir OUTPUT`` shows all runs together.

    Raises:
        MissingPackage: tensorboard is not installed.
    """

    def __init__(self, run: Run) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingPackage("tracking with tensorboard needs its package: pip install tensorboard") from error
        self._writer: Any = SummaryWriter(str(run.path / "tensorboard"))
        self._labels = _labels(run)

    def log(self, event: Event) -> None:
        """Write the numbers of an evaluation, or of a training, at the number of labels they were made with."""
        if event["event"] == "labeled":
            self._labels += len(event["ids"])
        for name, value in _numbers(event).items():
            self._writer.add_scalar(name, value, self._labels)
        self._writer.flush()

    def close(self) -> None:
        """Close the file; what is logged later goes to another one in the same directory."""
        self._writer.close()


class MLflow(Tracker):
    """A run of an MLflow experiment called like the output directory, at ``$MLFLOW_TRACKING_URI``.

    Its id is kept in ``RUN/mlflow.json``, so that a resumed run goes on in the same one. ``mlflow-skinny`` is enough for a server,
    and for a directory where ``MLFLOW_ALLOW_FILE_STORE=true``; a database wants the whole package.

    Raises:
        MissingPackage: MLflow is not installed.
        ConfigError: MLflow cannot use that address.
    """

    def __init__(self, run: Run, experiment: str, parameters: Mapping[str, Any]) -> None:
        try:
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise MissingPackage("tracking with mlflow needs its package: pip install mlflow-skinny") from error
        self._labels = _labels(run)
        try:
            self._client: Any = MlflowClient()
            self._id = self._resumed(run) or self._begun(run, experiment, parameters)
        except MlflowException as error:
            first = str(error).strip().splitlines()[0]
            raise ConfigError(f"cannot log runs to MLflow: {first}; set MLFLOW_TRACKING_URI to your server") from error

    def log(self, event: Event) -> None:
        """Log the numbers of an evaluation or of a training; the step is the number of labels."""
        if event["event"] == "labeled":
            self._labels += len(event["ids"])
        for name, value in _numbers(event).items():
            self._client.log_metric(self._id, name, value, step=self._labels)
        if event["event"] == "finished":
            self._client.set_terminated(self._id)

    def close(self) -> None:
        """Nothing is held back."""

    def _resumed(self, run: Run) -> str | None:
        path = run.path / "mlflow.json"
        return str(json.loads(path.read_text())["run_id"]) if path.exists() else None

    def _begun(self, run: Run, experiment: str, parameters: Mapping[str, Any]) -> str:
        found = self._client.get_experiment_by_name(experiment)
        number = found.experiment_id if found is not None else self._client.create_experiment(experiment)
        made = self._client.create_run(number, run_name=f"{parameters['strategy']}-{parameters['seed']}")
        identity = str(made.info.run_id)
        for key, value in _flat(parameters).items():
            self._client.log_param(identity, key, value)
        write_text(run.path / "mlflow.json", json.dumps({"run_id": identity}))
        return identity


TRACKERS: Mapping[str, Callable[[Run, str, Mapping[str, Any]], Tracker]] = {
    "tensorboard": lambda run, *_: TensorBoard(run),
    "mlflow": MLflow,
}


@contextmanager
def tracking(
    names: Sequence[str], run: Run, experiment: str, parameters: Mapping[str, Any]
) -> Iterator[Callable[[Event], None]]:
    """A function that logs an event with every tracker; of a finished run there is nothing to log.

    Args:
        names: Of the trackers, keys of ``TRACKERS``.
        run: Whose events they are.
        experiment: What the experiment is called.
        parameters: What the run is made with: ``strategy``, ``seed``, and the sections of a configuration.
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
    """How many labels the events of a run hold."""
    return sum(len(event["ids"]) for event in run.all("labeled"))


def _numbers(event: Event) -> dict[str, float]:
    """What an event measured."""
    if event["event"] not in ("evaluated", "trained"):
        return {}
    prefix = "test" if event["event"] == "evaluated" else "training"
    return {
        f"{prefix}/{key.removeprefix('training_')}": float(value)
        for key, value in event.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and key not in ("round", "labels")
    }


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The numbers and texts of a configuration by their dotted names."""
    found: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            found[f"{prefix}{key}"] = str(value)
    return found

"""TensorBoard and MLflow, with the real packages: what they log is what the events say."""

import json

import pytest

from distil.errors import ConfigError, RunError
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.results import run_path
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.suite import run_all
from distil.experiment.trackers import MLflow
from distil.selection.oracle import Pending, TrueLabels


@pytest.fixture
def config(tmp_path):
    def make(*trackers, **more):
        return parse_config(
            {
                "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
                "train_parameters": {"lr": 0.1, "batch_size": 16, "n_epoch": 2},
                "active_learning": {"strategies": ["margin_sampling"], "budget": 6, "rounds": 3, "initial_points": 8},
                "dataset": {"name": "digits", "test_points": 200},
                "experiment": {"output": str(tmp_path / "mine"), "trackers": list(trackers), **more},
            }
        )

    return make


def logged(config, kind, key):
    """[labels, value] of every event of a kind."""
    events, labels, found = Run(run_path(config.output, "margin_sampling", 0)).events, 0, []
    for event in events:
        labels += len(event["ids"]) if event["event"] == "labeled" else 0
        if event["event"] == kind:
            found.append([labels, pytest.approx(event[key], rel=1e-6)])
    return found


def rest_then_go_on(config):
    """Two processes' worth: the first waits for answers."""

    class Late:
        def ask(self, query):
            return Pending()

    assert run_all(config, oracle=lambda *_: Late()) is False
    assert run_all(config, oracle=lambda _, seed: TrueLabels(split(config.load_data(), config, seed).y))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_shows_every_number_by_labels(config):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = config("tensorboard")
    rest_then_go_on(made)
    shown = EventAccumulator(str(run_path(made.output, "margin_sampling", 0) / "tensorboard"))
    shown.Reload()
    for tag, kind, key in (
        ("test/accuracy", "evaluated", "accuracy"),
        ("test/macro_f1", "evaluated", "macro_f1"),
        ("training/loss", "trained", "training_loss"),
    ):
        assert [[e.step, e.value] for e in shown.Scalars(tag)] == logged(made, kind, key)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_one_run_with_every_number_and_the_configuration(config, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    made = config("mlflow")
    rest_then_go_on(made)
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.info.run_name == "margin_sampling-0"
    assert run.info.status == "FINISHED"
    assert run.data.params["train_parameters.lr"] == "0.1"
    history = client.get_metric_history(run.info.run_id, "test/accuracy")
    assert sorted([e.step, e.value] for e in history) == logged(made, "evaluated", "accuracy")
    path = run_path(made.output, "margin_sampling", 0) / "mlflow.json"
    assert json.loads(path.read_text())["run_id"] == run.info.run_id
    for damaged in ("", "rubbish", "[]", '{"run_id": 7}'):
        path.write_text(damaged)
        with pytest.raises(RunError, match=r"mlflow\.json: expected the id of the MLflow run; .* Remove it"):
            MLflow(Run(path.parent), "mine", {"strategy": "margin_sampling", "seed": 0})


@pytest.mark.filterwarnings("ignore")
def test_mlflow_that_cannot_be_reached_is_an_error_before_any_training(config, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "carrier-pigeon://here")
    with pytest.raises(ConfigError, match=r"cannot log runs to MLflow: .*; set MLFLOW_TRACKING_URI"):
        run_all(config("mlflow"))
    assert not Run(run_path(config().output, "margin_sampling", 0)).events


def test_trackers_are_no_part_of_the_result(config):
    pytest.importorskip("tensorboard")
    made = config()
    run_all(made)
    assert run_all(config("tensorboard", seeds=2))
    runs = [Run(run_path(made.output, "margin_sampling", seed)) for seed in (0, 1)]
    assert [(run.path / "tensorboard").exists() for run in runs] == [False, True]


def test_unknown_trackers_are_refused(config):
    with pytest.raises(
        ConfigError, match=r"experiment\.trackers must be a list, each entry one of tensorboard, mlflow"
    ):
        config("wandb")

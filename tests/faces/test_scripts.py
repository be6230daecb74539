"""Scripts and configuration files as they were written for DISTIL 0.1."""

from __future__ import annotations

import json
import pickle
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from distil import strategies as core
from distil.cli import main
from distil.errors import ConfigError, DistilWarning
from distil.experiment.config.experiment_config import parse_config
from distil.strategies import STRATEGIES

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty current directory, without the user's data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISTIL_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


# ------------------------------------------------------------------------------------------- the user's loop


def user_loop(make_strategy, rounds=3, budget=15):
    """The loop of the document's first pages, with the documented modules and nothing else."""
    from distil.utils.data_handler import DataHandler_Points
    from distil.utils.models.simple_net import TwoLayerNet
    from distil.utils.train_helper import data_train

    X, Y = load_digits(return_X_y=True)
    X, Y = (X / 16).astype(np.float32), Y
    X_test, y_test, X_tr, y_tr = X[1300:], Y[1300:], X[:30], Y[:30]
    X_unlabeled, y_unlabeled = X[30:1300], Y[30:1300]
    net = TwoLayerNet(64, 10, 64)
    args = {"n_epoch": 100, "lr": 0.05, "batch_size": 16, "max_accuracy": 0.99, "isreset": True, "islogs": False}
    strategy = make_strategy(X_tr, y_tr, X_unlabeled, net, DataHandler_Points)
    dt = data_train(X_tr, y_tr, net, DataHandler_Points, args)
    clf = dt.train()
    strategy.update_model(clf)
    acc = [dt.get_acc_on_set(X_test, y_test)]
    sizes = [len(X_tr)]
    for _ in range(rounds):
        idx = strategy.select(budget)
        strategy.save_state("./state.pkl")
        X_tr = np.concatenate((X_tr, X_unlabeled[idx]), axis=0)
        X_unlabeled = np.delete(X_unlabeled, idx, axis=0)
        y_tr = np.concatenate((y_tr, y_unlabeled[idx]), axis=0)
        y_unlabeled = np.delete(y_unlabeled, idx, axis=0)
        strategy.load_state("./state.pkl")
        strategy.update_data(X_tr, y_tr, X_unlabeled)
        dt.update_data(X_tr, y_tr)
        clf = dt.train()
        strategy.update_model(clf)
        acc.append(dt.get_acc_on_set(X_test, y_test))
        sizes.append(len(X_tr))
    return sizes, acc


def badge(X, Y, unlabeled_x, net, handler):
    from distil.active_learning_strategies.badge import BADGE

    return BADGE(X, Y, unlabeled_x, net, handler, 10, {"batch_size": 64})


def glister(X, Y, unlabeled_x, net, handler):
    from distil.active_learning_strategies import GLISTER

    args = {"batch_size": 64, "lr": 0.05}
    return GLISTER(X, Y, unlabeled_x, net, handler, 10, args, valid=False, typeOf="Diversity", lam=10)


def margin(X, Y, unlabeled_x, net, handler):
    from distil.active_learning_strategies.margin_sampling import MarginSampling

    return MarginSampling(X, Y, unlabeled_x, net, handler, 10)


@pytest.mark.parametrize("make_strategy", [badge, glister, margin])
def test_the_users_loop(make_strategy):
    torch.manual_seed(7)
    sizes, acc = user_loop(make_strategy)
    assert sizes == [30, 45, 60, 75]
    assert acc[-1] > max(0.7, acc[0])
    torch.manual_seed(7)
    assert user_loop(make_strategy) == (sizes, acc)


def test_the_example_script(capsys):
    state = torch.random.get_rng_state()
    try:
        space = runpy.run_path(str(EXAMPLES / "distil_user_loop.py"))
    finally:
        torch.random.set_rng_state(state)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"Round {i}" for i in range(6)]
    assert len(space["x_train"]) == 120
    assert len(space["x_unlabeled"]) == 1797 - 500 - 120
    assert space["accuracies"][-1] > 0.85


# ------------------------------------------------------------------------------------------- configuration files


# The example of the document's second chapter, as it is printed there.
DOCUMENTED = """
{
  "model": {
    "architecture": "resnet18",
    "target_classes": 10
  },
  "train_parameters": {
    "lr": 0.001,
    "batch_size": 1000,
    "n_epoch": 50,
    "max_accuracy": 0.95,
    "isreset": true,
    "islogs": true,
    "logs_location": "./logs.txt"
  },
  "active_learning":{
    "strategy": "badge",
    "budget": 1000,
    "rounds": 15,
    "initial_points":1000,

    "strategy_args":{
      "batch_size" : 1000,
      "lr":0.001
    }
  },
  "dataset":{
    "name":"cifar10"
  }
}
"""


def cifar10_files(root, n=4):
    """A tiny CIFAR-10 in the format in which it is published."""
    rng = np.random.default_rng(0)
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        content = {
            b"batch_label": name.encode(),
            b"labels": rng.integers(0, 10, n).tolist(),
            b"data": rng.integers(0, 256, (n, 3072), dtype=np.uint8),
            b"filenames": [b"%d.png" % i for i in range(n)],
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


def events(run):
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def asked(run):
    """The ids of every selection, initial labels aside."""
    return [event["ids"] for event in events(run) if event["event"] == "asked"]


def test_the_documents_example_runs(here, capsys):
    config = parse_config(json.loads(DOCUMENTED))
    assert (config.budget, config.rounds, config.initial_points, config.batch_size) == (1000, 15, 1000, 1000)
    assert config.strategies[0].build() == core.BADGE()
    document = json.loads(DOCUMENTED)
    document["train_parameters"] |= {"n_epoch": 1}
    document["active_learning"] |= {"budget": 3, "rounds": 2, "initial_points": 4}
    (here / "config_cifar10_resnet_badge.json").write_text(json.dumps(document))
    cifar10_files(here / "root")
    assert main(["run", "config_cifar10_resnet_badge.json", "--data", "root", "--no-progress"]) == 0
    assert "badge" in capsys.readouterr().out
    log = (here / "logs.txt").read_text()
    for line in ("Round 0", "Training Points - 4", "Round 1", "Training Points - 7", "Test Accuracy - ", "Epoch:1- "):
        assert line in log
    assert "Selection Time - " in log.split("Round 1")[1]
    assert len(asked(here / "runs/config_cifar10_resnet_badge/badge/0")[-1]) == 3


def training_script(config_path, root):
    """A training script over the documented utilities, as users wrote them around the configuration format."""
    from distil.active_learning_strategies import BADGE, EntropySampling
    from distil.utils.config_helper import read_config_file
    from distil.utils.data_handler import DataHandler_CIFAR10
    from distil.utils.dataset import get_dataset
    from distil.utils.models.lenet import LeNet
    from distil.utils.train_helper import data_train

    config = read_config_file(config_path)
    loop = config["active_learning"]
    X, y, X_test, y_test = get_dataset(config["dataset"]["name"].upper(), root)
    y = y.numpy()
    start = np.random.RandomState(42).choice(len(X), loop["initial_points"], replace=False)
    X_tr, y_tr = X[start], y[start]
    X_unlabeled, y_unlabeled = np.delete(X, start, axis=0), np.delete(y, start, axis=0)
    net = LeNet(config["model"]["target_classes"])
    strategy_class = {"badge": BADGE, "entropy_sampling": EntropySampling}[loop["strategy"]]
    strategy = strategy_class(X_tr, y_tr, X_unlabeled, net, DataHandler_CIFAR10, 10, loop["strategy_args"])
    dt = data_train(X_tr, y_tr, net, DataHandler_CIFAR10, config["train_parameters"])
    clf, logs = dt.train()
    all_logs = [logs]
    accuracies = [dt.get_acc_on_set(X_test, y_test)]
    for _ in range(1, loop["rounds"]):
        strategy.update_model(clf)
        idx = strategy.select(loop["budget"])
        X_tr, y_tr = np.concatenate((X_tr, X_unlabeled[idx])), np.concatenate((y_tr, y_unlabeled[idx]))
        X_unlabeled, y_unlabeled = np.delete(X_unlabeled, idx, axis=0), np.delete(y_unlabeled, idx, axis=0)
        strategy.update_data(X_tr, y_tr, X_unlabeled)
        dt.update_data(X_tr, y_tr)
        clf, logs = dt.train()
        all_logs.append(logs)
        accuracies.append(dt.get_acc_on_set(X_test, y_test))
    return len(X_tr), accuracies, all_logs


@pytest.mark.parametrize("strategy", ["badge", "entropy_sampling"])
def test_a_training_script_around_a_configuration(here, strategy):
    document = json.loads(DOCUMENTED)
    document["train_parameters"] |= {"n_epoch": 2, "batch_size": 8}
    document["active_learning"] |= {"budget": 3, "rounds": 3, "initial_points": 6, "strategy": strategy}
    (here / "config.json").write_text(json.dumps(document))
    cifar10_files(here / "data")
    torch.manual_seed(0)
    labels, accuracies, logs = training_script("config.json", str(here / "data"))
    assert labels == 12
    assert all(0 <= a <= 1 for a in accuracies)
    assert [line.split("-")[0] for line in logs[-1]] == ["Epoch:1", "Epoch:2"]


# The names in the document's chapter on configuration files, and those that its chapter on strategies adds.
NAMES = [
    "badge",
    "glister",
    "entropy_sampling",
    "margin_sampling",
    "least_confidence",
    "core_set",
    "random_sampling",
    "fass",
    "bald_dropout",
    "adversarial_bim",
    "kmeans_sampling",
    "baseline_sampling",
    "adversarial_deepfool",
]
ADDED = [
    "gradmatch",
    "craig",
    "submod_sampling",
    "entropy_sampling_dropout",
    "least_confidence_dropout",
    "margin_sampling_dropout",
]

DROPOUT_NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Linear(64, 12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, num_classes))
"""

SMALL = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 2},
    "active_learning": {
        "budget": 4,
        "rounds": 3,
        "initial_points": 12,
        "strategy_args": {
            "batch_size": 100,
            "device": "cpu",
            "lr": 0.05,
            "n_drop": 3,
            "eps": 0.1,
            "max_iter": 5,
            "submod": "facility_location",
            "selection_type": "PerClass",
        },
    },
    "dataset": {"name": "digits", "test_points": 1700},
}


def changed(**loop):
    document = json.loads(json.dumps(SMALL))
    document["active_learning"] |= loop
    return document


def test_every_documented_name_runs(here, monkeypatch, capsys):
    """In one experiment, with one set of strategy_args: each takes all of them and uses its own."""
    (here / "faces_dropout_net.py").write_text(DROPOUT_NET)
    document = changed(strategies=[*NAMES, *ADDED, {"name": "coreset", "label": "coreset"}])
    document["model"] = {"architecture": "faces_dropout_net:Net", "target_classes": 10}
    (here / "all.json").write_text(json.dumps(document))
    monkeypatch.setattr("distil.experiment.outputs.picture_of", lambda *_, **__: b"picture")
    assert main(["run", "all.json", "--no-progress"]) == 0
    table = capsys.readouterr().out
    selections = {}
    for label in (*NAMES, *ADDED, "coreset"):
        assert label in table
        selections[label] = asked(here / "runs/all" / label / "0")
        assert [len(set(ids)) for ids in selections[label][-2:]] == [4, 4]
        assert events(here / "runs/all" / label / "0")[-1]["event"] == "finished"
    assert selections["coreset"] == selections["core_set"]
    assert len({json.dumps(ids) for ids in selections.values()}) > 12


def test_every_documented_name_with_every_documented_key():
    for name in (*NAMES, *ADDED, "coreset"):
        spec = parse_config(changed(strategy=name)).strategies[0]
        assert type(spec.build()) is STRATEGIES["core_set" if name == "coreset" else name]
        assert spec.label == name


ARGUMENTS = [
    ("bald_dropout", {"n_drop": 7}, core.BALD(7)),
    ("entropy_sampling_dropout", {"n_drop": 7}, core.EntropySamplingDropout(7)),
    ("least_confidence_dropout", {"n_drop": 7}, core.LeastConfidenceDropout(7)),
    ("margin_sampling_dropout", {"n_drop": 7}, core.MarginSamplingDropout(7)),
    ("adversarial_bim", {"eps": 0.2, "stop_iterations_by_count": 9}, core.AdversarialBIM(0.2, 9)),
    ("adversarial_deepfool", {"max_iter": 9}, core.AdversarialDeepFool(9)),
    (
        "fass",
        {"submod": "graph_cut", "selection_type": "Supervised", "top_n": 3, "uncertainty_measure": "margin"},
        core.FASS(3, "margin", "graph_cut", "Supervised"),
    ),
    ("glister", {"lr": 0.2}, core.GLISTER(lr=0.2)),
    ("glister", {"lr": 0.2, "typeOf": "Diversity", "lam": 10}, core.GLISTER("Diversity", 10, 0.2)),
    (
        "gradmatch",
        {"selection_type": "PerBatch", "linear_layer": False, "batch_size": 16, "lr": 0.1, "omp_reg": 1},
        core.GradMatch("PerBatch", "bias", batch_size=16, ridge=1),
    ),
    (
        "craig",
        {"selection_type": "Per-Batch", "linear_layer": True, "batch_size": 16},
        core.CRAIG("Per-Batch", "all", 16),
    ),
    (
        "submod_sampling",
        {"typeOf": "Disparity-min", "selection_type": "PerClass", "if_grad": True},
        core.SubmodularSampling("Disparity-min", "PerClass", "gradient"),
    ),
    ("submod_sampling", {"submod": "DPP", "if_grad": False}, core.SubmodularSampling("DPP")),
    ("submod_sampling", {"representation": "raw"}, core.SubmodularSampling(representation="raw")),
    ("badge", {"lr": 0.1, "batch_size": 9, "n_drop": 3, "submod": "graph_cut"}, core.BADGE()),
    ("coreset", {"batch_size": 9}, core.CoreSet()),
]


def test_documented_arguments_reach_the_strategy():
    for name, args, strategy in ARGUMENTS:
        assert parse_config(changed(strategy=name, strategy_args=args)).strategies[0].build() == strategy, (name, args)


def test_invalid_arguments():
    for name, args, parts in (
        ("bald_dropout", {"n_drop": 3, "n_samples": 3}, ["n_drop", "n_samples"]),
        ("submod_sampling", {"submod": "DPP", "typeOf": "DPP"}, ["submod", "typeOf"]),
        ("gradmatch", {"linear_layer": "yes"}, ["linear_layer", "true or false"]),
        ("fass", {"submod": "other"}, ["function", "'other'"]),
        ("glister", {"typeOf": "FacLoc"}, ["lam"]),
        ("glister", {"typof": "FacLoc"}, ["typof", "did you mean"]),
        ("glister", {"valid": True}, ["valid", "validation set"]),
        ("core-set", {}, ["core_set"]),
    ):
        with pytest.raises(ConfigError) as caught:
            parse_config(changed(strategy=name, strategy_args=args))
        assert [part for part in parts if part not in str(caught.value)] == [], (name, args)


DATASETS = ["cifar10", "mnist", "fmnist", "svhn", "cifar100", "satimage", "ijcnn1", "kmnist", "stl10"]


def test_every_documented_data_set_is_known(here):
    for name in DATASETS:
        document = changed(strategy="badge")
        document["dataset"] = {"name": name}
        config = parse_config(document)
        with pytest.raises(FileNotFoundError, match=str(here)):
            config.load_data()


def test_the_published_files_with_a_section_of_logs():
    document = changed(strategy="badge") | {"logs": {"islogs": True, "location": "x"}}
    with pytest.warns(DistilWarning, match="logs"):
        parse_config(document)


def test_example_configurations_are_valid():
    from distil.experiment.config.experiment_config import read_config

    for name in ("satimage", "digits"):
        assert read_config(EXAMPLES / f"{name}.json").dataset["name"] == name


def test_the_satimage_example_on_a_small_file(here):
    """In the published format: 36 numbers and a code from 1 to 7, without 6, per line."""
    rng = np.random.default_rng(0)
    codes = [1, 2, 3, 4, 5, 7]
    folder = here / "root" / "satimage"
    folder.mkdir(parents=True)
    for part, n in (("trn", 90), ("tst", 30)):
        labels = rng.choice(codes, n)
        rows = np.clip(rng.normal(20 * labels[:, None], 5, (n, 36)), 0, 255).astype(int)
        text = "\n".join(" ".join(map(str, [*row, label])) for row, label in zip(rows, labels, strict=True))
        (folder / f"sat.{part}").write_text(text + "\n")
    document = json.loads((EXAMPLES / "satimage.json").read_text())
    document["train_parameters"]["n_epoch"] = 20
    document["active_learning"] |= {"budget": 8, "initial_points": 12, "rounds": 3}
    (here / "satimage.json").write_text(json.dumps(document))
    assert main(["run", "satimage.json", "--data", "root", "--no-progress"]) == 0
    evaluated = [e for e in events(here / "runs/satimage/badge/0") if e["event"] == "evaluated"]
    assert [e["labels"] for e in evaluated] == [12, 20, 28]
    assert (here / "satimage.log").read_text().count("Training Points") == 3

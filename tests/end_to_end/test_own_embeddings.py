"""Experiments over the user's own embeddings: the configuration, the ids in what is left behind, and content that changes."""

from __future__ import annotations

import csv
import json
import re
import shutil

import numpy as np
import pytest
import torch

from distil.cli import main
from distil.data.ids import read_ids
from distil.errors import ConfigError, RunError
from distil.experiment import outputs
from distil.experiment.config.experiment_config import parse_config, read_config
from distil.experiment.directory import open_config
from distil.experiment.provenance import fingerprint
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.suite import run_all
from distil.system.executor import Processes
from distil.training.linear_head import HeadConfig

KINDS = ("cat", "dog", "eel")
LOOP = {"strategies": ["random_sampling", "badge"], "budget": 5, "rounds": 3, "initial_points": 10}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current directory with ``emb.npy``, its ids, and ``labels.csv`` in another order."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")
    write()
    return tmp_path


def write(n=90, seed=0):
    draws = np.random.default_rng(seed)
    y = draws.integers(3, size=n)
    x = draws.normal(size=(n, 5)).astype(np.float32)
    x[np.arange(n), y] += 3
    np.save("emb.npy", x)
    names = [f"scan-{row}" for row in range(n)]
    with open("emb.ids.txt", "w") as ids, open("labels.csv", "w") as labels:
        ids.writelines(f"{name}\n" for name in names)
        labels.writelines(f"{names[row]},{KINDS[y[row]]}\n" for row in draws.permutation(n))
    return dict(zip(names, (KINDS[label] for label in y), strict=True))


def document(dataset=None, **sections):
    made = {"active_learning": LOOP, "dataset": {"embeddings": "emb.npy", "labels": "labels.csv", **(dataset or {})}}
    return {**made, **sections}


def saved(path="own.json", **options):
    with open(path, "w") as file:
        json.dump(document(**options), file)
    return path


def truth():
    found = read_ids("labels.csv")
    return dict(zip(found.names, found.labels, strict=True))


def events(folder):
    return Run(folder).events


# ------------------------------------------------------------------------------------------------------- configuration


def test_the_sections_of_a_linear_head_may_be_left_out(here):
    config = parse_config(document())
    assert config.model == {"architecture": "linear_head"}
    assert config.dataset["name"] == "emb.npy"
    assert (config.fit, config.retrain) == (HeadConfig(), "scratch")
    data = config.load_data()
    pinned = config.pinned(data)
    assert pinned.num_classes == 3
    assert pinned.dataset["sha256"] == fingerprint(data)
    assert not pinned.standardizes(data)
    assert parse_config(pinned.document).document == pinned.document  # what a run directory keeps says everything


def test_given_sections_are_kept(here):
    model = {"architecture": "two_layer_net", "hidden_units_1": 7, "target_classes": 4}
    train = {"lr": 0.1, "batch_size": 8, "n_epoch": 3}
    dataset = {"name": "scans: left", "standardize": False}
    config = parse_config(document(dataset, model=model, train_parameters=train))
    data = config.load_data()
    pinned = config.pinned(data)
    assert (pinned.num_classes, pinned.fit.optimizer, pinned.fit.n_epoch) == (4, "sgd", 3)
    assert (data.name, data.transform) == ("scans: left", None)
    assert not pinned.standardizes(data)
    assert parse_config(document(model=model, train_parameters=train)).standardizes(data)
    assert pinned.builder(data)().linear.out_features == 4


def test_faults_of_the_configuration(case, here):
    for changes, fault in [
        ({"dataset": {"label": "labels.csv"}}, "unknown key dataset.label; did you mean 'labels'?"),
        ({"dataset": {"test_embeddings": "t.npy"}}, "dataset must have both test_embeddings and test_labels"),
        ({"dataset": {"embeddings": 3}}, "dataset.embeddings must be text, got 3"),
        ({"dataset": {"standardize": 1}}, "dataset.standardize must be true or false, got 1"),
        ({"dataset": {"path": "x.csv"}}, "unknown key dataset.path"),
        ({"model": {"target_classes": 3}}, "missing key model.architecture"),
        ({"train_parameters": {"lr": 0.1}}, "train_parameters.lr has no meaning for linear_head"),
        ({"train_parameters": {"retrain": "warm"}}, "train_parameters.retrain has no meaning for linear_head"),
        ({"train_parameters": {"decay": 0}}, "train_parameters.decay: expected 'auto' or a number from 1e-08, got 0"),
        ({"train_parameters": {"class_weights": "even"}}, "class_weights: expected 'none' or 'balanced', got 'even'"),
        ({"train_parameters": {"decai": 1}}, "unknown key train_parameters.decai; did you mean 'decay'?"),
        ({"model": {"architecture": "linear_head", "input_dim": 5}}, "unknown key model.input_dim"),
        (
            {"active_learning": {**LOOP, "strategies": [{"name": "badge", "retrain": "warm"}]}},
            "the strategy badge has retrain 'warm', which has no meaning for linear_head",
        ),
        ({"model": 3}, "section model must be a JSON object"),
    ]:
        with case(changes, fault):
            with pytest.raises(ConfigError) as caught:
                parse_config(document(**changes))
            assert fault in str(caught.value)


def test_labels_are_mandatory_and_other_data_sets_keep_their_rules(here):
    with pytest.raises(ConfigError, match=r"missing key dataset\.labels"):
        parse_config({"active_learning": LOOP, "dataset": {"embeddings": "emb.npy"}})
    with pytest.raises(ConfigError) as caught:
        parse_config({"active_learning": LOOP, "dataset": {"name": "digits", "labels": "labels.csv"}})
    assert "missing section model" in str(caught.value)
    assert "unknown key dataset.labels" in str(caught.value)


def test_too_few_target_classes(here):
    model = {"architecture": "linear_head", "target_classes": 2}
    with pytest.raises(
        ConfigError, match=r"target_classes must be at least 3, the number of classes of emb\.npy, got 2"
    ):
        parse_config(document(model=model)).load_data()


def test_wrong_data_is_reported_before_any_work(here, capsys):
    with open("labels.csv", "a") as file:
        file.write("scan-900,cat\n")
    assert main(["run", saved()]) != 0
    assert "'scan-900'" in capsys.readouterr().err
    assert not (here / "runs").exists()


# --------------------------------------------------------------------------------------------------------------- running


def test_compare_with_two_seeds(here, capsys):
    labels = truth()
    path = saved(dataset={"test_points": 20, "validation_points": 10})
    assert main(["compare", path, "--strategies", "badge,core_set", "--seeds", "2", "--no-progress"]) == 0
    assert "random_sampling" in capsys.readouterr().out
    output = here / "runs" / "own"
    assert (output / "report.html").exists()
    assert (output / "results.md").read_text().startswith("# emb.npy, 2 seeds")
    config = open_config(output)
    assert config.num_classes == 3
    for label in ("random_sampling", "badge", "core_set"):
        for seed in (0, 1):
            run = Run(output / label / str(seed))
            begun = run.events[0]
            assert (begun["classes"], begun["sha256"]) == (list(KINDS), config.dataset["sha256"])
            asked = run.all("asked")
            assert [event["names"] for event in asked] == [[f"scan-{i}" for i in event["ids"]] for event in asked]
            table = read_ids(run.path / "labeled.csv")
            assert list(table.labels) == [labels[name] for name in table.names]
            everything = [name for event in run.events for name in event.get("names", [])]
            assert list(table.names) == everything
            assert len(everything) == 10 + 2 * 5
            held = split(config.load_data(), config, seed)
            assert {f"scan-{i}" for i in held.pool.tolist()} >= set(everything)
            with (run.path / "labeled.csv").open() as file:
                assert [row["round"] for row in csv.DictReader(file)] == ["0"] * 10 + ["1"] * 5 + ["2"] * 5
            assert run.last("evaluated")["accuracy"] > 0.5


def test_one_run_equals_another_and_a_resumed_one(here, capsys):
    path = saved()
    assert main(["run", path, "--no-progress", "--output", "whole"]) == 0
    assert main(["run", path, "--no-progress", "--output", "stopped"]) == 0
    folder = here / "stopped" / "badge" / "0"
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join(lines[:2]))  # killed before the first training
    (folder / "labeled.csv").unlink()
    (folder / "model.safetensors").unlink()
    assert main(["resume", "stopped", "--no-progress"]) == 0
    for name in ("events.jsonl", "labeled.csv", "model.safetensors"):
        assert (folder / name).read_bytes() == (here / "whole" / "badge" / "0" / name).read_bytes()
    labeled = here / "whole" / "badge" / "0" / "labeled.csv"
    before = labeled.read_bytes()
    labeled.unlink()
    assert main(["run", path, "--no-progress", "--output", "whole"]) == 0  # nothing else is left to do
    assert labeled.read_bytes() == before
    assert "badge" in capsys.readouterr().out


@pytest.mark.filterwarnings("always::distil.errors.DistilWarning")
def test_labels_that_someone_edited_are_not_replaced(here, capsys):
    """By more rounds: they are kept under another name, and the run ends with the labels that it would have had."""
    assert main(["run", saved(), "--no-progress", "--output", "out"]) == 0
    labeled = here / "out" / "badge" / "0" / "labeled.csv"
    labeled.write_text(edited := labeled.read_text() + "scan-1,checked,9\n")
    longer = saved(active_learning={**LOOP, "rounds": 4})
    capsys.readouterr()
    assert main(["run", longer, "--no-progress", "--output", "out"]) == 0
    assert "labeled.csv is not as distil wrote it, so it is kept as labeled (edited).csv" in capsys.readouterr().err
    assert (labeled.parent / "labeled (edited).csv").read_text() == edited
    assert main(["run", longer, "--no-progress", "--output", "whole"]) == 0
    assert labeled.read_bytes() == (here / "whole" / "badge" / "0" / "labeled.csv").read_bytes()


@pytest.mark.slow
def test_two_workers_give_the_same_results(here):
    path = saved()
    for executor, output in ((None, "one"), (Processes(2), "two")):
        assert run_all(read_config(path, {"experiment": {"output": output}}), executor=executor, progress=False)
    for label in ("random_sampling", "badge"):
        one, two = (here / output / label / "0" / "events.jsonl" for output in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_a_separate_test_set_and_redundancy(here):
    shutil.copy("emb.npy", "test.npy")  # without ids: positions
    labels = truth()
    with open("test.csv", "w") as file:
        file.writelines(f"{row},{labels[f'scan-{row}']}\n" for row in range(90))
    dataset = {"test_embeddings": "test.npy", "test_labels": "test.csv", "redundancy": 3}
    assert main(["run", saved(dataset=dataset), "--no-progress", "--output", "out"]) == 0
    run = Run(here / "out" / "badge" / "0")
    assert (run.events[0]["pool"], run.events[0]["test"]) == (90, 90)
    config = open_config(here / "out")
    here_ = split(config.load_data(), config, 0)
    for event in run.all("asked"):  # ids are positions in the pool of duplicates; names are of what stands there
        rows = [int(name.removeprefix("scan-")) for name in event["names"]]
        assert torch.equal(here_.x[event["ids"]], config.load_data().x_train[rows])
    table = read_ids(run.path / "labeled.csv")  # each id once, for any number of labeled copies
    named = [name for event in run.all("labeled") for name in event.get("names", ())] + [
        name for event in run.all("asked") for name in event["names"]
    ]
    assert len(named) > len(set(named)) == len(table.names)
    assert dict(zip(table.names, table.labels, strict=True)) == {name: labels[name] for name in named}
    with pytest.raises(ConfigError, match=r"test_points: emb\.npy has a test set of its own"):
        run_all(parse_config(document({**dataset, "test_points": 5}, experiment={"output": "other"})), progress=False)


# --------------------------------------------------------------------------------------------------- content that changes


@pytest.mark.parametrize("changed", ["a number", "a label", "an id"])
def test_changed_content_is_another_experiment(here, capsys, changed):
    path = saved()
    config = read_config(path, {"experiment": {"output": "out"}})
    assert run_all(config, progress=False)
    before = (here / "out" / "config.json").read_bytes()
    if changed == "a number":
        np.lib.format.open_memmap("emb.npy", "r+")[3, 1] += 1e-3
    else:
        old, new = ("scan-3,", "scan-x,") if changed == "an id" else ("cat", "dog")
        for name in ("labels.csv", "emb.ids.txt"):
            text = (here / name).read_text()
            (here / name).write_text(
                text.replace(old, new, 1).replace("scan-3\n", f"{new.rstrip(',')}\n")
                if changed == "an id"
                else text.replace(old, new, 1)
            )
    file = r"emb\.npy \(dataset\.embeddings\)" if changed == "a number" else r"labels\.csv \(dataset\.labels\)"
    with pytest.raises(
        RunError, match=rf"{file} has changed since out was begun: its SHA-256 was \w{{8}} and is \w{{8}}"
    ):
        run_all(config, progress=False)
    assert main(["resume", "out", "--no-progress"]) == 1
    assert re.search(file, capsys.readouterr().err)
    assert (here / "out" / "config.json").read_bytes() == before


def test_the_same_content_in_another_file_has_the_same_hash(here):
    before = fingerprint(parse_config(document()).load_data())
    x = np.load("emb.npy")
    np.savez("emb.npz", x=x, ids=np.array((here / "emb.ids.txt").read_text().split()))
    moved = parse_config(document({"embeddings": "emb.npz"})).load_data()
    assert fingerprint(moved) == before
    np.save("emb.npy", x.astype(np.float64))
    assert fingerprint(parse_config(document()).load_data()) != before


def test_the_source_of_the_embeddings_is_in_the_events(here):
    note = {"key": "ab12", "model": "timm:resnet18", "rows": 90, "dims": 5, "skipped": {}}
    (here / "emb.info.json").write_text(json.dumps(note))
    assert main(["run", saved(), "--no-progress", "--output", "out"]) == 0
    assert events(here / "out" / "badge" / "0")[0]["made_of"] == {"model": "timm:resnet18", "key": "ab12"}


def test_other_data_sets_record_no_ids(here):
    model = {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 4}
    train = {"lr": 0.05, "batch_size": 16, "n_epoch": 1}
    digits = {"model": model, "train_parameters": train, "active_learning": LOOP, "dataset": {"name": "digits"}}
    config = parse_config({**digits, "experiment": {"output": "out"}})
    assert config.pinned(config.load_data()) is config
    assert run_all(config, progress=False)
    assert not (here / "out" / "badge" / "0" / "labeled.csv").exists()
    begun, *others = events(here / "out" / "badge" / "0")
    assert not begun.keys() & {"sha256", "made_of", "classes"}
    assert not any("names" in event for event in others)

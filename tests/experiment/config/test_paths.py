"""Paths of a configuration: relative to the folder of its file, wherever the command runs and wherever the folders move."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from distil.cli import main
from distil.errors import DataNotFound
from distil.experiment.config.experiment_config import parse_config, read_config
from distil.experiment.config.paths import rebased
from distil.experiment.directory import open_config

CSV = "u,v,label\n" + "".join(f"{i % 7},{(i * 3) % 5},{'ab'[i % 2]}\n" for i in range(60))
LOOP = {"strategy": "random_sampling", "budget": 2, "rounds": 2}
DOCUMENT = {
    "model": {"architecture": "two_layer_net", "target_classes": 2, "hidden_units_1": 2},
    "train_parameters": {"lr": 0.1, "batch_size": 8, "n_epoch": 1, "islogs": True, "logs_location": "logs/a.txt"},
    "active_learning": LOOP,
    "dataset": {"name": "csv", "path": "data/mine.csv", "test_points": 20},
    "experiment": {"output": "out"},
}


@pytest.fixture
def project(tmp_path, monkeypatch, write):
    """A project: configuration and data; the working directory is another one, with a file of the same name."""
    write(tmp_path / "project/data/mine.csv", CSV)
    write(tmp_path / "project/a.json", json.dumps(DOCUMENT))
    (tmp_path / "project/logs").mkdir()
    write(tmp_path / "elsewhere/data/mine.csv", "decoy")
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "project"


def test_paths_are_relative_to_the_file(project, monkeypatch, capsys):
    assert main(["run", "../project/a.json"]) == 0
    assert (project / "out/results.csv").exists()
    assert (project / "logs/a.txt").exists()
    stored = json.loads((project / "out/config.json").read_text())
    assert stored["dataset"]["path"] == "../data/mine.csv"
    assert stored["train_parameters"]["logs_location"] == "../logs/a.txt"
    events = (project / "out/random_sampling/0/events.jsonl").read_bytes()
    for folder in (project, project.parent, project / "out/random_sampling"):  # the same experiment from everywhere
        monkeypatch.chdir(folder)
        assert main(["run", str(project / "a.json")]) == 0
        assert main(["resume", os.path.relpath(project / "out")]) == 0
        assert main(["report", os.path.relpath(project / "out"), "--json"]) == 0
        out = capsys.readouterr().out
        assert '"missing": null' in out
        assert main(["run", os.path.relpath(project / "out/config.json")]) == 0  # a configuration as any other
    assert json.loads((project / "out/config.json").read_text()) == stored
    assert (project / "out/random_sampling/0/events.jsonl").read_bytes() == events
    assert sorted(path.name for path in project.iterdir()) == ["a.json", "data", "logs", "out"]


def test_a_tilde_is_the_home_directory(project, monkeypatch):
    """Shells leave it in quotes, in a configuration and in ``--output=~/out``."""
    monkeypatch.setenv("HOME", str(project))
    monkeypatch.setenv("USERPROFILE", str(project))
    document = {**DOCUMENT, "experiment": {"output": "~/own"}}
    document["train_parameters"] = {**DOCUMENT["train_parameters"], "logs_location": "~/logs/own.txt"}
    (project / "a.json").write_text(json.dumps(document))
    assert main(["run", "~/a.json"]) == 0
    assert (project / "logs/own.txt").exists()
    assert main(["run", "~/a.json", "--output=~/out"]) == 0
    for name in ("own", "out"):
        assert main(["resume", f"~/{name}"]) == 0
        assert main(["report", f"~/{name}"]) == 0
        assert main(["forecast", f"~/{name}"]) == 0
        assert (project / name / "report.html").exists()
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["data"]


def test_a_project_that_moves_goes_on(project, capsys):
    moved = project.with_name("moved")
    changed = {**DOCUMENT, "active_learning": {**LOOP, "rounds": 3}}
    (project / "a.json").write_text(json.dumps(changed))
    assert main(["run", str(project / "a.json")]) == 0
    whole = (project / "out/random_sampling/0/events.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    shutil.move(project, moved)
    (moved / "out/random_sampling/0/events.jsonl").write_bytes(b"".join(lines[:2]))  # as if it had been killed
    assert main(["resume", str(moved / "out")]) == 0
    assert (moved / "out/random_sampling/0/events.jsonl").read_bytes() == whole
    assert main(["run", str(moved / "a.json")]) == 0


def test_options_are_relative_to_the_working_directory(project):
    config = read_config(project / "a.json", {"experiment": {"output": "here", "data": "data"}})
    assert (config.output, config.data_root) == (Path("here"), "data")
    assert config.log.resolve() == project / "logs/a.txt"


def test_every_key_that_holds_a_path(tmp_path, monkeypatch, write):
    monkeypatch.setenv("DISTIL_DATA", str(tmp_path / "root"))
    write(tmp_path / "root/published.npy", "")
    write(tmp_path / "folder/model/modules.json", "")
    write(tmp_path / "folder/nearby.npz", "")
    same = {
        "name": "my data",
        "images": "/absolute/images",
        "texts": "~/texts.csv",
        "test_embeddings": "published.npy",
        "weights": "random",
        "column": "path",
        "sha256": "data",
        "standardize": True,
    }
    moved = {
        "embeddings": "nearby.npz#emb",
        "labels": "missing.csv",
        "test_labels": "../labels",
        "test_images": "images/",
        "test_texts": "t.csv",
        "path": "a.csv",
        "test_path": "b.csv",
        "encoder": "model",
    }
    found = rebased({"dataset": {**same, **moved}}, tmp_path / "folder", tmp_path)["dataset"]
    assert {key: found[key] for key in same} == same
    assert {key: found[key] for key in moved} == {
        "embeddings": "folder/nearby.npz#emb",
        "labels": "folder/missing.csv",
        "test_labels": "labels",
        "test_images": "folder/images",
        "test_texts": "folder/t.csv",
        "path": "folder/a.csv",
        "test_path": "folder/b.csv",
        "encoder": "folder/model",
    }
    back = rebased({"dataset": found}, tmp_path, tmp_path / "folder")["dataset"]
    assert back == {**same, **moved, "test_images": "images"}
    for encoder in ("timm:resnet18", "no_such_package", "mine:encode"):
        given = {"dataset": {"encoder": encoder, "weights": "w.pth"}}
        assert rebased(given, tmp_path / "folder", tmp_path)["dataset"] == {
            "encoder": encoder,
            "weights": "folder/w.pth",
        }


def test_the_project_that_answers_is_a_path(tmp_path):
    for oracle, expected in (
        ("project people", "project folder/people"),
        ("project ../people", "project people"),
        (f"project {tmp_path}", f"project {tmp_path}"),
        ("mine:oracle", "mine:oracle"),
    ):
        found = rebased({"experiment": {"oracle": oracle}}, tmp_path / "folder", tmp_path)
        assert found == {"experiment": {"oracle": expected}}


def test_arguments_of_a_callable_are_its_own(tmp_path):
    document = {"dataset": {"name": "mine:data", "path": "a.csv"}, "experiment": {"data": "root"}}
    found = rebased(document, tmp_path / "folder", tmp_path)
    assert found == {"dataset": document["dataset"], "experiment": {"data": "folder/root"}}


def test_values_that_are_no_paths_are_left_to_the_checks(tmp_path):
    for value in (None, 3, [], {}, "", "\0", "x" * 5000, "\ud800"):
        for section, key in (("dataset", "path"), ("dataset", "encoder"), ("train_parameters", "logs_location")):
            found = rebased({section: {key: value}}, tmp_path / "folder", tmp_path)[section][key]
            assert found == value or value in found
    for document in ({"dataset": 3}, {"experiment": None}, {"experiment": {"data": 3}}, {}):
        assert rebased(document, tmp_path / "folder", tmp_path) == document


def test_documents_in_python_are_relative_to_the_working_directory(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    config = parse_config(DOCUMENT)
    assert config.document == DOCUMENT
    assert len(config.load_data().x_train) == 60


def test_a_missing_file_is_named_where_it_should_be(project):
    (project / "data/mine.csv").unlink()
    with pytest.raises(DataNotFound) as caught:
        read_config(project / "a.json").load_data()
    assert os.path.normpath(str(caught.value).split("tried ")[1].split(". ")[0]) == str(project / "data/mine.csv")


def test_files_in_the_data_root_are_found_wherever_it_is(project, tmp_path):
    (tmp_path / "root/data").mkdir(parents=True)
    (tmp_path / "elsewhere/data/mine.csv").unlink()  # the working directory comes before the data root
    (project / "data/mine.csv").rename(tmp_path / "root/data/mine.csv")
    argv = ["run", str(project / "a.json"), "--data", str(tmp_path / "root")]
    assert main(argv) == 0
    assert json.loads((project / "out/config.json").read_text())["dataset"]["path"] == "data/mine.csv"
    (tmp_path / "root").rename(tmp_path / "other")
    assert open_config(project / "out", str(tmp_path / "other")).load_data().num_classes == 2


def test_a_pipe_has_no_folder(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(pipe.write_text, json.dumps(DOCUMENT))
        config = read_config(pipe)
        writing.result()
    assert config.dataset["path"] == "data/mine.csv"

"""Code that a directory names: looking imports nothing, and going on imports only what this user wrote or trusts."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from distil.cli import main
from distil.cli.resume import resume
from distil.errors import ConfigError, DistilWarning
from distil.evaluation.metrics import METRICS
from distil.experiment import trust
from distil.experiment.config.document import read_json, sealed
from distil.experiment.directory import open_config
from distil.experiment.identity import identity_of
from distil.experiment.run import Run
from distil.experiment.suite import run_all
from distil.experiment.trust import code_in
from distil.system import user_key

MODULE = """
from pathlib import Path
import torch
from distil.strategies import MarginSampling
from distil.datasets.data_set import DataSet
Path("imported").touch()

def network(num_classes):
    return torch.nn.Linear(3, num_classes)

def data():
    Path("called").touch()
    return DataSet("mine", torch.arange(90.0).view(30, 3) / 90, torch.arange(30) % 2, None, None, 2)

def strategy():
    Path("called").touch()
    return MarginSampling()
"""
DOCUMENT = {
    "model": {"architecture": "two_layer_net", "target_classes": 2, "hidden_units_1": 2},
    "train_parameters": {"lr": 0.1, "batch_size": 8, "n_epoch": 1},
    "active_learning": {"strategies": ["random_sampling"], "budget": 2, "rounds": 2},
    "dataset": {"name": "npz", "path": "mine.npz", "test_points": 8},
    "experiment": {"output": "out"},
}
EMPTY = hashlib.sha256(b"").hexdigest()
EVIL = {"name": "os:system", "args": {"command": "touch evil"}}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, with a module of the user's own, a data set, and a data folder for the key."""
    import numpy as np

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(Path.cwd()))])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    (tmp_path / "own_code.py").write_text(MODULE)
    np.savez(tmp_path / "mine.npz", x_train=np.arange(90.0).reshape(30, 3) / 90, y_train=np.arange(30) % 2)
    yield tmp_path
    sys.modules.pop("own_code", None)


@pytest.fixture
def said(capsys, monkeypatch):
    """``said(*argv)``: exit code, standard output and standard error of a command; no figure is drawn."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    def call(*argv):
        capsys.readouterr()
        return main(list(argv)), *capsys.readouterr()

    return call


def document(**changes):
    """A copy with ``section__key=value``."""
    made = copy.deepcopy(DOCUMENT)
    for name, value in changes.items():
        section, key = name.split("__")
        made[section][key] = value
    return made


def write(path, content):
    """A file of JSON; the configuration of a directory, ``config.json``, with its seal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name == "config.json" and not (path.parent / "files.json").exists():
        (path.parent / "files.json").write_text(json.dumps(sealed({})))
    path.write_text(json.dumps(sealed(content) if path.name == "config.json" else content))
    return str(path)


OWN = {"active_learning__strategies": ["random_sampling", "own_code:strategy"]}
CODE = [
    ("model.architecture", {"model__architecture": "own_code:network"}),
    ("active_learning.strategies[0]", {"active_learning__strategies": [EVIL]}),
    ("active_learning.strategies[1]", OWN),
    ("active_learning.initial_strategy", {"active_learning__initial_strategy": EVIL}),
    ("dataset.name", {"dataset__name": "own_code:data"}),
]
DATA = [
    {"texts": "../a.csv", "encoder": "own_code:strategy"},
    {"texts": "../a.csv", "encoder": "own_code.inner", "name": "a:b"},
    {"texts": "../a.csv", "encoder": "own_code"},
]


def foreign(folder, made):
    """A directory of someone else: finished runs of one round, and a configuration that was not written here."""
    loop = {**made["active_learning"], "rounds": 1}
    write(
        folder / "config.json", {**made, "active_learning": loop, "experiment": {**made["experiment"], "output": "."}}
    )
    config = open_config(folder)
    started = {"pool": 22, "test": 8, "examples": 30, "num_classes": 2, "budget": 2, "device": "cpu", "threads": 1}
    for spec in config.strategies:
        run = Run(folder / spec.label / "0")
        run.path.mkdir(parents=True)
        (run.path / "model.safetensors").touch()
        run.belong(identity_of(config, spec, 0), "a run")
        run.append({"event": "started", "strategy": spec.label, "seed": 0, "versions": {}, **started})
        run.append({"event": "labeled", "round": 0, "ids": [0, 1], "labels": [0, 1]})
        run.append({"event": "trained", "round": 0, "weights": "weights-000.safetensors", "sha256": EMPTY})
        run.append({"event": "evaluated", "round": 0, "labels": 2, **dict.fromkeys(METRICS, 0.5)})
        run.append({"event": "finished", "model": "model.safetensors", "sha256": EMPTY})
        run.time(round=0, step="train", seconds=0.5)


def everything():
    """Every configuration with code, with the key that names it."""
    yield from ((key, document(**changes)) for key, changes in CODE)
    yield "experiment.oracle", {**document(), "experiment": {"oracle": "own_code:strategy"}}
    yield from (("dataset.encoder", {**document(), "dataset": data}) for data in DATA)


def test_looking_imports_and_runs_nothing(case, here, said):
    (here / "a.csv").write_text("id,text,label\n1,x,a\n2,y,b\n")
    for number, (key, made) in enumerate(everything()):
        with case(key, number):
            foreign(here / f"dir{number}", made)
            before = set(sys.modules)
            code, out, err = said("report", f"dir{number}", "--json")
            new = {name for name in set(sys.modules) - before if not name.startswith(("distil", "sklearn", "scipy"))}
            assert (code, "own_code" in sys.modules) == (0, False), err
            assert not {"imported", "called", "evil"} & set(os.listdir())
            assert not [name for name in new if "own" in name]
            missing = json.loads(out)["experiments"][0]["selections"]["missing"] or ""
            assert ("to look at results" in missing) == key.startswith("dataset.")
    assert said("report", *(f"dir{number}" for number in range(5)), "--output", "page.html")[0] == 0
    assert said("audit", "dir0", "--json")[0] != 0
    assert said("strategies")[0] == 0
    assert not {"imported", "called", "evil", "home"} & set(os.listdir())


def test_looking_needs_no_names_of_this_version(here, said):
    """A directory of another version, or of a program that registers a strategy of its own."""
    foreign(
        here / "other", document(active_learning__strategies=["no_such_strategy"], model__architecture="no_such_net")
    )
    code, out, err = said("report", "other", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["experiments"][0]["strategies"] == ["no_such_strategy"]


def test_looking_needs_no_device_of_another_machine(here, said):
    foreign(here / "other", document(train_parameters__device="cuda:7"))
    assert said("report", "other", "--json")[0] == 0


def test_code_of_someone_else_is_refused_by_name(case, here, said):
    for number, (key, made) in enumerate(everything()):
        with case(key, number):
            foreign(here / f"dir{number}", made)
            code, out, err = said("resume", f"dir{number}")
            assert (code, out) == (2, "")
            assert err.count("\n") == 1
            assert err.startswith(f"distil: dir{number}/config.json is no configuration that you wrote")
            assert f"{key} {code_in(made)[key]}" in err
            assert "--trust" in err
            with pytest.raises(ConfigError, match="would import code"):
                resume(f"dir{number}")
            with pytest.raises(ConfigError, match="would import code"):
                run_all(open_config(Path(f"dir{number}")))
    assert not {"imported", "called", "evil"} & set(os.listdir())


def test_what_a_command_names_is_imported_and_may_be_resumed(here, said):
    made = document(**OWN)
    made["model"] = {"architecture": "own_code:network", "target_classes": 2}
    made["dataset"] = {"name": "own_code:data", "test_points": 8}
    assert said("run", write(here / "a.json", made))[0] == 0
    assert (here / "called").exists()
    assert said("resume", "out")[0] == 0
    shutil.move(here / "out", here / "moved")
    assert said("resume", "moved")[0] == 0
    changed = read_json(here / "moved/config.json")
    changed["active_learning"]["strategies"].append(EVIL)
    write(here / "moved/config.json", changed)
    code, _, err = said("resume", "moved")
    assert (code, "active_learning.strategies[2] os:system" in err) == (2, True)
    assert not (here / "evil").exists()


def test_a_signature_belongs_to_one_directory_and_one_key(here, said, monkeypatch):
    assert said("run", write(here / "a.json", document(**OWN)))[0] == 0
    signed = json.loads((here / "out/trust.json").read_text())
    key = (here / "home/distil/key").read_bytes()
    stored = read_json(here / "out/config.json")
    text = json.dumps([signed["id"], stored], sort_keys=True).encode()
    assert signed["signatures"] == [hmac.new(key, text, hashlib.sha256).hexdigest()]
    foreign(here / "theirs", document(**OWN))
    for content in (signed, {**signed, "id": "0" * 32}, {"signatures": "x"}, [], {"id": 3, "signatures": [None, "é"]}):
        write(here / "theirs/trust.json", content)
        assert said("resume", "theirs")[0] == 2
    monkeypatch.setenv("XDG_DATA_HOME", str(here / "other"))  # another user, or another machine
    assert said("resume", "out")[0] == 2
    assert said("resume", "out", "--trust")[0] == 0
    assert said("resume", "out")[0] == 0  # it is signed now
    assert len(json.loads((here / "out/trust.json").read_text())["signatures"]) == 2
    monkeypatch.setenv("XDG_DATA_HOME", str(here / "home"))
    assert said("resume", "out")[0] == 0


def test_a_command_imports_no_more_of_a_directory_than_it_names(here, said):
    made = document(active_learning__strategies=["random_sampling", {**EVIL, "label": "badge"}])
    foreign(here / "out", made)
    made["dataset"]["path"] = "../mine.npz"
    write(here / "out/config.json", {**made, "experiment": {"output": "."}})
    config = write(here / "a.json", document())
    for argv in (["run", config], ["compare", config, "--seeds", "1", "--no-full-data"]):
        code, _, err = said(*argv)
        assert (code, err.count("\n")) == (2, 1)
        assert "out/config.json is no configuration that you wrote" in err
        assert "active_learning.strategies[1] os:system" in err
    assert not (here / "evil").exists()
    assert not (here / "home").exists() or not (here / "out/trust.json").exists()


def test_names_of_distil_need_no_key(here, said):
    assert said("run", write(here / "a.json", document()))[0] == 0
    assert said("resume", "out")[0] == 0
    assert not (here / "home").exists()
    assert not (here / "out/trust.json").exists()


@pytest.mark.filterwarnings("always::distil.errors.DistilWarning")
def test_without_a_data_folder_a_run_goes_on(case, here, said, monkeypatch):
    config = write(here / "a.json", document(**OWN))
    for number, home in enumerate(("/dev/null/x", "/proc/nothing")):
        with case(home):
            monkeypatch.setenv("XDG_DATA_HOME", home)
            code, _, err = said("run", config, "--output", f"out{number}")
            warned = f"distil: warning: distil resume out{number} will need --trust: the key {home}/distil/key cannot be used"
            assert (code, err.startswith(warned), err.count("\n")) == (0, True, 1)
            assert said("resume", f"out{number}")[0] == 2
            assert said("resume", f"out{number}", "--trust")[0] == 0


def test_keys_that_are_not_safe_to_use(case, here, said):
    assert said("run", write(here / "a.json", document(**OWN)))[0] == 0
    key = here / "home/distil/key"
    assert (key.stat().st_mode & 0o777, len(key.read_bytes())) == (0o600, 32)
    whole = key.read_bytes()
    for content, mode, message in [
        (whole[:-1], 0o600, "is damaged; remove it"),
        (b"", 0o600, "is damaged; remove it"),
        (whole, 0o640, "others can read the key"),
        (whole, 0o602, "others can read the key"),
    ]:
        with case(len(content), mode):
            key.write_bytes(content)
            key.chmod(mode)
            code, _, err = said("resume", "out")
            assert (code, message in err) == (2, True)
    key.write_bytes(whole)
    key.chmod(0o600)
    assert said("resume", "out")[0] == 0


def test_without_a_home_there_is_no_key(here, monkeypatch):
    monkeypatch.setattr(user_key, "data_folder", lambda: Path("~/.local/share/distil"))
    with pytest.warns(DistilWarning, match="there is no home folder"):
        trust.sign(here, document(**OWN))
    assert "~" not in os.listdir()


def test_two_processes_make_one_key(here):
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: user_key.user_key(), range(40)))
    assert len(set(keys)) == 1
    assert [path.name for path in (here / "home/distil").iterdir() if path.name != ".key.lock"] == ["key"]


def test_a_kill_between_signature_and_configuration_leaves_a_directory_to_begin_again(here, said, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(path, text):
        if path.name == "config.json":
            raise Killed
        path.write_text(text)

    monkeypatch.setattr("distil.experiment.directory.write_text", killed)
    config = write(here / "a.json", document(**OWN))
    with pytest.raises(Killed):
        main(["run", config])
    assert "trust.json" in os.listdir("out")
    assert "config.json" not in os.listdir("out")
    monkeypatch.undo()
    os.chdir(here)
    assert main(["run", config]) == 0


def test_a_configuration_that_is_no_file_holds_no_experiment(here, said):
    (here / "theirs").mkdir()
    os.mkfifo(here / "theirs/config.json")
    code, _, err = said("report", "theirs")
    assert (code, "holds no experiment" in err) == (1, True)


def test_encoders_of_distil_and_projects_are_no_code():
    for encoder in ("timm:resnet18", "pixels"):
        assert code_in({"dataset": {"images": "a", "encoder": encoder}, "experiment": {"oracle": "project a:b"}}) == {}
    assert code_in({"dataset": {"images": "a", "encoder": "saved"}}) == {"dataset.encoder": "saved"}

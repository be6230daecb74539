"""Names in a configuration: each is looked up, imported and tried before any work starts, wherever it stands."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from distil.cli import main
from distil.errors import ConfigError
from distil.experiment.config.experiment_config import parse_config

MODEL = {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8}
TRAIN = {"lr": 0.05, "batch_size": 16, "n_epoch": 2}
LOOP = {"strategy": "random_sampling", "budget": 5, "rounds": 3}
NEEDED = {"model": MODEL, "train_parameters": TRAIN, "active_learning": LOOP, "dataset": {"name": "digits"}}

MODULE = """
import torch

SETTINGS = {}

def fails():
    return {}["label"]

def network(num_classes, width=4):
    return torch.nn.Linear(5, num_classes)

def data(n):
    raise AssertionError("called before the run begins")

def encode(items, more):
    raise AssertionError("called before the run begins")

class Strategy:
    def __init__(self):
        raise RuntimeError("no license\\nin this building")
"""
_NUMBERS = itertools.count()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """``module(source)``: a module in the current directory; gives its name."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)

    def make(source):
        name = f"named_{next(_NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    yield make
    for name in [name for name in sys.modules if name.startswith("named_")]:
        del sys.modules[name]


def faults(**sections):
    """The faults of a configuration with these keys, one a line."""
    document = {**NEEDED, **sections}
    with pytest.raises(ConfigError) as caught:
        parse_config(document)
    return [line.removeprefix("  - ") for line in str(caught.value).splitlines()[1:]]


def test_a_strategy_for_another_task_is_refused():
    (fault,) = faults(active_learning=LOOP | {"strategy": "greedy_sampling"})
    assert "GreedySampling does not know the task 'classification', only regression; strategies for" in fault


def test_a_misspelt_name_is_answered_with_the_nearest(case):
    for expected, hint, sections in [
        ("active_learning.strategy: no strategy is called 'bagde'", "badge", {"active_learning": LOOP | {"strategy": "bagde"}}),
        (
            "active_learning.strategies[1]: no strategy is called 'core_sett'",
            "core_set",
            {"active_learning": {"budget": 5, "rounds": 3, "strategies": ["badge", {"name": "core_sett"}]}},
        ),
        (
            "active_learning.initial_strategy: no strategy is called 'typiclus'",
            "typiclust",
            {"active_learning": LOOP | {"initial_strategy": "typiclus"}},
        ),
        ("model.architecture: no architecture is called 'resnet81'", "resnet18", {"model": MODEL | {"architecture": "resnet81"}}),
        ("dataset.name: no data set is called 'digit'", "digits", {"dataset": {"name": "digit"}}),
        ("train_parameters.optimizer: expected one of", "adamw", {"train_parameters": TRAIN | {"optimizer": "adamww"}}),
        ("train_parameters.schedule: expected one of", "cosine", {"train_parameters": TRAIN | {"schedule": "cosin"}}),
        ("train_parameters.retrain must be one of", "warm", {"train_parameters": TRAIN | {"retrain": "wram"}}),
        ("experiment.trackers must be a list", "tensorboard", {"experiment": {"trackers": ["tensorbord"]}}),
        ("unknown key active_learning.strategy_args.radios", "radius", {
            "active_learning": LOOP | {"strategy": "probcover", "strategy_args": {"radios": 1.0}}
        }),
        ("unknown key experiment.sedes", "seeds", {"experiment": {"sedes": 3}}),
        ("unknown key datasets", "dataset", {"datasets": {}}),
    ]:  # fmt: skip
        with case(expected):
            (fault,) = faults(**sections)
            assert fault.startswith(expected)
            assert f"; did you mean {hint!r}?" in fault


def test_a_choice_of_a_linear_head_is_answered_with_the_nearest():
    head = {"model": {"architecture": "linear_head", "target_classes": 10}}
    (fault,) = faults(**head, train_parameters={"class_weights": "balancd"})
    assert fault.startswith("train_parameters.class_weights: expected")
    assert "; did you mean 'balanced'?" in fault


def test_settings_of_a_linear_head_of_another_type(case):
    head = {"model": {"architecture": "linear_head", "target_classes": 10}}
    for key, value in itertools.product(("decay", "class_weights"), (None, [], {}, True, "", -1.0)):
        with case(key, value):
            (fault,) = faults(**head, train_parameters={key: value})
            assert fault.startswith(f"train_parameters.{key}: expected")


def test_callables_that_cannot_be_used(case, module):
    name = module(MODULE)
    parts = {"target_classes": 3, "width": 4}
    for key, callable_, message, more in [
        ("model.architecture", "SETTINGS", "is of type dict; expected a function, a class or another callable", {}),
        (
            "model.architecture",
            "network",
            "takes (num_classes, width=4): got an unexpected keyword argument 'depth'",
            {"depth": 2},
        ),
        ("model.architecture", "fails", "takes (): got an unexpected keyword argument", {}),
        ("dataset.name", "data", "takes (n): missing a required argument: 'n'", {}),
        ("dataset.name", "data", "takes (n): got an unexpected keyword argument 'm'", {"n": 1, "m": 2}),
        ("dataset.encoder", "encode", "takes (items, more): missing a required argument: 'more'", {}),
        ("active_learning.strategy", "fails", "KeyError: 'label'", {}),
        ("active_learning.strategy", "Strategy", "RuntimeError: no license in this building", {}),
        ("active_learning.initial_strategy", "Strategy", "RuntimeError: no license in this building", {}),
        ("active_learning.initial_strategy", "network", "missing 1 required positional argument: 'num_classes'", {}),
    ]:
        with case(key, callable_, message):
            section, _, last = key.partition(".")
            given = {"model": parts, "active_learning": LOOP, "dataset": {}}[section]
            changed = {section: {**given, last: f"{name}:{callable_}", **more}}
            if last == "encoder":
                changed = {"dataset": {"texts": "a.csv", "encoder": f"{name}:{callable_}"}}
            (fault,) = faults(**changed)
            assert fault.startswith(f"{key}: ")
            assert message in fault


def test_modules_that_cannot_be_imported(case, module):
    for source, message in [
        ("def f(:\n", "SyntaxError: "),
        ("import no_such_package\n", "No module named 'no_such_package'"),
        ("raise SystemExit('usage: script.py FILE')\n", "SystemExit: usage: script.py FILE"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("from os import no_such_name\n", "cannot import name 'no_such_name' from 'os'"),
        ("f = 1\n", "is of type int; expected a function"),
        ("", "has no attribute 'f'"),
    ]:
        with case(source):
            name = module(source)
            for key, sections in {
                "model.architecture": {"model": {"architecture": f"{name}:f", "target_classes": 3}},
                "active_learning.strategy": {"active_learning": LOOP | {"strategy": f"{name}:f"}},
                "dataset.name": {"dataset": {"name": f"{name}:f"}},
                "dataset.encoder": {"dataset": {"images": "pool", "encoder": f"{name}:f"}},
            }.items():
                (fault,) = faults(**sections)
                assert fault.startswith(f"{key}: ")
                assert message in fault
                assert name in fault


def test_encoders_are_looked_up_before_any_pool_is_read(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for section, message in [
        ({"encoder": "all-MiniLM-L6-v2"}, "expected a model as timm:NAME"),
        ({"encoder": "timm:resnet18"}, "needs weights"),
        ({"encoder": "timm:resnet18", "weights": "gone.safetensors"}, "there is no weights file gone.safetensors"),
        ({"encoder": "no_such_module:f", "weights": "x"}, "weights are for timm models only"),
    ]:
        with case(section):
            (fault,) = faults(dataset={"images": "no_such_pool", **section})
            assert fault.startswith("dataset.encoder: ")
            assert message in fault


@pytest.mark.slow
@pytest.mark.skipif(find_spec("timm") is None, reason='needs timm: pip install "distil[vision]"')
def test_to_check_the_name_of_an_encoder_timm_is_not_imported():
    code = """
import sys
from distil.embedding.encoders import check_encoder
for name in ("resnet18", "vit_small_patch16_224"):
    check_encoder(f"timm:{name}", "random")
assert "timm" not in sys.modules
check_encoder("timm:resnet18.a1_in1k", "random")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("timm") is None, reason='needs timm: pip install "distil[vision]"')
def test_an_encoder_that_timm_does_not_have():
    (fault,) = faults(dataset={"images": "no_such_pool", "encoder": "timm:resnt18", "weights": "random"})
    assert fault == "dataset.encoder: timm has no model 'resnt18'; did you mean 'resnet18'?"


def test_labels_that_cannot_be_names_of_folders(case):
    """Those of files that an experiment writes next to its folders, and those that some file system refuses."""
    for label in [
        "config.json",
        "files.json",
        "outputs.json",
        "results.csv",
        "report.html",
        "a\nb",
        "tab\t",
        "x" * 201,
        "\ud800",
        ".hidden",
        "a:b/c",
    ]:
        with case(label):
            loop = {"strategies": [{"name": "badge", "label": label}], "budget": 5, "rounds": 3}
            assert any("label" in fault for fault in faults(active_learning=loop))
    loop = {"strategies": [{"name": "badge", "label": "η=0,1 (mit Bild)"}], "budget": 5, "rounds": 3}
    assert parse_config({**NEEDED, "active_learning": loop}).strategies[0].label == "η=0,1 (mit Bild)"


def test_many_faults_are_cut_and_quick():
    loop = {"strategies": [{"name": "badge", "label": "a"}] * 20_000 + ["bagde"] * 20_000, "budget": 5, "rounds": 3}
    found = faults(active_learning=loop, **{f"key{number}": 1 for number in range(20_000)})
    assert len(found) == 51
    assert found[-1].startswith("and ")


def test_keys_that_are_no_text_are_faults():
    """JSON can write half of a pair of surrogates; no file can be named so, and no terminal shows it."""
    assert faults(model={**MODEL, "\ud800": 1}) == ["model has the key '\\ud800'; keys must be text"]


def test_an_encoder_needs_a_pool():
    (fault,) = faults(dataset={"encoder": "timm:resnet18", "weights": "random"})
    assert fault == "dataset.encoder needs dataset.images or dataset.texts, which it embeds"


def test_an_oracle_is_imported_before_any_work_starts(case, module):
    name = module("def oracle(strategy):\n    raise AssertionError('called before the run begins')\n")
    for oracle, message in [
        (f"{name}:oracle", "takes (strategy): too many positional arguments"),
        (f"{name}:orcale", "has no attribute 'orcale'"),
        ("people", "cannot import 'people'"),
    ]:
        with case(oracle):
            (fault,) = faults(experiment={"oracle": oracle})
            assert fault.startswith("experiment.oracle: ")
            assert message in fault


def test_an_output_that_no_file_system_can_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    document = {**NEEDED, "experiment": {"output": "x" * 5000}}
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert main(["run", "a.json"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("distil: experiment.output: xxx")
    assert error.endswith("cannot be a directory: File name too long\n")
    assert len(error) < 200


def test_a_data_set_has_a_name_or_is_the_users_own():
    found = faults(dataset={"labels": "labels.csv"})
    assert "missing key dataset.name" in found
    assert "for your own data, set dataset.embeddings, dataset.images or dataset.texts" in found


def test_more_threads_than_a_machine_has_are_refused():
    assert faults(experiment={"threads": 10**9}) == [
        "experiment.threads must be a whole number from 1 to 1,024, got 1000000000"
    ]

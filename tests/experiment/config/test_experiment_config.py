"""The configuration file: every documented key, every fault reported at once, and objects named package.module:callable."""

from __future__ import annotations

import copy
import itertools
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from distil.errors import ConfigError, DistilError, DistilWarning
from distil.experiment.config.experiment_config import ExperimentConfig, parse_config, read_config
from distil.experiment.config.sections import DataSection
from distil.experiment.loop import Experiment
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.strategies import STRATEGIES, MarginSampling
from distil.strategies.registry import tasks_of
from distil.system.imports import named_object
from distil.training.config import FitConfig

# The example of the DISTIL document, typed from it.
DOCUMENTED = {
    "model": {"architecture": "resnet18", "target_classes": 10},
    "train_parameters": {
        "lr": 0.001,
        "batch_size": 1000,
        "n_epoch": 50,
        "max_accuracy": 0.95,
        "isreset": True,
        "islogs": True,
        "logs_location": "./logs.txt",
    },
    "active_learning": {
        "strategy": "badge",
        "budget": 1000,
        "rounds": 15,
        "initial_points": 1000,
        "strategy_args": {"batch_size": 1000, "lr": 0.001},
    },
    "dataset": {"name": "cifar10"},
}

SMALL = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 2},
    "active_learning": {"strategy": "random_sampling", "budget": 5, "rounds": 3, "initial_points": 10},
    "dataset": {"name": "digits"},
}

ABSENT = object()


def changed(document=SMALL, **changes):
    """A copy with ``section__key=value``; ABSENT takes a key, or with ``section=``, a section away."""
    document = copy.deepcopy(document)
    for name, value in changes.items():
        section, _, key = name.partition("__")
        target = document.setdefault(section, {}) if key else document
        if value is ABSENT:
            del target[key or section]
        else:
            target[key or section] = value
    return document


def refused(document, *parts):
    """The faults of a document that cannot be run, one a line."""
    with pytest.raises(ConfigError) as caught:
        parse_config(document)
    message = str(caught.value)
    for part in parts:
        assert part in message
    return [line.removeprefix("  - ") for line in message.splitlines()[1:]]


@pytest.fixture
def file(tmp_path):
    """``file(content)``: a configuration file, from an object or from text."""

    def write(content, name="small.json"):
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


_NUMBERS = itertools.count()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """``mine(source)``: a module in the current directory; gives its name."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(Path.cwd()))])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    names = []

    def write(source):
        names.append(f"mine_{next(_NUMBERS)}")
        (tmp_path / f"{names[-1]}.py").write_text(source)
        return names[-1]

    yield write
    for name in names:
        sys.modules.pop(name, None)


# -------------------------------------------------------------------------------------------- what is documented


def test_the_documented_example():
    config = parse_config(DOCUMENTED)
    assert isinstance(config, ExperimentConfig)
    assert config.model == DOCUMENTED["model"]
    assert config.num_classes == 10
    assert config.fit == FitConfig(lr=0.001, batch_size=1000, n_epoch=50, max_accuracy=0.95)
    assert config.retrain == "scratch"
    assert config.log == Path("logs.txt")
    assert [spec.name for spec in config.strategies] == ["badge"]
    assert (config.budget, config.rounds, config.initial_points) == (1000, 15, 1000)
    assert config.batch_size == 1000
    assert config.seeds == (0,)
    assert config.threads == 1
    assert config.document == DOCUMENTED


def test_the_shipped_example():
    config = read_config(Path(__file__).parents[3] / "examples" / "digits.json")
    assert [spec.label for spec in config.strategies] == ["random_sampling", "margin_sampling", "badge"]
    assert config.seeds == (0, 1, 2, 3, 4)
    assert config.target_accuracy == 0.94
    assert config.output == Path("runs") / "digits"


def test_optional_keys():
    loop = {"strategy": "random_sampling", "budget": 7, "rounds": 2}
    config = parse_config(changed(active_learning=loop))
    assert config.initial_points == 7
    assert config.retrain == "scratch"
    assert config.log is None
    assert config.fit.max_accuracy is None
    assert config.target_accuracy is None
    assert config.batch_size is None
    assert config.device is None


def test_every_strategy_can_be_named(case):
    for name in sorted(name for name, cls in STRATEGIES.items() if "classification" in tasks_of(cls())):
        if name == "knapsack":  # an experiment does not know what labels cost
            continue
        if name in ("token_uncertainty", "mnlp", "class_stratified_entropy", "delta_ucb", "double_reverse_thompson"):
            with case(name):
                refused(
                    changed(active_learning__strategy=name),
                    "reads tokens or rewards, which an experiment does not have",
                )
            continue
        if name in ("smi", "scg", "scmi"):
            with case(name):
                refused(
                    changed(active_learning__strategy=name),
                    "reads a query or a private set, which an experiment does not",
                )
            continue
        with case(name):
            (spec,) = parse_config(changed(active_learning__strategy=name)).strategies
            assert type(spec.build()) is STRATEGIES[name]
            assert spec.label == name


IMPLEMENTED = sorted(
    STRATEGIES.keys()
    & {
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
    }
)
DOCUMENTED_ARGS = {
    "batch_size": 100,
    "device": "cpu",
    "lr": 0.001,
    "n_drop": 7,
    "eps": 0.05,
    "max_iter": 50,
    "submod": "facility_location",
    "selection_type": "PerClass",
}


def test_documented_strategy_args_are_accepted_by_every_strategy(case):
    for key in sorted(DOCUMENTED_ARGS):
        for name in IMPLEMENTED:
            with case(key, name):
                config = parse_config(
                    changed(active_learning__strategy=name, active_learning__strategy_args={key: DOCUMENTED_ARGS[key]})
                )
                assert type(config.strategies[0].build()) is STRATEGIES[name]


def test_n_drop_is_the_number_of_samples():
    for name in ("bald_dropout", "entropy_sampling_dropout", "margin_sampling_dropout", "least_confidence_dropout"):
        document = changed(active_learning__strategy=name, active_learning__strategy_args={"n_drop": 3})
        assert parse_config(document).strategies[0].build() == STRATEGIES[name](n_samples=3)


def test_a_wrong_n_drop_is_refused(case):
    for value in [0, -1, "ten", 2.5, True]:
        with case(value):
            document = changed(
                active_learning__strategy="bald_dropout", active_learning__strategy_args={"n_drop": value}
            )
            refused(document, "active_learning.strategy_args", "n_samples")


def test_settings_in_strategy_args():
    config = parse_config(changed(active_learning__strategy_args={"batch_size": 33, "device": "cpu"}))
    assert (config.batch_size, config.device) == (33, "cpu")


def test_retrain(case):
    for train, expected in [
        ({}, "scratch"),
        ({"isreset": True}, "scratch"),
        ({"isreset": False}, "warm"),
        ({"retrain": "scratch"}, "scratch"),
        ({"retrain": "warm"}, "warm"),
        ({"retrain": "shrink_perturb"}, "shrink_perturb"),
    ]:
        with case(train, expected):
            document = changed(train_parameters={**SMALL["train_parameters"], **train})
            assert parse_config(document).retrain == expected


def test_logs_location_is_mandatory_only_with_islogs():
    assert parse_config(changed(train_parameters__islogs=False)).log is None
    assert parse_config(changed(train_parameters__logs_location="logs.txt")).log is None
    both = changed(train_parameters__islogs=True, train_parameters__logs_location="logs/a.txt")
    assert parse_config(both).log == Path("logs/a.txt")
    refused(changed(train_parameters__islogs=True), "logs_location, which islogs needs")


def test_seeds(case):
    for more, expected in [
        ({}, (0,)),
        ({"seed": 7}, (7,)),
        ({"seeds": 3}, (0, 1, 2)),
        ({"seeds": [5, 2]}, (5, 2)),
        ({"seed": -1}, (-1,)),
    ]:
        with case(more, expected):
            assert parse_config(changed(experiment=more)).seeds == expected


def test_every_option_of_the_trainer():
    options = {
        "optimizer": "adam",
        "momentum": 0.5,
        "weight_decay": 0.1,
        "schedule": "constant",
        "max_accuracy": 0.9,
        "min_diff_acc": 0.0,
        "window_size": 4,
        "patience": 2,
        "amp": False,
    }
    train = {**SMALL["train_parameters"], **options}
    config = parse_config(changed(train_parameters=train, dataset__validation_points=20))
    assert config.fit == FitConfig(**train)


# -------------------------------------------------------------------------------------------- published extras


def test_the_section_logs_of_published_files_is_ignored_with_a_warning():
    with pytest.warns(DistilWarning, match="section `logs` has no effect"):
        config = parse_config(changed(logs={"islogs": True, "location": "somewhere.txt"}))
    assert config.log is None


def test_model_channel(mine):
    """Not documented, but in published files: the channels of a ResNet."""
    name = mine(
        "import torch\nfrom distil.datasets.data_set import DataSet\n"
        "def gray():\n"
        "    return DataSet('gray', torch.rand(40, 1, 8, 8), torch.arange(40) % 3, None, None, 3)\n"
    )
    model = {"architecture": "resnet18", "target_classes": 3, "channel": 1}
    config = parse_config(changed(model=model, dataset={"name": f"{name}:gray"}))
    data = config.load_data()
    net = config.builder(data)()
    assert next(m for m in net.modules() if isinstance(m, nn.Conv2d)).in_channels == 1
    del model["channel"]  # then the data's
    net = parse_config(changed(model=model, dataset={"name": f"{name}:gray"})).builder(data)()
    assert next(m for m in net.modules() if isinstance(m, nn.Conv2d)).in_channels == 1
    model["channel"] = 3
    wrong = parse_config(changed(model=model, dataset={"name": f"{name}:gray"}))
    with pytest.raises(ConfigError, match=r"model\.channel"):
        wrong.builder(data)


def test_input_dim_is_that_of_the_data():
    config = parse_config(changed(model__input_dim=64))
    data = config.load_data()
    assert config.builder(data)().hidden.in_features == 64
    assert parse_config(SMALL).builder(data)().hidden.in_features == 64
    with pytest.raises(ConfigError, match=r"model\.input_dim must be 64, as in digits, got 63"):
        parse_config(changed(model__input_dim=63)).builder(data)


def test_a_resnet_needs_images():
    config = parse_config(changed(model={"architecture": "resnet18", "target_classes": 10}))
    with pytest.raises(ConfigError, match="resnet18 expects images, but an example of digits is 64 numbers"):
        config.builder(config.load_data())


# -------------------------------------------------------------------------------------------- classes and sizes


def test_fewer_target_classes_than_the_data_has():
    with pytest.raises(
        ConfigError, match=r"model\.target_classes must be at least 10, the number of classes of digits, got 9"
    ):
        parse_config(changed(model__target_classes=9)).load_data()


def test_more_target_classes_than_the_data_has(tmp_path):
    """A published file says 10 for a data set of 6."""
    config = parse_config(changed(model__target_classes=12, experiment__output=str(tmp_path / "out")))
    data = config.load_data()
    assert config.builder(data)().linear.out_features == 12
    experiment = Experiment(Run(tmp_path / "run"), config, config.strategies[0], 0, data)
    assert experiment.advance()
    assert 0 <= experiment.run.last("evaluated")["accuracy"] <= 1


def test_too_few_examples_for_the_rounds(case):
    for loop, dataset in [
        ({"budget": 600, "rounds": 4, "initial_points": 10}, {}),
        ({"budget": 1, "rounds": 2, "initial_points": 1348}, {}),
        ({"budget": 5, "rounds": 2, "initial_points": 5}, {"test_points": 1790}),
        ({"budget": 5, "rounds": 2, "initial_points": 5}, {"test_points": 100, "validation_points": 1690}),
        ({"budget": 5, "rounds": 2, "initial_points": 5}, {"test_points": 5000}),
    ]:
        with case(loop, dataset):
            document = changed(active_learning={"strategy": "badge", **loop}, dataset={"name": "digits", **dataset})
            config = parse_config(document)
            with pytest.raises(ConfigError, match="are left for the pool"):
                split(config.load_data(), config, 0)


def test_just_enough_examples_for_the_rounds():
    document = changed(
        active_learning={"strategy": "badge", "budget": 10, "rounds": 3, "initial_points": 5},
        dataset={"name": "digits", "test_points": 1797 - 25},
    )
    config = parse_config(document)
    assert len(split(config.load_data(), config, 0).pool) == 25


# -------------------------------------------------------------------------------------------- faults


def test_all_faults_are_reported_at_once_with_the_nearest_spelling():
    document = {
        "modle": {},
        "strategies": ["badge"],
        "model": {"architecture": "resnet81", "target_class": 10},
        "train_parameters": {"learning_rate": 0.1, "batchsize": 16, "n_epoch": 0, "isreset": "yes", "lr": 0.1},
        "active_learning": {
            "strategy": "entropy_samplng",
            "budget": -5,
            "round": 3,
            "strategy_args": {"batch_size": 0},
        },
        "dataset": {"name": "cifar1O", "testpoints": 3, "lr": 1},
        "experiment": {"seed": 1, "seeds": 2, "target_accuracy": 94, "thread": 2},
    }
    faults = refused(document)
    for fault in (
        "unknown key modle; did you mean 'model'?",
        "unknown key strategies; it belongs into active_learning",
        "unknown key dataset.lr; it belongs into train_parameters",
        "unknown key model.target_class; did you mean 'target_classes'?",
        "missing key model.target_classes",
        "model.architecture: no architecture is called 'resnet81'; did you mean 'resnet18'?",
        "unknown key train_parameters.learning_rate",
        "unknown key train_parameters.batchsize; did you mean 'batch_size'?",
        "missing key train_parameters.batch_size",
        "n_epoch: expected a whole number of at least 1",
        "train_parameters.isreset must be true or false, got 'yes'",
        "active_learning.strategy: no strategy is called 'entropy_samplng'; did you mean 'entropy_sampling'?",
        "active_learning.budget must be a whole number from 1, got -5",
        "unknown key active_learning.round; did you mean 'rounds'?",
        "missing key active_learning.rounds",
        "active_learning.strategy_args.batch_size must be a whole number from 1, got 0",
        "dataset.name: no data set is called 'cifar1O'; did you mean 'cifar10'?",
        "unknown key dataset.testpoints; did you mean 'test_points'?",
        "experiment must have seed or seeds, not both",
        "experiment.target_accuracy must be a fraction above 0, at most 1, got 94",
        "unknown key experiment.thread; did you mean 'threads'?",
    ):
        assert any(fault in line for line in faults), fault


def test_all_faults_of_the_training_are_reported_at_once():
    document = changed(train_parameters={"lr": -1, "batch_size": 0, "n_epoch": 2.5, "optimizer": "sdg"})
    faults = " ".join(refused(document))
    for name in ("lr", "batch_size", "n_epoch", "optimizer"):
        assert f"{name}: expected" in faults, name


def test_a_missing_section(case):
    for section in ["model", "train_parameters", "active_learning", "dataset"]:
        with case(section):
            refused(changed(**{section: ABSENT}), f"missing section {section}")


def test_an_empty_document():
    refused({}, *(f"missing section {s}" for s in ("model", "train_parameters", "active_learning", "dataset")))


MANDATORY = [
    ("model", "architecture"),
    ("model", "target_classes"),
    ("model", "hidden_units_1"),
    ("train_parameters", "lr"),
    ("train_parameters", "batch_size"),
    ("train_parameters", "n_epoch"),
    ("active_learning", "budget"),
    ("active_learning", "rounds"),
    ("dataset", "name"),
]


def test_a_missing_mandatory_key(case):
    for section, key in MANDATORY:
        with case(section, key):
            (fault,) = (f for f in refused(changed(**{f"{section}__{key}": ABSENT})) if "missing" in f)
            assert fault == f"missing key {section}.{key}"


def test_one_of_strategy_and_strategies_is_mandatory():
    refused(changed(active_learning__strategy=ABSENT), "strategy, or strategies for several; it has neither")
    refused(changed(active_learning__strategies=["badge"]), "strategy, or strategies for several; it has both")


def test_a_key_of_another_section_is_unknown():
    refused(changed(model__lr=0.1), "unknown key model.lr")
    refused(changed(active_learning__seed=0), "unknown key active_learning.seed")


def test_unknown_strategy_args_are_refused():
    document = changed(active_learning__strategy="bald_dropout", active_learning__strategy_args={"n_sample": 5})
    refused(document, "unknown key active_learning.strategy_args.n_sample; did you mean 'n_samples'?")
    document = changed(active_learning__strategies=["badge", {"name": "core_set", "args": {"ndrop": 1}}])
    document["active_learning"].pop("strategy")
    refused(document, "unknown key active_learning.strategies[1].args.ndrop; did you mean 'n_drop'?")


def test_a_fault_of_a_strategy_names_the_section_that_has_it(case):
    own, shared = "active_learning.strategies[1]", "active_learning.strategy_args"
    for entry, args, fault in (
        ({"name": "bait", "args": {"ridge": "1"}}, {}, f"{own}.args: BAIT: ridge must be a number above 0, got '1'"),
        ("bait", {"ridge": "1"}, f"{shared}: BAIT: ridge must be"),
        ({"name": "bait", "args": {"oversample": 2}}, {"ridge": "1"}, f"{own}.args and {shared}: BAIT: ridge must be"),
        ({"name": "glister", "args": {"valid": True}}, {}, f"{own}.args.valid needs a validation set"),
        ("glister", {"valid": True}, f"{shared}.valid needs a validation set"),
        ("smi", {}, f"{own}: SMI reads a query or a private set"),
        ("delta_ucb", {}, f"{own}: DeltaUCB reads tokens or rewards"),
        ("knapsack", {"lr": 0.1}, f"{own}: Knapsack reads costs"),
    ):
        document = changed(active_learning__strategies=["badge", entry], active_learning__strategy_args=args)
        document["active_learning"].pop("strategy")
        with case(entry, args):
            assert any(line.startswith(fault) for line in refused(document))


def test_a_rule_to_stop_outside_its_section_is_told_where_it_belongs():
    refused(
        changed(active_learning__kappa=0.9), "unknown key active_learning.kappa; it belongs into active_learning.stop"
    )


WRONG_VALUES = [None, True, -1, 0, 1.5, "x", "", [], [1], {}, {"a": 1}]
KEYS = {
    "model__architecture": WRONG_VALUES,
    "model__target_classes": [*WRONG_VALUES, 1, "10"],
    "model__input_dim": [v for v in WRONG_VALUES if v is not None],
    "model__hidden_units_1": WRONG_VALUES,
    "model__net_size": [None, True, 0, "1"],
    "train_parameters__lr": [None, True, -1, 0, "x", [], {}, "0.1", float("nan"), float("inf")],
    "train_parameters__batch_size": WRONG_VALUES,
    "train_parameters__n_epoch": WRONG_VALUES,
    "train_parameters__max_accuracy": [True, -1, 0, 1.5, "x", [], {}, 95],
    "train_parameters__isreset": [None, 1, 0, "true", [], {}],
    "train_parameters__retrain": [None, True, 1, "cold", [], {}],
    "train_parameters__islogs": [None, 1, 0, "true", [], {}],
    "train_parameters__logs_location": ["", 1, [], {}],
    "train_parameters__isverbose": [1, "true"],
    "train_parameters__device": [True, 1.5, [], {}, "banana"],
    "train_parameters__optimizer": [None, 1, "sgdd", [], {}],
    "train_parameters__momentum": [None, True, -1, 1, "x"],
    "train_parameters__window_size": [True, 1, 1.5, "x"],
    "train_parameters__amp": [None, 2, "x", []],
    "active_learning__strategy": WRONG_VALUES,
    "active_learning__budget": WRONG_VALUES,
    "active_learning__rounds": WRONG_VALUES,
    "active_learning__initial_points": WRONG_VALUES,
    "active_learning__initial_strategy": WRONG_VALUES,
    "active_learning__candidates": [True, -1, 0, 1, 1.5, "x", [], {}],
    "active_learning__strategy_args": [
        True,
        0,
        "",
        1,
        "x",
        [1],
        ["batch_size"],
        {"a": 1},
        {"batch_size": "x"},
        {"device": 1},
    ],
    "dataset__name": WRONG_VALUES,
    "dataset__test_points": WRONG_VALUES,
    "dataset__validation_points": [True, -1, 1.5, "x", [], {}],
    "dataset__download": [1, "yes", [], {}],
    "dataset__label": [True, None, 1.5, ""],
    "experiment__seed": [None, True, 1.5, "x", [1], {}],
    "experiment__seeds": [None, True, 0, -1, 1.5, "x", [], {}, ["a"], [1.5], [True], [1, 1], [[1]], 10**9],
    "experiment__output": ["", "a\0b", True, 1, [], ["a"], {}, {"a": 1}],
    "experiment__data": [True, 1, [], {}],
    "experiment__threads": WRONG_VALUES,
    "experiment__trackers": ["mlflow", ["mlfow"], [1], [[1]], None, {}],
    "experiment__target_accuracy": [True, -1, 0, 1.5, "x", [], {}],
    "model": [None, True, 1, "x", [], [1]],
    "train_parameters": [None, True, 1, "x", [], [1]],
    "active_learning": [None, True, 1, "x", [], [1]],
    "dataset": [None, True, 1, "x", [], [1]],
    "experiment": [None, True, 1, "x", [], [1]],
}
CASES = [(name, value) for name, values in KEYS.items() for value in values]


def test_a_wrong_value_is_a_fault_that_names_its_key(case, file):
    """Through the file, as users meet it; the message must name the section and the key, and nothing else may be raised."""
    for case_id, (name, value) in zip([f"{name}={value!r}" for name, value in CASES], CASES, strict=True):
        with case(case_id):
            section, _, key = name.partition("__")
            with pytest.raises(ConfigError) as caught:
                read_config(file(changed(**{name: value})))
            assert section in str(caught.value)
            assert key.removesuffix("y") in str(caught.value)  # strategy, or strategies


def test_a_wrong_value_of_a_data_file(case, file, tmp_path):
    for key, value in [
        ("path", 1),
        ("path", []),
        ("path", {}),
        ("path", ""),
        ("test_path", 1),
        ("label", 1.5),
        ("label", []),
    ]:
        with case(key, value):
            (tmp_path / "data.csv").write_text("a,b,y\n" + "1,2,x\n3,4,z\n" * 20)
            dataset = {"name": "csv", "path": str(tmp_path / "data.csv"), key: value}
            with pytest.raises(DistilError):
                read_config(file(changed(dataset=dataset))).load_data()


ENTRIES = [
    1,
    None,
    True,
    [],
    {},
    {"args": {}},
    {"name": 1},
    {"name": "badge", "args": [1]},
    {"name": "badge", "args": "x"},
    {"name": "badge", "arg": {}},
    {"name": "badge", "label": "a/b"},
    {"name": "badge", "label": ".."},
    {"name": "badge", "label": "."},
    {"name": "badge", "label": ""},
    {"name": "badge", "label": 3},
    {"name": "badge", "label": None},
    {"name": "badge", "label": "a\\b"},
    "bagde",
]


def test_a_wrong_entry_of_the_strategies(case):
    for entry in ENTRIES:
        with case(entry):
            loop = {"strategies": ["random_sampling", entry], "budget": 5, "rounds": 3}
            refused(changed(active_learning=loop), "active_learning" if entry and "label" not in str(entry) else "")


def test_strategies_is_a_list(case):
    for value in ["badge", {}, 1, None, []]:
        with case(value):
            refused(
                changed(active_learning={"strategies": value, "budget": 5, "rounds": 3}), "active_learning.strategies"
            )


def test_several_strategies():
    loop = {
        "strategies": [
            "random_sampling",
            {"name": "bald_dropout", "args": {"n_drop": 3}, "label": "few"},
            {"name": "bald_dropout", "label": "many"},
        ],
        "strategy_args": {"n_drop": 20},
        "budget": 5,
        "rounds": 3,
    }
    specs = parse_config(changed(active_learning=loop)).strategies
    assert [spec.label for spec in specs] == ["random_sampling", "few", "many"]
    assert [spec.build() for spec in specs[1:]] == [STRATEGIES["bald_dropout"](n_samples=n) for n in (3, 20)]


def test_two_strategies_with_one_label():
    loop = {"strategies": ["badge", "badge"], "budget": 5, "rounds": 3}
    refused(changed(active_learning=loop), "has the label badge more than once; give each entry its own label")


def test_patience_needs_validation_points():
    """Found out when the file is read, not by the first training."""
    refused(changed(train_parameters__patience=3), "validation_points")


def test_a_faulty_key_hides_no_fault_of_another():
    """Rules that join keys are checked with those that are right."""
    document = changed(
        model={"architecture": "three_layer_net", "target_classes": "10", "hidden_units_1": 3},
        train_parameters={"lr": -1, "patience": 3, "islogs": True, "isverbose": "no"},
        active_learning={"strategies": ["badge", "badge", "bagde"], "budget": 5, "candidates": 2, "rounds": 1.0},
        dataset={"name": "digits", "test_points": 0},
        experiment={"seeds": [1, 1], "threads": True},
    )
    faults = refused(document)
    for fault in (
        "model.target_classes must be a whole number from 1, got '10'",
        "missing key model.hidden_units_2",
        "train_parameters.lr: expected a number above 0, got -1",
        "train_parameters.patience needs validation points",
        "missing key train_parameters.logs_location, which islogs needs",
        "train_parameters.isverbose must be true or false, got 'no'",
        "active_learning.strategies has the label badge more than once",
        "active_learning.strategies[2]: no strategy is called 'bagde'; did you mean 'badge'?",
        "active_learning.candidates must be a whole number from 5, the budget, got 2",
        "active_learning.rounds must be a whole number from 1, got 1.0",
        "dataset.test_points must be a whole number from 1, got 0",
        "experiment.seeds must not list a seed twice",
        "experiment.threads must be a whole number from 1 to 1,024, got True",
    ):
        assert any(fault in line for line in faults), fault
    assert len(set(faults)) == len(faults)


def test_callables_of_the_user_may_have_keys_of_any_name(mine):
    """Also those that pydantic gives a meaning to."""
    document = own(mine(MODULE.replace("def data(n=60):", "def data(n=60, **more):")))
    document["dataset"].update({"_fields_set": 1, "model_config": {}, "self": 2, "test_points": 0})
    assert refused(document) == ["dataset.test_points must be a whole number from 1, got 0"]


def test_a_misspelt_choice_is_answered_with_the_nearest():
    refused(changed(train_parameters__retrain="wram"), "got 'wram'; did you mean 'warm'?")


def test_a_long_value_is_cut():
    faults = refused(changed(experiment__seeds=list(range(20_000))))
    assert "from 1 to 10,000" in faults[0]
    assert len(faults[0]) < 400


def test_the_keys_of_the_users_architecture_are_not_checked(mine):
    document = own(mine(MODULE.replace("width=4):", "width=4, **more):")))
    document["model"].update({"input_dim": "auto", "channel": None})
    assert parse_config(document).model["input_dim"] == "auto"


# -------------------------------------------------------------------------------------------- files


def test_files_that_hold_no_configuration(case, file):
    for text, message in [
        ("", "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ("model: resnet18", "cannot be read as JSON"),
        ('{"model": {}} {}', "cannot be read as JSON"),
        ("[]", "must hold a JSON object; a configuration has the sections model, train_parameters"),
        ('"text"', "must hold a JSON object"),
        ("null", "must hold a JSON object"),
        ('{"model": {}, "model": {}}', "the key 'model' occurs twice"),
        ('{"train_parameters": {"lr": 1, "lr": 2}}', "the key 'lr' occurs twice in one object"),
    ]:
        with case(text, message):
            path = file(text)
            with pytest.raises(ConfigError, match=message) as caught:
                read_config(path)
            assert str(path) in str(caught.value)


def test_a_missing_file_a_folder_and_bytes(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no configuration file .*nothing\.json"):
        read_config(tmp_path / "nothing.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "bytes.json")


def test_overrides(file):
    path = file(changed(experiment={"seed": 4, "threads": 2}))
    config = read_config(
        path,
        {
            "experiment": {"output": "elsewhere", "seeds": 2, "seed": None},
            "active_learning": {"strategies": ["badge", "core_set"], "strategy": None},
        },
    )
    assert config.output == Path("elsewhere")
    assert config.seeds == (0, 1)
    assert config.threads == 2
    assert [spec.name for spec in config.strategies] == ["badge", "core_set"]
    assert config.document["experiment"] == {"output": "elsewhere", "seeds": 2, "threads": 2}
    assert "strategy" not in config.document["active_learning"]


def test_the_default_output_is_named_after_the_file(file):
    assert read_config(file(SMALL, "first try.json")).output == Path("runs") / "first try"
    there = file(changed(experiment={"output": "there"}))
    assert read_config(there).output.resolve() == there.parent / "there"


def test_the_document_reads_as_itself(file):
    config = read_config(file(SMALL))
    assert parse_config(config.document) == config
    assert json.loads(json.dumps(config.document)) == config.document


def test_checking_changes_nothing():
    document = changed(active_learning__strategy_args={"n_drop": 3, "batch_size": 7}, experiment={"seeds": 2})
    before = copy.deepcopy(document)
    parse_config(document)
    assert document == before


# -------------------------------------------------------------------------------------------- package.module:callable

MODULE = """
from dataclasses import dataclass

import torch
from torch import nn

from distil import Needs, Selection, Strategy
from distil.datasets.data_set import DataSet

NOT_CALLABLE = 3


def network(num_classes, width=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(5, width), nn.ReLU(), nn.Linear(width, num_classes))


def data(n=60):
    generator = torch.Generator().manual_seed(0)
    return DataSet("mine", torch.randn(n, 5, generator=generator), torch.arange(n) % 3, None, None, 3)


def no_data():
    return [1, 2]


def no_strategy():
    return "badge"


@dataclass(frozen=True)
class Last(Strategy):
    offset: int = 0

    @property
    def needs(self):
        return Needs()

    def select(self, sets, n, rng):
        ids = sets.pool.ids
        return Selection(ids[len(ids) - n - self.offset : len(ids) - self.offset])


class Holder:
    Inner = Last
"""


def own(name, **loop):
    return {
        "model": {"architecture": f"{name}:network", "target_classes": 3, "width": 6},
        "train_parameters": {"lr": 0.1, "batch_size": 8, "n_epoch": 2},
        "active_learning": {"strategy": f"{name}:Last", "budget": 5, "rounds": 3, "initial_points": 6, **loop},
        "dataset": {"name": f"{name}:data", "n": 48, "test_points": 12},
    }


def test_architecture_data_and_strategy_of_the_user(mine, tmp_path):
    name = mine(MODULE)
    config = parse_config(own(name, strategy_args={"offset": 2}))
    data = config.load_data()
    assert len(data.x_train) == 48
    net = config.builder(data)()
    assert net[1].out_features == 6
    assert net[3].out_features == 3
    (spec,) = config.strategies
    assert spec.label == f"{name}.Last"  # a folder is called so
    assert spec.build().offset == 2
    experiment = Experiment(Run(tmp_path / "run"), config, spec, 0, data)
    assert experiment.advance()
    initial = experiment.run.all("labeled")[0]["ids"]
    pool = [i for i in split(data, config, 0).pool.tolist() if i not in initial]
    assert experiment.run.all("asked")[0]["ids"] == pool[-7:-2]


def test_the_keys_of_the_split_are_not_passed_to_the_users_data(mine):
    """Whichever keys a section of data has."""
    document = own(mine(MODULE))
    given = {"validation_points": 3, "redundancy": 2, "label_noise": 0.1, "imbalance": 0.5, "test_points": 12}
    given["task"] = "classification"
    assert given.keys() == DataSection.model_fields.keys()
    document["dataset"] |= given
    assert len(parse_config(document).load_data().x_train) == 48


def test_names_inside_classes(mine):
    name = mine(MODULE)
    config = parse_config(own(name, strategy=f"{name}:Holder.Inner"))
    assert config.strategies[0].label == f"{name}.Holder.Inner"
    assert type(config.strategies[0].build()).__name__ == "Last"


def test_a_registered_strategy_and_one_of_the_user(mine):
    name = mine(MODULE)
    document = own(name)
    document["active_learning"]["strategies"] = ["margin_sampling", document["active_learning"].pop("strategy")]
    specs = parse_config(document).strategies
    assert specs[0].build() == MarginSampling()
    assert type(specs[1].build()).__name__ == "Last"


def test_batch_size_and_device_are_not_passed_to_the_users_strategy(mine):
    """batch_size and device say how the pool is measured, whatever the strategy."""
    config = parse_config(own(mine(MODULE), strategy_args={"batch_size": 17, "offset": 1}))
    assert config.batch_size == 17
    assert config.strategies[0].build().offset == 1


def test_an_argument_that_the_users_strategy_does_not_take(mine):
    refused(own(mine(MODULE), strategy_args={"ofset": 1}), "active_learning.strategy", "ofset")


def test_callables_of_the_user_that_return_something_else(mine):
    name = mine(MODULE)
    refused(own(name, strategy=f"{name}:no_strategy"), "returned a str; expected a distil.Strategy")
    document = own(name)
    document["dataset"] = {"name": f"{name}:no_data"}
    with pytest.raises(ConfigError, match=r"returned a list; expected a distil\.datasets\.data_set\.DataSet"):
        parse_config(document).load_data()


def test_names_that_cannot_be_imported_are_faults(case, mine):
    for path, message in [
        ("no_such_module:x", "No module named 'no_such_module'"),
        ("{name}:nothing", "has no attribute 'nothing'"),
        ("{name}:", "cannot import"),
        (":network", "cannot import"),
        ("{name}:NOT_CALLABLE", "is of type int; expected a function, a class or another callable"),
        (".{name}:network", "cannot import"),
    ]:
        for key in ["model__architecture", "active_learning__strategy", "dataset__name"]:
            with case(path, message, key):
                name = mine(MODULE)
                refused(changed(own(name), **{key: path.format(name=name)}), key.replace("__", "."), message)


def test_a_missing_package_of_the_users_module_is_named(mine):
    name = mine("import no_such_package\n")
    with pytest.raises(DistilError, match="no_such_package"):
        named_object(f"{name}:anything")


def test_architectures_of_the_user_are_built_with_the_seed(mine, tmp_path):
    config = parse_config(own(mine(MODULE)))
    data = config.load_data()
    runs = []
    for number in range(2):
        torch.manual_seed(number)
        experiment = Experiment(Run(tmp_path / str(number)), config, config.strategies[0], 5, data)
        experiment.advance()
        runs.append((tmp_path / str(number) / "events.jsonl").read_bytes())
    assert runs[0] == runs[1]

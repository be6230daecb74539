"""The JSON configuration of an experiment: the format of the DISTIL document, with more keys for researchers.

``docs/configuration.md`` describes every key. The configuration is checked before any run, and all faults are reported at once.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distil.data.labels import are_known
from distil.datasets.data_set import DataSet, outputs_text
from distil.datasets.load import FILES, load
from distil.errors import ConfigError, DistilWarning, InvalidInput
from distil.evaluation.stopping import StopRule
from distil.experiment.config.dataset_section import (
    AnyData,
    check_data,
    filled,
    has_linear_head,
    load_own,
    options_of,
    own_kind,
    pinned,
)
from distil.experiment.config.document import PROJECT, plain, read_json, text_in
from distil.experiment.config.faults import Faults
from distil.experiment.config.paths import rebased
from distil.experiment.config.sections import (
    LINEAR_HEAD,
    ORACLE_IN_PYTHON,
    ActiveLearning,
    AnyTraining,
    CalledData,
    Configuration,
    EmbeddingsData,
    ExperimentSection,
    HeadModel,
    HeadParameters,
    NamedModel,
    OwnData,
    OwnModel,
    StrategyArgs,
    TrainParameters,
)
from distil.experiment.config.stop_section import stop_rules
from distil.experiment.config.strategy_section import ARGS, StrategySpec, initial_strategy_of, strategies_of
from distil.selection.learner import Retrain
from distil.system.imports import named_object, taking
from distil.tasks import Task
from distil.training.config import FitConfig
from distil.training.linear_head import HeadConfig
from distil.utils.models import architecture_named, architecture_names, architecture_parameters

_HIDDEN = {"two_layer_net": ["hidden_units_1"], "three_layer_net": ["hidden_units_1", "hidden_units_2"]}


@dataclass(frozen=True)
class Seeds:
    """The seeds of one replicate: equal seeds give equal splits, initial labels, weights and draws for every strategy.

    Attributes:
        split: Seed of the test, validation and pool examples, and of the pool's redundancy, imbalance and label noise.
        initial: Seed of the examples labeled at the start.
        model: Seed of the initial weights, and of minibatch order, dropout and augmentation in training.
        selection: Seed of the strategy's draws.
    """

    split: int
    initial: int
    model: int
    selection: int


_PARTS = tuple(f.name for f in dataclasses.fields(Seeds))


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """A checked configuration.

    Attributes:
        model: The section ``model`` of the document.
        fit: The settings of each round's training.
        retrain: The weights that each round's training starts from.
        strategies: The strategies to compare.
        budget: Number of examples per selection.
        rounds: Number of rounds. Round 0 trains on the initial points, so there are ``rounds - 1`` selections.
        initial_points: Number of examples labeled at the start.
        initial_strategy: The strategy that chooses them from the inputs alone; None: they are random.
        dataset: The section ``dataset`` of the document.
        seeds: The seeds; every strategy is run once with each.
        fixed_seeds: Field of ``Seeds`` -> its value, for those that are the same in every replicate.
        full_data: Whether to train once per seed on the whole pool too, as an upper bound.
        ceiling: Whether to run the ceiling of ``distil.experiment.ceiling`` too, once per seed.
        output: The directory of the experiment.
        threads: Number of threads that torch computes with; recorded, because the last digits of sums depend on it.
        target_accuracy: Accuracy that "labels needed" refers to; None: not shown.
        data_root: Directory to look for data sets in; None: that of ``distil.datasets.load.data_root``.
        batch_size: Number of examples in one forward pass over the pool; None: the default of ``Runtime``.
        oracle: Name of the callable that makes the oracle of each run, or ``ORACLE_IN_PYTHON``; None: the data set's labels.
        trackers: Tools that every run is logged to: ``"tensorboard"``, ``"mlflow"``.
        device: Device to train and select on; None: the CPU, or the device that the architecture puts itself on.
        log: File of the documented log; None: no log.
        stop: The rules that end a run before its last round.
        looking: Whether this is the configuration of a directory that is only looked at: names in it were not looked up, and
            data that the user's own code makes is not loaded.
        document: The whole configuration as a JSON object.
    """

    model: Mapping[str, Any]
    fit: FitConfig | HeadConfig
    retrain: Retrain
    strategies: tuple[StrategySpec, ...]
    budget: int
    rounds: int
    initial_points: int
    dataset: Mapping[str, Any]
    seeds: tuple[int, ...]
    output: Path
    fixed_seeds: Mapping[str, int] = field(default_factory=dict)
    full_data: bool = False
    ceiling: bool = False
    threads: int = 1
    target_accuracy: float | None = None
    data_root: str | None = None
    batch_size: int | None = None
    oracle: str | None = None
    trackers: tuple[str, ...] = ()
    device: str | None = None
    log: Path | None = None
    initial_strategy: StrategySpec | None = None
    stop: tuple[StopRule, ...] = ()
    looking: bool = False
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """What the labels are, the key ``dataset.task``."""
        task: Task = self.dataset.get("task", "classification")
        return task

    @property
    def num_classes(self) -> int:
        """The number of outputs, the key ``target_classes``. Where it may be left out, ``pinned`` fills it in."""
        return int(self.model["target_classes"])

    def seeds_of(self, seed: int) -> Seeds:
        """The seeds of the replicate ``seed``: ``seed`` itself for each field that is not fixed."""
        return Seeds(**{part: self.fixed_seeds.get(part, seed) for part in _PARTS})

    def log_of(self, spec: StrategySpec, seed: int) -> Path | None:
        """The documented log of one run: ``log`` itself, or with several runs a file of its own in the same directory."""
        if self.log is None or len(self.strategies) * len(self.seeds) == 1:
            return self.log
        return self.log.with_name(f"{self.log.stem}-{spec.label}-{seed}{self.log.suffix}")

    def load_data(self) -> DataSet:
        """The data set, from local files.

        Raises:
            ConfigError: The data has more classes than the model, or its hash is not ``dataset.sha256``.
        """
        name, options = self.dataset["name"], options_of(self.dataset)
        if own_kind(self.dataset) is not None:
            partly = self.oracle is not None
            data = load_own(self.dataset, self.data_root, self.device, looking=self.looking, partly=partly)
        elif ":" in name:
            if self.looking:
                raise ConfigError(f"the data set is made by {name}, which is not called to look at results")
            data = named_object(name)(**options)
            if not isinstance(data, DataSet):
                raise ConfigError(
                    f"{name} returned a {type(data).__name__}; expected a distil.datasets.data_set.DataSet"
                )
        else:
            own = {k: v for k, v in options.items() if k != "standardize"}
            data = load(name, self.data_root, task=self.task, **own)
        if data.task != self.task:
            raise ConfigError(f"dataset.task is {self.task}, and the labels of {data.name} are those of {data.task}")
        if self.oracle is None and not bool(are_known(data.y_train).all()):
            raise ConfigError(f"{data.name} has examples without a label, and no oracle answers; set experiment.oracle")
        asked = self.model.get("target_classes", data.num_classes)
        if self.task != "classification" and asked != data.num_classes:
            raise ConfigError(
                f"model.target_classes must be {data.num_classes}, as {data.name} has {outputs_text(self.task, data.num_classes)}, "
                f"got {asked}; leave it out"
            )
        if data.num_classes > asked:
            raise ConfigError(
                f"model.target_classes must be at least {data.num_classes}, the number of classes of {data.name}, got "
                f"{self.num_classes}"
            )
        return data

    def standardizes(self, data: DataSet) -> bool:
        """Whether every column of the inputs is brought to mean 0 and standard deviation 1 over the pool.

        Raises:
            ConfigError: It was asked for, and the inputs are images.
        """
        name, images = self.dataset["name"], data.x_train.dtype == torch.uint8
        if own_kind(self.dataset) is not None:
            return bool(self.dataset.get("standardize", not isinstance(self.fit, HeadConfig)))
        if ":" in name:
            return False
        if images and self.dataset.get("standardize"):
            raise ConfigError(
                f"dataset.standardize: {data.name} holds images, which their transform normalizes; leave it out"
            )
        return bool(self.dataset.get("standardize", name in FILES and not images))

    def pinned(self, data: DataSet) -> ExperimentConfig:
        """The configuration; for own data, with its number of classes and the hash of its content filled in."""
        document = pinned(self.document, data)
        return self if document is self.document else parse_config(document, looking=self.looking)

    def builder(self, data: DataSet) -> Callable[[], nn.Module]:
        """A function that builds the network with fresh weights."""
        arguments = _own_arguments(self.model)
        name = self.model["architecture"]
        if ":" in name:
            build = named_object(name)
            return lambda: build(**arguments)
        renamed = {"hidden_units_1": "hidden_units", "channel": "channels"}
        if "hidden_units_2" in arguments:  # the parameters of the three-layer network have these names
            renamed.pop("hidden_units_1")
        arguments = {renamed.get(key, key): value for key, value in arguments.items()}
        takes, shape = architecture_parameters(name), data.x_train.shape[1:]
        key, here = ("input_dim", shape.numel()) if "input_dim" in takes else ("channels", shape[0])
        if key == "channels" and len(shape) != 3:
            raise ConfigError(
                f"model.architecture: {name} expects images, but an example of {data.name} is {shape.numel()} numbers; "
                "choose an architecture for tables, such as two_layer_net"
            )
        if arguments.setdefault(key, here) != here:
            asked = {"channels": "channel"}.get(key, key)
            raise ConfigError(f"model.{asked} must be {here}, as in {data.name}, got {arguments[key]}")
        return lambda: architecture_named(name, **arguments)


def read_config(path: str | Path, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> ExperimentConfig:
    """Read and check a configuration file; relative paths in it are relative to the folder of the file.

    Args:
        path: The JSON file. Of a pipe, paths are relative to the working directory.
        overrides: Section -> keys that replace those of the file; the value None removes a key. Paths are relative to the working
            directory.

    Raises:
        ConfigError: The file is missing, is not JSON, or cannot be run; the message lists every fault.
    """
    path, overrides = Path(path), overrides or {}
    document = read_json(path)
    folder = path.parent if path.is_file() else Path.cwd()
    document = rebased(document, folder, Path.cwd(), text_in(overrides.get("experiment"), "data"))
    for section, changes in overrides.items():
        given = document.get(section, {})
        if isinstance(given, Mapping):
            document[section] = {
                key: value for key, value in {**given, **changes}.items() if value is not None or key not in changes
            }
    given = document.get("experiment", {})
    if isinstance(given, Mapping):
        document["experiment"] = {"output": str(Path("runs") / path.stem), **given}
    return parse_config(document)


def parse_config(document: Mapping[str, Any], *, looking: bool = False) -> ExperimentConfig:
    """Check a configuration given as a JSON object; relative paths in it are relative to the working directory.

    Args:
        document: The object.
        looking: Whether the configuration is only looked at: nothing that it names is imported or looked up.

    Raises:
        ConfigError: It cannot be run; the message lists every fault.
    """
    check = Faults(looking=looking)
    document = filled(plain(document, check.faults))
    check.done()
    check.section("", Configuration, document)
    if "logs" in document:
        document = {key: section for key, section in document.items() if key != "logs"}
        warnings.warn(
            "the section `logs` has no effect; set train_parameters.islogs instead", DistilWarning, stacklevel=2
        )
    data = check_data(check, document.get("dataset", {}))
    task = data.task
    _check_model(check, document.get("model", {}), task, own=isinstance(data, OwnData))
    train = _training(check, document)
    fit = _fit(check, train)
    has_validation = "validation_points" in data.model_fields_set
    may_have_validation = has_validation or isinstance(data, CalledData)
    if isinstance(fit, FitConfig) and fit.patience is not None and not may_have_validation:
        check.faults.append("train_parameters.patience needs validation points: set dataset.validation_points")
    loop = check.section("active_learning", ActiveLearning, document.get("active_learning", {}))
    args = check.section(ARGS, StrategyArgs, {} if loop.strategy_args is None else loop.strategy_args)
    strategies = strategies_of(check, loop, task, validation=may_have_validation)
    initial_strategy = initial_strategy_of(check, loop, task)
    stop = stop_rules(check, loop, validation=has_validation)
    more = check.section("experiment", ExperimentSection, document.get("experiment", {}))
    oracle = more.oracle
    if isinstance(data, EmbeddingsData) and data.labels is None and (oracle is None or data.test_labels is None):
        check.faults.append(
            "missing key dataset.labels; only with experiment.oracle and dataset.test_labels may it be left out"
        )
    if oracle is not None and oracle != ORACLE_IN_PYTHON and not oracle.startswith(PROJECT):
        check.own("experiment.oracle", lambda: taking(oracle, "strategy", 0))
    check.faults += _of_classes(task, data, train, loop, more)
    retrain, log, seeds = _retrain(check, train, strategies), _log(check, train), _seeds(check, more)
    devices = [
        _device(check, where, device) for where, device in (("train_parameters", train.device), (ARGS, args.device))
    ]
    check.done()
    return ExperimentConfig(
        model=document["model"],
        fit=fit,
        retrain=retrain,
        strategies=strategies,
        budget=loop.budget,
        rounds=loop.rounds,
        initial_points=loop.initial_points or loop.budget,
        dataset=document["dataset"],
        seeds=seeds,
        fixed_seeds={part: getattr(more, f"{part}_seed") for part in _PARTS if f"{part}_seed" in more.model_fields_set},
        full_data=more.full_data,
        ceiling=more.ceiling,
        output=Path(more.output or "runs/experiment").expanduser(),
        threads=more.threads,
        target_accuracy=more.target_accuracy,
        data_root=more.data,
        batch_size=args.batch_size,
        oracle=more.oracle,
        trackers=tuple(dict.fromkeys(more.trackers)),
        device=devices[0] or devices[1],
        log=log,
        initial_strategy=initial_strategy,
        stop=stop,
        looking=looking,
        document=document,
    )


def _own_arguments(model: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an architecture: ``num_classes``, and all other keys of the section ``model``."""
    own = {key: value for key, value in model.items() if key not in ("architecture", "target_classes")}
    return {**own, "num_classes": model.get("target_classes")}


def _of_classes(
    task: Task, data: AnyData, train: AnyTraining, loop: ActiveLearning, more: ExperimentSection
) -> list[str]:
    """A fault for each key that needs classes, in other tasks."""
    given = {
        "dataset.imbalance": data.imbalance is not None,
        "dataset.label_noise": data.label_noise is not None,
        "train_parameters.islogs": train.islogs,
        "active_learning.stop": "stop" in loop.model_fields_set,
        "experiment.ceiling": more.ceiling,
        "experiment.oracle, a labeling project,": (more.oracle or "").startswith(PROJECT),
    }
    asked = [key for key, is_given in given.items() if is_given and task != "classification"]
    return [f"{key} is for classification, and dataset.task is {task}; remove it" for key in asked]


def _check_model(check: Faults, given: object, task: Task, *, own: bool) -> None:
    called = ":" in text_in(given, "architecture")
    head = text_in(given, "architecture") == LINEAR_HEAD
    kind: type[OwnModel | HeadModel | NamedModel] = OwnModel if called else HeadModel if head else NamedModel
    model = check.section("model", kind, given)
    name = model.architecture
    classes = task == "classification"
    if classes and model.target_classes == 1:
        check.faults.append("model.target_classes must be a whole number from 2, got 1")
    needed = [*(["target_classes"] if classes and not own else []), *_HIDDEN.get(name, [])]
    check.faults += [f"missing key model.{key}" for key in needed if key not in model.model_fields_set]
    if called and isinstance(given, Mapping):
        check.own("model.architecture", lambda: taking(name, **_own_arguments(given)))
    elif name:
        check.named(
            "model.architecture",
            name,
            (*architecture_names(), LINEAR_HEAD),
            "architecture",
            "package.module:callable",
        )


def _training(check: Faults, document: Mapping[str, Any]) -> TrainParameters | HeadParameters:
    """The section ``train_parameters``. Of a linear head, keys that only other architectures take are faults of their own."""
    given = document.get("train_parameters", {})
    if not has_linear_head(document) or not isinstance(given, Mapping):
        return check.section("train_parameters", TrainParameters, given)
    idle = [key for key in given if key in TrainParameters.model_fields and key not in HeadParameters.model_fields]
    check.faults += [
        f"train_parameters.{key} has no meaning for {LINEAR_HEAD}, which is fitted to its optimum every round; remove it"
        for key in idle
    ]
    return check.section("train_parameters", HeadParameters, {k: v for k, v in given.items() if k not in idle})


def _fit(check: Faults, train: TrainParameters | HeadParameters) -> FitConfig | HeadConfig:
    """The training; each key is tried on its own, so that all faults are reported."""
    kind: type[FitConfig | HeadConfig] = HeadConfig if isinstance(train, HeadParameters) else FitConfig
    given = {f.name: getattr(train, f.name) for f in dataclasses.fields(kind) if f.name in train.model_fields_set}
    right = {}
    for key, value in given.items():
        try:
            kind(**{key: value})
            right[key] = value
        except InvalidInput as error:
            check.faults.append(f"train_parameters.{str(error).removeprefix(f'{kind.__name__}.')}")
    return kind(**right)


def _device(check: Faults, section: str, device: str | None) -> str | None:
    try:
        if not check.looking:
            torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        reason = str(error).splitlines()[0]
        check.faults.append(
            f"{section}.device must be a device of this machine, for example cpu, got {device!r} ({reason})"
        )
    return device


def _seeds(check: Faults, more: ExperimentSection) -> tuple[int, ...]:
    """The seeds that ``seed`` (one) or ``seeds`` (a list, or a number of them) names."""
    if {"seed", "seeds"} <= more.model_fields_set:
        check.faults.append("experiment must have seed or seeds, not both")
    if not more.seeds:
        return (more.seed,)
    seeds = tuple(range(more.seeds) if isinstance(more.seeds, int) else more.seeds)
    if len(set(seeds)) < len(seeds):
        check.faults.append("experiment.seeds must not list a seed twice")
    return seeds


def _retrain(check: Faults, train: TrainParameters | HeadParameters, strategies: tuple[StrategySpec, ...]) -> Retrain:
    """The value of ``retrain``, or the one that the documented ``isreset`` stands for."""
    if isinstance(train, HeadParameters):
        check.faults += [
            f"the strategy {spec.label} has retrain {spec.retrain!r}, which has no meaning for {LINEAR_HEAD}: its optimum does not "
            "depend on where a fit starts; remove it"
            for spec in strategies
            if spec.retrain not in (None, "scratch")
        ]
        return "scratch"
    if {"isreset", "retrain"} <= train.model_fields_set:
        check.faults.append("train_parameters must have isreset or retrain, not both")
    if "retrain" in train.model_fields_set:
        return train.retrain
    return "scratch" if train.isreset else "warm"


def _log(check: Faults, train: AnyTraining) -> Path | None:
    if train.islogs and not train.logs_location:
        check.faults.append("missing key train_parameters.logs_location, which islogs needs")
    return Path(train.logs_location).expanduser() if train.islogs and train.logs_location else None

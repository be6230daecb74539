"""The JSON configuration of an experiment: the format of the DISTIL document, and what a researcher needs besides.

``docs/configuration.md`` describes every key. Everything is checked before anything is run, and all faults are reported at once.
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

from distil.datasets.data_set import DataSet
from distil.datasets.load import load
from distil.errors import ConfigError, DistilWarning, InvalidInput, nearest
from distil.experiment.config.dataset_section import EMBEDDINGS, check_data, filled, load_own, pinned
from distil.experiment.config.document import plain, read_json, text_in
from distil.experiment.config.faults import Faults
from distil.experiment.config.sections import (
    ActiveLearning,
    CalledData,
    Configuration,
    DataSection,
    EmbeddingsData,
    ExperimentSection,
    NamedModel,
    OwnModel,
    StrategyArgs,
    TrainParameters,
)
from distil.experiment.config.strategy_section import ARGS, StrategySpec, strategies_of
from distil.selection.learner import Retrain
from distil.system.imports import named_object
from distil.training.config import FitConfig
from distil.utils.models import architecture_named, architecture_names, architecture_parameters

_FIT_KEYS = tuple(f.name for f in dataclasses.fields(FitConfig))
_HIDDEN = {"two_layer_net": ["hidden_units_1"], "three_layer_net": ["hidden_units_1", "hidden_units_2"]}


@dataclass(frozen=True)
class Seeds:
    """What decides a replicate: equal ones make equal splits, initial labels, weights and draws for every strategy.

    Attributes:
        split: Test, validation and pool, and what is done to the pool (redundancy, imbalance, noise).
        initial: The examples labeled at the start.
        model: First weights, minibatch order, dropout and augmentation in training.
        selection: The strategy's draws.
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
        model: The section ``model`` as given.
        fit: How each round is trained.
        retrain: What each round's training starts from.
        strategies: The strategies to compare.
        budget: Examples a round.
        rounds: Rounds, counting round 0, which trains on the initial points: there are ``rounds - 1`` selections.
        initial_points: Random examples labeled at the start.
        dataset: The section ``dataset`` as given.
        seeds: One run each, for every strategy.
        fixed_seeds: Parts of ``Seeds`` that are the same in every replicate, by name.
        full_data: Whether to train once a seed on the whole pool too, as the bound that strategies work towards.
        output: The directory of the experiment.
        threads: Threads that torch computes with; part of the result's last digits, so it is recorded.
        target_accuracy: For "labels needed"; None: not shown.
        data_root: Where data sets are looked for; None: as ``distil.datasets.load.data_root`` says.
        batch_size: Examples in one forward pass over the pool; None: as ``Runtime`` has it.
        trackers: What every run is logged to: ``"tensorboard"``, ``"mlflow"``.
        device: Where to train and select; None: the CPU, or wherever the architecture puts itself.
        log: File for the documented log; None: no log.
        document: The whole configuration as a JSON object: what a run directory keeps.
    """

    model: Mapping[str, Any]
    fit: FitConfig
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
    threads: int = 1
    target_accuracy: float | None = None
    data_root: str | None = None
    batch_size: int | None = None
    trackers: tuple[str, ...] = ()
    device: str | None = None
    log: Path | None = None
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """``target_classes``; of embeddings that it is not given for, known once they are ``pinned``."""
        return int(self.model["target_classes"])

    def seeds_of(self, seed: int) -> Seeds:
        """What decides the replicate of that seed."""
        return Seeds(**{part: self.fixed_seeds.get(part, seed) for part in _PARTS})

    def log_of(self, spec: StrategySpec, seed: int) -> Path | None:
        """The documented log of one run: ``log`` itself, or a file beside it where there are several runs."""
        if self.log is None or len(self.strategies) * len(self.seeds) == 1:
            return self.log
        return self.log.with_name(f"{self.log.stem}-{spec.label}-{seed}{self.log.suffix}")

    def load_data(self) -> DataSet:
        """The data set, from local files.

        Raises:
            ConfigError: It has more classes than the model, or is not the one that ``dataset.sha256`` tells.
        """
        name = self.dataset["name"]
        options = {key: value for key, value in self.dataset.items() if key not in ("name", *DataSection.model_fields)}
        if EMBEDDINGS in self.dataset:
            data = load_own(self.dataset, self.data_root)
        elif ":" in name:
            data = named_object(name)(**options)
            if not isinstance(data, DataSet):
                raise ConfigError(
                    f"{name} returned a {type(data).__name__}; expected a distil.datasets.data_set.DataSet"
                )
        else:
            data = load(name, self.data_root, **options)
        if data.num_classes > self.model.get("target_classes", data.num_classes):
            raise ConfigError(
                f"model.target_classes is {self.num_classes}, but {data.name} has {data.num_classes} classes"
            )
        return data

    def pinned(self, data: DataSet) -> ExperimentConfig:
        """The configuration with what only embeddings can say: how many classes there are, and the hash of their content."""
        document = pinned(self.document, data)
        return self if document is self.document else parse_config(document)

    def builder(self, data: DataSet) -> Callable[[], nn.Module]:
        """A function that builds the network with fresh weights."""
        arguments = {key: value for key, value in self.model.items() if key not in ("architecture", "target_classes")}
        arguments["num_classes"] = self.num_classes
        name = self.model["architecture"]
        if ":" in name:
            build = named_object(name)
            return lambda: build(**arguments)
        renamed = {"hidden_units_1": "hidden_units", "channel": "channels"}
        if "hidden_units_2" in arguments:  # of the three-layer network, whose parameters keep their numbers
            renamed.pop("hidden_units_1")
        arguments = {renamed.get(key, key): value for key, value in arguments.items()}
        takes, shape = architecture_parameters(name), data.x_train.shape[1:]
        key, here = ("input_dim", shape.numel()) if "input_dim" in takes else ("channels", shape[0])
        if key == "channels" and len(shape) != 3:
            raise ConfigError(
                f"model.architecture {name} wants images, and {data.name} has {shape.numel()} numbers a row"
            )
        if arguments.setdefault(key, here) != here:
            asked = {"channels": "channel"}.get(key, key)
            raise ConfigError(f"model.{asked} is {arguments[key]}, but {data.name} has {here}")
        return lambda: architecture_named(name, **arguments)


def read_config(path: str | Path, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> ExperimentConfig:
    """Read and check a configuration file.

    Args:
        path: A JSON file.
        overrides: By section, keys that replace those of the file; None takes a key away.

    Raises:
        ConfigError: The file is missing, is not JSON, or cannot be run; every fault is named.
    """
    path = Path(path)
    document = read_json(path)
    for section, changes in (overrides or {}).items():
        given = document.get(section, {})
        if isinstance(given, Mapping):
            document[section] = {
                key: value for key, value in {**given, **changes}.items() if value is not None or key not in changes
            }
    given = document.get("experiment", {})
    if isinstance(given, Mapping):
        document["experiment"] = {"output": str(Path("runs") / path.stem), **given}
    return parse_config(document)


def parse_config(document: Mapping[str, Any]) -> ExperimentConfig:
    """Check a configuration given as the object that its JSON file holds.

    Raises:
        ConfigError: It cannot be run; every fault is named.
    """
    check = Faults()
    document = filled(plain(document, check.faults))
    check.done()
    check.section("", Configuration, document)
    if "logs" in document:
        warnings.warn("the section `logs` has no effect; see train_parameters.islogs", DistilWarning, stacklevel=2)
    data = check_data(check, document.get("dataset", {}))
    _check_model(check, document.get("model", {}), needs_classes=not isinstance(data, EmbeddingsData))
    train = check.section("train_parameters", TrainParameters, document.get("train_parameters", {}))
    fit = _fit(check, train)
    if (
        fit.patience is not None
        and "validation_points" not in data.model_fields_set
        and not isinstance(data, CalledData)
    ):
        check.faults.append("train_parameters.patience watches validation points: set dataset.validation_points")
    loop = check.section("active_learning", ActiveLearning, document.get("active_learning", {}))
    args = check.section(ARGS, StrategyArgs, {} if loop.strategy_args is None else loop.strategy_args)
    strategies = strategies_of(check, loop)
    more = check.section("experiment", ExperimentSection, document.get("experiment", {}))
    retrain, log, seeds = _retrain(check, train), _log(check, train), _seeds(check, more)
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
        output=Path(more.output or "runs/experiment"),
        threads=more.threads,
        target_accuracy=more.target_accuracy,
        data_root=more.data,
        batch_size=args.batch_size,
        trackers=tuple(dict.fromkeys(more.trackers)),
        device=devices[0] or devices[1],
        log=log,
        document=document,
    )


def _check_model(check: Faults, given: object, *, needs_classes: bool) -> None:
    own = ":" in text_in(given, "architecture")
    kind: type[OwnModel | NamedModel] = OwnModel if own else NamedModel
    model = check.section("model", kind, given)
    name = model.architecture
    needed = [*(["target_classes"] if needs_classes else []), *_HIDDEN.get(name, [])]
    check.faults += [f"missing key model.{key}" for key in needed if key not in model.model_fields_set]
    if own:
        check.attempt("model.architecture", lambda: named_object(name))
    elif name and name not in architecture_names():
        known = ", ".join(architecture_names())
        check.faults.append(
            f"model.architecture: there is none called {name!r}{nearest(name, architecture_names())} "
            f"(known: {known}, or package.module:callable)"
        )


def _fit(check: Faults, train: TrainParameters) -> FitConfig:
    """The training; each key is tried on its own, so that all faults are reported."""
    given = {key: getattr(train, key) for key in _FIT_KEYS if key in train.model_fields_set}
    right = {}
    for key, value in given.items():
        try:
            FitConfig(**{key: value})
            right[key] = value
        except InvalidInput as error:
            check.faults.append(f"train_parameters.{str(error).removeprefix('FitConfig.')}")
    return FitConfig(**right)


def _device(check: Faults, section: str, device: str | None) -> str | None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        check.faults.append(f"{section}.device: {str(error).splitlines()[0]}")
    return device


def _seeds(check: Faults, more: ExperimentSection) -> tuple[int, ...]:
    """From ``seed`` (one) or ``seeds`` (a list, or how many)."""
    if {"seed", "seeds"} <= more.model_fields_set:
        check.faults.append("experiment takes either seed or seeds")
    if not more.seeds:
        return (more.seed,)
    seeds = tuple(range(more.seeds) if isinstance(more.seeds, int) else more.seeds)
    if len(set(seeds)) < len(seeds):
        check.faults.append("experiment.seeds has a seed more than once")
    return seeds


def _retrain(check: Faults, train: TrainParameters) -> Retrain:
    """From ``isreset`` (the document's) or ``retrain`` (ours)."""
    if {"isreset", "retrain"} <= train.model_fields_set:
        check.faults.append("train_parameters takes either isreset or retrain")
    if "retrain" in train.model_fields_set:
        return train.retrain
    return "scratch" if train.isreset else "warm"


def _log(check: Faults, train: TrainParameters) -> Path | None:
    if train.islogs and not train.logs_location:
        check.faults.append("missing key train_parameters.logs_location, which islogs needs")
    return Path(train.logs_location) if train.islogs and train.logs_location else None

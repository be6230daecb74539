"""The JSON configuration of an experiment: the format of the DISTIL document, and what a researcher needs besides.

``docs/configuration.md`` describes every key. Everything is checked before anything is run, and all faults are reported at once.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distil.datasets.data_set import DataSet
from distil.datasets.load import load
from distil.errors import ConfigError, DistilWarning, InvalidInput, nearest
from distil.experiment.config.dataset_section import EMBEDDINGS, check_data, filled, load_own, pinned
from distil.experiment.config.faults import Faults
from distil.experiment.trackers import TRACKERS
from distil.selection.learner import Retrain
from distil.strategies import STRATEGIES, Strategy, strategy_named
from distil.system.imports import named_object
from distil.training.config import FitConfig
from distil.utils.models import architecture_named, architecture_names, architecture_parameters

_SECTIONS = ("model", "train_parameters", "active_learning", "dataset", "experiment", "logs")
_FIT_KEYS = tuple(f.name for f in dataclasses.fields(FitConfig))
_TRAIN_KEYS = (*_FIT_KEYS, "isreset", "retrain", "islogs", "logs_location", "isverbose", "device")
_LOOP_KEYS = ("strategy", "strategies", "budget", "rounds", "initial_points", "candidates", "strategy_args")
_SEED_KEYS = ("split_seed", "initial_seed", "model_seed", "selection_seed")
_EXPERIMENT_KEYS = (
    "seed",
    "seeds",
    *_SEED_KEYS,
    "output",
    "threads",
    "target_accuracy",
    "full_data",
    "trackers",
    "data",
)
_RETRAIN: tuple[Retrain, ...] = ("scratch", "warm", "shrink_perturb")
# Names of folders beside those of the strategies.
FULL_DATA, FIRST_ROUND = "full_data", "first_round"
_ARGS = "active_learning.strategy_args."
# Keys of strategy_args that every strategy accepts, used or not, as the document has it.
_STRATEGY_KEYS = ("batch_size", "device", "lr", "n_drop", "eps", "max_iter", "submod", "selection_type")
# Names that published files have for a strategy.
_STRATEGY_ALIASES = {"coreset": "core_set"}
# Where the document's argument is a parameter of another name: for each strategy, argument -> parameter.
_DROPOUT = {"n_drop": "n_samples"}
_DOCUMENTED: Mapping[str, Mapping[str, str]] = {
    "adversarial_bim": {"stop_iterations_by_count": "max_steps"},
    "bald_dropout": _DROPOUT,
    "craig": {"linear_layer": "part"},
    "entropy_sampling_dropout": _DROPOUT,
    "fass": {"submod": "function", "uncertainty_measure": "uncertainty"},
    "glister": {"typeOf": "type_of"},
    "gradmatch": {"linear_layer": "part", "omp_reg": "ridge"},
    "least_confidence_dropout": _DROPOUT,
    "margin_sampling_dropout": _DROPOUT,
    "submod_sampling": {"submod": "function", "typeOf": "function", "if_grad": "representation"},
}
# The document's switches: what they say of that parameter when off, and when on.
_SWITCHES = {"linear_layer": ("bias", "all"), "if_grad": ("embedding", "gradient")}


@dataclass(frozen=True)
class StrategySpec:
    """A strategy to run.

    Attributes:
        name: Registered, or ``package.module:callable``.
        args: The ``strategy_args`` as given.
        label: What results are filed under; the name unless the same name is run with several arguments.
        retrain: What each round's training starts from; None: as the experiment has it.
        candidates: How many random examples of the unlabeled pool it chooses among, drawn anew each round; None: all.
    """

    name: str
    args: Mapping[str, Any]
    label: str
    retrain: Retrain | None = None
    candidates: int | None = None

    def build(self) -> Strategy:
        """The strategy; arguments that it does not have are those of others in the same file."""
        if ":" in self.name:
            own = {key: value for key, value in self.args.items() if key not in ("batch_size", "device")}
            strategy = named_object(self.name)(**own)
            if not isinstance(strategy, Strategy):
                raise ConfigError(f"{self.name} returned a {type(strategy).__name__}; expected a distil.Strategy")
            return strategy
        renamed, known = _DOCUMENTED.get(self.name, {}), _parameters(self.name)
        parameters: dict[str, Any] = {}
        came: dict[str, str] = {}
        for key, value in self.args.items():
            parameter = renamed.get(key, key)
            if parameter in came:
                raise ConfigError(f"{came[parameter]} and {key} of {self.name} are one parameter: give one of them")
            if parameter in known:
                came[parameter] = key
                parameters[parameter] = _switched(key, value) if key in _SWITCHES else value
        return strategy_named(self.name, **parameters)


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
        return Seeds(**{part: self.fixed_seeds.get(part, seed) for part in ("split", "initial", "model", "selection")})

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
        skip = {"name", "test_points", "validation_points", "redundancy", "label_noise", "imbalance"}
        options = {key: value for key, value in self.dataset.items() if key not in skip}
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
        if isinstance(document.get(section, {}), Mapping):
            changed = {**_section(document, section), **changes}
            document[section] = {
                key: value for key, value in changed.items() if value is not None or key not in changes
            }
    if isinstance(document.get("experiment", {}), Mapping):
        document["experiment"] = {"output": str(Path("runs") / path.stem), **_section(document, "experiment")}
    return parse_config(document)


def read_json(path: Path) -> dict[str, Any]:
    """The object that a configuration file holds.

    Raises:
        ConfigError: There is no such file, or it does not hold one JSON object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_no_repeats)
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration file {path}") from None
    except (ValueError, OSError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path} must hold a JSON object with the sections {', '.join(_SECTIONS[:4])}")
    return document


def parse_config(document: Mapping[str, Any]) -> ExperimentConfig:
    """Check a configuration given as the object that its JSON file holds.

    Raises:
        ConfigError: It cannot be run; every fault is named.
    """
    check = Faults()
    document = filled(document)
    check.keys("", document, _SECTIONS)
    if "logs" in document:
        warnings.warn("the section `logs` has no effect; see train_parameters.islogs", DistilWarning, stacklevel=2)
    model, train, loop, data, more = (_section(document, name, check) for name in _SECTIONS[:5])
    _check_model(check, model, () if EMBEDDINGS in data else ("target_classes",))
    check.keys("train_parameters.", train, _TRAIN_KEYS, ("lr", "batch_size", "n_epoch"))
    check.keys("active_learning.", loop, _LOOP_KEYS, ("budget", "rounds"))
    check_data(check, data)
    check.keys("experiment.", more, _EXPERIMENT_KEYS)
    strategies = _strategies(check, loop)
    fit = _fit(check, train)
    if fit.patience is not None and "validation_points" not in data and ":" not in str(data.get("name", "")):
        check.faults.append("train_parameters.patience watches validation points: set dataset.validation_points")
    args = loop.get("strategy_args")
    args = args if isinstance(args, Mapping) else {}
    settings: dict[str, Any] = {
        "model": model,
        "fit": fit,
        "retrain": _retrain(check, train),
        "strategies": strategies,
        "budget": check.count("active_learning.budget", loop.get("budget", 1)),
        "rounds": check.count("active_learning.rounds", loop.get("rounds", 1)),
        "initial_points": check.count(
            "active_learning.initial_points", loop.get("initial_points", loop.get("budget", 1))
        ),
        "dataset": data,
        "seeds": _seeds(check, more),
        "fixed_seeds": _fixed_seeds(check, more),
        "full_data": check.switch("experiment.full_data", more.get("full_data", False)),
        "output": Path(check.text("experiment.output", more.get("output")) or "runs/experiment"),
        "threads": check.count("experiment.threads", more.get("threads", 1)),
        "target_accuracy": check.fraction("experiment.target_accuracy", more.get("target_accuracy")),
        "data_root": check.text("experiment.data", more.get("data")),
        "batch_size": check.optional_count(_ARGS + "batch_size", args.get("batch_size")),
        "device": _device(check, "train_parameters.device", train) or _device(check, _ARGS + "device", args),
        "trackers": _trackers(check, more),
        "log": _log(check, train),
        "document": document,
    }
    check.done()
    return ExperimentConfig(**settings)


def _fit(check: Faults, train: Mapping[str, Any]) -> FitConfig:
    """The training; each key is tried on its own, so that all faults are reported."""
    given = {key: value for key, value in train.items() if key in _FIT_KEYS}
    right = {
        key: value
        for key, value in given.items()
        if check.attempt("train_parameters", partial(FitConfig, **{key: value}))
    }
    return FitConfig(**right)


def _device(check: Faults, name: str, section: Mapping[str, Any]) -> str | None:
    device = section.get("device")
    if device is None:
        return None
    try:
        if not isinstance(device, str):
            raise TypeError(f"expected text, got {device!r}")
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        check.faults.append(f"{name}: {str(error).splitlines()[0]}")
    return str(device)


def _section(document: Mapping[str, Any], name: str, check: Faults | None = None) -> dict[str, Any]:
    section = document.get(name)
    if isinstance(section, Mapping):
        return dict(section)
    if check is not None and (section is not None or name in _SECTIONS[:4]):
        check.faults.append(f"missing section {name}" if section is None else f"section {name} must be a JSON object")
    return {}


def _check_model(check: Faults, model: Mapping[str, Any], needed: tuple[str, ...]) -> None:
    name = str(model.get("architecture", ""))
    hidden = {"two_layer_net": ["hidden_units_1"], "three_layer_net": ["hidden_units_1", "hidden_units_2"]}
    mandatory = ["architecture", *needed, *hidden.get(name, [])]
    if ":" in name:  # the user's own: its other keys are its own, too
        check.keys("model.", {}, (), [key for key in mandatory if key not in model])
        check.attempt("model.architecture", lambda: named_object(name))
    else:
        known = (
            "architecture",
            "target_classes",
            "input_dim",
            "hidden_units_1",
            "hidden_units_2",
            "channel",
            "net_size",
        )
        check.keys("model.", model, known, mandatory)
        if "architecture" in model and name not in architecture_names():
            known_names = ", ".join(architecture_names())
            check.faults.append(
                f"model.architecture: there is none called {name!r}{nearest(name, architecture_names())} "
                f"(known: {known_names}, or package.module:callable)"
            )
    for key in ("input_dim", "hidden_units_1", "hidden_units_2", "channel"):
        if key in model:
            check.count(f"model.{key}", model[key])
    if "target_classes" in model:
        check.count("model.target_classes", model["target_classes"], least=2)


def _strategies(check: Faults, loop: Mapping[str, Any]) -> tuple[StrategySpec, ...]:
    """From ``strategy`` (one) or ``strategies`` (several: names, or objects with name, args and label)."""
    if ("strategy" in loop) == ("strategies" in loop):
        check.faults.append("active_learning needs either strategy or strategies")
        return ()
    shared = loop.get("strategy_args") or {}
    listed = [loop["strategy"]] if "strategy" in loop else loop["strategies"]
    if not isinstance(shared, Mapping) or not isinstance(listed, list) or not listed:
        check.faults.append("active_learning.strategies must be a list, and strategy_args a JSON object")
        return ()
    specs = []
    for entry in listed:
        entry = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            check.faults.append(f"active_learning.strategies has {entry!r}; expected a name, or an object with a name")
            continue
        check.keys("active_learning.strategies.", entry, ("name", "args", "label", "retrain", "candidates"))
        own = entry.get("args") or {}
        if not isinstance(own, Mapping):
            check.faults.append(
                f"active_learning.strategies has {entry['name']} with args {own!r}; expected a JSON object"
            )
            continue
        label = str(entry.get("label", entry["name"])).replace(":", ".")
        name = str(entry["name"])
        retrain = entry.get("retrain")
        if retrain is not None and retrain not in _RETRAIN:
            check.faults.append(f"{label}: retrain must be one of {', '.join(_RETRAIN)}, got {retrain!r}")
        candidates = _candidates(check, {**loop, **entry})
        spec = StrategySpec(_STRATEGY_ALIASES.get(name, name), {**shared, **own}, label, retrain, candidates)
        _check_strategy(check, spec)
        specs.append(spec)
    labels = [spec.label for spec in specs]
    for label in sorted({label for label in labels if labels.count(label) > 1}):
        check.faults.append(f"active_learning.strategies has {label} more than once; give each a label of its own")
    wrong = [label for label in labels if not label.strip(".") or set(label) & set('/\\*?"<>|')]
    check.faults += [f"the label {label!r} is no name for a folder" for label in wrong]
    taken = [label for label in labels if label in (FULL_DATA, FIRST_ROUND)]
    check.faults += [f"the label {label!r} is taken: it is a folder of every experiment" for label in taken]
    return tuple(specs)


def _candidates(check: Faults, asked: Mapping[str, Any]) -> int | None:
    """How many examples a strategy chooses among, of which there must be as many as it chooses."""
    candidates, budget = asked.get("candidates"), asked.get("budget")
    if candidates is None:
        return None
    least = budget if isinstance(budget, int) and budget > 0 else 1
    return check.count("active_learning.candidates", candidates, least=least)


def _check_strategy(check: Faults, spec: StrategySpec) -> None:
    if ":" in spec.name:
        check.attempt("active_learning.strategy", spec.build)
        return
    if spec.name not in STRATEGIES:
        known = ", ".join(sorted(STRATEGIES))
        check.faults.append(
            f"active_learning.strategy: there is none called {spec.name!r}{nearest(spec.name, STRATEGIES)} "
            f"(known: {known}, or package.module:callable)"
        )
        return
    check.keys(_ARGS, spec.args, (*_STRATEGY_KEYS, *_parameters(spec.name), *_DOCUMENTED.get(spec.name, {})))
    check.attempt(_ARGS.rstrip("."), spec.build)
    if spec.args.get("valid"):
        check.faults.append(f"{_ARGS}valid: in experiments, strategies get no validation set; use distil.select")


def _switched(key: str, value: object) -> str:
    """The value of a parameter that the document has a switch for."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be true or false, got {value!r}")
    return _SWITCHES[key][value]


def _parameters(name: str) -> list[str]:
    return [f.name for f in dataclasses.fields(STRATEGIES[name])]  # type: ignore[arg-type]


def _seeds(check: Faults, more: Mapping[str, Any]) -> tuple[int, ...]:
    """From ``seed`` (one) or ``seeds`` (a list, or how many)."""
    if "seed" in more and "seeds" in more:
        check.faults.append("experiment takes either seed or seeds")
    given = more.get("seeds", [more.get("seed", 0)])
    if isinstance(given, int) and not isinstance(given, bool):
        given = list(range(check.count("experiment.seeds", given)))
    if not isinstance(given, list) or not given or any(isinstance(s, bool) or not isinstance(s, int) for s in given):
        check.faults.append(f"experiment.seeds must be a number of seeds or a list of whole numbers, got {given!r}")
        return (0,)
    if len(set(given)) < len(given):
        check.faults.append("experiment.seeds has a seed more than once")
    return tuple(given)


def _fixed_seeds(check: Faults, more: Mapping[str, Any]) -> dict[str, int]:
    """Parts of a replicate's seeds that are given by themselves."""
    return {
        key.removesuffix("_seed"): check.count(f"experiment.{key}", more[key], 0) for key in _SEED_KEYS if key in more
    }


def _trackers(check: Faults, more: Mapping[str, Any]) -> tuple[str, ...]:
    given = more.get("trackers", [])
    if not isinstance(given, list) or any(name not in TRACKERS for name in given):
        check.faults.append(f"experiment.trackers must be a list of {', '.join(TRACKERS)}, got {given!r}")
        return ()
    return tuple(dict.fromkeys(given))


def _retrain(check: Faults, train: Mapping[str, Any]) -> Retrain:
    """From ``isreset`` (the document's) or ``retrain`` (ours)."""
    if "isreset" in train and "retrain" in train:
        check.faults.append("train_parameters takes either isreset or retrain")
    if not isinstance(train.get("isreset", True), bool):
        check.faults.append(f"train_parameters.isreset must be true or false, got {train['isreset']!r}")
    named = train.get("retrain", "scratch" if train.get("isreset", True) else "warm")
    if named not in _RETRAIN:
        check.faults.append(f"train_parameters.retrain must be one of {', '.join(_RETRAIN)}, got {named!r}")
        return "scratch"
    return named  # type: ignore[no-any-return]


def _log(check: Faults, train: Mapping[str, Any]) -> Path | None:
    islogs, location = train.get("islogs", False), train.get("logs_location")
    if not isinstance(islogs, bool):
        check.faults.append(f"train_parameters.islogs must be true or false, got {islogs!r}")
    if islogs is True and not isinstance(location, str):
        check.faults.append("missing key train_parameters.logs_location, which islogs needs")
    return Path(location) if islogs is True and isinstance(location, str) else None


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InvalidInput(f"the key {key!r} occurs twice in one object")
        found[key] = value
    return found

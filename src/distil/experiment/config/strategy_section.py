"""The strategies of a configuration: their names, arguments and labels."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distil.errors import ConfigError, nearest
from distil.experiment.config.faults import Faults
from distil.experiment.config.sections import ActiveLearning, InitialStrategy, StrategyEntry
from distil.selection.learner import Retrain
from distil.signals import Costs, Embedding, Given, measured_by
from distil.strategies import SCG, SCMI, SMI, STRATEGIES, Strategy, strategy_named
from distil.strategies.auto import settled
from distil.strategies.registry import for_task
from distil.system.imports import named_object
from distil.tasks import Task

# Names of folders that an experiment has besides those of its strategies.
FULL_DATA, CEILING, FIRST_ROUND = "full_data", "ceiling", "first_round"
_FILES = (
    "config.json",
    "curves.png",
    "files.json",
    "outputs.json",
    "report.html",
    "results.csv",
    "results.md",
    "trust.json",
)  # names of its files
ARGS = "active_learning.strategy_args"
_LONGEST_LABEL = 200  # bytes; file systems take 255
# Keys of strategy_args that every strategy accepts, used or not, as in the document.
_STRATEGY_KEYS = ("batch_size", "device", "lr", "n_drop", "eps", "max_iter", "submod", "selection_type")
# Names of strategies in published files.
_STRATEGY_ALIASES = {"coreset": "core_set"}
# For each strategy, the document's arguments whose parameter has another name: argument -> parameter.
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
# The document's switches: the value of the parameter when off, and when on.
_SWITCHES = {"linear_layer": ("bias", "all"), "if_grad": ("embedding", "gradient")}


@dataclass(frozen=True)
class StrategySpec:
    """A strategy to run.

    Attributes:
        name: A registered name, or ``package.module:callable``.
        args: Arguments of the strategy, under the document's names or ours.
        label: Name of the strategy in results, also the name of its folder.
        retrain: The weights that each round's training starts from; None: the experiment's ``retrain``.
        candidates: Number of random examples of the unlabeled pool that it chooses from, drawn anew each round; None: all.
    """

    name: str
    args: Mapping[str, Any]
    label: str
    retrain: Retrain | None = None
    candidates: int | None = None

    def build(self) -> Strategy:
        """The strategy; arguments that it does not have are ignored, as they may belong to other strategies."""
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
                raise ConfigError(
                    f"{came[parameter]} and {key} of {self.name} set the same parameter: pass one of them"
                )
            if parameter in known:
                came[parameter] = key
                parameters[parameter] = _switched(key, value) if key in _SWITCHES else value
        return strategy_named(self.name, **parameters)


def strategies_of(check: Faults, loop: ActiveLearning, task: Task, *, validation: bool) -> tuple[StrategySpec, ...]:
    """The strategies that ``strategy`` (one) or ``strategies`` (several) names, without those that have a fault.

    Args:
        check: Where faults go.
        loop: The section.
        task: The task of the data set.
        validation: Whether the data set may have validation points.
    """
    present = loop.model_fields_set & {"strategy", "strategies"}
    if len(present) != 1:
        given = "both" if present else "neither"
        check.faults.append(f"active_learning must have strategy, or strategies for several; it has {given}")
        return ()
    listed = {f"active_learning.strategies[{number}]": entry for number, entry in enumerate(loop.strategies or [])}
    entries = listed if "strategies" in present else {"active_learning.strategy": loop.strategy}
    checked = [_spec(check, loop, where, entry, task) for where, entry in entries.items()]
    specs = tuple(spec for spec in checked if spec is not None)
    for (where, entry), spec in zip(entries.items(), checked, strict=True):
        if not validation and spec is not None and spec.args.get("valid") and ":" not in spec.name:
            at = _section_of("valid", where, entry)
            check.faults.append(f"{at}.valid needs a validation set: set dataset.validation_points")
    _check_labels(check, [spec.label for spec in specs])
    return specs


def initial_strategy_of(check: Faults, loop: ActiveLearning, task: Task) -> StrategySpec | None:
    """The strategy that chooses the initial points; None: they are random, or the entry has a fault."""
    where, entry = "active_learning.initial_strategy", loop.initial_strategy
    if "initial_strategy" not in loop.model_fields_set:
        return None
    if not entry or not isinstance(entry, (str, Mapping)):
        check.faults.append(f"{where} must be a name, or an object with a name, got {entry!r}")
        return None
    own = check.section(where, InitialStrategy, {"name": entry} if isinstance(entry, str) else entry)
    if not own.name:
        return None
    spec = StrategySpec(_STRATEGY_ALIASES.get(own.name, own.name), own.args, own.name)
    n_faults = len(check.faults)
    _check_strategy(check, where, entry, spec, task)
    if len(check.faults) == n_faults and not check.looking:
        strategy, _ = settled(spec.build(), embeddings=True, probs=False)  # auto is maxherding here
        beyond = strategy.needs.signals - {Embedding()}
        if beyond:
            check.faults.append(
                f"{where}: {own.name} needs a trained model, as it reads {', '.join(sorted(map(repr, beyond)))}; choose a strategy "
                "that reads embeddings alone, such as typiclust, probcover, kmeans_sampling or core_set"
            )
    return spec


def _spec(check: Faults, loop: ActiveLearning, where: str, entry: object, task: Task) -> StrategySpec | None:
    if not entry or not isinstance(entry, (str, Mapping)):
        check.faults.append(f"{where} must be a name, or an object with a name, got {entry!r}")
        return None
    own = check.section(where, StrategyEntry, {"name": entry} if isinstance(entry, str) else entry)
    if not own.name:
        return None
    candidates = own.candidates if "candidates" in own.model_fields_set else loop.candidates
    if candidates is not None and loop.budget is not None and candidates < loop.budget:
        check.faults.append(
            f"active_learning.candidates must be a whole number from {loop.budget}, the budget, got {candidates}"
        )
    shared: Mapping[str, Any] = loop.strategy_args if isinstance(loop.strategy_args, Mapping) else {}
    name = _STRATEGY_ALIASES.get(own.name, own.name)
    label = (own.label or own.name).replace(":", ".")
    spec = StrategySpec(name, {**shared, **(own.args or {})}, label, own.retrain, candidates)
    _check_strategy(check, where, entry, spec, task)
    return spec


def _section_of(key: str, where: str, entry: object) -> str:
    """The section that has an argument of a strategy: that of its own entry, or the one for all strategies."""
    own = entry.get("args") if isinstance(entry, Mapping) else None
    return f"{where}.args" if isinstance(own, Mapping) and key in own else ARGS


def _check_labels(check: Faults, labels: list[str]) -> None:
    for label in sorted(label for label, times in Counter(labels).items() if times > 1):
        check.faults.append(
            f"active_learning.strategies has the label {label} more than once; give each entry its own label"
        )
    check.faults += [
        f"the label {label!r} cannot be the name of a folder; choose another"
        for label in labels
        if not _is_folder_name(label)
    ]
    taken = [label for label in labels if label in (FULL_DATA, CEILING, FIRST_ROUND)]
    check.faults += [f"the label {label!r} is the name of a folder that distil uses; choose another" for label in taken]


def _is_folder_name(label: str) -> bool:
    """Whether every system takes the label as the name of a folder, next to the files of the experiment."""
    fits = len(label.encode(errors="replace")) <= _LONGEST_LABEL and label.isprintable()
    return fits and not label.startswith(".") and label not in _FILES and not set(label) & set('/\\*?"<>|')


def _check_strategy(check: Faults, where: str, entry: object, spec: StrategySpec, task: Task) -> None:
    if ":" in spec.name:
        check.own(where, lambda: for_task(spec.build(), task))
        return
    check.named(where, spec.name, sorted(STRATEGIES), "strategy", "package.module:callable")
    if spec.name not in STRATEGIES or check.looking:
        return
    known_args = (*_STRATEGY_KEYS, *_parameters(spec.name), *_DOCUMENTED.get(spec.name, {}))
    unknown = [key for key in spec.args if key not in known_args]
    check.faults += [f"unknown key {_section_of(key, where, entry)}.{key}{nearest(key, known_args)}" for key in unknown]
    sections = {_section_of(key, where, entry) for key in spec.args}
    n_faults = len(check.faults)
    check.attempt(" and ".join(sorted(sections)) or where, spec.build)
    if len(check.faults) == n_faults:
        check.attempt(where, lambda: _check_reads(for_task(spec.build(), task)))


def _check_reads(strategy: Strategy) -> None:
    """Refuse a strategy that reads what no experiment has."""
    if Costs() in strategy.needs.signals:
        raise ConfigError(
            f"{type(strategy).__name__} reads costs, and an experiment does not know what labels cost; use distil.select or a "
            "Learner with costs="
        )
    if any(isinstance(signal, Given) for signal in measured_by(strategy.needs.pool)):
        raise ConfigError(
            f"{type(strategy).__name__} reads tokens or rewards, which an experiment does not have; use distil.select_from"
        )
    if isinstance(strategy, (SMI, SCG, SCMI)):
        raise ConfigError(
            f"{type(strategy).__name__} reads a query or a private set, which an experiment does not have; use distil.select or a "
            "Learner"
        )


def _switched(key: str, value: object) -> str:
    """The value of the parameter that a switch of the document sets."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be true or false, got {value!r}")
    return _SWITCHES[key][value]


def _parameters(name: str) -> list[str]:
    return [f.name for f in dataclasses.fields(STRATEGIES[name])]  # type: ignore[arg-type]

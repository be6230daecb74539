"""How the experiment of a directory grows: what a later configuration may add, and what must stay as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from distil.experiment.config.dataset_section import data_section
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.config.strategy_section import StrategySpec

Document = Mapping[str, Any]

FREE: Mapping[str, tuple[str, ...]] = {
    "active_learning": ("strategy", "strategies", "rounds"),
    "experiment": ("output", "data", "seed", "seeds", "full_data", "ceiling", "trackers", "target_accuracy"),
    "dataset": ("download", "sha256"),  # see files_read
}
"""Keys that may differ between the commands on one directory, by section."""
_FOR_ALL = ("active_learning.strategy_args", "active_learning.candidates")
"""Keys whose values every strategy has that gives none of its own; strategies that are added later must have them too."""
_LONGEST = 60  # characters of a value in a message


def differences(config: ExperimentConfig, before: ExperimentConfig) -> list[str]:
    """Each key that keeps a configuration from joining an experiment, with its value there and here.

    More rounds, strategies and seeds may be added, and the target accuracy may change. A default that only one of the two spells
    out is no difference, nor is another spelling of the same strategy.
    """
    if _same_strategy(config.initial_strategy, before.initial_strategy):
        config = _with_start_of(before, config)
    mine, theirs = _comparable(config.document), _comparable(before.document)
    keys = [key for key in dict.fromkeys([*theirs, *mine]) if mine.get(key) != theirs.get(key)]
    if _computes_as(config, before) and not any(key.startswith(_FOR_ALL) for key in keys):
        keys = []
    ours, known = by_label(config.document), by_label(before.document)
    specs = {spec.label: spec for spec in before.strategies}
    for spec in (spec for spec in config.strategies if spec.label in specs):
        for key in _differing(config, spec, specs[spec.label]):
            where = f"active_learning.strategies[{spec.label}].{key}"
            mine[where], theirs[where] = ours[spec.label].get(key), known[spec.label].get(key)
            keys += [where] if mine[where] != theirs[where] else []  # else the values for all strategies differ
    if config.rounds < before.rounds:
        mine["active_learning.rounds"], theirs["active_learning.rounds"] = config.rounds, before.rounds
        keys.append("active_learning.rounds")
    return [f"{key} is {_shown(theirs.get(key))} there and {_shown(mine.get(key))} here" for key in keys]


def grown(config: ExperimentConfig, before: ExperimentConfig) -> Document:
    """The document of the experiment with the strategies, seeds and rounds of both, and the later target accuracy."""
    loop, given = before.document["active_learning"], before.document.get("experiment", {})
    known = by_label(before.document)
    entries = known | {label: entry for label, entry in by_label(config.document).items() if label not in known}
    if len(entries) > len(before.strategies):
        loop = {**{key: value for key, value in loop.items() if key != "strategy"}, "strategies": [*entries.values()]}
    more = [seed for seed in config.seeds if seed not in before.seeds]
    if more:
        given = {**{key: value for key, value in given.items() if key != "seed"}, "seeds": [*before.seeds, *more]}
    if config.rounds > before.rounds:
        loop = {**loop, "rounds": config.rounds}
    for key, wanted in (("full_data", config.full_data), ("ceiling", config.ceiling)):
        if wanted:
            given = {**given, key: True}
    asked = config.document.get("experiment", {})
    target = {key: asked[key] for key in ("target_accuracy",) if key in asked}
    made = {**before.document, "active_learning": loop}
    return {**made, "experiment": {**given, **target}} if given or target else made


def by_label(document: Document) -> dict[str, dict[str, Any]]:
    """The strategies of a document, each as an object with its label, by label."""
    loop = document["active_learning"]
    given = loop["strategies"] if "strategies" in loop else [loop["strategy"]]
    entries = [{"name": entry} if isinstance(entry, str) else entry for entry in given]
    labels = [str(entry.get("label", entry["name"])).replace(":", ".") for entry in entries]
    return {label: {**entry, "label": label} for label, entry in zip(labels, entries, strict=True)}


def _differing(config: ExperimentConfig, one: StrategySpec, other: StrategySpec) -> list[str]:
    """The keys of an entry whose values differ in what they do, between two entries with one label."""
    same = {
        "name": one.name == other.name,
        "args": one.name != other.name or _same_strategy(one, other),
        "retrain": (one.retrain or config.retrain) == (other.retrain or config.retrain),
        "candidates": one.candidates == other.candidates,
    }
    return [key for key, equal in same.items() if not equal]


def _same_strategy(one: StrategySpec | None, other: StrategySpec | None) -> bool:
    """Whether two entries describe the same strategy, however they are spelled: ``"badge"``, or an object with empty ``args``."""
    if one is None or other is None or one.name != other.name:
        return one is other
    # what a callable makes of its arguments is unknown, and it is not imported to look at a directory
    return one.args == other.args or (":" not in one.name and one.build() == other.build())


def _with_start_of(before: ExperimentConfig, config: ExperimentConfig) -> ExperimentConfig:
    """The configuration with the other's spelling of ``initial_strategy``."""
    key = "initial_strategy"
    loop = {name: value for name, value in config.document["active_learning"].items() if name != key}
    spelled = {name: value for name, value in before.document["active_learning"].items() if name == key}
    document = {**config.document, "active_learning": {**loop, **spelled}}
    return dataclasses.replace(config, initial_strategy=before.initial_strategy, document=document)


def _computes_as(config: ExperimentConfig, before: ExperimentConfig) -> bool:
    """Whether both configurations compute the same, apart from what may be added."""
    free = (
        "strategies",
        "rounds",
        "seeds",
        "full_data",
        "ceiling",
        "output",
        "target_accuracy",
        "data_root",
        "trackers",
        "looking",
        "document",
    )
    same = {key: getattr(before, key) for key in free}
    same_data = _specified(config.dataset) == _specified(before.dataset)
    return same_data and dataclasses.replace(config, **same, dataset=before.dataset) == before


def _specified(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a section ``dataset`` that may not differ and have another value than their default."""
    fields = data_section(dataset).model_fields
    defaults = {key: field.default for key, field in fields.items() if not field.is_required()}
    return {k: v for k, v in dataset.items() if k not in FREE["dataset"] and (k not in defaults or v != defaults[k])}


def _comparable(document: Document) -> dict[str, Any]:
    """The values of a document by dotted key, without those that may differ."""
    free = {f"{section}.{key}" for section, keys in FREE.items() for key in keys}
    return {key: value for key, value in _flat(document).items() if key not in free}


def _flat(document: Document, path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        nested = isinstance(value, Mapping) and value and path.count(".") < 2
        flat |= _flat(value, f"{path}{key}.") if nested else {f"{path}{key}": value}
    return flat


def _shown(value: Any) -> str:  # noqa: ANN401 - what JSON can hold
    text = "not set" if value is None else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

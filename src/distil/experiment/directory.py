"""The directory of an experiment: its configuration, and how later commands add strategies and seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distil.errors import ConfigError, RunError
from distil.experiment.config.document import read_json, sealed
from distil.experiment.config.experiment_config import ExperimentConfig, parse_config
from distil.experiment.oracles import check_oracle
from distil.experiment.run import CONFIG
from distil.system.files import remove_unfinished, write_text

BASELINE = "random_sampling"
SEEDS = 10
"""Number of seeds of a comparison whose configuration gives none."""


def open_config(output: Path) -> ExperimentConfig:
    """The configuration that a directory of results was begun with; the directory may have been moved since.

    Raises:
        RunError: The directory holds no experiment.
    """
    if not (output / CONFIG).exists():
        raise RunError(
            f"{output} holds no experiment: {output / CONFIG} does not exist; pass the directory of a run, by default runs/NAME"
        )
    document = read_json(output / CONFIG)
    experiment = document.get("experiment")
    experiment = experiment if isinstance(experiment, dict) else {}
    return parse_config({**document, "experiment": {**experiment, "output": str(output)}})


def compared(config: ExperimentConfig, *, retrain: Sequence[str] = (), full_data: bool = True) -> ExperimentConfig:
    """The configuration of a fair comparison: adds random sampling, training on the whole pool, and enough seeds for an interval.

    Args:
        config: The user's configuration.
        retrain: Values of ``retrain``; every strategy is run with each. The label of a strategy that is run with another value
            than the configuration's ends with that value.
        full_data: Whether to train once per seed on the whole pool.

    Raises:
        ConfigError: An unknown value of ``retrain``.
    """
    entries = _by_label(config.document)
    entries = {BASELINE: {"name": BASELINE, "label": BASELINE}, **entries} if BASELINE not in entries else entries
    other = [mode for mode in dict.fromkeys(retrain) if mode != config.retrain]
    ways = [
        {**entry, "label": f"{label}+{mode}", "retrain": mode} for mode in other for label, entry in entries.items()
    ]
    given = config.document.get("experiment", {})
    more = {} if "seed" in given or "seeds" in given else {"seeds": SEEDS}
    loop = {key: value for key, value in config.document["active_learning"].items() if key != "strategy"}
    return parse_config(
        {
            **config.document,
            "active_learning": {**loop, "strategies": [*entries.values(), *ways]},
            "experiment": {**given, **more, "full_data": full_data},
        }
    )


def claim(config: ExperimentConfig) -> ExperimentConfig:
    """Write the configuration into the output directory, joined with the experiment that the directory already holds.

    Returns:
        The joined configuration.

    Raises:
        ConfigError: The directory is not empty and holds no experiment.
        RunError: The directory holds an experiment that differs in more than its strategies and seeds.
    """
    path = config.output / CONFIG
    remove_unfinished(config.output, CONFIG)
    if not path.exists():
        if config.output.exists() and any(config.output.iterdir()):
            raise ConfigError(
                f"the output directory {config.output} exists and holds no experiment; choose another (--output)"
            )
        config.output.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(sealed(config.document), indent=2) + "\n")
        return config
    before = read_json(path)
    check_oracle(config.document, before, config.output)
    mine, theirs = _comparable(config.document), _comparable(before)
    differing = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
    known = _by_label(before)
    differing += [label for label, entry in _by_label(config.document).items() if known.get(label, entry) != entry]
    if "dataset" in differing and {**mine["dataset"], "sha256": ""} == {**theirs["dataset"], "sha256": ""}:
        raise RunError(
            f"the embeddings, ids or labels have changed since {config.output} was begun; choose another output directory, "
            "or restore the old files"
        )
    if differing:
        raise RunError(
            f"{config.output} holds another experiment (its {', '.join(differing)} differ); choose another output directory, "
            f"or continue the old experiment: distil resume {config.output}"
        )
    return _grown(config, before)


def _grown(config: ExperimentConfig, before: Mapping[str, Any]) -> ExperimentConfig:
    """The experiment with the strategies and seeds of both documents; written to disk if that adds any."""
    entries = {**_by_label(before), **_by_label(config.document)}
    earlier = parse_config(before).seeds
    seeds = [*earlier, *(seed for seed in config.seeds if seed not in earlier)]
    whole = config.full_data or before.get("experiment", {}).get("full_data", False)
    grown = dict(before)
    if (len(entries), len(seeds), whole) != (len(_listed(before)), len(earlier), parse_config(before).full_data):
        loop = {key: value for key, value in config.document["active_learning"].items() if key != "strategy"}
        experiment = {key: value for key, value in before.get("experiment", {}).items() if key != "seed"}
        grown = {
            **before,
            "active_learning": {**loop, "strategies": list(entries.values())},
            "experiment": {**experiment, "seeds": seeds, "full_data": whole},
        }
        write_text(config.output / CONFIG, json.dumps(sealed(grown), indent=2) + "\n")
    here = {
        key: value
        for key, value in config.document.get("experiment", {}).items()
        if key in ("output", "data", "trackers")
    }
    return parse_config({**grown, "experiment": {**grown.get("experiment", {}), **here}})


def _listed(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The strategies of a document, each as an object with its label."""
    loop = document["active_learning"]
    given = loop["strategies"] if "strategies" in loop else [loop["strategy"]]
    entries = [{"name": entry} if isinstance(entry, str) else entry for entry in given]
    return [{**entry, "label": str(entry.get("label", entry["name"])).replace(":", ".")} for entry in entries]


def _by_label(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(entry["label"]): entry for entry in _listed(document)}


def _comparable(document: Mapping[str, Any]) -> dict[str, Any]:
    """The sections without keys that may differ between runs of one experiment: strategies, seeds and paths."""
    omitted = {
        "active_learning": ("strategy", "strategies"),
        "experiment": ("output", "data", "seed", "seeds", "full_data", "trackers"),
        "dataset": ("download",),
    }
    return {
        name: {k: v for k, v in section.items() if k not in omitted.get(name, ())}
        if isinstance(section, Mapping)
        else section
        for name, section in {"experiment": {}, **document}.items()
    }

"""What a run belongs to: its configuration, strategy and seed, as one hash that begins the record of the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from distil.experiment.chain import hash_of
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.config.paths import DATA_FILES
from distil.experiment.config.strategy_section import CEILING, FULL_DATA, StrategySpec
from distil.experiment.directory import BASELINE
from distil.experiment.growth import FREE

# Keys that are no part of the identity of a run: what may differ between commands, where files are, who answers (checked by
# ``check_oracle``), and what the first command fills in from the data.
_FREE: Mapping[str, tuple[str, ...]] = {
    **FREE,
    "model": ("target_classes",),
    "train_parameters": ("logs_location",),
    "experiment": (*FREE["experiment"], "oracle"),
    "dataset": (*FREE["dataset"], *DATA_FILES, "weights", "encoder"),
}


def identity_of(config: ExperimentConfig, spec: StrategySpec | None, seed: int) -> str:
    """The identity of a run, a hash in hexadecimal.

    Args:
        config: The configuration of the experiment.
        spec: The strategy of the run; None: the first round that all strategies share.
        seed: The seed of the run.
    """
    strategy = None if spec is None else dataclasses.asdict(spec)
    return hash_of({"config": _settled(config.document), "strategy": strategy, "seed": seed})


def spec_of(config: ExperimentConfig, label: str) -> StrategySpec:
    """The strategy with a label; for ``full_data`` and ``ceiling``, for which no strategy chooses, the baseline under it."""
    if label in (FULL_DATA, CEILING):
        return StrategySpec(BASELINE, {}, label)
    return next(spec for spec in config.strategies if spec.label == label)


def _settled(document: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a configuration without the keys that may change."""
    return {
        name: {key: value for key, value in section.items() if key not in _FREE.get(name, ())}
        if isinstance(section, Mapping)
        else section
        for name, section in {"experiment": {}, **document}.items()
        if name != "logs"
    }

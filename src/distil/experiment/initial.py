"""The initial labels of a run that a strategy chooses: a cold start, from the inputs alone."""

from __future__ import annotations

import dataclasses

import torch

from distil.datasets.data_set import DataSet
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.config.strategy_section import StrategySpec
from distil.experiment.split import Split
from distil.rng import Rng
from distil.selection.select import select_from
from distil.strategies.base import Selection
from distil.strategies.registry import for_classes
from distil.system.runtime import CHUNK_ROWS, Runtime


def chosen_initial(
    spec: StrategySpec, config: ExperimentConfig, data: DataSet, split: Split, seed: int, runtime: Runtime
) -> Selection:
    """The examples of the pool that the strategy ``spec`` chooses for the first labels of a seed.

    Its embeddings are the inputs as the network gets them: through the transform of the data set, and flattened. The selection
    depends on the seed alone, so all strategies of a seed start from the same labels.
    """
    x = split.x[split.pool]
    if data.transform is not None:
        x = torch.cat([data.transform(part) for part in x.split(CHUNK_ROWS)])
    found = select_from(
        for_classes(spec.build(), config.num_classes),
        config.initial_points,
        embeddings=x.flatten(1),
        task=config.task,
        runtime=runtime,
        seed=Rng(config.seeds_of(seed).initial).child("initial").integer(),
    )
    return dataclasses.replace(found, ids=split.pool[found.ids])

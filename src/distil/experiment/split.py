"""The split of a data set that a seed draws: pool, initial labels, validation and test examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.data.labels import are_known
from distil.datasets.data_set import DataSet
from distil.datasets.embeddings import Standardize
from distil.datasets.shift import flip_labels, imbalanced, tiled
from distil.errors import ConfigError
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.rng import Rng


@dataclass(frozen=True, eq=False)
class Split:
    """The split of a data set for one seed.

    Attributes:
        x: Inputs of the training set, (N, ...), or of the redundant pool made from it; ids are positions in it.
        y: Labels that the data set's own oracle answers, (N,) or a row for each; with ``label_noise``, some are wrong. -1 or NaN
            for examples without a label, which only another oracle can give.
        pool: Ids that may be labeled, ascending.
        initial: Ids of the pool that are labeled at the start.
        x_test: Inputs of the test examples, (T, ...).
        y_test: Labels of the test examples, (T,).
        validation: Inputs and labels held out for early stopping, or None.
        names: The user's ids, one per row of ``x``; empty if the data set has none.
        transform: A function that prepares a minibatch of inputs; for a table to standardize, with the statistics of its pool.
    """

    x: Tensor
    y: Tensor
    pool: Tensor
    initial: Tensor
    x_test: Tensor
    y_test: Tensor
    validation: tuple[Tensor, Tensor] | None
    names: Sequence[str] = ()
    transform: Callable[[Tensor], Tensor] | None = None


def split(data: DataSet, config: ExperimentConfig, seed: int) -> Split:
    """Hold out test points (if the data set has no test split of its own) and validation points, and draw the initial labels.

    Every strategy of a seed gets the same split. Without ``dataset.test_points`` a quarter of the examples is held out. With
    ``dataset.imbalance`` a share of the pool's classes is rare; with ``dataset.redundancy`` r, the pool is a random 1/r of the
    remaining examples, each r times; with ``dataset.label_noise`` a share of the pool's labels is wrong. None of the three changes
    test and validation points. Test and validation points have a label; initial points have one as far as there are enough.

    Raises:
        ConfigError: Too few examples are left for the pool, or too few have a label.
    """
    seeds = config.seeds_of(seed)
    order = _labeled_first(
        torch.randperm(len(data.x_train), generator=Rng(seeds.split).child("split").torch()), data.y_train
    )
    n_labeled = int(are_known(data.y_train).sum())
    x_test, y_test, n_test = data.x_test, data.y_test, 0
    if x_test is None or y_test is None:
        n_test = config.dataset.get("test_points", n_labeled // 4)
        x_test, y_test = data.x_train[order[:n_test]], data.y_train[order[:n_test]]
    elif "test_points" in config.dataset:
        raise ConfigError(
            f"dataset.test_points: {data.name} has a test set of its own, of {len(x_test)} examples; remove the key"
        )
    n_validation = config.dataset.get("validation_points", 0)
    if n_labeled < len(order):
        _check_labels(config, data, n_labeled, n_test, n_validation)
    held = order[n_test : n_test + n_validation]
    x, y, names, pool = data.x_train, data.y_train, data.names, order[n_test + n_validation :].sort().values
    if config.dataset.get("imbalance") is not None:
        share, draws = config.dataset["imbalance"], Rng(seeds.split).child("imbalance").torch()
        pool = pool[imbalanced(y[pool], config.num_classes, share, draws)]
    if "redundancy" in config.dataset and len(pool) >= config.dataset["redundancy"]:
        tiles = tiled(pool, config.dataset["redundancy"], Rng(seeds.split).child("redundancy").torch())
        x, y, pool = x[tiles], y[tiles], torch.arange(len(tiles))
        names = [names[row] for row in tiles.tolist()] if names else ()
    if config.dataset.get("label_noise") is not None:
        share, draws = config.dataset["label_noise"], Rng(seeds.split).child("label_noise").torch()
        y = y.index_put((pool,), flip_labels(y[pool], config.num_classes, share, draws))
    wanted = config.initial_points + config.budget * (config.rounds - 1)
    if len(pool) < wanted:
        raise ConfigError(
            f"{config.initial_points} initial points and {config.rounds - 1} selections of {config.budget} need {wanted} examples, "
            f"but only {len(pool)} of the {len(order)} training examples of {data.name} are left for the pool; lower "
            "active_learning.rounds or active_learning.budget, or hold out fewer points"
        )
    shuffled = torch.randperm(len(pool), generator=Rng(seeds.initial).child("initial").torch())
    drawn = _labeled_first(shuffled, y[pool])[: config.initial_points]
    validation = (data.x_train[held], data.y_train[held]) if n_validation else None
    transform = Standardize.fitted(x, pool) if config.standardizes(data) else data.transform
    return Split(x, y, pool, pool[drawn], x_test, y_test, validation, names, transform)


def _labeled_first(order: Tensor, y: Tensor) -> Tensor:
    """An order of examples in which those with a label come before those without."""
    return order[(~are_known(y[order])).sort(stable=True).indices]


def _check_labels(config: ExperimentConfig, data: DataSet, n_labeled: int, n_test: int, n_validation: int) -> None:
    """Refuse what needs more labels than a data set has."""
    if n_test + n_validation > n_labeled:
        raise ConfigError(
            f"{n_test} test points and {n_validation} validation points need a label, and only {n_labeled} of the "
            f"{len(data.x_train)} examples of {data.name} have one; add labels to dataset.labels, or lower these numbers"
        )
    asked = [key for key in ("imbalance", "label_noise") if config.dataset.get(key) is not None]
    if asked:
        raise ConfigError(
            f"dataset.{asked[0]} needs a label for every example of {data.name}, and some have none; remove it"
        )

"""Diagnostics of the selections of each strategy and round, averaged over seeds: see ``distil.evaluation.diagnostics``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from tqdm.auto import tqdm

from distil.datasets.data_set import DataSet
from distil.datasets.embeddings import Standardize
from distil.errors import InvalidInput
from distil.evaluation.diagnostics import class_balance, diagnose, overlap
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.results import Runs
from distil.experiment.run import Run
from distil.experiment.split import Split, split
from distil.system.runtime import threads

_MOST_WORK = 2e11  # products of distances; about five seconds on two cores

Series = Mapping[str, tuple[float | None, ...]]
"""For each strategy, one number per round; None for rounds in which no seed has one."""


@dataclass(frozen=True)
class Selections:
    """Diagnostics of the selections, as means over seeds.

    Attributes:
        balance: How evenly the classes of a selection occur: 1 if all are equally frequent, 0 if there is only one; None for tasks
            without classes.
        duplicates: Share of a selection that equals an example that was labeled or selected earlier.
        to_labeled: Mean distance from a selected example to the nearest example that was labeled earlier.
        to_selected: Mean distance from a selected example to the nearest other example of the same selection.
        measured: Number of seeds, from the first, that duplicates and distances are means over: fewer than all if all would take
            too long, 0 without the data.
        strategies: Names of the rows and columns of ``overlap``.
        overlap: Jaccard index of the examples that two strategies selected, without the initial labels.
    """

    balance: Series
    duplicates: Series
    to_labeled: Series
    to_selected: Series
    measured: int
    strategies: tuple[str, ...]
    overlap: tuple[tuple[float, ...], ...]


def selections_of(config: ExperimentConfig, runs: Runs, data: DataSet | None) -> Selections:
    """The diagnostics of all selections of the runs.

    Args:
        config: The configuration of the runs.
        runs: Finished runs with the same numbers of labels, round by round.
        data: The data set of the runs; without it, duplicates and distances are left out.

    Raises:
        InvalidInput: The data is not that of the runs, or is not finite.
        ConfigError: The data has too few examples for the configuration.
    """
    balance = {label: _mean([_balances(config, run) for run in own]) for label, own in runs.items()}
    measured = 0 if data is None else _affordable(runs, prod(data.x_train.shape[1:]))
    distances: dict[str, list[list[tuple[float | None, ...]]]] = {label: [] for label in runs}  # strategy, seed, round
    with threads(config.threads), tqdm(total=measured * len(runs), unit="run", disable=None, leave=False) as bar:
        for seed in range(measured):
            if data is not None:
                here = split(data, config, config.seeds[seed])
                _check_pool(len(here.pool), next(iter(runs.values()))[seed])
                for label, own in runs.items():
                    distances[label].append(_distances(here, own[seed], config.num_classes))
                    bar.update()
    duplicates, to_labeled, to_selected = (
        {label: _mean([[round_[part] for round_ in seed] for seed in distances[label]]) for label in runs}
        for part in range(3)
    )
    return Selections(balance, duplicates, to_labeled, to_selected, measured, tuple(runs), _overlap(runs))


def _check_pool(size: int, run: Run) -> None:
    expected = (run.last("started") or {}).get("pool")
    if expected != size:
        raise InvalidInput(
            f"the runs were made on a pool of {expected} examples, but the pool of the data now has {size}"
        )


def _balances(config: ExperimentConfig, run: Run) -> list[float | None]:
    answers: dict[int, list[int]] = {event["round"]: [] for event in run.all("asked")}
    for event in run.all("labeled"):
        if event["round"] in answers:
            answers[event["round"]] += event["labels"]
    if config.task != "classification":  # label sets and targets have no classes
        return [None] * len(answers)
    return [class_balance(torch.tensor(y), config.num_classes).normalized if y else None for y in answers.values()]


def _distances(parts: Split, run: Run, num_classes: int) -> list[tuple[float | None, ...]]:
    """For every selection, its duplicates, distance to the labeled set and distance within the selection.

    Rows are standardized if the network's inputs are.
    """
    rows: list[tuple[float | None, ...]] = []
    labeled: list[int] = []
    used = sorted({id_ for event in (*run.all("asked"), *run.all("labeled")) for id_ in event["ids"]})
    place = {id_: row for row, id_ in enumerate(used)}
    x, y = parts.x[used], parts.y[used] if parts.y.ndim == 1 else None
    if isinstance(parts.transform, Standardize):
        x = parts.transform(x)
    for event in run.events:
        if event["event"] == "asked":
            selected, before = ([place[id_] for id_ in ids] for ids in (event["ids"], labeled))
            diagnosis = diagnose(x, y, selected, before, num_classes)
            rows.append((diagnosis.duplicates, diagnosis.spread.to_labeled, diagnosis.spread.to_selected))
        if event["event"] == "labeled":
            labeled += event["ids"]
    return rows


def _affordable(runs: Runs, width: int) -> int:
    """The number of seeds whose distances take a few seconds to compute, at least one."""
    work, seeds = 0, 0
    for own in runs.values():
        seeds, n_labeled = len(own), 0
        for event in own[0].events:
            if event["event"] == "asked":
                work += len(event["ids"]) * (len(event["ids"]) + n_labeled) * width
            if event["event"] == "labeled":
                n_labeled += len(event["ids"])
    return max(1, min(seeds, int(_MOST_WORK / max(work, 1))))


def _mean(rows: Sequence[Sequence[float | None]]) -> tuple[float | None, ...]:
    """For each round, the mean over the seeds that have a number."""
    known = [[value for value in column if value is not None] for column in zip(*rows, strict=True)]
    return tuple(float(np.mean(values)) if values else None for values in known)


def _overlap(runs: Runs) -> tuple[tuple[float, ...], ...]:
    """Jaccard indices of all selections of each two strategies, as means over seeds, (k, k)."""
    seeds = zip(*runs.values(), strict=True)
    each = [overlap([[id_ for event in run.all("asked") for id_ in event["ids"]] for run in own]) for own in seeds]
    return tuple(map(tuple, np.mean(each, axis=0).tolist()))

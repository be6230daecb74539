"""What the strategies of an experiment selected, round by round: the numbers of ``diagnostics``, averaged over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from tqdm.auto import tqdm

from distil.datasets.data_set import DataSet
from distil.errors import InvalidInput
from distil.evaluation.diagnostics import class_balance, diagnose, overlap
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.results import Runs
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.system.runtime import threads

_MOST_WORK = 2e11  # products of distances; about five seconds on two cores

Series = Mapping[str, tuple[float | None, ...]]
"""A number a round for every strategy; None where no seed has one."""


@dataclass(frozen=True)
class Selections:
    """What strategies selected, on average over seeds.

    Attributes:
        balance: How evenly the classes of a selection occur: 1 when all are equally frequent, 0 when there is one only.
        duplicates: The share of a selection that equals an example that was labeled or selected before.
        to_labeled: The mean distance of a selection to the nearest example that was labeled before.
        to_selected: The mean distance to the nearest other example of the same selection.
        measured: Seeds that duplicates and distances are of, 0 where the data is not at hand: the first ones, where all would
            take too long.
        strategies: The rows and columns of ``overlap``.
        overlap: Jaccard index of everything that each two strategies selected, without the initial labels.
    """

    balance: Series
    duplicates: Series
    to_labeled: Series
    to_selected: Series
    measured: int
    strategies: tuple[str, ...]
    overlap: tuple[tuple[float, ...], ...]


def selections_of(config: ExperimentConfig, runs: Runs, data: DataSet | None) -> Selections:
    """Describe what runs selected.

    Args:
        config: What was run.
        runs: With finished runs of the same numbers of labels, round by round.
        data: What distances and duplicates are measured between; without it they are left out, and classes are those of
            the answers.

    Raises:
        InvalidInput: The data is not that of the runs, or is not finite.
        ConfigError: There is too little of it.
    """
    balance = {label: _mean([_balances(config, run) for run in own]) for label, own in runs.items()}
    measured = 0 if data is None else _affordable(runs, prod(data.x_train.shape[1:]))
    found: dict[str, list[list[tuple[float | None, ...]]]] = {label: [] for label in runs}  # strategy, seed, round
    with threads(config.threads), tqdm(total=measured * len(runs), unit="run", disable=None, leave=False) as bar:
        for seed in range(measured):
            if data is not None:
                here = split(data, config, config.seeds[seed])
                _check_pool(len(here.pool), next(iter(runs.values()))[seed])
                for label, own in runs.items():
                    found[label].append(_distances(here.x, here.y, own[seed], config.num_classes))
                    bar.update()
    duplicates, to_labeled, to_selected = (
        {label: _mean([[round_[part] for round_ in seed] for seed in found[label]]) for label in runs}
        for part in range(3)
    )
    return Selections(balance, duplicates, to_labeled, to_selected, measured, tuple(runs), _overlap(runs))


def _check_pool(size: int, run: Run) -> None:
    then = (run.last("started") or {}).get("pool")
    if then != size:
        raise InvalidInput(f"the runs were made on a pool of {then} examples, but the data has {size}")


def _balances(config: ExperimentConfig, run: Run) -> list[float | None]:
    answers: dict[int, list[int]] = {event["round"]: [] for event in run.all("asked")}
    for event in run.all("labeled"):
        if event["round"] in answers:
            answers[event["round"]] += event["labels"]
    return [class_balance(torch.tensor(y), config.num_classes).normalized if y else None for y in answers.values()]


def _distances(x: torch.Tensor, y: torch.Tensor, run: Run, num_classes: int) -> list[tuple[float | None, ...]]:
    """Duplicates, distance to the labeled and distance to the others, of every selection."""
    rows: list[tuple[float | None, ...]] = []
    labeled: list[int] = []
    for event in run.events:
        if event["event"] == "asked":
            found = diagnose(x, y, event["ids"], labeled, num_classes)
            rows.append((found.duplicates, found.spread.to_labeled, found.spread.to_selected))
        if event["event"] == "labeled":
            labeled += event["ids"]
    return rows


def _affordable(runs: Runs, width: int) -> int:
    """How many seeds' distances can be had in a few seconds, one at least."""
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
    """The mean over seeds of the numbers that there are, round by round."""
    known = [[value for value in column if value is not None] for column in zip(*rows, strict=True)]
    return tuple(float(np.mean(values)) if values else None for values in known)


def _overlap(runs: Runs) -> tuple[tuple[float, ...], ...]:
    """Mean over seeds of the Jaccard indices of all that was selected, (k, k)."""
    seeds = zip(*runs.values(), strict=True)
    each = [overlap([[id_ for event in run.all("asked") for id_ in event["ids"]] for run in own]) for own in seeds]
    return tuple(map(tuple, np.mean(each, axis=0).tolist()))

"""What the runs in an experiment's directory show: curves, bounds, costs, and which strategies were one and the same."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distil.evaluation.compare import Comparison, compare
from distil.evaluation.curves import Bounds, Curves, areas
from distil.evaluation.metrics import METRICS
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.config.strategy_section import FULL_DATA
from distil.experiment.directory import BASELINE
from distil.experiment.run import Run

Runs = Mapping[str, Sequence[Run]]
"""The runs of every strategy, seed by seed."""


@dataclass(frozen=True)
class Cost:
    """What the runs of one strategy took, on average over them.

    Attributes:
        training: Seconds a run spent in training. The first round counts as if the run had trained it, also where it was taken
            over from another strategy's, so that strategies can be compared.
        selection: Seconds a run spent in selecting.
        training_peak: The most bytes that a training added to the process; None where that is not known.
        selection_peak: The same of a selection.
        saved: Seconds saved, all runs together, by taking over first rounds.
    """

    training: float
    selection: float
    training_peak: int | None
    selection_peak: int | None
    saved: float


def run_path(output: Path, label: str, seed: int) -> Path:
    """The directory of one run."""
    return output / label / str(seed)


def all_runs(config: ExperimentConfig) -> dict[str, list[Run]]:
    """The runs of every strategy of the configuration, finished or not, begun or not."""
    return {
        spec.label: [Run(run_path(config.output, spec.label, seed)) for seed in config.seeds]
        for spec in config.strategies
    }


def finished_runs(config: ExperimentConfig) -> dict[str, list[Run]]:
    """The runs, seed by seed, of every strategy that has finished all of them."""
    return {label: own for label, own in all_runs(config).items() if all(run.finished for run in own)}


def full_data_runs(config: ExperimentConfig) -> list[Run]:
    """Those of the trainings on the whole pool that are finished; empty unless all of them are."""
    runs = [Run(run_path(config.output, FULL_DATA, seed)) for seed in config.seeds]
    return runs if all(run.finished for run in runs) else []


def curves_of(config: ExperimentConfig, metric: str = "accuracy") -> dict[str, Curves]:
    """The learning curves of the strategies that have finished all of their runs, as far as they can be compared.

    See ``comparable``.
    """
    return comparable(finished_runs(config), config.seeds, metric)


def comparable(runs: Runs, seeds: Sequence[int], metric: str = "accuracy") -> dict[str, Curves]:
    """The learning curves that can be compared: those with the numbers of labels of the baseline's first run, round by round.

    Numbers differ where answers were skipped or are missing. Curves without the metric, which older runs may be, are left
    out, and there are none where the baseline's first run labeled nothing in one of its rounds.
    """
    if not runs:
        return {}
    points = {label: [_points(run, metric) for run in own] for label, own in runs.items()}
    grid = [labels for labels, _ in points[baseline_of(points)][0]]
    if not grid or any(after <= before for before, after in itertools.pairwise(grid)):
        return {}
    return {
        label: Curves(np.array(grid), np.array([[value for _, value in row] for row in rows]), seeds)
        for label, rows in points.items()
        if all([labels for labels, _ in row] == grid for row in rows)
        and not any(value is None for row in rows for _, value in row)
    }


def baseline_of(strategies: Mapping[str, Any]) -> str:
    """Random sampling, or the first strategy where that is not among them."""
    return BASELINE if BASELINE in strategies else next(iter(strategies))


def bounds_of(config: ExperimentConfig, runs: Runs, metric: str = "accuracy") -> Bounds | None:
    """The model trained on the whole pool, and always predicting the class that is most frequent there: means over seeds.

    Returns:
        None where the runs do not hold m, as older ones do not; without the first where not every seed was trained on the
        whole pool.
    """
    full = full_data_runs(config)
    begun = [[run.last("started") or {} for run in own] for own in [full, *runs.values()] if own]
    known = [[event["majority"] for event in seed if "majority" in event] for seed in zip(*begun, strict=True)]
    if not known or not all(known):
        return None
    reached = [(run.last("evaluated") or {}).get(metric) for run in full]
    whole = [value for value in reached if value is not None]
    majority = float(np.mean([METRICS[metric].of_constant(own[0], config.num_classes) for own in known]))
    return Bounds(float(np.mean(whole)) if reached and len(whole) == len(reached) else None, majority)


def identical(config: ExperimentConfig, runs: Runs) -> dict[str, str]:
    """Strategies that are another one under another name: every round of every run selects the same examples, in whatever order.

    Such as the dropout form of a strategy with a network that has no dropout, or all measures of uncertainty with two classes.
    Those whose trainings start from something else are not alike: random sampling selects the same whatever it is trained from.

    Returns:
        Their names, each with that of the first strategy that it is like; the baseline counts as the first of all.
    """
    seen: dict[str, str] = {}
    twins = {}
    retrain = {spec.label: spec.retrain or config.retrain for spec in config.strategies}
    first = baseline_of(runs) if runs else None
    for label in sorted(runs, key=lambda label: label != first):
        selected = [[sorted(event["ids"]) for event in run.all("asked")] for run in runs[label]]
        like = seen.setdefault(repr((retrain[label], selected)), label)
        if like != label and any(selected):
            twins[label] = like
    return twins


def comparisons(curves: Mapping[str, Curves], baseline: str, twins: Mapping[str, str]) -> dict[str, Comparison]:
    """Each strategy against the baseline, by the areas under their curves; nothing with fewer than two seeds or strategies.

    Those that are another one under another name are not tested twice, and no part of the family that is corrected for.
    """
    scores = {name: area for name, area in areas(curves).items() if twins.get(name) not in curves}
    if len(scores) < 2 or len(scores[baseline]) < 2:
        return {}
    return {c.strategy: c for c in compare(scores, baseline=baseline)}


def costs(runs: Runs) -> dict[str, Cost]:
    """What every strategy took; those whose runs hold no times are left out."""
    times = {label: [_latest(run) for run in own] for label, own in runs.items()}
    alone: dict[int, float] = {}  # seconds of each seed's first round, where it was trained
    for own in times.values():
        for seed, entries in enumerate(own):
            entry = entries.get(("train", 0))
            if entry is not None and not entry.get("shared"):
                alone.setdefault(seed, entry["seconds"])
    return {label: _cost(own, alone) for label, own in times.items() if any(own)}


def _cost(times: Sequence[Mapping[tuple[str, int], Mapping[str, Any]]], alone: Mapping[int, float]) -> Cost:
    saved = 0.0
    for seed, entries in enumerate(times):
        entry = entries.get(("train", 0), {})
        if entry.get("shared"):
            saved += max(0.0, alone.get(seed, 0.0) - entry["seconds"])
    seconds, peaks = {"train": saved, "select": 0.0}, {"train": [-1], "select": [-1]}
    for (step, _), entry in ((key, entry) for entries in times for key, entry in entries.items()):
        seconds[step] += entry["seconds"]
        peaks[step].append(-1 if entry.get("peak_bytes") is None else entry["peak_bytes"])
    most = {step: max(found) for step, found in peaks.items()}
    return Cost(
        training=seconds["train"] / len(times),
        selection=seconds["select"] / len(times),
        training_peak=None if most["train"] < 0 else most["train"],
        selection_peak=None if most["select"] < 0 else most["select"],
        saved=saved,
    )


def _latest(run: Run) -> dict[tuple[str, int], dict[str, Any]]:
    """The times of a run's steps; of one that was done again, after a kill in the middle, only the last."""
    return {(e["step"], e["round"]): e for e in run.times() if e.get("step") in ("train", "select")}


def _points(run: Run, metric: str) -> list[tuple[int, float | None]]:
    return [(event["labels"], event.get(metric)) for event in run.all("evaluated")]

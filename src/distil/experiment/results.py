"""Results of the runs in an experiment's directory: curves, bounds, costs, and strategies with equal selections."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from distil.errors import argument, counted
from distil.evaluation.ceiling import Ceiling, gain_share
from distil.evaluation.compare import Comparison, compare, plain
from distil.evaluation.curves import Bounds, Curves, areas
from distil.evaluation.metrics import METRICS_OF, main_metric
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.config.strategy_section import CEILING, FULL_DATA
from distil.experiment.directory import BASELINE
from distil.experiment.identity import identity_of, spec_of
from distil.experiment.run import EVENTS, Run
from distil.experiment.weights import Weights
from distil.strategies.base import RANDOM_SAMPLE

Runs = Mapping[str, Sequence[Run]]
"""For each strategy, its runs in the order of the seeds."""

_Times = Mapping[tuple[str, int], Mapping[str, Any]]  # step and round -> an entry of times
_STEPS = {"trained": "train", "asked": "select"}  # event -> the step that times call it


@dataclass(frozen=True)
class Cost:
    """Time and memory of the runs of one strategy.

    Attributes:
        training: Mean seconds of training per run. A first round that was copied from another strategy's run counts as if this
            run had trained it, so that strategies can be compared.
        selection: Mean seconds of selecting per run.
        training_peak: Largest number of bytes that a training added to the process; None if unknown.
        selection_peak: Largest number of bytes that a selection added to the process; None if unknown.
        saved: Seconds that all runs together saved by copying first rounds.
    """

    training: float
    selection: float
    training_peak: int | None
    selection_peak: int | None
    saved: float


@dataclass(frozen=True)
class Given:
    """The experiments that a report was given, without those whose runs are all among another's.

    Attributes:
        kept: The experiments, in the order given.
        data_sets: Positions in ``kept`` of experiments that share no run: those that count as data sets of their own.
        notes: A sentence for each that was given more than once, and for each that is not a data set of its own.
    """

    kept: list[ExperimentConfig]
    data_sets: list[int]
    notes: list[str]


def without_copies(configs: Sequence[ExperimentConfig]) -> Given:
    """The experiments to report, and which of them count as data sets.

    A directory that is given twice, or a copy of it, would count as another data set, and so would one that has some of the runs
    of another. Of two directories the one with more runs counts. Trainings on the whole pool do not count: they are equal for
    every budget.
    """
    contents = [_contents(config) for config in configs]
    copies: dict[int, list[int]] = {}  # position of a kept experiment -> positions of its copies, itself first
    data_sets: list[int] = []
    notes: list[str] = []
    for new in sorted(range(len(configs)), key=lambda position: -len(contents[position])):
        like = next((old for old in copies if _is_copy(configs[new], contents[new], configs[old], contents[old])), None)
        if like is not None:
            copies[like].append(new)
            continue
        copies[new] = [new]
        shared = {old: len(contents[new] & contents[old]) for old in data_sets}
        other = max(shared, key=lambda old: shared[old], default=None)
        if other is None or not shared[other]:
            data_sets.append(new)
        else:
            notes.append(
                f"{configs[new].output} is no data set of its own: {shared[other]} of its {counted(len(contents[new]), 'run')} are "
                f"those of {configs[other].output}, which counts. To compare all strategies in one table, run them in one "
                "directory."
            )
    for own in copies.values():
        outputs = list(dict.fromkeys(str(configs[position].output) for position in own))
        also = f", also as {', '.join(outputs[1:])}" if len(outputs) > 1 else ""
        if len(own) > 1:
            notes.append(f"{outputs[0]} counts once: its runs were given {len(own)} times{also}.")
    kept = sorted(copies)
    return Given([configs[position] for position in kept], sorted(map(kept.index, data_sets)), notes)


def _is_copy(
    one: ExperimentConfig, own: frozenset[tuple[str, ...]], other: ExperimentConfig, larger: frozenset[tuple[str, ...]]
) -> bool:
    """Whether an experiment is in the directory of another, or all of its runs are among the other's."""
    return one.output.resolve() == other.output.resolve() or (bool(own) and own <= larger)


def _contents(config: ExperimentConfig) -> frozenset[tuple[str, ...]]:
    """Strategy, seed and content of every run that has begun."""
    runs = [(spec.label, seed) for spec in config.strategies for seed in config.seeds]
    paths = {(label, str(seed)): run_path(config.output, label, seed) / EVENTS for label, seed in runs}
    return frozenset(
        (*run, hashlib.sha256(path.read_bytes()).hexdigest()) for run, path in paths.items() if path.exists()
    )


def run_path(output: Path, label: str, seed: int) -> Path:
    """The directory of one run."""
    return output / label / str(seed)


def run_of(config: ExperimentConfig, label: str, seed: int) -> Run:
    """One run of the configuration, by the label of its strategy and its seed.

    Raises:
        RunError: The record of the run has been altered, or the directory holds another run.
    """
    run = Run(run_path(config.output, label, seed))
    run.belong(identity_of(config, spec_of(config, label), seed), f"{label}, seed {seed}")
    return run


def all_runs(config: ExperimentConfig) -> dict[str, list[Run]]:
    """All runs of the configuration by strategy, whether finished, begun, or neither."""
    return {spec.label: [run_of(config, spec.label, seed) for seed in config.seeds] for spec in config.strategies}


def finished_runs(config: ExperimentConfig) -> dict[str, list[Run]]:
    """The runs of every strategy that has finished all of its seeds."""
    return {label: own for label, own in all_runs(config).items() if all(run.done(config.rounds) for run in own)}


def table_of(config: ExperimentConfig, everything: Runs) -> tuple[ExperimentConfig, dict[str, list[Run]]]:
    """The experiment with the seeds of its table, and the runs in it: those that give the most runs to compare with the baseline's.

    Pairs need equal seeds, so a table has seeds that the baseline has finished, and every strategy that has finished them too. If
    other strategies have finished only some of the baseline's seeds, a table of these seeds alone may have more runs.

    Args:
        config: The configuration of the experiment.
        everything: All of its runs; see ``all_runs``.
    """
    finished = {label: frozenset(seeds) for label, seeds in _finished_seeds(config, everything).items() if seeds}
    if not finished:
        return config, {}
    baseline = baseline_of(finished)
    choices = dict.fromkeys(seeds & finished[baseline] for seeds in (finished[baseline], *finished.values()))

    def compared(seeds: frozenset[int]) -> tuple[int, int]:
        others = sum(seeds <= own for label, own in finished.items() if label != baseline)
        return len(seeds) * others, len(seeds)

    best = max(choices, key=compared)
    runs = {
        label: [run for seed, run in zip(config.seeds, everything[label], strict=True) if seed in best]
        for label, own in finished.items()
        if best <= own
    }
    return replace(config, seeds=tuple(seed for seed in config.seeds if seed in best)), runs


def _finished_seeds(config: ExperimentConfig, everything: Runs) -> dict[str, list[int]]:
    """The seeds that each strategy has finished."""
    return {
        label: [seed for seed, run in zip(config.seeds, own, strict=True) if run.done(config.rounds)]
        for label, own in everything.items()
    }


def full_data_runs(config: ExperimentConfig) -> list[Run]:
    """The trainings on the whole pool, one run per seed; empty unless all are finished."""
    runs = [run_of(config, FULL_DATA, seed) for seed in config.seeds]
    return runs if all(run.done(1) for run in runs) else []


def ceiling_runs(config: ExperimentConfig) -> list[Run]:
    """The runs of the ceiling, one per seed; empty unless all are finished."""
    runs = [run_of(config, CEILING, seed) for seed in config.seeds]
    return runs if all(run.done(config.rounds) for run in runs) else []


def _ceiling_curves(config: ExperimentConfig, runs: Runs, metric: str) -> Curves | None:
    """The curves of the ceiling, if they can be compared with those of the runs; None without its runs."""
    own = ceiling_runs(config)
    return comparable(config, {**runs, CEILING: own}, metric).get(CEILING) if own and runs else None


def ceiling_of(
    config: ExperimentConfig,
    runs: Runs,
    curves: Mapping[str, Curves],
    baselines: Mapping[str, str],
    metric: str | None = None,
) -> Ceiling | None:
    """The ceiling, with the share of its gain in area over the first baseline that each strategy reaches; None without its runs.

    Strategies that are compared with another baseline are left out: the ceiling trains as the first baseline does.
    """
    top = _ceiling_curves(config, runs, metric or main_metric(config.task))
    if top is None:
        return None
    first, area = next(iter(baselines)), areas({**curves, CEILING: top})
    own = [name for name, other in baselines.items() if other == first != name]
    shares = {name: gain_share(area[name], area[first], area[CEILING]) for name in own}
    return Ceiling(float(area[CEILING].mean()), shares)


def ceiling_notes(config: ExperimentConfig) -> list[str]:
    """A sentence if the runs of the ceiling were asked for and are not finished."""
    if not config.ceiling or ceiling_runs(config):
        return []
    return [f"The runs of the ceiling are not finished. Continue with: distil resume {argument(config.output)}"]


def curves_of(config: ExperimentConfig, metric: str | None = None) -> dict[str, Curves]:
    """The ``comparable`` learning curves of the strategies that have finished all of their runs."""
    return comparable(config, finished_runs(config), metric)


def comparable(config: ExperimentConfig, runs: Runs, metric: str | None = None) -> dict[str, Curves]:
    """The learning curves that can be compared: each round has as many labels as the baseline's first run had in that round.

    The numbers differ if answers were skipped or are missing. There are no curves if the baseline's first run labeled nothing in
    one of its rounds. Where a stopping rule ended a run, all curves end with the shortest.

    Args:
        config: The experiment, with the seeds of these runs.
        runs: The runs.
        metric: A metric of the task; default: its main metric.
    """
    if not runs:
        return {}
    metric = metric or main_metric(config.task)
    unit = METRICS_OF[config.task][metric].unit
    points = {label: [_points(run, metric) for run in own] for label, own in runs.items()}
    if any(run.stopped is not None for own in runs.values() for run in own):
        shortest = min(len(row) for rows in points.values() for row in rows)
        points = {label: [row[:shortest] for row in rows] for label, rows in points.items()}
    grid = [labels for labels, _ in points[baseline_of(points)][0]]
    if not grid or any(after <= before for before, after in itertools.pairwise(grid)):
        return {}
    return {
        label: Curves(np.array(grid), np.array([[value for _, value in row] for row in rows]), config.seeds, unit)
        for label, rows in points.items()
        if all([labels for labels, _ in row] == grid for row in rows)
    }


def curves_so_far(runs: Runs, metric: str = "accuracy") -> dict[str, Curves]:
    """The learning curve of each strategy up to the rounds that all of its begun runs have, finished or not.

    Points whose numbers of labels differ between seeds are left out, and so are rounds that added no label.
    """
    found = {}
    for label, own in runs.items():
        rows = [dict(points) for run in own if (points := _points(run, metric))]
        grid = sorted(labels for labels in (rows[0] if rows else ()) if all(labels in row for row in rows))
        if grid:
            found[label] = Curves(np.array(grid), np.array([[row[labels] for labels in grid] for row in rows]))
    return found


def baseline_of(strategies: Mapping[str, Any]) -> str:
    """Random sampling, or the first strategy if random sampling is not among them."""
    return BASELINE if BASELINE in strategies else next(iter(strategies))


def baselines_of(config: ExperimentConfig, labels: Collection[str]) -> dict[str, str]:
    """The strategy that each is compared with: the baseline, run with the same ``retrain``.

    Returns:
        Label -> label of its baseline, the baseline's own entry first; a strategy whose ``retrain`` the baseline was not run with
        has its own label, as it is compared with nothing.
    """
    first = baseline_of(dict.fromkeys(labels))
    kinds = {spec.label: (spec.name, repr(spec.args), spec.candidates) for spec in config.strategies}
    retrain = _retrain(config)
    order = [first, *(label for label in labels if label != first)]
    ways: dict[str, str] = {}
    for label in order:
        if kinds[label] == kinds[first]:
            ways.setdefault(retrain[label], label)
    return {label: ways.get(retrain[label], label) for label in order}


def metric_words(config: ExperimentConfig) -> str:
    """The name of the main metric of an experiment."""
    return METRICS_OF[config.task][main_metric(config.task)].words


def data_name(config: ExperimentConfig) -> str:
    """What pages and tables call the data set: its name, or that of the file it is read from."""
    path = config.dataset.get("path")
    return str(config.dataset["name"]) if path is None else Path(path).name


def left_out_notes(
    config: ExperimentConfig, everything: Runs, seeds: Sequence[int], shown: Collection[str]
) -> list[str]:
    """A sentence on seeds that tables and figures do not show, and one for each strategy, with the reasons.

    Args:
        config: The experiment.
        everything: All its runs.
        seeds: The seeds of the table; see ``table_of``.
        shown: The strategies that have comparable curves.
    """
    n = len(config.seeds)
    notes = [f"The table has {len(seeds)} of {n} seeds, because some strategies have not finished the others."]
    notes *= len(seeds) < n
    for label, own in _finished_seeds(config, everything).items():
        if not own or not set(seeds) <= set(own):
            done = f"{len(own)} of {n} seed{'s' * (n != 1)} finished"
            notes.append(f"{label} is left out: {done}. Continue with: distil resume {argument(config.output)}")
        elif shown and label not in shown:
            notes.append(f"{label} is left out: the numbers of labels in its runs differ from the baseline's.")
    return notes


def alone_notes(config: ExperimentConfig, baselines: Mapping[str, str]) -> list[str]:
    """One sentence for the strategies of each ``retrain`` that the baseline was not run with."""
    first, retrain = next(iter(baselines)), _retrain(config)
    kinds = {spec.label: spec.name for spec in config.strategies}
    alone: dict[str, list[str]] = {}
    for label, other in baselines.items():
        if label == other and kinds[label] != kinds[first]:
            alone.setdefault(retrain[label], []).append(label)
    return [
        f"Compared with nothing, because {plain(first)} was not run with retrain {way!r}: {', '.join(labels)}."
        for way, labels in alone.items()
    ]


def _retrain(config: ExperimentConfig) -> dict[str, str]:
    return {spec.label: spec.retrain or config.retrain for spec in config.strategies}


def bounds_of(config: ExperimentConfig, runs: Runs, metric: str | None = None) -> Bounds | None:
    """Two references, as means over seeds: the model trained on the whole pool, and always predicting the pool's largest class.

    Returns:
        The bounds; ``full`` is None unless every seed was trained on the whole pool. None if no label was known at the start, so
        the largest class is unknown.
    """
    name = metric or main_metric(config.task)
    kind = METRICS_OF[config.task][name]
    full = full_data_runs(config)
    reached = [value for run in full for _, value in _points(run, name)]
    mean = float(np.mean(reached)) if reached else None
    if kind.of_constant is None:
        return Bounds(mean, None, kind.unit)
    begun = [[run.last("started") or {} for run in own] for own in [full, *runs.values()] if own]
    known = [[event["majority"] for event in seed if "majority" in event] for seed in zip(*begun, strict=True)]
    if not known or not all(known):
        return None
    majority = float(np.mean([kind.of_constant(own[0], config.num_classes) for own in known]))
    return Bounds(mean, majority, kind.unit)


def identical(config: ExperimentConfig, runs: Runs) -> dict[str, str]:
    """Strategies with the same selections as an earlier one: the same examples in every round of every run, in any order.

    Examples are the dropout form of a strategy when the network has no dropout, and all uncertainty measures with two classes.
    Strategies with different ``retrain`` are not compared: random sampling selects the same examples with each.

    Returns:
        Name of each strategy of this kind -> name of the first strategy with its selections. Baselines come first.
    """
    seen: dict[str, str] = {}
    twins = {}
    retrain = _retrain(config)
    baselines = set(baselines_of(config, runs).values()) if runs else set()
    for label in sorted(runs, key=lambda label: label not in baselines):
        selected = [[sorted(event["ids"]) for event in run.all("asked")] for run in runs[label]]
        like = seen.setdefault(repr((retrain[label], selected)), label)
        if like != label and any(selected):
            twins[label] = like
    return twins


def random_notes(runs: Runs) -> list[str]:
    """One sentence for each strategy some of whose selections are random samples because it could not rank the examples."""
    sentences = []
    for label, own in runs.items():
        asked = [event for run in own for event in run.all("asked")]
        notes = [note for event in asked for note in event.get("notes", []) if RANDOM_SAMPLE in note]
        if notes:
            sentences.append(
                f"{label}: {len(notes):,} of {len(asked):,} selections are random samples, because the strategy could not rank the "
                f"examples. Its note on the first: {notes[0]}."
            )
    return sentences


def training_notes(runs: Runs) -> list[str]:
    """A sentence for each strategy some of whose trainings learned little or nothing: how many, and the first of them."""
    said = []
    for label, own in runs.items():
        trained = [(run, event) for run in own for event in run.all("trained")]
        noted = [(run, event) for run, event in trained if event.get("notes")]
        if noted:
            run, event = noted[0]
            seed = (run.last("started") or {}).get("seed")
            said.append(
                f"{label}: {len(noted)} of {len(trained)} trainings learned next to nothing; seed {seed}, round {event['round']}, "
                f"is the first: {'; '.join(event['notes'])}."
            )
    return said


def lost_models(runs: Runs) -> list[str]:
    """A sentence for each strategy some of whose finished runs lack their model; the events, and so all numbers, are whole."""
    said = []
    for label, own in runs.items():
        lost = [path for run in own if run.finished and (path := Weights(run).lost()) is not None]
        if lost:
            said.append(
                f"{label}: {len(lost)} of {len(own)} models are missing or are not those that the runs wrote; the first is "
                f"{lost[0]}. No number here depends on them. To train them again: distil resume {argument(own[0].path.parents[1])}"
            )
    return said


def comparisons(
    curves: Mapping[str, Curves], baselines: Mapping[str, str], twins: Mapping[str, str]
) -> dict[str, Comparison]:
    """Each strategy against its baseline, by the areas under their curves; empty with fewer than two seeds or strategies.

    Strategies in ``twins`` are not tested a second time and do not count in the correction for multiple tests.
    """
    scores = {name: area for name, area in areas(curves).items() if twins.get(name) not in curves}
    if len(scores) < 2 or len(next(iter(scores.values()))) < 2:
        return {}
    unit = next(iter(curves.values())).unit
    return {c.strategy: c for c in compare(scores, baseline=baselines, unit=unit)}


def costs(runs: Runs) -> dict[str, Cost]:
    """The cost of every strategy some of whose runs hold the times of all of their steps; see ``untimed``."""
    times = {label: {run.path.name: found for run in each if (found := _latest(run))} for label, each in runs.items()}
    alone: dict[str, float] = {}  # for each seed, the seconds of its first round in the run that trained it
    for own in times.values():
        for seed, entries in own.items():
            entry = entries[("train", 0)]
            if not entry.get("shared"):
                alone.setdefault(seed, entry["seconds"])
    return {label: _cost(own, alone) for label, own in times.items() if own}


def untimed(runs: Runs) -> list[str]:
    """A sentence for each strategy some of whose runs lack the time of a step."""
    lacking = {label: sum(not _latest(run) for run in own) for label, own in runs.items()}
    return [
        f"{label}: {n} of {len(runs[label])} runs lack the time of a step, and are left out of times and memory."
        for label, n in lacking.items()
        if n
    ]


def _cost(times: Mapping[str, _Times], alone: Mapping[str, float]) -> Cost:
    saved = 0.0
    for seed, entries in times.items():
        entry = entries[("train", 0)]
        if entry.get("shared"):
            saved += max(0.0, alone.get(seed, 0.0) - entry["seconds"])
    seconds, peaks = {"train": saved, "select": 0.0}, {"train": [-1], "select": [-1]}
    for (step, _), entry in ((key, entry) for entries in times.values() for key, entry in entries.items()):
        seconds[step] += entry["seconds"]
        peaks[step].append(-1 if entry.get("peak_bytes") is None else entry["peak_bytes"])
    most = {step: max(own) for step, own in peaks.items()}
    return Cost(
        training=seconds["train"] / len(times),
        selection=seconds["select"] / len(times),
        training_peak=None if most["train"] < 0 else most["train"],
        selection_peak=None if most["select"] < 0 else most["select"],
        saved=saved,
    )


def _latest(run: Run) -> _Times:
    """The times of a run's steps, of a step that was repeated after a kill only the last; empty if one is missing."""
    found = {(e["step"], e["round"]): e for e in run.times() if e["step"] in _STEPS.values()}
    steps = {(_STEPS[event["event"]], event["round"]) for event in run.events if event["event"] in _STEPS}
    return found if steps <= found.keys() else {}


def _points(run: Run, metric: str) -> list[tuple[int, float]]:
    return [(event["labels"], event[metric]) for event in run.all("evaluated")]

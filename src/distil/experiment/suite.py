"""All runs of an experiment: every strategy with every seed, each in a directory of its own, and what they show together.

::

    OUTPUT/
      config.json              what was run
      STRATEGY/SEED/           one run each; see distil.experiment.run
      first_round/SEED/        round 0 of a seed, which its runs have in common
      full_data/SEED/          one training on the whole pool, where the configuration asks for it
      results.md  results.csv  the table, and every number behind it
      curves.png               the learning curves (where matplotlib is installed)
      report.html              the page of `distil report`, where strategies are compared
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tqdm.auto import tqdm

from distil.datasets.data_set import DataSet
from distil.errors import InvalidInput, MissingPackage, RunError
from distil.evaluation.compare import Summary, summarize
from distil.evaluation.plots import plot_curves
from distil.evaluation.tables import markdown_table, terminal_table
from distil.experiment.claim import BASELINE, claim, open_config
from distil.experiment.config import (
    FIRST_ROUND,
    FULL_DATA,
    ExperimentConfig,
    StrategySpec,
    parse_config,
)
from distil.experiment.first_round import FirstRound
from distil.experiment.loop import Experiment, split
from distil.experiment.page import write_page
from distil.experiment.results import (
    Runs,
    baseline_of,
    bounds_of,
    comparable,
    comparisons,
    finished_runs,
    identical,
    run_path,
)
from distil.experiment.run import Event, Run
from distil.experiment.workers import run_in_processes
from distil.selection.oracle import Oracle
from distil.system.files import write_text


def run_all(
    config: ExperimentConfig,
    *,
    oracle: Callable[[StrategySpec, int], Oracle] | None = None,
    workers: int = 1,
    progress: bool | None = None,
) -> bool:
    """Do every run that is not finished yet; False when some wait for answers.

    An output directory that holds an experiment which differs in its strategies and seeds only is gone on with, and holds both
    from then on: only what is missing is run.

    Args:
        config: What to do.
        oracle: Who answers, for a strategy and a seed; default: the data set's own labels.
        workers: Processes that share the runs. No part of the result: each run computes with ``config.threads``.
        progress: Whether to show a progress bar; default: when the output is a terminal.

    Raises:
        ConfigError: The data does not fit the configuration.
        RunError: The output directory holds something else, or a process was killed.
    """
    if workers < 1 or (workers > 1 and oracle is not None):
        raise InvalidInput(f"workers must be a whole number from 1, and 1 with an oracle of your own; got {workers}")
    data = config.load_data()
    config = config.pinned(data)
    # Everything that can be wrong is found out here, before the first training.
    for spec in config.strategies:
        experiment_of(config, data, spec.label, config.seeds[0])
    config = claim(config)
    labels = [*([FULL_DATA] if config.full_data else []), *(spec.label for spec in config.strategies)]
    # Seeds change fastest: the runs that train a first round come early, and apart.
    tasks = [(label, seed) for label in labels for seed in config.seeds]
    rounds = {label: 1 if label == FULL_DATA else config.rounds for label in labels}
    hidden = not sys.stderr.isatty() if progress is None else not progress
    with tqdm(total=sum(rounds[label] for label, _ in tasks), unit="round", disable=hidden) as bar:
        for label, seed in tasks:
            bar.update(len(Run(run_path(config.output, label, seed)).all("evaluated")))
        if workers > 1:
            return run_in_processes(partial(_prepared, config.document), _advanced, tasks, workers, bar.update)
        complete = True
        for label, seed in tasks:
            experiment = experiment_of(config, data, label, seed, oracle)
            bar.set_description(experiment.name)
            complete &= experiment.advance(lambda event: bar.update(event["event"] == "evaluated"))
    return complete


def experiment_of(
    config: ExperimentConfig,
    data: DataSet,
    label: str,
    seed: int,
    oracle: Callable[[StrategySpec, int], Oracle] | None = None,
) -> Experiment:
    """One run of an experiment, by the label of its strategy (``full_data`` for the bound) and its seed."""
    run = Run(run_path(config.output, label, seed))
    if label == FULL_DATA:
        everything = len(split(data, config, seed).pool)
        spec = StrategySpec(BASELINE, {}, FULL_DATA)
        return Experiment(run, replace(config, initial_points=everything, rounds=1), spec, seed, data)
    spec = next(spec for spec in config.strategies if spec.label == label)
    first = FirstRound(config.output / FIRST_ROUND / str(seed))
    return Experiment(run, config, spec, seed, data, oracle and oracle(spec, seed), first)


def _prepared(document: Mapping[str, Any]) -> tuple[ExperimentConfig, DataSet]:
    config = parse_config(document)
    return config, config.load_data()


def _advanced(prepared: tuple[ExperimentConfig, DataSet], task: tuple[str, int], told: Callable[[int], object]) -> bool:
    experiment = experiment_of(*prepared, *task)

    def tell(event: Event) -> None:
        if event["event"] == "evaluated":
            told(1)

    return experiment.advance(tell)


def write_results(config: ExperimentConfig, *, page: bool = False) -> str:
    """Write what the finished runs show; returns a terminal table.

    ``results.csv`` with every number, ``results.md``, ``curves.png`` where matplotlib is installed, and, with ``page`` and several
    strategies, ``report.html``. The baseline is random sampling, or the first strategy where that is not among those that were run.
    """
    if "target_classes" not in config.model:  # embeddings told it when they were run
        config = replace(config, model=open_config(config.output).model)
    runs = finished_runs(config)
    if not runs:
        raise RunError(
            f"no strategy in {config.output} has finished all of its seeds; go on with: distil resume {config.output}"
        )
    write_text(config.output / "results.csv", _as_csv(config, runs))
    curves, paged = comparable(runs, config.seeds), _paged(config) if page else ""
    left_out = [label for label in runs if label not in curves]
    if not curves:
        return f"The runs have different numbers of labels, so there is no table; see {config.output / 'results.csv'}{paged}"
    baseline, twins = baseline_of(curves), identical(config, runs)
    target = config.target_accuracy
    summaries = summarize(curves, baseline=baseline, target=target)
    tests: Any = {"comparisons": comparisons(curves, baseline, twins), "twins": twins}
    title = f"{config.dataset['name']}, {len(config.seeds)} seed{'s' * (len(config.seeds) > 1)}"
    note = f"\n\nLeft out, for other numbers of labels: {', '.join(left_out)} (see results.csv)" if left_out else ""
    write_text(config.output / "results.md", f"# {title}\n\n{markdown_table(summaries, target, **tests)}{note}\n")
    plotted = _plotted(config, runs, summaries, title)
    return f"{terminal_table(summaries, target, **tests)}{note}\n\n{plotted}{paged}"


def _plotted(config: ExperimentConfig, runs: Runs, summaries: list[Summary], title: str) -> str:
    bounds = bounds_of(config, runs)
    full = None if bounds is None else bounds.full
    try:
        path = plot_curves(
            summaries, config.output / "curves.png", title=title, target=config.target_accuracy, full=full
        )
    except MissingPackage as error:
        return f"Results: {config.output / 'results.md'} (no plot: {error})"
    return f"Results: {config.output / 'results.md'}, learning curves: {path}"


def _paged(config: ExperimentConfig) -> str:
    """Write the page of a comparison, and say where it is."""
    if len(config.strategies) == 1:
        return ""
    return f"\nReport: {write_page([config], config.output / 'report.html')}"


def _as_csv(config: ExperimentConfig, runs: Runs) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["strategy", "seed", "labels", "accuracy", "balanced_accuracy", "macro_f1"])
    for label, own in runs.items():
        for seed, run in zip(config.seeds, own, strict=True):
            for e in run.all("evaluated"):
                writer.writerow([label, seed, e["labels"], e["accuracy"], e["balanced_accuracy"], e["macro_f1"]])
    return text.getvalue()

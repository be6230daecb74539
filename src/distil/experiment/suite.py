"""All runs of an experiment: every strategy with every seed, each in a directory of its own.

::

    OUTPUT/
      config.json              the configuration
      STRATEGY/SEED/           one run each; see distil.experiment.run
      first_round/SEED/        round 0 of a seed, which its runs share
      full_data/SEED/          one training on the whole pool, if the configuration asks for it
      results.md  results.csv  the table, and every number behind it
      curves.png               the learning curves (if matplotlib is installed)
      report.html              the page of `distil report`, if strategies are compared
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tqdm.auto import tqdm

from distil.datasets.data_set import DataSet
from distil.errors import InvalidInput
from distil.experiment.chain import Event
from distil.experiment.config.experiment_config import ExperimentConfig, parse_config
from distil.experiment.config.strategy_section import FIRST_ROUND, FULL_DATA
from distil.experiment.directory import claim
from distil.experiment.first_round import FirstRound
from distil.experiment.identity import identity_of, spec_of
from distil.experiment.loop import Experiment
from distil.experiment.oracles import MakeOracle, oracle_of, with_oracle
from distil.experiment.results import run_path
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.workers import Report, run_in_processes


def run_all(
    config: ExperimentConfig,
    *,
    oracle: MakeOracle | None = None,
    workers: int = 1,
    progress: bool | None = None,
    say: Callable[[str], None] | None = None,
) -> bool:
    """Do every unfinished run; False if some wait for answers.

    If the output directory holds an experiment that differs only in its strategies and seeds, both are joined and only the
    missing runs are done.

    Args:
        config: The configuration of the experiment.
        oracle: Strategy and seed -> the oracle that answers queries; default: the one that the configuration names, else the data
            set's own labels. The directory records it.
        workers: Number of processes that share the runs. It does not change results: each run computes with ``config.threads``.
        progress: Whether to show a progress bar; default: if stderr is a terminal.
        say: Called with each sentence that describes how the data was read.

    Raises:
        ConfigError: The data does not fit the configuration.
        RunError: The output directory holds another experiment, or a process was killed.
    """
    config = with_oracle(config, oracle)
    asks = oracle or oracle_of(config)
    if workers < 1 or (workers > 1 and asks is not None):
        raise InvalidInput(
            f"workers must be {'a whole number from 1' if asks is None else '1 with an oracle'}, got {workers}"
        )
    data = config.load_data()
    if say is not None:
        for sentence in data.read:
            say(sentence)
    config = config.pinned(data)
    # Faults in the data or a strategy are reported here, before the first training.
    for spec in config.strategies:
        experiment_of(config, data, spec.label, config.seeds[0])
    config = claim(config)
    labels = [*([FULL_DATA] if config.full_data else []), *(spec.label for spec in config.strategies)]
    # Seeds change fastest, so the runs that train a first round start early, and workers do not wait for one another.
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
            experiment = experiment_of(config, data, label, seed, asks)
            bar.set_description(experiment.name)
            complete &= experiment.advance(lambda event: bar.update(event["event"] == "evaluated"))
    return complete


def experiment_of(
    config: ExperimentConfig,
    data: DataSet,
    label: str,
    seed: int,
    oracle: MakeOracle | None = None,
) -> Experiment:
    """One run of an experiment, by the label of its strategy (``full_data``: training on the whole pool) and its seed."""
    run, spec = Run(run_path(config.output, label, seed)), spec_of(config, label)
    if label == FULL_DATA:
        everything = len(split(data, config, seed).pool)
        return Experiment(
            run, replace(config, initial_points=everything, initial_strategy=None, rounds=1), spec, seed, data
        )
    first = FirstRound(config.output / FIRST_ROUND / str(seed), identity_of(config, None, seed))
    return Experiment(run, config, spec, seed, data, oracle and oracle(spec, seed), first)


def _prepared(document: Mapping[str, Any]) -> tuple[ExperimentConfig, DataSet]:
    config = parse_config(document)
    return config, config.load_data()


def _advanced(prepared: tuple[ExperimentConfig, DataSet], task: tuple[str, int], report: Report) -> bool:
    def on_event(event: Event) -> None:
        if event["event"] == "evaluated":
            report(1)

    return experiment_of(*prepared, *task).advance(on_event)

"""All runs of an experiment: every strategy with every seed, each in a directory of its own.

::

    OUTPUT/
      config.json              the configuration
      files.json               the hashes of the files that were read
      trust.json               signatures of configurations that name code; see distil.experiment.trust
      outputs.json             hashes of the results and the page as they were written; see distil.experiment.replaced
      STRATEGY/SEED/           one run each; see distil.experiment.run
      first_round/SEED/        round 0 of a seed, which its runs share
      full_data/SEED/          one training on the whole pool, if the configuration asks for it
      ceiling/SEED/            the best of many selections in each round, if the configuration asks for it
      results.md  results.csv  the table, and every number behind it
      curves.png               the learning curves (if matplotlib is installed)
      report.html              the page of `distil report`, if strategies are compared
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tqdm.auto import tqdm

from distil.data.labels import are_known
from distil.datasets.data_set import DataSet
from distil.errors import ConfigError, InvalidInput, RunBusy, RunError
from distil.experiment.chain import Event
from distil.experiment.config.experiment_config import ExperimentConfig, parse_config
from distil.experiment.config.strategy_section import CEILING, FIRST_ROUND, FULL_DATA
from distil.experiment.directory import claim, to_run
from distil.experiment.files_read import notes_on_modules, read_data
from distil.experiment.first_round import FirstRound
from distil.experiment.identity import identity_of, spec_of
from distil.experiment.loop import Experiment
from distil.experiment.oracles import MakeOracle, oracle_of, with_oracle
from distil.experiment.results import run_of, run_path
from distil.experiment.run import CONFIG, Run
from distil.experiment.split import split
from distil.experiment.timeline import record_work
from distil.system.executor import Executor, Report
from distil.system.imports import named_object

Task = tuple[str, int]
"""The label of a strategy, and a seed."""


def run_all(
    config: ExperimentConfig,
    *,
    oracle: MakeOracle | None = None,
    named: Callable[[str], MakeOracle] = named_object,
    executor: Executor | None = None,
    trust: bool = False,
    progress: bool | None = None,
    say: Callable[[str], None] | None = None,
) -> bool:
    """Do every unfinished run of the configuration; False if some wait for answers.

    If the output directory holds an experiment that differs only in its strategies, seeds, target, fewer rounds and the places of
    equal files, both are joined, and only the missing runs that this configuration names are done. Several processes may do so at
    once: each does the runs that no other works on, and then waits for those.

    Args:
        config: The configuration of the experiment.
        oracle: Strategy and seed -> the oracle that answers queries; default: the one that the configuration names, else the data
            set's own labels. The directory records it.
        named: Looks up the oracle that the configuration names; default: it is imported.
        executor: The processes that share the runs; default: this one does them all. It does not change results: each run computes
            with ``config.threads``. All see the output directory and the data at the paths where this one sees them.
        trust: Whether to import code that only the output directory names, though this user did not write its configuration.
        progress: Whether to show a progress bar; default: if stderr is a terminal.
        say: Called with each sentence that describes how the data was read, or what the call waits for.

    Raises:
        ConfigError: The data does not fit the configuration, or someone else's directory names code.
        RunError: The output directory holds another experiment or was begun with other data, or a process was killed.
    """
    config = with_oracle(to_run(config, trust=trust), oracle)
    asks = oracle or oracle_of(config, named)
    if executor is not None and asks is not None:
        raise InvalidInput(
            "workers must be 1 with an oracle, and there must be no executor: it is asked by this process"
        )
    say = say or (lambda _: None)
    config, data, hashes = read_data(config)
    for sentence in (*data.read, *notes_on_modules(config, hashes)):
        say(sentence)
    # Faults in the data or a strategy are reported here, before the first training.
    labels = [*([FULL_DATA] if config.full_data else []), *(spec.label for spec in config.strategies)]
    labels += [CEILING] if config.ceiling else []
    for label in labels:
        experiment_of(config, data, label, config.seeds[0])
    # Seeds change fastest, so the runs that train a first round start early, and workers do not wait for one another.
    tasks = [(label, seed) for label in labels for seed in config.seeds]
    total = len(config.seeds) * sum(1 if label == FULL_DATA else config.rounds for label in labels)
    config = claim(config, hashes, trust=trust)
    hidden = not sys.stderr.isatty() if progress is None else not progress
    with tqdm(total=total, unit="round", disable=hidden) as bar:
        runs = _Runs(config, data, asks, bar)
        for task in tasks:
            runs.show(task, run_of(config, *task))  # an altered record ends here, before any training
        if executor is None:
            outcomes = [runs.advance(task) for task in tasks]
        else:
            outcomes = executor.map(partial(_prepared, config.document), _advanced, tasks, bar.update)
        for number, task in enumerate(tasks):
            if outcomes[number] is None:
                say(f"waiting for {task[0]}, seed {task[1]}, which another command is running")
                outcomes[number] = runs.advance(task, wait=True)
    return all(outcomes)


class _Runs:
    """The runs that this process does, one after the other, with a progress bar."""

    def __init__(
        self,
        config: ExperimentConfig,
        data: DataSet,
        oracle: MakeOracle | None,
        bar: Any,  # noqa: ANN401 - tqdm
    ) -> None:
        self._config = config
        self._data = data
        self._oracle = oracle
        self._bar = bar
        self._shown: dict[Task, int] = {}

    def advance(self, task: Task, *, wait: bool = False) -> bool | None:
        """Do what is left of a run; whether it is finished, or None if another process works on it and this one does not wait."""
        experiment = experiment_of(self._config, self._data, *task, self._oracle)
        self._bar.set_description(f"waiting for {experiment.name}" if wait else experiment.name)
        try:
            finished = experiment.advance(lambda _: self.show(task, experiment.run), wait=wait)
        except RunBusy:
            return None
        self.show(task, experiment.run)
        return finished

    def show(self, task: Task, run: Run) -> None:
        """Add the rounds of a run that the bar does not show yet."""
        rounds = len(run.all("evaluated"))
        self._bar.update(rounds - self._shown.get(task, 0))
        self._shown[task] = rounds


def experiment_of(
    config: ExperimentConfig,
    data: DataSet,
    label: str,
    seed: int,
    oracle: MakeOracle | None = None,
) -> Experiment:
    """One run of an experiment, by the label of its strategy, or ``full_data`` or ``ceiling``, and its seed."""
    run, spec = Run(run_path(config.output, label, seed)), spec_of(config, label)
    if label == FULL_DATA:
        n_pool = _labels_known(data, config, seed, "full_data trains on the whole pool", "--no-full-data")
        return Experiment(
            run, replace(config, initial_points=n_pool, initial_strategy=None, rounds=1), spec, seed, data
        )
    first = FirstRound(config.output / FIRST_ROUND / str(seed), identity_of(config, None, seed))
    if label == CEILING:
        _labels_known(data, config, seed, "ceiling looks at the true labels of the whole pool", "no --ceiling")
        return Experiment(run, config, spec, seed, data, first=first)
    return Experiment(run, config, spec, seed, data, oracle and oracle(spec, seed), first)


def _labels_known(data: DataSet, config: ExperimentConfig, seed: int, what: str, without: str) -> int:
    """The number of examples in the pool; ConfigError if one has no label, which the key ``what`` needs."""
    parts = split(data, config, seed)
    unknown = int((~are_known(parts.y[parts.pool])).sum())
    if unknown:
        raise ConfigError(
            f"experiment.{what}, and {unknown} of its {len(parts.pool)} examples have no label; leave it out ({without})"
        )
    return len(parts.pool)


def _prepared(document: Mapping[str, Any]) -> tuple[ExperimentConfig, DataSet]:
    """What a worker process needs; it reads the data anew, and refuses data that has changed meanwhile."""
    config = parse_config(document)
    if not (config.output / CONFIG).is_file():
        raise RunError(
            f"the machine {platform.node()} has no {config.output / CONFIG}; workers must see the output directory at that path: "
            "choose one on storage that all machines share (--output)"
        )
    return read_data(config)[:2]


def _advanced(prepared: tuple[ExperimentConfig, DataSet], task: Task, report: Report) -> bool | None:
    events = list[Event]()

    def on_event(event: Event) -> None:
        events.append(event)
        if event["event"] == "evaluated":
            report(1)

    start, experiment = time.time(), experiment_of(*prepared, *task)
    try:
        return experiment.advance(on_event)
    except RunBusy:
        return None
    finally:
        if events:
            record_work(experiment.run.path, start, time.time())

"""All runs of an experiment: every strategy with every seed, each in a directory of its own, and what they show together.

::

    OUTPUT/
      config.json              what was run
      STRATEGY/SEED/           one run each; see distil.experiment.run
      results.md  results.csv  the table, and every number behind it
      curves.png               the learning curves (where matplotlib is installed)
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from distil.errors import ConfigError, MissingPackage, RunError
from distil.experiment.compare import Curves, Summary, summarize
from distil.experiment.config import ExperimentConfig, StrategySpec, parse_config, read_json
from distil.experiment.loop import Experiment
from distil.experiment.oracle import Oracle
from distil.experiment.plots import plot_curves
from distil.experiment.report import markdown_table, terminal_table
from distil.experiment.run import CONFIG, Run, replacing

BASELINE = "random_sampling"


def run_all(
    config: ExperimentConfig,
    *,
    oracle: Callable[[StrategySpec, int], Oracle] | None = None,
    progress: bool | None = None,
) -> bool:
    """Do every run that is not finished yet; False when some wait for answers.

    Args:
        config: What to do. An output directory that holds a part of the very same experiment is gone on with.
        oracle: Who answers, for a strategy and a seed; default: the data set's own labels.
        progress: Whether to show a progress bar; default: when the output is a terminal.

    Raises:
        ConfigError: The data does not fit the configuration.
        RunError: The output directory holds something else.
    """
    data = config.load_data()
    # Everything that can be wrong is found out here, before the first training.
    experiments = [
        Experiment(
            Run(run_path(config.output, spec.label, seed)), config, spec, seed, data, oracle and oracle(spec, seed)
        )
        for seed in config.seeds
        for spec in config.strategies
    ]
    _claim(config)
    hidden = not sys.stderr.isatty() if progress is None else not progress
    complete = True
    with tqdm(total=len(experiments) * config.rounds, unit="round", disable=hidden) as bar:
        for experiment in experiments:
            bar.set_description(experiment.name)
            bar.update(len(experiment.run.all("evaluated")))
            complete &= experiment.advance(lambda event: bar.update(event["event"] == "evaluated"))
    return complete


def run_path(output: Path, label: str, seed: int) -> Path:
    """The directory of one run."""
    return output / label / str(seed)


def open_config(output: Path) -> ExperimentConfig:
    """The configuration of an experiment that was begun in a directory, wherever that has been moved to since.

    Raises:
        RunError: It is not the directory of an experiment.
    """
    if not (output / CONFIG).exists():
        raise RunError(f"{output} holds no experiment: there is no {output / CONFIG}")
    document = read_json(output / CONFIG)
    experiment = document.get("experiment")
    experiment = experiment if isinstance(experiment, dict) else {}
    return parse_config({**document, "experiment": {**experiment, "output": str(output)}})


def finished_runs(config: ExperimentConfig) -> dict[str, list[Run]]:
    """The runs, seed by seed, of every strategy that has finished all of them."""
    found = {}
    for spec in config.strategies:
        runs = [Run(run_path(config.output, spec.label, seed)) for seed in config.seeds]
        if all(run.finished for run in runs):
            found[spec.label] = runs
    return found


def curves_of(config: ExperimentConfig, metric: str = "accuracy") -> dict[str, Curves]:
    """The learning curves that can be compared: those with the numbers of labels of the baseline's first run, round by round.

    Only of strategies that have finished all of their runs. Numbers differ where answers were skipped or are missing.
    """
    runs = finished_runs(config)
    if not runs:
        return {}
    points = {
        label: [[(e["labels"], e[metric]) for e in run.all("evaluated")] for run in own] for label, own in runs.items()
    }
    first = points.get(BASELINE) or next(iter(points.values()))
    grid = [labels for labels, _ in first[0]]
    return {
        label: Curves(np.array(grid), np.array([[value for _, value in row] for row in rows]))
        for label, rows in points.items()
        if all([labels for labels, _ in row] == grid for row in rows)
    }


def write_results(config: ExperimentConfig) -> str:
    """Write ``results.csv``, ``results.md`` and, where matplotlib is installed, ``curves.png``; returns a terminal table.

    The baseline is random sampling, or the first strategy where that is not among those that were run.
    """
    runs = finished_runs(config)
    if not runs:
        raise RunError(
            f"no strategy in {config.output} has finished all of its seeds; go on with: distil resume {config.output}"
        )
    _write(config.output / "results.csv", _as_csv(config, runs))
    curves = curves_of(config)
    left_out = [label for label in runs if label not in curves]
    if not curves:
        return f"The runs have different numbers of labels, so there is no table; see {config.output / 'results.csv'}"
    baseline = BASELINE if BASELINE in curves else next(iter(curves))
    target = config.target_accuracy
    summaries = summarize(curves, baseline=baseline, target=target)
    title = f"{config.dataset['name']}, {len(config.seeds)} seed{'s' * (len(config.seeds) > 1)}"
    note = f"\n\nLeft out, for other numbers of labels: {', '.join(left_out)} (see results.csv)" if left_out else ""
    _write(config.output / "results.md", f"# {title}\n\n{markdown_table(summaries, target)}{note}\n")
    return f"{terminal_table(summaries, target)}{note}\n\n{_plotted(config, summaries, title)}"


def _plotted(config: ExperimentConfig, summaries: list[Summary], title: str) -> str:
    try:
        path = plot_curves(summaries, config.output / "curves.png", title=title, target=config.target_accuracy)
    except MissingPackage as error:
        return f"Results: {config.output / 'results.md'} (no plot: {error})"
    return f"Results: {config.output / 'results.md'}, learning curves: {path}"


def _as_csv(config: ExperimentConfig, runs: Mapping[str, list[Run]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["strategy", "seed", "labels", "accuracy", "balanced_accuracy", "macro_f1"])
    for label, own in runs.items():
        for seed, run in zip(config.seeds, own, strict=True):
            for e in run.all("evaluated"):
                writer.writerow([label, seed, e["labels"], e["accuracy"], e["balanced_accuracy"], e["macro_f1"]])
    return text.getvalue()


def _claim(config: ExperimentConfig) -> None:
    """Write the configuration into the output directory, or see that the one there is the same."""
    path = config.output / CONFIG
    mine = _comparable(config.document)
    if path.exists():
        theirs = _comparable(read_json(path))
        differing = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
        if differing:
            raise RunError(
                f"{config.output} holds another experiment (its {', '.join(differing)} differ); choose another output directory, "
                f"or go on with that one: distil resume {config.output}"
            )
        return
    for begun in config.output.glob(f".{CONFIG}.*.tmp"):  # of a process that was killed right here
        begun.unlink()
    if config.output.exists() and any(config.output.iterdir()):
        raise ConfigError(f"the output directory {config.output} exists and holds no experiment; choose another")
    config.output.mkdir(parents=True, exist_ok=True)
    _write(path, json.dumps(config.document, indent=2) + "\n")


def _comparable(document: Mapping[str, Any]) -> dict[str, Any]:
    """The sections, without what is not part of the result: where the output and the data are."""
    experiment = {k: v for k, v in document.get("experiment", {}).items() if k not in ("output", "data")}
    dataset = {k: v for k, v in document.get("dataset", {}).items() if k != "download"}
    return {**document, "experiment": experiment, "dataset": dataset}


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

"""Summaries of a directory of runs: table, figure, CSV and page."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

from distil.data.cells import csv_text
from distil.errors import MissingPackage, RunError, argument
from distil.evaluation.compare import Summary, summarize
from distil.evaluation.metrics import METRICS_OF
from distil.evaluation.plots import picture_of
from distil.evaluation.tables import markdown_table, terminal_table
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.config.strategy_section import CEILING
from distil.experiment.directory import directory_lock, open_config
from distil.experiment.notes import notes_of
from distil.experiment.page.render import page_of
from distil.experiment.page.report import report_of
from distil.experiment.replaced import write_anew
from distil.experiment.results import (
    Runs,
    all_runs,
    alone_notes,
    baselines_of,
    bounds_of,
    ceiling_notes,
    ceiling_of,
    ceiling_runs,
    comparable,
    comparisons,
    data_name,
    identical,
    left_out_notes,
    metric_words,
    table_of,
)

PAGE = "report.html"


def write_results(config: ExperimentConfig, *, page: bool = False) -> str:
    """Write the results of all finished runs in the output directory, and return them as a table for the terminal.

    The files are ``results.csv`` with every number, ``results.md``, ``curves.png`` if matplotlib is installed, and, with ``page``
    and several strategies, or if there is one already, ``report.html``. The baseline is random sampling, or the first strategy if
    random sampling was not run. A file that somebody edited is kept under another name; see ``write_anew``.

    Args:
        config: The configuration of a command on the directory. The results are those of all commands.
        page: Whether to write a page.

    Raises:
        RunError: No run is finished.
    """
    # of two commands that end together, the later one reads what the earlier one finished
    with directory_lock(config.output):
        return _written(replace(open_config(config.output), data_root=config.data_root), page=page)


def _written(experiment: ExperimentConfig, *, page: bool) -> str:
    """Write the results of the experiment of a directory; see ``write_results``."""
    everything = all_runs(experiment)
    config, runs = table_of(experiment, everything)
    if not runs:
        raise RunError(f"no run in {config.output} is finished; continue with: distil resume {argument(config.output)}")
    write_anew(config.output / "results.csv", _as_csv(experiment, everything))
    curves, paged = comparable(config, runs), _paged(experiment, page=page)
    left_out = left_out_notes(experiment, everything, config.seeds, curves)
    if not curves:
        return (
            f"There is no table: the runs have different numbers of labels. See {config.output / 'results.csv'}{paged}"
        )
    baselines, twins = baselines_of(config, curves), identical(config, runs)
    target = config.target_accuracy
    summaries = summarize(curves, baseline=baselines, target=target)
    tests: Any = {"comparisons": comparisons(curves, baselines, twins), "twins": twins}
    tests |= {"ceiling": ceiling_of(config, runs, curves, baselines), "metric": metric_words(config)}
    title = f"{data_name(config)}, {len(config.seeds)} seed{'s' * (len(config.seeds) > 1)}"
    notes = [*left_out, *alone_notes(config, baselines), *ceiling_notes(config), *notes_of(config, runs)]
    note = "".join(f"\n\n{one}" for one in notes)
    write_anew(config.output / "results.md", f"# {title}\n\n{markdown_table(summaries, target, **tests)}{note}\n")
    shown = {summary.name for summary in summaries}
    missing = ", ".join(spec.label for spec in config.strategies if spec.label not in shown)
    plotted = _plotted(
        config, runs, summaries, "\n".join([title, *textwrap.wrap(f"left out: {missing}" * bool(missing), 90)])
    )
    return f"{terminal_table(summaries, target, **tests)}{note}\n\n{plotted}{paged}"


def _plotted(config: ExperimentConfig, runs: Runs, summaries: list[Summary], title: str) -> str:
    bounds = bounds_of(config, runs)
    full = None if bounds is None else bounds.full
    path = config.output / "curves.png"
    try:
        lines: dict[str, Any] = {"target": config.target_accuracy, "full": full, "metric": metric_words(config)}
        picture = picture_of(summaries, path.suffix, title=title, **lines)
    except MissingPackage as error:
        return f"Results: {config.output / 'results.md'} (no plot: {error})"
    write_anew(path, picture)
    return f"Results: {config.output / 'results.md'}, learning curves: {path}"


def _paged(config: ExperimentConfig, *, page: bool) -> str:
    """Write the page of a comparison, also in place of an older one, and return the line that names the file; "" for no page."""
    path = config.output / PAGE
    if len(config.strategies) == 1 or not (page or path.exists()):
        return ""
    write_anew(path, page_of(report_of([config])))
    return f"\nReport: {path}"


def write_report(output: Path, page: str) -> bool:
    """Write the page of a directory; False if it holds these bytes already."""
    with directory_lock(output):
        return write_anew(output / PAGE, page)


def _as_csv(config: ExperimentConfig, everything: Runs) -> str:
    """Every number of the finished runs, also of those of the ceiling."""
    ceiling = ceiling_runs(config)
    everything = {**everything, CEILING: ceiling} if ceiling else everything
    metrics = [name for name, metric in METRICS_OF[config.task].items() if metric.tested]
    rows = [
        [label, seed, e["labels"], *(e[name] for name in metrics)]
        for label, own in everything.items()
        for seed, run in zip(config.seeds, own, strict=True)
        for e in (run.all("evaluated") if run.done(config.rounds) else ())
    ]
    return csv_text([["strategy", "seed", "labels", *metrics], *rows], "results.csv")

"""Run a fixed experiment (D, S, ...), write its table to benchmarks/results, and its report next to its runs."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.machine import write
from distil.evaluation.compare import summarize
from distil.evaluation.metrics import METRICS
from distil.evaluation.tables import markdown_table
from distil.experiment.config.experiment_config import read_config
from distil.experiment.outputs import write_results
from distil.experiment.results import baselines_of, comparisons, costs, curves_of, finished_runs, identical
from distil.experiment.suite import run_all
from distil.system.executor import Processes

HERE = Path(__file__).parent
# Where classes are far from equally frequent, accuracy alone says little.
MORE = {"I": ("balanced_accuracy", "macro_f1")}


def main(argv: list[str]) -> None:
    """Run the named protocols."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks protocol", description=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted(p.stem for p in (HERE / "protocols").glob("*.json")))
    parser.add_argument("--data", help="where data sets are; default: $DISTIL_DATA, then the user's cache")
    parser.add_argument("--output", type=Path, default=Path("runs/protocols"))
    parser.add_argument("--workers", type=int, default=1, help="processes that share the runs; default: 1")
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        overrides = {"output": str(arguments.output / name), "data": arguments.data}
        config = read_config(HERE / "protocols" / f"{name}.json", {"experiment": overrides})
        start = time.perf_counter()
        run_all(config, executor=Processes(arguments.workers) if arguments.workers > 1 else None)
        took = time.perf_counter() - start
        write_results(config, page=True)
        table = (config.output / "results.md").read_text().split("\n", 2)[2]
        title = f"# Protocol {name}\n\n`python -m benchmarks protocol {name}` (one thread a run)"
        more = "".join(_table(config, metric) for metric in MORE.get(name, ()))
        write(name, f"{title}\n\n{table}\n{more}{_seconds(config)}")
        print(f"{took:.0f} s for what was missing; {config.output / 'report.html'}, benchmarks/results/{name}.md")


def _table(config, metric: str) -> str:
    """The table of a metric other than accuracy."""
    curves, twins = curves_of(config, metric), identical(config, finished_runs(config))
    tests = comparisons(curves, baselines_of(config, curves), twins)
    table = markdown_table(
        summarize(curves, target=None), None, metric=METRICS[metric].words, comparisons=tests, twins=twins
    )
    words = METRICS[metric].words
    return f"## {words[0].upper()}{words[1:]}\n\n{table}\n\n"


def _seconds(config) -> str:
    """Mean seconds of the trainings and selections of a run, for every strategy, and the total of all runs."""
    lines = ["| strategy | training, s a run | selection, s a run |", "|---|---|---|"]
    found = costs(finished_runs(config))
    for label, cost in found.items():
        lines.append(f"| {label} | {cost.training:.2f} | {cost.selection:.3f} |")
    seeds = len(config.seeds)
    saved = sum(cost.saved for cost in found.values())
    total = sum(seeds * (cost.training + cost.selection) for cost in found.values())
    lines += [
        "",
        f"All {len(found) * seeds} runs: {total - saved:,.0f} s of training and selecting. Training the first round of a seed "
        f"once, for all strategies, saved {saved:,.0f} s more, which the rows count as if each had trained it.",
    ]
    return "\n".join(lines) + "\n"

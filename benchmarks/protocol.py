"""Run a fixed experiment (D, S, ...) and write its table to benchmarks/results."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.machine import write
from distil.experiment.config import read_config
from distil.experiment.run import Run
from distil.experiment.suite import run_all, run_path, write_results

HERE = Path(__file__).parent


def main(argv: list[str]) -> None:
    """Run the protocols named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks protocol", description=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted(p.stem for p in (HERE / "protocols").glob("*.json")))
    parser.add_argument("--data", help="where data sets are; default: $DISTIL_DATA, then the user's cache")
    parser.add_argument("--output", type=Path, default=Path("runs/protocols"))
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        overrides = {"output": str(arguments.output / name), "data": arguments.data}
        config = read_config(HERE / "protocols" / f"{name}.json", {"experiment": overrides})
        start = time.perf_counter()
        run_all(config)
        took = time.perf_counter() - start
        write_results(config)
        table = (config.output / "results.md").read_text().split("\n", 2)[2]
        title = f"# Protocol {name}\n\n`python -m benchmarks protocol {name}` (one thread a run)"
        write(name, f"{title}\n\n{table}\n{_seconds(config)}")
        print(f"{took:.0f} s for what was missing; table in benchmarks/results/{name}.md")


def _seconds(config) -> str:
    """Mean seconds that a run's trainings and selections took, for every strategy."""
    lines = ["| strategy | training, s a run | selection, s a run |", "|---|---|---|"]
    for spec in config.strategies:
        runs = [Run(run_path(config.output, spec.label, seed)) for seed in config.seeds]
        sums = {
            step: sum(entry["seconds"] for run in runs for entry in run.times() if entry["step"] == step) / len(runs)
            for step in ("train", "select")
        }
        lines.append(f"| {spec.label} | {sums['train']:.2f} | {sums['select']:.3f} |")
    return "\n".join(lines) + "\n"

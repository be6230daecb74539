"""Speedup of two workers on parts of protocols D, S and M-low, with a check that the results are the same."""

from __future__ import annotations

import argparse
import filecmp
import tempfile
import time
from pathlib import Path

from benchmarks.machine import write
from benchmarks.protocol import HERE
from distil.experiment.config.experiment_config import ExperimentConfig, read_config
from distil.experiment.suite import run_all
from distil.system.executor import Processes

# Strategies, seeds and rounds of the part: about a minute with one worker.
PARTS = {
    "D": (["random_sampling", "margin_sampling", "badge", "core_set"], 5, 21),
    "S": (["random_sampling", "margin_sampling", "badge"], 4, 10),
    "M-low": (["random_sampling", "margin_sampling"], 2, 5),
}


def main(argv: list[str]) -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks workers", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--data", help="where data sets are; default: $DISTIL_DATA, then the user's cache")
    arguments = parser.parse_args(argv)
    lines = ["| protocol | part | one worker, s | two workers, s | times faster |", "|---|---|---:|---:|---:|"]
    for name in arguments.names:
        with tempfile.TemporaryDirectory() as folder:
            alone, both = (Path(folder) / str(n) for n in (1, 2))
            seconds = [timed(part(name, path, arguments.data), n) for n, path in ((1, alone), (2, both))]
            check_same(alone, both)
        strategies, seeds, rounds = PARTS[name]
        what = f"{len(strategies)} strategies, {seeds} seeds, {rounds} rounds"
        lines.append(f"| {name} | {what} | {seconds[0]:.1f} | {seconds[1]:.1f} | {seconds[0] / seconds[1]:.2f} |")
        print(lines[-1], flush=True)
    write("workers", HEAD + "\n".join(lines))


def part(name: str, output: Path, data: str | None) -> ExperimentConfig:
    """A protocol with fewer strategies, seeds and rounds."""
    strategies, seeds, rounds = PARTS[name]
    return read_config(
        HERE / "protocols" / f"{name}.json",
        {
            "active_learning": {"strategies": strategies, "rounds": rounds},
            "experiment": {"seeds": seeds, "output": str(output), "data": data, "full_data": False},
        },
    )


def timed(config: ExperimentConfig, workers: int) -> float:
    """Seconds of all runs, including the start of the processes."""
    start = time.perf_counter()
    run_all(config, executor=Processes(workers) if workers > 1 else None)
    return time.perf_counter() - start


def check_same(alone: Path, both: Path) -> None:
    """Check that every event of every run has the same bytes."""
    names = [str(path.relative_to(alone)) for path in alone.rglob("events.jsonl")]
    same, differing, failed = filecmp.cmpfiles(alone, both, names, shallow=False)
    assert not differing + failed, f"{differing + failed} differ"
    assert len(same) == len(names) > 0


HEAD = """# Two workers

`python -m benchmarks workers`: the same runs by one process and by two, one after the other, each run with one thread. Starting the
processes, which import torch and load the data anew, counts. The events of all runs have the same bytes.

"""

"""Peak memory of selecting 1,000 of 50,000 x 512 x 100 classes from arrays, beyond the arrays themselves."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import torch

import distil
from benchmarks.machine import write

N, D, C, BUDGET, LABELED = 50_000, 512, 100, 1_000, 200
LIMIT_MB = 250


def _megabytes(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def measure(strategy: str) -> None:
    """In a process of its own: print seconds and megabytes."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(N, D, generator=generator).relu_()
    probs = torch.softmax(torch.randn(N, C, generator=generator) * 2, 1)
    distil.select_from(strategy, 2, probs=probs[:1000], embeddings=embeddings[:1000])  # threads and libraries are up
    before = _megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    start = time.perf_counter()
    chosen = distil.select_from(strategy, BUDGET, probs=probs, embeddings=embeddings, labeled=list(range(LABELED)))
    seconds = time.perf_counter() - start
    assert len(set(chosen.tolist())) == BUDGET
    print(f"{seconds:.2f} {_megabytes('VmHWM') - before:.0f}")


def main(argv: list[str]) -> None:
    """Measure BADGE and core-set and write the table."""
    if argv:
        measure(argv[0])
        return
    rows = []
    for strategy in ("badge", "core_set"):
        out = subprocess.run(
            [sys.executable, "-m", "benchmarks", "select_memory", strategy], check=True, capture_output=True, text=True
        )
        seconds, megabytes = out.stdout.split()
        rows.append(f"| {strategy} | {megabytes} | {LIMIT_MB} | {seconds} |")
    table = "\n".join(["| strategy | peak beyond the inputs, MB | limit, MB | seconds |", "|---|---|---|---|", *rows])
    inputs = N * (D + C) * 4 / 2**20
    write(
        "select_memory",
        f"# Memory of a selection\n\n`python -m benchmarks select_memory`: {BUDGET} of {N} rows, {D} dimensions, {C} classes, "
        f"{LABELED} labeled; the inputs are {inputs:.0f} MB.\n\n{table}",
    )

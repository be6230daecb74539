"""Selections from mapped shards of a pool larger than the memory budget: seconds, memory, and passes over the files."""

from __future__ import annotations

import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.machine import write
from benchmarks.select_memory import _megabytes, _watched
from distil.data.shards import write_manifest
from distil.distributed.select import pick_from_shards
from distil.measuring import source
from distil.strategies import strategy_named
from distil.system.executor import Serial
from distil.system.runtime import CHUNK_ROWS

D, C, PICKS, CENTERS = 64, 10, 1_000, 200
ROWS = 1 << 20  # of a shard; the last has fewer
BLOCK = 1 << 16
MEMORY = 2_000_000_000
STRATEGIES = ("margin_sampling", "badge", "core_set")


def make(folder: Path, rows: int) -> None:
    """Write shards of a mixture of Gaussians and the probabilities of a linear head, all in float16."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((CENTERS, D), dtype=np.float32)
    head = torch.from_numpy(rng.standard_normal((D, C), dtype=np.float32) / 4)
    sizes = [min(ROWS, rows - start) for start in range(0, rows, ROWS)]
    for shard, size in enumerate(sizes):
        x = np.lib.format.open_memmap(folder / f"embeddings-{shard}.npy", "w+", np.float16, (size, D))
        p = np.lib.format.open_memmap(folder / f"probs-{shard}.npy", "w+", np.float16, (size, C))
        for start in range(0, size, BLOCK):
            n = min(BLOCK, size - start)
            block = centers[rng.integers(CENTERS, size=n)] + 0.5 * rng.standard_normal((n, D), dtype=np.float32)
            x[start : start + n] = block
            p[start : start + n] = (torch.from_numpy(block) @ head).softmax(1).numpy()
    files = {name: [f"{name}-{shard}.npy" for shard in range(len(sizes))] for name in ("embeddings", "probs")}
    write_manifest(folder, sizes, files)


class Counter:
    """Counts the rows that are read of each array."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}

    def take(self, array: Tensor | NDArray[np.float16], ids: Tensor) -> Tensor:
        """``distil.data.arrays.take``, counted by the number of columns of the array."""
        self.rows[array.shape[1]] = self.rows.get(array.shape[1], 0) + len(ids)
        return _take(array, ids)


_take = source.take


def measure(folder: Path, strategy: str, n_rows: int, memory: int) -> None:
    """In a separate process: print what a selection took, as JSON."""
    counter = Counter()
    source.take = counter.take
    before, begin, cpu = _megabytes("RssAnon"), time.perf_counter(), time.process_time()
    found = pick_from_shards(strategy_named(strategy), PICKS, folder, Serial(), memory=memory)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    assert len(set(found.picks.rows)) == PICKS
    passes = {name: counter.rows.get(width, 0) / n_rows for name, width in (("embeddings", D), ("probs", C))}
    print(json.dumps({"before": before, "seconds": seconds, "cpu": cpu, "passes": passes}))


def read(folder: Path) -> float:
    """Seconds to read and convert all embeddings once, block by block."""
    begin = time.perf_counter()
    for path in sorted(folder.glob("embeddings-*.npy")):
        x = np.load(path, "r")
        for start in range(0, len(x), CHUNK_ROWS):
            torch.from_numpy(np.array(x[start : start + CHUNK_ROWS])).float()
    return time.perf_counter() - begin


def measured(rows: int, memory: int, folder: Path) -> tuple[dict[str, dict[str, float]], list[str]]:
    """What each strategy took on a pool of so many rows, and the rows of the table."""
    make(folder, rows)
    found, lines = {}, []
    for strategy in STRATEGIES:
        floor = read(folder)
        command = ["benchmarks", "out_of_core", "measure", str(folder), strategy, str(rows), str(memory)]
        out, _, most = _watched(command)
        took = json.loads(out)
        found[strategy] = took
        passes = took["passes"]
        lines.append(
            f"| {rows:,} | {strategy} | {took['seconds']:.1f} | {took['cpu']:.1f} | {floor:.1f} | {most - took['before']:.0f} | "
            f"{passes['embeddings']:.2f} | {passes['probs']:.2f} |"
        )
    return found, lines


def main(argv: list[str]) -> None:
    """Measure pools of the sizes given, 100,000 and 1,000,000 by default, and write the table: ``ROWS ... [--memory BYTES]``."""
    if argv and argv[0] == "measure":
        measure(Path(argv[1]), argv[2], int(argv[3]), int(argv[4]))
        return
    memory = int(argv.pop()) if "--memory" in argv and argv.remove("--memory") is None else MEMORY
    sizes = [int(rows) for rows in argv] or [100_000, 1_000_000]
    table, took = [], {}
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            took[rows], lines = measured(rows, memory, Path(folder))
            table += lines
    growth = [
        f"From {a:,} to {b:,} rows, {strategy} took {took[b][strategy]['cpu'] / took[a][strategy]['cpu'] / (b / a):.2f} times what "
        "growth in proportion gives, in processor time."
        for a, b in pairwise(sizes)
        for strategy in STRATEGIES
    ]
    head = (
        "| rows | strategy | seconds | processor s | one pass, s | private MB | embeddings read | probabilities read |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    write(
        "out_of_core",
        "# Selections from mapped shards\n\n"
        f"`python -m benchmarks out_of_core {' '.join(map(str, sizes))} --memory {memory}`: {PICKS:,} rows "
        f"of mapped shards with {D} embeddings and {C} probabilities a row in float16, with `--memory {memory / 1e9:g}GB`, in one "
        "process. Private memory is that beyond the start of the process. The last columns count the rows read, in passes over the "
        "pool. One pass reads and converts the embeddings and does nothing else.\n\n"
        + "\n".join([head, *table, "", *growth]),
    )

"""Selections from a million rows in four shards, and the embedding of four shards, by several processes and by one.

With Ray installed, its rows are measured too, two processes each. Run it on a quiet machine with two cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import write
from distil.data.shards import write_manifest
from distil.embedding.shards import embed_shards
from distil.system.executor import Actors, Executor, Processes, Serial

N, D, C, SHARDS = 1_000_000, 64, 10, 4
ROWS = 262_144  # of a shard; the last has fewer
ASKED = (("margin_sampling", 1_000), ("core_set", 1_000), ("badge", 1_000), ("maxherding", 100), ("uherding", 100))
WAYS = {
    "one process": ("--embeddings", "whole/embeddings.npy", "--probs", "whole/probs.npy"),
    "shards, serial": ("--shards", "shards"),
    "shards, processes": ("--shards", "shards", "--executor", "processes"),
}
RAY = find_spec("ray") is not None
if RAY:
    WAYS["shards, Ray"] = ("--shards", "shards", "--executor", "ray", "--workers", "2")
WIDTH, DEPTH = 1024, 12  # of the model that embeds


def make(folder: Path) -> None:
    """Write embeddings of a mixture of 200 Gaussians and their probabilities, whole and in shards."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, D)).astype(np.float32)[rng.integers(200, size=N)]
    x += 0.5 * rng.standard_normal(size=(N, D), dtype=np.float32)
    logits = x @ rng.normal(size=(D, C)).astype(np.float32) / 4
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    for name, array in {"embeddings": x, "probs": p}.items():
        for part in ("whole", "shards"):
            (folder / part).mkdir(exist_ok=True)
        np.save(folder / "whole" / f"{name}.npy", array)
        for k in range(SHARDS):
            np.save(folder / "shards" / f"{name}-{k}.npy", array[k * ROWS : (k + 1) * ROWS])
    rows = [min(ROWS, N - k * ROWS) for k in range(SHARDS)]
    files = {name: [f"{name}-{k}.npy" for k in range(SHARDS)] for name in ("embeddings", "probs")}
    write_manifest(folder / "shards", rows, files)


def tree_megabytes(pid: int) -> float:
    """Memory of a process and its descendants, without mapped files."""
    total, left = 0.0, [pid]
    while left:
        process = Path(f"/proc/{left.pop()}")
        try:
            lines = (process / "status").read_text().splitlines()
            left += map(int, (process / "task" / process.name / "children").read_text().split())
        except OSError:  # it has ended
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024
    return total


def measured(folder: Path, strategy: str, n: int, options: tuple[str, ...]) -> tuple[dict[str, object], float, float]:
    """The document of a selection, its seconds and its peak of memory."""
    command = [sys.executable, "-m", "distil", "select", "--strategy", strategy, "--n", str(n), "--json", *options]
    begin, peak = time.perf_counter(), 0.0
    with (folder / "out.json").open("w") as out, subprocess.Popen(command, stdout=out, cwd=folder) as process:
        while process.poll() is None:
            peak = max(peak, tree_megabytes(process.pid))
            time.sleep(0.2)
    seconds = time.perf_counter() - begin
    return json.loads((folder / "out.json").read_text()), seconds, peak


class Timed(Executor):
    """Another executor, and the seconds from the first beginning of a task to the last end of one.

    Args:
        executor: The executor.
    """

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.seconds = 0.0

    def map(
        self,
        prepare: Callable[[], Any],
        work: Callable[..., Any],
        tasks: Sequence[Any],
        report: Callable[[int], object],
    ) -> list[Any]:
        """See ``Executor.map``."""
        found = self.executor.map(prepare, partial(_timed, work), tasks, report)
        self.seconds = max(end for _, end, _ in found) - min(begin for begin, _, _ in found)
        return [result for _, _, result in found]

    def actors(self, make: Callable[[Any], Any], keys: Sequence[Any]) -> AbstractContextManager[Actors[Any]]:
        """See ``Executor.actors``."""
        return self.executor.actors(make, keys)


def _timed(
    work: Callable[..., Any], state: Any, task: Any, report: Callable[[int], object]
) -> tuple[float, float, Any]:
    encode(["0"])  # the weights are part of the start
    begin = time.time()
    result = work(state, task, report)
    return begin, time.time(), result


@cache
def _weights() -> torch.Tensor:
    return torch.randn(DEPTH, WIDTH, WIDTH, generator=torch.Generator().manual_seed(0)) / WIDTH**0.5


def encode(texts: list[str]) -> torch.Tensor:
    """Embed texts, which are numbers, by a model of matrix products."""
    x = torch.sin(torch.tensor([float(text) for text in texts])[:, None] * torch.arange(1, WIDTH + 1))
    for weights in _weights():
        x = torch.relu(x @ weights)
    return x[:, :D]


def embedding_seconds(folder: Path, executor: Executor) -> float:
    """The seconds in which an executor embeds four shards of 4,096 texts, without its start."""
    pool = folder / "texts.csv"
    pool.write_text("id,text\n" + "".join(f"{i},{i}\n" for i in range(4 * 4096)))
    timed = Timed(executor)
    with tempfile.TemporaryDirectory(dir=folder) as shards:
        embed_shards(pool, "benchmarks.distributed:encode", shards, rows_per_shard=4096, executor=timed)
    return timed.seconds


def embedding_table(folder: Path) -> list[str]:
    """The seconds of embedding, by this process with two threads and by two processes with one each."""
    ways: dict[str, Executor] = {"this process": Serial(), "two processes": Processes(2)}
    if RAY:
        from distil.distributed.ray import RayExecutor

        ways["two processes of Ray"] = RayExecutor(workers=2)
    torch.set_num_threads(2)
    seconds = {way: min(embedding_seconds(folder, executor) for _ in range(2)) for way, executor in ways.items()}
    rows = [f"| {way} | {took:.1f} | {took / seconds['this process']:.2f} |" for way, took in seconds.items()]
    return [
        "",
        f"Embedding four shards of 4,096 texts by a model of {DEPTH} products of {WIDTH} x {WIDTH}, from the first beginning of a "
        "shard to the last end of one; the better of two.",
        "",
        "| by | seconds | of one process |",
        "|---|---|---|",
        *rows,
    ]


def main(_: list[str]) -> None:
    """Measure, and write the table."""
    lines = [
        "# Pools in shards, by several processes",
        "",
        f"{N:,} x {D} embeddings and {C} probabilities (float32) in files whose pages are in memory, in {SHARDS} shards. Whole "
        "commands, their start included; memory of all processes without mapped files. All ways give the same ids.",
        "",
        "| strategy | n | way | seconds | MB | rounds | KB a round |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        for strategy, n in ASKED:
            picks = []
            for way, options in WAYS.items():
                document, seconds, peak = measured(folder, strategy, n, options)
                picks.append([pick["id"] for pick in document["picks"]])
                sent = document.get("messages", {"rounds": 0, "bytes": 0})
                each = (
                    f"{sent['rounds']} | {sent['bytes'] / max(1, sent['rounds']) / 1000:.1f}"
                    if sent["rounds"]
                    else " | "
                )
                lines.append(f"| {strategy} | {n:,} | {way} | {seconds:.1f} | {peak:.0f} | {each} |")
            if picks[1:] != picks[:-1]:
                raise SystemExit(f"{strategy}: the ids differ")
        lines += embedding_table(folder)
    write("distributed", "\n".join(lines))

"""Selections from a million rows in four shards: time, memory and messages, against those of one process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import write
from distil.data.shards import write_manifest

N, D, C, SHARDS = 1_000_000, 64, 10, 4
ROWS = 262_144  # of a shard; the last has fewer
ASKED = (("margin_sampling", 1_000), ("core_set", 1_000), ("badge", 1_000))
WAYS = {
    "one process": ("--embeddings", "whole/embeddings.npy", "--probs", "whole/probs.npy"),
    "shards, serial": ("--shards", "shards"),
    "shards, processes": ("--shards", "shards", "--executor", "processes"),
}


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


def main(_: list[str]) -> None:
    """Measure, and write the table."""
    lines = [
        f"{N:,} x {D} embeddings and {C} probabilities (float32) in files whose pages are in memory, in {SHARDS} shards. Whole "
        "commands, their start included; memory of all processes without mapped files. The three ways give the same ids.",
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
    write("distributed", "\n".join(lines))

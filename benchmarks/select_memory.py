"""Memory and time of selections from arrays: 1,000 of 50,000 in memory; of a million in mapped files with ``--rows 1000000``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import distil
from benchmarks.machine import write

N, D, C, BUDGET, LABELED = 50_000, 512, 100, 1_000, 200
LIMIT_MB = 250

# Selections from files: strategy, options of the command, labeled rows. Data: Gaussians of this rank through a ReLU, and noise.
MAPPED = (
    ("margin_sampling", ("probs",), LABELED),
    ("badge", ("embeddings", "probs"), LABELED),
    ("core_set", ("embeddings",), 0),
    ("core_set", ("embeddings",), LABELED),
    ("core_set", ("embeddings",), 2_000),
)
RANK, NOISE, BLOCK = 24, 0.15, 20_000
MAPPED_LIMIT_MB = 1_000


def _megabytes(key: str, process: int | str = "self") -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{process}/status has no {key}")


def measure(strategy: str) -> None:
    """In a separate process: print seconds and megabytes."""
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


def make(folder: Path, rows: int) -> None:
    """The files of a clustered pool: embeddings, probabilities, and lists of rows labeled at random."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((C, RANK), dtype=np.float32) * 2
    widen = rng.standard_normal((RANK, D), dtype=np.float32) / RANK**0.5
    head = rng.standard_normal((D, C), dtype=np.float32) / D**0.5
    embeddings = np.lib.format.open_memmap(folder / "embeddings.npy", "w+", np.float32, (rows, D))
    probs = np.lib.format.open_memmap(folder / "probs.npy", "w+", np.float32, (rows, C))
    for start in range(0, rows, BLOCK):
        n = min(BLOCK, rows - start)
        points = centers[rng.integers(C, size=n)] + rng.standard_normal((n, RANK), dtype=np.float32)
        x = np.maximum(points @ widen, 0) + NOISE * rng.standard_normal((n, D), dtype=np.float32)
        embeddings[start : start + n] = x
        probs[start : start + n] = torch.from_numpy(x @ head).mul_(2).softmax(1).numpy()
    for size in {labeled for _, _, labeled in MAPPED}:
        np.save(folder / f"labeled_{size}.npy", np.sort(rng.choice(rows, size, replace=False)))


def measure_mapped(folder: Path, strategy: str, options: list[str], labeled: int) -> None:
    """In a separate process: print the seconds of two library calls, the second with warm threads and files."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in options}
    rows = np.load(folder / f"labeled_{labeled}.npy")
    for _ in range(2):
        start = time.perf_counter()
        chosen = distil.select_from(strategy, BUDGET, labeled=rows, **arrays)
        print(f"{time.perf_counter() - start:.2f}", end=" ")
    assert len(set(chosen.tolist())) == BUDGET


def _watched(command: list[str]) -> tuple[str, float, float]:
    """Output of a process, its seconds, and its largest private memory, sampled fifty times a second."""
    start, most = time.perf_counter(), 0.0
    with subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            if (
                Path(f"/proc/{process.pid}/statm").read_text().strip() != "0 0 0 0 0 0 0"
            ):  # the process may have ended just now
                most = max(most, _megabytes("RssAnon", process.pid))
            time.sleep(0.02)
        out = process.stdout.read() if process.stdout is not None else ""
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return out, time.perf_counter() - start, most


def _mapped_row(folder: Path, strategy: str, options: tuple[str, ...], labeled: int) -> str:
    out, _, own = _watched(
        ["benchmarks", "select_memory", "mapped", str(folder), strategy, ",".join(options), f"{labeled}"]
    )
    arrays = [part for name in options for part in (f"--{name}", str(folder / f"{name}.npy"))]
    known = ["--labeled", str(folder / f"labeled_{labeled}.npy")] if labeled else []
    picks = str(folder / "picks.csv")
    argv = ["distil", "select", *arrays, *known, "--strategy", strategy, "--n", f"{BUDGET}", "--out", picks]
    _, seconds, most = _watched(argv)
    return f"| {strategy} | {labeled:,} | {min(map(float, out.split())):.1f} | {seconds:.1f} | {own:.0f} | {most:.0f} |"


def main_mapped(rows: int) -> None:
    """Measure pools in files and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), rows)
        table = [_mapped_row(Path(folder), *each) for each in MAPPED]
    head = "| strategy | labeled | library, s | command, s | library, MB | command, MB |\n|---|---|---|---|---|---|"
    write(
        "select_memory_mapped",
        f"# Selections from mapped files\n\n`python -m benchmarks select_memory --rows {rows}`: {BUDGET} of {rows:,} rows, {D} "
        f"dimensions, {C} classes, float32, {rows * (D + C) * 4 / 1e9:.1f} GB; labeled rows at random. Seconds of the better of "
        "two calls, and of the whole command; private memory of the whole process, of which "
        f"{MAPPED_LIMIT_MB} MB are allowed.\n\n" + "\n".join([head, *table]),
    )


def main(argv: list[str]) -> None:
    """Measure BADGE and core-set and write the table."""
    if argv and argv[0] == "--rows":
        main_mapped(int(argv[1]))
        return
    if argv and argv[0] == "mapped":
        measure_mapped(Path(argv[1]), argv[2], argv[3].split(","), int(argv[4]))
        return
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

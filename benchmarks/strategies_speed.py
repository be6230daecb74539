"""Time and memory of every registered strategy: 500 of 50,000 x 256; the names of strategies measure only these."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import distil
from benchmarks.machine import write
from benchmarks.speed.data import Mixture
from distil.signals import Given, measured_by
from distil.strategies import STRATEGIES
from distil.strategies.base import ROLES
from distil.strategies.registry import tasks_of

N, D, C, K, BUDGET, LABELED, ASIDE = 50_000, 256, 10, 10, 500, 500, 20
SECONDS, PATIENCE = 60, 300
# 512 for similarities, distances and other blocks, and three copies of the rows in double precision
MEGABYTES = 512 + 3 * 8 * N * D // 2**20


def measured() -> list[str]:
    """The strategies for classes that arrays are enough for, without those of tokens and of pairs of responses."""

    def runs(name: str) -> bool:
        strategy = distil.strategy_named(name)
        signals = [signal for role in ROLES for signal in measured_by(getattr(strategy.needs, role))]
        other = any(signal.grad or isinstance(signal, Given) for signal in signals)
        return "classification" in tasks_of(strategy) and not other

    return [name for name in sorted(STRATEGIES) if runs(name)]


def given(share: float) -> dict[str, object]:
    """The arguments of ``select_from``: a share of the pool, clustered, with the model of a linear head."""
    n, rng = round(N * share), np.random.default_rng(1)
    mixture = Mixture(D, C)
    x = mixture.rows(n)
    probs = mixture.probs(x)
    noisy = np.log(probs + 1e-9)[:, None] + 0.5 * rng.standard_normal((n, K, C), dtype=np.float32)
    ids = rng.permutation(n)
    labeled, query, private = np.split(ids[: round(LABELED * share) + 2 * ASIDE], [-2 * ASIDE, -ASIDE])
    return {
        "probs": probs,
        "embeddings": x,
        "mc_probs": torch.from_numpy(noisy).softmax(2).numpy(),
        "costs": rng.uniform(1, 5, n),
        "labeled": dict(zip(labeled.tolist(), probs[labeled].argmax(1).tolist(), strict=True)),
        "query": query,
        "private": private,
    }


def measure(name: str, share: float) -> None:
    """In a separate process: print seconds, seconds of processors, and megabytes beyond the inputs."""
    torch.set_num_threads(2)
    few, arguments = given(0.02), given(share)
    distil.select_from("margin_sampling", 2, probs=few["probs"])  # libraries are loaded, and threads started
    before = _megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    start, used = time.perf_counter(), time.process_time()
    n = round(BUDGET * share)
    found = distil.select_from(name, n, **arguments)  # type: ignore[arg-type]
    seconds, used = time.perf_counter() - start, time.process_time() - used
    assert len(set(found.tolist())) == n
    print(f"{seconds:.2f} {used:.2f} {_megabytes('VmHWM') - before:.0f}")


def _megabytes(key: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def _row(name: str, share: float) -> str:
    command = [sys.executable, "-m", "benchmarks", "strategies_speed", "--measure", "--share", str(share), name]
    try:
        out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    except subprocess.TimeoutExpired:
        return f"| `{name}` | more than {PATIENCE} | | | **no** |"
    except subprocess.CalledProcessError as error:
        return f"| `{name}` | {error.stderr.strip().splitlines()[-1]} | | | **no** |"
    seconds, used, megabytes = map(float, out.split())
    within = seconds <= SECONDS and megabytes <= MEGABYTES
    return f"| `{name}` | {seconds:.1f} | {used:.1f} | {megabytes:.0f} | {'yes' if within else '**no**'} |"


def main(argv: Sequence[str]) -> None:
    """Measure the strategies named, by default all, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks strategies_speed")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--share", type=float, default=1.0, help="share of pool and selection, for a quick look")
    parser.add_argument("--measure", action="store_true", help="measure one strategy in this process")
    options = parser.parse_args(argv)
    if options.measure:
        measure(options.names[0], options.share)
        return
    rows = []
    for name in options.names or measured():
        rows.append(_row(name, options.share))
        print(rows[-1], flush=True)
    head = "| strategy | seconds | processor seconds | MB beyond the inputs | within |\n|---|---|---|---|---|"
    text = (
        f"# Time and memory of every strategy\n\n`python -m benchmarks strategies_speed`: {round(BUDGET * options.share)} of "
        f"{round(N * options.share):,} rows, {D} dimensions, {C} classes, {round(LABELED * options.share)} labeled, {K} samples, "
        f"two threads, one call each in a process of its own. *Within*: at most {SECONDS} s and {MEGABYTES} MB "
        f"(512, and three copies of the rows in double precision); a call that is not done after {PATIENCE} s is ended. The "
        "strategies that attack the inputs of a model, and those for regression, several labels, tokens and pairs, are left "
        "out.\n\n"
    )
    if not options.names:
        write("strategies_speed", text + "\n".join([head, *rows]))

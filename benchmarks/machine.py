"""The machine's description, printed under every table, and its peak rates."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch


def described() -> str:
    """Processor, cores, threads and versions, in one line."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [
        line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
    ]
    name = models[0] if models else platform.processor() or platform.machine()
    return (
        f"{name}, {os.cpu_count()} cores, torch {torch.__version__} with {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}"
    )


def peaks(side: int = 4096, megabytes: int = 1024, device: str = "cpu") -> dict[str, float]:
    """The largest rates seen: ``read`` of memory (bytes a second) and ``gemm`` in float32 (operations a second).

    Args:
        side: Rows and columns of the square matrices.
        megabytes: Size of the array that is read.
        device: Device to measure.
    """
    array = torch.ones(megabytes << 18, device=device)
    square = torch.ones(side, side, device=device)
    read = _least(lambda: float(torch.dot(array, array)))
    gemm = _least(lambda: float((square @ square)[0, 0]))
    return {"read": array.numel() * 4 / read, "gemm": 2 * side**3 / gemm}


def write(name: str, text: str) -> None:
    """Write ``benchmarks/results/NAME.md`` with the machine's line under it, and print it."""
    text = f"{text.rstrip()}\n\n{described()}.\n"
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def _least(call: Callable[[], object], repeats: int = 4) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main(_: list[str]) -> None:
    """Print the description and the peak rates."""
    print(described())
    found = peaks()
    print(f"reads {found['read'] / 1e9:.0f} GB/s, float32 products {found['gemm'] / 1e9:.0f} GFLOP/s")

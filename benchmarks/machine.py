"""What this machine is: the line that stands under every table."""

from __future__ import annotations

import os
import platform
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


def write(name: str, text: str) -> None:
    """Write ``benchmarks/results/NAME.md`` with the machine's line under it, and print it."""
    text = f"{text.rstrip()}\n\n{described()}.\n"
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def main(_: list[str]) -> None:
    """Print it."""
    print(described())

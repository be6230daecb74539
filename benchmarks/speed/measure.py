"""Seconds and bytes of one call, and of a process. Works without torch, in the peers' environment too."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def kilobytes(key: str, process: int | str = "self") -> int:
    """A line of ``/proc/PROCESS/status``, such as ``VmRSS``; 0 where there is none."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


class Peak:
    """The peak memory of a process since its start, minus its memory at the start."""

    def __init__(self, device: str = "cpu") -> None:
        self._cuda = sys.modules["torch"].cuda if device != "cpu" else None
        if self._cuda is not None:
            self._cuda.reset_peak_memory_stats()
            self._before = self._cuda.memory_allocated()
            return
        self._before = kilobytes("VmRSS")
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        except OSError:
            self._before = -1

    def bytes(self) -> int | None:
        """None if the system does not report it."""
        if self._cuda is not None:
            return self._cuda.max_memory_allocated() - self._before
        return None if self._before < 0 else max(0, kilobytes("VmHWM") - self._before) * 1024


def timed(call: Callable[[], T], device: str = "cpu") -> tuple[float, float, T]:
    """Wall seconds, CPU seconds of all threads, and what the call returned."""
    cpu, start = time.process_time(), time.perf_counter()
    out = call()
    if device != "cpu":
        sys.modules["torch"].cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - cpu, out


def warm() -> None:
    """Bring up the thread pools of BLAS: the first product of a process takes many times as long as the next."""
    square = np.ones((512, 512), np.float32)
    for _ in range(3):
        square @ square
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        tensor = torch.ones(512, 512)
        for _ in range(3):
            tensor @ tensor
            tensor @ tensor[0]
            torch.relu(torch.nn.functional.conv2d(tensor[None, None, :64, :64], tensor[None, None, :3, :3]))
            (tensor + 1).sum(1).argmax()


def pin(threads: int) -> dict[str, str]:
    """The environment that keeps every thread pool to this many threads."""
    names = ("OMP", "MKL", "OPENBLAS", "NUMBA", "NUMEXPR", "VECLIB_MAXIMUM")
    return {f"{name}_NUM_THREADS": str(threads) for name in names}


def load() -> float:
    """The load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def summary(seconds: list[float]) -> dict[str, float]:
    """The minimum and the median."""
    return {"seconds": min(seconds), "median": statistics.median(seconds), "repeats": len(seconds)}


def extrapolated(at: tuple[float, float], seconds: tuple[float, float], wanted: float) -> float:
    """The time for ``wanted`` work, from the times for two smaller amounts, along the line through them (never downwards)."""
    slope = max(0.0, (seconds[1] - seconds[0]) / (at[1] - at[0]))
    return seconds[1] + slope * (wanted - at[1])

"""The provenance of a run (versions, fingerprint of the data), and its time and memory."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import distil.errors
from distil.datasets.data_set import DataSet
from distil.experiment.run import Run

_PACKAGES = ("distil", "torch", "numpy", "scikit-learn", "torchvision", "timm")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def versions() -> dict[str, str]:
    """Versions of Python, of this package (in a checkout, with its git revision) and of the packages that it computes with.

    They are part of a run's events, so every call on one installation returns the same.
    """
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    revision = _revision()
    return installed if revision is None else {**installed, "revision": revision}


def fingerprint(data: DataSet) -> str:
    """SHA-256 of the inputs, labels, ids and class names of a data set, in hexadecimal; about one second per gigabyte."""
    digest = hashlib.sha256()
    for tensor in (data.x_train, data.y_train, data.x_test, data.y_test):
        if tensor is None:
            digest.update(b"none\n")
            continue
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(np.ascontiguousarray(tensor.numpy()).data)
    for name in (*data.names, "", *data.class_names):
        digest.update(name.encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()


@contextmanager
def peak_memory() -> Iterator[Callable[[], int | None]]:
    """Yield a function that returns, after the block, by how many bytes the memory of this process grew at most within it.

    None where the system does not report it (any other than Linux). A process can make one measurement at a time.
    """
    start = peak = None
    if _CLEAR.exists():
        try:
            _CLEAR.write_text("5")  # sets the high-water mark back to the present size
            start = _held("VmRSS")
        except OSError:
            start = None
    try:
        yield lambda: peak
    finally:
        if start is not None:
            peak = max(0, _held("VmHWM") - start)


@contextmanager
def timed(run: Run, round: int, step: str) -> Iterator[None]:  # noqa: A002 - the loop's word
    """Record in a run the seconds that a step takes, and the memory that it adds at its peak."""
    with peak_memory() as peak:
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
    run.time(round=round, step=step, seconds=seconds, peak_bytes=peak())


def _held(key: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0


@functools.cache
def _revision() -> str | None:
    """The git revision of the checkout that the package is in, with a + if files differ from it; None without a checkout."""
    root = Path(distil.errors.__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no", "--", "src") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()

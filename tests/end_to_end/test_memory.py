"""Selections from more than memory holds: a process that may not take more says so by dying."""

import os
import subprocess
import sys

import numpy as np
import pytest

N, DIMS, CLASSES = 200_000, 64, 16  # 51 and 13 MB

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")

# RLIMIT_DATA counts private memory that can be written: neither mapped files nor scratch.
SCRIPT = """
import resource, sys
import numpy as np
import torch
from torch import nn
from distil import Runtime, select, select_from
torch.set_num_threads(1)
folder, what, limit, memory = *sys.argv[1:3], *map(int, sys.argv[3:])
probs, embeddings = (np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in ("probs", "embeddings"))
runtime = Runtime(memory=memory << 20, scratch=folder)
head = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
calls = {
    "entropy": lambda n: select_from("entropy_sampling", 50, probs=probs[:n], runtime=runtime),
    "fass": lambda n: select_from("fass", 50, probs=probs[:n], embeddings=embeddings[:n], runtime=runtime),
    "gather": lambda n: select_from(
        "badge", 1, probs=probs[:n], embeddings=embeddings[:n], candidates=range(0, n, 2), runtime=runtime
    ),
    "badge": lambda n: select_from("badge", 1, probs=probs[:n], embeddings=embeddings[:n], runtime=runtime),
    "network": lambda n: select("badge", head, embeddings[:n], 1, runtime=runtime),
    "network scores": lambda n: select("margin_sampling", head, embeddings[:n], 50, runtime=runtime),
}
calls[what](2000)  # libraries and threads are up
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (used + (limit << 20), resource.RLIM_INFINITY))
print(*calls[what](200_000).tolist())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mapped")
    rng = np.random.default_rng(0)
    probs = rng.uniform(0.1, 1, size=(N, CLASSES)).astype(np.float32)
    np.save(folder / "probs.npy", probs / probs.sum(1, keepdims=True))
    np.save(folder / "embeddings.npy", rng.normal(size=(N, DIMS)).astype(np.float32))
    return folder


def run(folder, what, limit, memory):
    """A selection in a process that may take ``limit`` MB more, with ``memory`` MB of them for columns."""
    arguments = [str(folder), what, str(limit), str(memory)]
    # Freed blocks go back to the system at once: what the allocator keeps for later depends on the machine.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.slow
def test_private_memory_is_bounded(case, folder):
    """The embeddings take 51 MB, the probabilities and what is derived of them 13 MB each."""
    for what, limit in [
        ("entropy", 12),
        ("fass", 12),
        ("badge", 24),
        ("gather", 24),
        ("network", 20),
        ("network scores", 20),
    ]:
        with case(what, limit):
            done = run(folder, what, limit, 1)
            assert done.returncode == 0, done.stderr
            assert len(done.stdout.split()) in (1, 50)
            assert sorted(path.name for path in folder.iterdir()) == ["embeddings.npy", "probs.npy"]


@pytest.mark.slow
def test_the_limit_is_one(case, folder):
    for what in ["gather", "network"]:
        with case(what):
            done = run(folder, what, 20, 1000)
            assert done.returncode != 0
            assert "can't allocate memory" in done.stderr

"""Small files that decompress to large ones, and headers that claim much, are read or refused in little memory."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")

LIMIT = 170  # MB
# RLIMIT_DATA counts private memory that can be written: neither mapped files nor scratch.
SCRIPT = """
import resource, sys, time
from distil.data.array_files import read_column
from distil.data.ids import read_ids
from distil.data.pools import open_pool
from distil.errors import InvalidInput
from distil.system.runtime import Runtime
read_column("small.npz")
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (used + (int(sys.argv[1]) << 20), resource.RLIM_INFINITY))
runtime = Runtime(memory=10 << 20, scratch=".")
print(read_column("large.npz", runtime=runtime).values.shape, flush=True)
for read, path in [
    (read_column, "claims.npz"), (read_column, "line.csv.gz"), (read_ids, "line.txt.gz"), (read_ids, "line.jsonl.gz"),
    (open_pool, "line.csv.gz"), (open_pool, "document.json.gz"), (read_ids, "nested.json"),
]:
    began = time.process_time()
    try:
        read(path)
    except InvalidInput as error:
        print(path, error, "in time" if time.process_time() - began < 5 else "late", flush=True)
"""


def compressed(path, begin, block, end, times):
    """A file whose content, ``times`` blocks of a million, is never in memory."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(begin)
        for _ in range(times):
            file.write(block * (1_000_000 // len(block)))
        file.write(end)


@pytest.mark.slow
def test_memory_is_bounded(tmp_path):
    np.savez_compressed(tmp_path / "small.npz", x=np.zeros((10, 2), np.float32))
    np.savez_compressed(tmp_path / "large.npz", x=np.zeros((200_000, 256), np.float32))  # 205 MB in 200 kB
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (3 << 40,)})
    with zipfile.ZipFile(tmp_path / "claims.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(100))
    compressed(tmp_path / "line.csv.gz", b"a,b\n", b"1.5,", b"\n", 100)
    compressed(tmp_path / "line.txt.gz", b"", b"a b ", b"\n", 100)
    compressed(tmp_path / "line.jsonl.gz", b"[", b"1, 2,", b"3]\n", 100)
    compressed(tmp_path / "document.json.gz", b"[[1],\n", b"[2],\n", b"[3]]\n", 100)
    (tmp_path / "nested.json").write_text("[" * 200_000)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(LIMIT)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"},  # freed blocks go back to the system at once
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "(200000, 256)"
    faults = ["is damaged", *["has a line of more than"] * 4, "has more than", "is not JSON"]
    assert len(lines) == 1 + len(faults)
    for line, fault in zip(lines[1:], faults, strict=True):
        assert fault in line
        assert line.endswith("in time")

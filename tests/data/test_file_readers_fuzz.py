"""Mutated files: every reader gives a valid object or one error of the library, in bounded time and memory, without warnings.

``python -m benchmarks mutated_files`` reads 500 files of every format.
"""

from __future__ import annotations

import resource

import pytest
from benchmarks.mutated_files import FORMATS, tried


@pytest.fixture(autouse=True)
def bounded():
    """With a limit on the size of files: a reader that asks for terabytes of scratch fails the test."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def check(name, cases, seed, tmp_path):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    found = tried(name, cases, seed, tmp_path)
    assert found.faults == []
    assert found.read + found.refused == cases * len(FORMATS[name][1])


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files(name, tmp_path):
    check(name, 20, 0, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_more_mutated_files(name, tmp_path):
    check(name, 60, 2, tmp_path)

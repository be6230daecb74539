"""A small share of ``benchmarks.chaos``: kills and altered records, each in a process of its own."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.chaos import ALTERATIONS

ROOT = Path(__file__).parents[1]


def test_every_alteration_changes_a_record(case):
    data = b'{"a": 12}\n{"b": 34}\n{"c": 56}\n'
    for how, alter in ALTERATIONS.items():
        with case(how):
            found = {alter(data, random.Random(seed)) for seed in range(20)}
            assert len(found - {data}) > 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_kills_and_alterations():
    """Nothing is lost, and no number changes unnoticed."""
    argv = ["chaos", "--kills", "6", "--alterations", "40", "--seed", "7", "--dry"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *argv],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 altered files" in done.stdout

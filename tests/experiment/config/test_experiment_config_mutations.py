"""Mutated configurations: the small share of ``python -m benchmarks configurations``."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CODE = """
import json, sys
import distil.experiment.outputs, distil.experiment.suite
from benchmarks import configurations as tried

print(json.dumps(tried.try_cases(range(int(sys.argv[1])))))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")
def test_mutated_configurations_are_run_or_refused_in_a_line():
    done = subprocess.run([sys.executable, "-c", CODE, "60"], capture_output=True, text=True, check=True)
    counts, wrong = json.loads(done.stdout.splitlines()[-1])
    assert wrong == []
    assert counts["accepted"] + counts["exit code 2"] + counts.get("exit code 1", 0) == 60
    assert counts["accepted"] >= 2
    assert counts["exit code 2"] >= 40


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")
def test_the_configurations_that_are_mutated_can_be_run():
    code = CODE.replace("try_cases(range(int(sys.argv[1])))", "try_bases()")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [100] * 5

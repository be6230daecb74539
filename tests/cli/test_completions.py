"""What a shell completes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from distil.cli.completions import COMPLETIONS, strategy_names
from distil.labeling.evaluate import MEASURES
from distil.labeling.samples import SAMPLINGS
from distil.strategies import STRATEGIES

SOURCE = str(Path(__file__).parents[2] / "src")


def test_the_names_are_those_of_the_registry():
    own = [name for name, cls in STRATEGIES.items() if cls.__module__.startswith("distil.")]
    assert strategy_names() == sorted(own)


def test_other_names_are_those_that_the_command_takes():
    assert COMPLETIONS["sampling"]("") == [*SAMPLINGS]
    assert COMPLETIONS["measure"]("") == [*MEASURES]


def test_the_last_name_of_a_list_is_completed():
    assert COMPLETIONS["retrain"]("scratch,w") == ["scratch,scratch", "scratch,warm", "scratch,shrink_perturb"]
    assert COMPLETIONS["track"]("") == ["tensorboard", "mlflow"]


def test_a_shell_completes():
    for words, expected in (
        ("distil sel", ["select"]),
        ("distil run a.json --strategies badge,core", ["badge,core_set"]),
    ):
        asked = {"_DISTIL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        done = subprocess.run(
            [sys.executable, "-m", "distil"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": SOURCE, **asked},
        )
        assert (done.stdout.split(), done.stderr) == (expected, "")

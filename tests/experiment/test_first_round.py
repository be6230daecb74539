"""The first round of a seed: trained once, taken over by the other strategies, refused where it is damaged."""

import shutil

import pytest

from distil.errors import RunError
from distil.experiment.loop import Experiment
from distil.experiment.results import run_path
from distil.experiment.run import Run
from distil.experiment.suite import run_all


def test_the_first_round_is_trained_once_a_seed_and_changes_nothing(config, trainings, tmp_path):
    made = config()
    run_all(made)
    first = [run for run in trainings(made.output) if run[2] == 0]
    assert first == [("random_sampling", "0", 0), ("random_sampling", "1", 0)]
    for spec in made.strategies:
        alone = Run(tmp_path / "alone" / spec.label)
        Experiment(alone, made, spec, 1, made.load_data()).advance()
        assert alone.events == Run(run_path(made.output, spec.label, 1)).events


def test_a_first_round_that_is_not_what_was_kept_is_refused(config):
    run_all(config(active_learning__strategies=["random_sampling"]))
    kept = config().output / "first_round" / "0" / "weights.safetensors"
    kept.write_bytes(b"another")
    with pytest.raises(RunError, match=r"first_round/0/weights\.safetensors is not the file that was kept"):
        run_all(config())
    kept.unlink()
    with pytest.raises(RunError, match="is missing; remove"):
        run_all(config())
    shutil.rmtree(kept.parent)
    assert run_all(config())

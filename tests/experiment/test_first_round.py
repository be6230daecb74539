"""The first round of a seed: trained once and taken over, trained again where its weights are lost, refused where it is altered."""

import re
import shutil

import pytest

from distil.errors import DistilWarning, RunError
from distil.experiment.chain import chained
from distil.experiment.loop import Experiment
from distil.experiment.results import run_path
from distil.experiment.run import Run
from distil.experiment.suite import run_all
from distil.selection.learner import Learner


def test_the_first_round_is_trained_once_a_seed_and_changes_nothing(config, trainings, tmp_path):
    made = config()
    run_all(made)
    first = [run for run in trainings(made.output) if run[2] == 0]
    assert first == [("random_sampling", "0", 0), ("random_sampling", "1", 0)]
    for spec in made.strategies:
        alone = Run(tmp_path / "alone" / spec.label)
        Experiment(alone, made, spec, 1, made.load_data()).advance()
        assert alone.events == Run(run_path(made.output, spec.label, 1)).events


def test_lost_weights_of_a_first_round_are_trained_again(config, run_files):
    """By the next run that needs them, to the same bytes, with a line that says so."""
    made = config(experiment__seeds=1)
    run_all(made)
    before = run_files(made.output, "weights.safetensors", "events.json")
    kept = made.output / "first_round" / "0" / "weights.safetensors"
    for damage in (kept.unlink, lambda: kept.write_bytes(b"another")):
        shutil.rmtree(made.output / "badge")
        damage()
        with pytest.warns(
            DistilWarning, match=r"first_round/0/weights\.safetensors is missing or is not what was kept"
        ):
            assert run_all(made)
        assert run_files(made.output, "weights.safetensors", "events.json") == before


def test_a_first_round_that_no_training_gives_again(config, monkeypatch):
    made = config(experiment__seeds=1)
    run_all(made)
    shutil.rmtree(made.output / "badge")
    (made.output / "first_round" / "0" / "weights.safetensors").unlink()
    real = Learner.fit
    monkeypatch.setattr(Learner, "fit", lambda self: (real(self), self.module.linear.bias.data.zero_())[0])
    with (
        pytest.warns(DistilWarning, match="is trained again"),
        pytest.raises(RunError, match=r"weights\.safetensors is missing .* training again gave other weights"),
    ):
        run_all(made)


def test_altered_events_of_a_first_round_are_refused(case, config):
    made = config(experiment__seeds=1, active_learning__rounds=1)
    run_all(made)
    path = made.output / "first_round" / "0" / "events.json"
    whole = path.read_bytes()
    for what, altered, fault in [
        ("a digit", re.sub(rb'"epochs": \d', b'"epochs": 7', whole), "its content does not match its hash"),
        ("without a hash", b'{"event": "trained"}\n', "expected a JSON object that begins with the key 'prev'"),
        ("not JSON", b"\xff[[[\n", "expected a JSON object that begins with the key 'prev'"),
        ("another seed", chained({"event": "first_round"}, "0" * 64)[0], "of another seed or configuration"),
    ]:
        with case(what):
            shutil.rmtree(made.output / "badge")
            path.write_bytes(altered)
            with pytest.raises(RunError, match=rf"first_round/0/events\.json, line 1: .*{fault}"):
                run_all(made)
            path.write_bytes(whole)
            assert run_all(made)

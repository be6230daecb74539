"""What a run says it was made with, and what it took."""

import pytest
import torch

from distil.experiment import loop
from distil.experiment.results import run_path
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.suite import run_all


def test_the_start_event_has_the_provenance(config):
    made = config()
    run_all(made)
    started = Run(run_path(made.output, "badge", 0)).events[0]
    assert started["device"] == "cpu"
    assert started["versions"]["torch"] == torch.__version__.partition("+")[0] or "+" in started["versions"]["torch"]
    part = split(made.load_data(), made, 0)
    most = part.y[part.pool].mode().values
    assert started["majority"] == pytest.approx(float((part.y_test == most).double().mean()))


def test_times_have_the_peak_of_memory(config, monkeypatch):
    real = loop.Learner.query

    def hungry(self, n, **options):
        torch.ones(50_000_000).sum()
        return real(self, n, **options)

    monkeypatch.setattr(loop.Learner, "query", hungry)
    made = config(active_learning__strategies=["random_sampling"], experiment__seeds=1)
    run_all(made)
    entries = [e for e in Run(run_path(made.output, "random_sampling", 0)).times() if e["step"] == "select"]
    if entries[0]["peak_bytes"] is None:
        pytest.skip("this system does not report the peak of memory")
    assert all(180e6 < entry["peak_bytes"] < 500e6 for entry in entries)

"""Remarks and warnings that decide how to read a table are in the events, and come out in the results, also after a resume."""

from __future__ import annotations

import json
import warnings

import pytest

from distil.errors import DistilWarning
from distil.experiment import outputs
from distil.experiment.directory import open_config
from distil.experiment.outputs import write_results
from distil.experiment.results import run_path
from distil.experiment.run import Run
from distil.experiment.suite import run_all
from distil.experiment.warned import kept_warnings
from distil.selection.oracle import Pending, TrueLabels


def test_warnings_of_a_block_are_kept_once_each_and_issued(recwarn):
    for _ in range(2):
        with kept_warnings() as kept:
            for text in ("b", "a", "b"):
                warnings.warn(text, DistilWarning, stacklevel=1)
        assert kept == ["b", "a"]
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        with kept_warnings() as kept:
            warnings.warn("of another package", UserWarning, stacklevel=1)
            warnings.warn("c", DistilWarning, stacklevel=1)
    assert kept == ["c"]
    assert {str(each.message) for each in shown} == {"of another package", "c"}


def test_warnings_before_an_error_are_issued():
    def fail():
        with kept_warnings():
            warnings.warn("before the error", DistilWarning, stacklevel=1)
            raise KeyError

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        with pytest.raises(KeyError):
            fail()
    assert [str(each.message) for each in shown] == ["before the error"]


def test_every_remark_comes_out_in_the_results_also_after_a_resume(config, run_files, monkeypatch, tmp_path):
    monkeypatch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")
    changes = {
        "active_learning__strategies": ["random_sampling", "entropy_sampling_dropout", "probcover", "kmeans_sampling"],
        "active_learning__rounds": 3,
        "dataset__test_points": 1700,
        "experiment__seeds": 1,
        "train_parameters__max_accuracy": 0.99,
    }
    whole = config(**changes, experiment__output=str(tmp_path / "whole"))
    made, true = config(**changes), TrueLabels(config().load_data().y_train)

    class Leaving:
        """Answers one query a call."""

        def __init__(self, *_):
            self.left = 1

        def ask(self, query):
            self.left -= 1
            return true.ask(query) if self.left >= 0 else Pending()

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TwoLayerNet has no dropout", DistilWarning)
        assert run_all(whole)
        assert run_all(made, oracle=Leaving) is False
        assert run_all(open_config(made.output), oracle=lambda *_: true)
    assert run_files(made.output) == run_files(whole.output)
    asked = Run(run_path(made.output, "entropy_sampling_dropout", 0)).all("asked")
    said = "TwoLayerNet has no dropout that can be sampled, so all samples are equal"
    assert [event["warnings"] for event in asked] == [[said], [said]]
    assert "warnings" not in json.dumps(Run(run_path(made.output, "random_sampling", 0)).events)
    cover = Run(run_path(made.output, "probcover", 0)).all("asked")[0]["notes"][0]
    write_results(made, page=True)
    results = (made.output / "results.md").read_text()
    page = json.dumps((made.output / "report.html").read_text(encoding="utf-8"))
    for sentence in [
        f"entropy_sampling_dropout: warnings in 2 steps, the first in round 1: {said}.",
        f"probcover: 2 of 2 selections have a note; the first: {cover}.",
        "random_sampling: 3 of 3 trainings ended with the last epoch (n_epoch), before their training accuracy reached 0.99 "
        "(max_accuracy).",
    ]:
        assert sentence in results
        assert sentence.split("; the first")[0] in page
    assert "kmeans_sampling: 3 of 3 trainings ended" in results

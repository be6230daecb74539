"""When runs were done, and by which process of an executor."""

import json
import os
import platform
from itertools import pairwise

from distil.experiment.page.report import report_of
from distil.experiment.results import run_of
from distil.experiment.suite import run_all
from distil.experiment.timeline import WORK, timeline_of
from distil.system.executor import Serial


def test_an_executor_leaves_a_line_for_each_stretch_of_work(config):
    made = config(active_learning__strategies=["random_sampling", "badge"])
    assert run_all(made, executor=Serial(), progress=False)
    found = report_of([made])["experiments"][0]["timeline"]
    here = f"{platform.node()} {os.getpid()}"
    runs = [f"{label}, seed {seed}" for label in ("random_sampling", "badge") for seed in (0, 1)]
    assert [(entry["run"], entry["worker"]) for entry in found] == [(run, here) for run in runs]
    assert found[0]["start"] == 0
    for before, after in pairwise(found):
        assert before["start"] < before["end"] <= after["start"]
    assert run_all(made, executor=Serial(), progress=False)  # nothing is left to do
    assert report_of([made])["experiments"][0]["timeline"] == found


def test_without_an_executor_there_is_none_and_damaged_lines_are_left_out(config):
    made = config(active_learning__strategies=["random_sampling"], experiment__seeds=1)
    assert run_all(made, progress=False)
    run = run_of(made, "random_sampling", 0)
    assert not (run.path / WORK).exists()
    assert report_of([made])["experiments"][0]["timeline"] == []
    lines = [
        {"worker": "b 2", "start": 110.0, "end": 115.5},
        {"worker": "a 1", "start": 100, "end": 104.0},
        {"worker": "a 1", "start": 9.0, "end": 8.0},
        {"worker": 3, "start": 1.0, "end": 2.0},
        {"worker": "a 1", "start": None, "end": 2.0},
        {"worker": "a 1"},
        [1],
    ]
    (run.path / WORK).write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"worker": "a')
    assert timeline_of([run]) == [
        {"run": "random_sampling, seed 0", "worker": "a 1", "start": 0.0, "end": 4.0},
        {"run": "random_sampling, seed 0", "worker": "b 2", "start": 10.0, "end": 15.5},
    ]

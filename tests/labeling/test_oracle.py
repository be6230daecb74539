"""A project as the oracle of a run."""

import json

import numpy as np
import pytest

from distil.cli import main
from distil.errors import InvalidInput
from distil.experiment.run import Run
from distil.labeling.events import Event
from distil.labeling.oracle import ProjectOracle
from distil.labeling.project import Project
from distil.selection.oracle import Pending, Query

NAMES = [str(n) for n in range(10)]


def test_what_is_asked_is_queued_and_answers_come_when_they_are_there(project, say):
    oracle = ProjectOracle(project)
    assert isinstance(oracle.ask(Query(1, (7, 2, 5))), Pending)
    assert project.queued("anna") == ["7", "2", "5"]
    say("anna", "label", "2", "cat")
    say("ben", "label", "9", "cat")  # not asked for
    say("anna", "unsure", "7")
    answers = oracle.ask(Query(1, (17, 12, 15), ("7", "2", "5")))
    assert (answers.ids, answers.labels, answers.skipped) == ([12], ["cat"], [17])
    assert project.queued("anna") == ["5"]
    with pytest.raises(InvalidInput, match="the project has no item '10'"):
        oracle.ask(Query(1, (10,)))


def test_runs_that_share_an_oracle_queue_together(project, say):
    oracle = ProjectOracle(project)
    oracle.ask(Query(1, (7, 2)))
    oracle.ask(Query(1, (2, 4)))
    assert project.queued("anna") == ["7", "2", "4"]
    say("anna", "label", "2", "cat")
    assert oracle.ask(Query(1, (7, 2))).ids == [2]
    assert project.queued("anna") == ["7", "4"]


def test_an_item_is_settled_when_as_many_people_answered_as_are_to(tmp_path, texts):
    with Project.create(tmp_path / "two", classes=["cat", "dog"], copies=2) as project:
        project.add(texts)

        def say(who, item, label, kind="label"):
            project.record_all([Event(kind=kind, who=who, item=item, label=label)])

        say("anna", "0", "cat")
        say("anna", "1", "cat")
        say("ben", "1", "dog")
        say("anna", "2", None, "skip")
        say("ben", "2", "dog")
        say("anna", "3", None, "skip")
        say("ben", "3", None, "unsure")
        say("carl", "4", "dog", "decide")
        assert project.settled() == {"2": "dog", "3": None, "4": "dog"}
        say("carl", "1", "dog")
        assert project.settled()["1"] == "dog"


def test_a_run_asks_people(tmp_path, monkeypatch):
    """It rests until they answered, and takes skips and labels; its data is found by the ids of the items."""
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    y = draws.integers(2, size=60)
    np.save("emb.npy", (draws.normal(size=(60, 4)) + 3 * y[:, None]).astype(np.float32))
    names = [f"scan-{row}" for row in range(60)]
    (tmp_path / "emb.ids.txt").write_text("".join(f"{name}\n" for name in names))
    (tmp_path / "labels.csv").write_text(
        "id,label\n" + "".join(f"{n},{'cat' if c else 'dog'}\n" for n, c in zip(names, y, strict=True))
    )
    loop = {"strategies": ["margin_sampling", "random_sampling"], "budget": 4, "rounds": 2, "initial_points": 8}
    document = {
        "dataset": {"embeddings": "emb.npy", "labels": "labels.csv"},
        "active_learning": loop,
        "experiment": {"output": "out", "oracle": "project p"},
    }
    (tmp_path / "x.json").write_text(json.dumps(document))
    with Project.create(tmp_path / "p", classes=["dog", "cat"]) as project:
        project.add("emb.npy", ids="emb.ids.txt")
        assert main(["run", "x.json"]) == 3
        asked = project.queued("anna")
        assert 4 <= len(asked) <= 8
        project.record_all([Event(kind="skip", who="anna", item=asked[0])])
        project.record_all([Event(kind="label", who="anna", item=item, label="cat") for item in asked[1:]])
        assert main(["resume", "out"]) == 0
    runs = [Run(folder) for folder in (tmp_path / "out").glob("*_sampling/0")]
    answers = [run.all("labeled")[-1] for run in runs]
    assert {names[row] for event in answers for row in event["ids"]} == set(asked[1:])
    assert {label for event in answers for label in event["labels"]} == {0}  # cat is the first class of the file
    assert asked[0] in [names[row] for run in runs for event in run.all("skipped") for row in event["ids"]]

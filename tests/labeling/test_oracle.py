"""A project as the oracle of a run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

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


# ------------------------------------------------------------------------------------------------------ pools without labels


@pytest.fixture
def unlabeled(tmp_path, monkeypatch):
    """A pool of 60 embeddings in a project, a labeled test set, and a configuration without labels of the pool; the labels."""
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    y = draws.integers(2, size=90)
    x = (draws.normal(size=(90, 4)) + 3 * y[:, None]).astype(np.float32)
    words = np.array(["dog", "cat"])[y]
    np.save("emb.npy", x[:60])
    np.save("test.npy", x[60:])
    (tmp_path / "emb.ids.txt").write_text("".join(f"scan-{row}\n" for row in range(60)))
    (tmp_path / "test.ids.txt").write_text("".join(f"test-{row}\n" for row in range(30)))
    write_labels("test.csv", {f"test-{row}": word for row, word in enumerate(words[60:])})
    with Project.create(tmp_path / "p", classes=["dog", "cat"]) as project:
        project.add("emb.npy", ids="emb.ids.txt")
    configure({})
    return {f"scan-{row}": str(word) for row, word in enumerate(words[:60])}


def configure(more, experiment=None):
    loop = {"strategies": ["margin_sampling", "random_sampling"], "budget": 4, "rounds": 3, "initial_points": 8}
    document = {
        "dataset": {"embeddings": "emb.npy", "test_embeddings": "test.npy", "test_labels": "test.csv", **more},
        "active_learning": loop,
        "experiment": {"output": "out", "oracle": "project p", **(experiment or {})},
    }
    Path("x.json").write_text(json.dumps(document))


def write_labels(path, labels):
    Path(path).write_text("id,label\n" + "".join(f"{name},{label}\n" for name, label in labels.items()))


def answer(truth, skip=()):
    """A person answers all that is queued; returns the ids."""
    with Project.open("p") as project:
        asked = project.queued("anna")
        project.record_all(
            [
                Event(
                    kind="skip" if item in skip else "label",
                    who="anna",
                    item=item,
                    label=None if item in skip else truth[item],
                )
                for item in asked
            ]
        )
    return asked


def run_to_the_end(truth, words, skip=()):
    """Run, answer and resume until the end; returns the ids that were asked for in each turn."""
    turns = []
    while (code := main(words)) == 3:
        turns.append(answer(truth, skip))
        assert turns[-1]
        words = ["resume", "out"]
    assert code == 0
    return turns


def runs():
    return {path.parent.name: Run(path) for path in sorted(Path("out").glob("*_sampling/0"))}


def test_a_run_needs_no_labels_of_the_pool(unlabeled):
    """People label the initial points too; all strategies start from the same ones, without those that were skipped."""
    skip = {"scan-3", "scan-17", "scan-40"}
    turns = run_to_the_end(unlabeled, ["run", "x.json"], skip)
    assert len(turns) == 3
    assert len(turns[0]) == 8
    found = runs()
    first = {name: run.all("labeled")[0] for name, run in found.items()}
    assert first["margin_sampling"] == first["random_sampling"]
    assert set(first["margin_sampling"]["names"]) == set(turns[0]) - skip
    with Project.open("p") as project:
        said = project.labels()
    for run in found.values():
        labeled = {
            f"scan-{row}": ("cat", "dog")[label]
            for event in run.all("labeled")
            for row, label in zip(event["ids"], event["labels"], strict=True)
        }
        assert len(labeled) >= 8
        assert labeled.items() <= said.items()
        assert run.last("evaluated")["accuracy"] > 0.8
        assert "majority" not in run.events[0]


@pytest.mark.slow
def test_a_run_with_a_project_goes_on_after_a_stop_before_any_event(unlabeled, monkeypatch):
    """The record has the same bytes as that of a run that was not stopped."""
    run_to_the_end(unlabeled, ["run", "x.json"])
    whole = {name: (run.path / "events.jsonl").read_bytes() for name, run in runs().items()}
    shutil.move("out", "first")
    shutil.rmtree("p")
    with Project.create("p", classes=["dog", "cat"]) as project:
        project.add("emb.npy", ids="emb.ids.txt")
    append, written = Run.append, set()

    def stop_once(run, event):
        key = (run.path, event["event"], event.get("round"))
        if key not in written:
            written.add(key)
            raise KeyboardInterrupt
        return append(run, event)

    monkeypatch.setattr(Run, "append", stop_once)
    words, code = ["run", "x.json"], 130
    while code != 0:
        code = main(words)
        if code == 3:
            answer(unlabeled)
        else:
            assert code in (0, 130)
        words = ["resume", "out"] if Path("out/config.json").exists() else words
    assert {name: (run.path / "events.jsonl").read_bytes() for name, run in runs().items()} == whole


KILLED = r"""
import gc, json, os, signal, sys

import distil.experiment.loop, distil.labeling.oracle
from distil.cli import main
from distil.experiment.run import Run
from distil.labeling.project import Project

gc.freeze()
for line in sys.stdin:
    moment, words = json.loads(line)
    child = os.fork()
    if child == 0:
        passed = 0

        def pass_by():
            global passed
            passed += 1
            if passed == moment:
                os.kill(os.getpid(), signal.SIGKILL)

        def around(act):
            def acted(*arguments):
                pass_by()
                done = act(*arguments)
                pass_by()
                return done
            return acted

        Run.append, Project.queue, Project.settled = map(around, (Run.append, Project.queue, Project.settled))
        os.dup2(2, 1)
        os._exit(main(words))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_run_with_a_project_goes_on_after_kills(unlabeled):
    """Killed before or after an event, a question or a reading of answers: the same bytes, and no item comes twice."""
    asked = run_to_the_end(unlabeled, ["run", "x.json"])
    whole = {name: (run.path / "events.jsonl").read_bytes() for name, run in runs().items()}
    shutil.rmtree("out")
    shutil.rmtree("p")
    with Project.create("p", classes=["dog", "cat"]) as project:
        project.add("emb.npy", ids="emb.ids.txt")
    kills, turns, code = 0, [], None
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as helper:
        while code != 0:
            words = ["resume", "out"] if Path("out/config.json").exists() else ["run", "x.json"]
            print(json.dumps([kills + 1, words]), file=helper.stdin, flush=True)
            code = int(helper.stdout.readline())
            assert code in (0, 3, -9)
            kills += code == -9
            if code == 3:
                turns.append(answer(unlabeled))
        helper.stdin.close()
    assert kills > 10
    # a process that was not killed goes on to ask for what the first strategy no longer waits for
    assert all(set(turn) <= set(once) for turn, once in zip(turns, asked, strict=True))
    assert {name: (run.path / "events.jsonl").read_bytes() for name, run in runs().items()} == whole
    with Project.open("p") as project:
        answered = [each.event.item for each in project.events() if each.event.kind == "label"]
    assert len(answered) == len(set(answered))


def test_labels_that_are_there_are_the_initial_ones_and_the_test_set(unlabeled):
    known = [f"scan-{row}" for row in range(0, 60, 2)]
    write_labels("some.csv", {name: unlabeled[name] for name in known})
    configure({"labels": "some.csv", "test_embeddings": None, "test_labels": None, "test_points": 20})
    turns = run_to_the_end(unlabeled, ["run", "x.json"])
    assert len(turns) == 2  # nothing is asked for the initial points
    for run in runs().values():
        assert set(run.all("labeled")[0]["names"]) <= set(known)
        assert run.events[0]["test"] == 20
        assert "majority" in run.events[0]


def test_what_needs_labels_says_so(unlabeled, capsys):
    write_labels("some.csv", {f"scan-{row}": unlabeled[f"scan-{row}"] for row in range(10)})
    own = {"labels": "some.csv", "test_embeddings": None, "test_labels": None}
    for more, experiment, message in (
        ({}, {"oracle": None}, "missing key dataset.labels; only with experiment.oracle and dataset.test_labels"),
        ({"test_embeddings": None, "test_labels": None}, {}, "missing key dataset.labels"),
        ({"labels": "some.csv"}, {"oracle": None}, "some.csv has no label for 50 of the 60 rows"),
        ({**own, "test_points": 11}, {}, "11 test points and 0 validation points need a label, and only 10 of the 60"),
        ({**own, "label_noise": 0.1}, {}, "dataset.label_noise needs a label for every example"),
        (own, {"full_data": True}, "full_data trains on the whole pool, and 50 of its 58 examples have no label"),
        (
            own,
            {"ceiling": True},
            "ceiling looks at the true labels of the whole pool, and 50 of its 58 examples have no",
        ),
    ):
        configure(more, experiment)
        assert main(["run", "x.json", "--output", f"out{len(message)}"]) == 2, message
        assert message in capsys.readouterr().err


def test_if_all_initial_points_are_skipped_the_run_ends(unlabeled, capsys):
    assert main(["run", "x.json"]) == 3
    answer(unlabeled, skip=set(unlabeled))
    assert main(["resume", "out"]) == 1
    assert "all 8 initial points of out/margin_sampling/0 were skipped" in capsys.readouterr().err

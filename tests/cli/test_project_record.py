"""``distil project classes``, ``history``, ``undo``, ``ties`` and ``decide``."""

import json
from pathlib import Path

import pytest

from distil.cli import main
from distil.labeling.events import Event
from distil.labeling.project import Project


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """``run(*words)``: run a command on a project ``p`` of three texts; its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "anna")
    (tmp_path / "texts.csv").write_text("id,text\nt0,zero\nt1,one\nt2,two\n")
    with Project.create("p", classes=["cat", "dog"]) as project:
        project.add("texts.csv")

    def run(*words):
        code = main(["project", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def record(*events):
    with Project.open("p") as project:
        project.record_all(events)


def keys(run, kind):
    """The keys of the events of a kind, the newest first."""
    _, out, _ = run("history", "p", "--n", "100", "--json")
    return [event["key"] for event in json.loads(out)["events"] if event["kind"] == kind]


def test_classes_are_shown_and_changed(run):
    record(Event(kind="label", who="ben", item="t0", label="dog"))
    assert run("classes", "p")[1].splitlines() == ["cat\t\t0\t", "dog\t\t1\t"]
    changed = ("--add", "cow,pet", "--rename", "dog=hound", "--key", "hound=h", "--key", "cat==", "--merge", "pet=cat")
    assert run("classes", "p", *changed)[1].splitlines() == ["cat\t=\t0\tpet", "hound\th\t1\tdog", "cow\t\t0\t"]
    (merge,) = keys(run, "class_merge")
    assert run("undo", "p", merge, "--who", "ben")[0] == 0
    assert run("classes", "p")[1].splitlines()[-1] == "pet\t\t0\t"
    assert "undone already" in run("undo", "p", merge)[2]


def test_changes_of_classes_are_recorded_together_or_not_at_all(run):
    wrong = {
        ("--add", "cow", "--rename", "dgo=x"): "no class 'dgo'; did you mean 'dog'",
        ("--add", "cow", "--key", "cat=ab"): "must be one printable character",
        ("--add", "cow,cat"): "has a class 'cat' already",
        ("--merge", "cat"): "expected two texts with = in between, such as cat=dog, got 'cat'",
        ("--rename", "=x"): "expected two texts",
    }
    for words, message in wrong.items():
        code, _, err = run("classes", "p", *words)
        assert code == 2
        assert message in err
    with Project.open("p") as project:
        assert project.classes == ["cat", "dog"]
        assert project.class_keys == {}


def test_history_and_undo(run):
    first = Event(kind="label", who="anna", item="t0", label="cat", key="first-key", ms=900)
    record(first, Event(kind="flag", who="ben", item="t1", key="flag-of-ben"))
    assert run("undo", "p", "first-key")[1] == "first-key is undone\n"
    code, out, _ = run("history", "p", "--item", "t0")
    assert code == 0
    lines = [line.split("\t")[1:] for line in out.splitlines()]
    assert [line[:4] for line in lines] == [["anna", "undo", "", "first-key"], ["anna", "label (undone)", "t0", "cat"]]
    document = json.loads(run("history", "p", "--item", "t0", "--json")[1])["events"][1]
    assert (document["seq"], document["undone"], document["ms"]) == (4, True, 900)
    assert run("undo", "p", "first-key", "--redo")[1] == "first-key counts again\n"
    assert [line.split("\t")[1] for line in run("history", "p", "--who", "ben")[1].splitlines()] == ["ben"]
    assert len(run("history", "p", "--n", "2")[1].splitlines()) == 2
    for words, message in {
        ("undo", "p", "flag-of-ben"): "anna cannot undo what ben did; withdraw the answer, or decide the item",
        (
            "undo",
            "p",
            "no-such-key",
        ): "the record has no event with the key no-such-key; `distil project history` shows",
        ("undo", "p", "nokey"): "the key of an event has 8 to 100 letters",
        (
            "undo",
            "p",
            keys(run, "class_add")[0],
        ): "class_add cannot be undone; expected label, skip, unsure, flag, decide, withdraw, class_merge",
        ("history", "p", "--item", "t9"): "the project has no item 't9'",
        ("history", "p", "--n", "0"): "n must be a whole number from 1 on",
    }.items():
        code, _, err = run(*words)
        assert code == 2
        assert message in err


def test_ties_and_decisions(run):
    record(*(Event(kind="label", who=who, item="t0", label=label) for who, label in (("anna", "cat"), ("ben", "dog"))))
    assert run("ties", "p", "--out", "ties.csv")[1] == "1 items in ties.csv; then: distil project decide p ties.csv\n"
    sheet = Path("ties.csv")
    sheet.write_text(sheet.read_text().replace("ben: dog,", "ben: dog,dog") + "none,,,,cat\n")
    code, out, err = run("decide", "p", "ties.csv", "--who", "carl")
    assert (code, out) == (0, "1 decisions recorded, 0 known before, 0 blank rows\n")
    assert "1 ids that no item has; the first: none" in err
    assert run("decide", "p", "--item", "t0", "--label", "cat")[0] == 0
    assert run("decide", "p", "--item", "t1", "--label", "cat")[0] == 0
    with Project.open("p") as project:
        assert project.labels() == {"t0": "cat", "t1": "cat"}
    assert run("undo", "p", keys(run, "decide")[1])[0] == 0
    with Project.open("p") as project:
        assert project.labels() == {"t0": "dog", "t1": "cat"}


def test_decide_takes_a_table_or_one_item(run):
    for words in ([], ["--item", "t0"], ["--label", "cat"], ["x.csv", "--item", "t0", "--label", "cat"]):
        code, _, err = run("decide", "p", *words)
        assert code == 2
        assert "say what to decide" in err


def test_a_folder_or_table_that_is_no_project_says_what_to_do(run, capsys):
    for words in (["next", "texts.csv", "--n", "2", "--out", "s.csv"], ["project", "status", "texts.csv"]):
        assert main(words) == 1
        assert (
            "texts.csv is not a project: it has no project.db; to label what is in it, open it with `distil label"
            in (capsys.readouterr().err)
        )
    assert main(["answer", "p/project.db", "s.csv"]) == 1
    assert "p/project.db is the file of a project; name its folder, p" in capsys.readouterr().err

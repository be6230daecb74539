"""Decisions: which items need one, sheets of them, and what overrules what."""

import csv

import pytest

from distil.errors import InvalidInput
from distil.labeling.decisions import decide_sheet, undecided, write_undecided
from distil.labeling.events import Event
from distil.labeling.project import Project


@pytest.fixture
def disputed(say):
    """Item 0 ties, 1 is flagged, 2 is decided, 3 is settled."""
    for item in "02":
        say("anna", "label", item, "cat")
        say("ben", "label", item, "dog")
    say("ben", "skip", "1")
    say("ben", "flag", "1")
    say("carl", "decide", "2", "dog")
    say("anna", "label", "3", "cat")


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_sheet_holds_what_needs_a_decision(project, disputed, tmp_path):
    assert [row.item.id for row in undecided(project)] == ["0", "1"]
    assert write_undecided(project, tmp_path / "ties.csv") == 2
    assert read(tmp_path / "ties.csv") == [
        {"id": "0", "text": "text 0", "why": "tied", "answers": "anna: cat; ben: dog", "decision": ""},
        {"id": "1", "text": "text 1", "why": "flagged", "answers": "ben: skip", "decision": ""},
    ]
    with pytest.raises(InvalidInput, match="exists, and may hold decisions"):
        write_undecided(project, tmp_path / "ties.csv")


def test_without_a_tie_there_is_no_sheet(project, tmp_path):
    with pytest.raises(InvalidInput, match="no item needs a decision"):
        write_undecided(project, tmp_path / "ties.csv")
    assert not (tmp_path / "ties.csv").exists()


def test_decisions_of_a_sheet(project, disputed, tmp_path):
    sheet = tmp_path / "s.csv"
    sheet.write_text("id,decision,answers\n0,dog ,x\n1,,x\n2,cat,x\nnone,cat,x\n")
    found = decide_sheet(project, sheet, "carl")
    assert (found.recorded, found.blank, found.unknown) == (1, 1, ("none",))
    assert found.conflicts == (("2", "dog", "cat"),)  # decided before
    assert project.labels() == {"0": "dog", "2": "dog", "3": "cat"}
    assert decide_sheet(project, sheet, "carl").known == 1
    said = [recorded.event for recorded, _ in project.history(item="0")]
    assert [(event.who, event.label) for event in said if event.kind == "decide"] == [("carl", "dog")]


def test_an_unknown_class_or_a_missing_column_is_refused(project, disputed, tmp_path):
    sheet = tmp_path / "s.csv"
    sheet.write_text("id,decision\n0,dog\n1,dgo\n")
    with pytest.raises(InvalidInput, match=r"s\.csv, line 3: the project has no class 'dgo'; did you mean 'dog'"):
        decide_sheet(project, sheet, "carl")
    assert project.labels() == {"2": "dog", "3": "cat"}
    sheet.write_text("id,label\n0,dog\n")
    with pytest.raises(InvalidInput, match="no column 'decision'"):
        decide_sheet(project, sheet, "carl")


def test_ids_and_classes_that_a_spreadsheet_changed(tmp_path):
    """The sheet has no key, so ids are those of the items that need a decision; one that may be two items is refused."""
    (tmp_path / "texts.csv").write_text("id,text\n007,one\n08,two\n8,three\n")
    with Project.create(tmp_path / "p", classes=["true", "01"]) as project:
        project.add(tmp_path / "texts.csv")
        flags = {item: Event(kind="flag", who="anna", item=item) for item in ("007", "08")}
        project.record_all([flags["007"]])
        sheet = tmp_path / "s.csv"
        sheet.write_text("id,decision\n7,TRUE\n")
        for recorded, known in ((1, 0), (0, 1)):  # read twice
            found = decide_sheet(project, sheet, "carl")
            assert (found.recorded, found.known) == (recorded, known)
        assert project.labels() == {"007": "true"}
        sheet.write_text("id,decision\n8,1\n")
        assert decide_sheet(project, sheet, "carl").recorded == 1
        assert project.labels() == {"007": "true", "8": "01"}
        project.withdraw([("8", "")])
        project.record_all([flags["08"]])
        with pytest.raises(
            InvalidInput, match=r"line 2: '8' is an item, and what a spreadsheet makes of the item '08'"
        ):
            decide_sheet(project, sheet, "carl")


def test_a_decision_that_may_be_for_one_of_several_classes(project, tmp_path):
    project.record_all([Event(kind="class_add", who="a", label=label) for label in ("1", "01")])
    (tmp_path / "d.csv").write_text("id,decision\n0,cat\n1,1\n")
    with pytest.raises(InvalidInput, match=r"d.csv, line 3: the label '1' may be the class '01' or '1'"):
        decide_sheet(project, tmp_path / "d.csv", "owner")
    assert project.labels() == {}


def test_decisions_for_classes_whose_names_differ_by_a_zero_behind_the_point(project, tmp_path):
    project.record_all([Event(kind="class_add", who="a", label=label) for label in ("1", "1.0")])
    (tmp_path / "d.csv").write_text("id,decision\n0,1\n1,1.0\n")
    decide_sheet(project, tmp_path / "d.csv", "owner")
    assert project.labels() == {"0": "1", "1": "1.0"}

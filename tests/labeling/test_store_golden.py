"""Projects that earlier versions wrote: each opens, says what it said, and goes on."""

import json
import shutil
from pathlib import Path

import pytest

from distil.labeling.events import Event
from distil.labeling.fold import fold
from distil.labeling.project import Project

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.db")))
def test_a_golden_project_opens(tmp_path, name):
    shutil.copyfile(GOLDEN / f"{name}.db", tmp_path / "project.db")
    told = json.loads((GOLDEN / f"{name}.json").read_text())
    with Project.open(tmp_path) as project:
        state = project.state()
        assert state.classes == told["classes"]
        assert state.keys == told["keys"]
        assert [[*place, *answer] for place, answer in state.answers.items()] == told["answers"]
        assert [list(lease) for lease in project.leases()] == told["leases"]
        assert project.queued("ben") == told["queued"]
        assert {item.id: item.text for item in project.items()} == told["texts"]
        events = project.events()
        assert len(events) == told["events"]
        assert fold(each.event for each in events) == state
        project.record_all([Event(kind="label", who="dora", item="fourth", label="kitty")])
        assert project.truths()["fourth"].votes["dora"] == "kitty"


def test_there_is_a_golden_project():
    assert (GOLDEN / "v1.db").is_file()

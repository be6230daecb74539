"""Which items a person gets a second time: how many, which, and how they are handed out and counted."""

import json
from itertools import count

import pytest

from distil.labeling.checks import APART, DISAGREES, FIRST, REPEAT, Checks
from distil.labeling.events import Event, Shown
from distil.labeling.handing_out import hand_out, random_order
from distil.labeling.project import Project


def simulated(n, suspects=(), ahead=10, who="anna", seed="a project"):
    """A person labels new items and checks, ``ahead`` of them prefetched; returns what was answered: (item, reason)."""
    checks, new, held, answered = Checks(seed), count(), [], []
    while len(answered) < n:
        want = ahead - len(held)
        due = checks.due(who, [item for item, _ in held], want, suspects)
        held += [*due, *((f"new {next(new)}", None) for _ in range(want - len(due)))]
        item, reason = held.pop(0)
        answered.append((item, reason))
        checks.take({"kind": "label", "who": who, "item": item, "label": "cat", "shown": {"reason": reason}})
    return answered


def test_the_shares_of_checks():
    answered = simulated(4000)
    repeats = [(n, item) for n, (item, reason) in enumerate(answered) if reason == REPEAT]
    assert 3970 * 0.03 - 3 * 10.7 < len(repeats) < 3970 * 0.03 + 3 * 10.7, "within three standard errors"
    assert len({item for _, item in repeats}) == len(repeats), "each once"
    assert repeats[0][0] >= FIRST
    for n, item in repeats:
        assert n - answered.index((item, None)) >= APART
    assert not any(reason == DISAGREES for _, reason in answered)
    assert simulated(4000) == answered
    assert simulated(300, who="ben") != answered[:300]


def test_suspects_come_worst_first_and_once():
    suspects = [f"s{n}" for n in range(6)]
    checked = [item for item, reason in simulated(400, suspects) if reason == DISAGREES]
    assert checked == suspects


def test_a_person_does_not_get_the_own_last_answers():
    checks = Checks("a project")
    for n in range(60):
        checks.take({"kind": "label", "who": "anna", "item": f"s{n}", "label": "cat"})
    due = checks.due("anna", ["s1"], 1500, [f"s{n}" for n in range(60)])
    old = {f"s{n}" for n in range(60 - APART) if n != 1}
    assert {item for item, _ in due} == old
    suspects = [item for item, reason in due if reason == DISAGREES]
    assert suspects == sorted(suspects, key=lambda item: int(item[1:]))
    assert len({*dict(due)}) == len(due)


def test_answers_of_others_and_other_kinds_do_not_come_again():
    checks = Checks("a project")
    for n in range(100):
        checks.take({"kind": "skip", "who": "anna", "item": f"i{n}"})
        checks.take({"kind": "label", "who": "ben", "item": f"i{n}", "label": "cat"})
    assert checks.due("anna", [], 500, []) == []
    assert {reason for _, reason in checks.due("ben", [], 500, [])} == {REPEAT}
    assert checks.due("carl", [], 20, ["i1"]) == []


def test_a_record_is_followed(project, say):
    checks, again = Checks(project.id), Checks(project.id)
    for n in range(60):
        if n == 40:
            checks.read(project)
        say("anna", "label", str(n % 10), "cat", shown=Shown(reason=REPEAT if n == 50 else None))
    checks.read(project)
    checks.read(project)
    for each in project.events():
        again.take(json.loads(each.event.text()))
    due = checks.due("anna", [], 500, [])
    assert due == again.due("anna", [], 500, [])
    assert "0" not in dict(due), "repeated already"


@pytest.fixture
def two(tmp_path, texts):
    """A project in which two people answer each item."""
    with Project.create(tmp_path / "two", classes=["cat", "dog"], copies=2) as made:
        made.add(texts)
        yield made


def test_an_answered_item_is_handed_out_again_without_counting_as_a_copy(two):
    two.record_all([Event(kind="label", who="anna", item=item, label="cat") for item in "0123"])
    assert two.lease("anna", 2, ["0", "1"]) == []
    assert two.lease("anna", 2, ["0", "1", "0"], check=True) == ["0", "1"]
    assert two.open_items("ben") == [*"0123456789"], "the second look does not take the place of the second person"
    assert hand_out(two, "ben", 1, random_order()) != []
    assert two.leased("anna") == ["0", "1"]
    two.record_all([Event(kind="label", who="anna", item="0", label="dog", shown=Shown(reason=REPEAT))])
    assert two.leased("anna") == ["1"]
    assert two.state().answers["0", "anna"].label == "dog", "the newest answer counts"
    assert [each.event.label for each in two.events(who="anna") if each.event.item == "0"] == ["cat", "dog"]
    two.record_all([Event(kind="decide", who="anna", item="3", label="dog")])
    assert two.lease("anna", 9, ["3"], check=True) == [], "decided"


def test_another_person_looks_at_an_item_that_enough_answered(project):
    project.record_all([Event(kind="label", who="anna", item="0", label="cat")])
    assert project.lease("ben", 1, ["0"]) == []
    assert project.lease("ben", 1, ["0"], check=True) == ["0"]
    project.record_all([Event(kind="label", who="ben", item="0", label="dog", shown=Shown(reason=DISAGREES))])
    assert project.truths()["0"].tied

"""What a person gets next, and what the desk knows: always what the record says."""

import itertools
import random
import time

import numpy as np
import pytest

from distil.errors import RunError
from distil.labeling.events import Event, Shown
from distil.labeling.project import Project
from distil.labeling.quality import SelfAgreement, Suspect
from distil.labeling.server.desk import Desk


def label(who, item, name="cat", **more):
    return Event(kind="label", who=who, item=item, label=name, **more)


def ids(given):
    return [each.item.id for each in given]


@pytest.fixture
def desk(project):
    return Desk(project, withhold=0.0)


def test_queued_items_come_first_then_the_models_choice_then_random_ones(project, snapshot):
    project.queue(["7", "3"])
    desk = Desk(project)
    desk.snapshot = snapshot([0] * 10, [0.5] * 10, [3, 5, 1])
    _, given = desk.record("anna", "tab", [], 10, [])
    assert ids(given)[:4] == ["7", "3", "5", "1"]
    assert [each.reason for each in given] == ["queued", "queued", "reason 5", "reason 1", *["random"] * 6]
    assert sorted(ids(given)) == [str(n) for n in range(10)]
    assert ids(given)[4:] != sorted(ids(given)[4:])


def test_items_that_need_one_more_answer_come_before_new_ones(tmp_path, texts):
    with Project.create(tmp_path / "two", classes=["cat"], copies=2) as project:
        project.add(texts)
        desk = Desk(project)
        desk.record("anna", "a", [label("anna", "4"), label("anna", "6")], 0, [])
        _, given = desk.record("ben", "b", [], 3, [])
        assert ids(given)[:2] == ["4", "6"]
        assert given[0].reason == "needs one more answer"
        assert desk.record("carl", "c", [], 2, [])[1][0].item.id not in ("4", "6")  # ben has them
        assert not {"4", "6"} & {*ids(desk.record("anna", "a", [], 9, [])[1])}


def test_no_item_is_given_to_two_people_nor_to_two_pages(desk):
    given = [ids(desk.record(who, tab, [], 2, [])[1]) for who in ("anna", "ben") for tab in ("one", "two")]
    assert len({*itertools.chain(*given)}) == 8


def test_what_a_page_lost_comes_again_and_what_it_has_does_not(desk):
    first = ids(desk.record("anna", "tab", [], 3, [])[1])
    assert sorted(ids(desk.record("anna", "tab", [], 3, [])[1])) == sorted(first)  # the answer never arrived
    more = ids(desk.record("anna", "tab", [], 3, first)[1])
    assert not {*first} & {*more}


def test_an_undone_item_stays_with_the_person(desk):
    (item,) = ids(desk.record("anna", "tab", [], 1, [])[1])
    said = label("anna", item, tab="tab")
    desk.record("anna", "tab", [said], 0, [])
    undo = Event(kind="undo", who="anna", tab="tab", target=said.key)
    _, given = desk.record("anna", "tab", [undo], 1, [])
    assert ids(given) == [item]
    assert item not in ids(desk.record("ben", "b", [], 10, [])[1])


def test_leases_expire_unless_the_page_is_heard_of(desk, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    kept, lost = ids(desk.record("anna", "tab", [], 2, [])[1])
    desk.expire(600)
    now[0] += 400
    desk.record("anna", "tab", [], 0, [kept])
    now[0] += 300
    desk.expire(600)
    assert desk.project.leased("anna") == [kept]
    given = ids(desk.record("ben", "b", [], 10, [])[1])
    assert lost in given
    assert kept not in given
    now[0] += 700
    desk.expire(600)
    assert desk.project.leased("anna") == []
    desk.record("anna", "tab", [], 0, [kept])  # still on the page, and free: leased again
    assert desk.project.leased("anna") == [kept]


def test_a_clock_that_is_set_back_changes_nothing(desk, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1e9)
    first = label("anna", "1")
    desk.record("anna", "tab", [first], 0, [])
    monkeypatch.setattr(time, "time", lambda: 5e8)
    desk.record("anna", "tab", [label("anna", "1", "dog")], 0, [])
    assert desk.project.labels() == {"1": "dog"}
    assert [each.seq for each, _ in desk.project.history(who="anna")] == sorted(
        (each.seq for each in desk.project.events(who="anna")), reverse=True
    )


def test_items_of_a_closed_page_come_when_nothing_else_is_left(desk, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    desk.project.lease("anna", 1, ["9"], tab="sheet", lasting=True)
    assert len(desk.record("anna", "old", [], 6, [])[1]) == 6
    assert len(desk.record("anna", "new", [], 10, [])[1]) == 3  # the old page was heard of just now
    now[0] += 31
    desk.record("anna", "new", [], 0, [])
    assert len(desk.record("anna", "new", [], 10, [])[1]) == 9  # not that of the sheet
    assert desk.project.leased("anna", "old") == []


def test_guesses_are_withheld_from_a_share_of_items_drawn_for_each_person(tmp_path):
    (tmp_path / "many.txt").write_text("".join(f"text {n}\n" for n in range(2000)))
    with Project.create(tmp_path / "p") as project:
        project.add(tmp_path / "many.txt")
        desk = Desk(project, withhold=0.1)
        anna = [desk.hidden(place, "anna") for place in range(2000)]
        ben = [desk.hidden(place, "ben") for place in range(2000)]
        assert 150 < sum(anna) < 250  # 200 expected, standard deviation 13
        assert 0 < sum(a and b for a, b in zip(anna, ben, strict=True)) < 50  # 20 expected: independent of each other
        again, never = Desk(project, withhold=0.1), Desk(project, withhold=0.0)
        assert [again.hidden(place, "anna") for place in range(2000)] == anna
        assert not any(never.hidden(place, "anna") for place in range(2000))


def test_the_grid_has_confident_items_of_one_class(desk, snapshot):
    desk.snapshot = snapshot([0, 0, 0, 1, 1, 0, 1, -1, 0, 0], [0.9, 0.8, 0.99, 1, 1, 0.7, 1, 0, 0.95, 0.6])
    name, given = desk.grid("anna", "tab", 3, None, [])
    assert (name, ids(given)) == ("cat", ["2", "8", "0"])
    assert {each.reason for each in given} == {"grid"}
    assert desk.grid("ben", "b", 9, "cat", [])[1][0].item.id == "1"  # anna has the others
    assert ids(desk.grid("anna", "tab", 9, "dog", [])[1]) == ["3", "4", "6"]
    rejected = ids(desk.record("anna", "tab", [label("anna", "2")], 2, [])[1])
    assert {*rejected} <= {"8", "0", "3", "4", "6"}  # they stay with the page, and come first in its single view


def test_the_grid_has_items_whose_guess_is_withheld_too(project, snapshot):
    """Else the single view would get the surest items with withheld guesses only, and showing guesses would seem to do harm."""
    desk = Desk(project, withhold=1.0)
    desk.snapshot = snapshot([0] * 10, [0.9] * 10)
    assert len(desk.grid("anna", "tab", 5, "cat", [])[1]) == 5


def test_guesses_follow_renamed_and_merged_classes(desk, snapshot):
    desk.snapshot = snapshot([0, 1] * 5, [0.9] * 10)
    desk.record("anna", "tab", [label("anna", "1", "dog")], 0, [])
    desk.record("anna", "tab", [Event(kind="class_rename", who="anna", label="dog", name="hound")], 0, [])
    assert desk.given(1, "anna").guess[0] == "hound"
    assert desk.given(1, "anna").mine.label == "hound"
    desk.record("anna", "tab", [Event(kind="class_merge", who="anna", label="hound", name="cat")], 0, [])
    assert desk.given(1, "anna").guess[0] == "cat"
    assert [each["n"] for each in desk.classes()] == [1]
    assert len(desk.grid("ben", "b", 10, "cat", [])[1]) == 9


def test_a_merge_that_is_undone(desk):
    merge = Event(kind="class_merge", who="anna", label="dog", name="cat")
    desk.record("anna", "tab", [label("anna", "1", "dog"), merge], 0, [])
    assert desk.classes() == [{"name": "cat", "key": None, "n": 1}]
    desk.record("anna", "tab", [Event(kind="undo", who="anna", target=merge.key)], 0, [])
    assert desk.classes() == [{"name": "cat", "key": None, "n": 0}, {"name": "dog", "key": None, "n": 1}]


def test_taken_items_are_named_with_the_person_who_has_them(desk):
    desk.project.lease("ben", 1, ["3"], tab="b")
    desk.refresh(["3"])
    given, taken = desk.take("anna", "tab", ["3", "4"])
    assert ids(given) == ["3", "4"]
    assert taken == {"3": "ben has it now"}
    assert desk.project.leased("anna", "tab") == ["4"]


def test_search(desk, snapshot):
    desk.snapshot = snapshot([0, 1] * 5, [0.9] * 10)
    flag = Event(kind="flag", who="ben", item="3")
    desk.record("anna", "tab", [label("anna", "1"), label("anna", "2", "dog")], 0, [])
    desk.record("ben", "b", [label("ben", "1", "dog"), flag], 0, [])

    def found(text="", guess=None, label=None, state=None, who="anna"):
        return [desk.items[place].id for place in desk.search(who, text, guess, label, state)]

    assert found("TEXT 4") == ["4"]
    assert found(guess="dog") == ["1", "3", "5", "7", "9"]
    assert found(label="dog") == ["2"]
    assert found(state="tied") == ["1"]
    assert found(state="flagged") == ["3"]
    assert found(state="answered") == ["1", "2"]
    assert found(state="mine", who="ben") == ["1"]
    assert found(state="open", guess="cat") == ["0", "4", "6", "8"]


def test_search_finds_accents_written_in_either_way(tmp_path, write):
    with Project.create(tmp_path / "p", classes=["a", "b"]) as project:
        project.add(write(tmp_path / "texts.txt", "un cafe\u0301\nun caf\u00e9\nun cafe\n"))
        desk = Desk(project)
        for text in ("Caf\u00e9", "cafe\u0301"):
            assert list(desk.search("anna", text, None, None, None)) == [0, 1]


def test_bulk_labels_skip_what_the_person_answered_and_count_once(desk):
    desk.record("anna", "tab", [label("anna", "1", "dog")], 0, [])
    assert desk.label_all("anna", "tab", "lasso-01", [0, 1, 2], "cat") == (2, 1)
    assert desk.label_all("anna", "tab", "lasso-01", [0, 1, 2], "cat") == (2, 1)  # sent again
    assert desk.label_all("anna", "tab", "lasso-02", [0, 1, 2], "cat") == (0, 3)
    assert desk.project.labels() == {"0": "cat", "1": "dog", "2": "cat"}
    (event,) = [each.event for each in desk.project.events() if each.event.item == "2"]
    assert (event.key, event.shown.reason) == ("lasso-01:2", "map")


def test_labels_of_a_lasso_are_taken_back_together(desk):
    desk.record("anna", "tab", [label("anna", "1", "dog")], 0, [])
    desk.label_all("anna", "tab", "lasso-01", [0, 1, 2], "cat")
    assert desk.turn_all("anna", "undo-001", [0, 1, 2], "undo", "lasso-01") == (2, 1)
    assert desk.turn_all("anna", "undo-001", [0, 1, 2], "undo", "lasso-01") == (2, 1)  # sent again
    assert desk.project.labels() == {"1": "dog"}
    assert desk.project.leases() == []
    assert desk.small("anna")["labeled"] == 1
    assert desk.turn_all("ben", "undo-002", [0], "undo", "lasso-01") == (0, 1)
    assert desk.turn_all("anna", "redo-001", [0, 1, 2], "redo", "lasso-01") == (2, 1)
    assert desk.project.labels() == {"0": "cat", "1": "dog", "2": "cat"}
    assert desk.small("anna")["labeled"] == 3


def test_a_lasso_puts_items_in_front_of_the_queue(desk):
    assert desk.queue([5, 6]) == (2, 0)
    desk.record("anna", "tab", [label("anna", "1")], 0, [])
    assert desk.queue([1, 6, 2]) == (2, 1)
    assert desk.project.queue_ids() == ["6", "2", "5"]
    assert ids(desk.record("anna", "tab", [], 3, [])[1]) == ["6", "2", "5"]
    assert desk.small("anna")["queue"] == 3


def test_snapshots_of_other_items(desk, snapshot):
    assert desk.knows(snapshot([0, 1], [0.5, 0.5], [9]))  # of the time before items were added
    for wrong in (snapshot([0], [0.5], [10]), snapshot([0], [0.5], [-1])):
        assert not desk.knows(wrong)


def test_items_that_another_program_queues(desk):
    with Project.open(desk.project.path) as other:
        other.queue(["8"])
    desk.expire(600)
    assert ids(desk.record("anna", "tab", [], 1, [])[1]) == ["8"]


def test_a_full_disk_changes_nothing_in_memory(desk, monkeypatch):
    before = desk.small("anna")
    desk.project._store._db.execute("PRAGMA max_page_count=1")  # SQLite then answers as on a full disk
    long = [label("anna", str(n), key=f"a-long-key-{n}") for n in range(10)]
    with pytest.raises(RunError, match="the disk is full; nothing of this was saved"):  # noqa: PT012
        for _ in range(50):  # the pages that exist have room for some events
            desk.record("anna", "tab", [Event(kind="flag", who="anna", item="1") for _ in range(200)], 5, [])
            before = desk.small("anna")
    assert desk.small("anna") == before
    desk.project._store._db.execute("PRAGMA max_page_count=1000000")
    acks, _ = desk.record("anna", "tab", long, 1, [])
    assert all(ack.error is None for ack in acks)
    assert desk.small("anna")["labeled"] == 10


def test_the_desk_says_what_the_record_says(desk):
    """Random events of three people: a new desk, which reads the project anew, knows the same."""
    draws = random.Random(0)
    keys = {who: [] for who in ("anna", "ben", "carl")}
    names = ["cat", "dog"]
    for step in range(300):
        who = draws.choice(list(keys))
        kind = draws.choice(["label"] * 6 + ["skip", "unsure", "flag", "undo", "redo", "decide", "withdraw"])
        fields = {"item": str(draws.randrange(10))}
        if kind in ("label", "decide"):
            fields["label"] = draws.choice(names)
        if kind == "withdraw":
            fields["of"] = draws.choice(["", "anna", "ben"])
        if kind in ("undo", "redo"):
            fields = {"target": draws.choice(keys[who] or ["no-such-key"])}
        if step % 60 == 59:
            kind, fields = "class_add", {"label": f"class {step}"}
            names.append(f"class {step}")
        if step == 200:
            kind, fields = "class_merge", {"label": "dog", "name": "cat"}
        sent = Event(kind=kind, who=who, tab=who, **fields)
        keys[who].append(sent.key)
        desk.record(who, who, [sent], draws.randrange(3), [])
        if step % 40 == 0:
            desk.queue([draws.randrange(10)])
    again = Desk(desk.project, withhold=0.0)
    for who in keys:
        assert again.small(who) == desk.small(who)
        assert np.array_equal(again._free(who), desk._free(who))
    assert again.classes() == desk.classes()
    assert again.truths == desk.truths == {desk.places[i]: truth for i, truth in desk.project.truths().items()}
    free = {place for place in range(10) if desk._free("anna")[place]}
    assert {desk.items[place].id for place in free} == {*desk.project.open_items("anna")}


@pytest.fixture
def many(tmp_path):
    """A project of 400 texts."""
    (tmp_path / "many.txt").write_text("".join(f"text {n}\n" for n in range(400)))
    with Project.create(tmp_path / "many", classes=["cat", "dog"]) as made:
        made.add(tmp_path / "many.txt")
        yield made


def test_some_items_come_again_without_the_earlier_answer_and_the_guess(many, snapshot, monkeypatch):
    monkeypatch.setattr("distil.labeling.checks.REPEATS", 0.3)
    desk = Desk(many, withhold=0.0)
    desk.snapshot = snapshot([1] * 400, [0.9] * 400, [])
    _, held = desk.record("anna", "tab", [], 10, [])
    held, looks, answers = list(held), [], 0
    while answers < 120:
        each = held.pop(0)
        if each.reason == "repeat":
            looks.append(each.item.id)
            assert (each.mine, each.withheld) == (None, True)
            assert many.state().answers[each.item.id, "anna"].label == "cat", "answered before"
        else:
            assert not each.withheld
        event = label("anna", each.item.id, shown=Shown(reason=each.reason))
        acks, more = desk.record("anna", "tab", [event], 1, [item.item.id for item in held])
        assert acks[0].error is None
        held += more
        answers += 1
        assert len(held) == 10
    assert len(looks) > 5
    assert len(set(looks)) == len(looks)
    mine = desk.given(desk.places[looks[0]], "anna")
    assert (mine.mine.label, mine.withheld) == ("cat", False), "shown again once it is answered"
    assert desk.small("anna")["mine"] == 120 - len(looks)
    repeats = SelfAgreement()
    repeats.read(many)
    assert repeats.counts(many.known_classes) == {"anna": (len(looks), len(looks))}
    assert same_as_new(desk, many)


def test_items_for_a_second_look_stay_so_over_a_restart(many, monkeypatch):
    monkeypatch.setattr("distil.labeling.checks.REPEATS", 0.3)
    desk, given = Desk(many), []
    while not any(each.reason == "repeat" for each in given):
        desk.record("anna", "tab", [label("anna", each.item.id) for each in given], 0, [])
        _, given = desk.record("anna", "tab", [], 10, [])
    monkeypatch.setattr("distil.labeling.checks.REPEATS", 0.0)
    again = Desk(many)
    _, same = again.record("anna", "tab", [], 10, [])
    repeats = {each.item.id for each in given if each.reason == "repeat"}
    assert {each.item.id for each in same} == {each.item.id for each in given}
    assert {each.item.id for each in same if each.reason == "repeat"} == repeats
    assert all((each.mine, each.withheld) == (None, True) for each in same if each.item.id in repeats)
    again.record("anna", "tab", [label("anna", item) for item in repeats], 0, [])
    assert many.looks == {}


def same_as_new(desk, project):
    """Whether a desk that is made anew knows the same."""
    fresh = Desk(project, withhold=0.0)
    return all((getattr(desk, name) == getattr(fresh, name)).all() for name in ("_answers", "_held", "_decided"))


def test_suspects_come_once_to_somebody(many, monkeypatch):
    monkeypatch.setattr("distil.labeling.checks.DISAGREEMENTS", 0.3)
    many.record_all([label("ben", str(n)) for n in range(5)])
    many.record_all([label("anna", str(n)) for n in range(100, 140)])
    desk = Desk(many, withhold=0.0)
    desk.suspects = [Suspect(str(n), "dog" if n == 0 else "cat", "dog", 0.9) for n in range(5)]
    desk.record("carl", "tab", [Event(kind="decide", who="carl", item="1", label="cat")], 0, [])
    assert [each.item for each in desk.suspected()] == ["2", "3", "4"], "one has another label, one a decision"
    given = []
    while len(given) < 100:
        _, more = desk.record("anna", "tab", [], 10, [])
        given += more
        desk.record("anna", "tab", [label("anna", e.item.id, shown=Shown(reason=e.reason)) for e in more], 0, [])
    looked = [each.item.id for each in given if each.reason == "disagrees"]
    assert looked == ["2", "3", "4"]
    assert all(each.withheld for each in given if each.reason == "disagrees")


def test_without_checks_every_item_comes_once(many):
    desk = Desk(many, checks=False)
    for _ in range(20):
        _, more = desk.record("anna", "tab", [], 20, [])
        desk.record("anna", "tab", [label("anna", each.item.id) for each in more], 0, [])
    assert desk.small("anna")["mine"] == 400


def test_a_second_look_is_no_further_copy(tmp_path, texts):
    with Project.create(tmp_path / "two", classes=["cat"], copies=2) as project:
        project.add(texts)
        project.record_all([label("anna", "4")])
        project.lease("anna", 1, ["4"], tab="tab", check=True)
        desk = Desk(project)
        assert "4" in ids(desk.record("ben", "b", [], 10, [])[1])

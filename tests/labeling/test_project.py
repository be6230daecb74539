"""Projects: sources that grow, answers that count once, items that are handed out once."""

import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from distil.errors import DataNotFound, InvalidInput, RunError
from distil.labeling.events import Event, Shown
from distil.labeling.fold import Answer
from distil.labeling.project import Project

# --------------------------------------------------------------------------------------------------------------- sources


def test_a_source_grows(project, texts):
    assert [item.id for item in project.items()] == [str(n) for n in range(10)]
    texts.write_text("text 0\nTEXT 1\n" + "".join(f"text {n}\n" for n in range(2, 9)))
    added = project.add(texts)
    assert (added.new, added.known, added.changed, added.gone) == (0, 8, ("1",), ("9",))
    assert project.items(["1", "9"])[0].text == "TEXT 1"
    assert [item.id for item in project.items() if item.gone] == ["9"]
    texts.write_text("".join(f"text {n}\n" for n in range(12)))
    added = project.add(texts)
    assert (added.new, added.known, added.changed, added.gone) == (2, 9, ("1",), ())
    assert not any(item.gone for item in project.items())


def test_names_of_classes_that_look_alike_are_refused(project):
    adding = [Event(kind="class_add", who="o", label=name) for name in ("caf\u00e9", "cafe\u0301", "a\u2028b")]
    renaming = Event(kind="class_rename", who="o", label="cat", name="cafe\u0301")
    first, *others = project.record([*adding, renaming])
    assert first.error is None
    assert all("class" in other.error for other in others)
    assert project.classes == ["cat", "dog", "caf\u00e9"]


def test_rows_that_move_away_from_their_numbers_are_refused(project, texts, say):
    lines = texts.read_text().splitlines(keepends=True)
    texts.write_text("".join(["first\n", *lines]))
    project.add(texts)  # nobody said anything yet
    say("anna", "label", "3", "cat")
    for moved in (["first\n", "inserted\n", *lines], ["first\n", *lines[1:]], ["first\n", *lines[::-1]]):
        texts.write_text("".join(moved))
        with pytest.raises(InvalidInput, match=r"now holds what '.*' held before.*nothing was added"):
            project.add(texts)
    assert project.items(["3"])[0].text == "text 2"
    texts.write_text("".join(["FIRST\n", *lines[:5], lines[4], *lines[6:], "more\n"]))
    added = project.add(texts)
    assert (added.changed, added.new) == (("0", "6"), 1), "corrections, and one that makes two rows equal"


def test_another_column_of_ids_that_moves_answers_is_refused(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("nr,text\n1,one\n2,two\n")
    with Project.create(tmp_path / "p", classes=["cat"]) as project:
        project.add(table)
        project.record_all([Event(kind="label", who="anna", item="1", label="cat")])
        with pytest.raises(InvalidInput, match="another column is read as the ids"):
            project.add(table, ids="nr")


def test_a_source_that_moved_brings_its_items_along(tmp_path):
    (tmp_path / "t.csv").write_text("id,text\na,one\nb,two\n")
    with Project.create(tmp_path / "p") as project:
        project.add(tmp_path / "t.csv")
        (tmp_path / "copy.csv").write_bytes((tmp_path / "t.csv").read_bytes())
        project.add(tmp_path / "copy.csv")
        assert {item.source for item in project.items()} == {str(tmp_path / "t.csv")}, "the first one is still there"
        (tmp_path / "t.csv").rename(tmp_path / "moved.csv")
        added = project.add(tmp_path / "moved.csv")
        assert (added.new, added.known, added.changed, added.gone) == (0, 2, (), ())
        assert {item.source for item in project.items()} == {str(tmp_path / "moved.csv")}


def test_items_that_are_gone_come_back_with_another_source(tmp_path):
    (tmp_path / "t.csv").write_text("id,text\na,one\nb,two\n")
    (tmp_path / "u.csv").write_text("id,text\nb,two\n")
    with Project.create(tmp_path / "p") as project:
        project.add(tmp_path / "t.csv")
        (tmp_path / "t.csv").write_text("id,text\na,one\n")
        project.add(tmp_path / "t.csv")
        project.add(tmp_path / "u.csv")
        assert [(item.id, item.gone) for item in project.items()] == [("a", False), ("b", False)]


def test_an_answer_to_a_changed_item_is_counted_as_outdated(project, texts, say):
    say("anna", "label", "1", "cat")
    say("anna", "label", "2", "cat")
    texts.write_text(texts.read_text().replace("text 1\n", "another\n"))
    project.add(texts)
    assert project.status().outdated == 1
    assert project.labels() == {"1": "cat", "2": "cat"}
    say("anna", "label", "1", "cat")
    assert project.status().outdated == 0


def test_images_and_arrays_and_tables(tmp_path):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.png", "sub/b.png", "caf\udce9.png"]):
        Image.new("L", (4, 4), number).save(folder / name)
    np.save(tmp_path / "rows.npy", np.arange(6, dtype=np.float32).reshape(3, 2))
    (tmp_path / "ids.txt").write_text("r0\nr1\nr2\n")
    (tmp_path / "table.csv").write_text("id,body,stars\nt1,first text,3\nt2,second text,4\n")
    with Project.create(tmp_path / "p") as project:
        assert project.add(folder).new == 3
        assert project.add(tmp_path / "rows.npy", ids=str(tmp_path / "ids.txt")).new == 3
        added = project.add(tmp_path / "table.csv", column="body")
        assert (added.new, project.add(tmp_path / "table.csv").known) == (2, 2)
        found = {item.id: item for item in project.items()}
    assert found["sub/b.png"].path == str(folder / "sub/b.png")
    assert found["caf\udce9.png"].path == str(folder / "caf\udce9.png")
    assert (found["r2"].kind, found["r2"].place, found["r2"].path, found["r2"].text) == ("rows", 2, None, None)
    assert (found["t2"].kind, found["t2"].text) == ("texts", "second text")


def test_the_same_id_in_two_sources(project, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("text 0\n")
    assert project.add(other).known == 1  # the same item
    other.write_text("something else\n")
    with pytest.raises(InvalidInput, match="'0' is the id of another item"):
        project.add(other)
    with pytest.raises(DataNotFound):
        project.add(tmp_path / "none.txt")
    assert len(project.items()) == 10


def test_texts_of_every_kind_are_kept(project, tmp_path):
    texts = ["a\u202eb", "'; DROP TABLE item; --", "x" * 2**20, "=1+1", "naïve"]
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(json.dumps({"id": f"odd {n}\ud800", "text": t}) + "\n" for n, t in enumerate(texts)))
    project.add(path)
    ids = [f"odd {n}\ud800" for n in range(5)]
    assert [item.text for item in project.items(ids)] == texts
    project.record_all([Event(kind="label", who="anna", item=ids[0], label="cat")])
    assert project.labels() == {ids[0]: "cat"}


# --------------------------------------------------------------------------------------------------------------- answers


def test_an_answer_counts_once(project):
    event = Event(kind="label", who="anna", item="0", label="cat", ms=700, shown=Shown("dog", 0.6))
    first, again = project.record([event, event])
    assert (first.seq, first.duplicate, again.seq, again.duplicate) == (again.seq, False, first.seq, True)
    (other,) = project.record([Event(kind="label", who="anna", item="0", label="dog", key=event.key)])
    assert (other.seq, other.duplicate) == (None, False)
    assert "was used for another event" in other.error
    assert [each.event for each in project.events(who="anna")] == [event]
    assert project.labels() == {"0": "cat"}


def test_a_repeated_key_counts_once_after_a_rename(project, say):
    event = Event(kind="label", who="anna", item="0", label="cat")
    project.record([event])
    say("anna", "class_rename", label="cat", name="kitty")
    say("anna", "class_add", label="cat")
    assert project.record([event])[0].duplicate
    assert project.labels() == {"0": "kitty"}


def test_one_wrong_event_does_not_spoil_the_others(project):
    kinds = [("0", "cat"), ("none", "cat"), ("1", "catt"), ("2", "dog")]
    acks = project.record([Event(kind="label", who="anna", item=item, label=label) for item, label in kinds])
    assert [ack.error is None for ack in acks] == [True, False, False, True]
    assert "no item 'none'" in acks[1].error
    assert "no class 'catt'; did you mean 'cat'?" in acks[2].error
    assert project.labels() == {"0": "cat", "2": "dog"}
    with pytest.raises(InvalidInput, match="no item 'none'"):
        project.record_all([Event(kind="skip", who="anna", item=item) for item in ("3", "none")])
    assert "3" not in project.truths()


def test_only_ones_own_answers_can_be_undone(project, say):
    key = say("anna", "label", "0", "cat")
    for who, target, message in [
        ("ben", key, "ben cannot undo what anna did"),
        ("anna", "no-such-key", "no event with the key no-such-key"),
        ("anna", project.events()[0].event.key, "an event of kind class_add cannot be undone"),
    ]:
        (ack,) = project.record([Event(kind="undo", who=who, target=target)])
        assert message in ack.error
    assert project.labels() == {"0": "cat"}


def test_classes(project, say):
    say("anna", "label", "0", "cat")
    say("anna", "label", "1", "dog")
    for kind, more, message in [
        ("class_add", {"label": "dog"}, "has a class 'dog' already"),
        ("class_rename", {"label": "cat", "name": "dog"}, "has a class 'dog' already"),
        ("class_merge", {"label": "cat", "name": "cat"}, "are one class already"),
        ("class_merge", {"label": "cow", "name": "cat"}, "no class 'cow'"),
    ]:
        (ack,) = project.record([Event(kind=kind, who="anna", **more)])
        assert message in ack.error
    say("ben", "class_add", label="pet")
    say("ben", "class_merge", label="dog", name="pet")
    say("ben", "class_merge", label="cat", name="dog")  # into what dog became
    assert project.classes == ["pet"]
    assert project.labels() == {"0": "pet", "1": "pet"}


def test_a_clock_set_back_orders_nothing(project, monkeypatch, say):
    say("anna", "label", "0", "cat")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    say("anna", "label", "0", "dog")
    assert [each.at for each in project.events(who="anna")][1] == 0.0
    assert project.labels() == {"0": "dog"}


def test_status(project, say):
    for who, item, label in [("anna", "0", "cat"), ("ben", "0", "cat"), ("anna", "1", "cat"), ("ben", "1", "dog")]:
        say(who, "label", item, label)
    say("anna", "skip", "2")
    say("anna", "unsure", "3")
    say("anna", "flag", "4")
    project.lease("anna", 2, ["5", "6"])
    status = project.status()
    assert (status.items, status.labeled, status.tied, status.unlabeled, status.flagged, status.leased) == (
        10,
        1,
        1,
        2,
        1,
        2,
    )
    assert status.classes == {"cat": 1, "dog": 0}
    assert status.people == {"anna": 4, "ben": 2}
    assert status.agreement == 0.5
    # one of two items differs; of the 12 ordered pairs of 3 cats and 1 dog, 6 would
    assert status.alpha == pytest.approx(1 - 0.5 / 0.5)


def test_a_decision_overrules_the_votes_and_can_be_withdrawn(project, say):
    say("anna", "label", "0", "cat")
    say("carl", "decide", "0", "dog")
    assert project.labels() == {"0": "dog"}
    say("ben", "withdraw", "0", of="")
    assert project.labels() == {"0": "cat"}
    say("ben", "withdraw", "0", of="anna")
    assert project.labels() == {}
    assert "0" in project.open_items("anna")


# ----------------------------------------------------------------------------------------------------------- handing out


def test_no_item_is_given_to_two_people(project):
    order = [str(n) for n in range(10)]
    given = {who: [] for who in ("anna", "ben", "carl")}

    def take(who):
        for _ in range(4):
            given[who] += project.lease(who, 1, order)

    threads = [threading.Thread(target=take, args=(who,)) for who in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(item for items in given.values() for item in items) == order
    assert project.open_items("anna") == []
    assert project.leased("anna") == given["anna"]


def test_an_undone_item_returns_to_the_same_person(project, say):
    key = say("anna", "label", "0", "cat", tab="t1")
    assert project.lease("ben", 10, ["0"]) == []
    say("anna", "undo", target=key, tab="t1")
    assert project.leased("anna", "t1") == ["0"]
    assert project.lease("ben", 10, ["0"]) == []
    say("anna", "redo", target=key)
    assert project.leased("anna") == []
    assert project.labels() == {"0": "cat"}


def test_an_answer_that_is_undone_without_a_page_is_for_everyone(project, say):
    say("anna", "undo", target=say("anna", "label", "0", "cat", tab="t1"))
    assert project.leased("anna") == []
    assert project.lease("ben", 10, ["0"]) == ["0"]


def test_undoing_a_flag_or_a_decision_hands_out_nothing(project, say):
    for kind, label in [("flag", None), ("decide", "cat")]:
        say("anna", "undo", target=say("anna", kind, "0", label))
    assert project.leased("anna") == []
    assert project.state().answers == {}


def test_a_late_answer_is_recorded(project, say):
    project.lease("anna", 1, ["0"])
    say("ben", "label", "0", "cat")
    say("anna", "label", "0", "dog")
    assert project.truths()["0"].votes == {"anna": "dog", "ben": "cat"}
    assert project.leased("anna") == []


def test_items_that_several_people_are_to_answer(tmp_path, texts):
    with Project.create(tmp_path / "two", classes=["cat"], copies=2) as project:
        project.add(texts)
        assert project.lease("anna", 1, ["0"]) == ["0"]
        assert project.lease("anna", 1, ["0"]) == []
        assert project.lease("ben", 1, ["0"]) == ["0"]
        assert project.lease("carl", 1, ["0"]) == []
        project.record_all([Event(kind="skip", who="anna", item="0")])
        assert project.lease("carl", 1, ["0"]) == []
        project.release(["0"], "anna")
        assert project.lease("carl", 1, ["0"]) == []
        project.release(["0"], "ben")
        assert "0" not in project.open_items("anna")
        assert project.lease("carl", 1, ["0"]) == ["0"]


def test_leases_end_by_the_monotonic_clock_of_this_process(project, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    project.lease("anna", 1, ["0"])
    project.lease("anna", 1, ["1"], tab="sheet", lasting=True)
    assert project.expire(60) == []
    now[0] = 159.0
    with Project.open(project.path) as again:  # after a restart, the full time
        assert again.expire(60) == []
        now[0] = 161.0
        assert again.expire(60) == []
    assert len(project.expire(60)) == 1
    assert project.leased("anna") == ["1"]


def test_the_queue(project, say):
    project.queue(["7", "3", "7"])
    assert project.queued("anna") == ["7", "3"]
    say("anna", "label", "7", "cat")
    project.lease("ben", 1, ["3"])
    assert (project.queued("anna"), project.queued("ben")) == ([], [])
    project.release(["3"], "ben")
    with pytest.raises(InvalidInput, match="no item 'none'"):
        project.queue(["1", "none"])
    assert project.queued("anna") == ["3"]
    project.queue([])
    assert project.queued("anna") == []


def test_items_that_are_gone_are_not_handed_out(project, texts):
    project.lease("anna", 1, ["9"])
    texts.write_text("text 0\n")
    project.add(texts)
    assert (project.open_items("anna"), project.leased("anna")) == (["0"], [])
    assert project.lease("anna", 1, ["9"]) == []


# ------------------------------------------------------------------------------------------------------------- processes


def test_create(tmp_path, case):
    (tmp_path / "empty").mkdir()
    Project.create(tmp_path / "empty").close()
    (tmp_path / "file").write_text("")
    for name in ("empty", "file"):
        with pytest.raises(RunError, match="exists; expected a new or empty folder"):
            Project.create(tmp_path / name)
    for given, message in [
        ({"classes": ["cat", "dog", "cat"]}, "the class 'cat' is listed twice; list each class once"),
        ({"classes": ["caf\u00e9", "cafe\u0301"]}, "is listed twice"),
        ({"classes": ["cat", " "]}, "the name of a class must be"),
        ({"classes": ["a\u2028b"]}, "one line of text"),
        ({"classes": "cat"}, "must be a list of names"),
        ({"copies": 0}, "copies must be"),
    ]:
        with case(given):
            with pytest.raises(InvalidInput, match=message):
                Project.create(tmp_path / "deep" / "new", **given)
            assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_of_two_who_create_a_project_at_once_one_is_refused(tmp_path, monkeypatch):
    """The second finds the first where it was about to give its own folder the name."""
    made = Project.record_all

    def meanwhile(self, events):
        monkeypatch.setattr(Project, "record_all", made)
        Project.create(tmp_path / "new", classes=["cat"]).close()
        return made(self, events)

    monkeypatch.setattr(Project, "record_all", meanwhile)
    with pytest.raises(RunError, match=r"new exists; expected a new or empty folder"):
        Project.create(tmp_path / "new", classes=["dog"])
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    with Project.open(tmp_path / "new") as project:
        assert project.classes == ["cat"]


def test_one_server_at_a_time(project):
    code = f"""
import sys
from distil.errors import RunError
from distil.labeling.project import Project
with Project.open({str(project.path)!r}) as project:
    try:
        with project.only_writer():
            print("held")
    except RunError as error:
        print(error)
print([name for name in ("torch", "numpy", "sklearn", "pydantic") if name in sys.modules])
"""

    def other():
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.splitlines()

    with project.only_writer():
        assert "is in use by another process" in other()[0]
    assert other() == ["held", "[]"]  # the process of a server imports neither torch nor NumPy


def test_the_answer_of_state_names_what_was_given(project, say):
    say("anna", "label", "0", "cat")
    say("anna", "flag", "0")
    assert project.state().answers == {("0", "anna"): Answer("label", "cat", True)}


def test_images_that_cannot_be_read_are_reported_and_left_out_until_they_can_be(tmp_path, case):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4), "red").save(folder / name)
    (folder / "dead.png").symlink_to(folder / "later.bin")
    with Project.create(tmp_path / "p", classes=["x"]) as project:
        with case("a link to nothing"):
            added = project.add(folder)
            assert (added.new, list(added.unreadable)) == (2, ["dead.png"])
            assert "dead.png: cannot be read" in added.unreadable["dead.png"]
            assert project.ids() == ["a.png", "b.png"]
        with case("it is there later"):
            Image.new("RGB", (4, 4), "blue").save(folder / "later.bin", "PNG")
            assert project.add(folder).new == 1
            project.record([Event(kind="label", who="anna", item="dead.png", label="x")])
        with case("and is gone again, with its label kept"):
            (folder / "later.bin").unlink()
            added = project.add(folder)
            assert (added.new, added.known, added.gone, list(added.unreadable)) == (0, 2, ("dead.png",), ["dead.png"])
            assert project.labels() == {"dead.png": "x"}
        with case("none can be read: a disk that is not there, rather than items that are gone"):
            for name in ("a.png", "b.png"):
                (folder / name).unlink()
                (folder / name).symlink_to("nothing")
            with pytest.raises(InvalidInput, match=r"none of the 3 images can be read; the first: a\.png: cannot"):
                project.add(folder)
            assert project.open_items("anna") == ["a.png", "b.png"]

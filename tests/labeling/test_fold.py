"""The state is a fold over the record: the tables against the pure function, for any order of events by several people."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distil.labeling.events import Event
from distil.labeling.fold import Answer, fold
from distil.labeling.project import Project

WHO, ITEMS, CLASSES = ("anna", "ben"), ("0", "1", "2"), ("cat", "dog", "cow")

answers = st.builds(
    lambda who, item, label: Event(kind="label", who=who, item=item, label=label),
    st.sampled_from(WHO),
    st.sampled_from(ITEMS),
    st.sampled_from(CLASSES),
)
others = st.builds(
    lambda kind, who, item: Event(kind=kind, who=who, item=item),
    st.sampled_from(["skip", "unsure", "flag"]),
    st.sampled_from(WHO),
    st.sampled_from(ITEMS),
)
overruling = st.builds(
    lambda who, item, of, label: (
        Event(kind="withdraw", who=who, item=item, of=of)
        if of
        else Event(kind="decide", who=who, item=item, label=label)
    ),
    st.sampled_from(WHO),
    st.sampled_from(ITEMS),
    st.sampled_from(["", "anna", "ben"]),
    st.sampled_from(CLASSES),
)
back = st.tuples(st.sampled_from(["undo", "redo"]), st.sampled_from(WHO), st.integers(0, 30))
classes = st.one_of(
    st.builds(lambda label: Event(kind="class_add", who="anna", label=label), st.sampled_from([*CLASSES, "pet"])),
    st.builds(
        lambda kind, label, name: Event(kind=kind, who="ben", label=label, name=name),
        st.sampled_from(["class_rename", "class_merge"]),
        st.sampled_from([*CLASSES, "pet"]),
        st.sampled_from([*CLASSES, "pet"]),
    ),
    st.builds(
        lambda label, name: Event(kind="class_key", who="ben", label=label, name=name),
        st.sampled_from([*CLASSES, "pet"]),
        st.sampled_from(["c", "d"]),
    ),
)
unmerge = st.just(("undo", "anna", "class_merge"))
steps = st.lists(st.one_of(answers, answers, others, overruling, back, back, classes, classes, unmerge), max_size=30)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "texts.txt").write_text("a\nb\nc\n")
        yield Path(name)


@settings(max_examples=25)
@given(steps)
def test_the_tables_agree_with_the_fold(folder, todo):
    """After every event; refused events change nothing; an open project and a reopened one say the same."""
    path = folder / f"p{len(list(folder.iterdir()))}"
    with Project.create(path, classes=CLASSES[:2]) as project:
        project.add(folder / "texts.txt")
        sent = []
        for step in todo:
            if isinstance(step, tuple):
                kind, who, back = step
                able = sent if back != "class_merge" else [each for each in sent if each.kind == back][-1:]
                place = 0 if back == "class_merge" else back
                target = able[-1 - place % len(able)].key if able else "no-such-key"
                step = Event(kind=kind, who=who, target=target)
            before = project.state()
            (ack,) = project.record([step])
            if ack.error is None:
                sent.append(step)
            else:
                assert project.state() == before
            assert project.record([step])[0].duplicate == (ack.error is None)
            assert project.state() == fold(each.event for each in project.events())
        assert [each.event for each in project.events()][2:] == sent
        last = project.state()
    with Project.open(path) as again:
        assert again.state() == last


def state_of(*events):
    """The state of events whose keys are their positions."""
    begin = [Event(kind="class_add", who="x", label=name) for name in ("cat", "dog")]
    return fold([*begin, *events])


def event(kind, item=None, label=None, who="anna", **more):
    return Event(kind=kind, who=who, item=item, label=label, **more)


def test_the_last_answer_of_a_person_counts_and_undo_brings_back_the_one_before():
    first, second = event("label", "0", "cat"), event("label", "0", "dog", key="second-key")
    undo, redo = event("undo", target="second-key"), event("redo", target="second-key")
    assert state_of(first, second).answers == {("0", "anna"): Answer("label", "dog", False)}
    assert state_of(first, second, undo).answers == {("0", "anna"): Answer("label", "cat", False)}
    assert state_of(first, second, undo, redo).answers == {("0", "anna"): Answer("label", "dog", False)}
    assert state_of(second, undo).answers == {}


def test_a_flag_stays_with_later_answers_and_a_withdrawal_takes_everything():
    flag = event("flag", "0")
    assert state_of(flag, event("label", "0", "cat")).answers == {("0", "anna"): Answer("label", "cat", True)}
    assert state_of(flag).answers == {("0", "anna"): Answer(None, None, True)}
    gone = event("withdraw", "0", who="ben", of="anna")
    assert state_of(flag, event("skip", "0"), gone).answers == {}
    assert state_of(gone, event("skip", "0")).answers == {("0", "anna"): Answer("skip", None, False)}


def test_renames_and_merges_reach_earlier_answers():
    said = event("label", "0", "cat")
    rename = event("class_rename", label="cat", name="kitty")
    merge = event("class_merge", label="kitty", name="dog")
    late = event("label", "1", "cat")  # of a page that has not heard of it
    assert state_of(said, rename, late).answers == {
        ("0", "anna"): Answer("label", "kitty", False),
        ("1", "anna"): Answer("label", "kitty", False),
    }
    state = state_of(said, rename, merge, late)
    assert state.classes == ["dog"]
    assert {answer.label for answer in state.answers.values()} == {"dog"}


def test_a_name_that_was_left_may_be_given_again():
    state = state_of(
        event("label", "0", "cat"),
        event("class_rename", label="cat", name="kitty"),
        event("class_add", label="cat"),
        event("label", "1", "cat"),
    )
    assert state.classes == ["kitty", "dog", "cat"]
    assert [answer.label for answer in state.answers.values()] == ["kitty", "cat"]


def test_a_merge_can_be_undone():
    merge = event("class_merge", label="cat", name="dog", key="the-merge")
    undo = event("undo", target="the-merge", who="ben")
    before, meanwhile = event("label", "0", "cat"), event("label", "1", "cat")
    state = state_of(before, merge, meanwhile, undo, event("label", "2", "cat"))
    assert state.classes == ["cat", "dog"]
    assert [answer.label for answer in state.answers.values()] == ["cat", "dog", "cat"]
    taken = event("class_add", label="cat"), event("class_rename", label="cat", name="cow")
    state = state_of(merge, *taken, undo, event("label", "0", "cat"))
    assert state.classes == ["cat", "dog", "cow"]
    assert state.answers["0", "anna"].label == "cat"


def test_a_key_belongs_to_one_class_and_ends_with_it():
    def key(label, name):
        return event("class_key", label=label, name=name)

    assert state_of().keys == {}
    assert state_of(key("dog", "d"), key("cat", "c")).keys == {"cat": "c", "dog": "d"}
    assert state_of(key("dog", "d"), key("dog", "x")).keys == {"dog": "x"}
    assert state_of(key("dog", "d"), key("cat", "d")).keys == {"cat": "d"}
    assert state_of(key("dog", "d"), event("class_rename", label="dog", name="hound")).keys == {"hound": "d"}
    merge = event("class_merge", label="dog", name="cat")
    assert state_of(key("dog", "d"), merge).keys == {}
    assert state_of(key("dog", "d"), key("cat", "c"), merge).keys == {"cat": "c"}
    assert state_of(merge, key("dog", "d")).keys == {"cat": "d"}  # of a page that has not heard of it

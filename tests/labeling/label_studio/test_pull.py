"""Answers from Label Studio: each version of an annotation counts once, and every one is checked."""

import pytest

from distil.errors import RunError
from distil.labeling.fold import Answer, fold
from distil.labeling.label_studio.pull import WHO, pull
from distil.labeling.label_studio.push import PushSettings, push, remote_of
from distil.labeling.label_studio.remote import FILE, Remote
from distil.labeling.project import Project

ANNA, BOB = "anna@example.org", "bob@example.org"


@pytest.fixture
def remote(project, client):
    """A project of ten texts, all of which are tasks."""
    made = remote_of(project, client)
    push(project, made, 10, PushSettings())
    return made


@pytest.fixture
def answers(project):
    """``answers()``: (item, person) -> the label or the kind; the tables and the fold of the record agree."""

    def now():
        state = project.state()
        assert state.answers == fold(each.event for each in project.events()).answers
        return {place: answer.label or answer.kind for place, answer in state.answers.items()}

    return now


def test_answers_skips_and_people(project, remote, studio, answers):
    studio.annotate("1", "cat", lead_time=2.25)
    studio.annotate("2")
    studio.annotate("3", "dog", by=2, lead_time=None)
    studio.annotate("4", "dog", by=77, lead_time=-3)
    done = pull(project, remote)
    assert (done.recorded, done.known, done.withdrawn, done.classes, done.refused, done.open) == (4, 0, 0, (), (), 6)
    assert answers() == {
        ("1", ANNA): "cat",
        ("2", ANNA): "skip",
        ("3", BOB): "dog",
        ("4", "label-studio user 77"): "dog",
    }
    events = {each.event.item: each.event for each in project.events() if each.event.kind in ("label", "skip")}
    assert [events[item].ms for item in "1234"] == [2250, 1500, None, None]
    assert set(project.leased(WHO)) == {*"0567890"} - {"1", "2", "3", "4"}
    assert set(project.open_items("carl")) == set()
    again = pull(project, remote)
    assert (again.recorded, again.known, again.withdrawn, again.open) == (0, 4, 0, 6)


def test_what_people_saw_is_recorded(project, remote, studio, say):
    say("carl", "label", "8", "cat")
    say("carl", "label", "9", "dog")
    studio.annotate("1", "cat")  # before the model had a guess
    push(project, remote, 1, PushSettings())
    (guess,) = studio.task("2")["predictions"][-1]["result"]
    studio.annotate("2", "cat")
    studio.task("3")["predictions"].append({"model_version": "another model", "result": 7, "created_at": studio.now()})
    studio.task("3")["predictions"].append({"model_version": "distil 3", "result": 7, "created_at": studio.now()})
    studio.annotate("3", "cat")
    pull(project, remote)
    shown = {each.event.item: each.event.shown for each in project.events() if each.event.who == ANNA}
    assert (shown["1"].guess, shown["1"].p, shown["1"].model) == (None, None, "distil 1")
    assert (shown["2"].guess, shown["2"].p, shown["2"].model) == (
        guess["value"]["choices"][0],
        guess["score"],
        "distil 2",
    )
    assert shown["3"].model == "distil 2"
    assert all(each.reason == studio.task(item)["data"]["distil_reason"] for item, each in shown.items())
    studio.projects[2]["show_collab_predictions"] = False  # people switched the guesses off
    studio.annotate("4", "cat")
    pull(project, remote)
    (last,) = [each.event.shown for each in project.events() if each.event.item == "4" and each.event.who == ANNA]
    assert (last.guess, last.model, last.reason) == (None, None, studio.task("4")["data"]["distil_reason"])


def test_edits_and_deletions(project, remote, studio, answers):
    first, second, _ = (studio.annotate(item, "cat") for item in "123")
    pull(project, remote)
    studio.edit(first, "dog")
    studio.delete("2", second)
    del studio.tasks[studio.task("3")["id"]]  # the whole task
    done = pull(project, remote)
    assert (done.recorded, done.withdrawn, done.open) == (1, 1, 8)
    assert answers() == {("1", ANNA): "dog", ("3", ANNA): "cat"}
    assert "2" not in project.leased(WHO) or done.open == 8
    for _ in range(2):
        again = pull(project, remote)
        assert (again.recorded, again.known, again.withdrawn) == (0, 1, 0)
    studio.annotate("2", "dog")
    assert pull(project, remote).recorded == 1
    assert answers()["2", ANNA] == "dog"


def test_of_several_annotations_of_a_person_the_last_one_counts(project, remote, studio, answers):
    first, second = studio.annotate("1", "cat"), studio.annotate("1", "dog")
    assert pull(project, remote).recorded == 1
    assert answers() == {("1", ANNA): "dog"}
    studio.edit(first, "cat")
    pull(project, remote)
    assert answers() == {("1", ANNA): "cat"}
    for _ in range(2):  # what comes and goes is recorded each time
        third = studio.annotate("1", "dog")
        pull(project, remote)
        assert answers() == {("1", ANNA): "dog"}
        studio.delete("1", third)
        done = pull(project, remote)
        assert (done.recorded, done.withdrawn) == (1, 0)
        assert answers() == {("1", ANNA): "cat"}
        assert pull(project, remote).recorded == 0
    studio.delete("1", first)
    pull(project, remote)
    studio.delete("1", second)
    assert pull(project, remote).withdrawn == 1
    assert answers() == {}


def test_what_was_said_elsewhere_later_stays(project, remote, studio, answers, say):
    first = studio.annotate("1", "cat")
    studio.annotate("2", "cat")
    pull(project, remote)
    say(ANNA, "label", "1", "dog")
    project.withdraw([("2", ANNA)])
    studio.delete("1", first)
    done = pull(project, remote)
    assert (done.recorded, done.withdrawn) == (0, 0)
    assert answers() == {("1", ANNA): "dog"}


def test_annotations_without_an_answer_are_listed(project, remote, studio, answers):
    def choices(*labels, **more):
        return {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [*labels]}, **more}

    one = "expected one result with one choice"
    wrong = [
        ("its from_name is 'WRONG', expected 'label'", {"result": [choices("cat", from_name="WRONG")]}),
        ("the choice 'cta' is no class of the project; did you mean 'cat'?", {"label": "cta"}),
        (one, {"result": [choices("cat", "dog")]}),
        (one, {"result": [choices("cat"), choices("cat")]}),
        (one, {"result": [choices(7)]}),
        (one, {"result": {"cat": 1}}),
        (one, {"result": [choices("cat", type="rating")]}),
        ("the annotation has no result and was not skipped", {"was_cancelled": False}),
        ("completed_by names no person", {"label": "cat", "by": None}),
        ("`updated_at` is no time: 5", {"label": "cat", "created_at": 5}),
        ("an annotation has no number", {"label": "cat", "id": "7"}),
        ("an annotation has no number", {"label": "cat", "id": True}),
    ]
    numbers = [studio.annotate("1", **annotation)["id"] for _, annotation in wrong]
    studio.annotate("3", "dog")
    studio.task("4")["data"]["distil_id"] = "none"
    studio.annotate("none", "cat")
    done = pull(project, remote)
    assert answers() == {("3", ANNA): "dog"}
    task = studio.task("1")["id"]
    expected = [f"task {task} (1), annotation {at}: {why}" for at, (why, _) in zip(numbers, wrong, strict=True)]
    said = sorted(done.refused, key=lambda line: "(none)" in line)
    for line, begins in zip(said, [*expected, "task "], strict=False):
        assert line.startswith(begins)
    assert said[-1].endswith("its task is for 'none', which is no item of the project")
    assert done.notes == [f"{len(wrong) + 1} annotations without an answer; the first: {done.refused[0]}"]


def test_new_classes_only_where_wanted(project, remote, studio, answers, say):
    say("carl", "class_rename", label="cat", name="kitten")
    studio.annotate("1", "fox")
    studio.annotate("2", "cat")
    assert len(pull(project, remote).refused) == 1
    assert answers() == {("2", ANNA): "kitten"}
    done = pull(project, remote, new_classes=True)
    assert (done.classes, done.refused, done.notes) == (("fox",), (), ["new classes: fox"])
    assert answers()["1", ANNA] == "fox"


def test_two_people_an_item(tmp_path, texts, client, studio):
    with Project.create(tmp_path / "p", classes=["cat", "dog"], copies=2) as project:
        project.add(texts)
        remote = remote_of(project, client)
        assert studio.projects[2]["maximum_annotations"] == 2
        push(project, remote, 2, PushSettings())
        first, second = (task["data"]["distil_id"] for task in studio.tasks.values())
        studio.annotate(first, "cat")
        assert pull(project, remote).open == 2
        studio.annotate(first, "dog", by=2)  # a tie is for one more person, not for Label Studio
        studio.annotate(second, "cat", by=2)
        assert pull(project, remote).open == 1
        assert project.leased(WHO) == [second]
        assert project.state().answers[first, BOB] == Answer("label", "dog", False)


def test_keys_that_only_look_like_those_of_annotations(project, remote, studio, answers, say):
    for end in ("junk", "7", "7:yesterday", "7:20261130T070001.000123:x"):
        say("carl", "label", "1", "cat", key=f"label-studio:{remote.mark}:{end}")
    studio.annotate("2", "dog")
    done = pull(project, remote)
    assert (done.recorded, done.withdrawn) == (1, 0)
    assert answers() == {("1", "carl"): "cat", ("2", ANNA): "dog"}


def test_a_person_who_is_renamed_there_says_nothing_twice(project, remote, studio, answers):
    studio.annotate("1", "cat")
    pull(project, remote)
    studio.people = {1: " "}
    done = pull(project, remote)
    assert (done.recorded, done.known, done.withdrawn) == (0, 1, 0)
    studio.annotate("2", "cat")
    pull(project, remote)
    assert answers() == {("1", ANNA): "cat", ("2", "label-studio user 1"): "cat"}


def test_two_servers_do_not_disturb_each_other(project, remote, studio, answers):
    studio.annotate("1", "cat")
    pull(project, remote)
    (project.path / FILE).unlink()
    studio.projects[2]["created_at"] = "2027-01-01T00:00:00Z"  # the same numbers on another server
    studio.tasks.clear()
    other = Remote.find(project, remote.client)
    assert other.mark != remote.mark
    push(project, other, 10, PushSettings())
    assert pull(project, other).withdrawn == 0
    assert answers() == {("1", ANNA): "cat"}


def test_nothing_is_recorded_from_half_a_list(project, remote, studio, answers, monkeypatch):
    studio.annotate("1", "cat")
    pull(project, remote)
    monkeypatch.setattr("distil.labeling.label_studio.remote._PAGE", 3)
    assert [task.id for task in remote.tasks()] == [*range(1, 11)]
    whole = studio.GET_api_tasks
    studio.GET_api_tasks = lambda *given: {**whole(*given), "total": 11}
    with pytest.raises(RunError):
        pull(project, remote)
    assert answers() == {("1", ANNA): "cat"}

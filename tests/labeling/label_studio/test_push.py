"""Items to Label Studio: each once, in order, with guesses; what it drops is said."""

import pytest

from distil.errors import InvalidInput, RunError
from distil.labeling.events import Event
from distil.labeling.label_studio.client import Unreachable
from distil.labeling.label_studio.pull import WHO, pull
from distil.labeling.label_studio.push import PushSettings, push, remote_of
from distil.labeling.project import Project
from distil.strategies.registry import strategy_named


@pytest.fixture
def remote(project, client):
    return remote_of(project, client)


def ids(studio):
    return [task["data"]["distil_id"] for task in studio.tasks.values()]


def test_items_come_in_the_order_in_which_they_were_chosen(project, remote, studio):
    project.queue(["7", "3"])
    done = push(project, remote, 4, PushSettings())
    assert (done.new, done.open, done.guesses, done.dropped, done.left_out, done.notes) == (4, 4, 0, (), {}, [])
    assert ids(studio)[:2] == ["7", "3"]
    task = studio.tasks[1]
    assert task["data"] == {"distil_id": "7", "distil_reason": "queued", "text": "text 7"}
    assert [task["predictions"][0]["score"] for task in studio.tasks.values()] == [0, 1 / 3, 2 / 3, 1]
    assert studio.next() is task  # the lowest score comes first
    assert sorted(project.leased(WHO)) == sorted(ids(studio))
    assert not set(ids(studio)) & set(project.open_items("anna"))


def test_no_item_gets_a_second_task_and_all_open_ones_get_new_guesses(project, remote, studio):
    push(project, remote, 3, PushSettings())
    first = ids(studio)
    studio.annotate(first[0], "cat")
    studio.annotate(first[1], "dog")
    pull(project, remote)
    project.release(project.leased(WHO), WHO)
    project.queue([first[2]])  # chosen again, though it has a task
    done = push(project, remote, 3, PushSettings())
    assert (done.new, done.open) == (2, 3) or (done.new, done.open) == (3, 4)
    assert len(ids(studio)) == len(set(ids(studio)))
    assert done.guesses == done.open
    assert studio.projects[2]["model_version"] == "distil 2"
    waiting = [task for task in studio.tasks.values() if not task["annotations"]]
    for place, task in enumerate(waiting):
        last = task["predictions"][-1]
        assert (last["model_version"], last["score"]) == ("distil 2", place / (len(waiting) - 1))
        (result,) = last["result"]
        assert result["value"]["choices"][0] in ("cat", "dog")
        assert 0.5 <= result["score"] <= 1
    assert studio.next()["data"]["distil_id"] == first[2]
    assert all(len(studio.task(item)["predictions"]) == 1 for item in first[:2])


def test_guesses_are_those_of_a_model_fitted_to_the_labels(tmp_path, client, studio):
    path = tmp_path / "texts.csv"
    words = {"good": "fine lovely great", "bad": "awful broken sad"}
    path.write_text(
        "id,text\n" + "".join(f"{label}{n},it is {text} {n}\n" for n in range(8) for label, text in words.items())
    )
    with Project.create(tmp_path / "p", classes=["bad", "good"]) as project:
        project.add(path)
        for item in ("good0", "good1", "bad0", "bad1"):
            project.record([Event(kind="label", who="anna", item=item, label=item[:-1])])
        done = push(project, remote_of(project, client), 12, PushSettings(share=0.5))
        assert (done.new, done.guesses) == (12, 12)
    for task in studio.tasks.values():
        (result,) = task["predictions"][0]["result"]
        assert task["data"]["distil_id"].startswith(result["value"]["choices"][0])
    assert "random" in {task["data"]["distil_reason"] for task in studio.tasks.values()}


def test_what_label_studio_drops_is_said_and_not_handed_out(project, remote, studio):
    studio.drop_tasks = 1
    send = remote.predict
    remote.predict = lambda predictions: send([{**each, "score": 2 * each["score"]} for each in predictions])
    done = push(project, remote, 3, PushSettings())
    assert (done.new, done.open) == (2, 2)
    (lost,) = {*"0123456789"} - set(project.open_items("anna")) - set(ids(studio)) or {None}
    assert lost is None
    assert len(done.dropped) == 2
    assert done.dropped[1] == "1 of 2 predictions"
    assert "without saying why (2 in all)" in done.notes[0]


def test_after_an_error_the_items_are_not_handed_out_and_the_next_push_repairs(project, remote, studio):
    add = remote.add

    def broken(data):
        add(data[:2])
        raise Unreachable("gone")

    remote.add = broken
    with pytest.raises(Unreachable):
        push(project, remote, 3, PushSettings())
    assert project.leased(WHO) == []
    assert len(ids(studio)) == 2
    remote.add = add
    assert push(project, remote, 1, PushSettings(strategy=strategy_named("random_sampling"))).open in (2, 3)
    assert set(ids(studio)[:2]) <= set(project.leased(WHO))


def test_classes_are_added_to_the_labeling_config(project, remote, studio, say):
    say("anna", "class_add", label="fox")
    say("anna", "class_rename", label="cat", name="kitten")
    changed = studio.projects[2]["label_config"].replace("<View>", '<View><Header value="Which?" />')
    studio.projects[2]["label_config"] = changed  # in the browser, while a loop runs
    push(project, remote, 1, PushSettings())
    assert studio.view(2).find("Header").get("value") == "Which?"
    choices = [each.get("value") for each in studio.view(2).iter("Choice")]
    assert choices == ["cat", "dog", "kitten", "fox"]  # "cat" may be in annotations, and is understood


def test_items_that_cannot_be_tasks_are_left_out(tmp_path, client, studio):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"id": "a", "text": "fine"}\n{"id": "b", "text": "zero \\u0000 byte"}\n')
    with Project.create(tmp_path / "p", classes=["x", "y"]) as project:
        project.add(path)
        done = push(project, remote_of(project, client), 2, PushSettings())
        assert (done.new, list(done.left_out), project.leased(WHO)) == (1, ["b"], ["a"])
        assert done.notes == ["1 item cannot be sent; the first: 'b': its text holds a zero byte"]


def test_arrays_are_refused(tmp_path, client):
    import numpy as np

    np.save(tmp_path / "x.npy", np.zeros((3, 2), np.float32))
    with Project.create(tmp_path / "p", classes=["x"]) as project:
        project.add(tmp_path / "x.npy")
        with pytest.raises(InvalidInput, match="has rows"):
            remote_of(project, client)


def test_a_lost_config_is_an_error_before_anything_is_handed_out(project, remote, studio):
    studio.projects[2]["label_config"] = "<View/>"
    with pytest.raises(RunError, match="put it back"):
        push(project, remote, 1, PushSettings())
    assert project.leased(WHO) == []

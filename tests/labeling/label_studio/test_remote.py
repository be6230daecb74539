"""Finding and making the project in Label Studio, and answers that are not as expected."""

import json

import pytest

from distil.errors import InvalidInput, RunError
from distil.labeling.label_studio.push import remote_of
from distil.labeling.label_studio.remote import FILE, Remote
from distil.labeling.project import Project


def test_one_project_is_made_and_found_again(project, client, studio):
    assert Remote.find(project, client) is None
    made = remote_of(project, client)
    assert remote_of(project, client).id == made.id == 2
    assert len(studio.projects) == len(studio.views) == 1
    there = studio.projects[2]
    assert (there["sampling"], there["maximum_annotations"]) == ("Uncertainty sampling", 1)
    assert studio.views[0]["data"]["ordering"] == ["tasks:predictions_score"]
    linked = json.loads((project.path / FILE).read_text())
    assert linked == {client.url: {"id": 2, "mark": made.mark}}
    for n in range(150):  # more than a page of others
        studio.projects[n + 3] = {"id": n + 3, "description": "", "created_at": "x", "label_config": ""}
    (project.path / FILE).unlink()  # as after a kill
    assert remote_of(project, client).mark == made.mark
    assert len(studio.projects) == 151


def test_another_project_of_the_same_number_is_refused(project, client, studio):
    remote_of(project, client)
    studio.projects[2]["created_at"] = "2027-01-01T00:00:00Z"
    with pytest.raises(RunError, match=r"no longer has the project 2.*delete .*label-studio.json"):
        remote_of(project, client)
    del studio.projects[2]
    with pytest.raises(RunError, match="no longer has the project 2"):
        remote_of(project, client)
    for damaged in ("{", "[]", '{"a": 1}', '{"a": {"id": 1}}'):
        (project.path / FILE).write_text(damaged)
        with pytest.raises(RunError, match="is damaged"):
            remote_of(project, client)


def test_projects_that_label_studio_cannot_show(tmp_path, texts, client):
    with Project.create(tmp_path / "p") as project:
        with pytest.raises(InvalidInput, match="has no items"):
            remote_of(project, client)
        project.add(texts)
        with pytest.raises(InvalidInput, match="has no classes yet"):
            remote_of(project, client)


def test_answers_of_another_form_are_refused(project, client, studio):
    remote = remote_of(project, client)
    for name, answer in {
        "GET_api_tasks": {"total": "1", "tasks": []},
        "GET_api_users": {"id": 1},
        "POST_api_projects_N_import_predictions": {"created": True},
        "GET_api_projects_N": [],
    }.items():
        setattr(studio, name, lambda *_, answer=answer: answer)
    for call in (remote.tasks, remote.people, lambda: remote.predict([{}]), remote.counters):
        with pytest.raises(RunError, match=r"Label Studio sent .* expected (int|list|dict)"):
            call()
    studio.GET_api_tasks = lambda *_: {"total": 3, "tasks": []}
    with pytest.raises(RunError, match="listed 0 of 3 tasks"):
        remote.tasks()

"""Projects of texts."""

import pytest

from distil.labeling.events import Event
from distil.labeling.project import Project


@pytest.fixture
def texts(tmp_path):
    """A file of ten texts, whose ids are 0 to 9."""
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"text {n}\n" for n in range(10)), encoding="utf-8")
    return path


@pytest.fixture
def project(tmp_path, texts):
    """A project of these texts, with the classes cat and dog."""
    with Project.create(tmp_path / "project", classes=["cat", "dog"]) as made:
        made.add(texts)
        yield made


@pytest.fixture
def say(project):
    """``say(who, kind, item, label)``: record one event, which must not be refused; returns its key."""

    def record(who, kind, item=None, label=None, **more):
        event = Event(kind=kind, who=who, item=item, label=label, **more)
        (ack,) = project.record([event])
        assert ack.error is None
        return event.key

    return record

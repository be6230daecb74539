"""Files that were renamed: which item has the content of which, and answers that follow."""

import pytest
from PIL import Image

from distil.labeling.events import Event, Shown
from distil.labeling.fold import fold
from distil.labeling.project import Project


@pytest.fixture
def images(tmp_path):
    """Images a.png to f.png, all different but for c.png and d.png."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, gray in zip("abcdef", (1, 2, 3, 3, 5, 6), strict=True):
        Image.new("L", (4, 4), gray).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def project(tmp_path, images):
    with Project.create(tmp_path / "p", classes=["cat", "dog", "bird"]) as made:
        made.add(images)
        yield made


def rename(images, **names):
    for old, new in names.items():
        (images / f"{old}.png").rename(images / f"{new}.png")


def test_what_has_the_content_of_what(project, images):
    project.record_all([Event(kind="label", who="anna", item=f"{name}.png", label="cat") for name in "abcde"])
    rename(images, a="A", c="C", d="D", f="F")  # c and d are alike, and f has no answer
    (images / "b.png").unlink()
    for _ in range(2):  # it is said until it is done
        added = project.add(images)
        assert added.moved == (("a.png", "A.png"),)
    assert (added.new, added.known, added.gone) == (0, 5, ())
    assert set(project.labels()) == {"a.png", "b.png", "c.png", "d.png", "e.png"}, "nothing follows unasked"


def test_one_of_several_that_have_the_content(project, images):
    project.record_all([Event(kind="label", who="anna", item="a.png", label="cat")])
    rename(images, a="A")
    (images / "copy.png").write_bytes((images / "A.png").read_bytes())
    assert project.add(images, moved=True).moved == ()
    assert project.labels() == {"a.png": "cat"}
    (images / "copy.png").unlink()
    assert project.add(images, moved=True).moved == (("a.png", "A.png"),)
    assert project.labels() == {"A.png": "cat"}


def test_everything_that_people_say_follows_and_the_record_says_so(project, images):
    """Decisions, flags, skips, how the item was chosen; under the present names of classes that took each other's names."""
    shown = Shown("dog", 0.7, True, "random", "4 labels")
    project.record_all(
        [
            Event(kind="label", who="anna", item="a.png", label="dog", shown=shown, ms=900),
            Event(kind="label", who="anna", item="a.png", label="cat"),
            Event(kind="flag", who="anna", item="a.png"),
            Event(kind="skip", who="ben", item="a.png"),
            Event(kind="flag", who="carl", item="a.png"),
            Event(kind="decide", who="carl", item="a.png", label="bird"),
            Event(kind="label", who="anna", item="b.png", label="dog"),
            Event(kind="class_rename", who="anna", label="cat", name="kitty"),
            Event(kind="class_rename", who="anna", label="bird", name="cat"),
        ]
    )
    before = project.answers()
    expected = {(item.replace("a.", "A."), who): answer for (item, who), answer in before.items()}
    last = project.last_event
    rename(images, a="A")
    assert project.add(images, moved=True, who="owner").moved == (("a.png", "A.png"),)
    assert project.answers() == expected
    assert fold(each.event for each in project.events()).answers == expected
    assert project.labels() == {"A.png": "cat", "b.png": "dog"}
    new = [each.event for each in project.events(after=last)]
    assert {event.tab for event in new} == {"moved"}
    assert {(event.kind, event.who) for event in new if event.item == "a.png"} == {("withdraw", "owner")}
    assert [(event.who, event.shown) for event in new if event.kind == "label"] == [("anna", shown)]
    assert [event.who for event in new if event.kind == "decide"] == ["owner"]
    assert project.add(images, moved=True).moved == ()
    assert project.answers() == expected


def test_what_a_person_said_of_the_new_item_is_kept(project, images):
    project.record_all([Event(kind="label", who=who, item="a.png", label="cat") for who in ("anna", "ben")])
    rename(images, a="A")
    project.add(images)
    project.record_all([Event(kind="label", who="anna", item="A.png", label="dog")])
    project.add(images, moved=True)
    assert {(item, who): answer.label for (item, who), answer in project.answers().items()} == {
        ("A.png", "anna"): "dog",
        ("A.png", "ben"): "cat",
    }

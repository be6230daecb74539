"""Several people and pages: one person in two tabs, five people at once, a laptop that slept, names of classes of every kind."""

from __future__ import annotations

import pytest

from distil.cli import main
from distil.labeling.events import Event
from distil.labeling.fold import fold
from distil.labeling.project import Project

pytestmark = pytest.mark.slow
expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright's Python client").expect


def undone(folder):
    """The items whose answers were undone or done again, in the order in which that was."""
    with Project.open(folder) as project:
        events = [each.event for each in project.events()]
    items = {event.key: event.item for event in events}
    return [(event.kind, items[event.target]) for event in events if event.target is not None]


def test_two_tabs_of_a_person_undo_one_answer_after_the_other(tmp_path, digits, serve, visit, at):
    folder = tmp_path / "p"
    one = at(visit(serve(digits, "--project", str(folder), "--classes", "even,odd", "--who", "anna")))
    with one.page.expect_popup() as opening:
        one.page.evaluate("() => { window.open('/'); }")
    two = at(opening.value)
    two.page.wait_for_selector(".caption .id")
    first, second, third, fourth = (one.press("1") for _ in range(4))
    one.settled()
    two.page.keyboard.press("Backspace")  # this page saw none of the answers
    two.sees(fourth)
    two.settled()
    one.page.keyboard.press("Backspace")
    one.sees(third)
    one.settled()
    two.page.keyboard.press("Backspace")
    two.sees(second)
    two.settled()
    two.page.keyboard.press("Shift+Backspace")
    expect(two.page.locator(".strip .open")).to_have_count(2)
    two.settled()
    one.page.keyboard.press("Shift+Backspace")  # what the other page undid before that
    expect(one.page.locator(".strip .open")).to_have_count(3)
    one.settled()
    turned = [("undo", fourth), ("undo", third), ("undo", second), ("redo", second), ("redo", third)]
    assert undone(folder) == turned
    with Project.open(folder) as project:
        assert sorted(project.labels()) == sorted([first, second, third])
    # one that the other page undid, by its own button
    one.page.locator(".strip .undo").last.click()
    expect(one.page.locator(".strip .open")).to_have_count(2)
    one.settled()
    two.page.locator(".strip .undo").last.click()
    expect(two.page.locator("#note")).to_have_text("That was undone already, on another page.")
    assert undone(folder) == [*turned, ("undo", first)]


def test_five_people_at_once_get_different_items(tmp_path, digits, serve, visit, at):
    folder = tmp_path / "p"
    people = {"anna": at(visit(serve(digits, "--project", str(folder), "--classes", "even,odd", "--who", "anna")))}
    anna = people["anna"]
    anna.page.click("#views >> text=Progress")
    for who in ("ben", "carl", "dora", "emil"):
        anna.page.fill("#person", who)
        anna.page.click("text=Make an address")
        address = anna.page.locator(f"input[aria-label='Address for {who}']").input_value()
        people[who] = at(visit(address))
    anna.page.keyboard.press("Escape")
    anna.page.wait_for_selector(".caption .id")
    said = {}
    for turn in range(6):
        for n, (who, person) in enumerate(people.items()):
            item = person.press("12"[(turn + n) % 2])
            assert item not in said
            said[item] = who
    for person in people.values():
        person.settled()
    anna.page.click("#views >> text=Progress")
    expect(anna.page.locator(".facts")).to_contain_text("30\nof 200 items labeled", use_inner_text=True, timeout=20_000)
    with Project.open(folder) as project:
        state = project.state()
        assert dict(list(state.answers)) == said
        assert fold(each.event for each in project.events()) == state


def test_a_laptop_that_slept_for_a_night_goes_on(tmp_path, digits, serve, visit, at):
    folder = tmp_path / "p"
    address = serve(digits, "--project", str(folder), "--classes", "even,odd", "--who", "anna")
    anna = at(visit(address, clock=True))
    said = [anna.press("1")]
    anna.settled()
    item = anna.item
    anna.page.clock.fast_forward("08:00:00")
    anna.page.evaluate("() => dispatchEvent(new Event('focus'))")
    assert anna.item == item
    said += [anna.press("2"), anna.press("1")]
    anna.page.keyboard.press("Backspace")
    anna.sees(said.pop())
    anna.settled()
    with Project.open(folder) as project:
        assert sorted(project.labels()) == sorted(said)
        assert {who for _, who in project.leases()} == {"anna"}


NAMES = [
    "cat",
    "7.0",
    "7",
    "shift+1",
    "space",
    "a",
    "\N{GRINNING FACE}",
    "\u05d7\u05ea\u05d5\u05dc 2",
    "__proto__",
    "constructor",
]


def test_names_of_classes_of_every_kind(tmp_path, digits, serve, visit, at):
    folder, many = tmp_path / "p", [f"class {n}" for n in range(200)]
    assert main(["project", "create", str(folder)]) == 0
    assert main(["project", "add", str(folder), str(digits)]) == 0
    with Project.open(folder) as project:
        project.record_all([Event(kind="class_add", who="anna", label=name) for name in NAMES + many])
        project.record_all([Event(kind="class_key", who="anna", label="class 150", name="!")])
    person = at(visit(serve(folder, "--who", "anna")))
    page, said = person.page, {}
    for key, name in (("7", "7"), ("1", "cat"), ("2", "7.0"), ("9", "__proto__"), ("0", "constructor")):
        said[person.press(key)] = name
    said[person.press("Shift+Digit1")] = "class 150"  # its own key, not that of the place of the 11th class
    said[person.press("Shift+Digit2")] = "class 1"
    for typed, name in (
        ("7", "7"),
        ("class 15", "class 15"),
        ("CLASS 19", "class 19"),
        ("\u05d7\u05ea", NAMES[7]),
        (" a ", "a"),
    ):
        page.wait_for_selector(".stage[aria-busy=false]")
        item = person.item
        page.keyboard.press("j")
        page.fill("#chooser-input", typed)
        page.keyboard.press("Enter")
        page.wait_for_function("item => document.querySelector('.caption .id')?.title !== item", arg=item)
        said[item] = name
    assert (
        page.locator(".classes .name", has_text=NAMES[7]).evaluate("name => getComputedStyle(name).unicodeBidi")
        == "plaintext"
    )
    page.wait_for_selector(".stage[aria-busy=false]")
    item = person.item
    page.keyboard.press("?")
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    for key in ("Shift+Digit2", "2", "!"):
        page.keyboard.press(key)
    assert person.item == item, "keys of one character are off, with shift too"
    page.click("#views >> text=Classes")
    page.fill("#new-class", "  dog ")
    page.keyboard.press("Enter")
    expect(page.locator("#classes tbody th").last).to_have_text("dog")
    page.click("#views >> text=Progress")
    rows = page.locator("#progress .panel", has=page.locator("h2", has_text="Labels of each class")).locator("th")
    expect(rows).to_have_text([*NAMES, *many, "dog"])
    person.settled()
    with Project.open(folder) as project:
        assert project.labels() == said
        assert project.classes == [*NAMES, *many, "dog"]

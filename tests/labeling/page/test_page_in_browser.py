"""The page in a real browser: sixty digits by keyboard and what is to come of them, two people, a lost connection, all views."""

from __future__ import annotations

import re
from functools import partial

import pytest

from distil.cli import main
from distil.labeling.events import Event, Shown
from distil.labeling.fold import fold
from distil.labeling.project import Project

pytestmark = pytest.mark.slow
expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright's Python client").expect

CLASSES = "0,1,2,3,4,5,6,7,8,9"
ITEM = ".caption .id"


def current(page):
    """The id of the item on the screen."""
    return page.locator(ITEM).get_attribute("title")


def digit_of(item):
    return re.search(r"-(\d)\.png", item)[1]


def press(page, key):
    """Press a key that answers the item; returns its id once another item is on the screen."""
    page.wait_for_selector(".stage[aria-busy=false]")
    item = current(page)
    page.keyboard.press(key)
    page.wait_for_function("item => document.querySelector('.caption .id')?.title !== item", arg=item)
    return item


def label_here(page):
    """Label the item on the screen with what its id says; another one need not come."""
    page.wait_for_selector(".stage[aria-busy=false]")
    item = current(page)
    page.keyboard.press(digit_of(item))
    page.wait_for_function("item => document.querySelector('.caption .id')?.title !== item", arg=item)
    return {item: digit_of(item)}


def label(page, n):
    """Label n items with what their ids say, by keyboard; returns id -> label."""
    said = {}
    for _ in range(n):
        said |= label_here(page)
    return said


def settled(page):
    """Wait until everything is saved."""
    page.wait_for_selector("#saved[data-state=saved]")


def live(page, text):
    page.wait_for_function("text => document.getElementById('live').textContent.includes(text)", arg=text)


def learned(page):
    """Wait until the model has learned from labels."""
    says = "() => document.querySelector('.answers > .hint').textContent.includes('learned from')"
    page.wait_for_function(says, timeout=90_000)


def refuse(status, route):
    route.fulfill(status=status, json={"error": "no"})


def kept(page):
    """The keys of events that this browser still has to send."""
    return page.evaluate("Object.keys(localStorage).filter(name => name.startsWith('distil:'))")


def test_sixty_digits_by_keyboard_with_undo_skip_reload_and_a_second_person(tmp_path, digits, serve, visit):
    folder = tmp_path / "project"
    anna = visit(serve(digits, "--project", str(folder), "--classes", CLASSES, "--who", "anna"))
    said = label(anna, 12)

    skipped = press(anna, "Space")
    unsure = press(anna, "u")
    wrong = press(anna, str((int(digit_of(current(anna))) + 1) % 10))
    anna.keyboard.press("Backspace")
    anna.wait_for_function("item => document.querySelector('.caption .id')?.title === item", arg=wrong)
    live(anna, "Undone")
    before = current(anna)

    settled(anna)
    anna.reload()
    anna.wait_for_selector(ITEM)
    held = {before}
    anna.wait_for_selector(".strip li .undo")
    # undo and redo still know what was before the reload: not sure, then skip, then forward again
    anna.keyboard.press("Backspace")
    anna.wait_for_function("item => document.querySelector('.caption .id')?.title === item", arg=unsure)
    anna.keyboard.press("Backspace")
    anna.wait_for_function("item => document.querySelector('.caption .id')?.title === item", arg=skipped)
    anna.keyboard.press("Shift+Backspace")
    anna.keyboard.press("Shift+Backspace")
    live(anna, "Done again: not sure")
    said |= label(anna, 20)

    anna.click("text=Progress")
    anna.fill("#person", "bert")
    anna.click("text=Make an address")
    bert = visit(anna.locator("input[readonly]").input_value())
    expect(bert.locator("#who")).to_have_text("bert")
    anna.keyboard.press("Escape")
    theirs = label(bert, 14)
    said |= label(anna, 14)
    assert not theirs.keys() & said.keys()
    assert held <= said.keys() | {current(anna)} | theirs.keys() | {wrong}

    # a class that was not foreseen
    odd = current(anna)
    anna.keyboard.press("j")
    anna.keyboard.type("unreadable")
    anna.keyboard.press("Enter")
    anna.wait_for_function("item => document.querySelector('.caption .id')?.title !== item", arg=odd)
    said[odd] = "unreadable"
    settled(anna)
    settled(bert)

    expected = said | theirs
    assert len(expected) >= 60
    with Project.open(folder) as project:
        assert project.labels() == expected
        state = project.state()
        assert state.answers[skipped, "anna"].kind == "skip"
        assert state.answers[unsure, "anna"].kind == "unsure"
        assert fold(each.event for each in project.events()) == state
        events = [each.event for each in project.events() if each.event.kind == "label"]
        assert all(0 <= event.ms < 60_000 for event in events)
        assert len({event.key for event in events}) == len(events)
        assert project.classes[-1] == "unreadable"

    exported, other = tmp_path / "answers.jsonl", tmp_path / "other"
    assert main(["project", "export", str(folder), str(exported), "--answers"]) == 0
    assert main(["project", "create", str(other), "--classes", f"{CLASSES},unreadable"]) == 0
    assert main(["project", "add", str(other), str(digits)]) == 0
    assert main(["project", "import", str(other), str(exported)]) == 0
    with Project.open(other) as copy:
        assert copy.state().answers == state.answers


def test_the_grid_confirms_a_page_and_keeps_what_was_rejected(tmp_path, digits, serve, visit):
    folder = tmp_path / "project"
    page = visit(serve(digits, "--project", str(folder), "--classes", CLASSES, "--who", "anna", "--withhold", "0"))
    said = label(page, 40)
    learned(page)
    page.keyboard.press("g")
    page.wait_for_selector(".tile")
    shown = page.locator("#grid .tile").count()
    guess = page.locator("#grid h2 strong").inner_text()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.wait_for_selector(".tile[aria-pressed=true]")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#grid h2').textContent !== 'Saving…'")
    page.keyboard.press("Escape")
    page.wait_for_selector(ITEM)
    expect(page.locator(".guess")).to_have_text(f"Not {guess}: what do you see?")
    settled(page)
    with Project.open(folder) as project:
        new = {item: label for item, label in project.labels().items() if item not in said}
        assert set(new.values()) == {guess}
        assert len(new) == shown - 1
    # the page is one step of the history
    page.keyboard.press("Backspace")
    live(page, f"Undone: {shown - 1} items as {guess}" if shown > 2 else "Undone")
    settled(page)
    with Project.open(folder) as project:
        assert project.labels() == said
    page.keyboard.press("Shift+Backspace")
    live(page, "Done again")
    settled(page)
    with Project.open(folder) as project:
        assert project.labels() == said | new


def test_answers_given_without_a_connection_arrive_once(tmp_path, digits, serve, visit):
    folder = tmp_path / "project"
    address = serve(digits, "--project", str(folder), "--classes", CLASSES, "--who", "anna")
    page = visit(address, expected=["ERR_INTERNET_DISCONNECTED", "ERR_FAILED"])
    said = label(page, 3)
    settled(page)
    page.context.set_offline(True)
    said |= label(page, 4)
    page.wait_for_selector("#saved[data-state=waiting]")
    expect(page.locator("#saved")).to_contain_text("4 answers wait")
    assert len(kept(page)) == 4
    hidden = """() => {
      window.hidden = 0;
      new MutationObserver(() => { window.hidden += trouble.hidden; }).observe(trouble, { attributes: true });
    }"""
    page.evaluate(hidden)
    while page.locator(".answers.idle").count() == 0:
        said |= label_here(page)
    page.wait_for_selector("text=More items come when the server is reached again.")
    assert page.evaluate("window.hidden") == 0, "what is wrong stays on the screen until it is right"
    page.keyboard.press("g")
    page.wait_for_selector("#grid >> text=Try again")
    page.keyboard.press("Escape")
    page.context.set_offline(False)
    settled(page)
    page.wait_for_selector(ITEM)
    # answers that arrive while their acknowledgement does not are sent again, and counted once
    page.route("**/api/events", lambda route: (route.fetch(), route.abort()))
    said |= label(page, 2)
    page.wait_for_selector("#saved[data-state=waiting]")
    page.unroute_all(behavior="wait")
    page.reload()
    page.wait_for_selector(ITEM)
    settled(page)
    assert kept(page) == []
    with Project.open(folder) as project:
        assert project.labels() == said
        assert sum(each.event.kind == "label" for each in project.events()) == len(said)


def test_a_session_that_ended_and_a_full_disk_keep_the_answers(tmp_path, digits, serve, visit):
    folder = tmp_path / "project"
    page = visit(serve(digits, "--project", str(folder), "--classes", CLASSES), expected=["507", "401"])
    settled(page)
    for status, words in ((507, "Disk full: 1 answer waits"), (401, "Signed out: 2 answers wait")):
        page.route("**/api/events", partial(refuse, status))
        label(page, 1)
        page.wait_for_function("words => document.getElementById('saved').textContent.includes(words)", arg=words)
        expect(page.locator("#trouble")).to_be_visible()
        page.unroute_all(behavior="wait")
    assert len(kept(page)) == 2
    page.reload()
    page.wait_for_selector(ITEM)
    settled(page)
    with Project.open(folder) as project:
        assert len(project.labels()) == 2


def test_guesses_are_shown_hidden_and_withheld(tmp_path, digits, serve, visit, case):
    for withhold in (0, 1):
        folder = tmp_path / f"project-{withhold}"
        options = ["--project", str(folder), "--classes", CLASSES, "--withhold", str(withhold)]
        page = visit(serve(digits, *options))
        label(page, 25)
        learned(page)
        for hide in (False, True):
            with case(withhold, hide):
                if hide:
                    page.keyboard.press("h")
                page.reload()
                page.wait_for_selector(".stage[aria-busy=false]")
                item = current(page)
                expect(page.locator(".guess .accept")).to_have_count(int(not withhold and not hide))
                expect(page.locator(".classes .guessed")).to_have_count(int(not withhold and not hide))
                page.keyboard.press("a")  # accepts the guess where it is shown, and does nothing where it is not
                if not withhold and not hide:
                    page.wait_for_function("item => document.querySelector('.caption .id')?.title !== item", arg=item)
                else:
                    assert current(page) == item
                    press(page, "5")
                settled(page)
                with Project.open(folder) as project:
                    shown = next(e.event for e in project.events() if e.event.item == item).shown
                    assert isinstance(shown, Shown)
                    assert shown.guess is not None, "the model is measured whether or not a person sees its guess"
                    assert shown.hidden is hide
                    assert shown.withheld is bool(withhold)
                    assert shown.model is not None


def test_classes_are_added_first_renamed_merged_and_given_keys(tmp_path, digits, serve, visit):
    folder = tmp_path / "project"
    page = visit(serve(digits, "--project", str(folder)), ready="#first")
    page.fill("#first", "even")
    page.fill("#second", "odd")
    page.click("text=Start labeling")
    page.wait_for_selector(ITEM)
    press(page, "1")
    press(page, "2")
    page.click("text=Classes")
    page.fill("#new-class", "none")
    page.keyboard.press("Enter")
    page.click("[aria-label='Change the key of even']")
    for letter, words in (("a", "accept the guess"), ("e", None)):
        page.fill("[aria-label='New key of even']", letter)
        page.keyboard.press("Enter")
        if words:
            expect(page.locator("#note")).to_contain_text(words)
    page.wait_for_selector("[aria-label='New key of even']", state="detached")
    page.click("[aria-label='Rename odd']")
    page.fill("[aria-label='New name of odd']", "uneven")
    page.keyboard.press("Enter")
    page.wait_for_selector("[aria-label='Rename uneven']")
    page.click("[aria-label='Merge none into another class']")
    page.select_option("[aria-label='Merge none into']", "uneven")
    page.click("form >> text=Merge")
    expect(page.locator("#classes tbody tr")).to_have_count(2)
    page.keyboard.press("Escape")
    page.wait_for_selector(ITEM)
    press(page, "e")
    settled(page)
    with Project.open(folder) as project:
        assert project.classes == ["even", "uneven"]
        assert project.class_keys == {"even": "e"}
        assert sorted(project.labels().values()) == ["even", "even", "uneven"]


def test_what_was_undone_long_ago_is_done_again_after_a_reload(tmp_path, digits, serve, visit):
    folder = tmp_path / "project"
    assert main(["project", "create", str(folder), "--classes", "even,odd"]) == 0
    assert main(["project", "add", str(folder), str(digits)]) == 0
    with Project.open(folder) as project:
        ids = [item.id for item in project.items()][:130]
        project.record([Event(kind="label", who="anna", item=item, label="odd", key=f"key-{item}") for item in ids])
        project.record([Event(kind="undo", who="anna", target=f"key-{item}") for item in reversed(ids[5:])])
    page = visit(serve(folder, "--who", "anna"))
    expect(page.locator(".strip .open")).to_have_count(5)
    for n, item in enumerate(ids[5:8], 6):
        page.keyboard.press("Shift+Backspace")
        page.wait_for_function("n => document.querySelectorAll('.strip .open').length === n", arg=n)
        assert item in page.locator(".strip .open").first.get_attribute("aria-label")
    settled(page)
    with Project.open(folder) as project:
        assert sorted(project.labels()) == ids[:8]


def test_a_grid_that_was_left_at_once_holds_nothing(tmp_path, digits, serve, visit):
    folder = tmp_path / "project"
    page = visit(serve(digits, "--project", str(folder), "--classes", CLASSES, "--who", "anna"))
    label(page, 12)
    learned(page)
    with page.expect_response("**/api/grid"):
        page.keyboard.press("g")
        page.keyboard.press("Escape")
    page.wait_for_selector(ITEM)
    settled(page)
    page.wait_for_timeout(300)
    with Project.open(folder) as project:
        assert len(project.holders()) <= 10


SIZES = [(1280, 800, "light"), (1280, 800, "dark"), (390, 844, "light")]
NARROW = [(320, 568), (640, 400), (768, 1024), (844, 390)]


def check_access(page, axe):
    """No serious finding, and nothing wider than the window, on a desk and a phone, by day and by night."""
    for width, height, scheme in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        found = [each for each in axe.run(page).response["violations"] if each["impact"] in ("serious", "critical")]
        assert [(each["id"], each["nodes"][0]["html"], width, scheme) for each in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for width, height in NARROW:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


def test_every_view_is_accessible(tmp_path, digits, serve, visit, case):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    # axe is put into the page as text, which the page's own rules forbid
    page = visit(serve(digits, "--project", str(tmp_path / "project")), ready="#first", lawless=True)
    check_access(page, axe)
    page.fill("#first", "even")
    page.fill("#second", "odd")
    page.click("text=Start labeling")
    for _ in range(12):
        page.wait_for_selector(".stage[aria-busy=false]")
        press(page, "12"[int(digit_of(current(page))) % 2])
    learned(page)
    check_access(page, axe)
    keys = {"g": "#grid .tile", "m": "#map canvas", "/": "#search .tile", "?": "#help[open]", "j": "#chooser[open]"}
    for key, there in keys.items():
        with case(key):
            page.keyboard.press(key)
            page.wait_for_selector(there)
            check_access(page, axe)
            page.keyboard.press("Escape")
            page.wait_for_selector(ITEM)
    for view, there in (("Progress", "#progress h2"), ("Classes", "#classes tbody tr")):
        with case(view):
            page.click(f"#views >> text={view}")
            page.wait_for_selector(there)
            check_access(page, axe)


def test_texts_are_searched_highlighted_answered_again_and_finished(tmp_path, serve, visit):
    table, folder = tmp_path / "stays.csv", tmp_path / "stays"
    hostile = "<img src=x onerror=alert(1)> & a [quiet] room"
    texts = ["a quiet room", "a loud room", hostile]
    table.write_text("id,text\n" + "".join(f"s{n},{text}\n" for n, text in enumerate(texts)))
    page = visit(serve(table, "--project", str(folder), "--classes", "good,bad", "--who", "anna"))
    page.fill("#highlight", "Quiet, [")
    while page.locator(".text").inner_text() != hostile:
        page.keyboard.press("Escape")
        press(page, "Space")
    expect(page.locator(".text mark")).to_have_text(["[", "quiet"])
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    for _ in range(2 - page.locator(".strip .said", has_text="skipped").count()):
        press(page, "1")
    page.wait_for_selector("text=No item is left for you")
    expect(page.locator("#stage pre")).to_contain_text("distil project export stays labels.csv")
    page.keyboard.press("/")
    page.keyboard.type("loud")
    page.wait_for_function("() => document.querySelectorAll('#search .tile').length === 1")
    expect(page.locator("#search mark")).to_have_text(["loud"])
    page.click("#search .tile")
    page.wait_for_selector(ITEM)
    assert current(page) == "s1"
    page.wait_for_selector(".stage[aria-busy=false]")
    page.keyboard.press("Space")  # the person only looked
    page.wait_for_selector("text=No item is left for you")
    page.keyboard.press("/")
    page.click("#search .tile")
    page.wait_for_selector(ITEM)
    page.click(".caption >> text=History")
    expect(page.locator("#past td", has_text="anna")).not_to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.wait_for_selector("text=No item is left for you")
    page.keyboard.press("Backspace")
    page.wait_for_selector(ITEM)
    assert current(page) == "s1"
    page.wait_for_selector(".stage[aria-busy=false]")
    page.keyboard.press("f")
    live(page, "Flagged")
    page.keyboard.press("f")
    live(page, "Undone: flagged")
    page.keyboard.press("f")
    page.keyboard.press("2")
    page.wait_for_selector("text=No item is left for you")
    page.keyboard.press("Backspace")  # the label alone: the flag stays
    page.wait_for_selector(".caption >> text=Flagged.")
    page.wait_for_selector(".stage[aria-busy=false]")
    page.keyboard.press("2")
    page.wait_for_selector("text=No item is left for you")
    settled(page)
    with Project.open(folder) as project:
        assert project.state().answers["s1", "anna"] == ("label", "bad", True)


def test_two_tabs_of_a_person_have_different_items_and_images_zoom(tmp_path, digits, serve, visit):
    page = visit(serve(digits, "--project", str(tmp_path / "p"), "--classes", "even,odd"))
    first = page.locator(".classes button").first
    page.wait_for_selector(".stage[aria-busy=false]")  # no key answers an item before it is painted
    first.focus()
    for _ in range(4):
        page.keyboard.down("Enter")  # held
        page.wait_for_selector(".stage[aria-busy=false]")
    page.keyboard.up("Enter")
    settled(page)
    expect(page.locator(".strip .open")).to_have_count(1)
    with page.expect_popup() as opening:
        page.evaluate("() => { window.open('/'); }")  # a new tab inherits what the session of this one keeps
    other = opening.value
    other.wait_for_selector(ITEM)
    held = [each.evaluate("() => sessionStorage.getItem('distil-tab')") for each in (page, other)]
    assert held[0] != held[1]
    assert current(page) != current(other)
    scale = "() => new DOMMatrix(getComputedStyle(document.querySelector('.stage img')).transform).a"
    for key, expected in (("+", 1.5), ("+", 2.25), ("-", 1.5), ("0", 1)):
        page.keyboard.press(key)
        assert page.evaluate(scale) == pytest.approx(expected)
    page.mouse.move(400, 300)
    page.mouse.wheel(0, -200)
    page.wait_for_function(f"() => ({scale})() > 1.2")
    page.mouse.dblclick(400, 300)
    assert page.evaluate(scale) == 1


def test_keys_of_classes_and_times_without_hidden_tabs(tmp_path, digits, serve, visit, case):
    page = visit(serve(digits, "--project", str(tmp_path / "p"), "--classes", "even,odd"))
    keys_of = """async (classes) => {
      const { keysOf } = await import("/static/keys.js");
      return [...keysOf(classes.map(([name, key]) => ({ name, key }))).values()];
    }"""
    letters = [*"bcdeiklnopqrstvwyz"]
    expected = {
        "by position": ([["cat", None], ["dog", None]], ["1", "2"]),
        "digits by name": ([[str(n), None] for n in range(10)], [*"0123456789"]),
        "given keys first": ([["cat", None], ["dog", "1"], ["owl", "C"]], ["b", "1", "c"]),
        "shift and letters": (
            [[f"c{n}", None] for n in range(40)],
            [*"1234567890", *(f"shift+{n}" for n in "1234567890"), *letters, None, None],
        ),
    }
    for name, (classes, keys) in expected.items():
        with case(name):
            assert page.evaluate(keys_of, classes) == keys
    clash = """async ([name, key]) => {
      const { clash } = await import("/static/keys.js");
      return clash(name, key, [{ name: "cat", key: "c" }, { name: "dog", key: null }]);
    }"""
    shares = """async ([name, key, pressed]) => {
      const { clash } = await import("/static/keys.js");
      const classes = Array.from({ length: 12 }, (_, n) => ({ name: `c${n}`, key: null }));
      return clash(name, key, classes, pressed);
    }"""
    assert page.evaluate(shares, ["c4", "@", ["shift+2", "@"]]) == (
        "On this keyboard @ is on the key \N{UPWARDS WHITE ARROW}2, which belongs to c11. Choose another one."
    )
    for free in (["c11", "@", ["shift+2", "@"]], ["c4", "#", ["shift+3", "#"]], ["c4", "1", ["shift+1", "1"]]):
        assert page.evaluate(shares, free) is None
    for key, words in {
        "A": "accept",
        "/": "search",
        "": "one letter",
        "ab": "one letter",
        "c": "belongs to cat",
    }.items():
        with case(key):
            assert words in page.evaluate(clash, ["dog", key])
    assert [page.evaluate(clash, each) for each in (["cat", "c"], ["dog", "é"], ["dog", "5"])] == [None] * 3

    names_of = """async ([key, code, shiftKey]) => {
      const { namesOf } = await import("/static/keys.js");
      return namesOf({ key, code, shiftKey }, new Set(["!", "2", "é"]));
    }"""
    presses = {
        ("A", "KeyA", True): ["a"],
        ("a", "KeyQ", False): ["a"],  # French
        ("&", "Digit1", False): ["1", "&"],
        ("1", "Digit1", True): ["shift+1", "1"],
        ("2", "Digit2", True): ["shift+2", "2"],  # a digit stays known by its place
        ("é", "Digit2", False): ["é", "2"],  # given to a class
        ("!", "Digit1", True): ["!", "shift+1"],  # so is this one, on an American keyboard
        ("/", "Digit7", True): ["shift+7", "/"],  # German
        ("ж", "KeyU", False): ["ж", "u"],  # no Latin letters
        ("1", "Numpad1", False): ["1"],
        ("End", "Numpad1", False): ["end"],
        (" ", "Space", False): ["space"],
        (None, "", False): [],
    }
    for pressed, names in presses.items():
        with case(pressed):
            assert page.evaluate(names_of, pressed) == names
    page.keyboard.press("j")
    composed = (
        "input => input.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true }))"
    )
    page.locator("#chooser-input").evaluate(composed)
    expect(page.locator("#chooser"), "Enter belongs to the input method").to_have_attribute("open", "")
    page.keyboard.press("Escape")

    watch = """async () => {
      const { Stopwatch } = await import("/static/stopwatch.js");
      const wait = (ms) => new Promise((done) => setTimeout(done, ms));
      const hide = (hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
      };
      const watch = new Stopwatch();
      const times = [watch.ms];
      watch.start();
      await wait(50);
      hide(true);
      times.push(watch.ms);
      await wait(400);
      times.push(watch.ms);
      hide(false);
      await wait(50);
      times.push(watch.ms);
      return times;
    }"""
    none, before, hidden, after = page.evaluate(watch)
    assert none is None
    assert 40 <= before == hidden
    assert hidden + 40 <= after < hidden + 400


def test_an_image_that_does_not_arrive_is_asked_for_again(tmp_path, digits, serve, visit):
    page = visit(serve(digits, "--project", str(tmp_path / "p"), "--classes", "even,odd"), expected=["ERR_FAILED"])
    page.route("**/item/**", lambda route: route.abort())
    page.reload()
    page.wait_for_selector("text=This item cannot be shown, so it gets no label.")
    page.wait_for_selector(".stage[aria-busy=false]")
    item = current(page)
    page.keyboard.press("1")
    page.locator("#note", has_text="it gets no label").wait_for()
    assert current(page) == item, "nobody has seen it"
    page.unroute_all(behavior="wait")
    page.click("text=Try again")
    page.wait_for_selector(".stage[aria-busy=false] img")
    press(page, "1")


def test_progress_shows_the_numbers_of_the_server(tmp_path, digits, serve, visit):
    page = visit(serve(digits, "--project", str(tmp_path / "p"), "--classes", "even,odd"))
    points = [
        {"labels": 20, "n": 10, "accuracy": 0.5, "low": 0.24, "high": 0.76},
        {"labels": 40, "n": 10, "accuracy": 0.9, "low": 0.6, "high": 0.98},
    ]
    numbers = {
        "classes": {"even": 30, "odd": 10},
        "people": [{"who": "anna", "answers": 40, "per_hour": 1234.5, "median_ms": 1250.0}],
        "agreement": 0.875,
        "alpha": 0.71,
        "curve": points,
        "accuracy": {"n": 20, "accuracy": 0.8, "low": 0.58, "high": 0.92},
        "outlook": {"sentences": ["you may stop: 50 more labels would add at most 0.4 points"]},
        "guesses": {
            "shown": {"n": 80, "accepted": 60, "median_ms": 250.0},
            "withheld": {"n": 10, "accepted": 5, "median_ms": 900.0},
            "difference": 0.25,
            "low": -0.04,
            "high": 0.5,
            "too_fast": True,
        },
        "self_agreement": {"n": 6, "agree": 5},
        "suspects": [],
        "confusion": {"anna": {"even": {"even": 29, "odd": 3}}},
    }
    page.route("**/api/progress", lambda route: route.fulfill(json=numbers))
    page.click("#views >> text=Progress")
    page.wait_for_selector("#progress .chart")
    assert "40 labels: 90 % (60 % to 98 %) of 10 random items" in page.locator("svg.chart").get_attribute("aria-label")
    heights = page.evaluate("() => [...document.querySelectorAll('.chart .dot')].map(dot => dot.cy.baseVal.value)")
    assert heights[0] > heights[1]  # the better point is higher
    text = page.locator("#progress").inner_text()
    for words in (
        "80 %\nright if the model labels the rest (58 % to 92 %)",
        "You may stop: 50 more labels would add at most 0.4 points.",
        "anna\t40\t1,235\t1.3 s",
        "the same label in 88 % of cases",
        "alpha is 0.71",
        "on 5 of 6 items that they saw twice",
        "shown\t75 % of 80\t0.3 s",
        "withheld\t50 % of 10\t0.9 s",
        "+25 points (\N{MINUS SIGN}4 points to +50 points)",
        "under 0.3 seconds",
        "anna\teven\todd\t3",
    ):
        assert words in text, words


def test_a_lasso_of_the_map_is_one_step_of_the_history(tmp_path, digits, serve, visit):
    folder = tmp_path / "p"
    page = visit(serve(digits, "--project", str(folder), "--classes", "even,odd"))
    first = press(page, "1")
    lasso = """(places) => fetch("/api/bulk", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key: "11111111-2222", tab: "t", places, do: "label", label: "odd" }),
    })"""
    settled(page)
    with Project.open(folder) as project:
        ids = [item.id for item in project.items()]
        places = [place for place, item in enumerate(ids) if item not in project.labels()][100:160]
    page.evaluate(lasso, places)
    page.reload()
    page.wait_for_selector("text=60 \N{MULTIPLICATION SIGN} odd")
    for key, words, n in (("Backspace", "Undone: 60 items", 1), ("Shift+Backspace", "Done again: 60 items", 61)):
        page.keyboard.press(key)
        live(page, words)
        with Project.open(folder) as project:
            assert len(project.labels()) == n
    page.keyboard.press("Backspace")
    live(page, "Undone: 60 items")
    page.keyboard.press("Backspace")
    page.wait_for_function("item => document.querySelector('.caption .id')?.title === item", arg=first)
    settled(page)
    with Project.open(folder) as project:
        assert project.labels() == {}

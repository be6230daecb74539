"""What the page does when something is wrong: the server is away, an image is damaged, a text is very long."""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from itertools import pairwise

import pytest

from distil.labeling.project import Project

pytestmark = pytest.mark.slow
expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright's Python client").expect


def test_views_that_are_opened_without_a_connection_are_filled_when_it_is_back(tmp_path, digits, serve, visit, case):
    address = serve(digits, "--project", str(tmp_path / "p"), "--classes", "even,odd")
    page = visit(address, expected=["ERR_INTERNET_DISCONNECTED"])
    page.click("#views >> text=Map")  # its script is loaded when it is first opened
    page.locator("#map .hint", has_text="Near each other").wait_for(timeout=60_000)
    for view, there in (
        ("Progress", "text=Labels of each class"),
        ("Search", ".tile"),
        ("Map", ".map-frame"),
        ("Grid", "text=Label one"),
    ):
        with case(view):
            page.keyboard.press("Escape")
            page.wait_for_selector(".caption .id")
            page.context.set_offline(True)
            page.click(f"#views >> text={view}")
            if view != "Map":  # the map that was read stays
                page.locator(f"#{view.lower()} .empty", has_text="The server cannot be reached").wait_for()
            expect(page.locator("#saved")).to_have_text("Offline")
            page.context.set_offline(False)
            page.locator(f"#{view.lower()} >> {there}").first.wait_for()
            expect(page.locator("#trouble")).to_be_hidden()


def test_the_page_tries_again_soon_and_at_once_when_it_is_looked_at(tmp_path, digits, serve, visit, at):
    page = visit(serve(digits, "--project", str(tmp_path / "p"), "--classes", "even,odd"), expected=["ERR_FAILED"])
    person, tries = at(page), []
    person.settled()
    page.route("**/api/events", lambda route: (tries.append(time.monotonic()), route.abort()))
    person.press("1")
    page.wait_for_timeout(16_000)
    pauses = [after - before for before, after in pairwise(tries)]
    assert len(pauses) >= 4
    assert pauses[0] < 2.5
    assert max(pauses) < 6, "4 seconds, on a busy machine"
    before = len(tries)
    page.wait_for_timeout(1000)
    page.evaluate("() => dispatchEvent(new Event('focus'))")
    page.wait_for_timeout(500)
    assert len(tries) > before
    page.unroute_all(behavior="wait")
    page.evaluate("() => dispatchEvent(new Event('online'))")
    expect(page.locator("#saved")).to_have_attribute("data-state", "saved", timeout=2000)


def test_answers_keep_their_order_when_the_clock_is_set_back(tmp_path, digits, serve, visit, at):
    folder = tmp_path / "p"
    address = serve(digits, "--project", str(folder), "--classes", "even,odd", "--who", "anna")
    page = visit(address, expected=["ERR_FAILED"], clock=True)
    person = at(page)
    person.settled()
    page.route("**/api/events", lambda route: route.abort())
    item = person.press("1")
    page.clock.set_system_time(page.evaluate("() => Date.now()") / 1000 - 86_400)
    page.keyboard.press("Backspace")
    person.sees(item)
    person.press("2")
    page.reload()
    expect(page.locator("#saved")).to_contain_text("3 answers wait")
    page.unroute_all(behavior="wait")
    page.evaluate("() => dispatchEvent(new Event('online'))")
    person.settled()
    with Project.open(folder) as project:
        said = [each.event for each in project.events() if each.event.kind in ("label", "undo")]
        assert [(event.kind, event.label) for event in said] == [("label", "even"), ("undo", None), ("label", "odd")]
        assert project.labels() == {item: "odd"}


def test_what_a_search_finds_is_marked_letter_by_letter(tmp_path, serve, visit):
    """As Python's case folding finds it, for every letter that it changes."""
    table = tmp_path / "streets.csv"
    table.write_text("id,text\na,In der großen Straße\nb,IM OFFICE\nc,<img src=x><b>bold</b>\n", encoding="utf-8")
    page = visit(serve(table, "--project", str(tmp_path / "p"), "--classes", "good,bad"))
    page.wait_for_selector(".stage[aria-busy=false]")
    page.keyboard.press("/")
    for typed, found in (("strasse", "Straße"), ("grossen s", "großen S"), ("oﬃce", "OFFICE"), ("<B>BOLD", "<b>bold")):
        page.fill("#search-q", typed)
        expect(page.locator("#search mark").first).to_have_text(found)
    expect(page.locator("#search .tile")).to_contain_text("<img src=x><b>bold</b>")  # a text, and no elements
    expect(page.locator("#search .tile :is(img, b)")).to_have_count(0)
    letters = [
        letter
        for n in range(sys.maxunicode + 1)
        if not 0xD800 <= n < 0xE000 and (letter := chr(n)) != letter.casefold()
    ]
    assert len(letters) > 1000
    marks = """async (pairs) => {
        const { marked } = await import("/static/dom.js");
        const text = (part) => (part.tagName === "MARK" ? `[${part.textContent}]` : part);
        return pairs.map(([letter, sought]) => marked(`·${letter}·${letter}`, [sought]).map(text).join(""));
    }"""
    got = page.evaluate(marks, [(letter, letter.casefold()) for letter in letters])
    written = [unicodedata.normalize("NFC", letter) for letter in letters]
    assert [(a, b) for a, b in zip(got, written, strict=True) if a != f"·[{b}]·[{b}]"] == []
    assert page.evaluate(marks, [("ß", "s"), ("a", "(a|·"), ("é", "e\u0301"), ("😀", "😀·")]) == [
        *("·[ß]·[ß]", "·a·a", "·[é]·[é]", "·[😀·]😀"),
    ]


def test_a_damaged_image_is_asked_for_once_and_skipped(tmp_path, digits, serve, visit, at):
    folder, data = tmp_path / "p", tmp_path / "few"
    data.mkdir()
    for path in sorted(digits.iterdir())[:11]:
        (data / path.name).write_bytes(path.read_bytes())
    (data / "damaged.png").write_bytes(b"no image")
    page = visit(serve(data, "--project", str(folder), "--classes", "even,odd", "--who", "anna"), expected=["404"])
    person, asked = at(page), []
    page.on("request", lambda request: asked.append(request.url) if f"/item/{place}?" in request.url else None)
    with Project.open(folder) as project:
        place = [item.id for item in project.items()].index("damaged.png")
    page.reload()
    page.wait_for_selector(".caption .id")
    while person.item != "damaged.png":
        person.press("1")
    page.locator(".stage", has_text="cannot be read as an image: its content is not an image").wait_for()
    assert len(asked) <= 2 * 2, "the image and the reason, before the reload and after it"
    before = len(asked)
    page.keyboard.press("1")
    expect(page.locator("#note")).to_contain_text("it gets no label")
    page.click(".stage >> text=Skip it")
    page.wait_for_function("() => document.querySelector('.caption .id')?.title !== 'damaged.png'")
    page.keyboard.press("Backspace")
    person.sees("damaged.png")
    page.wait_for_selector(".stage >> text=Skip it")
    person.press("Space")
    person.settled()
    assert len([url for url in asked[before:] if "size=256" not in url]) == 0, (
        "only the small picture of the last answers"
    )
    with Project.open(folder) as project:
        state = project.state()
        assert state.answers["damaged.png", "anna"].kind == "skip"
        assert project.settled()["damaged.png"] is None


def test_an_image_that_is_not_shown_in_the_grid_gets_no_label_there(tmp_path, digits, serve, visit, at):
    folder = tmp_path / "p"
    page = visit(
        serve(digits, "--project", str(folder), "--classes", "even,odd", "--withhold", "0"), expected=["ERR_FAILED"]
    )
    person = at(page)
    for _ in range(12):
        page.wait_for_selector(".stage[aria-busy=false]")
        person.press("12"[int(person.item[-5]) % 2])
    says = "() => document.querySelector('.answers > .hint').textContent.includes('learned from')"
    page.wait_for_function(says, timeout=90_000)
    lost = []

    def lose_one(route):
        url = route.request.url.partition("&")[0]
        if not lost:
            lost.append(url)
        if url in lost:
            route.abort()
        else:
            route.continue_()

    page.evaluate("() => document.querySelectorAll('.strip img').forEach((img) => img.remove())")
    page.route("**/item/*size=256", lose_one)
    person.settled()
    page.wait_for_selector(".stage[aria-busy=false]")
    with page.expect_response("**/api/grid") as answered:
        page.keyboard.press("g")
    items = answered.value.json()["items"]
    page.wait_for_selector("#grid .tile[aria-disabled=true]")
    (unseen,) = [item["id"] for item in items if lost[0].endswith(item["image"])]
    expect(page.locator("#grid .foot button")).to_contain_text(f"{len(items) - 1} are ")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#grid h2').textContent !== 'Saving…'")
    person.settled()
    with Project.open(folder) as project:
        labels = project.labels()
    assert unseen not in labels
    assert {item["id"] for item in items} - {unseen} <= labels.keys()
    page.keyboard.press("Escape")
    person.sees(unseen)


def test_a_long_text_is_read_when_it_is_on_the_screen(tmp_path, serve, visit, at):
    folder, table = tmp_path / "p", tmp_path / "long.jsonl"
    texts = {f"s{n}": f"{'a quiet room, ' * 80_000}a loud neighbor {n}" for n in range(3)}
    table.write_text("\n".join(json.dumps({"id": item, "text": text}) for item, text in texts.items()))
    page = visit(serve(table, "--project", str(folder), "--classes", "good,bad"), expected=["ERR_FAILED"])
    person = at(page)
    page.wait_for_selector(".stage[aria-busy=false]")
    assert page.locator(".text").text_content() == texts[person.item]
    page.route("**/api/text*", lambda route: route.abort())
    first = person.press("1")
    page.locator(".stage", has_text="cannot be shown").wait_for()
    page.unroute_all(behavior="wait")
    page.click(".stage >> text=Try again")
    page.wait_for_selector(".stage[aria-busy=false]")
    expect(page.locator(".stage .empty")).to_have_count(0)
    assert page.locator(".text").text_content() == texts[person.item]
    page.keyboard.press("/")
    page.keyboard.type("loud neighbor")
    expect(page.locator("#search mark")).to_have_text(["loud neighbor"] * 3)
    page.locator("#search .tile", has_text=f"neighbor {first[1]}").click()
    person.sees(first)
    page.wait_for_selector(".stage[aria-busy=false]")
    expect(page.locator(".text mark")).to_have_text(["loud neighbor"])
    assert page.locator(".text").text_content() == texts[first]

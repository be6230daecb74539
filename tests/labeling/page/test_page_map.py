"""The map in a real browser: a lasso, labels for many items, taking them back, one item, and the keyboard alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from distil.labeling.map import PoolMap
from distil.labeling.model import CACHE
from distil.labeling.project import Project

pytestmark = pytest.mark.slow
expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright's Python client").expect

CLASSES = "0,1,2,3,4,5,6,7,8,9"
FRAME = ".map-frame"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "project"


@pytest.fixture
def start(folder, digits, serve, visit):
    """``start(...)``: the page with the map in view, made by t-SNE."""

    def open_(**options):
        address = serve(digits, "--project", str(folder), "--classes", CLASSES, "--who", "anna")
        page = visit(address, lawless=True, **options)  # axe is put into the page as text
        page.keyboard.press("m")
        page.locator("#map .hint", has_text="t-SNE").wait_for(timeout=60_000)
        return page

    return open_


def labels(folder):
    with Project.open(folder) as project:
        return project.labels()


def sorted_ids(folder):
    with Project.open(folder) as project:
        return [item.id for item in project.items()]


def accessible(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    found = axe.run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def says(page, text):
    """Wait for the words under the map."""
    page.locator(".map-bulk .says", has_text=text).wait_for()


def on_screen(page, folder):
    """Where each item is in the frame, in CSS pixels, while all of the map is shown: (N, 2)."""
    size = page.locator(FRAME).evaluate("frame => [frame.clientWidth, frame.clientHeight]")
    return (PoolMap.load(folder / CACHE).xy.astype(float) - 0.5) * 0.9 * min(size) + np.array(size) / 2


def lasso(page, radius):
    """Draw a five-leaved line around the middle; returns its corners in CSS pixels of the frame."""
    box = page.locator(FRAME).bounding_box()
    angles = np.linspace(0, 2 * math.pi, 80)
    far = radius * (1 + 0.3 * np.sin(5 * angles))
    middle = np.array([box["width"], box["height"]]) // 2
    corners = np.rint(middle + far[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1))
    on_page = corners + np.array([box["x"], box["y"]])
    page.mouse.move(*on_page[0])
    page.mouse.down()
    for corner in on_page[1:]:
        page.mouse.move(*corner)
    page.mouse.up()
    return corners - 1  # the border


def test_a_lasso_labels_what_is_inside_takes_it_back_and_queues(start, folder):
    page = start()
    places = on_screen(page, folder)
    inside = Outline(lasso(page, 200)).contains_points(places)
    ids = {item for item, chosen in zip(sorted_ids(folder), inside, strict=True) if chosen}
    assert 50 < len(ids) < 190, "more than are labeled without a question, and not all"
    says(page, f"{len(ids)} open items selected")
    accessible(page)
    page.select_option(".map-bulk select", "3")
    page.click(f"text=Label these {len(ids)}")
    page.click(".map-bulk dialog >> text=Cancel")
    assert labels(folder) == {}
    page.click(f"text=Label these {len(ids)}")
    page.click(f".map-bulk dialog button >> text=Label {len(ids)} items")
    says(page, f"{len(ids)} items labeled as 3.")
    assert labels(folder) == dict.fromkeys(ids, "3")
    page.click(".map-bulk >> text=Undo")
    says(page, f"{len(ids)} labels taken back.")
    assert labels(folder) == {}
    with Project.open(folder) as project:
        assert ids & set(project.open_items("ben")) == ids - {item for item, _ in project.leases()}, "free for others"
    page.click(".map-bulk >> text=Label again")
    says(page, f"{len(ids)} items labeled as 3 again.")
    assert labels(folder) == dict.fromkeys(ids, "3")
    for keys, words, button, n in (
        ("Backspace", "Undone", "Label again", 0),
        ("Shift+Backspace", "Done again", "Undo", len(ids)),
    ):
        page.keyboard.press(keys)  # the lasso was the last that was done, and the page says what was undone
        page.locator("#note", has_text=f"{words}: {len(ids)} items as 3.").wait_for()
        page.locator(".map-bulk button:visible", has_text=button).wait_for()
        assert len(labels(folder)) == n
    with page.expect_response("**/api/history*"):
        page.reload()
    page.wait_for_selector(".caption .id")
    page.keyboard.press("Backspace")  # the history knows that they belong together
    page.wait_for_function("async () => (await (await fetch('/api/project')).json()).progress.labeled === 0")
    page.keyboard.press("m")
    page.locator(FRAME).wait_for()
    lasso(page, 60)
    queue = page.locator(".map-bulk >> text=Queue")
    n = int(queue.inner_text().split()[-1])
    queue.click()
    says(page, f"{n} items come next for everyone.")
    with Project.open(folder) as project:
        assert len(project.queue_ids()) == n
    points_show_and_open_their_items(page, places, sorted_ids(folder))


def points_show_and_open_their_items(page, places, ids):
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e9 * np.eye(len(places))
    alone = int(apart.min(1).argmax())
    box = page.locator(FRAME).bounding_box()
    spot = places[alone] + 1 + np.array([box["x"], box["y"]])
    page.mouse.move(*spot)
    page.locator(".map-tip img").wait_for()
    expect(page.locator(".map-tip .name")).to_have_text(ids[alone])
    page.mouse.click(*spot)
    page.wait_for_function("id => document.querySelector('.caption .id')?.title === id", arg=ids[alone])


def test_the_map_needs_no_pointer(start, folder):
    page = start(width=390, scheme="dark")
    page.locator(FRAME).focus()
    for key in ("+", "+", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
        page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    counted = (
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 200))))"
    )
    page.evaluate(counted)  # the legend counts what is in view after a pause
    n = int(page.locator(".map-legend > button").inner_text().split()[2])
    assert 0 < n < 200
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    says(page, f"{n} open items selected")
    accessible(page)
    page.locator(FRAME).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#single .caption .id")
    with Project.open(folder) as project:
        assert page.locator("#single .caption .id").get_attribute("title") in {item for item, _ in project.leases()}

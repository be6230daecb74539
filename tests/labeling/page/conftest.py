"""A server that is labeled on in a browser, with images of digits whose ids end with what they show."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from sklearn.datasets import load_digits


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A folder of 200 images of digits, 28 pixels a side; ``007-3.png`` shows a 3."""
    folder = tmp_path_factory.mktemp("digits")
    found = load_digits()
    for n in range(200):
        pixels = (found.images[n] * 15.9).astype("uint8")
        Image.fromarray(pixels).resize((28, 28), Image.Resampling.BICUBIC).save(
            folder / f"{n:03d}-{found.target[n]}.png"
        )
    return folder


class Person:
    """A person at a page."""

    def __init__(self, page):
        self.page = page

    @property
    def item(self):
        """The id of the item on the screen."""
        return self.page.locator(".caption .id").get_attribute("title")

    def press(self, key):
        """Press a key that brings another item; returns the id of the present one."""
        self.page.wait_for_selector(".stage[aria-busy=false]")
        item = self.item
        self.page.keyboard.press(key)
        self.page.wait_for_function("item => document.querySelector('.caption .id')?.title !== item", arg=item)
        return item

    def sees(self, item):
        """Wait until an item is on the screen."""
        self.page.wait_for_function("item => document.querySelector('.caption .id')?.title === item", arg=item)

    def settled(self):
        """Wait until everything is saved."""
        self.page.wait_for_selector("#saved[data-state=saved]")


@pytest.fixture(scope="session")
def at():
    """``at(page)``: the person at a page."""
    return Person


@pytest.fixture
def running():
    """The servers of the test; they end with it."""
    found = []
    yield found
    for process in found:
        process.terminate()
        process.wait(60)


@pytest.fixture
def stop(running):
    """``stop()``: end the servers as Ctrl-C does."""

    def end():
        while running:
            process = running.pop()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0

    return end


@pytest.fixture
def serve(tmp_path, running):
    """``serve(data, *options)``: start ``distil label`` on data; gives the one-time address."""

    def start(data, *options):
        log = tmp_path / f"server-{len(running)}.log"
        # an item that comes a second time, by chance, would not be one more
        command = [sys.executable, "-m", "distil", "label", str(data), "--port", "0", "--no-checks", *options]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        running.append(process)
        for _ in range(600):
            found = re.search(r"http://\S+token=\S+", log.read_text())
            if found:
                return found[0]
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        raise AssertionError(log.read_text())

    return start


@pytest.fixture
def visit(browser):
    """``visit(address, ...)``: the page in a browser of its own; errors on it and requests to other machines fail the test.

    ``expected`` are parts of errors that may be, ``lawless`` lets the test add scripts, ``clock`` lets it set the time.
    """
    pytest.importorskip("playwright.sync_api").expect.set_options(timeout=30_000)
    faults, contexts = [], []

    def open_(
        address, width=1280, height=800, scheme="light", ready=".caption .id", expected=(), lawless=False, clock=False
    ):
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
            bypass_csp=lawless,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.set_default_navigation_timeout(60_000)
        if clock:
            page.clock.install()
        host = address.split("/")[2]

        def console(message):
            if message.type in ("error", "warning") and not any(part in message.text for part in expected):
                faults.append(message.text)

        page.on("console", console)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: request.url.split("/")[2] == host or faults.append(request.url))
        page.goto(address)
        page.wait_for_selector(ready)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert faults == []

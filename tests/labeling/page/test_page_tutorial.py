"""docs/labeling-tutorial.md, block by block, with people who answer on the page; its pictures are made here.

``DISTIL_PICTURES=docs`` writes the pictures there, with few colors.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from distil.cli import main
from distil.labeling.project import Project

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[3] / "docs" / "labeling-tutorial.md"
TEXT = PAGE.read_text(encoding="utf-8")
ITEM = ".caption .id"
GOOD = ("very well", "better than", "is great", "after a year", "easy to set up")


def blocks(heading):
    """(language, code) of the blocks of a walk."""
    (walk,) = (part for part in TEXT.split("\n## ") if part.startswith(heading))
    return re.findall(r"^```(python|sh)\n(.*?)^```", walk, re.MULTILINE | re.DOTALL)


def digit(page):
    return str(load_digits().target[int(page.locator(ITEM).get_attribute("title")[:4])])


def opinion(page):
    return "1" if any(words in page.locator(".stage .text").inner_text() for words in GOOD) else "2"


def answer(page, n, key):
    """Answer n items with the key that ``key(page)`` names."""
    for _ in range(n):
        page.wait_for_selector(".stage[aria-busy=false]")  # keys before the paint answer nothing
        item = page.locator(ITEM).get_attribute("title")
        page.keyboard.press(key(page))
        page.wait_for_function("item => document.querySelector('.caption .id')?.title !== item", arg=item)
    page.wait_for_selector("#saved[data-state=saved]")


def with_guess(page, key):
    """Go on until the page shows the guess for an item: it waits for the next fit, and is withheld for one in ten."""
    for _ in range(30):
        if page.locator(".accept").count():
            return
        answer(page, 1, key)
    raise AssertionError("no guess")


def learned(page, n):
    said = f"learned from {n} labels"
    page.wait_for_function("text => document.querySelector('.answers > .hint').textContent.includes(text)", arg=said)


def fill_in(path):
    """Decide the items of the table: good."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows([row | {"decision": "good"} for row in rows])


def picture(page, name):
    """Save a picture of the page, if the tutorial shows it."""
    assert f"({name})" in TEXT
    where = os.environ.get("DISTIL_PICTURES")
    seen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    if where:
        seen.quantize(256, dither=Image.Dither.NONE).save(PAGE.parents[1] / where / name, optimize=True)


@pytest.fixture
def walk(tmp_path, monkeypatch, serve, stop, visit, capsys):
    """``walk(heading, label)``: run the blocks of a walk; ``label(page)`` answers on the page. Gives what is printed."""
    monkeypatch.chdir(tmp_path)
    space = {}

    def run(command, label):
        words = shlex.split(command)
        if words[1] == "label":
            page = visit(serve(*words[2:]))
            label(page)
            page.close()
            stop()
            return
        if words[1:3] == ["project", "decide"]:
            fill_in(Path(words[-1]))
        assert main(words[1:]) == 0, command

    def walk_(heading, label):
        for language, code in blocks(heading):
            if language == "python":
                exec(compile(code, str(PAGE), "exec"), space)
            else:
                space.clear()  # a reader may leave Python for the terminal
                for command in code.splitlines():
                    run(command, label)
        return capsys.readouterr().out

    return walk_


def test_images(walk):
    def label(page):
        answer(page, 60, digit)
        learned(page, 60)
        with_guess(page, digit)
        picture(page, "labeling-tutorial-image.png")
        page.keyboard.press("m")
        page.locator("#map .hint", has_text="t-SNE").wait_for(timeout=60_000)
        page.wait_for_function("() => document.querySelectorAll('.map-classes li').length > 10")
        picture(page, "labeling-tutorial-map.png")

    said = walk("Images", label)
    right, rest = map(int, re.search(r"(\d+)% of (\d+) images are right", said).groups())
    assert right > 70
    with Project.open("digits-labels") as project:
        labels = project.labels()
    assert len(labels) == 600 - rest
    assert all(str(load_digits().target[int(item[:4])]) == label for item, label in labels.items())
    assert len(list(Path("digits-data").rglob("*.png"))) == len(labels)


def test_texts(walk):
    def label(page):
        answer(page, 40, opinion)
        learned(page, 40)
        with_guess(page, opinion)
        picture(page, "labeling-tutorial-text.png")

    assert "['good' 'bad']" in walk("Texts", label)


def test_a_team(walk, visit):
    table = next(code for language, code in blocks("Texts") if language == "python")
    exec(compile(table, str(PAGE), "exec"), {})

    def label(anna):
        answer(anna, 6, opinion)
        anna.click("#views >> text=Progress")
        anna.fill("#person", "ben")
        anna.click("text=Make an address")
        ben = visit(anna.get_by_label("Address for ben").input_value())
        answer(ben, 1, lambda page: {"1": "2", "2": "1"}[opinion(page)])
        answer(ben, 9, opinion)
        ben.close()

    assert "agreement of two people on one item: 83.3%" in walk("For teams", label)
    with Project.open("team") as project:
        assert [truth.decided for truth in project.truths().values()].count(True) == 1
        assert project.status().tied == 0

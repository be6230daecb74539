"""The gallery shows what strategies select now. Where this fails: ``python scripts/gallery.py``."""

from __future__ import annotations

import re
import runpy
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from distil.strategies import STRATEGIES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def gallery():
    """The names in the script that makes the gallery."""
    return runpy.run_path(str(ROOT / "scripts" / "gallery.py"))


def test_every_strategy_is_there(gallery):
    shown = re.findall(r'src="gallery/(\w+)\.svg"', (ROOT / "docs" / "gallery.md").read_text())
    assert len(shown) == len(set(shown))
    assert set(shown) == {name for name, cls in STRATEGIES.items() if cls.__module__.startswith("distil.")}
    assert sorted(shown) == sorted(path.stem for path in (ROOT / "docs" / "gallery").glob("*.svg"))


def test_a_picture_shows_the_pool_and_the_picks(gallery):
    tree = ET.fromstring(gallery["picture"]("smi"))
    tags = [element.tag.rpartition("}")[2] for element in tree.iter()]
    assert tags.count("circle") == tags.count("text") == 12
    assert sorted(int(element.text) for element in tree.iter() if element.tag.endswith("text")) == [*range(1, 13)]
    dots = "".join(element.get("d") for element in tree.iter() if element.get("stroke", "")[1:2] in ("7", "e", "8"))
    assert dots.count("h0") == len(gallery["pool"]()[0]) == 238
    assert tags.count("path") == 3 + 6 + 2  # classes, labeled examples, query set


def test_pictures_are_current(gallery):
    for name in ("core_set", "margin_sampling", "greedy_sampling"):
        assert (ROOT / "docs" / "gallery" / f"{name}.svg").read_text() == gallery["picture"](name)


@pytest.mark.slow
def test_all_pictures_are_current(gallery, case):
    for path, text in gallery["current"]().items():
        with case(path.name):
            assert path.read_text(encoding="utf-8") == text

"""Excerpts: what was searched for is in them, and no more than asked."""

import unicodedata

import pytest

from distil.labeling.server.excerpts import excerpt, plain


def test_a_short_text_is_whole():
    assert excerpt("a quiet room", 12, "zzz") == "a quiet room"


@pytest.mark.parametrize("at", [0, 5, 300, 970, 984])
@pytest.mark.parametrize(
    "filler", ["x", "\N{LATIN SMALL LETTER SHARP S}", "e\N{COMBINING ACUTE ACCENT}", "\N{GRINNING FACE}"]
)
@pytest.mark.parametrize(
    "sought", ["ROOM", "stra\N{LATIN SMALL LETTER SHARP S}e", "\N{LATIN SMALL LETTER E WITH ACUTE}t"]
)
def test_what_was_searched_for_is_in_it(at, filler, sought):
    """The filler is longer, shorter or as long in the form in which texts are compared."""
    text = unicodedata.normalize("NFD", filler * at + f" {sought.lower()} " + filler * (984 - at))
    found = excerpt(text, 200, sought)
    assert found.strip("\N{HORIZONTAL ELLIPSIS}") in text
    assert len(found) <= 202
    assert f" {plain(sought)} " in plain(found)


def test_without_a_search_or_a_hit_it_is_the_beginning():
    text = "".join(map(str, range(1000)))
    assert excerpt(text, 50) == excerpt(text, 50, "room") == f"{text[:50]}\N{HORIZONTAL ELLIPSIS}"

"""Explanations, against all distances in SciPy; and their page, which no text can break."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

import distil
from distil.errors import InvalidInput
from distil.selection.explanation_page import explanation_page

N = 120
NAMES = [f"x{row}" for row in range(N)]


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)


def expected_of(x, picks, labeled):
    """Representative -> rows that it represents, nearest first, by brute force."""
    rest = [row for row in range(len(x)) if row not in picks and row not in labeled]
    owners = [*labeled, *picks]
    dists = cdist(x[rest].astype(float), x[owners].astype(float))
    found = {owner: [] for owner in owners}
    for place in np.argsort(dists.min(1), kind="stable"):
        found[owners[dists[place].argmin()]].append(rest[place])
    return found


def test_the_document_is_that_of_all_distances(x):
    labels = {f"x{row}": "ab"[row % 2] for row in range(7)}
    chosen = distil.select_from("core_set", 9, embeddings=x, labeled=labels, names=NAMES)
    found = distil.explain(chosen, x, labeled=labels, names=NAMES)
    picks = chosen.tolist()
    expected = expected_of(x, picks, list(range(7)))
    for place, (pick, row) in enumerate(zip(found["picks"], picks, strict=True)):
        assert (pick["rank"], pick["id"], pick["why"]) == (place + 1, f"x{row}", chosen.reasons[place])
        assert pick["score"] is None  # core-set has no scores
        dists = cdist(x[[row]].astype(float), x[:7].astype(float))[0]
        near = pick["nearest_labeled"]
        assert (near["id"], near["label"]) == (f"x{dists.argmin()}", labels[near["id"]])
        assert near["distance"] == pytest.approx(dists.min(), rel=1e-6)
        rows = expected[row]
        assert pick["represents"]["ids"] == [f"x{each}" for each in rows]
        assert pick["represents"]["count"] == len(rows)
        assert pick["represents"]["share"] == pytest.approx(len(rows) / (N - 16))
        far = max(cdist(x[[row]].astype(float), x[rows].astype(float))[0], default=None)
        assert pick["represents"]["farthest"] == (None if far is None else pytest.approx(far, rel=1e-6))
    owned = {each["id"]: each["represents"]["ids"] for each in found["labeled"]}
    assert owned == {f"x{row}": [f"x{each}" for each in expected[row]] for row in range(7) if expected[row]}
    sizes = [len(ids) for ids in owned.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert (found["examples"], found["represented"]) == (N - 7, N - 16)
    assert found["typical_distance"] == pytest.approx(np.median(pdist(x.astype(float))), rel=1e-3)
    json.dumps(found, allow_nan=False)


def test_scores_candidates_and_labels_that_came_later(x):
    probs = np.random.default_rng(1).dirichlet(np.ones(3), N)
    candidates = range(10, 60)
    chosen = distil.select_from("margin_sampling", 5, probs=probs, candidates=candidates)
    found = distil.explain(chosen, x, candidates=candidates)
    assert [pick["score"] for pick in found["picks"]] == chosen.scores.tolist()
    assert all(pick["nearest_labeled"] is None for pick in found["picks"])
    assert found["labeled"] == []
    shown = [id_ for pick in found["picks"] for id_ in pick["represents"]["ids"]]
    assert sorted(shown) == sorted(set(candidates) - set(chosen))
    later = distil.explain(chosen, x, candidates=[*candidates], labeled=[*chosen])
    assert later == found


def test_a_copy_of_a_labeled_example_is_represented_by_that_example(x):
    x[50] = x[3]
    chosen = distil.select_from("random_sampling", 2, embeddings=x, labeled=[3], candidates=[60, 61])
    found = distil.explain(chosen, x, labeled=[3])
    assert found["labeled"][0]["id"] == 3
    assert found["labeled"][0]["represents"]["ids"][0] == 50


def test_only_picks_are_left(x):
    chosen = distil.select_from("core_set", 3, embeddings=x, candidates=[1, 2, 3])
    found = distil.explain(chosen, x, candidates=[1, 2, 3])
    assert [pick["represents"]["count"] for pick in found["picks"]] == [0, 0, 0]
    assert found["represented"] == 0
    assert "3 of 3 examples were chosen.</p>" in explanation_page(found, "x", lambda _: "")


def test_what_is_refused(x, refuses):
    chosen = distil.select_from("core_set", 3, embeddings=x, names=NAMES)
    with refuses(InvalidInput, "selection must be a Selection", "list"):
        distil.explain(list(chosen), x)
    with refuses(InvalidInput, "is not a position in data of 1 examples"):
        distil.explain(distil.select_from("core_set", 1, embeddings=x, candidates=[5]), x[:1])
    with refuses(InvalidInput, "labeled", "nobody", "not the name"):
        distil.explain(chosen, x, labeled=["nobody"], names=NAMES)
    with refuses(InvalidInput, "all embeddings are equal"):
        distil.explain(chosen, np.ones_like(x))
    x[77] = np.nan
    with refuses(InvalidInput, "embeddings", "x77"):
        distil.explain(chosen, x, names=NAMES)


# -------------------------------------------------------------------------------------------------------------- the page


class Reader(HTMLParser):
    """The text of a page, what it opens without closing, and what it loads."""

    def __init__(self, page):
        super().__init__()
        self.open, self.loads, self.text = [], [], ""
        self.feed(page)

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)
        self.loads += [v for k, v in attributes if k in ("src", "href") and not v.startswith("data:")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_no_text_can_break_the_page(x, hostile):
    names = [f"{hostile}{row}" for row in range(N)]
    labeled = dict.fromkeys(names[:5], hostile)
    chosen = distil.select_from("typiclust", 6, embeddings=x, labeled=labeled, names=names)
    found = distil.explain(chosen, x, labeled=labeled, names=names)
    page = explanation_page(found, hostile, lambda id_: f"text of {id_}", lambda _: "data:image/jpeg;base64,AAAA")
    reader = Reader(page)
    assert (reader.open, reader.loads) == ([], [])
    for pick in found["picks"]:
        assert reader.text.count(f"text of {pick['id']}") >= 1
    first = found["picks"][0]
    assert " ".join(first["why"].split()) in " ".join(reader.text.split())
    near = first["nearest_labeled"]["distance"] / found["typical_distance"]
    assert f"{near:.2g} typical distances away" in reader.text
    assert "".join(f"{id_}\n" for id_ in first["represents"]["ids"][:2]) in reader.text


def test_the_page_says_who_represents_the_rest(x):
    chosen = distil.select_from("core_set", 4, embeddings=x)
    assert "4 of 120 examples were chosen. Every other example is represented by the nearest pick." in explanation_page(
        distil.explain(chosen, x), "x", lambda _: ""
    )
    chosen = distil.select_from("core_set", 4, embeddings=x, labeled=range(110))
    found = distil.explain(chosen, x, labeled=range(110))
    by_picks = sum(pick["represents"]["count"] for pick in found["picks"])
    page = explanation_page(found, "x", lambda _: "")
    assert f"{by_picks:,} of 6 ({100 * by_picks / 6:.1f} %) by picks, {6 - by_picks:,} by labeled examples" in page


def test_labels_of_other_ids_are_refused(x, refuses):
    pandas = pytest.importorskip("pandas")
    chosen = distil.select_from("core_set", 2, embeddings=x, labeled=[1, 2])
    with refuses(
        InvalidInput, "the labels of labeled: the index has 5, which is not among the labeled examples (1, 2)"
    ):
        distil.explain(chosen, x, labeled=([1, 2], pandas.Series(["a", "b"], index=[5, 6])))
    with refuses(InvalidInput, "the labels of labeled must have one entry for each of the 2 examples, got 1"):
        distil.explain(chosen, x, labeled=([1, 2], ["a"]))

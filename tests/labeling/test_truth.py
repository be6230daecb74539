"""Majority and agreement, against the published example and a formula written out."""

from itertools import permutations

import pytest

from distil.labeling.fold import Answer
from distil.labeling.truth import agreement, krippendorff_alpha, majority, truths


def test_alpha_of_the_published_example():
    """Four observers, twelve units, missing values: Krippendorff's worked example, whose nominal alpha is 0.743."""
    observers = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    units = [[c for c in column if c != "."] for column in zip(*(line.split() for line in observers), strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_by_the_matrix_of_coincidences(case):
    for votes in (
        [["a", "b"], ["a", "a", "a"], ["b"]],
        [["a", "b", "c"], ["c", "c"], ["a", "b"], ["b", "b", "b", "a"]],
    ):
        with case(votes):
            coincidences = {}
            for labels in votes:
                for a, b in permutations(labels, 2):
                    coincidences[a, b] = coincidences.get((a, b), 0) + 1 / (len(labels) - 1)
            n = sum(coincidences.values())
            totals = {c: sum(v for (a, _), v in coincidences.items() if a == c) for c in "abc"}
            observed = sum(v for (a, b), v in coincidences.items() if a != b) / n
            expected = sum(totals[a] * totals[b] for a, b in permutations("abc", 2)) / (n * (n - 1))
            assert krippendorff_alpha(votes) == pytest.approx(1 - observed / expected)


def test_no_agreement_without_two_labels_of_one_item():
    assert (agreement([["a"], []]), krippendorff_alpha([["a"], ["b"]])) == (None, None)
    assert (agreement([["a", "a"]]), krippendorff_alpha([["a", "a"]])) == (
        1,
        None,
    )  # one class: no disagreement is expected


def test_majority_leaves_ties_open():
    assert [majority(labels) for labels in ("", "a", "ab", "aab", "aabb", "abcc")] == [None, "a", None, "a", None, "c"]


def test_one_truth_for_each_item():
    said = {
        ("x", "anna"): Answer("label", "cat", False),
        ("x", "ben"): Answer("label", "dog", True),
        ("y", "anna"): Answer("label", "cat", False),
        ("y", "ben"): Answer("skip", None, False),
        ("z", "anna"): Answer("label", "cat", False),
        ("z", ""): Answer("decide", "dog", False),
        ("u", "anna"): Answer("unsure", None, False),
    }
    found = truths(said)
    assert {item: (truth.label, truth.decided, truth.tied) for item, truth in found.items()} == {
        "x": (None, False, True),
        "y": ("cat", False, False),
        "z": ("dog", True, False),
        "u": (None, False, False),
    }
    assert (found["x"].flagged, found["y"].others, found["z"].votes) == (True, {"ben": "skip"}, {"anna": "cat"})

"""Reductions of the uncertainties of tokens against loops over examples, and stratified picks against a simulation."""

import itertools

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional.reductions import MEASURES, REDUCTIONS, entropies_by_class, reduced_uncertainty, stratified

RNG = np.random.default_rng(0)
LENGTHS = [3, 0, 1, 12, 5, 0, 7]
OFFSETS = torch.from_numpy(np.concatenate([[0], np.cumsum(LENGTHS)]))
PROBS = RNG.dirichlet(np.full(4, 0.5), sum(LENGTHS))
PROBS[:2] = [[0.25, 0.25, 0.25, 0.25], [0, 1, 0, 0]]


def of_token(measure, p):
    p = sorted(p, reverse=True)
    return {
        "entropy": -sum(x * np.log(x) for x in p if x),
        "margin": 1 - p[0] + p[1],
        "least_confidence": 1 - p[0],
        "log_confidence": -np.log(p[0]),
    }[measure]


def of_example(reduction, values):
    if not values:
        return 0
    largest = sorted(values)[-3:]
    return {"mean": np.mean(values), "sum": sum(values), "max": max(values), "top_mean": np.mean(largest)}[reduction]


def test_every_measure_and_reduction_is_that_of_a_loop_over_examples():
    examples = [PROBS[a:b] for a, b in itertools.pairwise(OFFSETS)]
    for dtype in (torch.float64, torch.float32, torch.float16):
        probs = torch.from_numpy(PROBS).to(dtype)
        for measure in MEASURES:
            for reduction in REDUCTIONS:
                found = reduced_uncertainty(probs, OFFSETS, measure, reduction, top=3)
                expected = [of_example(reduction, [of_token(measure, p) for p in rows]) for rows in examples]
                tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-2}[dtype]
                np.testing.assert_allclose(found.numpy(), expected, atol=tolerance, rtol=tolerance)
                assert found.dtype == (torch.float32 if dtype == torch.float16 else dtype)


def test_named_scores_of_a_sentence_of_two_words():
    probs, offsets = torch.tensor([[0.5, 0.5], [0.8, 0.2]], dtype=torch.float64), torch.tensor([0, 2])
    total = float(reduced_uncertainty(probs, offsets, "log_confidence", "sum"))
    assert np.exp(-total) == pytest.approx(0.5 * 0.8)  # the probability of the most probable sequence
    mnlp = -float(reduced_uncertainty(probs, offsets, "log_confidence", "mean"))
    assert mnlp == pytest.approx((np.log(0.5) + np.log(0.8)) / 2)


def test_entropies_by_class_are_weighted_means():
    found = entropies_by_class(torch.from_numpy(PROBS), OFFSETS).numpy()
    for i, (a, b) in enumerate(itertools.pairwise(OFFSETS)):
        h = np.array([of_token("entropy", p) for p in PROBS[a:b]])
        expected = [np.mean(h * PROBS[a:b, c]) for c in range(4)] + [np.mean(h)] if len(h) else np.zeros(5)
        np.testing.assert_allclose(found[i], expected, atol=1e-12)
    np.testing.assert_allclose(found[:, :4].sum(1), found[:, 4], atol=1e-12)


def test_wrong_offsets_and_names_are_refused():
    probs = torch.from_numpy(PROBS)
    for offsets in ([0], [0, 3], [1, len(PROBS)], [0, 5, 4, len(PROBS)], [0, len(PROBS) + 1]):
        with pytest.raises(InvalidInput, match=f"ascend from 0 to {len(PROBS)}, the number of rows of probs"):
            reduced_uncertainty(probs, torch.tensor(offsets))
    for names in ({"measure": "bald"}, {"reduction": "median"}, {"top": 0}):
        with pytest.raises(InvalidInput, match="measure must be one of entropy, margin"):
            reduced_uncertainty(probs, OFFSETS, **names)


def test_stratified_picks_are_those_of_a_simulation():
    by_class, scores = RNG.integers(0, 4, (30, 3)), RNG.integers(0, 4, 30)  # with ties
    for n, share in ((1, 0.66), (7, 0.66), (10, 0.66), (30, 0.66), (30, 1.0), (12, 0.0)):
        turns = torch.randperm(3, generator=torch.Generator().manual_seed(n)).tolist()
        left, expected = set(range(30)), []
        for pick in range(n):
            c = turns[pick % 3] if pick < int(share * n) else -1
            column = scores if c < 0 else by_class[:, c]
            row = min(left, key=lambda row, column=column: (-column[row], row))
            left.remove(row)
            expected.append((row, c))
        rows, classes = stratified(
            torch.from_numpy(by_class), torch.from_numpy(scores), n, share, torch.Generator().manual_seed(n)
        )
        assert list(zip(rows.tolist(), classes.tolist(), strict=True)) == expected


def test_every_class_has_its_even_part():
    scores = torch.rand(200, 5, generator=torch.Generator().manual_seed(0))
    counts = set()
    for seed in range(20):
        _, classes = stratified(scores, scores[:, 0], 50, 0.66, torch.Generator().manual_seed(seed))
        per_class = torch.bincount(classes + 1, minlength=6).tolist()
        assert per_class[0] == 17  # 33 of 50 are those of the classes
        assert sorted(per_class[1:]) == [6, 6, 7, 7, 7]
        counts.add(tuple(per_class))
    assert len(counts) > 1  # the classes with one more are random

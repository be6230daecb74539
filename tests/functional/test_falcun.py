"""FALCUN against a plain loop and the probabilities of its draws."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from distil.errors import InvalidInput
from distil.functional.falcun import falcun


def relevance(probs, picks):
    """Uncertainty + scaled distance of every row, and -1 for the picks."""
    top = np.sort(probs, axis=1)
    uncertainty = 1 - (top[:, -1] - top[:, -2])
    nearest = uncertainty.copy()
    for pick in picks:
        nearest = np.minimum(nearest, np.abs(probs - probs[pick]).sum(1))
    left = np.setdiff1d(np.arange(len(probs)), picks)
    low, high = nearest[left].min(), nearest[left].max()
    found = uncertainty + (nearest - low) / (high - low)
    found[picks] = -1
    return found


def test_a_large_exponent_picks_the_most_relevant_row():
    for seed in range(5):
        probs = torch.randn(30, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(1)
        found = falcun(probs, 8, torch.Generator().manual_seed(seed), gamma=1e5)
        picks: list[int] = []
        for row, gain in zip(found.rows.tolist(), found.gains.tolist(), strict=True):
            expected = relevance(probs.numpy(), picks)
            assert row == expected.argmax()
            assert gain == pytest.approx(expected[row])
            picks.append(row)


def test_draws_are_proportional_to_the_power_of_relevance():
    probs = torch.tensor([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.9, 0.1, 0.0]], dtype=torch.float64)
    stream = torch.Generator().manual_seed(0)
    drawn = [falcun(probs, 2, stream, gamma=3).rows.tolist() for _ in range(1000)]
    first = np.bincount([rows[0] for rows in drawn], minlength=4)
    weights = relevance(probs.numpy(), []) ** 3
    assert chisquare(first, 1000 * weights / weights.sum()).pvalue > 1e-3
    second = np.bincount([rows[1] for rows in drawn if rows[0] == 2], minlength=4)
    weights = relevance(probs.numpy(), [2]).clip(0) ** 3
    rows = [0, 1]  # row 3 has the smallest uncertainty and distance
    assert second[2] == 0
    expected = weights / weights.sum()
    assert np.abs(second / second.sum() - expected)[rows].max() < 0.1


def test_certain_and_equal_rows_are_drawn_uniformly():
    probs = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    drawn = [int(falcun(probs, 1, torch.Generator().manual_seed(seed)).rows) for seed in range(400)]
    assert min(np.bincount(drawn, minlength=4)) > 60
    assert sorted(falcun(probs, 4, torch.Generator()).rows.tolist()) == [0, 1, 2, 3]


def test_arguments_out_of_range_are_refused():
    for n, gamma in ((0, 1.0), (5, 1.0), (1, -1.0), (1, float("inf"))):
        with pytest.raises(InvalidInput, match=r"n must be|gamma must be"):
            falcun(torch.full((4, 2), 0.5), n, torch.Generator(), gamma=gamma)

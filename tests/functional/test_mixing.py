"""Several scores as one, against NumPy and SciPy."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from distil.errors import InvalidInput
from distil.functional.mixing import mixed

RNG = np.random.default_rng(0)
SCORES = np.stack([RNG.normal(size=40), RNG.integers(0, 5, size=40) * 1e9, RNG.exponential(size=40) * 1e-9])
UNIT = (SCORES - SCORES.min(1, keepdims=True)) / np.ptp(SCORES, axis=1)[:, None]


def test_each_mixture_against_its_formula():
    ranks = np.stack([rankdata(row) - 1 for row in SCORES]) / 39
    for weights in (None, [1.0, 2.0, 5.0]):
        w = np.ones(3) / 3 if weights is None else np.array(weights) / 8
        for how, expected in (("rank", w @ ranks), ("linear", w @ UNIT), ("power", np.prod(UNIT ** w[:, None], 0))):
            found = mixed(torch.from_numpy(SCORES), how, weights).numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


def test_the_scale_of_a_score_does_not_count():
    for how in ("rank", "linear", "power"):
        plain = mixed(torch.from_numpy(SCORES), how)
        for scale in (2.0**-900, 2.0**900, 2.0**1022 / 1e10):
            scaled = torch.from_numpy(SCORES * np.array([[scale], [1], [1]]))
            np.testing.assert_allclose(mixed(scaled, how), plain, rtol=1e-9)


def test_equal_and_infinite_scores():
    s = torch.tensor([[1.0, 2.0, 4.0], [7.0, 7.0, 7.0]])
    for how in ("rank", "linear", "power"):
        assert mixed(s, how).argsort().tolist() == [0, 1, 2]
        assert mixed(s[1:], how).unique().numel() == 1
    inf = torch.tensor([[-torch.inf, 1.0, 3.0, torch.inf]])
    assert mixed(inf, "linear").tolist() == [0, 0, 1, 1]
    assert mixed(torch.tensor([[-torch.inf, torch.inf]]), "linear").tolist() == [0, 1]


def test_wrong_arguments():
    s = torch.zeros(2, 3)
    with pytest.raises(InvalidInput, match="how must be one of 'rank'"):
        mixed(s, "sum")
    for weights in ([1.0], [1.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(InvalidInput, match="2 numbers above 0"):
            mixed(s, "rank", weights)

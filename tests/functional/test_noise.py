"""Stochastic acquisition against SciPy's Gumbel distribution and enumerated probabilities of samples without replacement."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch

from distil.errors import InvalidInput
from distil.functional.noise import gumbel, power, softmax, softrank
from distil.rng import Rng

SCORES = torch.tensor([0.5, 2.0, 1.0, 4.0])
N_DRAWS = 40_000


def draws(size):
    return gumbel(Rng(3).child("noise").keys(torch.arange(size)))


def test_the_noise_is_gumbel_noise_and_belongs_to_the_id():
    noise = draws(50_000)
    assert scipy.stats.kstest(noise.numpy(), scipy.stats.gumbel_r.cdf).pvalue > 0.01
    ids = torch.tensor([7, 31_000, 2])
    assert torch.equal(gumbel(Rng(3).child("noise").keys(ids)), noise[ids])
    ends = torch.tensor([torch.iinfo(torch.int64).min, -1, 0, torch.iinfo(torch.int64).max])
    assert bool(gumbel(ends).isfinite().all())


@pytest.mark.parametrize(
    ("noisy", "beta", "weights"),
    [
        (power, 1.0, SCORES),
        (power, 2.5, SCORES**2.5),
        (softmax, 0.7, (0.7 * SCORES).exp()),
        (softrank, 1.0, torch.tensor([1 / 4, 1 / 2, 1 / 3, 1])),
        (softrank, 3.0, torch.tensor([1 / 4, 1 / 2, 1 / 3, 1]) ** 3),
    ],
)
def test_the_two_best_are_a_sample_without_replacement(noisy, beta, weights):
    """Their probabilities are those of drawing one after the other, each in proportion to its weight among the rest."""
    noise = draws(N_DRAWS * 4).reshape(N_DRAWS, 4)
    sums = torch.stack([noisy(SCORES, beta, row) for row in noise[:5000]])
    found = sums.topk(2).indices.tolist()
    p = (weights.double() / weights.double().sum()).numpy()
    pairs = list(itertools.permutations(range(4), 2))
    expected = np.array([p[i] * p[j] / (1 - p[i]) for i, j in pairs]) * len(found)
    counted = np.array([found.count([i, j]) for i, j in pairs])
    assert scipy.stats.chisquare(counted, expected).pvalue > 0.001


def test_much_beta_is_the_order_of_scores_and_little_is_noise():
    noise = draws(4)
    for noisy in (power, softmax, softrank):
        assert noisy(SCORES, 1e9, noise).argsort(descending=True).tolist() == [3, 1, 2, 0], noisy
        assert noisy(SCORES, 1e-9, noise).argsort().tolist() == noise.argsort().tolist(), noisy


def test_scores_of_zero_come_last_and_the_unit_of_scores_does_not_matter_for_power():
    scores, noise = torch.rand(500, generator=torch.Generator().manual_seed(0)).double(), draws(500)
    scores[:100] = 0
    assert power(scores, 1.0, noise).argsort()[:100].sort().values.tolist() == list(range(100))
    for factor in (2.0**-900, 2.0**900):
        assert torch.equal(
            power(scores * factor, 2.0, noise).argsort(stable=True), power(scores, 2.0, noise).argsort(stable=True)
        )


def test_ranks_of_equal_scores_follow_the_rows():
    assert softrank(torch.ones(3), 1.0, torch.zeros(3)).tolist() == pytest.approx([0, -np.log(2), -np.log(3)])


def test_what_cannot_be_weighed_is_refused():
    with pytest.raises(InvalidInput, match=r"at least 0, got -0.1; use softmax or softrank"):
        power(torch.tensor([1.0, -0.1]), 1.0, torch.zeros(2))
    assert power(torch.tensor([-1e-7]), 1.0, torch.zeros(1)).tolist() == [-np.inf]  # 0 but for rounding
    for noisy in (power, softmax, softrank):
        with pytest.raises(InvalidInput, match="NaN in 1 of 2 rows"):
            noisy(torch.tensor([torch.nan, 1.0]), 1.0, torch.zeros(2))

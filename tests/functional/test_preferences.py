"""Pairs of responses: DeltaUCB by enumeration of all pairs, double reverse Thompson sampling by enumeration of all draws."""

import itertools

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional.preferences import delta_ucb, double_reverse_thompson

RNG = np.random.default_rng(0)
R, S = RNG.normal(size=(50, 4)), RNG.gamma(1, 1, size=(50, 4))


def test_delta_ucb_is_the_largest_of_all_pairs(monkeypatch):
    for beta in (0.0, 1.0, 2.5):
        found = delta_ucb(torch.from_numpy(R), torch.from_numpy(S), beta)
        for row in range(50):
            gaps = {
                (i, j): R[row, i] + beta * S[row, i] - R[row, j] + beta * S[row, j]
                for i, j in itertools.permutations(range(4), 2)
            }
            best = max(gaps, key=gaps.get)
            assert tuple(found.pairs[row].tolist()) == best
            assert float(found.gaps[row]) == pytest.approx(gaps[best], rel=1e-12)
        with monkeypatch.context() as patch:
            patch.setattr("distil.functional.preferences._BLOCK", 40)
            for whole, blocks in zip(found, delta_ucb(torch.from_numpy(R), torch.from_numpy(S), beta), strict=True):
                assert torch.equal(whole, blocks)


def test_equal_pairs_give_the_first_and_no_response_is_paired_with_itself():
    found = delta_ucb(torch.zeros(1, 3), torch.tensor([[0.0, 9.0, 0.0]]))
    assert found.pairs.tolist() == [[0, 1]]  # (1, 1) would be 18 apart
    assert delta_ucb(torch.zeros(2, 3), torch.zeros(2, 3)).pairs.tolist() == [[0, 1], [0, 1]]


def uniform_grid(r, s, steps=60):
    """The probability that each of three responses has the largest r + z s, over a grid of all z."""
    z = (2 * np.arange(steps) + 1) / steps - 1
    drawn = np.stack(np.meshgrid(*[m + z * w for m, w in zip(r, s, strict=True)], indexing="ij"), -1)
    return np.bincount(drawn.reshape(-1, 3).argmax(1), minlength=3) / steps**3


def test_pairs_are_drawn_with_the_probabilities_of_all_draws():
    """The best response as drawn; the worst as drawn, given that it is another one."""
    r, s = np.array([0.0, 0.3, 0.5]), np.array([1.0, 0.4, 0.8])
    best, worst = uniform_grid(r, s), uniform_grid(-r, s)
    n = 60_000
    found = double_reverse_thompson(
        torch.from_numpy(r).expand(n, 3), torch.from_numpy(s).expand(n, 3), n, torch.Generator().manual_seed(0)
    )
    counts = np.bincount(found.pairs[:, 0] * 3 + found.pairs[:, 1], minlength=9).reshape(3, 3) / n
    for i in range(3):
        others = worst.copy()
        others[i] = 0
        np.testing.assert_allclose(counts[i], best[i] * others / others.sum(), atol=0.01)


def test_after_all_tries_the_other_response_is_random():
    """Of certain and equal rewards, every draw gives response 0 as the best and as the worst."""
    rewards, deviations = torch.tensor([[0.0, 0.0, 0.0]]).expand(3000, 3), torch.zeros(3000, 3)
    found = double_reverse_thompson(rewards, deviations, 3000, torch.Generator().manual_seed(0), tries=2)
    assert (found.pairs[:, 0] == 0).all()
    counts = torch.bincount(found.pairs[:, 1], minlength=3).tolist()
    assert counts[0] == 0
    assert abs(counts[1] - 1500) < 150


def test_certain_rewards_rank_prompts_by_their_spread():
    rewards = torch.from_numpy(R)
    found = double_reverse_thompson(rewards, torch.zeros(50, 4), 10, torch.Generator().manual_seed(0))
    spreads = R.max(1) - R.min(1)
    assert found.rows.tolist() == (-spreads).argsort()[:10].tolist()
    np.testing.assert_allclose(found.spreads.numpy(), np.sort(spreads)[::-1][:10])
    assert found.pairs.tolist() == [[int(R[row].argmax()), int(R[row].argmin())] for row in found.rows]


def test_spreads_are_those_of_one_draw():
    """With one prompt, the draws are the first numbers of the generator."""
    z = 2 * torch.rand(1, 4, generator=torch.Generator().manual_seed(7), dtype=torch.float64).numpy() - 1
    drawn = R[:1] + 0.5 * z * S[:1]
    found = double_reverse_thompson(
        torch.from_numpy(R[:1]), torch.from_numpy(S[:1]), 1, torch.Generator().manual_seed(7), beta=0.5
    )
    assert float(found.spreads[0]) == pytest.approx(drawn.max() - drawn.min(), rel=1e-12)


def test_arrays_that_do_not_fit_are_refused():
    r, s = torch.from_numpy(R), torch.from_numpy(S)
    for rewards, deviations in ((r, s[:, :3]), (r[:, :1], s[:, :1]), (r[0], s[0])):
        for call in (delta_ucb, lambda a, b: double_reverse_thompson(a, b, 1, torch.Generator())):
            with pytest.raises(InvalidInput, match=r"must both be .prompts, responses., with at least two responses"):
                call(rewards, deviations)
    with pytest.raises(InvalidInput, match="deviations must be at least 0, got -"):
        delta_ucb(r, -s)
    for n in (0, 51):
        with pytest.raises(InvalidInput, match=f"n must be between 1 and 50, the number of prompts; got {n}"):
            double_reverse_thompson(r, s, n, torch.Generator())

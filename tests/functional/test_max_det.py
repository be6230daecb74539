"""MaxDet against the posterior variance of a Gaussian process, solved anew for every pick."""

import itertools

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional import projection
from distil.functional.features import Dense, Outer
from distil.functional.max_det import max_det

RNG = torch.Generator


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(x, n, labeled, ridge):
    """Row of largest k(x, x) - k(x, S) (k(S, S) + noise I)^-1 k(S, x), S the labeled and picked rows."""
    x, s = x.numpy(), labeled.numpy()
    noise = ridge * (x**2).sum(1).mean()
    found, gains = [], []
    for _ in range(n):
        inverse = np.linalg.inv(s @ s.T + noise * np.eye(len(s)))
        variance = (x**2).sum(1) - np.einsum("is,st,it->i", x @ s.T, inverse, x @ s.T)
        row = max((i for i in range(len(x)) if i not in found), key=lambda i: variance[i])
        found.append(row)
        gains.append(np.log1p(max(variance[row], 0) / noise))
        s = np.concatenate([s, x[row][None]])
    return found, gains


def test_the_picks_of_the_definition():
    for seed, m, ridge in itertools.product(range(3), (0, 2, 9), (1e-3, 0.5)):
        x, labeled = normal(40, 5, seed=seed), normal(m, 5, seed=seed + 50)
        expected, gains = naive(x, 15, labeled, ridge)
        found = max_det(Dense(x), 15, RNG(), labeled=Dense(labeled) if m else None, ridge=ridge)
        assert found.rows.tolist() == expected
        assert found.gains.tolist() == pytest.approx(gains, rel=1e-6)


def test_the_gains_add_up_to_the_determinant():
    x, labeled = normal(30, 4), normal(6, 4, seed=1)
    found = max_det(Dense(x), 10, RNG(), labeled=Dense(labeled), ridge=0.1)
    noise = 0.1 * float(x.square().sum(1).mean())
    both = torch.cat([labeled, x[found.rows]])

    def log_det(rows):
        return float(torch.logdet(torch.eye(len(rows), dtype=torch.float64) + rows @ rows.T / noise))

    assert float(found.gains.sum()) == pytest.approx(log_det(both) - log_det(labeled))


def test_factored_rows_and_scales():
    x, labeled = Outer(normal(50, 3), normal(50, 4, seed=1)), Outer(normal(7, 3, seed=2), normal(7, 4, seed=3))
    expected = max_det(Dense(x.dense()), 12, RNG(), labeled=Dense(labeled.dense()))
    assert max_det(x, 12, RNG(), labeled=labeled).rows.tolist() == expected.rows.tolist()
    for factor in (2.0**-200, 2.0**200):
        found = max_det(Dense(x.dense() * factor), 12, RNG(), labeled=Dense(labeled.dense() * factor))
        assert found.rows.tolist() == expected.rows.tolist()
        assert found.gains.tolist() == pytest.approx(expected.gains.tolist())


def test_wide_rows_are_projected(monkeypatch):
    monkeypatch.setattr(projection, "WIDEST", 8)
    directions = Outer(torch.eye(6).repeat_interleave(3, 0), torch.ones(18, 2))
    found = max_det(directions, 6, RNG().manual_seed(0)).rows.tolist()
    assert sorted(row // 3 for row in found) == [0, 1, 2, 3, 4, 5]  # one of each direction


def test_copies_and_zeros_are_picked_once_each():
    x = Dense(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]))
    assert max_det(x, 4, RNG()).rows.tolist() == [1, 2, 0, 3]
    assert max_det(Dense(torch.zeros(3, 2)), 3, RNG()).rows.tolist() == [0, 1, 2]
    for ridge in (0, -1.0, float("nan")):
        with pytest.raises(InvalidInput, match="ridge must be above 0"):
            max_det(x, 1, RNG(), ridge=ridge)

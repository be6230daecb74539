"""k-center without outliers: which rows are dropped, and what is picked among the rest."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from distil.errors import InvalidInput
from distil.functional import outliers
from distil.functional.outliers import isolation, k_center_without_outliers

X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))


def gonzalez(x, n, centers):
    """The plain algorithm; without centers it starts at row 0."""
    nearest = cdist(x, centers).min(1) if len(centers) else np.full(len(x), np.inf)
    picks = []
    for _ in range(n):
        picks.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, cdist(x, x[picks[-1:]])[:, 0])
        nearest[picks] = -1
    return picks


def test_isolation_is_the_distance_to_the_kth_nearest_other_row(monkeypatch):
    for k in (1, 10, 59, 80):
        expected = np.sort(cdist(X.double(), X.double()), axis=1)[:, min(k, 59)]
        np.testing.assert_allclose(isolation(X, k, torch.Generator()).numpy(), expected, rtol=1e-6)
    assert isolation(X[:1], 3, torch.Generator()).tolist() == [0]
    monkeypatch.setattr(outliers, "_SAMPLE", 20)
    sample = torch.randperm(60, generator=torch.Generator().manual_seed(7))[:20].numpy()
    dists = cdist(X.double(), X.double())
    np.fill_diagonal(dists, np.inf)
    expected = np.sort(dists[:, sample], axis=1)[:, 3]
    np.testing.assert_allclose(isolation(X, 4, torch.Generator().manual_seed(7)).numpy(), expected, rtol=1e-6)


def test_the_picks_are_farthest_first_among_the_rest():
    isolated = np.sort(cdist(X.double(), X.double()), axis=1)[:, 10]
    for share, dropped in ((0.0, 0), (0.1, 6), (0.5, 30)):
        left = np.sort(np.argsort(-isolated, kind="stable")[dropped:])
        for centers in (X[:0], X[[4, 9]]):
            found = k_center_without_outliers(X, 8, share, torch.Generator(), centers=centers)
            assert found.rows.tolist() == left[gonzalez(X[left].numpy(), 8, centers.numpy())].tolist()


def test_junk_is_not_picked_until_nothing_else_is_left():
    x = X.clone()
    x[[5, 6, 40]] += torch.tensor([[500.0, 0, 0], [500.5, 0, 0], [0, 900, 0]])
    assert {5, 40} <= set(k_center_without_outliers(x, 6, 0.0, torch.Generator()).rows.tolist())
    assert not {5, 6, 40} & set(k_center_without_outliers(x, 6, 0.05, torch.Generator()).rows.tolist())
    assert sorted(k_center_without_outliers(x, 60, 0.5, torch.Generator()).rows.tolist()) == list(range(60))


def test_arguments_out_of_range_are_refused():
    for n, share in ((0, 0.1), (61, 0.1), (3, 1.0), (3, -0.1)):
        with pytest.raises(InvalidInput, match=r"n must be|share must be"):
            k_center_without_outliers(X, n, share, torch.Generator())

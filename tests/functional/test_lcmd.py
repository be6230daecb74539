"""LCMD against a loop that assigns every row anew for every pick, with numbers that floating point holds exactly."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from distil.errors import InvalidInput
from distil.functional import lcmd as module
from distil.functional.features import Dense, Outer
from distil.functional.lcmd import lcmd


def whole(n, d, seed, largest=6):
    """Rows of small whole numbers: many ties, and exact distances."""
    return torch.randint(-largest, largest + 1, (n, d), generator=torch.Generator().manual_seed(seed)).double()


def naive(x, n, centers):
    """The definition: nearest centers from all distances, sums per cluster, farthest row of the largest."""
    x, centers = x.numpy(), centers.numpy()
    found, gains, left = [], [], list(range(len(x)))
    for _ in range(n):
        if not len(centers):
            row, gain = int((x**2).sum(1).argmax()), np.inf
        else:
            dists = cdist(x, centers, "sqeuclidean").round(6)
            own, least = dists.argmin(1), dists.min(1)
            sizes = [sum(least[i] for i in left if own[i] == c) for c in range(len(centers))]
            largest = int(np.argmax(sizes))
            among = [i for i in left if own[i] == largest] if sizes[largest] > 0 else left
            row = max(among, key=lambda i: (least[i], -i))
            gain = least[row]
        found.append(row)
        gains.append(gain)
        left.remove(row)
        centers = np.concatenate([centers.reshape(-1, x.shape[1]), x[row][None]])
    return found, gains


def test_the_picks_of_the_definition(monkeypatch):
    for seed in range(12):
        x, centers = whole(60, 1 + seed % 3, seed), whole(seed % 4 * 3, 1 + seed % 3, seed + 100)
        expected, gains = naive(x, 25, centers)
        for block in (1 << 20, 64):
            monkeypatch.setattr(module, "BLOCK_BYTES", block)
            found = lcmd(Dense(x.float()), 25, Dense(centers.float()) if len(centers) else None)
            assert found.rows.tolist() == expected, seed
            assert found.gains.tolist() == pytest.approx(gains)


def test_factored_rows_as_written_out():
    x, centers = Outer(whole(40, 3, 0), whole(40, 2, 1)), Outer(whole(5, 3, 2), whole(5, 2, 3))
    expected = lcmd(Dense(x.dense()), 15, Dense(centers.dense()))
    found = lcmd(x, 15, centers)
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.gains.tolist() == pytest.approx(expected.gains.tolist())


def test_the_scale_of_the_rows_changes_nothing():
    x = torch.randn(80, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = lcmd(Dense(x), 20)
    for factor in (2.0**-200, 2.0**300):
        found = lcmd(Dense(x * factor), 20)
        assert found.rows.tolist() == expected.rows.tolist()
        assert (found.gains[1:] / factor / factor).tolist() == pytest.approx(expected.gains[1:].tolist())


def test_copies_come_last_and_every_row_once():
    x = torch.ones(8, 2)
    x[5] = 3
    assert lcmd(Dense(x), 8).rows.tolist() == [5, 0, 1, 2, 3, 4, 6, 7]
    for n in (0, 9):
        with pytest.raises(InvalidInput, match="n must be between 1 and 8"):
            lcmd(Dense(x), n)

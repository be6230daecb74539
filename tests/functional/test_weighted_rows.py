"""Weights of rows in canonical blocks of ids: against NumPy, for any order of the rows and any part of the blocks."""

import numpy as np
import torch

from distil.functional import weighted_rows
from distil.functional.centers import k_means_plus_plus_with_gains
from distil.functional.features import Dense
from distil.functional.weighted_rows import WeightedRows, shares_of


def pool(seed=0, n=60):
    """Rows with gaps in their ids, in blocks of 16 ids."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, 3)).astype(np.float32)), torch.from_numpy(
        np.sort(rng.choice(100, n, replace=False))
    )


def test_rows_are_found_by_the_cumulative_weights(monkeypatch):
    monkeypatch.setattr(weighted_rows, "CANONICAL_BLOCK", 16)
    x, ids = pool()
    rows = WeightedRows(Dense(x).with_norms(), ids)
    rows.take(torch.tensor([7]))
    sums = rows.update([rows.rows(torch.tensor([7]))])
    weights = ((x.double() - x[7].double()) ** 2).sum(1).numpy()
    expected = [weights[(ids // 16 == block).numpy()].sum() for block in (ids // 16).unique()]
    assert np.allclose(sums, expected, rtol=1e-5)
    u = torch.rand(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u[0], u[1] = 0, 1 - 2**-53
    found = rows.find(shares_of(sums.cumsum(0), u))
    cumulated = np.cumsum(weights)
    right = np.searchsorted(cumulated, u.numpy() * cumulated[-1], side="right").clip(max=59)
    assert (found.rows.numpy() == right).mean() > 0.98  # shares within rounding of a border may differ
    assert np.allclose(found.weights, weights[found.rows], rtol=1e-4)
    assert torch.equal(found.distinct.dense(), x[found.rows.unique()])


def test_parts_of_whole_blocks_have_the_sums_and_weights_of_the_whole(monkeypatch):
    monkeypatch.setattr(weighted_rows, "CANONICAL_BLOCK", 16)
    x, ids = pool(1)
    x = Dense(x).with_norms()
    picks = [x[torch.tensor([3, 50])]]
    whole = WeightedRows(x, ids)
    sums = whole.update(picks)
    for start in (16, 48):
        parts = [
            WeightedRows(x[part], ids[part])
            for part in (torch.nonzero(ids < start)[:, 0], torch.nonzero(ids >= start)[:, 0])
        ]
        assert torch.equal(torch.cat([part.update(picks) for part in parts]), sums)
        assert torch.equal(torch.cat([part.weights for part in parts]), whole.weights)


def test_the_same_ids_are_drawn_from_rows_in_any_order(monkeypatch):
    monkeypatch.setattr(weighted_rows, "CANONICAL_BLOCK", 16)
    x, ids = pool(2)
    for seed in range(4):
        order = torch.from_numpy(np.random.default_rng(seed).permutation(60))
        one = k_means_plus_plus_with_gains(Dense(x), 30, 11, torch.Generator().manual_seed(seed), ids)
        first = int((order == 11).nonzero())
        other = k_means_plus_plus_with_gains(
            Dense(x[order]), 30, first, torch.Generator().manual_seed(seed), ids[order]
        )
        assert torch.equal(order[other.rows], one.rows)
        assert torch.equal(other.gains, one.gains)

"""Exact nearest neighbors, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from distil.data import distances
from distil.data.distances import nearest, ruler, within
from distil.errors import InvalidInput
from distil.system.runtime import Runtime


def rows_of(kind, n=90, dims=5):
    x = torch.randn(n, dims, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if kind == "clustered":
        x[::3] *= 0.01
    elif kind == "duplicated":
        x[30:60] = x[:30]
        x[60:70] = x[0]
    elif kind == "far from the origin":
        x += 1000
    return x


def test_nearest(case, monkeypatch):
    for kind in ["random", "clustered", "duplicated", "far from the origin"]:
        for k in [1, 4]:
            for same in [True, False]:
                for dtype in [torch.float32, torch.float16, torch.float64]:
                    with case(kind, k, same, dtype):
                        monkeypatch.setattr(distances, "CHUNK_ROWS", 16)
                        x = rows_of(kind).to(dtype)
                        y = (
                            x
                            if same
                            else rows_of(kind)[torch.randperm(90, generator=torch.Generator().manual_seed(1))].to(dtype)
                        )
                        rows, others = torch.arange(3, 80), torch.arange(0, 90, 2)
                        found = nearest(x, rows, y, others, k, ruler(x, torch.arange(90)), Runtime())
                        dists = cdist(x[rows].double(), y[others].double())
                        if same:
                            dists[rows[:, None] == others] = np.inf
                        slack = 2e-3 if kind == "far from the origin" and dtype == torch.float32 else 1e-6
                        np.testing.assert_allclose(found.dists, np.sort(dists, 1)[:, :k], rtol=1e-4, atol=slack)
                        own = np.linalg.norm(x[rows].double()[:, None] - y[found.rows].double(), axis=2)
                        np.testing.assert_allclose(found.dists, own, atol=1e-9)
                        assert np.isin(found.rows, others).all()
                        assert not (same and bool((found.rows == rows[:, None]).any()))


def test_memory_mapped_arrays_are_the_same_array(tmp_path):
    np.save(tmp_path / "x.npy", rows_of("random").float().numpy())
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    every = torch.arange(90)
    found = nearest(x, every, x, every, 1, ruler(x, every), Runtime())
    assert bool((found.rows[:, 0] != every).all())


def test_the_ruler_does_not_follow_scale_direction_or_copies():
    x = rows_of("random", 400)
    every = torch.arange(400)
    typical = ruler(x, every).typical
    assert typical == pytest.approx(float(np.median(cdist(x, x)[np.triu_indices(400, 1)])), rel=1e-4)
    assert ruler(x * 7 + 3, every).typical == pytest.approx(7 * typical)
    copied = x.repeat(9, 1)
    assert ruler(copied, torch.arange(3600)).typical == pytest.approx(typical, rel=0.05)
    with pytest.raises(InvalidInput, match="all embeddings are equal"):
        ruler(torch.ones(5, 2), torch.arange(5))


def test_within_leaves_a_point_itself_out():
    x = torch.tensor([[0.0], [0.1], [5.0], [5.1], [9.0]])
    by, every = ruler(x, torch.arange(5)), torch.arange(5)
    assert within(x, every, torch.tensor([0]), 0.2, by, Runtime()).tolist() == [1]
    assert within(x, every, torch.tensor([3, 0]), 0.2, by, Runtime()).tolist() == [1, 2]
    assert within(x, every, every[:0], 0.2, by, Runtime()).tolist() == []


def test_rows_far_from_zero_are_centered_before_they_are_rounded():
    """Offset over spread is 1e7: float32 would leave no digit of the differences."""
    g = torch.Generator().manual_seed(0)
    near = torch.randn(300, 5, generator=g, dtype=torch.float64)
    for x in (near + 1e7, (near + 1e7) * 1e200, near * 1e-200):
        found = nearest(x, torch.arange(300), x, torch.arange(300), 1, ruler(x, torch.arange(300)), Runtime())
        exact = torch.cdist(near, near).fill_diagonal_(torch.inf).argmin(1)
        assert torch.equal(found.rows[:, 0], exact)
        assert bool(found.dists.isfinite().all())

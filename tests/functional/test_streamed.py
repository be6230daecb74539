"""Rows that are read when they are used, against NumPy in float64."""

import numpy as np
import pytest
import torch

from distil.functional import features
from distil.functional.centers import k_center_with_gains
from distil.functional.features import Dense, Outer, at_one_scale
from distil.functional.streamed import Streamed

N = 50


def rows_of(kind, scale=1.0):
    """Half-precision factors as NumPy arrays in float64, and the streamed rows, which convert to float32 what they read."""
    rng = np.random.default_rng(3)
    halves = [torch.from_numpy(rng.normal(size=(N, width))).half() for width in (3, 5)]

    def read(rows):
        a, b = (half[rows].float() for half in halves)
        return Dense(b * scale) if kind is Dense else Outer(a, b * scale)

    a, b = (half.double().numpy() for half in halves)
    b = b * scale
    dense = b if kind is Dense else (a[:, :, None] * b[:, None]).reshape(N, -1)
    return Streamed(read, N), dense


@pytest.fixture(params=[Dense, Outer])
def kind(request, monkeypatch):
    monkeypatch.setattr(features, "BLOCK_BYTES", 200)
    return request.param


def test_every_method_computes_what_the_written_out_rows_give(kind):
    x, dense = rows_of(kind)
    few = [0, 7, 49]
    other, gram = x[torch.tensor(few)], dense @ dense[few].T
    sq = ((dense[:, None] - dense[few][None]) ** 2).sum(2)
    near = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(x.sq_norms(), (dense**2).sum(1), rtol=1e-5)
    np.testing.assert_allclose(x.with_norms().sq_norms(), (dense**2).sum(1), rtol=1e-5)
    np.testing.assert_allclose(x.exact_sq_norms(), (dense**2).sum(1), rtol=1e-12)
    np.testing.assert_allclose(x.inner(other), gram, **near)
    np.testing.assert_allclose(x.sq_dists(other), sq, **near)
    np.testing.assert_allclose(x.nearest_sq_dists(other), sq.min(1), **near)
    np.testing.assert_allclose(x.exact_sq_dists(other), sq, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(x[:3].pairwise_sq_dists(other), ((dense[:3] - dense[few]) ** 2).sum(1), rtol=1e-10)
    np.testing.assert_allclose(x.pairwise_sq_dists(x.double()), np.zeros(N), atol=1e-12)
    weights = torch.linspace(-1, 1, N)
    whole = kind(*((x[:].x,) if kind is Dense else (x[:].a, x[:].b)))
    np.testing.assert_allclose(x.combine(weights), whole.combine(weights), **near)
    point = whole.combine(weights)
    np.testing.assert_allclose(x.project(point), whole.project(point), rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(x.dense(), dense, **near)
    assert len(x) == N
    assert x.row_bytes() == whole.row_bytes()
    assert x.double().row_bytes() == 2 * x.row_bytes()


def test_rows_of_any_scale_are_brought_to_one(kind):
    for scale in (1.0, 2.0**70, 2.0**-70):
        x, dense = rows_of(kind, scale)
        (scaled,), e = at_one_scale(x)
        norms = (dense**2).sum(1)
        np.testing.assert_allclose(scaled.exact_sq_norms().numpy() * 4.0**e, norms, rtol=1e-6)
        assert bool(scaled.sq_norms().isfinite().all())
        np.testing.assert_allclose(scaled[torch.tensor([4, 2])].sq_norms().double() * 4.0**e, norms[[4, 2]], rtol=1e-5)


def test_k_center_picks_what_it_picks_of_stored_rows(kind):
    x, _ = rows_of(kind)
    expected = k_center_with_gains(x[:], 20)
    found = k_center_with_gains(x, 20)
    assert found.rows.tolist() == expected.rows.tolist()
    np.testing.assert_allclose(found.gains, expected.gains)

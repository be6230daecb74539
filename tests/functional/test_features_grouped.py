"""Means of rows against means written out by NumPy."""

import itertools

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional import features
from distil.functional.centers import k_center_greedy
from distil.functional.features import Dense, Features, Grouped, Outer


def dense_of(base):
    """The rows, (N, width) float64; with a bias, its column before the others of its class, as ``combine`` has them."""
    if isinstance(base, Dense):
        return base.x.double().numpy()
    a, b = base.a.double().numpy(), base.b.double().numpy()
    if base.bias:
        b = np.hstack([np.ones((len(b), 1)), b])
    return (a[:, :, None] * b[:, None, :]).reshape(len(a), a.shape[1] * b.shape[1])


def base_of(kind, n, seed, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    if kind == "dense":
        return Dense(torch.randn(n, 9, generator=g, dtype=torch.float64).to(dtype))
    a = torch.randn(n, 4, generator=g, dtype=torch.float64).to(dtype)
    return Outer(a, torch.randn(n, 7, generator=g, dtype=torch.float64).to(dtype), bias=kind == "outer with bias")


def means_of(grouped):
    rows, groups = dense_of(grouped.base), grouped.groups.numpy()
    found = [rows[groups == g].mean(0) for g in range(grouped.n_groups)]
    return np.stack(found) if found else np.zeros((0, rows.shape[1]))


def make(kind, n=23, n_groups=6, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed + 100)
    groups = torch.cat([torch.arange(n_groups), torch.randint(n_groups, (n - n_groups,), generator=g)])
    return Grouped(base_of(kind, n, seed, dtype), groups[torch.randperm(n, generator=g)], n_groups)


KINDS = ["dense", "outer", "outer with bias"]


def test_products_and_distances():
    """Both ways to a product are taken: singletons average products, the others write means out."""
    for kind, dtype, others in itertools.product(
        KINDS, [torch.float32, torch.float64], [(1, 1), (30, 3), (23, 23), (60, 5)]
    ):
        x, y = make(kind, dtype=dtype), make(kind, *others, seed=1, dtype=dtype)
        close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
        mine, theirs = means_of(x), means_of(y)
        np.testing.assert_allclose(x.inner(y), mine @ theirs.T, **close, err_msg=str((kind, dtype, others)))
        np.testing.assert_allclose(y.inner(x), theirs @ mine.T, **close, err_msg=str((kind, dtype, others)))
        dists = ((mine[:, None] - theirs[None]) ** 2).sum(2)
        np.testing.assert_allclose(x.sq_dists(y), dists, **close, err_msg=str((kind, dtype, others)))
        np.testing.assert_allclose(x.exact_sq_dists(y), dists, rtol=1e-12, err_msg=str((kind, dtype, others)))
        assert x.inner(y).dtype == dtype, (kind, dtype, others)
        assert x.exact_sq_dists(y).dtype == torch.float64, (kind, dtype, others)


def test_singletons_are_the_rows_themselves():
    for kind in KINDS:
        base = base_of(kind, 17, 3)
        order = torch.randperm(17, generator=torch.Generator().manual_seed(0))
        alone = Grouped(base, order, 17)
        rows = dense_of(base)[order.argsort().numpy()]
        np.testing.assert_allclose(alone.inner(alone), rows @ rows.T, rtol=1e-11, atol=1e-12, err_msg=str(kind))
        np.testing.assert_allclose(alone.dense(), rows, rtol=1e-14, err_msg=str(kind))


def test_norms_and_means():
    for kind in KINDS:
        x = make(kind)
        norms = (means_of(x) ** 2).sum(1)
        np.testing.assert_allclose(x.sq_norms(), norms, rtol=1e-12, err_msg=str(kind))
        np.testing.assert_allclose(x.exact_sq_norms(), norms, rtol=1e-12, err_msg=str(kind))
        np.testing.assert_allclose(x.dense(), means_of(x), rtol=1e-12, err_msg=str(kind))
        remembered = x.with_norms()
        assert remembered.norms is not None, kind
        assert torch.equal(remembered[torch.tensor([4, 0])].sq_norms(), x.sq_norms()[[4, 0]]), kind


def test_sums_and_projections():
    for kind in KINDS:
        x = make(kind)
        weights = torch.linspace(-1, 2, len(x), dtype=torch.float64)
        total = x.combine(weights)
        assert total.shape == x.base.combine(torch.ones(23, dtype=torch.float64)).shape, kind
        np.testing.assert_allclose(
            total.flatten(), weights.numpy() @ means_of(x), rtol=1e-11, atol=1e-12, err_msg=str(kind)
        )
        np.testing.assert_allclose(
            x.project(total), means_of(x) @ total.flatten().numpy(), rtol=1e-11, atol=1e-12, err_msg=str(kind)
        )


def test_rows_are_means_too():
    for kind, rows in itertools.product(
        KINDS,
        [slice(1, 4), slice(0, 0), torch.tensor([5, 0, 5, 2]), torch.tensor([True, False, True, False, False, True])],
    ):
        x = make(kind)
        part = x[rows]
        index = rows if isinstance(rows, slice) else rows.numpy()
        assert isinstance(part, Grouped), (kind, rows)
        np.testing.assert_allclose(means_of(part), means_of(x)[index], rtol=1e-13, err_msg=str((kind, rows)))
        assert len(part) == len(means_of(part)), (kind, rows)


def test_pairs_and_equal_groups():
    for kind in KINDS:
        x, y = make(kind), make(kind, seed=1)
        np.testing.assert_allclose(
            x.pairwise_sq_dists(y), ((means_of(x) - means_of(y)) ** 2).sum(1), rtol=1e-12, err_msg=str(kind)
        )
        twice = base_of(kind, 10, 5, torch.float32)
        twin = Grouped(twice[torch.arange(10).repeat(2)], torch.arange(20) // 5, 4)
        dists = twin.sq_dists(twin)
        assert dists[0, 2] == dists[1, 3] == dists[0, 0] == 0, kind
        assert dists[0, 1] > 0, kind
        assert twin.exact_sq_dists(twin)[0, 2] == 0, kind


def test_no_groups():
    for kind in KINDS:
        none = Grouped(base_of(kind, 0, 0), torch.empty(0, dtype=torch.long), 0)
        x = make(kind)
        assert len(none) == 0, kind
        assert none.sq_norms().shape == none.exact_sq_norms().shape == (0,), kind
        assert none.inner(x).shape == none.sq_dists(x).shape == (0, 6), kind
        assert x.inner(none).shape == x.exact_sq_dists(none).shape == (6, 0), kind
        assert none.pairwise_sq_dists(none).shape == (0,), kind


def test_blocks_of_one_mean_are_the_same(monkeypatch):
    for kind in KINDS:
        with monkeypatch.context() as patch:
            x, y = make(kind), make(kind, 40, 9, seed=1)
            whole = x.inner(y), x.sq_norms(), x.exact_sq_dists(y), x.pairwise_sq_dists(x[torch.arange(6).flip(0)])
            patch.setattr(features, "BLOCK_BYTES", 1)
            parts = x.inner(y), x.sq_norms(), x.exact_sq_dists(y), x.pairwise_sq_dists(x[torch.arange(6).flip(0)])
            for one, other in zip(whole, parts, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13, err_msg=str(kind))


def test_algorithms_take_them():
    for kind in KINDS:
        x = make(kind)
        as_rows = Dense(torch.from_numpy(means_of(x)))
        assert k_center_greedy(x, 6).tolist() == k_center_greedy(as_rows, 6).tolist(), kind


def test_groups_that_cannot_be(subtests):
    for kind, groups in itertools.product(KINDS, [[0, 1, 3], [0, 0, 1], [0, 1, -1], [0, 1], [[0, 1, 2]]]):
        with subtests.test(kind=kind, groups=groups), pytest.raises(InvalidInput, match="groups must "):
            Grouped(base_of(kind, 3, 0), torch.tensor(groups), 3)


def test_means_of_many_wide_rows_stay_small(monkeypatch):
    """No block of written out means is larger than the bound, whatever the number of groups."""
    monkeypatch.setattr(features, "BLOCK_BYTES", 1 << 16)
    g = torch.Generator().manual_seed(0)
    x = Grouped(
        Outer(torch.randn(400, 20, generator=g), torch.randn(400, 50, generator=g)), torch.arange(400) // 4, 100
    )
    sizes = [means.numel() * 4 for _, means in x._written()]
    assert max(sizes) <= 1 << 16
    assert isinstance(x, Features)
    np.testing.assert_allclose(x.inner(x), means_of(x) @ means_of(x).T, rtol=1e-3, atol=1e-3)

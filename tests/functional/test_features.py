"""Features against dense NumPy in float64, and gradients against autograd."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distil.errors import InvalidInput
from distil.functional.features import Dense, Grouped, Outer
from distil.signals import Embedding, Gradient, Labels, Logits, Probs, Signals


def dense_of(features):
    """The rows themselves, (N, width) float64, by NumPy."""
    if isinstance(features, Grouped):
        rows, groups = dense_of(features.base), features.groups.numpy()
        means = [rows[groups == g].mean(0) for g in range(features.n_groups)]
        return np.stack(means) if means else rows[:0]
    if isinstance(features, Dense):
        return features.x.double().numpy()
    a, b = features.a.double().numpy(), features.b.double().numpy()
    if features.bias:  # the gradient by (bias, weights): the 1 that the bias sees comes first
        b = np.concatenate([np.ones((len(b), 1)), b], 1)
    return (a[:, :, None] * b[:, None, :]).reshape(len(a), a.shape[1] * b.shape[1])


def dists_of(one, other):
    x, y = dense_of(one), dense_of(other)
    return ((x[:, None] - y[None]) ** 2).sum(2)


WIDTHS = {"dense": (9,), "outer": (4, 7), "outer with bias": (4, 8), "means": (9,), "means of outer": (4, 7)}


def make(kind, n, seed, dtype=torch.float32, offset=0.0):
    """N rows of that kind; means are of one to three rows each, in no order."""
    g = torch.Generator().manual_seed(seed)
    if kind.startswith("means"):
        groups = torch.arange(n).repeat_interleave(torch.arange(n) % 3 + 1)
        base = make("outer" if "outer" in kind else "dense", len(groups), seed, dtype, offset)
        return Grouped(base, groups[torch.randperm(len(groups), generator=g)], n)
    if kind == "dense":
        return Dense((torch.randn(n, 9, generator=g, dtype=torch.float64) + offset).to(dtype))
    a = torch.randn(n, 4, generator=g, dtype=torch.float64)
    b = torch.randn(n, 7, generator=g, dtype=torch.float64) + offset
    return Outer(a.to(dtype), b.to(dtype), bias=kind == "outer with bias")


KINDS = list(WIDTHS)
STORED = ["dense", "outer", "outer with bias"]
DTYPES = [torch.float32, torch.float64]


def test_products_and_distances():
    for kind, dtype, n_other in itertools.product(KINDS, DTYPES, [0, 1, 6]):
        x, y = make(kind, 11, 0, dtype), make(kind, n_other, 1, dtype)
        tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-11, "atol": 1e-11}
        np.testing.assert_allclose(
            x.inner(y), dense_of(x) @ dense_of(y).T, **tolerance, err_msg=str((kind, dtype, n_other))
        )
        np.testing.assert_allclose(x.sq_dists(y), dists_of(x, y), **tolerance, err_msg=str((kind, dtype, n_other)))
        np.testing.assert_allclose(x.exact_sq_dists(y), dists_of(x, y), rtol=1e-12, err_msg=str((kind, dtype, n_other)))
        assert x.exact_sq_dists(y).dtype == torch.float64, (kind, dtype, n_other)
        assert x.sq_dists(y).shape == x.inner(y).shape == x.exact_sq_dists(y).shape == (11, n_other), (
            kind,
            dtype,
            n_other,
        )


def test_rough_distances_are_within_their_rounding():
    for kind, dtype in itertools.product(KINDS, DTYPES):
        x, y = make(kind, 60, 0, dtype, offset=5.0), make(kind, 9, 1, dtype, offset=5.0)
        largest = max((dense_of(x) ** 2).sum(1).max(), (dense_of(y) ** 2).sum(1).max())
        bound = x.rounding() * largest
        assert bound < (1e-4 if dtype == torch.float32 else 1e-12) * largest, (kind, dtype)
        np.testing.assert_allclose(
            x.rough_sq_dists(y).double(), dists_of(x, y), rtol=0, atol=bound, err_msg=str((kind, dtype))
        )
        np.testing.assert_allclose(
            x.rough_nearest(y).double(), dists_of(x, y).min(1), rtol=0, atol=bound, err_msg=str((kind, dtype))
        )


def test_nearest_distances_are_the_least_distances(monkeypatch):
    for kind, dtype, offset in itertools.product(KINDS, DTYPES, [1e3]):
        with monkeypatch.context() as patch:
            x, y = make(kind, 40, 0, dtype, offset), make(kind, 9, 1, dtype, offset)
            whole = x.nearest_sq_dists(y)
            np.testing.assert_allclose(
                whole, x.sq_dists(y).amin(1), rtol=2e-2, atol=1e-6, err_msg=str((kind, dtype, offset))
            )
            assert bool((x.nearest_sq_dists(x) == 0).all()), (kind, dtype, offset)
            patch.setattr("distil.functional.features.BLOCK_BYTES", 300)
            np.testing.assert_allclose(
                x.nearest_sq_dists(y), whole, rtol=2e-2, atol=1e-6, err_msg=str((kind, dtype, offset))
            )
            assert x[:0].nearest_sq_dists(y).shape == (0,), (kind, dtype, offset)


def test_exact_distances_of_pairs(monkeypatch):
    for kind in KINDS:
        with monkeypatch.context() as patch:
            x, y = make(kind, 11, 0), make(kind, 6, 1)
            rows, columns = torch.tensor([3, 0, 3, 10, 7]), torch.tensor([5, 5, 0, 2, 1])
            for n_bytes in (1 << 20, 1):
                patch.setattr("distil.functional.features.BLOCK_BYTES", n_bytes)
                dists = x.exact_sq_dists_of(y, rows, columns)
                assert dists.dtype == torch.float64, kind
                np.testing.assert_allclose(dists, dists_of(x, y)[rows, columns], rtol=1e-12, err_msg=str(kind))
            assert x.exact_sq_dists_of(y, rows[:0], rows[:0]).shape == (0,), kind


def test_norms():
    for kind, dtype in itertools.product(KINDS, DTYPES):
        x = make(kind, 11, 0, dtype)
        norms = (dense_of(x) ** 2).sum(1)
        np.testing.assert_allclose(
            x.sq_norms(), norms, rtol=1e-5 if dtype == torch.float32 else 1e-12, err_msg=str((kind, dtype))
        )
        np.testing.assert_allclose(x.exact_sq_norms(), norms, rtol=1e-12, err_msg=str((kind, dtype)))
        assert x.exact_sq_norms().dtype == torch.float64, (kind, dtype)
        remembered = x.with_norms()
        assert torch.equal(remembered.sq_norms(), x.sq_norms()), (kind, dtype)
        assert torch.equal(remembered[2:5].sq_norms(), x.sq_norms()[2:5]), (kind, dtype)
        assert torch.equal(remembered.inner(x), x.inner(x)), (kind, dtype)


def test_pairwise_distances():
    for kind in KINDS:
        x, y = make(kind, 11, 0), make(kind, 11, 1)
        np.testing.assert_allclose(x.pairwise_sq_dists(y), np.diagonal(dists_of(x, y)), rtol=1e-12, err_msg=str(kind))
        assert x.pairwise_sq_dists(y).dtype == torch.float64, kind
        assert bool((x.pairwise_sq_dists(x) == 0).all()), kind


def test_combine_is_the_weighted_sum_of_the_rows():
    for kind in KINDS:
        x = make(kind, 11, 0)
        weights = torch.randn(11, generator=torch.Generator().manual_seed(5))
        np.testing.assert_allclose(
            x.combine(weights).flatten(),
            weights.double().numpy() @ dense_of(x),
            rtol=1e-4,
            atol=1e-4,
            err_msg=str(kind),
        )


def test_project_is_the_product_with_a_point():
    for kind in KINDS:
        x = make(kind, 11, 0)
        shape = x.combine(torch.ones(11)).shape
        assert shape == WIDTHS[kind], kind
        point = torch.randn(shape, generator=torch.Generator().manual_seed(5))
        expected = dense_of(x) @ point.flatten().double().numpy()
        np.testing.assert_allclose(x.project(point), expected, rtol=1e-4, atol=1e-4, err_msg=str(kind))


def test_rows_are_indexed_alike():
    for kind in KINDS:
        x = make(kind, 11, 0)
        for index in (slice(3, 7), torch.tensor([5, 0, 5]), torch.arange(11) % 2 == 0, slice(0, 0)):
            np.testing.assert_array_equal(dense_of(x[index]), dense_of(x)[index], err_msg=str(kind))
            assert len(x[index]) == len(dense_of(x)[index]), kind


def test_dense_rows():
    for kind in ["outer", "means", "means of outer"]:
        x = make(kind, 11, 0)
        np.testing.assert_allclose(x.dense(), dense_of(x), rtol=1e-5, atol=1e-6, err_msg=str(kind))
        assert x[:0].dense().shape == (0, dense_of(x).shape[1]), kind


def test_dense_rows_with_bias_have_its_columns_first():
    x = make("outer with bias", 11, 0)
    weights = dense_of(Outer(x.a, x.b))
    np.testing.assert_allclose(x.dense(), np.concatenate([x.a, weights], 1), rtol=1e-6)


def test_double_is_the_same_rows_in_float64():
    for kind in KINDS:
        x = make(kind, 11, 0)
        np.testing.assert_array_equal(dense_of(x.double()), dense_of(x), err_msg=str(kind))
        assert x.double().sq_norms().dtype == torch.float64, kind


def test_a_row_is_at_distance_exactly_zero_from_itself():
    for kind, offset in itertools.product(KINDS, [0.0, 1e3]):
        x = make(kind, 20, 0, offset=offset)
        assert bool((x.sq_dists(x).diagonal() == 0).all()), (kind, offset)
        assert bool((x.exact_sq_dists(x).diagonal() == 0).all()), (kind, offset)
        assert bool((x.pairwise_sq_dists(x) == 0).all()), (kind, offset)


def test_equal_rows_are_at_distance_exactly_zero():
    for kind, offset in itertools.product(STORED, [0.0, 1e3]):
        x = make(kind, 40, 0, offset=offset)
        order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
        shuffled = x[order]
        rows = torch.arange(40)
        for dists in (x.sq_dists(shuffled), x.exact_sq_dists(shuffled)):
            assert bool((dists[order, rows] == 0).all()), (kind, offset)
            assert int((dists == 0).sum()) == 40, (kind, offset)
            assert bool((dists >= 0).all()), (kind, offset)


def test_equal_rows_of_any_width_are_at_distance_exactly_zero():
    for width in [1, 3, 8, 33, 257, 2048]:
        g = torch.Generator().manual_seed(0)
        a, b = torch.randn(9, 5, generator=g), torch.randn(9, width, generator=g) + 10
        for x in (Dense(b), Outer(a, b), Outer(b, a)):
            assert bool((x.sq_dists(x).diagonal() == 0).all()), width
            assert bool((x.exact_sq_dists(x).diagonal() == 0).all()), width


def test_distances_of_near_duplicates_keep_their_accuracy():
    for kind, offset, nudge in itertools.product(STORED, [0.0, 1e3], [1e-1, 1e-2, 1e-3]):
        x = make(kind, 30, 0, offset=offset)
        noise = torch.randn(30, 9 if kind == "dense" else 7, generator=torch.Generator().manual_seed(1)) * nudge
        near = Dense(x.x + noise) if kind == "dense" else Outer(x.a, x.b + noise, x.bias)
        expected = np.diagonal(dists_of(x, near))
        assert expected.min() > 0, (kind, offset, nudge)
        np.testing.assert_allclose(x.sq_dists(near).diagonal(), expected, rtol=2e-2, err_msg=str((kind, offset, nudge)))
        rounding = 8 * np.finfo(np.float64).eps * (dense_of(x) ** 2).sum(1).max()
        np.testing.assert_allclose(
            x.exact_sq_dists(near).diagonal(), expected, rtol=1e-9, atol=rounding, err_msg=str((kind, offset, nudge))
        )


@given(n=st.integers(1, 40), n_bytes=st.integers(1, 2000))
def test_blocks_cover_all_rows_in_order_within_their_bytes(n, n_bytes):
    for kind in KINDS:
        x = make(kind, n, 0)
        if not kind.startswith("means"):
            assert x.row_bytes() == (9 if kind == "dense" else 11) * 4, kind
        slices = list(x.blocks(n_bytes))
        assert [row for s in slices for row in range(n)[s]] == list(range(n)), kind
        assert all(len(x[s]) >= 1 for s in slices), kind
        assert all(len(x[s]) * x.row_bytes() <= n_bytes or len(x[s]) == 1 for s in slices), kind


def test_no_rows_no_blocks():
    for kind in KINDS:
        assert list(make(kind, 0, 0).blocks()) == [], kind


def test_unlike_rows_cannot_be_mixed():
    dense, outer = make("dense", 3, 0), make("outer", 3, 0)
    for method in ("inner", "sq_dists", "exact_sq_dists", "pairwise_sq_dists"):
        with pytest.raises(TypeError, match="Dense rows cannot be compared with Outer rows"):
            getattr(dense, method)(outer)
        with pytest.raises(TypeError, match="Outer rows cannot be compared with Dense rows"):
            getattr(outer, method)(dense)


def test_arguments_stay_as_they_were():
    for kind in KINDS:
        x, y = make(kind, 8, 0), make(kind, 5, 1)
        before = dense_of(x).copy(), dense_of(y).copy()
        x.with_norms().sq_dists(y)
        x.exact_sq_dists(y)
        x.inner(y)
        x.combine(torch.ones(8))
        np.testing.assert_array_equal(dense_of(x), before[0], err_msg=str(kind))
        np.testing.assert_array_equal(dense_of(y), before[1], err_msg=str(kind))


def test_means_of_groups_of_any_size():
    """Products are made from the members of small groups and from the means of large ones: the same numbers."""
    for sizes, base in itertools.product(
        [(1, 1, 1), (40, 3, 1), (5,), (200, 200)], ["dense", "outer", "outer with bias"]
    ):
        groups = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        x = Grouped(make(base, len(groups), 0, torch.float64), groups.flip(0), len(sizes))
        y = make("means of outer" if "outer" in base else "means", 6, 1, torch.float64)
        if base == "outer with bias":
            y = Grouped(Outer(y.base.a, y.base.b, bias=True), y.groups, 6)
        assert x.counts().tolist() == list(sizes), (sizes, base)
        np.testing.assert_allclose(
            x.inner(y), dense_of(x) @ dense_of(y).T, rtol=1e-9, atol=1e-12, err_msg=str((sizes, base))
        )
        np.testing.assert_allclose(
            y.inner(x), dense_of(y) @ dense_of(x).T, rtol=1e-9, atol=1e-12, err_msg=str((sizes, base))
        )
        np.testing.assert_allclose(x.sq_norms(), (dense_of(x) ** 2).sum(1), rtol=1e-9, err_msg=str((sizes, base)))


def test_groups_that_cannot_be(subtests):
    for groups, n_groups in [
        ([0, 0, 2], 3),
        ([0, 1], 2),
        ([0, 1, 3], 3),
        ([-1, 0, 1], 3),
        ([0, 1, 2, 2], 3),
        ([0, 0, 0], 2),
    ]:
        with subtests.test(groups=groups, n_groups=n_groups), pytest.raises(InvalidInput, match="groups must "):
            Grouped(make("dense", 3, 0), torch.tensor(groups), n_groups)


def loss_with_smoothing(logits, labels):
    return torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.2)


def test_gradient_is_autograds_of_the_loss_by_the_last_layer():
    for loss, labels, part in itertools.product(
        [None, torch.nn.functional.cross_entropy, loss_with_smoothing],
        ["predicted", "true"],
        ["weights", "bias", "all"],
    ):
        g = torch.Generator().manual_seed(0)
        hidden = torch.randn(12, 7, generator=g, dtype=torch.float64)
        weight = torch.randn(4, 7, generator=g, dtype=torch.float64, requires_grad=True)
        bias = torch.randn(4, generator=g, dtype=torch.float64, requires_grad=True)
        logits = hidden @ weight.T + bias
        y = torch.randint(4, (12,), generator=g) if labels == "true" else logits.argmax(1)
        by = {"weights": [weight], "bias": [bias], "all": [bias, weight]}[part]
        expected = []
        for row in range(12):
            one = (loss or torch.nn.functional.cross_entropy)(logits[row : row + 1], y[row : row + 1])
            expected.append(torch.cat([d.flatten() for d in torch.autograd.grad(one, by, retain_graph=True)]))
        expected = torch.stack(expected)
        columns = {Logits(): logits.detach(), Embedding(): hidden, Labels(): y}
        gradients = Signals(torch.arange(12), columns)[Gradient(part, labels, loss)]
        np.testing.assert_allclose(
            gradients.x if part == "bias" else gradients.dense(),
            expected,
            rtol=1e-9,
            atol=1e-12,
            err_msg=str((loss, labels, part)),
        )
        np.testing.assert_allclose(
            gradients.sq_norms(), (expected**2).sum(1), rtol=1e-9, err_msg=str((loss, labels, part))
        )
        np.testing.assert_allclose(
            gradients.inner(gradients), expected @ expected.T, rtol=1e-9, atol=1e-12, err_msg=str((loss, labels, part))
        )


def test_gradient_from_given_probabilities_leaves_them_alone():
    probs = torch.rand(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).softmax(1)
    before = probs.clone()
    gradients = Signals(torch.arange(12), {Probs(): probs, Embedding(): torch.ones(12, 3)})[Gradient()]
    np.testing.assert_allclose(gradients.a, probs.numpy() - np.eye(4)[probs.argmax(1)], atol=1e-15)
    assert torch.equal(probs, before)

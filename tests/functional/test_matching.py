"""Gradient matching against greedy on written out gradients in float64, SciPy's NNLS and random subsets."""

import functools
import itertools

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given
from hypothesis import strategies as st

from distil.functional import matching
from distil.functional.budgets import class_budgets
from distil.functional.features import Dense, Grouped, Outer
from distil.functional.matching import (
    RidgeNNLS,
    fitted_weights,
    fixed_weight_matching,
    match_per_batch,
    match_per_class,
    mean_row,
    orthogonal_matching_pursuit,
    unit_weights,
)
from distil.functional.scale import times_two_to


def written_out(x):
    """The rows, (N, width) float64, in the order in which ``combine`` has their numbers, flattened."""
    if isinstance(x, Dense):
        return x.x.double().numpy()
    if isinstance(x, Grouped):
        rows, groups = written_out(x.base), x.groups.numpy()
        return np.stack([rows[groups == g].mean(0) for g in range(x.n_groups)])
    a, b = x.a.double().numpy(), x.b.double().numpy()
    if x.bias:
        b = np.hstack([np.ones((len(b), 1)), b])
    return (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)


def gradients(n, c, d, seed=0, dtype=np.float32, bias=True, scale=2.0):
    """Cross entropy gradients of a random linear layer at its predictions, and those predictions."""
    rng = np.random.default_rng(seed)
    h = np.maximum(rng.normal(size=(n, d)), 0)
    z = scale * h @ rng.normal(size=(d, c)) / np.sqrt(d)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    y = p.argmax(1)
    a = p - np.eye(c)[y]
    return Outer(torch.from_numpy(a.astype(dtype)), torch.from_numpy(h.astype(dtype)), bias), torch.from_numpy(y)


def tiled(x, distinct, times):
    order = torch.from_numpy(np.random.default_rng(0).permutation(np.tile(np.arange(distinct), times)))
    return x[order]


def sized(rng, n, d):
    return rng.normal(size=(n, d)) * 10.0 ** rng.integers(-3, 4, size=(n, 1))


def dense(rows):
    return Dense(torch.from_numpy(np.asarray(rows, dtype=np.float32)))


ROWS = {
    "gradients": lambda: gradients(80, 4, 6)[0],
    "without bias": lambda: gradients(80, 4, 6, bias=False)[0],
    "float64": lambda: gradients(80, 4, 6, dtype=np.float64)[0],
    "saturated": lambda: gradients(80, 4, 6, scale=60.0)[0],
    "duplicated": lambda: tiled(gradients(80, 4, 6)[0], 9, 7),
    "all equal": lambda: tiled(gradients(80, 4, 6)[0], 1, 20),
    "all zero": lambda: Outer(torch.zeros(30, 4), torch.randn(30, 5, generator=torch.Generator().manual_seed(0)), True),
    "half zero": lambda: dense(np.random.default_rng(0).normal(size=(40, 5)) * (np.arange(40)[:, None] % 2)),
    "normal": lambda: dense(np.random.default_rng(1).normal(size=(70, 7))),
    "integers": lambda: dense(np.random.default_rng(2).integers(-2, 3, size=(70, 3))),
    "of very different sizes": lambda: dense(sized(np.random.default_rng(3), 60, 5)),
    "far from the origin": lambda: dense(np.random.default_rng(4).normal(size=(60, 5)) + 100),
    "one column": lambda: dense(np.random.default_rng(5).normal(size=(40, 1))),
    "means": lambda: Grouped(gradients(83, 4, 6)[0], torch.arange(83) // 4, 21),
}


def brute_matching(rows, target, n, taken=()):
    """Greedy for |sum g - target| on written out rows; differences below 1e-9 are ties, which the smaller row wins."""
    residual = target.ravel() - rows[list(taken)].sum(0)
    norms = np.linalg.norm(rows, axis=1)
    rounding = 1e-14 * norms * (norms.sum() + np.linalg.norm(target))
    picks = []
    for _ in range(n):
        gains = 2 * (rows * residual).sum(1) - (rows**2).sum(1)
        gains[[*taken, *picks]] = -np.inf
        slack = 1e-9 * abs(gains.max()) + rounding
        picks.append(int(np.flatnonzero(gains + slack >= gains.max())[0]))
        residual = residual - rows[picks[-1]]
    return picks


def error(rows, picks, target):
    return np.linalg.norm(rows[list(picks)].sum(0) - target.ravel())


def check_distinct(rows, n, size):
    assert rows.dtype == torch.int64
    assert rows.shape == (n,)
    assert len(set(rows.tolist())) == n
    assert set(rows.tolist()) <= set(range(size))


# --- fixed weights ------------------------------------------------------------------------------------------------------


def test_fixed_weights_are_the_brute_force():
    for n, kind in itertools.product([1, 5, 20], list(ROWS)):
        x = ROWS[kind]()
        rows, target = written_out(x), mean_row(x) * n
        picks = fixed_weight_matching(x, target, n)
        check_distinct(picks, n, len(x))
        assert picks.tolist() == brute_matching(rows, target.numpy(), n), (n, kind)


def test_fixed_weights_to_the_last_row():
    for kind in list(ROWS):
        x = ROWS[kind]()
        target = mean_row(x) * 7
        picks = fixed_weight_matching(x, target, len(x))
        assert sorted(picks.tolist()) == list(range(len(x))), kind
        assert picks.tolist() == brute_matching(written_out(x), target.numpy(), len(x)), kind


def test_fixed_weights_follow_any_target():
    x, (other, _) = gradients(60, 3, 5)[0], gradients(20, 3, 5, seed=1)
    target = mean_row(other) * 12
    assert fixed_weight_matching(x, target, 12).tolist() == brute_matching(written_out(x), target.numpy(), 12)


def test_rows_taken_count_and_are_not_picked_again():
    for kind in list(ROWS):
        x = ROWS[kind]()
        taken = torch.tensor([3, 0, 11])
        target = mean_row(x) * 9
        picks = fixed_weight_matching(x, target, 6, taken=taken)
        assert picks.tolist() == brute_matching(written_out(x), target.numpy(), 6, taken.tolist()), kind


def test_picks_are_nested_for_one_target():
    for kind in list(ROWS):
        x = ROWS[kind]()
        target = mean_row(x) * 8
        assert fixed_weight_matching(x, target, 15)[:6].tolist() == fixed_weight_matching(x, target, 6).tolist(), kind


def test_the_error_falls_while_it_can():
    for seed in range(5):
        x, _ = gradients(300, 5, 8, seed=seed)
        rows, target = written_out(x), (mean_row(x) * 40).numpy()
        picks = fixed_weight_matching(x, torch.from_numpy(target), 60).tolist()
        errors = [error(rows, picks[:k], target) for k in range(61)]
        for k in range(60):
            left = [j for j in range(300) if j not in picks[:k]]
            reachable = min(np.linalg.norm(rows[picks[:k]].sum(0) + rows[j] - target.ravel()) for j in left)
            assert errors[k + 1] == pytest.approx(reachable, abs=1e-9)
            assert errors[k + 1] <= errors[k] or reachable > errors[k]


def test_the_error_is_below_that_of_random_subsets():
    for n in [10, 50]:
        for seed in range(5):
            x, _ = gradients(400, 6, 10, seed=seed)
            rows, target = written_out(x), (mean_row(x) * n).numpy()
            rng = np.random.default_rng(seed)
            by_chance = [error(rows, rng.choice(400, n, replace=False), target) for _ in range(400)]
            found = error(rows, fixed_weight_matching(x, torch.from_numpy(target), n), target)
            assert found <= np.quantile(by_chance, 0.05), n


def test_pairs_are_close_to_the_best_pair():
    """Within twice the best of all pairs for most pools, and each of the two picks the best at its turn."""
    good = 0
    for seed in range(50):
        x, _ = gradients(12, 3, 4, seed=seed)
        rows, target = written_out(x), (mean_row(x) * 2).numpy()
        first, second = fixed_weight_matching(x, torch.from_numpy(target), 2).tolist()
        assert first == min(range(12), key=lambda j: error(rows, [j], target))
        rest = [j for j in range(12) if j != first]
        assert second == min(rest, key=lambda j: error(rows, [first, j], target))
        best = min(error(rows, pair, target) for pair in itertools.combinations(range(12), 2))
        good += error(rows, [first, second], target) <= 2 * best
    assert good >= 45


def test_rows_cut_into_many_blocks_are_the_same(monkeypatch):
    for kind in list(ROWS):
        with monkeypatch.context() as patch:
            x = ROWS[kind]()
            target = mean_row(x) * 9
            whole = fixed_weight_matching(x, target, 9).tolist()
            patch.setattr(matching, "BLOCK_BYTES", 64)
            assert fixed_weight_matching(x, target, 9).tolist() == whole, kind


def test_columns_made_ahead_are_those_asked_for(monkeypatch):
    """However few are made at a time, and however little room there is to keep those not asked for yet."""
    for ahead, room, kind in itertools.product([1, 8], [0, 4 * 80 * 10], list(ROWS)):
        with monkeypatch.context() as patch:
            x = ROWS[kind]()
            patch.setattr(matching, "_AHEAD", ahead)
            patch.setattr(matching, "_AHEAD_BYTES", room)
            rows, target = written_out(x), mean_row(x) * 20
            columns = matching._Columns(x)
            rng = np.random.default_rng(0)
            for row in rng.integers(len(x), size=40).tolist():
                column = columns.of(row, torch.from_numpy(rng.normal(size=len(x))))
                size = np.linalg.norm(rows, axis=1) * np.linalg.norm(rows[row])
                assert np.all(np.abs(column.double().numpy() - rows @ rows[row]) <= 1e-5 * size + 1e-30), (
                    ahead,
                    room,
                    kind,
                )
            assert fixed_weight_matching(x, target, 20).tolist() == brute_matching(rows, target.numpy(), 20), (
                ahead,
                room,
                kind,
            )


def test_columns_are_made_ahead_of_time(monkeypatch):
    asked = []
    original = Outer.inner
    monkeypatch.setattr(Outer, "inner", lambda self, other: (asked.append(len(other)), original(self, other))[1])
    x, _ = gradients(2000, 4, 6)
    fixed_weight_matching(x, mean_row(x) * 60, 60)
    assert len(asked) < 40


def test_the_mean_row_is_the_mean():
    for kind in list(ROWS):
        x = ROWS[kind]()
        np.testing.assert_allclose(
            mean_row(x).flatten(), written_out(x).mean(0), rtol=1e-9, atol=1e-9, err_msg=str(kind)
        )


def test_arguments_are_left_alone():
    x, _ = gradients(30, 3, 4)
    target = mean_row(x) * 5
    before = x.a.clone(), x.b.clone(), target.clone()
    fixed_weight_matching(x, target, 5)
    orthogonal_matching_pursuit(x, target, 5)
    assert all(torch.equal(old, new) for old, new in zip(before, (x.a, x.b, target), strict=True))


# --- orthogonal matching pursuit ----------------------------------------------------------------------------------------


def reference_weights(rows, target, ridge):
    """SciPy's NNLS on [A; sqrt(ridge) I]."""
    k = len(rows)
    matrix = np.vstack([rows.T, np.sqrt(ridge) * np.eye(k)])
    return scipy.optimize.nnls(matrix, np.concatenate([target.ravel(), np.zeros(k)]), maxiter=100 * k)[0]


def brute_pursuit(rows, target, n, ridge, tol):
    """The pursuit's own picks, the fill left out."""
    picks, residual = [], target.ravel()
    while len(picks) < n and np.linalg.norm(residual) > tol * np.linalg.norm(target):
        products = (rows * residual).sum(1)
        products[picks] = -np.inf
        if products.max() <= 1e-11 * np.linalg.norm(rows, axis=1).max() * np.linalg.norm(target):
            break
        picks.append(int(np.flatnonzero(products >= products.max() * (1 - 1e-9))[0]))
        residual = target.ravel() - rows[picks].T @ reference_weights(rows[picks], target, ridge)
    return picks


def test_pursuit_is_the_brute_force():
    for ridge, kind in itertools.product([0.0, 0.5, 5.0], list(ROWS)):
        x = ROWS[kind]()
        rows, target = written_out(x), (mean_row(x) * len(x)).numpy()
        n = 12
        picks, weights = orthogonal_matching_pursuit(
            x, torch.from_numpy(target).reshape(mean_row(x).shape), n, ridge=ridge
        )
        check_distinct(picks, n, len(x))
        expected = brute_pursuit(rows, target, n, ridge, 1e-4)
        k = len(expected)
        assert picks[:k].tolist() == expected, (ridge, kind)
        assert bool((weights[k:] == 0).all()), (ridge, kind)
        if k:
            best = reference_weights(rows[expected], target, ridge)
            scale = max(1e-12, best.max())
            np.testing.assert_allclose(weights[:k] / scale, best / scale, atol=1e-5, err_msg=str((ridge, kind)))
        fill = brute_matching(rows, target * n / len(x), n - k, expected)
        assert picks[k:].tolist() == fill, (ridge, kind)


def test_a_planted_combination_of_orthonormal_atoms_is_recovered():
    rng = np.random.default_rng(0)
    for seed in range(10):
        atoms = np.linalg.qr(np.random.default_rng(seed).normal(size=(40, 40)))[0]
        support = rng.choice(40, 5, replace=False)
        planted = np.sort(rng.uniform(1, 9, size=5))[::-1]
        target = torch.from_numpy(planted @ atoms[support])
        picks, weights = orthogonal_matching_pursuit(Dense(torch.from_numpy(atoms)), target, 8, ridge=0, tol=1e-9)
        assert picks[:5].tolist() == support.tolist()  # the largest weight first
        np.testing.assert_allclose(weights, [*planted, 0, 0, 0], atol=1e-9)


def test_a_planted_combination_of_factored_gradients_is_recovered():
    g = torch.Generator().manual_seed(0)
    x = Outer(torch.randn(60, 20, generator=g).double(), torch.randn(60, 50, generator=g).double(), bias=True)
    support = torch.tensor([50, 3, 17, 28, 9])
    planted = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0]).double()
    picks, weights = orthogonal_matching_pursuit(x, x[support].combine(planted), 5, ridge=0, tol=0)
    assert set(picks.tolist()) == set(support.tolist())
    np.testing.assert_allclose(weights[picks.argsort()], planted[support.argsort()], rtol=1e-9)


def test_the_residual_is_orthogonal_to_the_active_rows_without_ridge():
    for seed in range(5):
        x, _ = gradients(150, 5, 8, seed=seed, dtype=np.float64)
        rows, target = written_out(x), mean_row(x) * 150
        picks, weights = orthogonal_matching_pursuit(x, target, 25, ridge=0)
        assert bool((weights >= 0).all())
        assert int((weights > 0).sum()) > 5
        residual = target.numpy().ravel() - weights.numpy() @ rows[picks.numpy()]
        products = rows[picks.numpy()] @ residual
        scale = np.linalg.norm(target) * np.linalg.norm(rows, axis=1).max()
        assert np.abs(products[weights.numpy() > 0]).max() < 1e-12 * scale
        assert products[: int((weights > 0).sum())].max() < 1e-9 * scale


def test_the_pursuit_lowers_its_objective_with_every_pick():
    for ridge in [0.0, 0.5]:
        x, _ = gradients(200, 5, 8, dtype=np.float64)
        rows, target = written_out(x), mean_row(x) * 200
        objectives = []
        for n in range(1, 40):
            picks, weights = orthogonal_matching_pursuit(x, target, n, ridge=ridge)
            residual = target.numpy().ravel() - weights.numpy() @ rows[picks.numpy()]
            objectives.append(residual @ residual + ridge * float(weights @ weights))
        assert np.all(np.diff(objectives) <= 1e-9 * objectives[0]), ridge
        assert objectives[-1] < (0.2 if ridge else 0.01) * objectives[0], ridge


def test_the_pursuit_without_a_kept_gram_matrix_picks_the_same(monkeypatch):
    for kind in list(ROWS):
        with monkeypatch.context() as patch:
            x = ROWS[kind]()
            target = mean_row(x) * len(x)
            kept = orthogonal_matching_pursuit(x, target, 10)
            patch.setattr(matching, "_GRAM_BYTES", 0)
            projected = orthogonal_matching_pursuit(x, target, 10)
            assert kept[0].tolist() == projected[0].tolist(), kind
            np.testing.assert_allclose(kept[1], projected[1], rtol=1e-6, atol=1e-9, err_msg=str(kind))


def test_the_pursuit_can_take_everything():
    for kind in list(ROWS):
        x = ROWS[kind]()
        picks, weights = orthogonal_matching_pursuit(x, mean_row(x) * len(x), len(x), ridge=0.1)
        assert sorted(picks.tolist()) == list(range(len(x))), kind
        assert weights.shape == (len(x),), kind
        assert weights.dtype == x.sq_norms().dtype, kind
        assert bool(((weights >= 0) & weights.isfinite()).all()), kind


def test_nothing_points_at_an_opposite_target():
    x = dense(np.abs(np.random.default_rng(0).normal(size=(20, 4))))
    target = torch.full((4,), -3.0)
    picks, weights = orthogonal_matching_pursuit(x, target, 6)
    assert bool((weights == 0).all())
    assert picks.tolist() == brute_matching(written_out(x), target.double().numpy() * 6 / 20, 6)


@given(
    seed=st.integers(0, 1000),
    k=st.integers(1, 12),
    d=st.integers(1, 8),
    ridge=st.sampled_from([0.0, 1e-3, 0.5]),
    offset=st.sampled_from([0.0, 1.0]),
)
def test_nnls_is_that_of_scipy(seed, k, d, ridge, offset):
    rng = np.random.default_rng(seed)
    columns, b = rng.normal(size=(k, d)) + offset, rng.normal(size=d) + offset
    solver = RidgeNNLS(k, ridge)
    for j in range(k):
        solver.append(torch.from_numpy(columns[: j + 1] @ columns[j]), float(columns[j] @ b))
        found, best = solver.weights.numpy(), reference_weights(columns[: j + 1], b, ridge)

        def objective(w, columns=columns[: j + 1]):
            return np.sum((b - w @ columns) ** 2) + ridge * np.sum(w**2)

        assert np.all(found >= 0)
        assert objective(found) == pytest.approx(objective(best), rel=1e-8, abs=1e-10)
        if ridge:
            np.testing.assert_allclose(found, best, atol=1e-7)


def test_nnls_of_dependent_columns():
    columns = np.repeat(np.random.default_rng(0).normal(size=(3, 4)), 3, axis=0)
    b = columns[0] + 2 * columns[3] + columns[6]
    solver = RidgeNNLS(9, 0.0)
    for j in range(9):
        solver.append(torch.from_numpy(columns[: j + 1] @ columns[j]), float(columns[j] @ b))
    np.testing.assert_allclose(solver.weights.numpy() @ columns, b, atol=1e-9)


# --- per class ----------------------------------------------------------------------------------------------------------


def test_every_class_is_matched_on_its_own():
    for n in [1, 2, 7, 30, 90]:
        x, y = gradients(90, 6, 5)
        picks, weights = match_per_class(x, y, n, 8, unit_weights)
        check_distinct(picks, n, 90)
        assert bool((weights == 1).all()), n
        budgets = class_budgets(y, n, 8)
        assert torch.bincount(y[picks], minlength=8).tolist() == budgets.tolist(), n
        rows = written_out(x)
        for label in range(8):
            members = np.flatnonzero(y.numpy() == label)
            if budgets[label]:
                target = rows[members].mean(0) * int(budgets[label])
                expected = brute_matching(rows[members], target, int(budgets[label]))
                assert [p for p in picks.tolist() if y[p] == label] == members[expected].tolist(), n


def test_classes_take_turns():
    x, y = gradients(200, 4, 5)
    picks, _ = match_per_class(x, y, 40, 4, unit_weights)
    budgets = class_budgets(y, 40, 4).double()
    for k in range(1, 41):
        assert float((torch.bincount(y[picks[:k]], minlength=4) - budgets * k / 40).abs().max()) <= 1


def test_a_reference_is_followed_class_by_class():
    x, y = gradients(90, 4, 5)
    other, labels = gradients(40, 4, 5, seed=1)
    labels = torch.where(labels == 2, 3, labels)  # the reference does not know class 2
    picks, _ = match_per_class(x, y, 20, 4, unit_weights, reference=(other, labels))
    rows, others = written_out(x), written_out(other)
    budgets = class_budgets(y, 20, 4)
    for label in range(4):
        members, theirs = np.flatnonzero(y.numpy() == label), np.flatnonzero(labels.numpy() == label)
        mean = others[theirs].mean(0) if len(theirs) else rows[members].mean(0)
        expected = brute_matching(rows[members], mean * int(budgets[label]), int(budgets[label]))
        assert [p for p in picks.tolist() if y[p] == label] == members[expected].tolist()


def test_fitted_weights_of_classes_sum_to_the_whole_gradient():
    x, y = gradients(200, 3, 4, dtype=np.float64)
    picks, weights = match_per_class(x, y, 100, 3, functools.partial(fitted_weights, ridge=0.0))
    rows = written_out(x)
    missed = np.linalg.norm(weights.numpy() @ rows[picks.numpy()] - rows.sum(0))
    assert missed < 1e-2 * np.linalg.norm(rows.sum(0))


# --- per batch ----------------------------------------------------------------------------------------------------------


def test_batches_are_matched_by_their_means():
    for n, size in itertools.product([1, 4, 6, 8, 30], [80, 83]):
        x, _ = gradients(size, 4, 6)
        picks, _ = match_per_batch(x, n, 4, unit_weights)
        check_distinct(picks, n, size)
        rows = written_out(x)
        means = np.stack([rows[start : start + 4].mean(0) for start in range(0, size, 4)])
        for wanted in (-(-n // 4), -(-n // 4) + 1):
            batches = brute_matching(means, rows.mean(0) * wanted, wanted)
            expected = [row for batch in batches for row in range(batch * 4, min(batch * 4 + 4, size))]
            if len(expected) >= n:
                break
        assert picks.tolist() == expected[:n], (n, size)


def test_the_short_last_batch_does_not_make_the_selection_short():
    rows = np.zeros((9, 2))
    rows[8] = 1.0  # the last batch, of one row, is the one that matches best
    x = dense(rows)
    picks, _ = match_per_batch(x, 4, 4, unit_weights, reference=dense(np.ones((3, 2))))
    assert picks.tolist() == [8, 0, 1, 2]


def test_batches_can_be_all_of_the_pool():
    for batch_size, match in itertools.product([1, 7, 32, 100], [unit_weights, fitted_weights]):
        x, _ = gradients(50, 4, 6)
        for n in (1, 49, 50):
            picks, weights = match_per_batch(x, n, batch_size, match)
            check_distinct(picks, n, 50)
            assert weights.shape == (n,), (batch_size, match)


def test_batches_of_one_row_are_rows():
    x, _ = gradients(60, 4, 6)
    target = mean_row(x)
    assert match_per_batch(x, 15, 1, unit_weights)[0].tolist() == fixed_weight_matching(x, target * 15, 15).tolist()


def test_fitted_weights_of_batches_sum_to_the_whole_gradient():
    x, _ = gradients(330, 2, 3, dtype=np.float64)
    picks, weights = match_per_batch(x, 160, 8, functools.partial(fitted_weights, ridge=0.0))
    rows = written_out(x)
    missed = np.linalg.norm(weights.numpy() @ rows[picks.numpy()] - rows.sum(0))
    assert missed < 1e-3 * np.linalg.norm(rows.sum(0))


def test_the_ridge_of_batches_is_that_of_their_rows():
    """With all batches taken, their weights solve the problem of the rows in which those of a batch have one weight."""
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(160, 12, generator=g, dtype=torch.float64) + 0.3
    for ridge in (0.5, 20.0):
        _, weights = match_per_batch(Dense(rows), 160, 8, functools.partial(fitted_weights, ridge=ridge, tol=0))
        sums = rows.view(20, 8, 12).sum(1)  # (20, 12)
        system = np.concatenate([sums.numpy().T, np.sqrt(8 * ridge) * np.eye(20)])
        expected, _ = scipy.optimize.nnls(system, np.concatenate([rows.sum(0).numpy(), np.zeros(20)]))
        assert sorted(weights.tolist()) == pytest.approx(sorted(np.repeat(expected, 8)), abs=1e-8)


def test_a_pursuit_at_any_scale_solves_the_unscaled_problem():
    g = torch.Generator().manual_seed(1)
    rows = torch.randn(30, 5, generator=g)
    expected, weights = orthogonal_matching_pursuit(Dense(rows), rows.sum(0), 6, ridge=0.5)
    for e in (-100, 70, 110):
        scaled = times_two_to(rows, e)
        found, same = orthogonal_matching_pursuit(
            Dense(scaled), times_two_to(rows.double().sum(0), e), 6, ridge=0.5 * 4.0**e
        )
        assert found.tolist() == expected.tolist()
        torch.testing.assert_close(same, weights)
        assert fixed_weight_matching(Dense(scaled), scaled.double().mean(0) * 6, 6).tolist() == (
            fixed_weight_matching(Dense(rows), rows.double().mean(0) * 6, 6).tolist()
        )

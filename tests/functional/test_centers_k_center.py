"""k-center against brute force in float64."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from distil.functional import centers as module
from distil.functional import features
from distil.functional.centers import k_center_greedy, k_center_with_gains
from distil.functional.features import Dense, Grouped, Outer


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks, rounds and pieces so small that few rows need many."""
    monkeypatch.setattr(module, "_FIRST_ROUND", 8)
    monkeypatch.setattr(module, "_LARGEST_ROUND", 12)
    monkeypatch.setattr(module, "_PICKS_A_ROUND", 4)
    monkeypatch.setattr(module, "_PIECE", 3)
    monkeypatch.setattr(module, "_SAMPLE", 8)
    monkeypatch.setattr(module, "_ABOVE", 1)
    monkeypatch.setattr(module, "_ABOVE_SAMPLED", 2)
    monkeypatch.setattr(module, "_SETTLED", 2)
    monkeypatch.setattr(module, "BLOCK_BYTES", 300)
    monkeypatch.setattr(features, "BLOCK_BYTES", 300)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def sq_dists(a, b):
    """(N, M) float64, difference by difference."""
    return ((a[:, None, :] - b[None, :, :]) ** 2).sum(2)


def brute_k_center(rows, n, centers=None):
    """Farthest first in float64; the smaller row wins among equals (1e-9); row 0 first when there are no centers."""
    rows = np.asarray(rows, dtype=np.float64)
    nearest = np.full(len(rows), np.inf) if centers is None else sq_dists(rows, np.float64(centers)).min(1)
    picks = []
    for _ in range(n):
        free = np.where(np.isin(np.arange(len(rows)), picks), -1.0, nearest)
        picks.append(int(np.argmax(free >= free.max() * (1 - 1e-9))))  # the first of the largest
        nearest = np.minimum(nearest, sq_dists(rows, rows[picks[-1:]])[:, 0])
    return picks


def outer_dense(a, b):
    """The rows a_i b_i^T themselves, (N, C D) float64."""
    return (np.float64(a)[:, :, None] * np.float64(b)[:, None, :]).reshape(len(a), -1)


def clustered(rng, n=90):
    return rng.normal(size=(6, 5))[rng.integers(6, size=n)] * 20 + rng.normal(size=(n, 5)) * 0.01


ROWS = {
    "random": lambda rng: rng.normal(size=(80, 7)),
    "clustered": clustered,
    "grid": lambda rng: rng.permutation(np.stack(np.meshgrid(np.arange(8), np.arange(8)), -1).reshape(-1, 2)),
    "duplicated": lambda rng: rng.permutation(np.tile(rng.normal(size=(9, 4)), (7, 1))),
    "all equal": lambda rng: np.tile(rng.normal(size=(1, 3)), (30, 1)),
    "far from the origin": lambda rng: rng.normal(size=(70, 6)) + 1e3,
    "far from the origin, duplicated": lambda rng: rng.permutation(np.tile(rng.normal(size=(12, 6)), (4, 1))) + 1e3,
    "one column": lambda rng: rng.normal(size=(40, 1)),
    "of very different sizes": lambda rng: rng.normal(size=(60, 5)) * 10.0 ** rng.integers(-3, 4, size=(60, 1)),
}


def rows_of(kind):
    """Float32 rows of a kind."""
    return ROWS[kind](np.random.default_rng(7)).astype(np.float32)


def test_k_center_is_the_brute_force():
    for dtype, given_centers, kind in itertools.product([np.float32, np.float64], [0, 1, 5], list(ROWS)):
        rows = rows_of(kind)
        rows = rows.astype(dtype)
        centers, rest = rows[:given_centers], rows[given_centers:]
        expected = brute_k_center(rest, len(rest), centers if given_centers else None)
        picks = k_center_greedy(Dense(torch.from_numpy(rest)), len(rest), Dense(torch.from_numpy(centers)))
        assert picks.dtype == torch.int64, (dtype, given_centers, kind)
        assert picks.tolist() == expected, (dtype, given_centers, kind)


def test_k_center_without_centers_is_k_center_with_none():
    for kind in list(ROWS):
        rows = rows_of(kind)
        x = Dense(torch.from_numpy(rows))
        assert k_center_greedy(x, 9).tolist() == k_center_greedy(x, 9, x[:0]).tolist() == brute_k_center(rows, 9), kind


def test_k_center_of_outer_products_is_the_brute_force():
    for given_centers, kind in itertools.product([0, 4], ["normal", "residuals", "integers", "duplicated", "offset"]):
        rng = np.random.default_rng(3)
        a, b = rng.normal(size=(60, 4)), rng.normal(size=(60, 6))
        if kind == "residuals":
            probs = np.exp(a) / np.exp(a).sum(1, keepdims=True)
            a = probs - np.eye(4)[probs.argmax(1)]
        if kind == "integers":
            a, b = rng.integers(-2, 3, size=a.shape), rng.integers(-2, 3, size=b.shape)
        if kind == "duplicated":
            a, b = np.tile(a[:10], (6, 1)), np.tile(b[:10], (6, 1))
        if kind == "offset":
            b = b + 1e3
        a, b = a.astype(np.float32), b.astype(np.float32)
        dense, m = outer_dense(a, b), given_centers
        factors = Outer(torch.from_numpy(a), torch.from_numpy(b))
        expected = brute_k_center(dense[m:], 30, dense[:m] if m else None)
        assert k_center_greedy(factors[m:], 30, factors[:m]).tolist() == expected, (given_centers, kind)


@given(
    rows=hnp.arrays(np.float32, st.tuples(st.integers(1, 25), st.integers(1, 3)), elements=st.integers(-3, 3)),
    shift=st.sampled_from([0, 1000]),
    n_given=st.integers(0, 3),
)
def test_k_center_on_integers_with_many_ties(rows, shift, n_given):
    rows = rows + np.float32(shift)
    centers, rest = rows[: min(n_given, len(rows) - 1)], rows[min(n_given, len(rows) - 1) :]
    picks = k_center_greedy(Dense(torch.from_numpy(rest)), len(rest), Dense(torch.from_numpy(centers)))
    assert picks.tolist() == brute_k_center(rest, len(rest), centers if len(centers) else None)


def test_k_center_covers_within_twice_the_best():
    for seed in range(30):
        rows = np.random.default_rng(seed).normal(size=(12, 2))
        dists = np.sqrt(sq_dists(rows, rows))
        best = min(dists[:, list(subset)].min(1).max() for subset in itertools.combinations(range(12), 3))
        picks = k_center_greedy(Dense(torch.from_numpy(rows)), 3)
        assert dists[:, picks.numpy()].min(1).max() <= 2 * best


def test_a_center_next_to_a_row_puts_the_row_last():
    rows = torch.randn(20, 3, generator=generator())
    first = int(k_center_greedy(Dense(rows), 1, Dense(torch.zeros(1, 3)))[0])
    centers = torch.stack([torch.zeros(3), rows[first]])
    assert k_center_greedy(Dense(rows), 20, Dense(centers)).tolist()[-1] == first


def test_k_center_in_several_blocks_is_the_brute_force():
    """More rows than one block holds, and ties between rows of different blocks."""
    rows = np.random.default_rng(0).integers(-9, 10, size=(3000, 800)).astype(np.float32)  # 9.6 MB
    rows[2500] = rows[10] = rows[:2000].max() * 3
    expected = brute_k_center_streamed(rows, 6)
    assert k_center_greedy(Dense(torch.from_numpy(rows)), 6).tolist() == expected


def test_k_center_of_many_rows_and_many_centers_is_the_brute_force():
    """Most rows are then never compared with all centers."""
    for kind in ["random", "clustered", "uncovered", "duplicated", "far from the origin"]:
        rng = np.random.default_rng(11)
        rows = rng.normal(size=(6000, 8))
        if kind in ("clustered", "uncovered"):
            rows = rng.normal(size=(40, 8))[rng.integers(40, size=6000)] * 10 + rows * 0.2
        if kind == "duplicated":
            rows = np.tile(rows[:500], (12, 1))
        if kind == "far from the origin":
            rows = rows + 50
        centers, rows = rows[:300].astype(np.float32), rows[300:].astype(np.float32)
        if kind == "uncovered":
            rows[::3] += 30  # a third of the rows is far from every center
        picks = k_center_greedy(Dense(torch.from_numpy(rows)), 40, Dense(torch.from_numpy(centers)))
        assert picks.tolist() == brute_k_center_streamed(rows, 40, centers), kind


def brute_k_center_streamed(rows, n, centers=()):
    """As ``brute_k_center`` without the (N, N, D) array."""
    rows, picks = np.float64(rows), []
    nearest = np.full(len(rows), np.inf)
    for center in np.float64(centers):
        nearest = np.minimum(nearest, ((rows - center) ** 2).sum(1))
    while len(picks) < n:
        picks.append(int(np.argmax(nearest >= nearest.max() * (1 - 1e-9))))
        nearest = np.minimum(nearest, ((rows - rows[picks[-1]]) ** 2).sum(1))
        nearest[picks] = -1
    return picks


def test_k_center_of_rows_that_are_almost_equally_far_is_the_brute_force():
    """Differences that float32 distances cannot see are settled in float64."""
    for seed in range(5):
        directions = np.random.default_rng(seed).normal(size=(200, 6))
        rows = (directions / np.linalg.norm(directions, axis=1, keepdims=True) * 3 + 5).astype(np.float32)
        centers = np.full((1, 6), 5, dtype=np.float32)
        exact = np.sort(sq_dists(np.float64(rows), np.float64(centers))[:, 0])
        assert 0 < exact[-1] / exact[0] - 1 < 1e-5
        picks = k_center_greedy(Dense(torch.from_numpy(rows)), 20, Dense(torch.from_numpy(centers)))
        assert picks.tolist() == brute_k_center(rows, 20, centers)


def test_k_center_of_wide_rows_far_from_the_origin_is_the_brute_force():
    """Distances are then a small difference of large float32 numbers, of a thousand terms each."""
    for seed in range(3):
        rows = (np.random.default_rng(seed).normal(size=(150, 2048)) + 200).astype(np.float32)
        assert k_center_greedy(Dense(torch.from_numpy(rows)), 30).tolist() == brute_k_center_streamed(rows, 30)


def test_k_center_leaves_its_arguments_alone():
    x, centers = torch.randn(30, 4, generator=generator()), torch.randn(3, 4, generator=generator(1))
    before = x.clone(), centers.clone()
    k_center_greedy(Dense(x), 10, Dense(centers))
    assert torch.equal(x, before[0])
    assert torch.equal(centers, before[1])


# --- rounds ---------------------------------------------------------------------------------------------------------

LARGE = {
    "mixture": lambda rng: (
        np.maximum(rng.normal(size=(20, 6))[rng.integers(20, size=4500)] @ rng.normal(size=(6, 24)), 0)
        + 0.15 * rng.normal(size=(4500, 24))
    ),
    "normal": lambda rng: rng.normal(size=(4500, 16)),
    "two columns": lambda rng: rng.uniform(size=(4500, 2)),
    "tight clusters": lambda rng: (
        10 * rng.normal(size=(60, 8))[rng.integers(60, size=4500)] + 0.01 * rng.normal(size=(4500, 8))
    ),
    "duplicated": lambda rng: rng.normal(size=(90, 5))[rng.integers(90, size=4500)],
    "duplicated up to rounding": lambda rng: (
        rng.normal(size=(50, 5))[rng.integers(50, size=4500)] * (1 + 1e-7 * rng.integers(-1, 2, size=(4500, 5)))
    ),
    "integers": lambda rng: rng.integers(0, 40, size=(4500, 2)),
    "bits": lambda rng: rng.integers(0, 2, size=(4500, 9)),
    "unit length": lambda rng: (lambda x: x / np.linalg.norm(x, axis=1, keepdims=True))(rng.normal(size=(4500, 8))),
    "far from the origin": lambda rng: rng.normal(size=(4500, 4)) + 300,
}


def test_k_center_in_rounds_is_the_brute_force():
    """More rows than are picked from at once, so that most distances are never brought up to date."""
    for given_centers, kind in itertools.product([0, 100], list(LARGE)):
        rows = LARGE[kind](np.random.default_rng(5)).astype(np.float32)
        given_rows, rest = rows[:given_centers], rows[given_centers:]
        picks = k_center_greedy(Dense(torch.from_numpy(rest)), 120, Dense(torch.from_numpy(given_rows)))
        assert picks.tolist() == brute_k_center_streamed(rest, 120, given_rows), (given_centers, kind)


@pytest.mark.parametrize("factored", [False, True])
def test_k_center_works_out_a_part_of_the_distances_only(factored, monkeypatch):
    g = generator()
    b = torch.randn(20_000, 12, generator=g)
    x = Outer(torch.randn(20_000, 4, generator=g), b) if factored else Dense(b)
    n_products, kind = [], type(x)
    inner = kind.inner
    monkeypatch.setattr(kind, "inner", lambda one, other: n_products.append(len(one) * len(other)) or inner(one, other))
    k_center_greedy(x[200:], 300, x[:200])
    assert sum(n_products) < 0.5 * 20_000 * 500


@pytest.mark.usefixtures("small_blocks")
def test_k_center_in_small_blocks_is_the_brute_force():
    for (dtype, given_centers), kind in itertools.product([(np.float32, 0), (np.float64, 7)], list(ROWS)):
        rows = rows_of(kind)
        rows = rows.astype(dtype)
        given_rows, rest = rows[:given_centers], rows[given_centers:]
        for n in (1, len(rest) // 2, len(rest)):
            expected = brute_k_center(rest, n, given_rows if given_centers else None)
            assert (
                k_center_greedy(Dense(torch.from_numpy(rest)), n, Dense(torch.from_numpy(given_rows))).tolist()
                == expected
            ), (dtype, given_centers, kind)


@pytest.mark.usefixtures("small_blocks")
@given(
    rows=hnp.arrays(np.float32, st.tuples(st.integers(14, 40), st.integers(1, 3)), elements=st.integers(-2, 2)),
    shift=st.sampled_from([0, 1000]),
    n_given=st.integers(0, 4),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_k_center_in_small_blocks_on_integers_with_many_ties(rows, shift, n_given):
    rows = rows + np.float32(shift)
    given_rows, rest = rows[:n_given], rows[n_given:]
    picks = k_center_greedy(Dense(torch.from_numpy(rest)), len(rest), Dense(torch.from_numpy(given_rows)))
    assert picks.tolist() == brute_k_center(rest, len(rest), given_rows if n_given else None)


@pytest.mark.usefixtures("small_blocks")
def test_k_center_in_small_blocks_of_any_rows_is_the_brute_force():
    for kind, duplicated in itertools.product(["outer", "outer with bias", "means", "means of outer"], [False, True]):
        g = generator(4)
        a, b = torch.randn(80, 3, generator=g), torch.randn(80, 5, generator=g)
        if duplicated:
            a, b = a[torch.arange(80) % 11], b[torch.arange(80) % 11]
        x = Outer(a, b, bias=kind == "outer with bias") if "outer" in kind else Dense(b)
        if kind.startswith("means"):
            x = Grouped(x, torch.arange(80) % 40, 40)
        dense = x.double().dense().numpy()
        assert k_center_greedy(x[5:], 33, x[:5]).tolist() == brute_k_center(dense[5:], 33, dense[:5]), (
            kind,
            duplicated,
        )


def test_k_center_of_rows_that_all_coincide_takes_them_in_order():
    rows = torch.ones(5000, 3)
    assert k_center_greedy(Dense(rows), 3000).tolist() == list(range(3000))
    rows[4000] = 7
    assert k_center_greedy(Dense(rows), 3000).tolist() == [0, 4000, *range(1, 2999)]


@pytest.mark.parametrize("name", ["grid", "duplicated", "all equal"])
def test_keys_decide_ties_wherever_the_rows_are(name, small_blocks):
    """Rows in another order, with their keys, give the same picks: those of brute force on the rows in the order of the keys."""
    rng = np.random.default_rng(5)
    rows = ROWS[name](rng).astype(np.float32)
    keys = rng.permutation(len(rows))
    expected = np.argsort(keys)[brute_k_center(rows[np.argsort(keys)], 25)].tolist()
    for order in (np.arange(len(rows)), rng.permutation(len(rows))):
        found = k_center_with_gains(Dense(torch.from_numpy(rows[order])), 25, keys=torch.from_numpy(keys[order]))
        assert order[found.rows].tolist() == expected

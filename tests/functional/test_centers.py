"""Centers against brute force in float64 and the law of the draw."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from distil.features import Dense, Outer
from distil.functional.centers import draw, k_center_greedy, k_means_plus_plus, largest_norm


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


def brute_plus_plus(rows, n, first, uniform):
    """k-means++ in float64 from the given uniform numbers: one a draw, the first one unused."""
    rows = np.asarray(rows, dtype=np.float64)
    picks = [first]
    while len(picks) < n:
        weights = sq_dists(rows, rows[picks]).min(1)
        if weights.sum() == 0:
            weights = (~np.isin(np.arange(len(rows)), picks)).astype(float)
        target = uniform[len(picks)] * weights.sum()
        picks.append(int(np.searchsorted(np.cumsum(weights), target, side="right")))
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


@pytest.fixture(params=list(ROWS))
def rows(request):
    """Float32 rows of every kind."""
    return ROWS[request.param](np.random.default_rng(7)).astype(np.float32)


# --- k-center -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given_centers", [0, 1, 5])
def test_k_center_is_the_brute_force(rows, given_centers, dtype):
    rows = rows.astype(dtype)
    centers, rest = rows[:given_centers], rows[given_centers:]
    expected = brute_k_center(rest, len(rest), centers if given_centers else None)
    picks = k_center_greedy(Dense(torch.from_numpy(rest)), len(rest), Dense(torch.from_numpy(centers)))
    assert picks.dtype == torch.int64
    assert picks.tolist() == expected


def test_k_center_without_centers_is_k_center_with_none(rows):
    x = Dense(torch.from_numpy(rows))
    assert k_center_greedy(x, 9).tolist() == k_center_greedy(x, 9, x[:0]).tolist() == brute_k_center(rows, 9)


@pytest.mark.parametrize("given_centers", [0, 4])
@pytest.mark.parametrize("kind", ["normal", "residuals", "integers", "duplicated", "offset"])
def test_k_center_of_outer_products_is_the_brute_force(kind, given_centers):
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
    assert k_center_greedy(factors[m:], 30, factors[:m]).tolist() == expected


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


def brute_k_center_streamed(rows, n):
    """As ``brute_k_center`` without the (N, N, D) array."""
    rows, picks = np.float64(rows), [0]
    nearest = ((rows - rows[0]) ** 2).sum(1)
    while len(picks) < n:
        nearest[picks[-1]] = -1
        picks.append(int(np.argmax(nearest >= nearest.max() * (1 - 1e-9))))
        nearest = np.minimum(nearest, ((rows - rows[picks[-1]]) ** 2).sum(1))
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


# --- k-means++ ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_k_means_plus_plus_makes_the_naive_draws(dtype):
    rows = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    x = Dense(torch.from_numpy(rows).to(dtype))
    for seed in range(60):
        uniform = torch.rand(12, generator=generator(seed), dtype=torch.float64).numpy()
        expected = brute_plus_plus(rows, 12, seed % 60, uniform)
        assert k_means_plus_plus(x, 12, seed % 60, generator(seed)).tolist() == expected


def test_k_means_plus_plus_of_outer_products_makes_the_naive_draws():
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(5), size=50)
    a, b = (probs - np.eye(5)[probs.argmax(1)]).astype(np.float32), rng.normal(size=(50, 8)).astype(np.float32)
    for seed in range(40):
        uniform = torch.rand(10, generator=generator(seed), dtype=torch.float64).numpy()
        expected = brute_plus_plus(outer_dense(a, b), 10, 7, uniform)
        x = Outer(torch.from_numpy(a), torch.from_numpy(b))
        assert k_means_plus_plus(x, 10, 7, generator(seed)).tolist() == expected


def test_k_means_plus_plus_over_many_blocks_makes_the_naive_draws():
    rows = np.random.default_rng(2).integers(-5, 6, size=(9000, 3)).astype(np.float32)  # sums of integers are exact
    for seed in range(5):
        uniform = torch.rand(6, generator=generator(seed), dtype=torch.float64).numpy()
        expected = brute_plus_plus(rows, 6, 8999, uniform)
        assert k_means_plus_plus(Dense(torch.from_numpy(rows)), 6, 8999, generator(seed)).tolist() == expected


@pytest.mark.slow
def test_the_second_draw_follows_the_law_of_squared_distances():
    rows = np.random.default_rng(3).normal(size=(8, 2)).astype(np.float32)
    law = sq_dists(np.float64(rows), np.float64(rows[:1]))[:, 0]
    n_draws, x, stream = 20_000, Dense(torch.from_numpy(rows)), generator(11)
    counts = np.zeros(8)
    for _ in range(n_draws):
        counts[int(k_means_plus_plus(x, 2, 0, stream)[1])] += 1
    assert counts[0] == 0
    expected = n_draws * law[1:] / law.sum()
    assert scipy.stats.chisquare(counts[1:], expected).pvalue > 1e-3


@pytest.mark.parametrize("offset", [0, 1e3])
def test_duplicates_are_not_drawn_while_distinct_rows_remain(offset):
    distinct = np.random.default_rng(4).normal(size=(5, 3)) + offset
    rows = np.tile(distinct, (30, 1)).astype(np.float32)
    for seed in range(50):
        picks = k_means_plus_plus(Dense(torch.from_numpy(rows)), 20, seed, generator(seed)).numpy()
        assert len(set(picks.tolist())) == 20
        assert sorted(picks[:5] % 5) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_equal_rows_are_drawn_uniformly(value):
    x = Dense(torch.full((6, 4), value))
    picks = [k_means_plus_plus(x, 6, 2, generator(seed)).tolist() for seed in range(400)]
    assert all(sorted(p) == list(range(6)) and p[0] == 2 for p in picks)
    counts = np.bincount([p[1] for p in picks], minlength=6)
    assert counts[2] == 0
    assert scipy.stats.chisquare(np.delete(counts, 2)).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["floats", "integers", "mostly zero", "one"])
def test_draw_is_inversion_of_the_cumulated_weights(kind):
    rng = np.random.default_rng(5)
    weights = {
        "floats": lambda: rng.uniform(size=10_000),
        "integers": lambda: rng.integers(0, 9, size=10_000).astype(float),
        "mostly zero": lambda: (rng.uniform(size=20_000) < 1e-3) * rng.integers(1, 9, size=20_000).astype(float),
        "one": lambda: np.eye(1, 9000, 4096)[0],
    }[kind]()
    cumulated = np.cumsum(weights)
    for u in [0.0, *rng.uniform(size=500), 1 - 2.0**-53]:
        expected = int(np.searchsorted(cumulated, u * weights.sum(), side="right"))
        row = draw(torch.from_numpy(weights), float(u))
        assert weights[row] > 0
        if kind == "floats":  # sums in another order differ in the last bits
            assert cumulated[row] >= u * cumulated[-1] * (1 - 1e-12)
            assert cumulated[row] - weights[row] <= u * cumulated[-1] * (1 + 1e-12)
        else:
            assert row == expected


@pytest.mark.parametrize("n", [1, 2, 4095, 4096, 4097, 8192])
def test_draw_at_the_ends(n):
    weights = torch.ones(n, dtype=torch.float64)
    assert draw(weights, 0.0) == 0
    assert draw(weights, 1 - 2.0**-53) == n - 1
    assert draw(weights, (n - 0.5) / n) == n - 1


def test_draw_skips_zeros_at_both_ends():
    weights = torch.zeros(10_000, dtype=torch.float64)
    weights[5000:5003] = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    assert [draw(weights, u) for u in (0.0, 0.49, 0.5, 1 - 2.0**-53)] == [5000, 5000, 5002, 5002]


def test_largest_norm():
    rows = np.random.default_rng(6).normal(size=(50, 5))
    assert largest_norm(Dense(torch.from_numpy(rows))) == int((rows**2).sum(1).argmax())
    assert largest_norm(Dense(torch.tensor([[0.0], [3.0], [-3.0]]))) == 1
    assert largest_norm(Dense(torch.zeros(4, 2))) == 0
    a, b = np.float32(rows[:, :2]), np.float32(rows[:, 2:])
    norms = (outer_dense(a, b) ** 2).sum(1)
    assert largest_norm(Outer(torch.from_numpy(a), torch.from_numpy(b))) == int(norms.argmax())


def test_largest_norm_settles_near_ties_in_float64():
    rows = torch.tensor([[3.0, 4.0], [4.0, 3.0000002], [5.0, 0.0]])
    assert largest_norm(Dense(rows)) == int((rows.double() ** 2).sum(1).argmax()) == 1

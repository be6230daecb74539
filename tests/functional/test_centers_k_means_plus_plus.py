"""k-means++ against a naive float64 form that makes the same proposals, and against the law of the draws."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch

from distil.functional import centers as module
from distil.functional import features, weighted_rows
from distil.functional.centers import draw, k_means_plus_plus, largest_norm
from distil.functional.features import Dense, Grouped, Outer


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def sq_dists(a, b):
    """(N, M) float64, difference by difference."""
    return ((a[:, None, :] - b[None, :, :]) ** 2).sum(2)


def naive_plus_plus(rows, n, first, stream):
    """k-means++ in float64 from the same proposals: every distance computed again for every decision."""
    rows = np.asarray(rows, dtype=np.float64)
    picks, weights, n_seen = [first], sq_dists(rows, rows[[first]])[:, 0], 1
    while len(picks) < n:
        if weights.sum() == 0:
            left = np.delete(np.arange(len(rows)), picks)
            return picks + left[torch.randperm(len(left), generator=stream).numpy()][: n - len(picks)].tolist()
        uniform = torch.rand(2, module._PROPOSALS, generator=stream, dtype=torch.float64).numpy()
        cumulated, n_before = np.cumsum(weights), len(picks)
        for propose, accept in uniform.T:
            row = int(np.searchsorted(cumulated, propose * cumulated[-1], side="right"))
            if accept * weights[row] < sq_dists(rows[[row]], rows[picks]).min():
                picks.append(row)
            if len(picks) == n:
                return picks
        if is_update_due(len(rows), n - len(picks), len(picks) - n_seen, len(picks) - n_before):
            weights, n_seen = np.stack([((rows - rows[p]) ** 2).sum(1) for p in picks]).min(0), len(picks)
    return picks


def is_update_due(n_rows, n_left, n_new, n_accepted):
    """When the weights change is part of what is drawn: once that saves more comparisons than it costs."""
    if n_accepted == 0:
        return True
    share, ahead = n_accepted / module._PROPOSALS, n_left / 2 + module._PROPOSALS
    return n_rows * n_new < module._PROPOSAL_COST * n_left * ((n_new + ahead) / share - ahead / module._ACCEPTED)


def outer_dense(a, b):
    """The rows a_i b_i^T themselves, (N, C D) float64."""
    return (np.float64(a)[:, :, None] * np.float64(b)[:, None, :]).reshape(len(a), -1)


def mixture(rng, n):
    return np.maximum(
        rng.normal(size=(9, 3))[rng.integers(9, size=n)] @ rng.normal(size=(3, 6)), 0
    ) + 0.15 * rng.normal(size=(n, 6))


ROWS = {
    "normal": lambda rng, n: rng.normal(size=(n, 4)),
    "mixture": mixture,
    "tight clusters": lambda rng, n: (
        64 * rng.integers(-9, 10, size=(25, 4))[rng.integers(25, size=n)] + rng.integers(-2, 3, size=(n, 4))
    ),
    "duplicated": lambda rng, n: rng.normal(size=(30, 3))[rng.integers(30, size=n)],
    "integers": lambda rng, n: rng.integers(-4, 5, size=(n, 2)),
    "two columns": lambda rng, n: rng.uniform(size=(n, 2)),
    "one column": lambda rng, n: rng.integers(4000, size=(n, 1)),
    "mostly zero": lambda rng, n: rng.normal(size=(n, 3)) * (rng.uniform(size=(n, 1)) < 0.2),
    "all equal": lambda rng, n: np.ones((n, 2)),
}


def drawn(x, n, first, seed):
    return k_means_plus_plus(x, n, first, generator(seed)).tolist()


@pytest.fixture(params=["as they are", "small"])
def blocks(request, monkeypatch):
    """Blocks and numbers of proposals as they are, and so small that few rows need many."""
    if request.param == "small":
        monkeypatch.setattr(module, "_PROPOSALS", 7)
        monkeypatch.setattr(module, "_PIECE", 1)
        monkeypatch.setattr(module, "CANONICAL_BLOCK", 16)
        monkeypatch.setattr(weighted_rows, "CANONICAL_BLOCK", 16)
        monkeypatch.setattr(features, "BLOCK_BYTES", 300)


@pytest.mark.usefixtures("blocks")
def test_k_means_plus_plus_makes_the_naive_draws():
    for (seed, dtype), kind in itertools.product(enumerate([torch.float32, torch.float64]), list(ROWS)):
        rows = ROWS[kind](np.random.default_rng(seed), 100).astype(np.float32)
        x = Dense(torch.from_numpy(rows).to(dtype))
        for n in (1, 2, 40, 100):
            assert drawn(x, n, seed, seed) == naive_plus_plus(rows, n, seed, generator(seed)), (dtype, kind)


def test_k_means_plus_plus_over_many_blocks_makes_the_naive_draws():
    for kind in list(ROWS):
        rows = ROWS[kind](np.random.default_rng(1), 9000).astype(np.float64)
        assert drawn(Dense(torch.from_numpy(rows)), 200, 8999, 3) == naive_plus_plus(rows, 200, 8999, generator(3)), (
            kind
        )


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize(
    "kind",
    ["outer", "outer with bias", "means", pytest.param("means of outer", marks=pytest.mark.slow), "duplicated outer"],
)
def test_k_means_plus_plus_of_any_rows_makes_the_naive_draws(kind):
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(5), size=120)
    a = torch.from_numpy(probs - np.eye(5)[probs.argmax(1)]).float()
    b = torch.from_numpy(rng.normal(size=(120, 8))).float()
    if kind == "duplicated outer":
        a, b = a[torch.arange(120) % 20], b[torch.arange(120) % 20]
    x = Outer(a, b, bias=kind == "outer with bias") if "outer" in kind else Dense(b)
    if kind.startswith("means"):
        x = Grouped(x, torch.arange(120) % 60, 60)
    dense = x.double().dense().numpy()
    for seed in range(2 if kind.startswith("means") else 4):
        assert drawn(x, 50, 7, seed) == naive_plus_plus(dense, 50, 7, generator(seed))


def test_near_duplicates_far_from_the_origin_make_the_naive_draws():
    """Their distances are rounding noise in float32 and are computed in float64."""
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(12, 5))[rng.integers(12, size=200)] * 50 + 0.01 * rng.normal(size=(200, 5)) + 100).astype(
        np.float32
    )
    for seed in range(10):
        assert drawn(Dense(torch.from_numpy(rows)), 40, 3, seed) == naive_plus_plus(rows, 40, 3, generator(seed))


def test_k_means_plus_plus_works_out_few_distances(monkeypatch):
    x = Dense(torch.randn(20_000, 40, generator=generator()))
    inner, n_products = Dense.inner, []
    monkeypatch.setattr(
        Dense, "inner", lambda one, other: n_products.append(len(one) * len(other)) or inner(one, other)
    )
    k_means_plus_plus(x, 300, 0, generator())
    assert sum(n_products) < 0.2 * 20_000 * 300


@pytest.mark.slow
def test_the_second_and_third_draws_follow_the_law_of_squared_distances():
    """The third is accepted or not: its proposals are made by distances that do not know the second."""
    rows = np.random.default_rng(12).normal(size=(7, 2)).astype(np.float32)
    dists = sq_dists(np.float64(rows), np.float64(rows))
    second = dists[:, 0] / dists[:, 0].sum()
    third = np.minimum(dists[:, :1].T, dists)  # third[i, j]: weight of j after 0 and i
    law = (second[:, None] * third / np.maximum(third.sum(1, keepdims=True), 1e-300)).ravel()
    x, stream, n_draws = Dense(torch.from_numpy(rows)), generator(5), 5000
    picks = np.stack([k_means_plus_plus(x, 3, 0, stream)[1:].numpy() for _ in range(n_draws)])
    counts = np.bincount(picks[:, 0] * 7 + picks[:, 1], minlength=49)
    likely = law * n_draws > 5
    assert counts[law == 0].sum() == 0
    observed = np.append(counts[likely], counts[~likely].sum())
    expected = np.append(law[likely], law[~likely].sum()) * n_draws
    assert scipy.stats.chisquare(observed, expected).pvalue > 1e-3


def test_the_draws_are_a_function_of_the_generator():
    x = Dense(torch.randn(500, 3, generator=generator()))
    assert drawn(x, 50, 0, 1) == drawn(x, 50, 0, 1) != drawn(x, 50, 0, 2)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    drawn(x, 50, 0, 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_duplicates_are_not_drawn_while_distinct_rows_remain():
    for offset in [0, 1e3]:
        distinct = np.random.default_rng(4).normal(size=(5, 3)) + offset
        rows = np.tile(distinct, (30, 1)).astype(np.float32)
        for seed in range(50):
            picks = k_means_plus_plus(Dense(torch.from_numpy(rows)), 20, seed, generator(seed)).numpy()
            assert len(set(picks.tolist())) == 20, offset
            assert sorted(picks[:5] % 5) == [0, 1, 2, 3, 4], offset


def test_equal_rows_are_drawn_uniformly():
    for value in [0.0, 3.0]:
        x = Dense(torch.full((6, 4), value))
        picks = [k_means_plus_plus(x, 6, 2, generator(seed)).tolist() for seed in range(400)]
        assert all(sorted(p) == list(range(6)) and p[0] == 2 for p in picks), value
        counts = np.bincount([p[1] for p in picks], minlength=6)
        assert counts[2] == 0, value
        assert scipy.stats.chisquare(np.delete(counts, 2)).pvalue > 1e-3, value


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


def test_draw_at_the_ends():
    for n in [1, 2, 4095, 4096, 4097, 8192]:
        weights = torch.ones(n, dtype=torch.float64)
        assert draw(weights, 0.0) == 0, n
        assert draw(weights, 1 - 2.0**-53) == n - 1, n
        assert draw(weights, (n - 0.5) / n) == n - 1, n


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

"""The law of the k-DPP against determinants of all sets, and what is done where there is none."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch

from distil.errors import InvalidInput
from distil.functional import dpp, projection
from distil.functional.dpp import greedy_map, k_dpp
from distil.functional.features import Dense, Grouped, Outer
from distil.functional.similarity import Similarity, cosine, rbf

DRAWS = 500


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def determinants(rows, k):
    """Probability of every set of k rows."""
    gram = rows @ rows.T
    sets = list(itertools.combinations(range(len(rows)), k))
    volumes = np.array([max(np.linalg.det(gram[np.ix_(s, s)]), 0) for s in sets])
    return sets, volumes / volumes.sum()


def check_law(x, rows, k, seed=1):
    sets, probabilities = determinants(rows, k)
    counts = dict.fromkeys(sets, 0)
    g = generator(seed)
    for _ in range(DRAWS):
        counts[tuple(sorted(k_dpp(x, k, g).tolist()))] += 1
    possible = probabilities > 1e-12
    observed = np.array([counts[s] for s in sets])
    assert not observed[~possible].any()
    assert scipy.stats.chisquare(observed[possible], probabilities[possible] * DRAWS).pvalue > 1e-3


FEATURES = {
    "more rows than columns": lambda: Dense(normal(6, 4)),
    "more columns than rows": lambda: Dense(normal(6, 9)),
    "as many": lambda: Dense(normal(6, 6)),
    "lengths that differ": lambda: Dense(normal(6, 5) * torch.tensor([[0.3], [1], [2], [3], [1], [0.1]])),
    "float32": lambda: Dense(normal(6, 4, dtype=torch.float32)),
    "outer": lambda: Outer(normal(7, 2), normal(7, 2, seed=1)),
    "outer with bias": lambda: Outer(normal(7, 2), normal(7, 1, seed=1), bias=True),
    "grouped": lambda: Grouped(Outer(normal(12, 2), normal(12, 3, seed=1)), torch.arange(12) // 2, 6),
    "duplicates": lambda: Dense(normal(4, 4).repeat(2, 1)[:7]),
    "a zero row": lambda: Dense(torch.cat([torch.zeros(1, 4), normal(5, 4)])),
}


BASIC = ("more rows than columns", "more columns than rows", "outer with bias", "duplicates")


@pytest.mark.parametrize("kind", [k if k in BASIC else pytest.param(k, marks=pytest.mark.slow) for k in FEATURES])
def test_law(kind):
    x = FEATURES[kind]()
    for k in (1, 3):
        check_law(x, x.double().dense().numpy(), k)


@pytest.mark.slow
def test_every_order_of_a_set_is_as_likely():
    for kind in ["more rows than columns", "more columns than rows", "outer with bias"]:
        x = FEATURES[kind]()
        g = generator(2)
        draws = [tuple(k_dpp(x, 2, g).tolist()) for _ in range(DRAWS)]
        forward = sum(a < b for a, b in draws)
        assert scipy.stats.binomtest(forward, DRAWS).pvalue > 1e-3, kind


def test_elementary_symmetric_polynomials_do_not_overflow():
    """1,500 eigenvalues over 20 orders of magnitude, 700 of them chosen."""
    values = torch.logspace(-10, 10, 1500, dtype=torch.float64)
    chosen = dpp._eigenvectors(values, 700, generator())
    assert len(set(chosen.tolist())) == 700
    assert bool((chosen >= 500).all())  # the large ones, with near certainty


def test_eigenvectors_are_drawn_in_proportion_to_products():
    values = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)
    sets = list(itertools.combinations(range(4), 2))
    products = np.array([float(values[list(s)].prod()) for s in sets])
    counts = dict.fromkeys(sets, 0)
    g = generator()
    for _ in range(DRAWS):
        counts[tuple(sorted(dpp._eigenvectors(values, 2, g).tolist()))] += 1
    assert scipy.stats.chisquare(list(counts.values()), products / products.sum() * DRAWS).pvalue > 1e-3


# --- rank below n -----------------------------------------------------------------------------------------------------------


def test_always_as_many_as_asked_for():
    for x in [
        Dense(torch.zeros(12, 3)),
        Dense(torch.ones(12, 3)),
        Dense(normal(4, 5).repeat(3, 1)),
        Dense(normal(12, 2)),
        Outer(torch.zeros(12, 3), normal(12, 4)),
        Outer(normal(12, 1), torch.zeros(12, 4, dtype=torch.float64), bias=True),
        Dense(torch.cat([torch.zeros(9, 4), torch.eye(4)[:3]])),
        Dense(normal(12, 30) * 1e-30),
        Dense(normal(12, 30) * 1e30),
    ]:
        for n in (0, 1, 2, 7, 12):
            for seed in range(3):
                rows = k_dpp(x, n, generator(seed)).tolist()
                assert len(rows) == len(set(rows)) == n, x
                assert set(rows) <= set(range(12)), x


def test_duplicates_come_after_everything_else():
    x = Dense(normal(5, 8).repeat(4, 1))
    for seed in range(5):
        rows = k_dpp(x, 20, generator(seed)).tolist()
        for turn in range(4):
            assert sorted(row % 5 for row in rows[5 * turn : 5 * turn + 5]) == list(range(5))


def test_zero_rows_come_last_and_uniformly():
    x = Dense(torch.cat([torch.zeros(6, 3), torch.eye(3)]))
    lasts = np.zeros(6)
    for seed in range(600):
        rows = k_dpp(x, 4, generator(seed)).tolist()
        assert sorted(rows[:3]) == [6, 7, 8]
        lasts[rows[3]] += 1
    assert scipy.stats.chisquare(lasts).pvalue > 1e-3


def test_n_that_cannot_be(subtests):
    for n in [-1, 5]:
        with subtests.test(n=n), pytest.raises(InvalidInput, match="n must be between 0 and 4"):
            k_dpp(Dense(normal(4, 2)), n, generator())


# --- where the law is approximate ---------------------------------------------------------------------------------------------


def test_wide_rows_are_projected(monkeypatch):
    monkeypatch.setattr(dpp, "WIDEST", 8)
    monkeypatch.setattr(projection, "WIDEST", 8)
    x = Outer(normal(40, 5), normal(40, 6, seed=1))
    for n in (1, 3, 12, 40):
        rows = k_dpp(x, n, generator()).tolist()
        assert len(rows) == len(set(rows)) == n
    orthogonal = Dense(torch.eye(20).repeat_interleave(3, 0))  # of sets with copies none has a volume
    rows = k_dpp(orthogonal, 8, generator()).tolist()
    assert len({row // 3 for row in rows}) == 8


def test_memory_restricts_the_rows_and_long_ones_are_likelier(monkeypatch):
    x = normal(500, 5)
    x[::2] *= 0.01
    g = generator()
    rows = torch.cat([k_dpp(Dense(x), 4, g, memory=8 * 4 * 50) for _ in range(20)])
    assert bool((rows % 2 == 1).all())
    candidates = dpp._long_rows(Dense(x), 50, g)
    assert float((candidates % 2 == 1).double().mean()) > 0.9
    assert candidates.tolist() == sorted(set(candidates.tolist()))
    assert len(k_dpp(Dense(x), 30, g, memory=0)) == 30


def test_copies_of_rows_are_not_drawn_together_in_a_large_set():
    x = Dense(normal(60, 300, dtype=torch.float32).repeat(5, 1))
    rows = k_dpp(x, 50, generator()).tolist()
    assert len({row % 60 for row in rows}) == 50


# --- greedy map -------------------------------------------------------------------------------------------------------------------


def test_greedy_map_by_brute_force():
    for metric, seed in itertools.product(["rbf", "cosine"], range(5)):
        x = Dense(normal(25, 12, seed=seed))
        similar = Similarity(x, rbf(x) if metric == "rbf" else cosine())
        kernel = similar.exact(slice(None)).numpy() + 1e-6 * np.eye(25)
        picks = greedy_map(similar, 8).tolist()
        for t in range(1, 8):
            volumes = [
                -np.inf if r in picks[:t] else np.linalg.slogdet(kernel[np.ix_([*picks[:t], r], [*picks[:t], r])])[1]
                for r in range(25)
            ]
            assert picks[t] == int(np.argmax(volumes)), (metric, seed)

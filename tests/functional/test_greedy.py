"""Maximizers against brute force and against one another."""

import itertools

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional import similarity as similarity_module
from distil.functional.features import Dense, Outer
from distil.functional.greedy import (
    by_class,
    lazy_greedy,
    naive_greedy,
    representatives,
    stochastic_greedy,
    two_rounds,
    two_rounds_with_gains,
)
from distil.functional.similarity import Similarity, closeness, cosine, rbf
from distil.functional.submodular import (
    FUNCTIONS,
    FacilityLocation,
    GraphCut,
    LogDeterminant,
    SaturatedCoverage,
    objective_named,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def brute_facility_location(x, n, gamma):
    """In float64, from the definition; the smallest row among equals."""
    x = np.float64(x)
    s = np.exp(-gamma * ((x[:, None] - x[None]) ** 2).sum(2))
    picks, best = [], np.zeros(len(x))
    for _ in range(n):
        gains = np.array([-1 if r in picks else np.maximum(s[r] - best, 0).sum() for r in range(len(x))])
        picks.append(int(np.nonzero(gains >= gains.max() * (1 - 1e-9))[0][0]))
        best = np.maximum(best, s[picks[-1]])
    return picks


ROWS = {
    "random": lambda: normal(60, 5),
    "clustered": lambda: (
        normal(6, 5)[torch.randint(6, (70,), generator=torch.Generator().manual_seed(0))] * 9 + normal(70, 5) * 0.05
    ),
    "duplicated": lambda: normal(13, 4).repeat(5, 1)[torch.randperm(65, generator=torch.Generator().manual_seed(0))],
    "grid": lambda: torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0)),
    "all equal": lambda: torch.ones(20, 3),
    "zeros": lambda: torch.zeros(20, 3),
    "one column": lambda: normal(30, 1),
}


@pytest.mark.parametrize("metric", ["rbf", "cosine", "closeness"])
def test_lazy_picks_what_naive_picks(metric):
    for kind, function in itertools.product(ROWS, FUNCTIONS):
        if metric == "closeness" and function != "facility_location":
            continue
        x = Dense(ROWS[kind]())
        kernel = {"rbf": rbf, "closeness": closeness, "cosine": lambda _: cosine()}[metric](x)
        for n in (1, 7, len(x)):
            naive, lazy = (greedy(objective_named(function, x, kernel), n) for greedy in (naive_greedy, lazy_greedy))
            assert lazy.rows.tolist() == naive.rows.tolist(), (metric, kind, function)
            np.testing.assert_allclose(
                lazy.gains, naive.gains, rtol=1e-12, atol=1e-12, err_msg=str((metric, kind, function))
            )
            assert len(set(naive.rows.tolist())) == n, (metric, kind, function)


def test_facility_location_by_brute_force():
    for kind in ["random", "clustered", "grid", "duplicated", "one column"]:
        x = Dense(ROWS[kind]())
        n = 12 if kind == "duplicated" else 25
        kernel = rbf(x)
        assert lazy_greedy(FacilityLocation(Similarity(x, kernel)), n).rows.tolist() == brute_facility_location(
            x.x.numpy(), n, kernel.gamma
        ), kind


def test_the_scale_of_the_data_does_not_matter():
    """Nor do picks collapse to the order of the rows."""
    for function, scale in itertools.product(FUNCTIONS, [10.0, 1e4, 1e-4]):
        x = normal(80, 8)
        picks, scaled = (
            naive_greedy(objective_named(function, Dense(rows), rbf(Dense(rows))), 15).rows.tolist()
            for rows in (x, x * scale)
        )
        assert picks == scaled, (function, scale)
        assert max(picks) > 40, (function, scale)
        assert picks != sorted(picks), (function, scale)


def test_order_of_the_rows_does_not_matter():
    for function, metric in itertools.product(FUNCTIONS, ["rbf", "cosine"]):
        x = normal(60, 5).double()
        order = torch.randperm(60, generator=torch.Generator().manual_seed(3))
        kernels = [rbf(Dense(rows)) if metric == "rbf" else cosine() for rows in (x, x[order])]
        n = 4 if function == "saturated_coverage" else 12  # later picks would only fill small remainders, which tie
        plain = naive_greedy(objective_named(function, Dense(x), kernels[0]), n).rows
        permuted = naive_greedy(objective_named(function, Dense(x[order]), kernels[1]), n).rows
        assert order[permuted].tolist() == plain.tolist(), (function, metric)


def test_without_a_stored_matrix(monkeypatch):
    for make, kind in itertools.product(
        [FacilityLocation, SaturatedCoverage, GraphCut, LogDeterminant], ["dense", "outer"]
    ):
        with monkeypatch.context() as patch:
            patch.setattr(similarity_module, "BLOCK_BYTES", 1)
            x = Dense(normal(90, 6)) if kind == "dense" else Outer(normal(90, 3), normal(90, 4, seed=1), bias=True)
            kernel = rbf(x)
            whole = lazy_greedy(make(Similarity(x, kernel, memory=1 << 20)), 40)
            for memory in (0, 4 * 90 * 7):  # one row is kept, or seven
                picks = lazy_greedy(make(Similarity(x, kernel, memory=memory)), 40)
                assert picks.rows.tolist() == whole.rows.tolist(), (make, kind)
                np.testing.assert_allclose(picks.gains, whole.gains, rtol=1e-6, atol=1e-6, err_msg=str((make, kind)))


def test_gains_never_rise_and_add_up_to_the_value():
    x = Dense(normal(50, 4))
    for function in ("facility_location", "saturated_coverage", "feature_based", "dpp", "graph_cut"):
        objective = objective_named(function, x, rbf(x))
        gains = lazy_greedy(objective, 5).gains
        assert bool((gains[1:] <= gains[:-1] + 1e-9).all())
        assert float(gains.sum()) == pytest.approx(objective.value)


def test_when_nothing_is_to_be_gained_it_starts_afresh():
    """Every distinct row before any copy, the copies in the same order."""
    for greedy in [naive_greedy, lazy_greedy]:
        x = normal(8, 3).repeat_interleave(4, 0)
        for function in ("facility_location", "disparity_min", "dpp"):
            picks = greedy(objective_named(function, Dense(x), rbf(Dense(x))), 32)
            for turn in range(4):
                assert sorted(row // 4 for row in picks.rows[8 * turn : 8 * turn + 8].tolist()) == list(range(8)), (
                    function
                )
        location = greedy(objective_named("facility_location", Dense(x), rbf(Dense(x))), 32)
        assert [row // 4 for row in location.rows.tolist()] == [row // 4 for row in location.rows[:8].tolist()] * 4, (
            greedy
        )
        assert not location.gains[8:].any(), greedy


def test_saturated_coverage_goes_on_spreading():
    """All is saturated after about a tenth of the rows; the rest is not picked in the order of the rows."""
    x = Dense(normal(100, 4))
    picks = lazy_greedy(objective_named("saturated_coverage", x, rbf(x)), 50)
    saturated = int((picks.gains > 0).sum())
    assert 5 <= saturated <= 20
    later = picks.rows[saturated:].tolist()
    assert later != sorted(later)


def test_a_big_price_of_redundancy_picks_all_the_same():
    x = Dense(normal(30, 3))
    picks = lazy_greedy(GraphCut(Similarity(x, rbf(x)), 50.0), 30)
    assert sorted(picks.rows.tolist()) == list(range(30))
    assert float(picks.gains[-1]) < 0


# --- stochastic -----------------------------------------------------------------------------------------------------------


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_stochastic_is_nearly_as_good_and_repeatable():
    x = Dense(normal(300, 6))
    similar = Similarity(x, rbf(x))
    exact = FacilityLocation(similar)
    lazy_greedy(exact, 20)
    values = []
    for seed in range(5):
        objective = FacilityLocation(similar)
        picks = stochastic_greedy(objective, 20, generator(seed))
        assert len(set(picks.rows.tolist())) == 20
        again = stochastic_greedy(FacilityLocation(similar), 20, generator(seed)).rows
        assert again.tolist() == picks.rows.tolist()
        values.append(objective.value)
    assert np.mean(values) >= (1 - 1 / np.e - 0.1) * exact.value
    assert np.mean(values) >= 0.95 * exact.value
    assert len(set(values)) > 1


def test_stochastic_looks_at_as_many_as_the_paper_says():
    x = Dense(normal(200, 3))
    objective = FacilityLocation(Similarity(x, rbf(x)))
    seen = []
    gain = objective.gain
    objective.gain = lambda rows: seen.append(len(rows)) or gain(rows)
    stochastic_greedy(objective, 20, generator(), epsilon=0.1)
    assert set(seen) == {24}  # ceil(200 / 20 ln 10)


def test_a_sample_of_everything_is_naive_greedy():
    x = Dense(normal(40, 3))
    similar = Similarity(x, rbf(x))
    stochastic = stochastic_greedy(FacilityLocation(similar), 10, generator(), epsilon=1e-9)
    assert stochastic.rows.tolist() == naive_greedy(FacilityLocation(similar), 10).rows.tolist()


def test_stochastic_picks_as_many_as_asked_for():
    for function, kind in itertools.product(FUNCTIONS, ["all equal", "duplicated", "zeros"]):
        x = Dense(ROWS[kind]())
        for n in (1, len(x) // 2, len(x)):
            picks = stochastic_greedy(objective_named(function, x, rbf(x)), n, generator())
            assert len(set(picks.rows.tolist())) == n, (function, kind)


# --- refusals -------------------------------------------------------------------------------------------------------------


def test_refusals():
    x = Dense(normal(5, 2))
    objective = FacilityLocation(Similarity(x, rbf(x)))
    for n in (-1, 6):
        with pytest.raises(InvalidInput, match="n must be between 0 and 5"):
            lazy_greedy(objective, n)
    for epsilon in (0, 1, 1.5):
        with pytest.raises(InvalidInput, match="epsilon"):
            stochastic_greedy(objective, 2, generator(), epsilon=epsilon)
    assert len(naive_greedy(objective, 0).rows) == 0


# --- classes --------------------------------------------------------------------------------------------------------------


def test_classes_take_turns_in_proportion():
    labels = torch.tensor([2, 0, 0, 0, 2, 0, 0, 0, 2])  # 6 of class 0, 3 of class 2
    picks = by_class(labels, 6, 4, lambda rows, budget: torch.arange(budget))
    assert labels[picks].tolist() == [0, 2, 0, 0, 2, 0]  # at 1/8, 1/4, 3/8, 5/8, 3/4, 7/8 of their budgets
    assert picks.tolist() == [1, 0, 2, 3, 4, 5]


def test_each_class_for_itself():
    for function, n in itertools.product(FUNCTIONS, [1, 2, 9, 40]):
        x = Dense(normal(40, 4))
        labels = torch.arange(40) % 7 % 4
        kernel = rbf(x)
        picks = representatives(function, x, n, kernel, lazy_greedy, labels=labels, num_classes=5, apart=True)
        assert len(set(picks.tolist())) == n, (function, n)
        for c in range(5):
            rows = torch.nonzero(labels == c)[:, 0]
            inside = picks[labels[picks] == c]
            if len(inside) and function != "feature_based":
                alone = naive_greedy(objective_named(function, x[rows], kernel), len(inside)).rows
                assert inside.tolist() == rows[alone].tolist(), (function, n)


def test_one_run_in_which_classes_have_nothing_in_common():
    """What another class picked changes nothing inside a class: removing it leaves the order there as it was."""
    for function in FUNCTIONS:
        x = Dense(normal(40, 4))
        labels = torch.arange(40) % 2
        kernel = rbf(x)
        both = representatives(function, x, 12, kernel, lazy_greedy, labels=labels, num_classes=2)
        assert len(set(both.tolist())) == 12, function
        if function in ("facility_location", "feature_based", "graph_cut", "saturated_coverage"):
            objective = objective_named(function, x, kernel, classes=labels)
            before = objective.gain(torch.arange(0, 40, 2))
            objective.add(1)
            np.testing.assert_allclose(objective.gain(torch.arange(0, 40, 2)), before, rtol=1e-7, err_msg=str(function))


def test_one_class_is_no_class():
    x = Dense(normal(30, 4))
    kernel = rbf(x)
    for function in FUNCTIONS:
        full = representatives(function, x, 8, kernel, lazy_greedy)
        for apart in (False, True):
            labels = torch.full((30,), 2)
            one = representatives(function, x, 8, kernel, lazy_greedy, labels=labels, num_classes=4, apart=apart)
            assert one.tolist() == full.tolist()


# --- more pairs than fit ----------------------------------------------------------------------------------------------------

POOLS = {
    "random": lambda: normal(1500, 16),
    "clustered": lambda: normal(40, 16)[torch.arange(1500) % 40] * 3 + normal(1500, 16, seed=1),
    "duplicated": lambda: normal(300, 8).repeat(5, 1),
    "low-dimensional": lambda: torch.rand(1500, 2, generator=generator()),
}
FIFTHS = 8 * 300**2  # bytes for parts of a fifth of these pools


def covered(cover, x, kernel, picks):
    objective = cover(Similarity(x, kernel))
    for row in picks.tolist():
        objective.add(row)
    return objective.value


@pytest.mark.slow
def test_two_rounds_are_nearly_as_good_as_one():
    for kind, metric, n in itertools.product(POOLS, ["rbf", "cosine"], [12, 20]):
        x = Dense(POOLS[kind]())
        kernel = rbf(x) if metric == "rbf" else cosine()
        once = two_rounds(FacilityLocation, x, n, kernel, lazy_greedy)
        assert once.tolist() == lazy_greedy(FacilityLocation(Similarity(x, kernel)), n).rows.tolist(), (kind, metric, n)
        twice = two_rounds(FacilityLocation, x, n, kernel, lazy_greedy, memory=FIFTHS)
        assert len(set(twice.tolist())) == n, (kind, metric, n)
        values = [covered(FacilityLocation, x, kernel, picks) for picks in (once, twice)]
        # Directions without clusters: the best rows of a part say little about the whole.
        isotropic = metric == "cosine" and kind in ("random", "duplicated")
        assert values[1] >= (0.99 if isotropic else 0.995) * values[0], (kind, metric, n)
        assert values[1] > covered(FacilityLocation, x, kernel, torch.arange(0, n)), (kind, metric, n)


def test_stochastic_is_nearly_as_good_as_exact():
    for kind in POOLS:
        x = Dense(POOLS[kind]())
        similar = Similarity(x, rbf(x))
        exact, sampled = FacilityLocation(similar), FacilityLocation(similar)
        lazy_greedy(exact, 60)
        stochastic_greedy(sampled, 60, generator(), epsilon=0.01)
        assert sampled.value >= 0.995 * exact.value, kind


def test_two_rounds_always_pick_as_many_as_asked_for():
    for cover, with_classes, memory, n in itertools.product(
        [FacilityLocation, SaturatedCoverage],
        [False, True],
        [4, 4 * 33**2, 4 * 59**2],
        [0, 1, 30],
    ):
        x = Dense(normal(60, 4))
        classes = torch.arange(60) % 3 if with_classes else None
        picks = [
            two_rounds(cover, x, n, rbf(x), maximizer, classes=classes, memory=memory).tolist()
            for maximizer in (lazy_greedy, naive_greedy)
        ]
        assert picks[0] == picks[1], (cover, with_classes, memory, n)
        assert len(set(picks[0])) == n, (cover, with_classes, memory, n)
        assert set(picks[0]) <= set(range(60)), (cover, with_classes, memory, n)


def test_two_rounds_never_hold_more_than_fits(monkeypatch):
    """Nor do they look at all pairs: those of the parts, and of the candidates with all rows."""
    seen = []
    store = Similarity.store
    monkeypatch.setattr(Similarity, "store", lambda self: seen.append((len(self), self.width)) or store(self))
    x = Dense(normal(1000, 3))
    two_rounds(FacilityLocation, x, 10, rbf(x), lazy_greedy, memory=8 * 200**2)
    assert seen == [(200, 200)] * 5 + [(40, 1000)]
    seen.clear()
    two_rounds(FacilityLocation, x, 20, rbf(x), lazy_greedy, memory=8 * 200**2)
    assert seen == [(200, 200)] * 5 + [(60, 666)]


def test_many_rows_are_represented_in_two_rounds(monkeypatch):
    for function in (two_rounds, two_rounds_with_gains):
        monkeypatch.setattr(function, "__kwdefaults__", {"classes": None, "memory": 4 * 30**2})
    x = Dense(normal(80, 4))
    labels = torch.arange(80) // 40
    kernel = rbf(x)
    for function, cover in (("facility_location", FacilityLocation), ("saturated_coverage", SaturatedCoverage)):
        full = representatives(function, x, 9, kernel, lazy_greedy)
        assert full.tolist() == two_rounds(cover, x, 9, kernel, lazy_greedy).tolist()
        one = representatives(function, x, 8, kernel, lazy_greedy, labels=labels, num_classes=2, apart=True)
        alone = two_rounds(cover, x[torch.arange(40)], 4, kernel, lazy_greedy)
        assert one[labels[one] == 0].tolist() == alone.tolist()


# --- ties -------------------------------------------------------------------------------------------------------------------


def test_gains_that_differ_in_the_last_digits_are_equal():
    """As from a network at two minibatch sizes: the rows of a pair gain the same, and the smaller one is picked."""
    for greedy, seed in itertools.product([naive_greedy, lazy_greedy], range(5)):
        pairs = normal(30, 5, seed=seed).double() * 10
        x = torch.cat([pairs, pairs]) + normal(60, 5, seed=seed + 100).double() * 1e-7
        picks = greedy(FacilityLocation(Similarity(Dense(x), rbf(Dense(x)))), 12).rows
        assert bool((picks < 30).all()), (greedy, seed)

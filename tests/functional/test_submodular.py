"""Objectives against their definitions, written down in NumPy and float64, and against one another's theory."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distil.errors import InvalidInput, UnknownName
from distil.functional import submodular as module
from distil.functional.features import Dense, Grouped, Outer
from distil.functional.greedy import lazy_greedy, naive_greedy
from distil.functional.similarity import Similarity, cosine, rbf
from distil.functional.submodular import (
    FUNCTIONS,
    DisparityMin,
    DisparitySum,
    FacilityLocation,
    FeatureBased,
    GraphCut,
    LogDeterminant,
    SaturatedCoverage,
    SumRedundancy,
    objective_named,
    shifts,
)

# --- the definitions: f(A) of a similarity matrix s, or of rows x -------------------------------------------------------


def facility_location(s, picks):
    return s[:, picks].max(1).sum() if picks else 0.0


def graph_cut(s, picks, lam=1.0):
    return s[:, picks].sum() - lam * s[np.ix_(picks, picks)].sum()


def saturated_coverage(s, picks, alpha=0.1):
    return np.minimum(s[:, picks].sum(1), alpha * s.sum(1)).sum()


def sum_redundancy(s, picks):
    return -s[np.ix_(picks, picks)].sum()


def disparity(s):
    return np.sqrt(np.maximum(0, np.diag(s)[:, None] + np.diag(s)[None] - 2 * s))


def disparity_min(s, picks):
    return min((disparity(s)[a, b] for a, b in itertools.combinations(picks, 2)), default=0.0)


def disparity_sum(s, picks):
    return sum(disparity(s)[a, b] for a, b in itertools.combinations(picks, 2))


def log_determinant(s, picks, ridge=1e-6):
    return np.linalg.slogdet(s[np.ix_(picks, picks)] + ridge * np.eye(len(picks)))[1] if picks else 0.0


def feature_based(x, picks, classes=None):
    x = x - np.minimum(x.min(0), 0)
    classes = np.zeros(len(x), dtype=int) if classes is None else classes
    return sum(np.sqrt(x[[p for p in picks if classes[p] == c]].sum(0)).sum() for c in set(classes.tolist()))


OF_SIMILARITY = {
    "facility location": (FacilityLocation, facility_location),
    "graph cut": (GraphCut, graph_cut),
    "graph cut, 0.3": (lambda s: GraphCut(s, 0.3), lambda s, picks: graph_cut(s, picks, 0.3)),
    "graph cut, 7": (lambda s: GraphCut(s, 7), lambda s, picks: graph_cut(s, picks, 7)),
    "saturated coverage": (SaturatedCoverage, saturated_coverage),
    "saturated coverage, 0.4": (
        lambda s: SaturatedCoverage(s, 0.4),
        lambda s, picks: saturated_coverage(s, picks, 0.4),
    ),
    "sum redundancy": (SumRedundancy, sum_redundancy),
    "disparity min": (DisparityMin, disparity_min),
    "disparity sum": (DisparitySum, disparity_sum),
    "log determinant": (LogDeterminant, log_determinant),
    "log determinant, 0.1": (lambda s: LogDeterminant(s, 0.1), lambda s, picks: log_determinant(s, picks, 0.1)),
}
MONOTONE = ["facility location", "graph cut, 0.3", "saturated coverage", "saturated coverage, 0.4", "disparity sum"]
SUBMODULAR = [name for name, (make, _) in OF_SIMILARITY.items() if "disparity" not in name]


def rows(n=14, d=4, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def similarity(seed=0, n=14, metric="rbf", classes=None):
    x = Dense(rows(n, seed=seed))
    return Similarity(x, rbf(x) if metric == "rbf" else cosine(), classes=classes)


def matrix(similar):
    return similar.exact(slice(None)).numpy()


def added(objective, picks):
    for row in picks:
        objective.add(row)
    return objective


# --- gains and values -----------------------------------------------------------------------------------------------------


def test_gains_are_differences_of_values():
    for name, metric, with_classes in itertools.product(OF_SIMILARITY, ["rbf", "cosine"], [False, True]):
        similar = similarity(metric=metric, classes=torch.arange(14) % 3 if with_classes else None)
        make, f = OF_SIMILARITY[name]
        objective, s = make(similar), matrix(similar)
        order = torch.randperm(14, generator=torch.Generator().manual_seed(1)).tolist()
        assert len(objective) == 14, (name, metric, with_classes)
        for t, row in enumerate(order):
            left = order[t:]
            differences = [f(s, [*order[:t], x]) - f(s, order[:t]) for x in left]
            np.testing.assert_allclose(
                objective.gain(torch.tensor(left)),
                differences,
                rtol=2e-6,
                atol=2e-6,
                err_msg=str((name, metric, with_classes)),
            )
            objective.add(row)
            assert objective.value == pytest.approx(f(s, order[: t + 1]), rel=1e-5, abs=1e-5), (
                name,
                metric,
                with_classes,
            )
            assert objective.picks == order[: t + 1], (name, metric, with_classes)


def feature_rows(kind):
    g = torch.Generator().manual_seed(3)
    if kind == "dense":
        return Dense(torch.randn(14, 5, generator=g, dtype=torch.float64))
    if kind == "not negative":
        return Dense(torch.rand(14, 5, generator=g, dtype=torch.float64) + 1)
    x = Outer(*(torch.randn(28, d, generator=g, dtype=torch.float64) for d in (3, 4)), bias=True)
    return Grouped(x, torch.arange(28) // 2, 14) if kind == "grouped" else x[torch.arange(14)]


def test_gains_of_features(monkeypatch):
    for kind, with_classes, block_bytes in itertools.product(
        ["dense", "not negative", "outer", "grouped"], [False, True], [1, 8 << 20]
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, "BLOCK_BYTES", block_bytes)
            x, classes = feature_rows(kind), torch.arange(14) % 3 if with_classes else None
            objective, written = FeatureBased(x, classes=classes), x.dense().numpy()
            np_classes = None if classes is None else classes.numpy()
            for t in range(14):
                left = list(range(t, 14))
                differences = [
                    feature_based(written, [*range(t), row], np_classes)
                    - feature_based(written, list(range(t)), np_classes)
                    for row in left
                ]
                np.testing.assert_allclose(
                    objective.gain(torch.tensor(left)),
                    differences,
                    rtol=1e-9,
                    err_msg=str((kind, with_classes, block_bytes)),
                )
                objective.add(t)
                assert objective.value == pytest.approx(feature_based(written, list(range(t + 1)), np_classes)), (
                    kind,
                    with_classes,
                    block_bytes,
                )


def test_clearing_starts_afresh():
    for name in FUNCTIONS:
        x = Dense(rows())
        objective = objective_named(name, x, rbf(x))
        before = objective.gain(torch.arange(14))
        added(objective, [3, 1, 8]).clear()
        assert objective.value == 0, name
        assert objective.picks == [], name
        assert torch.equal(objective.gain(torch.arange(14)), before), name


def test_named(subtests):
    for name in FUNCTIONS:
        with subtests.test(name=name):
            x = Dense(rows())
            assert type(objective_named(name, x, rbf(x))) is FUNCTIONS[name]
            with pytest.raises(UnknownName, match="did you mean 'graph_cut'"):
                objective_named("graf_cut", x, rbf(x))


# --- theory -----------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.data())
def test_monotone_and_diminishing_returns(seed, data):
    similar = similarity(seed, n=9)
    order = data.draw(st.permutations(range(9)))
    small = data.draw(st.integers(0, 7))
    large = data.draw(st.integers(small, 8))
    for name, (make, _) in OF_SIMILARITY.items():
        few, many = added(make(similar), order[:small]), added(make(similar), order[:large])
        left = torch.tensor(order[large:])
        if name in SUBMODULAR:
            assert few.submodular
            assert bool((few.gain(left) >= many.gain(left) - 1e-6).all()), name
        else:
            assert not few.submodular
        if name in MONOTONE:
            assert bool((many.gain(left) >= -1e-6).all()), name


@given(st.integers(0, 10_000), st.data())
def test_features_are_monotone_with_diminishing_returns(seed, data):
    x = Dense(rows(9, seed=seed))
    order = data.draw(st.permutations(range(9)))
    small = data.draw(st.integers(0, 7))
    large = data.draw(st.integers(small, 8))
    few, many = added(FeatureBased(x), order[:small]), added(FeatureBased(x), order[:large])
    left = torch.tensor(order[large:])
    assert bool((few.gain(left) >= many.gain(left) - 1e-12).all())
    assert bool((many.gain(left) >= 0).all())


def test_greedy_is_within_1_minus_1_over_e_of_the_best():
    for name, seed in itertools.product(
        ["facility location", "saturated coverage", "saturated coverage, 0.4", "graph cut, 0.3", "features"], range(15)
    ):
        n, k = 12, 4
        if name == "features":
            x = rows(n, seed=seed)
            objective, value = FeatureBased(Dense(x)), lambda picks, x=x: feature_based(x.numpy(), picks)
        else:
            make, f = OF_SIMILARITY[name]
            similar = similarity(seed, n)
            s = matrix(similar)
            objective, value = make(similar), lambda picks, f=f, s=s: f(s, picks)
        best = max(value(list(picks)) for picks in itertools.combinations(range(n), k))
        found = value(lazy_greedy(objective, k).rows.tolist())
        assert best * (1 - 1 / np.e) <= found <= best * (1 + 1e-9), (name, seed)


def test_greedy_dispersion_is_within_half_of_the_best():
    for name, metric, seed in itertools.product(["disparity min", "disparity sum"], ["rbf", "cosine"], range(10)):
        n, k = 12, 4
        make, f = OF_SIMILARITY[name]
        similar = similarity(seed, n, metric)
        s = matrix(similar)
        best = max(f(s, list(picks)) for picks in itertools.combinations(range(n), k))
        assert f(s, naive_greedy(make(similar), k).rows.tolist()) >= best / 2, (name, metric, seed)


def test_dispersion_is_not_kept_to_the_first_rows():
    """Nor does it begin with row 0: the line's ends are far into it."""
    x = torch.zeros(40, 1)
    x[:, 0] = torch.arange(40) * 0.01
    x[25], x[33] = -5, 6
    for make in (DisparityMin, DisparitySum, SumRedundancy, LogDeterminant):
        picks = naive_greedy(make(Similarity(Dense(x), rbf(Dense(x), gamma=0.02))), 2).rows.tolist()
        assert sorted(picks) == [25, 33], make


def test_disparity_min_is_farthest_first():
    """The rbf kernel grows with distance, so the order is that of plain distances."""
    x = rows(50, 3)
    objective = DisparityMin(Similarity(Dense(x), rbf(Dense(x))))
    picks = [objective.first]
    dists = torch.cdist(x, x).numpy()
    while len(picks) < 20:
        picks.append(int(np.argmax(dists[:, picks].min(1))))
    assert naive_greedy(objective, 20).rows.tolist() == picks


# --- determinants -------------------------------------------------------------------------------------------------------------


def test_what_remains_multiplies_to_the_determinant():
    similar = similarity(n=30)
    objective = LogDeterminant(similar)
    rest = []
    picks = torch.randperm(30, generator=torch.Generator().manual_seed(0))[:20].tolist()
    for row in picks:
        rest.append(float(objective.gain(torch.tensor([row])).exp()))
        objective.add(row)
    kernel = matrix(similar)[np.ix_(picks, picks)] + 1e-6 * np.eye(20)
    assert np.log(rest).sum() == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-8)
    assert objective.value == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-8)


def test_copies_are_picked_only_when_nothing_else_is_left_and_then_in_turn():
    x = rows(6, 4).repeat(3, 1)
    picks = naive_greedy(LogDeterminant(Similarity(Dense(x), rbf(Dense(x)))), 18).rows.tolist()
    assert sorted(picks) == list(range(18))
    for turn in range(3):
        assert sorted(p % 6 for p in picks[6 * turn : 6 * turn + 6]) == list(range(6))
        assert all(p // 6 == turn for p in picks[6 * turn : 6 * turn + 6])


# --- refusals and edges ---------------------------------------------------------------------------------------------------------


def test_hyper_parameters_that_cannot_be(subtests):
    for make, match in [
        (lambda s: GraphCut(s, -0.1), "lam must be"),
        (lambda s: GraphCut(s, float("nan")), "lam must be"),
        (lambda s: SaturatedCoverage(s, 0), "alpha must be"),
        (lambda s: SaturatedCoverage(s, 1.1), "alpha must be"),
        (lambda s: LogDeterminant(s, 0), "ridge must be"),
    ]:
        with subtests.test(make=make, match=match), pytest.raises(InvalidInput, match=match):
            make(similarity())


def test_only_negative_columns_are_shifted():
    x = Dense(torch.tensor([[1.0, -2.0, 0.0], [3.0, 4.0, 5.0]]))
    assert shifts(x).tolist() == [0, -2, 0]
    outer = Outer(torch.tensor([[1.0], [-1.0]]), torch.tensor([[2.0], [5.0]]), bias=True)
    assert shifts(outer).tolist() == [-1, -5]


def test_one_row():
    for name in FUNCTIONS:
        x = Dense(torch.ones(1, 3))
        assert naive_greedy(objective_named(name, x, rbf(x)), 1).rows.tolist() == [0], name


def test_greedy_picks_of_the_feature_function_are_brute_force():
    x = torch.rand(12, 3, generator=torch.Generator().manual_seed(0)) ** 4
    left, picks = list(range(12)), []
    while len(picks) < 6:
        picks.append(max(left, key=lambda row: feature_based(x.numpy(), [*picks, row])))
        left.remove(picks[-1])
    assert lazy_greedy(FeatureBased(Dense(x)), 6).rows.tolist() == picks

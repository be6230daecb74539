"""Herding against a loop that computes every gain from the definition in float64."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist

from distil.errors import InvalidInput
from distil.functional import herding as module
from distil.functional import weighted_rows
from distil.functional.herding import coverage, herding, least_distance, neighbor_width


def rows(n=70, d=3, seed=0, dtype=torch.float32):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def naive(x, n, width, weights=None, labeled=None, candidates=None):
    """Rows and gains of the greedy picks, with every gain computed from exp(-d^2 / width^2)."""
    x = x.double().numpy()
    w = np.ones(len(x)) if weights is None else weights.double().numpy()
    w = w / w.max()
    k = np.exp(-cdist(x, x, "sqeuclidean") / width**2)
    best = np.zeros(len(x))
    if labeled is not None and len(labeled):
        best = np.exp(-cdist(x, labeled.double().numpy(), "sqeuclidean") / width**2).max(1)
    left = set(range(len(x)) if candidates is None else candidates.tolist())
    found, gains = [], []
    for _ in range(n):
        value = np.maximum(k - best, 0) @ w
        row = min(i for i in left if value[i] >= max(value[list(left)]) * (1 - 1e-6))  # gains that close count as equal
        found.append(row)
        gains.append(value[row])
        left.remove(row)
        best = np.maximum(best, k[row])
    return found, gains


def test_the_coverage_of_sets(monkeypatch):
    monkeypatch.setattr("distil.functional.herding.BLOCK_BYTES", 500)  # several blocks
    x, labeled, weights = rows(), rows(5, seed=50), rows(70, 1, seed=51)[:, 0].abs()
    sets = [x[:4], rows(9, seed=52)]
    for scale in (1.0, 1e30):
        for w, known in ((None, None), (weights, None), (None, labeled), (weights, labeled)):
            expected = [
                np.exp(-cdist(x.double(), torch.cat([some, labeled]).double() if known is not None else some.double()) ** 2 / 0.49)
                .max(1) @ (np.ones(70) if w is None else w.double().numpy())
                for some in sets
            ]  # fmt: skip
            scaled = [some * scale for some in sets]
            labels = None if known is None else known * scale
            found = coverage(x * scale, scaled, 0.7 * scale, weights=w, labeled=labels)
            np.testing.assert_allclose(found, expected, rtol=1e-5)
            parts = [
                coverage(x[part] * scale, scaled, 0.7 * scale, weights=None if w is None else w[part], labeled=labels)
                for part in (slice(0, 30), slice(30, 70))
            ]
            np.testing.assert_allclose(sum(parts), found, rtol=1e-9)


def test_the_picks_and_gains_of_the_definition():
    for seed in range(4):
        x, labeled = rows(seed=seed), rows(5, seed=seed + 50)
        weights = torch.rand(70, generator=torch.Generator().manual_seed(seed)) ** 3
        candidates = torch.randperm(70, generator=torch.Generator().manual_seed(seed))[:30].sort().values
        for given in (
            {},
            {"weights": weights},
            {"labeled": labeled},
            {"weights": weights, "labeled": labeled, "candidates": candidates},
        ):
            for width in (0.3, 1.0, 4.0):
                found, (expected, gains) = herding(x, 12, width, **given), naive(x, 12, width, **given)
                assert found.rows.tolist() == expected, (seed, width, list(given))
                assert found.gains.tolist() == pytest.approx(gains, rel=1e-4, abs=1e-5)


def test_weights_count_in_any_unit_and_all_zero_as_equal():
    x, weights = rows(), torch.rand(70, generator=torch.Generator().manual_seed(1))
    expected = herding(x, 9, 1.0, weights=weights).rows.tolist()
    for factor in (1e-30, 1e30):
        assert herding(x, 9, 1.0, weights=weights * factor).rows.tolist() == expected
    assert herding(x, 9, 1.0, weights=torch.zeros(70)).rows.tolist() == herding(x, 9, 1.0).rows.tolist()
    assert herding(x, 9, 1.0, weights=torch.zeros(70)).rows.tolist() != expected


def test_any_scale_gives_the_same_rows():
    x, labeled = rows(), rows(4, seed=9)
    expected = herding(x, 9, 0.5, labeled=labeled)
    for factor in (2.0**-100, 2.0**100):
        found = herding(x * factor, 9, 0.5 * factor, labeled=labeled * factor)
        assert found.rows.tolist() == expected.rows.tolist()
        assert found.gains.tolist() == pytest.approx(expected.gains.tolist(), rel=1e-6)
    x, labeled = x.double(), labeled.double()
    top = float(torch.cat([x, labeled]).abs().max())
    for factor in (2.0**-900, 2.0**900, 1.7e308 / top):  # with the last, sums and differences are infinite
        assert herding(x * factor, 9, 0.5 * factor, labeled=labeled * factor).rows.tolist() == expected.rows.tolist()


def test_matrices_that_do_not_fit_give_the_same_rows(monkeypatch):
    x, weights, labeled = rows(200), torch.rand(200, generator=torch.Generator().manual_seed(1)), rows(7, seed=3)
    monkeypatch.setattr(weighted_rows, "CANONICAL_BLOCK", 16)
    expected = herding(x, 30, 0.7, weights=weights, labeled=labeled)
    monkeypatch.setattr(module, "_AT_ONCE", 7)
    for memory in (0, 4 * 200 * 90):  # of no block, and of five of thirteen
        monkeypatch.setattr(module, "MEMORY", memory)
        found = herding(x, 30, 0.7, weights=weights, labeled=labeled)
        assert found.rows.tolist() == expected.rows.tolist()
        assert found.gains.tolist() == pytest.approx(expected.gains.tolist(), rel=1e-12)


def test_picks_go_on_once_everything_is_represented():
    x = torch.tensor([[0.0], [5.0], [9.0]]).repeat_interleave(4, 0)
    found = herding(x, 6, 1.0, labeled=torch.tensor([[0.0]]))
    assert sorted(x[found.rows[:2], 0].tolist()) == [5, 9]
    assert sorted(x[found.rows[2:5], 0].tolist()) == [0, 5, 9], "after that, as if there were no labels"
    assert len(set(found.rows.tolist())) == 6
    assert found.gains[2:].tolist() == [0] * 4
    assert herding(x, 0, 1.0).rows.tolist() == []
    assert sorted(herding(x, 12, 1.0, weights=torch.arange(12.0)).rows.tolist()) == list(range(12))


def test_impossible_arguments():
    for wrong in ({"width": 0.0}, {"width": -1.0}, {"n": 71}, {"n": -1}):
        with pytest.raises(InvalidInput, match=r"width must be above 0|n must be between 0 and 70"):
            herding(rows(), **({"n": 3, "width": 1.0} | wrong))
    for weights in (torch.full((70,), -1.0), torch.full((70,), torch.nan), torch.full((70,), torch.inf)):
        with pytest.raises(InvalidInput, match="weights must be finite and at least 0"):
            herding(rows(), 3, 1.0, weights=weights)


def test_the_width_is_the_median_distance_to_the_kth_neighbor_that_differs():
    x = rows(250, 4)
    dists = np.sort(cdist(x.double(), x.double()), axis=1)
    some = torch.tensor([3, 7, 11, 100, 249])
    for k in (1, 7, 249):
        assert neighbor_width(x, k) == pytest.approx(np.sort(dists[:, k])[124], rel=1e-6)
        assert neighbor_width(x, k, some) == pytest.approx(np.median(dists[some, k]), rel=1e-6)
    assert neighbor_width(x, 10**6) == pytest.approx(np.sort(dists[:, -1])[124], rel=1e-6)
    copies = x[:60].repeat(5, 1)
    own = np.sort(cdist(copies.double(), copies.double()), axis=1)[:, 5]
    assert neighbor_width(copies, 1) == pytest.approx(np.sort(own)[149], rel=1e-6)
    for factor in (2.0**-100, 2.0**100):
        assert neighbor_width(x * factor, 7) == pytest.approx(factor * neighbor_width(x, 7), rel=1e-6)
    assert neighbor_width(torch.ones(9, 2), 3) == neighbor_width(torch.ones(1, 2), 3) == 1


def test_least_distance_ignores_copies():
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0)).double()
    expected = float(pdist(x).min())
    for factor in (1.0, 2.0**-400, 2.0**400):
        assert least_distance(torch.cat([x, x[:7]]) * factor) == pytest.approx(expected * factor)
    assert [least_distance(x[:n].expand(2, -1) if n else x[:0]) for n in (0, 1)] == [1, 1]

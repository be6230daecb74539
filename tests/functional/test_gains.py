"""The numbers that picks come with, each against its definition."""

import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch.nn.functional import cross_entropy

from distil.functional.bait import bait, bait_with_gains
from distil.functional.centers import (
    k_center_greedy,
    k_center_with_gains,
    k_means_plus_plus,
    k_means_plus_plus_with_gains,
)
from distil.functional.coverage import max_coverage, max_coverage_with_gains, typical_rows, typical_with_gains
from distil.functional.features import Dense, Outer
from distil.functional.glister import Judges, glister, glister_with_gains
from distil.functional.gradients import cross_entropy_residual
from distil.functional.greedy import (
    lazy_greedy,
    parts_of,
    representative_with_gains,
    representatives,
    two_rounds_with_gains,
)
from distil.functional.similarity import Similarity, rbf
from distil.functional.submodular import FacilityLocation


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


ROWS = {
    "normal": lambda: normal(400, 5),
    "duplicated": lambda: normal(40, 5).repeat(8, 1),
    "tight clusters": lambda: normal(8, 5).repeat(50, 1) * 30 + 0.01 * normal(400, 5, seed=1),
    "far from the origin": lambda: normal(300, 4) + 1000,
}


def to_before(x, rows, others):
    """The distance of each row to the nearest of the others and of the rows before it, (n,) float64; inf where there is none."""
    x, others = x.double().numpy(), others.double().numpy()
    earlier = [np.vstack([others, x[rows[:k]]]) for k in range(len(rows))]
    return np.array([cdist(x[[i]], e).min() if len(e) else np.inf for i, e in zip(rows, earlier, strict=True)])


def test_k_center_with_gains():
    for kind, given, n in itertools.product(ROWS, [0, 7], [1, 30, 150]):
        x = ROWS[kind]()
        found = k_center_with_gains(Dense(x), n, Dense(x[:given]))
        assert torch.equal(found.rows, k_center_greedy(Dense(x), n, Dense(x[:given]))), (kind, given, n)
        dists = to_before(x, found.rows.tolist(), x[:given])
        np.testing.assert_allclose(found.gains.sqrt(), dists, rtol=1e-3, atol=1e-6, err_msg=str((kind, given, n)))


def test_k_means_plus_plus_with_gains():
    for kind, n in itertools.product(ROWS, [1, 30, 150]):
        x = ROWS[kind]()
        found = k_means_plus_plus_with_gains(Dense(x), n, 3, generator())
        assert torch.equal(found.rows, k_means_plus_plus(Dense(x), n, 3, generator())), (kind, n)
        dists = to_before(x, found.rows.tolist(), x[:0])
        assert len(found.gains) == n, (kind, n)
        assert found.gains[0] == torch.inf, (kind, n)
        np.testing.assert_allclose(
            found.gains[1:].sqrt(), dists[1:], rtol=1e-3, atol=2e-3 if kind != "normal" else 0, err_msg=str((kind, n))
        )


def test_typical_with_gains():
    for kind in ROWS:
        x = ROWS[kind]()
        clusters = torch.arange(len(x)) % 7 % 5
        clusters[0] = 5
        n_labeled = torch.tensor([0, 1, 0, 0, 0, 0])
        found = typical_with_gains(x, clusters, n_labeled, len(x), n_neighbors=6)
        assert torch.equal(found.rows, typical_rows(x, clusters, n_labeled, len(x), 6)), kind
        expected = []
        for row in found.rows.tolist():
            own = np.flatnonzero(clusters == clusters[row])
            dists = np.sort(cdist(x[[row]].double(), x[own].double())[0])[1 : 1 + min(6, len(own) // 2)]
            expected.append(np.nan if not len(dists) else np.inf if dists.max() == 0 else 1 / dists.mean())
        assert np.isnan(expected).sum() == 1, kind
        np.testing.assert_allclose(found.gains, expected, rtol=1e-4, err_msg=str(kind))


def test_max_coverage_with_gains():
    x, labeled = normal(300, 3), normal(5, 3, seed=1)
    near = cdist(x.double(), x.double()) < 1.0
    free = ~(cdist(x.double(), labeled.double()) < 1.0).any(1)
    found = max_coverage_with_gains(x, 290, 1.0, labeled)
    assert torch.equal(found.rows, max_coverage(x, 290, 1.0, labeled))
    for row, gain in zip(found.rows.tolist(), found.gains.tolist(), strict=True):
        assert gain == (near[row] & free).sum()
        free &= ~near[row]
    assert not free.any()
    assert found.gains[-1] == 0


def test_glister_with_gains():
    """Each gain is how far the judges' loss falls by a step so small that first order is all."""
    h, v, weight = normal(80, 4), normal(30, 4, seed=1), normal(3, 4, seed=2)
    y, y_v = (h @ weight.T).argmax(1), torch.arange(30) % 3
    x = Outer(cross_entropy_residual((h @ weight.T).softmax(1), y), h, True)
    judges, lr = [Judges(v @ weight.T, v, y_v)], 1e-4
    found = glister_with_gains(x, judges, 6, lr=lr, type_of="Rand", lam=0.5, generator=generator())
    assert torch.equal(found.rows, glister(x, judges, 6, lr=lr, type_of="Rand", lam=0.5, generator=generator()))
    assert found.gains.isnan().tolist() == [False] * 3 + [True] * 3
    logits = (v @ weight.T).double()
    for row, gain in zip(found.rows[:3].tolist(), found.gains[:3].tolist(), strict=True):
        after = logits - lr * torch.outer(1 + (v @ h[row]).double(), x.a[row].double())
        assert gain == pytest.approx(float(cross_entropy(logits, y_v) - cross_entropy(after, y_v)), rel=1e-2)
        logits = after
    spread = glister_with_gains(x, judges, 2, lr=lr, type_of="Diversity", lam=1.0)
    alone = glister_with_gains(x, judges, 80, lr=1e-12)  # the direction stays: every row's gain for the same one
    second = alone.gains[alone.rows == spread.rows[1]] * (lr / 1e-12)
    assert float(spread.gains[1]) == pytest.approx(float(second), rel=1e-2)  # without the regularizer


def test_bait_with_gains():
    """With nothing dropped, gains are falls of the trace from its definition."""
    h, p = normal(30, 3).double(), normal(30, 3, seed=1).double().softmax(1)
    eye = np.eye(3)
    v = [
        np.kron(np.diag(np.sqrt(q)) @ (eye - np.outer(np.ones(3), q)), b)
        for q, b in zip(p.numpy(), h.numpy(), strict=True)
    ]
    fisher = sum(u.T @ u for u in v) / 30

    def trace(rows):
        return np.trace(np.linalg.solve(np.eye(9) + sum((v[row].T @ v[row] for row in rows), np.zeros((9, 9))), fisher))

    found = bait_with_gains(p, h, 5, oversample=1)
    rows = found.rows.tolist()
    np.testing.assert_allclose(found.gains, [trace(rows[:k]) - trace(rows[: k + 1]) for k in range(5)], rtol=1e-9)
    more, twice = bait_with_gains(p, h, 10, oversample=1), bait_with_gains(p, h, 5)
    assert torch.equal(twice.rows, bait(p, h, 5))
    # Without labels nothing depends on n: of the ten picks five are dropped, and those that stay keep their gains.
    gains = dict(zip(more.rows.tolist(), more.gains.tolist(), strict=True))
    assert twice.gains.tolist() == [gains[row] for row in twice.rows.tolist()]


def test_representative_with_gains():
    x = Dense(normal(90, 4))
    kernel = rbf(x)
    labels = torch.arange(90) % 3
    both = {"labels": labels, "num_classes": 3, "apart": True}
    found = representative_with_gains("facility_location", x, 12, kernel, lazy_greedy, **both)
    assert torch.equal(found.rows, representatives("facility_location", x, 12, kernel, lazy_greedy, **both))
    for c in range(3):
        own = labels[found.rows] == c
        alone = lazy_greedy(FacilityLocation(Similarity(x[labels == c], kernel)), int(own.sum()))
        assert torch.equal(found.gains[own], alone.gains)


def test_gains_of_two_rounds_add_up_to_the_value():
    x = Dense(normal(1000, 3))
    kernel, memory = rbf(x), 8 * 300**2
    assert [parts_of(n, memory) for n in (1, 424, 425, 1000)] == [1, 1, 2, 4]
    found = two_rounds_with_gains(FacilityLocation, x, 10, kernel, lazy_greedy, memory=memory)
    value = FacilityLocation(Similarity(x, kernel))
    for row in found.rows.tolist():
        value.add(row)
    assert float(found.gains.sum()) == pytest.approx(value.value, rel=1e-5)
    few = two_rounds_with_gains(
        FacilityLocation, x, 40, kernel, lazy_greedy, memory=8 * 100**2
    )  # sees a part of the columns
    value.clear()
    for row in few.rows.tolist():
        value.add(row)
    assert float(few.gains.sum()) == pytest.approx(value.value, rel=0.1)

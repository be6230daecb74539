"""Diagnostics of selections by hand, and against SciPy, scikit-learn and plain loops."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.metrics import jaccard_score

from distil.errors import InvalidInput
from distil.evaluation import diagnostics
from distil.evaluation.diagnostics import class_balance, diagnose, duplicate_share, overlap, spread
from distil.functional.features import Dense, Outer


def test_class_balance_by_hand():
    found = class_balance(torch.tensor([0, 0, 2, 2]), 4)
    assert found.counts == (2, 0, 2, 0)
    assert found.entropy == pytest.approx(math.log(2))
    assert found.normalized == pytest.approx(0.5)
    assert class_balance(torch.arange(5), 5).normalized == pytest.approx(1)
    one = class_balance(torch.tensor([3]), 5)
    assert (one.entropy, one.normalized) == (0, 0)
    assert class_balance(torch.tensor([0, 0]), 1).normalized == 1


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_class_balance_is_scipys_entropy(classes):
    found = class_balance(torch.tensor(classes), 6)
    counts = np.bincount(classes, minlength=6)
    assert found.counts == tuple(counts)
    assert found.entropy == pytest.approx(stats.entropy(counts), abs=1e-12)
    assert found.normalized == pytest.approx(stats.entropy(counts, base=6), abs=1e-12)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=6),
)
def test_duplicates_are_rows_that_were_seen_before(rows, before):
    seen, again = set(before), 0
    for row in rows:
        again += row in seen
        seen.add(row)
    known = torch.tensor(before, dtype=torch.float32).reshape(-1, 2)
    assert duplicate_share(torch.tensor(rows).float(), known) == again / len(rows)
    assert duplicate_share(torch.tensor(rows).float()) == (len(rows) - len(set(rows))) / len(rows)


def test_nearly_equal_is_not_equal():
    row = torch.rand(1, 64)
    assert duplicate_share(torch.cat([row, row + 1e-6])) == 0
    assert duplicate_share(torch.cat([row, row])) == 0.5
    assert duplicate_share(torch.tensor([[0.0], [-0.0]])) == 0.5


def test_distances_are_scipys(monkeypatch):
    for (n, m), block in itertools.product([(1, 1), (2, 5), (7, 3), (40, 60)], [64, 8 << 20]):
        with monkeypatch.context() as patch:
            patch.setattr(diagnostics, "BLOCK_BYTES", block)
            rng = np.random.default_rng(n)
            rows, before = rng.standard_normal((n, 3)), rng.standard_normal((m, 3))
            found = spread(Dense(torch.from_numpy(rows)), Dense(torch.from_numpy(before)))
            assert found.to_labeled == pytest.approx(cdist(rows, before).min(1).mean()), (n, m, block)
            among = cdist(rows, rows) + np.diag(np.full(n, np.inf))
            assert found.to_selected == (None if n == 1 else pytest.approx(among.min(1).mean())), (n, m, block)


def test_distances_of_duplicates_and_far_clusters():
    rows = torch.tensor([[1e4, 1.0], [1e4, 1.0], [1e4, 1.001]])  # the textbook formula loses the last in float32
    found = spread(Dense(rows), Dense(rows[:1]))
    gap = float(rows[2, 1] - rows[0, 1])
    assert found.to_labeled == pytest.approx(gap / 3)
    assert found.to_selected == pytest.approx(gap / 3)
    assert spread(Dense(rows[:1]), Dense(rows[:0])) == diagnostics.Spread(None, None)


def test_distances_of_gradient_embeddings():
    a, b = torch.rand(6, 3), torch.rand(6, 4)
    dense = torch.einsum("nc,nd->ncd", a, b).flatten(1)
    factored = spread(Outer(a[:4], b[:4]), Outer(a[4:], b[4:]))
    written = spread(Dense(dense[:4]), Dense(dense[4:]))
    assert factored.to_labeled == pytest.approx(written.to_labeled, rel=1e-5)
    assert factored.to_selected == pytest.approx(written.to_selected, rel=1e-5)


def test_a_diagnosis_of_ids():
    x = torch.tensor([[0, 0], [3, 4], [3, 4], [0, 0], [6, 8]], dtype=torch.uint8).reshape(5, 1, 2)
    y = torch.tensor([0, 1, 1, 0, 2])
    found = diagnose(x, y, selected=[2, 1, 4], labeled=[0], num_classes=3)
    assert found.balance == class_balance(torch.tensor([1, 1, 2]), 3)
    assert found.duplicates == pytest.approx(1 / 3)
    assert found.spread.to_labeled == pytest.approx((5 + 5 + 10) / 3)
    assert found.spread.to_selected == pytest.approx((0 + 0 + 5) / 3)
    assert diagnose(x, y, selected=[3], labeled=[0], num_classes=3).duplicates == 1
    assert diagnose(x, y, selected=[3], labeled=[], num_classes=3).spread == diagnostics.Spread(None, None)


def test_only_the_rows_that_are_looked_at_need_be_finite():
    x, y = torch.tensor([[0.0], [1.0], [math.nan]]), torch.zeros(3, dtype=torch.int64)
    assert diagnose(x, y, [1], [0], 2).spread.to_labeled == 1
    with pytest.raises(InvalidInput, match="NaN"):
        diagnose(x, y, [2], [0], 2)
    with pytest.raises(InvalidInput, match="NaN"):
        diagnose(x, y, [0], [2], 2)


def test_overlap_by_hand():
    found = overlap([[1, 2, 3, 4], [3, 5], [4, 3, 2, 1], [7], [], []])
    expected = np.eye(6)
    expected[0, 1] = expected[1, 0] = expected[1, 2] = expected[2, 1] = 1 / 5
    expected[0, 2] = expected[2, 0] = expected[4, 5] = expected[5, 4] = 1  # the same in another order; both empty
    np.testing.assert_allclose(found, expected)


def test_overlap_is_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(3):
        selections = [rng.choice(30, 10, replace=False).tolist() for _ in range(3)]
        found = overlap(selections)
        member = [np.isin(np.arange(30), ids) for ids in selections]
        np.testing.assert_allclose(found, [[jaccard_score(a, b) for b in member] for a in member])


def test_random_selections_overlap_as_documented():
    rng = np.random.default_rng(0)
    found = overlap([rng.choice(1_000, 200, replace=False).tolist() for _ in range(20)])
    assert found[~np.eye(20, dtype=bool)].mean() == pytest.approx(200 / 1_800, abs=0.01)


def test_what_the_diagnostics_refuse():
    x, y = torch.rand(4, 2), torch.tensor([0, 1, 1, 0])
    for call, message in (
        (lambda: diagnose(x, y, [], [0], 2), "with at least one example"),
        (lambda: diagnose(x, y, [4], [0], 2), "ids must be from 0 to 3, got 0 to 4"),
        (lambda: diagnose(x, y, [1], [-1], 2), "ids must be from 0 to 3, got -1 to 1"),
        (lambda: diagnose(x, y[:3], [1], [0], 2), "one row for each id, got 4 and 3"),
        (lambda: diagnose(x, y, [1], [0], 1), "y must be classes from 0 to 0"),
        (lambda: class_balance(y[:0], 2), "with at least one example"),
        (lambda: duplicate_share(x[:0]), "rows must hold at least one row"),
        (lambda: duplicate_share(x, x[:, :1]), "rows and before must be equally wide, got 2 and 1"),
        (lambda: duplicate_share(x[0]), "rows must be finite rows"),
        (lambda: duplicate_share(x * math.inf), "rows must be finite rows"),
        (lambda: spread(Dense(x[:0]), Dense(x)), "rows must hold at least one row"),
        (lambda: spread(Dense(x), Dense(x * math.nan)), "finite"),
    ):
        with pytest.raises(InvalidInput, match=message):
            call()

"""Greedy sampling against loops over the formulas of Wu, Lin and Huang's published code."""

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional.greedy_sampling import greedy_sampling


def plain(x, predicted, labeled_x, labels, n, form):
    """The published loops in NumPy, but with the prediction of a pick as its label."""
    centers = [*zip(labeled_x, labels, strict=True)]
    rows = []
    for _ in range(n):
        best, pick = -1.0, None
        for i in [i for i in range(len(x)) if i not in rows]:
            dx = [np.sqrt(((x[i] - cx) ** 2).sum()) for cx, _ in centers]
            dy = [np.sqrt(((predicted[i] - cy) ** 2).sum()) for _, cy in centers]
            dists = {"gsx": dx, "gsy": dy, "igs": [a * b for a, b in zip(dx, dy, strict=True)]}[form]
            if min(dists) > best:
                best, pick = min(dists), i
        rows.append(pick)
        centers.append((x[pick], predicted[pick]))
    return rows


def arrays(n=50, m=7, d=3, t=1, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (n, d), (n, t), (m, d), (m, t)
    return [rng.normal(size=shape) for shape in shapes]


def spaces(x, predicted, form):
    return {"igs": [predicted, x], "gsx": [x], "gsy": [predicted]}[form]


def test_equal_to_the_published_loops():
    for form in ("igs", "gsx", "gsy"):
        for d, t, m in ((3, 1, 7), (9, 2, 70), (1, 6, 1)):  # 70 labeled rows: more than are compared at a time
            x, predicted, labeled_x, labels = arrays(m=m, d=d, t=t, seed=d)
            given = [[torch.tensor(a) for a in spaces(*pair, form)] for pair in ((x, predicted), (labeled_x, labels))]
            found = greedy_sampling(given[0], 9, given[1])
            assert found.rows.tolist() == plain(x, predicted, labeled_x, labels, 9, form), (form, d, t)
            first = int(found.rows[0])
            dx = np.linalg.norm(x[first] - labeled_x, axis=1)
            dy = np.linalg.norm(predicted[first] - labels, axis=1)
            expected = {"igs": dx * dy, "gsx": dx, "gsy": dy}[form].min()
            assert float(found.gains[0]) == pytest.approx(expected, rel=1e-9)


def test_without_labels_the_first_is_nearest_to_the_mean_of_the_inputs():
    x, predicted, *_ = arrays()
    found = greedy_sampling([torch.tensor(predicted), torch.tensor(x)], 6)
    first = int(np.linalg.norm(x - x.mean(0), axis=1).argmin())
    others = np.delete(np.arange(50), first)
    rest = plain(x[others], predicted[others], x[[first]], predicted[[first]], 5, "igs")
    assert found.rows.tolist() == [first, *others[rest].tolist()]
    assert float(found.gains[0]) == float("inf")


def test_the_scale_of_an_array_changes_nothing_but_the_gains():
    x, predicted, labeled_x, labels = (torch.tensor(a) for a in arrays())
    expected = greedy_sampling([predicted, x], 8, [labels, labeled_x])
    for a, b in ((2.0**900, 2.0**-1000), (2.0**-990, 1.0), (1.0, 2.0**1000)):
        found = greedy_sampling([predicted * a, x * b], 8, [labels * a, labeled_x * b])
        assert found.rows.tolist() == expected.rows.tolist()
    doubled = greedy_sampling([predicted * 2, x], 8, [labels * 2, labeled_x])
    torch.testing.assert_close(doubled.gains, 2 * expected.gains)


def test_ties_go_to_the_smaller_row_and_every_row_may_be_picked():
    x = torch.tensor([[0.0], [2.0], [-2.0], [2.0], [0.0]])
    assert greedy_sampling([x], 5, [torch.zeros(1, 1)]).rows.tolist() == [1, 2, 0, 3, 4]
    assert greedy_sampling([torch.ones(4, 2)], 4).rows.tolist() == [0, 1, 2, 3]
    far = torch.tensor([[1e8], [1e8 + 1], [1e8 + 3]], dtype=torch.float64)  # differences survive a large mean
    assert greedy_sampling([far], 2, [far[:1]]).rows.tolist() == [2, 1]


def test_refusals():
    x = torch.randn(5, 2)
    for n in (0, 6):
        with pytest.raises(InvalidInput, match="n must be between 1 and 5"):
            greedy_sampling([x], n)
    with pytest.raises(InvalidInput, match=r"as many rows in every array of a set, got \[5, 4\]"):
        greedy_sampling([x, x[:4]], 2)
    with pytest.raises(InvalidInput, match="NaN"):
        greedy_sampling([x * torch.nan], 2)

"""The nearest representative of every row, against all distances in SciPy."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.distance import cdist

from distil.functional.representatives import assigned, represented


def test_every_row_goes_to_its_nearest_representative(case):
    rng = np.random.default_rng(0)
    x, r = rng.normal(size=(300, 5)), rng.normal(size=(17, 5))
    for scale in (1.0, 1e25, 1e-30):
        for dtype in (torch.float32, torch.float64):
            with case(scale, dtype):
                a, b = torch.from_numpy(x * scale).to(dtype), torch.from_numpy(r * scale).to(dtype)
                found = assigned(a, b)
                dists = cdist(a.double() / scale, b.double() / scale)
                assert found.to.tolist() == dists.argmin(1).tolist()
                np.testing.assert_allclose(found.dists / scale, dists.min(1), rtol=1e-5)
                groups = represented(found, 17)
                assert sorted(torch.cat(groups).tolist()) == list(range(300))
                for n, rows in enumerate(groups):
                    assert (found.to[rows] == n).all()
                    assert (found.dists[rows].diff() >= 0).all()


def test_equal_distances_go_to_the_first_and_keep_the_order_of_rows():
    x = torch.tensor([[1.0], [3.0], [1.0], [3.0]])
    found = assigned(x, torch.tensor([[2.0], [2.0], [0.0], [9.0]]))
    assert found.to.tolist() == [0, 0, 0, 0]
    assert [rows.tolist() for rows in represented(found, 4)] == [[0, 1, 2, 3], [], [], []]

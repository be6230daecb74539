"""Principal components against the singular value decomposition."""

import numpy as np
import torch
from scipy.spatial.distance import cdist

from distil.functional import components
from distil.functional.components import principal_components


def test_distances_and_variance_are_those_of_the_singular_value_decomposition(monkeypatch):
    monkeypatch.setattr(components, "BLOCK_BYTES", 8 * 6 * 7)  # blocks of seven rows
    g = torch.Generator().manual_seed(0)
    x = torch.randn(50, 6, generator=g, dtype=torch.float64) * torch.tensor([9.0, 5, 2, 1, 0.5, 0.1]) + 30
    other = torch.randn(8, 6, generator=g, dtype=torch.float64) + 30
    center = x.mean(0).numpy()
    _, values, axes = np.linalg.svd(x.numpy() - center)
    for k in (1, 3, 6):
        found = principal_components(x, k)
        rows, others, share = found.of(x), found.of(other), found.share
        assert rows.shape == (50, k)
        both = [(part.numpy() - center) @ axes[:k].T for part in (x, other)]
        np.testing.assert_allclose(cdist(rows, rows), cdist(both[0], both[0]), atol=1e-9)
        np.testing.assert_allclose(cdist(rows, others), cdist(*both), atol=1e-9)
        np.testing.assert_allclose(share, (values[:k] ** 2).sum() / (values**2).sum())


def test_any_scale_and_equal_rows():
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
    rows, share = principal_components(x, 2).of(x), principal_components(x, 2).share
    large = principal_components(2.0**100 * x, 2)
    assert torch.equal(large.of(2.0**100 * x).float(), 2.0**100 * rows)
    assert share == large.share
    far = torch.full((1, 4), torch.finfo(torch.float32).max) * torch.tensor([[1.0], [-1.0], [0.5]])
    assert principal_components(far, 2).of(far).isfinite().all()  # beyond the range of float32
    flat = principal_components(torch.full((5, 3), 7.0), 2)
    assert flat.share == 1
    assert not flat.of(torch.full((5, 3), 7.0)).any()

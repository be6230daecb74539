"""The posterior variance of a linear model against the inverse of its precision, and against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct

from distil.functional.bayesian_regression import posterior_variance
from distil.functional.features import Dense
from distil.functional.max_det import max_det

G = torch.Generator().manual_seed(0)
X, LABELED = torch.randn(60, 5, generator=G, dtype=torch.float64), torch.randn(9, 5, generator=G, dtype=torch.float64)


def test_equal_to_the_inverse_of_the_precision():
    x, z = X.numpy(), LABELED.numpy()
    for labeled in (z, z[:2], z[:0]):
        noise = 0.1 * (x**2).sum(1).mean()
        covariance = np.linalg.inv(labeled.T @ labeled / noise + np.eye(5))
        expected = np.einsum("nd,de,ne->n", x, covariance, x) / noise
        found = posterior_variance(X, torch.tensor(labeled), ridge=0.1)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_equal_to_a_gaussian_process_with_the_linear_kernel():
    noise = 0.05 * float(X.square().sum(1).mean())
    process = GaussianProcessRegressor(DotProduct(sigma_0=0, sigma_0_bounds="fixed"), alpha=noise, optimizer=None)
    process.fit(LABELED.numpy(), np.zeros(9))
    expected = process.predict(X.numpy(), return_std=True)[1] ** 2 / noise
    np.testing.assert_allclose(posterior_variance(X, LABELED, ridge=0.05).numpy(), expected, rtol=1e-8)


def test_the_largest_is_the_first_pick_of_max_det():
    variance = posterior_variance(X, LABELED, ridge=0.01)
    first = max_det(Dense(X), 1, torch.Generator(), labeled=Dense(LABELED), ridge=0.01)
    assert int(variance.argmax()) == int(first.rows[0])
    assert float(first.gains[0].exp() - 1) == pytest.approx(float(variance.max()), rel=1e-6)


def test_the_scale_changes_nothing_and_float32_is_enough():
    expected = posterior_variance(X, LABELED)
    for e in (-1000, 900):
        torch.testing.assert_close(posterior_variance(X * 2.0**e, LABELED * 2.0**e), expected)
    torch.testing.assert_close(posterior_variance(X.float(), LABELED.float()), expected, rtol=1e-4, atol=1e-4)
    assert posterior_variance(torch.zeros(3, 2), torch.zeros(0, 2)).tolist() == [0, 0, 0]

"""Ridge regression: optima and leave-one-out errors against scikit-learn and against fits without each example."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeCV

from distil.errors import InvalidInput
from distil.functional.ridge_regression import DECAYS, fit_ridge_regression

RNG = np.random.default_rng(0)


def data(n, d, t=1, noise=0.5):
    x = RNG.normal(size=(n, d)) / np.sqrt(d)
    return x, x @ RNG.normal(size=(d, t)) + 5 + noise * RNG.normal(size=(n, t))


def test_the_optimum_is_that_of_scikit_learn():
    for n, d, t in ((30, 4, 1), (10, 25, 2), (1, 3, 2)):
        x, y = data(n, d, t)
        for decay in (1e-3, 1.0):
            model = fit_ridge_regression(torch.tensor(x), torch.tensor(y), decay=decay)
            expected = Ridge(alpha=decay, solver="svd").fit(x, y)
            np.testing.assert_allclose(model.weight.numpy(), np.atleast_2d(expected.coef_), atol=1e-8)
            np.testing.assert_allclose(model.bias.numpy(), np.atleast_1d(expected.intercept_), atol=1e-8)


def test_the_decay_and_its_error_are_those_of_leaving_one_out():
    for n, d in ((25, 4), (12, 30)):
        x, y = data(n, d)
        model = fit_ridge_regression(torch.tensor(x), torch.tensor(y))
        errors = {}
        for decay in DECAYS:
            left = [Ridge(alpha=decay, solver="svd").fit(np.delete(x, i, 0), np.delete(y, i)) for i in range(n)]
            errors[decay] = np.mean([(fit.predict(x[[i]])[0] - y[i, 0]) ** 2 for i, fit in enumerate(left)])
        best = min(errors, key=errors.get)
        assert model.decay == best
        assert model.loo_error == pytest.approx(errors[best], rel=1e-6)
        assert RidgeCV(alphas=DECAYS).fit(x, y[:, 0]).alpha_ == best


def test_scales_of_targets_and_constant_targets():
    x, y = data(20, 5, 2)
    plain = fit_ridge_regression(torch.tensor(x), torch.tensor(y))
    for factor in (2.0**300, 2.0**-300):
        scaled = fit_ridge_regression(torch.tensor(x), torch.tensor(y) * factor)
        torch.testing.assert_close(scaled.weight / factor, plain.weight)
        assert scaled.decay == plain.decay
    constant = fit_ridge_regression(torch.tensor(x), torch.full((20, 1), 3.5))
    assert constant.bias.tolist() == [3.5]
    assert float(constant.weight.abs().max()) == 0
    assert np.isnan(fit_ridge_regression(torch.ones(1, 2), torch.ones(1, 1)).loo_error)


def test_refusals():
    x = torch.randn(5, 2)
    for rows, y, settings, message in [
        (x, torch.zeros(5), {}, "y must be finite floating-point rows"),
        (x, torch.zeros(4, 1), {}, "as many rows, got 5 and 4"),
        (x * torch.nan, torch.zeros(5, 1), {}, "x must be finite"),
        (x, torch.zeros(5, 1), {"decay": 0}, "decay: expected"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            fit_ridge_regression(rows, y, **settings)

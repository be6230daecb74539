"""Fits of learning curves: exact recovery of curves that were made, and SciPy's least squares on noisy ones."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from distil.evaluation.learning_curves import FAMILIES, fitted

LABELS = np.arange(1, 16) * 20.0
LATER = np.array([600.0, 3000.0])

# The families as the literature writes them, with parameters in labels.
FORMULAS = {
    "POW3": lambda n, a, b, c: a - b * n**-c,
    "POW4": lambda n, a, b, c, d: a - b * (n + d) ** -c,
    "MMF4": lambda n, a, b, c, d: (a * b + c * n**d) / (b + n**d),
}
PARAMETERS = {"POW3": (0.9, 1.2, 0.6), "POW4": (0.93, 9.0, 0.9, 40.0), "MMF4": (0.1, 60.0**1.3, 0.95, 1.3)}


def fits(curve):
    return {name: fitted(family, LABELS, curve[None]) for name, family in FAMILIES.items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_curve_of_a_family_is_recovered_and_read_further_on(name):
    curve = FORMULAS[name]
    found = fits(curve(LABELS, *PARAMETERS[name]))[name]
    np.testing.assert_allclose(found(LATER)[0], curve(LATER, *PARAMETERS[name]), atol=1e-6)
    assert found.error[0] < 1e-12
    a, _, c, *_ = PARAMETERS[name]
    np.testing.assert_allclose(found.top, c if name == "MMF4" else a, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_noisy_curves_are_fitted_at_least_as_closely_as_by_scipy_from_the_true_parameters(name):
    rng = np.random.default_rng(1)
    for _ in range(5):
        curve = np.clip(FORMULAS[name](LABELS, *PARAMETERS[name]) + rng.normal(0, 0.01, len(LABELS)), 0, 1)
        own = fits(curve)[name]
        high = [1, np.inf, *([1] if name == "MMF4" else [3]), *[np.inf] * (len(PARAMETERS[name]) - 3)]
        theirs, _ = curve_fit(
            FORMULAS[name], LABELS, curve, PARAMETERS[name], bounds=([0, 0, 0, 0][: len(high)], high), max_nfev=5000
        )
        residual = float(((FORMULAS[name](LABELS, *theirs) - curve) ** 2).sum())
        assert float(own.error[0]) == pytest.approx(float(((own(LABELS)[0] - curve) ** 2).sum()), abs=1e-12)
        assert float(own.error[0]) <= residual * 1.001 + 1e-12


def test_the_grid_alone_is_close_to_the_refined_fit_and_fits_many_curves_at_once():
    rng = np.random.default_rng(0)
    curves = np.stack([0.9 - LABELS**-0.5 + rng.normal(0, 0.01, len(LABELS)) for _ in range(20)])
    for family in FAMILIES.values():
        coarse, fine = fitted(family, LABELS, curves, refined=False), fitted(family, LABELS, curves)
        assert (fine.error <= coarse.error + 1e-15).all()
        assert (coarse.error <= 1.05 * fine.error).all()
        one = fitted(family, LABELS, curves[3:4], refined=False)
        np.testing.assert_allclose(one(LATER), coarse(LATER)[3:4], atol=1e-9)


def test_a_fit_never_falls_and_never_leads_above_1():
    falling, steep = np.linspace(0.9, 0.5, 15), np.linspace(0.2, 0.99, 15)
    for name, found in fits(falling).items():
        np.testing.assert_allclose(found(LATER), falling.mean(), err_msg=name)
    for name, found in fits(steep).items():
        curve = found(np.linspace(10, 100_000, 500))[0]
        assert (np.diff(curve) >= 0).all(), name
        assert curve.max() <= 1, name


def test_a_top_of_1_is_fitted_as_scipy_fits_a_curve_that_has_it():
    curve = np.clip(1.1 - 3 * LABELS**-0.5, 0, 1)  # it would lead to 1.1
    own = fits(curve)["POW3"]
    (fall, power), _ = curve_fit(
        lambda n, b, c: 1 - b * n**-c, LABELS, curve, (1, 0.5), bounds=([0, 0.05], [np.inf, 3])
    )
    assert own.top[0] == 1
    np.testing.assert_allclose(own.shape[0, 0], power, rtol=1e-3)
    np.testing.assert_allclose(own(LATER)[0], 1 - fall * LATER**-power, atol=1e-4)

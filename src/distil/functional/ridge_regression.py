"""Ridge regression in closed form, its decay chosen by the exact leave-one-out error.

The default model on embeddings in regression. Rows are those of a pool with mean 0 and mean squared norm 1, see
``distil.functional.logistic_regression.pool_scale``. W and b minimize sum_i |W x_i + b - y_i|^2 + decay |W|^2; the intercept is not
penalized.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.logistic_regression import Decay, check_settings
from distil.functional.scale import exponent, largest, times_two_to

DECAYS = tuple(10.0**e for e in range(-3, 4))
"""The decays that ``"auto"`` chooses from; among equals, the largest. Below, a dozen labels may choose next to no penalty."""


@dataclass(frozen=True, eq=False)
class RidgeRegression:
    """A fitted model, whose predictions are ``x @ weight.T + bias``.

    Attributes:
        weight: (T, D) float64.
        bias: (T,) float64.
        decay: That of the fit.
        loo_error: The mean squared error of predictions of each example by a fit without it, over examples and targets; NaN for one
            example.
    """

    weight: Tensor
    bias: Tensor
    decay: float
    loo_error: float


def fit_ridge_regression(x: Tensor, y: Tensor, *, decay: Decay = "auto") -> RidgeRegression:
    """Fit to the optimum, in float64.

    With ``decay="auto"`` the decay among ``DECAYS`` has the smallest squared error over predictions of each example by a fit
    without it. A fit without example i differs from the fit of all by its residual over 1 - h_i, with h_i the example's leverage
    (Allen 1974), so all are known from one decomposition. The same decay holds for all targets, each in units of its deviation.

    Args:
        x: Labeled rows (n, D), scaled as ``pool_scale`` says; of any floating-point type.
        y: Their targets, (n, T).
        decay: A number from 1e-8, or ``"auto"``.

    Raises:
        InvalidInput: Shapes that do not fit, no example, NaN or infinity, a decay out of range.

    Cost: O(n D min(n, D)), then O(n (D + T)) for each decay.

    >>> x = torch.tensor([[-1.0], [0.0], [1.0], [2.0]])
    >>> model = fit_ridge_regression(x, 3 * x + 1, decay=1e-8)
    >>> [round(number, 4) for number in (float(model.weight), float(model.bias))]
    [3.0, 1.0]
    """
    _check(x, y, decay)
    x, e = x.detach().double(), exponent(largest(y))
    y = times_two_to(y.detach().double(), -e)
    means = x.mean(0), y.mean(0)
    xc, yc = x - means[0], y - means[1]
    spread = yc.square().mean(0).sqrt()
    spread = spread.masked_fill(spread == 0, 1)
    yc = yc / spread
    u, s, vt = torch.linalg.svd(xc, full_matrices=False)
    along = u.T @ yc  # (r, T)

    def residuals(at: float) -> Tensor:
        """Those of predictions of each example by a fit without it, (n, T)."""
        shrink = s.square() / (s.square() + at)
        leverage = (u.square() @ shrink + 1 / len(x)).clamp_max(1 - 1e-12)
        found: Tensor = (yc - u @ (shrink[:, None] * along)) / (1 - leverage)[:, None]
        return found

    if decay == "auto":
        errors = {at: float(residuals(at).square().sum()) for at in DECAYS}
        at = max(DECAYS, key=lambda candidate: (-errors[candidate], candidate))
    else:
        at = float(decay)
    weight = (vt.T @ ((s / (s.square() + at))[:, None] * along)).T * spread[:, None]  # (T, D)
    bias = means[1] - weight @ means[0]
    loo = float((residuals(at) * spread).square().mean()) if len(x) > 1 else torch.nan
    weight, bias = times_two_to(weight, e), times_two_to(bias, e)
    return RidgeRegression(weight, bias, at, loo * 2.0 ** min(2 * e, 1023))


def _check(x: Tensor, y: Tensor, decay: Decay) -> None:
    for name, array in (("x", x), ("y", y)):
        if array.dim() != 2 or not len(array) or not array.is_floating_point() or not bool(array.isfinite().all()):
            raise InvalidInput(
                f"{name} must be finite floating-point rows, (n, D), n > 0; got {array.dtype} {tuple(array.shape)}"
            )
    if len(x) != len(y):
        raise InvalidInput(f"x and y must have as many rows, got {len(x)} and {len(y)}")
    check_settings(decay, "none")

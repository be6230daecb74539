"""Bayesian linear regression in closed form: how uncertain predictions of a linear model are."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.functional.features import BLOCK_BYTES
from distil.functional.scale import to_unit


def posterior_variance(rows: Tensor, labeled: Tensor, *, ridge: float = 1e-3) -> Tensor:
    """The variance of a linear model's predictions, given labeled rows, in units of the variance of the noise: (N,) float64.

    The weights have a standard normal prior and labels Gaussian noise, so the posterior variance at z is
    z^T (Z^T Z / noise + I)^-1 z for labeled rows Z (Bishop 2006, equation 3.59, without the noise of the
    new label). Labels do not enter it, nor does the number of outputs.

    Args:
        rows: (N, D), finite; a column of ones stands for the intercept.
        labeled: Labeled rows, (M, D); M may be 0.
        ridge: Variance of the noise, above 0, as a share of the mean squared length of ``rows``.

    Cost: O((N + M) D^2 + D^3) time, memory of D^2 numbers and a block.

    >>> posterior_variance(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0]]), ridge=0.4)
    tensor([0.5000, 2.0000], dtype=torch.float64)
    """
    (rows, labeled), _ = to_unit(rows, labeled)
    step = max(1, BLOCK_BYTES // (8 * rows.shape[1]))
    total = sum(float(part.double().square().sum()) for part in rows.split(step))
    noise = ridge * (total / max(1, len(rows)) or 1.0)
    gram = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    for part in labeled.split(step):
        gram += part.double().T @ part.double()
    sizes, directions = torch.linalg.eigh(gram)
    scales = (sizes.clamp_min_(0) + noise).rsqrt_()
    found = [(part.double() @ directions).mul_(scales).square_().sum(1) for part in rows.split(step)]
    return torch.cat(found) if found else rows.new_zeros(0, dtype=torch.float64)

"""Laplace approximation of the last layer: how uncertain a trained linear head is, from embeddings and probabilities alone.

The weights get a Gaussian posterior around their values. Its precision is that of a prior, plus the curvature of the loss on the
labeled examples (MacKay 1992; Kristiadi et al. 2020; Daxberger et al. 2021). Examples far from all labeled ones then
have uncertain logits, where the softmax of the head itself may be certain.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.functional.scale import exponent, largest, number_times_two_to, times_two_to

FULL_WEIGHTS = 1024
"""Up to this many weights of the layer, C (D + 1), the posterior has the full precision matrix; beyond, a Kronecker product."""

_BLOCK_BYTES = 1 << 26
_MEAN_ROWS = 4096


class Posterior(ABC):
    """A Gaussian posterior of the weights of a linear head with C outputs over rows (h, 1) of D + 1 numbers."""

    @abstractmethod
    def differences(self, rows: Tensor) -> Tensor:
        """Variance of the difference of any two logits, (N, C, C), for ``rows`` (N, D + 1), float64."""

    @abstractmethod
    def draw(self, n_samples: int, generator: torch.Generator) -> Tensor:
        """Samples of what the weights are above their values, (K, C, D + 1) float64; a CPU generator."""


@dataclass(frozen=True, eq=False)
class Full(Posterior):
    """The posterior with the covariance of all pairs of weights.

    Attributes:
        covariance: (C, D + 1, C, D + 1).
    """

    covariance: Tensor

    def differences(self, rows: Tensor) -> Tensor:
        """(N, C, C). Cost: O(N C^2 D^2)."""
        c, d = self.covariance.shape[:2]
        by_row = self.covariance.permute(1, 0, 2, 3).reshape(d, -1)  # (D, C C D)
        step = max(1, _BLOCK_BYTES // (8 * by_row.shape[1]))
        of_logits = [((part @ by_row).view(-1, c, c, d) * part[:, None, None]).sum(-1) for part in rows.split(step)]
        return _differences(torch.cat(of_logits))

    def draw(self, n_samples: int, generator: torch.Generator) -> Tensor:
        """(K, C, D + 1). Cost: O((C D)^3 + K (C D)^2)."""
        c, d = self.covariance.shape[:2]
        factor: Tensor = torch.linalg.cholesky(self.covariance.view(c * d, c * d))
        noise = torch.randn(n_samples, c * d, generator=generator, dtype=torch.float64)
        return (noise @ factor.T).view(n_samples, c, d)


@dataclass(frozen=True, eq=False)
class Kronecker(Posterior):
    """The posterior whose precision is a Kronecker product of a matrix of outputs and one of inputs, plus the prior.

    Attributes:
        outputs: Eigenvalues (C,) and eigenvectors (C, C) of the mean curvature of the loss by the logits.
        inputs: Eigenvalues (D + 1,) and eigenvectors (D + 1, D + 1) of the sum of outer products of the labeled rows.
        precision: Precision of the prior.
    """

    outputs: tuple[Tensor, Tensor]
    inputs: tuple[Tensor, Tensor]
    precision: float

    def differences(self, rows: Tensor) -> Tensor:
        """(N, C, C). Cost: O(N (D^2 + C D + C^3))."""
        (curvature, u), (size, v) = self.outputs, self.inputs
        variances = (rows @ v).square() @ (1 / (curvature[:, None] * size + self.precision)).T  # (N, C), along u
        return _differences(torch.einsum("nj,cj,kj->nck", variances, u, u))

    def draw(self, n_samples: int, generator: torch.Generator) -> Tensor:
        """(K, C, D + 1). Cost: O(K (C^2 D + C D^2))."""
        (curvature, u), (size, v) = self.outputs, self.inputs
        noise = torch.randn(n_samples, len(curvature), len(size), generator=generator, dtype=torch.float64)
        return u @ (noise / (curvature[:, None] * size + self.precision).sqrt()) @ v.T


def posterior(probs: Tensor, rows: Tensor, precision: float, *, full_weights: int = FULL_WEIGHTS) -> Posterior:
    """The posterior of a softmax head, with the generalized Gauss-Newton matrix, which is the Hessian of a linear head.

    The precision is ``precision`` I + sum_m (diag p_m - p_m p_m^T) (x) h_m h_m^T. For more weights than ``full_weights`` the sum is
    replaced by mean_m (diag p_m - p_m p_m^T) (x) sum_m h_m h_m^T (Ritter et al. 2018, for one layer), which is exact where the
    curvature of all examples is equal.

    Args:
        probs: Probabilities of the labeled examples, (M, C); M may be 0.
        rows: Their inputs of the layer, with a column of ones for the bias, (M, D + 1).
        precision: Precision of the Gaussian prior of each weight, above 0.
        full_weights: Most weights of a full precision matrix.

    Cost: O(M (C D)^2 + (C D)^3) in full, O(M (C^2 + D^2) + C^3 + D^3) for the Kronecker product.
    """
    p, h = probs.double(), rows.double()
    (m, c), d = p.shape, h.shape[1]
    if c * d <= full_weights:
        whole = torch.eye(c * d, dtype=torch.float64) * precision
        blocks = whole.view(c, d, c, d)
        for i in range(c):
            for j in range(c):
                blocks[i, :, j] += (h * (p[:, i] * (float(i == j) - p[:, j]))[:, None]).T @ h
        return Full(torch.cholesky_inverse(torch.linalg.cholesky(whole)).view(c, d, c, d))
    curvature = (p.sum(0).diag() - p.T @ p) / max(1, m)
    outputs, inputs = torch.linalg.eigh(curvature), torch.linalg.eigh(h.T @ h)
    return Kronecker(
        (outputs[0].clamp_min(0), outputs[1]), (inputs[0].clamp_min(0), inputs[1]), precision
    )  # rounding may make an eigenvalue of 0 negative


def averaged_softmax(logits: Tensor, differences: Tensor) -> Tensor:
    """The mean of softmax(z) over Gaussian logits z, approximately, (N, C) float64.

    p_c is proportional to 1 / sum_i exp(-(f_c - f_i) / sqrt(1 + pi/8 Var(z_c - z_i))): the probit approximation (MacKay 1992) for
    each pair of classes (Lu, Ie and Sha 2020). With two classes it is the usual one. Unlike the softmax of logits
    that are scaled one by one, it does not change where all logits of an example are shifted.

    Args:
        logits: Means f of the logits, (N, C).
        differences: Variances of the difference of any two logits, (N, C, C).
    """
    f = logits.double()
    gaps = (f[:, :, None] - f[:, None]) / (1 + math.pi / 8 * differences).sqrt()
    return (-(-gaps).logsumexp(2)).softmax(1)


def sampled_softmax(logits: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """The softmax of z under samples of the weights, (N, K, C) float64, for z_k = f + W_k h.

    Args:
        logits: Means f of the logits, (N, C).
        rows: Inputs h of the layer, with a column of ones for the bias, (N, D + 1).
        weights: Samples W_k of what the weights are above their values, (K, C, D + 1), the same for all rows.

    Cost: O(N K C D).
    """
    k, c, d = weights.shape
    changes = rows.double() @ weights.reshape(k * c, d).T
    return (logits.double()[:, None] + changes.view(-1, k, c)).softmax(2)


def layer_rows(embeddings: Tensor, unit: float) -> Tensor:
    """The inputs of the layer, (N, D + 1) float64: embeddings divided by ``unit``, and a column of ones."""
    e = exponent(unit)
    scaled = times_two_to(embeddings.double(), -e) / number_times_two_to(unit, -e)
    return torch.cat([scaled, scaled.new_ones(len(scaled), 1)], 1)


def root_mean_square(embeddings: Tensor) -> float:
    """The root of the mean squared length of the rows, 1 where all are 0. Cost: one pass, in blocks."""
    top = largest(embeddings)
    if top == 0:
        return 1.0
    e = exponent(top)
    total = sum(float(times_two_to(part.double(), -e).square().sum()) for part in embeddings.split(_MEAN_ROWS))
    return number_times_two_to(math.sqrt(total / len(embeddings)), e)


def _differences(covariance: Tensor) -> Tensor:
    """Variances of differences, (N, C, C), from covariances (N, C, C)."""
    own = covariance.diagonal(dim1=1, dim2=2)
    return (own[:, :, None] + own[:, None] - 2 * covariance).clamp_min_(0)

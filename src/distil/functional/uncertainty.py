"""How uncertain a prediction is. Natural logarithms; a larger entropy, a smaller margin: less certain."""

from __future__ import annotations

import torch
from torch import Tensor


def entropy(probs: Tensor) -> Tensor:
    """Shannon entropy -sum_c p_c ln p_c, in nats, with 0 ln 0 = 0.

    Args:
        probs: Probabilities, (..., C).

    Returns:
        (...,), between 0 and ln C.

    >>> entropy(torch.tensor([[0.5, 0.5, 0.0, 0.0]]))
    tensor([0.6931])
    """
    terms: Tensor = torch.special.entr(probs)
    return terms.sum(-1)


def margin(probs: Tensor) -> Tensor:
    """Difference between the two largest probabilities (Scheffer et al. 2001).

    Args:
        probs: Probabilities, (..., C), C >= 2.

    Returns:
        (...,), between 0 (two classes tie) and 1.
    """
    top = probs.topk(2, dim=-1).values
    return top[..., 0] - top[..., 1]


def confidence(probs: Tensor) -> Tensor:
    """The largest probability (Lewis and Gale 1994): (..., C) -> (...,), between 1/C and 1."""
    return probs.amax(-1)


def bald(mc_probs: Tensor) -> Tensor:
    """Mutual information between the label and the model, H[mean_k p_k] - mean_k H[p_k], in nats.

    Houlsby et al. 2011, eq. 2, with the posterior sampled by Monte Carlo (Gal et al. 2017, eq. 5).

    Args:
        mc_probs: Probabilities of K posterior samples, (N, K, C).

    Returns:
        (N,), between 0 (the samples agree) and min(ln K, ln C); rounding below 0 is cut off.
    """
    return (entropy(mc_probs.mean(1)) - entropy(mc_probs).mean(1)).clamp_min_(0)

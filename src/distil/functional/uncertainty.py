"""Uncertainty of predictions, with natural logarithms: less certain predictions have larger entropies and smaller margins."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.scale import floating

# Intermediate results are as large as a block, so that they stay in the processor's cache for any number of rows. On one core this
# won 29 against 87 ms (entropy of 200,000 x 100). Delete it where PyTorch computes an entropy in one pass.
_BLOCK_BYTES = 1 << 20


def entropy(probs: Tensor) -> Tensor:
    """Shannon entropy -sum_c p_c ln p_c, in nats, with 0 ln 0 = 0.

    Args:
        probs: Probabilities, (..., C).

    Returns:
        Entropies between 0 and ln C, (...,).

    Cost: one pass over ``probs``, in float32 or float64, with a block of extra memory. Autograd is not supported.

    >>> entropy(torch.tensor([[0.5, 0.5, 0.0, 0.0]]))
    tensor([0.6931])
    """
    return _in_blocks(lambda p: 0 - _p_log_p(p).sum(-1), probs)


def margin(probs: Tensor) -> Tensor:
    """Difference between the two largest probabilities (Scheffer et al. 2001).

    Args:
        probs: Probabilities, (..., C), C >= 2.

    Returns:
        Margins between 0 (two classes tie) and 1, (...,).

    Raises:
        InvalidInput: There are fewer than two classes.
    """
    _check_two_classes(probs)
    return _in_blocks(_margin, probs)


def ratio_of_confidence(probs: Tensor) -> Tensor:
    """The second largest probability divided by the largest, exp(-gap) for the gap between the two largest logits.

    Args:
        probs: Probabilities, (..., C), C >= 2.

    Returns:
        Ratios between 0 (certain) and 1 (two classes tie), (...,).

    Raises:
        InvalidInput: There are fewer than two classes.
    """
    _check_two_classes(probs)
    return _in_blocks(_ratio, probs)


def confidence(probs: Tensor) -> Tensor:
    """The largest probability (Lewis and Gale 1994), between 1/C and 1: (...,) for ``probs`` (..., C)."""
    return floating(probs).amax(-1)


def bald(mc_probs: Tensor) -> Tensor:
    """Mutual information between the label and the model, H[mean_k p_k] - mean_k H[p_k], in nats.

    Houlsby et al. 2011, eq. 2, with the posterior sampled by Monte Carlo (Gal et al. 2017).

    Args:
        mc_probs: Probabilities of K posterior samples, (N, K, C).

    Returns:
        Mutual information between 0 and min(ln K, ln C), (N,); exactly 0 where the samples differ only by rounding.

    Cost: one pass over ``mc_probs``, in float32 or float64, with a block of extra memory. Autograd is not supported.
    """
    return _in_blocks(_bald, mc_probs)


def vote_entropy(mc_probs: Tensor) -> Tensor:
    """Entropy of the votes of a committee, each member for its most probable class, in nats.

    Dagan and Engelson 1995, eq. 1, without the division by ln min(K, C), which changes no order. A member that ties votes for the
    first of its classes.

    Args:
        mc_probs: Class probabilities of K members, (N, K, C).

    Returns:
        Entropies between 0 (all agree) and min(ln K, ln C), (N,), in float32 or float64.

    Cost: one pass over ``mc_probs``.

    >>> vote_entropy(torch.tensor([[[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.6, 0.4]]]))
    tensor([0.6931, 0.0000])
    """
    return _in_blocks(_vote_entropy, mc_probs)


def variation_ratio(mc_probs: Tensor) -> Tensor:
    """Share of the samples that do not predict the class that most of them predict (Freeman 1965; Gal 2016).

    Args:
        mc_probs: Probabilities of K samples, (N, K, C). A sample that ties votes for the first of its classes.

    Returns:
        Shares between 0 (all agree) and 1 - 1/min(K, C), (N,).

    Cost: one pass over ``mc_probs``.

    >>> variation_ratio(torch.tensor([[[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]]]))
    tensor([0.2500])
    """
    return _in_blocks(lambda p: 1 - _votes(p).amax(-1), mc_probs)


def mean_std(mc_probs: Tensor) -> Tensor:
    """Standard deviation of each class's probability over the samples, averaged over the classes.

    mean_c sqrt(mean_k p_kc^2 - (mean_k p_kc)^2), computed from differences (Kampffmeyer et al. 2016; Gal et al. 2017).

    Args:
        mc_probs: Probabilities of K samples, (N, K, C).

    Returns:
        Between 0 and 1/2, (N,); exactly 0 where the samples differ only by rounding.

    Cost: one pass over ``mc_probs``, in float32 or float64, with a block of extra memory. Autograd is not supported.
    """
    return _in_blocks(_mean_std, mc_probs)


def _mean_std(mc_probs: Tensor) -> Tensor:
    # From the differences to one sample, equal samples give exactly 0.
    found = (mc_probs - mc_probs[:, :1]).std(1, correction=0).mean(-1)
    rounding = 4 * torch.finfo(found.dtype).eps / mc_probs.shape[-1]  # must not rank rows
    return found.masked_fill_(found <= rounding, 0)


def _vote_entropy(mc_probs: Tensor) -> Tensor:
    return 0 - _p_log_p(_votes(mc_probs)).sum(-1)


def _votes(mc_probs: Tensor) -> Tensor:
    """Share of the samples that predict each class, (N, C)."""
    votes = torch.zeros_like(mc_probs[:, 0]).scatter_add_(1, mc_probs.argmax(2), mc_probs.new_ones(mc_probs.shape[:2]))
    return votes / mc_probs.shape[1]


def _bald(mc_probs: Tensor) -> Tensor:
    within = _p_log_p(mc_probs).flatten(1).sum(1).div_(mc_probs.shape[1])  # -mean_k H[p_k]
    of_mean = _p_log_p(mc_probs.mean(1)).sum(-1)  # -H[mean_k p_k]
    information = within.sub_(of_mean)
    # The difference of two equal entropies is rounding, which must not rank rows.
    rounding = 4 * torch.finfo(information.dtype).eps * (1 - of_mean)
    return information.masked_fill_(information <= rounding, 0)


def _margin(probs: Tensor) -> Tensor:
    first, second = _two_largest(probs)
    return first - second


def _ratio(probs: Tensor) -> Tensor:
    first, second = _two_largest(probs)
    return second / first


def _two_largest(probs: Tensor) -> tuple[Tensor, Tensor]:
    """The two largest, (...,) each, by two searches for the largest: several times as fast as ``topk``, which sorts."""
    first, at = probs.max(-1, keepdim=True)
    return first[..., 0], probs.scatter(-1, at, -torch.inf).amax(-1)


def _check_two_classes(probs: Tensor) -> None:
    if probs.dim() == 0 or probs.shape[-1] < 2:
        raise InvalidInput(f"expected probabilities (..., C) of at least two classes, got shape {tuple(probs.shape)}")


def _p_log_p(probs: Tensor) -> Tensor:
    """The terms p ln p, (..., C), with 0 ln 0 = 0; faster than ``torch.special.entr``, which checks each number's sign."""
    return probs.clamp_min(torch.finfo(probs.dtype).tiny).log_().mul_(probs)


def _in_blocks(function: Callable[[Tensor], Tensor], probs: Tensor) -> Tensor:
    """``function`` applied to as many rows at a time as fit into a block."""
    probs = floating(probs.detach())
    rows = max(1, _BLOCK_BYTES * len(probs) // max(1, probs.nbytes)) if probs.dim() > 1 else 1
    if probs.dim() < 2 or len(probs) <= rows:
        return function(probs)
    return torch.cat([function(part) for part in probs.split(rows)])

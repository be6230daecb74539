"""EPIG: how much the label of an example would say about the labels of the examples that matter."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES
from distil.functional.uncertainty import entropy

# Gains below this share of the entropies are their rounding error.
_ROUNDING = 2.0**-40


def epig(mc_probs: Tensor, targets: Tensor) -> Tensor:
    """The expected predictive information gain of each row, in nats: the mean mutual information between its label and a target's.

    Bickford Smith et al. 2023, eq. 8, by their estimator: with K posterior samples, the labels of a row x and a target t have the
    joint distribution p(y, y') = mean_k p_k(y | x) p_k(y' | t), and the gain is the mean over t of H[y] + H[y'] - H[y, y'].

    Args:
        mc_probs: Class probabilities under K posterior samples, (N, K, C).
        targets: Class probabilities of M targets under the same samples, (M, K, C), M >= 1.

    Returns:
        Gains between 0 and min(ln K, ln C), (N,) float64; exactly 0 where they are rounding error.

    Raises:
        InvalidInput: There are no targets, or the numbers of samples or classes differ.

    Cost: O(N M C^2 K) time; memory of a block.

    >>> agree = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> epig(agree, agree)  # two samples, one bit: ln 2
    tensor([0.6931], dtype=torch.float64)
    """
    if not len(targets) or targets.shape[1:] != mc_probs.shape[1:]:
        raise InvalidInput(
            f"epig: expected targets (M, {mc_probs.shape[1]}, {mc_probs.shape[2]}) with M >= 1, got {tuple(targets.shape)}"
        )
    k, c = mc_probs.shape[1:]
    at_targets = targets.double()
    of_targets = entropy(at_targets.mean(1)).mean()
    second = at_targets.transpose(0, 1).reshape(k, -1) / k  # (K, M C)
    gains = []
    for block in mc_probs.split(max(1, BLOCK_BYTES // (8 * c * second.shape[1]))):
        rows = block.double()
        joint = rows.transpose(1, 2).reshape(-1, k) @ second  # (B C, M C)
        of_joint = entropy(joint.view(len(rows), c * second.shape[1])) / len(
            targets
        )  # the sum over all targets, at once
        gains.append(entropy(rows.mean(1)) + of_targets - of_joint)
    found = torch.cat(gains) if gains else mc_probs.new_zeros(0, dtype=torch.float64)
    return found.masked_fill_(found <= _ROUNDING * (1 + of_targets), 0)

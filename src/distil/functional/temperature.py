"""The temperature at which logits fit labels best."""

from __future__ import annotations

from torch import Tensor

from distil.errors import InvalidInput

HIGHEST = 20.0
"""The highest temperature that is fitted."""

_STEPS = 60


def fitted_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature T from 1 to 20 of the largest likelihood of the labels under softmax(z / T).

    Temperature scaling (Guo et al. 2017). The loss is convex in 1 / T, so bisection of its derivative, the mean of
    z_y - sum_c p_c z_c, finds it. Temperatures below 1, which would make predictions more certain, are left out: a network fits the
    examples that it was trained on too well, and on these the best temperature goes to 0.

    Args:
        logits: (M, C), finite; any shift of a row changes nothing.
        labels: (M,) int64, columns of the logits.

    Returns:
        The temperature; 1 without examples.

    Raises:
        InvalidInput: The arrays do not fit together.

    >>> import torch
    >>> round(fitted_temperature(torch.tensor([[3.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1])), 4)  # 3 / ln 3
    2.7307
    """
    if logits.dim() != 2 or labels.shape != logits.shape[:1]:
        raise InvalidInput(
            f"expected logits (M, C) and labels (M,), got {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    if not len(labels):
        return 1.0
    z = logits.double()
    own = z.gather(1, labels[:, None])[:, 0]

    def is_too_flat(inverse: float) -> bool:
        """Whether the labels' logits are above their expectation, so that no smaller 1 / T fits better."""
        return float((own - ((z * inverse).softmax(1) * z).sum(1)).mean()) >= 0

    low, high = 1 / HIGHEST, 1.0
    if is_too_flat(high):
        return 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_too_flat(middle) else (low, middle)
    return 2 / (low + high)

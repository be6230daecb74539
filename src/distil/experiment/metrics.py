"""How good predictions are, from their confusion matrix."""

from __future__ import annotations

import torch
from torch import Tensor


def confusion(predicted: Tensor, true: Tensor, num_classes: int) -> Tensor:
    """Counts of (true class, predicted class): (C, C) int64.

    Args:
        predicted: (N,) classes.
        true: (N,) classes.
        num_classes: C.
    """
    return torch.bincount(true * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def metrics(predicted: Tensor, true: Tensor, num_classes: int) -> dict[str, float]:
    """Accuracy, balanced accuracy and macro F1, fractions in [0, 1].

    Balanced accuracy is the mean recall of the classes that occur in ``true``; macro F1 the mean F1 of the classes that
    occur in either: both as in scikit-learn.

    Args:
        predicted: (N,) classes, N >= 1.
        true: (N,) classes.
        num_classes: C.
    """
    counts = confusion(predicted, true, num_classes).double()
    hits, in_true, in_predicted = counts.diag(), counts.sum(1), counts.sum(0)
    occurs, either = in_true > 0, in_true + in_predicted > 0
    f1 = 2 * hits[either] / (in_true + in_predicted)[either]
    return {
        "accuracy": float(hits.sum() / counts.sum()),
        "balanced_accuracy": float((hits[occurs] / in_true[occurs]).mean()),
        "macro_f1": float(f1.mean()),
    }

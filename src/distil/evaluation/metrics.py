"""How good predictions are: from their confusion matrix, and how well their confidence is calibrated.

``METRICS`` lists what an evaluation measures. A new metric is an entry there: runs, tables and pages follow it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput


def confusion(predicted: Tensor, true: Tensor, num_classes: int) -> Tensor:
    """Counts of (true class, predicted class): (C, C) int64.

    Args:
        predicted: (N,) classes.
        true: (N,) classes.
        num_classes: C.

    Raises:
        InvalidInput: Shapes that do not fit, or a class outside 0 ... C - 1.
    """
    if predicted.ndim != 1 or predicted.shape != true.shape:
        raise InvalidInput(f"predicted and true must be (N,), got {tuple(predicted.shape)} and {tuple(true.shape)}")
    for what, classes in (("predicted", predicted), ("true", true)):
        check_classes(what, classes, num_classes)
    return torch.bincount(true * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def metrics(predicted: Tensor, true: Tensor, num_classes: int) -> dict[str, float]:
    """Accuracy, balanced accuracy and macro F1, fractions in [0, 1].

    Balanced accuracy is the mean recall of the classes that occur in ``true``; macro F1 the mean F1 of the classes that
    occur in either: both as in scikit-learn.

    Args:
        predicted: (N,) classes, N >= 1.
        true: (N,) classes.
        num_classes: C.

    Raises:
        InvalidInput: No examples, shapes that do not fit, or a class outside 0 ... C - 1.
    """
    if len(true) == 0:
        raise InvalidInput("metrics need at least one example, got none")
    counts = confusion(predicted, true, num_classes).double()
    hits, in_true, in_predicted = counts.diag(), counts.sum(1), counts.sum(0)
    occurs, either = in_true > 0, in_true + in_predicted > 0
    f1 = 2 * hits[either] / (in_true + in_predicted)[either]
    return {
        "accuracy": float(hits.sum() / counts.sum()),
        "balanced_accuracy": float((hits[occurs] / in_true[occurs]).mean()),
        "macro_f1": float(f1.mean()),
    }


def calibration_error(probs: Tensor, true: Tensor, *, bins: int = 15) -> float:
    """Expected calibration error: how far confidence is from accuracy, in [0, 1]; 0 is best.

    Guo et al., "On Calibration of Modern Neural Networks", 2017, equation 3: sum over bins of |B| / N |acc(B) - conf(B)|,
    with confidence the largest probability, and bins ((m - 1) / M, m / M] of equal width. It is biased upward on few examples.

    Args:
        probs: (N, C), N >= 1, rows that sum to 1.
        true: (N,) classes.
        bins: M.

    Raises:
        InvalidInput: No examples, shapes that do not fit, no probabilities, a class outside 0 ... C - 1, or no bins.
    """
    if probs.ndim != 2 or true.shape != probs.shape[:1] or len(true) == 0:
        raise InvalidInput(f"probs must be (N, C) and true (N,), got {tuple(probs.shape)} and {tuple(true.shape)}")
    rows = probs.double()
    if not (rows >= 0).all() or not torch.allclose(rows.sum(1), rows.new_ones(()), atol=1e-2, rtol=0):
        raise InvalidInput("probs must be rows of probabilities that sum to 1; logits? then use logits.softmax(1)")
    check_classes("true", true, probs.shape[1])
    if bins < 1:
        raise InvalidInput(f"bins must be at least 1, got {bins}")
    confidence, predicted = rows.max(1)  # (N,), (N,)
    edges = torch.arange(1, bins, device=rows.device, dtype=rows.dtype) / bins
    bin_of = torch.bucketize(confidence, edges)  # (N,), a bin's upper edge is its own
    gaps = rows.new_zeros(bins).index_add(0, bin_of, (predicted == true).double() - confidence)
    return float(gaps.abs().sum() / len(true))


def majority_accuracy(pool: Tensor, true: Tensor, num_classes: int) -> float:
    """The accuracy of always predicting the class that is most frequent in the pool: what a model must beat.

    Args:
        pool: (N,) classes of the pool, N >= 1; of equally frequent classes the smaller is predicted.
        true: (T,) classes to predict, T >= 1.
        num_classes: C.

    Raises:
        InvalidInput: No examples, or a class outside 0 ... C - 1.
    """
    if pool.ndim != 1 or true.ndim != 1 or len(pool) == 0 or len(true) == 0:
        raise InvalidInput(f"pool and true must be (N,) and (T,), got {tuple(pool.shape)} and {tuple(true.shape)}")
    for what, classes in (("pool", pool), ("true", true)):
        check_classes(what, classes, num_classes)
    majority = torch.bincount(pool, minlength=num_classes).argmax()
    return float((true == majority).double().mean())


def check_classes(what: str, classes: Tensor, num_classes: int) -> None:
    """Refuse what are not whole numbers from 0 to C - 1.

    Raises:
        InvalidInput: They are not; ``what`` names them.
    """
    if classes.dtype.is_floating_point or classes.dtype == torch.bool:
        raise InvalidInput(f"{what} must be whole numbers, got {classes.dtype}")
    if len(classes) and (classes.min() < 0 or classes.max() >= num_classes):
        low, high = int(classes.min()), int(classes.max())
        raise InvalidInput(f"{what} must be classes from 0 to {num_classes - 1}, got {low} to {high}")


@dataclass(frozen=True)
class Metric:
    """A number that every evaluation of a run has.

    Attributes:
        words: What tables and pages call it.
        measure: From logits (T, C) and the true classes (T,) to the number.
        of_constant: The number for predicting one class with certainty: from the share of the examples that are of this class,
            and C, all classes being among the examples.
        higher_is_better: Whether larger numbers are better; only such metrics are tested and stand in ``results.csv``.
    """

    words: str
    measure: Callable[[Tensor, Tensor], float]
    of_constant: Callable[[float, int], float]
    higher_is_better: bool = True


def _of_counts(name: str) -> Callable[[Tensor, Tensor], float]:
    return lambda logits, true: metrics(logits.argmax(1), true, logits.shape[1])[name]


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("accuracy", _of_counts("accuracy"), lambda share, _: share),
    "balanced_accuracy": Metric("balanced accuracy", _of_counts("balanced_accuracy"), lambda _, n: 1 / n),
    "macro_f1": Metric("macro-F1", _of_counts("macro_f1"), lambda share, n: 2 * share / (1 + share) / n),
    "calibration_error": Metric(
        "calibration error",
        lambda logits, true: calibration_error(logits.float().softmax(1), true),
        lambda share, _: 1 - share,
        higher_is_better=False,
    ),
}
"""What an evaluation measures, by its name in an ``evaluated`` event."""

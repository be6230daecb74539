"""Metrics of predictions: from their confusion matrix, and the calibration of their confidence.

``METRICS`` lists the metrics of an evaluation. To add a metric, add an entry there: runs, tables and pages read the list.
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
        predicted: Predicted classes, (N,) int64.
        true: True classes, (N,) int64.
        num_classes: Number of classes C.

    Raises:
        InvalidInput: The shapes differ or are not (N,), or a class is outside 0 ... C - 1.
    """
    if predicted.ndim != 1 or predicted.shape != true.shape:
        raise InvalidInput(f"predicted and true must be (N,), got {tuple(predicted.shape)} and {tuple(true.shape)}")
    for what, classes in (("predicted", predicted), ("true", true)):
        check_classes(what, classes, num_classes)
    return torch.bincount(true * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def metrics(predicted: Tensor, true: Tensor, num_classes: int) -> dict[str, float]:
    """Accuracy, balanced accuracy and macro F1, as fractions in [0, 1].

    As in scikit-learn, balanced accuracy is the mean recall over the classes in ``true``, and macro F1 is the mean F1 over the
    classes in ``true`` or ``predicted``.

    Args:
        predicted: Predicted classes, (N,) int64, N >= 1.
        true: True classes, (N,) int64.
        num_classes: Number of classes C.

    Raises:
        InvalidInput: There are no examples, the shapes differ or are not (N,), or a class is outside 0 ... C - 1.
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
    """Expected calibration error, the mean difference between confidence and accuracy, in [0, 1]; 0 is best.

    Guo et al., "On Calibration of Modern Neural Networks", 2017, equation 3: the sum over bins of |B| / N |acc(B) - conf(B)|. The
    confidence is the largest probability; the bins ((m - 1) / M, m / M] have equal width. The estimate is biased upward on few
    examples.

    Args:
        probs: Class probabilities, (N, C), N >= 1.
        true: True classes, (N,) int64.
        bins: Number of bins M.

    Raises:
        InvalidInput: There are no examples, the shapes do not match, rows are not probabilities, a class is outside 0 ... C - 1, or
            ``bins`` is below 1.
    """
    if probs.ndim != 2 or true.shape != probs.shape[:1] or len(true) == 0:
        raise InvalidInput(f"probs must be (N, C) and true (N,), got {tuple(probs.shape)} and {tuple(true.shape)}")
    rows = probs.double()
    if not (rows >= 0).all() or not torch.allclose(rows.sum(1), rows.new_ones(()), atol=1e-2, rtol=0):
        raise InvalidInput("each row of probs must be probabilities that sum to 1; for logits, pass logits.softmax(1)")
    check_classes("true", true, probs.shape[1])
    if bins < 1:
        raise InvalidInput(f"bins must be at least 1, got {bins}")
    confidence, predicted = rows.max(1)  # (N,), (N,)
    edges = torch.arange(1, bins, device=rows.device, dtype=rows.dtype) / bins
    bin_of = torch.bucketize(confidence, edges)  # (N,); a bin contains its upper edge
    gaps = rows.new_zeros(bins).index_add(0, bin_of, (predicted == true).double() - confidence)
    return float(gaps.abs().sum() / len(true))


def majority_accuracy(pool: Tensor, true: Tensor, num_classes: int) -> float:
    """The accuracy of always predicting the most frequent class of the pool, which a model must beat.

    Args:
        pool: Classes of the pool, (N,) int64, N >= 1; among equally frequent classes, the smaller is predicted.
        true: True classes of the test examples, (T,) int64, T >= 1.
        num_classes: Number of classes C.

    Raises:
        InvalidInput: There are no examples, or a class is outside 0 ... C - 1.
    """
    if pool.ndim != 1 or true.ndim != 1 or len(pool) == 0 or len(true) == 0:
        raise InvalidInput(f"pool and true must be (N,) and (T,), got {tuple(pool.shape)} and {tuple(true.shape)}")
    for what, classes in (("pool", pool), ("true", true)):
        check_classes(what, classes, num_classes)
    majority = torch.bincount(pool, minlength=num_classes).argmax()
    return float((true == majority).double().mean())


def check_classes(what: str, classes: Tensor, num_classes: int) -> None:
    """Check that classes are whole numbers from 0 to C - 1.

    Raises:
        InvalidInput: They are not; ``what`` names them in the message.
    """
    if classes.dtype.is_floating_point or classes.dtype == torch.bool:
        raise InvalidInput(f"{what} must be whole numbers, got {classes.dtype}")
    if len(classes) and (classes.min() < 0 or classes.max() >= num_classes):
        low, high = int(classes.min()), int(classes.max())
        raise InvalidInput(f"{what} must be classes from 0 to {num_classes - 1}, got {low} to {high}")


@dataclass(frozen=True)
class Metric:
    """A metric that every evaluation of a run computes.

    Attributes:
        words: Its name in tables and pages.
        measure: Function from logits (T, C) and true classes (T,) to the metric.
        of_constant: Function from the share of one class in the examples, and C, to the metric of predicting this class with
            certainty; all C classes occur in the examples.
        higher_is_better: Whether larger numbers are better; only these metrics are tested and written to ``results.csv``.
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
"""The metrics of an evaluation by their names in an ``evaluated`` event."""

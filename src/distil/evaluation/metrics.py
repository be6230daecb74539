"""Metrics of predictions of classes, from their confusion matrix, with the calibration of their confidence; of labels; of numbers.

``METRICS_OF`` lists the metrics of an evaluation for each task; the first is its main metric. To add a metric, add an entry there:
runs, tables and pages read the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.evaluation.units import Unit
from distil.tasks import Task


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


def label_metrics(predicted: Tensor, true: Tensor) -> dict[str, float]:
    """Macro F1, micro F1 and subset accuracy of label sets, as fractions in [0, 1].

    As in scikit-learn with ``zero_division=nan``, macro F1 is the mean over the labels that an example has or is predicted to have:
    the F1 of any other label is undefined. Where no example has or is predicted to have a label, all predictions are right, and
    both F1 are 1. Subset accuracy is the share of examples whose labels are all right.

    Args:
        predicted: Whether each example is predicted to have each label, (N, L) bool, N >= 1.
        true: Whether it has the label, (N, L) bool.

    Raises:
        InvalidInput: There are no examples, or the shapes differ or are not (N, L).
    """
    _check_rows(predicted, true)
    hits = (predicted & true).sum(0).double()  # (L,)
    both = predicted.sum(0).double() + true.sum(0).double()
    occurs = both > 0
    some = bool(occurs.any())
    return {
        "macro_f1": float((2 * hits[occurs] / both[occurs]).mean()) if some else 1.0,
        "micro_f1": float(2 * hits.sum() / both.sum()) if some else 1.0,
        "subset_accuracy": float((predicted == true).all(1).double().mean()),
    }


def target_metrics(predicted: Tensor, true: Tensor) -> dict[str, float]:
    """R2, root mean squared error and mean absolute error of predicted numbers; each is the mean over the T targets.

    R2 = 1 - sum (y - p)^2 / sum (y - mean y)^2, the share of the variance that the predictions explain: below 0 where they are
    worse than the mean of ``true``. Where all true values of a target are equal it is undefined, and counts as 1 for predictions
    that are all right and as 0 for others, as in scikit-learn. The errors are in the unit of the targets.

    Args:
        predicted: Predictions, (N, T), N >= 1.
        true: Targets, (N, T).

    Raises:
        InvalidInput: There are no examples, or the shapes differ or are not (N, T).
    """
    _check_rows(predicted, true)
    away = predicted.double() - true.double()
    squared = away.square().mean(0)  # (T,)
    variance = (true.double() - true[:1].double()).var(0, correction=0)  # exactly 0 for equal values
    constant = (squared == 0).double()
    r2 = torch.where(variance > 0, 1 - squared / variance.masked_fill(variance == 0, 1), constant)
    return {
        "r2": float(r2.mean()),
        "rmse": float(squared.sqrt().mean()),
        "mae": float(away.abs().mean()),
    }


def _check_rows(predicted: Tensor, true: Tensor) -> None:
    if predicted.ndim != 2 or predicted.shape != true.shape or len(true) == 0:
        raise InvalidInput(
            f"predicted and true must be two arrays of one shape, with a row for each of at least one example; got "
            f"{tuple(predicted.shape)} and {tuple(true.shape)}"
        )


@dataclass(frozen=True)
class Metric:
    """A metric that every evaluation of a run computes.

    Attributes:
        words: Its name in tables and pages.
        measure: Function from the outputs of a model and the labels of the test examples to the metric: logits (T, C) and true
            classes (T,); or probabilities of labels, or predictions, and labels, all with a column for each output.
        of_constant: Function from the share of one class in the examples, and C, to the metric of predicting this class with
            certainty; all C classes occur in the examples. None where there are no classes.
        higher_is_better: Whether larger numbers are better.
        tested: Whether strategies are compared by it; only these metrics are written to ``results.csv``.
        fraction: Whether it is a fraction in [0, 1]; see ``Unit``.
    """

    words: str
    measure: Callable[[Tensor, Tensor], float]
    of_constant: Callable[[float, int], float] | None = None
    higher_is_better: bool = True
    tested: bool = True
    fraction: bool = True

    @property
    def unit(self) -> Unit:
        """How its numbers are read."""
        return Unit(self.fraction, self.higher_is_better)


def _of_counts(name: str) -> Callable[[Tensor, Tensor], float]:
    return lambda logits, true: metrics(logits.argmax(1), true, logits.shape[1])[name]


def _of_labels(name: str) -> Callable[[Tensor, Tensor], float]:
    return lambda probs, true: label_metrics(probs > 0.5, true > 0.5)[name]


def _of_targets(name: str) -> Callable[[Tensor, Tensor], float]:
    return lambda predicted, true: target_metrics(predicted, true)[name]


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("accuracy", _of_counts("accuracy"), lambda share, _: share),
    "balanced_accuracy": Metric("balanced accuracy", _of_counts("balanced_accuracy"), lambda _, n: 1 / n),
    "macro_f1": Metric("macro-F1", _of_counts("macro_f1"), lambda share, n: 2 * share / (1 + share) / n),
    "calibration_error": Metric(
        "calibration error",
        lambda logits, true: calibration_error(logits.float().softmax(1), true),
        lambda share, _: 1 - share,
        higher_is_better=False,
        tested=False,
    ),
}
"""The metrics of an evaluation in classification by their names in an ``evaluated`` event."""

METRICS_OF: Mapping[Task, Mapping[str, Metric]] = {
    "classification": METRICS,
    "multilabel": {
        "macro_f1": Metric("macro-F1", _of_labels("macro_f1")),
        "micro_f1": Metric("micro-F1", _of_labels("micro_f1")),
        "subset_accuracy": Metric("subset accuracy", _of_labels("subset_accuracy")),
    },
    "regression": {
        "r2": Metric("R2", _of_targets("r2"), fraction=False),
        "rmse": Metric("RMSE", _of_targets("rmse"), higher_is_better=False, fraction=False),
        "mae": Metric("MAE", _of_targets("mae"), higher_is_better=False, fraction=False),
    },
}
"""The metrics of each task, its main metric first."""


def main_metric(task: Task) -> str:
    """The metric of the table, of the target and of the ceiling."""
    return next(iter(METRICS_OF[task]))

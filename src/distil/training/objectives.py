"""What a training minimizes, and how it counts what it has learned, for each task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it

from distil.errors import InvalidInput
from distil.evaluation.metrics import target_metrics
from distil.tasks import Task


@dataclass(frozen=True)
class Objective:
    """The loss and the score of a task.

    Attributes:
        loss: Function from outputs (B, C), labels and weights (B,) or None to the mean loss, which is weighted by the weights.
        hits: Function from outputs and labels of many examples to a score times their number: the score is the training accuracy.
        adds_up: Whether the hits of two parts add up to those of both together.
        check: Function from labels, the number of outputs and the caller's name for the labels to checked labels.
    """

    loss: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    hits: Callable[[Tensor, Tensor], Tensor]
    check: Callable[[Tensor, int, str], Tensor]
    adds_up: bool = True


def cross_entropy(logits: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    """Mean cross entropy of logits (B, C) or (B, 1) and labels (B,), weighted by ``weights`` (B,)."""
    reduction = "mean" if weights is None else "none"
    if logits.shape[1] == 1:
        losses = F.binary_cross_entropy_with_logits(logits[:, 0], y.to(logits.dtype), reduction=reduction)
    else:
        losses = F.cross_entropy(logits, y, reduction=reduction)
    return losses if weights is None else weighted(losses, weights)


def weighted(losses: Tensor, weights: Tensor | None) -> Tensor:
    """The mean of losses (B,), weighted by ``weights`` (B,) if there are any."""
    return losses.mean() if weights is None else (losses * weights).sum() / weights.sum()


def checked_classes(y: Tensor, num_classes: int, name: str) -> Tensor:
    """Labels as int64 (N,), checked to be whole numbers in 0..num_classes-1.

    Raises:
        InvalidInput: They are not.
    """
    if y.ndim != 1 or y.is_floating_point() or y.is_complex():
        raise InvalidInput(f"{name}: expected whole numbers of shape (N,), got {y.dtype} of shape {tuple(y.shape)}")
    y = y.long()
    low, high = (int(end) for end in y.aminmax())
    if low < 0 or high >= num_classes:
        raise InvalidInput(
            f"{name}: expected labels in 0..{num_classes - 1} for num_classes={num_classes}, "
            f"got labels from {low} to {high}"
        )
    return y


def checked_targets(y: Tensor, num_outputs: int, name: str) -> Tensor:
    """Targets as floating-point rows (N, T), checked to be finite, with a column for each output; (N,) where T is 1.

    Raises:
        InvalidInput: They are not.
    """
    rows = y[:, None] if y.ndim == 1 else y
    if rows.ndim != 2 or rows.shape[1] != num_outputs or rows.is_complex():
        raise InvalidInput(
            f"{name}: expected numbers of shape (N, {num_outputs}), one for each output, got {y.dtype} of shape {tuple(y.shape)}"
        )
    rows = rows if rows.is_floating_point() else rows.float()
    if not bool(rows.isfinite().all()):
        raise InvalidInput(f"{name}: expected finite numbers, got NaN or infinity")
    return rows


def _checked_sets(y: Tensor, num_labels: int, name: str) -> Tensor:
    rows = checked_targets(y, num_labels, name)
    if not bool(((rows == 0) | (rows == 1)).all()):
        raise InvalidInput(f"{name}: expected 0 and 1, whether an example has each label, got other numbers")
    return rows


def _predicted(logits: Tensor) -> Tensor:
    """The most probable class (B,) of logits (B, C) or (B, 1)."""
    return logits.argmax(1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()


def _right_classes(logits: Tensor, y: Tensor) -> Tensor:
    return (_predicted(logits) == y).sum(dtype=logits.dtype)


def _right_labels(logits: Tensor, y: Tensor) -> Tensor:
    return ((logits > 0) == (y > 0)).to(logits.dtype).mean(1).sum()


def _explained(predicted: Tensor, y: Tensor) -> Tensor:
    """R2, the mean over the targets, times the number of examples."""
    return predicted.new_tensor(len(y) * target_metrics(predicted, y)["r2"])


def _binary(logits: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    losses = F.binary_cross_entropy_with_logits(logits, y.to(logits.dtype), reduction="none")
    return weighted(losses.mean(1), weights)


def _squared(predicted: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    return weighted(F.mse_loss(predicted, y.to(predicted.dtype), reduction="none").mean(1), weights)


OBJECTIVES: Mapping[Task, Objective] = {
    "classification": Objective(cross_entropy, _right_classes, checked_classes),
    "multilabel": Objective(_binary, _right_labels, _checked_sets),
    "regression": Objective(_squared, _explained, checked_targets, adds_up=False),
}
"""Cross entropy and accuracy; mean binary cross entropy and the share of labels that are right; mean squared error and R2."""

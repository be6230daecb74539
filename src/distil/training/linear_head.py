"""The linear head: logistic or ridge regression on embeddings as a module, fitted to its optimum instead of trained by steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distil.data.arrays import Array, check_rows, is_array, precision_of, readable, take
from distil.data.examples import as_data
from distil.errors import DistilWarning, InvalidInput, all_labels_are, whole_number
from distil.functional.logistic_regression import (
    ClassWeights,
    Decay,
    check_settings,
    fit_logistic_regression,
    fit_per_label,
    held_out_probs,
    pool_scale,
)
from distil.functional.ridge_regression import fit_ridge_regression
from distil.functional.weighted_rows import canonical_blocks
from distil.rng import Rng
from distil.tasks import Task, least_outputs
from distil.training.fit import FitResult, Transform
from distil.training.objectives import OBJECTIVES

# Rows whose norm is between 2^-100 and 2^100 can be centered and scaled in float32.
_FLOAT32_EXPONENT = 100


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """How to fit a ``LinearHead``; every value is checked when the object is made.

    Attributes:
        decay: ``"auto"``: chosen on the labeled set, with a temperature; or the weight of the penalty, from 1e-8. See
            ``distil.functional.logistic_regression.fit_logistic_regression``.
        class_weights: ``"balanced"``: every class that occurs among the labels counts the same, however many labels it has.

    Raises:
        InvalidInput: A value is out of its range; the message names the field.
    """

    decay: Decay = "auto"
    class_weights: ClassWeights = "none"

    def __post_init__(self) -> None:
        check_settings(self.decay, self.class_weights)


class LinearHead(nn.Module):
    """A linear model on the rows of a pool, which are centered and divided by one number; the embedding is that row.

    A ``Learner`` fits it to the optimum of logistic regression each time, whatever it was before: there are no epochs, no learning
    rate and no draws, and first weights do not matter. With ``task="multilabel"`` it is a logistic regression for each label, and
    with ``task="regression"`` a ridge regression; ``fit_head`` fits these too.

    Args:
        center: What is subtracted from each row, (D,).
        spread: What rows are then divided by, above 0.
        num_classes: C, at least 2; or the number of labels or of predicted numbers, at least 1.
        task: What the columns of the outputs are.
        dtype: The precision of the head, to which rows are converted.

    >>> pool = torch.randn(500, 8)
    >>> LinearHead.over(pool, num_classes=3)(pool).shape
    torch.Size([500, 3])
    """

    center: Tensor
    spread: Tensor

    def __init__(
        self,
        center: Tensor,
        spread: float,
        num_classes: int,
        *,
        task: Task = "classification",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        least = least_outputs(task)
        classes = whole_number(num_classes, least)
        if classes is None:
            raise InvalidInput(f"num_classes must be a whole number from {least}, got {num_classes!r}")
        self.task = task
        self.register_buffer("center", center.to(dtype))
        self.register_buffer("spread", torch.tensor(spread, dtype=dtype))
        self.linear = nn.Linear(len(center), classes, dtype=dtype)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    @classmethod
    def over(
        cls,
        pool: Array,
        num_classes: int,
        *,
        ids: Tensor | None = None,
        transform: Transform | None = None,
        task: Task = "classification",
    ) -> LinearHead:
        """The head for a pool, with the mean and the mean squared norm of its rows; read once, in blocks of 4,096 ids.

        The head of a pool in float64 computes in float64, as does one whose rows are too large or too small for float32.

        Args:
            pool: Rows (N, ...) of numbers, labeled or not. Leave out examples of a test set.
            num_classes: C, at least 2; or the number of labels or of predicted numbers, at least 1.
            ids: Positions of the rows that count, (n,); default: all.
            transform: What prepares a minibatch of rows for the head; default: nothing.
            task: What the columns of the outputs are.

        Raises:
            InvalidInput: The pool is not an array, there is no row, or one has NaN or infinity.
        """
        data: object = as_data(pool, "pool")
        if not is_array(data):
            raise InvalidInput(
                f"pool must be an array with one row per example, got {type(pool).__name__}; pass its rows as one array, such as "
                "pool.to_numpy() or numpy.stack(pool)"
            )
        rows = readable(data)
        blocks = canonical_blocks(torch.arange(len(rows)) if ids is None else torch.as_tensor(ids).sort().values)
        center, spread = pool_scale(_rows_of(rows, block, transform) for block in blocks)
        return cls.at_scale(center, spread, num_classes, precision_of([rows]), task=task)

    @classmethod
    def at_scale(
        cls, center: Tensor, spread: float, num_classes: int, precision: torch.dtype, *, task: Task = "classification"
    ) -> LinearHead:
        """The head for a pool with this center and spread, see ``over``; ``precision`` is that of its rows."""
        near_one = 2.0**-_FLOAT32_EXPONENT < spread < 2.0**_FLOAT32_EXPONENT
        return cls(center, spread, num_classes, task=task, dtype=precision if near_one else torch.float64)

    def features(self, x: Tensor) -> Tensor:
        """The embedding (B, D) of a minibatch (B, ...)."""
        return (x.flatten(1).to(self.center.dtype) - self.center) / self.spread

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C), or predictions, of a minibatch (B, ...)."""
        logits: Tensor = self.linear(self.features(x))
        return logits


def _rows_of(rows: Array, ids: Tensor, transform: Transform | None) -> Tensor:
    """Some rows of a pool as the head is called with them, (B, D), finite."""
    x = take(rows, ids) if transform is None else transform(take(rows, ids))
    x = x.flatten(1)
    check_rows(ids, x, "pool")
    return x


def fit_head(head: LinearHead, x: Tensor, y: Tensor, config: HeadConfig) -> FitResult:
    """Fit a head in place on labeled rows; the same rows in any order give the same head but for rounding.

    Labels of one class alone give a head that answers this class everywhere, and a warning.

    Args:
        head: The head.
        x: Rows (n, ...), as the head is called with.
        y: Their classes, (n,) int64; whether they have each label, (n, L) of 0 and 1; or their targets, (n, T).
        config: Decay and class weights.

    Returns:
        Accuracy and mean cross entropy of the labeled rows after the fit, in nats, as the only epoch; and what was chosen. Of a
        multi-label head they are means over labels; of a regression R2 and the mean squared error.

    Raises:
        InvalidInput: Shapes that do not fit, no row, NaN or infinity, a label out of range.
    """
    rows = _scaled(head, x)
    if head.task != "classification":
        return _fit_columns(head, rows, y.cpu().double(), config)
    labels = y.cpu()
    found = fit_logistic_regression(
        rows, labels, head.linear.out_features, decay=config.decay, class_weights=config.class_weights
    )
    if found.decay is None:
        warnings.warn(
            f"{all_labels_are(len(labels))} of class {int(labels[0])}, so the linear head answers this class everywhere; "
            "label examples of another class",
            DistilWarning,
            stacklevel=2,
        )
    chosen = {} if found.decay is None else {"decay": found.decay, "temperature": found.temperature}
    return _fitted(head, rows, labels, found.weight, found.bias, chosen)


def _fit_columns(head: LinearHead, rows: Tensor, y: Tensor, config: HeadConfig) -> FitResult:
    """Fit the head of labels or of predicted numbers on scaled rows (n, D); ``y`` is (n, T) float64."""
    if y.shape != (len(rows), head.linear.out_features):
        raise InvalidInput(
            f"y must be ({len(rows)}, {head.linear.out_features}), a column for each output; got {tuple(y.shape)}"
        )
    if head.task == "multilabel":
        weight, bias = fit_per_label(rows, y, decay=config.decay, class_weights=config.class_weights)
        return _fitted(head, rows, y, weight, bias, {})
    if config.class_weights != "none":
        raise InvalidInput("class_weights has no meaning in regression; leave it out")
    found = fit_ridge_regression(rows, y, decay=config.decay)
    return _fitted(head, rows, y, found.weight, found.bias, {"decay": found.decay})


def _fitted(
    head: LinearHead, rows: Tensor, y: Tensor, weight: Tensor, bias: Tensor, chosen: Mapping[str, float]
) -> FitResult:
    """Give the head its weights; the result on the labeled rows, which are scaled, with what was chosen."""
    with torch.no_grad():
        head.linear.weight.copy_(weight)
        head.linear.bias.copy_(bias)
    objective, outputs = OBJECTIVES[head.task], rows @ weight.T + bias
    score = float(objective.hits(outputs, y)) / len(y)
    return FitResult((score,), (float(objective.loss(outputs, y, None)),), "optimum", chosen=chosen)


def held_out(head: LinearHead, x: Tensor, y: Tensor, rng: Rng) -> Tensor:
    """The probabilities of labeled rows by heads that were fitted without them, (n, C) float64; the head itself does not change.

    See ``distil.functional.logistic_regression.held_out_probs``: five folds, or single rows up to 20.

    Args:
        head: The head, which scales the rows and has the number of classes.
        x: Rows (n, ...), as the head is called with.
        y: Their classes, (n,) int64, of at least two classes.
        rng: Seeds the folds.

    Raises:
        InvalidInput: Shapes that do not fit, NaN or infinity, a label out of range, or labels of one class alone.
    """
    rows = _scaled(head, x)
    order = torch.randperm(len(rows), generator=rng.torch())
    probs = held_out_probs(rows[order], y.cpu()[order], head.linear.out_features)
    return torch.empty_like(probs).index_copy_(0, order, probs)


def _scaled(head: LinearHead, x: Tensor) -> Tensor:
    """Rows as the fit takes them: in float64, centered and scaled."""
    if x.dim() < 2 or x[:1].numel() != head.linear.in_features:
        raise InvalidInput(f"the head takes rows of {head.linear.in_features} numbers, got {tuple(x.shape)}")
    return (x.detach().cpu().flatten(1).double() - head.center.cpu().double()) / head.spread.cpu().double()

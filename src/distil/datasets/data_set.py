"""Labeled data sets: inputs, labels, class names and transforms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.data.cells import fits_a_cell, with_control
from distil.errors import InvalidInput
from distil.system.runtime import CHUNK_ROWS
from distil.tasks import OUTPUTS, Task, as_task, least_outputs

Split = tuple[NDArray[Any], NDArray[Any]]  # inputs (N, ...), labels (N,)


@dataclass(frozen=True, eq=False)
class DataSet:
    """Inputs and labels for training and testing, with the transforms of a batch of inputs.

    Attributes:
        name: The name of the set without aliases (``fmnist`` for ``fashion_mnist``); the file name for ``csv``, ``libsvm`` and
            ``npz``.
        x_train: Training inputs: (N, ...) float32 for tables, (N, channels, H, W) uint8 for images.
        y_train: Training labels, (N,) int64 in 0..num_classes-1; classes without examples are allowed. With ``partly``, -1 for
            examples without a label. For other tasks (N, num_classes) float64: 0 and 1, or targets; NaN without a label.
        x_test: Test inputs in the form of ``x_train``; None if the set has no test split.
        y_test: Test labels in the form of ``y_train``; None if the set has no test split.
        num_classes: Number of classes, at least 2; or of labels, or of targets, at least 1.
        class_names: One name per class or label, or empty.
        transform: A function that prepares a batch of inputs, in training and scoring; None: no preparation.
        augment: A function that changes a batch of training inputs at random, before ``transform``; None: no augmentation.
        names: The user's ids of ``x_train``, one per row; empty if there are none.
        read: Sentences on which columns of tables were read, if their content decided it.
        made_of: The origin of embeddings, if a file records it: the ``model``, and the ``key`` of model and pool.
        partly: Whether training examples may lack a label, because an oracle answers.
        task: What the labels are.

    Raises:
        InvalidInput: Shapes, types or widths do not match, a label is out of range, an input is NaN or infinite, or names are not
            distinct texts that a csv file can hold.
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor | None
    y_test: Tensor | None
    num_classes: int
    class_names: tuple[str, ...] = ()
    transform: Callable[[Tensor], Tensor] | None = None
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    names: Sequence[str] = ()
    read: Sequence[str] = ()
    made_of: Mapping[str, str] = field(default_factory=dict)
    partly: bool = False
    task: Task = "classification"

    def __post_init__(self) -> None:
        least = least_outputs(as_task(self.task))
        if self.num_classes < least:
            raise InvalidInput(f"{self.name}: num_classes must be at least {least}; got {self.num_classes}")
        if self.class_names and len(self.class_names) != self.num_classes:
            raise InvalidInput(
                f"{self.name}: expected one class name for each of {self.num_classes} classes; got {len(self.class_names)}"
            )
        self._check("train", self.x_train, self.y_train, partly=self.partly)
        if self.names and len(self.names) != len(self.x_train):
            raise InvalidInput(
                f"{self.name}: expected one name for each of the {len(self.x_train):,} rows of x_train; got {len(self.names):,}"
            )
        self._check_texts("names", self.names)
        self._check_texts("class_names", self.class_names)
        if (self.x_test is None) != (self.y_test is None):
            raise InvalidInput(f"{self.name}: pass both x_test and y_test, or neither")
        if self.x_test is not None and self.y_test is not None:
            self._check("test", self.x_test, self.y_test)
            here, there = ((x.shape[1:], x.dtype) for x in (self.x_train, self.x_test))
            if here != there:
                raise InvalidInput(
                    f"{self.name}: examples of the training set are {tuple(here[0])} {here[1]}, "
                    f"those of the test set {tuple(there[0])} {there[1]}; they must have the same shape and type"
                )

    def _check_texts(self, what: str, texts: Sequence[object]) -> None:
        """Refuse names that labeled.csv cannot hold, and those that name two things or none."""
        strange = (text for text in texts if not isinstance(text, str) or not text.strip() or not fits_a_cell(text))
        wrong = next(strange, None)
        wrong = with_control(texts) if wrong is None else wrong  # type: ignore[arg-type]  # all are texts here
        if wrong is not None:
            raise InvalidInput(
                f"{self.name}: {what} must be texts that are not empty, without control characters and halves of surrogate pairs; "
                f"got {wrong!r}"
            )
        if len(set(texts)) < len(texts):
            repeated = Counter(texts).most_common(1)[0][0]
            raise InvalidInput(f"{self.name}: {what} has {repeated!r} more than once; names must be distinct")

    def _check(self, part: str, x: Tensor, y: Tensor, *, partly: bool = False) -> None:
        if x.ndim < 2 or not len(x):
            raise InvalidInput(f"{self.name}: x_{part} must have shape (N, ...), N > 0; got {tuple(x.shape)}")
        check = self._check_classes if self.task == "classification" else self._check_columns
        check(part, x, y, partly)
        wrong = first_not_finite(x)
        if wrong is not None:
            raise InvalidInput(f"{self.name}: x_{part}[{wrong}] holds a NaN or an infinity; fill it in or drop the row")

    def _check_classes(self, part: str, x: Tensor, y: Tensor, partly: bool) -> None:
        if y.dtype != torch.int64 or y.shape != x.shape[:1]:
            raise InvalidInput(
                f"{self.name}: y_{part} must be int64 of shape ({len(x)},), one for each row of x_{part}; "
                f"got {y.dtype} {tuple(y.shape)}"
            )
        outside = (y < (-1 if partly else 0)) | (y >= self.num_classes)
        if bool(outside.any()):
            row = int(outside.nonzero()[0])
            raise InvalidInput(
                f"{self.name}: labels must be in 0..{self.num_classes - 1}; y_{part}[{row}] is {int(y[row])}"
            )

    def _check_columns(self, part: str, x: Tensor, y: Tensor, partly: bool) -> None:
        """Check label sets or targets."""
        if y.dtype != torch.float64 or y.shape != (len(x), self.num_classes):
            raise InvalidInput(
                f"{self.name}: y_{part} must be float64 of shape ({len(x)}, {self.num_classes}), a column for each of the "
                f"{OUTPUTS[self.task]}; got {y.dtype} {tuple(y.shape)}"
            )
        known = y[~y.isnan().all(1)] if partly else y
        sound = known.isfinite() if self.task == "regression" else (known == 0) | (known == 1)
        if not bool(sound.all()):
            expected = "finite numbers" if self.task == "regression" else "0 and 1"
            raise InvalidInput(f"{self.name}: y_{part} must hold {expected}; it has {float(known[~sound][0]):g}")

    def __repr__(self) -> str:
        test = "no test set" if self.x_test is None else f"{len(self.x_test)} test"
        example = f"{tuple(self.x_train.shape[1:])} {self.x_train.dtype}"
        size = f"{len(self.x_train)} train, {test}, {outputs_text(self.task, self.num_classes)}"
        return f"DataSet({self.name!r}: {size}, {example})"


def outputs_text(task: Task, count: int) -> str:
    """The outputs of a model in words: 10 classes, 1 target."""
    return f"{count} {OUTPUTS[task] if count != 1 else OUTPUTS[task].removesuffix('s')}"


def first_not_finite(x: Tensor) -> int | None:
    """The first row with a NaN or an infinity; None if there is none. Only the extremes of each block are checked first."""
    if x.is_floating_point() and x.numel():
        for start, rows in zip(range(0, len(x), CHUNK_ROWS), x.split(CHUNK_ROWS), strict=True):
            if not all(bool(end.isfinite()) for end in rows.aminmax()):
                return start + int((~rows.isfinite()).flatten(1).any(1).nonzero()[0])
    return None

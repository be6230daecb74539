"""Outputs for selections from embeddings alone: those of a linear head that is trained on the labeled examples."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distil.data.arrays import Array, take
from distil.data.labels import as_classes, as_labels, classes_among, labels_of
from distil.errors import InvalidInput, all_labels_are, counted
from distil.functional.weighted_rows import canonical_blocks
from distil.measuring.source import ArraySource, arguments_of
from distil.networks.output_kinds import activated
from distil.rng import Rng
from distil.signals import Embedding
from distil.strategies.auto import settled
from distil.strategies.base import ROLES, Strategy
from distil.system.runtime import Runtime
from distil.system.scratch import Space
from distil.tasks import Task
from distil.training.linear_head import HeadConfig, LinearHead, fit_head


@dataclass(frozen=True, eq=False)
class HeadLabels:
    """What a linear head is trained on, checked.

    Attributes:
        task: The task.
        y: The labels in the form that the head is fitted to, (M, ...).
        width: Number of outputs of the head.
        classes: The classes of the columns of probabilities; None in tasks without them.
        note: What is trained on what, as a sentence.
    """

    task: Task
    y: Tensor
    width: int
    classes: list[Any] | None
    note: str


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """What a linear head says about the examples of a pool.

    Attributes:
        outputs: Its probabilities or predictions, (N, C); only the rows that were asked for are set.
        labels: What it was trained on.
    """

    outputs: Tensor
    labels: HeadLabels


def arrays_read(strategy: Strategy) -> list[str]:
    """The arguments of ``select_from`` that the strategy reads, including ``labels``."""
    return arguments_of(signal for role in ROLES for signal in getattr(strategy.needs, role))


OUTPUTS: Mapping[Task, str] = {"classification": "probs", "multilabel": "probs", "regression": "predictions"}
"""The argument of ``select_from`` that holds the outputs of a model."""


def lacks_only_outputs(strategy: Strategy, arrays: Mapping[str, object], task: Task = "classification") -> bool:
    """Whether a model's outputs are all that a strategy still needs, and a head on the embeddings can give them."""
    missing = [name for name in arrays_read(strategy) if name != "labels" and name not in arrays]
    return missing == [OUTPUTS[task]] and "embeddings" in arrays


def for_arrays(strategy: Strategy, arrays: Mapping[str, object], labels: Any) -> tuple[Strategy, tuple[str, ...]]:  # noqa: ANN401
    """The strategy to run on these arrays, and notes: see :func:`distil.strategies.auto.settled`.

    Args:
        strategy: The strategy that the caller named.
        arrays: The arrays of the pool, by argument of ``select_from``.
        labels: The labels of the labeled examples, in any form with a length; None without labels.

    Raises:
        InvalidInput: The probabilities are those of tokens, and the strategy reads those of examples.
    """
    if "offsets" in arrays and "probs" in arrays_read(strategy):
        raise InvalidInput(
            f"offsets says that probs has a row for each token, and {type(strategy).__name__} reads a row for each example; leave "
            "out offsets, or take a strategy that reads tokens: token_uncertainty, mnlp or class_stratified_entropy"
        )
    embeddings = "embeddings" in arrays
    can_train = embeddings and labels is not None and len(classes_among(labels, "labels", len(labels))) > 1
    return settled(strategy, embeddings=embeddings, probs="probs" in arrays or can_train)


def head_labels(
    strategy: Strategy,
    task: Task,
    labels: Any,  # noqa: ANN401 - any argument of a caller
    labeled: Tensor,
    *,
    what: str = "labels",
    classes: Sequence[Any] | None = None,
    further: Sequence[Any] = (),
    names: Sequence[Any] | None = None,
) -> HeadLabels:
    """Check the labels that a linear head is trained on.

    Args:
        strategy: The strategy that needs the outputs, for messages.
        task: The task.
        labels: The labels, one per row of ``labeled``.
        labeled: The labeled rows, (M,).
        what: The caller's name for the labels, for messages.
        classes: All classes; default: the distinct labels, and ``further``.
        further: Classes that count without a labeled example, in classification: those of the validation set.
        names: The caller's names of the rows, for messages.

    Raises:
        InvalidInput: There is no label, one is missing, wrong or not in ``classes``, or all are of one class.
    """
    if not len(labeled):
        raise InvalidInput(f"{what} is empty; the linear head needs at least one labeled example")
    if task != "classification":
        y = labels_of(task, labels, what, labeled, names, classes=classes)
        said = "predictions" if task == "regression" else "probabilities"
        note = (
            f"no {OUTPUTS[task]} were given: a linear head was trained on the embeddings of {counted(len(y), 'labeled example')}, "
            f"and its {said} were read"
        )
        return HeadLabels(task, y, y.shape[1], None, note)
    known = list(classes or classes_among([*classes_among(labels, what, len(labeled)), *further], what))
    y = as_labels(labels, what, count=len(labeled), classes=known, ids=labeled, names=names)
    trained = len(y.unique())
    if trained < 2:
        raise InvalidInput(
            f"{type(strategy).__name__} needs probs, and the linear head that would give them needs labels of two classes; "
            f"{all_labels_are(len(y))} {known[int(y[0])]!r}: label examples of another class, pass probs, or use a strategy that "
            "reads embeddings alone, such as core_set"
        )
    named = as_classes(known, what=what if classes is None else "classes")
    note = (
        f"no probs were given: a linear head was trained on the embeddings of {counted(len(y), 'labeled example')} of "
        f"{trained:,} classes, and its probabilities were read"
    )
    return HeadLabels(task, y, len(named), named, note)


def trained_head(
    strategy: Strategy,
    embeddings: Array,
    rows: Tensor,
    labeled: Tensor,
    labels: Any,  # noqa: ANN401 - any argument of a caller
    *,
    task: Task = "classification",
    what: str = "labels",
    classes: Sequence[Any] | None = None,
    further: Sequence[Any] = (),
    names: Sequence[Any] | None = None,
    runtime: Runtime,
) -> TrainedHead:
    """Train a linear head on the labeled rows, and compute its outputs.

    Args:
        strategy: The strategy that needs the outputs, for messages.
        embeddings: The embeddings, (N, D); read three times.
        rows: The rows that are used, ascending, labeled ones included; the head is scaled to them, and others are not read.
        labeled: The labeled rows, (M,).
        labels: Their labels, one per row.
        task: The task of the head.
        what: The caller's name for the labels, for messages.
        classes: All classes; default: the distinct labels, and ``further``.
        further: Classes that count without a labeled example, in classification: those of the validation set.
        names: The caller's names of the rows, for messages.
        runtime: Memory of the outputs.

    Raises:
        InvalidInput: See ``head_labels``; or an embedding has NaN or infinity.
    """
    source = ArraySource(rows, {"embeddings": embeddings}, names=names)
    for _ in source.chunks((Embedding(),), runtime, Rng(0)):  # refuses NaN and infinity
        pass
    known = head_labels(strategy, task, labels, labeled, what=what, classes=classes, further=further, names=names)
    head = LinearHead.over(embeddings, known.width, ids=rows, task=task)
    fit_head(head, take(embeddings, labeled), known.y, HeadConfig())
    return TrainedHead(head_outputs(head, embeddings, rows, runtime), known)


def head_outputs(head: LinearHead, embeddings: Array, rows: Tensor, runtime: Runtime) -> Tensor:
    """The probabilities or predictions of a head for rows of the embeddings, ascending: (N, C); only these rows are set.

    Products of matrices depend in their last digit on the number of rows and of threads. So they are made of blocks of 4,096 ids
    and in float64: the outputs, rounded to the precision of the head, are then those of any part of the pool that has whole blocks.
    """
    outputs = Space(runtime, len(embeddings)).column(len(embeddings), head.linear.out_features, dtype=head.center.dtype)
    wide = copy.deepcopy(head).double()
    with torch.no_grad():
        for block in canonical_blocks(rows):
            outputs[block] = activated(wide(take(embeddings, block)), head.task).type(outputs.dtype)
    return outputs

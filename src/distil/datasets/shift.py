"""Controlled changes of a data set: noisy labels, rare classes, redundant examples.

Pure functions from labels or ids to new labels or ids: arguments are not modified, and the generator is the only source of
randomness.

>>> y = torch.tensor([0, 0, 0, 1, 1, 1])
>>> noisy = flip_labels(y, 2, 0.5, torch.Generator().manual_seed(0))
>>> int((noisy != y).sum())
3
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from distil.errors import InvalidInput, whole_number

RARE = 0.1  # size of a rare class as a share of the smallest class


def flip_labels(y: Tensor, num_classes: int, ratio: float, generator: torch.Generator) -> Tensor:
    """Give a share of the examples a wrong label.

    Uniform label noise: ``int(ratio * N)`` examples, drawn without replacement, get each of the other classes with equal
    probability. (DISTIL 0.1 drew from all classes, so one in C of the "noisy" labels was right.)

    Args:
        y: (N,) labels in 0..num_classes-1.
        num_classes: Number of classes, C, at least 2.
        ratio: Share of the labels to change, 0 to 1.
        generator: Draws the examples and their wrong labels.

    Returns:
        The new labels, (N,) int64.

    Raises:
        InvalidInput: A label or the ratio is out of range, or there are fewer than two classes.
    """
    labels = _labels(y, num_classes)
    count = int(_number("ratio", ratio, 0, 1) * len(labels))
    rows = torch.randperm(len(labels), generator=generator)[:count]
    steps = torch.randint(1, num_classes, (count,), generator=generator)  # 1..C-1: adding C would keep the label
    labels[rows] = (labels[rows] + steps.to(labels.device)) % num_classes
    return labels


def imbalanced(y: Tensor, num_classes: int, class_ratio: float, generator: torch.Generator) -> Tensor:
    """Ids of a subset in which a share of the classes is rare.

    ``int(class_ratio * num_classes)`` classes, drawn without replacement, become rare: each keeps a random sample of a tenth of
    the size of the smallest class that occurs (rounded down, at least one example). The other classes keep all their examples.

    Args:
        y: (N,) labels in 0..num_classes-1.
        num_classes: Number of classes, C, at least 2.
        class_ratio: Share of the classes to make rare, 0 to 1.
        generator: Draws the rare classes and the examples that they keep.

    Returns:
        Distinct positions in ``y``, int64, ascending.

    Raises:
        InvalidInput: A label or the ratio is out of range, or there are fewer than two classes.
    """
    labels = _labels(y, num_classes)
    counts = labels.bincount(minlength=num_classes)
    kept = max(1, int(RARE * int(counts[counts > 0].min()))) if len(labels) else 0
    rare = torch.randperm(num_classes, generator=generator)[
        : int(_number("class_ratio", class_ratio, 0, 1) * num_classes)
    ]
    stays = torch.ones_like(labels, dtype=torch.bool)
    for label in rare.tolist():
        rows = (labels == label).nonzero()[:, 0]
        stays[rows[torch.randperm(len(rows), generator=generator)[kept:]]] = False
    return stays.nonzero()[:, 0]


def redundant(y: Tensor, factor: float, generator: torch.Generator, *, keep: int = 0) -> Tensor:
    """Ids of a redundant copy of a data set: same size, same labels, fewer distinct examples.

    Of the ``n`` rows of each class after the first ``keep`` rows, ``ceil(n / factor)`` are drawn at random and stay; each of
    the other rows becomes a copy of one of them, and all get about equally many copies. Labels do not change, so
    ``x[redundant(y, 10, generator)]`` matches ``y``.

    Args:
        y: (N,) labels; any whole numbers.
        factor: At least 1; 1 changes nothing.
        generator: Draws the examples that stay.
        keep: Number of rows at the start that do not change.

    Returns:
        (N,) int64 positions in ``y``, with ``y[ids] == y``.

    Raises:
        InvalidInput: ``factor`` is below 1, or ``keep`` is outside 0..N.
    """
    labels = _whole(y)
    factor, keep = _number("factor", factor, 1, math.inf), _count("keep", keep, 0, len(labels))
    ids = torch.arange(len(labels), device=labels.device)
    for label in labels[keep:].unique().tolist():
        rows = (labels[keep:] == label).nonzero()[:, 0] + keep
        order = rows[torch.randperm(len(rows), generator=generator)]
        distinct = max(1, math.ceil(len(rows) / factor))
        ids[order] = order[torch.arange(len(rows)) % distinct]
    return ids


def tiled(ids: Tensor, copies: int, generator: torch.Generator) -> Tensor:
    """A random part of the ids, each ``copies`` times, for a pool of duplicates.

    ``len(ids) // copies`` ids are drawn without replacement; this list is then repeated as a whole. Unlike ``redundant``, it
    ignores labels.

    Args:
        ids: (N,) whole numbers.
        copies: Number of copies of each id, 1 to N.
        generator: Draws the ids.

    Returns:
        ``(len(ids) // copies * copies,)``, of the type of ``ids``.

    Raises:
        InvalidInput: ``copies`` is out of range.

    >>> tiled(torch.arange(7), 3, torch.Generator().manual_seed(0)).unique(return_counts=True)[1].tolist()
    [3, 3]
    """
    _whole(ids)
    copies = _count("copies", copies, 1, len(ids))
    drawn = torch.randperm(len(ids), generator=generator)[: len(ids) // copies]
    return ids[drawn].repeat(copies)


def _labels(y: Tensor, num_classes: int) -> Tensor:
    """A copy of the labels as int64, checked to be in 0..num_classes-1."""
    _count("num_classes", num_classes, 2, math.inf)
    labels = _whole(y)
    outside = (labels < 0) | (labels >= num_classes)
    if bool(outside.any()):
        row = int(outside.nonzero()[0])
        raise InvalidInput(f"labels must be in 0..{num_classes - 1}; y[{row}] is {int(labels[row])}")
    return labels


def _whole(y: Tensor) -> Tensor:
    if not isinstance(y, Tensor) or y.ndim != 1 or y.is_floating_point() or y.is_complex():
        got = f"{y.dtype} {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise InvalidInput(f"expected a tensor of whole numbers of shape (N,), got {got}")
    return y.detach().to(torch.int64, copy=True)


def _count(name: str, value: object, least: int, most: float) -> int:
    number = whole_number(value, least, most)
    if number is None:
        raise InvalidInput(f"{name}: expected a whole number from {least} to {most}, got {value!r}")
    return number


def _number(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not least <= float(value) <= most:
        raise InvalidInput(f"{name}: expected a number from {least} to {most}, got {value!r}")
    return float(value)

"""Diagnostics of selections: class balance, duplicates, spread, and agreement between strategies.

For the calibration of the selecting model, see ``metrics.calibration_error`` of its probabilities on held-out examples.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distil.errors import InvalidInput, all_labels_are
from distil.evaluation.metrics import check_classes
from distil.evaluation.statistics import Floats
from distil.functional.features import BLOCK_BYTES, Dense, Features, at_one_scale
from distil.functional.scale import number_times_two_to


@dataclass(frozen=True)
class ClassBalance:
    """How evenly classes occur.

    Attributes:
        counts: Number of examples of each class.
        entropy: Entropy of the shares of the classes, in nats.
        normalized: The entropy divided by log C: 1 if all classes are equally frequent, 0 if only one occurs.
    """

    counts: tuple[int, ...]
    entropy: float
    normalized: float


@dataclass(frozen=True)
class Spread:
    """Distances of selected examples from other examples: mean Euclidean distances, not squared.

    Attributes:
        to_labeled: Mean distance to the nearest example labeled before; None if there is none.
        to_selected: Mean distance to the nearest other example of the same selection; None for a selection of one.
    """

    to_labeled: float | None
    to_selected: float | None


@dataclass(frozen=True)
class Diagnosis:
    """Diagnostics of one selection.

    Attributes:
        balance: Balance of the classes of the selected examples; None without classes.
        duplicates: Share of the selected examples that equal one labeled or selected before; see ``duplicate_share``.
        spread: Distances of the selected examples from other examples.
    """

    balance: ClassBalance | None
    duplicates: float
    spread: Spread


def diagnose(
    x: Tensor, y: Tensor | None, selected: Sequence[int], labeled: Sequence[int], num_classes: int
) -> Diagnosis:
    """Compute the diagnostics of one selection.

    Args:
        x: Inputs or embeddings for distances and duplicates, one row for each id, (N, ...); rows are flattened.
        y: Classes, (N,) int64; None: there are none.
        selected: Selected ids in pick order, at least one.
        labeled: Ids that were labeled before.
        num_classes: Number of classes C.

    Raises:
        InvalidInput: There is no selected id, an id is not below N, the shapes do not match, or a selected or labeled row has a
            NaN or an infinity.
    """
    if y is not None and len(x) != len(y):
        raise InvalidInput(f"x and y must have one row for each id, got {len(x)} and {len(y)} rows")
    ids = [*labeled, *selected]
    if ids and not 0 <= min(ids) <= max(ids) < len(x):
        raise InvalidInput(f"ids must be from 0 to {len(x) - 1}, got {min(ids)} to {max(ids)}")
    balance = None if y is None else class_balance(y[_indices(selected, y)], num_classes)
    rows, before = x[_indices(selected, x)].flatten(1), x[_indices(labeled, x)].flatten(1)
    return Diagnosis(balance, duplicate_share(rows, before), spread(Dense(_floating(rows)), Dense(_floating(before))))


COLLAPSED = 0.05
"""A training has collapsed if it brings the training accuracy less than this share of the way from the majority's share to 1."""


def training_note(accuracy: float, y: Tensor) -> str | None:
    """A sentence on a training that hardly beats always answering the most frequent class; None where there is nothing to say.

    Args:
        accuracy: The training accuracy at the end.
        y: The labels trained on, (n,), n >= 1; nothing is said of label sets and targets, which have no most frequent class.
    """
    if y.ndim > 1:
        return None
    largest = int(y.bincount().max())
    if largest == len(y):
        return f"{all_labels_are(len(y))} of one class, so there was nothing to learn but to answer it"
    majority = largest / len(y)
    if accuracy - majority >= COLLAPSED * (1 - majority):
        return None
    return (
        f"the training collapsed: its training accuracy ended at {100 * accuracy:.1f} %, and the most frequent class alone is "
        f"{100 * majority:.1f} % of the {len(y)} labels"
    )


def class_balance(y: Tensor, num_classes: int) -> ClassBalance:
    """How evenly classes occur among examples.

    Args:
        y: Classes, (n,) int64, n >= 1.
        num_classes: Number of classes C; with one class, the balance is perfect.

    Raises:
        InvalidInput: There are no examples, or a class is outside 0 ... C - 1.
    """
    if y.ndim != 1 or len(y) == 0:
        raise InvalidInput(f"y must be (n,) with at least one example, got shape {tuple(y.shape)}")
    check_classes("y", y, num_classes)
    counts = torch.bincount(y, minlength=num_classes)
    entropy = float(torch.special.entr(counts.double() / len(y)).sum())
    return ClassBalance(tuple(counts.tolist()), entropy, entropy / math.log(num_classes) if num_classes > 1 else 1.0)


def duplicate_share(rows: Tensor, before: Tensor | None = None) -> float:
    """The share of rows that equal an earlier row exactly, so that their labels add nothing.

    Args:
        rows: Selected examples in pick order, (n, D), n >= 1.
        before: Examples that were labeled before, (M, D); default: none.

    Raises:
        InvalidInput: There are no rows, the shapes do not match, or there is a NaN or an infinity.
    """
    _check_rows("rows", rows)
    if len(rows) == 0:
        raise InvalidInput("rows must hold at least one row, got none")
    known = rows[:0] if before is None else before
    _check_rows("before", known)
    if known.shape[1] != rows.shape[1]:
        raise InvalidInput(f"rows and before must be equally wide, got {rows.shape[1]} and {known.shape[1]} columns")
    kinds = torch.unique(torch.cat([known, rows]), dim=0, return_inverse=True)[1]  # (M + n,)
    n_new = len(kinds.unique()) - len(kinds[: len(known)].unique())
    return (len(rows) - n_new) / len(rows)


def spread(rows: Features, before: Features) -> Spread:
    """Mean distances of selected examples to their nearest neighbors.

    Args:
        rows: Selected examples, n >= 1.
        before: Examples that were labeled before, M >= 0.

    Cost: n (n + M) distances, in blocks.

    Raises:
        InvalidInput: There are no rows, or there is a NaN or an infinity.
    """
    if len(rows) == 0:
        raise InvalidInput("rows must hold at least one row, got none")
    (rows, before), e = at_one_scale(rows, before)
    to_labeled = number_times_two_to(_mean_nearest(rows, before, itself=False), e) if len(before) else None
    to_selected = number_times_two_to(_mean_nearest(rows, rows, itself=True), e) if len(rows) > 1 else None
    return Spread(to_labeled, to_selected)


def overlap(selections: Sequence[Collection[int]]) -> Floats:
    """The agreement of k selections by their Jaccard indices |A and B| / |A or B| (Jaccard 1912), (k, k).

    Two selections of n examples drawn at random from N overlap by about n / (2 N - n). Two empty selections overlap by 1.

    Args:
        selections: The ids of each selection, in any order.
    """
    sets = [set(ids) for ids in selections]
    return np.array([[len(a & b) / len(a | b) if a or b else 1.0 for b in sets] for a in sets])


def _mean_nearest(rows: Features, others: Features, *, itself: bool) -> float:
    """Mean distance of rows to the nearest of ``others``; with ``itself``, both are the same rows and a row is not its neighbor."""
    step = max(1, BLOCK_BYTES // (8 * len(others)))
    nearest = []
    for start in range(0, len(rows), step):
        sq_dists = rows[slice(start, start + step)].sq_dists(others)  # (b, M)
        if itself:
            sq_dists.diagonal(start).fill_(math.inf)
        nearest.append(sq_dists.min(1).values.double().sqrt())
    return float(torch.cat(nearest).mean())


def _indices(ids: Sequence[int], of: Tensor) -> Tensor:
    return torch.tensor(list(ids), dtype=torch.int64, device=of.device)


def _floating(rows: Tensor) -> Tensor:
    return rows if rows.dtype in (torch.float32, torch.float64) else rows.float()


def _check_rows(what: str, rows: Tensor) -> None:
    if rows.ndim != 2 or not rows.isfinite().all():
        raise InvalidInput(f"{what} must be finite rows (n, D), got shape {tuple(rows.shape)} or a NaN or infinity")

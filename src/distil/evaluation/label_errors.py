"""Confident learning: which given labels are probably wrong, by the probabilities of a model that has not seen them.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70, 2021. The probability of a
class is compared with its mean over the examples that have its label, so a model that is less sure of one class than of others
does not accuse its labels. The probabilities must be out of fold: a model that was fitted to the labels agrees with them.

In all functions, ``labels`` (N,) are the given classes and ``probs`` (N, C) the probabilities. They raise InvalidInput where the
shapes do not fit, a label is out of range, or a row of probabilities does not sum to 1.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distil.errors import InvalidInput
from distil.evaluation.statistics import Floats, finite_array

Ints: TypeAlias = NDArray[np.int64]
Prune: TypeAlias = Literal["class", "noise_rate", "both"]

_ROUNDING: Final = 1e-6  # a mean of equal probabilities may exceed them by rounding
_SUM: Final = 1e-3  # by which the sum of a row may miss 1: float16 has three digits


def self_confidence(labels: ArrayLike, probs: ArrayLike) -> Floats:
    """The probability of the given label, (N,): the smaller, the more probably the label is wrong."""
    y, p = checked_labels(labels, probs)
    return p[np.arange(len(y)), y]


def normalized_margin(labels: ArrayLike, probs: ArrayLike) -> Floats:
    """The probability of the given label minus the largest other one, brought to 0..1, (N,): (p_given - p_other + 1) / 2.

    The smaller, the more probably the label is wrong; below 1/2, the model guesses another class.
    """
    y, p = checked_labels(labels, probs)
    margin: Floats = p[np.arange(len(y)), y] - _others(y, p).max(axis=1)
    return (margin + 1) / 2


def class_thresholds(labels: ArrayLike, probs: ArrayLike) -> Floats:
    """The mean probability of each class over the examples that have its label, (C,); infinite without one (equation 2)."""
    y, p = checked_labels(labels, probs)
    counts = np.bincount(y, minlength=p.shape[1])
    sums = np.bincount(y, p[np.arange(len(y)), y], minlength=p.shape[1])
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def confident_joint(labels: ArrayLike, probs: ArrayLike) -> Ints:
    """How often each label (row) was given to an example that is confidently of each class (column), (C, C); equation 1.

    An example is confidently of each class whose probability reaches its threshold; of several, it counts for the most probable.
    """
    y, p = checked_labels(labels, probs)
    above = p >= class_thresholds(y, p) - _ROUNDING
    sure = above.any(axis=1)
    classes = np.where(above, p, -1.0).argmax(axis=1)
    joint = np.zeros((p.shape[1], p.shape[1]), np.int64)
    np.add.at(joint, (y[sure], classes[sure]), 1)
    return joint


def estimated_joint(labels: ArrayLike, probs: ArrayLike) -> Ints:
    """How many examples have each label (row) and are of each class (column), as estimated, (C, C); equation 3 times N.

    Each row of the confident joint is scaled to the number of examples that have its label, and rounded so that it keeps this sum.

    Differences from the paper, both as in the authors' library: before it is scaled, the diagonal counts at least one example, so
    that a few examples do not make all labels of a class wrong; and the numbers are whole.
    """
    y, p = checked_labels(labels, probs)
    joint = confident_joint(y, p)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1))
    counts = np.bincount(y, minlength=len(joint))
    exact = joint / joint.sum(axis=1, keepdims=True) * counts[:, None]
    whole = np.floor(exact + 1e-9).astype(np.int64)
    largest_first = np.argsort(whole - exact, axis=1, kind="stable")  # of the remainders
    places = np.argsort(largest_first, axis=1, kind="stable")
    more: Ints = counts - whole.sum(axis=1)
    return np.asarray(whole + (places < more[:, None]), np.int64)


def label_errors(labels: ArrayLike, probs: ArrayLike, prune: Prune = "class") -> NDArray[np.bool_]:
    """Which labels are probably wrong, (N,) bool: as many as the estimated joint has off its diagonal.

    Args:
        labels: The given classes.
        probs: Out-of-fold probabilities.
        prune: ``class``: of each label, the examples with the smallest self-confidence. ``noise_rate``: of each label and each
            other class, the examples with the largest margin of that class over the label. ``both``: those that both choose. These
            are PBC, PBNR and C+NR in section 3.2 of the paper.

    Returns:
        The examples so chosen for which the model guesses another class; the others are left out, as in the authors' library. Equal
        margins: the smaller row counts first.
    """
    y, p = checked_labels(labels, probs)
    if prune not in ("class", "noise_rate", "both"):
        raise InvalidInput(f"prune must be 'class', 'noise_rate' or 'both', got {prune!r}")
    wrong: NDArray[np.bool_] = _others(y, p).max(axis=1) > p[np.arange(len(y)), y]
    joint = estimated_joint(y, p)
    if prune != "noise_rate":
        wrong &= _by_class(y, p, joint)
    if prune != "class":
        wrong &= _by_noise_rate(y, p, joint)
    return wrong


def suspects(labels: ArrayLike, probs: ArrayLike) -> Ints:
    """The rows whose labels are probably wrong, the most probable error first: :func:`label_errors` by self-confidence.

    The only example of its class is left out: a model that has not seen it does not know the class. There are no suspects where the
    model agrees with the labels no more often than by chance. A model that reads nothing of the examples always disagrees when it
    was fitted to all other labels, since these have one label less of this class.
    """
    y, p = checked_labels(labels, probs)
    judged = np.flatnonzero(np.bincount(y)[y] > 1)
    if not _beats_chance(y[judged], p[judged]):
        return judged[:0]
    found = judged[label_errors(y[judged], p[judged])]
    return found[np.argsort(self_confidence(y, p)[found], kind="stable")]


def _beats_chance(y: Ints, p: Floats) -> bool:
    """Whether guesses equal labels more often than guesses and labels of the same frequencies in a random order (kappa > 0)."""
    guesses, n_classes = p.argmax(axis=1), p.shape[1]
    expected = np.bincount(y, minlength=n_classes) @ np.bincount(guesses, minlength=n_classes)
    return bool(len(y) * (y == guesses).sum() > expected)


def _by_class(y: Ints, p: Floats, joint: Ints) -> NDArray[np.bool_]:
    """The examples of smallest self-confidence: of each label, as many as are of other classes."""
    chosen = np.zeros(len(y), bool)
    for label in range(len(joint)):
        rows = np.flatnonzero(y == label)
        order = np.argsort(p[rows, label], kind="stable")
        chosen[rows[order[: len(rows) - joint[label, label]]]] = True
    return chosen


def _by_noise_rate(y: Ints, p: Floats, joint: Ints) -> NDArray[np.bool_]:
    """The examples of largest margin: of each label and other class, as many as the joint says."""
    chosen = np.zeros(len(y), bool)
    for label in range(len(joint)):
        rows = np.flatnonzero(y == label)
        for other in np.flatnonzero(joint[label]):
            if other != label:
                order = np.argsort(p[rows, label] - p[rows, other], kind="stable")
                chosen[rows[order[: joint[label, other]]]] = True
    return chosen


def _others(y: Ints, p: Floats) -> Floats:
    """The probabilities without those of the given labels, which become -1."""
    others = p.copy()
    others[np.arange(len(y)), y] = -1
    return others


def checked_labels(labels: ArrayLike, probs: ArrayLike) -> tuple[Ints, Floats]:
    """Labels (N,) as int64 and probabilities (N, C) as float64.

    Raises:
        InvalidInput: Shapes do not fit, a label is out of range, or a row is no distribution.
    """
    y, p = np.asarray(labels), checked_probs(probs)
    if y.shape != p.shape[:1] or y.dtype.kind not in "iu":
        raise InvalidInput(
            f"labels must be whole numbers, one for each of the {len(p)} rows of probs; got {y.dtype} {y.shape}"
        )
    if not 0 <= int(y.min()) <= int(y.max()) < p.shape[1]:
        raise InvalidInput(f"labels must be in 0..{p.shape[1] - 1}, got {int(y.min())} to {int(y.max())}")
    return y.astype(np.int64), p


def checked_probs(probs: ArrayLike) -> Floats:
    """Probabilities (N, C) as float64.

    Raises:
        InvalidInput: They are not rows of at least two numbers, or a row is no distribution.
    """
    p = finite_array("probs", probs)
    if p.ndim != 2 or p.shape[1] < 2 or not len(p):
        raise InvalidInput(f"probs must be rows of probabilities of at least two classes, (N, C), got shape {p.shape}")
    wrong = (p < 0).any(axis=1) | (np.abs(p.sum(axis=1) - 1) > _SUM)
    if wrong.any():
        row = int(wrong.argmax())
        raise InvalidInput(f"each row of probs must be at least 0 and sum to 1; row {row} sums to {p[row].sum():.4g}")
    return p

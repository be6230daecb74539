"""Several people's labels and a model's probabilities together: consensus, how good each person is, and what to label or relabel.

CROWDLAB: Goh, Tkachenko and Mueller, "CROWDLAB: Supervised learning to infer consensus labels and quality scores for data with
multiple annotators", 2022. ActiveLab: Goh and Mueller, "ActiveLab: Active Learning with Re-Labeling by Multiple Annotators", 2023.

In all functions, ``votes`` (N, J) is the class that each of J people gave each example, -1 where a person gave none, and ``probs``
(N, C) are probabilities of a model that has not seen the example's labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from distil.errors import InvalidInput
from distil.evaluation.label_errors import Ints, checked_probs
from distil.evaluation.statistics import Floats

_LEAST: Final = 1e-6  # the smallest weight, and the smallest error of the most common class


@dataclass(frozen=True, eq=False)
class Weights:
    """How much each person and the model count.

    Attributes:
        people: Weight of each person, (J,).
        model: Weight of the model.
        agreement: P, the mean share of an example's labels that equal its consensus, over the examples with at least two labels;
            None if there is none.
    """

    people: Floats
    model: float
    agreement: float | None


@dataclass(frozen=True, eq=False)
class Crowd:
    """What people and the model say together.

    Attributes:
        consensus: The most probable class of each example by the labels and the model, (N,).
        quality: Its probability, (N,).
        probs: The probabilities of all classes, (N, C).
        annotators: The quality of each person, (J,): between 0 and 1, larger is better; NaN without a label.
        weights: The weights behind them.
    """

    consensus: Ints
    quality: Floats
    probs: Floats
    annotators: Floats
    weights: Weights


def majority_vote(votes: ArrayLike, probs: ArrayLike) -> Ints:
    """The class that most people gave, (N,); of tied classes, and without a label of all, the one of largest probability."""
    given, p = _checked(votes, probs)
    counts = _counts(given, p.shape[1])
    most = counts == counts.max(axis=1, keepdims=True)
    return np.asarray(np.where(most, p, -1.0).argmax(axis=1), np.int64)


def crowdlab(votes: ArrayLike, probs: ArrayLike) -> Crowd:
    """Consensus, its probability, and the quality of each person.

    The probabilities of an example are the mean of the model's and, for each of its labels, of a distribution with P on the label
    and (1 - P) / (C - 1) on each other class, weighted by :class:`Weights`. The weights are computed from the majority vote; then
    the classes of largest probability become the consensus, and the weights are computed again from it.

    The weight of a person is max(1 - (1 - s) / (1 - a), 1e-6): s is the share of the labels of others, on the same examples, that
    equal the person's, and a the share of the most common class, so a person who agrees no more often than by always naming that
    class does not count. That of the model is the same, with the share of its guesses that equal the consensus, times
    the square root of the mean number of labels of an example. All are measured on the examples with at least two labels. A person
    without one has the mean s of the others.

    The quality of a person is w Q + (1 - w) A: Q, the mean probability of the person's labels; A, the share that equals the
    consensus on examples with at least two labels (without these, the quality is Q); w, the weight of the model as a share of its
    sum with the mean weight of a person times the mean number of labels.

    Where no example has two labels, nothing is known of the people: all weights are 1, the probabilities are the model's, and
    consensus is the label.
    """
    given, p = _checked(votes, probs)
    consensus = majority_vote(given, p)
    weights = _weights(given, p, consensus)
    found = _ensemble(given, p, weights)
    if weights.agreement is not None:
        consensus = np.where((given >= 0).any(axis=1), found.argmax(axis=1), consensus)
        weights = _weights(given, p, consensus)
        found = _ensemble(given, p, weights)
    quality = found[np.arange(len(p)), consensus]
    return Crowd(consensus, quality, found, _quality_of_people(given, consensus, found, weights), weights)


def activelab(votes: ArrayLike, probs: ArrayLike) -> Floats:
    """ActiveLab's score of each example, (N,): the lower, the more one more label of it tells, be it the first or a further one.

    With W the weights of the model and of the people who labeled the example, w the mean weight of all people, q the probability
    of the consensus, and C classes: (W q + w / C) / (W + w): the probability of the consensus after one more label of which nothing
    is known.

    The paper's temperature for the model is left out: the probabilities must be calibrated.
    """
    given, p = _checked(votes, probs)
    crowd = crowdlab(given, p)
    new = float(crowd.weights.people.mean())
    total = crowd.weights.model + (given >= 0) @ crowd.weights.people
    return np.asarray((total * crowd.quality + new / p.shape[1]) / (total + new), np.float64)


def _weights(given: Ints, p: Floats, consensus: Ints) -> Weights:
    n_labels = (given >= 0).sum(axis=1)
    several = n_labels > 1
    if not several.any():
        return Weights(np.ones(given.shape[1]), 1.0, None)
    right = (given == consensus[:, None]).sum(axis=1)
    agreement = float((right / np.maximum(n_labels, 1))[several].mean())
    most_common = float(np.bincount(consensus[several]).max() / several.sum())
    error = max(1 - most_common, _LEAST)
    model = 1 - (1 - float((p.argmax(axis=1) == consensus)[several].mean())) / error
    people = 1 - (1 - _agreement_with_others(given, p.shape[1])) / error
    return Weights(
        np.maximum(people, _LEAST), max(model, _LEAST) * float(np.sqrt(n_labels[n_labels > 0].mean())), agreement
    )


def _agreement_with_others(given: Ints, n_classes: int) -> Floats:
    """For each person, the share of others' labels on the same examples that equal the person's, (J,)."""
    has = given >= 0
    counts = _counts(given, n_classes)
    equal = np.where(has, np.take_along_axis(counts, np.maximum(given, 0), axis=1) - 1, 0).sum(axis=0)
    others = np.where(has, has.sum(axis=1, keepdims=True) - 1, 0).sum(axis=0)
    share = equal / np.maximum(others, 1)
    return np.asarray(np.where(others > 0, share, share[others > 0].mean()), np.float64)


def _ensemble(given: Ints, p: Floats, weights: Weights) -> Floats:
    """The weighted mean of the model's probabilities and those of the labels, (N, C)."""
    if weights.agreement is None:
        return p
    n_classes = p.shape[1]
    other = (1 - weights.agreement) / (n_classes - 1)
    total, weight = weights.model * p, np.full(len(p), weights.model)
    for person, own in zip(given.T, weights.people, strict=True):
        has = person >= 0
        said = np.full((len(p), n_classes), other)
        said[has, person[has]] = weights.agreement
        total = total + np.where(has[:, None], own * said, 0)
        weight = weight + own * has
    return np.asarray(total / weight[:, None], np.float64)


def _quality_of_people(given: Ints, consensus: Ints, found: Floats, weights: Weights) -> Floats:
    has = given >= 0
    several = has & (has.sum(axis=1) > 1)[:, None]
    people = float(weights.people.mean()) * has.sum() / max(int(has.any(axis=1).sum()), 1)
    share = weights.model / (weights.model + people)
    own = np.where(has, np.take_along_axis(found, np.maximum(given, 0), axis=1), 0).sum(axis=0)
    right = (several & (given == consensus[:, None])).sum(axis=0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a person without a label
        q, a = own / has.sum(axis=0), right / several.sum(axis=0)
    return np.asarray(np.where(several.any(axis=0), share * q + (1 - share) * a, q), np.float64)


def _counts(given: Ints, n_classes: int) -> Ints:
    """How many people gave each class, (N, C)."""
    return np.stack([(given == label).sum(axis=1) for label in range(n_classes)], axis=1)


def _checked(votes: ArrayLike, probs: ArrayLike) -> tuple[Ints, Floats]:
    given, p = np.asarray(votes), checked_probs(probs)
    if given.ndim != 2 or len(given) != len(p) or not given.shape[1] or given.dtype.kind not in "iu":
        raise InvalidInput(
            f"votes must be whole numbers, one row for each of the {len(p)} rows of probs and one column a person; got "
            f"{given.dtype} {given.shape}"
        )
    if not -1 <= int(given.min()) <= int(given.max()) < p.shape[1]:
        raise InvalidInput(
            f"votes must be in 0..{p.shape[1] - 1}, or -1 for none; got {int(given.min())} to {int(given.max())}"
        )
    return given.astype(np.int64), p

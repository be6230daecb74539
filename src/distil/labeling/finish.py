"""The rest of a pool labeled by a model, so that at most a stated share of all labels is wrong; the remainder goes to people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from distil.errors import InvalidInput, as_share, counted
from distil.evaluation.certify import Routes, certified, routed, sequences
from distil.functional.bounds import draws_needed, errors_allowed, finite_bounds
from distil.labeling.samples import Predictions, Sample, agreed
from distil.rng import Rng

Rows = NDArray[np.int64]
Source = Literal["human", "model", "second"]

_SLACK: Final = 1e-9  # 0.07 of 100 items are 7, which floating-point numbers make 7.000000000000001


@dataclass(frozen=True, eq=False)
class Second:
    """The answers of a second labeler.

    Attributes:
        answers: Row -> label.
        cost: The cost of an answer, where a person's is 1.
    """

    answers: Mapping[int, str]
    cost: float


@dataclass(frozen=True, eq=False)
class Finished:
    """A pool with its labels.

    Attributes:
        sources: Who labels each row, or is to label it, (N,).
        labels: The label of each row; None: it is still to come.
        probabilities: The probability that the model gives to the label of each row; None without a label.
        wrong: Number of items of the sample that the model or the second labeler labels wrongly, among those that fall to them; the
            sample keeps the labels of people.
        allowed: Number of labels of the pool that may be wrong.
        bound: With the stated confidence, at most this share of all labels is wrong.
        estimate: The share that is expected to be wrong.
        threshold: The least probability of a label of the model; None where it labels nothing.
        random: Number of items of the sample.
    """

    sources: list[Source]
    labels: list[str | None]
    probabilities: list[float | None]
    wrong: int
    allowed: int
    bound: float
    estimate: float
    threshold: float | None
    random: int

    def records(self, predictions: Predictions) -> list[dict[str, Any]]:
        """A record for each item of the pool: ``id``, ``label``, ``source``, ``probability``."""
        rows = zip(self.labels, self.sources, self.probabilities, strict=True)
        return [
            {"id": predictions.arrays.name(row), "label": label, "source": source, "probability": p}
            for row, (label, source, p) in enumerate(rows)
        ]

    def open_rows(self, source: Source) -> list[int]:
        """The rows that still need a label of this source."""
        return [row for row, own in enumerate(self.sources) if own == source and self.labels[row] is None]


def finish(
    predictions: Predictions,
    sample: Sample,
    answers: Mapping[int, str],
    *,
    error: float,
    confidence: float,
    second: Second | None = None,
) -> Finished:
    """Split a pool between a model and people so that at most ``error`` of all its labels is wrong.

    Labels of people count as right. See :mod:`distil.evaluation.certify` for the test, which is exact.

    Args:
        predictions: The pool. The model must not have been fitted to the labels of the sample.
        sample: Items drawn at random without replacement, with labels.
        answers: Row -> label, of further items, such as those that an earlier call left to people.
        error: The largest share of wrong labels in the whole pool, in (0, 1).
        confidence: The probability, over samples, that the share is no larger, in (0, 1).
        second: A second labeler, for items of which the model is not sure enough.

    Raises:
        InvalidInput: The sample was not drawn uniformly, it is too small for ``error`` (the message says how many labels are
            needed), or the second labeler did not label all of it.
    """
    error, confidence = as_share("error", error), as_share("confidence", confidence)
    if sample.sampling != "uniform":
        raise InvalidInput(
            f"{sample.origin}: its items were drawn in another way, {sample.sampling}; finish needs items drawn uniformly (distil "
            "evaluate --sampling uniform)"
        )
    known = agreed(predictions.arrays, {"labels": sample.known, "answers": answers})
    places, order = _order(predictions, sample)
    limit = math.floor(error * len(predictions.probs) + _SLACK)
    alpha = 1 - confidence
    _check_size(len(sample.rows), len(order), limit, alpha, len(predictions.probs), second)
    wrong, second_wrong = _wrong(predictions, sample, second)
    own = places[sample.rows]
    if second is None:
        end = certified(own, wrong, len(order), limit, alpha)
        routes = Routes(end, end)
    else:
        routes = routed(own, wrong, second_wrong, len(order), limit, alpha, second.cost)
    errors = (wrong & (own < routes.model)) | (second_wrong & (own >= routes.model) & (own < routes.second))
    return _finished(predictions, sample, known, routes, places, errors, limit, second)


def _order(predictions: Predictions, sample: Sample) -> tuple[Rows, Rows]:
    """The place of each row, (N,), and the rows in their order, the surest first; rows labeled earlier have place -1."""
    rows = np.setdiff1d(np.arange(len(predictions.probs)), sample.earlier)
    ties = Rng(0).child("finish").keys(torch.from_numpy(rows)).numpy()
    order = rows[np.lexsort((ties, -predictions.sureness[rows]))]
    places = np.full(len(predictions.probs), -1)
    places[order] = np.arange(len(order))
    return places, order


def _check_size(count: int, size: int, limit: int, alpha: float, items: int, second: Second | None) -> None:
    """Refuse a sample that shows nothing even if no item of it is wrong."""
    alpha /= sequences(second is not None)
    if errors_allowed(count, size, limit, alpha) >= 0:
        return
    needed = draws_needed(size, limit, alpha)
    least = math.ceil(1000 * finite_bounds(0, count, size, 1 - alpha, sides=1).high * size / items) / 1000
    raise InvalidInput(
        f"{counted(count, 'random label')} cannot show that at most {limit:,} of {items:,} labels are wrong: even without an "
        f"error among them, up to {least:.1%} may be wrong; label {needed - count:,} more items drawn at random ({needed:,} in "
        f"all), or allow an error of {least:g} (--error)"
    )


def _wrong(
    predictions: Predictions, sample: Sample, second: Second | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the model, and the second labeler, are wrong on each item of the sample; an item without a label counts as wrong."""
    truth = predictions.columns(sample.labels, f"labels in {sample.origin}")
    wrong = predictions.guesses[sample.rows] != truth
    if second is None:
        return wrong, wrong
    missing = [predictions.arrays.name(int(row)) for row in sample.rows if int(row) not in second.answers]
    if missing:
        raise InvalidInput(
            f"the second labeler has to answer the whole sample, on which its errors are measured; {len(missing):,} of "
            f"{len(sample.rows):,} answers are missing, the first: {missing[0]!r}"
        )
    answers = predictions.columns([second.answers[int(row)] for row in sample.rows], "answers of the second labeler")
    return wrong, (answers != truth) | (truth < 0)


def _finished(
    predictions: Predictions,
    sample: Sample,
    known: Mapping[int, str],
    routes: Routes,
    places: Rows,
    errors: NDArray[np.bool_],
    limit: int,
    second: Second | None,
) -> Finished:
    items, guesses = len(predictions.probs), predictions.guesses
    sources: list[Source] = []
    labels: list[str | None] = []
    for row in range(items):
        label: str | None = None
        source: Source = "human"
        if row in known:
            label = known[row]
        elif 0 <= places[row] < routes.model:
            source, label = "model", predictions.name(int(guesses[row]))
        elif 0 <= places[row] < routes.second and second is not None:
            source, label = "second", second.answers.get(row)
        sources.append(source)
        labels.append(label)
    columns = predictions.columns([label or "" for label in labels], "labels")
    probabilities = [None if c < 0 else float(predictions.probs[row, c]) for row, c in enumerate(columns.tolist())]
    by_model = [p for p, source in zip(probabilities, sources, strict=True) if source == "model" and p is not None]
    size, count, wrong = items - len(sample.earlier), len(sample.rows), int(errors.sum())
    corrected = sum(int(row) in known for row in sample.rows[errors])
    return Finished(
        sources,
        labels,
        probabilities,
        wrong,
        limit,
        (limit - corrected) / items if routes.second else 0.0,
        (wrong / count * (size - count) + wrong - corrected) / items,
        min(by_model, default=None),
        count,
    )

"""The accuracy of a model over a pool from the labels of few items, with an interval that holds, and which items to label next."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from distil.errors import DistilWarning, InvalidInput, as_share, counted, nearest
from distil.functional.estimates import (
    Estimate,
    active_chances,
    active_draws,
    active_estimate,
    stratified_draws,
    stratified_estimate,
    uniform_estimate,
)
from distil.labeling.samples import Draw, Predictions, Sample, Sampling
from distil.rng import Rng
from distil.selection.arguments import as_count

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Measure = Literal["accuracy", "macro_f1", "loss"]

MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)
Word = TypeVar("Word", bound=str)

_SPREAD: Final = 1000


@dataclass(frozen=True, eq=False)
class Test:
    """The items over which a model is judged: all of a pool but those that were labeled before.

    Attributes:
        predictions: The pool.
        rows: Rows of the items, (N,) ascending.
    """

    predictions: Predictions
    rows: Rows

    @classmethod
    def without(cls, predictions: Predictions, earlier: Rows) -> Test:
        """All items but these rows."""
        return cls(predictions, np.setdiff1d(np.arange(len(predictions.probs)), earlier))

    @property
    def sureness(self) -> Floats:
        """The largest probability of each item, (N,)."""
        return self.predictions.sureness[self.rows]

    @property
    def chances(self) -> Floats:
        """The probability of each item in an active draw, (N,): by the standard deviation that its correctness is expected to have.

        Warns:
            DistilWarning: The probabilities spread by more than 1,000.
        """
        found = active_chances(np.sqrt(self.sureness * (1 - self.sureness)))
        if found.max() > _SPREAD * found.min():
            warnings.warn(
                f"the weights of active draws spread by a factor of {found.max() / found.min():,.0f}, because the model is unsure "
                "of very few items; nearly all draws fall on these, and uniform sampling may do better",
                DistilWarning,
                stacklevel=2,
            )
        return found


# -------------------------------------------------------------------------------------------------------------- estimates


def evaluate(predictions: Predictions, sample: Sample, measure: Measure, level: float) -> Estimate:
    """The mean of a measure over the items of a test, with an interval.

    Args:
        predictions: The pool.
        sample: The sample and its labels.
        measure: ``accuracy``; ``macro_f1``, the mean F1 over the classes that occur; or ``loss``, where the labels are numbers
            from 0 to 1, such as a loss or a grade, whose mean is estimated.
        level: Confidence level, in (0, 1).

    Raises:
        InvalidInput: A label is not a class, or not a number from 0 to 1, or active draws were made by other probabilities.
    """
    level = as_share("confidence", level)
    test = Test.without(predictions, sample.earlier)
    estimate = _Estimator(test, sample)
    if measure == "loss":
        return estimate(_losses(sample), 1 - test.sureness, level)
    labels = predictions.columns(sample.labels, f"labels in {sample.origin}")
    if measure == "macro_f1":
        return _macro_f1(test, sample, labels, estimate, level)
    right = predictions.guesses[sample.rows] == labels
    return estimate(right.astype(np.float64), test.sureness, level)


class _Estimator:
    """Estimates means over the items of a test as the items of the sample were drawn."""

    def __init__(self, test: Test, sample: Sample) -> None:
        self._size, self._sampling, self._repeated = len(test.rows), sample.sampling, sample.repeated
        if self._sampling == "active":
            self._places, self._chances = np.searchsorted(test.rows, sample.rows), test.chances
            drawn_by = np.array([draw.probability for draw in sample.draws])
            if not np.allclose(drawn_by, self._chances[self._places], rtol=1e-4):
                raise InvalidInput(
                    f"{sample.origin}: the probabilities of its draws are not those of this pool and model; pass the same probs "
                    "and labeled as when they were drawn. Another model is judged on uniform or stratified draws (--sampling)"
                )

    def __call__(self, values: Floats, guesses: Floats, level: float, *, sides: int = 2) -> Estimate:
        """The mean of values of which those of the sample are known, (n,), and a guess of all, (N,)."""
        if self._sampling == "uniform":
            return uniform_estimate(values, self._size, level, sides=sides)
        drawn = values[self._repeated]
        if self._sampling == "stratified":
            return stratified_estimate(drawn, level, sides=sides)
        return active_estimate(drawn, self._places[self._repeated], guesses, self._chances, level, sides=sides)


def _losses(sample: Sample) -> Floats:
    found = []
    for text in sample.labels:
        try:
            value = float(text.replace(",", ".")) if text else 1.0
        except ValueError:
            value = math.nan
        if not 0 <= value <= 1:
            raise InvalidInput(f"{sample.origin}: a loss must be a number from 0 to 1, got {text!r}")
        found.append(value)
    return np.array(found)


def _macro_f1(test: Test, sample: Sample, labels: Rows, estimate: _Estimator, level: float) -> Estimate:
    """Macro F1 from bounds of the share of hits and of misses of each class, which hold all at once (Bonferroni).

    F1 of a class is 2 hits / (predicted + hits + misses), where the share of items that are predicted as the class is known. It
    rises with the hits and falls with the misses, so each end of the interval needs two bounds of each class.
    """
    if (labels < 0).any():
        raise InvalidInput(f"{sample.origin}: macro_f1 needs a label for every item of the sample; use accuracy")
    probs, guesses = test.predictions.probs, test.predictions.guesses
    classes = probs.shape[1]
    each = 1 - (1 - level) / (4 * classes)
    ends: list[list[float]] = [[], [], []]
    for c in range(classes):
        drawn, own = guesses[sample.rows] == c, guesses[test.rows] == c
        expected, share = probs[test.rows, c].clip(0, 1), float(own.mean())
        hits, misses = (
            estimate(((labels == c) & which).astype(np.float64), expected * every, each, sides=1)
            for which, every in ((drawn, own), (~drawn, ~own))
        )
        cells = (hits.mean, misses.mean), (hits.low, misses.high), (min(hits.high, share), misses.low)
        for found, (hit, miss) in zip(ends, cells, strict=True):
            if share + hit + miss > 0:  # the class occurs
                found.append(2 * hit / (share + hit + miss))
    mean, low, high = (float(np.mean(found)) for found in ends)
    return Estimate(mean, low, high)


# ------------------------------------------------------------------------------------------------------------- next items


def next_draws(test: Test, n: object, sampling: Sampling | None, sample: Sample | None, seed: int) -> dict[int, Draw]:
    """Draw the items to label next: row -> how it was drawn, in the order of the draws.

    Args:
        test: The items to draw from.
        n: Number of draws; of stratified and active ones, two may fall on one item.
        sampling: The design; None: that of the sample, else uniform.
        sample: The sample so far.
        seed: Seed of the draws; the same seed and number of earlier draws give the same items.

    Raises:
        InvalidInput: ``n`` is out of range, the sample was drawn in another way, or draws have no label yet.
    """
    design = (sampling or "uniform") if sample is None else sample.sampling
    if sampling not in (None, design):
        raise InvalidInput(
            f"the sample was drawn in another way, {design}; go on with that, or begin a new sample without these labels"
        )
    if sample is not None and sample.waiting:
        raise InvalidInput(
            f"{counted(sample.waiting, 'item')} drawn before have no label yet; label all items of the sheets, then draw more"
        )
    before = 0 if sample is None else sum(draw.times for draw in sample.draws)
    generator = np.random.default_rng(Rng(seed).child("evaluate", before).integer())
    if design == "uniform":
        left = test.rows if sample is None else np.setdiff1d(test.rows, sample.rows)
        rows = generator.permutation(left)[: as_count(n, len(left))]
        chances = np.full(len(rows), 1 / len(test.rows))
    else:
        points = generator.random(as_count(n, len(test.rows)))
        if design == "stratified":
            every = np.full(len(test.rows), 1 / len(test.rows))
            # in an order that says nothing of the items: people who end early lose all parts alike
            places = generator.permutation(stratified_draws(1 - test.sureness, points))
        else:
            every = test.chances
            places = active_draws(every, points)
        rows, chances = test.rows[places], every[places]
    found: dict[int, Draw] = {}
    for number, (row, chance) in enumerate(zip(rows.tolist(), chances.tolist(), strict=True), before + 1):
        earlier = found.get(row)
        found[row] = Draw(number, 1, design, chance) if earlier is None else earlier._replace(times=earlier.times + 1)
    return found


def sheet_of(predictions: Predictions, draws: dict[int, Draw], known: Mapping[int, str]) -> list[dict[str, Any]]:
    """The rows of a sheet to fill in: id, how it was drawn, and a label where one is known."""
    return [
        {
            "id": predictions.arrays.name(row),
            "draw": draw.first,
            "draws": draw.times,
            "sampling": draw.sampling,
            "probability": draw.probability,
            "label": known.get(row),
        }
        for row, draw in draws.items()
    ]


def one_of(what: str, given: str, known: Sequence[Word]) -> Word:
    """``given`` if it is one of ``known``; InvalidInput otherwise."""
    found = next((each for each in known if each == given), None)
    if found is None:
        raise InvalidInput(f"{what} must be one of {', '.join(known)}, got {given!r}{nearest(str(given), known)}")
    return found

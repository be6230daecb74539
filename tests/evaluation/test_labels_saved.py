"""Label efficiencies with their intervals: by hand, by all resamples of a few seeds, and by simulation."""

import itertools
import math

import numpy as np
import pytest

from distil.errors import InvalidInput
from distil.evaluation.curves import labels_to_reach
from distil.evaluation.labels_saved import labels_saved

LABELS = np.array([10.0, 20.0, 30.0, 40.0])


def curves(count, seed=0, noise=0.03, last=0.8):
    """The rows of a strategy and of a slower baseline, which reaches ``last``."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, noise / 2, (count, 1))
    own, other = np.array([0.4, 0.7, 0.8, 0.9]), np.array([0.4, 0.5, 0.65, last])
    return tuple(mean + hard + rng.normal(0, noise, (count, 4)) for mean in (own, other))


def test_the_ratio_is_that_of_the_mean_curves():
    own, other = curves(5)
    expected = labels_to_reach(LABELS, other.mean(0), 0.7) / labels_to_reach(LABELS, own.mean(0), 0.7)
    found = labels_saved(LABELS, own, other, 0.7)
    assert (found.ratio, found.bound) == (pytest.approx(expected), "")
    assert found.low < expected < found.high
    back = labels_saved(LABELS, other, own, 0.7)
    assert (back.ratio, back.low, back.high) == pytest.approx((1 / expected, 1 / found.high, 1 / found.low))


def test_of_three_and_four_seeds_the_ends_are_those_of_all_resamples():
    """With few seeds the tails are thinner than one resample, so the ends are the extremes."""
    for count, target in itertools.product((3, 4), (0.6, 0.7, 0.78)):
        own, other = curves(count, seed=count)
        low, high = math.inf, 0.0
        for chosen in itertools.product(range(count), repeat=count):
            mine, theirs = (labels_to_reach(LABELS, rows[list(chosen)].mean(0), target) for rows in (own, other))
            low = min(low, min(theirs, 40) / mine)
            high = max(high, theirs / mine)
        found = labels_saved(LABELS, own, other, target)
        assert (found.low, found.high) == pytest.approx((low, high)), (count, target)


def test_a_known_distribution():
    """The baseline needs 10 labels more than a multiple of its shift, the strategy always 20: the bootstrap is that of a mean."""
    count = 40
    shift = np.random.default_rng(0).normal(0, 0.02, count)
    own = np.tile([0.5, 0.7, 0.9, 0.9], (count, 1))
    other = np.array([0.3, 0.5, 0.7, 0.9]) - shift[:, None]  # 0.7 is reached with 30 + 500 times the mean shift
    found = labels_saved(LABELS, own, other, 0.7)
    half = 2.0227 * shift.std(ddof=1) / math.sqrt(count)  # Student's t with 39 degrees of freedom
    expected = [(30 + 50 * (shift.mean() + side * half)) / 20 for side in (-1, 1)]
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.003)
    assert found.level == 0.95


def test_where_a_curve_never_gets_there_only_a_bound_is_known():
    own, other = curves(3, noise=0.0)
    never = labels_saved(LABELS, own, other, 0.85)  # the strategy reaches it with 35 labels
    assert (never.ratio, never.bound, never.low, never.high) == (
        pytest.approx(40 / 35),
        "at least",
        pytest.approx(40 / 35),
        math.inf,
    )
    back = labels_saved(LABELS, other, own, 0.85)
    assert (back.ratio, back.bound, back.low, back.high) == (
        pytest.approx(35 / 40),
        "at most",
        0,
        pytest.approx(35 / 40),
    )
    neither = labels_saved(LABELS, own, other, 0.95)
    assert (neither.ratio, neither.bound, neither.low, neither.high) == (None, "", 0, math.inf)


def test_resamples_that_never_get_there_open_the_interval():
    """The baseline's mean reaches the target, but not without its best seed."""
    own, other = curves(4, noise=0.0, last=0.72)
    other = other.copy()
    other[:, 3] = [0.66, 0.66, 0.66, 0.9]
    found = labels_saved(LABELS, own, other, 0.7)
    assert (found.bound, found.high) == ("", math.inf)
    assert 1 < found.low < found.ratio


def test_where_a_curve_starts_above_the_target_fewer_labels_may_do():
    low, high = np.full((2, 4), [0.3, 0.5, 0.6, 0.7]), np.full((2, 4), [0.6, 0.7, 0.8, 0.9])
    found = labels_saved(LABELS, low, high, 0.5)  # the baseline has it with at most 10 labels, the strategy with 20
    assert (found.ratio, found.bound, found.low, found.high) == (0.5, "at most", 0, 0.5)
    found = labels_saved(LABELS, high, low, 0.5)
    assert (found.ratio, found.bound, found.low, found.high) == (2, "at least", 2, math.inf)
    for target in (0.2, 0.3):  # at or below the first point of both
        found = labels_saved(LABELS, low, low, target)
        assert (found.ratio, found.bound, found.low, found.high) == (1, "", 1, 1)


def test_few_seeds_have_no_interval_or_one_of_a_lower_level():
    own, other = curves(1)
    found = labels_saved(LABELS, own, other, 0.7)
    assert found.ratio > 1
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert [labels_saved(LABELS, *curves(n), 0.7).level for n in (2, 3, 5, 6)] == [0.5, 0.75, 0.9375, 0.95]


def test_what_has_no_label_efficiency():
    own, other = curves(3)
    for wrong in (own[:2], own[:, :3], own[0], own[:0]):
        with pytest.raises(InvalidInput, match=r"values and baseline_values must be \(seeds, 4\)"):
            labels_saved(LABELS, wrong, other, 0.7)
    with pytest.raises(InvalidInput, match="values must be finite"):
        labels_saved(LABELS, np.full((3, 4), np.nan), other, 0.7)
    with pytest.raises(InvalidInput, match="level must be between 0 and 1"):
        labels_saved(LABELS, own, other, 0.7, 95)


@pytest.mark.slow
def test_the_interval_covers_the_truth_as_often_as_it_says():
    labels = np.arange(20.0, 421, 40)
    own, other = (0.97 - 0.6 * np.exp(-labels / a) for a in (90, 140))
    for count, target in itertools.product((3, 5, 10), (0.8, 0.9)):
        truth = labels_to_reach(labels, other, target) / labels_to_reach(labels, own, target)
        rng, inside = np.random.default_rng(0), 0
        for _ in range(300):
            hard = rng.normal(0, 0.008, (count, 1))
            noisy = [mean + hard + rng.normal(0, 0.01, (count, 11)) for mean in (own, other)]
            found = labels_saved(labels, *noisy, target)
            inside += found.low <= truth <= found.high
        assert found.level - 0.035 <= inside / 300, (count, target)
        assert inside / 300 <= found.level + 0.1, (count, target)

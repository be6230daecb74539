import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distil.errors import InvalidInput
from distil.experiment.compare import (
    Curves,
    area_under_curve,
    label_efficiency,
    labels_to_reach,
    mean_interval,
    paired_difference,
    summarize,
)

# Mean accuracy over 10 seeds, in %, of DISTIL 0.1 on scikit-learn's digits.
LABELS = np.arange(20, 421, 40)
RANDOM = np.array([56.4, 81.1, 88.2, 91.0, 92.3, 92.5, 93.1, 93.2, 94.1, 94.7, 94.4]) / 100
MARGIN = np.array([56.4, 85.8, 90.7, 93.7, 94.9, 95.9, 96.4, 96.5, 96.8, 97.0, 97.1]) / 100
KMEANS = np.array([56.4, 85.9, 88.0, 89.9, 91.1, 91.3, 91.9, 91.8, 92.6, 92.8, 93.3]) / 100


def seeds(mean, count=10, noise=0.005, seed=0):
    """Curves around a mean that share their noise's scale but not its draws."""
    return np.clip(mean + noise * np.random.default_rng(seed).standard_normal((count, len(mean))), 0, 1)


@pytest.mark.parametrize("count", [2, 3, 10])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_mean_interval_is_scipys(count, level):
    values = np.random.default_rng(count).random((count, 4))
    mean, low, high = mean_interval(values, level)
    expected = stats.t.interval(level, count - 1, loc=values.mean(0), scale=stats.sem(values, axis=0))
    np.testing.assert_allclose(mean, values.mean(0))
    np.testing.assert_allclose((low, high), expected)


def test_mean_interval_by_hand():
    # 1, 2, 3: mean 2, s = 1, t(0.975; 2) = 4.302653, half = 4.302653 / sqrt(3).
    mean, low, high = mean_interval(np.array([[1.0], [2.0], [3.0]]))
    np.testing.assert_allclose([mean[0], low[0], high[0]], [2, 2 - 2.484138, 2 + 2.484138], atol=1e-6)


def test_one_seed_has_a_mean_and_no_interval():
    mean, low, high = mean_interval([[0.25, 0.5]])
    np.testing.assert_array_equal(mean, [0.25, 0.5])
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_the_interval_covers_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0).standard_normal((4, 20_000))  # 20,000 experiments of 4 seeds
    _, low, high = mean_interval(draws)
    assert abs(((low < 0) & (high > 0)).mean() - 0.95) < 0.006


def test_area_is_the_mean_over_the_points():
    values = np.array([[0.0, 0.5, 1.0, 0.9], [0.2, 0.2, 0.2, 0.2]])
    np.testing.assert_allclose(area_under_curve([10, 20, 30, 40], values), [0.6, 0.2])
    np.testing.assert_allclose(area_under_curve([1, 20, 30, 400], values), [0.6, 0.2])


@pytest.mark.parametrize("curve", [RANDOM, MARGIN, KMEANS])
def test_the_documented_distance_to_the_trapezoid(curve):
    area = area_under_curve(LABELS, curve[None])[0]
    trapezoid = np.sum((curve[1:] + curve[:-1]) / 2 * np.diff(LABELS)) / (LABELS[-1] - LABELS[0])
    ends = (curve[0] + curve[-1]) / 2
    assert trapezoid - area == pytest.approx((area - ends) / (len(curve) - 1))


@pytest.mark.parametrize(
    ("curve", "target", "expected"),
    [
        (RANDOM, 0.94, 300 + 40 * 8 / 9),  # 93.2 at 300, 94.1 at 340
        (MARGIN, 0.94, 140 + 40 * 3 / 12),  # 93.7 at 140, 94.9 at 180
        (MARGIN, 0.937, 140),  # on a point
        (RANDOM, 0.564, 20),  # there at once
        (RANDOM, 0.5, 20),
        (RANDOM, 0.945, 340 + 40 * 4 / 6),  # and below again at 420
        (RANDOM, 0.95, math.inf),
        (KMEANS, 0.94, math.inf),
    ],
)
def test_labels_to_reach_by_hand(curve, target, expected):
    assert labels_to_reach(LABELS, curve, target) == pytest.approx(expected)


def test_the_first_crossing_counts():
    assert labels_to_reach([10, 20, 30, 40], [0.1, 0.5, 0.2, 0.9], 0.4) == pytest.approx(17.5)


def test_a_target_missed_by_rounding_alone_is_reached():
    mean = np.mean([0.1, 0.2, 0.3])  # 0.20000000000000004 or a hair below 0.2, depending on the order
    assert labels_to_reach([10, 20], [0.0, mean], 0.2) == pytest.approx(20)
    assert labels_to_reach([10, 20], [0.0, 0.2 - 1e-12], 0.2) == pytest.approx(20)
    assert labels_to_reach([10, 20], [0.0, 0.2 - 1e-6], 0.2) == math.inf


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.floats(0.01, 1))
def test_labels_to_reach_agrees_with_reading_off_a_fine_grid(values, target):
    labels = 10.0 * np.arange(1, len(values) + 1)
    fine = np.linspace(labels[0], labels[-1], 100 * (len(values) - 1) + 1)  # with every point on it
    hit = np.flatnonzero(np.interp(fine, labels, values) >= target - 1e-9)
    got = labels_to_reach(labels, values, target)
    if len(hit) and math.isfinite(got):
        assert got <= fine[hit[0]] + 1e-6
        assert np.interp(got, labels, values) == pytest.approx(max(target, values[0]), abs=1e-6)
    else:
        assert max(values) < target + 1e-6


def test_label_efficiency():
    assert label_efficiency(340, 160) == 2.125
    assert label_efficiency(100, 400) == 0.25
    assert label_efficiency(math.inf, 160) == math.inf
    assert label_efficiency(160, math.inf) == 0
    assert math.isnan(label_efficiency(math.inf, math.inf))


@pytest.mark.parametrize("wrong", [0, -1, math.nan])
def test_label_efficiency_refuses_what_is_no_number_of_labels(wrong):
    with pytest.raises(InvalidInput, match="strategy must be above 0"):
        label_efficiency(10, wrong)
    with pytest.raises(InvalidInput, match="baseline must be above 0"):
        label_efficiency(wrong, 10)


@pytest.mark.parametrize("count", [2, 5, 30])
def test_paired_difference_is_scipys(count):
    rng = np.random.default_rng(count)
    a, b = rng.random(count), rng.random(count)
    mean, low, high, p = paired_difference(a, b, 0.9)
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.9)
    np.testing.assert_allclose((mean, low, high, p), ((a - b).mean(), *interval, expected.pvalue))
    back = paired_difference(b, a, 0.9)
    np.testing.assert_allclose((back.mean, back.low, back.high, back.p), (-mean, -high, -low, p))


def test_the_p_value_and_the_interval_say_the_same():
    rng = np.random.default_rng(1)
    said = set()
    for _ in range(200):
        d = paired_difference(rng.normal(0.6, 1, 6), np.zeros(6))
        assert (d.p < 0.05) == (d.low > 0 or d.high < 0)
        said.add(d.p < 0.05)
    assert said == {True, False}


def test_pairing_sees_what_separate_means_do_not():
    rng = np.random.default_rng(0)
    hard = rng.normal(0.8, 0.05, 8)  # how hard each seed's split is
    a, b = hard + 0.01 + rng.normal(0, 0.002, 8), hard
    assert paired_difference(a, b).p < 0.001
    assert stats.ttest_ind(a, b).pvalue > 0.5


def test_differences_without_spread():
    same = paired_difference([0.5, 0.7], [0.5, 0.7])
    assert same == (0, 0, 0, 1)
    shifted = paired_difference([0.5, 0.75], [0.25, 0.5])
    assert shifted == (0.25, 0.25, 0.25, 0)
    rounding = paired_difference([0.1 + 0.2, 0.1 + 0.2, 0.6], [0.3, 0.3, 0.6])
    assert rounding == (0, 0, 0, 1)


def test_one_seed_has_a_difference_and_no_test():
    mean, *rest = paired_difference([0.5], [0.25])
    assert mean == 0.25
    assert np.isnan(rest).all()


def test_summaries_of_the_reference_curves():
    curves = {
        "margin_sampling": Curves(LABELS, seeds(MARGIN, seed=1)),
        "random_sampling": Curves(LABELS, seeds(RANDOM, seed=2)),
        "kmeans_sampling": Curves(LABELS, seeds(KMEANS, seed=3)),
    }
    random, margin, kmeans = summarize(curves, target=0.94)
    assert [s.name for s in (random, margin, kmeans)] == [
        "random_sampling",
        "margin_sampling",
        "kmeans_sampling",
    ]
    assert {s.baseline for s in (random, margin, kmeans)} == {"random_sampling"}
    assert random.seeds == 10
    assert random.difference is None
    assert random.times_fewer == 1

    values = curves["margin_sampling"].values
    np.testing.assert_allclose(margin.mean, values.mean(0))
    np.testing.assert_allclose((margin.low, margin.high), mean_interval(values)[1:])
    area = values.mean(1)
    interval = stats.t.interval(0.95, 9, loc=area.mean(), scale=stats.sem(area))
    np.testing.assert_allclose((margin.area_low, margin.area_high), interval)
    assert margin.area == pytest.approx(area.mean())
    assert margin.labels_needed == labels_to_reach(LABELS, values.mean(0), 0.94)
    assert margin.times_fewer == pytest.approx(random.labels_needed / margin.labels_needed)
    assert 1.8 < margin.times_fewer < 2.6
    expected = stats.ttest_rel(area, curves["random_sampling"].values.mean(1))
    assert margin.difference.p == pytest.approx(expected.pvalue)
    assert margin.difference.mean == pytest.approx(margin.area - random.area)
    assert kmeans.labels_needed == math.inf
    assert kmeans.times_fewer == 0


def test_summaries_where_the_baseline_never_gets_there():
    curves = {"r": Curves(LABELS, RANDOM[None]), "m": Curves(LABELS, MARGIN[None])}
    random, margin = summarize(curves, baseline="r", target=0.95)
    assert random.labels_needed == math.inf
    assert math.isnan(random.times_fewer)
    assert margin.times_fewer == math.inf
    assert margin.difference.mean == pytest.approx((MARGIN - RANDOM).mean())
    assert math.isnan(margin.difference.p)
    assert math.isnan(margin.area_low)


def test_summaries_without_a_target():
    (only,) = summarize({"random_sampling": Curves(LABELS, seeds(RANDOM))}, target=None)
    assert (only.target, only.labels_needed, only.times_fewer) == (None, None, None)


def test_summarizing_changes_nothing_and_takes_lists():
    values = seeds(RANDOM)
    kept = values.copy()
    a = summarize({"random_sampling": Curves(LABELS, values)}, target=0.9)[0]
    b = summarize({"random_sampling": Curves(LABELS.tolist(), values.tolist())}, target=0.9)[0]
    np.testing.assert_array_equal(values, kept)
    np.testing.assert_array_equal(a.mean, b.mean)
    with pytest.raises(dataclasses.FrozenInstanceError):
        a.area = 0.0


GOOD = Curves(LABELS, seeds(RANDOM))


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        (Curves(LABELS[:-1], GOOD.values[:, :-1]), "badge: measured at"),
        (Curves(LABELS + 1, GOOD.values), "badge: measured at"),
        (Curves(LABELS, GOOD.values[:9]), "badge: 9 seeds, but random_sampling has 10"),
        (Curves(LABELS, GOOD.values[:, :-1]), r"badge: values must be \(seeds, 11\)"),
        (Curves(LABELS, GOOD.values[0]), "badge: values must be"),
        (Curves(LABELS, GOOD.values[:0]), "badge: values must be"),
        (Curves(LABELS, [[0.5] * 11, [0.5]]), "badge: values must be numbers"),
        (Curves(LABELS, np.where(GOOD.values > 0.9, np.nan, GOOD.values)), "badge: values must be finite"),
        (Curves(LABELS, 100 * GOOD.values), "badge: values must be fractions.*divide percentages by 100"),
        (Curves(LABELS, -GOOD.values), "badge: values must be fractions"),
        (Curves(LABELS[::-1], GOOD.values), "badge: labels must be above 0 and increase"),
        (Curves(LABELS - 20, GOOD.values), "badge: labels must be above 0"),
        (Curves(LABELS[:, None], GOOD.values), "badge: labels must be one number a point"),
        (Curves([], np.empty((10, 0))), "badge: labels must be one number a point"),
        (Curves(np.full(11, np.inf), GOOD.values), "badge: labels must be finite"),
    ],
)
def test_curves_that_cannot_be_compared_are_refused_by_name(curves, message):
    with pytest.raises(InvalidInput, match=message):
        summarize({"random_sampling": GOOD, "badge": curves}, target=0.9)


@pytest.mark.parametrize("target", [0, -0.1, 94, math.nan])
def test_a_target_that_is_no_fraction_is_refused(target):
    with pytest.raises(InvalidInput, match="target must be a fraction"):
        summarize({"random_sampling": GOOD}, target=target)


def test_a_baseline_that_is_not_there_is_refused():
    with pytest.raises(InvalidInput, match="did you mean 'random_sampling'"):
        summarize({"random_sampling": GOOD}, baseline="random_samplin", target=None)
    with pytest.raises(InvalidInput, match="there are: none"):
        summarize({}, target=None)


def test_what_the_numbers_refuse():
    with pytest.raises(InvalidInput, match="at least one seed"):
        mean_interval(np.empty((0, 3)))
    with pytest.raises(InvalidInput, match="at least one seed"):
        mean_interval(0.5)
    for level in (0, 1, math.nan, 95):
        with pytest.raises(InvalidInput, match="level must be between 0 and 1"):
            mean_interval([[0.5]], level)
    with pytest.raises(InvalidInput, match="finite"):
        mean_interval([[math.nan]])
    with pytest.raises(InvalidInput, match=r"values must be \(seeds, 2\)"):
        area_under_curve([10, 20], [0.5, 0.6])
    with pytest.raises(InvalidInput, match="a value a point"):
        labels_to_reach([10, 20], [0.5], 0.5)
    with pytest.raises(InvalidInput, match="target must be finite"):
        labels_to_reach([10, 20], [0.5, 0.6], math.nan)
    with pytest.raises(InvalidInput, match="same seeds"):
        paired_difference([0.5, 0.6], [0.5])

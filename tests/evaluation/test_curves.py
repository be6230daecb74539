"""Areas, labels needed and label efficiency, by hand, by quadrature and by reading off a fine grid."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from distil.errors import InvalidInput
from distil.evaluation.curves import (
    Bounds,
    Curves,
    Reach,
    area_under_curve,
    areas,
    efficiency_curve,
    label_efficiency,
    labels_for_shares,
    labels_to_reach,
    paired,
)

# Mean accuracy over 10 seeds, in %, of DISTIL 0.1 on scikit-learn's digits.
LABELS = np.arange(20, 421, 40)
RANDOM = np.array([56.4, 81.1, 88.2, 91.0, 92.3, 92.5, 93.1, 93.2, 94.1, 94.7, 94.4]) / 100
MARGIN = np.array([56.4, 85.8, 90.7, 93.7, 94.9, 95.9, 96.4, 96.5, 96.8, 97.0, 97.1]) / 100
KMEANS = np.array([56.4, 85.9, 88.0, 89.9, 91.1, 91.3, 91.9, 91.8, 92.6, 92.8, 93.3]) / 100


def test_area_is_the_mean_over_the_points():
    values = np.array([[0.0, 0.5, 1.0, 0.9], [0.2, 0.2, 0.2, 0.2]])
    np.testing.assert_allclose(area_under_curve([10, 20, 30, 40], values), [0.6, 0.2])
    np.testing.assert_allclose(area_under_curve([1, 20, 30, 400], values), [0.6, 0.2])


def test_the_documented_distance_to_the_trapezoid():
    for curve in [RANDOM, MARGIN, KMEANS]:
        area = area_under_curve(LABELS, curve[None])[0]
        trapezoid = np.sum((curve[1:] + curve[:-1]) / 2 * np.diff(LABELS)) / (LABELS[-1] - LABELS[0])
        ends = (curve[0] + curve[-1]) / 2
        assert trapezoid - area == pytest.approx((area - ends) / (len(curve) - 1)), curve


def test_labels_to_reach_by_hand():
    for curve, target, expected in [
        (RANDOM, 0.94, 300 + 40 * 8 / 9),  # 93.2 at 300, 94.1 at 340
        (MARGIN, 0.94, 140 + 40 * 3 / 12),  # 93.7 at 140, 94.9 at 180
        (MARGIN, 0.937, 140),  # on a point
        (RANDOM, 0.564, 20),  # there at once
        (RANDOM, 0.5, 20),
        (RANDOM, 0.945, 340 + 40 * 4 / 6),  # and below again at 420
        (RANDOM, 0.95, math.inf),
        (KMEANS, 0.94, math.inf),
    ]:
        assert labels_to_reach(LABELS, curve, target) == pytest.approx(expected), (curve, target, expected)


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


def test_label_efficiency_refuses_what_is_no_number_of_labels(subtests):
    for wrong in [0, -1, math.nan]:
        with subtests.test(wrong=wrong):
            with pytest.raises(InvalidInput, match="strategy must be above 0"):
                label_efficiency(10, wrong)
            with pytest.raises(InvalidInput, match="baseline must be above 0"):
                label_efficiency(wrong, 10)


def test_budget_areas_by_hand():
    # Gaps 10 and 30 of 40; in logarithms one doubling of three, and two of three.
    labels, values = [10, 20, 80], [[0.2, 0.6, 1.0], [0.5, 0.5, 0.5]]
    np.testing.assert_allclose(area_under_curve(labels, values, "points"), [0.6, 0.5])
    np.testing.assert_allclose(area_under_curve(labels, values, "linear"), [(0.4 * 10 + 0.8 * 60) / 70, 0.5])
    np.testing.assert_allclose(area_under_curve(labels, values, "log"), [(0.4 + 0.8 * 2) / 3, 0.5])


def test_budget_areas_are_scipys_trapezoids():
    for curve in [RANDOM, MARGIN, KMEANS]:
        linear, log = (area_under_curve(LABELS, curve[None], budget)[0] for budget in ("linear", "log"))
        assert linear == pytest.approx(integrate.trapezoid(curve, LABELS) / 400), curve
        assert log == pytest.approx(integrate.trapezoid(curve, np.log2(LABELS)) / np.log2(21)), curve
        assert log < linear, curve  # it is about small budgets, where curves are low


def test_with_one_point_every_area_is_its_value():
    for budget in ("points", "linear", "log"):
        np.testing.assert_array_equal(area_under_curve([20], [[0.5], [0.75]], budget), [0.5, 0.75])


def test_another_budget_is_refused():
    with pytest.raises(InvalidInput, match="budget must be 'points', 'linear' or 'log', got 'cost'"):
        area_under_curve([10, 20], [[0.5, 0.6]], "cost")


def test_label_efficiency_at_every_point_by_hand():
    # Random has 0.4, 0.6, 0.8 at 10, 20, 30. The strategy's 0.5 takes it 15 labels, 0.8 takes 30, and 0.9 more than 30.
    found = efficiency_curve([10, 20, 30], [0.5, 0.8, 0.9], [0.4, 0.6, 0.8])
    np.testing.assert_allclose(found.baseline_labels, [15, 30, math.inf])
    np.testing.assert_allclose(found.ratio, [1.5, 1.5, math.inf])
    np.testing.assert_allclose(found.at_least, [1.5, 1.5, 1.0])
    assert found.bound == ("", "", "at least")
    back = efficiency_curve([10, 20, 30], [0.4, 0.6, 0.8], [0.5, 0.8, 0.9])
    np.testing.assert_allclose(back.baseline_labels, [10, 10 + 10 / 3, 20])
    np.testing.assert_allclose(back.ratio, [1, 2 / 3, 2 / 3])
    assert back.bound == ("at most", "", "")  # 0.4 would have taken it fewer than 10


def test_a_strategy_that_is_far_ahead_has_only_bounds_at_the_end():
    """Random ends at 94.7 %, which margin sampling has with 174 labels: from 180 on, every ratio is only known to be larger."""
    found = efficiency_curve(LABELS, MARGIN, RANDOM)
    assert found.bound == ("",) * 4 + ("at least",) * 7
    assert np.isinf(found.ratio[4:]).all()
    np.testing.assert_allclose(found.at_least[4:], 420 / LABELS[4:])
    assert found.ratio[3] == pytest.approx((300 + 40 * 5 / 9) / 140)


def test_a_dip_changes_nothing_that_was_reached_before():
    bumpy = [0.4, 0.7, 0.6, 0.8]
    found = efficiency_curve([10, 20, 30, 40], bumpy, bumpy)
    np.testing.assert_allclose(found.value, [0.4, 0.7, 0.7, 0.8])
    np.testing.assert_allclose(found.ratio, 1)
    np.testing.assert_allclose(found.at_least, 1)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=8), st.floats(1.1, 4))
def test_a_curve_that_is_stretched_needs_as_many_times_more(values, factor):
    own = np.sort(values) + 0.001 * np.arange(
        len(values)
    )  # increasing: where it is level, any number of labels will do
    labels = 10.0 * np.arange(1, len(values) + 1)
    slow = np.interp(labels / factor, labels, own, left=0)  # what the strategy had with labels / factor
    found = efficiency_curve(labels, own, slow)
    known = np.isfinite(found.ratio) & (found.baseline_labels >= labels[0] * factor + labels[1] - labels[0])
    assert (found.ratio[known] >= found.at_least[known] - 1e-12).all()
    assert np.all(found.ratio[known] >= factor - (labels[1] - labels[0]) / labels[known] * factor - 1e-6)
    assert np.all(found.ratio[known] <= factor + (labels[1] - labels[0]) / labels[known] + 1e-6)


def test_labels_for_shares_of_the_full_accuracy():
    found = labels_for_shares(LABELS, MARGIN, 0.975)
    assert [r.share for r in found] == [0.9, 0.95, 0.99]
    assert [r.labels for r in found] == [labels_to_reach(LABELS, MARGIN, s * 0.975) for s in (0.9, 0.95, 0.99)]
    assert all(r.reached for r in found)
    # 60 + 40 (87.75 - 85.8) / (90.7 - 85.8) = 75.9
    assert str(found[0]) == "90 % of the full-data accuracy (87.8 %): 76 labels"
    late = labels_for_shares(LABELS, RANDOM, 0.975)
    assert [r.reached for r in late] == [True, True, False]
    assert str(late[2]) == "99 % of the full-data accuracy (96.5 %): not reached with 420 labels"
    assert late[2] == Reach(0.99, 0.99 * 0.975, math.inf, 420)
    (at_once,) = labels_for_shares(LABELS, RANDOM, 0.975, [0.5])
    assert str(at_once) == "50 % of the full-data accuracy (48.8 %): at most 20 labels"


def test_bounds_are_fractions():
    assert Bounds(0.97, 0.1).full == 0.97
    assert Bounds(None, 0.1).full is None
    for full, majority in ((97, 0.1), (0.97, -0.1), (math.nan, 0.1)):
        with pytest.raises(InvalidInput, match="must be a fraction"):
            Bounds(full, majority)


def test_areas_are_of_paired_curves_only():
    a, b = np.stack([RANDOM, MARGIN]), np.stack([MARGIN, KMEANS])
    found = areas({"r": Curves(LABELS, a, [3, 5]), "m": Curves(LABELS, b, (3, 5))}, "log")
    np.testing.assert_array_equal(found["r"], area_under_curve(LABELS, a, "log"))
    assert list(found) == ["r", "m"]
    areas({"r": Curves(LABELS, a, [3, 5]), "m": Curves(LABELS, b)})  # not known: the caller's word
    with pytest.raises(InvalidInput, match=r"m: seeds \[5, 3\], but r has \[3, 5\]"):
        areas({"r": Curves(LABELS, a, [3, 5]), "m": Curves(LABELS, b, [5, 3])})
    with pytest.raises(InvalidInput, match="m: seeds must hold one seed for each of the 2 rows, got 1"):
        areas({"r": Curves(LABELS, a, [3, 5]), "m": Curves(LABELS, b, [3])})
    with pytest.raises(InvalidInput, match="m: measured at"):
        areas({"r": Curves(LABELS, a), "m": Curves(LABELS[:-1], b[:, :-1])})  # a missing round
    with pytest.raises(InvalidInput, match="curves must hold at least one strategy"):
        paired({})


def test_what_the_numbers_refuse():
    with pytest.raises(InvalidInput, match=r"values must be \(seeds, 2\)"):
        area_under_curve([10, 20], [0.5, 0.6])
    with pytest.raises(InvalidInput, match="values must be finite, got 1 NaN"):
        area_under_curve([10, 20], [[0.5, math.nan]], "linear")
    with pytest.raises(InvalidInput, match="one value for each point"):
        labels_to_reach([10, 20], [0.5], 0.5)
    with pytest.raises(InvalidInput, match="target must be finite"):
        labels_to_reach([10, 20], [0.5, 0.6], math.nan)
    with pytest.raises(InvalidInput, match="baseline_curve must hold one value for each point"):
        efficiency_curve([10, 20], [0.5, 0.6], [0.5])
    with pytest.raises(InvalidInput, match="mean_curve must be finite"):
        efficiency_curve([10, 20], [0.5, math.nan], [0.5, 0.6])
    for full in (0, math.nan, 97):
        with pytest.raises(InvalidInput, match="full must be a fraction"):
            labels_for_shares([10, 20], [0.5, 0.6], full)
    with pytest.raises(InvalidInput, match="shares must be above 0"):
        labels_for_shares([10, 20], [0.5, 0.6], 0.9, [0.0])

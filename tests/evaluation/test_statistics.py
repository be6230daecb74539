"""Statistics against SciPy, published tables, enumeration and simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distil.errors import InvalidInput
from distil.evaluation.statistics import (
    critical_difference,
    differences,
    effect_size,
    holm,
    mean_interval,
    paired_difference,
    paired_power,
    rank_test,
    ranks,
    seeds_needed,
    share_interval,
    spread_interval,
    t_test,
    wilcoxon,
    wilson_interval,
)

# Demsar 2006, table 6: areas under the ROC curve of C4.5 with and without tuning m and cf, on 14 data sets. Of voting the
# paper ranks the last two by digits that it does not print.
DEMSAR = {
    "C4.5": [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.0, 0.940, 0.619, 0.972, 0.957],
    "C4.5+m": [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.0, 0.962, 0.666, 0.981, 0.978],
    "C4.5+cf": [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.0, 0.965, 0.614, 0.9751, 0.946],
    "C4.5+m+cf": [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.0, 0.962, 0.669, 0.975, 0.970],
}


def test_mean_interval_is_scipys():
    for count, level in itertools.product([2, 3, 10], [0.5, 0.95, 0.99]):
        values = np.random.default_rng(count).random((count, 4))
        mean, low, high = mean_interval(values, level)
        expected = stats.t.interval(level, count - 1, loc=values.mean(0), scale=stats.sem(values, axis=0))
        np.testing.assert_allclose(mean, values.mean(0), err_msg=str((count, level)))
        np.testing.assert_allclose((low, high), expected, err_msg=str((count, level)))


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


def test_paired_difference_is_scipys():
    for count in [2, 5, 30]:
        rng = np.random.default_rng(count)
        a, b = rng.random(count), rng.random(count)
        mean, low, high, p = paired_difference(a, b, 0.9)
        expected = stats.ttest_rel(a, b)
        interval = expected.confidence_interval(0.9)
        np.testing.assert_allclose(
            (mean, low, high, p), ((a - b).mean(), *interval, expected.pvalue), err_msg=str(count)
        )
        back = paired_difference(b, a, 0.9)
        np.testing.assert_allclose(
            (back.mean, back.low, back.high, back.p), (-mean, -high, -low, p), err_msg=str(count)
        )


def test_t_tests_of_many_columns_are_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.random((6, 5, 3)), rng.random((6, 5, 3))
    np.testing.assert_allclose(t_test(differences(a, b)), stats.ttest_rel(a, b).pvalue, rtol=1e-8)


def test_the_p_value_and_the_interval_say_the_same():
    rng = np.random.default_rng(1)
    said = set()
    for _ in range(200):
        d = paired_difference(rng.normal(0.6, 1, 6), np.zeros(6))
        assert (d.p < 0.05) == (d.low > 0 or d.high < 0)
        said.add(d.p < 0.05)
    assert said == {True, False}


def test_differences_without_spread_are_tested_by_their_signs():
    """One draw a seed, all of one sign: the smallest p-value that S signs can have."""
    for count in range(2, 12):
        found = paired_difference(np.full(count, 0.6), np.full(count, 0.5))
        assert found.p == pytest.approx(stats.binomtest(count, count).pvalue), count
        assert math.isnan(found.low), count
        assert math.isnan(found.high), count
    for same in ([0.5, 0.7], [0.5, 0.7]), ([0.1 + 0.2, 0.1 + 0.2, 0.6], [0.3, 0.3, 0.6]):  # equal up to rounding
        found = paired_difference(*same)
        assert (found.mean, found.p) == (0, 1)
    rows = np.array([[0.1, 0.0, 0.1], [0.1, 0.0, 0.2]])  # of several columns, each by its own spread
    np.testing.assert_allclose(t_test(rows), [0.5, 1, stats.ttest_1samp([0.1, 0.2], 0).pvalue])


def test_pairing_sees_what_separate_means_do_not():
    rng = np.random.default_rng(0)
    hard = rng.normal(0.8, 0.05, 8)  # how hard each seed's split is
    a, b = hard + 0.01 + rng.normal(0, 0.002, 8), hard
    assert paired_difference(a, b).p < 0.001
    assert stats.ttest_ind(a, b).pvalue > 0.5


def test_equal_differences_are_equal_to_the_bit_at_every_scale():
    for scale in [1e-290, 1e-9, 1.0, 1e9, 1e300]:
        b = np.arange(1, 40) / 500
        a = np.arange(101, 140) / 500
        assert len(set((scale * a - scale * b).tolist())) > 1, scale
        assert len(set(differences(scale * a, scale * b).tolist())) == 1, scale
        np.testing.assert_allclose(differences(scale * a, scale * b), 0.2 * scale, rtol=1e-9, err_msg=str(scale))


def test_one_seed_has_a_difference_and_no_test():
    mean, *rest = paired_difference([0.5], [0.25])
    assert mean == 0.25
    assert np.isnan(rest).all()


def test_wilcoxon_is_scipys_exact_one():
    for count in [1, 2, 5, 6, 13, 20, 50]:
        rng = np.random.default_rng(count)
        for shift in (0, 0.2):
            a, b = rng.random(count) + shift, rng.random(count)
            assert wilcoxon(a, b) == pytest.approx(stats.wilcoxon(a, b, method="exact").pvalue, rel=1e-9), count


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_wilcoxon_with_ties_and_zeros_is_all_sign_changes(steps):
    d = np.array(steps) / 500  # accuracies come in steps: ties are the rule
    kept = np.array([x for x in steps if x])
    order = stats.rankdata(np.abs(kept)) if len(kept) else np.zeros(0)
    middle = order.sum() / 2
    far = abs(order[kept > 0].sum() - middle)
    signs = itertools.product([0, 1], repeat=len(kept))
    sums = np.array([np.dot(order, s) for s in signs])
    expected = (np.abs(sums - middle) >= far - 1e-9).mean()
    assert wilcoxon(0.9 + d, np.full(len(d), 0.9)) == pytest.approx(expected)


def test_wilcoxon_is_scipys_permutation_test_with_ties():
    d = np.array([1, 1, 2, 2, 3, -1, 3, 4]) / 100
    method = stats.PermutationMethod(n_resamples=np.inf)
    assert wilcoxon(d, np.zeros(8)) == pytest.approx(stats.wilcoxon(d, method=method).pvalue)


def test_the_smallest_wilcoxon_p_value():
    for count in range(1, 12):
        assert wilcoxon(np.arange(1, count + 1), np.zeros(count)) == pytest.approx(min(1, 2.0 ** (1 - count)))
    assert wilcoxon([0.5, 0.5], [0.5, 0.5]) == 1


def test_holm_by_hand():
    # 4 x 0.01, 3 x 0.015 = 0.045, 2 x 0.02 = 0.04 raised to 0.045, 1 x 0.04 raised likewise.
    np.testing.assert_allclose(holm([0.04, 0.01, 0.02, 0.015]), [0.045, 0.04, 0.045, 0.045])
    np.testing.assert_allclose(holm([0.3, 0.6]), [0.6, 0.6])
    np.testing.assert_allclose(holm([0.9, 0.6]), [1, 1])
    np.testing.assert_allclose(holm([0.05]), [0.05])
    assert len(holm([])) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_step_by_step(p):
    corrected = holm(p)
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for step, i in enumerate(np.argsort(p, kind="stable")):  # the procedure as Holm wrote it down
            if p[i] * (len(p) - step) > alpha:
                break
            rejected.add(int(i))
        assert {i for i, q in enumerate(corrected) if q <= alpha} == rejected


def test_effect_size_by_hand():
    # 1, 2, 3, 4, 5: mean 3, s = sqrt(2.5); J(4) = Gamma(2) / (sqrt(2) Gamma(1.5)) = 0.797885.
    d_z, g_z = effect_size([1, 2, 3, 4, 5], [0] * 5)
    assert d_z == pytest.approx(3 / math.sqrt(2.5))
    assert g_z == pytest.approx(0.7978846 * d_z)
    assert effect_size([0] * 5, [1, 2, 3, 4, 5]) == (-d_z, -g_z)


def test_the_corrected_effect_is_unbiased_and_the_other_is_not():
    draws = np.random.default_rng(0).normal(0.7, 1, (10_000, 6))
    both = np.array([effect_size(d, np.zeros(6)) for d in draws])
    assert both[:, 1].mean() == pytest.approx(0.7, abs=0.017)
    assert both[:, 0].mean() > 0.78


def test_effect_sizes_without_spread_or_with_two_seeds():
    assert effect_size([0.5] * 3, [0.5] * 3) == (0, 0)
    assert effect_size([0.1 + 0.2] * 3, [0.2] * 3) == (math.inf, math.inf)
    assert effect_size([0.2] * 3, [0.3] * 3) == (-math.inf, -math.inf)
    assert effect_size([1, 3], [0, 0]) == (pytest.approx(math.sqrt(2)), None)
    with pytest.raises(InvalidInput, match="at least two seeds, got 1"):
        effect_size([1], [0])


def test_the_jeffreys_interval_is_quantiles_of_beta():
    for x, n in [(0, 10), (3, 10), (4.5, 10), (10, 10), (1, 1), (0, 1)]:
        share, low, high = share_interval(x, n)
        assert share == x / n, (x, n)
        assert low == pytest.approx(stats.beta.ppf(0.025, x + 0.5, n - x + 0.5) if x else 0), (x, n)
        assert high == pytest.approx(stats.beta.ppf(0.975, x + 0.5, n - x + 0.5) if x < n else 1), (x, n)


def test_the_wilson_interval_is_that_of_scipy():
    for x, n in [(0, 10), (3, 10), (10, 10), (1, 1), (0, 1), (500, 1000)]:
        for level in (0.9, 0.95):
            theirs = stats.binomtest(x, n).proportion_ci(level, method="wilson")
            assert wilson_interval(x, n, level) == pytest.approx((x / n, theirs.low, theirs.high)), (x, n, level)
    for x, n, level in [(1, 0, 0.95), (2, 1, 0.95), (-1, 1, 0.95), (1, 1, 1.0)]:
        with pytest.raises(InvalidInput):
            wilson_interval(x, n, level)


def test_seeds_needed_as_published():
    # Two-sided paired t test, as in the tables of Cohen 1988 and in G*Power 3.
    for effect, power, alpha, seeds in [
        (0.2, 0.8, 0.05, 199),
        (0.5, 0.8, 0.05, 34),
        (0.8, 0.8, 0.05, 15),
        (0.5, 0.9, 0.05, 44),
        (0.5, 0.8, 0.01, 51),
    ]:
        assert seeds_needed(effect, 1, power=power, alpha=alpha) == seeds, (effect, power, alpha, seeds)
        assert seeds_needed(-3 * effect, 3, power=power, alpha=alpha) == seeds, (effect, power, alpha, seeds)


def test_power_is_scipys_noncentral_t():
    for seeds, effect, alpha in itertools.product([2, 3, 5, 20, 200], [0.05, 0.4, 1.0], [0.05, 0.0005]):
        bar, shift = stats.t.ppf(1 - alpha / 2, seeds - 1), effect * math.sqrt(seeds)
        if shift <= 6:  # SciPy's is NaN for some larger shifts
            expected = stats.nct.sf(bar, seeds - 1, shift) + stats.nct.cdf(-bar, seeds - 1, shift)
            assert paired_power(effect, seeds, alpha) == pytest.approx(expected, abs=1e-5), (seeds, effect, alpha)


def test_power_is_the_share_of_experiments_that_find_it():
    draws = np.random.default_rng(0).normal(0.8, 1, (8, 20_000))
    assert paired_power(0.8, 8) == pytest.approx((t_test(draws) < 0.05).mean(), abs=0.01)


def test_power_is_a_chance_everywhere():
    for seeds in (2, 3, 20, 10**6, 10**12):
        powers = [paired_power(effect, seeds) for effect in (0, 1e-9, 1e-4, 0.1, 1, 10, 1e3, 1e9, 1e300)]
        assert powers[0] == pytest.approx(0.05, abs=1e-5)
        assert np.all(np.diff(powers) > -1e-9)
        assert powers[-1] == pytest.approx(1)


@given(st.floats(0.05, 20), st.sampled_from([0.5, 0.8, 0.95]), st.sampled_from([0.05, 0.001]))
def test_seeds_needed_is_the_first_that_suffices(effect, power, alpha):
    seeds = seeds_needed(effect, 1, power=power, alpha=alpha)
    assert paired_power(effect, seeds, alpha) >= power
    assert seeds == 2 or paired_power(effect, seeds - 1, alpha) < power


def test_seeds_needed_at_the_ends():
    assert seeds_needed(0.01, 0) == 2
    assert seeds_needed(1e-7, 1) > 7e14
    for difference, spread, power in ((0, 1, 0.8), (1, -1, 0.8), (1, 1, 0.4), (1, 1, 1.0)):
        with pytest.raises(InvalidInput, match="difference must not be 0"):
            seeds_needed(difference, spread, power=power)


def test_the_interval_of_a_spread_is_the_chi_square_distributions():
    for seeds, level in itertools.product([2, 3, 10, 50], [0.5, 0.95]):
        low, high = spread_interval(0.7, seeds, level)
        v = seeds - 1
        expected = 0.7 * np.sqrt(v / stats.chi2.ppf([(1 + level) / 2, (1 - level) / 2], v))
        assert (low, high) == pytest.approx(tuple(expected)), (seeds, level)
    for spread, seeds, message in ((0, 5, "must be above 0"), (1, 1, "two seeds"), (math.nan, 5, "finite")):
        with pytest.raises(InvalidInput, match=message):
            spread_interval(spread, seeds)


def test_the_interval_of_the_seeds_needed_holds_the_true_number_as_often_as_it_says():
    """A true d_z of 0.5 takes 34 seeds (Cohen's table); the interval of a few seeds holds it in 95 % of experiments."""
    for count in (3, 10):
        factors = np.array(spread_interval(1, count))
        ends = factors[:, None] * np.random.default_rng(0).normal(0, 2, (4_000, count)).std(axis=1, ddof=1)
        assert ((ends[0] <= 2) & (ends[1] >= 2)).mean() == pytest.approx(0.95, abs=0.012), count
        for low, high in ends.T[:10]:  # the number of seeds grows with the spread, of which 2 takes 34
            assert (seeds_needed(1, low) <= 34) == (low <= 2)
            assert (seeds_needed(1, high) >= 34) == (high >= 2)


def test_critical_values_as_published():
    # Demsar 2006, table 5a, from two strategies on.
    for alpha, expected in [
        (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ]:
        q = [critical_difference(k, 1, alpha) / math.sqrt(k * (k + 1) / 6) for k in range(2, 11)]
        np.testing.assert_allclose(q, expected, atol=1e-3, err_msg=str((alpha, expected)))


def test_the_worked_example_of_demsar():
    found = rank_test(DEMSAR)
    assert found.strategies == ("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5")
    np.testing.assert_allclose(found.ranks, [1.964, 2.000, 2.893, 3.143], atol=5e-4)
    assert found.data_sets == 14
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert found.groups == (found.strategies,)  # "not powerful enough", says the paper of Nemenyi's test at 0.05
    # His 9.28 and 3.69 are without the correction for ties.
    assert rank_test(DEMSAR, 0.10).critical_difference == pytest.approx(1.12, abs=0.005)
    # "C4.5 is significantly worse than C4.5+m and C4.5+m+cf", says the paper of 0.10.
    assert rank_test(DEMSAR, 0.10).groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf"), ("C4.5+cf", "C4.5"))
    expected = stats.friedmanchisquare(*DEMSAR.values())
    assert (found.chi2, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.chi2 > 9.28


def test_friedman_without_ties_is_the_formula_of_demsar_and_scipys():
    table = np.random.default_rng(0).random((5, 9)) + np.array([[0, 0.1, 0.2, 0.3, 0.5]]).T
    found = rank_test({f"s{i}": row for i, row in enumerate(table)})
    k, n = table.shape
    chi2 = 12 * n / (k * (k + 1)) * (np.square(found.ranks).sum() - k * (k + 1) ** 2 / 4)
    f = (n - 1) * chi2 / (n * (k - 1) - chi2)
    assert (found.chi2, found.f) == pytest.approx((chi2, f))
    assert found.f_p == pytest.approx(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))
    assert (found.chi2, found.p) == pytest.approx(tuple(stats.friedmanchisquare(*table)))


def test_groups_by_hand():
    # Ranks 1, 2, 3, ... on every data set; with 4 strategies and 20 data sets the critical difference is 1.05.
    scores = {name: np.full(20, value) for name, value in (("d", 0.1), ("b", 0.3), ("c", 0.2), ("a", 0.4))}
    found = rank_test(scores)
    assert found.critical_difference == pytest.approx(2.569 * math.sqrt(20 / 120), abs=1e-3)
    assert found.strategies == ("a", "b", "c", "d")
    assert found.groups == (("a", "b"), ("b", "c"), ("c", "d"))
    assert (found.f, found.f_p) == (math.inf, pytest.approx(24.0**-19, rel=1e-9))
    assert rank_test({name: np.repeat(row, 3) for name, row in scores.items()}).groups == ()


def test_orders_that_all_agree_have_the_chance_of_a_permutation_test():
    """By brute force: all orders of the other four data sets that could have come out, of which one agrees."""
    for row in ([0.3, 0.2, 0.1], [0.3, 0.1, 0.1]):
        found = rank_test({name: np.full(5, value) for name, value in zip("abc", row, strict=True)})
        orders = set(itertools.permutations(row))
        agree = sum(len(set(four)) == 1 and four[0] == tuple(row) for four in itertools.product(orders, repeat=4))
        assert found.f == math.inf
        assert found.f_p == pytest.approx(agree / len(orders) ** 4)


def test_strategies_that_are_all_alike():
    found = rank_test({name: np.full(6, 0.5) for name in "abc"})
    assert (found.chi2, found.p, found.f, found.f_p) == (0, 1, 0, 1)
    assert found.groups == (("a", "b", "c"),)


def test_ranks_are_scipys_with_the_largest_first():
    table = np.random.default_rng(0).integers(0, 4, (4, 30)) / 500 + 0.1 + 0.2
    found = ranks({str(i): row for i, row in enumerate(table)})
    np.testing.assert_array_equal(np.stack(list(found.values())), stats.rankdata(-table.round(9), axis=0))


def test_fewer_than_five_data_sets_are_refused_with_the_reason():
    with pytest.raises(InvalidInput, match=r"at least 5 data sets, got 4.*seeds of one data set do not count"):
        rank_test({name: [0.1, 0.2, 0.3, 0.4] for name in "abc"})
    with pytest.raises(InvalidInput, match="at least three strategies, got 2"):
        rank_test({name: np.ones(6) for name in "ab"})


def test_of_two_thousand_null_comparisons_one_in_twenty_is_found():
    rng = np.random.default_rng(0)
    found = signed = 0
    for _ in range(2_000):
        hard = rng.normal(0.85, 0.03, 10)
        a, b = hard + rng.normal(0, 0.01, (2, 10))
        found += paired_difference(a, b).p < 0.05
        signed += wilcoxon(a, b) < 0.05
    assert 0.04 <= found / 2_000 <= 0.062
    assert 0.035 <= signed / 2_000 <= 0.062  # in steps: at most 0.0488 is possible with ten


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
    for test in (paired_difference, wilcoxon, effect_size):
        with pytest.raises(InvalidInput, match="same seeds"):
            test([0.5, 0.6], [0.5])
        with pytest.raises(InvalidInput, match="same seeds"):
            test([], [])
        with pytest.raises(InvalidInput, match="b must be finite"):
            test([0.5, 0.6], [0.5, math.nan])
        with pytest.raises(InvalidInput, match="one number for each seed"):
            test([[0.5, 0.6]], [[0.5, 0.4]])
    for wrong in ([0.5, 1.5], [-0.1], [math.nan], [[0.5]]):
        with pytest.raises(InvalidInput, match="p must "):
            holm(wrong)
    for x, n in ((-1, 5), (6, 5), (0, 0)):
        with pytest.raises(InvalidInput, match="successes from 0 to count"):
            share_interval(x, n)
    with pytest.raises(InvalidInput, match="two seeds"):
        paired_power(0.5, 1)
    with pytest.raises(InvalidInput, match="effect must be finite"):
        paired_power(math.nan, 5)
    with pytest.raises(InvalidInput, match="alpha must be"):
        paired_power(0.5, 5, 0)
    with pytest.raises(InvalidInput, match="two strategies"):
        critical_difference(1, 5)
    with pytest.raises(InvalidInput, match="scores must "):
        ranks({})
    with pytest.raises(InvalidInput, match="scores must "):
        ranks({"a": [0.1, 0.2], "b": [0.1]})

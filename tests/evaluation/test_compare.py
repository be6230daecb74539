import dataclasses
import math
import re

import numpy as np
import pytest
from scipy import stats

from distil.errors import InvalidInput
from distil.evaluation.compare import compare, penalty_matrix, summarize, verdict
from distil.evaluation.curves import Curves, areas, labels_to_reach
from distil.evaluation.statistics import holm, mean_interval, paired_power, seeds_needed
from distil.evaluation.units import Unit

# Mean accuracy over 10 seeds, in %, of DISTIL 0.1 on scikit-learn's digits.
LABELS = np.arange(20, 421, 40)
RANDOM = np.array([56.4, 81.1, 88.2, 91.0, 92.3, 92.5, 93.1, 93.2, 94.1, 94.7, 94.4]) / 100
MARGIN = np.array([56.4, 85.8, 90.7, 93.7, 94.9, 95.9, 96.4, 96.5, 96.8, 97.0, 97.1]) / 100
KMEANS = np.array([56.4, 85.9, 88.0, 89.9, 91.1, 91.3, 91.9, 91.8, 92.6, 92.8, 93.3]) / 100


def seeds(mean, count=10, noise=0.005, seed=0):
    """Curves around a mean that share their noise's scale but not its draws."""
    return np.clip(mean + noise * np.random.default_rng(seed).standard_normal((count, len(mean))), 0, 1)


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


def test_curves_that_cannot_be_compared_are_refused_by_name(subtests):
    for curves, message in [
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
        (Curves(LABELS[:, None], GOOD.values), "badge: labels must hold one number for each point"),
        (Curves([], np.empty((10, 0))), "badge: labels must hold one number for each point"),
        (Curves(np.full(11, np.inf), GOOD.values), "badge: labels must be finite"),
    ]:
        with subtests.test(curves=curves, message=message), pytest.raises(InvalidInput, match=message):
            summarize({"random_sampling": GOOD, "badge": curves}, target=0.9)


def test_a_target_that_is_no_fraction_is_refused(subtests):
    for target in [0, -0.1, 94, math.nan]:
        with subtests.test(target=target), pytest.raises(InvalidInput, match="target must be a fraction"):
            summarize({"random_sampling": GOOD}, target=target)


def test_a_baseline_that_is_not_there_is_refused():
    with pytest.raises(InvalidInput, match="did you mean 'random_sampling'"):
        summarize({"random_sampling": GOOD}, baseline="random_samplin", target=None)
    with pytest.raises(InvalidInput, match="there are: none"):
        summarize({}, target=None)


def scores(*shifts, count=10, noise=0.01, seed=0):
    """A score a seed for random sampling and a strategy for each shift, all of them as hard or easy with the same seed."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0.8, 0.03, count)
    made = {"random_sampling": hard + rng.normal(0, noise, count)}
    return made | {f"s{i}": hard + shift + rng.normal(0, noise, count) for i, shift in enumerate(shifts)}


def test_a_comparison_is_scipys():
    made = scores(0.02, -0.03, 0.0, seed=1)
    found = compare(made, baseline="random_sampling")
    assert [c.strategy for c in found] == ["s0", "s1", "s2"]
    tests = [stats.ttest_rel(made[c.strategy], made["random_sampling"]) for c in found]
    np.testing.assert_allclose([c.difference.p for c in found], [t.pvalue for t in tests], rtol=1e-7)
    np.testing.assert_allclose([c.difference[1:3] for c in found], [t.confidence_interval() for t in tests])
    signed = [stats.wilcoxon(made[c.strategy], made["random_sampling"], method="exact").pvalue for c in found]
    np.testing.assert_allclose([c.wilcoxon_p for c in found], signed)
    for c in found:
        d = made[c.strategy] - made["random_sampling"]
        assert (c.seeds, c.family, c.other) == (10, 3, "random_sampling")
        assert (c.wins, c.ties, c.losses) == ((d > 0).sum(), 0, (d < 0).sum())
        assert c.spread == pytest.approx(d.std(ddof=1))
        assert c.effect.d_z == pytest.approx(d.mean() / d.std(ddof=1))
        assert c.better.share == c.wins / 10
        assert c.better.low < c.better.share < c.better.high or c.wins in (0, 10)
    order = np.argsort([c.difference.p for c in found])
    smallest, middle, _ = (found[i] for i in order)
    assert smallest.p_holm == pytest.approx(3 * smallest.difference.p)
    assert middle.p_holm == pytest.approx(max(2 * middle.difference.p, smallest.p_holm))
    assert [c.outcome() for c in found] == ["win", "loss", "tie"]
    assert [c.wilcoxon_holm for c in found] == holm([c.wilcoxon_p for c in found]).tolist()
    assert found[0].wilcoxon_holm > found[0].wilcoxon_p


def test_without_a_baseline_all_pairs_are_compared():
    found = compare(scores(0.02, -0.03))
    assert [(c.strategy, c.other) for c in found] == [
        ("random_sampling", "s0"),
        ("random_sampling", "s1"),
        ("s0", "s1"),
    ]
    assert {c.family for c in found} == {3}
    assert [c.outcome() for c in found] == ["loss", "win", "win"]


def test_ties_count_half():
    (found,) = compare({"a": [0.1 + 0.2, 0.5, 0.7, 0.9], "b": [0.3, 0.5, 0.6, 0.95]})
    assert (found.wins, found.ties, found.losses) == (1, 2, 1)
    assert found.better.share == 0.5


def test_a_planted_difference_is_found_and_said():
    found = compare(scores(0.02, count=20), baseline="random_sampling")[0]
    text = verdict(found)
    assert text.startswith("s0: significantly better than random at 0.05 with 20 seeds (+2.")
    assert "p < 0.0001)" in text
    assert verdict(compare(scores(-0.02, count=20), baseline="random_sampling")[0]).startswith(
        "s0: significantly worse"
    )


def test_no_difference_is_said_with_the_seeds_that_one_would_take():
    (found,) = compare(scores(0.0, count=20, noise=0.03, seed=2), baseline="random_sampling")
    text = verdict(found)
    assert text.startswith("s0: no significant difference from random at 0.05 with 20 seeds (")
    said = re.fullmatch(
        r".*; to see a difference of 1 point you need about (\d+) seeds \(95 % interval (\d+) to (\d+)\)", text
    )
    needed, low, high = map(int, said.groups())
    # The normal approximation plus Guenther's z^2 / 2.
    assert needed == pytest.approx(((1.959964 + 0.841621) * found.spread / 0.01) ** 2 + 1.96**2 / 2, abs=1)
    # The number of seeds goes with the square of the spread, whose interval is the chi-square distribution's.
    factors = 19 / stats.chi2.ppf([0.975, 0.025], 19)
    assert (low, high) == pytest.approx(tuple((needed - 2) * factors + 2), abs=2)
    assert "of 2 points you need about" in verdict(found, difference=0.02)
    chance = re.search(
        r"of 4 points would have been seen with a chance of (\d+) % \(95 % interval (\d+) to (.*) %\)$",
        verdict(found, difference=0.04),
    )
    spreads = found.spread * np.sqrt([1, factors[1], factors[0]])
    powers = [100 * paired_power(0.04 / s, 20) for s in spreads]
    assert chance.groups() == tuple(f"{x:.0f}" if x < 99.5 else "> 99" for x in powers)
    assert verdict(found, difference=0.3).endswith("with a chance of > 99 % (95 % interval more than 99 %)")


def test_a_verdict_knows_how_many_comparisons_were_made():
    one = compare(scores(0.012, seed=1), baseline="random_sampling")[0]
    assert 0.01 < one.difference.p < 0.05
    many = compare(scores(0.012, *[0.0] * 9, seed=1), baseline="random_sampling")[0]
    assert many.difference == one.difference
    assert "significantly better" in verdict(one)
    assert "no significant difference" in verdict(many)
    assert f"you need about {seeds_needed(0.01, many.spread, alpha=0.005)} seeds" in verdict(many)
    assert f"corrected for 10 comparisons p = {many.p_holm:.2g})" in verdict(many)


def test_a_verdict_says_what_the_other_test_says():
    few = compare(scores(0.05, count=5), baseline="random_sampling")[0]
    assert few.p_holm < 0.05 < few.wilcoxon_holm
    assert verdict(few).endswith("; too few seeds for the Wilcoxon test to confirm it")
    assert verdict(dataclasses.replace(few, seeds=6)).endswith("; the Wilcoxon test does not confirm it (p = 0.062)")
    assert verdict(dataclasses.replace(few, seeds=6, family=2)).endswith(
        "; too few seeds for the Wilcoxon test to confirm it"
    )
    unsure = dataclasses.replace(compare(scores(0.02))[0], p_holm=0.03, wilcoxon_holm=0.07)
    assert verdict(unsure).endswith("; the Wilcoxon test does not confirm it (p = 0.07)")
    d = np.array([0.1, *[0.001] * 9])  # one seed's luck hides that nine of ten are better
    (skewed,) = compare({"a": 0.5 + d, "random_sampling": np.full(10, 0.5)})
    assert skewed.wilcoxon_p < 0.05 < skewed.difference.p
    assert "no significant difference" in verdict(skewed)
    assert "; the Wilcoxon test finds one (p = 0.002); to see" in verdict(skewed)


def test_verdicts_without_spread():
    same = {"badge": [0.5, 0.6, 0.7], "random_sampling": [0.5, 0.6, 0.7]}
    (found,) = compare(same, baseline="random_sampling")
    assert (found.difference.p, found.wilcoxon_p, found.spread, found.effect) == (1, 1, 0, (0, 0))
    assert (found.better.share, found.outcome()) == (0.5, "tie")
    assert verdict(found) == "badge: the same as random with all 3 seeds"
    (found,) = compare({"a": [0.6, 0.7, 0.8], "b": [0.5, 0.6, 0.7]})
    assert found.effect == (math.inf, math.inf)
    assert verdict(found) == (
        "a: no significant difference from b at 0.05 with 3 seeds (+10.00 points with each seed, p = 0.25, by the sign test); "
        "differences that are all equal do not show how many seeds a difference of 1 point takes"
    )
    (found,) = compare({"a": [0.6, 0.7], "b": [0.5, 0.6]})
    assert "p = 0.5, by the sign test" in verdict(found)
    (found,) = compare({"a": np.arange(12) / 20, "b": np.arange(12) / 20 - 0.01})
    assert verdict(found) == (
        "a: significantly better than b at 0.05 with 12 seeds (+1.00 points with each seed, p = 0.00049, by the sign test)"
    )


def test_two_seeds_do_not_show_how_many_are_needed():
    (found,) = compare({"a": [0.51, 0.62], "b": [0.5, 0.6]})
    assert verdict(found).endswith("; 2 seeds do not show how many seeds a difference of 1 point takes")


def test_no_sentence_has_a_word_for_what_is_no_number():
    rng = np.random.default_rng(0)
    for count in (2, 3, 10):
        for spread in (0.0, 1e-12, 0.01, 0.5):
            for shift in (0.0, 0.01):
                own = 0.3 + 0.01 * rng.random(count)
                (found,) = compare({"a": own + shift + spread * rng.random(count), "b": own})
                assert not re.search(r"\b(nan|inf|None)\b", verdict(found)), (count, spread, shift)


def test_of_null_comparisons_one_in_twenty_is_called_significant():
    rng = np.random.default_rng(2)
    said = 0
    for _ in range(2_000):
        hard = rng.normal(0.85, 0.03, 8)
        (found,) = compare(dict(zip("ab", hard + rng.normal(0, 0.01, (2, 8)), strict=True)))
        said += found.outcome() != "tie"
    assert 0.04 <= said / 2_000 <= 0.062


def test_of_families_without_any_difference_one_in_twenty_at_most_has_a_finding():
    rng = np.random.default_rng(0)
    wrong = corrected = 0
    for _ in range(500):
        made = dict(zip("abcdef", rng.normal(0.85, 0.01, (6, 8)), strict=True))
        found = compare(made, baseline="a")
        wrong += any(c.difference.p < 0.05 for c in found)
        corrected += any(c.outcome() != "tie" for c in found)
    assert corrected / 500 <= 0.06
    assert wrong / 500 > 0.1  # which is why it is corrected


def test_what_cannot_be_compared():
    with pytest.raises(InvalidInput, match=r"a and b cannot be compared.*at least two seeds, got 1"):
        compare({"a": [0.5], "b": [0.6]})
    with pytest.raises(InvalidInput, match=r"a and b cannot be compared.*same seeds"):
        compare({"a": [0.5, 0.6], "b": [0.6]})
    with pytest.raises(InvalidInput, match=r"a and b cannot be compared.*finite"):
        compare({"a": [0.5, math.nan], "b": [0.6, 0.5]})
    with pytest.raises(InvalidInput, match="two strategies, got 1"):
        compare({"a": [0.5, 0.6]}, baseline="a")
    with pytest.raises(InvalidInput, match="did you mean 'random_sampling'"):
        compare(scores(0.0), baseline="random_samplin")


def setting(*means, count=5, noise=0.001, seed=0):
    """Curves of strategies a, b, ... around these means."""
    rng = np.random.default_rng(seed)
    grid = 10 * np.arange(1, len(means[0]) + 1)
    return {
        name: Curves(grid, np.array(mean) + noise * rng.standard_normal((count, len(mean))))
        for name, mean in zip("abcd", means, strict=False)
    }


def test_a_penalty_matrix_by_hand():
    # b is better than a after one of two selections; a is never better than b. In the second setting a is, after both.
    first = setting([0.5, 0.6, 0.9], [0.5, 0.8, 0.9], noise=0.0, count=6)
    second = setting([0.5, 0.8, 0.9], [0.5, 0.7, 0.8], seed=1)
    found = penalty_matrix([first, second])
    assert found.strategies == ("a", "b")
    np.testing.assert_allclose(found.beats, [[0, 1], [0.5, 0]])
    np.testing.assert_allclose(found.penalties, [0.5, 1])
    lines = str(found).split("\n")
    assert [line.split() for line in lines[:4]] == [
        ["row", "beats", "column", "(1)", "(2)"],
        ["(1)", "a", "-", "1.00"],
        ["(2)", "b", "0.50", "-"],
        ["mean", "of", "column", "0.50", "1.00"],
    ]
    assert lines[4].startswith("Row beats column: ")
    assert "summed over 2 settings" in lines[4]
    assert lines[4].endswith("A lower mean of a column is better.")


def test_the_penalty_matrix_of_a_brute_force():
    curves = setting(*np.random.default_rng(1).random((4, 7)) * 0.01 + 0.5, count=6, noise=0.005)
    found = penalty_matrix([curves])
    expected = np.zeros((4, 4))
    for i, a in enumerate("abcd"):
        for j, b in enumerate("abcd"):
            for r in range(1, 7):
                test = stats.ttest_rel(curves[a].values[:, r], curves[b].values[:, r], alternative="greater")
                expected[i, j] += test.pvalue < 0.025
    np.testing.assert_allclose(found.beats, expected / 6)
    assert 0 < found.beats.sum() < 6
    relabeled = penalty_matrix([{name: curves[name] for name in "dcba"}])
    np.testing.assert_allclose(relabeled.beats, found.beats[::-1, ::-1])


def test_the_critical_value_is_that_of_the_number_of_seeds():
    for count in [2, 3, 5, 20]:
        rng = np.random.default_rng(0)
        d = rng.standard_normal((count, 4_000))
        half = Curves(np.arange(1, 4_002), np.full((count, 4_001), 0.5))
        noisy = Curves(half.labels, np.concatenate([half.values[:, :1], 0.5 + 0.01 * d], axis=1))
        beats = penalty_matrix([{"a": half, "b": noisy}]).beats
        assert beats.sum() == pytest.approx(0.05, abs=0.011), count
        assert beats[0, 1] == pytest.approx(0.025, abs=0.008), count


def test_with_a_baseline_the_rounds_are_those_of_the_paper():
    # Random's mean reaches 99 % of 0.9 = 0.891 at round 4: rounds 1, 2, 4 count, and b is better at 1, 3 and 8.
    random = [0.5, 0.6, 0.7, 0.82, 0.895, 0.895, 0.9, 0.9, 0.9, 0.9]
    b = np.array(random)
    b[[1, 3, 8]] += 0.05
    curves = setting(random, b, noise=0.0, count=6)
    np.testing.assert_allclose(penalty_matrix([curves], baseline="a").beats, [[0, 0], [1 / 3, 0]])
    np.testing.assert_allclose(penalty_matrix([curves]).beats, [[0, 0], [3 / 9, 0]])
    flat = setting([0.9, 0.9, 0.9], [0.9, 0.95, 0.9], noise=0.0, count=6)  # all reached before any selection
    np.testing.assert_allclose(penalty_matrix([flat], baseline="a").beats, [[0, 0], [1, 0]])


def test_equal_differences_of_a_few_seeds_are_no_win_in_a_penalty_matrix():
    """All of one sign have a chance of 2^(1 - S) each way: 0.0625 with five seeds, 0.03125 with six."""
    for count, wins in ((2, 0), (5, 0), (6, 1)):
        found = penalty_matrix([setting([0.5, 0.6, 0.7], [0.5, 0.8, 0.9], noise=0.0, count=count)])
        assert found.beats[1][0] == wins, count


def test_what_makes_no_penalty_matrix():
    good = setting([0.5, 0.6], [0.5, 0.7])
    with pytest.raises(InvalidInput, match="at least one setting"):
        penalty_matrix([])
    with pytest.raises(InvalidInput, match=r"setting 1 has strategies \['a'\], but setting 0 has \['a', 'b'\]"):
        penalty_matrix([good, {"a": good["a"]}])
    for wrong in (setting([0.5, 0.6]), setting([0.5], [0.6]), setting([0.5, 0.6], [0.5, 0.7], count=1)):
        with pytest.raises(InvalidInput, match="two strategies, two seeds and two points"):
            penalty_matrix([wrong])
    with pytest.raises(InvalidInput, match="the baseline 'c' is not among"):
        penalty_matrix([good], baseline="c")


def test_areas_go_into_comparisons():
    curves = {
        "random_sampling": Curves(LABELS, seeds(RANDOM, seed=2)),
        "margin_sampling": Curves(LABELS, seeds(MARGIN, seed=1)),
    }
    (found,) = compare(areas(curves), baseline="random_sampling")
    _, margin = summarize(curves, target=None)
    assert found.difference == margin.difference


def test_of_errors_the_smaller_ones_win():
    """The same as for the negated errors, with the differences as they were measured."""
    rng = np.random.default_rng(0)
    errors = {"random_sampling": 3 + 0.1 * rng.normal(size=8), "lcmd": 2.5 + 0.1 * rng.normal(size=8)}
    errors["badge"] = errors["random_sampling"] + 0.3 + 0.01 * rng.normal(size=8)
    found = {c.strategy: c for c in compare(errors, baseline="random_sampling", unit=Unit(False, False))}
    turned = {c.strategy: c for c in compare({k: -v for k, v in errors.items()}, baseline="random_sampling")}
    for name, c in found.items():
        other = turned[name]
        assert (c.wins, c.ties, c.losses, c.better, c.outcome()) == (
            other.wins,
            other.ties,
            other.losses,
            other.better,
            other.outcome(),
        )
        assert c.difference.mean == pytest.approx(-other.difference.mean)
        assert c.p_holm == pytest.approx(other.p_holm)
    assert [found[name].outcome() for name in ("lcmd", "badge")] == ["win", "loss"]
    assert verdict(found["lcmd"]).startswith("lcmd: significantly better than random at 0.05 with 8 seeds (-0.")
    assert "points" not in verdict(found["badge"])
    labels = np.array([5, 10])
    curves = {name: Curves(labels, np.stack([v, v], 1), None, Unit(False, False)) for name, v in errors.items()}
    matrix = penalty_matrix([curves])
    order = list(matrix.strategies)
    assert matrix.beats[order.index("lcmd"), order.index("random_sampling")] == 1
    assert matrix.beats[order.index("random_sampling"), order.index("lcmd")] == 0
    (first, *_) = summarize(curves, target=None)
    assert first.mean.tolist() == pytest.approx([errors["random_sampling"].mean()] * 2)
    with pytest.raises(InvalidInput, match="a target needs a metric whose larger values are better"):
        summarize(curves, target=0.5)

import dataclasses
import itertools
import math
import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from distil.errors import InvalidInput
from distil.evaluation.compare import compare, summarize
from distil.evaluation.curves import Curves, areas
from distil.evaluation.labels_saved import Saving
from distil.evaluation.plots import _apart, plot_curves
from distil.evaluation.tables import WIDTH, _spaced, markdown_table, saving_text, terminal_table

LABELS = np.array([100, 200, 300, 400])


def curve(*points, spread=0.0):
    """Three seeds around these points; their mean is exact."""
    return Curves(LABELS, np.array(points) + spread * np.array([[-1.0], [0.0], [1.0]]))


@pytest.fixture
def curves():
    return {
        "margin_sampling": curve(0.5, 0.8, 0.9, 0.96, spread=0.011),
        "random_sampling": curve(0.5, 0.6, 0.7, 0.8, spread=0.010),
        "lucky": Curves(LABELS, np.array([[0.5, 0.6, 0.7, 0.81], [0.5, 0.6, 0.7, 0.78], [0.5, 0.61, 0.7, 0.8]])),
        "worse": curve(0.5, 0.55, 0.6, 0.65, spread=0.011),
    }


def cells(line):
    return re.split(r"  +", line.strip())


def test_a_terminal_table_by_hand(curves):
    lines = terminal_table(summarize(curves, target=0.75), 0.75).split("\n")
    assert cells(lines[0]) == ["accuracy (%) by labels", "area", "labels", "times", "area minus"]
    assert " ".join(lines[1].split()) == "strategy 100 200 300 400 (mean) to 75 % fewer random's"
    assert set(lines[2]) == {"-"}
    # 0.010 spread over 3 seeds: t(2) 4.302653 * 0.010 / sqrt(3) = 0.02484; random reaches 75 % at 350, margin
    # sampling at 100 + 100 * 25 / 30; their ratio is 1.892 with the best seed and 1.925 with the worst.
    # The differences of the areas are 0.139, 0.140 and 0.141.
    rows = {cells(line)[0]: " ".join(line.split()) for line in lines[3:7]}
    del rows["lucky"]
    assert rows == {
        "random_sampling": "random_sampling 50.0 60.0 70.0 80.0 65.00 ±2.48 350 1.0",
        "margin_sampling": "margin_sampling 50.0 80.0 90.0 96.0 79.00 ±2.73 184 1.9 [1.8, 2.0] +14.00 [+13.75, +14.25]",
        "worse": "worse 50.0 55.0 60.0 65.0 57.50 ±2.73 > 400 < 0.9 [< 0.9] -7.50 [-7.75, -7.25]",
    }
    assert lines[3].startswith("random_sampling")
    assert lines[4].startswith("margin_sampling")


def test_the_notes_say_in_words_what_the_numbers_are(curves):
    text = terminal_table(summarize(curves, target=0.75), 0.75)
    assert "Means over 3 seeds" in text
    assert "95 % intervals" in text
    assert "> 400: 75 % was not reached with 400 labels." in text
    assert "significant" not in text  # nothing was tested


def comparisons_with_baseline(curves, baseline="random_sampling"):
    return {c.strategy: c for c in compare(areas(curves), baseline=baseline)}


def words(text):
    return " ".join(text.split())


def test_tests_are_corrected_and_stated_in_sentences(curves):
    summaries, tests = summarize(curves, target=0.75), comparisons_with_baseline(curves)
    for table in (terminal_table, markdown_table):
        text = words(table(summaries, 0.75, comparisons=tests))
        assert (
            "Significantly better than random at 0.05 (paired t test of the areas, corrected for 3 comparisons by Holm's "
            "method): margin_sampling." in text
        )
        assert "by Holm's method): worse." in text
        assert words("lucky: no significant difference from random at 0.05 with 3 seeds (") in text
        assert "margin_sampling: no significant" not in text
        assert "you need about" in text


def test_the_p_values_of_the_tables_are_those_of_holm(curves):
    """Scipy's paired t test, times the number of tests that are left, in the order of their size."""
    from scipy.stats import ttest_rel

    scores = {name: own.values.mean(axis=1) for name, own in curves.items()}
    raw = {
        name: ttest_rel(scores[name], scores["random_sampling"]).pvalue
        for name in list(curves)
        if name != "random_sampling"
    }
    expected, largest = {}, 0.0
    for left, name in zip((3, 2, 1), sorted(raw, key=raw.get), strict=True):
        largest = max(largest, min(1, left * raw[name]))
        expected[name] = largest
    table = markdown_table(summarize(curves, target=0.75), 0.75, comparisons=comparisons_with_baseline(curves))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n\n")[0].split("\n")]
    assert rows[0][-3:] == ["p (Holm)", "effect g_z", "wins/ties/losses"]
    found = {row[0]: row for row in rows[2:]}
    assert found["random_sampling"][-3:] == ["", "", ""]
    for name, p in expected.items():
        shown = found[name][-3]
        assert shown == ("< 0.0001" if p < 0.0001 else f"{p:.2g}")
    difference = scores["lucky"] - scores["random_sampling"]
    hedges = 1 / math.sqrt(math.pi)  # with two degrees of freedom: Gamma(1) / (sqrt(1) Gamma(1/2))
    assert found["lucky"][-2] == f"{hedges * difference.mean() / difference.std(ddof=1):+.2f}"
    assert found["lucky"][-1] == "1/0/2"
    assert found["worse"][-1] == "0/0/3"


def test_what_two_seeds_or_equal_differences_do_not_show_is_left_out():
    """No interval and no effect size where there is no spread; no unbiased effect size of two seeds."""
    base = np.array([[0.5, 0.6, 0.7, 0.8], [0.52, 0.61, 0.73, 0.84]])
    curves = {"random_sampling": Curves(LABELS, base), "a": Curves(LABELS, base + 0.1), "b": Curves(LABELS, base * 0.9)}
    table = markdown_table(summarize(curves, target=None), None, comparisons=comparisons_with_baseline(curves))
    rows = {row.split(" | ")[0].strip("| "): row.strip(" |").split(" | ") for row in table.split("\n")[2:5]}
    assert rows["a"][-4:] == ["+10.00", "0.5", "-", "2/0/0"]
    assert rows["b"][-2:] == ["-", "0/0/2"]
    assert not re.search(r"\b(nan|inf)\b", table)


def test_a_twin_is_named_and_not_tested(curves):
    curves["margin_sampling_dropout"] = curves["margin_sampling"]
    tests = {name: c for name, c in comparisons_with_baseline(curves).items() if name != "margin_sampling_dropout"}
    twins = {"margin_sampling_dropout": "margin_sampling"}
    text = markdown_table(summarize(curves, target=None), None, comparisons=tests, twins=twins)
    assert (
        "- margin_sampling_dropout: the same selections as margin_sampling in every run, so it is not tested a second time."
        in text
    )
    (row,) = [line for line in text.split("\n") if line.startswith("| margin_sampling_dropout")]
    assert row.endswith("|  |  |  |")


def test_where_only_the_strategy_gets_there_the_ratio_is_a_bound(curves):
    text = terminal_table(summarize(curves, target=0.93), 0.93)
    rows = {line.split()[0]: " ".join(line.split()) for line in text.split("\n")[3:7]}
    assert " > 400 - " in rows["random_sampling"] + " "
    # 400 / 350 = 1.14, rounded down; with the worst seed alone 400 / (300 + 100 * 41 / 60) = 1.09
    assert "±2.73 350 > 1.1 [> 1.0] +14.00" in rows["margin_sampling"]
    assert "> 400 - -7.50" in rows["worse"]


def test_where_a_curve_starts_above_the_target_its_labels_are_a_bound(curves):
    curves["high"] = curve(0.7, 0.8, 0.9, 0.95, spread=0.001)
    text = terminal_table(summarize(curves, target=0.6), 0.6)
    rows = {line.split()[0]: " ".join(line.split()) for line in text.split("\n")[3:8]}
    # Random needs 200 labels, with its worst seed 210 and with its best 190; "high" had 70 % with the first 100.
    assert " ≤ 100 > 2.0 [> 1.9] " in rows["high"]
    assert "≤ 100: with 100 labels, the smallest number measured, it was above 60 %." in words(text)
    assert "≤" not in terminal_table(summarize(curves, target=0.72), 0.72)


def test_bounds_of_label_efficiencies_are_rounded_to_the_safe_side():
    for numbers, expected in [
        ((1.94, "", 1.86, 2.01), "1.9 [1.8, 2.1]"),
        ((1.29, "at least", 1.29, math.inf), "> 1.2 [> 1.2]"),
        ((0.51, "at most", 0.0, 0.58), "< 0.6 [< 0.6]"),
        ((1.5, "", 0.0, math.inf), "1.5 [unknown]"),
        ((None, "", 0.0, math.inf), "-"),
        ((1.5, "", math.nan, math.nan), "1.5"),
    ]:
        assert saving_text(Saving(*numbers, 0.95), interval=True) == expected
        assert saving_text(Saving(*numbers, 0.95), interval=False) == expected.split(" [")[0]


def test_the_level_of_the_bootstrap_is_one_that_the_seeds_can_give(curves):
    text = words(terminal_table(summarize(curves, target=0.75), 0.75))
    assert "with 75 % bootstrap intervals over paired seeds" in text
    assert "3 seeds cannot give 95 %" in text
    many = {name: Curves(LABELS, np.repeat(own.values, 4, axis=0)) for name, own in curves.items()}
    text = words(terminal_table(summarize(many, target=0.75), 0.75))
    assert "with 95 % bootstrap intervals over paired seeds" in text
    assert "cannot" not in text


def test_one_seed_is_reported_without_intervals(curves):
    one = {name: Curves(LABELS, c.values[:1]) for name, c in curves.items()}
    for table in (terminal_table, markdown_table):
        text = table(summarize(one, target=0.75), 0.75)
        assert "One seed: no intervals, and no test of any difference." in text
        assert "nan" not in text.lower()
        assert "±" not in text
        assert "significant" not in text


def test_without_a_target_its_columns_are_left_out(curves):
    for table in (terminal_table, markdown_table):
        text = table(summarize(curves, target=None), None)
        assert "fewer" not in text
        assert "reached" not in text


def test_a_markdown_table_by_hand(curves):
    table, notes = markdown_table(summarize(curves, target=0.75), 0.75, metric="macro-F1").split("\n\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")]
    assert rows[0] == [
        "strategy",
        "macro-F1 in % with 100 labels",
        "200",
        "300",
        "400",
        "area (mean)",
        "labels to 75 %",
        "times fewer",
        "area minus random's",
    ]
    assert rows[1] == ["---", *["---:"] * 8]
    assert rows[2] == ["random_sampling", "50.0", "60.0", "70.0", "80.0", "65.00 ±2.48", "350", "1.0", ""]
    assert rows[3][-1] == "+14.00 [+13.75, +14.25]"
    assert all(len(row) == 9 for row in rows)
    assert all(line.startswith("- ") for line in notes.split("\n"))


def test_markdown_shows_every_point_and_escapes_names():
    many = np.arange(20, 421, 20)
    values = np.full((2, 21), 0.5)
    summaries = summarize({"a|b": Curves(many, values)}, baseline="a|b", target=None)
    header, _, row = markdown_table(summaries, None).split("\n")[:3]
    assert len(re.findall(r"(?<!\\)\|", header)) == 21 + 3 + 1  # points, three more columns, the closing bar
    assert row.startswith("| a\\|b | 50.0 |")


def test_a_terminal_table_fits():
    for name, points, target, metric in itertools.product(
        ["b", "least_confidence_dropout", "x" * 60],
        [1, 7, 101],
        [None, 0.945],
        ["accuracy", "balanced accuracy", "m" * 50],
    ):
        labels = 100_000 * np.arange(1, points + 1)
        values = np.random.default_rng(0).random((4, points))
        curves = {"random_sampling": Curves(labels, values), name: Curves(labels, values[::-1])}
        text = terminal_table(
            summarize(curves, target=target), target, metric=metric, comparisons=comparisons_with_baseline(curves)
        )
        assert max(map(len, text.split("\n"))) <= WIDTH, (name, points, target, metric)
        assert str(labels[0]) in text, (name, points, target, metric)
        assert str(labels[-1]) in text, (name, points, target, metric)


def test_the_points_shown_are_evenly_spaced_with_both_ends():
    for count, most in itertools.product(range(1, 60), range(2, 9)):
        points = _spaced(count, most)
        assert points[0] == 0, (count, most)
        assert points[-1] == count - 1, (count, most)
        assert min(count, most) >= len(points) >= min(count, most // 2 + 1), (count, most)
        steps = np.diff(points)
        assert len(steps) == 0 or (min(steps) >= 1 and max(steps) - min(steps) <= 1), (count, most)


def test_steps_are_equal_where_they_can_be():
    assert _spaced(21, 8) == [0, 4, 8, 12, 16, 20]
    assert _spaced(8, 8) == list(range(8))


def test_another_baseline_is_named(curves):
    summaries = summarize(curves, baseline="lucky", target=0.75)
    text = terminal_table(summaries, 0.75, comparisons=comparisons_with_baseline(curves, "lucky"))
    assert text.split("\n")[3].startswith("lucky")
    assert "lucky's" in text.split("\n")[1]
    assert "random: no significant difference from lucky at 0.05 with 3 seeds (" in words(text)


def test_the_baseline_comes_first_in_whatever_order_it_was_given(curves):
    summaries = summarize(curves, target=0.75)
    assert terminal_table(summaries[1:] + summaries[:1], 0.75) == terminal_table(summaries, 0.75)


def test_summaries_that_do_not_belong_together_are_refused(curves):
    summaries = summarize(curves, target=0.75)
    other = summarize(curves, baseline="lucky", target=0.75)
    longer = dataclasses.replace(summaries[1], labels=summaries[1].labels + 1)
    for table in (terminal_table, markdown_table):
        with pytest.raises(InvalidInput, match="exactly once, got it 0 times"):
            table([], 0.75)
        with pytest.raises(InvalidInput, match="exactly once"):
            table(summaries[1:], 0.75)
        with pytest.raises(InvalidInput, match=r"target=0\.75, not 0\.9"):
            table(summaries, 0.9)
        with pytest.raises(InvalidInput, match="another baseline"):
            table([summaries[0], other[1]], 0.75)
        with pytest.raises(InvalidInput, match="another baseline, other points"):
            table([summaries[0], longer], 0.75)


@pytest.mark.parametrize("name", ["curves.png", "curves.SVG"])
def test_a_picture_is_written_whole_and_always_the_same(curves, tmp_path, name):
    summaries = summarize(curves, target=0.75)
    path = plot_curves(summaries, tmp_path / name, title="a title", target=0.75)
    first = path.read_bytes()
    assert plot_curves(summaries, str(path), title="a title", target=0.75).read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == [name]
    path.write_bytes(b"mine")
    with pytest.raises(InvalidInput, match="exists already, with other content"):
        plot_curves(summaries, path, title="a title", target=0.75)
    assert path.read_bytes() == b"mine"
    assert plot_curves(summaries, path, title="a title", target=0.75, force=True).read_bytes() == first
    if name.endswith("png"):
        assert first.startswith(b"\x89PNG")
    else:
        assert ET.fromstring(first).tag.endswith("svg")


def test_what_all_labels_give_is_a_line_with_words(curves, tmp_path):
    summaries = summarize(curves, target=None)
    without = plot_curves(summaries, tmp_path / "without.svg").read_text()
    text = plot_curves(summaries, tmp_path / "with.svg", full=0.975).read_text()
    assert "<!-- all labels: 97.5 % -->" in text
    assert "all labels" not in without


def test_a_picture_of_one_seed_one_point_or_many_strategies(tmp_path):
    one = {"random_sampling": Curves([10], [[0.5]])}
    assert plot_curves(summarize(one, target=None), tmp_path / "one.png").stat().st_size > 1000
    values = np.random.default_rng(0).random((2, 60))
    many = {f"strategy ${i}$": Curves(np.arange(1, 61), values) for i in range(40)}
    summaries = summarize(many, baseline="strategy $3$", target=None)
    assert plot_curves(summaries, tmp_path / "many.png").stat().st_size > 1000


def test_drawing_leaves_pyplot_and_its_settings_alone(curves, tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    plot_curves(summarize(curves, target=None), tmp_path / "a.svg")
    assert dict(mpl.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_pictures_that_cannot_be_drawn_are_refused(curves, tmp_path):
    summaries = summarize(curves, target=None)
    with pytest.raises(InvalidInput, match=r"\.png or \.svg, got 'a\.pdf'"):
        plot_curves(summaries, tmp_path / "a.pdf")
    with pytest.raises(InvalidInput, match="at least one summary, got none"):
        plot_curves([], tmp_path / "a.png")
    with pytest.raises(InvalidInput, match="target must be a fraction"):
        plot_curves(summaries, tmp_path / "a.png", target=94)
    with pytest.raises(InvalidInput, match="full must be a fraction"):
        plot_curves(summaries, tmp_path / "a.png", full=98)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_leaves_the_old_picture_and_nothing_else(curves, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(self, file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plot_curves(summarize(curves, target=None), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_names_are_moved_apart_as_little_as_possible():
    np.testing.assert_allclose(_apart(np.array([0.1, 0.5, 0.9]), 0.1), [0.1, 0.5, 0.9])
    np.testing.assert_allclose(_apart(np.array([0.5, 0.5]), 0.1), [0.45, 0.55])
    np.testing.assert_allclose(_apart(np.array([0.52, 0.5, 0.1]), 0.1), [0.56, 0.46, 0.1])
    np.testing.assert_allclose(_apart(np.array([1.0, 1.0, 1.0]), 0.1), [0.8, 0.9, 1.0])
    np.testing.assert_allclose(_apart(np.array([0.0, 0.01]), 0.1), [0.0, 0.1])


def test_moving_names_apart_is_the_least_squares_answer():
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    for _ in range(5):
        wanted = np.sort(rng.uniform(0.4, 0.6, 6))
        gaps = {"type": "ineq", "fun": lambda x: np.diff(x) - 0.05}
        best = minimize(lambda x: ((x - wanted) ** 2).sum(), np.linspace(0.3, 0.7, 6), constraints=[gaps])  # noqa: B023
        np.testing.assert_allclose(_apart(wanted, 0.05), best.x, atol=1e-4)

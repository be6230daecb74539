"""The page of ten strategies and ten seeds in a real browser: what it draws, what it leaves out, and how it fits."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from distil.experiment.config.experiment_config import parse_config
from distil.experiment.directory import compared, open_config
from distil.experiment.outputs import write_results
from distil.experiment.page.render import page_of
from distil.experiment.page.report import report_of
from distil.experiment.suite import run_all

pytestmark = pytest.mark.slow
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
DRAWN = "[data-figure] svg path.curve"
BADGE = "badge [bold]"
X, DASH = "\u00d7", "\u2013"
GAIN = {
    "margin_sampling": 0.12,
    BADGE: 0.19,
    "entropy_sampling": 0.03,
    "least_confidence": 0.02,
    "kmeans_sampling": 0.01,
    "core_set": -0.002,
    "typiclust": -0.03,  # significantly worse than random, and the last by its area
}
OTHERS = ["entropy_sampling", "least_confidence", "kmeans_sampling", "core_set", "fass", "craig", "typiclust"]
TEN = ["random_sampling", "margin_sampling", BADGE, *OTHERS]
FIGURES = ("curves-accuracy", "efficiency-accuracy", "selections-balance")


def write_page(configs, path):
    path.write_text(page_of(report_of(configs)), encoding="utf-8")
    return path


@pytest.fixture
def ten(made_up):
    entries = [{"name": "badge", "label": BADGE} if name == BADGE else name for name in TEN]
    return made_up(strategies=entries, seeds=10, gain=GAIN, target_accuracy=0.85)


@pytest.fixture
def page_of_ten(ten):
    return write_page([ten], ten.output / "report.html")


def saved(page, selector):
    """What a button saves."""
    with page.expect_download() as waiting:
        page.locator(selector).click()
    with open(waiting.value.path(), encoding="utf-8", newline="") as file:
        return file.read()


def saved_rows(page, selector):
    return list(csv.DictReader(io.StringIO(saved(page, selector))))


def cells_of(page, table):
    """The texts of a table: strategy -> one for each column."""
    rows = page.locator(f'[data-table="{table}"] tbody tr')
    texts = [rows.nth(i).locator("th, td").all_text_contents() for i in range(rows.count())]
    return {row[0].strip(): [text.strip() for text in row[1:]] for row in texts}


def test_it_fits_a_desk_a_phone_and_paper_by_day_and_by_night(page_of_ten, opened):
    for viewport in (DESK, PHONE):
        for scheme in ("light", "dark"):
            page = opened(page_of_ten, viewport, scheme, DRAWN)
            page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], (viewport, scheme)
            for figure in FIGURES:
                box = page.locator(f'[data-figure="{figure}"] .plot > svg').bounding_box()
                assert 250 < box["width"] <= viewport["width"], (figure, viewport)
    page = opened(page_of_ten, DESK, "light", DRAWN)
    assert page.locator("#outlook li").count() == len(TEN)
    assert "cannot tell yet what 5 more labels would bring" in page.locator("#outlook").inner_text()
    areas = page.locator('[data-table="areas-accuracy"] .scroll')
    assert areas.evaluate("one => one.scrollWidth <= one.clientWidth")  # no column is hidden at a desk
    for _ in range(3):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 without margins
    page.emulate_media(media="print", color_scheme="dark")
    page.wait_for_function("document.documentElement.scrollWidth <= 718")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_figures_show_what_differs_and_name_what_they_leave_out(page_of_ten, opened):
    page = opened(page_of_ten, DESK, "light", DRAWN)
    for figure in FIGURES:
        own = page.locator(f'[data-figure="{figure}"]')
        curves = own.locator(".plot > svg path.curve[data-curve]")
        shown = [curves.nth(i).get_attribute("data-curve") for i in range(curves.count())]
        assert [name for name in TEN if name not in shown] == [
            "craig"
        ]  # of those that do not differ, the last by its area
        assert own.locator("[data-left-out]").inner_text() == "Not drawn: craig."
        assert "Not drawn: craig." in own.locator(".plot > svg").get_attribute("aria-label")
        assert "Not drawn: craig." in saved(page, f'[data-figure="{figure}"] button[data-save="svg"]')
    header, *rows = csv.reader(io.StringIO(saved(page, '[data-figure="curves-accuracy"] button[data-save="csv"]')))
    assert header == ["labels", *(f"{name}{end}" for name in TEN for end in ("", " low", " high"))]
    assert len(rows) == 4
    page.locator('#curves .legend button[data-series="typiclust"]').click()
    assert page.locator("#curves [data-left-out]").inner_text() == "Not drawn: craig, typiclust."
    page.locator("#curves .legend").get_by_text("all", exact=True).click()
    assert not page.locator("#curves [data-left-out]").is_visible()


def test_curves_of_label_efficiency_end_where_only_bounds_are_known(ten, page_of_ten, opened):
    page = opened(page_of_ten, DESK, "light", DRAWN)
    svg = page.locator('[data-figure="efficiency-accuracy"] .plot > svg')
    path = svg.locator(f'path.curve[data-curve="{BADGE}"]').get_attribute("d")
    assert path.count("L") == 1  # two of four points: random ends at 80 %, which badge has with 15 labels
    assert svg.locator('[data-bound="at least"]').count() >= 2
    said = svg.get_attribute("aria-label")
    assert f"{BADGE} 1.63{X} at 15 labels, at least 1.25{X} at 20 labels, then beyond what random reached" in said
    rows = saved_rows(page, '[data-figure="efficiency-accuracy"] button[data-save="csv"]')
    assert list(dict.fromkeys(row["strategy"] for row in rows)) == TEN
    bounds = {name: [row["bound"] for row in rows if row["strategy"] == name] for name in TEN}
    assert bounds[BADGE] == ["", "", "at least", "at least"]
    assert bounds["typiclust"] == bounds["random_sampling"] == [""] * 4
    page.locator("#labels summary").click()
    assert cells_of(page, "efficiencies-accuracy")[BADGE] == [f"1.00{X}", f"1.63{X}", f"≥ 1.25{X}", f"≥ 1.00{X}"]
    row = next(
        r for r in saved_rows(page, '[data-table="labels-accuracy"] button[data-save="csv"]') if r["strategy"] == BADGE
    )
    assert (row["bound to target 85 %"], row["high to target 85 %"]) == ("at least", "")
    assert float(row["low to target 85 %"]) <= float(row["times fewer to target 85 %"])


def test_a_bound_that_says_more_than_the_last_exact_value_is_drawn(made_up, opened):
    """Random ends at 70 %, which badge has passed with 15 labels: a ratio of at least 25 / 15 after an exact 1."""
    config = made_up(gain={"badge": 0.19, "random_sampling": -0.1})
    page = opened(write_page([config], config.output / "report.html"), DESK, "light", DRAWN)
    svg = page.locator('[data-figure="efficiency-accuracy"] .plot > svg')
    key = svg.locator('path.curve[data-curve="badge"]').get_attribute("class").split()[-1]
    (ring,) = svg.locator(f'circle.ring.{key}[data-bound="at least"]').all()
    ticks = svg.evaluate(
        """svg => [...svg.querySelectorAll("line.gridline")].map(line =>
             [Number(line.getAttribute("y1")), parseFloat(line.nextElementSibling.textContent)])"""
    )
    (y0, v0), (y1, v1) = ticks[0], ticks[-1]
    assert v0 + (float(ring.get_attribute("cy")) - y0) * (v1 - v0) / (y1 - y0) == pytest.approx(25 / 15, abs=1e-3)
    assert svg.locator(f"path.curve.open.{key}").count() == 1  # a dotted line from the exact value
    assert "badge 1.00" in svg.get_attribute("aria-label")


def test_every_number_is_that_of_the_files(ten, page_of_ten, opened):
    write_results(ten)
    lines = (ten.output / "results.md").read_text().split("\n")[2:]
    heads, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[: lines.index("")]]
    table = {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows}
    page = opened(page_of_ten, DESK, "light", DRAWN)
    page.locator("#curves summary").click()
    means, areas = cells_of(page, "means-accuracy"), cells_of(page, "areas-accuracy")
    labels = cells_of(page, "labels-accuracy")
    raw = {r["strategy"]: r for r in saved_rows(page, '[data-table="areas-accuracy"] button[data-save="csv"]')}
    assert list(means) == list(areas) == list(labels) == list(table) == TEN
    for name, row in table.items():
        assert means[name] == list(row.values())[:4]
        area, difference, p, _, effect, wins, *_ = (text.replace(DASH, "") for text in areas[name])
        assert (area, difference) == (row["area (mean)"], row["area minus random's"])
        assert (p, effect, wins) == (row["p (Holm)"], row["effect g_z"], row["wins/ties/losses"])
        assert (labels[name][-2], labels[name][-1]) == (row["labels to 85 %"], row["times fewer"].replace("-", DASH))
        assert area.split(" ")[0] == f"{100 * float(raw[name]['area']):.2f}"
        if difference:
            assert difference.split(" ")[0] == f"{100 * float(raw[name]['difference']):+.2f}"
            assert effect == f"{float(raw[name]['g_z']):+.2f}"
            assert p == "< 0.0001" or float(p) == pytest.approx(float(raw[name]["p Holm"]), rel=0.05)


def test_ties_between_two_decimals_are_rounded_as_in_the_tables(ten, opened):
    """9 / 16 is 56.25 % exactly: Python prints 56.2, and JavaScript's toFixed 56.3."""
    report = json.loads(json.dumps(report_of([ten])))
    own = report["experiments"][0]["metrics"]["accuracy"]
    for full in (0.5625, 0.6875, 0.5635):
        own["full"] = full
        path = ten.output / "tie.html"
        path.write_text(page_of(report), encoding="utf-8")
        page = opened(path, DESK, "light", DRAWN)
        assert f"{100 * full:.1f} %" in page.locator(".tiles").inner_text()


def test_several_data_sets(made_up, opened, tmp_path):
    configs = [made_up(f"set {i}", draw=i) for i in range(5)]
    path = write_page(configs, tmp_path / "all.html")
    for viewport in (DESK, PHONE):
        page = opened(path, viewport, "light", DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        diagram = page.locator('[data-figure="critical-difference-accuracy"] .plot > svg')
        assert diagram.bounding_box()["height"] > 80
        assert "critical difference" in diagram.text_content()
        assert "margin_sampling" in diagram.get_attribute("aria-label")
        page.locator('select[data-option="experiment"]').select_option(label="digits (set 3)")
        assert "In short: digits (set 3)" in page.locator("#summary").inner_text()
        svg = saved(page, '[data-figure="critical-difference-accuracy"] button[data-save="svg"]')
        assert ET.fromstring(svg).tag.endswith("svg")


def test_few_data_sets_unfinished_runs_and_a_directory_that_is_given_twice(made_up, opened, tmp_path):
    one = made_up("one")
    other = made_up("other", draw=1, unfinished=[(label, 0) for label in ("margin_sampling", "badge")])
    page = opened(write_page([one, other, one], tmp_path / "two.html"), PHONE, "light", DRAWN)
    assert f"{one.output} counts once: its runs were given 2 times." in page.locator("#intro").inner_text()
    assert "at least 5 data sets, got 2" in page.locator('[data-why="no-diagram"]').inner_text()
    page.locator('select[data-option="experiment"]').select_option(index=1)
    assert (
        "The table has 3 of 4 seeds, because some strategies have not finished the others"
        in page.locator("#summary").inner_text()
    )
    grown = made_up("grown", strategies=["random_sampling", "core_set"])  # its runs of random_sampling are those of one
    page = opened(write_page([one, grown], tmp_path / "shared.html"), PHONE, "light", DRAWN)
    assert f"{grown.output} is no data set of its own" in page.locator("#intro").inner_text()
    assert page.locator('select[data-option="experiment"]').count() == 1
    assert page.get_by_role("link", name="All data").count() == page.locator("#across").count() == 0
    none = made_up(
        "none", seeds=1, unfinished=[(label, 0) for label in ("random_sampling", "margin_sampling", "badge")]
    )
    page = opened(write_page([none], tmp_path / "none.html"), PHONE, "light", "#provenance")
    assert "random_sampling is left out" in page.locator("#summary").inner_text()


def test_ways_to_retrain_are_drawn_against_their_own_baseline(made_up, opened):
    warm = [{"name": name, "label": f"{name}+warm", "retrain": "warm"} for name in ("random_sampling", "badge", "fass")]
    entries = ["random_sampling", "badge", *warm, {"name": "badge", "label": "alone", "retrain": "shrink_perturb"}]
    config = made_up(strategies=entries, gain={"random_sampling+warm": 0.15, "badge+warm": 0.17})
    page = opened(write_page([config], config.output / "report.html"), DESK, "light", DRAWN)
    found = cells_of(page, "areas-accuracy")
    assert found["random_sampling"][-1] == found["random_sampling+warm"][-1] == "baseline"
    assert found["alone"][-1] == "not compared"
    assert found["badge+warm"][1].startswith("+1.")  # against random_sampling the difference is above 12
    assert "badge+warm: significantly better than random_sampling+warm" in page.locator("#summary").inner_text()
    assert "random was not run with retrain 'shrink_perturb': alone." in page.locator("#summary").inner_text()
    forest = page.locator('[data-figure="differences-accuracy"] .plot > svg').get_attribute("aria-label")
    assert "badge+warm" in forest
    assert "alone" not in forest
    left_out = page.locator('[data-figure="efficiency-accuracy"] [data-left-out]').inner_text()
    assert left_out == "Not drawn: random_sampling+warm (compared with no other), alone (compared with no other)."
    rows = saved_rows(page, '[data-figure="efficiency-accuracy"] button[data-save="csv"]')
    assert {row["strategy"] for row in rows} == {"random_sampling", "badge", "badge+warm", "fass+warm"}


def test_numbers_of_a_regression_are_in_their_own_unit(tmp_path, opened):
    """R2 first, then the errors, whose smaller values are better; no number is a percentage."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    np.savez(tmp_path / "r.npz", X=x, y=1000 * x[:, 0] + 100 * rng.normal(size=80))
    document = {
        "model": {"architecture": "linear_head"},
        "active_learning": {"strategies": ["lcmd"], "budget": 4, "rounds": 3},
        "dataset": {"name": "npz", "path": str(tmp_path / "r.npz"), "task": "regression"},
        "experiment": {"output": str(tmp_path / "out"), "seeds": 3, "target_accuracy": 0.8},
    }
    config = compared(parse_config(document))
    run_all(config)
    config = open_config(config.output)
    page = opened(write_page([config], tmp_path / "report.html"), DESK, "light", DRAWN)
    (experiment,) = report_of([config])["experiments"]
    for metric in ("r2", "rmse"):
        page.locator('[data-option="metric"]').select_option(metric)
        own = experiment["metrics"][metric]
        cells = cells_of(page, f"areas-{metric}")["lcmd"]
        assert cells[:2] == [own["cells"]["lcmd"]["area"], own["cells"]["lcmd"]["difference"]]
        assert own["comparisons"]["lcmd"]["verdict"].split(": ", 1)[1] in page.locator("#summary").inner_text()
        label = page.locator("#curves .plot > svg").get_attribute("aria-label")
        assert "%" not in label
        smallest = page.locator(".tile").first.inner_text()
        assert smallest.startswith("Largest area" if metric == "r2" else "Smallest area")
        assert ("Smaller values of this metric are better" in page.locator("#areas").inner_text()) == (metric == "rmse")
        full = page.locator(".tile", has_text="With all labels").locator("strong").inner_text()
        assert float(full) == pytest.approx(own["full"], rel=0.01)
        assert ("target 0.8" in page.locator("#labels").inner_text()) == (metric == "r2")


def test_work_of_an_executor_is_drawn_by_run(made_up, opened):
    config = made_up(seeds=2)
    for number, (start, end) in enumerate([(100, 140), (120, 200)]):
        entry = {"worker": f"node{number} 7", "start": start, "end": end}
        (config.output / "badge" / str(number) / "work.jsonl").write_text(json.dumps(entry) + "\n")
    page = opened(write_page([config], config.output / "report.html"), DESK, "light", DRAWN)
    rows = cells_of(page, "timeline")
    assert rows == {"badge, seed 0": ["node0 7", "", "0.0", "40.0"], "badge, seed 1": ["node1 7", "", "20.0", "100"]}
    bars, room = page.locator('[data-table="timeline"] .meter'), page.locator('[data-table="timeline"] .room').first
    space = room.bounding_box()
    for number, (left, width) in enumerate([(0, 0.4), (0.2, 0.8)]):
        box = bars.nth(number).bounding_box()
        assert box["x"] - space["x"] == pytest.approx(left * space["width"], abs=1)
        assert box["width"] == pytest.approx(width * space["width"], abs=1)
    assert [row["end seconds"] for row in saved_rows(page, '[data-table="timeline"] [data-save="csv"]')] == [
        "40",
        "100",
    ]

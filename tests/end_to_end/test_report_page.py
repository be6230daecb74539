"""The pages of a comparison, of an audit and of an explanation, in a real browser: on desk and phone, by day and by night."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import distil
from distil.auditing.audit import audit
from distil.auditing.page import audit_page
from distil.cli import main
from distil.data.pools import open_pool
from distil.experiment import outputs
from distil.experiment.page.render import page_of
from distil.selection.explanation_page import explanation_page

pytestmark = pytest.mark.slow

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 375, "height": 812}
LABEL = "badge & <i>'q'".replace("<", "(").replace(">", ")")  # labels are names of folders
STRATEGIES = ["random_sampling", "margin_sampling", "entropy_sampling", LABEL]
FIGURES = ["curves-accuracy", "differences-accuracy", "efficiency-accuracy", "selections-balance"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A small comparison on digits that has a page."""
    folder = tmp_path_factory.mktemp("report")
    document = {
        "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 16},
        "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 8},
        "active_learning": {
            "strategies": [*STRATEGIES[1:3], {"name": "badge", "label": LABEL}],
            "budget": 10,
            "rounds": 4,
            "initial_points": 20,
        },
        "dataset": {"name": "digits", "test_points": 300},
        "experiment": {"seeds": 3, "target_accuracy": 0.5},
    }
    (folder / "small.json").write_text(json.dumps(document))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")
        output = folder / "digits"
        assert main(["compare", str(folder / "small.json"), "--output", str(output), "--no-progress"]) == 0
    return output


@pytest.fixture
def opened(opened, compared):
    """``opened(viewport, scheme, file, drawn)``: the page of the comparison, or another one."""

    def open_(viewport=DESK, scheme="light", file=None, drawn="[data-figure] svg path.curve"):
        return opened(file or compared / "report.html", viewport, scheme, drawn)

    return open_


def saved(page, button):
    """Name and bytes of what a button saves."""
    with page.expect_download() as waiting:
        button.click()
    with open(waiting.value.path(), "rb") as file:
        return waiting.value.suggested_filename, file.read()


def button(page, figure, kind):
    return page.locator(f'[data-figure="{figure}"] button[data-save="{kind}"]')


def curves(page, figure="curves-accuracy"):
    """Names of the curves that a figure shows."""
    found = page.locator(f'[data-figure="{figure}"] .plot > svg path.curve[data-curve]')
    return [found.nth(i).get_attribute("data-curve") for i in range(found.count())]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_every_section_is_shown_and_nothing_overflows(opened, viewport, scheme):
    page = opened(viewport, scheme)
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    headings = page.locator("section h2").all_inner_texts()
    assert headings == [
        "In short",
        "Learning curves",
        "In words",
        "Areas under the curves",
        "Labels saved",
        "Pairwise comparison",
        "Time and memory",
        "Selections",
        "Provenance",
    ]
    for name in FIGURES:
        box = page.locator(f'[data-figure="{name}"] .plot > svg').bounding_box()
        assert box["width"] > 250
        assert box["height"] > 60
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= viewport["width"]
        assert page.locator(f'[data-figure="{name}"] .plot > svg').get_attribute("aria-label")
    for figure in ("curves-accuracy", "efficiency-accuracy", "selections-balance"):
        assert curves(page, figure) == STRATEGIES
        paths = page.locator(f'[data-figure="{figure}"] .plot > svg path.curve[data-curve]')
        drawn = [paths.nth(i).get_attribute("d") for i in range(len(STRATEGIES))]
        least = 0 if figure.startswith("efficiency") else 2  # that curve ends where only bounds are known
        assert all(re.fullmatch(rf"M[\d.]+ [\d.]+(L[\d.]+ [\d.]+){{{least},3}}", d) for d in drawn)
    assert page.locator(".band").count() == 4
    for table in ("areas-accuracy", "labels-accuracy", "penalty-accuracy", "costs", "selections", "overlap"):
        assert page.locator(f'[data-table="{table}"] tbody tr').count() >= 4
        scroll = page.locator(f'[data-table="{table}"] .scroll').bounding_box()
        assert scroll["x"] + scroll["width"] <= viewport["width"]


def test_curves_are_drawn_at_their_numbers(opened):
    """The ends of a curve, from its path and the ticks of the axes."""
    page = opened()
    report = json.loads(page.locator("#report").text_content())
    mean = report["experiments"][0]["metrics"]["accuracy"]["summaries"]["margin_sampling"]["mean"]
    svg = page.locator('[data-figure="curves-accuracy"] .plot > svg')
    ticks = svg.evaluate(
        """svg => [...svg.querySelectorAll("line.gridline")].map(line =>
             [Number(line.getAttribute("y1")), parseFloat(line.nextElementSibling.textContent) / 100])"""
    )
    (y0, v0), (y1, v1) = ticks[0], ticks[-1]
    d = svg.locator('path.curve[data-curve="margin_sampling"]').get_attribute("d")
    heights = [float(pair.split()[1]) for pair in re.split("[ML]", d)[1:]]
    assert [v0 + (y - y0) * (v1 - v0) / (y1 - y0) for y in heights] == pytest.approx(mean, abs=1e-4)


def test_strategies_are_toggled_in_all_figures(opened):
    page = opened()
    toggle = page.locator('#curves .legend button[data-series="margin_sampling"]')
    assert toggle.get_attribute("aria-pressed") == "true"
    toggle.click()
    rest = [name for name in STRATEGIES if name != "margin_sampling"]
    assert toggle.get_attribute("aria-pressed") == "false"
    assert curves(page) == curves(page, "efficiency-accuracy") == curves(page, "selections-balance") == rest
    toggle.press("Enter")  # by keyboard, too
    assert curves(page) == STRATEGIES
    page.locator("#curves .legend").get_by_text("only the baseline").click()
    assert curves(page) == ["random_sampling"]
    page.locator('#curves .legend button[data-series="random_sampling"]').click()
    assert "No strategy is shown" in page.locator('[data-figure="curves-accuracy"] .plot').inner_text()
    page.locator("#curves .legend").get_by_text("all", exact=True).click()
    assert curves(page) == STRATEGIES


def test_options_of_the_curves(opened):
    page = opened()
    path = lambda: page.locator('path.curve[data-curve="margin_sampling"]').first.get_attribute("d")  # noqa: E731
    linear = path()
    page.locator('#curves input[data-option="log"]').check()
    assert path() != linear
    page.locator('#curves input[data-option="log"]').uncheck()
    assert path() == linear
    page.locator('#curves input[data-option="bands"]').uncheck()
    assert page.locator("#curves .band").count() == 0
    page.locator('#curves input[data-option="whole"]').check()
    assert page.locator('[data-figure="curves-accuracy"] .bound').count() == 3
    ticks = page.locator('[data-figure="curves-accuracy"] .plot > svg > text').all_text_contents()
    assert {"0 %", "100 %"} <= set(ticks)
    words = page.locator('[data-figure="curves-accuracy"] .words').text_content()
    assert all(part in words for part in ("all labels", "majority class", "target 50 %"))


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1", "calibration_error"])
def test_another_metric(opened, metric):
    page = opened()
    page.locator('select[data-option="metric"]').select_option(metric)
    assert curves(page, f"curves-{metric}") == STRATEGIES
    report = json.loads(page.locator("#report").text_content())
    area = report["experiments"][0]["metrics"][metric]["summaries"]["margin_sampling"]["area"]
    assert f"{100 * area:.2f}" in page.locator(f'[data-table="areas-{metric}"]').inner_text()
    tested = metric != "calibration_error"
    assert page.locator(f'[data-table="penalty-{metric}"]').count() == tested
    assert ("p (Holm)" in page.locator(f'[data-table="areas-{metric}"]').inner_text()) == tested


def test_values_under_the_pointer_and_by_keyboard(opened):
    page = opened()
    report = json.loads(page.locator("#report").text_content())
    mean = report["experiments"][0]["metrics"]["accuracy"]["summaries"]["margin_sampling"]["mean"]
    svg = page.locator('[data-figure="curves-accuracy"] .plot > svg')
    tip = page.locator('[data-figure="curves-accuracy"] .tip')
    assert not tip.is_visible()
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 100)  # close to the first point
    assert "20 labels" in tip.inner_text()
    assert f"{100 * mean[0]:.2f} %" in tip.inner_text()
    assert LABEL in tip.inner_text()
    page.mouse.move(5, 5)
    assert not tip.is_visible()
    svg.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert "40 labels" in tip.inner_text()
    assert f"{100 * mean[2]:.2f} %" in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("figure", FIGURES)
def test_figures_are_saved(opened, viewport, figure):
    page = opened(viewport, "dark")
    name, svg = saved(page, button(page, figure, "svg"))
    assert name == f"digits-{figure}.svg"
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(root.findall(".//{http://www.w3.org/2000/svg}path")) >= 3
    assert b"rgb(255, 255, 255)" in svg or b"#ffffff" in svg  # on paper, also by night
    assert b"class=" not in svg
    assert "margin_sampling" in "".join(root.itertext())
    name, png = saved(page, button(page, figure, "png"))
    assert name == f"digits-{figure}.png"
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(png[16:20], "big") == 1800
    assert len(png) > 8000
    name, text = saved(page, button(page, figure, "csv"))
    assert name == f"digits-{figure}.csv"
    assert len(list(csv.reader(io.StringIO(text.decode())))) >= 4
    assert page.evaluate("document.documentElement.dataset.theme === undefined")


def test_tables_and_numbers_are_saved(opened, compared):
    page = opened()
    report = json.loads(page.locator("#report").text_content())
    own = report["experiments"][0]["metrics"]["accuracy"]
    _, text = saved(page, page.locator('[data-table="areas-accuracy"] button[data-save="csv"]'))
    rows = {row["strategy"]: row for row in csv.DictReader(io.StringIO(text.decode()))}
    assert list(rows) == STRATEGIES
    assert float(rows[LABEL]["area"]) == own["summaries"][LABEL]["area"]
    assert float(rows[LABEL]["p Holm"]) == own["comparisons"][LABEL]["p_holm"]
    _, text = saved(page, page.locator('button[data-save="numbers"]'))
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    with (compared / "results.csv").open(newline="") as file:
        expected = {(r["strategy"], r["seed"], r["labels"]): r for r in csv.DictReader(file)}
    assert len(rows) == len(expected) == 4 * 3 * 4
    for row in rows:
        other = expected[row["strategy"], row["seed"], row["labels"]]
        assert all(
            float(row[metric]) == float(other[metric]) for metric in ("accuracy", "balanced_accuracy", "macro_f1")
        )
    name, text = saved(page, page.locator('button[data-save="json"]'))
    assert name == "digits-report.json"
    assert json.loads(text) == report
    page.get_by_text("Ids of every round").click()
    _, text = saved(page, page.locator('button[data-save="ids"]'))
    assert json.loads(text) == report["experiments"][0]["ids"]
    first = report["experiments"][0]["ids"]["random_sampling"]["0"]
    assert page.locator("pre.ids").inner_text().split("\n")[1] == f"round 1: {' '.join(map(str, first[1]))}"
    page.get_by_text("Configuration").click()
    _, text = saved(page, page.locator('button[data-save="config"]'))
    document = json.loads((compared / "config.json").read_text())
    assert json.loads(text) == {name: section for name, section in document.items() if name != "hash"}


CONTRAST = """() => {
  const parsed = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const color = parsed(getComputedStyle(one).backgroundColor);
      if (color.a > 0) layers.push(color);
      if (color.a === 1) break;
    }
    return layers.reverse().reduce((under, { rgb, a }) => rgb.map((c, i) => a * c + (1 - a) * under[i]), [255, 255, 255]);
  };
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((m, n) => n - m); return (x + 0.05) / (y + 0.05); };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    if (!element.getClientRects().length) continue;
    const style = getComputedStyle(element), svg = element instanceof SVGElement;
    const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (words && !["SCRIPT", "STYLE", "OPTION"].includes(element.tagName)) {
      found.push(["text", ratio(parsed(svg ? style.fill : style.color).rgb, behind(element)), element.textContent.slice(0, 40)]);
    }
    const drawn = svg && element.classList.contains("curve");
    if (drawn) found.push(["curve", ratio(parsed(style.stroke).rgb, behind(element)), element.dataset.curve ?? ""]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(opened, scheme):
    """WCAG 2.1: 4.5 to 1 for text, 3 to 1 for lines of figures."""
    page = opened(DESK, scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(re.findall(r"\d+", paper)[0])
    assert red > 200 if scheme == "light" else red < 60
    found = page.evaluate(CONTRAST)
    assert sum(kind == "text" for kind, _, _ in found) > 200
    assert sum(kind == "curve" for kind, _, _ in found) > 12
    assert [one for one in found if one[1] < {"text": 4.5, "curve": 3}[one[0]]] == []


def test_a_narrow_window_that_is_widened(opened):
    page = opened(PHONE)
    figure = page.locator('[data-figure="curves-accuracy"] .plot > svg')
    assert figure.locator("path.leader").count() == 0  # no room for names next to the curves
    page.set_viewport_size(DESK)
    page.wait_for_function("document.querySelectorAll('[data-figure=\"curves-accuracy\"] path.leader').length === 4")
    page.set_viewport_size(PHONE)
    page.wait_for_function("document.documentElement.scrollWidth <= 375")
    assert figure.bounding_box()["width"] <= 375


def test_a_hostile_text_is_only_text(opened, tmp_path, hostile):
    report = opened().locator("#report").text_content().replace("margin_sampling", json.dumps(hostile)[1:-1])
    (tmp_path / "hostile.html").write_text(page_of({**json.loads(report), "title": hostile}), encoding="utf-8")
    page = opened(DESK, "light", tmp_path / "hostile.html")
    assert page.title() == page.locator("h1").text_content() == hostile
    assert hostile in curves(page)
    assert page.locator("#curves .legend button").nth(1).text_content().strip() == hostile.strip()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_an_audit(opened, tmp_path, scheme, hostile):
    x = np.random.default_rng(0).normal(size=(60, 4))
    x[1] = x[0]
    report = audit(open_pool(x.astype(np.float32), ids=[f"{hostile}{row}" for row in range(60)]))
    report["classes"] = {"labeled": {hostile: 3, "b": 1}, "known": {hostile: 4, "b": 9}}
    (tmp_path / "audit.html").write_text(audit_page(report, hostile), encoding="utf-8")
    for viewport in (DESK, PHONE):
        page = opened(viewport, scheme, tmp_path / "audit.html", "table")
        assert page.locator("h1").text_content() == f"Audit of {hostile}"
        assert page.locator("section h2").all_inner_texts() == ["Classes", "Exact duplicates"]
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert page.locator(".meter").first.bounding_box()["width"] > 100
        assert [one for one in page.evaluate(CONTRAST) if one[1] < 4.5] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_an_explanation(opened, tmp_path, scheme, hostile):
    x = np.random.default_rng(0).normal(size=(60, 4))
    names = [f"{hostile}{row}" for row in range(60)]
    labeled = dict.fromkeys(names[:3], hostile)
    found = distil.explain(
        distil.select_from("core_set", 5, embeddings=x, labeled=labeled, names=names), x, labeled=labeled, names=names
    )
    (tmp_path / "why.html").write_text(explanation_page(found, hostile, lambda id_: 60 * f"{id_} "), encoding="utf-8")
    for viewport in (DESK, PHONE):
        page = opened(viewport, scheme, tmp_path / "why.html", ".card")
        assert page.locator("h1").text_content() == f"5 picks of {hostile}"
        assert page.locator(".card").count() == 5
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert [one for one in page.evaluate(CONTRAST) if one[1] < 4.5] == []

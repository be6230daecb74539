"""The benchmark's own arithmetic, and that every row of it runs. Nothing here depends on how long anything takes."""

import importlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import machine, regress
from benchmarks.speed import child, command, data, environment, judge, measure, report, scaling, spec, turns
from benchmarks.speed.rows import ROWS
from benchmarks.speed.rows import submodular as facility
from benchmarks.speed.spec import Bar, Found, Given, Row, Way, described, quick, tiny

SIZE = {"n": 1000, "d": 4, "k": 100}


# --- implementations that need no time ---------------------------------------------------------------------------------


FAKES = """
import time

import numpy as np
from benchmarks.speed.spec import Found

def fake(given):
    return lambda k: Found(np.arange(k), float(given.size["d"]))

def broken(given):
    def run(k):
        raise RuntimeError("it does not work")
    return run

def sleeper(given):
    return lambda k: time.sleep(60)

def unprepared(given):
    raise ImportError("no such package")
"""


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Implementations that a process can import without importing torch."""
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "fakes.py").write_text(FAKES)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def write(size, folder):
    data.save(folder, {"x": np.zeros((size["n"], size["d"]), np.float32)})


def fake_row(*ways, bars=()):
    return Row("fake", "a fake", SIZE, write, ways, lambda _: tuple(bars))


def fake_way(name, kind="distil", function="fake", **options):
    return Way(name, kind, f"fakes:{function}", **options)


# --- sizes, data, measures ---------------------------------------------------------------------------------------------


def test_sizes_shrink_where_they_may_and_nowhere_else():
    assert quick({"n": 50_000, "d": 512, "k": 1000, "m": 200}) == {"n": 5000, "d": 512, "k": 100, "m": 200}
    assert quick({"n": 1000, "k": 5}) == {"n": 200, "k": 3}
    assert tiny({"n": 50_000, "d": 512, "k": 2}) == {"n": 120, "d": 16, "k": 2}
    assert described({"n": 50_000, "k": 1000}) == "N 50,000, k 1,000"


def test_the_mixture_is_the_same_for_a_seed_and_is_what_it_says(tmp_path):
    x = data.Mixture(32, 10).rows(500)
    np.testing.assert_array_equal(x, data.Mixture(32, 10).rows(500))
    assert not np.array_equal(x, data.Mixture(32, 10, seed=1).rows(500))
    assert x.dtype == np.float32
    probs = data.Mixture(32, 10).probs(x)
    np.testing.assert_allclose(probs.sum(1), 1, rtol=1e-5)
    data.Mixture(32, 10).write(tmp_path / "mapped_x.npy", 500)
    mapped = Given(tmp_path, {})["mapped_x"]
    np.testing.assert_array_equal(mapped, x)
    assert isinstance(mapped, np.memmap)


def test_duplicated_rows_come_ten_times():
    rows = data.duplicated(np.random.default_rng(0), 200, 3)
    assert set(np.unique(rows, axis=0, return_counts=True)[1]) == {10}


def test_a_peak_counts_what_was_allocated_and_freed():
    """In a small process of its own: of a large one, the system may take back pages of libraries meanwhile."""
    script = """
        import numpy as np
        from benchmarks.speed import measure

        peak = measure.Peak()
        first = peak.bytes()
        held = np.ones(200_000_000, np.uint8)
        del held
        print(first, peak.bytes())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout.split()
    if told == ["None", "None"]:
        pytest.skip("the system does not tell")
    first, found = map(int, told)
    assert first < 50e6
    assert 150e6 < found < 300e6


def test_extrapolation_follows_the_line_and_never_falls():
    assert measure.extrapolated((10, 30), (1.0, 2.0), 100) == pytest.approx(5.5)
    assert measure.extrapolated((10, 30), (2.0, 1.5), 100) == 1.5


def test_threads_are_pinned_by_name():
    assert measure.pin(3)["OMP_NUM_THREADS"] == "3"


# --- taking turns ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fakes")
def test_processes_take_turns_and_failures_are_told(tmp_path):
    row = fake_row(
        fake_way("distil"),
        fake_way("short", "materialized", short=(10, 30)),
        fake_way("broken", "naive", "broken"),
        fake_way("missing", "naive", "unprepared"),
        fake_way("huge", "materialized", needs=lambda size: 1e12),
        fake_way("peer", "peer"),
    )
    write(SIZE, tmp_path)
    records = {r["name"]: r for r in turns.measure(row, SIZE, turns.Plan(repeats=2, threads=1), tmp_path)}
    assert list(records) == [way.name for way in row.ways]
    assert records["distil"]["repeats"] == 2
    assert 0 < records["distil"]["seconds"] <= records["distil"]["median"]
    assert records["short"]["extrapolated_from"] == [10, 30]
    assert "it does not work" in records["broken"]["error"]
    assert "no such package" in records["missing"]["error"]
    assert records["huge"]["error"] == "cannot run: needs 1000.0 GB"
    assert "no environment" in records["peer"]["error"]
    np.testing.assert_array_equal(turns.found(tmp_path, "distil").picks, np.arange(100))
    assert len(turns.found(tmp_path, "short").picks) == 30


@pytest.mark.usefixtures("fakes")
def test_a_process_that_takes_too_long_is_given_up(tmp_path):
    write(SIZE, tmp_path)
    row = fake_row(fake_way("distil", function="sleeper"))
    (record,) = turns.measure(row, SIZE, turns.Plan(patience=0.0), tmp_path)
    assert "took more than 0 s" in record["error"]


# --- judging -----------------------------------------------------------------------------------------------------------


def test_bars_are_seven_tenths_of_a_ratio_and_no_less_of_a_value():
    assert Bar("ratio", 50).bar == pytest.approx(35)
    assert Bar("ratio", 0.9, exact=True).bar == 0.9
    assert Bar("seconds", 0.7).bar == pytest.approx(1)
    assert Bar("value", 0.995).bar == 0.995
    assert Bar("private", 5e8).bar == 5e8


def record(name, kind, seconds, **more):
    more = {"peak_bytes": 100, "median": seconds, "first": seconds, **more}
    return {"name": name, "kind": kind, "package": "", "seconds": seconds, **more}


def test_a_row_passes_what_it_reaches_and_misses_the_rest():
    row = fake_row(
        bars=(
            Bar("ratio", 10, "naive"),
            Bar("ratio", 20, "peer"),
            Bar("ratio", 2, "nobody"),
            Bar("seconds", 0.5),
            Bar("memory", 99),
            Bar("value", 0.9, "peer"),
            Bar("value", 0.9, "peer", smaller=True),
        )
    )
    ways = [
        record("distil", "distil", 1.0, value=9.5),
        record("plain", "naive", 7.5),
        record("slow", "peer", 40.0, value=1.0),
        record("fast", "peer", 12.0, value=10.0),
        {"name": "ill", "kind": "peer", "package": "", "error": "failed"},
    ]
    bars = judge.bars(row, SIZE, ways, 1e9)
    assert [bar["passes"] for bar in bars] == [True, False, None, False, False, True, False]
    assert bars[0]["measured"] == 7.5
    assert bars[1]["against"] == "fast"
    assert bars[2]["measured"] is None
    assert all(bar["passes"] is None for bar in judge.bars(row, SIZE, [ways[-1], *ways[1:]], 1e9))


def test_the_limit_of_products_is_told_in_times_of_it():
    row = Row("r", "r", SIZE, write, (), lambda _: (Bar("gemm", 2),), flops=lambda _: 2e9)
    (bar,) = judge.bars(row, SIZE, [record("distil", "distil", 3.0)], 1e9)
    assert bar["measured"] == pytest.approx(1.5)
    assert bar["passes"]


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ([4, 2, 7], "same picks"),
        ([4, 2], "same first 2 picks"),
        ([4, 7, 2], "1 picks the same, 3 of 3 in common, value 1.1 of distil's"),
    ],
)
def test_agreement_in_words(theirs, said):
    ours = Found(np.array([4, 2, 7]))
    their = {"value": 11.0} if len(theirs) == 3 and theirs[1] == 7 else {}
    assert judge.agreement(ours, Found(np.array(theirs)), {"value": 10.0}, their) == said


def test_picks_of_unequal_quality_are_compared_by_the_row(tmp_path):
    row = ROWS["k_center"]
    size = tiny(row.size)
    row.data(size, tmp_path)
    ways = [record("distil", "distil", 1.0), record("other", "naive", 1.0)]
    founds = {"distil": Found(np.array([1, 2, 3, 4])), "other": Found(np.array([1, 2, 3, 5]))}
    judge.compare(row, Given(tmp_path, size), ways, founds)
    assert ways[0]["value"] > 0
    assert "3 of 4 in common, value" in ways[1]["agreement"]


def test_picks_of_a_shorter_run_are_compared_only_where_they_are_the_first_of_a_longer_one(tmp_path):
    row = fake_row(fake_way("distil"), fake_way("greedy", "naive"), fake_way("pruned", "naive", prefix=False))
    ways = [
        record("distil", "distil", 1.0),
        record("greedy", "naive", 1.0, extrapolated_from=[1, 2]),
        record("pruned", "naive", 1.0, extrapolated_from=[1, 2]),
    ]
    founds = {"distil": Found(np.arange(3)), "greedy": Found(np.arange(2)), "pruned": Found(np.arange(2))}
    judge.compare(row, Given(tmp_path, SIZE), ways, founds)
    assert ways[1]["agreement"] == "same first 2 picks"
    assert "agreement" not in ways[2]


# --- scaling -----------------------------------------------------------------------------------------------------------


def test_exponents_of_power_laws():
    sizes = [100, 200, 400, 800]
    assert scaling.exponent(sizes, [3e-6 * n**1.3 for n in sizes]) == pytest.approx(1.3)
    assert scaling.exponent(sizes, [0.2] * 4) == pytest.approx(0)


def test_growth_is_measured_along_an_axis():
    fit = scaling.measured("badge", "k", (4, 8, 16), {"n": 200, "d": 8, "k": 8})
    assert fit["sizes"] == [4, 8, 16]
    assert all(seconds > 0 for seconds in fit["seconds"])
    assert fit["passes"] == (fit["exponent"] <= 0.4)


def fits():
    return [
        {
            "algorithm": "badge",
            "axis": axis,
            "sizes": [10, 20],
            "seconds": [1.0, 2.0],
            "exponent": 1.0,
            "bar": bar,
            "passes": ok,
        }
        for axis, bar, ok in (("n", 1.05, True), ("d", None, None), ("k", 0.4, False))
    ]


def test_the_figure_is_the_same_for_the_same_numbers(tmp_path):
    pytest.importorskip("matplotlib")
    assert scaling.draw(fits(), tmp_path / "a.svg")
    assert scaling.draw(fits(), tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


# --- the page ----------------------------------------------------------------------------------------------------------


def results(seconds=1.0):
    ways = [
        record("distil", "distil", seconds),
        record("plain", "naive", 15.0, agreement="same picks"),
        record("slow", "peer", 500.0, extrapolated_from=[2, 4]),
        {"name": "ill", "kind": "peer", "package": "ill", "error": "failed: no | wheel"},
    ]
    row = fake_row(bars=(Bar("ratio", 20, "naive"), Bar("ratio", 1000, "peer"), Bar("memory", 50e6)))
    peaks = {"read": 4e10, "gemm": 2e11}
    judged = {"ways": ways, "bars": judge.bars(row, SIZE, ways, 2e11), "load": 1.5, "peaks": peaks}
    head = {"mode": "full", "device": "cpu", "machine": "a machine", "peers": {"ill": "failed: no wheel"}}
    return {**head, "rows": {"fake": {"name": "fake", "title": "a fake", "size": SIZE, **judged}}, "scaling": fits()}


def test_the_page_shows_bars_times_failures_and_growth(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write(page, results())
    report.write(page, results())
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| `fake` | times faster than plain | ≥ 20x | ≥ 14x | 15x | passes |" in text
    assert "| `fake` | times faster than slow | ≥ 1,000x | ≥ 700x | 500x | **missed** |" in text
    assert "extrapolated from k = 2 and 4" in text
    assert "failed: no / wheel" in text
    assert "| badge | k | 10 to 20 | 1.00 | ≤ 0.4 | **missed** |" in text
    assert "Of 3 bars 2 are passed, 1 are missed" in text


def test_the_page_of_the_project_has_the_marks():
    text = command.PAGE.read_text(encoding="utf-8")
    assert text.count(report.BEGIN) == text.count(report.END) == 1


# --- regressions -------------------------------------------------------------------------------------------------------


def test_a_ratio_that_falls_by_more_than_a_quarter_is_flagged(tmp_path, capsys):
    old, near, far = tmp_path / "old.json", tmp_path / "near.json", tmp_path / "far.json"
    old.write_text(json.dumps(results(1.0)))
    near.write_text(json.dumps(results(1.3)))
    far.write_text(json.dumps(results(1.5)))
    assert regress.main([str(old), str(near)]) == 0
    assert regress.main([str(old), str(far)]) == 1
    assert "fake: 15x faster than plain before, 10x now" in capsys.readouterr().out


def test_a_row_that_fails_now_is_flagged():
    old, new = results(), results()
    new["rows"]["fake"]["ways"][0] = {"name": "distil", "kind": "distil", "error": "out of memory"}
    assert regress.fallen(old, new) == ["fake: distil fails now: out of memory"]


# --- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("fakes")
def test_the_command_measures_a_row_and_keeps_the_others(tmp_path, monkeypatch, capsys):
    output = tmp_path / "results.json"
    row = fake_row(fake_way("distil"), fake_way("plain", "naive"), bars=(Bar("ratio", 1e9, "naive"),))
    threads = torch.get_num_threads()
    try:
        for name in ("omp", "badge"):
            monkeypatch.setitem(ROWS, name, row)
            assert command.main([name, "--quick", "--threads", "1", "--output", str(output)]) == 0
    finally:
        torch.set_num_threads(threads)
    kept = json.loads(output.read_text())
    assert list(kept["rows"]) == ["badge", "omp"]  # in the order of the table
    assert kept["rows"]["badge"]["size"]["n"] == 200
    assert kept["rows"]["badge"]["bars"][0]["passes"] is False
    assert kept["rows"]["badge"]["peaks"]["gemm"] > 0
    assert "missed" in capsys.readouterr().out
    assert report.markdown(kept)


def test_unknown_rows_are_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["k_centre"])
    assert "there is no row 'k_centre'" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="an accelerator is here")
def test_no_accelerator_is_said(capsys):
    assert command.main(["badge", "--device", "cuda"]) == 2
    assert "no accelerator" in capsys.readouterr().out


def test_the_machine_has_peaks():
    found = machine.peaks(64, 1)
    assert found["read"] > 0
    assert found["gemm"] > 0


# --- the rows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=name, marks=[pytest.mark.slow] * name.endswith("_cnn")) for name, row in ROWS.items()],
)
def test_every_row_runs_and_its_forms_agree(row, tmp_path):
    size = tiny(row.size)
    row.data(size, tmp_path)
    given = Given(tmp_path, size)
    found = {}
    for way in row.ways:
        if way.kind == "peer":
            continue
        module, function = way.prepare.split(":")
        found[way.kind] = getattr(importlib.import_module(module), function)(given)(size.get("k", 1))
    ours = found.pop("distil")
    for other in found.values():
        if ours.picks is not None:
            assert len(set(other.picks.tolist())) == len(ours.picks) == size["k"]
        if row.name.startswith(("k_means", "deepfool", "bim")):
            assert other.value == pytest.approx(ours.value, rel=0.2)
        if row.name in SAME:
            np.testing.assert_array_equal(other.picks, ours.picks)
    assert row.bars(size)


SAME = {
    name
    for name in ROWS
    if name.startswith(
        ("k_center", "gradmatch", "omp", "glister", "scoring", "mapped_k", "mapped_s", "batchbald", "bait")
    )
}
SAME -= {"k_center_duplicated"}  # a tie goes to the smaller row, or to rounding


def test_every_peer_has_an_adapter_and_a_pin():
    pins = {line.split("==")[0] for line in environment.PINS.read_text().splitlines() if "==" in line}
    for way in (way for row in ROWS.values() for way in row.ways if way.kind == "peer"):
        module, function = way.prepare.split(":")
        source = (turns.ROOT / Path(*module.split("."))).with_suffix(".py").read_text()
        assert f"def {function}(given: Given)" in source
        assert way.package in pins


def test_the_exact_value_is_that_of_plain_greedy(tmp_path):
    size = {"n": 300, "d": 16, "k": 12}
    data.mixture(size, tmp_path)
    given = Given(tmp_path, size)
    np.testing.assert_array_equal(facility.exact_large(given, 12), facility.naive(given)(12).picks)


def test_what_a_child_finds_comes_back(tmp_path):
    child.store(tmp_path / "a.npz", Found(value=2.5))
    assert child.stored(tmp_path / "a.npz") == Found(None, 2.5)
    assert spec.BAR == 0.7

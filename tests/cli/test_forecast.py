"""``distil forecast``: tables, runs and projects, and the numbers that it prints against those of the arrays."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import distil
from distil.cli import main
from distil.evaluation.forecast import forecast as of_arrays
from distil.labeling.events import Event, Shown
from distil.labeling.project import Project

LABELS = np.arange(1, 13) * 20
SCORES = 0.9 - 1.5 * LABELS**-0.55 + np.random.default_rng(0).normal(0, 0.004, (2, 12))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = [f"{n},{score}" for n, score in zip(LABELS, SCORES[0], strict=True)]
    Path("one.csv").write_text("labels,score\n" + "\n".join(one) + "\n")
    rows = [f"{score},{seed},{n}" for seed, own in enumerate(SCORES) for n, score in zip(LABELS, own, strict=True)]
    Path("two.csv").write_text("score,seed,labels\n" + "\n".join(reversed(rows)) + "\n")
    return tmp_path


def said(capsys, *argv):
    capsys.readouterr()
    assert main([*map(str, argv)]) == 0
    return capsys.readouterr().out


def test_a_table_is_forecast_as_its_arrays_are(capsys):
    for name, scores in (("one", SCORES[:1]), ("two", SCORES)):
        found = distil.forecast(f"{name}.csv", labels=80)
        (own,) = found["forecasts"]
        expected = of_arrays(LABELS, scores, 80)
        assert (own["name"], own["labels"], own["more"], own["sentence"]) == (name, 240, 80, str(expected))
        assert own["then"] == pytest.approx(expected.then, abs=1e-12)
        assert own["cost_per_point"] is None
        assert json.loads(said(capsys, "forecast", f"{name}.csv", "--labels", 80, "--json")) == found
    assert said(capsys, "forecast", "two.csv", "--labels", 80) == f"{expected}\n"


def test_labels_that_cost_something(capsys):
    (own,) = distil.forecast("two.csv", labels=100, cost=0.5)["forecasts"]
    assert own["cost_per_point"] == pytest.approx(50 / (100 * (own["then"] - own["score"])))
    assert own["sentence"].endswith(f"; a point costs {own['cost_per_point']:,.2f}")
    Path("flat.csv").write_text("labels,score\n" + "".join(f"{n},0.5\n" for n in LABELS))
    assert said(capsys, "forecast", "flat.csv", "--cost", 0.5).endswith("; no cost buys a point\n")


def test_a_file_of_forecasts():
    found = distil.forecast("two.csv", out="out.csv")["forecasts"][0]
    with open("out.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["then"]) == found["then"]
    assert (row["name"], row["more"], row["unknown"], row["cost_per_point"]) == ("two", "50", "", "")
    distil.forecast("two.csv", out="out.csv")
    with pytest.raises(distil.InvalidInput, match=r"out\.csv"):
        distil.forecast("two.csv", labels=60, out="out.csv")
    distil.forecast("two.csv", labels=60, out="out.csv", force=True)


def test_what_is_no_curve_is_refused():
    Path("no.csv").write_text("labels,accuracy\n10,0.5\n20,0.6\n")
    Path("twice.csv").write_text("labels,score\n10,0.5\n10,0.6\n")
    Path("apart.csv").write_text("labels,score,fold\n10,0.5,a\n20,0.6,b\n")
    Path("percent.csv").write_text("labels,score\n" + "".join(f"{n},{n / 4}\n" for n in LABELS))
    Path("several.csv").write_text("labels,score,strategy\n10,0.5,a\n10,0.6,b\n")
    Path("none.csv").write_text("labels,score\n")
    Path("nan.csv").write_text("labels,score\n10,0.5\n20,nan\n")
    Path("zero.csv").write_text("labels,score\n0,0.5\n20,0.6\n")
    Path("half.csv").write_text("labels,score\n10,0.5\n160.5,0.6\n")
    np.save("curve.npy", SCORES)
    Path("empty").mkdir()
    for source, message in {
        "no.csv": "no.csv has no column 'score'; expected the columns labels and score",
        "twice.csv": "twice.csv, line 3: a second score for 10 labels in one curve; name the curve of each row in a column",
        "apart.csv": "apart.csv: the curves have no number of labels in common",
        "percent.csv": "percent.csv, line 2: score must be a fraction from 0 to 1, got 5; divide percentages by 100",
        "several.csv": "several.csv, line 3: a second score for 10 labels in one curve; keep the rows of one strategy, by its",
        "none.csv": "none.csv has no rows",
        "nan.csv": "nan.csv, line 3: score must be a fraction from 0 to 1, got nan$",
        "zero.csv": "zero.csv, line 2: labels must be a whole number from 1, got 0; drop the row of a model without labels",
        "half.csv": "half.csv, line 3: labels must be a whole number from 1, got 160.5$",
        "curve.npy": "curve.npy is an array, whose columns have no names; save the curve as a table",
        "empty": "empty holds no experiment",
        "nowhere": "nowhere does not exist; expected a directory of runs, a labeling project, or a table",
    }.items():
        with pytest.raises(distil.DistilError, match=message):
            distil.forecast(source)
    for cost in (0, -1, float("nan"), float("inf"), "a", True):
        with pytest.raises(distil.InvalidInput, match="cost must be a number above 0"):
            distil.forecast("one.csv", cost=cost)
    with pytest.raises(distil.InvalidInput, match="labels must be a whole number from 1, got 0"):
        distil.forecast("one.csv", labels=0)


def test_curves_are_named_by_seed_and_fold_together():
    rows = [
        (n, score, seed, fold) for seed in "01" for fold in "ab" for n, score in zip(LABELS, SCORES[0], strict=True)
    ]
    Path("both.csv").write_text("labels,score,seed,fold\n" + "".join(f"{','.join(map(str, row))}\n" for row in rows))
    (own,) = distil.forecast("both.csv")["forecasts"]
    assert own["sentence"] == str(of_arrays(LABELS, np.tile(SCORES[:1], (4, 1)), 50))


def test_points_that_not_all_curves_have_are_left_out_with_a_warning():
    lines = [
        f"{n},{0.8 - 1 / n},{seed}" for seed, count in (("a", 15), ("b", 9)) for n in range(20, 20 * count + 1, 20)
    ]
    Path("uneven.csv").write_text("\n".join(["labels,score,seed", *lines]) + "\n")
    said = "reads the 9 points that all curves have, up to 180 labels; 6 more, up to 300 labels, are left out"
    with pytest.warns(distil.DistilWarning, match=said):
        assert distil.forecast("uneven.csv")["forecasts"][0]["labels"] == 180


def test_runs_are_forecast_by_strategy_up_to_the_rounds_that_all_seeds_have():
    document = {
        "model": {"architecture": "linear_head", "target_classes": 10},
        "train_parameters": {"decay": 1.0},
        "active_learning": {"strategies": ["random_sampling", "margin_sampling"], "budget": 10, "rounds": 6},
        "dataset": {"name": "digits", "test_points": 200},
        "experiment": {"seeds": 2},
    }
    Path("small.json").write_text(json.dumps(document))
    distil.run("small.json", output="out", progress=False)
    found = distil.forecast("out", labels=20)["forecasts"]
    with open("out/results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for own in found:
        scores = [
            [float(row["accuracy"]) for row in rows if (row["strategy"], row["seed"]) == (own["name"], seed)]
            for seed in "01"
        ]
        assert own["sentence"] == str(of_arrays(np.arange(1, 7) * 10, scores, 20))
    assert [own["name"] for own in found] == ["random_sampling", "margin_sampling"]
    events = Path("out/margin_sampling/1/events.jsonl")
    lines = events.read_text().splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines) if '"event": "evaluated"' in line]
    events.write_text("".join(lines[: ends[2] + 1]))  # as if it had been stopped after three rounds
    assert [own["labels"] for own in distil.forecast("out")["forecasts"]] == [60, 30]


def test_a_project_is_forecast_by_its_random_items():
    rng = np.random.default_rng(0)
    with Project.create("p", classes=["cat", "dog"]) as project:
        Path("texts.csv").write_text("id,text\n" + "".join(f"t{n},text {n}\n" for n in range(120)))
        project.add("texts.csv")
        for n in range(120):
            right = rng.random() < 0.9 - 0.8 * (n + 2) ** -0.5
            shown = Shown(guess="cat", p=0.9, reason="random", model=f"distil {n}")
            label = "cat" if right else "dog"
            project.record([Event(kind="label", who="anna", item=f"t{n}", label=label, shown=shown)])
    (own,) = distil.forecast("p", labels=50)["forecasts"]
    assert own["name"] == "p"
    assert own["unknown"] is None
    assert 0.3 < own["score"] < 1
    assert own["low"] <= own["then"] <= own["high"]

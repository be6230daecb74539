"""What is written of an experiment: the table, the file of all numbers, the figure where it can be drawn."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from distil.errors import DistilWarning, MissingPackage, RunError
from distil.experiment import outputs
from distil.experiment.outputs import write_results
from distil.experiment.results import curves_of, run_path
from distil.experiment.run import Run
from distil.experiment.suite import run_all
from distil.selection.oracle import Answers, Pending, TrueLabels

STRATEGIES = ["random_sampling", "badge", "margin_sampling"]


def answering(answer):
    """An oracle that answers a query by a function."""
    return SimpleNamespace(ask=answer)


def test_results_against_numbers_computed_from_the_events_by_hand(several):
    run_all(several)
    table = write_results(several)
    curves = {}
    for label in STRATEGIES:
        rows = []
        for seed in (0, 1):
            lines = (several.output / label / str(seed) / "events.jsonl").read_text().splitlines()
            events = [json.loads(line) for line in lines]
            rows.append([(e["labels"], e["accuracy"]) for e in events if e["event"] == "evaluated"])
        curves[label] = rows

    with (several.output / "results.csv").open(newline="") as file:
        found = list(csv.reader(file))
    assert found[0] == ["strategy", "seed", "labels", "accuracy", "balanced_accuracy", "macro_f1"]
    expected = [
        [label, str(seed), str(labels), repr(accuracy)]
        for label in STRATEGIES
        for seed in (0, 1)
        for labels, accuracy in curves[label][seed]
    ]
    assert [row[:4] for row in found[1:]] == expected

    text = (several.output / "results.md").read_text()
    assert text.startswith("# digits, 2 seeds\n")
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert lines[0][:5] == ["strategy", "accuracy in % with 8 labels", "14", "20", "26"]
    areas = {label: np.array([np.mean([a for _, a in row]) for row in rows]) for label, rows in curves.items()}
    for line, label in zip(lines[2:], STRATEGIES, strict=True):
        means = np.mean([[a for _, a in row] for row in curves[label]], axis=0)
        assert line[0] == label
        assert line[1:5] == [f"{100 * mean:.1f}" for mean in means]
        area, half = line[5].split(" ±")
        low, high = stats.t.interval(0.95, 1, areas[label].mean(), stats.sem(areas[label]))
        assert float(area) == pytest.approx(100 * areas[label].mean(), abs=0.0051)
        assert float(half) == pytest.approx(50 * (high - low), abs=0.0051)
        assert label in table
        if label != "random_sampling":
            difference = areas[label] - areas["random_sampling"]
            assert float(line[8].split()[0]) == pytest.approx(100 * difference.mean(), abs=0.0051)
    found = curves_of(several)
    assert found.keys() == curves.keys()
    assert found["badge"].values.tolist() == [[a for _, a in row] for row in curves["badge"]]


def test_results_of_finished_strategies(several):
    """One strategy still waits: the others' results can be had."""
    pending, true = answering(lambda query: Pending()), TrueLabels(several.load_data().y_train)
    assert run_all(several, oracle=lambda spec, _: pending if spec.name == "badge" else true) is False
    assert set(curves_of(several)) == {"random_sampling", "margin_sampling"}
    found = write_results(several)
    assert "badge" not in found.split("\n\n")[0]
    why = f"badge is left out: 0 of 2 seeds finished. Continue with: distil resume {several.output}"
    assert why in found
    assert why in (several.output / "results.md").read_text()


def test_without_a_strategy_that_has_finished_there_are_no_results(several):
    assert run_all(several, oracle=lambda *_: answering(lambda query: Pending())) is False
    with pytest.raises(RunError, match=r"no run in .* is finished; continue with: distil resume"):
        write_results(several)


def test_results_when_seeds_have_different_numbers_of_labels(several):
    """If oracles skip, runs have different numbers of labels; ``results.csv`` must have those of each run."""
    true = several.load_data().y_train

    def oracle(spec, seed):
        return answering(
            lambda query: Answers(query.ids[seed:], true[list(query.ids[seed:])].tolist(), skipped=query.ids[:seed])
        )

    assert run_all(several, oracle=oracle)
    write_results(several)
    with (several.output / "results.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    for label in STRATEGIES:
        for seed in (0, 1):
            labels = [int(row[2]) for row in rows if row[:2] == [label, str(seed)]]
            assert labels == [8 + (6 - seed) * k for k in range(4)]


def test_results_when_strategies_have_different_numbers_of_labels(several):
    """Every number behind the table is written, also where curves cannot be compared point by point."""
    true = several.load_data().y_train

    def oracle(spec, seed):
        first = STRATEGIES.index(spec.name)
        return answering(lambda query: Answers(query.ids[first:], true[list(query.ids[first:])].tolist()))

    assert run_all(several, oracle=oracle)
    write_results(several)
    with (several.output / "results.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 3 * 2 * 4


def test_without_random_sampling_the_first_strategy_is_the_baseline(config):
    made = config(active_learning__strategies=["badge", "margin_sampling"], experiment__seeds=1)
    run_all(made)
    write_results(made)
    assert "area minus badge's" in (made.output / "results.md").read_text()


def test_no_plot_without_matplotlib(several, monkeypatch):
    def missing(*_, **__):
        raise MissingPackage("plots need matplotlib; pip install distil[plot]")

    monkeypatch.setattr(outputs, "picture_of", missing)
    run_all(several)
    assert "no plot: plots need matplotlib" in write_results(several)
    assert (several.output / "results.md").exists()


def test_selections_that_are_random_samples_are_named(config):
    """BALD on a network without dropout: every score is 0."""
    made = config(
        active_learning__strategies=["random_sampling", "bald_dropout", "margin_sampling"],
        active_learning__rounds=2,
        experiment__seeds=2,
    )
    with pytest.warns(DistilWarning, match="has no dropout"):
        run_all(made)
    shown = write_results(made, page=True)
    sentence = (
        "bald_dropout: 2 of 2 selections are random samples, because the strategy could not rank the examples. Its note on the "
        "first: all 1,589 scores are equal: this is a random sample (the samples of the network agree on every example, as they "
        "do without dropout)."
    )
    assert sentence in shown
    assert sentence in (made.output / "results.md").read_text(encoding="utf-8")
    page = (made.output / "report.html").read_text(encoding="utf-8")
    assert "bald_dropout: 2 of 2 selections are random samples" in page
    assert shown.count("are random samples") == 1
    asked = [event["ids"] for event in Run(run_path(made.output, "bald_dropout", 0)).all("asked")]
    assert asked != [sorted(ids) for ids in asked]


def test_what_is_not_drawn_is_named_in_the_picture(made_up, monkeypatch):
    drawn = []
    monkeypatch.setattr(outputs, "picture_of", lambda *_, title, **__: drawn.append(title) or b"picture")
    write_results(made_up("all"))
    unfinished = [("badge", seed) for seed in range(4)]
    write_results(made_up("some", unfinished=unfinished, budgets={"margin_sampling": 4}))
    assert drawn == ["digits, 4 seeds", "digits, 4 seeds\nleft out: margin_sampling, badge"]

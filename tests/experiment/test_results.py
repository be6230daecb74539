"""What runs show: which are comparable, which are the same, what bounds them and what they took."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import torch

from distil.evaluation.metrics import METRICS
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.results import (
    bounds_of,
    comparable,
    comparisons,
    costs,
    curves_of,
    data_name,
    finished_runs,
    full_data_runs,
    identical,
)


def events_of(config, label, seed, kind):
    lines = (config.output / label / str(seed) / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


# ------------------------------------------------------------------------------------------------- curves


def test_curves_are_the_numbers_of_the_events(made_up):
    config = made_up()
    for metric in METRICS:
        found = curves_of(config, metric)
        assert list(found) == ["random_sampling", "margin_sampling", "badge"]
        for label, own in found.items():
            assert own.labels.tolist() == [10, 15, 20, 25]
            assert list(own.seeds) == [0, 1, 2, 3]
            expected = [[e[metric] for e in events_of(config, label, seed, "evaluated")] for seed in range(4)]
            assert own.values.tolist() == expected


def test_runs_that_are_not_finished_have_no_curves(made_up):
    config = made_up(unfinished=[("badge", 3)])
    assert set(finished_runs(config)) == set(curves_of(config)) == {"random_sampling", "margin_sampling"}
    assert len(full_data_runs(config)) == 4


def test_curves_on_other_numbers_of_labels_are_left_out(made_up):
    config = made_up(budgets={"badge": 4})
    assert set(curves_of(config)) == {"random_sampling", "margin_sampling"}
    assert curves_of(made_up("other", budgets={"random_sampling": 4})).keys() == {"random_sampling"}


def test_a_round_without_labels_makes_no_curve(made_up):
    config = made_up(idle=2)
    assert curves_of(config) == {}
    assert comparable(config, {}) == {}


# ------------------------------------------------------------------------------------------------- the same


def test_strategies_with_the_same_selections_are_found(made_up):
    config = made_up(alike={"badge": "margin_sampling"})
    assert identical(config, finished_runs(config)) == {"badge": "margin_sampling"}
    assert identical(made_up("apart"), finished_runs(made_up("apart2"))) == {}
    assert identical(config, {}) == {}


def test_the_baseline_is_never_a_twin(made_up):
    config = made_up(strategies=["badge", "random_sampling"], alike={"badge": "random_sampling"})
    assert identical(config, finished_runs(config)) == {"badge": "random_sampling"}


def test_selections_in_another_order_are_the_same_but_one_other_id_is_not(made_up):
    config = made_up(alike={"badge": "margin_sampling"})
    runs = finished_runs(config)
    event = runs["badge"][2].all("asked")[1]
    event["ids"].reverse()
    assert identical(config, runs) == {"badge": "margin_sampling"}
    event["ids"][0] = 1796 if event["ids"][0] != 1796 else 1795
    assert identical(config, runs) == {}


def test_the_same_selections_with_other_trainings_are_not_the_same(made_up):
    warm = {"name": "random_sampling", "label": "random_sampling+warm", "retrain": "warm"}
    config = made_up(strategies=["random_sampling", warm], alike={"random_sampling+warm": "random_sampling"})
    assert identical(config, finished_runs(config)) == {}


def test_runs_without_a_selection_are_not_alike(made_up):
    config = made_up(rounds=1)
    assert identical(config, finished_runs(config)) == {}


def test_twins_are_not_tested_twice(made_up):
    config = made_up(alike={"badge": "margin_sampling"}, gain={"margin_sampling": 0.05})
    curves = curves_of(config)
    found = comparisons(curves, "random_sampling", {"badge": "margin_sampling"})
    assert list(found) == ["margin_sampling"]
    assert found["margin_sampling"].family == 1
    assert [c.family for c in comparisons(curves, "random_sampling", {}).values()] == [2, 2]
    # One whose original has no curve is tested all the same.
    rest = {name: curves[name] for name in ("random_sampling", "badge")}
    assert list(comparisons(rest, "random_sampling", {"badge": "margin_sampling"})) == ["badge"]


def test_nothing_to_compare(made_up):
    assert comparisons(curves_of(made_up(seeds=1)), "random_sampling", {}) == {}
    alone = {"random_sampling": curves_of(made_up("more"))["random_sampling"]}
    assert comparisons(alone, "random_sampling", {}) == {}


# ------------------------------------------------------------------------------------------------- bounds


def test_bounds_are_means_over_seeds(made_up):
    config = made_up()
    for metric in METRICS:
        full = np.mean([events_of(config, "full_data", seed, "evaluated")[0][metric] for seed in range(4)])
        assert bounds_of(config, finished_runs(config), metric).full == pytest.approx(full)
    assert bounds_of(config, finished_runs(config)).majority == pytest.approx(0.1 + 0.01 * 1.5)


def test_metrics_of_a_constant_prediction():
    """Against scikit-learn, on a test set that has every class."""
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

    from distil.evaluation.metrics import calibration_error

    y = torch.tensor([0] * 3 + [1] * 5 + [2] * 2)
    constant = torch.ones_like(y)
    share = float((y == 1).double().mean())
    assert METRICS["accuracy"].of_constant(share, 3) == pytest.approx(accuracy_score(y, constant))
    assert METRICS["balanced_accuracy"].of_constant(share, 3) == pytest.approx(balanced_accuracy_score(y, constant))
    assert METRICS["macro_f1"].of_constant(share, 3) == pytest.approx(f1_score(y, constant, average="macro"))
    certain = torch.nn.functional.one_hot(constant, 3).double()
    assert METRICS["calibration_error"].of_constant(share, 3) == pytest.approx(calibration_error(certain, y))


def test_unknown_bounds(made_up, rewritten):
    unlabeled = made_up("unlabeled")
    for path in unlabeled.output.rglob("events.jsonl"):
        rewritten(path, lambda event: event.pop("majority", None))
    assert bounds_of(unlabeled, finished_runs(unlabeled)) is None
    without = made_up("without", full=False)
    found = bounds_of(without, finished_runs(without))
    assert found.full is None
    assert found.majority == pytest.approx(0.115)
    part = made_up("part")
    shutil.rmtree(part.output / "full_data" / "2")
    assert bounds_of(part, finished_runs(part)).full is None


# ------------------------------------------------------------------------------------------------- costs


def test_costs_count_a_copied_first_round_in_full(made_up):
    found = costs(finished_runs(made_up()))
    # Trainings take 2, 3, 4 and 5 s; the first of margin sampling and badge was taken over, in 0.25 s.
    for label, cost in found.items():
        assert cost.training == pytest.approx(2 + 3 + 4 + 5)
        assert cost.selection == pytest.approx(3 * 0.5)
        assert (cost.training_peak, cost.selection_peak) == (0, 3000)
        assert cost.saved == pytest.approx(0 if label == "random_sampling" else 4 * 1.75)


def test_costs_where_memory_or_everything_is_unknown(made_up):
    config = made_up()
    for path in config.output.rglob("times.jsonl"):
        path.write_text(re.sub(r'"peak_bytes": \d+', '"peak_bytes": null', path.read_text()))
    found = costs(finished_runs(config))
    assert {(cost.training_peak, cost.selection_peak) for cost in found.values()} == {(None, None)}
    for path in config.output.rglob("times.jsonl"):
        path.unlink()
    assert costs(finished_runs(config)) == {}


def test_a_step_that_was_done_twice_counts_once(made_up):
    config = made_up()
    before = costs(finished_runs(config))
    with (config.output / "badge" / "1" / "times.jsonl").open("a") as file:
        file.write(json.dumps({"round": 2, "step": "select", "seconds": 0.5, "peak_bytes": 2000}) + "\n")
    assert costs(finished_runs(config)) == before


def test_a_data_set_out_of_a_file_has_the_name_of_the_file(config, document):
    assert data_name(config()) == "digits"
    for kind in ("csv", "npz", "libsvm"):
        made = document()
        made["dataset"] = {"name": kind, "path": f"some/folder/churn.{kind}"}
        assert data_name(parse_config(made)) == f"churn.{kind}"

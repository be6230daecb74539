"""The ceiling: what it proposes, that it keeps the best, and that it is a run like the others."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

from distil.cli import main
from distil.errors import ConfigError
from distil.experiment import ceiling
from distil.experiment.ceiling import PROPOSING, Heads, Proposal, best_of, proposals
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.directory import compared, open_config
from distil.experiment.identity import identity_of, spec_of
from distil.experiment.outputs import write_results
from distil.experiment.page.report import report_of
from distil.experiment.results import run_of
from distil.experiment.suite import experiment_of, run_all
from distil.rng import Rng
from distil.signals import Embedding, Labels, Logits, Signals
from distil.strategies import STRATEGIES
from distil.training.linear_head import HeadConfig, LinearHead, fit_head

N, C = 60, 3
LABELS = ("ceiling", "random_sampling", "margin_sampling")


def tables():
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(N + 12) % C
    x = torch.eye(C)[y] + 0.7 * torch.randn(len(y), C, generator=draw)
    columns = {Logits(): 3 * x, Embedding(): x}
    pool = Signals(torch.arange(100, 100 + N), {signal: column[:N] for signal, column in columns.items()})
    labeled = {signal: column[N : N + 4] for signal, column in columns.items()} | {Labels(): y[N : N + 4]}
    return pool, Signals(torch.arange(4), labeled), y, x


@pytest.fixture
def quick(monkeypatch):
    """Two proposals of each of two strategies."""
    monkeypatch.setattr(ceiling, "_EACH", 2)
    monkeypatch.setattr(ceiling, "PROPOSING", ("random_sampling", "margin_sampling"))


@pytest.fixture
def small(document):
    """A small comparison with a ceiling."""

    def make(**changes):
        own = {"active_learning__strategies": ["random_sampling", "margin_sampling"], "experiment__ceiling": True}
        made = document(**own | {"model__architecture": "linear_head"} | changes)
        del made["model"]["hidden_units_1"]
        return {**made, "train_parameters": {"decay": 0.1}}

    return make


def test_a_hundred_proposals_from_ten_strategies():
    assert len(set(PROPOSING)) == 10
    assert set(PROPOSING) <= set(STRATEGIES)
    pool, labeled, *_ = tables()
    found = list(proposals(pool, labeled, 7, C, Rng(0)))
    assert len(found) == 100
    assert [one.strategy for one in found[::10]] == list(PROPOSING)
    for one in found:
        assert len(set(one.ids.tolist())) == 7
        assert set(one.ids.tolist()) <= set(pool.ids.tolist())
    again = list(proposals(pool, labeled, 7, C, Rng(0)))
    assert [one.ids.tolist() for one in again] == [one.ids.tolist() for one in found]
    assert len({tuple(sorted(one.ids.tolist())) for one in found}) > 70


def test_parts_have_ten_sizes_and_a_largest_one(monkeypatch):
    sizes = []

    class Watched:
        def select(self, sets, n, rng):
            sizes.append(len(sets.pool))
            return Proposal("", sets.pool.ids[:n])

    monkeypatch.setattr(ceiling, "for_classes", lambda *_: Watched())
    pool, labeled, *_ = tables()
    list(proposals(pool, labeled, 7, C, Rng(0)))
    assert sizes[:10] == [7, 12, 18, 24, 30, 36, 42, 48, 54, 60]
    sizes.clear()
    monkeypatch.setattr(ceiling, "_LARGEST_PART", 40)
    list(proposals(pool, labeled, 1, C, Rng(0)))
    assert sizes[:10] == [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]


def test_the_best_proposal_is_kept():
    """Against the linear head of the library, trained on each by itself."""
    pool, labeled, y, x = tables()
    x_test, y_test = x[N + 4 :], y[N + 4 :]
    draws = np.random.default_rng(0)
    candidates = [Proposal(f"c{k}", pool.ids[torch.from_numpy(draws.permutation(N)[:3])]) for k in range(12)]
    accuracies = []
    for one in candidates:
        rows = [*(one.ids - 100).tolist(), *range(N, N + 4)]
        head = LinearHead.over(x[: N + 4], C)
        fit_head(head, x[rows], y[rows], HeadConfig(decay=0.01))
        accuracies.append(float((head(x_test).argmax(1) == y_test).double().mean()))
    heads = Heads(pool, y[:N], labeled, x_test, y_test, C, HeadConfig(decay=0.01))
    best = best_of(candidates, heads)
    assert len(set(accuracies)) > 2
    assert best.accuracy == max(accuracies)
    assert accuracies[candidates.index(next(c for c in candidates if c.strategy == best.strategy))] == max(accuracies)
    shuffled = Proposal("later", best.ids.flip(0))
    assert best_of([*candidates, shuffled], heads).strategy == best.strategy  # the same examples in another order


def test_labels_of_one_class_are_no_obstacle():
    pool, labeled, y, x = tables()
    one = Signals(labeled.ids[:1], {signal: column[:1] for signal, column in labeled.values.items()})
    heads = Heads(pool, y[:N], one, x[N + 4 :], y[N + 4 :], C, HeadConfig())
    assert best_of([Proposal("a", pool.ids[:5])], heads).accuracy > 1 / C


def ceiling_files(files):
    return {name: content for name, content in files.items() if name.startswith("ceiling")}


def test_the_ceiling_is_a_run_like_the_others(small, quick, run_files, tmp_path):
    made = parse_config(small(experiment__seeds=1))
    assert run_all(made)
    run = run_of(made, "ceiling", 0)
    asked, evaluated = run.all("asked"), run.all("evaluated")
    assert [len(event["ids"]) for event in asked] == [6, 6]
    for event, after in zip(asked, evaluated[1:], strict=True):
        assert event["proposed_by"] in ("random_sampling", "margin_sampling")
        # the decay is fixed, so the head that decided is the model of the next round
        assert after["accuracy"] == pytest.approx(event["test_accuracy"], abs=1e-6)
    assert run.events[1:4] == run_of(made, "random_sampling", 0).events[1:4]  # the first round is shared
    for output, first in (("grown", {"active_learning__rounds": 2}), ("later", {"experiment__ceiling": False})):
        own = {"experiment__seeds": 1, "experiment__output": str(tmp_path / output)}
        assert run_all(parse_config(small(**own, **first)))
        longer = parse_config(small(**own))
        assert run_all(longer)
        assert ceiling_files(run_files(longer.output)) == ceiling_files(run_files(made.output)) != {}
        assert open_config(longer.output).ceiling


def test_a_ceiling_that_was_stopped_goes_on(small, quick, run_files, tmp_path):
    class Stopped(Exception):
        pass

    made = parse_config(small(experiment__seeds=1))
    assert run_all(made)
    other = parse_config(small(experiment__seeds=1, experiment__output=str(tmp_path / "stopped")))
    data = other.load_data()
    for count in (2, 3, 1, 4):
        left = count

        def stop(_):
            nonlocal left
            left -= 1
            if not left:
                raise Stopped

        with pytest.raises(Stopped):
            experiment_of(other, data, "ceiling", 0).advance(stop)
    experiment_of(other, data, "ceiling", 0).advance()
    assert ceiling_files(run_files(other.output)) == ceiling_files(run_files(made.output))


def test_the_results_say_what_each_strategy_reaches(small, quick):
    made = parse_config(small())
    assert run_all(made)
    table = " ".join(write_results(made).split())
    top, low, own = ([run_of(made, label, s).all("evaluated") for s in (0, 1)] for label in LABELS)
    areas = [np.mean([[event["accuracy"] for event in run] for run in runs], axis=1) for runs in (top, low, own)]
    ceiling_, random, margin = (own.mean() for own in areas)
    share = (margin - random) / (ceiling_ - random)
    said = f"ceiling: area {100 * ceiling_:.2f}, the best of 100 candidate selections in each round"
    assert said in table
    assert f"margin_sampling {100 * share:.0f} %" in table
    assert said in (made.output / "results.md").read_text()
    rows = list(csv.DictReader((made.output / "results.csv").read_text().splitlines()))
    assert [float(row["accuracy"]) for row in rows if row["strategy"] == "ceiling"] == pytest.approx(
        [event["accuracy"] for run in top for event in run]
    )
    metrics = report_of([open_config(made.output)])["experiments"][0]["metrics"]
    assert metrics["accuracy"]["ceiling"]["area"] == pytest.approx(ceiling_)
    assert metrics["accuracy"]["ceiling"]["shares"]["margin_sampling"][0] == pytest.approx(share)
    assert set(metrics["accuracy"]["ceiling"]["cells"]) == {"margin_sampling"}
    assert metrics["calibration_error"]["ceiling"] is None  # smaller is better
    json.dumps(metrics, allow_nan=False)
    (made.output / "ceiling" / "1" / "events.jsonl").unlink()
    report = report_of([open_config(made.output)])["experiments"][0]
    assert any(note.startswith("The runs of the ceiling are not finished.") for note in report["notes"])
    assert report["metrics"]["accuracy"]["ceiling"] is None
    assert "The runs of the ceiling are not finished." in write_results(made)


def test_a_strategy_of_another_retrain_has_no_share(config, quick):
    made = compared(config(active_learning__strategies=["badge"]), retrain=["warm"], full_data=False, ceiling=True)
    assert made.ceiling
    assert run_all(made)
    content = report_of([open_config(made.output)])["experiments"][0]["metrics"]["accuracy"]
    assert set(content["ceiling"]["shares"]) == {"badge"}


def test_the_key_is_free_and_the_label_reserved(small, config):
    made = parse_config(small())
    plain = parse_config(small(experiment__ceiling=False))
    assert identity_of(made, spec_of(made, "margin_sampling"), 0) == identity_of(
        plain, spec_of(plain, "margin_sampling"), 0
    )
    assert compared(plain, ceiling=True).ceiling
    assert compared(made).ceiling
    with pytest.raises(ConfigError, match="the label 'ceiling' is the name of a folder that distil uses"):
        config(active_learning__strategies=[{"name": "badge", "label": "ceiling"}])


def test_the_command(small, quick, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.json"
    path.write_text(json.dumps(small(experiment__ceiling=False)))
    asked = ["compare", str(path), "--ceiling", "--no-full-data", "--no-progress", "--output", "out"]
    assert main(asked) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Share of its gain over random" in out
    assert (tmp_path / "out" / "ceiling" / "1" / "events.jsonl").exists()
    assert "of the ceiling's gain" in (tmp_path / "out" / "report.html").read_text()

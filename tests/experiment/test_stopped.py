"""Runs that a stopping rule ends: where, why, and that a resumed run stops at the same place with the same bytes."""

import json
from itertools import pairwise

import pytest

from distil.errors import ConfigError, RunError
from distil.evaluation.stopping import cohen_kappa
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.directory import open_config
from distil.experiment.notes import notes_of
from distil.experiment.results import all_runs, comparable
from distil.experiment.steps import Steps
from distil.experiment.stopped import rounds_of
from distil.experiment.suite import run_all


@pytest.fixture
def heads(document):
    """``heads(stop, **changes)``: two strategies under a linear head, ten rounds of 20 labels, with this section ``stop``."""

    def make(stop, **changes):
        made = document(
            active_learning__strategies=["random_sampling", "margin_sampling"],
            active_learning__budget=20,
            active_learning__rounds=10,
            dataset__validation_points=200,
            **changes,
        )
        del made["active_learning"]["initial_points"]
        made["model"] = {"architecture": "linear_head", "target_classes": 10}
        made["train_parameters"] = {"decay": 1.0}
        return {**made, "active_learning": {**made["active_learning"], **({} if stop is None else {"stop": stop})}}

    return make


def test_runs_stop_at_the_first_round_that_a_rule_ends_and_a_note_says_where_and_why(heads, run_files, tmp_path):
    config = parse_config(heads({"kappa": 0.8, "window": 2, "labels": 160}))
    run_all(config)
    runs = all_runs(config)
    for own in runs.values():
        for run in own:
            rounds, labels = rounds_of(run), [event["labels"] for event in run.all("evaluated")]
            kappas = [cohen_kappa(a.classes, b.classes) for a, b in pairwise(rounds)]
            stable = [n for n in range(2, len(rounds)) if sum(kappas[n - 2 : n]) / 2 >= 0.8]
            end = labels.index(160) if 160 in labels else len(labels)
            assert len(labels) - 1 == min([*stable, end])
            assert len(rounds[0].classes) == 1000
            assert run.done(config.rounds)
            assert run.stopped.startswith("the predictions are stable (mean kappa 0.") or "budget of 160" in run.stopped
    assert any(len(run.all("evaluated")) < 8 for run in runs["margin_sampling"])
    note = next(note for note in notes_of(config, runs) if note.startswith("margin_sampling"))
    ends = sorted(run.all("evaluated")[-1]["labels"] for run in runs["margin_sampling"])
    between = f"{ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    assert note == (
        f"margin_sampling: 2 of 2 runs stopped before the last round, at {between} labels; seed 0 because "
        f"{runs['margin_sampling'][0].stopped}."
    )
    shortest = min(len(run.all("evaluated")) for own in runs.values() for run in own)
    for own in comparable(config, runs).values():
        assert own.labels.tolist() == [20 * n for n in range(1, shortest + 1)]
    # going on changes nothing
    before = run_files(tmp_path / "out")
    run_all(open_config(tmp_path / "out"))
    assert run_files(tmp_path / "out") == before


def test_rules_change_no_selection_and_an_event_has_its_key_with_rules_alone(heads, tmp_path):
    plain = parse_config(heads(None, experiment__output=str(tmp_path / "plain"), experiment__seeds=1))
    ruled = parse_config(heads({"labels": 60}, experiment__output=str(tmp_path / "ruled"), experiment__seeds=1))
    run_all(plain)
    run_all(ruled)
    for label, (run,) in all_runs(ruled).items():
        (other,) = all_runs(plain)[label]
        assert run.stopped == "the budget of 60 labels is spent"
        assert [event["labels"] for event in run.all("evaluated")] == [20, 40, 60]
        assert [event["ids"] for event in run.all("asked")] == [event["ids"] for event in other.all("asked")][:2]
        assert not any("stop" in event for event in other.all("evaluated"))
        assert other.stopped is None
        assert other.done(10)


def test_a_killed_run_stops_where_it_would_have(heads, run_files, tmp_path, monkeypatch):
    config = parse_config(heads({"labels": 80}, experiment__seeds=1))
    run_all(config)
    whole = run_files(tmp_path / "out")

    def killed(*_):
        raise KeyboardInterrupt

    again = parse_config(heads({"labels": 80}, experiment__seeds=1, experiment__output=str(tmp_path / "again")))
    with monkeypatch.context() as patch:
        patch.setattr(Steps, "_finished", killed)
        with pytest.raises(KeyboardInterrupt):
            run_all(again)
    assert not any(run.finished for own in all_runs(again).values() for run in own)
    run_all(open_config(tmp_path / "again"))
    assert run_files(tmp_path / "again") == whole


def test_the_rules_of_a_directory_are_those_it_was_begun_with(heads):
    run_all(parse_config(heads({"labels": 40}, experiment__seeds=1)))
    for stop in ({"labels": 60}, {"labels": 40, "kappa": 0.9}, None):
        with pytest.raises(RunError, match=r"active_learning\.stop\.(labels|kappa) is "):
            run_all(parse_config(heads(stop, experiment__seeds=1)))


def test_faults_of_the_section_are_named(heads, document):
    for stop, message in (
        (
            {},
            "active_learning.stop must have at least one of kappa, mean_uncertainty, largest_uncertainty, gain, labels",
        ),
        ({"window": 2}, "active_learning.stop.window needs active_learning.stop.kappa or active_learning.stop.gain"),
        ({"labels": 50, "ahead": 2}, "active_learning.stop.ahead needs active_learning.stop.gain"),
        ({"kappa": 2}, "active_learning.stop.kappa must be a fraction above 0, at most 1, got 2"),
        ({"kapa": 0.9}, "unknown key active_learning.stop.kapa; did you mean 'kappa'?"),
        ("kappa", "active_learning.stop must be a JSON object, got 'kappa'"),
    ):
        with pytest.raises(ConfigError) as found:
            parse_config(heads(stop))
        assert message in str(found.value), json.dumps(stop)
    made = document()
    made["active_learning"]["stop"] = {"gain": 0.01}
    with pytest.raises(
        ConfigError, match=r"active_learning\.stop\.gain needs validation points: set dataset\.validation_points"
    ):
        parse_config(made)


def test_an_altered_entry_for_the_rules_is_refused(heads, rewritten):
    config = parse_config(heads({"labels": 40}, experiment__seeds=1))
    run_all(config)
    path = config.output / "random_sampling" / "0" / "events.jsonl"

    def change(event):
        if event["event"] == "evaluated":
            event["stop"]["largest"] = 2

    rewritten(path, change)
    with pytest.raises(RunError, match="expected classes, uncertainty and largest under 'stop'"):
        all_runs(config)

"""Comparisons: shared first rounds, growth by strategies and seeds, the bound of all data, and several processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import pytest
import torch

from distil.errors import ConfigError, InvalidInput, RunError
from distil.experiment import loop as loop_module
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.directory import compared, open_config
from distil.experiment.loop import Experiment
from distil.experiment.results import run_path
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.suite import run_all
from distil.experiment.workers import run_in_processes

STRATEGIES = ["random_sampling", "badge", "margin_sampling"]


def document(tmp_path, **changes):
    made = {
        "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
        "train_parameters": {"lr": 0.1, "batch_size": 16, "n_epoch": 2},
        "active_learning": {"strategies": STRATEGIES, "budget": 6, "rounds": 3, "initial_points": 8},
        "dataset": {"name": "digits", "test_points": 200},
        "experiment": {"output": str(tmp_path / "out"), "seeds": 2},
    }
    for name, value in changes.items():
        section, key = name.split("__")
        made[section][key] = value
    return made


@pytest.fixture
def config(tmp_path):
    return lambda **changes: parse_config(document(tmp_path, **changes))


def results_of(output):
    """The bytes of everything that is part of the result, by name."""
    kept = ("events.jsonl", "model.safetensors")
    return {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.name in kept}


def trainings(output):
    """(strategy, seed, round) of everything that was trained, not taken over."""
    return sorted(
        (path.parent.parent.name, path.parent.name, entry["round"])
        for path in output.rglob("times.jsonl")
        for entry in Run(path.parent).times()
        if entry["step"] == "train" and not entry.get("shared")
    )


# -------------------------------------------------------------------------------------------- the first round


def test_the_first_round_is_trained_once_a_seed_and_changes_nothing(config, tmp_path):
    made = config()
    run_all(made)
    first = [run for run in trainings(made.output) if run[2] == 0]
    assert first == [("random_sampling", "0", 0), ("random_sampling", "1", 0)]
    for spec in made.strategies:
        alone = Run(tmp_path / "alone" / spec.label)
        Experiment(alone, made, spec, 1, made.load_data()).advance()
        assert alone.events == Run(run_path(made.output, spec.label, 1)).events


def test_a_first_round_that_is_not_what_was_kept_is_refused(config):
    run_all(config(active_learning__strategies=["random_sampling"]))
    kept = config().output / "first_round" / "0" / "weights.safetensors"
    kept.write_bytes(b"another")
    with pytest.raises(RunError, match=r"first_round/0/weights\.safetensors is not the file that was kept"):
        run_all(config())
    kept.unlink()
    with pytest.raises(RunError, match="is missing; remove"):
        run_all(config())
    shutil.rmtree(kept.parent)
    assert run_all(config())


# -------------------------------------------------------------------------------------------- growth


def test_a_strategy_and_a_seed_more_run_only_what_is_missing(config, tmp_path):
    small = config(active_learning__strategies=["random_sampling", "badge"], experiment__seeds=1)
    run_all(small)
    before, done = results_of(small.output), trainings(small.output)
    run_all(config(active_learning__strategies=["margin_sampling"], experiment__seeds=2))
    grown = open_config(small.output)
    assert [spec.label for spec in grown.strategies] == ["random_sampling", "badge", "margin_sampling"]
    assert grown.seeds == (0, 1)
    after = results_of(small.output)
    assert {name: after[name] for name in before} == before
    assert all(trainings(small.output).count(run) == 1 for run in done)
    whole = config(experiment__output=str(tmp_path / "whole"))
    run_all(whole)
    assert results_of(whole.output) == after


def test_fewer_strategies_and_seeds_are_those_that_are_there(config):
    run_all(config())
    before = (config().output / "config.json").read_bytes()
    assert run_all(config(active_learning__strategies=["badge"], experiment__seeds=1))
    assert (config().output / "config.json").read_bytes() == before


def test_a_label_that_means_something_else_is_refused(config):
    run_all(config(active_learning__strategies=["random_sampling", {"name": "badge", "label": "mine"}]))
    other = [{"name": "margin_sampling", "label": "mine"}]
    with pytest.raises(RunError, match=r"its mine differ"):
        run_all(config(active_learning__strategies=other))


def test_a_comparison_has_random_sampling_seeds_and_the_bound(tmp_path):
    made = document(tmp_path, active_learning__strategies=["badge"])
    del made["experiment"]["seeds"]
    found = compared(parse_config(made))
    assert [spec.label for spec in found.strategies] == ["random_sampling", "badge"]
    assert (found.full_data, found.seeds) == (True, tuple(range(10)))
    assert not compared(parse_config(made), full_data=False).full_data


def test_ways_to_retrain_are_a_dimension(config):
    made = compared(config(active_learning__strategies=["badge"]), retrain=["scratch", "warm"], full_data=False)
    assert [(spec.label, spec.retrain) for spec in made.strategies] == [
        ("random_sampling", None),
        ("badge", None),
        ("random_sampling+warm", "warm"),
        ("badge+warm", "warm"),
    ]
    run_all(made)
    one, other = (Run(run_path(made.output, label, 0)).all("trained") for label in ("badge", "badge+warm"))
    assert one[0] == other[0]
    assert one[1] != other[1]
    with pytest.raises(ConfigError, match="retrain must be one of scratch, warm, shrink_perturb, got 'hot'"):
        compared(config(), retrain=["hot"])


def test_full_data_is_one_training_on_the_whole_pool(config):
    made = config(experiment__full_data=True)
    run_all(made)
    run = Run(run_path(made.output, "full_data", 1))
    assert [event["event"] for event in run.events] == ["started", "labeled", "trained", "evaluated", "finished"]
    assert run.last("evaluated")["labels"] == run.events[0]["pool"] == 1797 - 200
    assert sorted(run.last("labeled")["ids"]) == split(made.load_data(), made, 1).pool.tolist()


@pytest.mark.parametrize("label", ["full_data", "first_round"])
def test_labels_of_other_folders_are_taken(config, label):
    with pytest.raises(ConfigError, match=f"the label '{label}' is taken"):
        config(active_learning__strategies=[{"name": "badge", "label": label}])


# -------------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize("part", ["split", "initial", "model", "selection"])
def test_each_part_of_a_replicate_has_a_seed_that_can_be_fixed(config, part):
    made = config(**{f"experiment__{part}_seed": 7, "active_learning__strategies": ["random_sampling"]})
    run_all(made)
    runs = [Run(run_path(made.output, "random_sampling", seed)) for seed in (0, 1)]
    for seed, run in zip((0, 1), runs, strict=True):
        assert run.events[0]["seeds"] == {**dict.fromkeys(("split", "initial", "model", "selection"), seed), part: 7}
        assert run.events[0]["seeds"] == asdict(made.seeds_of(seed))
    splits = [split(made.load_data(), made, seed) for seed in (0, 1)]
    assert torch.equal(splits[0].pool, splits[1].pool) == (part == "split")


def test_fixed_parts_are_shared_by_replicates(config):
    fixed = {f"experiment__{part}_seed": 3 for part in ("split", "initial", "model")}
    made = config(**fixed, active_learning__strategies=["random_sampling"])
    run_all(made)
    one, other = (Run(run_path(made.output, "random_sampling", seed)) for seed in (0, 1))
    assert one.all("trained")[0] == other.all("trained")[0]
    assert one.all("asked") != other.all("asked")


# -------------------------------------------------------------------------------------------- what is done to the pool


def test_label_noise_changes_labels_of_the_pool_only(config):
    made = config(dataset__label_noise=0.25)
    data = made.load_data()
    clean, noisy = split(data, config(), 0), split(data, made, 0)
    assert torch.equal(clean.pool, noisy.pool)
    assert int((clean.y != noisy.y)[noisy.pool].sum()) == len(noisy.pool) // 4
    assert torch.equal(clean.y_test, noisy.y_test)
    held = torch.ones(len(noisy.y), dtype=torch.bool).index_fill_(0, noisy.pool, False)
    assert torch.equal(clean.y[held], noisy.y[held])


def test_imbalance_makes_classes_rare_in_the_pool_only(config):
    made = config(dataset__imbalance=0.5)
    data = made.load_data()
    clean, rare = split(data, config(), 0), split(data, made, 0)
    counts, before = rare.y[rare.pool].bincount(minlength=10), clean.y[clean.pool].bincount(minlength=10)
    assert int((counts < before).sum()) == 5
    assert set(counts[counts < before].tolist()) == {int(before.min()) // 10}
    assert torch.equal(clean.y_test, rare.y_test)


# -------------------------------------------------------------------------------------------- what a run tells


def test_the_start_tells_what_a_run_was_made_with(config):
    made = config()
    run_all(made)
    started = Run(run_path(made.output, "badge", 0)).events[0]
    assert started["device"] == "cpu"
    assert started["versions"]["torch"] == torch.__version__.partition("+")[0] or "+" in started["versions"]["torch"]
    part = split(made.load_data(), made, 0)
    most = part.y[part.pool].mode().values
    assert started["majority"] == pytest.approx(float((part.y_test == most).double().mean()))


def test_times_tell_the_peak_of_memory(config, monkeypatch):
    real = loop_module.Learner.query

    def hungry(self, n, **options):
        torch.ones(50_000_000).sum()
        return real(self, n, **options)

    monkeypatch.setattr(loop_module.Learner, "query", hungry)
    made = config(active_learning__strategies=["random_sampling"], experiment__seeds=1)
    run_all(made)
    entries = [e for e in Run(run_path(made.output, "random_sampling", 0)).times() if e["step"] == "select"]
    if entries[0]["peak_bytes"] is None:
        pytest.skip("this system does not tell the peak of memory")
    assert all(180e6 < entry["peak_bytes"] < 500e6 for entry in entries)


# -------------------------------------------------------------------------------------------- several processes


@pytest.mark.slow
def test_two_workers_give_the_bytes_of_one(config, tmp_path):
    one, two = config(), config(experiment__output=str(tmp_path / "two"))
    assert run_all(one)
    assert run_all(two, workers=2)
    assert results_of(two.output) == results_of(one.output)
    assert [run[2] for run in trainings(two.output)].count(0) == 2


def test_workers_want_no_oracle(config):
    with pytest.raises(InvalidInput, match="1 with an oracle of your own"):
        run_all(config(), workers=2, oracle=lambda *_: None)
    with pytest.raises(InvalidInput, match="from 1"):
        run_all(config(), workers=0)


def _nothing():
    return None


def _killed(state, task, told):
    told(1)
    if task == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def _wrong(state, task, told):
    raise RunError(f"{task} is wrong")


def _later(state, task, told):
    told(task)
    return task != 3


@pytest.mark.slow
def test_processes_do_every_task_and_report():
    steps = []
    assert run_in_processes(_nothing, _later, [1, 2, 4], 2, steps.append)
    assert sorted(steps) == [1, 2, 4]
    assert not run_in_processes(_nothing, _later, [1, 2, 3], 2, steps.append)


@pytest.mark.slow
def test_a_killed_worker_is_an_error_that_says_so():
    with pytest.raises(RunError, match="a worker process was killed"):
        run_in_processes(_nothing, _killed, [1, 2, 3], 2, lambda _: None)


@pytest.mark.slow
def test_an_error_of_a_task_is_that_of_all():
    with pytest.raises(RunError, match="is wrong"):
        run_in_processes(_nothing, _wrong, [1, 2], 2, lambda _: None)


def _alive(pids):
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}") and "Z" not in _status(pid)]


def _status(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc"), reason="children are found in /proc")
def test_a_parallel_comparison_killed_and_run_again_is_whole_and_nothing_ran_twice(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document(tmp_path, experiment__seeds=3, train_parameters__n_epoch=20)))
    command = [sys.executable, "-m", "distil", "compare", str(path), "--workers", "2", "--seeds", "3", "--no-progress"]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    out = tmp_path / "out"
    deadline = time.monotonic() + 120
    while len(list(out.glob("*/*/times.jsonl"))) < 4 and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.01)
    assert killed.poll() is None, "the comparison ended before it could be killed"
    with open(f"/proc/{killed.pid}/task/{killed.pid}/children") as file:
        children = file.read().split()
    assert len(children) >= 2
    killed.kill()  # the parent alone: the workers must end by themselves
    killed.communicate()
    while _alive(children) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(children)
    finished = {p.parent for p in out.glob("*/*/model.safetensors")}
    before = {str(p): Run(p).times() for p in finished}
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert {name: Run(name).times() for name in before} == before
    whole = document(
        tmp_path, experiment__seeds=3, train_parameters__n_epoch=20, experiment__output=str(tmp_path / "whole")
    )
    run_all(compared(parse_config(whole)))
    assert results_of(out) == results_of(tmp_path / "whole")

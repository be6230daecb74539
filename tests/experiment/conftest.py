"""Small experiments on digits, and experiments made of events alone, as if they had been run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from distil.experiment.chain import Chain, chained
from distil.experiment.config.document import sealed
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.directory import open_config
from distil.experiment.identity import identity_of, spec_of
from distil.experiment.run import Run
from distil.experiment.split import split

EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def document(tmp_path):
    """``document(section__key=value)``: a small configuration, as in a file; three strategies, two seeds, three rounds."""

    def make(**changes):
        made = {
            "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
            "train_parameters": {"lr": 0.1, "batch_size": 16, "n_epoch": 2},
            "active_learning": {
                "strategies": ["random_sampling", "badge", "margin_sampling"],
                "budget": 6,
                "rounds": 3,
                "initial_points": 8,
            },
            "dataset": {"name": "digits", "test_points": 200},
            "experiment": {"output": str(tmp_path / "out"), "seeds": 2},
        }
        for name, value in changes.items():
            section, key = name.split("__")
            made[section][key] = value
        return made

    return make


@pytest.fixture
def config(document):
    """``config(section__key=value)``: the same, read."""
    return lambda **changes: parse_config(document(**changes))


@pytest.fixture
def several(config):
    """An experiment of four rounds with a target."""
    return config(active_learning__rounds=4, experiment__target_accuracy=0.6)


@pytest.fixture
def run_files():
    """``run_files(output, *more)``: the bytes of the events and models of all runs, and of files called ``more``, by path."""

    def read(output, *more):
        kept = ("events.jsonl", "model.safetensors", *more)
        return {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.name in kept}

    return read


@pytest.fixture
def trainings():
    """``trainings(output)``: (strategy, seed, round) of everything that was trained, not taken over."""
    return lambda output: sorted(
        (path.parent.parent.name, path.parent.name, entry["round"])
        for path in output.rglob("times.jsonl")
        for entry in Run(path.parent).times()
        if entry["step"] == "train" and not entry.get("shared")
    )


def _made_up_document(output, strategies, seeds, rounds, budget, name, more):
    return {
        "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
        "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 2},
        "active_learning": {"strategies": strategies, "budget": budget, "rounds": rounds, "initial_points": 10},
        "dataset": {"name": name, "test_points": 500},
        "experiment": {"output": str(output), "seeds": seeds, **more},
    }


def _write(folder, events, times, identity):
    folder.mkdir(parents=True)
    _write_events(folder / "events.jsonl", events, identity)
    (folder / "times.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in times))
    (folder / "model.safetensors").touch()


def _write_events(path, events, identity):
    content = b""
    for event in events:
        line, identity = chained(event, identity)
        content += line
    path.write_bytes(content)


@pytest.fixture
def rewritten():
    """``rewritten(path, change)``: the events of a run as if they had been so; ``change`` gets each and changes it in place."""

    def rewrite(path, change):
        chain = Chain(path)
        for event in chain.events:
            change(event)
        _write_events(path, chain.events, chain.belongs)

    return rewrite


@pytest.fixture
def made_up(tmp_path):
    """``made_up(...)``: the configuration of an experiment on digits whose runs are made up.

    Args:
        name: Of its folder.
        strategies: Labels, or the entries of a configuration.
        seeds, rounds, budget: As in a configuration.
        unfinished: Of these (label, seed) the last event is missing.
        alike: Label -> label of the strategy whose selections and numbers it has.
        full: Whether there are trainings on the whole pool.
        budgets: Label -> another number of labels a round.
        idle: A round in which nothing is labeled.
        gain: Label -> what it is better by, in accuracy, after the first round.
        dataset: Another name of a data set.
        draw: Another number gives other selections and other numbers.
        more: Keys of the section experiment.
    """

    def make(
        name="runs",
        *,
        strategies=("random_sampling", "margin_sampling", "badge"),
        seeds=4,
        rounds=4,
        budget=5,
        unfinished=(),
        alike=None,
        full=True,
        budgets=None,
        idle=None,
        gain=None,
        dataset="digits",
        draw=0,
        **more,
    ):
        output: Path = tmp_path / name
        output.mkdir()
        entries = [{"name": entry} if isinstance(entry, str) else entry for entry in strategies]
        document = _made_up_document(output, entries, seeds, rounds, budget, dataset, {"full_data": full, **more})
        for file, content in (("files.json", {}), ("config.json", document)):
            (output / file).write_text(json.dumps(sealed(content)))
        config = open_config(output)
        data = config.load_data() if dataset == "digits" else None
        for seed in config.seeds:
            here = split(data, config, seed) if data is not None else None
            pool = torch.arange(1297) if here is None else here.pool
            answers = torch.zeros(1797, dtype=torch.int64) if here is None else here.y
            initial = pool[:10].tolist() if here is None else here.initial.tolist()
            for spec in config.strategies:
                label = (alike or {}).get(spec.label, spec.label)
                draws = torch.Generator().manual_seed(sum(map(ord, label)) * 1000 + seed + 1_000_003 * draw)
                rest = [i for i in pool[torch.randperm(len(pool), generator=draws)].tolist() if i not in initial]
                n = (budgets or {}).get(spec.label, budget)
                events = [_started(spec.label, seed, n)]
                times, labeled = [], 0
                for round_ in range(rounds):
                    ids = initial if round_ == 0 else rest[(round_ - 1) * n : round_ * n]
                    if round_:
                        events.append({"event": "asked", "round": round_, "ids": ids})
                        times.append({"round": round_, "step": "select", "seconds": 0.5, "peak_bytes": 1000 * round_})
                    ids = [] if idle == round_ else ids
                    labeled += len(ids)
                    events.append({"event": "labeled", "round": round_, "ids": ids, "labels": answers[ids].tolist()})
                    events.append(_trained(round_))
                    better = (gain or {}).get(label, 0.0) if round_ else 0.0
                    events.append(_evaluated(round_, labeled, better, draws, seed))
                    times.append({"round": round_, "step": "train", "seconds": 2.0 + round_, "peak_bytes": 0})
                if (spec.label, seed) not in unfinished:
                    events.append({"event": "finished", "model": "model.safetensors", "sha256": EMPTY})
                if round_ and spec is not config.strategies[0]:
                    times[0] = {"round": 0, "step": "train", "seconds": 0.25, "shared": True}
                _write(output / spec.label / str(seed), events, times, identity_of(config, spec, seed))
            if full:
                draws = torch.Generator().manual_seed(seed)
                events = [
                    _started("full_data", seed, budget),
                    {"event": "labeled", "round": 0, "ids": pool.tolist(), "labels": answers[pool].tolist()},
                    _trained(0),
                    _evaluated(0, 1297, 0.3, draws, seed),
                    {"event": "finished", "model": "model.safetensors", "sha256": EMPTY},
                ]
                identity = identity_of(config, spec_of(config, "full_data"), seed)
                _write(output / "full_data" / str(seed), events, [], identity)
        return config

    return make


def _started(label, seed, budget):
    event = {"event": "started", "strategy": label, "seed": seed, "pool": 1297, "test": 500, "threads": 1}
    event |= {"examples": 1797, "num_classes": 10, "budget": budget}
    versions = {"python": "3.11.7", "torch": "2.13.0", "revision": "abc123"}
    return {**event, "majority": 0.1 + 0.01 * seed, "device": "cpu", "versions": versions}


def _trained(round_):
    return {"event": "trained", "round": round_, "weights": f"weights-{round_:03d}.safetensors", "sha256": EMPTY}


def _evaluated(round_, labels, better, draws, seed):
    noise = torch.rand(4, generator=draws).tolist() if round_ else [0.1 * seed] * 4
    value = 0.5 + 0.1 * round_ + better
    event = {"event": "evaluated", "round": round_, "labels": labels, "accuracy": value + 0.01 * noise[0]}
    event |= {"balanced_accuracy": value + 0.01 * noise[1] - 0.02, "macro_f1": value + 0.01 * noise[2] - 0.03}
    return {**event, "calibration_error": 0.1 + 0.01 * noise[3]}
